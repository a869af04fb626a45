//! What a semantic cache has done since it was made, and what that was worth.

use crate::health::Figure;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a call of the function that computes responses costs, in any currency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prices {
    /// A call.
    pub per_call: f64,
    /// A thousand tokens, of responses that were put with their number.
    pub per_1k_tokens: f64,
}

/// Counts of a [`super::SemanticCache`] since it was made.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SemanticStats {
    /// Lookups that found the query itself.
    pub exact_hits: u64,
    /// Lookups that found a query of the same meaning.
    pub semantic_hits: u64,
    /// Lookups that found nothing.
    pub misses: u64,
    /// Responses put.
    pub puts: u64,
    /// Responses that were computed by `get_or_compute`.
    pub computed: u64,
    /// Callers of `get_or_compute` that got what another one computed at the same time.
    pub shared: u64,
    /// Computed responses that could not be stored.
    pub not_stored: u64,
    /// Seconds that computing took.
    pub seconds_computing: f64,
    /// Seconds that the responses of all hits took when they were computed, as far as that is known.
    pub seconds_saved: f64,
    /// What the hits would have cost, at the given prices.
    pub money_saved: f64,
}

impl SemanticStats {
    /// Every figure with the name under which Python shows it.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, Figure)> {
        vec![
            ("exact_hits", Figure::Integer(self.exact_hits)),
            ("semantic_hits", Figure::Integer(self.semantic_hits)),
            ("misses", Figure::Integer(self.misses)),
            ("puts", Figure::Integer(self.puts)),
            ("computed", Figure::Integer(self.computed)),
            ("shared", Figure::Integer(self.shared)),
            ("not_stored", Figure::Integer(self.not_stored)),
            ("seconds_computing", Figure::Float(self.seconds_computing)),
            ("seconds_saved", Figure::Float(self.seconds_saved)),
            ("money_saved", Figure::Float(self.money_saved)),
        ]
    }
}

/// Relaxed counters: figures for people, which order nothing.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub exact_hits: Counter,
    pub semantic_hits: Counter,
    pub misses: Counter,
    pub puts: Counter,
    pub computed: Counter,
    pub shared: Counter,
    pub not_stored: Counter,
    pub computing_us: Counter,
    pub saved_us: Counter,
    pub saved_tokens: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, change: u64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Recorder {
    #[expect(
        clippy::cast_precision_loss,
        reason = "figures for people; counts stay far below 2^53"
    )]
    pub(super) fn stats(&self, prices: Prices) -> SemanticStats {
        let seconds = |micros: &Counter| micros.get() as f64 / 1e6;
        let (exact_hits, semantic_hits) = (self.exact_hits.get(), self.semantic_hits.get());
        let hits = (exact_hits + semantic_hits) as f64;
        let thousands = self.saved_tokens.get() as f64 / 1000.0;
        SemanticStats {
            exact_hits,
            semantic_hits,
            misses: self.misses.get(),
            puts: self.puts.get(),
            computed: self.computed.get(),
            shared: self.shared.get(),
            not_stored: self.not_stored.get(),
            seconds_computing: seconds(&self.computing_us),
            seconds_saved: seconds(&self.saved_us),
            money_saved: hits * prices.per_call + thousands * prices.per_1k_tokens,
        }
    }
}
