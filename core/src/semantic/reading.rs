//! The semantic stage of a store that was opened read-only: loaded for the first search, and changing nothing.

use super::model::other_model;
use super::{ModelRecord, Semantic, recorded_model};
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use std::sync::Arc;

impl Engine {
    /// The stage of a namespace whose owner, if there is one, is somebody else. Its index is that of the moment of the
    /// opening: the checkpoint and the log that were read then, or, if the owner has replaced the file since, the vectors.
    /// `None`: there are no vectors.
    pub(crate) fn reading_stage(&self, namespace: &Namespace) -> Result<Option<Arc<Semantic>>> {
        let Some(model) = recorded_model(&self.db, namespace.id)? else {
            return Ok(None);
        };
        let provider = self.options.embedder.as_ref().ok_or_else(|| {
            Error::InvalidArgument(
                "a semantic store is searched with its model: set Options::embedder".to_owned(),
            )
        })?;
        let embedder = provider()?;
        // Otherwise the loading would make it the model on record, where there are no vectors.
        let given = ModelRecord::of(embedder.as_ref());
        if !model.is_of(&given) {
            return Err(other_model(&model, &given));
        }
        let embedder = || Some(Arc::clone(&embedder));
        namespace
            .load_semantic(
                &self.db,
                &self.path,
                &embedder,
                &self.options,
                &self.key_locks,
            )
            .map(Some)
    }
}
