"""The virtual environments of the peers, in the cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import venv
from pathlib import Path

PINS = Path(__file__).with_name("peers.txt")
SEMANTIC_PINS = Path(__file__).with_name("peers_semantic.txt")


class PeersMissingError(Exception):
    """The peers could not be installed."""


def cache_folder() -> Path:
    """Where the project keeps what takes long to make."""
    return Path(os.environ.get("PRESTIGE_CACHE") or Path.home() / ".cache" / "prestige")


def interpreter(pins: Path = PINS) -> Path:
    """Python of an environment that has exactly what `pins` names; made at the first use."""
    name = hashlib.sha256(pins.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / "peers" / name
    python = folder / "bin" / "python"
    installed = folder / ".installed"
    if not installed.exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*command, "-r", pins], capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode != 0:
            raise PeersMissingError(f"the peers could not be installed:\n{done.stderr.strip()}")
        installed.touch()
    return python
