"""With the bundled model, and with models that are on this machine, no connection is opened."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Every way from Python to the network goes through one of these events (docs.python.org, table of
# audit events). Whoever swallows the exception is found out at the end.
GUARD = """
    import os, sys
    seen = []
    def guard(event, arguments):
        if event.startswith(("socket.", "http.client", "urllib.Request", "ftplib", "smtplib")):
            seen.append((event, arguments))
            raise RuntimeError(f"the network is used: {event} {arguments}")
    sys.addaudithook(guard)
"""

ROUND_TRIP = """
    import prestige, prestige.hub
    model = prestige.SemanticModel(download=True)  # The bundled one has nothing to download
    assert model.embed(["How do I reset my password?", "Hello"]).shape == (2, 384)
    assert prestige.SemanticModel(model_name="minilm", download=True).dimension == 384
    assert prestige.hub.pull("minilm").is_dir()
    with prestige.open(sys.argv[1], dedup_mode=prestige.DedupMode.SEMANTIC) as store:
        store.put("a", "How do I reset my password?")
        store.put_many({"b": "How can I reset my password?", "c": "Hello"})
        assert store.get_object_id("a") == store.get_object_id("b") != store.get_object_id("c")
        assert store.get_many(["a", "c"], decode=True)[1] == "Hello"
        store.flush()
        assert store.verify() == []
    with prestige.open(sys.argv[1]) as store:
        store.put("d", "Hello")
        assert store.verify() == []
    try:
        prestige.SemanticModel(model_name="bge-small", cache_dir=sys.argv[1]).embed(["text"])
    except prestige.ModelError as error:
        assert "prestige models pull" in str(error)
"""

REPORT = """
    if os.path.isdir("/proc/self/fd"):
        # What native code had opened and kept would be here.
        for name in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                continue
            if target.startswith("socket:") and int(name) > 2:
                seen.append(("open socket", target))
    print(seen, "huggingface_hub" in sys.modules)
"""


def test_no_connection_with_the_bundled_model(tmp_path: Path, run_script) -> None:
    result = run_script(GUARD + ROUND_TRIP + REPORT, tmp_path / "store")
    assert (result.stdout, result.stderr) == ("[] False\n", "")


@pytest.mark.parametrize(
    "use",
    ["socket.create_connection(('127.0.0.1', 1))", "socket.getaddrinfo('localhost', 80)"],
)
def test_the_guard_sees_connections(run_script, use: str) -> None:
    result = run_script(
        GUARD
        + f"""
    import socket
    try:
        {use}
    except RuntimeError:
        pass
    """
        + REPORT
    )
    assert "socket." in result.stdout, (result.stderr, sys.version)


def test_importing_the_package_loads_no_network_client(run_script) -> None:
    result = run_script(
        """
        import sys
        import prestige, prestige.hub, prestige.cli
        clients = {"huggingface_hub", "requests", "httpx", "httpx2", "urllib3", "aiohttp"}
        print(sorted(clients & set(sys.modules)))
        """
    )
    assert result.stdout == "[]\n", result.stderr
