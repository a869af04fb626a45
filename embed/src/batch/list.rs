//! Long lists of texts: window by window, and each window in rounds of texts of like length.
//!
//! Texts are padded to the longest of their batch, so a batch should hold texts of the same length. Sorting by bytes
//! alone makes the model compute about 15 % more than sorting by tokens does (sentences of the STS benchmark, batches of
//! 32), so the list is tokenised first, as far as a window reaches, and then sorted. While the rounds of a window are
//! computed, another thread tokenises the next.

use std::panic::resume_unwind;
use std::thread::{self, Scope, ScopedJoinHandle};

use super::{Batched, Distinct, Stages};
use crate::parts::in_parts;
use crate::{Check, EmbedError, Embeddings};

/// Most texts of a window.
const WINDOW_TEXTS: usize = 4096;

/// Fewer texts are not worth a thread: they are tokenised in two milliseconds or so.
const PART_TEXTS: usize = 64;

/// A window ends with the text that makes it this long, in bytes: it is tokenised in a tenth of a second or so.
const WINDOW_BYTES: usize = 1 << 20;

/// Texts of a window, made ready, each with its row; the longest first.
type Window<I> = Vec<(usize, I)>;

impl<S: Stages> Batched<S> {
    /// Embeds texts, each distinct one once, in rows in their order. Before the first round `begin` is called, and between
    /// two rounds and while it waits for its turn, `check` is asked whether to go on; the error of either is returned.
    pub(crate) fn embed(
        &self,
        texts: &[&str],
        begin: Check<'_>,
        check: Check<'_>,
    ) -> Result<Embeddings, EmbedError> {
        let Distinct { items, rows } = Distinct::of(texts.iter().copied());
        let dimension = self.stages.dimension();
        let mut data = vec![0.0; items.len() * dimension];
        let mut windows = windows(&items).into_iter();
        let mut texts_left = items.len();
        thread::scope(|scope| {
            let mut ready = match windows.next() {
                Some(window) => self.prepare_all(&window, window.len() / PART_TEXTS)?,
                None => return Ok(()),
            };
            begin()?;
            loop {
                let ahead = windows
                    .next()
                    .map(|window| self.prepare_ahead(scope, window));
                while !ready.is_empty() {
                    let sizes = ready.iter().map(|(_, input)| self.stages.size(input));
                    let sizes: Vec<usize> = sizes.collect();
                    let length = self.stages.round_length(&sizes).clamp(1, ready.len());
                    let rest = ready.split_off(length);
                    let (places, inputs): (Vec<usize>, Vec<S::Input>) = ready.into_iter().unzip();
                    let computed = self.submit(inputs, check)?;
                    for (place, vector) in places.iter().zip(computed.rows()) {
                        let start = place * dimension;
                        if let Some(row) = data.get_mut(start..start + dimension) {
                            row.copy_from_slice(vector);
                        }
                    }
                    texts_left -= places.len();
                    if texts_left > 0 {
                        check()?;
                    }
                    ready = rest;
                }
                ready = match ahead {
                    Some(ahead) => ahead.get(self)?,
                    None => return Ok(()),
                };
            }
        })?;
        Embeddings::new(data, dimension)?.select(&rows)
    }

    fn prepare_ahead<'scope, 'env: 'scope, 'text: 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        window: Vec<(usize, &'text str)>,
    ) -> Ahead<'scope, 'text, S::Input> {
        let spawned = {
            let window = window.clone();
            thread::Builder::new().spawn_scoped(scope, move || self.prepare_all(&window, 1))
        };
        match spawned {
            Ok(thread) => Ahead::Thread(thread),
            // The process may have no more threads: then not ahead, but in its turn.
            Err(_) => Ahead::Later(window),
        }
    }

    /// Makes the texts of a window ready, and sorts them. The first window is waited for, by all processors, so there are
    /// as many `parts`; another one is made ready beside the model.
    fn prepare_all(
        &self,
        window: &[(usize, &str)],
        parts: usize,
    ) -> Result<Window<S::Input>, EmbedError> {
        let prepare = |part: &[(usize, &str)]| -> Result<Window<S::Input>, EmbedError> {
            let one = |(row, text): &(usize, &str)| {
                Ok((*row, self.caught(|| self.stages.prepare(text))?))
            };
            part.iter().map(one).collect()
        };
        let mut ready = Vec::with_capacity(window.len());
        for part in in_parts(window, parts, "prestige-tokens", prepare) {
            ready.append(&mut part?);
        }
        ready.sort_by_key(|(_, input)| std::cmp::Reverse(self.stages.size(input)));
        Ok(ready)
    }
}

/// The next window, on its way.
enum Ahead<'scope, 'text, I> {
    Thread(ScopedJoinHandle<'scope, Result<Window<I>, EmbedError>>),
    Later(Vec<(usize, &'text str)>),
}

impl<I> Ahead<'_, '_, I> {
    fn get<S: Stages<Input = I>>(self, batched: &Batched<S>) -> Result<Window<I>, EmbedError> {
        match self {
            Self::Thread(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Self::Later(window) => batched.prepare_all(&window, window.len() / PART_TEXTS),
        }
    }
}

/// The texts with their rows, window by window. Several windows are filled by length, the longest texts first, so that each
/// holds texts of like length.
fn windows<'a>(texts: &[&'a str]) -> Vec<Vec<(usize, &'a str)>> {
    let mut all: Vec<(usize, &str)> = texts.iter().copied().enumerate().collect();
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    if texts.len() > WINDOW_TEXTS || bytes > WINDOW_BYTES {
        all.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
    }
    let mut windows = Vec::new();
    let (mut window, mut bytes) = (Vec::new(), 0);
    for (row, text) in all {
        window.push((row, text));
        bytes += text.len();
        if window.len() == WINDOW_TEXTS || bytes >= WINDOW_BYTES {
            windows.push(std::mem::take(&mut window));
            bytes = 0;
        }
    }
    if !window.is_empty() {
        windows.push(window);
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_every_text_once_and_are_bounded() {
        let long = "x".repeat(WINDOW_BYTES / 2);
        let mut texts = vec!["short"; WINDOW_TEXTS + 1];
        texts.extend([long.as_str(); 3]);
        let windows = windows(&texts);
        assert_eq!(
            windows.iter().map(Vec::len).collect::<Vec<_>>(),
            [2, WINDOW_TEXTS, 2]
        );
        let mut rows: Vec<usize> = windows.iter().flatten().map(|(row, _)| *row).collect();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..texts.len()));
        assert!(
            windows
                .iter()
                .flatten()
                .all(|(row, text)| texts.get(*row) == Some(text))
        );
    }

    #[test]
    fn a_single_window_keeps_the_order() {
        let windows = windows(&["b", "ccc", "a"]);
        assert_eq!(windows, [[(0, "b"), (1, "ccc"), (2, "a")]]);
        assert!(super::windows(&[]).is_empty());
    }
}
