//! Outcomes: what callers decided about candidates, a family of tasks at a time, so that thresholds rest on figures.
//!
//! ```text
//! outcomes     namespace:4 ‖ family ‖ 0:1 ‖ sequence:8     Outcome (record.rs)
//!              namespace:4 ‖ 0:1                           last sequence:8
//! ```
//! Integers are big-endian. A family is text without a NUL and not empty, so no family begins another one's keys and the
//! record of the last sequence is none of them. Sequences count the outcomes of a namespace, whatever their family.

mod record;
mod report;

pub use record::{MAX_NOTE_BYTES, Outcome, RecordedOutcome, Verdict};
pub use report::FamilyReport;

use crate::engine::{Engine, Namespace};
use crate::error::{Error, Result};
use crate::locks::key_stripe;
use crate::schema::{NamespaceId, OUTCOMES, PREFIX_BYTES, namespace_end};
use rocksdb::WriteBatch;
use smallvec::smallvec;
use std::ops::ControlFlow;

/// Longest name of a family of tasks, in bytes of UTF-8.
pub const MAX_FAMILY_BYTES: usize = 255;

/// Ends the family in a key.
const END: u8 = 0;

/// What a key of `outcomes` names.
pub(crate) enum Entry {
    /// The last sequence.
    Last(u64),
    /// The outcome of a sequence.
    Outcome(u64),
}

/// Reads an entry of `outcomes` in all its parts.
pub(crate) fn check(key: &[u8], value: &[u8]) -> Result<Entry> {
    let wrong = || Error::record(OUTCOMES, PREFIX_BYTES + 1 + 8, key.len());
    let name = key.get(PREFIX_BYTES..).ok_or_else(wrong)?;
    if name == [END] {
        return Ok(Entry::Last(decode_sequence(value)?));
    }
    let (family, sequence) = name.split_last_chunk::<8>().ok_or_else(wrong)?;
    let family = family
        .strip_suffix(&[END])
        .and_then(|family| str::from_utf8(family).ok())
        .filter(|family| check_family(family).is_ok());
    family.ok_or_else(|| {
        Error::Corruption(format!(
            "a key of the `{OUTCOMES}` family should name a family of tasks and is {}; restore the store from a backup",
            key.escape_ascii()
        ))
    })?;
    record::decode(value)?;
    Ok(Entry::Outcome(u64::from_be_bytes(*sequence)))
}

impl Engine {
    /// Writes an outcome and returns its sequence, from 1.
    pub(crate) fn record_outcome(
        &self,
        namespace: &Namespace,
        family: &str,
        outcome: &Outcome,
    ) -> Result<u64> {
        check_family(family)?;
        outcome.check()?;
        let encoded = record::encode(outcome, self.now_us());
        let last_key = last_key(namespace.id);
        // The stripe of the empty key guards the last sequence. Whoever drops the namespace holds it, too.
        let _stripe = self
            .key_locks
            .lock(smallvec![key_stripe(namespace.id, b"")])?;
        namespace.check_exists()?;
        let last = self.db.get(OUTCOMES, &last_key)?;
        let last = last.map_or(Ok(0), |last| decode_sequence(&last))?;
        let sequence = last + 1;
        let outcomes = self.db.family(OUTCOMES)?;
        let mut batch = WriteBatch::default();
        batch.put_cf(
            outcomes,
            outcome_key(namespace.id, family, sequence),
            encoded,
        );
        batch.put_cf(outcomes, last_key, sequence.to_be_bytes());
        self.db.write(batch)?;
        Ok(sequence)
    }

    /// At most `limit` outcomes of a family that come after a sequence, in the order in which they were recorded.
    pub(crate) fn list_outcomes(
        &self,
        namespace: &Namespace,
        family: &str,
        limit: usize,
        after_sequence: u64,
    ) -> Result<Vec<RecordedOutcome>> {
        let mut found = Vec::new();
        if limit > 0 {
            self.each_outcome(namespace, family, after_sequence, |outcome| {
                found.push(outcome);
                found.len() < limit
            })?;
        }
        Ok(found)
    }

    /// The families that have outcomes, sorted.
    pub(crate) fn list_families(&self, namespace: &Namespace) -> Result<Vec<String>> {
        let mut families = Vec::new();
        let end = namespace_end(namespace.id);
        // After the record of the last sequence.
        let mut start = family_end(namespace.id, "");
        loop {
            let mut found = None;
            self.db.scan(OUTCOMES, &start, &end, None, |key, _| {
                found = Some(family_of(key)?);
                Ok(ControlFlow::Break(()))
            })?;
            let Some(family) = found else {
                return Ok(families);
            };
            // One look a family, however many outcomes it has.
            start = family_end(namespace.id, &family);
            families.push(family);
        }
    }

    /// Figures of the outcomes of a family.
    pub(crate) fn family_report(
        &self,
        namespace: &Namespace,
        family: &str,
    ) -> Result<FamilyReport> {
        let mut report = FamilyReport::default();
        self.each_outcome(namespace, family, 0, |outcome| {
            report.add(&outcome);
            true
        })?;
        if report.last_sequence == 0 {
            return Err(Error::NotFound(format!(
                "family not found: {family:?} has no outcomes"
            )));
        }
        Ok(report)
    }

    /// Calls `visit` with the outcomes of a family after a sequence until it returns false.
    fn each_outcome(
        &self,
        namespace: &Namespace,
        family: &str,
        after_sequence: u64,
        mut visit: impl FnMut(RecordedOutcome) -> bool,
    ) -> Result<()> {
        check_family(family)?;
        let Some(first) = after_sequence.checked_add(1) else {
            return Ok(());
        };
        let start = outcome_key(namespace.id, family, first);
        let end = family_end(namespace.id, family);
        self.db.scan(OUTCOMES, &start, &end, None, |key, value| {
            let (outcome, recorded_us) = record::decode(value)?;
            let sequence = key.split_last_chunk::<8>().map(|(_, sequence)| *sequence);
            let recorded = RecordedOutcome {
                sequence: u64::from_be_bytes(sequence.unwrap_or_default()),
                recorded_us,
                outcome,
            };
            Ok(match visit(recorded) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })
    }
}

fn check_family(family: &str) -> Result<()> {
    if (1..=MAX_FAMILY_BYTES).contains(&family.len()) && !family.contains('\0') {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "a family of tasks is named by 1 to {MAX_FAMILY_BYTES} bytes of text without NUL, such as \"support-faq@v3\"; \
         this name has {} bytes",
        family.len()
    )))
}

fn last_key(namespace: NamespaceId) -> [u8; PREFIX_BYTES + 1] {
    let [a, b, c, d] = namespace.prefix();
    [a, b, c, d, END]
}

fn outcome_key(namespace: NamespaceId, family: &str, sequence: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(PREFIX_BYTES + family.len() + 9);
    key.extend_from_slice(&namespace.prefix());
    key.extend_from_slice(family.as_bytes());
    key.push(END);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The first key after all those of a family.
fn family_end(namespace: NamespaceId, family: &str) -> Vec<u8> {
    [&namespace.prefix()[..], family.as_bytes(), &[END + 1]].concat()
}

fn family_of(key: &[u8]) -> Result<String> {
    let name = key.get(PREFIX_BYTES..).unwrap_or_default();
    let family = name.split(|byte| *byte == END).next().unwrap_or_default();
    String::from_utf8(family.to_vec()).map_err(|_| {
        Error::Corruption(format!(
            "a family of tasks should be text and is {}; restore the store from a backup",
            family.escape_ascii()
        ))
    })
}

fn decode_sequence(encoded: &[u8]) -> Result<u64> {
    let bytes = encoded
        .try_into()
        .map_err(|_| Error::record(OUTCOMES, 8, encoded.len()))?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests;
