//! Computing what is not there: of many callers who ask the same at once, one computes.

use super::{EntryMetadata, Hit, Lookup, Put, Response, Scope, SemanticCache};
use crate::caches::VectorSource;
use crate::caches::single_flight::{Flight, Joined, Lead, Outcome};
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
pub struct Following(Arc<Flight<Arc<Response>>>);

impl SemanticCache {
    /// As [`Self::get`]; what is not there is computed by `compute`, once for all who ask for the same query and scope at
    /// once, and put with `ttl_seconds` and `metadata`. A failure reaches all of them, and the next call tries again.
    ///
    /// A response that could be computed and not stored, for example on a full disk, is returned all the same, and
    /// counted.
    ///
    /// # Errors
    /// What `compute` fails with; as [`Self::get`] and [`Self::put`].
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
        compute: &dyn Fn() -> Result<Computed>,
        ttl_seconds: Option<u64>,
        metadata: &EntryMetadata,
    ) -> Result<Answer> {
        let found = self.find(scope, query, lookup, source)?;
        if let Some(hit) = found.hit {
            return Ok(Answer::Hit(hit));
        }
        loop {
            let leading = match self.begin(scope, query, true)? {
                Turn::Hit(hit) => return Ok(Answer::Hit(hit)),
                Turn::Leads(leading) => leading,
                Turn::Follows(following) => match following.wait(|| source.check())? {
                    Some(response) => return Ok(Answer::Computed(response?)),
                    None => continue,
                },
            };
            let start = Instant::now();
            let computed = match compute() {
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
            if let Err(error) = self.put_computed(scope, &put, source) {
                leading.fail(&error);
                return Err(error);
            }
            let response = Arc::new(computed.response);
            leading.succeed(Arc::clone(&response));
            return Ok(Answer::Computed(response));
        }
    }

    /// Puts what was computed and counts it. What cannot be stored is only counted as that.
    ///
    /// # Errors
    /// As [`Self::put`], without those that concern the store alone.
    pub fn put_computed(
        &self,
        scope: &Scope,
        put: &Put<'_>,
        source: &dyn VectorSource,
    ) -> Result<()> {
        self.stats.computed.add(1);
        self.stats.computing_us.add(put.computing_us);
        match self.put(scope, put, source) {
            Err(
                error @ (Error::Io(_)
                | Error::TimedOut(_)
                | Error::Corruption(_)
                | Error::Busy(_)
                | Error::ReadOnly(_)),
            ) => {
                tracing::warn!(%error, "a computed response could not be stored");
                self.stats.not_stored.add(1);
                Ok(())
            }
            ended => ended,
        }
    }

    /// For a caller who has missed: whether it computes or waits. Never waits itself. `waits`: the caller will wait in
    /// this thread.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if this thread computes the same already and would wait for itself; as [`Self::get`].
    pub fn begin(&self, scope: &Scope, query: &str, waits: bool) -> Result<Turn> {
        let key = (scope.digest(), Digest::of(query.as_bytes()));
        match self.flights.join(key, waits)? {
            Joined::Follows(flight) => {
                self.stats.shared.add(1);
                Ok(Turn::Follows(Following(flight)))
            }
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
        Ok(result(self.0.wait(check)?))
    }

    /// Has `listener` called at the end, by the thread that ends it, or at once.
    pub fn on_end(&self, listener: Box<dyn FnOnce() + Send>) {
        self.0.listen(listener);
    }

    /// The outcome after the end; `None` before it, or if there was none.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<Arc<Response>>> {
        self.0.outcome().and_then(result)
    }
}

fn result(outcome: Outcome<Arc<Response>>) -> Option<Result<Arc<Response>>> {
    match outcome {
        Outcome::Value(response) => Some(Ok(response)),
        Outcome::Failed(error) => Some(Err(error)),
        Outcome::Abandoned => None,
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
