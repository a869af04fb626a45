#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::{DedupMode, EmbedderProvider, Entry, Options, Store};
use prestige_embed::{Embedder, Embeddings, Fingerprint, HashEmbedder};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

const DIMENSION: usize = 32;

/// Counts the texts it embeds.
#[derive(Debug)]
struct Counting {
    inner: HashEmbedder,
    texts: Arc<AtomicUsize>,
}

impl Embedder for Counting {
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    fn fingerprint(&self) -> &Fingerprint {
        self.inner.fingerprint()
    }

    fn embed(&self, texts: &[&str]) -> std::result::Result<Embeddings, prestige_embed::EmbedError> {
        self.texts.fetch_add(texts.len(), Ordering::Relaxed);
        self.inner.embed(texts)
    }
}

fn open(change: impl FnOnce(&mut Options)) -> (TempDir, Store, Arc<AtomicUsize>) {
    let directory = tempfile::tempdir().unwrap();
    let texts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&texts);
    let mut options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(move || {
            Ok(Arc::new(Counting {
                inner: HashEmbedder::new(DIMENSION),
                texts: Arc::clone(&counted),
            }) as Arc<dyn Embedder>)
        })),
        ..Options::default()
    };
    // Only words in another order merge, so that the values are those that were put.
    options.semantic.threshold = 0.9999;
    change(&mut options);
    let store = Store::open(directory.path(), options).unwrap();
    (directory, store, texts)
}

fn semantic() -> (TempDir, Store, Arc<AtomicUsize>) {
    open(|_| {})
}

fn put(store: &Store, key: &str, value: &str, pairs: &[(&str, &str)]) {
    let metadata: Metadata = pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let entry = Entry {
        key: key.as_bytes(),
        value: value.as_bytes(),
        ttl_seconds: None,
        metadata: Some(&metadata),
        lent: None,
    };
    store.put_many(&[entry]).unwrap();
}

fn filter(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    pairs
        .iter()
        .map(|(name, texts)| {
            let texts = texts.iter().map(|text| (*text).to_owned()).collect();
            ((*name).to_owned(), texts)
        })
        .collect()
}

fn values(found: &[Candidate]) -> Vec<String> {
    found
        .iter()
        .map(|one| String::from_utf8(one.value.clone().unwrap()).unwrap())
        .collect()
}

fn with_values(k: usize) -> CandidateOptions {
    CandidateOptions {
        k,
        include_values: true,
        ..CandidateOptions::default()
    }
}

#[test]
fn an_exact_store_has_the_identical_value_or_nothing() {
    let (_directory, store, _) = open(|options| {
        options.dedup_mode = Some(DedupMode::Exact);
        options.normalization_mode = crate::NormalizationMode::Full;
    });
    put(&store, "key", "The answer", &[("family", "a")]);
    let ask = |query: &str, filter| {
        let options = CandidateOptions {
            filter,
            ..with_values(5)
        };
        store
            .candidates(Query::Value(query.as_bytes()), &options)
            .unwrap()
    };
    let found = ask("the  ANSWER", filter(&[]));
    assert_eq!(values(&found), ["the answer"]);
    assert_eq!((found[0].similarity, found[0].size), (1.0, 10));
    assert_eq!(found[0].digest, store.digest(b"THE answer").unwrap());
    assert_eq!(found[0].metadata["family"], "a");
    assert_eq!(Some(found[0].object_id), store.object_id(b"key").unwrap());
    assert!(ask("other", filter(&[])).is_empty());
    assert_eq!(
        ask("the answer", filter(&[("family", &["b", "a"])])).len(),
        1
    );
    assert!(ask("the answer", filter(&[("family", &["b"])])).is_empty());
    let refused = store.candidates(Query::Vector(&[1.0]), &with_values(1));
    assert!(matches!(refused, Err(Error::InvalidArgument(_))));
}

#[test]
fn the_nearest_come_first_and_the_identical_one_needs_no_model() {
    let (_directory, store, texts) = semantic();
    for (key, value) in [
        ("a", "red green blue"),
        ("b", "red green yellow"),
        ("c", "red orange pink"),
        ("d", "black white grey"),
    ] {
        put(&store, key, value, &[]);
    }
    store.put(b"binary", b"\xff\xfe", None).unwrap();
    let embedded = texts.load(Ordering::Relaxed);
    let found = store
        .candidates(Query::Value(b"red green blue"), &with_values(3))
        .unwrap();
    assert_eq!(values(&found)[..2], ["red green blue", "red green yellow"]);
    assert_eq!(found[0].similarity, 1.0);
    assert!(found[1].similarity > found[2].similarity);
    assert_eq!(texts.load(Ordering::Relaxed), embedded);

    let one = with_values(1);
    let queries = [
        Query::Value(b"blue green"),
        Query::Value(b"\xff\xfe"),
        Query::Value(b"blue green"),
        Query::Value(b"\xff"),
    ];
    let found = store.candidates_many(&queries, &one).unwrap();
    assert_eq!(values(&found[0]), ["red green blue"]);
    assert_eq!(found[0], found[2]);
    assert_eq!(found[1][0].similarity, 1.0);
    assert!(found[3].is_empty());
    assert_eq!(texts.load(Ordering::Relaxed), embedded + 1);
    let keys = store.count_keys(true).unwrap();
    assert_eq!((keys, store.count_unique_values().unwrap()), (5, 5));
}

#[test]
fn a_vector_may_be_given_at_any_length() {
    let (_directory, store, _) = semantic();
    put(&store, "a", "red green blue", &[]);
    put(&store, "b", "one two three", &[]);
    let embedder = HashEmbedder::new(DIMENSION);
    let row = embedder.embed(&["one two three"]).unwrap();
    let row: Vec<f32> = row
        .row(0)
        .unwrap()
        .iter()
        .map(|number| number * 7.0)
        .collect();
    let found = store
        .candidates(Query::Vector(&row), &with_values(1))
        .unwrap();
    assert_eq!(values(&found), ["one two three"]);
    assert!(found[0].similarity > 0.999);
    let mut bad = vec![f32::NAN; DIMENSION];
    for vector in [&row[1..], &bad.clone(), &[0.0; DIMENSION]] {
        let refused = store.candidates(Query::Vector(vector), &with_values(1));
        assert!(
            matches!(refused, Err(Error::InvalidArgument(_))),
            "{refused:?}"
        );
    }
    bad[0] = f32::INFINITY;
    assert!(
        store
            .candidates(Query::Vector(&bad), &with_values(1))
            .is_err()
    );
}

#[test]
fn options_out_of_range_are_refused() {
    let (_directory, store, _) = semantic();
    for options in [
        with_values(0),
        with_values(MAX_CANDIDATES + 1),
        CandidateOptions {
            min_similarity: Some(f64::NAN),
            ..with_values(1)
        },
    ] {
        let refused = store.candidates(Query::Value(b"text"), &options);
        assert!(
            matches!(refused, Err(Error::InvalidArgument(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn what_is_too_far_or_has_no_key_is_no_candidate() {
    let (_directory, store, _) = open(|options| options.enable_gc = false);
    for i in 0..40 {
        put(
            &store,
            &format!("{i}"),
            &format!("red green number{i}"),
            &[],
        );
    }
    let all = with_values(100);
    let query = Query::Value(b"red green number7");
    assert_eq!(store.candidates(query, &all).unwrap().len(), 40);
    let near = CandidateOptions {
        min_similarity: Some(0.99),
        ..all.clone()
    };
    assert_eq!(
        values(&store.candidates(query, &near).unwrap()),
        ["red green number7"]
    );
    for i in (0..40).filter(|i| i % 4 != 1) {
        store.delete(i.to_string().as_bytes()).unwrap();
    }
    // Three in four are orphans now, and more of them are nearer than there is room for at first.
    assert_eq!(store.candidates(query, &with_values(10)).unwrap().len(), 10);
}

/// Every filter finds what a scan of everything finds, however rare its matches are and however far away.
#[test]
fn a_rare_filter_finds_all_there_are() {
    let (_directory, store, _) = open(|options| options.semantic.index_save_interval = 0);
    let count = 6000;
    let entries: Vec<(String, String, Metadata)> = (0..count)
        .map(|i| {
            let text = format!("a{} b{} c{} d{i}", i % 7, i % 31, i % 97);
            let mut metadata = Metadata::new();
            metadata.insert("third".to_owned(), (i % 3).to_string());
            if i % 1000 == 999 {
                metadata.insert("rare".to_owned(), "yes".to_owned());
            }
            (i.to_string(), text, metadata)
        })
        .collect();
    for chunk in entries.chunks(500) {
        let chunk: Vec<_> = chunk
            .iter()
            .map(|(key, value, metadata)| Entry {
                key: key.as_bytes(),
                value: value.as_bytes(),
                ttl_seconds: None,
                metadata: Some(metadata),
                lent: None,
            })
            .collect();
        store.put_many(&chunk).unwrap();
    }
    let query = Query::Value(b"a1 b2 c3");
    let ask = |filter, k| {
        let options = CandidateOptions {
            filter,
            ..with_values(k)
        };
        store.candidates(query, &options).unwrap()
    };
    let rare = ask(filter(&[("rare", &["yes"])]), 5);
    assert_eq!(rare.len(), 5);
    let all_rare = ask(filter(&[("rare", &["yes", "no"])]), 50);
    assert_eq!(all_rare.len(), 6);
    assert_eq!(rare[..], all_rare[..5]);
    assert!(rare.iter().all(|one| one.metadata["rare"] == "yes"));
    assert!(
        rare.windows(2)
            .all(|pair| pair[0].similarity >= pair[1].similarity)
    );
    let both = ask(filter(&[("rare", &["yes"]), ("third", &["0"])]), 5);
    let expected = all_rare.iter().filter(|one| one.metadata["third"] == "0");
    assert_eq!(both, expected.cloned().collect::<Vec<_>>());
    let common = ask(filter(&[("third", &["1"])]), 20);
    assert_eq!(common.len(), 20);
    assert!(common.iter().all(|one| one.metadata["third"] == "1"));
    for none in [
        filter(&[("rare", &["maybe"])]),
        filter(&[("rare", &[])]),
        filter(&[("other", &["yes"])]),
    ] {
        assert!(ask(none, 5).is_empty());
    }
}

#[test]
fn a_namespace_sees_its_own_candidates() {
    let (_directory, store, _) = semantic();
    put(&store, "a", "red green blue", &[("k", "v")]);
    let view = store.namespace("other").unwrap();
    let options = with_values(5);
    assert!(
        view.candidates(Query::Value(b"red green blue"), &options)
            .unwrap()
            .is_empty()
    );
    put(&view, "a", "red green", &[]);
    let found = view
        .candidates(Query::Value(b"red green blue"), &options)
        .unwrap();
    assert_eq!(values(&found), ["red green"]);
    assert!(store.verify().unwrap().is_empty());
}

#[test]
fn a_semantic_store_is_searched_beside_its_owner() {
    let (directory, store, _) = semantic();
    let reading = |dimension: usize| {
        let make: EmbedderProvider =
            Arc::new(move || Ok(Arc::new(HashEmbedder::new(dimension)) as Arc<dyn Embedder>));
        let options = Options {
            read_only: true,
            embedder: Some(make),
            ..Options::default()
        };
        Store::open(directory.path(), options).unwrap()
    };
    let find = |reader: &Store| {
        let found = reader.candidates(Query::Value(b"green blue"), &with_values(2));
        values(&found.unwrap()).join(", ")
    };
    // Nothing is there yet, not even the record of a model.
    let reader = reading(DIMENSION);
    assert_eq!(find(&reader), "");
    put(&store, "a", "red green blue", &[("k", "v")]);
    store.flush().unwrap();
    put(&store, "b", "one two", &[]);
    assert_eq!(find(&reader), "");
    reader.refresh().unwrap();
    assert_eq!(find(&reader), "red green blue, one two");
    assert_eq!(reader.metadata(b"a").unwrap()["k"], "v");
    // The owner goes on, and replaces its index file; the reader keeps what it has found.
    store.delete(b"a").unwrap();
    put(&store, "c", "green blue red yellow", &[]);
    store.flush().unwrap();
    assert_eq!(find(&reader), "red green blue, one two");
    let later = reading(DIMENSION);
    assert_eq!(find(&later), "green blue red yellow, one two");
    for reader in [reader, later] {
        assert!(reader.verify().unwrap().is_empty());
        reader.close().unwrap();
    }
    // The file that the reader knows of goes before its first search: the vectors are enough.
    let reader = reading(DIMENSION);
    put(&store, "e", "blue", &[]);
    store.flush().unwrap();
    std::fs::remove_dir_all(directory.path().join(crate::semantic::INDEX_FOLDER)).unwrap();
    assert_eq!(find(&reader), "green blue red yellow, one two");
    assert!(reader.verify().unwrap().is_empty());
    let other = reading(DIMENSION * 2);
    let refused = other.candidates(Query::Value(b"red"), &with_values(1));
    assert!(matches!(refused, Err(Error::Model(_))), "{refused:?}");
    let namespace = store.namespace("n").unwrap();
    put(&namespace, "d", "green blue", &[]);
    let reader = reading(DIMENSION).namespace("n").unwrap();
    assert_eq!(find(&reader), "green blue");
    assert!(store.verify().unwrap().is_empty());
}
