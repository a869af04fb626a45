//! `SemanticCache`: responses by scope and query.

use super::arguments::{
    LookedUp, Place, Tokens, Within, computed, micros, natural, price, seconds,
};
use super::hit::Hit;
use super::json::{response_to_python, scope};
use super::source::Source;
use super::turn::{self, Turn, computing};
use super::{Home, not_pickled};
use crate::convert::text_of;
use crate::error::{PyStoreResult, blocking, caught, invalid, store_error};
use crate::model::SemanticModel;
use crate::numbers::finite;
use crate::stats::dictionary;
use prestige_core::embed::{Embedder as _, Fingerprint};
use prestige_core::{
    Answer, DEFAULT_CACHE_THRESHOLD, Leading, Prices, Put, Scope, Scopes, SemanticCacheOptions,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::ffi::OsStr;

/// A cache of responses to queries, which finds a response by the meaning of its query.
///
/// A lookup returns the response to the same text, or else to the most similar query of the same
/// scope, if it is similar enough. Queries are compared with queries, never with responses, and
/// every hit says which query it answers and how similar that is.
///
/// A scope is a hard partition: no lookup returns an entry of another one. Put into it whatever a
/// response depends on besides the query: tenant, model, system prompt, earlier turns.
///
/// Entries are keys of the store: TTL, ``max_store_bytes``, backups and ``verify()`` hold for them.
/// Threads share a cache freely. A context manager that closes the store if the cache has opened
/// it.
///
/// Args:
///     path_or_store: An open ``Store``, the client of a server (``prestige.connect``) or its
///         view of a namespace, or the directory of a store, which the cache opens and closes.
///     threshold: Least cosine similarity of a hit, over 0 and at most 1. Default 0.97.
///     scope: The scope of calls that name none: ``str``, int, float, bool, None, or mappings and
///         sequences of them. Equal values are one scope.
///     model: The model that embeds queries; None, and neither ``embed`` nor ``model_id``: the
///         bundled one.
///     embed: A function that does, in place of a model: ``list[str]`` in, array-like of shape
///         (n, d) out. Needs ``model_id``.
///     model_id: Names the model; give another for whatever makes other vectors. Without ``embed``
///         and ``model`` embeddings are given with queries, and queries without one are found by
///         their exact text alone.
///     ttl_seconds: Seconds until an entry expires, 0 to 2**63 - 1; 0: never; None:
///         ``default_ttl_seconds`` of the store.
///     price_per_call: What a computed response costs, for ``stats()``. Default 0.
///     price_per_1k_tokens: What a thousand tokens cost, for ``stats()``. Default 0.
///     **options: Attributes of ``Options``, for a store that the cache opens.
///
/// Raises:
///     InvalidArgumentError: A view of an open store was given, ``embed`` without ``model_id``, both
///         ``embed`` and ``model``, or a number out of its range.
///     TypeError: ``scope`` is made of something else.
///     ModelError: The model or ONNX Runtime is missing or damaged, or the store has entries of
///         another model.
///     Exception: As ``prestige.open`` raises for a path.
#[pyclass(module = "prestige", frozen, subclass)]
pub(crate) struct SemanticCache {
    home: Home,
    cache: prestige_core::SemanticCache,
    source: Source,
    scope: Place,
    /// Whether a scope was given, so that calls that span scopes stay within it.
    has_scope: bool,
}

impl SemanticCache {
    fn within<'py>(&self, scope_given: Option<&Bound<'py, PyAny>>) -> PyResult<Within<'_, 'py>> {
        match scope_given {
            None => Ok(Within::Own(&self.scope)),
            Some(given) => Ok(Within::Other(given.clone(), scope(given)?)),
        }
    }

    /// The scopes of a call that may span them: the given one, else the cache's own if it has one.
    fn spanned<'a>(&'a self, given: Option<&'a Scope>) -> Scopes<'a> {
        match given {
            Some(scope) => Scopes::One(scope),
            None if self.has_scope => Scopes::One(&self.scope.scope),
            None => Scopes::All,
        }
    }
}

#[pymethods]
impl SemanticCache {
    #[new]
    #[pyo3(signature = (path_or_store, threshold = None, scope = None, *, model = None, embed = None,
                        model_id = None, ttl_seconds = None, price_per_call = None,
                        price_per_1k_tokens = None, **options),
           text_signature = "(path_or_store, threshold=0.97, scope=None, *, model=None, embed=None, \
                             model_id=None, ttl_seconds=None, price_per_call=0.0, price_per_1k_tokens=0.0, **options)")]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of Python")]
    fn new<'py>(
        py: Python<'py>,
        path_or_store: &Bound<'py, PyAny>,
        threshold: Option<&Bound<'py, PyAny>>,
        scope: Option<&Bound<'py, PyAny>>,
        model: Option<&Bound<'py, SemanticModel>>,
        embed: Option<&Bound<'py, PyAny>>,
        model_id: Option<String>,
        ttl_seconds: Option<&Bound<'py, PyAny>>,
        price_per_call: Option<&Bound<'py, PyAny>>,
        price_per_1k_tokens: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyStoreResult<Self> {
        let threshold = threshold.map_or(Ok(DEFAULT_CACHE_THRESHOLD), |given| {
            finite("threshold", given)
        })?;
        let ttl_seconds = natural("ttl_seconds", ttl_seconds)?;
        let prices = Prices {
            per_call: price("price_per_call", price_per_call)?,
            per_1k_tokens: price("price_per_1k_tokens", price_per_1k_tokens)?,
        };
        let given = scope.map_or_else(|| py.None(), |given| given.clone().unbind());
        let place = Place {
            scope: super::json::scope(given.bind(py))?,
            given,
        };
        let source = match (&model, &embed, &model_id) {
            (None, None, Some(_)) => Source::Nothing,
            _ => Source::of(py, model, embed)?,
        };
        let model = match (&source, model_id) {
            (Source::Model(model), None) => model.fingerprint().clone(),
            (_, Some(id)) if !id.is_empty() => {
                let parts = [b"model_id".as_slice(), id.as_bytes()];
                Fingerprint::from_parts(id.as_str(), &parts)
            }
            (_, Some(_)) => return Err(invalid("model_id must not be empty".to_owned()).into()),
            (_, None) => {
                return Err(invalid(
                    "an embedding function needs a model_id that names its model, for example \
                     \"text-embedding-3-small\": vectors of different models must not meet"
                        .to_owned(),
                )
                .into());
            }
        };
        let home = Home::of(py, path_or_store, options)?;
        let wanted = SemanticCacheOptions {
            model,
            namespace: String::new(),
            threshold,
            ttl_seconds,
            prices,
        };
        let made = blocking(py, || {
            prestige_core::SemanticCache::new(&home.open.store, wanted)
        });
        match made {
            Ok(cache) => Ok(Self {
                home,
                cache,
                source,
                scope: place,
                has_scope: scope.is_some(),
            }),
            Err(error) => {
                blocking(py, || home.close())?;
                Err(error)
            }
        }
    }

    /// Look up the response to a query.
    ///
    /// The same text is looked for first; that runs no model. Otherwise the nearest queries of the
    /// scope are, with the embedding of the query, and the best at or above the threshold counts,
    /// of equals the one put last. A blank query, or one that the model does not read to its end,
    /// is found by its exact text alone.
    ///
    /// Args:
    ///     query: The query.
    ///     scope: Its scope; None: that of the cache.
    ///     threshold: Least cosine similarity, over 0 and at most 1; None: that of the cache.
    ///     embedding: The embedding of the query, an array or sequence of d numbers, of any length
    ///         but 0; None: it is computed if it is needed.
    ///
    /// Returns:
    ///     A ``Hit``, or None.
    ///
    /// Raises:
    ///     InvalidArgumentError: A number is out of its range, or the embedding has another shape
    ///         than those of the scope, a NaN or an infinity.
    ///     ModelError: The scope has embeddings of another model.
    ///     Exception: What the function or the model raises.
    #[pyo3(signature = (query, scope = None, threshold = None, embedding = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        query: &Bound<'py, PyString>,
        scope: Option<&Bound<'py, PyAny>>,
        threshold: Option<&Bound<'py, PyAny>>,
        embedding: Option<&Bound<'py, PyAny>>,
    ) -> PyStoreResult<Option<Hit>> {
        let text = text_of(query)?;
        let within = self.within(scope)?;
        let looked_up = LookedUp::of(threshold, embedding)?;
        let lookup = looked_up.lookup();
        let scope = within.scope();
        let found = blocking(py, || self.cache.get(scope, &text, lookup, &self.source))?;
        let given = within.given(py);
        Ok(found.map(|hit| Hit::new(py, &hit, &given)).transpose()?)
    }

    /// Store a response in place of what is there for the query and scope.
    ///
    /// Nothing is merged: each query of a scope has an entry of its own, however similar others
    /// are. Query, response and metadata are one entry: they come and go together.
    ///
    /// Args:
    ///     query: The query.
    ///     response: ``str``, ``bytes``, or a value made of dict, list, str, int, float, bool and
    ///         None; it comes back as it was.
    ///     ttl_seconds: Seconds until it expires, 0 to 2**63 - 1; 0: never; None: as the cache
    ///         says.
    ///     metadata: A mapping of ``str`` to ``str``, at most 64 pairs of at most 256 and 4096
    ///         bytes.
    ///     scope: The scope; None: that of the cache.
    ///     embedding: As in ``get``; None: it is computed, unless the query is found by its exact
    ///         text alone.
    ///     tokens: Tokens that it cost, for ``stats()``; 0 (default): not known.
    ///     seconds: Seconds that computing it took, for ``stats()``; 0 (default): not known.
    ///
    /// Raises:
    ///     InvalidArgumentError: As in ``get``; also metadata out of its bounds, a NaN in the
    ///         response.
    ///     TypeError: The response is of another type, or holds one, such as a tuple, that would
    ///         not come back as it was.
    ///     ModelError: The scope has embeddings of another model.
    ///     TimedOutError: Another thread held the query for ``lock_timeout_ms``.
    ///     Exception: What the function or the model raises.
    #[pyo3(signature = (query, response, ttl_seconds = None, metadata = None, scope = None, embedding = None, tokens = None,
                        seconds = None),
           text_signature = "($self, query, response, ttl_seconds=None, metadata=None, scope=None, embedding=None, \
                             tokens=0, seconds=0.0)")]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of Python")]
    fn put<'py>(
        &self,
        py: Python<'py>,
        query: &Bound<'py, PyString>,
        response: &Bound<'py, PyAny>,
        ttl_seconds: Option<&Bound<'py, PyAny>>,
        metadata: Option<&Bound<'py, PyAny>>,
        scope: Option<&Bound<'py, PyAny>>,
        embedding: Option<&Bound<'py, PyAny>>,
        tokens: Option<&Bound<'py, PyAny>>,
        seconds: Option<&Bound<'py, PyAny>>,
    ) -> PyStoreResult<()> {
        let text = text_of(query)?;
        let response = super::json::response(response)?;
        let within = self.within(scope)?;
        let embedding = super::arguments::embedding(embedding)?;
        let put = Put {
            metadata: super::json::metadata(metadata)?,
            ttl_seconds: natural("ttl_seconds", ttl_seconds)?,
            embedding: embedding.as_deref(),
            computing_us: micros(seconds)?,
            tokens: natural("tokens", tokens)?.unwrap_or(0),
            ..Put::new(&text, &response)
        };
        let scope = within.scope();
        blocking(py, || self.cache.put(scope, &put, &self.source))
    }

    /// Return the response to a query, computed and stored if it is not in the cache.
    ///
    /// It is computed once for all threads that ask for the same query and scope at once: the
    /// others wait for it, and get the response or the error. After an error the next call tries
    /// again. A response that cannot be stored, for whatever reason, is returned all the same, and
    /// counted in ``stats()`` as ``not_stored``.
    ///
    /// Args:
    ///     query: The query.
    ///     function: Called with the query; returns the response, as ``put`` takes it.
    ///     scope: As in ``get``.
    ///     threshold: As in ``get``.
    ///     ttl_seconds: As in ``put``.
    ///     metadata: As in ``put``.
    ///     embedding: As in ``get``.
    ///     tokens: Tokens that the response cost, or a function of the response that says so.
    ///
    /// Returns:
    ///     The response. ``get`` says more of a hit.
    ///
    /// Raises:
    ///     InvalidArgumentError: As in ``get`` and ``put``; also if ``function`` asks the cache for
    ///         the same query and would wait for itself, or for what another function computes that
    ///         waits for this one.
    ///     TypeError: ``function`` is async, for which there is ``aget_or_compute``, or returned
    ///         what cannot be stored.
    ///     Exception: What ``function``, the embedding function or the model raises.
    #[pyo3(signature = (query, function, *, scope = None, threshold = None, ttl_seconds = None, metadata = None,
                        embedding = None, tokens = None),
           text_signature = "($self, query, function, *, scope=None, threshold=None, ttl_seconds=None, metadata=None, \
                             embedding=None, tokens=0)")]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of Python")]
    fn get_or_compute<'py>(
        &self,
        py: Python<'py>,
        query: &Bound<'py, PyString>,
        function: &Bound<'py, PyAny>,
        scope: Option<&Bound<'py, PyAny>>,
        threshold: Option<&Bound<'py, PyAny>>,
        ttl_seconds: Option<&Bound<'py, PyAny>>,
        metadata: Option<&Bound<'py, PyAny>>,
        embedding: Option<&Bound<'py, PyAny>>,
        tokens: Option<&Bound<'py, PyAny>>,
    ) -> PyStoreResult<Bound<'py, PyAny>> {
        let text = text_of(query)?;
        let within = self.within(scope)?;
        let looked_up = LookedUp::of(threshold, embedding)?;
        let lookup = looked_up.lookup();
        let ttl_seconds = natural("ttl_seconds", ttl_seconds)?;
        let metadata = super::json::metadata(metadata)?;
        let tokens = Tokens::of(tokens)?;
        let (argument, function) = (query.clone().unbind(), function.clone().unbind());
        let compute = |leading: &Leading| {
            Python::attach(|py| {
                let noted = turn::enter(py, Some(leading.computation()))?;
                let response = computed(function.bind(py), argument.bind(py), &tokens);
                turn::leave(py, &noted)?;
                response
            })
            .map_err(store_error)
        };
        let scope = within.scope();
        let own = computing(py)?;
        let answer = blocking(py, || {
            let source = &self.source;
            self.cache.get_or_compute(
                scope,
                &text,
                lookup,
                source,
                &compute,
                ttl_seconds,
                &metadata,
                &own,
            )
        })?;
        Ok(match &answer {
            Answer::Hit(hit) => response_to_python(py, &hit.response)?,
            Answer::Computed(response) => response_to_python(py, response)?,
        })
    }

    /// What `aget_or_compute` is to do after a miss. Never waits for another caller. Refuses what `_finish` would, before
    /// anything is computed.
    #[pyo3(signature = (query, scope, ttl_seconds, metadata, tokens))]
    fn _begin<'py>(
        &self,
        py: Python<'py>,
        query: &Bound<'py, PyString>,
        scope: Option<&Bound<'py, PyAny>>,
        ttl_seconds: Option<&Bound<'py, PyAny>>,
        metadata: Option<&Bound<'py, PyAny>>,
        tokens: Option<&Bound<'py, PyAny>>,
    ) -> PyStoreResult<Turn> {
        let text = text_of(query)?;
        let within = self.within(scope)?;
        let scope = within.scope();
        natural("ttl_seconds", ttl_seconds)?;
        let metadata = super::json::metadata(metadata)?;
        Tokens::of(tokens)?;
        let own = computing(py)?;
        let turn = blocking(py, || {
            self.cache.begin(scope, &text, &metadata, false, &own)
        })?;
        Ok(Turn::new(turn))
    }

    /// Stores what `aget_or_compute` has computed, and gives it to those who wait.
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of Python")]
    fn _finish<'py>(
        &self,
        py: Python<'py>,
        turn: &Bound<'py, Turn>,
        query: &Bound<'py, PyString>,
        response: &Bound<'py, PyAny>,
        ttl_seconds: Option<&Bound<'py, PyAny>>,
        metadata: Option<&Bound<'py, PyAny>>,
        scope: Option<&Bound<'py, PyAny>>,
        embedding: Option<&Bound<'py, PyAny>>,
        tokens: Option<&Bound<'py, PyAny>>,
        seconds: &Bound<'py, PyAny>,
    ) -> PyStoreResult<()> {
        let text = text_of(query)?;
        let tokens = Tokens::of(tokens)?.of_response(response)?;
        let response = super::json::response(response)?;
        let within = self.within(scope)?;
        let embedding = super::arguments::embedding(embedding)?;
        let put = Put {
            metadata: super::json::metadata(metadata)?,
            ttl_seconds: natural("ttl_seconds", ttl_seconds)?,
            embedding: embedding.as_deref(),
            computing_us: micros(Some(seconds))?,
            tokens,
            ..Put::new(&text, &response)
        };
        let scope = within.scope();
        // The context of the caller is a part of the computation already.
        let source = &self.source;
        let stored = blocking(py, || self.cache.put_computed(scope, &put, source, None));
        // It has been paid for, so whoever waits gets it.
        turn.get().succeed(py, response);
        stored
    }

    /// Remove entries.
    ///
    /// Without ``metadata`` and ``older_than`` whole scopes go, in one write each, however much
    /// they hold; otherwise each entry is looked at.
    ///
    /// Args:
    ///     scope: Only those of this scope; None: of the scope that the cache was given, or, if it
    ///         was given none, of all scopes.
    ///     metadata: Only those that have all these pairs.
    ///     older_than: Only those that were put longer ago: seconds, or a ``timedelta``.
    ///
    /// Returns:
    ///     The number of entries removed, without those that had expired.
    ///
    /// Raises:
    ///     InvalidArgumentError: ``older_than`` is negative or not finite.
    ///     TimedOutError: Another thread held a query for ``lock_timeout_ms``.
    #[pyo3(signature = (*, scope = None, metadata = None, older_than = None))]
    fn invalidate<'py>(
        &self,
        py: Python<'py>,
        scope: Option<&Bound<'py, PyAny>>,
        metadata: Option<&Bound<'py, PyAny>>,
        older_than: Option<&Bound<'py, PyAny>>,
    ) -> PyStoreResult<u64> {
        let scope = scope.map(super::json::scope).transpose()?;
        let pairs = super::json::metadata(metadata)?;
        if metadata.is_some() && pairs.is_empty() {
            let message =
                "metadata must name at least one pair; leave it out to remove whole scopes";
            return Err(invalid(message.to_owned()).into());
        }
        let older_than = older_than.map(|given| seconds("older_than", given));
        let older_than = older_than.transpose()?;
        let scopes = self.spanned(scope.as_ref());
        blocking(py, || self.cache.invalidate(scopes, &pairs, older_than))
    }

    /// Remove every entry of the scope that the cache was given, or, if none, of all scopes.
    ///
    /// Returns:
    ///     The number of entries removed, without those that had expired.
    fn clear(&self, py: Python<'_>) -> PyStoreResult<u64> {
        self.invalidate(py, None, None, None)
    }

    /// Return the scopes that have had an entry and were not removed since.
    ///
    /// Returns:
    ///     A list of scopes, as JSON reads them: a tuple comes back as a list.
    fn scopes<'py>(&self, py: Python<'py>) -> PyStoreResult<Vec<Bound<'py, PyAny>>> {
        let scopes = blocking(py, || self.cache.scopes())?;
        let json = py.import("json")?;
        let read = |(scope, _): &(Scope, u64)| json.call_method1("loads", (scope.as_json(),));
        Ok(scopes.iter().map(read).collect::<PyResult<_>>()?)
    }

    /// Return what this object has done.
    ///
    /// Returns:
    ///     A dictionary: ``exact_hits``, ``semantic_hits``, ``misses``, ``puts``, ``computed``,
    ///     ``shared`` (callers who got what another one computed), ``not_stored``,
    ///     ``seconds_computing``, ``seconds_saved`` (what computing the hits took, as far as it is
    ///     known) and ``money_saved`` (what the hits would have cost, at the given prices).
    fn stats<'py>(&self, py: Python<'py>) -> PyStoreResult<Bound<'py, PyDict>> {
        let stats = caught(|| Ok(self.cache.stats()))?;
        Ok(dictionary(py, stats.figures())?)
    }

    /// Close the store if the cache has opened it. A second call does nothing.
    ///
    /// Raises:
    ///     IOError: The last writes failed. The store is closed all the same.
    fn close(&self, py: Python<'_>) -> PyStoreResult<()> {
        blocking(py, || self.home.close())
    }

    /// Directory of the store, as it was given.
    #[getter]
    fn path(&self) -> &OsStr {
        self.home.path().as_os_str()
    }

    /// Whether the store is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.home.is_closed()
    }

    /// Least cosine similarity of a hit, where a call names none.
    #[getter]
    fn threshold(&self) -> f64 {
        self.cache.threshold()
    }

    /// The scope of calls that name none, as it was given.
    #[getter]
    fn scope(&self, py: Python<'_>) -> Py<PyAny> {
        self.scope.given.clone_ref(py)
    }

    /// Name of the model.
    #[getter]
    fn model_id(&self) -> &str {
        &self.cache.model().model
    }

    fn __len__(&self, py: Python<'_>) -> PyStoreResult<usize> {
        let entries = blocking(py, || self.cache.len(self.spanned(None)))?;
        Ok(usize::try_from(entries).unwrap_or(usize::MAX))
    }

    // An empty cache is a cache: `if cache:` asks whether there is one.
    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyStoreResult<Py<Self>> {
        blocking(py, || {
            let cache = slf.get();
            cache.cache.len(Scopes::One(&cache.scope.scope))
        })?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyStoreResult<()> {
        self.close(py)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled())
    }

    fn __repr__(&self) -> String {
        let (path, closed) = self.home.shown();
        let (model, threshold) = (&self.cache.model().model, self.cache.threshold());
        format!(
            "<prestige.SemanticCache path='{path}' model_id={model:?} threshold={threshold} closed={closed}>"
        )
    }
}
