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

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
    use super::*;
    use crate::config::Config;
    use prestige_core::{Options, Store};
    use serde_json::json;
    use std::sync::mpsc;
    use tempfile::TempDir;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn context() -> (Context, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), Options::default()).unwrap();
        let context = Context::new(Arc::new(store), Config::default()).unwrap();
        (context, directory)
    }

    fn shown(job: &Job) -> Value {
        serde_json::to_value(job.document()).unwrap()
    }

    #[tokio::test]
    async fn a_job_runs_and_ends() {
        let (context, _directory) = context();
        let (go, gone) = mpsc::channel::<()>();
        let (at_work, started) = tokio::sync::oneshot::channel();
        let job = context
            .jobs
            .start(&context, "count", Some("red".to_owned()), move |progress| {
                progress.set(3, 7);
                at_work.send(()).unwrap();
                gone.recv().unwrap();
                Ok(json!({"counted": 7}))
            })
            .unwrap();
        started.await.unwrap();
        assert!(job.wait(Duration::ZERO).await.is_none());
        let running = shown(&job);
        assert_eq!(running["state"], "running");
        assert_eq!(running["operation"], "count");
        assert_eq!(running["namespace"], "red");
        assert_eq!(running["progress"], json!({"done": 3, "total": 7}));
        assert_eq!(running["finished_at"], Value::Null);
        assert!(running.get("result").is_none());
        go.send(()).unwrap();
        let result = job.wait(PATIENCE).await.unwrap().unwrap();
        assert_eq!(result, json!({"counted": 7}));
        let found = context.jobs.find(job.id()).unwrap();
        assert_eq!(shown(&found)["state"], "succeeded");
        assert_eq!(shown(&found)["result"], result);
    }

    #[tokio::test]
    async fn a_failure_is_kept_and_a_panic_is_one() {
        let (context, _directory) = context();
        let job = context
            .jobs
            .start(&context, "fail", None, |_| Err(Problem::invalid("no")))
            .unwrap();
        let problem = job.wait(PATIENCE).await.unwrap().unwrap_err();
        assert_eq!(problem.code(), Code::InvalidArgument);
        assert_eq!(shown(&job)["state"], "failed");
        assert_eq!(shown(&job)["error"]["detail"], "no");
        let job = context
            .jobs
            .start(&context, "panic", None, |_| panic!("a secret"))
            .unwrap();
        let problem = job.wait(PATIENCE).await.unwrap().unwrap_err();
        assert_eq!(problem.code(), Code::Internal);
        assert!(!shown(&job).to_string().contains("secret"));
    }

    #[tokio::test]
    async fn running_jobs_are_bounded_and_ended_ones_forgotten() {
        let (context, _directory) = context();
        let start = |work: Box<dyn FnOnce() + Send>| {
            context.jobs.start(&context, "work", None, move |_| {
                work();
                Ok(Value::Null)
            })
        };
        let mut waiting = Vec::new();
        for _ in 0..MOST_RUNNING {
            let (go, gone) = mpsc::channel::<()>();
            let job = start(Box::new(move || {
                let _ = gone.recv();
            }));
            waiting.push((job.unwrap(), go));
        }
        let refused = start(Box::new(|| ())).err().unwrap();
        assert_eq!(refused.code(), Code::Busy);
        let (first, go) = waiting.remove(0);
        drop(go);
        first.wait(PATIENCE).await.unwrap().unwrap();
        for _ in 0..2 * REMEMBERED {
            let job = start(Box::new(|| ())).unwrap();
            job.wait(PATIENCE).await.unwrap().unwrap();
        }
        assert_eq!(context.jobs.all().len(), REMEMBERED);
        assert!(context.jobs.find(first.id()).is_none());
        // However old, what runs is remembered.
        for (job, go) in waiting {
            assert!(context.jobs.find(job.id()).is_some());
            drop(go);
            job.wait(PATIENCE).await.unwrap().unwrap();
        }
    }
}
