//! Values of Python that the read cache holds as they are: `bytes` that were put are not copied into it, and a `get` of
//! them returns the same object.

use prestige_core::{LentBytes, Reader, Value};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shorter values are copied. Python has their objects in blocks with others, and all of a block would stay with one of
/// them.
const LEAST_LENT_BYTES: usize = 512;

/// A `bytes` object; there until it is dropped.
struct Lent(Option<PyBackedBytes>);

impl LentBytes for Lent {
    fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(bytes) = self.0.take() {
            dropped().push(bytes);
            ANY_DROPPED.store(true, Ordering::Release);
        }
    }
}

/// Objects that the cache has dropped, mostly on a thread without the GIL, which may not let go of them. By the number of
/// forks before this process: where the parent forked while another thread had the lock, the child has another one. PyO3
/// has such a list of its own, and one lock for it.
static DROPPED: [Mutex<Vec<PyBackedBytes>>; 64] = [const { Mutex::new(Vec::new()) }; 64];
static ANY_DROPPED: AtomicBool = AtomicBool::new(false);

/// Held for a push or a swap. No other lock is taken meanwhile.
fn dropped() -> MutexGuard<'static, Vec<PyBackedBytes>> {
    let [first, ..] = &DROPPED;
    let own = DROPPED.get(prestige_core::fork_generation() as usize % DROPPED.len());
    own.unwrap_or(first)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Lets go of what the caches have dropped, with the GIL, after whatever may drop values.
pub(crate) fn let_go(_: Python<'_>) {
    if ANY_DROPPED.load(Ordering::Relaxed) && ANY_DROPPED.swap(false, Ordering::AcqRel) {
        let left = std::mem::take(&mut *dropped());
        drop(left);
    }
}

/// Calls [`let_go`] at the end of a call that lends: of what the cache has not taken.
pub(crate) struct LetGo<'py>(pub Python<'py>);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        let_go(self.0);
    }
}

/// What the read cache may hold of `bytes`. Nothing of a subclass: it may hold whatever else, and a `get` returns `bytes`.
pub(crate) fn lend(bytes: &Bound<'_, PyBytes>) -> Option<Arc<dyn LentBytes>> {
    let lends =
        bytes.as_bytes().len() >= LEAST_LENT_BYTES && bytes.is_exact_instance_of::<PyBytes>();
    lends.then(|| Arc::new(Lent(Some(bytes.clone().into()))) as _)
}

/// A value as `bytes`: the object that the read cache holds, or the one copy from where the store holds the value.
pub(crate) fn value_to_python<'py>(py: Python<'py>, value: &Value<'_>) -> Bound<'py, PyBytes> {
    let lent = value.cached().and_then(|cached| cached.lent());
    match lent.and_then(|lent| lent.downcast_ref::<Lent>()) {
        Some(Lent(Some(bytes))) => match bytes.into_pyobject(py) {
            Ok(bytes) => bytes,
            Err::<_, Infallible>(never) => match never {},
        },
        _ => PyBytes::new(py, value),
    }
}

/// As [`value_to_python`], of a value that the read cache may not hold yet: it then holds this object, so that there is
/// no other copy.
pub(crate) fn kept_value_to_python<'py>(
    py: Python<'py>,
    reader: &Reader<'_>,
    value: &Value<'_>,
) -> Bound<'py, PyBytes> {
    if value.cached().is_some() {
        return value_to_python(py, value);
    }
    // The same value twice among those that were read together: one object for both.
    if let Some(kept) = reader.kept_meanwhile(value) {
        return value_to_python(py, &kept);
    }
    // Of what the cache does not take, or gives up for it.
    let _let_go = LetGo(py);
    let bytes = PyBytes::new(py, value);
    reader.keep(value, lend(&bytes).as_ref());
    bytes
}
