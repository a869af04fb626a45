//! Which model the vectors of a namespace come from, and where they are: one for all of them (invariant 7).

use crate::db::Db;
use crate::error::{Error, Result};
use crate::schema::{NamespaceId, SYSTEM, namespace_end, numbered_key, system_key};
use crate::semantic::Slot;
use prestige_embed::{Embedder, Fingerprint};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The record `model/<namespace>` of `system`, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    pub fingerprint: Fingerprint,
    pub dimension: usize,
    /// Where its vectors are.
    #[serde(default, skip_serializing_if = "Slot::is_first")]
    pub slot: Slot,
}

/// Makes `embedder` the model of the namespace while there are no vectors, and returns the model it has: that of its
/// vectors, if there are any.
pub(super) fn bind(
    db: &Db,
    namespace: NamespaceId,
    embedder: &dyn Embedder,
) -> Result<ModelRecord> {
    let mut given = ModelRecord::of(embedder);
    match recorded_model(db, namespace)? {
        Some(stored) if stored.is_of(&given) || has_vectors(db, namespace, stored.slot)? => {
            return Ok(stored);
        }
        // What else may be in the other slot stays where it is.
        Some(stored) => given.slot = stored.slot,
        None => {}
    }
    let mut batch = WriteBatch::default();
    put_model(db, &mut batch, namespace, &given)?;
    db.write_synced(batch)?;
    Ok(given)
}

/// What is said of a model that is not the one of the vectors.
pub(super) fn other_model(stored: &ModelRecord, given: &ModelRecord) -> Error {
    Error::Model(format!(
        "the vectors of this store were made by the model {} and the one given is {}. Vectors of different models cannot \
         be compared: open the store with its own model, and then, to embed its texts anew with the other one, call \
         store.reembed(model); or open it with the other model and reembed=True, for which its own is not needed",
        stored.describe(),
        given.describe()
    ))
}

/// Adds the record of the model of a namespace to `batch`.
pub(crate) fn put_model(
    db: &Db,
    batch: &mut WriteBatch,
    namespace: NamespaceId,
    model: &ModelRecord,
) -> Result<()> {
    let record = serde_json::to_vec(model).map_err(damaged)?;
    batch.put_cf(db.family(SYSTEM)?, system_key("model", namespace), record);
    Ok(())
}

/// The model that is recorded for the namespace.
pub(crate) fn recorded_model(db: &Db, namespace: NamespaceId) -> Result<Option<ModelRecord>> {
    ModelRecord::read(db.get(SYSTEM, &system_key("model", namespace))?)
}

fn has_vectors(db: &Db, namespace: NamespaceId, slot: Slot) -> Result<bool> {
    let mut found = false;
    db.scan(
        slot.family(),
        &numbered_key(namespace, 0),
        &namespace_end(namespace),
        None,
        |_, _| {
            found = true;
            Ok(ControlFlow::Break(()))
        },
    )?;
    Ok(found)
}

impl ModelRecord {
    /// The record of a model whose vectors are in the first slot.
    pub(crate) fn of(embedder: &dyn Embedder) -> Self {
        Self {
            fingerprint: embedder.fingerprint().clone(),
            dimension: embedder.dimension(),
            slot: Slot::default(),
        }
    }

    pub(crate) fn read(encoded: Option<impl AsRef<[u8]>>) -> Result<Option<Self>> {
        encoded
            .map(|encoded| serde_json::from_slice(encoded.as_ref()).map_err(damaged))
            .transpose()
    }

    /// Whether both are of one model, wherever its vectors are.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.dimension == other.dimension
    }

    /// The model as messages name it.
    pub(crate) fn describe(&self) -> String {
        let Fingerprint { model, sha256 } = &self.fingerprint;
        let digest = sha256.get(..12).unwrap_or(sha256);
        format!(
            "{model} (fingerprint {digest}…, dimension {})",
            self.dimension
        )
    }
}

pub(super) fn damaged(error: serde_json::Error) -> Error {
    Error::Corruption(format!(
        "the model record of the store does not read: {error}; restore the store from a backup"
    ))
}
