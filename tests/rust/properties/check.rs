//! Comparisons of the whole store with the whole model.

use crate::apply::Sequence;
use crate::operation::SPACES;
use prestige_core::{Error, Range};
use prestige_tests::assert_sound;

impl Sequence {
    /// All figures of all namespaces.
    pub fn check_figures(&mut self) {
        let existing: Vec<_> = self.model.spaces.keys().cloned().collect();
        assert_eq!(self.store.namespaces().unwrap(), existing[1..]);
        for space in SPACES {
            if self.model.spaces.contains_key(space) {
                let handle = self.handle(space);
                let all = handle.count_keys(true).unwrap();
                let live = handle.count_keys(false).unwrap();
                let objects = handle.count_unique_values().unwrap();
                let bytes = handle.total_bytes().unwrap();
                let health = handle.health().unwrap();
                self.model.check_health(space, &health);
                assert_eq!(all, health.total_keys);
                assert_eq!(live, all - health.expired_keys);
                assert_eq!(objects, health.total_objects);
                assert_eq!(bytes, health.total_bytes);
            }
        }
    }

    /// Every key and value of a namespace.
    pub fn check_space(&mut self, space: &'static str) {
        let mut scan = self.handle(space).scan(Range::default()).unwrap();
        let mut found = Vec::new();
        while scan
            .next_items(|key, value| found.push((key.to_vec(), value.to_vec())))
            .unwrap()
            > 0
        {}
        let expected = self.model.live(space);
        let keys = |items: &[(Vec<u8>, Vec<u8>)]| -> Vec<Vec<u8>> {
            items.iter().map(|(key, _)| key.clone()).collect()
        };
        assert_eq!(keys(&found), keys(&expected), "in {space:?}");
        for ((key, value), (_, expected)) in found.iter().zip(&expected) {
            assert!(value == expected, "another value of {key:?} in {space:?}");
        }
        for (key, _) in expected {
            self.check_metadata(space, &key);
        }
    }

    /// The metadata of the value of a key, which may be absent.
    pub fn check_metadata(&mut self, space: &'static str, key: &[u8]) {
        let found = self.handle(space).metadata(key);
        match self.model.metadata(space, key) {
            None => assert!(matches!(found, Err(Error::NotFound(_)))),
            Some(metadata) => assert_eq!(found.unwrap(), *metadata),
        }
    }

    /// Figures, contents and invariants.
    pub fn check_everything(&mut self) {
        self.check_figures();
        for space in SPACES {
            if self.model.spaces.contains_key(space) {
                self.check_space(space);
            }
        }
        assert_sound(&self.store);
    }
}
