//! Searches: bad input, edges, ties, and recall where graphs are known to be weak.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{Model, Random, clustered, tolerance};
use prestige_index::{IndexError, IndexParameters, Precision, VectorIndex};

type Expected = fn(&IndexError) -> bool;

/// A graph from the first vector on.
fn graph(dimension: usize) -> IndexParameters {
    IndexParameters {
        exact_limit: 0,
        ..IndexParameters::new(dimension)
    }
}

fn filled(parameters: IndexParameters, vectors: &[Vec<f32>]) -> (VectorIndex, Model) {
    let index = VectorIndex::new(parameters).unwrap();
    let mut model = Model::new(&parameters);
    for (id, vector) in vectors.iter().enumerate() {
        index.add(id as u64, vector).unwrap();
        model.add(id as u64, vector);
    }
    (index, model)
}

/// Share of the best 10 found for each query.
fn recall(index: &VectorIndex, model: &Model, queries: &[Vec<f32>]) -> f64 {
    let mut hits = 0;
    let mut expected = 0;
    for query in queries {
        let found = index.search(query, 10).unwrap();
        hits += model.check(query, 10, &found, tolerance(model.precision));
        expected += found.len();
    }
    hits as f64 / expected as f64
}

#[test]
fn bad_vectors_are_refused_and_change_nothing() {
    for parameters in [IndexParameters::new(3), graph(3)] {
        let index = VectorIndex::new(parameters).unwrap();
        for id in 0..5 {
            index.add(id, &[1.0, id as f32, 0.5]).unwrap();
        }
        let version = index.version();
        let bad: [(&[f32], Expected); 6] = [
            (&[1.0, 2.0], |e| {
                matches!(
                    e,
                    IndexError::WrongLength {
                        expected: 3,
                        found: 2
                    }
                )
            }),
            (&[], |e| {
                matches!(e, IndexError::WrongLength { found: 0, .. })
            }),
            (&[1.0; 4], |e| {
                matches!(e, IndexError::WrongLength { found: 4, .. })
            }),
            (&[1.0, f32::NAN, 0.0], |e| {
                matches!(e, IndexError::NotFinite { position: 1, .. })
            }),
            (&[1.0, 0.0, f32::INFINITY], |e| {
                matches!(e, IndexError::NotFinite { .. })
            }),
            (&[0.0; 3], |e| matches!(e, IndexError::ZeroVector)),
        ];
        for (vector, expected) in bad {
            let error = index.add(9, vector).unwrap_err();
            assert!(expected(&error), "{vector:?}: {error}");
            let error = index.search(vector, 1).unwrap_err();
            assert!(expected(&error), "{vector:?}: {error}");
        }
        let error = index.add(4, &[1.0; 3]).unwrap_err();
        assert!(
            matches!(error, IndexError::DuplicateId { id: 4 }),
            "{error}"
        );
        assert!(!index.remove(9).unwrap());
        assert_eq!(index.ids(), [0, 1, 2, 3, 4]);
        assert_eq!(index.version(), version);
    }
}

#[test]
fn bad_parameters_are_refused() {
    for parameters in [
        IndexParameters::new(0),
        IndexParameters {
            connectivity: 0,
            ..IndexParameters::new(3)
        },
        IndexParameters {
            expansion_search: 0,
            ..IndexParameters::new(3)
        },
    ] {
        let error = VectorIndex::new(parameters).err().expect("must be refused");
        assert!(
            matches!(error, IndexError::InvalidParameter { .. }),
            "{error}"
        );
    }
}

#[test]
fn none_few_and_all() {
    for parameters in [IndexParameters::new(8), graph(8)] {
        let (index, _) = filled(parameters, &[]);
        assert!(index.search(&[1.0; 8], 5).unwrap().is_empty());
        assert!(index.is_empty());

        let (index, model) = filled(parameters, &clustered(50, 8, 5, 0.5, 1));
        for k in [0, 1, 49, 50, 51, 1_000_000, usize::MAX] {
            let found = index.search(&[1.0; 8], k).unwrap();
            let hits = model.check(&[1.0; 8], k, &found, 1e-3);
            assert_eq!(hits, k.min(50));
        }
    }
}

#[test]
fn any_id_and_any_length_of_vector() {
    for parameters in [IndexParameters::new(2), graph(2)] {
        let index = VectorIndex::new(parameters).unwrap();
        index.add(u64::MAX, &[1e30, 0.0]).unwrap();
        index.add(0, &[0.0, 1e-30]).unwrap();
        index.add(u64::MAX - 1, &[-3.0, 0.0]).unwrap();
        let found = index.search(&[1e-20, 0.0], 3).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|found| (found.id, found.similarity))
            .collect();
        assert_eq!(found, [(u64::MAX, 1.0), (0, 0.0), (u64::MAX - 1, -1.0)]);
        assert!(index.remove(u64::MAX).unwrap());
        assert_eq!(index.search(&[1.0, 0.0], 1).unwrap()[0].id, 0);
    }
}

#[test]
fn equal_similarities_come_by_ascending_id() {
    let index = VectorIndex::new(IndexParameters::new(4)).unwrap();
    for id in [9, 3, 7, 1] {
        index.add(id, &[1.0, 2.0, 3.0, 4.0]).unwrap();
    }
    index.add(5, &[-1.0, 0.0, 0.0, 0.0]).unwrap();
    let found = index.search(&[4.0, 3.0, 2.0, 1.0], 3).unwrap();
    assert_eq!(
        found.iter().map(|found| found.id).collect::<Vec<_>>(),
        [1, 3, 7]
    );
}

#[test]
fn one_dimension_and_many() {
    for dimension in [1, 7, 1_537] {
        for precision in [Precision::F32, Precision::F16, Precision::I8] {
            let parameters = IndexParameters {
                precision,
                ..graph(dimension)
            };
            let (index, model) = filled(parameters, &clustered(40, dimension, 4, 0.3, 5));
            let query = Random(6).vector(dimension);
            model.check(
                &query,
                2,
                &index.search(&query, 2).unwrap(),
                tolerance(precision),
            );
        }
    }
}

#[test]
fn growing_into_a_graph_stays_exact_until_it_is_one() {
    let parameters = IndexParameters {
        exact_limit: 100,
        ..IndexParameters::new(16)
    };
    let index = VectorIndex::new(parameters).unwrap();
    let mut model = Model::new(&parameters);
    let mut became_graph_at = None;
    for (id, vector) in clustered(200, 16, 5, 0.5, 2).iter().enumerate() {
        index.add(id as u64, vector).unwrap();
        model.add(id as u64, vector);
        let found = index.search(vector, 3).unwrap();
        let hits = model.check(vector, 3, &found, tolerance(parameters.precision));
        if index.is_graph() {
            became_graph_at.get_or_insert(id + 1);
        } else {
            assert_eq!(hits, found.len());
        }
    }
    // The limit, and the adds that pay for building: 4 vectors each, one of them new.
    assert_eq!(became_graph_at, Some(134));
}

#[test]
fn clustered_vectors_are_found_in_every_precision() {
    let vectors = clustered(3_000, 64, 60, 0.4, 3);
    let queries = clustered(100, 64, 60, 0.4, 4);
    for (precision, least) in [
        (Precision::F32, 0.99),
        (Precision::F16, 0.98),
        (Precision::I8, 0.93),
    ] {
        let parameters = IndexParameters {
            precision,
            ..graph(64)
        };
        let (index, model) = filled(parameters, &vectors);
        assert!(index.is_graph());
        let recall = recall(&index, &model, &queries);
        assert!(recall >= least, "{precision}: {recall}");
        // Each is found by itself: none is unreachable.
        for (id, vector) in vectors.iter().enumerate() {
            let found = index.search(vector, 1).unwrap();
            assert_eq!(found[0].id, id as u64, "{precision}");
        }
    }
}

#[test]
fn many_equal_vectors_hide_neither_themselves_nor_others() {
    // Forty vectors, two hundred times each, one after the other or in turns.
    let islands = clustered(40, 32, 40, 0.5, 1);
    let in_turns: Vec<_> = (0..8_000).map(|id| islands[id % 40].clone()).collect();
    let one_by_one: Vec<_> = (0..8_000).map(|id| islands[id / 200].clone()).collect();
    for precision in [Precision::F16, Precision::F32, Precision::I8] {
        for vectors in [&in_turns, &one_by_one] {
            let parameters = IndexParameters {
                precision,
                ..graph(32)
            };
            let (index, mut model) = filled(parameters, vectors);
            assert!(index.is_graph());
            for removed in (0..8_000).filter(|id| id % 7 == 0) {
                index.remove(removed).unwrap();
                model.vectors.remove(&removed);
            }
            assert_eq!(index.ids(), model.ids());
            for island in &islands {
                for k in [1, 10, 300] {
                    let found = index.search(island, k).unwrap();
                    let hits = model.check(island, k, &found, tolerance(precision));
                    assert_eq!(hits, k);
                }
            }
        }
    }
}

#[test]
fn equal_vectors_among_others_and_one_vector_again_and_again() {
    let mut vectors = clustered(1_500, 32, 30, 0.4, 3);
    for copy in 0..500 {
        vectors.insert(copy * 3, vec![1.0; 32]);
    }
    let (index, model) = filled(graph(32), &vectors);
    let recall = recall(&index, &model, &clustered(100, 32, 30, 0.4, 4));
    assert!(recall >= 0.95, "{recall}");
    let found = index.search(&[1.0; 32], 10).unwrap();
    assert!(
        found.iter().all(|found| found.similarity > 0.999),
        "{found:?}"
    );

    let before = index.memory_bytes();
    for id in 10_000..20_000 {
        index.add(id, &[2.0; 32]).unwrap();
        assert!(index.remove(id).unwrap());
    }
    assert!(index.memory_bytes() < before + before / 2);
}

#[test]
fn vectors_in_islands_of_nearly_equal_ones_are_found_when_asked_for() {
    // So near that their links crowd out all others: no path leads from one island to the next.
    let parameters = IndexParameters {
        connectivity: 2,
        expansion_add: 8,
        expansion_search: 8,
        ..graph(64)
    };
    let islands = clustered(40, 64, 40, 0.5, 1);
    let mut random = Random(2);
    let vectors: Vec<Vec<f32>> = (0..2_000)
        .map(|id| {
            let island = &islands[id / 50];
            island
                .iter()
                .map(|value| value + 1e-5 * random.normal())
                .collect()
        })
        .collect();
    let (index, model) = filled(parameters, &vectors);
    for island in &islands {
        let found = index.search(island, 100).unwrap();
        model.check(island, 100, &found, 1e-3);
    }
}

#[test]
fn removals_leave_recall_and_results_whole() {
    let vectors = clustered(2_000, 32, 40, 0.4, 3);
    let queries = clustered(60, 32, 40, 0.4, 4);
    let (index, mut model) = filled(graph(32), &vectors);
    // In the order of adding: the graph's first entry point and its whole old part go first.
    for id in 0..1_960 {
        assert!(index.remove(id).unwrap());
        model.vectors.remove(&id);
        if id % 200 == 0 || id > 1_940 {
            let recall = recall(&index, &model, &queries);
            assert!(recall >= 0.95, "{recall} after {id}");
        }
    }
    for id in 1_960..2_000 {
        assert!(index.remove(id).unwrap());
    }
    assert!(index.is_empty());
    assert!(index.search(&queries[0], 10).unwrap().is_empty());
    index.add(1, &vectors[1]).unwrap();
    assert_eq!(index.search(&vectors[1], 10).unwrap().len(), 1);
}

#[test]
fn replacing_everything_many_times_keeps_recall_and_memory() {
    let parameters = graph(32);
    let (index, mut model) = filled(parameters, &clustered(600, 32, 20, 0.4, 1));
    let before = index.memory_bytes();
    for round in 2..8 {
        for (id, vector) in clustered(600, 32, 20, 0.4, round).iter().enumerate() {
            let id = id as u64;
            assert!(index.remove(id).unwrap());
            model.vectors.remove(&id);
            index.add(id, vector).unwrap();
            model.add(id, vector);
        }
    }
    let recall = recall(&index, &model, &clustered(100, 32, 20, 0.4, 99));
    assert!(recall >= 0.95, "{recall}");
    let after = index.memory_bytes();
    assert!(after < 4 * before, "{before} bytes became {after}");
}
