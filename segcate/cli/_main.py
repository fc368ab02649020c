"""The command line: `segcate run FILE ...` and `segcate demo`."""

from __future__ import annotations

import argparse
import io
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from segcate import __version__
from segcate._writing.label_texts import one_line, shown_table
from segcate._writing.number_texts import write_number
from segcate._writing.whole_files import check_folder
from segcate.cli._problems import UserError
from segcate.cli._reading import CellRules, read_table
from segcate.cli._reading.notation import strptime_format
from segcate.cli._study import Roles, Study, make_study
from segcate.cli._study.study import Gaps

__all__ = ["main"]

_EPILOG = """examples:
  segcate run users.csv --outcome spend --treatment got_mail --control no
  segcate run users.parquet --outcome visits --treatment offer --segment-column region --out report
  segcate run users.csv --outcome spend --treatment got_mail --tune --out report
  segcate demo
"""


class Progress:
    """Say on stderr what is being done, with the seconds since the start."""

    def __init__(self, quiet: bool = False) -> None:
        self._start = time.perf_counter()
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            print(
                f"[{time.perf_counter() - self._start:6.1f} s] {one_line(text)}",
                file=sys.stderr,
                flush=True,
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None: those of the process.

    Returns
    -------
    int
        0 when all went well, 2 when the call or the data cannot be used (one line on stderr says
        why), 130 when interrupted.

    Examples
    --------
    >>> from segcate.cli import main
    >>> main(["run", "no_such_file.csv", "--outcome", "y", "--treatment", "t"])
    2
    """
    for stream in (sys.stdout, sys.stderr):  # a label that the terminal cannot show is no failure
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    progress = Progress(arguments.quiet)
    try:
        if arguments.out is not None:
            check_folder("--out", arguments.out)
        with _warnings_as_notes(progress):
            arguments.command(arguments, progress)
    except KeyboardInterrupt:
        print("segcate: interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, ImportError, OSError) as error:
        if arguments.debug:
            raise
        for line in error.lines if isinstance(error, UserError) else (str(error),):
            print(f"segcate: error: {one_line(' '.join(line.split()))}", file=sys.stderr)
        return 2
    return 0


def _run(arguments: argparse.Namespace, progress: Progress) -> None:
    if arguments.tune and arguments.segment_column is not None:
        raise UserError(
            "--tune chooses segments, and --segment-column gives them; use one of them."
        )
    progress(f"reading {arguments.data}")
    roles = Roles(
        outcome=arguments.outcome,
        treatment=arguments.treatment,
        control=arguments.control,
        treated=arguments.treated,
        segment=arguments.segment_column,
        groups=arguments.groups,
        propensity=arguments.propensity,
        covariates=arguments.covariates,
        ignore=arguments.ignore,
        keep=arguments.keep,
    )
    labels = {roles.treatment, roles.segment, roles.groups, roles.id} - {None}
    rules = CellRules(
        missing=arguments.missing,
        decimal=arguments.decimal,
        date_formats=tuple(map(strptime_format, arguments.date_format)),
        labels=frozenset(map(str, labels)),
    )
    found = read_table(arguments.data, rules, sep=arguments.sep, encoding=arguments.encoding)
    for note in found.notes:
        progress(f"note: {note}")
    gaps = Gaps(arguments.drop_missing, arguments.missing_covariates)
    study = make_study(found.columns, roles, found.name, gaps=gaps, rows=arguments.rows)
    if len(study.arms) > 1:  # all arms together
        study = replace(
            study,
            treatment=(study.treatment > 0).astype(int),
            arms=(f"{roles.treatment} other than {roles.control}",),
        )
    _analyse_and_show(study, arguments, progress)


def _demo(arguments: argparse.Namespace, progress: Progress) -> None:
    from segcate.datasets import load_nhefs

    progress("loading NHEFS: 1,566 smokers, 403 of whom quit between 1971 and 1982")
    data = load_nhefs()
    print(data.description)
    study = Study(
        X=data.X,
        y=data.y,
        treatment=data.treatment,
        title="NHEFS",
        outcome="weight",
        units="kg",
        source=data.source,
        arms=("quitting smoking",),
        notes=(f"{data.n_incomplete} people without a weight in 1982 are left out",),
    )
    _analyse_and_show(study, arguments, progress)


def _missing(asked: str | None) -> str:
    """Return the estimator's `missing` for the gaps that are left in the covariates."""
    return "impute" if asked == "impute" else "indicator"


def _analyse_and_show(study: Study, arguments: argparse.Namespace, progress: Progress) -> None:
    from segcate.cli import _analysis as analysis
    from segcate.cli import _report as report

    for note in study.notes:
        progress(f"note: {note}")
    plan = analysis.Plan(
        segments=arguments.segments,
        n_clusters=arguments.n_clusters,
        cluster_on=arguments.cluster_on,
        min_cluster_size=arguments.min_cluster_size,
        tune=arguments.tune,
        estimand=arguments.estimand,
        confidence_level=arguments.confidence_level,
        random_state=arguments.random_state,
        missing=_missing(getattr(arguments, "missing_covariates", None)),
    )
    findings = analysis.analyse(study, plan, progress)
    print(one_line(f"Effect of {study.treated_name} on {study.outcome}") + "\n")
    print(findings.summary)
    print("\nWho the segments are (means, shares)")
    print(shown_table(findings.profile.T.map(write_number)).to_string())
    print("\nLargest standardised difference between the arms, before and after matching")
    print(shown_table(report.worst_balance(findings.balance).round(3)).to_string())
    if arguments.out is not None:
        files = report.write_findings(study, findings, Path(arguments.out))
        names = ", ".join(file.name for file in files)
        progress(f"wrote {names} to {arguments.out}")
        if not any(file.suffix == ".png" for file in files):
            progress("note: no plot, since matplotlib is missing: `pip install segcate[plot]`")
    progress("done")


@contextmanager
def _warnings_as_notes(progress: Progress) -> Iterator[None]:
    """Show warnings as notes, each once, instead of Python's two lines with a path."""
    seen: set[str] = set()

    def show(message: Any, *args: Any, **kwargs: Any) -> None:
        text = " ".join(str(message).split())
        if text not in seen:
            seen.add(text)
            progress(f"note: {text}")

    with warnings.catch_warnings():
        # The command line has looked at these columns itself, and at all rows.
        warnings.filterwarnings("ignore", message=".*probably measured after the treatment")
        warnings.showwarning = show
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segcate",
        description="Which segments does a treatment help, by how much, and how sure are we?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"segcate {__version__}")
    commands = parser.add_subparsers(required=True, metavar="run|demo")
    run = commands.add_parser("run", help="analyse a CSV or Parquet file", allow_abbrev=False)
    _add_data_options(run)
    _add_analysis_options(run, n_clusters=6, out=None)
    run.set_defaults(command=_run)
    demo = commands.add_parser(
        "demo", help="analyse NHEFS: quitting smoking and weight", allow_abbrev=False
    )
    _add_analysis_options(demo, n_clusters=4, out="segcate-output")
    demo.set_defaults(command=_demo)
    return parser


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DATA", help="CSV (.csv, .tsv, .txt, also .gz), Parquet, or - for a pipe"
    )
    add = parser.add_argument_group("columns").add_argument
    add("--outcome", required=True, metavar="COL", help="what the treatment may change; numbers")
    add("--treatment", required=True, metavar="COL", help="who was treated: 0/1, or see --control")
    add("--control", metavar="LABEL", help="value of the treatment column that means untreated")
    add("--treated", action="append", default=[], metavar="LABEL", help="value that means treated")
    add("--segment-column", metavar="COL", help="column that holds the segments; no clustering")
    add("--covariates", type=_names, default=(), metavar="A,B,C", help="default: all others")
    add("--ignore", type=_names, default=(), metavar="A,B,C", help="columns to leave out (ids ...)")
    add(
        "--keep",
        type=_names,
        default=(),
        metavar="A,B",
        help="covariates that look as if measured after the treatment and were not",
    )
    add("--groups", metavar="COL", help="clusters of dependent rows: schools, households")
    add("--propensity", metavar="COL", help="known probability of treatment, inside (0, 1)")
    add("--drop-missing", action="store_true", help="leave out rows with missing values")
    add(
        "--missing-covariates",
        choices=("indicator", "drop", "impute"),
        help="what to do where more than 5 %% of rows lack a number among the covariates: mean and "
        "0/1 column, leave the rows out, or five imputations",
    )
    add(
        "--missing",
        type=_names,
        default=(),
        metavar="NA,...",
        help="cells that mean no value, beside empty ones (and NA and the like among numbers)",
    )
    add("--rows", metavar="RULE", help="only rows that fulfil it: \"age >= 18 and plan != 'free'\"")
    add("--sep", metavar="CHAR", help="separator of a CSV: , ; tab | (default: the one that fits)")
    add("--encoding", help="of a CSV (default: the one that fits)")
    add("--decimal", choices=[",", "."], help="what 1,234 means (default: as the file shows)")
    add(
        "--date-format",
        action="append",
        default=[],
        metavar="FORMAT",
        help="of dates that are not 2024-01-31, such as d.m.Y (%%d.%%m.%%Y); may be repeated",
    )


def _add_analysis_options(
    parser: argparse.ArgumentParser, n_clusters: int, out: str | None
) -> None:
    add = parser.add_argument_group("analysis").add_argument
    add("--segments", choices=["kmeans", "hdbscan"], default="kmeans", help="how to find segments")
    add("--n-clusters", type=_count, default=n_clusters, metavar="K", help=f"default: {n_clusters}")
    add(
        "--min-cluster-size", type=_count, default=100, metavar="N", help="of HDBSCAN; default: 100"
    )
    add("--cluster-on", type=_names, default=(), metavar="A,B", help="default: numeric covariates")
    add(
        "--tune", action="store_true", help="choose the segments on one half, estimate on the other"
    )
    add("--estimand", choices=["att", "atc", "ate"], default="att", help="default: att")
    add("--confidence-level", type=float, default=0.95, metavar="P", help="default: 0.95")
    add("--random-state", type=int, default=0, metavar="SEED", help="default: 0")
    add = parser.add_argument_group("output").add_argument
    default = f"default: {out}" if out else "default: print only"
    add("--out", default=out, metavar="DIR", help=f"folder for tables, report, plot; {default}")
    add("--quiet", action="store_true", help="no progress lines")
    add("--debug", action="store_true", help="show where an error came from")


def _names(text: str) -> tuple[str, ...]:
    """Split a list of columns."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("names no column; write A,B,C")
    return names


def _count(text: str) -> int:
    """Read a whole number of at least 2."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 2:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 2; got {text!r}")
    return value
