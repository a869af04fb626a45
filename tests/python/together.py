"""Runs functions in threads of their own, and lets pass what they may meet there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import prestige


def run_all(targets: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextlib.contextmanager
def gone_is_fine() -> Iterator[None]:
    """Suppresses what is raised when another thread drops a namespace."""
    try:
        yield
    except prestige.NotFoundError:
        pass
    except prestige.InvalidArgumentError as error:
        if "was dropped" not in str(error):
            raise
