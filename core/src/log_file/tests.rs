#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use std::collections::BTreeSet;

/// A log as RocksDB writes it, and where each of its logical records ends.
struct Written {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A header and its payload, with a right checksum whatever the type.
fn physical(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut covered = vec![kind];
    covered.extend_from_slice(payload);
    let checksum = crc32c::crc32c(&covered).rotate_right(15).wrapping_add(MASK);
    let mut record = checksum.to_le_bytes().to_vec();
    record.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_le_bytes());
    record.extend_from_slice(&covered);
    record
}

fn write(lengths: &[usize]) -> Written {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for (number, length) in lengths.iter().enumerate() {
        // No zeros, so that a cut never looks like a page that was not written.
        let payload: Vec<u8> = (0..*length)
            .map(|i| ((i * 31 + number * 7) % 255 + 1) as u8)
            .collect();
        let mut rest = payload.as_slice();
        let mut first = true;
        loop {
            let room = BLOCK - bytes.len() % BLOCK;
            if room < HEADER {
                bytes.resize(bytes.len() + room, 0);
                continue;
            }
            let (part, after) = rest.split_at(rest.len().min(room - HEADER));
            let kind = match (first, after.is_empty()) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            bytes.extend(physical(kind, part));
            (rest, first) = (after, false);
            if rest.is_empty() {
                break;
            }
        }
        ends.push(bytes.len());
    }
    Written { bytes, ends }
}

/// Content that can be anything; only counts the records.
#[derive(Default)]
struct Anything(usize);

impl Content for Anything {
    const BYTES: usize = 0;

    fn add(&mut self, _beginning: &[u8]) {
        self.0 += 1;
    }

    fn is_plausible(&self, _beginning: &[u8], _distance: u64) -> bool {
        true
    }
}

fn check_bytes(bytes: &[u8]) -> Result<Extent> {
    super::check_bytes(bytes, Path::new("test.log"), &mut Anything::default())
}

fn is_refused(bytes: &[u8]) -> bool {
    match check_bytes(bytes) {
        Ok(_) => false,
        Err(Error::Corruption(_)) => true,
        Err(other) => panic!("{other}"),
    }
}

/// Several blocks: short and long records, one that leaves no room for a header, one of which the first part is empty.
fn several_blocks() -> Written {
    let log = write(&[
        100, 5000, 27_600, 40, 100_000, 300, 19, 31_000, 500, 600, 700, 15_000, 14_700, 90,
    ]);
    assert!(log.bytes.len() > 5 * BLOCK && log.bytes.len() % BLOCK > 1000);
    log
}

#[test]
fn whole_logs_of_every_length_pass() {
    for last in (BLOCK - 600..BLOCK + 600).chain([0, 1, 3 * BLOCK]) {
        let log = write(&[300, last, 200]);
        let extent = check_bytes(&log.bytes).unwrap();
        let size = log.bytes.len() as u64;
        assert_eq!(
            (extent.size, extent.sound, extent.has_data),
            (size, size, true)
        );
    }
    let empty = check_bytes(b"").unwrap();
    assert_eq!((empty.size, empty.sound, empty.has_data), (0, 0, false));
}

#[test]
fn what_is_cut_anywhere_loses_its_last_record_only() {
    let log = several_blocks();
    let block_starts = (0..log.bytes.len()).step_by(BLOCK);
    let cuts: BTreeSet<usize> = log
        .ends
        .iter()
        .copied()
        .chain(block_starts)
        .flat_map(|at| at.saturating_sub(20)..at + 20)
        .chain((0..log.bytes.len()).step_by(97))
        .filter(|cut| *cut < log.bytes.len())
        .collect();
    for cut in cuts {
        let whole = log.ends.iter().rfind(|end| **end <= cut).copied();
        let whole = whole.unwrap_or(0);
        let extent = check_bytes(&log.bytes[..cut]).unwrap();
        assert_eq!(extent.size, cut as u64);
        // What fills up a block may be left or not.
        let sound = usize::try_from(extent.sound).unwrap();
        let filled = sound % BLOCK == 0 && sound - whole < HEADER;
        assert!(sound == whole || filled, "cut at {cut}: {sound}, {whole}");
        assert_eq!(
            check_bytes(&log.bytes[..sound]).unwrap().sound,
            extent.sound
        );
    }
}

#[test]
fn a_flipped_byte_is_refused_or_changes_nothing() {
    let log = several_blocks();
    let headers: Vec<usize> = log
        .ends
        .iter()
        .copied()
        .chain((0..log.bytes.len()).step_by(BLOCK))
        .flat_map(|at| at..at + HEADER)
        .collect();
    let last = *log.ends.iter().rev().nth(1).unwrap()..log.bytes.len();
    let all = headers
        .into_iter()
        .chain((0..log.bytes.len()).step_by(211))
        .chain(last)
        .filter(|at| *at < log.bytes.len());
    let healthy = check_bytes(&log.bytes).unwrap();
    let mut filling = 0;
    for at in all {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut bytes = log.bytes.clone();
            bytes[at] ^= mask;
            match check_bytes(&bytes) {
                Err(Error::Corruption(message)) => assert!(message.contains("at byte")),
                Err(other) => panic!("{other}"),
                // What fills up a block is not looked at by anybody.
                Ok(extent) => {
                    assert!(BLOCK - at % BLOCK < HEADER, "byte {at}, mask {mask}");
                    assert_eq!(extent, healthy);
                    filling += 1;
                }
            }
        }
    }
    assert!(filling < 200);
}

#[test]
fn only_types_of_our_logs_pass() {
    for kind in 0..=255 {
        let mut bytes = physical(FULL, b"before");
        bytes.extend(physical(kind, b"payload"));
        bytes.extend(physical(FULL, b"behind"));
        let expected = kind == FULL || (kind >= SKIPPABLE && kind != RECYCLED_PREDECESSOR);
        assert_eq!(!is_refused(&bytes), expected, "type {kind}");
    }
}

#[test]
fn a_skippable_record_is_no_data() {
    let extent = check_bytes(&physical(130, b"predecessor")).unwrap();
    assert!(!extent.has_data);
    assert_eq!(extent.sound, extent.size);
}

/// Content that keeps the first bytes of all records, and calls a record plausible if it begins so.
struct Beginnings {
    found: Vec<Vec<u8>>,
    plausible: (&'static [u8], u64),
}

impl Content for Beginnings {
    const BYTES: usize = 12;

    fn add(&mut self, beginning: &[u8]) {
        self.found.push(beginning.to_vec());
    }

    fn is_plausible(&self, beginning: &[u8], distance: u64) -> bool {
        self.plausible == (beginning, distance)
    }
}

#[test]
fn the_beginning_of_a_record_may_be_split_over_two_blocks() {
    let mut bytes = physical(FULL, b"short");
    bytes.extend(physical(
        FULL,
        &vec![b'x'; BLOCK - bytes.len() - 2 * HEADER - 3],
    ));
    bytes.extend(physical(FIRST, b"abc"));
    assert_eq!(bytes.len(), BLOCK);
    bytes.extend(physical(LAST, b"defghijklmnop"));
    let mut content = Beginnings {
        found: Vec::new(),
        plausible: (b"", 0),
    };
    super::check_bytes(&bytes[..], Path::new("test.log"), &mut content).unwrap();
    let expected = [&b"short"[..], &[b'x'; 12], b"abcdefghijkl"];
    assert_eq!(content.found, expected);
}

#[test]
fn a_record_within_a_torn_one_is_damage_if_it_is_plausible() {
    let before = physical(FULL, b"before");
    let within = [&b"value "[..], &physical(FULL, b"within"), b" more"].concat();
    let torn = physical(FULL, &within);
    let bytes = [&before[..], &torn[..torn.len() - 1]].concat();
    assert!(is_refused(&bytes));
    let distance = (HEADER + 6) as u64;
    for (plausible, refused) in [
        ((&b"within"[..], distance), true),
        ((b"within", distance + 1), false),
        ((b"without", distance), false),
    ] {
        let mut content = Beginnings {
            found: Vec::new(),
            plausible,
        };
        let checked = super::check_bytes(&bytes[..], Path::new("test.log"), &mut content);
        assert_eq!(checked.is_err(), refused, "{plausible:?}");
        if let Ok(extent) = checked {
            assert_eq!(extent.sound, before.len() as u64);
        }
    }
}

#[test]
fn parts_out_of_order_are_refused() {
    for [one, other] in [
        [FIRST, FULL],
        [FIRST, FIRST],
        [FIRST, 130],
        [FULL, MIDDLE],
        [FULL, LAST],
    ] {
        let mut bytes = physical(one, b"one");
        bytes.extend(physical(other, b"other"));
        assert!(is_refused(&bytes), "{one}, {other}");
    }
}

/// Damage that reaches over a whole block start: the records behind it begin anywhere in the last block.
#[test]
fn whole_records_far_behind_the_damage_are_found() {
    let log = several_blocks();
    let behind = log.ends[log.ends.len() - 2];
    for filling in [0, 0xff] {
        let mut bytes = log.bytes.clone();
        bytes[log.ends[1]..behind].fill(filling);
        assert!(is_refused(&bytes));
    }
}

#[test]
fn zeros_at_the_end_were_never_written() {
    let log = several_blocks();
    let size = log.bytes.len();
    for zeros in [1, HEADER, 511, 5000, 3 * BLOCK] {
        let mut bytes = log.bytes.clone();
        bytes.resize(size + zeros, 0);
        let extent = check_bytes(&bytes).unwrap();
        assert_eq!(
            (extent.size, extent.sound),
            ((size + zeros) as u64, size as u64)
        );
    }
    // The last pages of a record.
    let log = write(&[100, 20_000]);
    let mut bytes = log.bytes.clone();
    bytes[2 * PAGE as usize..].fill(0);
    assert_eq!(check_bytes(&bytes).unwrap().sound, log.ends[0] as u64);
    // Not a page that was not written: something else put the zeros there.
    let mut bytes = log.bytes.clone();
    let end = bytes.len();
    bytes[end - 100..].fill(0);
    assert!(is_refused(&bytes));
}

#[test]
fn garbage_at_the_end_is_refused() {
    let log = several_blocks();
    for garbage in [
        (1..200).collect::<Vec<u8>>(),
        vec![0xff; 5000],
        b"\x01\x02\x03\x04\x05\x00\x05behind".to_vec(),
    ] {
        let mut bytes = log.bytes.clone();
        bytes.extend(garbage);
        assert!(is_refused(&bytes));
    }
}
