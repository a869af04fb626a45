"""``serve``: the server runs in Rust; here Python gets out of the way of its signals."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence

from prestige import _native


def run(words: Sequence[str]) -> int:
    """Serve until a signal ends it. `words` are the arguments, ``serve`` the first of them."""
    # Who has SIGINT ignored, as shells have it for jobs in the background, wants no Ctrl-C.
    heed_interrupt = signal.getsignal(signal.SIGINT) != signal.SIG_IGN
    taken = [signal.SIGTERM, *([signal.SIGINT] if heed_interrupt else [])]
    if threading.current_thread() is not threading.main_thread():
        taken = []
    # A handler of Python's would be called as well, and raise KeyboardInterrupt afterwards.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in taken}
    sys.stdout.flush()
    try:
        return _native.serve_main(list(words), heed_interrupt)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
