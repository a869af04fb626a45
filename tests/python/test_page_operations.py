"""Who may do what on the monitoring page, in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Visit
from playwright.sync_api import Page, Route, expect

import prestige


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

        def begin(route: Route) -> None:
            route.fulfill(status=202, body=accepted)

        watched.page.route("**/admin/prune*", begin)
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
