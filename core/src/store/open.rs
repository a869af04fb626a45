//! Opening a store.

use crate::cache::ReadCache;
use crate::caches::Flights;
use crate::db::Db;
use crate::engine::{Engine, KeyLocks};
use crate::error::{Error, Result};
use crate::format;
use crate::lifetime::access::AccessBuffer;
use crate::lifetime::evict::EvictionSignal;
use crate::lock_order::Rank;
use crate::locks::Stripes;
use crate::namespace::Namespaces;
use crate::object_ids::ObjectIds;
use crate::options::{DedupMode, Options};
use crate::owner::Owner;
use crate::semantic::recorded_reembedding;
use crate::snapshot::Snapshots;
use crate::stats::CacheRecorder;
use parking_lot::RwLock;
use prestige_embed::Embedder;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

impl Engine {
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self> {
        options.validate()?;
        if options.read_only {
            return Self::open_read_only(path, options);
        }
        std::fs::create_dir_all(path).map_err(|error| {
            if path.exists() && !path.is_dir() {
                return Error::Io(format!(
                    "{} is a file, and a store is a directory: give another path",
                    path.display()
                ));
            }
            Error::io("create the store directory", path, &error)
        })?;
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
        let embedder = embedder_for(mode, early, &options)?;
        let engine = Self::assemble(path, options, db, mode, embedder, Some(owner))?;
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
        embedder: Option<Arc<dyn Embedder>>,
        owner: Option<Owner>,
    ) -> Result<Self> {
        let timeout = Duration::from_millis(options.lock_timeout_ms);
        let key_locks: KeyLocks = Stripes::new(timeout, Rank::Key);
        let namespaces = Namespaces::load(&db, &key_locks)?;
        if owner.is_some() {
            let existing: Vec<_> = namespaces.all().iter().map(|one| one.id).collect();
            crate::semantic::remove_stray_index_files(path, &existing);
        }
        if let Some(embedder) = &embedder {
            // At once, so that a model that is not the store's is refused here and not at the first put.
            let embedder = || Some(Arc::clone(embedder));
            namespaces
                .default
                .load_semantic(&db, path, &embedder, &options, &key_locks)?;
        }
        let leftovers =
            owner.is_some() && recorded_reembedding(&db)?.is_some_and(|it| it.is_done());
        Ok(Self {
            path: path.to_path_buf(),
            mode,
            key_locks,
            digest_locks: Stripes::new(timeout, Rank::Digest),
            object_ids: ObjectIds::load(&db)?,
            accesses: AccessBuffer::default(),
            cache: ReadCache::new(options.value_cache_bytes),
            eviction: EvictionSignal::default(),
            namespaces,
            embedder: RwLock::new(embedder),
            reembedding: Arc::default(),
            leftovers: AtomicBool::new(leftovers),
            index_files: RwLock::new(()),
            options,
            snapshots: Snapshots::default(),
            cache_stats: CacheRecorder::default(),
            flights: Flights::default(),
            db: Arc::new(db),
            owner,
        })
    }
}

/// The embedder that a store of this mode works with.
fn embedder_for(
    mode: DedupMode,
    early: Option<Arc<dyn Embedder>>,
    options: &Options,
) -> Result<Option<Arc<dyn Embedder>>> {
    match (mode, early, &options.embedder) {
        (DedupMode::Exact, ..) => Ok(None),
        (DedupMode::Semantic, Some(embedder), _) => Ok(Some(embedder)),
        (DedupMode::Semantic, None, Some(make)) => make().map(Some),
        (DedupMode::Semantic, None, None) => Err(Error::InvalidArgument(
            "a semantic store needs a model: set Options::embedder".to_owned(),
        )),
    }
}
