"""What is in `deploy/` fits what there is: metrics, commands, settings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import run_process
from http_requests import ask, parse_metrics

import prestige
from prestige import _native

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNIT = (DEPLOY / "prestige.service").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
PROMETHEUS = (DEPLOY / "prometheus.yml").read_text(encoding="utf-8")


def settings() -> dict[str, dict[str, object]]:
    """All settings of the server, by name."""
    done = run_process("serve", "db", "--print-config", "--json")
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def variables_of(text: str) -> set[str]:
    return set(re.findall(r"\bPRESTIGE_[A-Z_]+", text))


class TestService:
    def test_it_runs_a_command_there_is(self) -> None:
        (command,) = re.findall(r"^ExecStart=\S+/prestige (.*)$", UNIT, re.MULTILINE)
        parsed = _native.parse_command([*command.replace("/etc/prestige", "/no").split()])
        # Only the file is missing here.
        assert "cannot read the configuration" in parsed["message"]

    def test_it_is_told_when_the_server_is_ready_and_ends_it_in_order(self) -> None:
        for line in ("Type=notify", "KillSignal=SIGTERM", "NoNewPrivileges=yes", "DynamicUser=yes"):
            assert line in UNIT.splitlines()

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
    def test_systemd_understands_it(self, tmp_path: Path) -> None:
        unit = tmp_path / "prestige.service"
        unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE))
        words = ["systemd-analyze", "verify", "--man=no", str(unit)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        complaints = [line for line in done.stderr.splitlines() if "prestige.service" in line]
        assert (done.returncode, complaints) == (0, []), done.stderr


class TestImage:
    def test_it_is_made_of_the_wheel_and_runs_as_nobody(self) -> None:
        assert re.search(r"^USER prestige$", DOCKERFILE, re.MULTILINE)
        assert DOCKERFILE.count("HEALTHCHECK") == 1
        assert "/livez" in DOCKERFILE
        ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        assert ignored[-2:] == ["*", "!dist/*.whl"]

    def test_its_healthcheck_is_python(self) -> None:
        (words,) = re.findall(r"^    CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
        python, flag, source = json.loads(words)
        assert (python, flag) == ("python", "-c")
        compile(source, "healthcheck", "exec")

    @pytest.mark.parametrize("text", [DOCKERFILE, UNIT], ids=["Dockerfile", "prestige.service"])
    def test_the_variables_it_sets_are_settings(self, text: str) -> None:
        known = {setting["variable"] for setting in settings().values()}
        assert variables_of(text)
        assert variables_of(text) <= known


def test_the_example_configuration_is_one() -> None:
    done = run_process("serve", "--config", DEPLOY / "prestige.toml", "--print-config", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    sources = {str(setting["source"]) for setting in json.loads(done.stdout).values()}
    assert any("prestige.toml" in source for source in sources)


class TestDashboard:
    def expressions(self) -> list[str]:
        targets = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
        queries = [
            variable["query"]["query"]
            for variable in DASHBOARD["templating"]["list"]
            if variable["type"] == "query"
        ]
        return [target["expr"] for target in targets] + queries

    def test_every_metric_it_names_exists(self, store: prestige.Store) -> None:
        store.put("k", "v")
        store.get("k")
        with store.serve() as server:
            # The first answer counts the request itself only afterwards.
            ask(server.url + "/metrics")
            samples = parse_metrics(ask(server.url + "/metrics").body)
        known = {name for name, _ in samples}
        named = set(re.findall(r"\bprestige_\w+", " ".join(self.expressions())))
        assert len(named) >= 15
        assert named <= known

    def test_its_panels_do_not_overlap(self) -> None:
        cells = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            own = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not own & cells, panel["title"]
            assert max(x for x, _ in own) < 24
            cells |= own
        assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_scrapes_what_is_served() -> None:
    yaml = pytest.importorskip("yaml")
    scrape = yaml.safe_load(PROMETHEUS)["scrape_configs"][0]
    assert scrape["metrics_path"] == "/metrics"
    assert scrape["static_configs"][0]["targets"] == ["127.0.0.1:8080"]
