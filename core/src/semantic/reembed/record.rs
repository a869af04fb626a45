//! The record `reembedding` of `system`, as JSON: which model the texts of the store are being embedded anew by.

use crate::db::Db;
use crate::error::Result;
use crate::schema::SYSTEM;
use crate::semantic::ModelRecord;
use crate::semantic::model::damaged;
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

/// What is on record while, in some namespaces, the family of vectors that is not in use may hold some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reembedding {
    /// The model whose vectors they are; `None`: it has taken its place, and they are those of the former one.
    model: Option<ModelRecord>,
}

impl Reembedding {
    /// Name of the record.
    pub(crate) const NAME: &[u8] = b"reembedding";

    /// Texts are being embedded by `model`.
    pub(super) fn by(model: &ModelRecord) -> Self {
        Self {
            model: Some(model.clone()),
        }
    }

    /// The new vectors are in use.
    pub(super) fn done() -> Self {
        Self { model: None }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.model.is_none()
    }

    /// The model by which texts are being embedded.
    pub(crate) fn model(&self) -> Option<&ModelRecord> {
        self.model.as_ref()
    }

    pub(crate) fn read(encoded: Option<impl AsRef<[u8]>>) -> Result<Option<Self>> {
        encoded
            .map(|encoded| serde_json::from_slice(encoded.as_ref()).map_err(damaged))
            .transpose()
    }

    pub(super) fn put(&self, db: &Db, batch: &mut WriteBatch) -> Result<()> {
        let record = serde_json::to_vec(self).map_err(damaged)?;
        batch.put_cf(db.family(SYSTEM)?, Self::NAME, record);
        Ok(())
    }

    pub(super) fn delete(db: &Db, batch: &mut WriteBatch) -> Result<()> {
        batch.delete_cf(db.family(SYSTEM)?, Self::NAME);
        Ok(())
    }
}

/// What is on record of texts being embedded anew.
pub(crate) fn recorded_reembedding(db: &Db) -> Result<Option<Reembedding>> {
    Reembedding::read(db.get(SYSTEM, Reembedding::NAME)?)
}
