//! Checkpoints: the index file on disk, and the log cut back to what came after it.
//!
//! The file is written and synced under its final name first; then one synced write records it and deletes the log
//! entries **up to the recorded sequence and no further**. A crash between the two leaves a file nobody names, which
//! the next checkpoint removes.

use super::{ModelRecord, Semantic};
use crate::db::Db;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::options::SemanticOptions;
use crate::schema::{INDEX_LOG, NamespaceId, SYSTEM, numbered_key, system_key};
use crate::stats::Timed;
use prestige_index::{CheckpointFile, IndexParameters};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Folder of the index files inside the store's directory.
pub(crate) const FOLDER: &str = "index";
/// How the names of index files end.
const EXTENSION: &str = ".index";
/// Least number of log entries that a background checkpoint is written for.
const MINIMUM_INTERVAL: u64 = 4096;

/// The record `checkpoint/<namespace>` of `system`, as JSON: where the index file is, how to recognise it, and what
/// it was built with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CheckpointRecord {
    /// Sequence of the last log entry that the file includes.
    pub sequence: u64,
    file_name: String,
    length: u64,
    crc32c: u32,
    count: u64,
    dimension: usize,
    precision: String,
    connectivity: usize,
    expansion_add: usize,
    /// Fingerprint of the model of the vectors. A record that was written late, by a stage whose place another model has
    /// taken, is none; the first stores had no such field, and no other model.
    #[serde(default)]
    model: Option<String>,
}

impl CheckpointRecord {
    fn new(file: CheckpointFile, sequence: u64, model: &ModelRecord) -> Self {
        Self {
            sequence,
            model: Some(model.fingerprint.sha256.clone()),
            file_name: file.file_name,
            length: file.length,
            crc32c: file.crc32c,
            count: file.count,
            dimension: file.parameters.dimension,
            precision: file.parameters.precision.to_string(),
            connectivity: file.parameters.connectivity,
            expansion_add: file.parameters.expansion_add,
        }
    }

    /// Whether it is of the vectors of `model`.
    pub(super) fn is_of(&self, model: &ModelRecord) -> bool {
        let own = self.model.as_ref();
        own.is_none_or(|own| *own == model.fingerprint.sha256)
    }

    /// The file as the index knows it; what is not built into it is taken from `parameters`.
    pub(super) fn file(&self, parameters: &IndexParameters) -> Result<CheckpointFile> {
        Ok(CheckpointFile {
            file_name: self.file_name.clone(),
            length: self.length,
            crc32c: self.crc32c,
            count: self.count,
            parameters: IndexParameters {
                dimension: self.dimension,
                precision: self.precision.parse()?,
                connectivity: self.connectivity,
                expansion_add: self.expansion_add,
                ..*parameters
            },
        })
    }
}

/// Folder of the index files of the store at `path`.
pub(super) fn folder(path: &Path) -> PathBuf {
    path.join(FOLDER)
}

/// The checkpoint that is recorded for the namespace.
pub(super) fn recorded(db: &Db, namespace: NamespaceId) -> Result<Option<CheckpointRecord>> {
    let encoded = db.get(SYSTEM, &system_key("checkpoint", namespace))?;
    // A record that does not read is no checkpoint: the index is rebuilt from the vectors.
    Ok(encoded.and_then(|encoded| serde_json::from_slice(&encoded).ok()))
}

impl Semantic {
    /// Whether enough has changed since the last checkpoint for another one in the background: amortised over the
    /// changes, a checkpoint costs O(1) each.
    pub(crate) fn checkpoint_is_due(&self, options: &SemanticOptions) -> bool {
        let (pending, vectors) = self.log_and_index_len();
        let interval = match options.index_save_interval {
            0 => (vectors / 4).max(MINIMUM_INTERVAL),
            interval => interval,
        };
        pending >= interval
    }

    /// Whether `flush` and `close` write a checkpoint. A cache may have thousands of small scopes: of those a file would take
    /// longer to write than it takes to read the vectors. Their logs stay short by the checkpoints in the background.
    pub(crate) fn needs_checkpoint(&self, namespace: &Namespace) -> bool {
        namespace.cache.is_none() || self.index.is_graph()
    }

    /// Writes a checkpoint of everything committed so far, if anything was committed since the last one.
    pub(crate) fn checkpoint(&self, engine: &Engine, namespace: &Namespace) -> Result<()> {
        let _no_backup = engine.keep_index_files();
        let _one_at_a_time = self.hold_checkpoints();
        let start = Instant::now();
        let (frozen, sequence) = {
            // Waits as long as it takes: nobody waits for us meanwhile.
            let log = self.log();
            if log.pending() == 0 || self.is_stale() {
                return Ok(());
            }
            (self.index.freeze()?, log.next_sequence - 1)
        };
        let folder = folder(&engine.path);
        std::fs::create_dir_all(&folder).map_err(|error| Error::io("create", &folder, &error))?;
        let name = format!("{}{sequence:016x}{EXTENSION}", prefix(namespace.id));
        let file = frozen.save(&folder, &name)?;
        drop(frozen);
        if self.is_stale() {
            // Its place was taken meanwhile, and the next checkpoint removes the file.
            return Ok(());
        }
        record(
            &engine.db,
            namespace.id,
            &CheckpointRecord::new(file, sequence, &self.model),
        )?;
        self.log().checkpointed = sequence;
        self.checkpointed_us
            .store(engine.now_us(), Ordering::Relaxed);
        let stats = &namespace.stats;
        stats.add_time(Timed::Checkpoint, start.elapsed(), 1);
        remove_others(&folder, namespace.id, &name);
        Ok(())
    }
}

fn record(db: &Db, namespace: NamespaceId, record: &CheckpointRecord) -> Result<()> {
    let encoded = serde_json::to_vec(record).map_err(|error| {
        Error::InvalidArgument(format!("the checkpoint record cannot be written: {error}"))
    })?;
    let mut batch = WriteBatch::default();
    batch.put_cf(
        db.family(SYSTEM)?,
        system_key("checkpoint", namespace),
        encoded,
    );
    let (first, after) = (
        numbered_key(namespace, 0),
        numbered_key(namespace, record.sequence + 1),
    );
    batch.delete_range_cf(db.family(INDEX_LOG)?, first, after);
    // Synced: it makes every earlier write durable too, so the file never holds what a power cut takes away.
    db.write_synced(batch)
}

/// Removes the index files of a namespace that was dropped.
pub(crate) fn remove_index_files(path: &Path, namespace: NamespaceId) {
    remove_files(&folder(path), |name| name.starts_with(&prefix(namespace)));
}

/// Removes the index files of every namespace but `existing`: a crash in a drop leaves some behind.
pub(crate) fn remove_stray_index_files(path: &Path, existing: &[NamespaceId]) {
    let existing: Vec<_> = existing.iter().map(|one| prefix(*one)).collect();
    remove_files(&folder(path), |name| {
        name.ends_with(EXTENSION) && !existing.iter().any(|prefix| name.starts_with(prefix))
    });
}

/// Removes index files of the namespace other than the recorded one. What cannot be removed now is next time.
fn remove_others(folder: &Path, namespace: NamespaceId, keep: &str) {
    let prefix = prefix(namespace);
    remove_files(folder, |name| name.starts_with(&prefix) && name != keep);
}

/// How the names of the index files of a namespace begin.
fn prefix(namespace: NamespaceId) -> String {
    format!("{:08x}-", namespace.0)
}

fn remove_files(folder: &Path, unwanted: impl Fn(&str) -> bool) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(&unwanted)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "an old index file stays");
        }
    }
}
