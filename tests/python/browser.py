"""A headless Chromium for the tests of the monitoring page, and what they look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# `make test` puts it there, or the reason why it cannot.
CACHE = Path(os.environ.get("PRESTIGE_CACHE") or Path.home() / ".cache" / "prestige")
EXECUTABLE = CACHE / "chromium" / "chromium"
MISSING = CACHE / "chromium" / "missing"

# The page asks every two seconds, and the server notes its history every five.
PATIENCE_MS = 30_000
# Nothing but loopback is asked.
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
]
PHONE = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A started browser. Skips the test if there is none."""
    if MISSING.exists():
        pytest.skip(f"no Chromium: {MISSING.read_text().strip()}")
    if not EXECUTABLE.exists():
        pytest.skip(f"no Chromium in {EXECUTABLE.parent}: run `make browser`")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=EXECUTABLE, args=FLAGS)
        expect.set_options(timeout=PATIENCE_MS)
        yield started
        started.close()


class Watched:
    """A page, and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, kind: str, text: str) -> None:
        # Failed requests are reported here too; tests that make some fail look themselves.
        if kind in {"error", "warning"} and "Failed to load resource" not in text:
            self.errors.append(f"{kind}: {text}")

    def open(self, url: str, *, live: bool = True) -> Page:
        """Goes there, and waits for the first figures."""
        self.page.goto(url)
        if live:
            expect(self.page.locator("#link")).to_have_attribute("data-link", "live")
        return self.page


Visit = Callable[..., Watched]


# Least contrast of a text with what is behind it, over all texts that are seen: [ratio, text].
LEAST_CONTRAST = """() => {
  const parse = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const channel = (value) => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  const light = ({ r, g, b }) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const over = (top, under) => ({
    r: top.r * top.a + under.r * (1 - top.a),
    g: top.g * top.a + under.g * (1 - top.a),
    b: top.b * top.a + under.b * (1 - top.a),
  });
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const layer = parse(getComputedStyle(at).backgroundColor);
      layers.push(layer);
      if (layer.a === 1) break;
    }
    return layers.reduceRight((under, top) => over(top, under), { r: 255, g: 255, b: 255 });
  };
  let least = [21, "nothing"];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || node.closest("svg, noscript") || !node.checkVisibility()) continue;
    const under = behind(node);
    const [a, b] = [light(over(parse(getComputedStyle(node).color), under)), light(under)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least[0]) least = [contrast, node.textContent.trim()];
  }
  return least;
}"""
