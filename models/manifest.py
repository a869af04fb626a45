"""Reads manifest.toml and compares files with the hashes it pins."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10
    try:
        import tomli as tomllib
    except ImportError:
        tomllib = None

MANIFEST = Path(__file__).with_name("manifest.toml")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class BuildError(Exception):
    """Says what was expected, what was found and what to do."""


def missing(package: str) -> BuildError:
    """The error for a Python package that the build needs and does not find."""
    return BuildError(
        f"the Python package '{package}' is not installed for {sys.executable}.\n"
        f"  expected: the packages of {REQUIREMENTS}\n"
        f"  Install them: {sys.executable} -m pip install -r {REQUIREMENTS}"
    )


@dataclass(frozen=True)
class Pin:
    """Size in bytes and SHA-256 (hex) that a file must have."""

    size: int
    sha256: str

    def holds(self, data: bytes) -> bool:
        """True if `data` is what is pinned."""
        return len(data) == self.size and hashlib.sha256(data).hexdigest() == self.sha256

    def matches(self, path: Path) -> bool:
        """True if the file is what is pinned; False for a missing file as for a different one."""
        try:
            # The size first: it costs no reading.
            return path.stat().st_size == self.size and self.holds(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def require(self, data: bytes, name: str, remedy: str) -> None:
        """Raises BuildError, which ends with `remedy`, unless `data` is what is pinned."""
        if not self.holds(data):
            raise BuildError(
                f"{name} is not the pinned file.\n"
                f"  expected: {self.size} bytes, SHA-256 {self.sha256}\n"
                f"  found:    {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}\n"
                f"  {remedy}"
            )


def _pins(table: dict) -> dict[str, Pin]:
    return {name: Pin(pin["size"], pin["sha256"]) for name, pin in table.items()}


@dataclass(frozen=True)
class Manifest:
    """manifest.toml as objects; `forms` maps a form to the pins of its files."""

    model: dict
    source: dict
    wheel: Pin
    archive: Pin
    inputs: dict[str, Pin]
    forms: dict[str, dict[str, Pin]]

    @classmethod
    def load(cls, path: Path = MANIFEST) -> Manifest:
        """Reads the manifest; BuildError where Python has no TOML reader."""
        if tomllib is None:
            raise missing("tomli")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        source = table["source"]
        return cls(
            model=table["model"],
            source=source,
            wheel=Pin(source["size"], source["sha256"]),
            archive=Pin(source["archive"]["size"], source["archive"]["sha256"]),
            inputs=_pins(table["inputs"]),
            forms={name: _pins(form["files"]) for name, form in table["forms"].items()},
        )
