//! Signals of a server: the first one ends it in order, a second one at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals as Received;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Handlers of SIGTERM and, unless whoever started the process has it ignored, SIGINT.
pub(super) struct Signals {
    received: Received,
    asked: Arc<AtomicBool>,
}

impl Signals {
    /// Takes the signals over. Whatever handled them before in this process is called still, before these.
    pub(super) fn install(heed_interrupt: bool) -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let mut handled = vec![SIGTERM];
        if heed_interrupt {
            handled.push(SIGINT);
        }
        for &signal in &handled {
            // In this order: the first signal finds the flag unset, sets it and goes on; the second ends the process
            // within the handler, whatever its threads wait for. `_exit` runs no destructors: what was acknowledged is in
            // the write-ahead log, handed to the operating system.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self {
            received: Received::new(&handled)?,
            asked,
        })
    }

    /// Whether the end was asked for.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until the end is asked for.
    pub(super) fn wait(&mut self) {
        while !self.asked() {
            for _ in self.received.wait() {}
        }
    }
}
