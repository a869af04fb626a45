"""Build backend: maturin, after it has been given what it needs.

`pip install .` in this folder thus does the whole set-up on its own: libclang for the headers of
RocksDB, the bundled model, and a target folder that is kept, so that RocksDB is compiled once and
not at every installation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
MODEL = "all-MiniLM-L6-v2"
LIBCLANG = "libclang==18.1.1"

ConfigSettings = dict[str, Any] | None


def _requirements(_settings: ConfigSettings = None) -> list[str]:
    needed = (MODELS / "requirements.txt").read_text(encoding="utf-8").splitlines()
    packages = (line.split("#")[0].strip() for line in needed)
    return ["maturin==1.*", *(package for package in packages if package)]


get_requires_for_build_wheel = _requirements
get_requires_for_build_editable = _requirements
get_requires_for_build_sdist = _requirements


def _prepare() -> None:
    cache = Path(os.environ.get("PRESTIGE_CACHE") or Path.home() / ".cache" / "prestige")
    os.environ.setdefault("CARGO_TARGET_DIR", str(cache / "target"))
    os.environ.setdefault("LIBCLANG_PATH", str(_libclang(cache)))
    if "BINDGEN_EXTRA_CLANG_ARGS" not in os.environ and shutil.which("gcc"):
        command = ["gcc", "-print-file-name=include"]
        headers = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        os.environ["BINDGEN_EXTRA_CLANG_ARGS"] = f"-I{headers}"
    build = [sys.executable, str(MODELS / "build.py"), "--cache", str(cache)]
    subprocess.run(build, check=True)
    bundled = HERE / "prestige" / "models" / MODEL
    shutil.copytree(cache / "models" / MODEL / "int8w", bundled, dirs_exist_ok=True)


def _libclang(cache: Path) -> Path:
    """Folder of the libclang library, installed on first use."""
    folder = cache / "libclang"
    if not (folder / ".installed").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
        subprocess.run([*pip, "--target", str(folder), LIBCLANG], check=True)
        (folder / ".installed").touch()
    return folder / "clang" / "native"


def build_wheel(
    directory: str, settings: ConfigSettings = None, metadata: str | None = None
) -> str:
    """Build the wheel into `directory`; return its file name."""
    import maturin  # noqa: PLC0415 - installed for the build only

    _prepare()
    return maturin.build_wheel(directory, settings, metadata)


def build_editable(
    directory: str, settings: ConfigSettings = None, metadata: str | None = None
) -> str:
    """Build an editable wheel into `directory`; return its file name."""
    import maturin  # noqa: PLC0415 - installed for the build only

    _prepare()
    return maturin.build_editable(directory, settings, metadata)


def build_sdist(directory: str, settings: ConfigSettings = None) -> str:
    """Build a source archive into `directory`; return its file name."""
    import maturin  # noqa: PLC0415 - installed for the build only

    return maturin.build_sdist(directory, settings)
