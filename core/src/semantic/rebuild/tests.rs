#![allow(clippy::unwrap_used)]

use crate::{DedupMode, Error, Options, Store};
use prestige_embed::{Embedder, HashEmbedder};
use std::sync::Arc;

fn options() -> Options {
    Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(Arc::new(HashEmbedder::new(32)) as Arc<dyn Embedder>)
        })),
        ..Options::default()
    }
}

fn put(store: &Store, i: usize) {
    let text = format!("w{i}a w{i}b w{i}c");
    store.put(text.as_bytes(), text.as_bytes(), None).unwrap();
}

#[test]
fn a_rebuilt_index_holds_the_vectors_whatever_the_old_one_held() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options()).unwrap();
    (0..700).for_each(|i| put(&store, i));
    store.flush().unwrap();
    {
        let engine = store.engine().unwrap();
        let stage = engine.namespaces.default.loaded_semantic().unwrap();
        let (mut ghost, ids) = (vec![0.0; 32], stage.index.ids());
        ghost.fill(0.5);
        stage.index.add(1 << 40, &ghost).unwrap();
        stage.index.remove(*ids.first().unwrap()).unwrap();
        // As after a failure of the index, which a rebuild mends.
        stage.retire();
    }
    assert!(!store.verify().unwrap().is_empty());
    assert!(!store.health().unwrap().index_ok);
    let mut told = Vec::new();
    let linked = store.rebuild_index(&mut |done, total| {
        told.push((done, total));
        // Writers are followed.
        put(&store, 1000 + told.len());
        store
            .delete(format!("w{0}a w{0}b w{0}c", told.len()).as_bytes())
            .unwrap();
        let busy = store.rebuild_index(&mut |_, _| Ok(()));
        assert!(matches!(busy, Err(Error::Busy(_))));
        Ok(())
    });
    assert_eq!(linked.unwrap(), 700);
    assert!(told.len() >= 3 && told.last().is_some_and(|(done, total)| done == total));
    assert_eq!(store.verify().unwrap(), []);
    let health = store.health().unwrap();
    assert!(health.index_ok);
    assert_eq!((health.index_vectors, health.index_log_entries), (700, 0));
    put(&store, 2000);
    drop(store);
    let store = Store::open(directory.path(), options()).unwrap();
    assert_eq!(store.verify().unwrap(), []);
}

#[test]
fn a_rebuild_that_is_ended_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), options()).unwrap();
    let view = store.namespace("view").unwrap();
    (0..300).for_each(|i| put(&view, i));
    let ended = view.rebuild_index(&mut |_, _| Err(Error::InvalidArgument("enough".to_owned())));
    assert_eq!(ended.unwrap_err().to_string(), "enough");
    put(&view, 300);
    assert_eq!(store.verify().unwrap(), []);
    let dropped = view.rebuild_index(&mut |done, _| match done {
        256 => store.drop_namespace("view"),
        _ => Ok(()),
    });
    assert!(
        matches!(dropped, Err(Error::InvalidArgument(_))),
        "{dropped:?}"
    );
    let view = store.namespace("view").unwrap();
    assert_eq!(view.rebuild_index(&mut |_, _| Ok(())).unwrap(), 0);
    assert_eq!(store.verify().unwrap(), []);
    let closed = store.rebuild_index(&mut |_, _| Ok(()));
    assert_eq!(closed.unwrap(), 0);
}
