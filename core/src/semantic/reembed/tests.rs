#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::semantic::Job;
use crate::{
    CandidateOptions, DedupMode, Error, Options, Query, SemanticOptions, Store, VectorPrecision,
};
use prestige_embed::{EmbedError, Embedder, Embeddings, Fingerprint, HashEmbedder};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A model of any name and dimension, that reads texts of so many words and can be out of service.
#[derive(Debug)]
struct Model {
    inner: HashEmbedder,
    fingerprint: Fingerprint,
    most_words: usize,
    broken: AtomicBool,
    texts: AtomicU64,
}

fn model(name: &str, dimension: usize, most_words: usize) -> Arc<Model> {
    Arc::new(Model {
        inner: HashEmbedder::new(dimension),
        fingerprint: Fingerprint::from_parts(name, &[name.as_bytes()]),
        most_words,
        broken: AtomicBool::new(false),
        texts: AtomicU64::new(0),
    })
}

impl Embedder for Model {
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(EmbedError::Inference {
                model: self.fingerprint.model.clone(),
                reason: "out of service".to_owned(),
            });
        }
        self.texts.fetch_add(texts.len() as u64, Ordering::Relaxed);
        self.inner.embed(texts)
    }

    fn fits(&self, text: &str) -> bool {
        text.split(' ').count() <= self.most_words
    }
}

fn options(model: &Arc<Model>) -> Options {
    let model = Arc::clone(model);
    Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(
            move || Ok(Arc::clone(&model) as Arc<dyn Embedder>),
        )),
        semantic: SemanticOptions {
            threshold: 0.999,
            ..SemanticOptions::default()
        },
        ..Options::default()
    }
}

fn open(path: &Path, model: &Arc<Model>) -> Store {
    Store::open(path, options(model)).unwrap()
}

fn text(i: usize) -> String {
    format!("w{i}a w{i}b w{i}c w{i}d")
}

fn put(store: &Store, i: usize) {
    store
        .put(format!("key {i}").as_bytes(), text(i).as_bytes(), None)
        .unwrap();
}

fn sound(store: &Store) {
    assert_eq!(store.verify().unwrap(), []);
}

/// The most similar text and its similarity to text `i`, by the vectors alone.
fn nearest(store: &Store, model: &Model, i: usize) -> (String, f32) {
    let vector = model.inner.embed(&[&text(i)]).unwrap();
    let options = CandidateOptions {
        k: 1,
        include_values: true,
        ..CandidateOptions::default()
    };
    let found = store
        .candidates(Query::Vector(vector.row(0).unwrap()), &options)
        .unwrap();
    let value = found[0].value.clone().unwrap();
    (String::from_utf8(value).unwrap(), found[0].similarity)
}

fn reembed(store: &Store, model: &Arc<Model>) -> crate::Result<u64> {
    store.reembed(Arc::clone(model) as Arc<dyn Embedder>, &mut |_, _| Ok(()))
}

/// An error to end a call with.
fn enough() -> Error {
    Error::InvalidArgument("enough".to_owned())
}

#[test]
fn a_store_gets_another_model_in_all_its_namespaces() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (model("old", 32, 10), model("new", 48, 10));
    let store = open(directory.path(), &old);
    let view = store.namespace("view").unwrap();
    for i in 0..600 {
        put(&store, i);
        put(&view, i * 2);
    }
    store.put(b"binary", b"\xff", None).unwrap();
    store.namespace("empty").unwrap();
    let mut told = Vec::new();
    let embedded = store.reembed(Arc::clone(&new) as Arc<dyn Embedder>, &mut |done, total| {
        told.push((done, total));
        Ok(())
    });
    assert_eq!(embedded.unwrap(), 1200);
    assert!(told.is_sorted() && told.len() > 4);
    let (done, total) = *told.last().unwrap();
    assert_eq!(done, total);
    sound(&store);
    let check = |store: &Store| {
        for i in [0, 300, 598] {
            assert_eq!(nearest(store, &new, i).0, text(i));
            assert!(nearest(store, &new, i).1 > 0.999);
        }
    };
    check(&store);
    check(&view);
    put(&view, 7);
    store.delete(b"key 5").unwrap();
    sound(&store);
    assert_eq!(store.health().unwrap().index_vectors, 599);
    drop(view);
    drop(store);

    let refused = Store::open(directory.path(), options(&old)).unwrap_err();
    let message = refused.to_string();
    assert!(matches!(refused, Error::Model(_)));
    for part in [
        "old (fingerprint",
        "new (fingerprint",
        "store.reembed(model)",
        "reembed=True",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let store = open(directory.path(), &new);
    check(&store);
    check(&store.namespace("view").unwrap());
    sound(&store);
    // Of the model it has, there is nothing to do; and back again, by way of the other family.
    let texts = new.texts.load(Ordering::Relaxed);
    assert_eq!(reembed(&store, &new).unwrap(), 0);
    assert_eq!(new.texts.load(Ordering::Relaxed), texts);
    assert_eq!(reembed(&store, &old).unwrap(), 1200);
    assert_eq!(nearest(&store, &old, 300).0, text(300));
    sound(&store);
    drop(store);
    sound(&open(directory.path(), &old));
}

#[test]
fn what_a_model_reads_is_decided_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (short, long) = (model("short", 32, 4), model("long", 32, 100));
    let store = open(directory.path(), &short);
    put(&store, 1);
    store
        .put(b"long", b"one two three four five six", None)
        .unwrap();
    assert_eq!(store.health().unwrap().index_vectors, 1);
    reembed(&store, &long).unwrap();
    assert_eq!(store.health().unwrap().index_vectors, 2);
    sound(&store);
    store
        .put(b"again", b"six five four three two one", None)
        .unwrap();
    assert_eq!(store.count_unique_values().unwrap(), 2);
    reembed(&store, &short).unwrap();
    assert_eq!(store.health().unwrap().index_vectors, 1);
    sound(&store);
}

#[test]
fn a_call_that_was_ended_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new, third) = (
        model("old", 32, 10),
        model("new", 32, 10),
        model("third", 16, 10),
    );
    let store = open(directory.path(), &old);
    (0..1000).for_each(|i| put(&store, i));
    let cut_short = |store: &Store, model: &Arc<Model>| {
        let ended = store.reembed(Arc::clone(model) as Arc<dyn Embedder>, &mut |done, _| {
            if done >= 500 { Err(enough()) } else { Ok(()) }
        });
        assert_eq!(ended.unwrap_err().to_string(), "enough");
    };
    cut_short(&store, &new);
    assert_eq!(new.texts.load(Ordering::Relaxed), 512);
    // All is as before, and what is put or deleted now counts.
    sound(&store);
    assert_eq!(nearest(&store, &old, 700).0, text(700));
    put(&store, 1000);
    store.delete(b"key 3").unwrap();
    store.delete(b"key 900").unwrap();
    drop(store);
    let store = open(directory.path(), &old);
    sound(&store);
    assert_eq!(reembed(&store, &new).unwrap(), 1000 - 512);
    assert_eq!(new.texts.load(Ordering::Relaxed), 1000);
    assert_eq!(store.health().unwrap().index_vectors, 999);
    sound(&store);

    // Another model begins anew, and the store's own gives up.
    cut_short(&store, &old);
    sound(&store);
    cut_short(&store, &third);
    sound(&store);
    assert_eq!(reembed(&store, &new).unwrap(), 0);
    let engine = store.engine().unwrap();
    assert_eq!(super::recorded_reembedding(&engine.db).unwrap(), None);
    drop(engine);
    sound(&store);
    assert_eq!(reembed(&store, &third).unwrap(), 999);
    sound(&store);
}

#[test]
fn a_model_that_fails_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (model("old", 32, 10), model("new", 48, 10));
    let store = open(directory.path(), &old);
    (0..10).for_each(|i| put(&store, i));
    new.broken.store(true, Ordering::Relaxed);
    assert!(matches!(reembed(&store, &new), Err(Error::Model(_))));
    sound(&store);
    put(&store, 11);
    new.broken.store(false, Ordering::Relaxed);
    assert_eq!(reembed(&store, &new).unwrap(), 11);
    sound(&store);
}

#[test]
fn the_own_model_is_not_needed() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (model("old", 32, 10), model("new", 48, 10));
    let store = open(directory.path(), &old);
    let view = store.namespace("view").unwrap();
    for i in 0..300 {
        put(&store, i);
        put(&view, i);
    }
    drop(view);
    drop(store);
    let anew = || Options {
        reembed: true,
        ..options(&new)
    };
    let mut told = 0;
    let cut_short = Store::open_with_progress(directory.path(), anew(), &mut |_, _| {
        told += 1;
        if told == 2 { Err(enough()) } else { Ok(()) }
    });
    assert_eq!(cut_short.unwrap_err().to_string(), "enough");
    // The store is still that of the old one.
    sound(&open(directory.path(), &old));
    let store = Store::open(directory.path(), anew()).unwrap();
    assert_eq!(nearest(&store, &new, 299).0, text(299));
    assert_eq!(
        nearest(&store.namespace("view").unwrap(), &new, 299).0,
        text(299)
    );
    sound(&store);
    drop(store);
    let texts = new.texts.load(Ordering::Relaxed);
    let store = Store::open(directory.path(), anew()).unwrap();
    assert_eq!(new.texts.load(Ordering::Relaxed), texts);
    sound(&store);
    let both = Options {
        read_only: true,
        ..anew()
    };
    assert!(matches!(
        Store::open(directory.path(), both),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn puts_deletes_and_drops_in_the_middle_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (model("old", 32, 10), model("new", 32, 10));
    let store = open(directory.path(), &old);
    let (view, gone) = (
        store.namespace("view").unwrap(),
        store.namespace("gone").unwrap(),
    );
    for i in 0..600 {
        put(&store, i);
        put(&view, i);
        put(&gone, i);
    }
    let mut next = 1000;
    let ended = store.reembed(Arc::clone(&new) as Arc<dyn Embedder>, &mut |_, _| {
        // Both before and after what was looked at already.
        for _ in 0..3 {
            put(&store, next);
            put(&view, next);
            next += 1;
        }
        store
            .delete(format!("key {}", next % 600).as_bytes())
            .unwrap();
        store
            .delete(format!("key {}", next - 2).as_bytes())
            .unwrap();
        if store.namespaces()?.contains(&"gone".to_owned()) {
            store.drop_namespace("gone")?;
            put(&store.namespace("late")?, 1);
        }
        assert!(nearest(&store, &old, 599).1 > 0.99 || nearest(&store, &new, 599).1 > 0.99);
        let busy = reembed(&store, &new);
        assert!(matches!(busy, Err(Error::Busy(_))));
        sound(&store);
        Ok(())
    });
    ended.unwrap();
    sound(&store);
    assert!(next > 1010);
    assert_eq!(nearest(&view, &new, 1000).0, text(1000));
    assert_eq!(
        nearest(&store.namespace("late").unwrap(), &new, 1).0,
        text(1)
    );
    drop((view, gone));
    drop(store);
    sound(&open(directory.path(), &new));
}

#[test]
fn threads_put_delete_and_search_while_the_model_changes() {
    let directory = tempfile::tempdir().unwrap();
    let models = [model("old", 32, 10), model("new", 48, 10)];
    let store = open(directory.path(), &models[0]);
    (0..300).for_each(|i| put(&store, i));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut i = 1000 * (thread + 1);
                while !done.load(Ordering::Relaxed) {
                    put(store, i);
                    if i % 3 == 0 {
                        store.delete(format!("key {i}").as_bytes()).unwrap();
                        // A namespace that begins with whatever model the store has then.
                        put(
                            &store.namespace(&format!("{thread}, {}", i % 60)).unwrap(),
                            i,
                        );
                    }
                    if i % 45 == 0 {
                        let _ = store.drop_namespace(&format!("{thread}, 30"));
                    }
                    // What was there before is found at any moment, by a vector of whichever model.
                    let options = CandidateOptions::default();
                    let query = text(i % 300).replace('a', "a ");
                    let found = store
                        .candidates(Query::Value(query.as_bytes()), &options)
                        .unwrap();
                    assert_eq!(found.len(), 5);
                    store.explain(query.as_bytes()).unwrap();
                    i += 1;
                }
            });
        }
        for round in 1..5 {
            reembed(&store, &models[round % 2]).unwrap();
            store.rebuild_index(&mut |_, _| Ok(())).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    sound(&store);
    drop(store);
    sound(&open(directory.path(), &models[0]));
}

#[test]
fn what_a_crash_leaves_behind_is_removed_in_the_background() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (model("old", 32, 10), model("new", 48, 10));
    let store = open(directory.path(), &old);
    (0..600).for_each(|i| put(&store, i));
    {
        // As far as the switch, and no further.
        let engine = store.engine().unwrap();
        let claim = engine.wait_for_claim().unwrap();
        let mut job = Job::new(claim, Arc::clone(&new) as Arc<dyn Embedder>);
        engine.prepare_namespaces(&mut job).unwrap();
        let installed = &job.installed[0];
        let (mut after, mut embedded) = (None, 0);
        let last = engine.last_to_embed(installed).unwrap().unwrap();
        while let Some(page) = engine
            .embed_page(installed, after, last, &mut embedded)
            .unwrap()
        {
            after = Some(page.last);
        }
        assert!(!engine.switch_model(&job).unwrap(), "there is no index yet");
        assert!(engine.begin_index(installed).unwrap());
        after = None;
        let last = engine.last_to_link(installed).unwrap().unwrap();
        while let Some(page) = engine.link_page(installed, after, last).unwrap() {
            after = Some(page.last);
        }
        assert!(engine.switch_model(&job).unwrap());
    }
    sound(&store);
    drop(store);
    let store = open(directory.path(), &new);
    sound(&store);
    let deadline = Instant::now() + Duration::from_secs(60);
    let left = || {
        let engine = store.engine().unwrap();
        super::recorded_reembedding(&engine.db).unwrap()
    };
    while left().is_some() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    sound(&store);
    assert_eq!(reembed(&store, &old).unwrap(), 600);
    sound(&store);
}

#[test]
fn an_index_file_of_another_model_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (model("old", 32, 10), model("new", 32, 10));
    let store = open(directory.path(), &old);
    (0..50).for_each(|i| put(&store, i));
    store.flush().unwrap();
    let name = crate::schema::system_key("checkpoint", crate::schema::NamespaceId::DEFAULT);
    let files = |store: &Store| {
        let engine = store.engine().unwrap();
        let record = engine.db.get(crate::schema::SYSTEM, &name).unwrap();
        let folder = std::fs::read_dir(directory.path().join("index")).unwrap();
        let files = folder.map(|entry| entry.unwrap().path());
        let files: Vec<_> = files
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        (record.unwrap().to_vec(), files)
    };
    let (record, former) = files(&store);
    store.delete(b"key 1").unwrap();
    reembed(&store, &new).unwrap();
    // A checkpoint of the old stage that is written late.
    for (path, bytes) in former {
        std::fs::write(path, bytes).unwrap();
    }
    let engine = store.engine().unwrap();
    let mut batch = rocksdb::WriteBatch::default();
    batch.put_cf(
        engine.db.family(crate::schema::SYSTEM).unwrap(),
        &name,
        record,
    );
    engine.db.write(batch).unwrap();
    // Or the closing would write another one.
    engine
        .namespaces
        .default
        .loaded_semantic()
        .unwrap()
        .retire();
    drop(engine);
    drop(store);
    let store = open(directory.path(), &new);
    sound(&store);
    assert_eq!(nearest(&store, &new, 7).0, text(7));
}

#[test]
fn it_is_refused_where_it_makes_no_sense() {
    let directory = tempfile::tempdir().unwrap();
    let new = model("new", 48, 10);
    let store = Store::open(directory.path().join("exact"), Options::default()).unwrap();
    assert!(matches!(
        reembed(&store, &new),
        Err(Error::InvalidArgument(_))
    ));
    assert_eq!(store.rebuild_index(&mut |_, _| Ok(())).unwrap(), 0);
    let store = open(&directory.path().join("semantic"), &model("old", 32, 10));
    let view = store.namespace("view").unwrap();
    assert!(matches!(
        reembed(&view, &new),
        Err(Error::InvalidArgument(_))
    ));
    put(&store, 1);
    let ended = store.reembed(new, &mut |_, _| store.close());
    assert!(matches!(ended, Err(Error::Closed(_))), "{ended:?}");
}

#[test]
fn the_bound_of_the_index_holds_and_full_precision_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (model("old", 32, 10), model("new", 48, 10));
    let mut bounded = options(&old);
    bounded.semantic.max_index_entries = 20;
    bounded.semantic.vector_precision = VectorPrecision::F32;
    let store = Store::open(directory.path(), bounded).unwrap();
    (0..40).for_each(|i| put(&store, i));
    reembed(&store, &new).unwrap();
    assert!((20..=40).contains(&store.health().unwrap().index_vectors));
    sound(&store);
}
