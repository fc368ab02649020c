"""The command line: `segcate run FILE ...`, `segcate report`, `card`, `combine` and `demo`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from segcate._writing.label_texts import one_line
from segcate.cli._commands import COMMANDS, check_out, merged
from segcate.cli._options import build_parser
from segcate.cli._problems import UserError
from segcate.cli._progress import Progress, warnings_as_notes


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None: those of the process.

    Returns
    -------
    int
        0 when all went well, 2 when the call or the data cannot be used (a line on stderr for each
        problem), 1 when the reader of its output went away, 3 when something failed that nobody foresaw, 130 when
        interrupted.

    Examples
    --------
    >>> from segcate.cli import main
    >>> main(["run", "no_such_file.csv", "--outcome", "y", "--treatment", "t"])
    2
    """
    for stream in (sys.stdout, sys.stderr):  # a label that the terminal cannot show is no failure
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        given = vars(build_parser(COMMANDS).parse_args(words))
        command = given.pop("command")
        options = merged(command, given)
        check_out(command, options)
        progress = Progress(options["quiet"])
        with warnings_as_notes(progress):
            command(options, words, progress)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("segcate: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the tables, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("segcate: stopped, as nobody reads the tables any more", file=sys.stderr)
        return 1
    except Exception as error:
        if "--debug" in words:
            raise
        return _tell(error)
    return 0


def _tell(error: Exception) -> int:
    """Print an error, a line for each problem, and return the exit code."""
    code = 2
    lines: tuple[str, ...] = (str(error),)
    if isinstance(error, UserError):
        lines = error.lines
    elif isinstance(error, MemoryError):
        lines = (
            "the rows need more memory than there is. Take fewer columns with --covariates, or read Parquet batch by "
            "batch with --engine arrow.",
        )
    elif not isinstance(error, ValueError | TypeError | ImportError | OSError):
        code = 3
        what = f"{type(error).__name__}: {error}"
        lines = (f"{what} (nobody foresaw this; please report it with what --debug shows)",)
    for line in lines:
        print(f"segcate: error: {one_line(' '.join(line.split()))}", file=sys.stderr)
    return code
