//! Checkpoint files: what comes back from them, and what a failed save leaves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::fs;

use common::{FOOTER, both_forms, clustered, file_names, sixty};
use prestige_index::{IndexError, IndexParameters, Precision, VectorIndex};

#[test]
fn what_loads_is_what_was_saved() {
    for limits in both_forms() {
        for precision in [Precision::F32, Precision::F16, Precision::I8] {
            let parameters = IndexParameters {
                precision,
                ..limits
            };
            let index = sixty(parameters);
            let directory = tempfile::tempdir().unwrap();
            let frozen = index.freeze().unwrap();
            let file = frozen.save(directory.path(), "vectors").unwrap();
            assert_eq!(frozen.save(directory.path(), "vectors").unwrap(), file);
            drop(frozen);

            let bytes = fs::read(directory.path().join("vectors")).unwrap();
            assert_eq!(file.length, bytes.len() as u64);
            assert_eq!(file.crc32c, crc32c::crc32c(&bytes));
            assert_eq!(file.count, 60);
            assert_eq!(file.parameters, parameters);
            assert_eq!(file_names(directory.path()), ["vectors"]);

            let loaded = VectorIndex::load(directory.path(), &file, parameters).unwrap();
            assert_eq!(loaded.ids(), index.ids());
            assert_eq!(loaded.is_graph(), index.is_graph());
            for query in clustered(20, 10, 5, 0.5, 2) {
                for k in [1, 3, 60] {
                    assert_eq!(
                        loaded.search(&query, k).unwrap(),
                        index.search(&query, k).unwrap()
                    );
                }
            }
            // It goes on like any other: dead slots stay dead, removed ids may return.
            for (id, vector) in clustered(200, 10, 5, 0.5, 3).iter().enumerate() {
                loaded.add(2_000 + id as u64, vector).unwrap();
            }
            loaded.add(1_000, &[1.0; 10]).unwrap();
            assert!(!loaded.remove(1_007).unwrap());
            assert_eq!(loaded.len(), 261);
            assert_eq!(loaded.search(&[1.0; 10], 1).unwrap()[0].id, 1_000);
        }
    }
}

#[test]
fn an_empty_index_has_a_file_too() {
    for parameters in both_forms() {
        let directory = tempfile::tempdir().unwrap();
        let index = VectorIndex::new(parameters).unwrap();
        let file = index
            .freeze()
            .unwrap()
            .save(directory.path(), "empty")
            .unwrap();
        assert_eq!((file.count, file.length), (0, FOOTER as u64));
        let loaded = VectorIndex::load(directory.path(), &file, parameters).unwrap();
        assert!(loaded.is_empty());
        loaded.add(1, &[1.0; 10]).unwrap();
        assert_eq!(loaded.ids(), [1]);
    }
}

#[test]
fn a_graph_whose_vectors_are_all_removed_loads() {
    let parameters = both_forms()[1];
    let directory = tempfile::tempdir().unwrap();
    let index = sixty(parameters);
    let frozen = index.freeze().unwrap();
    for id in index.ids() {
        index.remove(id).unwrap();
    }
    drop(frozen);
    let file = index
        .freeze()
        .unwrap()
        .save(directory.path(), "none")
        .unwrap();
    assert_eq!(file.count, 0);
    assert!(
        VectorIndex::load(directory.path(), &file, parameters)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_failed_save_leaves_nothing_behind() {
    for parameters in both_forms() {
        let index = sixty(parameters);
        let frozen = index.freeze().unwrap();
        let directory = tempfile::tempdir().unwrap();

        for name in ["", ".", "a/b", "../a"] {
            let error = frozen.save(directory.path(), name).unwrap_err();
            assert!(
                matches!(error, IndexError::InvalidFileName { .. }),
                "{error}"
            );
        }
        let error = frozen
            .save(&directory.path().join("nowhere"), "vectors")
            .unwrap_err();
        assert!(
            matches!(error, IndexError::Io { .. } | IndexError::Graph { .. }),
            "{error}"
        );

        // A directory in the way of the rename.
        fs::create_dir(directory.path().join("vectors")).unwrap();
        let error = frozen.save(directory.path(), "vectors").unwrap_err();
        assert!(
            matches!(
                error,
                IndexError::Io {
                    action: "rename",
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(file_names(directory.path()), ["vectors"]);

        // A directory in the way of the temporary file.
        let file = frozen.save(directory.path(), "good").unwrap();
        fs::create_dir(directory.path().join("good.tmp")).unwrap();
        let error = frozen.save(directory.path(), "good").unwrap_err();
        assert!(
            matches!(error, IndexError::Io { .. } | IndexError::Graph { .. }),
            "{error}"
        );
        VectorIndex::load(directory.path(), &file, parameters).unwrap();

        // What a crash may leave behind is in nobody's way.
        fs::write(directory.path().join("other.tmp"), "torn").unwrap();
        let file = frozen.save(directory.path(), "other").unwrap();
        VectorIndex::load(directory.path(), &file, parameters).unwrap();
        assert_eq!(
            file_names(directory.path()),
            ["good", "good.tmp", "other", "vectors"]
        );
    }
}

#[test]
fn a_directory_whose_name_is_not_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let [exact, graph] = both_forms();
    let directory = tempfile::tempdir().unwrap();
    let odd = directory.path().join(OsStr::from_bytes(b"\xFF"));
    fs::create_dir(&odd).unwrap();
    let file = sixty(exact)
        .freeze()
        .unwrap()
        .save(&odd, "vectors")
        .unwrap();
    VectorIndex::load(&odd, &file, exact).unwrap();
    let error = sixty(graph)
        .freeze()
        .unwrap()
        .save(&odd, "graph")
        .unwrap_err();
    assert!(matches!(error, IndexError::PathNotUtf8 { .. }), "{error}");
}

#[test]
fn an_exact_scan_that_was_a_graph_of_eight_bits() {
    let parameters = IndexParameters {
        precision: Precision::I8,
        exact_limit: 40,
        ..IndexParameters::new(10)
    };
    let index = sixty(parameters);
    assert!(index.is_graph());
    for id in 1_001..1_040 {
        index.remove(id).unwrap();
    }
    assert!(!index.is_graph());
    let directory = tempfile::tempdir().unwrap();
    let file = index
        .freeze()
        .unwrap()
        .save(directory.path(), "vectors")
        .unwrap();
    let loaded = VectorIndex::load(directory.path(), &file, parameters).unwrap();
    for query in clustered(20, 10, 5, 0.5, 2) {
        assert_eq!(
            loaded.search(&query, 5).unwrap(),
            index.search(&query, 5).unwrap()
        );
    }
}

#[test]
fn equal_vectors_share_a_slot_after_loading_too() {
    let parameters = both_forms()[1];
    let directory = tempfile::tempdir().unwrap();
    let file = sixty(parameters)
        .freeze()
        .unwrap()
        .save(directory.path(), "vectors")
        .unwrap();
    let loaded = VectorIndex::load(directory.path(), &file, parameters).unwrap();
    // The vectors of 1,001, which is present, and of 1,007, which has been removed.
    let vectors = clustered(60, 10, 5, 0.5, 1);
    for id in 0..50 {
        loaded.add(id, &vectors[1]).unwrap();
        loaded.add(100 + id, &vectors[7]).unwrap();
    }
    let again = loaded
        .freeze()
        .unwrap()
        .save(directory.path(), "again")
        .unwrap();
    // Each is an entry of 12 bytes among the twins; but one has brought a dead slot to life, which
    // takes one of 4 from the dead.
    assert_eq!(again.length - file.length, 99 * 12 - 4);
}
