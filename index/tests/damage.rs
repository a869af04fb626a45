//! Damage to checkpoint files, and what it is called.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use std::fs;
use std::path::Path;

use common::{FOOTER, both_forms, sixty};
use prestige_index::{CheckpointFile, IndexError, IndexParameters, Precision, VectorIndex};
use tempfile::TempDir;

fn saved(parameters: IndexParameters) -> (TempDir, CheckpointFile) {
    let directory = tempfile::tempdir().unwrap();
    let file = sixty(parameters)
        .freeze()
        .unwrap()
        .save(directory.path(), "vectors")
        .unwrap();
    (directory, file)
}

fn refusal(directory: &Path, file: &CheckpointFile, parameters: IndexParameters) -> IndexError {
    match VectorIndex::load(directory, file, parameters) {
        Ok(_) => panic!("a damaged checkpoint was loaded"),
        Err(error) => error,
    }
}

/// Writes `bytes` over the file and returns a record that fits them.
fn forged(directory: &TempDir, file: &CheckpointFile, bytes: &[u8]) -> CheckpointFile {
    fs::write(directory.path().join(&file.file_name), bytes).unwrap();
    CheckpointFile {
        length: bytes.len() as u64,
        crc32c: crc32c::crc32c(bytes),
        ..file.clone()
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    for parameters in both_forms() {
        let (directory, file) = saved(parameters);
        let path = directory.path().join("vectors");
        let good = fs::read(&path).unwrap();
        let mut bytes = good.clone();
        // Every byte of tables and footer, every seventeenth of the body.
        let tables = good.len() - 700;
        for position in (0..tables).step_by(17).chain(tables..good.len()) {
            bytes[position] ^= 1 << (position % 8);
            fs::write(&path, &bytes).unwrap();
            let error = refusal(directory.path(), &file, parameters);
            assert!(
                matches!(error, IndexError::WrongChecksum { .. }),
                "{position}: {error}"
            );
            bytes[position] = good[position];
        }
        fs::write(&path, &good).unwrap();
        VectorIndex::load(directory.path(), &file, parameters).unwrap();
    }
}

#[test]
fn a_shorter_or_longer_file_is_noticed() {
    for parameters in both_forms() {
        let (directory, file) = saved(parameters);
        let path = directory.path().join("vectors");
        let good = fs::read(&path).unwrap();
        for length in [0, 1, FOOTER - 1, FOOTER, good.len() / 2, good.len() - 1] {
            fs::write(&path, &good[..length]).unwrap();
            match refusal(directory.path(), &file, parameters) {
                IndexError::WrongFileLength {
                    expected, found, ..
                } => {
                    assert_eq!((expected, found), (good.len() as u64, length as u64));
                }
                error => panic!("{length}: {error}"),
            }
        }
        fs::write(&path, [good.as_slice(), &[0]].concat()).unwrap();
        let error = refusal(directory.path(), &file, parameters);
        assert!(
            matches!(error, IndexError::WrongFileLength { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_missing_file_and_one_that_is_no_file() {
    let parameters = both_forms()[0];
    let (directory, file) = saved(parameters);
    fs::remove_file(directory.path().join("vectors")).unwrap();
    let error = refusal(directory.path(), &file, parameters);
    assert!(matches!(error, IndexError::Missing { .. }), "{error}");
    let error = refusal(&directory.path().join("nowhere"), &file, parameters);
    assert!(matches!(error, IndexError::Missing { .. }), "{error}");

    fs::create_dir(directory.path().join("vectors")).unwrap();
    let length = fs::metadata(directory.path().join("vectors"))
        .unwrap()
        .len();
    let error = refusal(
        directory.path(),
        &CheckpointFile {
            length,
            ..file.clone()
        },
        parameters,
    );
    assert!(matches!(error, IndexError::Io { .. }), "{error}");

    for name in ["", "..", "../vectors", "/etc/passwd"] {
        let file = CheckpointFile {
            file_name: name.to_owned(),
            ..file.clone()
        };
        let error = refusal(directory.path(), &file, parameters);
        assert!(
            matches!(error, IndexError::InvalidFileName { .. }),
            "{error}"
        );
    }
}

#[test]
fn other_parameters_are_refused_by_record_and_by_file() {
    for parameters in both_forms() {
        let (directory, file) = saved(parameters);
        for (name, asked) in [
            (
                "dimension",
                IndexParameters {
                    dimension: 11,
                    ..parameters
                },
            ),
            (
                "precision",
                IndexParameters {
                    precision: Precision::F32,
                    ..parameters
                },
            ),
            (
                "connectivity",
                IndexParameters {
                    connectivity: 17,
                    ..parameters
                },
            ),
            (
                "expansion_add",
                IndexParameters {
                    expansion_add: 201,
                    ..parameters
                },
            ),
        ] {
            // A record that agrees with the question does not help: the file itself says what it
            // is.
            let lying = CheckpointFile {
                parameters: asked,
                ..file.clone()
            };
            for record in [&file, &lying] {
                match refusal(directory.path(), record, asked) {
                    IndexError::OtherParameters { name: found, .. } => assert_eq!(found, name),
                    error => panic!("{name}: {error}"),
                }
            }
        }
        let asked = IndexParameters {
            expansion_search: 7,
            exact_limit: 3,
            ..parameters
        };
        let loaded = VectorIndex::load(directory.path(), &file, asked).unwrap();
        assert_eq!(*loaded.parameters(), asked);

        let bad = IndexParameters {
            expansion_search: 0,
            ..parameters
        };
        let error = refusal(directory.path(), &file, bad);
        assert!(
            matches!(error, IndexError::InvalidParameter { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_contradicts_itself_is_refused_although_its_checksum_is_right() {
    for parameters in both_forms() {
        let (directory, file) = saved(parameters);
        let good = fs::read(directory.path().join("vectors")).unwrap();
        let footer = good.len() - FOOTER;

        let other = CheckpointFile {
            count: 59,
            ..file.clone()
        };
        let error = refusal(directory.path(), &other, parameters);
        assert!(matches!(error, IndexError::Corrupt { .. }), "{error}");

        for length in [0, 1, FOOTER - 1] {
            let record = forged(&directory, &file, &good[..length]);
            let error = refusal(directory.path(), &record, parameters);
            assert!(
                matches!(error, IndexError::Corrupt { .. }),
                "{length}: {error}"
            );
        }
        let mut bytes = good.clone();
        bytes[footer + 8] = 2;
        let record = forged(&directory, &file, &bytes);
        let error = refusal(directory.path(), &record, parameters);
        assert!(
            matches!(
                error,
                IndexError::UnknownFormat {
                    expected: 1,
                    found: 2,
                    ..
                }
            ),
            "{error}"
        );

        // Magic, form, body, slots, count, dead; cut in the middle; an id named twice.
        for position in [0, 12, 32, 38, 40, 47, 48, 55, 56, 63].map(|offset| footer + offset) {
            let mut bytes = good.clone();
            bytes[position] ^= 0x42;
            let record = forged(&directory, &file, &bytes);
            let error = refusal(directory.path(), &record, parameters);
            assert!(
                matches!(error, IndexError::Corrupt { .. }),
                "{position}: {error}"
            );
        }
        let mut bytes = good.clone();
        bytes.remove(good.len() / 2);
        let record = forged(&directory, &file, &bytes);
        let error = refusal(directory.path(), &record, parameters);
        assert!(matches!(error, IndexError::Corrupt { .. }), "{error}");

        // The last entries of each table: three dead slots of 4 bytes and three twins of 12.
        let (dead, twins) = match parameters.exact_limit {
            0 => (footer - 40, footer - 36),
            _ => (footer, footer),
        };
        let mut bytes = good.clone();
        let owner = if dead < twins { dead - 8 } else { dead } - 16;
        bytes.copy_within(owner - 8..owner, owner);
        let record = forged(&directory, &file, &bytes);
        let error = refusal(directory.path(), &record, parameters);
        assert!(error.to_string().contains("named twice"), "{error}");

        if dead == footer {
            for value in [0_u16, 0x7C00, 0x7E00] {
                let mut bytes = good.clone();
                for value_bytes in bytes[..20].chunks_exact_mut(2) {
                    value_bytes.copy_from_slice(&value.to_le_bytes());
                }
                let record = forged(&directory, &file, &bytes);
                let error = refusal(directory.path(), &record, parameters);
                assert!(error.to_string().contains("no direction"), "{error}");
            }
            continue;
        }
        // A slot that does not exist, is listed twice, or is dead and shared.
        for (position, slots) in [(dead, [60_u32, 7, u32::MAX]), (twins, [60, 7, u32::MAX])] {
            for slot in slots {
                let mut bytes = good.clone();
                bytes[position..position + 4].copy_from_slice(&slot.to_le_bytes());
                let record = forged(&directory, &file, &bytes);
                let error = refusal(directory.path(), &record, parameters);
                assert!(error.to_string().contains("slot"), "{error}");
            }
        }
    }
}
