//! What the cache does not have is computed: each distinct text once, in batches, and by one of its callers alone.

use super::{EmbeddingCache, Rows};
use crate::caches::VectorSource;
use crate::caches::single_flight::{Follow, Joined, Lead, Outcome, new_computation};
use crate::digest::Digest;
use crate::error::{Error, Result};
use prestige_embed::Embeddings;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

type Vector = Arc<[f32]>;

/// A text that is not there.
struct Wanted<'a> {
    key: Digest,
    text: &'a str,
    /// Where its row goes.
    positions: Vec<usize>,
}

/// A text that this caller computes.
struct Led<'a> {
    text: &'a str,
    key: Digest,
    lead: Lead<(Digest, Digest), Vector>,
}

impl EmbeddingCache {
    /// The vectors of `texts`, in their order. What is not there is computed by `source`, in batches, and stored batch by
    /// batch; a text that another caller is computing is waited for. A batch that fails ends the call, and what was
    /// computed before it stays.
    ///
    /// A vector that could be computed and not stored, for example on a full disk, is returned all the same, and counted.
    ///
    /// # Errors
    /// What `source` fails with; [`Error::InvalidArgument`] if it returns another number of vectors than texts, vectors of
    /// another length than the cache has, or components that are not finite; as [`crate::Store::get`].
    pub fn embed(&self, texts: &[&str], source: &dyn VectorSource) -> Result<Rows> {
        let keys = Digest::of_all(texts);
        let mut rows = Rows::default();
        // Another cache of the model may have stored the first of its vectors.
        self.learn_dimension()?;
        let missing = self.look_up(&keys, &mut rows)?;
        self.count_lookups(texts.len() - missing.len(), missing.len());
        rows.misses = missing.len();
        if missing.is_empty() {
            return Ok(rows);
        }
        let (computing, computation) = (source.computing()?, new_computation());
        let flown = self.flown();
        let mut wanted = distinct(texts, &keys, &missing);
        let mut done = HashMap::with_capacity(wanted.len());
        while !wanted.is_empty() {
            let (mut led, mut followed) = (Vec::new(), Vec::new());
            for one in &wanted {
                let key = (flown, one.key);
                match self.flights.join(key, true, &computing, computation)? {
                    Joined::Leads(lead) => led.push(Led {
                        text: one.text,
                        key: one.key,
                        lead,
                    }),
                    Joined::Follows(flight) => followed.push((one.key, flight)),
                }
            }
            // What this caller leads comes first: whoever follows it may be whom it follows.
            self.lead(led, computation, source, &mut done)?;
            self.follow(followed, source, &mut done)?;
            wanted = self.place(wanted, &done, &mut rows, texts.len())?;
        }
        Ok(rows)
    }

    /// Computes and stores what this caller leads.
    fn lead(
        &self,
        mut led: Vec<Led<'_>>,
        computation: u64,
        source: &dyn VectorSource,
        done: &mut HashMap<Digest, Vector>,
    ) -> Result<()> {
        if led.is_empty() {
            return Ok(());
        }
        // Whoever led before may have stored it between our look and our turn, and with it the first length.
        self.learn_dimension()?;
        let keys: Vec<_> = led.iter().map(|one| one.key).collect();
        let stored = self.look_up_each(&keys)?;
        let mut missing = Vec::with_capacity(led.len());
        for (one, stored) in led.drain(..).zip(stored) {
            match stored {
                Some(vector) => {
                    done.insert(one.key, Arc::clone(&vector));
                    one.lead.end(Outcome::Value(vector));
                }
                None => missing.push(one),
            }
        }
        if source.prefers_like_lengths() {
            missing.sort_by_key(|one| std::cmp::Reverse(one.text.len()));
        }
        while !missing.is_empty() {
            source.check()?;
            let rest = missing.split_off(missing.len().min(self.batch_size));
            let batch = std::mem::replace(&mut missing, rest);
            match self.compute(&batch, computation, source) {
                Ok(vectors) => {
                    for (one, vector) in batch.into_iter().zip(vectors) {
                        done.insert(one.key, Arc::clone(&vector));
                        one.lead.end(Outcome::Value(vector));
                    }
                }
                Err(error) => {
                    for one in batch {
                        one.lead.end(Outcome::of_error(&error));
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Computes one batch and stores it. `computation`: of all that this caller leads.
    fn compute(
        &self,
        batch: &[Led<'_>],
        computation: u64,
        source: &dyn VectorSource,
    ) -> Result<Vec<Vector>> {
        let texts: Vec<_> = batch.iter().map(|one| one.text).collect();
        let start = Instant::now();
        let computed = source.embed_within(&texts, computation)?;
        let elapsed = start.elapsed();
        if computed.len() != texts.len() {
            return Err(Error::InvalidArgument(format!(
                "the embedding function should return {} vectors, one for each text, and returned {}",
                texts.len(),
                computed.len()
            )));
        }
        let values = self.encoded(batch, &computed)?;
        self.fix_dimension(computed.dimension())?;
        self.stats.computed(texts.len(), elapsed);
        match self.store_values(computed.dimension(), &values) {
            Ok(()) => {}
            Err(
                error @ (Error::Io(_)
                | Error::TimedOut(_)
                | Error::Corruption(_)
                | Error::Busy(_)
                | Error::ReadOnly(_)),
            ) => {
                let model = self.model();
                tracing::warn!(model, vectors = texts.len(), %error, "computed vectors could not be stored");
                self.stats.not_stored(texts.len());
            }
            Err(error) => return Err(error),
        }
        Ok(computed.rows().map(Arc::from).collect())
    }

    /// The values of a batch; refused as a whole if one is no vector.
    fn encoded(&self, batch: &[Led<'_>], computed: &Embeddings) -> Result<Vec<(Digest, Vec<u8>)>> {
        let rows = batch.iter().zip(computed.rows()).enumerate();
        rows.map(|(number, (one, row))| {
            let value = self.encode(row);
            let value = value.map_err(|error| {
                Error::InvalidArgument(format!(
                    "vector {number} of {} that the embedding function returned: {error}",
                    batch.len()
                ))
            });
            Ok((one.key, value?))
        })
        .collect()
    }

    /// Waits for what others compute. What they abandon is not `done` afterwards.
    fn follow(
        &self,
        followed: Vec<(Digest, Follow<Vector>)>,
        source: &dyn VectorSource,
        done: &mut HashMap<Digest, Vector>,
    ) -> Result<()> {
        for (key, flight) in followed {
            match flight.wait(|| source.check())? {
                // One of another length is that of another cache, and counts for nothing.
                Outcome::Value(vector) if self.fix_dimension(vector.len()).is_ok() => {
                    done.insert(key, vector);
                }
                Outcome::Failed(error) => return Err(error),
                Outcome::Value(_) | Outcome::Abandoned => {}
            }
        }
        Ok(())
    }

    /// Puts what is `done` into its rows and returns what is not.
    fn place<'a>(
        &self,
        wanted: Vec<Wanted<'a>>,
        done: &HashMap<Digest, Vector>,
        rows: &mut Rows,
        texts: usize,
    ) -> Result<Vec<Wanted<'a>>> {
        let mut left = Vec::new();
        for one in wanted {
            let Some(vector) = done.get(&one.key) else {
                left.push(one);
                continue;
            };
            if rows.dimension == 0 {
                rows.dimension = vector.len();
                rows.data = vec![0.0; texts * vector.len()];
            }
            for position in one.positions {
                let start = position * rows.dimension;
                let row = rows.data.get_mut(start..start + rows.dimension);
                row.filter(|row| row.len() == vector.len())
                    .ok_or_else(|| {
                        Error::InvalidArgument("the cache has vectors of two lengths".to_owned())
                    })?
                    .copy_from_slice(vector);
            }
        }
        Ok(left)
    }
}

/// The distinct texts at the positions of `missing`, in order of their first appearance.
fn distinct<'a>(texts: &[&'a str], keys: &[Digest], missing: &[usize]) -> Vec<Wanted<'a>> {
    let mut wanted: Vec<Wanted<'a>> = Vec::new();
    let mut places: HashMap<Digest, usize> = HashMap::with_capacity(missing.len());
    for &position in missing {
        let (Some(text), Some(key)) = (texts.get(position), keys.get(position)) else {
            continue;
        };
        let place = *places.entry(*key).or_insert(wanted.len());
        match wanted.get_mut(place) {
            Some(one) => one.positions.push(position),
            None => wanted.push(Wanted {
                key: *key,
                text,
                positions: vec![position],
            }),
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::caches::{EmbeddingCacheOptions, EmbeddingPrecision};
    use crate::{Options, Store};

    struct Never;

    impl VectorSource for Never {
        fn embed(&self, texts: &[&str]) -> Result<Embeddings> {
            panic!("{texts:?} were stored already");
        }
    }

    #[test]
    fn what_was_stored_between_the_look_and_the_turn_of_a_caller_is_not_computed_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), Options::default()).unwrap();
        let options = EmbeddingCacheOptions {
            model: "m".to_owned(),
            dimension: None,
            precision: EmbeddingPrecision::F32,
            ttl_seconds: None,
            batch_size: None,
        };
        let cache = EmbeddingCache::new(&store, options).unwrap();
        let key = Digest::of(b"a");
        assert_eq!(cache.look_up(&[key], &mut Rows::default()).unwrap(), [0]);
        cache.put("a", &[1.0, 2.0]).unwrap();
        let Joined::Leads(lead) = cache
            .flights
            .join((cache.flown(), key), true, &[], 1)
            .unwrap()
        else {
            panic!("nobody else leads");
        };
        let (led, mut done) = (
            Led {
                text: "a",
                key,
                lead,
            },
            HashMap::new(),
        );
        cache.lead(vec![led], 1, &Never, &mut done).unwrap();
        assert_eq!(
            done.get(&key).map(|vector| &**vector),
            Some(&[1.0, 2.0][..])
        );
    }
}
