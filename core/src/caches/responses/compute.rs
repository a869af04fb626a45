//! Computing what is not there: of many callers who ask the same at once, one computes.

use super::entry::check_metadata;
use super::stats::Recorder;
use super::{EntryMetadata, Hit, Lookup, Put, Response, Scope, SemanticCache};
use crate::caches::VectorSource;
use crate::caches::single_flight::{Follow, Joined, Lead, Outcome, new_computation};
use crate::digest::Digest;
use crate::error::{Error, Result};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A response that a function has computed.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The response.
    pub response: Response,
    /// Tokens that it cost; 0: not known.
    pub tokens: u64,
}

/// What `get_or_compute` returns.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It was there.
    Hit(Hit),
    /// It was computed now, by this caller or by another one that asked at the same time.
    Computed(Arc<Response>),
}

/// What a caller who has missed is to do.
pub enum Turn {
    /// Compute, put, and tell the others.
    Leads(Leading),
    /// Wait for the one who does.
    Follows(Following),
    /// Nothing: it has been put since the caller has looked.
    Hit(Hit),
}

/// The duty to tell others what was computed. Dropped without that, one of them begins anew.
pub struct Leading(Lead<(Digest, Digest), Arc<Response>>);

/// The wait for what another caller computes.
#[derive(Clone)]
pub struct Following {
    flight: Follow<Arc<Response>>,
    stats: Arc<Recorder>,
}

impl SemanticCache {
    /// As [`Self::get`]; what is not there is computed by `compute`, once for all who ask for the same query and scope at
    /// once, and put with `ttl_seconds` and `metadata`. A failure reaches all of them, and the next call tries again.
    ///
    /// A response that could be computed and not stored, whatever the reason, is returned all the same, and counted: on a
    /// full disk, if it is larger than the store may be, if the query cannot be embedded.
    ///
    /// `computing`: the [`Leading::computation`]s that this caller is a part of already, and must not wait for. `compute` is
    /// told its own, for what it calls.
    ///
    /// # Errors
    /// What `compute` fails with; as [`Self::get`] and [`Self::begin`]; an interrupt of `source`.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another matter, and named by its type"
    )]
    pub fn get_or_compute(
        &self,
        scope: &Scope,
        query: &str,
        lookup: Lookup<'_>,
        source: &dyn VectorSource,
        compute: &dyn Fn(&Leading) -> Result<Computed>,
        ttl_seconds: Option<u64>,
        metadata: &EntryMetadata,
        computing: &[u64],
    ) -> Result<Answer> {
        let found = self.find(scope, query, lookup, source)?;
        if let Some(hit) = found.hit {
            return Ok(Answer::Hit(hit));
        }
        loop {
            let leading = match self.begin(scope, query, metadata, true, computing)? {
                Turn::Hit(hit) => return Ok(Answer::Hit(hit)),
                Turn::Leads(leading) => leading,
                Turn::Follows(following) => match following.wait(|| source.check())? {
                    Some(response) => return Ok(Answer::Computed(response?)),
                    None => continue,
                },
            };
            let start = Instant::now();
            let computed = match compute(&leading) {
                Ok(computed) => computed,
                Err(error) => {
                    leading.fail(&error);
                    return Err(error);
                }
            };
            let put = Put {
                ttl_seconds,
                metadata: metadata.clone(),
                embedding: found.vector.as_deref(),
                computing_us: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
                tokens: computed.tokens,
                ..Put::new(query, &computed.response)
            };
            let stored = self.put_computed(scope, &put, source, Some(leading.computation()));
            // It has been paid for, so whoever waits gets it, even if this caller is interrupted.
            let response = Arc::new(computed.response);
            leading.succeed(Arc::clone(&response));
            stored?;
            return Ok(Answer::Computed(response));
        }
    }

    /// Puts what was computed and counts it. What cannot be stored is only counted as that, whatever the reason.
    /// `computation`: what it is a part of, unless `source` knows, so that nothing that this calls waits for that.
    ///
    /// # Errors
    /// An interrupt of `source`.
    pub fn put_computed(
        &self,
        scope: &Scope,
        put: &Put<'_>,
        source: &dyn VectorSource,
        computation: Option<u64>,
    ) -> Result<()> {
        self.stats.computed.add(1);
        self.stats.computing_us.add(put.computing_us);
        match self.put_within(computation, scope, put, source) {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "a computed response could not be stored");
                self.stats.not_stored.add(1);
                match error {
                    Error::Callback(failure) if failure.is_interrupt() => {
                        Err(Error::Callback(failure))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// For a caller who has missed: whether it computes or waits. Never waits itself. `waits`: the caller will wait in
    /// this thread. `computing`: the [`Leading::computation`]s that it is a part of already. `metadata`: what will be put, to
    /// be refused before anything is computed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if this caller computes the same already and would wait for itself, if whoever computes it
    /// waits for this caller, or for metadata beyond the bounds; as [`Self::get`].
    pub fn begin(
        &self,
        scope: &Scope,
        query: &str,
        metadata: &EntryMetadata,
        waits: bool,
        computing: &[u64],
    ) -> Result<Turn> {
        check_metadata(metadata)?;
        // Entries of another model are refused, so what is computed for them is no answer either.
        let model = self.options.model.sha256.as_bytes();
        let place = Digest::of(&[&scope.digest().0[..], model].concat());
        let key = (place, Digest::of(query.as_bytes()));
        match self
            .flights
            .join(key, waits, computing, new_computation())?
        {
            Joined::Follows(flight) => Ok(Turn::Follows(Following {
                flight,
                stats: Arc::clone(&self.stats),
            })),
            Joined::Leads(lead) => match self.exact(scope, query)? {
                // Whoever led before has put it between the look of this caller and its turn.
                Some(hit) => {
                    lead.end(Outcome::Value(Arc::new(hit.response.clone())));
                    self.stats.shared.add(1);
                    Ok(Turn::Hit(hit))
                }
                None => Ok(Turn::Leads(Leading(lead))),
            },
        }
    }
}

impl Leading {
    /// The number of this computation, which no other of the process has.
    #[must_use]
    pub fn computation(&self) -> u64 {
        self.0.computation()
    }

    /// Gives the response to all who wait.
    pub fn succeed(self, response: Arc<Response>) {
        self.0.end(Outcome::Value(response));
    }

    /// Gives the error to all who wait, unless it concerns this caller alone.
    pub fn fail(self, error: &Error) {
        self.0.end(Outcome::of_error(error));
    }
}

impl Following {
    /// Waits for the end; `None`: there was no outcome, and the caller is to begin anew. An error of `check`, called now
    /// and then, ends the waiting.
    ///
    /// # Errors
    /// What `check` fails with.
    pub fn wait(&self, check: impl Fn() -> Result<()>) -> Result<Option<Result<Arc<Response>>>> {
        let outcome = self.flight.wait(check)?;
        Ok(self.received(outcome))
    }

    /// Has `listener` called at the end, by the thread that ends it, or at once.
    pub fn on_end(&self, listener: Box<dyn FnOnce() + Send>) {
        self.flight.listen(listener);
    }

    /// Waits no longer: what the caller computes has nothing to do with it any more. The outcome can be had all the same.
    pub fn release(&self) {
        self.flight.release();
    }

    /// The outcome after the end; `None` before it, or if there was none. A response is counted as shared.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<Arc<Response>>> {
        let outcome = self.flight.outcome()?;
        self.received(outcome)
    }

    fn received(&self, outcome: Outcome<Arc<Response>>) -> Option<Result<Arc<Response>>> {
        match outcome {
            Outcome::Value(response) => {
                self.stats.shared.add(1);
                Some(Ok(response))
            }
            Outcome::Failed(error) => Some(Err(error)),
            Outcome::Abandoned => None,
        }
    }
}

impl fmt::Debug for Leading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Leading").finish_non_exhaustive()
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Following").finish_non_exhaustive()
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Leads(_) => "Leads",
            Self::Follows(_) => "Follows",
            Self::Hit(_) => "Hit",
        })
    }
}
