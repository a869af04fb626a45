"""Runs functions in threads of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable


def run_all(targets: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
