//! Values of Python that the read cache holds as they are: `bytes` that were put are not copied into it, and a `get` of
//! them returns the same object.

use prestige_core::{LentBytes, Reader, Value};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use std::convert::Infallible;
use std::sync::Arc;

/// Shorter values are copied. Python has their objects in blocks with others, and all of a block would stay with one of
/// them.
const LEAST_LENT_BYTES: usize = 512;

/// A `bytes` object. Dropped by a thread without the GIL it is left to PyO3, which lets go of it when a thread next has
/// the GIL.
struct Lent(PyBackedBytes);

impl LentBytes for Lent {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What the read cache may hold of `bytes`. Nothing of a subclass: it may hold whatever else, and a `get` returns `bytes`.
pub(crate) fn lend(bytes: &Bound<'_, PyBytes>) -> Option<Arc<dyn LentBytes>> {
    let lends =
        bytes.as_bytes().len() >= LEAST_LENT_BYTES && bytes.is_exact_instance_of::<PyBytes>();
    lends.then(|| Arc::new(Lent(PyBackedBytes::from(bytes.clone()))) as _)
}

/// A value as `bytes`: the object that the read cache holds, or the one copy from where the store holds the value.
pub(crate) fn value_to_python<'py>(py: Python<'py>, value: &Value<'_>) -> Bound<'py, PyBytes> {
    let lent = value.cached().and_then(|cached| cached.lent());
    match lent.and_then(|lent| lent.downcast_ref::<Lent>()) {
        Some(Lent(bytes)) => match bytes.into_pyobject(py) {
            Ok(bytes) => bytes,
            Err::<_, Infallible>(never) => match never {},
        },
        None => PyBytes::new(py, value),
    }
}

/// As [`value_to_python`], of a value that the read cache may not hold yet: it then holds this object, so that there is
/// no other copy.
pub(crate) fn kept_value_to_python<'py>(
    py: Python<'py>,
    reader: &Reader<'_>,
    value: &Value<'_>,
) -> Bound<'py, PyBytes> {
    let bytes = value_to_python(py, value);
    if value.cached().is_none() {
        reader.keep(value, lend(&bytes).as_ref());
    }
    bytes
}
