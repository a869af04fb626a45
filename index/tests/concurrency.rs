//! Many threads at once. None of these tests looks at a clock; each ends in a set that is known
//! beforehand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use common::{Random, clustered};
use prestige_index::{Frozen, IndexError, IndexParameters, VectorIndex};

const DIMENSION: usize = 24;

fn parameters(exact_limit: usize) -> IndexParameters {
    IndexParameters {
        exact_limit,
        connectivity: 8,
        expansion_add: 40,
        expansion_search: 40,
        ..IndexParameters::new(DIMENSION)
    }
}

/// Counts a thread out, also when it panics: the others wait for it.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn the_index_and_a_frozen_one_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<VectorIndex>();
    shared::<Frozen<'_>>();
}

#[test]
fn eight_threads_end_with_the_right_set() {
    for exact_limit in [0, 200, usize::MAX] {
        let index = VectorIndex::new(parameters(exact_limit)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let writing = AtomicUsize::new(4);
        let begin = Barrier::new(8);
        let expected: BTreeSet<u64> = thread::scope(|scope| {
            // Four writers, each on ids of its own; it knows at any time which of them are present.
            let writers: Vec<_> = (0..4_u64)
                .map(|writer| {
                    let (index, writing, begin) = (&index, &writing, &begin);
                    scope.spawn(move || {
                        let mut random = Random(writer);
                        let mut present = BTreeSet::new();
                        let _done = Done(writing);
                        begin.wait();
                        for _ in 0..1_500 {
                            let id = writer * 1_000 + random.below(400);
                            if present.contains(&id) {
                                assert!(index.remove(id).unwrap());
                                present.remove(&id);
                            } else {
                                index.add(id, &random.vector(DIMENSION)).unwrap();
                                present.insert(id);
                            }
                            assert_eq!(index.contains(id), present.contains(&id));
                        }
                        present
                    })
                })
                .collect();
            for searcher in 0..3 {
                let (index, writing, begin) = (&index, &writing, &begin);
                scope.spawn(move || {
                    let mut random = Random(100 + searcher);
                    begin.wait();
                    while writing.load(Ordering::SeqCst) > 0 {
                        let found = index.search(&random.vector(DIMENSION), 10).unwrap();
                        let distinct: BTreeSet<u64> = found.iter().map(|found| found.id).collect();
                        assert_eq!(distinct.len(), found.len());
                        assert!(distinct.iter().all(|id| id % 1_000 < 400));
                        assert!(found.iter().all(|found| found.similarity.abs() <= 1.0));
                    }
                });
            }
            let (index, writing, begin, directory) = (&index, &writing, &begin, directory.path());
            scope.spawn(move || {
                begin.wait();
                loop {
                    let frozen = index.freeze().unwrap();
                    let file = frozen.save(directory, "vectors").unwrap();
                    assert_eq!(file.count, frozen.count() as u64);
                    drop(frozen);
                    let loaded = VectorIndex::load(directory, &file, *index.parameters()).unwrap();
                    assert_eq!(loaded.ids().len() as u64, file.count);
                    if writing.load(Ordering::SeqCst) == 0 {
                        return;
                    }
                }
            });
            writers
                .into_iter()
                .flat_map(|writer| writer.join().unwrap())
                .collect()
        });
        let expected: Vec<u64> = expected.into_iter().collect();
        assert_eq!(index.ids(), expected);
        assert_eq!(index.len(), expected.len());
        let all = index.search(&[1.0; DIMENSION], usize::MAX).unwrap();
        let all: BTreeSet<u64> = all.iter().map(|found| found.id).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_save_holds_exactly_the_frozen_set_while_others_change_it() {
    for exact_limit in [0, usize::MAX] {
        let index = VectorIndex::new(parameters(exact_limit)).unwrap();
        let vectors = clustered(3_000, DIMENSION, 20, 0.5, 1);
        for (id, vector) in vectors.iter().take(500).enumerate() {
            index.add(id as u64, vector).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        let added = AtomicUsize::new(500);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Ids in order: a set is right when it is 0..n less the removed ones below some
                // point.
                for (id, vector) in vectors.iter().enumerate().skip(500) {
                    index.add(id as u64, vector).unwrap();
                    added.store(id + 1, Ordering::SeqCst);
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
            for _ in 0..5 {
                let before = added.load(Ordering::SeqCst);
                let frozen = index.freeze().unwrap();
                // The adder may be one ahead of what it has told.
                let after = added.load(Ordering::SeqCst) + 1;
                let count = frozen.count();
                assert!(
                    (before..=after).contains(&count),
                    "{before} {count} {after}"
                );
                let file = frozen.save(directory.path(), "vectors").unwrap();
                let loaded =
                    VectorIndex::load(directory.path(), &file, *index.parameters()).unwrap();
                assert_eq!(loaded.ids(), (0..count as u64).collect::<Vec<_>>());
            }
            stop.store(true, Ordering::SeqCst);
        });
        let count = added.load(Ordering::SeqCst) as u64;
        assert_eq!(index.ids(), (0..count).collect::<Vec<_>>());
    }
}

#[test]
fn more_searches_at_once_than_the_graph_has_contexts() {
    // Searches so thorough that most threads are interrupted inside of one.
    let parameters = IndexParameters {
        expansion_search: 1_500,
        ..parameters(0)
    };
    let index = VectorIndex::new(parameters).unwrap();
    let vectors = clustered(2_000, DIMENSION, 20, 0.5, 1);
    for (id, vector) in vectors.iter().enumerate() {
        index.add(id as u64, vector).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let file = index
        .freeze()
        .unwrap()
        .save(directory.path(), "vectors")
        .unwrap();
    let loaded = VectorIndex::load(directory.path(), &file, parameters).unwrap();
    for index in [&index, &loaded] {
        let begin = Barrier::new(80);
        thread::scope(|scope| {
            for offset in 0..80 {
                let (begin, vectors) = (&begin, &vectors);
                scope.spawn(move || {
                    begin.wait();
                    for vector in vectors.iter().skip(offset).step_by(150) {
                        assert_eq!(index.search(vector, 5).unwrap().len(), 5);
                    }
                });
            }
        });
    }
}

#[test]
fn freezes_from_many_threads_take_turns() {
    let index = VectorIndex::new(parameters(50)).unwrap();
    let frozen_now = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (index, frozen_now) = (&index, &frozen_now);
            scope.spawn(move || {
                let mut random = Random(thread);
                for round in 0..100 {
                    index
                        .add(thread * 1_000 + round, &random.vector(DIMENSION))
                        .unwrap();
                    match index.freeze() {
                        Ok(frozen) => {
                            assert_eq!(frozen_now.fetch_add(1, Ordering::SeqCst), 0);
                            thread::yield_now();
                            frozen_now.fetch_sub(1, Ordering::SeqCst);
                            drop(frozen);
                        }
                        Err(IndexError::AlreadyFrozen) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(index.len(), 800);
    assert_eq!(index.freeze().unwrap().count(), 800);
}
