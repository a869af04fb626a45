"""How the monitoring page looks and is used, and what it withstands, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from browser import LEAST_CONTRAST, PHONE, Visit
from playwright.sync_api import expect

import prestige

ATTACKS = [
    "<img src=x onerror=\"document.title='attacked'\">",
    "\"><script>document.title='attacked'</script>",
    "javascript:document.title='attacked'",
    "__proto__",
    "*",
    "\u202eright to left",
]


@pytest.fixture
def server(store: prestige.Store) -> Iterator[prestige.Server]:
    with store.serve() as running:
        yield running


class TestAttack:
    def test_names_of_namespaces_are_text(
        self, store: prestige.Store, server: prestige.Server, visit: Visit
    ) -> None:
        for i, name in enumerate(ATTACKS):
            store.namespace(name).put_many((f"{j}", f"{j}") for j in range(i + 2))
        page = visit().open(server.url)
        expect(page.locator("#namespaces-body tr")).to_have_count(len(ATTACKS) + 1)
        shown = page.locator("#namespaces-body .name").evaluate_all(
            "(cells) => cells.map((cell) => cell.textContent)"
        )
        assert sorted(shown) == sorted(["(default)", *ATTACKS])
        for i, name in enumerate(ATTACKS):
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
        policy = re.compile("Content Security Policy|TrustedHTML|TrustedScript|connect-src")
        assert all(policy.search(error) for error in watched.errors), watched.errors
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
        moving = """[...document.querySelectorAll("*")]
          .filter((node) => getComputedStyle(node).transitionDuration !== "0s").length"""
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
        pressed = [page.get_by_role("button", name=name) for name in ("15 min", "1 hour")]
        for button in pressed:
            button.focus()
            page.keyboard.press("Space")
            expect(button).to_have_attribute("aria-pressed", "true")
        expect(pressed[0]).to_have_attribute("aria-pressed", "false")
