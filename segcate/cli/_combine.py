"""`segcate combine`: the effects of several runs as one, and how those of two differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._writing.label_texts import one_line, shown_table
from segcate._writing.number_texts import write_number
from segcate._writing.whole_files import whole_folder
from segcate.cli._described import Described
from segcate.cli._described import together as joined
from segcate.cli._problems import Problems, UserError
from segcate.cli._progress import Progress
from segcate.cli._study.weights import WEIGHS_ROWS
from segcate.cli._tables import TABLE_FILE, Facts, frames_of, read_table, write_frames, write_table
from segcate.effects import EffectTable
from segcate.effects._table.change import EffectChange
from segcate.effects._table.parts import united_groups
from segcate.effects._table.summary import describe_heterogeneity, describe_overall

_FILES = (
    *("effects.csv", "overall.csv", "contrasts.csv", "change.csv", "balance.csv", "profile.csv"),
    *(TABLE_FILE, "summary.txt"),
)
_EFFECTS = ["n_treated", "n_control", "effect", "std_error", "ci_low", "ci_high", "p_adjusted"]
_CHANGES = ["before", "after", "change", "std_error", "ci_low", "ci_high", "p_adjusted"]


@dataclass(frozen=True, slots=True)
class Run:
    """The effects of one run."""

    name: str
    table: EffectTable
    facts: Facts
    more: Described


# What runs must share, what it is called, and what to do.
_Reading = Callable[[Run], str]
_MUST_AGREE: tuple[tuple[_Reading, str, str], ...] = (
    (lambda run: run.table.outcome, "outcome", "Give the column one name in all files"),
    (lambda run: run.facts.units, "unit of the outcome", "Convert it, and give all runs one --units"),
    (lambda run: run.facts.treated, "treated arm", "If it is one, give column and label one name in all files"),
    (lambda run: run.facts.control, "control arm", "If it is one, give column and label one name in all files"),
    (lambda run: run.table.estimand, "estimand", "Give all runs one --estimand"),
    (lambda run: f"{100 * run.table.confidence_level:g} %", "confidence level", "Give all runs one --confidence-level"),
    (lambda run: run.facts.segment_column, "column of segments", "If it is one, give it one name in all files"),
    (lambda run: run.facts.row_counts, "what a row counts", "Give all runs --weights, or none"),
    (
        lambda run: "" if not run.table.is_estimated.any() else "rows" if run.table.scores is None else "groups",
        "unit of independent errors",
        "Give all runs --groups, or none",
    ),
    (
        lambda run: str(len(run.table.imputations) or ""),
        "number of imputations",
        "Give all runs with gaps one --missing-covariates",
    ),
)  # fmt: skip


def combine_runs(
    places: Sequence[str], out: str | None, progress: Progress
) -> tuple[str, list[str]]:
    """Put runs together, and compare two.

    Parameters
    ----------
    places : folders that `segcate run --out` wrote
    out : folder to write to, or None
    progress : told of what is not done

    Returns
    -------
    text : what a user reads
    files : that were written
    """
    runs = _runs(places)
    _check_together(runs)
    if out is not None and Path(out).resolve() in [Path(place).resolve() for place in places]:
        raise UserError(f"--out: {out!r} is one of the runs. Name another folder.")
    if WEIGHS_ROWS in [run.facts.row_counts for run in runs]:
        progress(
            "note: each run's weights are brought to a mean of 1, so that a run counts as many rows as it has"
        )
    groups = _groups(runs)
    together = EffectTable.combine({run.name: run.table for run in runs}, groups=groups)
    change = _change(runs, groups, progress)
    text = _text(runs, together, change)
    if out is None:
        return text, []
    more = joined({run.name: run.more for run in runs}, progress)
    facts = replace(runs[0].facts, groups=_united(groups))
    tables = frames_of(together) | ({} if change is None else {"change": change.table})
    return text, _write(together, tables, facts, more, text, Path(out))


def _runs(places: Sequence[str]) -> list[Run]:
    """Read runs; they are called like their folders, or like the way to them where that is no name."""
    if len(places) < 2:
        raise UserError("segcate combine puts two or more runs together; got one folder.")
    names = [Path(place).resolve().name for place in places]
    if len(set(names)) < len(names):
        names = list(places)
    if len(set(names)) < len(names):
        raise UserError("a folder is named twice, so that its rows would count twice.")
    problems, runs = Problems(), []
    for name, place in zip(names, places, strict=True):
        try:
            runs.append(Run(name, *read_table(place)))
        except UserError as error:
            problems.extend(error.lines)
    problems.stop()
    return runs


def _check_together(runs: Sequence[Run]) -> None:
    """Refuse runs that differ in more than their rows; all that differs is said at once."""
    problems = Problems()
    for reading, what, way_out in _MUST_AGREE:
        said = {run.name: reading(run) for run in runs}
        values = list(dict.fromkeys(text for text in said.values() if text))
        if len(values) > 1:
            shown = ", ".join(f"{name!r} has {text!r}" for name, text in said.items() if text)
            problems.add(f"{what}: {shown}. {way_out}.")
    problems.extend(_found_apart(runs))
    problems.stop()


def _found_apart(runs: Sequence[Run]) -> list[str]:
    """Tell of segments that runs found by themselves: their labels do not name the same users."""
    found = [run for run in runs if run.facts.found_segments]
    definitions = {run.facts.found_segments for run in found}
    is_mixed = bool(found) and any(run.facts.segment_column for run in runs)
    if len(definitions) < 2 and not is_mixed:
        return []
    label = found[0].table.labels.tolist()[0]
    names = " and ".join(repr(run.name) for run in found)
    return [
        f"segments: {names} found segments on rows of their own, so segment {label!r} of one is not segment {label!r} "
        "of another. Write the segments into a column of all files, by one rule or one fitted segmenter, and give all "
        "runs --segment-column COL."
    ]


def _groups(runs: Sequence[Run]) -> list[list[object]] | None:
    """Return the names of the groups of each run; None where one does not tell them."""
    names = [run.facts.groups for run in runs]
    return None if any(one is None for one in names) else [one for one in names if one is not None]


def _united(groups: list[list[object]] | None) -> list[object] | None:
    """Return the names of the groups of all runs, each once."""
    if groups is None:
        return None
    return united_groups([frames.sorted_codes(np.asarray(names))[1] for names in groups])[1]


def _change(
    runs: Sequence[Run], groups: list[list[object]] | None, progress: Progress
) -> EffectChange | None:
    """Compare two runs that share a segment."""
    if len(runs) != 2:
        progress("note: how effects changed is told of two runs")
        return None
    known = [set(run.table.labels[run.table.is_estimated].tolist()) for run in runs]
    if not known[0] & known[1]:
        progress("note: no segment has an effect in both runs, so there is no change to tell of")
        return None
    before, after = (run.table for run in runs)
    if groups is None:
        return after.change_from(before)
    return after.change_from(before, groups_before=groups[0], groups=groups[1])


def _text(runs: Sequence[Run], together: EffectTable, change: EffectChange | None) -> str:
    """Write what a user reads on the terminal."""
    facts = runs[0].facts
    parts = [f"{run.name} ({int(run.table.n.sum()):,} rows)" for run in runs]
    what = f"Effect of {facts.treated or 'the treatment'} on {together.outcome or 'the outcome'}"
    effects = together.frame()
    lines = [
        one_line(f"{what}: {', '.join(parts)} together"),
        "",
        shown_table(effects[_EFFECTS]).to_string(float_format=write_number),
        "",
        f"Overall         {describe_overall(together.overall_row(), together.confidence_level)}",
        f"Heterogeneity   {describe_heterogeneity(together.heterogeneity())}",
    ]
    remarks = effects.loc[effects["status"] != "ok", "status"]
    lines += ["Remarks"] if len(remarks) else []
    lines += [one_line(f"  {label}: {status}") for label, status in remarks.items()]
    return "\n".join([*lines, *([] if change is None else _told_change(runs, change))])


def _told_change(runs: Sequence[Run], change: EffectChange) -> list[str]:
    mix, everyone = change.mix.table.iloc[0], change.overall
    level = change.changes.confidence_level
    return [
        "",
        one_line(f"Change from {runs[0].name} to {runs[1].name}"),
        "",
        shown_table(change.table[_CHANGES]).to_string(float_format=write_number),
        "",
        f"Any change      joint test p = {change.joint.p_value:.2g}",
        f"Same segments   {describe_overall(mix.rename({'estimate': 'effect'}), level)}, p = {mix['p_value']:.2g}",
        f"Everyone        {describe_overall(everyone.rename({'change': 'effect'}), level)}, "
        f"p = {everyone['p_value']:.2g}",
    ]


def _write(
    together: EffectTable,
    tables: Mapping[str, pd.DataFrame],
    facts: Facts,
    more: Described,
    text: str,
    out: Path,
) -> list[str]:
    """Write the tables, all or none."""
    with whole_folder(out, _FILES) as part:
        write_frames({**tables, **more.tables}, part)
        write_table(together, facts, part, more)
        (part / "summary.txt").write_text(text + "\n", encoding="utf-8")
        names = {file.name for file in part.iterdir()}
    return [name for name in _FILES if name in names]
