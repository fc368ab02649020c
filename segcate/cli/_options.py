"""All options of the command line in one table: flags, help, defaults, and how values are read."""

from __future__ import annotations

import argparse
import csv
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from segcate import __version__
from segcate.cli._problems import UserError
from segcate.cli._reading.memory import read_size

_EPILOG = """examples:
  segcate run users.csv --outcome spend --treatment got_mail --out report
  segcate run users.csv --outcome spend --treatment arm --control none --by country --cost 0.5 --id user_id
  segcate run test.parquet --outcome bought --treatment variant --control A --experiment --segment-column region
  segcate run 's3://bucket/users/*.parquet' --outcome spend --treatment got_mail --memory 8GB
  zcat users.csv.gz | segcate run - --outcome spend --treatment got_mail --tune --out report
  segcate run --config report/config.toml --out again
  segcate combine january february --out both
  segcate demo
"""


def _names(text: str) -> list[str]:
    """Split a list of columns; a name with a comma stands in double quotes."""
    rows = list(csv.reader([text], skipinitialspace=True))
    names = [name.strip() for row in rows for name in row if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"names nothing; write A,B,C; got {text!r}")
    return names


def _number(holds: Callable[[float], bool], allowed: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not holds(value):
            raise argparse.ArgumentTypeError(f"must be {allowed}; got {text!r}")
        return value

    return read


def _count(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {least}; got {text!r}"
            )
        return int(text)

    return read


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes
    ----------
    flag : as it is typed
    group : heading in the help, and table in a configuration file
    help : one line
    metavar : what stands for its value; None for a flag
    default : value where the user says nothing
    read : from text to value
    choices : values that are allowed
    repeats : whether it may be given several times
    """

    flag: str
    group: str
    help: str
    metavar: str | None = None
    default: Any = None
    read: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    repeats: bool = False

    @property
    def key(self) -> str:
        """Name in a configuration file and in the arguments."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def is_flag(self) -> bool:
        """Tell whether it takes no value."""
        return self.metavar is None and not self.choices

    @property
    def is_list(self) -> bool:
        """Tell whether its value is a list."""
        return self.repeats or self.read is _names


_POSITIVE = _number(lambda value: 0 < value < float("inf"), "a number above 0")
_SHARE = _number(lambda value: 0 < value < 1, "a number between 0 and 1")
_COST = _number(lambda value: 0 <= value < float("inf"), "a number of at least 0")

OPTIONS = (
    Option("--outcome", "columns", "what the treatment may change: numbers, or 0 and 1", "COL"),
    Option("--treatment", "columns", "who was treated: 0 and 1, or labels with --control", "COL"),
    Option("--control", "columns", "label of the untreated; every other label is an arm", "LABEL"),
    Option("--treated", "columns", "only this arm; A,B takes two together", "LABEL", repeats=True),
    Option("--covariates", "columns", "measured BEFORE the treatment (default: all others)", "A,B", (), _names),
    Option("--ignore", "columns", "leave out: ids, what was measured after the treatment", "A,B", (), _names),
    Option("--keep", "columns", "measured before, though they look otherwise", "A,B", (), _names),
    Option("--segment-column", "columns", "holds the segments; none are searched then", "COL"),
    Option("--groups", "columns", "clusters of dependent rows: schools, households", "COL"),
    Option("--propensity", "columns", "known probability of treatment, inside (0, 1)", "COL"),
    Option("--weights", "columns", "sample weights: counts of rows, or sampling weights", "COL"),
    Option("--id", "columns", "names the rows in lists of whom to treat", "COL"),
    Option("--rows", "reading", "only rows that fulfil it: \"age >= 18 and plan != 'free'\"", "RULE"),
    Option("--drop-missing", "reading", "leave out rows with missing values", default=False),
    Option("--missing-covariates", "reading", "how gaps of numbers are filled; needed where over 5 %% of rows have one",
           choices=("indicator", "drop", "impute")),
    Option("--missing", "reading", "cells that mean no value (NA and the like among numbers do)", "NA,...", (), _names),
    Option("--date-format", "reading", "of dates that are not 2024-01-31: d.m.Y", "FORMAT", repeats=True),
    Option("--decimal", "reading", "what the comma in 1,234 is (default: as the file shows)", choices=(",", ".")),
    Option("--sep", "reading", "between cells: , ; | tab (default: what fits)", "CHAR"),
    Option("--encoding", "reading", "utf-8, cp949, ... (default: what fits)", "NAME"),
    Option("--memory", "reading", "that an analysis may need: 4GB; larger Parquet goes to --engine arrow", "SIZE",
           read=read_size),
    Option("--engine", "reading", "read batch by batch, effects alone (default: in memory)",
           choices=("arrow", "duckdb", "spark")),
    Option("--sql", "reading", "rows for --engine duckdb, in place of DATA: \"select ... from ...\"", "QUERY"),
    Option("--spill", "reading", "folder for files in between (default: the system's)", "DIR"),
    Option("--resume", "reading", "keep finished passes in --spill, and go on from those of a run that was killed",
           default=False),
    Option("--experiment", "analysis", "treatment was drawn by lot: methods and metrics for that", default=False),
    Option("--method", "analysis", "auto: matching; regression in an experiment", default="auto",
           choices=("auto", "matching", "regression", "aipw")),
    Option("--estimand", "analysis", "effect on the treated, the controls, all (default: att; ate in an experiment)",
           choices=("att", "atc", "ate")),
    Option("--caliper", "analysis", "matches no farther than this, in SD of the score", "SD", read=_POSITIVE),
    Option("--by", "analysis", "effects by each of these columns, too", "A,B", (), _names),
    Option("--protected", "analysis", "effects and targeting by it, in report and card", "COL"),
    Option("--cross-check", "analysis", "estimate by AIPW as well", default=False),
    Option("--confidence-level", "analysis", "of the intervals", "P", 0.95, _SHARE),
    Option("--random-state", "analysis", "seed of everything random", "SEED", 0, _count(0)),
    Option("--segments", "segments", "how to find segments", default="kmeans", choices=("kmeans", "hdbscan")),
    Option("--n-clusters", "segments", "segments of k-means", "K", 6, _count(2)),
    Option("--cluster-on", "segments", "find them in these (default: numeric covariates)", "A,B", (), _names),
    Option("--min-cluster-size", "segments", "smallest one of HDBSCAN", "N", 100, _count(2)),
    Option("--max-fit-samples", "segments", "rows that HDBSCAN looks at (20,000 of more)", "N", read=_count(2)),
    Option("--tune", "segments", "choose them on one half of the rows, estimate on the other", default=False),
    Option("--cost", "targeting", "of treating one row: whom to treat, and the profit", "MONEY", read=_COST),
    Option("--value", "targeting", "of one unit of the outcome (default: 1)", "MONEY", read=_POSITIVE),
    Option("--title", "output", "of the report", "TEXT"),
    Option("--units", "output", "of the outcome: kg, EUR", "TEXT"),
    Option("--config", "output", "take options from the config.toml of a run", "FILE"),
    Option("--out", "output", "folder for report, tables, pictures (default: print only)", "DIR"),
    Option("--quiet", "output", "no progress lines", default=False),
    Option("--debug", "output", "show where an error came from", default=False),
)  # fmt: skip


# Where a command writes, if not into a folder of a report.
_OUT = {
    "report": ("file to write, or several with -arm-1 ... (default: report.html)", "FILE"),
    "card": ("folder of the card and its model (default: card)", "DIR"),
    "combine": ("folder for the tables (default: print only)", "DIR"),
}


_USAGE = {"DATA": "DATA ", "RUN": "RUN RUN ... ", "": ""}
_RUNS = "folders that `segcate run --out` wrote, of the same segments or of others; the earlier one first"
_OF_TABLES = ("out", "quiet", "debug")


def defaults_of(changed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the value of every option where the user says nothing."""
    found = {option.key: [] if option.is_list else option.default for option in OPTIONS}
    return found | dict(changed or {})


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, told like all others."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the call."""
        text = message.removeprefix("argument ")
        if text.startswith("unrecognized arguments:"):
            text += _meant(text.partition(":")[2].split())
        raise UserError(f"{text}. See `{self.prog} --help`.")


def _meant(unknown: Sequence[str]) -> str:
    flags = [option.flag for option in OPTIONS]
    close = [m for word in unknown for m in difflib.get_close_matches(word, flags, n=1)]
    return f"; did you mean {', '.join(close)}?" if close else ""


def build_parser(
    commands: Mapping[str, tuple[str, Callable[..., Any], str]],
) -> argparse.ArgumentParser:
    """Make the parser.

    Parameters
    ----------
    commands : by name their help, what runs them, and what they read: DATA, a file, RUN, folders of runs, or ""
    """
    parser = _Parser(
        prog="segcate",
        description="Which segments does a treatment help, by how much, and how sure are we?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"segcate {__version__}")
    added = parser.add_subparsers(required=True, metavar="|".join(commands))
    for name, (text, function, reads) in commands.items():
        command = added.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False,
            formatter_class=_wide, usage=f"segcate {name} {_USAGE[reads]}[options]",
        )  # fmt: skip
        command.set_defaults(command=function)
        if reads == "RUN":
            command.add_argument("runs", metavar="RUN", nargs="+", help=_RUNS)
        if reads == "DATA":
            what = "CSV (.csv, .tsv, .txt, also .gz), Parquet (also DIR, 'users/*.parquet', s3://...), or - for a pipe"
            command.add_argument(
                "data", metavar="DATA", help=what, nargs="?", default=argparse.SUPPRESS
            )
        _add_options(command, reads, _OUT.get(name))
    return parser


def _wide(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=30, width=110)


def _add_options(parser: argparse.ArgumentParser, reads: str, out: tuple[str, str] | None) -> None:
    for group, options in _grouped():
        if reads == "RUN":
            options = [option for option in options if option.key in _OF_TABLES]
        if not options or (not reads and group in ("columns", "reading")):
            continue
        add = parser.add_argument_group(group).add_argument
        for option in options:
            if option.key == "out" and out is not None:
                add(option.flag, help=out[0], metavar=out[1], default=argparse.SUPPRESS)
                continue
            shown = isinstance(option.default, str | int | float) and option.default is not False
            text = option.help + (f" (default: {option.default})" if shown else "")
            more: dict[str, Any] = {"help": text, "default": argparse.SUPPRESS}
            if option.is_flag:
                add(option.flag, action="store_true", **more)
                continue
            more |= {"choices": option.choices} if option.choices else {"metavar": option.metavar}
            more |= {"action": "append"} if option.repeats else {}
            add(option.flag, type=option.read, **more)


def _grouped() -> Iterator[tuple[str, list[Option]]]:
    for group in dict.fromkeys(option.group for option in OPTIONS):
        yield group, [option for option in OPTIONS if option.group == group]
