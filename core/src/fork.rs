//! Notices a fork: a child has the parent's memory but not its threads, and must not touch the parent's store.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of forks between the first process that opened a store and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The generation of this process. Asking costs one atomic load; asking for the process id would be a system call in
/// every operation.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Makes sure that forks are counted. Called when a store is opened.
#[cfg(unix)]
pub(crate) fn watch() {
    extern "C" fn count() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        #[expect(unsafe_code, reason = "there is no safe binding of pthread_atfork")]
        // SAFETY: `count` only adds to an atomic, which is async-signal-safe, and lives as long as the process.
        let failed = unsafe { libc::pthread_atfork(None, None, Some(count)) };
        if failed != 0 {
            tracing::warn!(error = failed, "forks of this process will not be noticed");
        }
    });
}

/// There is no fork here.
#[cfg(not(unix))]
pub(crate) fn watch() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {});
}
