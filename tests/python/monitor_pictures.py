"""Takes the screenshots of the monitoring page in docs/: `make pictures`.

A store with a model works for six minutes as one behind a chat application would: it answers
questions, keeps embeddings and responses, and two tenants read and write through the HTTP service.
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from browser import PHONE, Watched, chromium

import prestige

DOCS = Path(__file__).resolve().parents[2] / "docs"
SECONDS = 360
TENANTS = ("tenant-acme", "tenant-blue")
OPENINGS = ("", "Hi, ", "Please tell me: ", "Quick question. ", "Hello! ")
PAGES = 4000
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def questions() -> list[str]:
    text = resources.files("prestige").joinpath("data/questions.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip()]


def busy(elapsed: float) -> float:
    """How much is asked for at this time: more and less in turns, from 0.2 to 1."""
    return 0.6 + 0.28 * math.sin(elapsed / 41) + 0.12 * math.sin(elapsed / 13)


def page_text(number: int) -> str:
    """A page that tenants store; every fourth has the text of another."""
    chance = random.Random(number - number % 4 if number % 4 == 3 else number)
    return " ".join(f"{chance.getrandbits(64):016x}" for _ in range(chance.randint(40, 160)))


class Load:
    """Threads that use the store until they are told to stop."""

    def __init__(self, store: prestige.Store, url: str) -> None:
        self.store = store
        self.url = url
        self.start = time.monotonic()
        self.stop = threading.Event()
        self.failed: list[BaseException] = []

    def run(self, work: Callable[[random.Random], None], pause: float, seed: int) -> None:
        chance = random.Random(seed)
        try:
            while not self.stop.is_set():
                work(chance)
                self.stop.wait(pause / busy(time.monotonic() - self.start))
        except BaseException as error:
            self.failed.append(error)
            raise

    def ask_questions(self, chance: random.Random) -> None:
        question = chance.choice(OPENINGS) + chance.choice(self.texts)
        self.store.put(f"question:{chance.getrandbits(40):010x}", question, ttl_seconds=240)

    def embed(self, chance: random.Random) -> None:
        self.embeddings.embed([chance.choice(self.texts) for _ in range(8)])

    def respond(self, chance: random.Random) -> None:
        question = chance.choice(OPENINGS) + chance.choice(self.texts)
        self.responses.get_or_compute(question, lambda query: f"An answer to: {query}")

    def read_pages(self, chance: random.Random) -> None:
        tenant = self.tenants[chance.random() < 0.3]
        keys = [f"page:{int(PAGES * chance.random() ** 3)}" for _ in range(60)]
        for key, value in zip(keys, map(tenant.get, keys, [None] * len(keys)), strict=True):
            if value is None:
                tenant.put(key, page_text(int(key[5:])))

    def use_http(self, chance: random.Random) -> None:
        url = f"{self.url}/api/v1/kv:batchGet?namespace={chance.choice(TENANTS)}"
        body = json.dumps({"keys": [f"page:{chance.randrange(200)}" for _ in range(4)]}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with OPENER.open(request) as answer:
            answer.read()

    def __enter__(self) -> Load:
        self.texts = questions()
        self.tenants = [self.store.namespace(name) for name in TENANTS]
        self.embeddings = prestige.EmbeddingCache(self.store)
        self.responses = prestige.SemanticCache(self.store, scope={"tenant": "acme"})
        plan = [
            (self.ask_questions, 0.5),
            (self.embed, 1.0),
            (self.respond, 0.15),
            (self.read_pages, 0.03),
            (self.use_http, 0.02),
        ]
        self.threads = [
            threading.Thread(target=self.run, args=(work, pause, seed))
            for seed, (work, pause) in enumerate(plan)
        ]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def take(url: str) -> None:
    desktop = {"viewport": {"width": 1280, "height": 800}, "device_scale_factor": 1.5}
    pictures = [
        ("monitor.png", {**desktop, "color_scheme": "light"}, True),
        ("monitor-dark.png", {**desktop, "color_scheme": "dark"}, True),
        ("monitor-phone.png", {**PHONE, "device_scale_factor": 2, "color_scheme": "dark"}, False),
    ]
    with chromium() as browser:
        for name, options, whole in pictures:
            watched = Watched(browser.new_context(**options).new_page())
            page = watched.open(url)
            page.get_by_role("button", name="5 min", exact=True).click()
            page.evaluate("document.activeElement.blur()")
            page.wait_for_timeout(1000)
            page.screenshot(path=DOCS / name, full_page=whole)
            assert watched.errors == []
            print(DOCS / name)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        mode = prestige.DedupMode.SEMANTIC
        with (
            prestige.open(Path(folder) / "store", dedup_mode=mode) as store,
            store.serve() as server,
        ):
            with Load(store, server.url) as load:
                time.sleep(SECONDS)
                take(server.url)
            assert load.failed == []
            assert store.verify() == []
    return 0


if __name__ == "__main__":
    sys.exit(main())
