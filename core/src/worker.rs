//! The background thread of a store: automatic eviction, access times, index checkpoints.

use crate::engine::Engine;
use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest time between two looks at what is to be done.
const INTERVAL: Duration = Duration::from_secs(1);

/// The running thread; ends when dropped.
pub(crate) struct Worker {
    engine: Arc<Engine>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn start(engine: Arc<Engine>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (own_engine, own_stop) = (Arc::clone(&engine), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("prestige-worker".to_owned())
            .spawn(move || run(&own_engine, &own_stop))
            .map_err(|error| {
                Error::Io(format!(
                    "cannot start the background thread of the store: {error}"
                ))
            })?;
        Ok(Self {
            engine,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.engine.eviction.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the background thread of the store has panicked");
        }
    }
}

fn run(engine: &Engine, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        if engine.eviction.wait(INTERVAL) {
            report("evict", engine.evict_to_target_ratio().map(drop));
            engine.eviction.finish();
            continue;
        }
        report("fold access times", engine.fold_accesses());
        for namespace in engine.namespaces() {
            if let Some(semantic) = &namespace.semantic
                && semantic.checkpoint_is_due(&engine.options.semantic)
            {
                report(
                    "write an index checkpoint",
                    semantic.checkpoint(engine, namespace.id),
                );
            }
        }
    }
}

/// Background work has no caller to answer to: what fails is logged, and tried again the next time.
fn report(action: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the background thread could not {action}");
    }
}
