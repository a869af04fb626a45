//! Each invariant is broken on purpose, and the report must name it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::counters::{Counters, counters_key};
use crate::engine::Engine;
use crate::metadata::{self, Metadata};
use crate::options::{DedupMode, Options, VectorPrecision};
use crate::outcomes::{Outcome, Verdict};
use crate::record::{KeyRecord, ObjectMeta, encode_vector};
use crate::schema::*;
use crate::semantic::{Reembedding, Slot};
use crate::store::{Embedded, Entry};
use prestige_embed::{Embedder, HashEmbedder};
use rocksdb::WriteBatch;
use std::sync::Arc;
use tempfile::TempDir;

const NS: NamespaceId = NamespaceId::DEFAULT;

fn semantic_store() -> (TempDir, Engine) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(Arc::new(HashEmbedder::new(32)) as Arc<dyn Embedder>)
        })),
        enable_gc: false,
        ..Options::default()
    };
    let engine = Engine::open(directory.path(), options).unwrap();
    for i in 0..20 {
        let (key, value) = (
            format!("key{i}"),
            format!("text number {i} says {}", i * 31),
        );
        put(
            &engine,
            key.as_bytes(),
            value.as_bytes(),
            Some(i % 3 * 1000),
        );
    }
    put(&engine, b"copy", b"text number 7 says 217", None);
    put(&engine, b"binary", b"\xff\xfe", None);
    let metadata = Metadata::from([("name".to_owned(), "text".to_owned())]);
    let described = Entry {
        key: b"described",
        value: b"a text with metadata",
        ttl_seconds: None,
        metadata: Some(&metadata),
        lent: None,
    };
    let namespace = &engine.namespaces.default;
    engine
        .put_many(namespace, &[described], &[], Embedded::default())
        .unwrap();
    let outcome = Outcome::new(Verdict::Accepted);
    for family in ["one", "two", "one"] {
        engine.record_outcome(namespace, family, &outcome).unwrap();
    }
    assert_eq!(engine.verify(&engine.namespaces.default).unwrap(), []);
    (directory, engine)
}

fn put(engine: &Engine, key: &[u8], value: &[u8], ttl_seconds: Option<u64>) {
    engine
        .put_many(
            &engine.namespaces.default,
            &[Entry {
                key,
                value,
                ttl_seconds,
                metadata: None,
                lent: None,
            }],
            &[],
            Embedded::default(),
        )
        .unwrap();
}

/// Changes a healthy store behind its back and returns the numbers of the invariants reported, each once.
fn broken_by(change: impl FnOnce(&Engine, &mut WriteBatch)) -> Vec<u8> {
    let (_directory, engine) = semantic_store();
    let mut batch = WriteBatch::default();
    change(&engine, &mut batch);
    engine.db.write(batch).unwrap();
    let mut invariants: Vec<u8> = engine
        .verify(&engine.namespaces.default)
        .unwrap()
        .iter()
        .map(|violation| violation.invariant)
        .collect();
    invariants.sort_unstable();
    invariants.dedup();
    invariants
}

fn record_of(engine: &Engine, key: &[u8]) -> KeyRecord {
    engine
        .key_record(&engine.namespaces.default, key)
        .unwrap()
        .unwrap()
}

fn meta_of(engine: &Engine, key: &[u8]) -> (u64, ObjectMeta) {
    let id = record_of(engine, key).object_id;
    (
        id,
        engine.object_meta(&engine.namespaces.default, id).unwrap(),
    )
}

#[test]
fn invariant_1_objects_meta_records_and_keys_go_together() {
    let lost_bytes = broken_by(|engine, batch| {
        let id = record_of(engine, b"key1").object_id;
        batch.delete_cf(engine.db.family(OBJECTS).unwrap(), numbered_key(NS, id));
    });
    assert_eq!(lost_bytes, [1]);
    let other_bytes = broken_by(|engine, batch| {
        let id = record_of(engine, b"key1").object_id;
        batch.put_cf(
            engine.db.family(OBJECTS).unwrap(),
            numbered_key(NS, id),
            b"text number 1 says 32",
        );
    });
    assert_eq!(other_bytes, [1]);
    let unknown_object = broken_by(|engine, batch| {
        batch.put_cf(
            engine.db.family(OBJECTS).unwrap(),
            numbered_key(NS, 1 << 40),
            b"stray",
        );
    });
    assert_eq!(unknown_object, [1]);
    let dangling_key = broken_by(|engine, batch| {
        let record = KeyRecord {
            object_id: 1 << 40,
            ..record_of(engine, b"copy")
        };
        batch.put_cf(
            engine.db.family(KEYS).unwrap(),
            user_key(NS, b"copy"),
            record.encode(),
        );
    });
    assert!(dangling_key.contains(&1), "{dangling_key:?}");
}

#[test]
fn invariant_2_refcounts_are_the_number_of_keys() {
    let wrong = broken_by(|engine, batch| {
        let (id, meta) = meta_of(engine, b"copy");
        let meta = ObjectMeta {
            refcount: 3,
            ..meta
        };
        batch.put_cf(
            engine.db.family(OBJECT_META).unwrap(),
            numbered_key(NS, id),
            meta.encode(),
        );
    });
    assert_eq!(wrong, [2]);
    let stray_orphan = broken_by(|engine, batch| {
        let id = record_of(engine, b"copy").object_id;
        batch.put_cf(
            engine.db.family(ORPHANS).unwrap(),
            numbered_key(NS, id),
            b"",
        );
    });
    assert_eq!(stray_orphan, [2]);
}

#[test]
fn invariant_3_digests_and_objects_name_each_other() {
    let unnamed = broken_by(|engine, batch| {
        let (_, meta) = meta_of(engine, b"key2");
        batch.delete_cf(
            engine.db.family(DIGESTS).unwrap(),
            digest_key(NS, &meta.digest),
        );
    });
    assert_eq!(unnamed, [3]);
    let stray = broken_by(|engine, batch| {
        let key = digest_key(NS, &crate::Digest::of(b"nothing has this value"));
        batch.put_cf(engine.db.family(DIGESTS).unwrap(), key, 1_u64.to_le_bytes());
    });
    assert_eq!(stray, [3]);
}

#[test]
fn invariant_4_counters_equal_a_scan() {
    let wrong = broken_by(|engine, batch| {
        let counters = Counters {
            keys: 1,
            ..Counters::default()
        };
        // A stripe of its own would need 64 keys; the changed one is off by what it held as well.
        batch.put_cf(
            engine.db.family(SYSTEM).unwrap(),
            counters_key(NS, 0),
            counters.encode(),
        );
    });
    assert_eq!(wrong, [4]);
}

#[test]
fn invariant_5_time_ordered_families_list_every_key() {
    for family in [EXPIRY, CREATED, ACCESS] {
        let unlisted = broken_by(|engine, batch| {
            // `created` lists keys that were used since their put.
            let used_us = record_of(engine, b"key1").created_us + 1;
            engine.accesses.note(NS, b"key1", used_us);
            engine.fold_accesses().unwrap();
            let record = record_of(engine, b"key1");
            let time_us = crate::mutation::times(&record)
                .find(|(name, _)| *name == family)
                .unwrap()
                .1;
            batch.delete_cf(
                engine.db.family(family).unwrap(),
                time_key(NS, time_us, b"key1"),
            );
        });
        assert_eq!(unlisted, [5], "{family}");
        let stray = broken_by(|engine, batch| {
            batch.put_cf(
                engine.db.family(family).unwrap(),
                time_key(NS, 1, b"nobody"),
                b"",
            );
        });
        assert_eq!(stray, [5], "{family}");
    }
}

fn unit(component: usize) -> [f32; 32] {
    let mut vector = [0.0; 32];
    vector[component] = 1.0;
    vector
}

#[test]
fn invariant_6_vectors_objects_and_index_agree() {
    let missing = broken_by(|engine, batch| {
        let id = record_of(engine, b"key3").object_id;
        batch.delete_cf(engine.db.family(VECTORS).unwrap(), numbered_key(NS, id));
    });
    assert_eq!(missing, [6]);
    let long = broken_by(|engine, batch| {
        let id = record_of(engine, b"key3").object_id;
        let vector = encode_vector(
            &unit(0).map(|component| component * 1.5),
            VectorPrecision::F16,
        );
        batch.put_cf(
            engine.db.family(VECTORS).unwrap(),
            numbered_key(NS, id),
            vector,
        );
    });
    assert_eq!(long, [6]);
    let other_dimension = broken_by(|engine, batch| {
        let id = record_of(engine, b"key3").object_id;
        batch.put_cf(
            engine.db.family(VECTORS).unwrap(),
            numbered_key(NS, id),
            encode_vector(&unit(0)[..31], VectorPrecision::F16),
        );
    });
    assert_eq!(other_dimension, [6]);
    let ghost = broken_by(|engine, _| {
        engine
            .namespaces
            .default
            .loaded_semantic()
            .unwrap()
            .index
            .add(1 << 40, &unit(1))
            .unwrap();
    });
    assert_eq!(ghost, [6]);
    let lacking = broken_by(|engine, _| {
        let id = record_of(engine, b"key3").object_id;
        assert!(
            engine
                .namespaces
                .default
                .loaded_semantic()
                .unwrap()
                .index
                .remove(id)
                .unwrap()
        );
    });
    assert_eq!(lacking, [6]);
}

#[test]
fn invariant_7_vectors_have_a_model() {
    let nameless = broken_by(|engine, batch| {
        batch.delete_cf(engine.db.family(SYSTEM).unwrap(), system_key("model", NS));
    });
    assert_eq!(nameless, [7]);
}

#[test]
fn invariant_12_vectors_of_another_model_are_those_of_a_reembedding() {
    let stray = broken_by(|engine, batch| {
        let family = engine.db.family(VECTORS_B).unwrap();
        let (id, _) = meta_of(engine, b"key3");
        batch.put_cf(family, numbered_key(NS, id), [0; 64]);
    });
    assert_eq!(stray, [12]);
    let says_so = |record: &'static str, vector: Vec<u8>| {
        broken_by(move |engine, batch| {
            let (id, mut meta) = meta_of(engine, b"key3");
            meta.vectors.set(Slot::B, true);
            let db = &engine.db;
            batch.put_cf(
                db.family(OBJECT_META).unwrap(),
                numbered_key(NS, id),
                meta.encode(),
            );
            batch.put_cf(db.family(VECTORS_B).unwrap(), numbered_key(NS, id), vector);
            if !record.is_empty() {
                batch.put_cf(db.family(SYSTEM).unwrap(), Reembedding::NAME, record);
            }
        })
    };
    let by = r#"{"model": {"fingerprint": {"model": "m", "sha256": "0"}, "dimension": 32}}"#;
    let fits = || encode_vector(&unit(0), VectorPrecision::F16);
    assert_eq!(says_so(by, fits()), [0_u8; 0]);
    assert_eq!(says_so(by, vec![0; 62]), [12]);
    assert_eq!(says_so(by, vec![0; 64]), [12]);
    // What the former model has left behind is of any length.
    assert_eq!(says_so(r#"{"model": null}"#, vec![0; 62]), [0_u8; 0]);
    assert_eq!(says_so("", fits()), [12]);
    let lacking = broken_by(|engine, batch| {
        let (id, mut meta) = meta_of(engine, b"key3");
        meta.vectors.set(Slot::B, true);
        let db = &engine.db;
        batch.put_cf(
            db.family(OBJECT_META).unwrap(),
            numbered_key(NS, id),
            meta.encode(),
        );
        batch.put_cf(
            db.family(SYSTEM).unwrap(),
            Reembedding::NAME,
            r#"{"model": null}"#,
        );
    });
    assert_eq!(lacking, [12]);
}

#[test]
fn what_is_broken_in_a_namespace_is_reported_for_it_and_for_no_other() {
    let (_directory, engine) = semantic_store();
    let red = engine.namespace("red").unwrap();
    let entry = Entry {
        key: b"key",
        value: b"a text of the red namespace",
        ttl_seconds: None,
        metadata: None,
        lent: None,
    };
    engine
        .put_many(&red, &[entry], &[], Embedded::default())
        .unwrap();
    let id = engine.key_record(&red, b"key").unwrap().unwrap().object_id;
    let mut batch = WriteBatch::default();
    let digests = engine.db.family(DIGESTS).unwrap();
    batch.delete_cf(digests, digest_key(red.id, &crate::Digest::of(entry.value)));
    let counters = engine.db.family(SYSTEM).unwrap();
    batch.put_cf(
        counters,
        counters_key(red.id, 63),
        Counters {
            orphans: 1,
            ..Counters::default()
        }
        .encode(),
    );
    let vectors = engine.db.family(VECTORS).unwrap();
    batch.delete_cf(vectors, numbered_key(red.id, id));
    engine.db.write(batch).unwrap();
    let mut found: Vec<u8> = engine
        .verify(&red)
        .unwrap()
        .iter()
        .map(|violation| violation.invariant)
        .collect();
    found.dedup();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, [3, 4, 6]);
    assert_eq!(engine.verify(&engine.namespaces.default).unwrap(), []);
}

/// What would be seen again if a number were handed out twice.
#[test]
fn invariant_8_nothing_is_left_of_a_namespace_that_was_dropped() {
    for family in FAMILIES.into_iter().filter(|family| *family != SYSTEM) {
        let (_directory, engine) = semantic_store();
        let (red, blue) = (
            engine.namespace("red").unwrap(),
            engine.namespace("blue").unwrap(),
        );
        engine.drop_namespace("red").unwrap();
        assert!(engine.verify(&red).is_err());
        let namespaces = [&engine.namespaces.default, &blue];
        for namespace in namespaces {
            assert_eq!(engine.verify(namespace).unwrap(), []);
        }
        let mut batch = WriteBatch::default();
        let left = numbered_key(red.id, 1);
        batch.put_cf(engine.db.family(family).unwrap(), left, b"");
        engine.db.write(batch).unwrap();
        for namespace in namespaces {
            let found = engine.verify(namespace).unwrap();
            let found: Vec<_> = found.iter().map(|violation| violation.invariant).collect();
            assert_eq!(found, [8], "{family}");
        }
    }
}

#[test]
fn invariant_8_nothing_lies_in_a_namespace_that_does_not_exist() {
    for family in FAMILIES.into_iter().filter(|family| *family != SYSTEM) {
        let stranger = broken_by(|engine, batch| {
            batch.put_cf(
                engine.db.family(family).unwrap(),
                numbered_key(NamespaceId(9), 1),
                b"",
            );
        });
        assert_eq!(stranger, [8], "{family}");
    }
}

#[test]
fn invariant_9_metadata_belongs_to_objects_that_say_so() {
    let name = |engine: &Engine, key: &[u8]| numbered_key(NS, record_of(engine, key).object_id);
    let lost = broken_by(|engine, batch| {
        batch.delete_cf(
            engine.db.family(METADATA).unwrap(),
            name(engine, b"described"),
        );
    });
    // It counts as bytes of the object, too.
    assert_eq!(lost, [4, 9]);
    let other = metadata::encode(&Metadata::from([("name".to_owned(), String::new())]));
    for stray in [
        name(&semantic_store().1, b"key1"),
        numbered_key(NS, 1 << 40),
    ] {
        let stray = broken_by(|engine, batch| {
            batch.put_cf(engine.db.family(METADATA).unwrap(), stray, &other);
        });
        assert_eq!(stray, [9]);
    }
    let damaged = broken_by(|engine, batch| {
        let metadata = engine.db.family(METADATA).unwrap();
        let name = name(engine, b"described");
        let mut record = engine.db.get(METADATA, &name).unwrap().unwrap().to_vec();
        record[0] += 1;
        batch.put_cf(metadata, name, record);
    });
    assert_eq!(damaged, [9]);
    let beyond_the_limits = broken_by(|engine, batch| {
        let record = metadata::encode(&Metadata::from([(String::new(), "name text".to_owned())]));
        let record = &record[..record.len() - 1];
        let metadata = engine.db.family(METADATA).unwrap();
        batch.put_cf(metadata, name(engine, b"described"), record);
    });
    assert!(beyond_the_limits.contains(&9));
}

#[test]
fn invariant_10_outcomes_are_counted_through() {
    let keys = |engine: &Engine| -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        engine
            .db
            .scan(OUTCOMES, b"", &[0xff; 5], None, |key, _| {
                keys.push(key.to_vec());
                Ok(std::ops::ControlFlow::Continue(()))
            })
            .unwrap();
        keys
    };
    // The last sequence, then three outcomes.
    for place in 0..4 {
        let lost = broken_by(|engine, batch| {
            batch.delete_cf(engine.db.family(OUTCOMES).unwrap(), &keys(engine)[place]);
        });
        assert_eq!(lost, [10], "{place}");
    }
    let damaged = broken_by(|engine, batch| {
        batch.put_cf(engine.db.family(OUTCOMES).unwrap(), &keys(engine)[2], b"");
    });
    assert_eq!(damaged, [10]);
    let twice = broken_by(|engine, batch| {
        let outcomes = engine.db.family(OUTCOMES).unwrap();
        let key = &keys(engine)[2];
        let record = engine.db.get(OUTCOMES, key).unwrap().unwrap();
        let twin = [&key[..4], b"three\0", &key[key.len() - 8..]].concat();
        batch.put_cf(outcomes, twin, &record);
    });
    assert_eq!(twice, [10]);
}
