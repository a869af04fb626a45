"""The store that a command works on: a directory, or one behind a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, cast

import prestige
from prestige.exceptions import InvalidArgumentError, PrestigeError

from . import Arguments


class Access(Enum):
    """What a command does with a directory."""

    READ = "read"
    """Opened read-only: nothing changes, its owner may have it open, and it must be there."""
    CHANGE = "change"
    """Opened for writing; it must be there."""
    CREATE = "create"
    """Opened for writing, and made if it is not there."""


@contextmanager
def target(arguments: Arguments, access: Access) -> Iterator[prestige.Store]:
    """Open the store that the arguments name, in the namespace that they name."""
    if arguments["url"] is not None:
        with _server(arguments) as remote:
            yield remote
        return
    path = directory(arguments)
    options = _options(arguments["option"])
    if access is Access.READ:
        options.read_only = True
    elif access is Access.CHANGE:
        # Read-only no store is made: it raises what there is to say.
        prestige.open(path, read_only=True).close()
    with prestige.open(path, options) as store:
        namespace: str = arguments["namespace"]
        yield store.namespace(namespace) if namespace else store


def directory(arguments: Arguments) -> str:
    """The directory that the arguments name, as first argument or by ``--path``."""
    named = arguments.get("directory") or arguments.get("store") or arguments["path"]
    return os.fsdecode(named)


def is_remote(arguments: Arguments) -> bool:
    """Whether the store is behind a server."""
    return arguments["url"] is not None


@contextmanager
def _server(arguments: Arguments) -> Iterator[prestige.Store]:
    if arguments["option"]:
        raise InvalidArgumentError("--option is for directories: the server has opened its store")
    settings: dict[str, Any] = {"namespace": arguments["namespace"]}
    if arguments["timeout"] is not None:
        settings["timeout"] = arguments["timeout"]
    if arguments["ca_file"] is not None:
        settings["ca_file"] = os.fsdecode(arguments["ca_file"])
    with prestige.connect(arguments["url"], token=_token(arguments), **settings) as opened:
        # It has the interface of a store.
        yield cast("prestige.Store", opened)


def _token(arguments: Arguments) -> str | None:
    if arguments["token_file"] is None:
        token: str | None = arguments["token"]
        return token
    path = Path(os.fsdecode(arguments["token_file"]))
    words = path.read_text(encoding="utf-8", errors="replace").split()
    if not words:
        raise InvalidArgumentError(f"{path}: expected a token, found nothing")
    return words[0]


def _options(pairs: list[tuple[str, str]]) -> prestige.Options:
    """Options from texts, each as its attribute's type calls for."""
    options = prestige.Options()
    for name, text in pairs:
        current = getattr(options, name, None) if not name.startswith("_") else None
        try:
            value = _value(name, current, text)
        except ValueError:
            kind = type(current).__name__
            raise InvalidArgumentError(
                f"--option {name}: expected {kind}, found {text!r}"
            ) from None
        try:
            setattr(options, name, value)
        except (AttributeError, TypeError) as error:
            raise InvalidArgumentError(f"--option: {error}") from None
    return options


def _value(name: str, current: object, text: str) -> object:
    if isinstance(current, bool):
        truth = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.lower() not in truth:
            raise ValueError
        return truth[text.lower()]
    if isinstance(current, int | float):
        return type(current)(text)
    if isinstance(current, prestige.DedupMode | prestige.NormalizationMode):
        chosen = getattr(type(current), text.upper(), None)
        if text.startswith("_") or not isinstance(chosen, type(current)):
            raise ValueError
        return chosen
    if name == "semantic_model":
        place = Path(text).exists() or "." in text[:1] or "/" in text[:1]
        return prestige.SemanticModel(text if place else None, model_name=None if place else text)
    return text


def refused(arguments: Arguments, what: str) -> PrestigeError:
    """The error of a command that needs the directory."""
    return InvalidArgumentError(
        f"{arguments['command']}: {what}; run it where the directory is, with --path"
    )
