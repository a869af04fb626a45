"""The `prestige` command: arguments in, exit code out.

Exit codes: 0 done, 1 failed or not found, 2 the arguments or the named file cannot be used, 130
interrupted (128 + SIGINT), 141 the reader of the output has gone (128 + SIGPIPE). Those of `health`
are Nagios's: 0 ok, 1 warning, 2 critical, 3 unknown.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import prestige
from prestige import _commands, _native, _terminal

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (default: the process's own arguments) names.

    Returns the exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Texts may hold characters that the output's encoding lacks: show them escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments = _native.parse_command(words)
        told = "message" in arguments
        code = _show(arguments) if told else _commands.run(arguments, words)
        # Here, so that output that cannot be written is handled below and not at interpreter exit.
        print(end="", flush=True)
        return code
    except KeyboardInterrupt:
        print("prestige: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return EXIT_BROKEN_PIPE
    except prestige.InvalidArgumentError as error:
        print(f"prestige: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (prestige.PrestigeError, OSError, ImportError) as error:
        print(f"prestige: {error}", file=sys.stderr)
        return EXIT_FAILED


def _show(parsed: Mapping[str, Any]) -> int:
    """Print a help text, a version, a script, or what is wrong with the arguments."""
    stream = sys.stderr if parsed["is_error"] else sys.stdout
    styled = _terminal.takes_styles(stream)
    print(parsed["styled" if styled else "message"], end="", file=stream)
    code: int = parsed["exit_code"]
    return code


def _forget_output() -> None:
    """Let what is left in the buffer go nowhere: the interpreter would fail on it at exit."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
    except (OSError, ValueError):
        # An output without a descriptor has no buffer that is flushed at exit.
        return
