//! The only file that touches `ort`: loads the ONNX Runtime library and runs a model in it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, TensorElementType, TensorRef};
use parking_lot::Mutex;

use crate::error::catch_panic;
use crate::{EmbedError, RuntimeLibrary};

/// The one runtime environment of this process.
///
/// `ort` loads one library and creates one environment a process, for good: a second environment is
/// refused even after the first is gone. So it is kept here, never dropped, and shared by all
/// sessions. A mutex rather than a `OnceLock`, because loading may fail and must then be possible
/// again with another library.
static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// What the inputs of a text model mean, by the names that all exporters use.
const INPUTS: [(&str, Input); 4] = [
    ("input_ids", Input::Ids),
    ("attention_mask", Input::Mask),
    ("token_type_ids", Input::TypeIds),
    ("position_ids", Input::Positions),
];

/// Outputs in the order of preference. Others come after them, token vectors (3-D) before text
/// vectors (2-D): a 2-D output of unknown name may be the `pooler_output` of BERT, which is no
/// sentence vector.
const OUTPUTS: [&str; 3] = [
    "last_hidden_state",
    "sentence_embedding",
    "token_embeddings",
];

#[derive(Clone, Copy, Debug)]
enum Input {
    Ids,
    Mask,
    TypeIds,
    Positions,
}

/// Token ids of some texts, each row padded to the same width: arrays of `rows` × `width`.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) ids: Vec<i64>,
    /// 1 for a token, 0 for padding.
    pub(crate) mask: Vec<i64>,
    pub(crate) type_ids: Vec<i64>,
    /// 0, 1, 2, … in each row.
    pub(crate) positions: Vec<i64>,
}

/// What a model answers for a batch; borrowed from the runtime, not copied.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output<'a> {
    /// One vector for each token: rows × width × d.
    Tokens(&'a [f32]),
    /// One vector for each text: rows × d.
    Texts(&'a [f32]),
}

/// A model, loaded and ready to run. One call at a time: `run` takes `&mut self` because `ort`
/// does.
#[derive(Debug)]
pub(crate) struct ModelSession {
    session: Session,
    inputs: Vec<(String, Input)>,
    output: String,
}

impl ModelSession {
    /// Loads a model.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Runtime`] for a library that cannot be used, [`EmbedError::Model`] for a file
    /// that is no model or one with inputs or outputs of an unknown kind.
    pub(crate) fn open(
        model: &Path,
        threads: usize,
        runtime: &RuntimeLibrary,
    ) -> Result<Self, EmbedError> {
        let environment = environment(runtime)?;
        let error = |expected: &str, found: String| EmbedError::Model {
            path: model.to_owned(),
            expected: expected.to_owned(),
            found,
            remedy: "build or download the model again".to_owned(),
        };
        let session = catch_panic(|| load(&environment, model, threads))
            .and_then(|loaded| loaded.map_err(|e| e.to_string()))
            .map_err(|found| error("an ONNX model", found))?;
        let inputs = session
            .inputs()
            .iter()
            .map(known_input)
            .collect::<Result<_, _>>()
            .map_err(|found| {
                error(
                    "int64 inputs input_ids, attention_mask, token_type_ids, position_ids",
                    found,
                )
            })?;
        let output = preferred_output(session.outputs())
            .ok_or_else(|| {
                let found = session
                    .outputs()
                    .iter()
                    .map(describe)
                    .collect::<Vec<_>>()
                    .join(", ");
                error(
                    "a float32 output with one vector for each token or text",
                    found,
                )
            })?
            .to_owned();
        Ok(Self {
            session,
            inputs,
            output,
        })
    }

    /// Runs the model and hands its output to `read`, with the dimension d. The error is a message.
    pub(crate) fn run<T>(
        &mut self,
        batch: &Batch,
        read: impl FnOnce(Output<'_>, usize) -> T,
    ) -> Result<T, String> {
        let shape = [batch.rows, batch.width];
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::new();
        for (name, input) in &self.inputs {
            let data = match input {
                Input::Ids => &batch.ids,
                Input::Mask => &batch.mask,
                Input::TypeIds => &batch.type_ids,
                Input::Positions => &batch.positions,
            };
            let tensor = TensorRef::from_array_view((shape, data.as_slice()));
            values.push((
                name.as_str().into(),
                tensor.map_err(|e| e.to_string())?.into(),
            ));
        }
        let outputs = self.session.run(values).map_err(|e| e.to_string())?;
        let value = outputs
            .get(&self.output)
            .ok_or("the model gave no output")?;
        let (shape, data) = value
            .try_extract_tensor::<f32>()
            .map_err(|e| e.to_string())?;
        let size = |dimension: i64| usize::try_from(dimension).unwrap_or(0);
        match shape[..] {
            [rows, width, d] if size(rows) == batch.rows && size(width) == batch.width && d > 0 => {
                Ok(read(Output::Tokens(data), size(d)))
            }
            [rows, d] if size(rows) == batch.rows && d > 0 => {
                Ok(read(Output::Texts(data), size(d)))
            }
            _ => Err(format!(
                "expected output {} of shape [{}, {}, d] or [{}, d], found {shape}",
                self.output, batch.rows, batch.width, batch.rows
            )),
        }
    }
}

/// The environment, created from `runtime` by the first caller. Later callers share it whatever
/// library they found.
fn environment(runtime: &RuntimeLibrary) -> Result<Environment, EmbedError> {
    let mut slot = ENVIRONMENT.lock();
    if let Some((path, environment)) = slot.as_ref() {
        if path != runtime.path() {
            tracing::info!(loaded = ?path, asked = ?runtime.path(), "one ONNX Runtime a process");
        }
        return Ok(environment.clone());
    }
    let create = || {
        ort::init_from(runtime.path())
            .map_err(|e| e.to_string())?
            .with_name("prestige")
            .with_telemetry(false)
            .with_logger(Arc::new(forward_log))
            .build()
            .map_err(|e| e.to_string())
    };
    let environment = catch_panic(create)
        .and_then(|created| created)
        .map_err(|reason| EmbedError::Runtime {
            place: runtime.path().display().to_string(),
            reason,
        })?;
    environment.set_log_level(LogLevel::Warning);
    *slot = Some((runtime.path().to_owned(), environment.clone()));
    Ok(environment)
}

fn load(environment: &Environment, model: &Path, threads: usize) -> ort::Result<Session> {
    Session::builder(environment)?
        .with_log_level(LogLevel::Warning)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Weights kept as int8 are turned to f32 once, on loading, rather than being taken as a
        // sign that the arithmetic should be done in int8, where a text's vector depends on its
        // neighbours in the batch.
        .with_quant_qdq(false)?
        // Threads that wait for each other within a call spin for 20 µs, about as long as waking one
        // takes: a lone text takes a seventh less time than without, a list a twentieth, at no more
        // processor time. Spinning on, as is the default, would burn a core of the host application
        // between calls. Runtimes that do not know of the duration stop when the call returns.
        .with_intra_op_spinning(true)?
        .with_config_entry("session.intra_op.spin_duration_us", "20")?
        .with_config_entry("session.force_spinning_stop", "1")?
        // Plans of memory use are kept for each input shape: with ever new shapes a leak in all but
        // name.
        .with_memory_pattern(false)?
        .commit_from_file(model)
}

/// Sends the runtime's own messages where the application wants them instead of to standard error.
fn forward_log(level: LogLevel, category: &str, _id: &str, place: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(target: "onnxruntime", category, place, "{message}"),
        LogLevel::Info => tracing::debug!(target: "onnxruntime", category, place, "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", category, place, "{message}"),
        LogLevel::Error | LogLevel::Fatal => {
            tracing::error!(target: "onnxruntime", category, place, "{message}");
        }
    }
}

fn known_input(input: &Outlet) -> Result<(String, Input), String> {
    INPUTS
        .iter()
        .find(|(name, _)| *name == input.name())
        .filter(|_| input.dtype().tensor_type() == Some(TensorElementType::Int64))
        .map(|&(name, kind)| (name.to_owned(), kind))
        .ok_or_else(|| describe(input))
}

fn preferred_output(outputs: &[Outlet]) -> Option<&str> {
    let rank = |output: &Outlet| output.dtype().tensor_shape().map_or(0, |shape| shape.len());
    let usable = |output: &&Outlet| {
        output.dtype().tensor_type() == Some(TensorElementType::Float32)
            && matches!(rank(output), 2 | 3)
    };
    OUTPUTS
        .iter()
        .find_map(|name| {
            outputs
                .iter()
                .filter(usable)
                .find(|output| output.name() == *name)
        })
        .or_else(|| {
            outputs
                .iter()
                .filter(usable)
                .max_by_key(|output| rank(output))
        })
        .map(Outlet::name)
}

fn describe(outlet: &Outlet) -> String {
    format!("{} of type {}", outlet.name(), outlet.dtype())
}
