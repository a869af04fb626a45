"""The store that a command works on: a directory, or one behind a server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, cast

import prestige
from prestige import _native
from prestige.exceptions import (
    BusyError,
    InvalidArgumentError,
    PrestigeError,
    ReadOnlyError,
)

from . import Arguments
from .files import readable


class Access(Enum):
    """What a command does with a directory."""

    READ = "read"
    """Opened read-only: nothing changes, its owner may have it open, and it must be there."""
    CHANGE = "change"
    """Opened for writing; it must be there."""
    CREATE = "create"
    """Opened for writing, and made if it is not there."""


@contextmanager
def target(
    arguments: Arguments,
    access: Access,
    why: str | None = None,
    options: Mapping[str, object] | None = None,
) -> Iterator[prestige.Store]:
    """Open the store that the arguments name, in the namespace that they name.

    ``why`` says why a command that changes nothing needs more than reading; ``options`` are set
    besides those of the arguments. Errors of a store that
    another process has open, or that cannot be changed, say what to do on the command line.
    """
    try:
        local = _local(arguments, access, why, options or {})
        with _server(arguments) if is_remote(arguments) else local as store:
            yield store
    except ReadOnlyError as error:
        raise _read_only(arguments) from error


@contextmanager
def _local(
    arguments: Arguments, access: Access, why: str | None, more: Mapping[str, object]
) -> Iterator[prestige.Store]:
    path = directory(arguments)
    options = _options(arguments["option"])
    for name, value in more.items():
        setattr(options, name, value)
    if access is Access.READ:
        options.read_only = True
    elif access is Access.CHANGE:
        # Read-only no store is made: it raises what there is to say.
        prestige.open(path, read_only=True).close()
    try:
        opened = prestige.open(path, options)
    except BusyError as error:
        if access is Access.READ:
            # Its owner has changed it all the time: to try again is what helps.
            raise
        raise _busy(arguments, path, why) from error
    with opened as store:
        namespace: str = arguments["namespace"]
        yield store.namespace(namespace) if namespace else store


def _busy(arguments: Arguments, path: str, why: str | None) -> BusyError:
    """The error of a command that needs a store which another process has open."""
    command = arguments["command"]
    reason = why or "only that process can change it"
    return BusyError(
        f"{command}: the store at {path} is open in another process, and {reason}. If that is a "
        f"server, ask it: prestige {command} --url URL. Otherwise wait until it is closed, or "
        f"share the store by `prestige serve {path}`"
    )


def _read_only(arguments: Arguments) -> ReadOnlyError:
    """The error of a command that would change a store which was opened for reading only."""
    command = arguments["command"]
    if is_remote(arguments):
        return ReadOnlyError(
            f"{command}: the server at {arguments['url']} has opened its store for reading only, "
            "and this would change it: ask the server that owns the store, or start it without "
            "--read-only"
        )
    return ReadOnlyError(
        f"{command}: the store at {directory(arguments)} is opened for reading only, and this "
        "would change it: leave out --option read_only"
    )


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
        settings["ca_file"] = str(readable("--ca-file", arguments["ca_file"], "name a PEM file"))
    with prestige.connect(arguments["url"], token=_token(arguments), **settings) as opened:
        # It has the interface of a store.
        yield cast("prestige.Store", opened)


def _token(arguments: Arguments) -> str | None:
    if arguments["token_file"] is None:
        token: str | None = arguments["token"]
        return token
    path = readable("--token-file", arguments["token_file"], "name a file with the token")
    try:
        return _native.client_token(path.read_text(encoding="utf-8", errors="replace"))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"--token-file: {path}: {error}") from None


def _options(pairs: list[tuple[str, str]]) -> prestige.Options:
    """Options from texts, each as its attribute's type calls for."""
    options = prestige.Options()
    for name, text in pairs:
        current = getattr(options, name, None) if not name.startswith("_") else None
        try:
            value = _value(name, current, text)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"--option {name}: {error}") from None
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
        members = sorted(vars(type(current)).items())
        choices = {name.lower(): one for name, one in members if type(one) is type(current)}
        if text.lower() not in choices:
            *others, last = choices
            expected = f"{', '.join(others)} or {last}"
            raise InvalidArgumentError(f"expected {expected}, found {text!r}")
        return choices[text.lower()]
    if name == "semantic_model":
        return semantic_model(text)
    return text


def semantic_model(text: str) -> prestige.SemanticModel:
    """The model that a folder or a name stands for.

    Raises:
        InvalidArgumentError: There is no such folder, or no model can have this name.

    """
    place = Path(text).exists() or "." in text[:1] or "/" in text[:1]
    if place and not Path(text).exists():
        raise InvalidArgumentError(
            f"there is nothing at {text}; name the folder of a model, or one of `prestige models "
            "list`"
        )
    return prestige.SemanticModel(text if place else None, model_name=None if place else text)


def refused(arguments: Arguments, what: str) -> PrestigeError:
    """The error of a command that needs the directory."""
    return InvalidArgumentError(
        f"{arguments['command']}: {what}; run it where the directory is, with --path"
    )
