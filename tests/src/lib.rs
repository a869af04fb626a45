//! What the tests share: stores in temporary directories, the real model, random numbers that repeat.

#![allow(clippy::unwrap_used, clippy::panic)]

use prestige_core::embed::{Embedder, HashEmbedder, ModelSpec, OnnxEmbedder, RuntimeLibrary};
use prestige_core::{DedupMode, Entry, Options, Store};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Options of a semantic store on the real model.
///
/// # Panics
/// When the model or the ONNX Runtime library is not where `make test` puts them.
#[must_use]
pub fn real_semantic_options() -> Options {
    Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| Ok(real_model()))),
        ..Options::default()
    }
}

/// Options of a semantic store on a bag-of-words embedder: fast, and good enough where the model is not the subject.
#[must_use]
pub fn fast_semantic_options() -> Options {
    Options {
        dedup_mode: Some(DedupMode::Semantic),
        embedder: Some(Arc::new(|| {
            Ok(Arc::new(HashEmbedder::new(64)) as Arc<dyn Embedder>)
        })),
        ..Options::default()
    }
}

/// One of several bag-of-words embedders, of different dimensions.
#[must_use]
pub fn fast_model(number: usize) -> Arc<dyn Embedder> {
    Arc::new(HashEmbedder::new(64 - 8 * number))
}

fn real_model() -> Arc<dyn Embedder> {
    static MODEL: OnceLock<Arc<OnnxEmbedder>> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let folder =
            std::env::var_os("PRESTIGE_TEST_MODEL").map_or_else(default_model, PathBuf::from);
        let mut spec = ModelSpec::from_path(&folder).unwrap();
        spec.threads = 1;
        Arc::new(OnnxEmbedder::open(&spec, &RuntimeLibrary::find(None).unwrap()).unwrap())
    });
    Arc::clone(model) as Arc<dyn Embedder>
}

fn default_model() -> PathBuf {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    home.join(".cache/prestige/models/all-MiniLM-L6-v2/int8w")
}

/// Entries of these keys and values, with the store's own TTL.
#[must_use]
pub fn entries<K: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(K, V)]) -> Vec<Entry<'_>> {
    pairs
        .iter()
        .map(|(key, value)| Entry {
            key: key.as_ref(),
            value: value.as_ref(),
            ttl_seconds: None,
            metadata: None,
            lent: None,
        })
        .collect()
}

/// Asserts that every invariant of the store holds.
///
/// # Panics
/// With the violations.
pub fn assert_sound(store: &Store) {
    let violations = store.verify().unwrap();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Pseudo-random numbers from a seed: xorshift64* (Vigna, arXiv:1402.6246).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// The `i`-th of many short questions, most of them different in meaning.
#[must_use]
pub fn question(i: usize) -> String {
    const VERBS: [&str; 10] = [
        "cancel",
        "upgrade",
        "export",
        "share",
        "delete",
        "print",
        "translate",
        "rename",
        "archive",
        "schedule",
    ];
    const THINGS: [&str; 10] = [
        "invoice",
        "calendar",
        "password",
        "team",
        "photo",
        "report",
        "playlist",
        "recipe",
        "garden plan",
        "ticket",
    ];
    const PLACES: [&str; 10] = [
        "on my phone",
        "in the web app",
        "before Friday",
        "without an account",
        "for a friend",
        "from the archive",
        "in two steps",
        "with a screen reader",
        "while offline",
        "at night",
    ];
    let pick = |words: [&'static str; 10], place: usize| {
        words.get(i / place % 10).copied().unwrap_or_default()
    };
    format!(
        "How do I {} the {} {}, case {}?",
        pick(VERBS, 1),
        pick(THINGS, 10),
        pick(PLACES, 100),
        i / 1000
    )
}
