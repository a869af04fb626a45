"""The classes of the two caches, as ``prestige`` names them.

Made of a directory or an open ``Store`` they are those of the extension module. A client of a
server makes its own, which are kept on the server; ``isinstance`` does not tell them apart.
"""

from __future__ import annotations

import inspect
from abc import ABCMeta
from typing import TYPE_CHECKING, Any, final

from . import _native


class _Kind(ABCMeta):
    """Lets a store that is elsewhere make the cache."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Make a cache."""
        if not args and "path_or_store" in kwargs:
            args = (kwargs.pop("path_or_store"),)
        make = getattr(type(args[0]), f"_make_{cls.__name__}", None) if args else None
        if make is not None:
            return make(*args, **kwargs)
        return super().__call__(*args, **kwargs)


@final
class EmbeddingCache(_native.EmbeddingCache, metaclass=_Kind):
    __doc__ = _native.EmbeddingCache.__doc__
    __slots__ = ()
    if TYPE_CHECKING:
        __signature__: Any


@final
class SemanticCache(_native.SemanticCache, metaclass=_Kind):
    __doc__ = _native.SemanticCache.__doc__
    __slots__ = ()
    if TYPE_CHECKING:
        __signature__: Any


for _class, _own in (
    (EmbeddingCache, _native.EmbeddingCache),
    (SemanticCache, _native.SemanticCache),
):
    _class.__module__ = "prestige"
    _class.__signature__ = inspect.signature(_own)
