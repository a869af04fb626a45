//! The handle that applications hold.

mod batch;
mod calls;
mod candidates;
mod condition;
mod details;
mod embed_ahead;
mod export;
mod get;
mod jsonl;
mod lifetime;
mod list;
mod open;
pub(crate) mod put;
mod read_only;
mod reembed;
pub(crate) mod remove;
mod safety;
mod scan;
mod stats;
#[cfg(test)]
mod tests;

pub use condition::Condition;
pub(crate) use details::About;
pub use details::Details;
pub use embed_ahead::{Embedded, EmbeddingAhead, TextSet};
pub use export::Record;
pub(crate) use get::missing_object;
pub use get::{Reader, Value};
pub use jsonl::jsonl_problem;
pub use put::{Dedup, Entry, MAX_KEY_BYTES, MAX_VALUE_BYTES, PutOutcome, check_key};
pub use scan::{Range, Scan};

use crate::engine::{Engine, Namespace};
use crate::entered;
use crate::error::{ClosedHandle, Error, Result};
use crate::fork;
use crate::options::{DedupMode, Options};
use crate::semantic::Progress;
use crate::worker::Workers;
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// An open store: a directory that keeps one copy of every distinct value. Or a view of one of its namespaces.
///
/// `Send + Sync`, used through `&self` by any number of threads. One process owns the directory at a time. Every
/// method returns [`Error::Closed`] after [`Store::close`], and [`Error::Forked`] in a forked child; those that change
/// something return [`Error::ReadOnly`] if the store was opened with [`Options::read_only`].
///
/// Dropping the store and every view of it closes it.
pub struct Store {
    shared: Arc<Shared>,
    view: Option<View>,
}

/// One namespace of a store.
struct View {
    name: String,
    namespace: Weak<Namespace>,
    /// The view was closed; the store may be open.
    closed: AtomicBool,
}

/// What all handles of an open store share.
struct Shared {
    path: PathBuf,
    mode: DedupMode,
    read_only: bool,
    /// Operations share the lock, closing takes it alone: so closing waits for what runs, and what comes later finds
    /// nothing. Taken before every other lock.
    open: RwLock<Option<ManuallyDrop<Open>>>,
    /// Set when closing begins: whoever comes later is refused at once, so that a steady stream of operations cannot
    /// keep the closer waiting.
    closing: AtomicBool,
    process: u32,
    generation: u32,
    /// Address of the first engine. The only one of a store that calls functions of the caller's: what `refresh` replaces
    /// is read-only.
    engine: usize,
}

/// What exists between open and close. Dropped in this order: the background threads end before their engine.
struct Open {
    /// None of a store that was opened read-only.
    _workers: Option<Workers>,
    engine: Arc<Engine>,
}

/// The engine, kept open as long as this lives.
type EngineGuard<'a> = MappedRwLockReadGuard<'a, Engine>;

impl Store {
    /// Opens the store in the directory `path`, or creates it.
    ///
    /// With [`Options::read_only`] nothing is created or changed: [`Error::Io`] if there is no store. It may have an
    /// owner. Of a semantic store keys and values are read, and no model is needed; the first call of
    /// [`Self::candidates`] or [`Self::explain`] loads it, and the index.
    ///
    /// # Errors
    /// [`Error::Busy`] if the store is open already, [`Error::Io`] if the directory cannot be read and written,
    /// [`Error::Corruption`] if its files are damaged, [`Error::InvalidArgument`] for options out of range or that
    /// contradict the store, [`Error::Model`] if a semantic store's model is missing or another one; with
    /// [`Options::reembed`] what [`Store::reembed`] returns.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::open_with_progress(path, options, &mut |_, _| Ok(()))
    }

    /// As [`Store::open`]. `progress` is told how far texts are embedded anew, where [`Options::reembed`] calls for it; an
    /// error of its ends the call, and another one goes on where this one was.
    ///
    /// # Errors
    /// As [`Store::open`], and what `progress` returns.
    pub fn open_with_progress(
        path: impl AsRef<Path>,
        options: Options,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let store = Self::open_as_is(path, options)?;
        let embedder = {
            let engine = store.engine()?;
            engine.embedder().filter(|_| engine.options.reembed)
        };
        if let Some(embedder) = embedder {
            store.reembed(embedder, progress)?;
        }
        Ok(store)
    }

    fn open_as_is(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        fork::watch();
        let path = path.as_ref().to_path_buf();
        if fork::generation() != 0 {
            return Err(Error::ForkedBeforeOpen(path));
        }
        // Absolute, so that the store stays where it is when the process changes its directory.
        let directory = std::path::absolute(&path)
            .map_err(|error| Error::io("find the store directory", &path, &error))?;
        let engine = Arc::new(Engine::open(&directory, options)?);
        fork::watch_exit();
        let (mode, read_only) = (engine.mode, engine.options.read_only);
        let address = Arc::as_ptr(&engine).addr();
        let open = Open {
            _workers: if read_only {
                None
            } else {
                Some(Workers::start(Arc::clone(&engine))?)
            },
            engine,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                mode,
                read_only,
                open: RwLock::new(Some(ManuallyDrop::new(open))),
                closing: AtomicBool::new(false),
                process: std::process::id(),
                generation: fork::generation(),
                engine: address,
            }),
            view: None,
        })
    }

    /// A view of the namespace `name`: the whole interface of a store, on keys, values, figures and a model of its own.
    /// The namespace is made if it does not exist. The empty name is that of the store's own namespace.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name of more than [`crate::MAX_NAMESPACE_BYTES`] bytes; [`Error::Io`] if a new
    /// namespace cannot be written.
    pub fn namespace(&self, name: &str) -> Result<Self> {
        let engine = self.engine()?;
        Ok(self.view_of(&engine.namespace(name)?))
    }

    /// A view of the namespace `name`, as [`Store::namespace`]; `None` if it does not exist.
    ///
    /// # Errors
    /// Only [`Error::Closed`] and [`Error::Forked`].
    pub fn find_namespace(&self, name: &str) -> Result<Option<Self>> {
        let engine = self.engine()?;
        let found = engine.find_namespace(name);
        Ok(found.map(|namespace| self.view_of(&namespace)))
    }

    fn view_of(&self, namespace: &Arc<Namespace>) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            view: Some(View {
                name: namespace.name.clone(),
                namespace: Arc::downgrade(namespace),
                closed: AtomicBool::new(false),
            }),
        }
    }

    /// A handle of the same store or view.
    fn another_handle(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            view: self.view.as_ref().map(|view| View {
                name: view.name.clone(),
                namespace: Weak::clone(&view.namespace),
                closed: AtomicBool::new(view.closed.load(Ordering::Acquire)),
            }),
        }
    }

    /// A handle of the store itself for a cache, which has namespaces of its own.
    pub(crate) fn for_cache(&self) -> Result<Self> {
        self.check_usable()?;
        if let Some(view) = &self.view {
            return Err(Error::InvalidArgument(format!(
                "a cache takes the store itself, not a view of its namespace {:?}: it has namespaces of its own",
                view.name
            )));
        }
        Ok(Self {
            shared: Arc::clone(&self.shared),
            view: None,
        })
    }

    /// Names of all namespaces but the store's own, sorted.
    ///
    /// # Errors
    /// Only [`Error::Closed`] and [`Error::Forked`].
    pub fn namespaces(&self) -> Result<Vec<String>> {
        Ok(self.engine()?.namespace_names())
    }

    /// Removes a namespace and all it holds, in one write whose cost does not depend on how much that is. Views of it
    /// return [`Error::InvalidArgument`] from then on.
    ///
    /// # Errors
    /// [`Error::ReadOnly`]; [`Error::NotFound`] if there is none of that name; [`Error::InvalidArgument`] for the empty name;
    /// [`Error::TimedOut`] if another thread's write took longer than `lock_timeout_ms`.
    pub fn drop_namespace(&self, name: &str) -> Result<()> {
        self.writer()?.drop_namespace(name)
    }

    pub(crate) fn is_view(&self) -> bool {
        self.view.is_some()
    }

    /// Name of the namespace this handle works on; empty for the store's own.
    #[must_use]
    pub fn namespace_name(&self) -> &str {
        self.view.as_ref().map_or("", |view| view.name.as_str())
    }

    /// Waits for running operations, writes what is pending and releases the directory. A second call does nothing.
    /// Of a view: ends the view; the store stays open.
    ///
    /// # Errors
    /// [`Error::Io`] if the last writes failed; the store is closed all the same. [`Error::Busy`] if an embedder or a
    /// verifier of the caller's calls this while a put of the same thread waits for it; the store stays open.
    pub fn close(&self) -> Result<()> {
        match &self.view {
            Some(view) => {
                view.closed.store(true, Ordering::Release);
                Ok(())
            }
            None => {
                self.check_closable()?;
                self.shared.close()
            }
        }
    }

    /// Whether [`Self::close`] can be called here: not by an embedder or a verifier of the caller's that a put of this
    /// thread waits for.
    ///
    /// # Errors
    /// [`Error::Busy`] if not.
    pub fn check_closable(&self) -> Result<()> {
        // Without a look at the engine: another thread may be waiting to close it, for this very put.
        if entered::is_inside(self.shared.engine) {
            return Err(Error::Busy(format!(
                "the store at {} cannot be closed by its embedder or verifier, since a put waits for that and closing \
                 for the put; close it when the put has returned",
                self.shared.path.display()
            )));
        }
        Ok(())
    }

    /// Whether this handle was closed, or the store.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let view = self.view.as_ref();
        self.shared.closing.load(Ordering::Acquire)
            || view.is_some_and(|view| view.closed.load(Ordering::Acquire))
    }

    /// Whether the store was opened read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.shared.read_only
    }

    /// The directory of the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The model of a semantic store; `None` in exact mode, and of a store that was opened read-only.
    ///
    /// # Errors
    /// Only [`Error::Closed`] and [`Error::Forked`].
    pub fn embedder(&self) -> Result<Option<Arc<dyn prestige_embed::Embedder>>> {
        Ok(self.engine()?.embedder())
    }

    /// The mode the store was created with.
    #[must_use]
    pub fn dedup_mode(&self) -> DedupMode {
        self.shared.mode
    }

    pub(crate) fn engine(&self) -> Result<EngineGuard<'_>> {
        self.check_usable()?;
        let shared = &self.shared;
        // Who holds the lock alone closes the store, and says so first, or has a new engine at hand to put in place.
        let open = match shared.open.try_read_recursive() {
            Some(open) => open,
            None => {
                self.check_usable()?;
                shared.open.read_recursive()
            }
        };
        RwLockReadGuard::try_map(open, |open| open.as_ref().map(|open| open.engine.as_ref()))
            .map_err(|_| Error::closed(&shared.path))
    }

    fn check_usable(&self) -> Result<()> {
        let shared = &self.shared;
        if shared.is_forked() {
            return Err(Error::Forked {
                path: shared.path.clone(),
                opened_by: shared.process,
                child: std::process::id(),
            });
        }
        if shared.closing.load(Ordering::Acquire) {
            return Err(Error::closed(&shared.path));
        }
        match &self.view {
            Some(view) if view.closed.load(Ordering::Acquire) => {
                Err(Error::Closed(ClosedHandle::View(view.name.clone())))
            }
            _ => Ok(()),
        }
    }

    /// The namespace of this handle.
    pub(crate) fn namespace_of(&self, engine: &Engine) -> Result<Arc<Namespace>> {
        match &self.view {
            None => Ok(Arc::clone(&engine.namespaces.default)),
            Some(view) => {
                let namespace = match view.namespace.upgrade() {
                    // It went with the engine that `refresh` has replaced.
                    None if self.shared.read_only => Some(engine.namespace(&view.name)?),
                    namespace => namespace,
                };
                let namespace = namespace.ok_or_else(|| Namespace::dropped(&view.name))?;
                namespace.check_exists()?;
                Ok(namespace)
            }
        }
    }
}

impl Shared {
    fn close(&self) -> Result<()> {
        if self.is_forked() {
            return Ok(());
        }
        self.closing.store(true, Ordering::Release);
        // Held to the end: a second call must not return before the directory is free.
        let mut slot = self.open.write();
        let Some(open) = slot.take() else {
            return Ok(());
        };
        let Open {
            _workers: workers,
            engine,
        } = ManuallyDrop::into_inner(open);
        drop(workers);
        if self.read_only {
            return Ok(());
        }
        let ended = engine
            .fold_accesses()
            .and(engine.checkpoint_indexes())
            .and(engine.sync());
        engine.db.stop_background_work();
        ended
    }

    fn is_forked(&self) -> bool {
        fork::generation() != self.generation
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // In a forked child this does nothing, and what was open stays: its threads and locks are the parent's.
        if let Err(error) = self.close() {
            tracing::error!(path = %self.path.display(), %error, "the store did not close cleanly");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Store")
            .field("path", &self.shared.path)
            .field("namespace", &self.namespace_name())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl Engine {
    /// Writes a checkpoint of every index that has changed.
    pub(crate) fn checkpoint_indexes(&self) -> Result<()> {
        for namespace in self.namespaces.all() {
            if let Some(semantic) = namespace.loaded_semantic()
                && semantic.needs_checkpoint(&namespace)
            {
                semantic.checkpoint(self, &namespace)?;
            }
        }
        Ok(())
    }
}
