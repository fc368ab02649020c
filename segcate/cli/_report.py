"""The result of an arm as one Markdown page, and as text on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from segcate._writing.label_texts import fenced, markdown, one_line, shown_table
from segcate._writing.number_texts import write_number
from segcate.cli._result import Result

__all__ = ["balance_text", "markdown_table", "report_text", "terminal_text", "worst_balance"]

# Below this absolute standardised difference arms are commonly called balanced (Stuart 2010).
_BALANCED = 0.1
_SHOWN = ["n_treated", "n_control", "effect", "std_error", "ci_low", "ci_high", "p_adjusted"]


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


def terminal_text(result: Result) -> str:
    """Write what a user reads on the terminal."""
    study, analysis = result.study, result.analysis
    parts = [
        one_line(f"Effect of {study.treated_name} on {study.outcome}") + "\n",
        analysis.summary,
        "\nWho the segments are (means, shares)",
        shown_table(analysis.profile.T.map(write_number)).to_string(),
    ]
    if analysis.balance is not None:
        parts += [
            "\nLargest standardised difference between the arms, before and after matching",
            shown_table(worst_balance(analysis.balance).round(3)).to_string(),
        ]
    if result.by is not None:
        parts.append("\nEffects by column")
        table = result.by.drop(columns=["status", "p_value"]).map(write_number)
        parts.append(shown_table(table).to_string())
    if result.targeting is not None:
        parts += ["\nWhom to treat", result.targeting.summary()]
    parts += ["", *_verdict(result)]
    return "\n".join(parts).rstrip()


def _verdict(result: Result) -> list[str]:
    """Write verdict and doubts, line by line."""
    lines = [one_line(statement.text) for statement in result.findings.verdict]
    doubts = [one_line(f"Doubt: {doubt.text}") for doubt in result.findings.doubts]
    return [*(["What is established, and what is not", *lines] if lines else []), *doubts]


def report_text(result: Result, pictures: Mapping[str, Any]) -> str:
    """Write the result as one Markdown page.

    Parameters
    ----------
    result : what came out for an arm
    pictures : those that were drawn, by name, with `title` and `caption`
    """
    study, analysis, findings = result.study, result.analysis, result.findings
    shows = {name: _shown(name, picture) for name, picture in pictures.items()}
    n_treated = int((study.treatment == 1).sum())
    parts = [
        f"# Effect of {markdown(study.treated_name)} on {markdown(study.outcome)}",
        f"{markdown(study.title)}: {len(study.X):,} rows, {n_treated:,} treated, "
        f"{len(study.covariates)} covariates.",
        *(markdown(statement.text) for statement in findings.verdict),
        *(f"* Doubt: {markdown(doubt.text)}" for doubt in findings.doubts),
        f"* Covariates: {', '.join(map(markdown, study.covariates))}",
        f"* {markdown(_where_segments_come_from(result))}",
        *(f"* {markdown(note)}" for note in (*study.notes, *analysis.notes)),
        *([f"Source: {study.source}"] if study.source else []),
        "## Effects by segment",
        markdown_table(analysis.effects[_SHOWN]),
        *shows.get("effects", []),
        fenced(analysis.summary),
        *_by_columns(result),
        *_whom_to_treat(result, shows),
        "## Who the segments are",
        "Means of numeric covariates and shares of the levels of the others.",
        *shows.get("profile", []),
        markdown_table(analysis.profile.T),
        *balance_text(result, shows),
        "## What this rests on",
        _assumption(result)
        + " Nothing the treatment changes is among the covariates; one row's treatment does not touch another's "
        "outcome. No computation can check this.",
    ]
    return "\n\n".join(parts) + "\n"


def _shown(name: str, picture: Any) -> list[str]:
    return [f"![{markdown(picture.title)}]({name}.png)", markdown(picture.caption)]


def _assumption(result: Result) -> str:
    if result.plan.experiment:
        return "Treatment was drawn by lot, as --experiment says."
    return "Given the covariates, who was treated is as good as random within a segment."


def _where_segments_come_from(result: Result) -> str:
    if result.study.segment is not None:
        return f"Segments: given by column {result.study.segment}"
    return f"Segments: clustered on {', '.join(result.analysis.clustered_on)}"


def _by_columns(result: Result) -> list[str]:
    if result.by is None:
        return []
    parts = ["## Effects by column", "p-values are adjusted over the groups of a column."]
    for name, table in result.by.groupby(level="column", sort=False):
        parts += [f"### {markdown(name)}", markdown_table(table.droplevel("column")[_SHOWN])]
    return parts


def _whom_to_treat(result: Result, shows: Mapping[str, list[str]]) -> list[str]:
    if result.targeting is None:
        return []
    return [
        "## Whom to treat",
        fenced(result.targeting.summary()),
        "Each row stands in `targeting.csv`, the profit by the share treated in `profit_curve.csv`.",
        *shows.get("profit", []),
    ]


def balance_text(result: Result, shows: Mapping[str, list[str]]) -> list[str]:
    """Write how alike the arms are; nothing where they were not matched."""
    if result.analysis.balance is None:
        return shows.get("overlap", [])
    return [
        "## Balance of the arms",
        "Standardised mean differences between the arms, before and after matching; below 0.1 is "
        "commonly called balanced. All of them stand in `balance.csv`. Where a propensity occurs in "
        "one arm only there is nobody to compare with.",
        *shows.get("balance", []),
        markdown_table(worst_balance(result.analysis.balance)),
        *shows.get("overlap", []),
    ]


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
