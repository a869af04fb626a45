#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::{Options, Store};
use std::collections::BTreeMap;
use tempfile::TempDir;

const LENGTHS: [usize; 5] = [10, 400, 3000, 40_000, 200_000];
const KEYS: usize = 25;

fn key(i: usize) -> Vec<u8> {
    format!("key{i:04}").into_bytes()
}

/// Starts with the number, so that no two are equal.
fn value(i: usize, length: usize) -> Vec<u8> {
    let mut value = format!("{i:08} ").into_bytes();
    value.extend((0..length).map(|j| ((i + j * 131) % 251) as u8));
    value
}

/// What a kill leaves after `keys` puts of values with `length` bytes: all of them in one log.
fn killed(keys: usize, length: impl Fn(usize) -> usize) -> TempDir {
    killed_with_sizes(keys, length).0
}

/// As [`killed`], with the size that the log had after each put.
fn killed_with_sizes(keys: usize, length: impl Fn(usize) -> usize) -> (TempDir, Vec<u64>) {
    let (live, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(live.path()).unwrap();
    let log = only_log(live.path());
    let put = |i| {
        store.put(&key(i), &value(i, length(i)), None).unwrap();
        log.metadata().unwrap().len()
    };
    let sizes = (0..keys).map(put).collect();
    copy(live.path(), left.path());
    (left, sizes)
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        std::fs::write(to.join(name), bytes).unwrap();
    }
}

fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Some of the values are in fragments, over several blocks.
fn killed_with_fragments() -> TempDir {
    killed(KEYS, |i| LENGTHS[i % LENGTHS.len()])
}

fn only_log(path: &Path) -> PathBuf {
    let mut logs = logs(path, 0).unwrap();
    assert_eq!(logs.len(), 1);
    logs.pop().unwrap()
}

fn open(path: &Path) -> Result<Store> {
    Store::open(path, Options::default())
}

/// How many of the first keys are there, each with its value and none behind a gap.
fn keys_in(store: &Store, length: impl Fn(usize) -> usize) -> usize {
    let keys = store.count_keys(true).unwrap() as usize;
    for i in 0..keys {
        assert_eq!(store.get(&key(i)).unwrap(), Some(value(i, length(i))));
    }
    assert!(store.verify().unwrap().is_empty());
    keys
}

#[test]
fn the_log_of_a_killed_process_passes_untouched() {
    let left = killed_with_fragments();
    let before = files(left.path());
    assert!(before.values().any(|bytes| bytes.len() > 1_000_000));
    assert!(check(left.path(), 0).unwrap().is_empty());
    assert!(before == files(left.path()));
    let store = open(left.path()).unwrap();
    assert_eq!(keys_in(&store, |i| LENGTHS[i % LENGTHS.len()]), KEYS);
}

#[test]
fn a_store_opens_with_its_log_cut_anywhere() {
    let length = |i| LENGTHS[i % 4];
    let (left, sizes) = killed_with_sizes(10, length);
    let around = sizes.iter().flat_map(|size| [size - 1, *size, size + 3]);
    let cuts = around.chain((0..sizes[9]).step_by(7919));
    for cut in cuts.filter(|cut| *cut <= sizes[9]) {
        let copied = tempfile::tempdir().unwrap();
        copy(left.path(), copied.path());
        // Without the mark, since it tells of what is cut off here at the beginning of the log.
        std::fs::remove_file(copied.path().join("store.lock")).unwrap();
        let log = only_log(copied.path());
        File::options()
            .write(true)
            .open(&log)
            .unwrap()
            .set_len(cut)
            .unwrap();
        let store = open(copied.path()).unwrap();
        let expected = sizes.iter().filter(|size| **size <= cut).count();
        assert_eq!(keys_in(&store, length), expected, "cut at {cut}");
    }
}

#[test]
fn flipped_bytes_are_refused_and_nothing_is_changed() {
    let left = killed_with_fragments();
    let log = only_log(left.path());
    let healthy = std::fs::read(&log).unwrap();
    for at in (3..healthy.len()).step_by(29_989) {
        let mut bytes = healthy.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&log, &bytes).unwrap();
        let before = files(left.path());
        for _ in 0..2 {
            assert!(
                matches!(open(left.path()), Err(Error::Corruption(_))),
                "{at}"
            );
        }
        assert!(before == files(left.path()), "byte {at}");
    }
}

#[test]
fn a_torn_tail_stays_if_something_else_is_refused() {
    let left = killed(5, |_| 300);
    let log = only_log(left.path());
    let bytes = std::fs::read(&log).unwrap();
    // A damaged log beside it, of which the number is higher and therefore is read later.
    std::fs::write(&log, &bytes[..bytes.len() - 5]).unwrap();
    let later = log.with_file_name("900000.log");
    std::fs::write(&later, b"\x01\x02\x03\x04\x05\x00\x05behind").unwrap();
    let before = files(left.path());
    assert!(matches!(open(left.path()), Err(Error::Corruption(_))));
    assert!(before == files(left.path()));
    // The same with a MANIFEST that is damaged.
    std::fs::remove_file(&later).unwrap();
    let current = std::fs::read_to_string(left.path().join("CURRENT")).unwrap();
    let manifest = left.path().join(current.trim_end());
    let mut damaged = std::fs::read(&manifest).unwrap();
    damaged[20] ^= 1;
    let healthy = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, damaged).unwrap();
    let before = files(left.path());
    assert!(matches!(open(left.path()), Err(Error::Corruption(_))));
    assert!(before == files(left.path()));
    // With both out of the way it is cut, and the last put is gone.
    std::fs::write(&manifest, healthy).unwrap();
    assert_eq!(keys_in(&open(left.path()).unwrap(), |_| 300), 4);
}

#[test]
fn a_torn_tail_with_data_in_a_later_log_is_refused() {
    let left = killed(5, |_| 300);
    let log = only_log(left.path());
    let bytes = std::fs::read(&log).unwrap();
    let later = log.with_file_name("900000.log");
    std::fs::write(&later, &bytes).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() - 5]).unwrap();
    assert!(matches!(check(left.path(), 0), Err(Error::Corruption(_))));
    std::fs::write(&later, b"").unwrap();
    assert_eq!(check(left.path(), 0).unwrap().len(), 1);
}

#[test]
fn a_log_missing_between_others_is_refused() {
    let left = killed(6, |_| 300);
    let log = only_log(left.path());
    let bytes = std::fs::read(&log).unwrap();
    let (_, sizes) = killed_with_sizes(6, |_| 300);
    let [one, two] = [sizes[1], sizes[3]].map(|size| usize::try_from(size).unwrap());
    let names = [
        log.clone(),
        log.with_file_name("900001.log"),
        log.with_file_name("900002.log"),
    ];
    for (name, part) in names
        .iter()
        .zip([&bytes[..one], &bytes[one..two], &bytes[two..]])
    {
        std::fs::write(name, part).unwrap();
    }
    assert!(check(left.path(), 0).unwrap().is_empty());
    std::fs::remove_file(&names[1]).unwrap();
    assert!(matches!(check(left.path(), 0), Err(Error::Corruption(_))));
    std::fs::write(&names[1], b"").unwrap();
    assert!(matches!(check(left.path(), 0), Err(Error::Corruption(_))));
    // The oldest one may have been deleted because it was no longer needed.
    std::fs::write(&names[1], &bytes[one..two]).unwrap();
    std::fs::remove_file(&names[0]).unwrap();
    assert!(check(left.path(), 0).unwrap().is_empty());
}

/// A store that was opened three times, killed in the end, and the logs of the first two times, which it does not need.
fn killed_with_obsolete_logs() -> (TempDir, [(String, Vec<u8>); 2]) {
    let (live, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut logs = Vec::new();
    for session in 0..3 {
        let store = open(live.path()).unwrap();
        for i in session * 5..session * 5 + 5 {
            store.put(&key(i), &value(i, 300), None).unwrap();
        }
        let log = only_log(live.path());
        let name = log.file_name().unwrap().to_str().unwrap().to_owned();
        logs.push((name, std::fs::read(&log).unwrap()));
        if session == 2 {
            copy(live.path(), left.path());
        }
        store.close().unwrap();
    }
    logs.pop();
    (left, logs.try_into().unwrap())
}

#[test]
fn obsolete_logs_with_a_gap_behind_them_are_not_looked_at() {
    // As RocksDB leaves them if it is killed while it deletes them, the newest first.
    let (left, [(name, bytes), _]) = killed_with_obsolete_logs();
    std::fs::write(left.path().join(name), bytes).unwrap();
    assert!(matches!(check(left.path(), 0), Err(Error::Corruption(_))));
    assert_eq!(keys_in(&open(left.path()).unwrap(), |_| 300), 15);
}

#[test]
fn torn_obsolete_logs_are_not_looked_at() {
    let (left, logs) = killed_with_obsolete_logs();
    for (name, bytes) in &logs {
        std::fs::write(left.path().join(name), &bytes[..bytes.len() - 5]).unwrap();
    }
    assert!(matches!(check(left.path(), 0), Err(Error::Corruption(_))));
    assert_eq!(keys_in(&open(left.path()).unwrap(), |_| 300), 15);
}

#[test]
fn the_log_in_use_is_looked_at_beside_obsolete_ones() {
    let (left, logs) = killed_with_obsolete_logs();
    let log = only_log(left.path());
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    for (name, bytes) in &logs {
        std::fs::write(left.path().join(name), bytes).unwrap();
    }
    let before = files(left.path());
    assert!(matches!(open(left.path()), Err(Error::Corruption(_))));
    assert!(before == files(left.path()));
}

#[test]
fn a_torn_value_that_holds_a_log_is_cut_off() {
    let (live, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(live.path()).unwrap();
    let log = only_log(live.path());
    for i in 0..5 {
        store.put(&key(i), &value(i, 300), None).unwrap();
    }
    let earlier = std::fs::read(&log).unwrap();
    store.put(b"log", &earlier, None).unwrap();
    copy(live.path(), left.path());
    let whole = std::fs::read(&log).unwrap();
    let log = only_log(left.path());
    for cut in (earlier.len()..whole.len()).step_by(61) {
        std::fs::write(&log, &whole[..cut]).unwrap();
        let torn = check(left.path(), 0).unwrap();
        let sound: Vec<u64> = torn.iter().map(|tail| tail.extent.sound).collect();
        let expected = (cut > earlier.len()).then_some(earlier.len() as u64);
        assert_eq!(sound, expected.as_slice(), "cut at {cut}");
    }
    // Bits that flip are damage still, be it in what could be taken for a value.
    for at in (0..whole.len()).step_by(23) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&log, bytes).unwrap();
        assert!(matches!(check(left.path(), 0), Err(Error::Corruption(_))));
    }
    std::fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(keys_in(&open(left.path()).unwrap(), |_| 300), 5);
}

#[test]
fn writes_are_plausible_if_their_numbers_go_on() {
    let header =
        |sequence: u64, count: u32| [&sequence.to_le_bytes()[..], &count.to_le_bytes()].concat();
    let mut writes = Writes::default();
    assert!(writes.is_plausible(&header(1 << 50, 1), 0));
    writes.add(b"short");
    assert_eq!(writes.sequences, None);
    writes.add(&header(70, 5));
    writes.add(&header(75, 3));
    assert_eq!(writes.sequences, Some(70..78));
    for (sequence, plausible) in [
        (77, false),
        (78, true),
        (178, true),
        (179, false),
        (0, false),
    ] {
        assert_eq!(writes.is_plausible(&header(sequence, 1), 100), plausible);
    }
    assert!(writes.is_plausible(&header(0, 1)[..11], 100));
}

#[test]
fn names_of_logs() {
    assert_eq!(number("000012.log"), Some(12));
    for other in [
        "LOG",
        ".log",
        "12.log.old",
        "+12.log",
        "x12.log",
        "99999999999999999999.log",
    ] {
        assert_eq!(number(other), None, "{other}");
    }
}
