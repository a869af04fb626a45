"""Models of the Hugging Face hub: which are known by name, where they are, and how to get them.

    >>> import prestige.hub
    >>> prestige.hub.presets()[1].repository
    'BAAI/bge-small-en-v1.5'

Nothing here opens a connection, except `pull` when it is called. It needs the package
`huggingface_hub`, which ``pip install 'prestige-cache[hub]'`` installs. A model is named by a
preset, or as ``organisation/name`` if its repository has an ONNX file.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _native
from ._native import __version__
from .exceptions import ModelError

__all__ = ["Preset", "path", "presets", "pull"]

_LIBRARY = "prestige-cache"
_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 3
_BROKEN_OFF = ("ChunkedEncodingError", "ReadError", "ReadTimeout", "RemoteProtocolError")
"""Names of exceptions of the HTTP libraries below the client."""


@dataclass(frozen=True)
class Preset:
    """A model known by name."""

    name: str
    """Short name, for ``SemanticModel(model_name=…)``."""
    repository: str
    """``organisation/name`` on the hub; a name too."""
    dimension: int
    """Length of the vectors."""
    max_tokens: int
    """Longest text in tokens."""
    pooling: str
    """``"mean"`` or ``"cls"``."""
    prefix: str
    """Put before every text: the prefix of the model for comparing texts with one another."""
    megabytes: int
    """Size of its files, about; of the bundled model, of the files in the package."""
    about: str
    """What it is for."""


def presets() -> list[Preset]:
    """Return the models known by name, the bundled one first."""
    return [Preset(*row) for row in _native.model_presets()]


def path(
    name: str,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Return the folder of a model on this machine.

    Args:
        name: A preset, or ``organisation/name``.
        revision: Branch, tag or commit; None: ``"main"``.
        cache_dir: The folder to look in: a folder of model folders, or a cache of the Hugging Face
            client. None: the cache that ``HF_HUB_CACHE`` or ``HF_HOME`` name, by default
            ``~/.cache/huggingface/hub``.

    Returns:
        The folder.

    Raises:
        ModelError: The model is not there.
        InvalidArgumentError: ``name`` is no name of a model.
    """
    return _native.find_model(_checked(name), revision, cache_dir)


def pull(
    name: str,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    progress: bool | None = None,
) -> Path:
    """Download a model from the Hugging Face hub, or bring it up to date, and return its folder.

    Only files that are used are fetched, and of them only what is not there already: a transfer
    that broke off is continued. Every file is compared with the SHA-256 that the hub states (with
    the git hash, where it states none). The hub is ``HF_ENDPOINT``, by default that of Hugging
    Face; with ``HF_HUB_OFFLINE`` there is none. Access to gated models is as the Hugging Face
    client is logged in.

    Args:
        name: A preset, or ``organisation/name``.
        revision: Branch, tag or commit; None: ``"main"``.
        cache_dir: A cache of the Hugging Face client, made if it does not exist. None: as `path`.
        local_files_only: Whether to return what is there, without a connection.
        progress: Whether to show progress on the standard error output; None: if it is a terminal.

    Returns:
        The folder.

    Raises:
        ModelError: The package ``huggingface_hub`` is missing, the hub cannot be reached, refuses,
            or has no such model, a file is not what the hub says it is, or (offline) it is not
            there.
        InvalidArgumentError: ``name`` is no name of a model.
    """
    repository, files = _native.model_repository(_checked(name))
    local = local_files_only or _native.hub_is_offline()
    bundled = revision is None and cache_dir is None and name.lower() in _bundled_names()
    if local or bundled:
        return path(name, revision=revision, cache_dir=cache_dir)
    folder = _native.hub_cache() if cache_dir is None else Path(cache_dir).absolute()
    if folder is None:
        raise ModelError(
            "there is no home folder for the cache of models: give cache_dir, or set HF_HOME"
        )
    hub = _client()
    endpoint = (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None
    with _named_errors(repository, revision, endpoint or hub.constants.ENDPOINT):
        snapshot = _download(
            hub,
            repository,
            revision=revision,
            cache_dir=folder,
            allow_patterns=files,
            endpoint=endpoint,
            library_name=_LIBRARY,
            library_version=__version__,
            tqdm_class=_progress_bars(hub, progress),
        )
        api = hub.HfApi(endpoint=endpoint, library_name=_LIBRARY, library_version=__version__)
        published = api.list_repo_tree(repository, recursive=True, revision=snapshot.name)
        for file in published:
            if file.path in files:
                _check(repository, snapshot / file.path, file)
    try:
        return _native.find_model(name, revision, folder)
    except ModelError as error:
        raise ModelError(
            f"the repository {repository} was expected to have model.onnx or onnx/model.onnx, and "
            f"tokenizer.json or vocab.txt: {error}"
        ) from error


def _checked(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be str, not {type(name).__name__}")
    return name


def _bundled_names() -> tuple[str, str]:
    """Names of the model that comes with the package; its repository means the published one."""
    default = presets()[0]
    return default.name, default.repository.rpartition("/")[2].lower()


def _client() -> Any:  # noqa: ANN401 - an optional package
    # The client sends what other packages there are along with its requests unless told not to.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub.constants  # noqa: PLC0415 - optional
        import huggingface_hub.errors  # noqa: PLC0415
        import huggingface_hub.utils  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(
            "downloading a model needs the package huggingface_hub: "
            "pip install 'prestige-cache[hub]'"
        ) from error
    return huggingface_hub


def _download(hub: Any, repository: str, **options: Any) -> Path:  # noqa: ANN401 - of its kinds
    """The folder with the files.

    Old versions of the client end when a transfer breaks off; called again they continue it.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return Path(hub.snapshot_download(repository, **options))
        except Exception as error:
            if type(error).__name__ not in _BROKEN_OFF:
                raise
    return Path(hub.snapshot_download(repository, **options))


def _progress_bars(hub: Any, progress: bool | None) -> Any:  # noqa: ANN401 - an optional package
    """The class of the progress bars."""
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    shown: Any = hub.utils.tqdm
    if progress:
        return shown

    def start(bar: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - of any kind
        options["disable"] = True
        shown.__init__(bar, *arguments, **options)

    return type("Silent", (shown,), {"__init__": start})


@contextmanager
def _named_errors(repository: str, revision: str | None, endpoint: str) -> Iterator[None]:
    """Errors of the client as `ModelError`, with what was asked of whom and what to do about it."""
    from huggingface_hub import errors  # noqa: PLC0415 - optional

    wanted = repository if revision is None else f"{repository} at {revision}"
    try:
        yield
    except ModelError:
        raise
    except errors.GatedRepoError as error:
        found = "it is gated: ask for access on its page, and log in with `hf auth login`"
        raise _refused(wanted, endpoint, found) from error
    except errors.RevisionNotFoundError as error:
        raise _refused(wanted, endpoint, "there is no such revision") from error
    except errors.RepositoryNotFoundError as error:
        found = "there is no such model, or it is private: check the name, and `hf auth login`"
        raise _refused(wanted, endpoint, found) from error
    except (errors.HfHubHTTPError, errors.EntryNotFoundError, OSError, ValueError) as error:
        raise _refused(wanted, endpoint, _reason(error)) from error
    except Exception as error:
        # Of the HTTP library below the client, which has changed before.
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "requests"):
            raise
        raise _refused(wanted, endpoint, _reason(error)) from error


def _refused(wanted: str, endpoint: str, found: str) -> ModelError:
    return ModelError(f"cannot get the model {wanted} from {endpoint}: {found}")


def _reason(error: BaseException) -> str:
    """What the client says, and what it says is the cause, in one line."""
    said = [str(error)]
    if error.__cause__ is not None and str(error.__cause__) not in said[0]:
        said.append(str(error.__cause__))
    return " ".join(": ".join(said).split()) or type(error).__name__


def _check(repository: str, local: Path, published: Any) -> None:  # noqa: ANN401 - optional package
    """Compares a file with the hash that the hub states, and removes it if it is another one."""
    if published.lfs is not None:
        algorithm, expected = "SHA-256", published.lfs.sha256
        digest = hashlib.sha256()
    else:
        # Small files are part of the git repository, which names them by SHA-1 over this.
        algorithm, expected = "git hash", published.blob_id
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(b"blob %d\0" % local.stat().st_size)
    with local.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() == expected:
        return
    content = local.resolve()
    local.unlink()
    content.unlink(missing_ok=True)
    raise ModelError(
        f"{published.path} of {repository} is not what the hub says it is: expected {algorithm} "
        f"{expected}, found {digest.hexdigest()}. The file was removed; pull again, and if that "
        "does not help, look for what changes it on the way (a proxy, or HF_ENDPOINT)"
    )
