//! The background threads of a store: one for automatic eviction, which puts wait for, and one for access times, index
//! checkpoints and expired keys, which nobody waits for.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::lifetime::reap::Reaper;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest time between two looks at what is to be done.
const INTERVAL: Duration = Duration::from_secs(1);

/// The running threads; they end when this is dropped.
pub(crate) struct Workers {
    engine: Arc<Engine>,
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

/// Tells the threads to end. A condition variable, so that ending does not wait for the interval.
#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Workers {
    pub(crate) fn start(engine: Arc<Engine>) -> Result<Self> {
        let mut workers = Self {
            engine,
            stop: Arc::default(),
            threads: Vec::new(),
        };
        workers.spawn("prestige-evict", run_evictions)?;
        workers.spawn("prestige-keep", run_housekeeping)?;
        Ok(workers)
    }

    fn spawn(&mut self, name: &str, run: fn(&Engine, &Stop)) -> Result<()> {
        let (engine, stop) = (Arc::clone(&self.engine), Arc::clone(&self.stop));
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&engine, &stop))
            .map_err(|error| Error::Io(format!("cannot start a thread of the store: {error}")))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        *self.stop.stopped.lock() = true;
        self.stop.changed.notify_all();
        self.engine.eviction.wake();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a background thread of the store has panicked");
            }
        }
    }
}

impl Stop {
    fn is_set(&self) -> bool {
        *self.stopped.lock()
    }

    /// Waits for the interval; true if it was cut short by the end.
    fn wait(&self, interval: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.changed.wait_for(&mut stopped, interval);
        }
        *stopped
    }
}

/// Ends the waiting of puts however the eviction thread ends.
struct EndOfEvictions<'a>(&'a Engine);

impl Drop for EndOfEvictions<'_> {
    fn drop(&mut self) {
        self.0.eviction.end();
    }
}

fn run_evictions(engine: &Engine, stop: &Stop) {
    let _end = EndOfEvictions(engine);
    while !stop.is_set() {
        if engine.eviction.wait(INTERVAL) {
            report("evict", engine.evict_to_target_ratio().map(drop));
            engine.eviction.finish();
        }
    }
}

fn run_housekeeping(engine: &Engine, stop: &Stop) {
    let mut reaper = Reaper::new(engine.options.reaper_interval_seconds);
    while !stop.wait(reaper.interval().min(INTERVAL)) {
        report("write access times", engine.fold_accesses());
        for namespace in engine.namespaces.all() {
            if let Some(semantic) = namespace.loaded_semantic()
                && semantic.checkpoint_is_due(&engine.options.semantic)
            {
                report(
                    "write an index checkpoint",
                    semantic.checkpoint(engine, &namespace),
                );
            }
        }
        report(
            "remove the vectors of a former model",
            engine.remove_leftovers(|| stop.is_set()),
        );
        report("remove expired keys", reaper.run(engine, || stop.is_set()));
    }
}

/// Background work has no caller to answer to: what fails is logged, and tried again the next time.
fn report(action: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the background thread could not {action}");
    }
}
