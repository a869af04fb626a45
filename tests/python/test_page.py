"""The figures of the monitoring page in a real Chromium, over a real server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Visit
from playwright.sync_api import Route, expect

import prestige

UNKNOWN = "\u2013"


@pytest.fixture
def server(store: prestige.Store) -> Iterator[prestige.Server]:
    with store.serve() as running:
        yield running


class TestFigures:
    def test_they_change_when_keys_are_put(
        self, store: prestige.Store, server: prestige.Server, visit: Visit
    ) -> None:
        page = visit().open(server.url)
        expect(page.locator("#keys")).to_have_text("0")
        expect(page.locator("#hits")).to_have_text(UNKNOWN)
        expect(page.get_by_role("heading", name="Nothing is stored yet")).to_be_visible()
        expect(page.locator("#empty-command")).to_contain_text(f"{server.url}/api/v1/kv/greeting")
        for i in range(8):
            store.put(f"key{i}", b"x" * 1000 if i < 6 else b"y" * 1000)
        expect(page.locator("#keys")).to_have_text("8")
        expect(page.locator("#values")).to_have_text("2")
        expect(page.locator("#ratio")).to_have_text("4.00")
        expect(page.locator("#saved")).to_have_text("6 kB")
        expect(page.locator("#bytes")).to_have_text(re.compile(r"^2(\.0\d)? kB$"))
        expect(page.get_by_role("heading", name="Nothing is stored yet")).to_be_hidden()
        store.get_many([f"key{i}" for i in range(9)])
        expect(page.locator("#hits")).to_have_text("88.9%")
        store.delete("key7")
        expect(page.locator("#keys")).to_have_text("7")

    def test_activity_is_drawn(
        self, store: prestige.Store, server: prestige.Server, visit: Visit
    ) -> None:
        page = visit().open(server.url)
        gets = page.locator(".chart", has_text="Operations per second").locator("b").first
        expect(gets).to_have_text(UNKNOWN)
        deadline = time.monotonic() + 30
        while gets.inner_text() in {UNKNOWN, "0"}:
            assert time.monotonic() < deadline
            store.put("key", "value")
            store.get_many(["key", "none"])
            page.wait_for_timeout(100)
        ratio = page.get_by_role("img", name=re.compile("^Hit ratio: of gets 50.0%"))
        expect(ratio).to_be_visible()
        latency = page.get_by_role("img", name=re.compile(r"^Latency.*: .*put \d[\d.]* [nµm]?s"))
        expect(latency).to_be_visible()
        assert page.locator(".chart canvas").count() == 6

    def test_a_namespace_can_be_chosen(
        self, store: prestige.Store, server: prestige.Server, visit: Visit
    ) -> None:
        store.put("key", "value")
        other = store.namespace("other")
        other.put_many((f"key{i}", "value") for i in range(20))
        page = visit().open(server.url)
        expect(page.locator("#keys")).to_have_text("21")
        page.get_by_label("Namespace", exact=True).select_option(label="other")
        expect(page.locator("#keys")).to_have_text("20")
        # Whose namespace a request was for is not known.
        expect(page.locator(".chart:visible")).to_have_count(5)
        page.get_by_label("Namespace", exact=True).select_option(label="(default)")
        expect(page.locator("#keys")).to_have_text("1")
        page.get_by_label("Namespace", exact=True).select_option(label="All")
        expect(page.locator("#keys")).to_have_text("21")
        rows = page.locator("#namespaces-body tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("other")
        page.get_by_role("columnheader", name="Name").get_by_role("button").click()
        expect(rows.first).to_contain_text("(default)")
        expect(page.get_by_role("columnheader", name="Name")).to_have_attribute(
            "aria-sort", "ascending"
        )

    def test_similarity_of_a_semantic_store(self, store_path: Path, visit: Visit) -> None:
        mode = prestige.DedupMode.SEMANTIC
        with prestige.open(store_path, dedup_mode=mode) as store, store.serve() as server:
            store.put("a", "How do I reset my password?")
            store.put("b", "How can I reset my password?")
            store.put("c", "The weather is fine today.")
            page = visit().open(server.url)
            panel = page.get_by_role("region", name="Similarity decisions")
            expect(panel).to_contain_text("2 comparisons with a nearest neighbour, about 1 of them")
            expect(panel.locator("#threshold")).to_contain_text("threshold 0.9")
            expect(panel.locator("rect.above[height='100']")).to_have_count(1)
            expect(page.locator("#about")).to_contain_text("semantic")
            store.put("d", "How should I reset my password?")
            expect(panel).to_contain_text("3 comparisons")
            assert store.verify() == []

    def test_an_exact_store_has_no_similarity(self, server: prestige.Server, visit: Visit) -> None:
        page = visit().open(server.url)
        expect(page.locator("#about")).to_contain_text("exact")
        expect(page.locator("#similarity")).to_be_hidden()

    def test_health(self, server: prestige.Server, visit: Visit) -> None:
        page = visit().open(server.url)
        health = page.get_by_role("region", name="Health")
        expect(health.get_by_role("listitem").filter(has_text="store")).to_be_visible()
        expect(health.get_by_role("img", name="passes").first).to_be_visible()
        expect(health.get_by_role("img", name="fails")).to_have_count(0)

    def test_a_failing_check_shows(self, server: prestige.Server, visit: Visit) -> None:
        watched = visit()
        body = "[+]store ok\n[-]model warming up\nnot ready\n"
        watched.page.route("**/readyz*", lambda route: route.fulfill(status=503, body=body))
        page = watched.open(server.url)
        failing = page.get_by_role("listitem").filter(has_text="model warming up")
        expect(failing.get_by_role("img", name="fails")).to_be_visible()

    def test_huge_numbers(
        self, store: prestige.Store, server: prestige.Server, visit: Visit
    ) -> None:
        store.put("key", "value")
        most = 2**64 - 1

        def exaggerate(route: Route) -> None:
            answer = route.fetch()
            document = answer.json()
            for figure in ("total_keys", "total_objects", "total_bytes", "bytes_saved"):
                document["health"][figure] = most
            document["stats"].update(hits=most, misses=most)
            document["namespaces"] = [
                {"name": f"{'n' * 200} {i}", "keys": most, "unique_values": most, "bytes": most}
                for i in range(300)
            ]
            route.fulfill(response=answer, body=json.dumps(document))

        watched = visit(viewport={"width": 320, "height": 700})
        watched.page.route("**/api/v1/monitor*", exaggerate)
        page = watched.open(server.url)
        expect(page.locator("#keys")).to_have_text("1.845E19")
        expect(page.locator("#bytes")).to_have_text("18.4 EB")
        expect(page.locator("#hits")).to_have_text("50.0%")
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        clipped = """[...document.querySelectorAll(".figure")]
          .filter((figure) => figure.scrollWidth > figure.clientWidth)
          .map((figure) => `${figure.id} ${figure.scrollWidth} ${figure.clientWidth}`)"""
        assert page.evaluate(clipped) == []
        rows = page.locator("#namespaces-body tr")
        expect(rows).to_have_count(25)
        page.get_by_role("button", name="Show all 300").click()
        expect(rows).to_have_count(300)


class TestServerGone:
    def test_it_tells_and_comes_back(self, store: prestige.Store, visit: Visit) -> None:
        store.put("key", "value")
        server = store.serve()
        page = visit().open(server.url)
        expect(page.locator("#keys")).to_have_text("1")
        server.stop()
        banner = page.get_by_role("alert").filter(has_text="has not answered since")
        expect(banner).to_be_visible()
        assert re.search(r"\d\d:\d\d:\d\d", banner.inner_text())
        expect(page.locator("#link-text")).to_have_text("No answer")
        # What was known stays to be read.
        expect(page.locator("#keys")).to_have_text("1")
        expect(page.locator("#lost-next")).to_have_text(re.compile(r"Next try in \d+ s\.|Trying…"))
        store.put("another", "value")
        with store.serve(port=server.port):
            expect(page.locator("#link-text")).to_have_text("Live")
            expect(banner).to_be_hidden()
            expect(page.locator("#keys")).to_have_text("2")

    def test_try_now(self, server: prestige.Server, visit: Visit) -> None:
        watched = visit()
        fail = True

        def answer(route: Route) -> None:
            if fail:
                route.abort()
            else:
                route.continue_()

        watched.page.route("**/api/v1/monitor*", answer)
        page = watched.open(server.url, live=False)
        expect(page.locator("#lost-next")).to_have_text(re.compile(r"Next try in [3-9] s\."))
        fail = False
        page.get_by_role("button", name="Try now").click()
        expect(page.locator("#link-text")).to_have_text("Live", timeout=2500)

    def test_an_answer_that_is_no_figures(self, server: prestige.Server, visit: Visit) -> None:
        watched = visit()
        watched.page.route("**/api/v1/monitor*", lambda route: route.fulfill(body="<html>"))
        page = watched.open(server.url, live=False)
        expect(page.get_by_role("alert").filter(has_text="has not answered")).to_be_visible()
