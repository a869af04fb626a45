//! Merges concurrent callers into one batch.
//!
//! A model computes a batch of texts faster than one text after the other, and a runtime session
//! serves one call at a time. So every caller makes its texts ready by itself (tokenises them), while
//! others compute; then, if it finds the model busy, it leaves them in a queue, and whoever runs
//! next takes everything that waits along in its own round:
//!
//! 1. A caller who finds nobody running becomes the **leader** and runs a round.
//! 2. A caller who finds a leader queues as a **follower** and sleeps.
//! 3. When its round is over, the leader wakes the follower at the front of the queue as the next
//!    leader, and returns: nobody works for others longer than one round.
//! 4. A new leader takes the next followers in order, as many as a round holds, and runs one round
//!    for all of them.
//! 5. If that makes few texts, a leader first gives those who were answered a moment ago the time to
//!    come back, as long as such callers do ([`returns`]). Who was answered alone never waits.
//!
//! Every distinct text of a round is embedded once. When a round of several callers fails, each of
//! them is run again alone, so that an error reaches exactly the caller whose texts cause it. A
//! panic of the model is an error like any other.
//!
//! Fairness is first in, first out, and a caller with more texts than a round holds queues anew for
//! each part of them ([`list`]). So nobody waits longer than one round, and the moment before it, for
//! each caller before him, and there are no more callers than threads. A caller may give up: between
//! two of its parts, and while it waits in the queue.

mod list;
mod returns;

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::catch_panic;
use crate::load::{EmbedderLoad, Rounds};
use crate::{Check, EmbedError, Embeddings};
use returns::Returns;

/// How often a caller who waits asks whether it is to give up.
const PATIENCE: Duration = Duration::from_millis(100);

/// An embedder in its two stages: what can be done by many threads at once, and what cannot.
pub(crate) trait Stages: Debug + Send + Sync {
    /// A text made ready.
    type Input: Debug + Eq + Hash + Send + Sync;

    /// Name of the model, for messages.
    fn model(&self) -> &str;

    /// Length of the vectors.
    fn dimension(&self) -> usize;

    /// Makes a text ready.
    fn prepare(&self, text: &str) -> Result<Self::Input, EmbedError>;

    /// Length of a text in what the model counts.
    fn size(&self, input: &Self::Input) -> usize;

    /// How many texts, given their sizes in descending order, are to be computed in one round. What a round takes bounds
    /// how long others wait.
    fn round_length(&self, sizes: &[usize]) -> usize;

    /// Embeds texts, the longest first. Called by one thread at a time.
    fn compute(&self, inputs: &[&Self::Input]) -> Result<Embeddings, EmbedError>;
}

/// Merges concurrent calls into rounds, and computes one round at a time.
#[derive(Debug)]
pub(crate) struct Batched<S: Stages> {
    stages: S,
    /// Guards who leads and who waits, never held while the model runs. Lock order: `queue` before
    /// a job's `turn`; in fact no thread ever holds both. A parking_lot mutex, because it cannot be
    /// poisoned: a panic is caught where the model is called, and no code under the lock panics.
    queue: Mutex<Queue<S::Input>>,
    /// A leader who waits for callers need wait no longer.
    enough: Condvar,
    rounds: Rounds,
}

#[derive(Debug)]
struct Queue<I> {
    /// Whether a leader is at work. Invariant: while it is false, `waiting` is empty.
    busy: bool,
    waiting: VecDeque<Arc<Job<I>>>,
    returns: Returns,
}

/// The texts of a follower, shared with the leader who takes them along.
#[derive(Debug)]
struct Job<I> {
    inputs: Vec<I>,
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

/// How a follower's wait ended.
enum Waited {
    Lead,
    Done(Result<Embeddings, EmbedError>),
}

impl<S: Stages> Batched<S> {
    /// Wraps an embedder, whose stages must not call back into the wrapper: they would wait for themselves. A caller
    /// must not hold a lock that they take, because it may wait for another caller's round.
    pub(crate) fn new(stages: S) -> Self {
        Self {
            stages,
            queue: Mutex::new(Queue {
                busy: false,
                waiting: VecDeque::new(),
                returns: Returns::default(),
            }),
            enough: Condvar::new(),
            rounds: Rounds::default(),
        }
    }

    /// What was computed so far, and what waits.
    pub(crate) fn load(&self) -> EmbedderLoad {
        let waiting = {
            let queue = self.queue.lock();
            queue
                .waiting
                .iter()
                .map(|job| job.inputs.len() as u64)
                .sum()
        };
        self.rounds.load(waiting)
    }

    /// The wrapped embedder.
    pub(crate) fn stages(&self) -> &S {
        &self.stages
    }

    /// Embeds the texts of one round, as leader or as follower.
    fn submit(&self, inputs: Vec<S::Input>, check: Check<'_>) -> Result<Embeddings, EmbedError> {
        let job = Arc::new(Job::new(inputs));
        {
            let mut queue = self.queue.lock();
            if queue.returns.arrived(job.inputs.len()) {
                self.enough.notify_one();
            }
            if queue.busy {
                queue.waiting.push_back(Arc::clone(&job));
            } else {
                queue.busy = true;
                drop(queue);
                return self.lead(&job.inputs);
            }
        }
        match self.wait(&job, check)? {
            Waited::Done(result) => result,
            Waited::Lead => self.lead(&job.inputs),
        }
    }

    /// Waits a moment for the callers of the last round to come back, unless those who wait make a round already. Called
    /// by the leader.
    fn await_returns(&self, own: &[S::Input]) {
        let mut queue = self.queue.lock();
        let waiting = queue.waiting.iter().flat_map(|job| &job.inputs);
        let sizes = own.iter().chain(waiting);
        let mut sizes: Vec<usize> = sizes.map(|input| self.stages.size(input)).collect();
        let Some(end) = queue.returns.awaited(sizes.len()) else {
            return;
        };
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        if self.stages.round_length(&sizes) < sizes.len() {
            return;
        }
        while !queue.returns.enough() {
            if self.enough.wait_until(&mut queue, end).timed_out() {
                break;
            }
        }
        queue.returns.waited();
    }

    /// Sleeps until the job is done or its turn has come to lead. The error is that of `check`, after which nobody waits
    /// for this caller any more.
    fn wait(&self, job: &Arc<Job<S::Input>>, check: Check<'_>) -> Result<Waited, EmbedError> {
        loop {
            if let Some(waited) = job.wait(Some(PATIENCE)) {
                return Ok(waited);
            }
            let Err(error) = check() else { continue };
            let mut queue = self.queue.lock();
            let waiting = queue.waiting.len();
            queue.waiting.retain(|other| !Arc::ptr_eq(other, job));
            let withdrawn = queue.waiting.len() < waiting;
            drop(queue);
            // Otherwise a leader has taken the job along, or is about to wake this caller as the next one.
            if !withdrawn && matches!(job.wait(None), Some(Waited::Lead)) {
                self.pass_on();
            }
            return Err(error);
        }
    }

    /// Runs one round for this caller and the followers that fit in, then passes leadership on.
    fn lead(&self, inputs: &[S::Input]) -> Result<Embeddings, EmbedError> {
        self.await_returns(inputs);
        let followers = self.take_followers(inputs);
        let result = self.round(inputs, &followers);
        self.pass_on();
        result
    }

    /// Makes the follower at the front of the queue the next leader.
    fn pass_on(&self) {
        let next = {
            let mut queue = self.queue.lock();
            let next = queue.waiting.pop_front();
            queue.busy = next.is_some();
            next
        };
        if let Some(job) = next {
            job.set(Turn::Lead);
        }
    }

    /// Takes followers off the front of the queue while all texts together make one round.
    fn take_followers(&self, own: &[S::Input]) -> Vec<Arc<Job<S::Input>>> {
        let mut sizes: Vec<usize> = own.iter().map(|input| self.stages.size(input)).collect();
        let mut queue = self.queue.lock();
        let mut taken = Vec::new();
        while let Some(job) = queue.waiting.pop_front() {
            sizes.extend(job.inputs.iter().map(|input| self.stages.size(input)));
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            if self.stages.round_length(&sizes) < sizes.len() {
                queue.waiting.push_front(job);
                break;
            }
            taken.push(job);
        }
        taken
    }

    /// Embeds the texts of all callers; answers the followers and returns the leader's rows. Does
    /// not panic, so every follower gets an answer.
    fn round(
        &self,
        own: &[S::Input],
        followers: &[Arc<Job<S::Input>>],
    ) -> Result<Embeddings, EmbedError> {
        let all = followers.iter().flat_map(|job| &job.inputs);
        let merged = Distinct::of(own.iter().chain(all));
        let start = Instant::now();
        let rows = match self.run(&merged.items) {
            Ok(rows) => rows,
            Err(error) if followers.is_empty() => return Err(error),
            Err(_) => {
                // Someone's texts are at fault: each caller alone.
                for job in followers {
                    job.set(Turn::Done(self.round(&job.inputs, &[])));
                }
                return self.round(own, &[]);
            }
        };
        // Before the first of them can come back.
        let (callers, texts) = (1 + followers.len(), merged.items.len());
        let took = start.elapsed();
        self.queue.lock().returns.answered(callers, texts, took);
        let (own_rows, mut others) = merged.rows.split_at_checked(own.len()).unwrap_or_default();
        for job in followers {
            let (job_rows, rest) = others
                .split_at_checked(job.inputs.len())
                .unwrap_or_default();
            job.set(Turn::Done(rows.select(job_rows)));
            others = rest;
        }
        rows.select(own_rows)
    }

    /// Calls the model, the longest texts first, checks that its answer has the promised shape, and puts it in the order
    /// of `inputs`.
    fn run(&self, inputs: &[&S::Input]) -> Result<Embeddings, EmbedError> {
        let mut order: Vec<(usize, &S::Input)> = inputs.iter().copied().enumerate().collect();
        order.sort_by_key(|(_, input)| std::cmp::Reverse(self.stages.size(input)));
        let sorted: Vec<&S::Input> = order.iter().map(|(_, input)| *input).collect();
        let rows = self.caught(|| self.stages.compute(&sorted))?;
        self.rounds.count(inputs.len());
        let (found, expected) = (
            (rows.len(), rows.dimension()),
            (inputs.len(), self.stages.dimension()),
        );
        if found != expected {
            return Err(self.failed(format!(
                "expected {} rows of {} numbers, found {} of {}",
                expected.0, expected.1, found.0, found.1
            )));
        }
        let mut places = vec![0; inputs.len()];
        for (sorted, (original, _)) in order.iter().enumerate() {
            if let Some(place) = places.get_mut(*original) {
                *place = sorted;
            }
        }
        rows.select(&places)
    }

    /// Runs a stage, of which a panic is an error.
    fn caught<T>(&self, stage: impl FnOnce() -> Result<T, EmbedError>) -> Result<T, EmbedError> {
        catch_panic(stage).map_err(|reason| self.failed(reason))?
    }

    fn failed(&self, reason: String) -> EmbedError {
        EmbedError::Inference {
            model: self.stages.model().to_owned(),
            reason,
        }
    }
}

impl<I> Job<I> {
    fn new(inputs: Vec<I>) -> Self {
        Self {
            inputs,
            turn: Mutex::new(Turn::Waiting),
            changed: Condvar::new(),
        }
    }

    fn set(&self, turn: Turn) {
        *self.turn.lock() = turn;
        self.changed.notify_one();
    }

    /// Sleeps until there is a result or a turn to lead; `None` when there is neither after `patience`.
    fn wait(&self, patience: Option<Duration>) -> Option<Waited> {
        let mut turn = self.turn.lock();
        loop {
            match std::mem::replace(&mut *turn, Turn::Waiting) {
                Turn::Lead => return Some(Waited::Lead),
                Turn::Done(result) => return Some(Waited::Done(result)),
                Turn::Waiting => match patience {
                    None => self.changed.wait(&mut turn),
                    Some(patience) => {
                        if self.changed.wait_for(&mut turn, patience).timed_out()
                            && matches!(*turn, Turn::Waiting)
                        {
                            return None;
                        }
                    }
                },
            }
        }
    }
}

/// Items without repetition, and for each original item the place of its equal.
struct Distinct<T> {
    items: Vec<T>,
    rows: Vec<usize>,
}

impl<T: Copy + Eq + Hash> Distinct<T> {
    fn of(all: impl Iterator<Item = T>) -> Self {
        let mut places = HashMap::with_capacity(all.size_hint().0);
        let mut items = Vec::with_capacity(all.size_hint().0);
        let rows = all
            .map(|item| {
                *places.entry(item).or_insert_with(|| {
                    items.push(item);
                    items.len() - 1
                })
            })
            .collect();
        Self { items, rows }
    }
}

#[cfg(test)]
mod tests;
