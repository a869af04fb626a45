//! Candidates, metadata and outcomes, each of the namespace of the handle.

use super::Store;
use crate::candidates::{Candidate, CandidateOptions, Query};
use crate::error::{Error, Result};
use crate::explain::Explanation;
use crate::metadata::Metadata;
use crate::outcomes::{FamilyReport, Outcome, RecordedOutcome};

impl Store {
    /// The metadata of the value of `key`; empty if it has none.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the key is absent or has expired; otherwise as [`Store::get`].
    pub fn metadata(&self, key: &[u8]) -> Result<Metadata> {
        let engine = self.engine()?;
        let metadata = engine.metadata(&*self.namespace_of(&engine)?, key)?;
        metadata.ok_or_else(|| Error::not_found(key))
    }

    /// The stored values nearest to `query`, most similar first. In exact mode the identical value, or nothing; so too
    /// for a value of a semantic store that has no embedding. Nothing is decided and nothing changes, and it is no use
    /// of a key in the sense of eviction. A value whose last key has expired counts until that key is removed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for `k` or `min_similarity` out of range, and for a vector of another length, with
    /// numbers that are not finite or in exact mode; [`Error::Model`] if the model fails, or is another one than that of
    /// a semantic store that was opened read-only, which is loaded here; otherwise as [`Store::get`].
    pub fn candidates(
        &self,
        query: Query<'_>,
        options: &CandidateOptions,
    ) -> Result<Vec<Candidate>> {
        let found = self.candidates_many(&[query], options)?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// The candidates of each of `queries`, in their order. Texts that are not stored yet are embedded together, each
    /// distinct one once.
    ///
    /// # Errors
    /// As [`Store::candidates`].
    pub fn candidates_many(
        &self,
        queries: &[Query<'_>],
        options: &CandidateOptions,
    ) -> Result<Vec<Vec<Candidate>>> {
        let engine = self.engine()?;
        engine.candidates(&*self.namespace_of(&engine)?, queries, options)
    }

    /// What a put of `value` would do now, and why. Goes through all that the put would, the model and the verifier
    /// included, and changes nothing.
    ///
    /// # Errors
    /// As [`Store::candidates`], and what the verifier fails with.
    pub fn explain(&self, value: &[u8]) -> Result<Explanation> {
        let engine = self.engine()?;
        engine.explain(&*self.namespace_of(&engine)?, value)
    }

    /// Records what was decided about a candidate, under a family of tasks: text of 1 to
    /// [`MAX_FAMILY_BYTES`](crate::MAX_FAMILY_BYTES) bytes without NUL. Returns its sequence, from 1, which counts the
    /// outcomes of the namespace. Outcomes stay until the namespace is dropped, and do not count as bytes of the store.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a bad family or outcome; otherwise as [`Store::put`].
    pub fn record_outcome(&self, family: &str, outcome: &Outcome) -> Result<u64> {
        let engine = self.writer()?;
        engine.record_outcome(&*self.namespace_of(&engine)?, family, outcome)
    }

    /// At most `limit` outcomes of a family whose sequence is greater than `after_sequence`, in the order in which they
    /// were recorded.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a bad family; otherwise as [`Store::list_keys`].
    pub fn list_outcomes(
        &self,
        family: &str,
        limit: usize,
        after_sequence: u64,
    ) -> Result<Vec<RecordedOutcome>> {
        let engine = self.engine()?;
        engine.list_outcomes(&*self.namespace_of(&engine)?, family, limit, after_sequence)
    }

    /// The families that have outcomes, sorted.
    ///
    /// # Errors
    /// As [`Store::list_keys`].
    pub fn list_families(&self) -> Result<Vec<String>> {
        let engine = self.engine()?;
        engine.list_families(&*self.namespace_of(&engine)?)
    }

    /// Figures of the outcomes of a family.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there are none; otherwise as [`Store::list_outcomes`].
    pub fn family_report(&self, family: &str) -> Result<FamilyReport> {
        let engine = self.engine()?;
        engine.family_report(&*self.namespace_of(&engine)?, family)
    }
}
