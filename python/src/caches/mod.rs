//! The two caches: where they are opened, and what computes what they do not have.

mod arguments;
pub(crate) mod client;
mod embedding;
mod hit;
mod json;
mod semantic;
mod source;
mod turn;

pub(crate) use embedding::EmbeddingCache;
pub(crate) use hit::Hit;
pub(crate) use semantic::SemanticCache;

use crate::error::{PyStoreResult, invalid};
use crate::options::Options;
use crate::registry::OpenStore;
use crate::store::Store;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::Path;
use std::sync::Arc;

/// What who pickles a cache is told.
fn not_pickled() -> PyErr {
    PyTypeError::new_err(
        "an open cache cannot be pickled; pass its path and open it where it is needed",
    )
}

/// The store of a cache.
struct Home {
    open: Arc<OpenStore>,
    /// Whether the cache has opened it, and so closes it.
    owned: bool,
}

impl Home {
    /// `place`: an open store, or the directory of one that the cache opens with `options`.
    fn of<'py>(
        py: Python<'py>,
        place: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyStoreResult<Self> {
        let Ok(store) = place.cast::<Store>() else {
            let path = crate::convert::directory(place)?;
            let options = Options::with_changes(py, None, options)?;
            let store = Store::open_with(py, path, &options)?;
            return Ok(Self {
                open: store.keep_open(),
                owned: true,
            });
        };
        if let Some(name) = options.and_then(|options| options.iter().next()) {
            let message = format!(
                "{} is an option of a store that the cache opens by its path; this one is open already",
                name.0
            );
            return Err(invalid(message).into());
        }
        let store = store.get();
        if !store.handle().namespace_name().is_empty() {
            let message = format!(
                "a cache takes the store itself, not a view of its namespace {:?}: it has namespaces of its own; give it a \
                 scope, or another model_id",
                store.handle().namespace_name()
            );
            return Err(invalid(message).into());
        }
        Ok(Self {
            open: store.keep_open(),
            owned: false,
        })
    }

    /// Directory of the store.
    fn path(&self) -> &Path {
        self.open.store.path()
    }

    /// Whether the store is closed.
    fn is_closed(&self) -> bool {
        self.open.store.is_closed()
    }

    /// Both, as `repr` shows them.
    fn shown(&self) -> (std::path::Display<'_>, &'static str) {
        let closed = if self.is_closed() { "True" } else { "False" };
        (self.path().display(), closed)
    }

    /// Closes the store if it is the cache's own.
    fn close(&self) -> Result<(), prestige_core::Error> {
        if self.owned {
            self.open.close()
        } else {
            Ok(())
        }
    }
}
