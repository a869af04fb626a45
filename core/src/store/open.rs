//! Opening a store.

use crate::counters::{Counters, Totals, counters_prefix};
use crate::db::Db;
use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::format;
use crate::lifetime::access::AccessBuffer;
use crate::lifetime::evict::EvictionSignal;
use crate::locks::Stripes;
use crate::object_ids::ObjectIds;
use crate::options::{DedupMode, Options};
use crate::owner::Owner;
use crate::schema::{NamespaceId, SYSTEM};
use crate::semantic::Semantic;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

impl Engine {
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self> {
        options.validate()?;
        if options.read_only {
            return Self::open_read_only(path, options);
        }
        std::fs::create_dir_all(path)
            .map_err(|error| Error::io("create the store directory", path, &error))?;
        let owner = Owner::of(path)?;
        // First, so that a model that is missing does not leave a store behind that wants it.
        let early = match (options.dedup_mode, &options.embedder) {
            (Some(DedupMode::Semantic), Some(embedder)) => Some(embedder()?),
            _ => None,
        };
        let marked = owner.marked();
        format::check_directory(path, marked.is_some(), owner.creation_was_cut_short())?;
        let db = Db::open(path, &options).map_err(|error| format::opening(path, error))?;
        if marked.is_some_and(|sequence| db.sequence() < sequence) {
            return Err(format::lost_writes(path));
        }
        let mode = format::check(&db, path, options.dedup_mode)?;
        let id = NamespaceId::DEFAULT;
        let semantic = match (mode, &options.embedder) {
            (DedupMode::Exact, _) => None,
            (DedupMode::Semantic, Some(embedder)) => {
                let embedder = early.map_or_else(|| embedder(), Ok)?;
                Some(Semantic::open(&db, path, id, embedder, &options)?)
            }
            (DedupMode::Semantic, None) => {
                return Err(Error::InvalidArgument(
                    "a semantic store needs a model: set Options::embedder".to_owned(),
                ));
            }
        };
        let engine = Self::assemble(path, options, db, mode, semantic, Some(owner))?;
        if marked.is_none() {
            engine.sync()?;
        }
        Ok(engine)
    }

    /// The engine over an open database.
    pub(super) fn assemble(
        path: &Path,
        options: Options,
        db: Db,
        mode: DedupMode,
        semantic: Option<Semantic>,
        owner: Option<Owner>,
    ) -> Result<Self> {
        let timeout = Duration::from_millis(options.lock_timeout_ms);
        let id = NamespaceId::DEFAULT;
        let key_locks: Stripes<HashMap<NamespaceId, Counters>> = Stripes::new(timeout);
        let totals = load_counters(&db, id, &key_locks)?;
        Ok(Self {
            path: path.to_path_buf(),
            mode,
            key_locks,
            digest_locks: Stripes::new(timeout),
            object_ids: ObjectIds::load(&db)?,
            accesses: AccessBuffer::default(),
            eviction: EvictionSignal::default(),
            default_namespace: Namespace {
                id,
                totals,
                semantic,
                last_sweep_us: AtomicU64::new(0),
            },
            index_files: RwLock::new(()),
            options,
            db,
            owner,
        })
    }
}

/// Reads the counters of every stripe into its lock, and their sum.
fn load_counters(
    db: &Db,
    namespace: NamespaceId,
    stripes: &Stripes<HashMap<NamespaceId, Counters>>,
) -> Result<Totals> {
    let totals = Totals::default();
    let prefix = counters_prefix(namespace);
    let mut end = prefix.clone();
    end.push(0xff);
    let mut guards = stripes.lock_all()?;
    db.scan(SYSTEM, &prefix, &end, None, |key, encoded| {
        let counters = Counters::decode(encoded)?;
        let stripe = key.last().copied().map(usize::from);
        let Some((_, guard)) = stripe.and_then(|stripe| guards.get_mut(stripe)) else {
            return Err(Error::Corruption(format!(
                "a counter record names the lock stripe {stripe:?}"
            )));
        };
        guard.insert(namespace, counters);
        totals.add(&counters);
        Ok(ControlFlow::Continue(()))
    })?;
    drop(guards);
    Ok(totals)
}
