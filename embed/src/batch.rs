//! Merges concurrent callers into one batch.
//!
//! A model computes a batch of texts faster than one text after the other, and a runtime session
//! serves one call at a time. So a caller who finds the embedder busy leaves its texts in a queue,
//! and whoever runs next takes everything that waits along in its own round:
//!
//! 1. A caller who finds nobody running becomes the **leader** and runs at once: an idle embedder
//!    adds no wait.
//! 2. A caller who finds a leader queues as a **follower** and sleeps.
//! 3. When its round is over, the leader wakes the follower at the front of the queue as the next
//!    leader, and returns: nobody works for others longer than one round.
//! 4. A new leader takes the next followers in order, up to [`ROUND_TEXTS`] texts, and runs one
//!    round for all of them.
//!
//! Every distinct text of a round is embedded once. When a round of several callers fails, each of
//! them is run again alone, so that an error reaches exactly the caller whose texts cause it. A
//! panic of the inner embedder is an error like any other.
//!
//! There is no timer and no thread; fairness is first in, first out, and a caller with more than
//! [`ROUND_TEXTS`] texts queues anew for each part of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::error::catch_panic;
use crate::{EmbedError, Embedder, Embeddings, Fingerprint};

/// Most texts of one round: many times what the model needs for its full speed, and few enough that
/// those who wait are served soon.
const ROUND_TEXTS: usize = 256;

/// An embedder that merges concurrent calls to `E` into larger ones and never calls it from two
/// threads at once.
#[derive(Debug)]
pub struct Batched<E> {
    inner: E,
    /// Guards who leads and who waits, never held while the model runs. Lock order: `queue` before
    /// a job's `turn`; in fact no thread ever holds both. A parking_lot mutex, because it cannot be
    /// poisoned: a panic is caught where the inner embedder is called, and no code under the lock
    /// panics.
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whether a leader is at work. Invariant: while it is false, `waiting` is empty.
    busy: bool,
    waiting: VecDeque<Arc<Job>>,
}

/// The texts of a follower, owned because another thread reads them.
#[derive(Debug)]
struct Job {
    texts: Vec<String>,
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug)]
enum Turn {
    Waiting,
    /// The follower is to lead the next round.
    Lead,
    Done(Result<Embeddings, EmbedError>),
}

impl<E: Embedder> Batched<E> {
    /// Wraps an embedder, which must not call back into the wrapper: it would wait for itself. A
    /// caller must not hold a lock that the inner embedder takes, because it may wait for another
    /// caller's round.
    pub fn new(inner: E) -> Self {
        Self {
            inner,
            queue: Mutex::default(),
        }
    }

    /// The wrapped embedder.
    pub fn inner(&self) -> &E {
        &self.inner
    }

    /// Embeds at most [`ROUND_TEXTS`] texts, as leader or as follower.
    fn submit(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        let job = {
            let mut queue = self.queue.lock();
            if queue.busy {
                let job = Arc::new(Job::new(texts));
                queue.waiting.push_back(Arc::clone(&job));
                Some(job)
            } else {
                queue.busy = true;
                None
            }
        };
        match job.and_then(|job| job.wait()) {
            Some(result) => result,
            None => self.lead(texts),
        }
    }

    /// Runs one round for this caller and the followers that fit in, then passes leadership on.
    fn lead(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        let followers = self.take_followers(texts.len());
        let result = self.round(texts, &followers);
        let next = {
            let mut queue = self.queue.lock();
            let next = queue.waiting.pop_front();
            queue.busy = next.is_some();
            next
        };
        if let Some(job) = next {
            job.set(Turn::Lead);
        }
        result
    }

    /// Takes followers off the front of the queue while all texts together stay within
    /// [`ROUND_TEXTS`].
    fn take_followers(&self, mut texts: usize) -> Vec<Arc<Job>> {
        let mut queue = self.queue.lock();
        let mut taken = Vec::new();
        while let Some(job) = queue.waiting.pop_front() {
            texts += job.texts.len();
            if texts > ROUND_TEXTS {
                queue.waiting.push_front(job);
                break;
            }
            taken.push(job);
        }
        taken
    }

    /// Embeds the texts of all callers; answers the followers and returns the leader's rows. Does
    /// not panic, so every follower gets an answer.
    fn round(&self, own: &[&str], followers: &[Arc<Job>]) -> Result<Embeddings, EmbedError> {
        if followers.is_empty() {
            return self.run(own);
        }
        let mut all = own.to_vec();
        for job in followers {
            all.extend(job.texts());
        }
        let merged = Distinct::of(&all);
        let Ok(rows) = self.run(&merged.texts) else {
            // Someone's texts are at fault: each caller alone.
            for job in followers {
                let texts: Vec<&str> = job.texts().collect();
                job.set(Turn::Done(self.run(&texts)));
            }
            return self.run(own);
        };
        let (own_rows, mut others) = merged.rows.split_at_checked(own.len()).unwrap_or_default();
        for job in followers {
            let (job_rows, rest) = others.split_at_checked(job.texts.len()).unwrap_or_default();
            job.set(Turn::Done(rows.select(job_rows)));
            others = rest;
        }
        rows.select(own_rows)
    }

    /// Calls the inner embedder and checks that its answer has the promised shape.
    fn run(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        let failed = |reason: String| EmbedError::Inference {
            model: self.inner.fingerprint().model.clone(),
            reason,
        };
        let rows = catch_panic(|| self.inner.embed(texts)).map_err(failed)??;
        let (found, expected) = (
            (rows.len(), rows.dimension()),
            (texts.len(), self.dimension()),
        );
        if found != expected {
            return Err(failed(format!(
                "expected {} rows of {} numbers, found {} of {}",
                expected.0, expected.1, found.0, found.1
            )));
        }
        Ok(rows)
    }
}

impl<E: Embedder> Embedder for Batched<E> {
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    fn fingerprint(&self) -> &Fingerprint {
        self.inner.fingerprint()
    }

    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        if texts.is_empty() {
            return Embeddings::new(Vec::new(), self.dimension());
        }
        let Distinct {
            mut texts,
            mut rows,
        } = Distinct::of(texts);
        if texts.len() > ROUND_TEXTS {
            sort_by_length(&mut texts, &mut rows);
        }
        let mut data = Vec::with_capacity(texts.len() * self.dimension());
        for part in texts.chunks(ROUND_TEXTS) {
            data.extend(self.submit(part)?.into_vec());
        }
        Embeddings::new(data, self.dimension())?.select(&rows)
    }
}

impl Job {
    fn new(texts: &[&str]) -> Self {
        Self {
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
            turn: Mutex::new(Turn::Waiting),
            changed: Condvar::new(),
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    fn set(&self, turn: Turn) {
        *self.turn.lock() = turn;
        self.changed.notify_one();
    }

    /// Sleeps until there is a result; `None` when this follower is to lead instead.
    fn wait(&self) -> Option<Result<Embeddings, EmbedError>> {
        let mut turn = self.turn.lock();
        loop {
            match std::mem::replace(&mut *turn, Turn::Waiting) {
                Turn::Waiting => self.changed.wait(&mut turn),
                Turn::Lead => return None,
                Turn::Done(result) => return Some(result),
            }
        }
    }
}

/// Texts without repetition, and for each original text the place of its equal.
struct Distinct<'a> {
    texts: Vec<&'a str>,
    rows: Vec<usize>,
}

impl<'a> Distinct<'a> {
    fn of(all: &[&'a str]) -> Self {
        let mut places = HashMap::with_capacity(all.len());
        let mut texts = Vec::with_capacity(all.len());
        let rows = all
            .iter()
            .map(|&text| {
                *places.entry(text).or_insert_with(|| {
                    texts.push(text);
                    texts.len() - 1
                })
            })
            .collect();
        Self { texts, rows }
    }
}

/// Puts the longest texts first, so that the rounds of a long list hold texts of like length and
/// little padding, and changes `rows` to match.
fn sort_by_length(texts: &mut Vec<&str>, rows: &mut [usize]) {
    let mut sorted: Vec<(usize, &str)> = texts.iter().copied().enumerate().collect();
    sorted.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
    let mut moved_to = vec![0; texts.len()];
    for (new, (old, _)) in sorted.iter().enumerate() {
        if let Some(place) = moved_to.get_mut(*old) {
            *place = new;
        }
    }
    *texts = sorted.into_iter().map(|(_, text)| text).collect();
    for row in rows {
        *row = moved_to.get(*row).copied().unwrap_or(*row);
    }
}

#[cfg(test)]
mod tests;
