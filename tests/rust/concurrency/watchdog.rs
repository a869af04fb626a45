//! Ends a test that hangs, and says what each thread was doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Without a single step by any thread for so long, there is a deadlock.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sees the steps of the threads it watches.
#[derive(Default)]
pub struct Watchdog {
    steps: AtomicU64,
    /// What each thread does, and since when.
    doing: Mutex<Vec<(String, Instant)>>,
    done: AtomicBool,
}

/// The reports of one thread.
pub struct Reporter<'a> {
    watchdog: &'a Watchdog,
    thread: usize,
}

impl Watchdog {
    /// Runs `work`; aborts the process if no thread reports a step for a minute.
    pub fn watch(work: impl FnOnce(&Self)) {
        let watchdog = Arc::new(Self::default());
        let watching = Arc::clone(&watchdog);
        std::thread::spawn(move || watching.run());
        // Also when `work` panics.
        let _end = End(&watchdog.done);
        work(&watchdog);
    }

    fn run(&self) {
        let (mut seen, mut since) = (0, Instant::now());
        while !self.done.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(50));
            let steps = self.steps.load(Ordering::Relaxed);
            if steps != seen {
                (seen, since) = (steps, Instant::now());
            } else if since.elapsed() > PATIENCE {
                eprintln!("no progress after step {steps} for {PATIENCE:?}: deadlock");
                let doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
                for (thread, (what, since)) in doing.iter().enumerate() {
                    eprintln!("thread {thread}: {what}, for {:?}", since.elapsed());
                }
                waiting_places();
                std::process::abort();
            }
        }
    }

    pub fn reporter(&self) -> Reporter<'_> {
        let mut doing = self.doing.lock().unwrap();
        doing.push(("nothing yet".to_owned(), Instant::now()));
        Reporter {
            watchdog: self,
            thread: doing.len() - 1,
        }
    }
}

impl Reporter<'_> {
    /// The last step is done, and this one begins.
    pub fn begins(&self, what: String) {
        self.watchdog.steps.fetch_add(1, Ordering::Relaxed);
        let mut doing = self.watchdog.doing.lock().unwrap();
        doing[self.thread] = (what, Instant::now());
    }
}

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        self.begins("ended".to_owned());
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Where the kernel has the threads of the process wait. The tests are built without symbols, so stacks would be numbers.
fn waiting_places() {
    for entry in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |name| {
            let content = std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            content.trim().to_owned()
        };
        let (name, place, call) = (read("comm"), read("wchan"), read("syscall"));
        eprintln!("{name}: {place}, system call {call}");
    }
}
