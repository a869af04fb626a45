//! Scans held across other operations: each gives what was there when it began.

use crate::apply::Sequence;
use prestige_core::{Error, Range, Scan};
use std::collections::VecDeque;

/// Most scans held at a time.
const MOST_SCANS: usize = 4;

/// A scan and what is left of what it must give.
pub struct Held {
    pub scan: Scan,
    keys_only: bool,
    expected: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// Its namespace was dropped.
    pub dropped: bool,
    pub space: &'static str,
}

impl Sequence {
    pub fn begin_scan(
        &mut self,
        space: &'static str,
        prefix: &[u8],
        start: Option<&[u8]>,
        limit: Option<u64>,
        keys_only: bool,
    ) {
        let range = Range {
            prefix,
            start,
            limit,
        };
        let scan = self.handle(space).scan(range).unwrap();
        let live = self.model.live(space).into_iter();
        let expected = live
            .filter(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| start.is_none_or(|start| key.as_slice() >= start))
            .take(limit.map_or(usize::MAX, |limit| limit as usize))
            .collect();
        if self.scans.len() == MOST_SCANS {
            self.scans.remove(0);
        }
        self.scans.push(Held {
            scan,
            keys_only,
            expected,
            dropped: false,
            space,
        });
    }

    pub fn page(&mut self, which: u64) {
        if self.scans.is_empty() {
            return;
        }
        let which = which as usize % self.scans.len();
        let held = &mut self.scans[which];
        let mut found = Vec::new();
        let read = if held.keys_only {
            held.scan
                .next_keys()
                .map(|keys| found.extend(keys.into_iter().map(|key| (key, None))))
        } else {
            let visit = |key: &[u8], value: &[u8]| found.push((key.to_vec(), Some(value.to_vec())));
            held.scan.next_items(visit).map(drop)
        };
        if held.dropped {
            assert!(matches!(read, Err(Error::InvalidArgument(_))), "{read:?}");
            self.scans.remove(which);
            return;
        }
        read.unwrap();
        if found.is_empty() {
            assert!(
                held.expected.is_empty(),
                "{} are missing",
                held.expected.len()
            );
            self.scans.remove(which);
            return;
        }
        for (key, value) in found {
            let expected = held.expected.pop_front().unwrap();
            assert_eq!(key, expected.0);
            assert!(value.is_none_or(|value| value == expected.1), "{key:?}");
        }
    }
}
