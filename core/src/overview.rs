//! Figures of several namespaces together, for whoever watches a store as a whole.

use crate::engine::{Engine, Namespace};
use crate::error::Result;
use crate::health::Health;
use crate::options::DedupMode;
use crate::stats::{LatencySnapshot, Stats, StatsSum, Timed};
use crate::store::Store;
use prestige_embed::EmbedderLoad;
use std::sync::Arc;

/// Figures of some namespaces of a store at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Overview {
    /// Their health, added up. Of a vector index only once it was loaded: looking loads none.
    pub health: Health,
    /// What has happened in them since the store was opened. Look-ups of caches are there if the store's own namespace is
    /// one of them.
    pub stats: Stats,
    /// Durations of `get`; the difference of two of them is what happened between.
    pub gets: LatencySnapshot,
    /// Durations of `put`.
    pub puts: LatencySnapshot,
    /// Each by itself, the store's own first and the others by name.
    pub namespaces: Vec<NamespaceFigures>,
    /// How busy the model of the store is, of all that use it; `None` in exact mode.
    pub embedder: Option<EmbedderLoad>,
    /// Least similarity at which texts merge; `None` in exact mode.
    pub threshold: Option<f64>,
}

/// Figures of one namespace. Counts of operations are those since the store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceFigures {
    /// Its name; empty for the store's own.
    pub name: String,
    /// Keys, the expired and not yet swept among them.
    pub keys: u64,
    /// Distinct values.
    pub unique_values: u64,
    /// Bytes of all keys and all distinct values, before compression.
    pub bytes: u64,
    /// Keys asked for that had a value.
    pub hits: u64,
    /// Keys asked for that had none.
    pub misses: u64,
    /// Keys put.
    pub puts: u64,
}

impl Store {
    /// The figures of the namespaces whose names are `selected`; of a view, those of its own if it is. Costs some
    /// microseconds for each.
    ///
    /// # Errors
    /// As [`Store::list_keys`].
    pub fn overview(&self, selected: &dyn Fn(&str) -> bool) -> Result<Overview> {
        let engine = self.engine()?;
        let mut namespaces = match self.is_view() {
            true => vec![self.namespace_of(&engine)?],
            false => engine.namespaces.all(),
        };
        namespaces.retain(|namespace| selected(&namespace.name));
        engine.overview(&namespaces)
    }
}

impl Engine {
    fn overview(&self, namespaces: &[Arc<Namespace>]) -> Result<Overview> {
        let bytes_on_disk = self.db.bytes_on_disk()?;
        let mut health = Health::empty(self, bytes_on_disk);
        let mut sum = StatsSum::default();
        let mut figures = Vec::with_capacity(namespaces.len());
        for namespace in namespaces {
            match self.health_with(
                namespace,
                namespace.loaded_semantic().as_deref(),
                bytes_on_disk,
            ) {
                Ok(own) => health.add(&own),
                // Dropped since the list was made.
                Err(_) if namespace.check_exists().is_err() => continue,
                Err(error) => return Err(error),
            }
            let mut own = StatsSum::default();
            self.add_stats(namespace, &mut own);
            figures.push(of_namespace(namespace, &own));
            sum.add(&own);
        }
        Ok(Overview {
            health,
            stats: sum.stats(),
            gets: sum.times(Timed::Get),
            puts: sum.times(Timed::Put),
            namespaces: figures,
            embedder: self.embedder().map(|embedder| embedder.load()),
            threshold: match self.mode {
                DedupMode::Exact => None,
                DedupMode::Semantic => Some(self.options.semantic.threshold),
            },
        })
    }
}

fn of_namespace(namespace: &Namespace, counted: &StatsSum) -> NamespaceFigures {
    let totals = namespace.totals.get();
    let unsigned = |figure: i64| u64::try_from(figure).unwrap_or(0);
    NamespaceFigures {
        name: namespace.name.clone(),
        keys: unsigned(totals.keys),
        unique_values: unsigned(totals.objects),
        bytes: namespace.total_bytes(),
        hits: counted.hits(),
        misses: counted.misses(),
        puts: counted.puts(),
    }
}

#[cfg(test)]
mod tests;
