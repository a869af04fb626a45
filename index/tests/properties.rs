//! Random sequences of operations against the naive model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use common::{Model, Random, tolerance};
use prestige_index::{Frozen, IndexError, IndexParameters, Precision, VectorIndex};
use proptest::prelude::*;

const DIMENSION: usize = 12;
/// Few enough ids that adds, removes and repeats of one id meet.
const IDS: u64 = 300;

#[derive(Clone, Debug)]
enum Operation {
    /// Adds `count` ids from `first` on, with vectors of the seed, or one vector for all of them.
    Add {
        first: u64,
        count: u64,
        seed: u64,
        equal: bool,
    },
    /// Removes `count` ids from `first` on.
    Remove {
        first: u64,
        count: u64,
    },
    Search {
        seed: u64,
        k: usize,
    },
    Freeze,
    /// Saves what is frozen, if anything, and compares what loads from the file.
    Save,
    Thaw,
    /// Saves everything and goes on with what loads from the file.
    Reload,
}

fn operation() -> impl Strategy<Value = Operation> {
    let id = 0..IDS;
    prop_oneof![
        6 => (id.clone(), 1..40_u64, prop_oneof![any::<u64>(), 0..3_u64], prop::bool::weighted(0.3))
            .prop_map(|(first, count, seed, equal)| Operation::Add { first, count, seed, equal }),
        4 => (id, 1..40_u64).prop_map(|(first, count)| Operation::Remove { first, count }),
        6 => (any::<u64>(), prop_oneof![4 => 0..6_usize, 1 => 6..400_usize, 1 => Just(usize::MAX)])
            .prop_map(|(seed, k)| Operation::Search { seed, k }),
        2 => Just(Operation::Freeze),
        1 => Just(Operation::Save),
        2 => Just(Operation::Thaw),
        1 => Just(Operation::Reload),
    ]
}

/// Runs the operations. Returns how many neighbours there were to find and how many were found.
fn run(operations: Vec<Operation>, parameters: IndexParameters) -> (usize, usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut index = VectorIndex::new(parameters).unwrap();
    let mut model = Model::new(&parameters);
    let mut score = (0, 0);
    let mut operations = operations.into_iter();
    loop {
        let mut frozen: Option<(Frozen<'_>, Model)> = None;
        let mut reloaded = None;
        for operation in operations.by_ref() {
            let version = index.version();
            let mut changes = 0;
            match operation {
                Operation::Add {
                    first,
                    count,
                    seed,
                    equal,
                } => {
                    let mut random = Random(seed);
                    for id in (first..first + count).map(|id| id % IDS) {
                        if equal {
                            random = Random(seed);
                        }
                        let vector = random.vector(DIMENSION);
                        let result = index.add(id, &vector);
                        if model.add(id, &vector) {
                            result.unwrap();
                            changes += 1;
                        } else {
                            let error = result.unwrap_err();
                            assert!(matches!(error, IndexError::DuplicateId { id: i } if i == id));
                        }
                    }
                }
                Operation::Remove { first, count } => {
                    for id in (first..first + count).map(|id| id % IDS) {
                        let removed = model.vectors.remove(&id).is_some();
                        assert_eq!(index.remove(id).unwrap(), removed);
                        changes += u64::from(removed);
                    }
                }
                Operation::Search { seed, k } => search(&index, &model, seed, k, &mut score),
                Operation::Freeze => match index.freeze() {
                    Ok(new) => {
                        assert!(frozen.is_none(), "frozen twice");
                        assert_eq!(new.count(), model.vectors.len());
                        assert_eq!(new.version(), version);
                        frozen = Some((new, model.clone()));
                    }
                    Err(IndexError::AlreadyFrozen) => assert!(frozen.is_some()),
                    Err(error) => panic!("{error}"),
                },
                Operation::Save => {
                    if let Some((frozen, former)) = &frozen {
                        let file = frozen.save(directory.path(), "saved").unwrap();
                        let loaded =
                            VectorIndex::load(directory.path(), &file, parameters).unwrap();
                        compare(&loaded, former);
                        search(&loaded, former, 7, 5, &mut score);
                    }
                }
                Operation::Thaw => frozen = None,
                Operation::Reload => {
                    frozen = None;
                    let whole = index.freeze().unwrap();
                    let file = whole.save(directory.path(), "saved").unwrap();
                    drop(whole);
                    let loaded = VectorIndex::load(directory.path(), &file, parameters).unwrap();
                    assert_eq!(loaded.is_graph(), index.is_graph());
                    reloaded = Some(loaded);
                }
            }
            compare(&index, &model);
            assert_eq!(index.version(), version + changes);
            if reloaded.is_some() {
                break;
            }
        }
        drop(frozen);
        compare(&index, &model);
        search(&index, &model, 8, 5, &mut score);
        match reloaded {
            Some(loaded) => index = loaded,
            None => return score,
        }
    }
}

fn compare(index: &VectorIndex, model: &Model) {
    assert_eq!(index.ids(), model.ids());
    assert_eq!(index.len(), model.vectors.len());
    assert_eq!(index.is_empty(), model.vectors.is_empty());
    for id in [0, 1, IDS / 2, IDS] {
        assert_eq!(index.contains(id), model.vectors.contains_key(&id));
    }
}

fn search(
    index: &VectorIndex,
    model: &Model,
    seed: u64,
    k: usize,
    (expected, hits): &mut (usize, usize),
) {
    let query = Random(seed).vector(DIMENSION);
    let found = index.search(&query, k).unwrap();
    // A graph of eight bits may have become an exact scan again; what it rounded off does not come
    // back.
    let rounded = model.precision == Precision::I8 && index.parameters().exact_limit != usize::MAX;
    let exact = !index.is_graph() && !rounded;
    // Several at once find what one finds, but for the last bits.
    let other = Random(seed ^ 1).vector(DIMENSION);
    let many = index.search_many(&[&other, &query], k).unwrap();
    assert_eq!((many.len(), many[1].version), (2, index.version()));
    if exact {
        let others = model.check(&other, k, &many[0].neighbours, 1e-5);
        assert_eq!(others, many[0].neighbours.len());
        assert_eq!(
            model.check(&query, k, &many[1].neighbours, 1e-5),
            found.len()
        );
    } else {
        assert_eq!(many[1].neighbours.len(), found.len());
        for (one, other) in many[1].neighbours.iter().zip(&found) {
            assert!((one.similarity - other.similarity).abs() < 1e-5);
        }
    }
    let hit = model.check(
        &query,
        k,
        &found,
        if exact {
            1e-6
        } else {
            tolerance(model.precision)
        },
    );
    if exact {
        assert_eq!(hit, found.len(), "the exact form must find the best");
    }
    *expected += found.len();
    *hits += hit;
}

fn precision() -> impl Strategy<Value = Precision> {
    prop_oneof![
        Just(Precision::F16),
        Just(Precision::F32),
        Just(Precision::I8)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn the_exact_form_equals_the_model(
        operations in prop::collection::vec(operation(), 1..40),
        precision in precision(),
    ) {
        let parameters = IndexParameters {
            precision,
            exact_limit: usize::MAX,
            ..IndexParameters::new(DIMENSION)
        };
        let (expected, hits) = run(operations, parameters);
        prop_assert_eq!(expected, hits);
    }

    #[test]
    fn the_graph_finds_nearly_all_and_nothing_else(
        operations in prop::collection::vec(operation(), 1..60),
        precision in precision(),
        exact_limit in prop_oneof![Just(0_usize), Just(16), Just(100)],
    ) {
        let parameters = IndexParameters {
            precision,
            exact_limit,
            connectivity: 8,
            expansion_add: 64,
            expansion_search: 64,
            ..IndexParameters::new(DIMENSION)
        };
        let (expected, hits) = run(operations, parameters);
        // Eight bits confuse neighbours that are nearly as similar.
        let least = if precision == Precision::I8 { 0.8 } else { 0.95 };
        prop_assert!(hits as f64 >= least * expected as f64, "{hits} of {expected}");
    }
}
