"""The exceptions of the store. Each is also what Python code of its kind would expect to catch."""

from __future__ import annotations

import builtins
import io


class PrestigeError(Exception):
    """Parent of every exception of this package."""

    # KeyError shows its message in quotes; ours are sentences.
    __str__ = Exception.__str__


class NotFoundError(PrestigeError, KeyError):
    """The key is not in the store, or has expired."""


class InvalidArgumentError(PrestigeError, ValueError):
    """An argument or option is out of its range, or contradicts what is on disk."""


class IOError(PrestigeError, builtins.OSError):
    """The operating system refused a read or a write.

    Permissions, disk space, or a path that is no directory.
    """


class CorruptionError(PrestigeError):
    """Bytes on disk are not what was written there. Restore the store from a backup."""


class BusyError(PrestigeError, builtins.BlockingIOError):
    """Another process, or another handle of this one, has the store open."""


class TimedOutError(PrestigeError, builtins.TimeoutError):
    """Another thread held the key or value for longer than ``lock_timeout_ms``."""


class ClosedError(PrestigeError, ValueError):
    """The store is closed."""


class ReadOnlyError(PrestigeError, io.UnsupportedOperation):
    """The store was opened with ``read_only=True``, and the call would change it."""


class ModelError(PrestigeError):
    """The embedding model is missing or damaged, not the store's own, or failed on a text."""


class PermissionDeniedError(PrestigeError, builtins.PermissionError):
    """A server does not know the token, or does not let it do this."""


class UnsupportedError(PrestigeError, NotImplementedError):
    """What only works in the process that has the store open, asked of a server."""
