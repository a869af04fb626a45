//! What the `asyncio` forms of `prestige._aio` need besides the methods themselves.

use crate::convert::Key;
use crate::error::{PyStoreResult, caught, exception};
use crate::lent::value_to_python;
use crate::store::Store;
use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    /// Whether this is a worker thread, which the exit of the interpreter waits for.
    static WORKER: Cell<bool> = const { Cell::new(false) };
}

static EXITING: AtomicBool = AtomicBool::new(false);

/// Let long calls of this thread end early when the interpreter exits.
#[pyfunction]
pub(crate) fn end_long_calls_at_exit() {
    WORKER.set(true);
}

/// To be called when the interpreter exits, before it waits for the worker threads.
pub(crate) fn begin_exit() {
    EXITING.store(true, Ordering::Release);
}

/// To be asked now and then by calls that no closing store ends: an error in a worker thread once the interpreter
/// exits. Other threads are left alone, since nobody waits for them.
pub(crate) fn check_exit() -> PyResult<()> {
    if WORKER.get() && EXITING.load(Ordering::Acquire) {
        let message = "the interpreter exits, and the call was not waited for".to_owned();
        return Err(exception("PrestigeError", message));
    }
    Ok(())
}

#[pymethods]
impl Store {
    /// What ``get`` returns if memory has the value; None: ask ``get``. Never waits.
    #[pyo3(signature = (key, default = None, decode = false))]
    fn _get_cached<'py>(
        &self,
        py: Python<'py>,
        key: Key<'py>,
        default: Option<&Bound<'py, PyAny>>,
        decode: bool,
    ) -> PyStoreResult<Option<Bound<'py, PyAny>>> {
        // Not needed where there is a value; taken so that the arguments of `get` can be given as they are.
        let _ = default;
        let key = key.as_bytes()?;
        let reader = self.handle().reader()?;
        let value = caught(|| Ok(reader.get_cached(key)))?;
        let value = value.map(|value| value_to_python(py, &value));
        drop(reader);
        Ok(match value {
            Some(value) if decode => Some(value.call_method1("decode", ("utf-8",))?),
            value => value.map(Bound::into_any),
        })
    }
}
