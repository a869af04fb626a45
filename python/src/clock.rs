//! A clock for tests of applications.

use crate::lifetime::Moment;
use crate::numbers::finite;
use prestige_core::Clock as _;
use pyo3::prelude::*;
use std::sync::Arc;

/// A clock that moves only when told to, for tests of what expires.
///
/// Given as ``prestige.open(path, clock=clock)`` it takes the place of the system's clock. Several
/// stores may share it. Latencies and the rhythm of background work stay in real time.
///
/// Args:
///     start: Where it stands: seconds since the epoch or an aware ``datetime``; None: now.
///
/// Raises:
///     InvalidArgumentError: ``start`` is not finite, or a ``datetime`` without a time zone.
#[pyclass(module = "prestige.testing", frozen)]
pub(crate) struct ManualClock(Arc<prestige_core::ManualClock>);

impl ManualClock {
    pub(crate) fn to_core(&self) -> Arc<dyn prestige_core::Clock> {
        Arc::<prestige_core::ManualClock>::clone(&self.0)
    }
}

#[pymethods]
impl ManualClock {
    #[new]
    #[pyo3(signature = (start = None))]
    fn new(start: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let now_us = match start {
            Some(start) => Moment::of("start", start)?.0,
            None => prestige_core::SystemClock.now_us(),
        };
        Ok(Self(Arc::new(prestige_core::ManualClock::new(now_us))))
    }

    /// Move the clock.
    ///
    /// Args:
    ///     seconds: How far; negative: back.
    ///
    /// Raises:
    ///     InvalidArgumentError: ``seconds`` is not finite.
    fn advance(&self, seconds: &Bound<'_, PyAny>) -> PyResult<()> {
        let seconds = finite("seconds", seconds)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the conversion saturates, which is what is wanted"
        )]
        self.0.move_by((seconds * 1e6).round() as i64);
        Ok(())
    }

    /// Return where the clock stands, in seconds since the epoch.
    fn time(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the seconds of time.time() are floats too"
        )]
        let micros = self.0.now_us() as f64;
        micros / 1e6
    }

    fn __repr__(&self) -> String {
        format!("<prestige.testing.ManualClock time={}>", self.time())
    }
}
