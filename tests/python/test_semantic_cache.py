"""`SemanticCache`: responses by scope and query, found by the meaning of the query."""

from __future__ import annotations

import functools
from collections import OrderedDict
from types import MappingProxyType

import either
import numpy as np
import pytest
from queries import ORDER, RESET, RESET_AGAIN

import prestige

store = either.store  # Each test over both.


def test_a_query_is_found_by_its_text_and_by_its_meaning(cache: prestige.SemanticCache) -> None:
    assert cache.get(RESET) is None
    cache.put(RESET, "Click on “forgot password”.", metadata={"source": "faq"})
    cache.put(ORDER, "On its way.")
    exact = cache.get(RESET)
    assert exact is not None
    assert (exact.exact, exact.similarity, exact.query) == (True, 1.0, RESET)
    similar = cache.get(RESET_AGAIN)
    assert similar is not None
    assert not similar.exact
    assert 0.97 <= similar.similarity < 1.0
    assert similar.query == RESET
    assert similar.response == "Click on “forgot password”."
    assert similar.metadata == {"source": "faq"}
    assert similar.scope is None
    assert 0 <= similar.age_seconds < 60
    assert "similarity=0.9" in repr(similar)
    assert cache.get("How do I bake bread?") is None
    assert cache.get(RESET_AGAIN, threshold=1.0) is None
    stats = cache.stats()
    assert (stats["exact_hits"], stats["semantic_hits"]) == (1, 1)
    assert (stats["misses"], stats["puts"]) == (3, 2)


def test_the_traps_of_similarity_are_visible(cache: prestige.SemanticCache) -> None:
    """What no threshold separates is for the caller to see."""
    cache.put("Please cancel order 1041", "Cancelled 1041.")
    hit = cache.get("Please cancel order 1042", threshold=0.9)
    assert hit is not None
    assert hit.similarity > 0.95
    assert hit.query == "Please cancel order 1041"
    cache.put("How do I turn the alarm on?", "Like this.")
    assert cache.get("How do I turn the alarm off?") is None


def test_putting_never_merges_and_the_same_query_replaces(cache: prestige.SemanticCache) -> None:
    cache.put(RESET, "first")
    cache.put(RESET_AGAIN, "second")
    cache.put(RESET, "third")
    assert len(cache) == 2
    found = [cache.get(query) for query in (RESET, RESET_AGAIN)]
    assert [hit and hit.response for hit in found] == ["third", "second"]


@pytest.mark.parametrize(
    "scope",
    [
        "tenant",
        "",
        ["tenant"],
        {"tenant": "a", "turns": ["one", {"role": "user"}], "temperature": 0.5, "n": 3, "x": None},
        7,
        True,
        MappingProxyType({"tenant": "b"}),
        ("a", "b"),
    ],
    ids=repr,
)
def test_scopes_are_apart(given: prestige.SemanticCache, scope: object) -> None:
    given.put("query", "mine", scope=scope, embedding=[1.0, 0.0])
    for other in (None, "other", "tenant ", [["tenant"]], {"tenant": "A"}, 8, False, 7.0):
        assert given.get("query", scope=other, embedding=[1.0, 0.0]) is None
        assert given.get("nearby", scope=other, embedding=[1.0, 0.0]) is None
    hit = given.get("nearby", scope=scope, embedding=[1.0, 0.0])
    assert hit is not None
    assert hit.response == "mine"
    assert hit.scope is scope


def test_equal_scopes_are_one(given: prestige.SemanticCache) -> None:
    given.put("q", "r", scope={"a": "1", "b": ["x", "y"]})
    same = OrderedDict([("b", ("x", "y")), ("a", "1")])
    assert given.get("q", scope=same) is not None
    assert given.scopes() == [{"a": "1", "b": ["x", "y"]}]


def test_a_cache_has_a_scope_of_its_own(store: prestige.Store) -> None:
    one = prestige.SemanticCache(store, scope="one", model_id="m")
    two = prestige.SemanticCache(store, scope="two", model_id="m")
    every = prestige.SemanticCache(store, model_id="m")
    one.put("q", "1")
    two.put("q", "2")
    hit = one.get("q")
    assert hit is not None
    assert (hit.response, hit.scope, one.scope) == ("1", "one", "one")
    assert every.get("q") is None
    assert (len(one), len(two), len(every)) == (1, 1, 2)
    assert sorted(every.scopes()) == ["one", "two"]
    # What spans scopes stays within the scope that a cache was given.
    assert one.clear() == 1
    assert two.get("q") is not None
    assert every.clear() == 1
    assert store.namespaces() == []


@pytest.mark.parametrize(
    "response",
    [
        "",
        "text ü “quoted”",
        b"",
        b"\xff\x00",
        None,
        True,
        0,
        -(2**200),
        1.5,
        1e300,
        [],
        {},
        {"b": [1, None, {"a": "ß\n"}], "a": "\u2028"},
        ["text", 1, 1.0, False],
        "x" * 3_000_000,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_responses_come_back_as_they_were(
    given: prestige.SemanticCache, response: prestige.Hit
) -> None:
    given.put("q", response)
    hit = given.get("q")
    assert hit is not None
    assert hit.response == response
    assert type(hit.response) is type(response)
    assert repr(hit.response) == repr(response)


class Text(str):
    """A `str` that would come back as another type."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ((1, 2), TypeError),
        ([(1,)], TypeError),
        ({1: "a"}, TypeError),
        ({"a": {2, 3}}, TypeError),
        (bytearray(b"x"), TypeError),
        ([b"x"], TypeError),
        (object(), TypeError),
        (Text("a"), TypeError),
        ([Text("a")], TypeError),
        (np.float32(1.0), TypeError),
        (OrderedDict(a=1), TypeError),
        (float("nan"), prestige.InvalidArgumentError),
        ([float("inf")], prestige.InvalidArgumentError),
        ("\ud800", UnicodeEncodeError),
        (["\ud800"], UnicodeEncodeError),
        (
            functools.reduce(lambda inner, _: [inner], range(101), "deep"),
            prestige.InvalidArgumentError,
        ),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_would_not_come_back_is_refused(
    given: prestige.SemanticCache, response: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        given.put("q", response)
    with pytest.raises(error):
        given.get_or_compute("q", lambda _: response)
    assert len(given) == 0


def test_given_embeddings_run_no_model(
    given: prestige.SemanticCache, store: prestige.Store
) -> None:
    given.put("x", "x", embedding=[2.0, 0.0])
    given.put("y", "y", embedding=np.array([0, 3], np.int64))
    given.put("exact only", "e")
    near = given.get("near", embedding=(1.0, 0.2))
    assert near is not None
    assert near.query == "x"
    assert near.similarity == pytest.approx(1 / np.sqrt(1.04), abs=1e-3)
    assert given.get("near") is None
    assert given.get("near", embedding=[1.0, 1.0]) is None
    low = given.get("near", threshold=0.7, embedding=[0.9, 1.0])
    assert low is not None
    assert low.query == "y"
    assert given.get("exact only") is not None
    for bad in ([1.0], [1.0, 2.0, 3.0], [], [0.0, 0.0], [float("nan"), 1.0], [[1.0, 2.0]], "ab", 3):
        with pytest.raises(prestige.InvalidArgumentError):
            given.put("z", "z", embedding=bad)
        with pytest.raises(prestige.InvalidArgumentError):
            given.get("z", embedding=bad)
    assert len(given) == 3
    assert store.verify() == []


def test_a_function_embeds(store: prestige.Store) -> None:
    calls: list[list[str]] = []

    def embed(texts: list[str]) -> list[list[float]]:
        calls.append(texts)
        if texts == ["fail"]:
            raise LookupError
        return [[1.0, float(len(text)) / 100] for text in texts]

    cache = prestige.SemanticCache(store, 0.99, embed=embed, model_id="length")
    assert cache.get("aaa") is None
    assert calls == [], "a scope without entries needs no embedding"
    cache.put("aaa", "three")
    hit = cache.get("bbbb")
    assert hit is not None
    assert hit.query == "aaa"
    assert calls == [["aaa"], ["bbbb"]]
    for call in (lambda: cache.put("fail", "x"), lambda: cache.get("fail")):
        with pytest.raises(LookupError):
            call()
    assert len(cache) == 1


def test_long_and_blank_queries_are_found_by_their_text_alone(
    cache: prestige.SemanticCache,
) -> None:
    long = "word " * 400
    for query in (long, "", " \n"):
        cache.put(query, "r")
        assert cache.get(query) is not None
    assert cache.get(long + "more") is None
    assert cache.get("\t") is None


def test_another_model_is_refused_by_name(store: prestige.Store) -> None:
    prestige.SemanticCache(store, model_id="one").put("q", "r", embedding=[1.0])
    with pytest.raises(prestige.ModelError, match=r"one .*two"):
        # Of a server the first call, of a store the cache.
        prestige.SemanticCache(store, model_id="two").get("p", embedding=[1.0])
    for name in store.namespaces():
        store.drop_namespace(name)
    prestige.SemanticCache(store, model_id="two").put("q", "r", embedding=[1.0])


def test_bad_arguments_are_named(store: prestige.Store) -> None:
    def refused(message: str, **arguments: object) -> None:
        with pytest.raises((prestige.InvalidArgumentError, TypeError), match=message):
            prestige.SemanticCache(store, **{"model_id": "m", **arguments})

    refused("threshold must be", threshold=0)
    refused("threshold must be", threshold=1.5)
    refused("threshold must be", threshold="x")
    refused("ttl_seconds must be", ttl_seconds=-1)
    refused("price_per_call must be", price_per_call=-1)
    refused("scope is made of", scope=b"bytes")
    refused("names in a scope must be str", scope={1: "a"})
    refused("must be finite", scope=[float("nan")])
    refused("at most 64 bits", scope=2**70)
    refused("model_id must not be empty", model_id="", embed=len)
    refused("needs a model_id", model_id=None, embed=len)
    refused("two ways", embed=len, model=prestige.SemanticModel())
    refused("max_store_bytes is an option", max_store_bytes=3)
    nested: object = "x"
    for _ in range(100):
        nested = [nested]
    refused("nested", scope=nested)
    if not isinstance(store, prestige.RemoteStore):
        with pytest.raises(prestige.InvalidArgumentError, match='view of its namespace "a"'):
            prestige.SemanticCache(store.namespace("a"), model_id="m")
    cache = prestige.SemanticCache(store, model_id="m")
    for bad in (b"q", 3, None):
        with pytest.raises(TypeError):
            cache.get(bad)
        with pytest.raises(TypeError):
            cache.put(bad, "r")
    with pytest.raises(UnicodeEncodeError):
        cache.put("\ud800", "r")
    for bad in ([("a", "b")], {"a": 1}, {1: "a"}, "ab"):
        with pytest.raises(TypeError, match="metadata"):
            cache.put("q", "r", metadata=bad)
    with pytest.raises(prestige.InvalidArgumentError, match="64 pairs"):
        cache.put("q", "r", metadata={str(n): "" for n in range(65)})
    with pytest.raises(prestige.InvalidArgumentError, match="tokens"):
        cache.put("q", "r", tokens=-1)
    with pytest.raises(TypeError):
        cache.get_or_compute("q", 3)
    assert len(cache) == 0
