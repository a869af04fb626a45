"""What a directory holds, to compare it later."""

from __future__ import annotations

import hashlib
from pathlib import Path


def contents(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below `directory`, and the mark of every folder, by relative path."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(directory.rglob("*"))
    }
