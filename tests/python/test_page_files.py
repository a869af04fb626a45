"""The files of the monitoring page, as they lie in the repository and as the server sends them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_requests import ask

import prestige

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "http" / "src" / "page"
UPLOT = PAGE / "uplot"
SCRIPTS = sorted(PAGE.glob("*.js"))
MOST_BYTES = 150_000


@pytest.fixture
def server(store: prestige.Store) -> Iterator[prestige.Server]:
    with store.serve() as running:
        yield running


def assets() -> list[str]:
    """Every file that the document and its scripts name."""
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:src|href)="assets/([^"]+)"', html))
    for script in SCRIPTS:
        named |= set(re.findall(r'from "\./([^"]+)"', script.read_text(encoding="utf-8")))
    return sorted(named)


class TestLibrary:
    record = json.loads((UPLOT / "uplot.json").read_text(encoding="utf-8"))

    def test_the_files_are_those_of_the_version(self) -> None:
        files = {file.name for file in UPLOT.iterdir()} - {"uplot.json"}
        assert files == set(self.record["sha256"])
        for name, digest in self.record["sha256"].items():
            assert hashlib.sha256((UPLOT / name).read_bytes()).hexdigest() == digest
        assert self.record["integrity"].startswith("sha512-")

    def test_its_terms_are_shown(self) -> None:
        listed = (ROOT / "python" / "THIRD-PARTY-LICENSES").read_text(encoding="utf-8")
        assert f"\nuPlot {self.record['version']}: {self.record['licence']}\n" in listed
        assert "Leon Sorokin" in listed
        assert "uPlot" in (ROOT / "python" / "NOTICE").read_text(encoding="utf-8")


class TestSources:
    def test_it_is_light(self) -> None:
        sent = [PAGE / "index.html", *UPLOT.glob("*.min.*"), *(PAGE / name for name in assets())]
        assert sum(file.stat().st_size for file in sent if file.exists()) < MOST_BYTES

    def test_nothing_is_inline_or_from_elsewhere(self) -> None:
        html = (PAGE / "index.html").read_text(encoding="utf-8")
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", html)
        assert not re.search(r"<script(?![^>]* src=)", html)
        for file in [PAGE / "index.html", PAGE / "page.css", *SCRIPTS]:
            text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://|@import|url\(", text), file

    @pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
    def test_scripts_make_no_markup_of_text(self, script: Path) -> None:
        text = script.read_text(encoding="utf-8")
        assert text.startswith("// @ts-check\n")
        forbidden = (
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
            r"|localStorage"
        )
        assert not re.search(forbidden, text)

    def test_elements_that_scripts_look_for_are_there(self) -> None:
        html = (PAGE / "index.html").read_text(encoding="utf-8")
        ids = re.findall(r'\sid="([^"]+)"', html)
        assert len(ids) == len(set(ids))
        for script in SCRIPTS:
            wanted = re.findall(r'(?:element|typed)\("([^"]+)"', script.read_text(encoding="utf-8"))
            assert set(wanted) - {"confirm-namespace"} <= set(ids), script.name
        for name in re.findall(r'(?:aria-labelledby|aria-describedby|for)="([^"]+)"', html):
            assert name in ids


class TestAnswers:
    def test_the_document(self, server: prestige.Server) -> None:
        answer = ask(f"{server.url}/")
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.body == (PAGE / "index.html").read_text(encoding="utf-8")
        policy = {
            words[0]: words[1:]
            for part in answer.headers["content-security-policy"].split(";")
            if (words := part.split())
        }
        assert policy["default-src"] == ["'none'"]
        assert {source for words in policy.values() for source in words} <= {
            "'none'",
            "'self'",
            "'script'",
        }
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert ask(f"{server.url}/", "HEAD").body == ""
        assert ask(f"{server.url}/", "POST", b"").status == 405

    @pytest.mark.parametrize("name", assets())
    def test_the_files(self, server: prestige.Server, name: str) -> None:
        answer = ask(f"{server.url}/assets/{name}")
        assert answer.status == 200
        kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        assert answer.headers["content-type"].startswith(kinds[name.rpartition(".")[2]])
        assert answer.headers["etag"].strip('"') == hashlib.sha256(answer.body.encode()).hexdigest()
        assert answer.headers["cache-control"] == "no-cache"

    @pytest.mark.parametrize("tag", ["{}", "W/{}", '"another", {}', "*"])
    def test_what_a_browser_has_is_not_sent_again(self, server: prestige.Server, tag: str) -> None:
        url = f"{server.url}/assets/main.js"
        etag = ask(url).headers["etag"]
        answer = ask(url, headers={"If-None-Match": tag.format(etag)})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, "", etag)
        assert ask(url, headers={"If-None-Match": '"another"'}).status == 200

    @pytest.mark.parametrize(
        "name", ["", "none.js", "../Cargo.toml", "..%2Findex.html", "%FF", "main.js/", "a" * 5000]
    )
    def test_there_are_no_others(self, server: prestige.Server, name: str) -> None:
        answer = ask(f"{server.url}/assets/{name}")
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/problem+json"

    def test_they_need_no_token(self, store: prestige.Store) -> None:
        with store.serve(token="a-secret") as server:
            for path in ("/", "/assets/main.js"):
                answer = ask(server.url + path)
                assert answer.status == 200
                assert "a-secret" not in answer.body
            assert ask(f"{server.url}/api/v1/monitor").status == 401

    def test_links_from_other_sites_lead_here(self, server: prestige.Server) -> None:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert ask(f"{server.url}/", headers=headers).status == 200
        assert ask(f"{server.url}/api/v1/monitor", headers=headers).status == 403
