"""The monitoring page in a real Chromium, over a real server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import LEAST_CONTRAST, PHONE, Watched, chromium
from playwright.sync_api import Browser, Page, Route, expect

import prestige

ATTACKS = [
    "<img src=x onerror=\"document.title='attacked'\">",
    "\"><script>document.title='attacked'</script>",
    "javascript:document.title='attacked'",
    "__proto__",
    "*",
    "\u202eright to left",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


Visit = Callable[..., Watched]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Makes pages, each with cookies and storage of its own, in which nothing may go wrong."""
    visits: list[Watched] = []

    def make(**options: Any) -> Watched:
        watched = Watched(browser.new_context(**options).new_page())
        visits.append(watched)
        return watched

    yield make
    errors = [error for watched in visits for error in watched.errors]
    asked = [url for watched in visits for url in watched.requests]
    for watched in visits:
        watched.page.context.close()
    assert errors == []
    assert all(url.startswith("http://127.0.0.1:") for url in asked)


@pytest.fixture
def server(store: prestige.Store) -> Iterator[prestige.Server]:
    with store.serve() as running:
        yield running


def operate(page: Page, name: str) -> None:
    """Opens a dialog of an operation and says yes."""
    page.get_by_role("button", name=f"{name}…").click()
    dialog = page.get_by_role("dialog", name=f"{name}?")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name=name, exact=True).click()
    expect(dialog).to_be_hidden()


class TestFigures:
    def test_they_change_when_keys_are_put(
        self, store: prestige.Store, server: prestige.Server, visit: Visit
    ) -> None:
        page = visit().open(server.url)
        expect(page.locator("#keys")).to_have_text("0")
        expect(page.locator("#hits")).to_have_text("–")
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
        expect(gets).to_have_text("–")
        deadline = time.monotonic() + 30
        while gets.inner_text() in {"–", "0"}:
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
        page.get_by_label("Namespace").select_option(label="other")
        expect(page.locator("#keys")).to_have_text("20")
        page.get_by_label("Namespace").select_option(label="(default)")
        expect(page.locator("#keys")).to_have_text("1")
        page.get_by_label("Namespace").select_option(label="All")
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
        clipped = "[...document.querySelectorAll('.figure')].some((f) => f.scrollWidth > f.clientWidth)"
        assert not page.evaluate(clipped)
        rows = page.locator("#namespaces-body tr")
        expect(rows).to_have_count(25)
        page.get_by_role("button", name="Show all 300").click()
        expect(rows).to_have_count(300)


class TestOperations:
    def test_sweep_prune_evict_and_flush(
        self, store: prestige.Store, server: prestige.Server, visit: Visit
    ) -> None:
        store.put_many((f"key{i}", f"value {i}") for i in range(5))
        store.put("short", "gone soon", ttl_seconds=1)
        store.namespace("other").put("key", "value")
        page = visit().open(server.url)
        outcome = page.locator("#outcome")
        expect(page.locator("#keys-note")).to_have_text("and 1 expired")
        operate(page, "Sweep")
        expect(outcome).to_have_text("Sweep removed 1 value.")
        operate(page, "Flush")
        expect(outcome).to_have_text("Everything is on the disk.")
        operate(page, "Prune")
        expect(outcome).to_have_text("Prune removed 0 keys.")
        page.get_by_role("button", name="Evict…").click()
        dialog = page.get_by_role("dialog", name="Evict?")
        # A size is needed: without one nothing is sent.
        dialog.get_by_role("button", name="Evict", exact=True).click()
        expect(dialog).to_be_visible()
        dialog.get_by_label("Keep at most", exact=True).fill("0")
        dialog.get_by_role("button", name="Evict", exact=True).click()
        expect(outcome).to_have_text("Evict removed 5 keys in (default).")
        expect(page.locator("#keys")).to_have_text("1")
        assert list(store) == []
        assert len(store.namespace("other")) == 1

    def test_nothing_happens_without_a_yes(
        self, store: prestige.Store, server: prestige.Server, visit: Visit
    ) -> None:
        store.put("key", "value")
        watched = visit()
        page = watched.open(server.url)
        evict = page.get_by_role("button", name="Evict…")
        evict.click()
        expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        page.get_by_label("Keep at most", exact=True).fill("0")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        evict.press("Enter")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(evict).to_be_focused()
        assert list(store) == ["key"]
        assert not any("/admin/" in url for url in watched.requests)

    def test_an_error_is_told(self, server: prestige.Server, visit: Visit) -> None:
        watched = visit()
        problem = json.dumps({"status": 503, "detail": "the store is busy; try again"})
        watched.page.route("**/admin/sweep*", lambda route: route.fulfill(status=503, body=problem))
        page = watched.open(server.url)
        page.get_by_role("button", name="Sweep…").click()
        page.get_by_role("button", name="Sweep", exact=True).click()
        alert = page.get_by_role("dialog").get_by_role("alert")
        expect(alert).to_have_text("Sweep failed: the store is busy; try again")
        expect(page.get_by_role("button", name="Sweep", exact=True)).to_be_enabled()

    def test_a_long_operation_is_awaited(self, server: prestige.Server, visit: Visit) -> None:
        watched = visit()
        states = iter(["running", "succeeded"])

        def job(route: Route) -> None:
            route.fulfill(body=json.dumps({"state": next(states), "result": {"deleted": 12}}))

        accepted = json.dumps({"id": "a/b", "state": "running"})
        watched.page.route("**/admin/prune*", lambda route: route.fulfill(status=202, body=accepted))
        watched.page.route("**/api/v1/jobs/a%2Fb", job)
        page = watched.open(server.url)
        operate(page, "Prune")
        expect(page.locator("#outcome")).to_have_text("Prune removed 12 keys in (default).")

    def test_a_read_only_store_has_none(self, store_path: Path, visit: Visit) -> None:
        with prestige.open(store_path) as store:
            store.put("key", "value")
        with prestige.open(store_path, read_only=True) as reader, reader.serve() as server:
            page = visit().open(server.url)
            expect(page.locator("#keys")).to_have_text("1")
            expect(page.locator("#about")).to_contain_text("read-only")
            expect(page.locator("#operations")).to_be_hidden()
            expect(page.locator("#operations-locked")).to_contain_text("read-only")


class TestTokens:
    @pytest.fixture
    def guarded(self, store: prestige.Store, tmp_path: Path) -> Iterator[prestige.Server]:
        store.put("key", "value")
        tokens = tmp_path / "tokens"
        tokens.write_text("admin the-admin-token\nread the-read-token\n")
        with store.serve(token_file=tokens) as running:
            yield running

    @staticmethod
    def enter(page: Page, token: str) -> None:
        page.get_by_label("Token", exact=True).fill(token)
        page.get_by_role("button", name="Continue").click()

    def test_it_asks_for_one(self, guarded: prestige.Server, visit: Visit) -> None:
        page = visit().open(guarded.url, live=False)
        expect(page.get_by_label("Token", exact=True)).to_be_focused()
        expect(page.locator("#content")).to_be_hidden()
        self.enter(page, "wrong")
        expect(page.locator("#sign-in-error")).to_contain_text("refuses this token")
        self.enter(page, "the-read-token")
        expect(page.locator("#keys")).to_have_text("1")
        expect(page.locator("#sign-in")).to_be_hidden()

    def test_buttons_are_for_administrators(self, guarded: prestige.Server, visit: Visit) -> None:
        page = visit().open(guarded.url, live=False)
        self.enter(page, "the-read-token")
        expect(page.get_by_role("button", name="Token: read")).to_be_visible()
        for name in ("Sweep…", "Prune…", "Evict…", "Flush…"):
            expect(page.get_by_role("button", name=name)).to_have_count(0)
        expect(page.locator("#operations-locked")).to_contain_text("role admin")
        page.get_by_role("button", name="Token: read").click()
        # The figures come in meanwhile; the form stays.
        page.wait_for_timeout(2500)
        self.enter(page, "the-admin-token")
        expect(page.get_by_role("button", name="Token: admin")).to_be_visible()
        operate(page, "Sweep")
        expect(page.locator("#outcome")).to_have_text("Sweep removed 0 values in (default).")

    def test_the_tab_alone_keeps_it(self, guarded: prestige.Server, visit: Visit) -> None:
        watched = visit()
        page = watched.open(guarded.url, live=False)
        self.enter(page, "the-admin-token")
        expect(page.locator("#keys")).to_have_text("1")
        page.reload()
        expect(page.locator("#keys")).to_have_text("1")
        assert page.evaluate("Object.values(sessionStorage)") == ["the-admin-token"]
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
        assert not any("token" in url.removeprefix(guarded.url) for url in watched.requests)
        other = page.context.new_page()
        other.goto(guarded.url)
        expect(other.get_by_label("Token", exact=True)).to_be_visible()


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


class TestAttack:
    def test_names_of_namespaces_are_text(
        self, store: prestige.Store, server: prestige.Server, visit: Visit
    ) -> None:
        for i, name in enumerate(ATTACKS):
            store.namespace(name).put_many((f"{j}", f"{j}") for j in range(i + 2))
        page = visit().open(server.url)
        expect(page.locator("#namespaces-body tr")).to_have_count(len(ATTACKS) + 1)
        for i, name in enumerate(ATTACKS):
            row = page.locator("#namespaces-body tr").filter(has=page.get_by_title(name, exact=True))
            assert row.locator(".name").evaluate("(cell) => cell.textContent") == name
            page.locator("#namespace").select_option(value=f"={name}")
            expect(page.locator("#keys")).to_have_text(str(i + 2))
        assert page.title() == "Prestige"
        assert page.locator("img, main script").count() == 0

    def test_the_policy_stops_scripts(self, server: prestige.Server, visit: Visit) -> None:
        watched = visit()
        page = watched.open(server.url)
        stopped = page.evaluate(
            """() => {
              const failed = [];
              const tries = {
                markup: () => { document.body.innerHTML = "<b>"; },
                script: () => { document.createElement("script").text = "1"; },
                handler: () => { document.body.setAttribute("onclick", "1"); },
              };
              for (const [name, attempt] of Object.entries(tries)) {
                try { attempt(); } catch { failed.push(name); }
              }
              return failed;
            }"""
        )
        assert stopped == ["markup", "script", "handler"]
        blocked = page.evaluate(
            """(url) => fetch(url).then(() => "answered", () => "blocked")""", "http://127.0.0.2:9/"
        )
        assert blocked == "blocked"
        # Both were reported, by the policy.
        assert watched.errors
        assert all("Content Security Policy" in error for error in watched.errors)
        watched.errors.clear()


class TestDesign:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_contrast(
        self, store: prestige.Store, server: prestige.Server, visit: Visit, scheme: str
    ) -> None:
        store.put("key", "value")
        page = visit(color_scheme=scheme).open(server.url)
        expect(page.locator("#keys")).to_have_text("1")
        contrast, text = page.evaluate(LEAST_CONTRAST)
        assert contrast >= 4.5, text
        page.get_by_role("button", name="Prune…").click()
        contrast, text = page.evaluate(LEAST_CONTRAST)
        assert contrast >= 4.5, text
        red = page.evaluate("getComputedStyle(document.body).backgroundColor").split("(")[1]
        assert (int(red.split(",")[0]) < 64) == (scheme == "dark")

    def test_the_mode_may_change(self, server: prestige.Server, visit: Visit) -> None:
        page = visit(color_scheme="light").open(server.url)
        light = page.locator(".chart canvas").first.screenshot()
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(200)
        assert page.locator(".chart canvas").first.screenshot() != light

    @pytest.mark.parametrize("width", [320, 375, 768, 1280])
    def test_nothing_is_wider_than_the_screen(
        self, store: prestige.Store, server: prestige.Server, visit: Visit, width: int
    ) -> None:
        store.namespace("a rather long name of a namespace/all-MiniLM-L6-v2/384").put("k", "v")
        options = PHONE if width < 500 else {}
        page = visit(**{**options, "viewport": {"width": width, "height": 800}}).open(server.url)
        expect(page.locator("#keys")).to_have_text("1")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.get_by_role("button", name="Prune…").click()
        box = page.get_by_role("dialog").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width

    def test_fingers_find_the_buttons(self, server: prestige.Server, visit: Visit) -> None:
        page = visit(**PHONE).open(server.url)
        for button in page.get_by_role("button").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 32, button.inner_text()

    def test_motion_is_reduced_on_request(self, server: prestige.Server, visit: Visit) -> None:
        page = visit(reduced_motion="reduce").open(server.url)
        moving = "[...document.querySelectorAll('*')].filter((n) => getComputedStyle(n).transitionDuration !== '0s').length"
        assert page.evaluate(moving) == 0
        page.emulate_media(reduced_motion="no-preference")
        assert page.evaluate(moving) > 0

    def test_landmarks_labels_and_keyboard(self, server: prestige.Server, visit: Visit) -> None:
        page = visit().open(server.url)
        expect(page.get_by_role("banner")).to_have_count(1)
        expect(page.get_by_role("main")).to_have_count(1)
        expect(page.get_by_role("heading", level=1, name="Prestige")).to_be_visible()
        for name in ("What is stored", "Activity", "Health", "Namespaces", "Maintenance"):
            expect(page.get_by_role("region", name=name, exact=True).first).to_be_visible()
        unnamed = """() => [...document.querySelectorAll("button, input, select")].filter((node) =>
          !node.textContent.trim() && !node.labels?.length && !node.getAttribute("aria-label")
          && node.checkVisibility()).length"""
        assert page.evaluate(unnamed) == 0
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the figures")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.keyboard.press("Tab")
        pressed = [page.get_by_role("button", name=name) for name in ("5 min", "1 hour")]
        for button in pressed:
            button.focus()
            page.keyboard.press("Space")
            expect(button).to_have_attribute("aria-pressed", "true")
        expect(pressed[0]).to_have_attribute("aria-pressed", "false")
