"""``sweep``, ``prune``, ``evict``, ``flush``, ``verify``, ``compact`` and ``rebuild-index``."""

from __future__ import annotations

import sys
import time

from prestige._terminal import Working

from . import Arguments
from .output import count, print_json
from .target import Access, target


def run_sweep(arguments: Arguments) -> int:
    """Remove what has expired and what no key points at."""
    with target(arguments, Access.CHANGE) as store, Working("sweeping"):
        number = store.sweep()
    return _deleted(arguments, number, "value")


def run_prune(arguments: Arguments) -> int:
    """Remove expired, old and idle keys."""
    with target(arguments, Access.CHANGE) as store, Working("pruning"):
        number = store.prune(
            max_age_seconds=arguments["max_age"], max_idle_seconds=arguments["max_idle"]
        )
    return _deleted(arguments, number, "key")


def run_evict(arguments: Arguments) -> int:
    """Remove the least recently used keys."""
    with target(arguments, Access.CHANGE) as store, Working("evicting"):
        number = store.evict_lru(arguments["target_bytes"])
    return _deleted(arguments, number, "key")


def _deleted(arguments: Arguments, number: int, noun: str) -> int:
    if arguments["json"]:
        print_json({"deleted": number})
    else:
        print(f"{count(number, noun)} removed")
    return 0


def run_flush(arguments: Arguments) -> int:
    """Make everything durable."""
    with target(arguments, Access.CHANGE) as store, Working("flushing"):
        store.flush()
    return _done(arguments)


def run_compact(arguments: Arguments) -> int:
    """Rewrite the files."""
    with target(arguments, Access.CHANGE) as store, Working("compacting"):
        store.compact()
    return _done(arguments)


def _done(arguments: Arguments) -> int:
    if arguments["json"]:
        print_json({})
    return 0


def run_verify(arguments: Arguments) -> int:
    """Check the invariants, without a namespace those of all of them; exit code 1 if one fails."""
    violations = []
    with target(arguments, Access.READ) as store, Working("verifying"):
        violations += store.verify()
        for name in [] if arguments["namespace"] else store.namespaces():
            found = store.namespace(name).verify()
            violations += [f"namespace {name!r}: {violation}" for violation in found]
    if arguments["json"]:
        print_json({"violations": violations})
    elif violations:
        for violation in violations:
            print(violation)
        print(f"prestige: {count(len(violations), 'violation')} found", file=sys.stderr)
    else:
        print("The store is valid.")
    return 1 if violations else 0


def run_rebuild_index(arguments: Arguments) -> int:
    """Build the vector index anew, without a namespace that of each of them."""
    with target(arguments, Access.CHANGE) as store, Working("rebuilding the index"):
        started = time.monotonic()
        vectors = [store.rebuild_index()]
        for name in [] if arguments["namespace"] else store.namespaces():
            vectors.append(store.namespace(name).rebuild_index())
        seconds = time.monotonic() - started
    figures = {"vectors": sum(vectors), "namespaces": len(vectors), "seconds": round(seconds, 3)}
    if arguments["json"]:
        print_json(figures)
    else:
        spaces = count(len(vectors), "namespace")
        print(f"{count(sum(vectors), 'vector')} of {spaces} indexed in {seconds:.1f} s")
    return 0
