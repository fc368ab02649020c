"""What each command does with its options."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcate._writing.whole_files import check_folder
from segcate.cli._options import defaults_of
from segcate.cli._problems import UserError
from segcate.cli._progress import Progress

if TYPE_CHECKING:
    from segcate.cli._result import Result, Wishes
    from segcate.cli._study import Study

Options = dict[str, Any]
# Whom to treat is a file beside a report, and a card has no place for columns: not computed for them.
_NOT_IN_A_REPORT: Options = {"cost": None, "value": None}
_NOT_IN_A_CARD: Options = {**_NOT_IN_A_REPORT, "by": []}
# Stands for DATA where a query gives the rows.
_OF_SQL = "the rows of --sql"
_DEMO = {"n_clusters": 4, "out": "segcate-output"}


def merged(command: Callable[..., Any], given: Mapping[str, Any]) -> Options:
    """Return the options of a call: as typed, else as in `--config`, else as they are by default."""
    if command is combine:
        return {"out": None, "quiet": False, **given}
    options = defaults_of(_DEMO if command is demo else {})
    if given.get("config") is not None:
        from segcate.cli._config import read_config

        options |= read_config(given["config"])
    options |= given
    if command is demo:
        return options
    if options["sql"] is not None:
        options["data"] = _rows_of_sql(options, given)
    needed = {"data": "DATA, the file", "outcome": "--outcome COL", "treatment": "--treatment COL"}
    lacking = [text for key, text in needed.items() if not options.get(key)]
    if lacking:
        raise UserError(
            f"the call lacks {', '.join(lacking)}. Give them, or --config FILE of an earlier run; see `segcate run "
            "--help`."
        )
    return options


def _rows_of_sql(options: Options, given: Mapping[str, Any]) -> str:
    """Name the rows of a query; refuse a file beside it, unless one is typed in place of that of --config."""
    data = options.get("data", _OF_SQL)
    if data == _OF_SQL or ("sql" in given and "data" not in given):
        return _OF_SQL
    raise UserError(
        f"DATA {data!r} and --sql {options['sql']!r} both say which rows; give one. A query names its file itself: "
        f"--engine duckdb --sql \"select * from '{data}'\"; DATA alone goes with --engine arrow or spark, or with none."
    )


def check_out(command: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse a place that cannot be written, before the work."""
    if options["out"] is None:
        return
    if command is report:
        check_folder("--out", Path(options["out"]).absolute().parent)
    else:
        check_folder("--out", options["out"])


def run(options: Options, words: Sequence[str], progress: Progress) -> None:
    """Analyse a file, print the tables, and write the folder."""
    from segcate.cli._engine import choose_engine, run_engine

    options["engine"] = choose_engine(options, progress)
    if options["engine"] is not None:
        run_engine(options, progress)
        return
    study = _study(options, progress)
    _print_and_write(study, options, words, progress)


def demo(options: Options, words: Sequence[str], progress: Progress) -> None:
    """Analyse NHEFS."""
    from segcate.cli._study import Study
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
        control="going on smoking",
        notes=(f"{data.n_incomplete} people without a weight in 1982 are left out",),
    )
    _print_and_write(study, options | {"data": "segcate demo"}, words, progress)


def report(options: Options, words: Sequence[str], progress: Progress) -> None:
    """Analyse a file and write the report alone."""
    from segcate.cli._report import added_sections, notes_of
    from segcate.reports import write_report

    _refuse_engines(options)
    options |= _NOT_IN_A_REPORT
    results = _results(_study(options, progress), options, words, progress)
    path = Path(options["out"] or "report.html")
    for i, result in enumerate(results, start=1):
        place = path if len(results) == 1 else path.with_stem(f"{path.stem}-arm-{i}")
        write_report(result.findings, place, notes=notes_of(result), added=added_sections(result))
        progress(f"wrote {place}")


def card(options: Options, words: Sequence[str], progress: Progress) -> None:
    """Analyse a file and write its model card, with the model."""
    from segcate.cards import effect_card

    _refuse_engines(options)
    options |= _NOT_IN_A_CARD
    results = _results(_study(options, progress), options, words, progress)
    folder = Path(options["out"] or "card")
    for i, result in enumerate(results, start=1):
        place = folder if len(results) == 1 else folder / f"arm-{i}"
        fitted = getattr(result.analysis.fitted, "pipeline", result.analysis.fitted)
        with progress.during("writing the card"):
            effect_card(result.findings, estimator=fitted).save(place, model=True)
        progress(f"wrote {place}")


def combine(options: Options, words: Sequence[str], progress: Progress) -> None:
    """Put the effects of several runs together, and compare two."""
    from segcate.cli._combine import combine_runs

    text, files = combine_runs(options["runs"], options["out"], progress)
    print(text)
    if files:
        progress(f"wrote {', '.join(files)} to {options['out']}")


def _refuse_engines(options: Options) -> None:
    """Refuse what goes with an engine, where single rows are shown."""
    from segcate.cli._engine import refuse_engine_options

    if options["engine"] is not None:
        raise UserError("--engine is for `segcate run`; a report or a card shows single rows.")
    if options["sql"] is not None:
        raise UserError(
            "--sql is for `segcate run --engine duckdb`; a report or a card shows single rows. Write the rows of the "
            "query to Parquet, and name the file."
        )
    refuse_engine_options(options, "a report or a card")


def _study(options: Options, progress: Progress) -> Study:
    """Read the file and check its columns."""
    from segcate.cli._reading import CellRules, read_table
    from segcate.cli._reading.notation import strptime_format
    from segcate.cli._study import Roles, make_study
    from segcate.cli._study.study import Gaps

    names = ("covariates", "ignore", "keep", "treated", "by")
    single = (
        "outcome",
        "treatment",
        "control",
        "groups",
        "propensity",
        "weights",
        "id",
        "protected",
    )
    played: dict[str, Any] = {name: tuple(options[name]) for name in names}
    played |= {name: options[name] for name in single}
    roles = Roles(segment=options["segment_column"], **played)
    labels = (roles.treatment, roles.segment, roles.groups, roles.id)
    rules = CellRules(
        missing=tuple(options["missing"]),
        decimal=options["decimal"],
        date_formats=tuple(map(strptime_format, options["date_format"])),
        labels=frozenset(name for name in labels if name is not None),
    )
    progress(f"reading {options['data']}")
    how = {name: options[name] for name in ("sep", "encoding", "memory")}
    found = read_table(options["data"], rules, **how)
    for note in found.notes:
        progress(f"note: {note}")
    if options.get("sha256") not in (None, found.sha256):
        progress("note: the data are not those that --config was written for; results may differ")
    options["sha256"] = found.sha256
    gaps = Gaps(options["drop_missing"], options["missing_covariates"])
    title = options["title"] or found.name
    return make_study(found.columns, roles, title, gaps=gaps, rows=options["rows"])


def _results(
    study: Study, options: Options, words: Sequence[str], progress: Progress
) -> list[Result]:
    """Do the analysis that the options ask for."""
    from dataclasses import replace

    from segcate.cli._experiment import uneven_arms
    from segcate.cli._plan import Plan
    from segcate.cli._result import results_of

    plan = Plan(
        **{name: options[name] for name in Plan.__dataclass_fields__ if name in options}
        | {
            "cluster_on": tuple(options["cluster_on"]),
            "missing": "impute" if options["missing_covariates"] == "impute" else "indicator",
        }
    )
    uneven = uneven_arms(study) if plan.experiment else {}
    study = replace(
        study, notes=(*study.notes, *uneven.values()), units=options["units"] or study.units
    )
    for note in study.notes:
        progress(f"note: {note}")
    return results_of(study, plan, _wishes(options, words), progress, uneven)


def _wishes(options: Options, words: Sequence[str]) -> Wishes:
    from segcate.cli._result import Wishes
    from segcate.cli._targeting import Prices

    prices = None
    if options["cost"] is not None or options["value"] is not None:
        prices = Prices(
            options["cost"] or 0.0, 1.0 if options["value"] is None else options["value"]
        )
    return Wishes(
        prices,
        options["protected"],
        options["cross_check"],
        options.get("description"),
        shlex.join(["segcate", *words]),
    )


def _print_and_write(
    study: Study, options: Options, words: Sequence[str], progress: Progress
) -> None:
    from segcate.cli._report import terminal_text

    results = _results(study, options, words, progress)
    for result in results:
        print(terminal_text(result) + ("\n" if len(results) > 1 else ""))
    if options["out"] is not None:
        from segcate.cli._config import config_text
        from segcate.cli._output import write_results

        with progress.during("writing the report"):
            config = config_text(options, options.get("sha256", ""))
            files = write_results(results, Path(options["out"]), config)
        progress(f"wrote {', '.join(files)} to {options['out']}")
        if not any(file.endswith(".png") for file in files):
            progress("note: no plot, since matplotlib is missing: `pip install segcate[plot]`")
    progress("done")


COMMANDS: dict[str, tuple[str, Callable[..., None], str]] = {
    "run": ("analyse a CSV or Parquet file", run, "DATA"),
    "report": ("write the HTML report of a file or of --config alone", report, "DATA"),
    "card": ("write the model card of a file or of --config, with the model", card, "DATA"),
    "combine": (
        "put the effects of several runs together, and test how two differ",
        combine,
        "RUN",
    ),
    "demo": ("analyse NHEFS: quitting smoking and weight", demo, ""),
}
