//! A Python function as the embedder of a store.
//!
//! The function is called on whichever thread puts, by several at once if several put, with the GIL and without any lock
//! of the store or of the models: it may take its time, use other stores, and even this one. What it raises reaches
//! the caller of `put` as it was raised.

use crate::error::{callback_error, exception};
use numpy::PyReadonlyArray2;
use prestige_core::embed::{EmbedError, Embedder, Embeddings, Fingerprint};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::{Arc, OnceLock};

/// What the function is asked for to find out the length of its vectors.
const PROBE: &str = "How long are the vectors?";

/// A function `list[str] -> array (n, d)` with the name of the model behind it.
pub(crate) struct Callable {
    function: Arc<Py<PyAny>>,
    id: String,
    /// Set by the first call that succeeds.
    embedder: OnceLock<Arc<PyEmbedder>>,
}

impl Callable {
    pub(crate) fn new(function: Py<PyAny>, id: String) -> Self {
        Self {
            function: Arc::new(function),
            id,
            embedder: OnceLock::new(),
        }
    }

    pub(crate) fn function(&self) -> &Py<PyAny> {
        &self.function
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The embedder, its dimension found out by calling the function once. No lock is held over that call: of two threads
    /// that come at once both call it.
    pub(crate) fn embedder(&self) -> Result<Arc<PyEmbedder>, EmbedError> {
        if let Some(embedder) = self.embedder.get() {
            return Ok(Arc::clone(embedder));
        }
        let mut embedder = PyEmbedder {
            function: Arc::clone(&self.function),
            dimension: None,
            fingerprint: Fingerprint::from_parts(self.id.clone(), &[]),
        };
        let dimension = embedder.run(&[PROBE])?.dimension();
        embedder.dimension = Some(dimension);
        embedder.fingerprint = Fingerprint::from_parts(
            self.id.clone(),
            &[
                b"prestige python embedder 1",
                self.id.as_bytes(),
                &(dimension as u64).to_le_bytes(),
            ],
        );
        Ok(Arc::clone(self.embedder.get_or_init(|| Arc::new(embedder))))
    }
}

/// The function as an [`Embedder`].
#[derive(Debug)]
pub(crate) struct PyEmbedder {
    function: Arc<Py<PyAny>>,
    /// `None` while it is found out.
    dimension: Option<usize>,
    fingerprint: Fingerprint,
}

impl PyEmbedder {
    /// Calls the function and checks what it returns.
    fn run(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        let called = Python::try_attach(|py| self.call(py, texts));
        let (data, dimension) = called.unwrap_or_else(|| {
            Err(self.failed("the Python interpreter is shutting down".to_owned()))
        })?;
        Embeddings::new_checked(data, texts.len(), dimension)
            .map_err(|error| self.failed(error.to_string()))
    }

    /// The rows that the function returns for `texts`, and their length.
    fn call(&self, py: Python<'_>, texts: &[&str]) -> Result<(Vec<f32>, usize), EmbedError> {
        let answer = PyList::new(py, texts)
            .and_then(|texts| self.function.bind(py).call1((texts,)))
            .map_err(raised)?;
        let array = py
            .import("numpy")
            .and_then(|numpy| numpy.call_method1("asarray", (&answer,)))
            .map_err(|cause| self.not_an_array(py, texts.len(), &answer, cause))?;
        let (kind, size, shape) = description(&array).map_err(raised)?;
        if !matches!(kind, 'f' | 'i' | 'u') {
            let found = if shape.is_empty() {
                type_of(&answer)
            } else {
                format!("an array of {}", type_name(&array))
            };
            return Err(self.refused(texts.len(), found));
        }
        let dimension = match shape.as_slice() {
            &[rows, columns]
                if rows == texts.len()
                    && columns > 0
                    && self.dimension.is_none_or(|dimension| dimension == columns) =>
            {
                columns
            }
            _ => {
                let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
                let comma = if shape.len() == 1 { "," } else { "" };
                return Err(self.refused(texts.len(), format!("({}{comma})", shape.join(", "))));
            }
        };
        let data = if kind == 'f' && size <= 4 {
            floats::<f32>(&array, "float32").map_err(raised)?
        } else {
            scaled(
                &floats::<f64>(&array, "float64").map_err(raised)?,
                dimension,
            )
        };
        Ok((data, dimension))
    }

    /// The shape that is wanted of the answer for so many texts.
    fn expected(&self, rows: usize) -> String {
        let columns = self
            .dimension
            .map_or_else(|| "d".to_owned(), |dimension| dimension.to_string());
        format!("an array of numbers of shape ({rows}, {columns}), one row for each text")
    }

    fn refused(&self, rows: usize, found: String) -> EmbedError {
        self.failed(format!("expected {}, found {found}", self.expected(rows)))
    }

    fn failed(&self, reason: String) -> EmbedError {
        EmbedError::Inference {
            model: self.fingerprint.model.clone(),
            reason,
        }
    }

    /// The error for what NumPy cannot read, with what NumPy said of it as its cause.
    fn not_an_array(
        &self,
        py: Python<'_>,
        rows: usize,
        answer: &Bound<'_, PyAny>,
        cause: PyErr,
    ) -> EmbedError {
        let message = self.refused(rows, format!("{}: {cause}", type_of(answer)));
        let error = exception("ModelError", message.to_string());
        error.set_cause(py, Some(cause));
        raised(error)
    }
}

impl Embedder for PyEmbedder {
    fn dimension(&self) -> usize {
        self.dimension.unwrap_or(1)
    }

    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn embed(&self, texts: &[&str]) -> Result<Embeddings, EmbedError> {
        if texts.is_empty() {
            return Embeddings::new(Vec::new(), self.dimension());
        }
        self.run(texts)
    }
}

/// A Python exception, to be raised again as it is where the call into the store began.
pub(crate) fn raised(error: PyErr) -> EmbedError {
    EmbedError::Callback(callback_error(error))
}

/// Kind and size of the numbers of an array (NumPy's `dtype.kind` and `itemsize`), and its shape.
fn description(array: &Bound<'_, PyAny>) -> PyResult<(char, usize, Vec<usize>)> {
    let dtype = array.getattr("dtype")?;
    Ok((
        dtype.getattr("kind")?.extract()?,
        dtype.getattr("itemsize")?.extract()?,
        array.getattr("shape")?.extract()?,
    ))
}

fn floats<T: numpy::Element + Copy>(array: &Bound<'_, PyAny>, dtype: &str) -> PyResult<Vec<T>> {
    let array = array.call_method1("astype", (dtype, "C"))?;
    let array: PyReadonlyArray2<'_, T> = array.extract()?;
    Ok(array.as_slice()?.to_vec())
}

/// Rows of f64 as f32, each divided by its largest number, since f32 holds neither 1e300 nor 1e-300.
fn scaled(data: &[f64], dimension: usize) -> Vec<f32> {
    let mut scaled = Vec::with_capacity(data.len());
    for row in data.chunks_exact(dimension.max(1)) {
        let largest = row.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let scale = if largest > 0.0 && largest.is_finite() {
            largest
        } else {
            1.0
        };
        scaled.extend(row.iter().map(|x| (x / scale) as f32));
    }
    scaled
}

/// What the function returned, for people.
fn type_of(answer: &Bound<'_, PyAny>) -> String {
    if answer.hasattr("__await__").unwrap_or(false) {
        // Or Python warns that nobody has awaited it.
        let _ = answer.call_method0("close");
        return "a coroutine; pass a function that is not async".to_owned();
    }
    let name = answer.get_type().name();
    name.map_or_else(|_| "something else".to_owned(), |name| name.to_string())
}

fn type_name(array: &Bound<'_, PyAny>) -> String {
    array
        .getattr("dtype")
        .map_or_else(|_| "something else".to_owned(), |dtype| dtype.to_string())
}
