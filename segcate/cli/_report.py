"""The findings as files: tables, pictures where matplotlib is there, and one Markdown page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segcate._writing.label_texts import csv_table, fenced, markdown
from segcate._writing.number_texts import write_number
from segcate._writing.whole_files import whole_folder
from segcate.cli._analysis import Findings
from segcate.cli._study import Study
from segcate.plots import (
    LovePlotDisplay,
    OverlapDisplay,
    SegmentEffectDisplay,
    SegmentProfileDisplay,
)

__all__ = ["draw_pictures", "markdown_table", "report_text", "worst_balance", "write_findings"]

# Below this absolute standardised difference arms are commonly called balanced (Stuart 2010).
_BALANCED = 0.1
_DPI = 150
# Pictures: name, caption, and how to draw them from the findings and the unit of the outcome.
_PICTURES: dict[str, tuple[str, Callable[[Findings, str], Any]]] = {
    "forest": (
        "Effect of each segment",
        lambda found, units: SegmentEffectDisplay.from_estimator(found.model, units=units),
    ),
    "balance": (
        "Difference between the arms, before and after matching",
        lambda found, units: LovePlotDisplay.from_estimator(found.model),
    ),
    "overlap": (
        "Propensity of treated and controls in each segment",
        lambda found, units: OverlapDisplay.from_estimator(
            found.model, treatment=found.treatment, segment=found.labels
        ),
    ),
    "profile": (
        "Who the segments are",
        lambda found, units: SegmentProfileDisplay.from_predictions(found.X, found.labels),
    ),
}
_TABLES = ("effects", "balance", "profile")
_FILES = (
    *(f"{name}.csv" for name in _TABLES),
    "summary.txt",
    *(f"{name}.png" for name in _PICTURES),
    "report.md",
)


def worst_balance(balance: pd.DataFrame) -> pd.DataFrame:
    """Per segment: the largest absolute standardised difference and how many are above 0.1."""
    sizes = balance[["smd_before", "smd_after"]].abs()
    table = sizes.groupby(level="segment", sort=False).max()
    table.columns = ["largest_before", "largest_after"]
    above = (sizes["smd_after"] > _BALANCED).groupby(level="segment", sort=False).sum()
    table["above_0.1_after"] = above
    table["worst_after"] = [
        "" if rows.isna().all() else str(rows.index[int(np.nanargmax(rows))][1])
        for _, rows in sizes["smd_after"].groupby(level="segment", sort=False)
    ]
    return table


def write_findings(study: Study, findings: Findings, folder: Path) -> list[Path]:
    """Write tables, summary, report and (where matplotlib is there) the pictures.

    All of them are written to a temporary folder first, so that a report is an old or a new one.

    Returns
    -------
    list of Path
        The files, in the order they were written.
    """
    with whole_folder(folder, _FILES) as part:
        files = _write_files(study, findings, part)
    return [folder / file.name for file in files]


def _write_files(study: Study, findings: Findings, folder: Path) -> list[Path]:
    for name in _TABLES:
        table = csv_table(getattr(findings, name))
        table.to_csv(folder / f"{name}.csv", errors="backslashreplace")
    (folder / "summary.txt").write_text(findings.summary + "\n", encoding="utf-8")
    pictures = draw_pictures(findings, study.units or f"units of {study.outcome}", folder)
    report = report_text(study, findings, pictures)
    (folder / "report.md").write_text(report, encoding="utf-8")
    return [folder / name for name in _FILES if name[-4:] != ".png" or name[:-4] in pictures]


def report_text(study: Study, findings: Findings, pictures: list[str]) -> str:
    """Write the findings as one Markdown page; `pictures` names those that were drawn."""
    shows = {name: [f"![{_PICTURES[name][0]}]({name}.png)"] for name in pictures}
    n_treated = int(study.treatment.sum())
    shown = findings.effects[
        ["n_treated", "n_control", "effect", "std_error", "ci_low", "ci_high", "p_adjusted"]
    ]
    covariates = [str(name) for name in study.X.columns if name != study.segment]
    parts = [
        f"# Effect of {markdown(study.treated_name)} on {markdown(study.outcome)}",
        f"{markdown(study.title)}: {len(study.X):,} rows, {n_treated:,} treated, "
        f"{len(covariates)} covariates.",
        f"* Covariates: {', '.join(map(markdown, covariates))}",
        f"* {markdown(_where_segments_come_from(study, findings))}",
        *(f"* {markdown(note)}" for note in (*study.notes, *findings.notes)),
        *([f"Source: {study.source}"] if study.source else []),
        "## Effects by segment",
        markdown_table(shown),
        *shows.get("forest", []),
        fenced(findings.summary),
        "## Who the segments are",
        "Means of numeric covariates and shares of the levels of the others.",
        *shows.get("profile", []),
        markdown_table(findings.profile.T),
        "## Balance of the arms",
        "Standardised mean differences between the arms, before and after matching; below 0.1 is "
        "commonly called balanced. All of them stand in `balance.csv`. Where a propensity occurs in "
        "one arm only there is nobody to compare with.",
        *shows.get("balance", []),
        markdown_table(worst_balance(findings.balance)),
        *shows.get("overlap", []),
        "## What this rests on",
        "Given the covariates, who was treated is as good as random within a segment; nothing the "
        "treatment changes is among the covariates; one row's treatment does not touch another's "
        "outcome. No computation can check this.",
    ]
    return "\n\n".join(parts) + "\n"


def _where_segments_come_from(study: Study, findings: Findings) -> str:
    if study.segment is not None:
        return f"Segments: given by column {study.segment}"
    return f"Segments: clustered on {', '.join(findings.clustered_on)}"


def markdown_table(table: pd.DataFrame) -> str:
    """Write a table in Markdown, numbers with four significant digits."""
    head = [str(table.index.name or ""), *map(str, table.columns)]
    rows = [
        [str(label), *map(write_number, row)]
        for label, row in zip(table.index, table.to_numpy(object), strict=True)
    ]
    lines = [[markdown(cell) for cell in line] for line in (head, *rows)]
    lines.insert(1, ["---"] * len(head))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw_pictures(findings: Findings, units: str, folder: Path) -> list[str]:
    """Draw effects, balance, overlap and profile into a folder.

    Returns
    -------
    list of str
        Names of the pictures; empty without matplotlib.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return []
    before = plt.get_backend()
    # Switching closes whatever figures are open: the caller's, so then it is left alone.
    switches = not plt.get_fignums()
    if switches:
        plt.switch_backend("Agg")
    try:
        for name, (_, draw) in _PICTURES.items():
            figure = draw(findings, units).figure_
            figure.savefig(folder / f"{name}.png", dpi=_DPI)
            plt.close(figure)
    finally:
        if switches:
            plt.switch_backend(before)
    return list(_PICTURES)
