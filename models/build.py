#!/usr/bin/env python3
"""Builds the bundled embedding model as ONNX from pinned weights, into a cache folder.

    python build.py [--form int8w|fp32|int8-dynamic] [--cache DIR] [--source PATH] [--print-path]

The folder `DIR/models/all-MiniLM-L6-v2/<form>` gets model.onnx, tokenizer.json and prestige.json.
Inputs and outputs are compared with the hashes of manifest.toml; a folder that already matches is
left alone. Needs Python 3.10 or later and requirements.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import source
from manifest import REQUIREMENTS, BuildError, Manifest, missing
from progress import Progress, say


def default_cache() -> Path:
    """$PRESTIGE_CACHE or ~/.cache/prestige."""
    return Path(os.environ.get("PRESTIGE_CACHE") or Path.home() / ".cache" / "prestige")


def tokenizer(published: bytes) -> bytes:
    """The published tokenizer without its active padding and truncation.

    As published it pads every text to 128 tokens and cuts it there, although the model takes 256.
    Whoever loads the file chooses both; prestige.json names the limit.
    """
    settings = json.loads(published)
    settings["truncation"] = None
    settings["padding"] = None
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()


def description(manifest: Manifest, form: str) -> bytes:
    """prestige.json: how to use the files beside it."""
    names = ("name", "dimension", "pooling", "normalize", "max_tokens")
    fields = {name: manifest.model[name] for name in names}
    return (json.dumps({**fields, "form": form}, indent=2) + "\n").encode()


def model(inputs: dict[str, bytes], form: str) -> bytes:
    """model.onnx, serialised."""
    from graph import Bert, Form, build  # noqa: PLC0415  a finished build needs no packages
    from weights import tensors  # noqa: PLC0415

    config = json.loads(inputs["config.json"])
    bert = Bert(
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        layer_norm_eps=config["layer_norm_eps"],
    )
    step = Progress(f"Building {form}", bert.layers, "layers")
    built = build(tensors(inputs["model.safetensors"]), bert, Form(form), step.update)
    data = built.SerializeToString(deterministic=True)
    step.done()
    return data


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Puts the files in place, each by a rename: a reader sees the old or the new, never a part."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as work:
        for name, data in files.items():
            path = Path(work) / name
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            path.replace(folder / name)


def build_form(manifest: Manifest, form: str, root: Path, published: Path | None) -> None:
    """Builds the files of a form and, if they are as pinned, puts them into `root / form`."""
    inputs = source.read(manifest, root / "source", published)
    files = {
        "model.onnx": model(inputs, form),
        "tokenizer.json": tokenizer(inputs["tokenizer.json"]),
        "prestige.json": description(manifest, form),
    }
    found = ", ".join(f"{name} {version(name)}" for name in ("numpy", "onnx", "protobuf"))
    for name, pin in manifest.forms[form].items():
        remedy = f"Install the versions of {REQUIREMENTS}; found {found}."
        pin.require(files[name], f"the {name} just built ({form})", remedy)
    write(root / form, files)


def ensure(manifest: Manifest, form: str, cache: Path, published: Path | None) -> Path:
    """Returns the folder of a form, whose files are as pinned; builds them if they are not."""
    name = manifest.model["name"]
    root = cache / "models" / name
    folder = root / form
    wrong = [file for file, pin in manifest.forms[form].items() if not pin.matches(folder / file)]
    if not wrong:
        say(f"{name} ({form}) is ready: {folder}")
        return folder
    damaged = [file for file in wrong if (folder / file).exists()]
    if damaged:
        say(f"{', '.join(damaged)} in {folder}: not as pinned, building again")
    # Before a download of 83 MB, not after it.
    for package in ("numpy", "onnx"):
        if find_spec(package) is None:
            raise missing(package)
    build_form(manifest, form, root, published)
    say(f"{name} ({form}) is built: {folder}")
    return folder


def arguments(manifest: Manifest) -> argparse.Namespace:
    """Parses the command line; a wrong one ends the process with code 2."""
    parser = argparse.ArgumentParser(
        description="Build the bundled embedding model as ONNX from pinned weights."
    )
    parser.add_argument(
        "--form",
        choices=list(manifest.forms),
        default=manifest.model["default_form"],
        help="how the weights are stored; see README.md (default: %(default)s)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        metavar="DIR",
        help="where results are kept (default: $PRESTIGE_CACHE or ~/.cache/prestige)",
    )
    parser.add_argument(
        "--source",
        type=Path,
        metavar="PATH",
        help="the wheel, or a folder with the published files, instead of downloading",
    )
    parser.add_argument(
        "--print-path", action="store_true", help="print the folder of the result on stdout"
    )
    return parser.parse_args()


def main() -> int:
    """Runs the command and returns its exit code."""
    try:
        manifest = Manifest.load()
        options = arguments(manifest)
        folder = ensure(manifest, options.form, options.cache.expanduser(), options.source)
    except BuildError as error:
        say(f"error: {error}")
        return 1
    except OSError as error:
        say(f"error: {error}\n  Make room or access, or choose another folder with --cache DIR.")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted: nothing half-built is left behind")
        return 130
    if options.print_path:
        print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
