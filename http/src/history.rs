//! What has happened in the last hour: a sample every five seconds, for the page.
//!
//! The history of all namespaces is always kept. That of a part of them, one namespace or those that a token reaches, is
//! kept from the first time that somebody asks for it, of a few such parts.

use crate::error::Answer;
use crate::state::Context;
use crate::tokens::Reach;
use parking_lot::Mutex;
use prestige_core::{LatencySnapshot, Overview, Store};
use serde::Serialize;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{MissedTickBehavior, interval};
use utoipa::ToSchema;

/// Between two samples.
const INTERVAL: Duration = Duration::from_secs(5);
/// Samples of an hour.
const KEPT: usize = 720;
/// Parts of the store whose histories are kept, besides all of it. The one that nobody has asked for the longest goes.
const MAX_PARTS: usize = 32;

/// A part of the namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Those that a token reaches.
    pub reach: Reach,
    /// Of these, only this one.
    pub namespace: Option<String>,
}

impl Part {
    pub(crate) fn all() -> Self {
        Self {
            reach: Reach::All,
            namespace: None,
        }
    }

    pub(crate) fn includes(&self, name: &str) -> bool {
        self.reach.includes(name) && self.namespace.as_deref().is_none_or(|only| only == name)
    }
}

/// Figures of one moment. Counts are those since the store was opened.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Sample {
    /// Seconds since the Unix epoch.
    pub at: f64,
    /// Keys asked for since the store was opened.
    pub gets: u64,
    /// Of these, keys that had a value.
    pub hits: u64,
    /// Of these, keys that were absent or had expired.
    pub misses: u64,
    /// Keys put since the store was opened.
    pub puts: u64,
    /// Keys, the expired and not yet swept among them.
    pub keys: u64,
    /// Bytes of keys and distinct values.
    pub bytes: u64,
    /// Microseconds that half of the gets since the sample before took at most; null: there were none.
    pub get_p50_us: Option<f64>,
    /// Of 99 of 100 gets.
    pub get_p99_us: Option<f64>,
    /// Of half of the puts.
    pub put_p50_us: Option<f64>,
    /// Of 99 of 100 puts.
    pub put_p99_us: Option<f64>,
    /// Requests that this server has answered since it was started; 0 in the history of a part.
    pub http_requests: u64,
}

/// The samples of a part, and what the next one is the difference to.
struct Track {
    part: Part,
    samples: VecDeque<Sample>,
    gets: LatencySnapshot,
    puts: LatencySnapshot,
}

impl Track {
    fn new(part: Part) -> Self {
        Self {
            part,
            samples: VecDeque::new(),
            gets: LatencySnapshot::default(),
            puts: LatencySnapshot::default(),
        }
    }

    fn add(&mut self, at: f64, overview: &Overview, http_requests: u64) {
        let between = |now: &LatencySnapshot, before: &LatencySnapshot| {
            let latency = now.since(before).latency();
            let us = |time: Duration| (latency.count > 0).then_some(time.as_secs_f64() * 1e6);
            (us(latency.p50), us(latency.p99))
        };
        // Of a part that is watched from now on, the first sample has the latencies of all that was before.
        let (get_p50_us, get_p99_us) = between(&overview.gets, &self.gets);
        let (put_p50_us, put_p99_us) = between(&overview.puts, &self.puts);
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            at,
            gets: overview.stats.gets,
            hits: overview.stats.hits,
            misses: overview.stats.misses,
            puts: overview.stats.puts,
            keys: overview.health.total_keys,
            bytes: overview.health.total_bytes,
            get_p50_us,
            get_p99_us,
            put_p50_us,
            put_p99_us,
            http_requests,
        });
        self.gets = overview.gets.clone();
        self.puts = overview.puts.clone();
    }
}

/// The histories of a server.
pub(crate) struct History {
    /// The one of all namespaces first, the others by when they were last asked for. Held for a few instructions, and not
    /// while the store is asked.
    tracks: Mutex<Vec<Track>>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            tracks: Mutex::new(vec![Track::new(Part::all())]),
        }
    }

    /// The samples of a part after the moment `since`, the oldest first.
    pub(crate) fn of(&self, part: &Part, since: f64) -> Vec<Sample> {
        let mut tracks = self.tracks.lock();
        let place = tracks.iter().position(|track| track.part == *part);
        let track = match place {
            // Stays the first.
            Some(0) => tracks.first(),
            Some(place) => {
                let track = tracks.remove(place);
                tracks.push(track);
                tracks.last()
            }
            None => {
                if tracks.len() > MAX_PARTS {
                    tracks.remove(1);
                }
                tracks.push(Track::new(part.clone()));
                tracks.last()
            }
        };
        let samples = track.into_iter().flat_map(|track| &track.samples);
        samples
            .filter(|sample| sample.at > since)
            .cloned()
            .collect()
    }

    /// Takes a sample of each part.
    fn sample(&self, store: &Store, http_requests: u64) -> prestige_core::Result<()> {
        let parts: Vec<Part> = {
            let tracks = self.tracks.lock();
            tracks.iter().map(|track| track.part.clone()).collect()
        };
        for part in parts {
            let overview = store.overview(&|name| part.includes(name))?;
            let requests = if part == Part::all() {
                http_requests
            } else {
                0
            };
            let mut tracks = self.tracks.lock();
            if let Some(track) = tracks.iter_mut().find(|track| track.part == part) {
                track.add(now(), &overview, requests);
            }
        }
        Ok(())
    }
}

/// Seconds since the Unix epoch.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

/// Takes samples until the store is closed. Ends with the runtime of the server.
pub(crate) async fn record(context: Context) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if sample(&context).await.is_err() && context.store.is_closed() {
            return;
        }
    }
}

async fn sample(context: &Context) -> Answer<()> {
    let shared = context.clone();
    let sampled = context.blocking(move || {
        // What was recorded meanwhile is held one by one until then.
        shared.metrics.run_upkeep();
        shared
            .history
            .sample(&shared.store, shared.metrics.answered())
    });
    sampled.await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use prestige_core::Options;

    fn one(name: &str) -> Part {
        Part {
            namespace: Some(name.to_owned()),
            ..Part::all()
        }
    }

    #[test]
    fn samples_are_those_of_their_part() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), Options::default()).unwrap();
        let history = History::new();
        let view = store.namespace("a").unwrap();
        view.put(b"k", b"12", None).unwrap();
        assert_eq!(history.of(&one("a"), 0.0), []);
        history.sample(&store, 7).unwrap();
        store.put(b"k", b"1", None).unwrap();
        store.get(b"k").unwrap();
        view.get(b"missing").unwrap();
        history.sample(&store, 9).unwrap();

        let all = history.of(&Part::all(), 0.0);
        let [first, second] = all.as_slice() else {
            unreachable!("{all:?}");
        };
        assert_eq!(
            (first.puts, first.keys, first.gets, first.http_requests),
            (1, 1, 0, 7)
        );
        assert!(first.put_p50_us.unwrap() > 0.0);
        assert_eq!((first.get_p50_us, first.get_p99_us), (None, None));
        assert_eq!(
            (second.puts, second.gets, second.hits, second.misses),
            (2, 2, 1, 1)
        );
        assert_eq!(
            (second.keys, second.bytes, second.http_requests),
            (2, 2 + 3, 9)
        );
        assert_eq!(
            history.of(&Part::all(), first.at),
            std::slice::from_ref(second)
        );

        let part = history.of(&one("a"), 0.0);
        let last = part.last().unwrap();
        assert_eq!(
            (last.puts, last.gets, last.misses, last.http_requests),
            (1, 1, 1, 0)
        );
        // No put since the sample before.
        assert_eq!(last.put_p50_us, None);
    }

    #[test]
    fn an_hour_is_kept_of_a_few_parts() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), Options::default()).unwrap();
        let history = History::new();
        for _ in 0..KEPT + 5 {
            history.sample(&store, 0).unwrap();
        }
        assert_eq!(history.of(&Part::all(), 0.0).len(), KEPT);
        history.of(&one("first"), 0.0);
        for number in 0..MAX_PARTS + 8 {
            history.of(&one(&number.to_string()), 0.0);
        }
        history.sample(&store, 0).unwrap();
        assert_eq!(history.tracks.lock().len(), 1 + MAX_PARTS);
        assert_eq!(history.of(&Part::all(), 0.0).len(), KEPT);
        assert_eq!(history.of(&one("39"), 0.0).len(), 1);
        assert_eq!(history.of(&one("first"), 0.0).len(), 0);
    }
}
