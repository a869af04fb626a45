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
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

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
            let message = "a cache takes the store itself, not a view of a namespace: it has namespaces of its own";
            return Err(invalid(message.to_owned()).into());
        }
        Ok(Self {
            open: store.keep_open(),
            owned: false,
        })
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
