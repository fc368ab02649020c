"""The results as a folder: report, tables, pictures where matplotlib is there, and the options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segcate._writing.whole_files import whole_folder
from segcate.cli._described import described
from segcate.cli._report import added_sections, notes_of
from segcate.cli._result import Result
from segcate.cli._tables import TABLE_FILE, facts_of, write_frames, write_table
from segcate.plots import ProfitCurveDisplay
from segcate.plots._drawing import WIDTH, new_sheet, save_png
from segcate.reports import report_html, report_markdown
from segcate.reports._figures import Picture, draw_figures

_PICTURES = ("effects", "profile", "balance", "overlap", "targeting", "protected", "profit")
# All that a run may write; what an older run left of it goes.
_FILES = (
    "effects.csv",
    "balance.csv",
    "profile.csv",
    "by.csv",
    "targeting.csv",
    "profit_curve.csv",
    TABLE_FILE,
    "summary.txt",
    *(f"{name}.png" for name in _PICTURES),
    "report.md",
    "report.html",
    "config.toml",
)
_MOST_ARMS = 10


def write_results(results: Sequence[Result], folder: Path, config: str) -> list[str]:
    """Write the results of all arms; those of several go into a folder each.

    Everything is written to a temporary folder first, so that a report is an old or a new one.

    Returns
    -------
    list of str
        The files, as they lie in the folder.
    """
    arms = [f"arm-{i}" for i in range(1, _MOST_ARMS + 1)]
    kept = [*_FILES, *(f"{arm}/{name}" for arm in arms for name in _FILES)]
    with whole_folder(folder, kept) as part:
        if len(results) == 1:
            _write_arm(results[0], part)
        else:
            for arm, result in zip(arms, results, strict=False):
                (part / arm).mkdir()
                _write_arm(result, part / arm)
            write_frames({"effects": _of_all_arms(results)}, part)
        (part / "config.toml").write_text(config, encoding="utf-8")
        names = {file.relative_to(part).as_posix() for file in part.rglob("*") if file.is_file()}
    return [name for name in kept if name in names]


def _of_all_arms(results: Sequence[Result]) -> pd.DataFrame:
    tables = {result.study.treated_name: result.analysis.effects for result in results}
    return pd.concat(tables, names=["arm"])


def _write_arm(result: Result, folder: Path) -> None:
    analysis, targeting = result.analysis, result.targeting
    profile = analysis.profile
    tables = {
        "effects": analysis.effects,
        "balance": analysis.balance,
        "profile": profile,
        "by": result.by,
        "profit_curve": None if targeting is None else targeting.curve.frame().set_index("share"),
    }
    if targeting is not None:
        rows = targeting.rows
        tables["targeting"] = rows.set_index(rows.columns[0])
    write_frames({name: table for name, table in tables.items() if table is not None}, folder)
    # a weighted profile does not hold the weights by which those of several runs would be added up
    more = described(analysis.model, profile if analysis.weights is None else None)
    write_table(analysis.model.effect_table_, facts_of(result), folder, more)
    (folder / "summary.txt").write_text(analysis.summary + "\n", encoding="utf-8")
    pictures = draw_pictures(result)
    for name, picture in pictures.items():
        save_png(picture.figure, folder / f"{name}.png")
    words: dict[str, Any] = {
        "notes": notes_of(result),
        "added": added_sections(result, pictures.get("profit")),
    }
    page = report_markdown(
        result.findings, pictures={name: f"{name}.png" for name in pictures}, **words
    )
    (folder / "report.md").write_text(page, encoding="utf-8")
    (folder / "report.html").write_text(report_html(result.findings, **words), encoding="utf-8")


def draw_pictures(result: Result) -> dict[str, Any]:
    """Draw whatever there are numbers for; nothing without matplotlib.

    Returns
    -------
    dict of str to pictures with `figure`, `title` and `caption`
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return {}
    pictures: dict[str, Any] = dict(draw_figures(result.findings))
    if result.targeting is not None:
        display = ProfitCurveDisplay(result.targeting.curve).plot(ax=new_sheet(WIDTH))
        caption = (
            "Profit a row by the share treated, highest predicted effect first, on rows that the rule did not "
            "see; the mark is the best share on these very rows, so its profit is too good."
        )
        title = "Profit by the share treated"
        pictures["profit"] = Picture(display.figure_, title, caption, f"{title}: a curve.")
    return pictures
