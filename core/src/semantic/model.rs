//! Which model the vectors of a namespace come from: one for all of them (invariant 7).

use crate::db::Db;
use crate::error::{Error, Result};
use crate::schema::{NamespaceId, SYSTEM, VECTORS, namespace_end, numbered_key, system_key};
use prestige_embed::{Embedder, Fingerprint};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The record `model/<namespace>` of `system`, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    pub fingerprint: Fingerprint,
    pub dimension: usize,
}

/// Checks that `embedder` is the model of the namespace, or makes it so while there are no vectors.
pub(super) fn bind(db: &Db, namespace: NamespaceId, embedder: &dyn Embedder) -> Result<()> {
    let given = ModelRecord {
        fingerprint: embedder.fingerprint().clone(),
        dimension: embedder.dimension(),
    };
    match recorded_model(db, namespace)? {
        Some(stored) if stored == given => Ok(()),
        Some(stored) if has_vectors(db, namespace)? => Err(Error::Model(format!(
            "the vectors of this store were made by the model {} and the one given is {}. Vectors of different models \
             cannot be compared: open the store with its own model, or copy its keys and values into a new store that \
             is opened with the other one, which embeds them anew",
            stored.describe(),
            given.describe()
        ))),
        _ => {
            let mut batch = WriteBatch::default();
            put_model(db, &mut batch, namespace, &given)?;
            db.write_synced(batch)
        }
    }
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

/// Length of the vectors of the model that is recorded for the namespace.
pub(crate) fn recorded_dimension(db: &Db, namespace: NamespaceId) -> Result<Option<usize>> {
    Ok(recorded_model(db, namespace)?.map(|record| record.dimension))
}

/// The model that is recorded for the namespace.
pub(crate) fn recorded_model(db: &Db, namespace: NamespaceId) -> Result<Option<ModelRecord>> {
    let encoded = db.get(SYSTEM, &system_key("model", namespace))?;
    encoded
        .map(|encoded| serde_json::from_slice(&encoded).map_err(damaged))
        .transpose()
}

fn has_vectors(db: &Db, namespace: NamespaceId) -> Result<bool> {
    let mut found = false;
    db.scan(
        VECTORS,
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

fn damaged(error: serde_json::Error) -> Error {
    Error::Corruption(format!(
        "the model record of the store does not read: {error}; restore the store from a backup"
    ))
}
