//! A frozen set stands still; everybody else sees their changes at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{Model, clustered, tolerance};
use prestige_index::{IndexError, IndexParameters, VectorIndex};

const DIMENSION: usize = 16;

fn filled(exact_limit: usize, count: usize) -> (VectorIndex, Model) {
    let parameters = IndexParameters {
        exact_limit,
        ..IndexParameters::new(DIMENSION)
    };
    let index = VectorIndex::new(parameters).unwrap();
    let mut model = Model::new(&parameters);
    for (id, vector) in clustered(count, DIMENSION, 8, 0.5, 1).iter().enumerate() {
        index.add(id as u64, vector).unwrap();
        model.add(id as u64, vector);
    }
    (index, model)
}

fn check(index: &VectorIndex, model: &Model) {
    assert_eq!(index.ids(), model.ids());
    for query in clustered(10, DIMENSION, 8, 0.5, 2) {
        for k in [1, 5, 1_000] {
            let found = index.search(&query, k).unwrap();
            model.check(&query, k, &found, tolerance(model.precision));
        }
    }
}

#[test]
fn changes_while_frozen_are_seen_at_once_and_not_saved() {
    // An exact scan, one that is becoming a graph, a graph.
    for exact_limit in [1_000, 95, 0] {
        let (index, mut model) = filled(exact_limit, 100);
        let former = model.clone();
        let frozen = index.freeze().unwrap();
        assert_eq!(frozen.count(), 100);

        let others = clustered(300, DIMENSION, 8, 0.5, 3);
        for id in 0..60 {
            assert!(index.remove(id).unwrap());
            assert!(!index.remove(id).unwrap());
            model.vectors.remove(&id);
        }
        check(&index, &model);
        // Ids come back with other vectors while their former ones are still in the frozen set.
        for id in (0..30).chain(200..400) {
            let vector = &others[id as usize % 300];
            index.add(id, vector).unwrap();
            model.add(id, vector);
            let found = index.search(vector, 1).unwrap();
            assert!(found[0].similarity > 0.9999, "{found:?}");
        }
        let error = index.add(5, &others[0]).unwrap_err();
        assert!(
            matches!(error, IndexError::DuplicateId { id: 5 }),
            "{error}"
        );
        // Newcomers leave again.
        for id in (10..20).chain(250..260) {
            assert!(index.remove(id).unwrap());
            model.vectors.remove(&id);
        }
        check(&index, &model);

        let directory = tempfile::tempdir().unwrap();
        let file = frozen.save(directory.path(), "frozen").unwrap();
        assert_eq!(file.count, 100);
        let loaded = VectorIndex::load(directory.path(), &file, *index.parameters()).unwrap();
        check(&loaded, &former);

        let version = index.version();
        drop(frozen);
        assert_eq!(index.version(), version, "merging is no change");
        check(&index, &model);
        for id in 400..500 {
            index.add(id, &others[id as usize % 300]).unwrap();
            model.add(id, &others[id as usize % 300]);
        }
        check(&index, &model);
        let again = index.freeze().unwrap();
        assert_eq!(again.count(), model.vectors.len());
    }
}

#[test]
fn one_at_a_time() {
    let (index, _) = filled(1_000, 10);
    let frozen = index.freeze().unwrap();
    assert_eq!(frozen.version(), 10);
    for _ in 0..2 {
        let error = index.freeze().err().expect("must be refused");
        assert!(matches!(error, IndexError::AlreadyFrozen), "{error}");
    }
    drop(frozen);
    drop(index.freeze().unwrap());
    drop(index.freeze().unwrap());
}

#[test]
fn a_merge_pays_for_growing() {
    let (index, _) = filled(50, 50);
    let frozen = index.freeze().unwrap();
    for (id, vector) in clustered(200, DIMENSION, 8, 0.5, 4).iter().enumerate() {
        index.add(1_000 + id as u64, vector).unwrap();
    }
    assert!(!index.is_graph());
    drop(frozen);
    assert!(index.is_graph());
    assert_eq!(index.len(), 250);
}
