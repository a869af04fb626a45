//! Notices a fork: a child has the parent's memory but not its threads, and must not touch the parent's store.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of forks between the first process that opened a store and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The generation of this process. Asking costs one atomic load; asking for the process id would be a system call in
/// every operation.
#[must_use]
pub fn generation() -> u32 {
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

/// Keeps a forked child from hanging at its exit. Called when a store has been opened.
///
/// At exit RocksDB joins its background threads, which exist in the parent only, so the child would wait for ever.
/// Handlers run in the reverse order of their registration: ours comes before RocksDB's and ends the child.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn watch_exit() {
    #[expect(unsafe_code, reason = "the libc crate does not declare on_exit")]
    unsafe extern "C" {
        fn on_exit(
            handler: extern "C" fn(libc::c_int, *mut libc::c_void),
            argument: *mut libc::c_void,
        ) -> libc::c_int;
    }
    extern "C" fn end_child(status: libc::c_int, _argument: *mut libc::c_void) {
        if GENERATION.load(Ordering::Relaxed) == REGISTERED_IN.load(Ordering::Relaxed) {
            return;
        }
        #[expect(unsafe_code, reason = "there is no safe binding of fflush and _exit")]
        // SAFETY: null means every open stream; `_exit` does not return.
        unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::_exit(status);
        }
    }
    static REGISTERED_IN: AtomicU32 = AtomicU32::new(0);
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        REGISTERED_IN.store(generation(), Ordering::Relaxed);
        #[expect(unsafe_code, reason = "there is no safe binding of on_exit")]
        // SAFETY: the handler lives as long as the process and ignores its argument.
        let failed = unsafe { on_exit(end_child, std::ptr::null_mut()) };
        if failed != 0 {
            tracing::warn!("a forked child of this process may hang when it exits");
        }
    });
}

/// Elsewhere the exit status is not known to such a handler.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn watch_exit() {}

/// There is no fork here.
#[cfg(not(unix))]
pub(crate) fn watch() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {});
}
