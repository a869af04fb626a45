//! Whether the server is ready: warmed up, and not on its way out.

use parking_lot::Mutex;
use prestige_core::{DedupMode, Store};
use std::sync::atomic::{AtomicBool, Ordering};

/// One thing that must be so before a server is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// One word, such as `store`.
    pub name: &'static str,
    /// What it is at; `Err`: not ready because of it.
    pub state: Result<&'static str, &'static str>,
}

/// From starting to ready to draining.
pub(crate) struct Lifecycle {
    draining: AtomicBool,
    /// What has to warm up, and how far it has come.
    warming: Mutex<Vec<Check>>,
}

impl Lifecycle {
    pub(crate) fn new(store: &Store) -> Self {
        let lifecycle = Self {
            draining: AtomicBool::new(false),
            warming: Mutex::new(Vec::new()),
        };
        if store.dedup_mode() == DedupMode::Semantic && !store.is_read_only() {
            // A semantic store does not open before its model has run once and its index is loaded.
            lifecycle.set("model", Ok("ok"));
        }
        lifecycle
    }

    /// States how far something has come that has to warm up, such as a model that loads in the background:
    /// `Err("warming up")` until it is `Ok("ok")`.
    pub(crate) fn set(&self, name: &'static str, state: Result<&'static str, &'static str>) {
        let mut warming = self.warming.lock();
        match warming.iter_mut().find(|check| check.name == name) {
            Some(check) => check.state = state,
            None => warming.push(Check { name, state }),
        }
    }

    /// Ends readiness for good.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Everything that must be so.
    pub(crate) fn checks(&self, store: &Store) -> Vec<Check> {
        let open = match store.check_readable() {
            Ok(()) => Ok("ok"),
            Err(_) => Err("closed"),
        };
        let accepting = if self.is_draining() {
            Err("draining")
        } else {
            Ok("ok")
        };
        let mut checks = vec![Check {
            name: "store",
            state: open,
        }];
        checks.extend(self.warming.lock().iter().cloned());
        checks.push(Check {
            name: "server",
            state: accepting,
        });
        checks
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use prestige_core::Options;
    use prestige_core::embed::{Embedder, HashEmbedder};
    use std::sync::Arc;

    #[test]
    fn a_semantic_store_has_a_model_that_is_warm() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            dedup_mode: Some(DedupMode::Semantic),
            embedder: Some(Arc::new(|| {
                Ok(Arc::new(HashEmbedder::new(8)) as Arc<dyn Embedder>)
            })),
            ..Options::default()
        };
        let store = Store::open(directory.path(), options).unwrap();
        let checks = Lifecycle::new(&store).checks(&store);
        let names: Vec<_> = checks.iter().map(|check| check.name).collect();
        assert_eq!(names, ["store", "model", "server"]);
        assert!(checks.iter().all(|check| check.state == Ok("ok")));
    }

    #[test]
    fn it_is_ready_between_warming_up_and_draining() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), Options::default()).unwrap();
        let lifecycle = Lifecycle::new(&store);
        let failing = |lifecycle: &Lifecycle| -> Vec<&'static str> {
            let checks = lifecycle.checks(&store);
            checks
                .iter()
                .filter_map(|check| check.state.err())
                .collect()
        };
        assert!(failing(&lifecycle).is_empty());
        lifecycle.set("model", Err("warming up"));
        assert_eq!(failing(&lifecycle), ["warming up"]);
        lifecycle.set("model", Ok("ok"));
        assert!(failing(&lifecycle).is_empty());
        lifecycle.drain();
        assert_eq!(failing(&lifecycle), ["draining"]);
        store.close().unwrap();
        assert_eq!(failing(&lifecycle), ["closed", "draining"]);
    }
}
