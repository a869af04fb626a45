#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::{Options, Store, manifest};
use std::path::Path;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn edit(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().copied().flat_map(varint).collect()
}

fn oldest_log(edits: &[Vec<u8>]) -> Option<u64> {
    let mut all = Edits::default();
    edits.iter().for_each(|edit| all.add(edit));
    all.oldest_log()
}

/// Adds the family `family`, of which the name is `f`.
fn added(family: u64) -> Vec<u8> {
    edit(&[200, family, 201, 1, 102])
}

#[test]
fn the_family_that_lags_behind_needs_the_oldest_log() {
    let edits = [edit(&[2, 700]), added(1), edit(&[2, 300, 200, 1])];
    assert_eq!(oldest_log(&edits[..1]), Some(700));
    assert_eq!(oldest_log(&edits[..2]), Some(0));
    assert_eq!(oldest_log(&edits), Some(300));
    let with = |more: &[u64]| oldest_log(&[&edits[..], &[edit(more)]].concat());
    assert_eq!(with(&[2, 200, 200, 1]), Some(300));
    assert_eq!(with(&[2, 400, 200, 1]), Some(400));
    assert_eq!(with(&[2, 1 << 40, 200, 1]), Some(700));
    assert_eq!(with(&[10, 200]), Some(300));
    assert_eq!(with(&[8200, 1, 9, 10, 301]), Some(301));
    assert_eq!(with(&[10, 900]), Some(900));
    assert_eq!(with(&[200, 1, 202]), Some(700));
}

#[test]
fn a_group_counts_when_it_is_complete() {
    let group = [
        edit(&[2, 5, 300, 2]),
        edit(&[10, 7, 300, 1]),
        edit(&[2, 6, 300, 0]),
    ];
    assert_eq!(oldest_log(&group[..2]), Some(0));
    assert_eq!(oldest_log(&group), Some(7));
    let [first, second, last] = group;
    assert_eq!(oldest_log(&[first.clone(), last.clone()]), None);
    assert_eq!(oldest_log(&[first, edit(&[2, 5]), second, last]), None);
}

#[test]
fn other_fields_are_skipped_by_their_lengths() {
    let fields: [&[u64]; 15] = [
        &[1, 2, 2, 99],
        &[3, 1 << 60],
        &[4, u64::MAX],
        &[5, 1, 2, 2, 99],
        &[6, 2, 2],
        &[9, 2],
        &[103, 2, 2, 2, 1, 2, 1, 2, 2, 2, 5, 1, 2, 3, 2, 2, 99, 1],
        &[203, 2],
        &[400, 2, 2, 2, 1, 2, 1, 2, 0],
        &[401, 2, 2, 2, 0],
        &[8193, 2, 2, 99],
        &[8198, 0],
        &[8201, 1, 2],
        &[8203, 2, 2, 99],
        &[9000, 2, 2, 99],
    ];
    for field in fields {
        let edits = edit(&[&[2, 12][..], field, &[10, 13]].concat());
        assert_eq!(oldest_log(&[edits]), Some(13), "{field:?}");
        // What it is cut to is not understood, or ends with its tag.
        let field = edit(field);
        for length in 1..field.len() {
            let cut = [&edit(&[2, 12])[..], &field[..length]].concat();
            assert_eq!(oldest_log(&[cut]), None, "{length} bytes of {field:?}");
        }
    }
}

#[test]
fn what_is_not_understood_keeps_all_logs() {
    let not_understood: [&[u64]; 18] = [
        &[7, 0, 2, 2, 0, 0],
        &[8, 0],
        &[100, 0],
        &[102, 0],
        &[104, 0],
        &[402, 0],
        &[8194, 0],
        &[8196, 0],
        &[8199, 0],
        // A log number of no family.
        &[8200, 1, 9, 2, 12],
        // Fields of files that must be known.
        &[103, 2, 2, 2, 1, 2, 1, 2, 2, 2, 65, 1, 0, 1],
        &[400, 2, 2, 2, 0, 0, 1, 0, 0],
        // No such family, and one that is there already.
        &[200, 1, 2, 7],
        &[200, 0, 201, 0],
        &[200, 1, 202],
        // Numbers that are too great.
        &[200, 1 << 32],
        &[2, 7, 1 << 32],
        &[1, 1 << 63],
    ];
    for numbers in not_understood {
        let edits = [edit(&[2, 700]), edit(numbers), edit(&[2, 800])];
        assert_eq!(oldest_log(&edits), None, "{numbers:?}");
    }
    let too_long = [&[2][..], &[0xff; 9], &[2]].concat();
    assert_eq!(oldest_log(&[too_long]), None);
    let longest = [&[2][..], &[0xff; 9], &[1]].concat();
    assert_eq!(oldest_log(&[longest]), Some(u64::MAX));
}

/// The oldest log that RocksDB reads when it opens the store in `path`, as it says of a log that is older than any.
/// Nothing if it does not open it.
fn said_by_rocksdb(path: &Path) -> Option<u64> {
    std::fs::write(path.join("000001.log"), b"").unwrap();
    let mut options = rocksdb::Options::default();
    options.set_log_level(rocksdb::LogLevel::Info);
    let families = rocksdb::DB::list_cf(&options, path).unwrap();
    drop(rocksdb::DB::open_cf(&options, path, families).ok()?);
    let said = std::fs::read_to_string(path.join("LOG")).unwrap();
    if said.contains("Recovering log #1 ") {
        return Some(0);
    }
    let (_, behind) = said.split_once("Skipping log #1 since").unwrap();
    let (_, behind) = behind.split_once("min log to keep #").unwrap();
    let digits = behind.split(|it: char| !it.is_ascii_digit()).next();
    Some(digits.unwrap().parse().unwrap())
}

#[test]
fn rocksdb_reads_the_same_logs() {
    let rounds = std::env::var("PRESTIGE_MANIFEST_ROUNDS");
    let rounds: u64 = rounds.map_or(30, |rounds| rounds.parse().unwrap());
    let live = tempfile::tempdir().unwrap();
    let open = || {
        let options = Options {
            write_buffer_bytes: 1 << 16,
            ..Options::default()
        };
        Store::open(live.path(), options).unwrap()
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut store = open();
    for round in 0..rounds {
        for i in 0..(round * 37) % 400 {
            let key = format!("{}", i * 7919 % 500);
            let value = format!("{round} {i} {}", "x".repeat(500));
            store.put(key.as_bytes(), value.as_bytes(), None).unwrap();
        }
        match round % 4 {
            0 => store.flush().unwrap(),
            1 => {
                store.close().unwrap();
                store = open();
            }
            _ => {}
        }
        // As after a kill, unless a table is deleted meanwhile.
        let copied = loop {
            let copied = tempfile::tempdir().unwrap();
            let files = std::fs::read_dir(live.path()).unwrap();
            let whole = files.map(|file| file.unwrap()).try_for_each(|file| {
                std::fs::copy(file.path(), copied.path().join(file.file_name())).map(|_| ())
            });
            if whole.is_ok() && crate::db::Db::families(copied.path()).is_ok() {
                break copied;
            }
        };
        let found = manifest::check(copied.path()).unwrap();
        if let Some(said) = said_by_rocksdb(copied.path()) {
            assert!(
                found == said || (found <= 1 && said == 0),
                "{found}, {said}"
            );
            seen.insert(found);
        }
    }
    assert!(seen.len() as u64 > rounds / 3, "{seen:?}");
}
