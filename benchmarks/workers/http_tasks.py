"""Tasks on a store that is served over HTTP by this process.

Requests come from `http_load`, another process, so that its work is beside the server's and not in
its threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prestige
from workers.job import BATCH_KEYS, VALUE_BYTES
from workers.measuring import each, rate, settle
from workers.sentences import made_up
from workers.tasks import Work

CONNECTIONS = 32
TEXTS = 64
"""Of a request for embeddings."""
WARM_ROUNDS = 20


def program(name: str) -> Path:
    """A program that `make bench-http` builds."""
    target = os.environ.get("CARGO_TARGET_DIR")
    folder = Path(target) if target else Path.home() / ".cache" / "prestige" / "target"
    found = folder / "release" / "examples" / name
    if not found.is_file():
        message = f"{found} is missing: run `make bench-http`, or cargo build --release --examples"
        raise FileNotFoundError(message)
    return found


def load(url: str, method: str, requests: int, keys: int) -> float:
    """Requests per second."""
    arguments = [url, method, CONNECTIONS, requests, keys, VALUE_BYTES]
    done = subprocess.run(
        [program("http_load"), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return float(done.stdout)


def name(number: int) -> str:
    """The key of a number, as `http_load` asks for it."""
    return f"key{number:08}"


def http_get(work: Work) -> dict[str, float]:
    """Random keys, all of them in the value cache after a first round."""
    store: prestige.Store = work.store.store
    keys = min(work.job.keys, 10_000)
    store.put_many((name(number), work.random.randbytes(VALUE_BYTES)) for number in range(keys))
    store.flush()
    settle()
    with store.serve() as server:
        load(server.url, "get", work.job.keys // 10, keys)
        return {"requests": load(server.url, "get", work.job.keys, keys)}


@contextmanager
def constant() -> Iterator[str]:
    """The URL of a server that answers with as many bytes as a value has."""
    with subprocess.Popen(
        [program("http_constant"), str(VALUE_BYTES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


def http_constant(work: Work) -> dict[str, float]:
    """The same requests to a server that looks nothing up."""
    with constant() as url:
        load(url, "get", work.job.keys // 10, 10_000)
        return {"requests": load(url, "get", work.job.keys, 10_000)}


def http_put(work: Work) -> dict[str, float]:
    """New keys with values unlike all others."""
    store: prestige.Store = work.store.store
    with store.serve() as server:
        load(server.url, "put", work.job.keys // 10, work.job.keys)
        settle()
        return {"requests": load(server.url, "put", work.job.keys, 2 * work.job.keys)}


def http_embeddings(work: Work) -> dict[str, float]:
    """Texts per second of the endpoint, whose cache has them all, and of the model that it has."""
    texts = made_up(work.job.keys, work.random)
    batches = [texts[start : start + TEXTS] for start in range(0, len(texts), TEXTS)]
    model = prestige.SemanticModel()
    model.embed(batches[0])
    computed = rate(len(texts), lambda: each(model.embed, batches))
    with work.store.store.serve() as server:
        url = f"{server.url}/v1/embeddings"

        def ask(batch: list[str]) -> None:
            body = {"model": "minilm", "input": batch, "encoding_format": "base64"}
            request = urllib.request.Request(
                url, json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request) as answer:
                if len(json.load(answer)["data"]) != len(batch):
                    raise RuntimeError(url)

        each(ask, batches)
        rounds = batches * WARM_ROUNDS
        return {
            "warm": rate(len(texts) * WARM_ROUNDS, lambda: each(ask, rounds)),
            "model": computed,
        }


def http_get_many(work: Work) -> dict[str, float]:
    """Keys per second of the client, a thousand a call and one by one."""
    store: prestige.Store = work.store.store
    keys = [name(number) for number in range(work.job.keys)]
    store.put_many((key, work.random.randbytes(VALUE_BYTES)) for key in keys)
    settle()
    batches = [keys[start : start + BATCH_KEYS] for start in range(0, len(keys), BATCH_KEYS)]
    with store.serve() as server, prestige.connect(server.url) as client:
        client.get_many(keys[:BATCH_KEYS])
        some = keys[: len(keys) // 10]
        return {
            "single": rate(len(some), lambda: each(client.get, some)),
            "many": rate(len(keys), lambda: each(client.get_many, batches)),
        }
