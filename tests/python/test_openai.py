"""`/v1/embeddings`, asked by the official client of OpenAI as it is."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from http_requests import ask, parse_metrics
from upstream_server import DIMENSION, MODEL, Failure, Upstream, running, vector

import prestige

BUNDLED = ["minilm", "all-MiniLM-L6-v2"]
TEXTS = ["How do I reset my password?", "Where is my order?", "Hello, 世界 🌍"]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy leads to a server of this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running() as stand_in:
        yield stand_in


def client_of(server: prestige.Server, key: str = "unused", **options: Any) -> openai.OpenAI:
    options.setdefault("max_retries", 0)
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, **options)


def post(server: prestige.Server, body: Any, **headers: str) -> Any:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers.setdefault("content-type", "application/json")
    return ask(f"{server.url}/v1/embeddings", "POST", encoded, headers)


def array(answer: openai.types.CreateEmbeddingResponse) -> np.ndarray:
    return np.array([item.embedding for item in answer.data], dtype=np.float32)


@pytest.fixture
def server(store: prestige.Store) -> Iterator[prestige.Server]:
    with store.serve() as running_server:
        yield running_server


@pytest.fixture
def client(server: prestige.Server) -> openai.OpenAI:
    return client_of(server)


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return prestige.SemanticModel().embed(TEXTS)


class TestLocal:
    @pytest.mark.parametrize("model", ["minilm", "all-MiniLM-L6-v2", "MiniLM"])
    def test_vectors_are_those_of_the_model(
        self, client: openai.OpenAI, expected: np.ndarray, model: str
    ) -> None:
        answer = client.embeddings.create(model=model, input=TEXTS)
        assert np.array_equal(array(answer), expected)
        assert [item.index for item in answer.data] == [0, 1, 2]
        assert (answer.object, answer.model) == ("list", model)
        assert answer.usage.prompt_tokens == answer.usage.total_tokens > 3 * 3
        floats = client.embeddings.create(model=model, input=TEXTS, encoding_format="float")
        assert np.array_equal(array(floats), expected)
        one = client.embeddings.create(model=model, input=TEXTS[1])
        assert np.array_equal(array(one), expected[1:2])
        # Known, so nothing had to be computed.
        assert one.usage.prompt_tokens == 0

    def test_asynchronous(self, server: prestige.Server, expected: np.ndarray) -> None:
        async def main() -> list[np.ndarray]:
            base_url = f"{server.url}/v1"
            async with openai.AsyncOpenAI(base_url=base_url, api_key="x", max_retries=0) as client:
                asked = [client.embeddings.create(model="minilm", input=TEXTS) for _ in range(8)]
                return [array(answer) for answer in await asyncio.gather(*asked)]

        for found in asyncio.run(main()):
            assert np.array_equal(found, expected)

    def test_headers_say_what_was_there(self, client: openai.OpenAI) -> None:
        create = client.embeddings.with_raw_response.create

        def headers(texts: list[str]) -> tuple[str, str, str]:
            found = create(model="minilm", input=texts).headers
            names = ("prestige-cache", "prestige-cache-hits", "prestige-cache-misses")
            hit, hits, misses = (found[name] for name in names)
            return hit, hits, misses

        assert headers(["a", "b", "a"]) == ("miss", "0", "3")
        assert headers(["a", "b"]) == ("hit", "2", "0")
        assert headers(["a", "c"]) == ("partial", "1", "1")

    def test_it_is_the_cache_of_python(
        self, store: prestige.Store, client: openai.OpenAI, expected: np.ndarray
    ) -> None:
        client.embeddings.create(model="minilm", input=TEXTS[:2])
        cache = prestige.EmbeddingCache(store)
        assert len(cache) == 2
        assert np.array_equal(cache.embed(TEXTS), expected)
        assert cache.stats()["computed"] == 1
        raw = client.embeddings.with_raw_response.create(model="minilm", input=TEXTS[2])
        assert raw.headers["prestige-cache"] == "hit"

    def test_dimensions_are_beginnings_at_unit_length(
        self, client: openai.OpenAI, expected: np.ndarray
    ) -> None:
        answer = client.embeddings.create(model="minilm", input=TEXTS, dimensions=64)
        found = array(answer)
        beginnings = expected[:, :64].astype(np.float64)
        beginnings /= np.linalg.norm(beginnings, axis=1, keepdims=True)
        assert found.shape == (3, 64)
        assert np.allclose(found, beginnings, atol=1e-6)
        whole = client.embeddings.create(model="minilm", input=TEXTS, dimensions=384)
        assert np.array_equal(array(whole), expected)
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model="minilm", input=TEXTS, dimensions=385)
        assert caught.value.param == "dimensions"

    def test_tokens_are_refused(self, client: openai.OpenAI) -> None:
        for tokens in ([1, 2], [[1], [2, 3]]):
            with pytest.raises(openai.BadRequestError, match="tokenizer") as caught:
                client.embeddings.create(model="minilm", input=tokens)
            assert caught.value.param == "input"

    def test_other_models_are_not_found(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as caught:
            client.embeddings.create(model=MODEL, input="a")
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve(MODEL)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("model", 5), ("input", {}), ("dimensions", "8"), ("encoding_format", "hex"), ("task", 1)],
    )
    def test_a_field_that_is_wrong_is_named(
        self, server: prestige.Server, field: str, value: object
    ) -> None:
        answer = post(server, {"model": "minilm", "input": "a", field: value})
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["param"]) == (400, field), error
        assert set(error) == {"message", "type", "param", "code"}

    def test_models_are_listed(self, client: openai.OpenAI) -> None:
        # All that can be asked for.
        assert [model.id for model in client.models.list()] == BUNDLED
        assert client.models.retrieve("minilm").object == "model"
        assert client.models.retrieve("all-MiniLM-L6-v2").id == "all-MiniLM-L6-v2"

    def test_another_model(self, store: prestige.Store) -> None:
        model = prestige.SemanticModel(prefix="query: ")
        with store.serve(models={"asking": model}) as server:
            client = client_of(server)
            assert {model.id for model in client.models.list()} == {*BUNDLED, "asking"}
            answer = client.embeddings.create(model="asking", input=TEXTS)
        assert np.array_equal(array(answer), model.embed(TEXTS))

    def test_a_read_only_store_answers_and_keeps_nothing(
        self, store_path: Path, expected: np.ndarray
    ) -> None:
        prestige.open(store_path).close()
        with prestige.open(store_path, read_only=True) as store, store.serve() as server:
            for _ in range(2):
                raw = client_of(server).embeddings.with_raw_response.create(
                    model="minilm", input=TEXTS
                )
                assert np.array_equal(array(raw.parse()), expected)
                assert raw.headers["prestige-cache"] == "miss"

    def test_many_at_once_compute_each_text_once(
        self, store: prestige.Store, server: prestige.Server, expected: np.ndarray
    ) -> None:
        def create(_: int) -> tuple[np.ndarray, int]:
            answer = client_of(server).embeddings.create(model="minilm", input=TEXTS)
            return array(answer), answer.usage.prompt_tokens

        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(create, range(32)))
        assert all(np.array_equal(vectors, expected) for vectors, _ in found)
        # Whoever has had it computed has its tokens, once in all.
        total = sum(tokens for _, tokens in found)
        assert 9 < total < 60
        assert store.verify() == []

    def test_many_texts(self, client: openai.OpenAI) -> None:
        texts = [f"text {i % 40}" for i in range(2048)]
        answer = client.embeddings.create(model="minilm", input=texts)
        found = array(answer)
        assert found.shape == (2048, 384)
        assert np.array_equal(found[:40], found[40:80])


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 400, "malformed_body"),
            (b"{", 400, "malformed_body"),
            (b"[]", 400, "malformed_body"),
            (b'{"model": "minilm", "input": "\xff"}', 400, "malformed_body"),
            ({"model": "minilm"}, 400, "malformed_body"),
            ({"model": "minilm", "input": ""}, 400, "invalid_argument"),
            ({"model": "minilm", "input": []}, 400, "invalid_argument"),
            ({"model": "minilm", "input": ["a", ""]}, 400, "invalid_argument"),
            ({"model": "minilm", "input": ["a", 1]}, 400, "malformed_body"),
            ({"model": "minilm", "input": None}, 400, "malformed_body"),
            ({"model": "", "input": "a"}, 400, "invalid_argument"),
            ({"model": 5, "input": "a"}, 400, "malformed_body"),
            ({"model": "minilm", "input": "a", "dimensions": 0}, 400, "invalid_argument"),
            ({"model": "minilm", "input": "a", "dimensions": "8"}, 400, "malformed_body"),
            ({"model": "minilm", "input": "a", "encoding_format": "hex"}, 400, "malformed_body"),
            ({"model": "minilm", "input": "a", "input_type": "query"}, 400, "malformed_body"),
            ({"model": "minilm", "input": ["a"] * 2049}, 400, "invalid_argument"),
            ({"model": "other", "input": "a"}, 404, "model_not_found"),
        ],
    )
    def test_it_is_refused_in_the_shape_of_openai(
        self, server: prestige.Server, body: Any, status: int, code: str
    ) -> None:
        answer = post(server, body)
        assert answer.status == status
        assert answer.headers["content-type"] == "application/json"
        error = json.loads(answer.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["type"], error["code"]) == ("invalid_request_error", code)

    def test_what_stands_around_has_the_shape_too(self, store: prestige.Store) -> None:
        with store.serve(token="secret-of-mine") as server:
            with pytest.raises(openai.AuthenticationError) as caught:
                client_of(server, "wrong").embeddings.create(model="minilm", input="a")
            assert caught.value.code == "invalid_api_key"
            client = client_of(server, "secret-of-mine")
            assert client.embeddings.create(model="minilm", input="a").data
            with pytest.raises(openai.NotFoundError) as missing:
                client.post("/completions", cast_to=object)
            assert missing.value.code == "no_such_route"
            assert missing.value.type == "invalid_request_error"

    def test_a_view_has_no_caches(self, store: prestige.Store) -> None:
        with (
            store.namespace("a").serve() as server,
            pytest.raises(openai.BadRequestError, match="namespace"),
        ):
            client_of(server).embeddings.create(model="minilm", input="a")


class TestUpstream:
    @pytest.fixture
    def serve(
        self, store: prestige.Store, upstream: Upstream
    ) -> Iterator[Callable[..., prestige.Server]]:
        servers = []

        def begin(token: str | None = None, **options: Any) -> prestige.Server:
            settings = prestige.Upstream(upstream.url, **options)
            servers.append(store.serve(token=token, upstream=settings))
            return servers[-1]

        yield begin
        for server in servers:
            server.stop()

    @pytest.mark.parametrize("lists", [False, True])
    def test_vectors_are_those_of_the_upstream(
        self, serve: Callable[..., prestige.Server], upstream: Upstream, *, lists: bool
    ) -> None:
        upstream.lists = lists
        client = client_of(serve())
        answer = client.embeddings.create(model=MODEL, input=TEXTS, user="somebody")
        assert np.array_equal(array(answer), np.array([vector(text) for text in TEXTS], np.float32))
        assert answer.usage.prompt_tokens == sum(map(len, TEXTS))
        assert [body["input"] for body in upstream.asked] == [TEXTS]
        assert (upstream.asked[0]["model"], upstream.asked[0]["user"]) == (MODEL, "somebody")
        again = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
        assert np.array_equal(array(again), array(answer))
        assert again.usage.prompt_tokens == 0
        assert len(upstream.asked) == 1

    def test_only_distinct_missing_texts_are_asked_for_in_batches(
        self, serve: Callable[..., prestige.Server], upstream: Upstream
    ) -> None:
        client = client_of(serve(batch_size=2))
        create = client.embeddings.with_raw_response.create
        create(model=MODEL, input=["a", "b"])
        raw = create(model=MODEL, input=["c", "a", "c", "d", "e", "b"])
        assert [body["input"] for body in upstream.asked] == [["a", "b"], ["c", "d"], ["e"]]
        assert raw.headers["prestige-cache"] == "partial"
        assert raw.headers["prestige-cache-hits"] == "2"
        assert raw.headers["prestige-cache-misses"] == "4"
        texts = ["c", "a", "c", "d", "e", "b"]
        assert np.array_equal(array(raw.parse()), np.array([vector(t) for t in texts], np.float32))

    def test_dimensions_are_passed_on_and_kept_apart(
        self, serve: Callable[..., prestige.Server], upstream: Upstream
    ) -> None:
        server = serve()
        client = client_of(server)
        for dimensions in (4, 16, 4):
            answer = client.embeddings.create(model=MODEL, input="a", dimensions=dimensions)
            assert array(answer).tolist() == [vector("a", dimensions)]
        assert array(client.embeddings.create(model=MODEL, input="a")).tolist() == [vector("a")]
        assert [body.get("dimensions") for body in upstream.asked] == [4, 16, None]

    def test_tokens_are_passed_on_and_kept_apart(
        self, serve: Callable[..., prestige.Server], upstream: Upstream
    ) -> None:
        client = client_of(serve())
        for _ in range(2):
            answer = client.embeddings.create(model=MODEL, input=[[1, 22], [3]])
            assert array(answer).tolist() == [vector([1, 22]), vector([3])]
        # The text under which a list is kept is no text of its own.
        assert array(client.embeddings.create(model=MODEL, input="3")).tolist() == [vector("3")]
        single = client.embeddings.create(model=MODEL, input=[1, 22])
        assert array(single).tolist() == [vector([1, 22])]
        assert upstream.texts == [[1, 22], [3], "3"]

    def test_namespaces_are_those_of_model_host_and_length(
        self, store: prestige.Store, serve: Callable[..., prestige.Server], upstream: Upstream
    ) -> None:
        client = client_of(serve())
        client.embeddings.create(model=MODEL, input="a")
        client.embeddings.create(model=MODEL, input="a", dimensions=4)
        client.embeddings.create(model=MODEL, input=[1])
        host = upstream.url.removeprefix("http://").removesuffix("/v1")
        assert store.namespaces() == sorted(
            [
                f"embeddings/{MODEL}@{host}/{DIMENSION}",
                f"embeddings/{MODEL}@{host}#dimensions=4/4",
                f"embeddings/{MODEL}@{host}#tokens/{DIMENSION}",
            ]
        )

    def test_concurrent_requests_ask_once(
        self, store: prestige.Store, serve: Callable[..., prestige.Server], upstream: Upstream
    ) -> None:
        upstream.release.clear()
        server = serve()

        def create(_: int) -> np.ndarray:
            return array(client_of(server).embeddings.create(model=MODEL, input=["a", "b"]))

        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(create, number) for number in range(8)]
            assert upstream.arrived.acquire(timeout=20)
            upstream.release.set()
            for one in asked:
                assert one.result().tolist() == [vector("a"), vector("b")]
        assert sorted(upstream.texts) == ["a", "b"]
        assert store.verify() == []

    def test_local_models_come_first(
        self, serve: Callable[..., prestige.Server], upstream: Upstream, expected: np.ndarray
    ) -> None:
        client = client_of(serve())
        answer = client.embeddings.create(model="minilm", input=TEXTS)
        assert np.array_equal(array(answer), expected)
        assert upstream.asked == []
        assert {model.id for model in client.models.list()} == {*BUNDLED, MODEL}
        assert client.models.retrieve(MODEL).owned_by == "somebody"

    def test_named_models_alone(
        self, serve: Callable[..., prestige.Server], upstream: Upstream
    ) -> None:
        client = client_of(serve(models=["one"]))
        assert client.embeddings.create(model="one", input="a").data
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="two", input="a")
        assert {model.id for model in client.models.list()} == {*BUNDLED, "one"}
        assert len(upstream.asked) == 1


class TestKeys:
    def test_that_of_the_operator(self, store: prestige.Store, upstream: Upstream) -> None:
        upstream.key = "sk-operator"
        settings = prestige.Upstream(upstream.url, key="sk-operator")
        assert "sk-operator" not in repr(settings)
        with store.serve(token="mine", upstream=settings) as server:
            client = client_of(server, "mine")
            assert client.embeddings.create(model=MODEL, input="a").data
        assert upstream.headers[0]["authorization"] == "Bearer sk-operator"

    def test_a_refusal_of_it_is_no_fault_of_the_client(
        self, store: prestige.Store, upstream: Upstream
    ) -> None:
        upstream.key = "sk-another"
        settings = prestige.Upstream(upstream.url, key="sk-operator")
        with (
            store.serve(upstream=settings) as server,
            pytest.raises(openai.InternalServerError) as caught,
        ):
            client_of(server, "unused").embeddings.create(model=MODEL, input="a")
        assert caught.value.status_code == 502
        assert "sk-" not in caught.value.message
        assert len(upstream.asked) == 1

    def test_without_tokens_the_one_of_the_client_is_passed_on(
        self, store: prestige.Store, upstream: Upstream
    ) -> None:
        upstream.key = "sk-client"
        settings = prestige.Upstream(upstream.url, key="sk-operator", pass_authorization=True)
        with store.serve(upstream=settings) as server:
            client = client_of(server, "sk-client", organization="org-1", project="proj-1")
            assert client.embeddings.create(model=MODEL, input="a").data
            with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
                client_of(server, "sk-wrong").embeddings.create(model=MODEL, input="b")
        assert upstream.headers[0]["authorization"] == "Bearer sk-client"
        assert upstream.headers[0]["openai-organization"] == "org-1"
        assert upstream.headers[0]["openai-project"] == "proj-1"

    def test_with_tokens_it_has_a_header_of_its_own(
        self, store: prestige.Store, upstream: Upstream
    ) -> None:
        settings = prestige.Upstream(upstream.url, pass_authorization=True)
        with store.serve(token="mine", upstream=settings) as server:
            headers = {"Prestige-Upstream-Authorization": "Bearer sk-client"}
            client = client_of(server, "mine", default_headers=headers)
            client.embeddings.create(model=MODEL, input="a")
            client_of(server, "mine").embeddings.create(model=MODEL, input="b")
        assert upstream.headers[0]["authorization"] == "Bearer sk-client"
        # The token is for this server, and there is no key of the operator.
        assert "authorization" not in upstream.headers[1]
        assert not any("mine" in text for sent in upstream.headers for text in sent.values())

    def test_a_wrong_key_fails_its_owner_alone(
        self, store: prestige.Store, upstream: Upstream
    ) -> None:
        upstream.key = "sk-right"
        upstream.release.clear()
        settings = prestige.Upstream(upstream.url, pass_authorization=True)
        with store.serve(upstream=settings) as server, ThreadPoolExecutor(2) as pool:

            def create(key: str) -> list[list[float]]:
                answer = client_of(server, key).embeddings.create(model=MODEL, input="a")
                return array(answer).tolist()

            wrong = pool.submit(create, "sk-wrong")
            assert upstream.arrived.acquire(timeout=20)
            # Waits for the one who leads, whose key is wrong.
            right = pool.submit(create, "sk-right")
            threading.Event().wait(0.3)
            upstream.release.set()
            with pytest.raises(openai.AuthenticationError):
                wrong.result()
            assert right.result() == [vector("a")]


class TestFailures:
    @pytest.fixture
    def server(self, store: prestige.Store, upstream: Upstream) -> Iterator[prestige.Server]:
        with store.serve(upstream=prestige.Upstream(upstream.url)) as running_server:
            yield running_server

    def test_too_many_requests_are_the_matter_of_the_client(
        self, server: prestige.Server, upstream: Upstream
    ) -> None:
        body = {"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}}
        upstream.failures = [Failure(429, body, {"Retry-After": "7", "Set-Cookie": "a=b"})]
        with pytest.raises(openai.RateLimitError, match="upstream has answered 429") as caught:
            client_of(server).embeddings.create(model=MODEL, input="a")
        assert "slow down" not in str(caught.value.body)
        assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "tokens")
        assert caught.value.response.headers["retry-after"] == "7"
        assert "set-cookie" not in caught.value.response.headers
        assert len(upstream.asked) == 1
        # Nothing of it stays.
        assert client_of(server).embeddings.create(model=MODEL, input="a").data

    def test_bad_requests_are_passed_on(self, server: prestige.Server, upstream: Upstream) -> None:
        told = "org-Operator with sk-...abcd cannot do that"
        for code, shown in (("model_too_busy", "model_too_busy"), (told, "upstream")):
            body = {"error": {"message": told, "type": told, "param": told, "code": code}}
            upstream.failures = [Failure(400, body)]
            with pytest.raises(openai.BadRequestError, match="upstream has answered 400") as caught:
                client_of(server).embeddings.create(model=MODEL, input="a")
            assert (caught.value.type, caught.value.code) == ("invalid_request_error", shown)
            assert "Operator" not in caught.value.response.text
        assert len(upstream.asked) == 2

    def test_to_the_key_of_a_client_word_for_word(
        self, store: prestige.Store, upstream: Upstream
    ) -> None:
        body = {"error": {"message": "too long", "type": "invalid_request_error", "param": "input"}}
        upstream.failures = [Failure(400, body)]
        settings = prestige.Upstream(upstream.url, pass_authorization=True)
        with (
            store.serve(upstream=settings) as server,
            pytest.raises(openai.BadRequestError, match="too long") as caught,
        ):
            client_of(server, "sk-client").embeddings.create(model=MODEL, input="a")
        assert caught.value.param == "input"
        assert len(upstream.asked) == 1

    @pytest.mark.parametrize("status", [500, 502, 503, 529])
    def test_what_may_pass_is_tried_again(
        self, server: prestige.Server, upstream: Upstream, status: int
    ) -> None:
        upstream.failures = [Failure(status, "<html>oops</html>"), Failure(status, {})]
        answer = client_of(server).embeddings.create(model=MODEL, input="a")
        assert array(answer).tolist() == [vector("a")]
        assert len(upstream.asked) == 3

    def test_and_not_for_ever(self, server: prestige.Server, upstream: Upstream) -> None:
        upstream.failures = [Failure(500, {"error": {"message": "secret path"}})] * 10
        with pytest.raises(openai.InternalServerError) as caught:
            client_of(server).embeddings.create(model=MODEL, input="a")
        assert caught.value.status_code == 502
        assert "secret path" not in caught.value.message
        assert len(upstream.asked) == 3
        samples = parse_metrics(ask(f"{server.url}/metrics").body)
        name = "prestige_upstream_requests_total"
        assert samples[name, frozenset({("status", "500")})] == 3

    def test_retry_after_beyond_the_time_is_passed_on(
        self, server: prestige.Server, upstream: Upstream
    ) -> None:
        upstream.failures = [Failure(503, {}, {"Retry-After": "3600"})]
        with pytest.raises(openai.InternalServerError) as caught:
            client_of(server).embeddings.create(model=MODEL, input="a")
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"] == "3600"
        assert len(upstream.asked) == 1

    def test_an_upstream_that_takes_too_long(
        self, store: prestige.Store, upstream: Upstream
    ) -> None:
        upstream.release.clear()
        settings = prestige.Upstream(upstream.url, timeout_seconds=0.3)
        with store.serve(upstream=settings) as server:
            with pytest.raises(openai.InternalServerError) as caught:
                client_of(server).embeddings.create(model=MODEL, input="a")
            upstream.release.set()
            assert caught.value.status_code == 504
            assert client_of(server).embeddings.create(model=MODEL, input="a").data

    def test_an_upstream_that_is_not_there(self, store: prestige.Store) -> None:
        with running() as gone:
            url = gone.url
        with store.serve(upstream=prestige.Upstream(url, retries=1)) as server:
            with pytest.raises(openai.InternalServerError, match="reached") as caught:
                client_of(server).embeddings.create(model=MODEL, input="a")
            assert caught.value.status_code == 502
            # What is there is answered all the same.
            assert client_of(server).embeddings.create(model="minilm", input="a").data

    @pytest.mark.parametrize(
        "answer",
        [
            "<html>",
            {},
            {"data": []},
            {"data": [{"index": 0, "embedding": []}]},
            {"data": [{"index": 1, "embedding": [1.0]}]},
            {"data": [{"index": 0, "embedding": [1e300]}]},
            {"data": [{"index": 0, "embedding": "%%%"}]},
        ],
    )
    def test_answers_that_are_none(
        self, server: prestige.Server, upstream: Upstream, answer: Any
    ) -> None:
        upstream.answer = answer
        with pytest.raises(openai.InternalServerError) as caught:
            client_of(server).embeddings.create(model=MODEL, input="a")
        assert caught.value.status_code == 502
        assert len(upstream.asked) == 1

    def test_another_length_than_that_of_the_cache(
        self, server: prestige.Server, upstream: Upstream
    ) -> None:
        client_of(server).embeddings.create(model=MODEL, input="a")
        upstream.answer = {"data": [{"index": 0, "embedding": [1.0, 2.0]}]}
        with pytest.raises(openai.InternalServerError) as caught:
            client_of(server).embeddings.create(model=MODEL, input="b")
        assert caught.value.status_code == 502

    def test_what_succeeded_before_a_failure_stays(
        self, store: prestige.Store, upstream: Upstream
    ) -> None:
        settings = prestige.Upstream(upstream.url, batch_size=1, retries=0)
        with store.serve(upstream=settings) as server:
            client = client_of(server)
            upstream.failures = [Failure(400, {})]
            with pytest.raises(openai.BadRequestError):
                client.embeddings.create(model=MODEL, input=["a", "b"])
            client.embeddings.create(model=MODEL, input=["b"])
            upstream.asked.clear()
            client.embeddings.create(model=MODEL, input=["b", "a"])
            assert upstream.texts == ["a"]


class TestSettings:
    @pytest.mark.parametrize(
        "options",
        [
            {"url": "api.openai.com"},
            {"url": "ftp://h/v1"},
            {"url": "http://user:hunter2@h/v1"},
            {"url": "http://h/v1?key=hunter2"},
            {"url": "http://h/v1", "key": "two words"},
            {"url": "http://h/v1", "key": ""},
            {"url": "http://h/v1", "timeout_seconds": 0},
            {"url": "http://h/v1", "timeout_seconds": float("nan")},
            {"url": "http://h/v1", "batch_size": 0},
            {"url": "http://h/v1", "retries": -1},
        ],
    )
    def test_what_cannot_be_is_refused(
        self, store: prestige.Store, options: dict[str, Any]
    ) -> None:
        with pytest.raises(prestige.InvalidArgumentError) as caught:
            store.serve(upstream=prestige.Upstream(**options))
        assert "hunter2" not in str(caught.value)

    def test_wrong_types(self, store: prestige.Store) -> None:
        for options in ({"upstream": 5}, {"models": "minilm"}, {"models": {"a": "b"}}):
            with pytest.raises(TypeError):
                store.serve(**options)  # type: ignore[arg-type]
