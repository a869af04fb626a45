"""The `prestige` command: arguments in, exit code out.

Exit codes: 0 done, 1 failed, 2 the arguments or the named file cannot be used, 130 interrupted
(128 + SIGINT), 141 the reader of the output has gone (128 + SIGPIPE).
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

import prestige
from prestige import _calibrate_command, _models_command, demo

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (default: the process's own arguments) names.

    Returns the exit code. As argparse does, raises `SystemExit` for `--help`, `--version` and wrong
    usage.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Texts may hold characters that the output's encoding lacks: show them escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.run(arguments)
        # Here, so that output that cannot be written is handled below and not at interpreter exit.
        print(end="", flush=True)
        return code
    except KeyboardInterrupt:
        print("prestige: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_BROKEN_PIPE
    except prestige.InvalidArgumentError as error:
        print(f"prestige: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (prestige.PrestigeError, OSError) as error:
        print(f"prestige: {error}", file=sys.stderr)
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prestige",
        description="An embedded store that keeps one copy of every distinct value.",
    )
    parser.add_argument("--version", action="version", version=f"prestige {prestige.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    show = commands.add_parser(
        "demo",
        help="an embedding cache and a semantic store at work on real texts",
        description="Show an embedding cache, a semantic store and the health endpoint at work, "
        "in a temporary directory that is removed afterwards.",
    )
    show.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="UTF-8 texts, one a line (default: the support questions that come with the package)",
    )
    show.add_argument(
        "--threshold",
        type=_threshold,
        metavar="T",
        help="cosine similarity from which two texts share one value, 0 < T <= 1 "
        "(default: that of the store)",
    )
    show.add_argument(
        "--limit",
        type=_positive,
        default=demo.DEFAULT_LIMIT,
        metavar="N",
        help="use the first N texts of FILE (default: %(default)s)",
    )
    show.set_defaults(run=_demo)
    _calibrate_command.add_parser(commands)
    _models_command.add_parser(commands)
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    return demo.run(arguments.file, threshold=arguments.threshold, limit=arguments.limit)


def _threshold(text: str) -> float:
    value = float(text)
    if not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and up to 1, found {text}")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text}")
    return value
