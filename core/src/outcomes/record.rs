//! One outcome and its bytes.
//!
//! ```text
//! 0         1              9         10
//! │ verdict │ recorded, µs │ present │ numbers ‖ tool version ‖ schema version ‖ reason
//! ```
//! `verdict`: 1 accepted, 2 rejected, 3 no candidate. `present` says which of the numbers follow, in this order: bit 0,
//! object id:8; bit 1, SHA-256:32; bit 2, rank:4; bit 3, similarity:8; bit 4, reranker score:8; bit 5, threshold:8. Then
//! three texts, each length:2 ‖ UTF-8. Integers are little-endian, the others IEEE 754 doubles, little-endian.

use crate::digest::{DIGEST_BYTES, Digest};
use crate::error::{Error, Result};
use crate::schema::OUTCOMES;

/// Longest text of an outcome, in bytes of UTF-8.
pub const MAX_NOTE_BYTES: usize = 4096;

/// What a caller decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The candidate passed the caller's checks and was used.
    Accepted,
    /// The candidate was similar enough and failed a check: a false accept of the similarity.
    Rejected,
    /// Nothing was similar enough.
    NoCandidate,
}

impl Verdict {
    /// Its name: `accepted`, `rejected` or `no_candidate`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::NoCandidate => "no_candidate",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Accepted => 1,
            Self::Rejected => 2,
            Self::NoCandidate => 3,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Accepted),
            2 => Some(Self::Rejected),
            3 => Some(Self::NoCandidate),
            _ => None,
        }
    }
}

impl std::str::FromStr for Verdict {
    type Err = Error;

    /// Reads the [`name`](Self::name).
    fn from_str(name: &str) -> Result<Self> {
        [Self::Accepted, Self::Rejected, Self::NoCandidate]
            .into_iter()
            .find(|verdict| verdict.name() == name)
            .ok_or_else(|| {
                Error::InvalidArgument(format!(
                    "a verdict is \"accepted\", \"rejected\" or \"no_candidate\", not {name:?}"
                ))
            })
    }
}

/// What a caller decided about a candidate, and what it knew.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The decision.
    pub verdict: Verdict,
    /// The candidate that was judged.
    pub object_id: Option<u64>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// Its rank among the candidates, from 0.
    pub rank: Option<u32>,
    /// Its cosine similarity, -1 to 1.
    pub similarity: Option<f64>,
    /// Its score by a reranker of the caller; finite.
    pub reranker_score: Option<f64>,
    /// The least similarity that the caller looked at, -1 to 1.
    pub threshold: Option<f64>,
    /// Version of the tool that decided; this and the other texts have at most [`MAX_NOTE_BYTES`].
    pub tool_version: String,
    /// Version of the rules in force.
    pub schema_version: String,
    /// Why.
    pub reason: String,
}

/// An outcome as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedOutcome {
    /// Its place among the outcomes of the namespace, from 1.
    pub sequence: u64,
    /// When it was recorded, in microseconds since the Unix epoch.
    pub recorded_us: u64,
    /// The outcome.
    pub outcome: Outcome,
}

impl Outcome {
    /// An outcome without anything but its verdict.
    #[must_use]
    pub fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            object_id: None,
            digest: None,
            rank: None,
            similarity: None,
            reranker_score: None,
            threshold: None,
            tool_version: String::new(),
            schema_version: String::new(),
            reason: String::new(),
        }
    }

    fn texts(&self) -> [(&'static str, &str); 3] {
        [
            ("tool_version", &self.tool_version),
            ("schema_version", &self.schema_version),
            ("reason", &self.reason),
        ]
    }

    pub(super) fn check(&self) -> Result<()> {
        let cosines = [
            ("similarity", self.similarity),
            ("threshold", self.threshold),
        ];
        for (name, number) in cosines {
            if let Some(number) = number.filter(|number| !(-1.0..=1.0).contains(number)) {
                return Err(Error::InvalidArgument(format!(
                    "{name} must be a number from -1 to 1, not {number}"
                )));
            }
        }
        if let Some(score) = self.reranker_score.filter(|score| !score.is_finite()) {
            return Err(Error::InvalidArgument(format!(
                "reranker_score must be a finite number, not {score}"
            )));
        }
        for (name, text) in self.texts() {
            if text.len() > MAX_NOTE_BYTES {
                return Err(Error::InvalidArgument(format!(
                    "{name} has at most {MAX_NOTE_BYTES} bytes, this one has {}",
                    text.len()
                )));
            }
        }
        Ok(())
    }
}

/// The record of an outcome that was checked.
pub(super) fn encode(outcome: &Outcome, recorded_us: u64) -> Vec<u8> {
    let double = |number: Option<f64>| number.map(|number| number.to_le_bytes().to_vec());
    let numbers = [
        outcome.object_id.map(|id| id.to_le_bytes().to_vec()),
        outcome.digest.map(|digest| digest.0.to_vec()),
        outcome.rank.map(|rank| rank.to_le_bytes().to_vec()),
        double(outcome.similarity),
        double(outcome.reranker_score),
        double(outcome.threshold),
    ];
    let mut encoded = vec![outcome.verdict.code()];
    encoded.extend_from_slice(&recorded_us.to_le_bytes());
    let present = numbers.iter().enumerate();
    encoded.push(present.fold(0, |bits, (bit, number)| {
        bits | u8::from(number.is_some()) << bit
    }));
    encoded.extend(numbers.into_iter().flatten().flatten());
    for (_, text) in outcome.texts() {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        encoded.extend_from_slice(&length.to_le_bytes());
        encoded.extend_from_slice(text.as_bytes());
    }
    encoded
}

/// The outcome of a record, and when it was recorded.
pub(super) fn decode(encoded: &[u8]) -> Result<(Outcome, u64)> {
    Fields(encoded)
        .outcome()
        .filter(|(outcome, _)| outcome.check().is_ok())
        .ok_or_else(|| {
            Error::Corruption(format!(
                "a record of the `{OUTCOMES}` family does not read; restore the store from a backup"
            ))
        })
}

/// What is left of a record.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn outcome(mut self) -> Option<(Outcome, u64)> {
        let [code] = self.take()?;
        let verdict = Verdict::of_code(code)?;
        let recorded_us = u64::from_le_bytes(self.take()?);
        let [present] = self.take()?;
        if present >> 6 != 0 {
            return None;
        }
        let has = |bit: u8| present >> bit & 1 == 1;
        let outcome = Outcome {
            verdict,
            object_id: self.number(has(0))?.map(u64::from_le_bytes),
            digest: self.number::<DIGEST_BYTES>(has(1))?.map(Digest),
            rank: self.number(has(2))?.map(u32::from_le_bytes),
            similarity: self.number(has(3))?.map(f64::from_le_bytes),
            reranker_score: self.number(has(4))?.map(f64::from_le_bytes),
            threshold: self.number(has(5))?.map(f64::from_le_bytes),
            tool_version: self.text()?,
            schema_version: self.text()?,
            reason: self.text()?,
        };
        self.0.is_empty().then_some((outcome, recorded_us))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// The outer `None`: the record is too short.
    #[expect(clippy::option_option, reason = "two questions, two answers")]
    fn number<const N: usize>(&mut self, present: bool) -> Option<Option<[u8; N]>> {
        match present {
            true => self.take().map(Some),
            false => Some(None),
        }
    }

    fn text(&mut self) -> Option<String> {
        let length = u16::from_le_bytes(self.take()?);
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}
