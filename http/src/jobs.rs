//! Long work in the background, and what became of it.

use crate::error::{Answer, Code, Problem, ProblemDocument};
use crate::state::Context;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use utoipa::ToSchema;

/// Jobs that are remembered, the running ones among them.
const REMEMBERED: usize = 100;
/// Most jobs that run at a time: each has a thread.
const MOST_RUNNING: usize = 16;

/// The jobs of a server.
pub(crate) struct Jobs {
    /// Part of every name, so that a name of before a restart is not another job's: microseconds since the epoch.
    started: u64,
    next: AtomicU64,
    /// By age, the oldest first.
    remembered: Mutex<VecDeque<Arc<Job>>>,
}

/// Work that runs or has run.
pub(crate) struct Job {
    id: String,
    operation: &'static str,
    /// `None`: the whole store.
    namespace: Option<String>,
    started_at: f64,
    progress: Progress,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    Running,
    Succeeded { at: f64, result: Value },
    Failed { at: f64, problem: Problem },
}

/// How far a job has come: set by its work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<(AtomicU64, AtomicU64)>);

impl Progress {
    /// States that `done` of `total` is done, in whatever unit.
    pub(crate) fn set(&self, done: u64, total: u64) {
        self.0.1.store(total, Ordering::Relaxed);
        self.0.0.store(done, Ordering::Relaxed);
    }

    fn document(&self) -> Option<ProgressDocument> {
        let total = self.0.1.load(Ordering::Relaxed);
        let done = self.0.0.load(Ordering::Relaxed);
        (total > 0).then_some(ProgressDocument { done, total })
    }
}

impl Jobs {
    pub(crate) fn new() -> Self {
        Self {
            started: u64::try_from(since_epoch().as_micros()).unwrap_or(0),
            next: AtomicU64::new(1),
            remembered: Mutex::new(VecDeque::new()),
        }
    }

    /// Starts `work` on a thread of its own.
    ///
    /// # Errors
    /// `busy` if 16 jobs are running.
    pub(crate) fn start<F>(
        &self,
        context: &Context,
        operation: &'static str,
        namespace: Option<String>,
        work: F,
    ) -> Answer<Arc<Job>>
    where
        F: FnOnce(&Progress) -> Answer<Value> + Send + 'static,
    {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let job = Arc::new(Job {
            id: format!("{:x}-{number}", self.started),
            operation,
            namespace,
            started_at: since_epoch().as_secs_f64(),
            progress: Progress::default(),
            state: watch::Sender::new(State::Running),
        });
        self.remember(&job)?;
        let progress = job.progress.clone();
        let (context, running) = (context.clone(), Arc::clone(&job));
        tokio::spawn(async move {
            let ended = context.blocking(move || work(&progress)).await;
            let at = since_epoch().as_secs_f64();
            running.state.send_replace(match ended {
                Ok(result) => State::Succeeded { at, result },
                Err(problem) => State::Failed { at, problem },
            });
        });
        Ok(job)
    }

    fn remember(&self, job: &Arc<Job>) -> Answer<()> {
        let mut remembered = self.remembered.lock();
        if remembered.iter().filter(|job| job.is_running()).count() >= MOST_RUNNING {
            return Err(Problem::new(
                Code::Busy,
                format!("{MOST_RUNNING} jobs are running; wait for one of them"),
            ));
        }
        if remembered.len() >= REMEMBERED
            && let Some(oldest) = remembered.iter().position(|job| !job.is_running())
        {
            remembered.remove(oldest);
        }
        remembered.push_back(Arc::clone(job));
        Ok(())
    }

    /// All that are remembered, the newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        self.remembered.lock().iter().rev().cloned().collect()
    }

    /// The job of this name, if it is remembered.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Job>> {
        let remembered = self.remembered.lock();
        remembered.iter().find(|job| job.id == id).cloned()
    }
}

impl Job {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The namespace it works on; `None`: the whole store.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn is_running(&self) -> bool {
        matches!(*self.state.borrow(), State::Running)
    }

    /// Waits until it has ended, at most so long. What came of it, `None` if it still runs.
    pub(crate) async fn wait(&self, longest: Duration) -> Option<Answer<Value>> {
        let mut state = self.state.subscribe();
        let ended = state.wait_for(|state| !matches!(state, State::Running));
        match tokio::time::timeout(longest, ended).await {
            Ok(Ok(state)) => match &*state {
                State::Running => None,
                State::Succeeded { result, .. } => Some(Ok(result.clone())),
                State::Failed { problem, .. } => Some(Err(problem.clone())),
            },
            _ => None,
        }
    }

    pub(crate) fn document(&self) -> JobDocument {
        let (state, finished_at, result, error) = match &*self.state.borrow() {
            State::Running => (JobState::Running, None, None, None),
            State::Succeeded { at, result } => {
                (JobState::Succeeded, Some(*at), Some(result.clone()), None)
            }
            State::Failed { at, problem } => {
                (JobState::Failed, Some(*at), None, Some(problem.document()))
            }
        };
        JobDocument {
            id: self.id.clone(),
            operation: self.operation,
            namespace: self.namespace.clone(),
            state,
            started_at: self.started_at,
            finished_at,
            progress: self.progress.document(),
            result,
            error,
        }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Work in the background.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobDocument {
    /// Its name in `/api/v1/jobs/{id}`.
    id: String,
    /// What it does, such as `compact`.
    operation: &'static str,
    /// The namespace it works on; null: the whole store.
    namespace: Option<String>,
    state: JobState,
    /// Seconds since the Unix epoch.
    started_at: f64,
    /// Seconds since the Unix epoch; null while it runs.
    finished_at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    progress: Option<ProgressDocument>,
    /// What it has found or done, of one that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    result: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<ProblemDocument>,
}

/// Where work in the background stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum JobState {
    Running,
    Succeeded,
    Failed,
}

/// How far work in the background has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
struct ProgressDocument {
    /// What is done, in the unit of `total`.
    done: u64,
    total: u64,
}
