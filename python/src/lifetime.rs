//! The time that single keys have left, and moments from Python.

use crate::convert::Key;
use crate::error::{PyStoreResult, blocking, invalid};
use crate::numbers::{Integer, named, shown};
use crate::store::Store;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// Microseconds since the Unix epoch: a number of seconds, or an aware `datetime`. What lies before the epoch is the
/// epoch.
pub(crate) struct Moment(pub u64);

impl FromPyObject<'_, '_> for Moment {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let datetime = object.py().import("datetime")?.getattr("datetime")?;
        let seconds: f64 = if object.is_instance(&datetime)? {
            if object.call_method0("utcoffset")?.is_none() {
                return Err(invalid(
                    "must be a datetime with a time zone, such as datetime.now(timezone.utc)"
                        .to_owned(),
                ));
            }
            object.call_method0("timestamp")?.extract()?
        } else {
            object.extract().map_err(|_| {
                PyTypeError::new_err(format!(
                    "must be seconds since the epoch, as time.time() gives, or an aware datetime, not {}",
                    shown(&object)
                ))
            })?
        };
        if !seconds.is_finite() {
            return Err(invalid(format!(
                "must be a finite number of seconds since the epoch, not {seconds}"
            )));
        }
        Ok(Self(to_micros(seconds)))
    }
}

impl Moment {
    /// The moment that an argument gives, whose name errors begin with.
    pub(crate) fn of(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let moment = given.extract();
        moment.map_err(|error| named(given.py(), name, error))
    }
}

/// Whole microseconds; beyond the range of `u64` its ends.
pub(crate) fn to_micros(seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the conversion saturates, which is what is wanted"
    )]
    let micros = (seconds * 1e6).round() as u64;
    micros
}

#[pymethods]
impl Store {
    /// Return the time a key has left.
    ///
    /// Args:
    ///     key: The key.
    ///
    /// Returns:
    ///     Seconds until the key expires; None: it does not expire.
    ///
    /// Raises:
    ///     NotFoundError: The key does not exist or has expired.
    fn ttl(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<Option<f64>> {
        let key = key.as_bytes()?;
        let left = blocking(py, || self.handle().ttl(key))?;
        Ok(left.map(|left| left.as_secs_f64()))
    }

    /// Set the time a key has left anew, and count as a use of it.
    ///
    /// Value and put time stay. ``touch(key)`` renews the store's default, ``touch(key, n)`` sets
    /// n seconds, ``touch(key, 0)`` lets the key live for ever.
    ///
    /// Args:
    ///     key: The key.
    ///     ttl_seconds: As in ``put``: seconds from now until the key expires, 0 to 2**63 - 1; 0:
    ///         never; None: ``default_ttl_seconds``.
    ///
    /// Raises:
    ///     NotFoundError: The key does not exist or has expired.
    ///     TimedOutError: Another thread held the key for ``lock_timeout_ms``.
    #[pyo3(signature = (key, ttl_seconds = None))]
    fn touch(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        ttl_seconds: Option<Integer<'_>>,
    ) -> PyStoreResult<()> {
        let key = key.as_bytes()?;
        let ttl_seconds = ttl_seconds.map(|seconds| seconds.natural("ttl_seconds"));
        let ttl_seconds = ttl_seconds.transpose()?;
        blocking(py, || self.handle().touch(key, ttl_seconds))
    }

    /// Let a key expire at a moment.
    ///
    /// Value, put time and access time stay. A moment that is not in the future removes the key at
    /// once.
    ///
    /// Args:
    ///     key: The key.
    ///     when: Seconds since the epoch, as ``time.time()`` gives, or an aware ``datetime``.
    ///
    /// Raises:
    ///     NotFoundError: The key does not exist or has expired.
    ///     InvalidArgumentError: ``when`` is not finite, or a ``datetime`` without a time zone.
    ///     TimedOutError: Another thread held the key or value for ``lock_timeout_ms``.
    fn expire_at(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        when: &Bound<'_, PyAny>,
    ) -> PyStoreResult<()> {
        let key = key.as_bytes()?;
        let moment = Moment::of("when", when)?;
        blocking(py, || self.handle().expire_at(key, moment.0))
    }
}
