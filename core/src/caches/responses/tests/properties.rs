//! A model of the cache beside the cache: no lookup ever returns an entry of another scope, one that has expired or was
//! removed, or one that is not the best.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SCOPES: usize = 5;
const WORDS: [&str; 6] = ["red", "green", "blue", "old", "new", "big"];
const THRESHOLD: f64 = 0.7;
/// What the f16 of stored vectors may change.
const TOLERANCE: f32 = 1e-3;

#[derive(Clone, Debug)]
enum Operation {
    Put(usize, String, u64),
    Get(usize, String),
    Delete(usize, String),
    InvalidateScope(usize),
    InvalidateOld(Option<usize>, u64),
    InvalidateTagged(Option<usize>, u8),
    Evict(usize),
    Advance(u64),
    Sweep,
    Reopen,
}

fn query() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&WORDS[..]), 1..4)
        .prop_map(|words| words.join(" "))
}

fn operation() -> impl Strategy<Value = Operation> {
    let one = 0..SCOPES;
    let some = proptest::option::of(0..SCOPES);
    prop_oneof![
        90 => (one.clone(), query(), 0..40_u64).prop_map(|(s, q, ttl)| Operation::Put(s, q, ttl)),
        110 => (one.clone(), query()).prop_map(|(s, q)| Operation::Get(s, q)),
        12 => (one.clone(), query()).prop_map(|(s, q)| Operation::Delete(s, q)),
        1 => one.clone().prop_map(Operation::InvalidateScope),
        2 => (some.clone(), 0..60_u64).prop_map(|(s, age)| Operation::InvalidateOld(s, age)),
        2 => (some, 0..4_u8).prop_map(|(s, tag)| Operation::InvalidateTagged(s, tag)),
        1 => one.prop_map(Operation::Evict),
        24 => (0..10_u64).prop_map(Operation::Advance),
        2 => Just(Operation::Sweep),
        1 => Just(Operation::Reopen),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Expected {
    response: String,
    created: u64,
    /// 0: never.
    expires: u64,
    tag: u8,
    vector: Vec<f32>,
}

/// By scope and query.
type Model = BTreeMap<(usize, String), Expected>;

struct Run {
    bench: Bench,
    model: Model,
    now: u64,
    serial: u64,
}

impl Run {
    /// `enable_gc`: otherwise objects that nothing points at stay, with their vectors.
    fn new(enable_gc: bool) -> Self {
        Self {
            bench: bench_with(|options| options.enable_gc = enable_gc),
            model: Model::new(),
            now: 0,
            serial: 0,
        }
    }

    fn scope(number: usize) -> Scope {
        // As unlike as scopes can be, and as alike.
        let value = match number {
            0 => json!(null),
            1 => json!("tenant"),
            2 => json!({"tenant": "tenant"}),
            3 => json!(["tenant"]),
            _ => json!("tenant "),
        };
        Scope::new(&value).unwrap()
    }

    fn is_live(&self, expected: &Expected) -> bool {
        expected.expires == 0 || expected.expires > self.now
    }

    fn live(&self) -> Model {
        let live = self
            .model
            .iter()
            .filter(|(_, expected)| self.is_live(expected));
        live.map(|(key, expected)| (key.clone(), expected.clone()))
            .collect()
    }

    fn vector(&self, query: &str) -> Vec<f32> {
        self.bench.source.embed(&[query]).unwrap().into_vec()
    }

    fn step(mut self, operation: Operation) -> Self {
        let nothing = EntryMetadata::new();
        match operation {
            Operation::Put(number, query, ttl) => {
                self.serial += 1;
                let tag = u8::try_from(self.serial % 4).unwrap();
                let expected = Expected {
                    response: format!("{number} {query} {}", self.serial),
                    created: self.now,
                    expires: if ttl == 0 { 0 } else { self.now + ttl },
                    tag,
                    vector: self.vector(&query),
                };
                let response = text(&expected.response);
                let put = Put {
                    ttl_seconds: Some(ttl),
                    metadata: [("tag".to_owned(), tag.to_string())].into(),
                    ..Put::new(&query, &response)
                };
                self.bench
                    .cache
                    .put(&Self::scope(number), &put, &self.bench.source)
                    .unwrap();
                self.model.insert((number, query), expected);
            }
            Operation::Get(number, query) => self.check(number, &query),
            Operation::Delete(number, query) => {
                let namespace = Self::scope(number).namespace().to_owned();
                if self.bench.store.namespaces().unwrap().contains(&namespace) {
                    let view = self.bench.store.namespace(&namespace).unwrap();
                    let key = Digest::of(query.as_bytes()).0;
                    let deleted = view.delete_many(&[&key]).unwrap();
                    let expected = self.live().contains_key(&(number, query.clone()));
                    assert_eq!(deleted == 1, expected);
                }
                self.model.remove(&(number, query));
            }
            Operation::InvalidateScope(number) => {
                let scope = Self::scope(number);
                let removed = self
                    .bench
                    .cache
                    .invalidate(Scopes::One(&scope), &nothing, None);
                self.removed(removed.unwrap(), |scope, _| scope == number);
            }
            Operation::InvalidateOld(which, age) => {
                let scope = which.map(Self::scope);
                let scopes = scope.as_ref().map_or(Scopes::All, Scopes::One);
                #[expect(clippy::cast_precision_loss, reason = "some seconds")]
                let removed = self
                    .bench
                    .cache
                    .invalidate(scopes, &nothing, Some(age as f64));
                let now = self.now;
                self.removed(removed.unwrap(), |scope, expected| {
                    which.is_none_or(|which| which == scope) && expected.created + age < now
                });
            }
            Operation::InvalidateTagged(which, tag) => {
                let scope = which.map(Self::scope);
                let scopes = scope.as_ref().map_or(Scopes::All, Scopes::One);
                let metadata = [("tag".to_owned(), tag.to_string())].into();
                let removed = self.bench.cache.invalidate(scopes, &metadata, None);
                self.removed(removed.unwrap(), |scope, expected| {
                    which.is_none_or(|which| which == scope) && expected.tag == tag
                });
            }
            Operation::Evict(number) => {
                let namespace = Self::scope(number).namespace().to_owned();
                if self.bench.store.namespaces().unwrap().contains(&namespace) {
                    let view = self.bench.store.namespace(&namespace).unwrap();
                    view.evict_lru(0).unwrap();
                }
                self.model.retain(|(scope, _), _| *scope != number);
            }
            Operation::Advance(seconds) => {
                self.now += seconds;
                self.bench.clock.advance_seconds(seconds);
            }
            Operation::Sweep => {
                for namespace in self.bench.store.namespaces().unwrap() {
                    self.bench
                        .store
                        .namespace(&namespace)
                        .unwrap()
                        .sweep()
                        .unwrap();
                }
            }
            Operation::Reopen => self.bench = self.bench.reopened(),
        }
        self
    }

    fn removed(&mut self, removed: u64, gone: impl Fn(usize, &Expected) -> bool) {
        let live = self.live();
        let expected = live
            .iter()
            .filter(|((scope, _), one)| gone(*scope, one))
            .count();
        assert_eq!(removed, expected as u64);
        self.model.retain(|(scope, _), one| !gone(*scope, one));
    }

    fn check(&self, number: usize, query: &str) {
        let lookup = Lookup {
            threshold: Some(THRESHOLD),
            embedding: None,
        };
        let hit = self
            .bench
            .cache
            .get(&Self::scope(number), query, lookup, &self.bench.source);
        let hit = hit.unwrap();
        let mut live = self.live();
        live.retain(|(scope, _), _| *scope == number);
        let key = |query: &str| (number, query.to_owned());
        if let Some(expected) = live.get(&key(query)) {
            let hit = hit.unwrap();
            assert!(hit.exact && hit.similarity == 1.0);
            assert_eq!(hit.response, text(&expected.response));
            return;
        }
        let vector = self.vector(query);
        let similarity = |expected: &Expected| -> f32 {
            expected
                .vector
                .iter()
                .zip(&vector)
                .map(|(a, b)| a * b)
                .sum()
        };
        let best = live.values().map(similarity).fold(-1.0_f32, f32::max);
        match hit {
            None => assert!(
                f64::from(best) < THRESHOLD + f64::from(TOLERANCE),
                "missed {best}"
            ),
            Some(hit) => {
                let expected = live.get(&key(&hit.query)).unwrap();
                assert_eq!(hit.response, text(&expected.response));
                assert!(!hit.exact);
                assert!((hit.similarity - similarity(expected)).abs() < TOLERANCE);
                assert!(
                    hit.similarity > best - TOLERANCE,
                    "{} is not {best}",
                    hit.similarity
                );
            }
        }
    }
}

proptest! {
    // 24 runs of 500 operations: 12,000, of which half are lookups.
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_lookup_returns_what_is_not_its_own(
        operations in proptest::collection::vec(operation(), 500), enable_gc: bool
    ) {
        let mut run = Run::new(enable_gc);
        for operation in operations {
            run = run.step(operation);
        }
        prop_assert_eq!(run.bench.cache.len(Scopes::All).unwrap(), run.live().len() as u64);
        run.bench.clean();
    }
}
