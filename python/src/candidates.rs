//! Candidates, metadata and outcomes.

use crate::convert::{Key, Value, type_name};
use crate::error::{PyStoreResult, blocking, invalid};
use crate::numbers::{Integer, finite};
use crate::store::Store;
use numpy::{PyArrayDyn, PyArrayMethods as _, PyUntypedArrayMethods as _};
use prestige_core::{
    Candidate, CandidateOptions, DIGEST_BYTES, Digest, Error, Metadata, Outcome, Query,
    RecordedOutcome, Verdict,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMapping, PyString, PyTuple};
use std::collections::BTreeMap;

#[pymethods]
impl Store {
    /// Return the metadata of the value of a key.
    ///
    /// Args:
    ///     key: The key.
    ///
    /// Returns:
    ///     The pairs that puts of this value have given it; an empty dictionary if there are none.
    ///
    /// Raises:
    ///     NotFoundError: The key does not exist or has expired.
    fn get_metadata(&self, py: Python<'_>, key: Key<'_>) -> PyStoreResult<Metadata> {
        let key = key.as_bytes()?;
        blocking(py, || self.handle().metadata(key))
    }

    /// Return the digest by which a value would be found: SHA-256, after normalisation.
    ///
    /// Args:
    ///     value: The value, which need not be stored.
    ///
    /// Returns:
    ///     64 hexadecimal digits.
    fn digest(&self, py: Python<'_>, value: Value<'_>) -> PyStoreResult<String> {
        let value = value.as_bytes()?;
        Ok(blocking(py, || self.handle().digest(value))?.to_hex())
    }

    /// Return the stored values nearest to a query, for a caller that decides what is a hit.
    ///
    /// The most similar comes first. Of an exact store it is the identical value, with similarity
    /// 1.0, or nothing; so too for a value that a semantic store does not embed. Nothing changes,
    /// and no key counts as used. A value whose last key has expired counts until that key is
    /// removed. A value that is stored already is not embedded again.
    ///
    /// Args:
    ///     query: The value to compare with.
    ///     k: At most so many, 1 to 10,000.
    ///     filter: Only values whose metadata has, for each key, the text given, or one of a list
    ///         of texts. A filter that few values satisfy still finds ``k`` if there are so many.
    ///     min_similarity: Only values of at least this cosine similarity, -1 to 1; None: all.
    ///     include_values: Whether the values are returned, too.
    ///     embedding: In place of ``query``, its embedding: ``d`` finite numbers, brought to unit
    ///         length. No model runs. Not in exact stores.
    ///
    /// Returns:
    ///     A list of dictionaries with the keys of ``prestige.Candidate``.
    ///
    /// Raises:
    ///     InvalidArgumentError: A number is out of range, or the embedding does not fit.
    ///     ModelError: The model failed on the text, or is not that of a store opened read-only.
    ///     TypeError: Neither or both of ``query`` and ``embedding`` are given, or ``filter`` is
    ///         no dictionary of texts.
    #[pyo3(signature = (query = None, k = Integer::Default(5), filter = None, min_similarity = None,
                        include_values = false, *, embedding = None),
           text_signature = "($self, query=None, k=5, filter=None, min_similarity=None, include_values=False, *, embedding=None)")]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python method")]
    fn candidates<'py>(
        &self,
        py: Python<'py>,
        query: Option<Value<'_>>,
        k: Integer<'_>,
        filter: Option<&Bound<'_, PyAny>>,
        min_similarity: Option<&Bound<'_, PyAny>>,
        include_values: bool,
        embedding: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<Bound<'py, PyList>> {
        let options = options(&k, filter, min_similarity, include_values)?;
        let (rows, vector);
        let query = match (&query, embedding) {
            (Some(value), None) => Query::Value(value.as_bytes()?),
            (None, Some(embedding)) => {
                (rows, vector) = floats(embedding, "embedding", 1)?;
                debug_assert_eq!(rows, 1);
                Query::Vector(&vector)
            }
            _ => return Err(either("query", "embedding").into()),
        };
        let found = blocking(py, || self.handle().candidates(query, &options))?;
        Ok(dictionaries(py, found)?)
    }

    /// Return the candidates of many queries, as ``candidates`` does of one.
    ///
    /// Texts that are not stored are embedded together, each distinct one once.
    ///
    /// Args:
    ///     queries: A list or other iterable of values; a single ``str`` or ``bytes`` is refused.
    ///     k: At most so many for each query, 1 to 10,000.
    ///     filter: As in ``candidates``, for all queries.
    ///     min_similarity: As in ``candidates``, for all queries.
    ///     include_values: Whether the values are returned, too.
    ///     embeddings: In place of ``queries``, an array of shape (n, d).
    ///
    /// Returns:
    ///     A list of candidates for each query, in their order.
    ///
    /// Raises:
    ///     Exception: As ``candidates``.
    #[pyo3(signature = (queries = None, k = Integer::Default(5), filter = None, min_similarity = None,
                        include_values = false, *, embeddings = None),
           text_signature = "($self, queries=None, k=5, filter=None, min_similarity=None, include_values=False, *, embeddings=None)")]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python method")]
    fn candidates_many<'py>(
        &self,
        py: Python<'py>,
        queries: Option<&Bound<'py, PyAny>>,
        k: Integer<'_>,
        filter: Option<&Bound<'_, PyAny>>,
        min_similarity: Option<&Bound<'_, PyAny>>,
        include_values: bool,
        embeddings: Option<&Bound<'_, PyAny>>,
    ) -> PyStoreResult<Bound<'py, PyList>> {
        let options = options(&k, filter, min_similarity, include_values)?;
        let (values, rows, vectors);
        let queries = match (queries, embeddings) {
            (Some(queries), None) => {
                values = values_of(queries)?;
                let values = values.iter();
                values
                    .map(|value| Ok(Query::Value(value.as_bytes()?)))
                    .collect::<PyResult<Vec<_>>>()?
            }
            (None, Some(embeddings)) => {
                (rows, vectors) = floats(embeddings, "embeddings", 2)?;
                // Rows without numbers are of a wrong length, which the store says.
                match vectors.len() / rows.max(1) {
                    0 => vec![Query::Vector(&[]); rows],
                    length => vectors.chunks(length).map(Query::Vector).collect(),
                }
            }
            _ => return Err(either("queries", "embeddings").into()),
        };
        let found = blocking(py, || self.handle().candidates_many(&queries, &options))?;
        let list = PyList::empty(py);
        for candidates in found {
            list.append(dictionaries(py, candidates)?)?;
        }
        Ok(list)
    }

    /// Say what a put of a value would do now, and why. Changes nothing.
    ///
    /// Goes through all that the put would: the model runs on a text that is not stored, and the
    /// ``verifier`` is asked. Other threads can change the store before the put comes.
    ///
    /// Args:
    ///     value: The value.
    ///
    /// Returns:
    ///     A dictionary with the keys of ``prestige.Explanation``.
    ///
    /// Raises:
    ///     ModelError: The model failed on the text, or is not that of a store opened read-only.
    ///     Exception: What the ``verifier`` raises.
    fn explain<'py>(&self, py: Python<'py>, value: Value<'_>) -> PyStoreResult<Bound<'py, PyDict>> {
        let value = value.as_bytes()?;
        let explanation = blocking(py, || self.handle().explain(value))?;
        let gates = PyList::empty(py);
        for gate in &explanation.gates {
            let dictionary = PyDict::new(py);
            dictionary.set_item("name", gate.name)?;
            dictionary.set_item("needed", gate.needed)?;
            dictionary.set_item("found", gate.found)?;
            dictionary.set_item("passed", gate.passed)?;
            gates.append(dictionary)?;
        }
        let dictionary = PyDict::new(py);
        dictionary.set_item("verdict", explanation.verdict.name())?;
        dictionary.set_item("object_id", explanation.object_id)?;
        dictionary.set_item("digest", explanation.digest.to_hex())?;
        dictionary.set_item("threshold", explanation.threshold)?;
        dictionary.set_item("candidates", dictionaries(py, explanation.candidates)?)?;
        dictionary.set_item("gates", gates)?;
        Ok(dictionary)
    }

    /// Record what was decided about a candidate, for a family of tasks.
    ///
    /// The outcomes of a family say from which similarity on its candidates can be trusted: see
    /// ``family_report`` and ``prestige.calibrate``. They stay until their namespace is dropped,
    /// and do not count as bytes of the store.
    ///
    /// Args:
    ///     family: Name of the tasks, 1 to 255 bytes of UTF-8 without NUL, best with a version:
    ///         ``"support-faq@v3"``.
    ///     verdict: ``"accepted"``: the candidate was used; ``"rejected"``: it was similar enough
    ///         and failed another check; ``"no_candidate"``: nothing was similar enough.
    ///     candidate: The dictionary from ``candidates``; gives object id, digest, rank and
    ///         scores, unless they are given by name.
    ///     threshold: Least similarity that was looked at, -1 to 1.
    ///     rank: Place of the candidate, from 0.
    ///     similarity: Cosine similarity of the candidate, -1 to 1.
    ///     reranker_score: Score of the candidate by a reranker of your own.
    ///     tool_version: Version of what decided, at most 4096 bytes, as the next two.
    ///     schema_version: Version of the rules in force.
    ///     reason: Why.
    ///
    /// Returns:
    ///     The sequence of the outcome, from 1; it counts those of all families.
    ///
    /// Raises:
    ///     InvalidArgumentError: Another verdict, a bad name, or a number out of its range.
    ///     TypeError: ``candidate`` is no dictionary.
    ///     TimedOutError: Other threads wrote for ``lock_timeout_ms``.
    #[pyo3(signature = (family, verdict, *, candidate = None, threshold = None, rank = None, similarity = None,
                        reranker_score = None, tool_version = "", schema_version = "", reason = ""))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a Python method")]
    fn record_outcome(
        &self,
        py: Python<'_>,
        family: &str,
        verdict: &str,
        candidate: Option<&Bound<'_, PyAny>>,
        threshold: Option<&Bound<'_, PyAny>>,
        rank: Option<&Bound<'_, PyAny>>,
        similarity: Option<&Bound<'_, PyAny>>,
        reranker_score: Option<&Bound<'_, PyAny>>,
        tool_version: &str,
        schema_version: &str,
        reason: &str,
    ) -> PyStoreResult<u64> {
        let verdict: Verdict = verdict.parse()?;
        let judged = candidate.map(candidate_of).transpose()?;
        let item = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
            let found = judged
                .as_ref()
                .map(|judged| judged.call_method1("get", (name,)));
            Ok(found.transpose()?.filter(|item| !item.is_none()))
        };
        let given = |name: &'static str, by_name: Option<&Bound<'_, PyAny>>| -> PyResult<_> {
            let found = match by_name {
                Some(given) => Some(finite(name, given)?),
                None => item(name)?.map(|given| finite(name, &given)).transpose()?,
            };
            Ok(found)
        };
        let rank = match rank {
            Some(rank) => Some(rank.to_owned()),
            None => item("rank")?,
        };
        let outcome = Outcome {
            object_id: item("object_id")?
                .map(|id| Integer::Given(id).natural("object_id"))
                .transpose()?,
            digest: item("digest")?
                .map(|digest| digest_of(&digest))
                .transpose()?,
            rank: rank.map(rank_of).transpose()?,
            similarity: given("similarity", similarity)?,
            reranker_score: given("reranker_score", reranker_score)?,
            threshold: threshold
                .map(|given| finite("threshold", given))
                .transpose()?,
            tool_version: tool_version.to_owned(),
            schema_version: schema_version.to_owned(),
            reason: reason.to_owned(),
            ..Outcome::new(verdict)
        };
        blocking(py, || self.handle().record_outcome(family, &outcome))
    }

    /// Return the outcomes of a family, in the order in which they were recorded.
    ///
    /// Args:
    ///     family: Name of the tasks.
    ///     limit: At most so many, from 0; None: all.
    ///     after_sequence: Only those that come after this one.
    ///
    /// Returns:
    ///     A list of dictionaries with the keys of ``prestige.RecordedOutcome``.
    ///
    /// Raises:
    ///     InvalidArgumentError: The name is empty, too long, or has a NUL.
    #[pyo3(signature = (family, limit = None, after_sequence = Integer::Default(0)),
           text_signature = "($self, family, limit=None, after_sequence=0)")]
    fn list_outcomes<'py>(
        &self,
        py: Python<'py>,
        family: &str,
        limit: Option<Integer<'_>>,
        after_sequence: Integer<'_>,
    ) -> PyStoreResult<Bound<'py, PyList>> {
        let limit = limit.map_or(Ok(u64::MAX), |limit| limit.natural("limit"))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let after = after_sequence.natural("after_sequence")?;
        let outcomes = blocking(py, || self.handle().list_outcomes(family, limit, after))?;
        let list = PyList::empty(py);
        for outcome in &outcomes {
            list.append(outcome_dictionary(py, family, outcome)?)?;
        }
        Ok(list)
    }

    /// Return the families that have outcomes, sorted.
    fn list_families(&self, py: Python<'_>) -> PyStoreResult<Vec<String>> {
        blocking(py, || self.handle().list_families())
    }

    /// Return figures of the outcomes of a family. Reads all of them.
    ///
    /// Args:
    ///     family: Name of the tasks.
    ///
    /// Returns:
    ///     A dictionary with the keys of ``prestige.FamilyReport``.
    ///
    /// Raises:
    ///     NotFoundError: The family has no outcomes.
    ///     InvalidArgumentError: The name is empty, too long, or has a NUL.
    fn family_report<'py>(
        &self,
        py: Python<'py>,
        family: &str,
    ) -> PyStoreResult<Bound<'py, PyDict>> {
        let report = blocking(py, || self.handle().family_report(family))?;
        let dictionary = PyDict::new(py);
        dictionary.set_item("family_id", family)?;
        dictionary.set_item("accepted", report.accepted)?;
        dictionary.set_item("rejected", report.rejected)?;
        dictionary.set_item("no_candidate", report.no_candidate)?;
        dictionary.set_item("false_accept_rate", report.false_accept_rate())?;
        dictionary.set_item(
            "accepted_similarity_hist",
            report.accepted_similarity.to_vec(),
        )?;
        dictionary.set_item(
            "rejected_similarity_hist",
            report.rejected_similarity.to_vec(),
        )?;
        dictionary.set_item("rejected_rank_hist", report.rejected_rank.to_vec())?;
        dictionary.set_item("suggested_threshold", report.suggested_threshold())?;
        dictionary.set_item("first_sequence", report.first_sequence)?;
        dictionary.set_item("last_sequence", report.last_sequence)?;
        dictionary.set_item("last_recorded_at_us", report.last_recorded_us)?;
        Ok(dictionary)
    }
}

/// Metadata from a mapping of `str` to `str`.
pub(crate) fn metadata_of(object: &Bound<'_, PyAny>) -> PyResult<Metadata> {
    let mut metadata = Metadata::new();
    for (name, text) in pairs_of(object, "metadata")? {
        metadata.insert(string_of(&name, "metadata")?, string_of(&text, "metadata")?);
    }
    Ok(metadata)
}

fn options(
    k: &Integer<'_>,
    filter: Option<&Bound<'_, PyAny>>,
    min_similarity: Option<&Bound<'_, PyAny>>,
    include_values: bool,
) -> PyResult<CandidateOptions> {
    Ok(CandidateOptions {
        k: usize::try_from(k.natural("k")?).unwrap_or(usize::MAX),
        filter: filter.map(filter_of).transpose()?.unwrap_or_default(),
        min_similarity: min_similarity
            .map(|given| finite("min_similarity", given))
            .transpose()?,
        include_values,
    })
}

/// A text for each key, or several of which one must be it.
pub(crate) fn filter_of(object: &Bound<'_, PyAny>) -> PyResult<BTreeMap<String, Vec<String>>> {
    let mut filter = BTreeMap::new();
    for (name, wanted) in pairs_of(object, "filter")? {
        let texts = if wanted.cast::<PyList>().is_ok() || wanted.cast::<PyTuple>().is_ok() {
            wanted
                .try_iter()?
                .map(|text| string_of(&text?, "filter"))
                .collect::<PyResult<Vec<_>>>()?
        } else {
            vec![string_of(&wanted, "filter")?]
        };
        filter.insert(string_of(&name, "filter")?, texts);
    }
    Ok(filter)
}

fn pairs_of<'py>(
    object: &Bound<'py, PyAny>,
    what: &str,
) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    if let Ok(dictionary) = object.cast::<PyDict>() {
        return Ok(dictionary.iter().collect());
    }
    let Ok(mapping) = object.cast::<PyMapping>() else {
        return Err(PyTypeError::new_err(format!(
            "{what} must be a dictionary, not {}",
            type_name(object)
        )));
    };
    mapping.items()?.iter().map(|pair| pair.extract()).collect()
}

fn string_of(object: &Bound<'_, PyAny>, what: &str) -> PyResult<String> {
    match object.cast::<PyString>() {
        // Lone surrogates have no UTF-8 form: UnicodeEncodeError says which.
        Ok(string) => Ok(string.to_str()?.to_owned()),
        Err(_) => Err(PyTypeError::new_err(format!(
            "{what} must have texts as keys and values, found {}",
            type_name(object)
        ))),
    }
}

fn either(one: &str, other: &str) -> PyErr {
    PyTypeError::new_err(format!("give either {one} or {other}"))
}

fn values_of<'py>(queries: &Bound<'py, PyAny>) -> PyResult<Vec<Value<'py>>> {
    if queries.cast::<PyString>().is_ok() || queries.cast::<PyBytes>().is_ok() {
        return Err(PyTypeError::new_err(
            "queries should be an iterable of values, not a single one",
        ));
    }
    queries.try_iter()?.map(|value| value?.extract()).collect()
}

/// Rows, and numbers row after row, of an array-like of numbers with so many dimensions.
pub(crate) fn floats(
    object: &Bound<'_, PyAny>,
    name: &str,
    dimensions: usize,
) -> PyResult<(usize, Vec<f32>)> {
    let py = object.py();
    let numpy = py.import("numpy")?;
    let array = numpy.call_method1("ascontiguousarray", (object,))?;
    // Anything but numbers would be read as numbers where it looks like them.
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let shape: usize = array.getattr("ndim")?.extract()?;
    if !matches!(kind.as_str(), "f" | "i" | "u") {
        return Err(PyTypeError::new_err(format!(
            "{name} must be an array of numbers, not of {}",
            array.getattr("dtype")?
        )));
    }
    if shape != dimensions {
        return Err(invalid(format!(
            "{name} must have {dimensions} dimension(s), not {shape}"
        )));
    }
    // What is beyond float32 becomes infinite, and the store says so.
    let quiet = PyDict::new(py);
    quiet.set_item("copy", false)?;
    let single = array.call_method("astype", ("float32",), Some(&quiet))?;
    let single = single.cast_into::<PyArrayDyn<f32>>()?;
    let rows = match dimensions {
        1 => 1,
        _ => single.shape().first().copied().unwrap_or(0),
    };
    let numbers = single.readonly().as_slice()?.to_vec();
    Ok((rows, numbers))
}

fn dictionaries<'py>(py: Python<'py>, candidates: Vec<Candidate>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (rank, candidate) in candidates.into_iter().enumerate() {
        let dictionary = PyDict::new(py);
        dictionary.set_item("rank", rank)?;
        dictionary.set_item("similarity", candidate.similarity)?;
        dictionary.set_item("reranker_score", py.None())?;
        dictionary.set_item("object_id", candidate.object_id)?;
        dictionary.set_item("digest", candidate.digest.to_hex())?;
        dictionary.set_item("metadata", candidate.metadata)?;
        dictionary.set_item("size_bytes", candidate.size)?;
        dictionary.set_item("created_at_us", candidate.created_us)?;
        if let Some(value) = &candidate.value {
            dictionary.set_item("value", PyBytes::new(py, value))?;
        }
        list.append(dictionary)?;
    }
    Ok(list)
}

fn outcome_dictionary<'py>(
    py: Python<'py>,
    family: &str,
    recorded: &RecordedOutcome,
) -> PyResult<Bound<'py, PyDict>> {
    let outcome = &recorded.outcome;
    let dictionary = PyDict::new(py);
    dictionary.set_item("sequence", recorded.sequence)?;
    dictionary.set_item("recorded_at_us", recorded.recorded_us)?;
    dictionary.set_item("family_id", family)?;
    dictionary.set_item("verdict", outcome.verdict.name())?;
    dictionary.set_item("candidate_object_id", outcome.object_id)?;
    let digest = outcome.digest.map(|digest| digest.to_hex());
    dictionary.set_item("candidate_digest", digest)?;
    dictionary.set_item("rank", outcome.rank)?;
    dictionary.set_item("similarity", outcome.similarity)?;
    dictionary.set_item("reranker_score", outcome.reranker_score)?;
    dictionary.set_item("threshold", outcome.threshold)?;
    dictionary.set_item("tool_version", &outcome.tool_version)?;
    dictionary.set_item("schema_version", &outcome.schema_version)?;
    dictionary.set_item("reason", &outcome.reason)?;
    Ok(dictionary)
}

fn candidate_of<'a, 'py>(object: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyMapping>> {
    object.cast::<PyMapping>().map_err(|_| {
        PyTypeError::new_err(format!(
            "candidate must be a dictionary from candidates(), not {}",
            type_name(object)
        ))
    })
}

pub(crate) fn rank_of(rank: Bound<'_, PyAny>) -> PyStoreResult<u32> {
    let rank = Integer::Given(rank).natural("rank")?;
    let rank = u32::try_from(rank);
    rank.map_err(|_| Error::InvalidArgument("rank must be below 2**32".to_owned()).into())
}

/// A digest as 64 hexadecimal digits or 32 bytes.
pub(crate) fn digest_of(object: &Bound<'_, PyAny>) -> PyResult<Digest> {
    let wrong = || {
        invalid(format!(
            "the digest of a candidate must be 64 hexadecimal digits or {DIGEST_BYTES} bytes"
        ))
    };
    if let Ok(bytes) = object.cast::<PyBytes>() {
        let bytes = bytes.as_bytes().try_into();
        return bytes.map(Digest).map_err(|_| wrong());
    }
    let text = object.cast::<PyString>().map_err(|_| wrong())?;
    Digest::from_hex(text.to_str()?).ok_or_else(wrong)
}
