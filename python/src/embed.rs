//! Embedding a long list part by part, so that Ctrl-C is heard between the parts.
//!
//! The longest texts come first, and those of like length together, as the model's own batches have them: little of
//! a part is padding. Every distinct text is computed once.

use crate::aio::check_exit;
use crate::error::{PyStoreResult, blocking};
use prestige_core::embed::Embedder;
use pyo3::prelude::*;

/// Bytes of text in a part: some 2,000 tokens, which two cores compute in about half a second.
const PART_BYTES: usize = 8192;

/// Most bytes of a text that count: models read little more of it, 256 tokens being the usual bound.
const COUNTED_BYTES: usize = 1024;

/// The vectors of `texts`, row after row. Between two parts the interpreter runs its signal handlers, and the exception of
/// one, `KeyboardInterrupt` for example, ends the call.
pub(crate) fn embed_in_parts(
    py: Python<'_>,
    model: &dyn Embedder,
    texts: &[&str],
) -> PyStoreResult<Vec<f32>> {
    let (distinct, rows) = longest_first(texts);
    let dimension = model.dimension();
    let mut vectors: Vec<f32> = Vec::with_capacity(distinct.len() * dimension);
    let mut rest = distinct.as_slice();
    while !rest.is_empty() {
        let (part, others) = rest
            .split_at_checked(part_length(rest))
            .unwrap_or((rest, &[]));
        let embedded = blocking(py, || Ok(model.embed(part)?))?;
        vectors.extend_from_slice(embedded.as_slice());
        rest = others;
        py.check_signals()?;
        check_exit()?;
    }
    let mut ordered = Vec::with_capacity(texts.len() * dimension);
    for row in rows {
        let start = row * dimension;
        ordered.extend_from_slice(vectors.get(start..start + dimension).unwrap_or_default());
    }
    Ok(ordered)
}

/// The distinct texts, longest first, and for each of `texts` the place of its equal among them.
fn longest_first<'a>(texts: &[&'a str]) -> (Vec<&'a str>, Vec<usize>) {
    let mut sorted: Vec<(usize, &str)> = texts.iter().copied().enumerate().collect();
    sorted.sort_by(|(_, one), (_, other)| other.len().cmp(&one.len()).then(one.cmp(other)));
    let mut distinct: Vec<&str> = Vec::new();
    let mut rows = vec![0; texts.len()];
    for (place, text) in sorted {
        if distinct.last() != Some(&text) {
            distinct.push(text);
        }
        if let Some(row) = rows.get_mut(place) {
            *row = distinct.len() - 1;
        }
    }
    (distinct, rows)
}

/// How many of `texts` make up the next part; at least one.
fn part_length(texts: &[&str]) -> usize {
    let mut bytes = 0;
    let fitting = texts.iter().take_while(|text| {
        bytes += text.len().min(COUNTED_BYTES);
        bytes <= PART_BYTES
    });
    fitting.count().max(1)
}
