//! `put_many`: entries of Python are gathered into pages with the GIL held, and each page is written without it.
//!
//! Where texts are embedded, threads of the store's embed those of the next pages while a page is written. Not so with an
//! input that may wait for what it has given to be written, or for something else: a page of a generator is written
//! before it is asked for the next entry.

use crate::aio::check_exit;
use crate::batch::{numbered, numbered_refusal};
use crate::candidates::metadata_of;
use crate::convert::{Key, Value};
use crate::error::{PyStoreError, PyStoreResult, blocking};
use crate::lent::LetGo;
use crate::numbers::Integer;
use crate::store::Store;
use prestige_core::{Embedded, EmbeddingAhead, Entry, Error, Metadata};
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyMapping, PyTuple};
use std::collections::VecDeque;
use std::time::Duration;

/// Most entries of one write.
const PAGE_ENTRIES: usize = 1_000;
/// A write ends with the entry that makes its keys and values this long, in bytes.
const PAGE_BYTES: usize = 4 << 20;
/// Most pages whose texts are being embedded while another one is written. With one, the model would wait while the next
/// is made ready for it.
const MOST_WAITING: usize = 2;
/// How often signals are looked at while embeddings are waited for.
const PATIENCE: Duration = Duration::from_millis(50);

/// One entry of `put_many`, kept alive while it is written.
pub(crate) struct Gathered<'py> {
    pub key: Key<'py>,
    pub value: Value<'py>,
    pub ttl_seconds: Option<u64>,
    pub metadata: Option<Metadata>,
}

#[pymethods]
impl Store {
    /// Store many values, in few large writes.
    ///
    /// Up to 1,000 entries or 4 MiB at a time are one atomic write, in which equal values are
    /// stored and, in a semantic store, embedded once. Of several entries with one key the last
    /// wins. The input may be endless: only one write's worth of it is held. Of a list or dict a
    /// semantic store embeds the texts of the next writes while it makes one.
    ///
    /// Args:
    ///     entries: A mapping, or an iterable of ``(key, value)``, ``(key, value, ttl_seconds)`` or
    ///         ``(key, value, ttl_seconds, metadata)``.
    ///     ttl_seconds: For entries that name none, as in ``put``.
    ///     progress: Called after every write with the number of entries stored so far.
    ///
    /// Returns:
    ///     The number of entries stored.
    ///
    /// Raises:
    ///     TypeError: An entry is of another form; the message gives its number, from 0.
    ///     InvalidArgumentError: As ``put``; the message gives the number of the entry.
    ///     Exception: As ``put``, and what the input or ``progress`` raises. What was written
    ///         before stays; the write in progress leaves nothing.
    #[pyo3(signature = (entries, ttl_seconds = None, progress = None))]
    fn put_many(
        &self,
        py: Python<'_>,
        entries: &Bound<'_, PyAny>,
        ttl_seconds: Option<Integer<'_>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<u64> {
        // A container of Python's: all its entries are there already.
        let ahead = if entries.len().is_ok() {
            None
        } else {
            Some(false)
        };
        let mut entries = entries_of(entries)?;
        // Also where there turns out to be nothing to write; so in each of these methods.
        blocking(py, || self.handle().check_writable())?;
        let ttl_seconds = ttl_seconds.map(|seconds| seconds.natural("ttl_seconds"));
        let ttl_seconds = ttl_seconds.transpose()?;
        let mut writer = Writer {
            py,
            store: self.handle(),
            progress,
            stored: 0,
            ahead,
            waiting: VecDeque::new(),
        };
        let mut gathered = 0;
        loop {
            let (page, last) = match gather(&mut entries, ttl_seconds, gathered) {
                Ok(page) => page,
                Err(error) => {
                    // The pages before the one of the entry at fault are stored.
                    if error.is_instance_of::<PyException>(py) {
                        writer.finish()?;
                    }
                    return Err(error.into());
                }
            };
            gathered += page.len() as u64;
            if !page.is_empty() {
                writer.add(page, last)?;
            }
            if last {
                writer.finish()?;
                return Ok(writer.stored);
            }
        }
    }
}

/// Writes pages in their order.
struct Writer<'a, 'py> {
    py: Python<'py>,
    store: &'a prestige_core::Store,
    progress: Option<&'a Bound<'py, PyAny>>,
    stored: u64,
    /// Whether texts are embedded ahead of their write; `None`: not asked yet.
    ahead: Option<bool>,
    /// Pages whose texts are being embedded, the next to be written first.
    waiting: VecDeque<Waiting<'py>>,
}

struct Waiting<'py> {
    page: Vec<Gathered<'py>>,
    embedding: Option<EmbeddingAhead>,
}

impl<'py> Writer<'_, 'py> {
    /// Writes `page`, or begins to embed it and writes the one that has waited longest. `last`: no other follows.
    fn add(&mut self, page: Vec<Gathered<'py>>, last: bool) -> PyStoreResult<()> {
        let alone = last && self.waiting.is_empty();
        if alone || !self.embeds_ahead()? {
            return self.write(&page, Embedded::default());
        }
        let entries = entries_to_put(&page)?;
        let before = self.waiting.iter();
        let before = before.filter_map(|waiting| Some(waiting.embedding.as_ref()?.texts()));
        let (store, before) = (self.store, before.collect());
        let embedding = self.py.detach(|| store.embed_ahead(&entries, before));
        self.waiting.push_back(Waiting { page, embedding });
        if self.waiting.len() > MOST_WAITING {
            self.write_next()?;
        }
        Ok(())
    }

    fn embeds_ahead(&mut self) -> PyStoreResult<bool> {
        if let Some(ahead) = self.ahead {
            return Ok(ahead);
        }
        let store = self.store;
        let ahead = blocking(self.py, || store.embeds_ahead())?;
        self.ahead = Some(ahead);
        Ok(ahead)
    }

    /// Writes all that waits.
    fn finish(&mut self) -> PyStoreResult<()> {
        while !self.waiting.is_empty() {
            self.write_next()?;
        }
        Ok(())
    }

    /// Writes the page that has waited longest, when its texts are embedded.
    fn write_next(&mut self) -> PyStoreResult<()> {
        let Some(Waiting { page, embedding }) = self.waiting.pop_front() else {
            return Ok(());
        };
        let embedded = match embedding {
            Some(embedding) => self.wait_for(embedding)?,
            None => Embedded::default(),
        };
        self.write(&page, embedded)
    }

    fn wait_for(&self, mut embedding: EmbeddingAhead) -> PyStoreResult<Embedded> {
        let py = self.py;
        let waited = loop {
            if py.detach(|| embedding.wait(PATIENCE)) {
                break Ok(());
            }
            if let Err(error) = py.check_signals().and_then(|()| check_exit()) {
                break Err(error.into());
            }
        };
        // Its thread is waited for without the GIL.
        let embedded = py.detach(|| embedding.embedded());
        waited.map(|()| embedded)
    }

    fn write(&mut self, page: &[Gathered<'py>], embedded: Embedded) -> PyStoreResult<()> {
        let _let_go = LetGo(self.py);
        let lent: Vec<_> = page.iter().map(|entry| entry.value.lend()).collect();
        let mut entries = entries_to_put(page)?;
        for (entry, lent) in entries.iter_mut().zip(&lent) {
            entry.lent = lent.as_ref();
        }
        let store = self.store;
        if let Err(error) = blocking(self.py, || store.put_embedded(&entries, embedded)) {
            return Err(self.with_number(&entries, error));
        }
        self.stored += page.len() as u64;
        if let Some(progress) = self.progress {
            progress.call1((self.stored,))?;
        }
        Ok(self.py.check_signals()?)
    }
}

impl Writer<'_, '_> {
    /// The error of a write that was refused, with the number of the entry at fault if there is one.
    fn with_number(&self, entries: &[Entry<'_>], error: PyStoreError) -> PyStoreError {
        if !matches!(error, PyStoreError::Store(Error::InvalidArgument(_))) {
            return error;
        }
        let refused = entries
            .iter()
            .zip(self.stored..)
            .find_map(|(entry, number)| match self.store.check_entry(entry) {
                Err(refusal @ Error::InvalidArgument(_)) => {
                    Some(numbered_refusal("entry", number, refusal))
                }
                _ => None,
            });
        refused.unwrap_or(error)
    }
}

impl Drop for Writer<'_, '_> {
    fn drop(&mut self) {
        let waiting = self.waiting.drain(..);
        let embedding: Vec<_> = waiting.filter_map(|waiting| waiting.embedding).collect();
        embedding.iter().for_each(EmbeddingAhead::give_up);
        if !embedding.is_empty() {
            // The threads come to their end without the GIL.
            self.py.detach(|| drop(embedding));
        }
    }
}

fn entries_of<'py>(entries: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    if entries.cast::<PyDict>().is_ok() || entries.cast::<PyMapping>().is_ok() {
        return entries.call_method0("items")?.try_iter();
    }
    entries.try_iter()
}

/// What is gathered, as the store takes it.
fn entries_to_put<'a>(page: &'a [Gathered<'_>]) -> PyResult<Vec<Entry<'a>>> {
    let entry = |entry: &'a Gathered<'_>| {
        Ok(Entry {
            key: entry.key.as_bytes()?,
            value: entry.value.as_bytes()?,
            ttl_seconds: entry.ttl_seconds,
            metadata: entry.metadata.as_ref(),
            lent: None,
        })
    };
    page.iter().map(entry).collect()
}

/// The next entries, enough for one write, and whether they are the last.
fn gather<'py>(
    entries: &mut Bound<'py, PyIterator>,
    ttl_seconds: Option<u64>,
    before: u64,
) -> PyResult<(Vec<Gathered<'py>>, bool)> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while page.len() < PAGE_ENTRIES && bytes < PAGE_BYTES {
        let Some(entry) = entries.next() else {
            return Ok((page, true));
        };
        let gathered = entry_of(&entry?, ttl_seconds, before + page.len() as u64)?;
        bytes += gathered.key.as_bytes()?.len() + gathered.value.as_bytes()?.len();
        page.push(gathered);
    }
    Ok((page, false))
}

/// An entry of `put_many`, the one with this number.
pub(crate) fn entry_of<'py>(
    entry: &Bound<'py, PyAny>,
    ttl_seconds: Option<u64>,
    number: u64,
) -> PyResult<Gathered<'py>> {
    let form = || {
        PyTypeError::new_err(format!(
            "entry {number} should be (key, value), (key, value, ttl_seconds) or (key, value, ttl_seconds, metadata)"
        ))
    };
    let parts = match entry.cast::<PyTuple>() {
        Ok(tuple) => tuple.clone(),
        Err(_) => entry.cast::<PyList>().map_err(|_| form())?.to_tuple(),
    };
    let length = parts.len();
    if !(2..=4).contains(&length) {
        return Err(form());
    }
    // Not asked for where it is not: the answer would be an exception for each entry.
    let optional = |position| (position < length).then(|| parts.get_item(position));
    let numbered = |error| numbered(entry.py(), "entry", number, error);
    let ttl_seconds = match optional(2).transpose()? {
        Some(own) if !own.is_none() => {
            let natural = own.extract::<Integer<'_>>()?.natural("ttl_seconds");
            Some(natural.map_err(numbered)?)
        }
        _ => ttl_seconds,
    };
    let metadata = match optional(3).transpose()? {
        Some(given) if !given.is_none() => Some(metadata_of(&given).map_err(numbered)?),
        _ => None,
    };
    Ok(Gathered {
        key: parts.get_item(0)?.extract().map_err(numbered)?,
        value: parts.get_item(1)?.extract().map_err(numbered)?,
        ttl_seconds,
        metadata,
    })
}
