"""A web application whose gunicorn workers share one cache, which a server keeps.

    pip install gunicorn prestige-cache
    python gunicorn_app.py

This starts a server of ./gunicorn_app_db, four workers, and asks them. In production the server
runs by itself (`prestige serve ./gunicorn_app_db`), and gunicorn is started as usual:

    PRESTIGE_URL=http://127.0.0.1:8080 gunicorn --workers 4 --preload gunicorn_app:app
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2

import prestige

WORKERS = 4
URL = os.environ.get("PRESTIGE_URL", "http://127.0.0.1:8080")

# Made once, also with --preload: a forked worker has connections of its own.
client = prestige.connect(URL)
cache = prestige.SemanticCache(client, model_id="exact questions only")


def ask_a_model(question: str) -> str:
    """Stands for what takes seconds and costs money."""
    return f"An answer to: {question}"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer ``GET /?question=…``."""
    question = parse_qs(environ["QUERY_STRING"]).get("question", [""])[0]
    answer = cache.get_or_compute(question, ask_a_model)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"answer": answer, "worker": os.getpid()}).encode()]


def serve(urls: Queue[str], done: Event) -> None:
    """Have the store open and serve it, in a process of its own."""
    with prestige.open("./gunicorn_app_db") as store, store.serve() as server:
        urls.put(server.url)
        done.wait()


def ask(path: Path, question: str) -> tuple[str, int]:
    """Ask the web application over its Unix socket."""
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path), retries=3)) as http:
        found = http.get("http://app/", params={"question": question}).json()
    return found["answer"], found["worker"]


def main() -> None:
    """Start everything, ask forty times, and look at what the cache has afterwards."""
    spawning = multiprocessing.get_context("spawn")
    urls: Queue[str] = spawning.Queue()
    done = spawning.Event()
    server = spawning.Process(target=serve, args=(urls, done))
    server.start()
    url = urls.get(timeout=60)
    path = Path("app.sock").resolve()
    gunicorn = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--workers", str(WORKERS), "--preload"),
            *("--bind", f"unix:{path}", "--log-level", "error", "gunicorn_app:app"),
        ],
        cwd=Path(__file__).parent,
        env={**os.environ, "PRESTIGE_URL": url},
    )
    try:
        while not path.exists():
            time.sleep(0.05)
        questions = [f"Question {number % 10}?" for number in range(40)]
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda question: ask(path, question), questions))
        assert [answer for answer, _ in answers] == [ask_a_model(q) for q in questions]
        print(f"{len(answers)} answers by gunicorn; the last: {answers[-1][0]}")
        with prestige.connect(url) as own:
            entries = len(prestige.SemanticCache(own, model_id="exact questions only"))
            print(f"{entries} in the cache, violations: {own.verify()}")
    finally:
        gunicorn.terminate()
        gunicorn.wait()
        done.set()
        server.join()


if __name__ == "__main__":
    main()
