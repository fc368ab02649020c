"""The result of an arm as text on the terminal, and what its report says beside the findings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from segcate._writing.label_texts import one_line, shown_table
from segcate._writing.number_texts import write_number
from segcate.cli._analysis import Analysis
from segcate.cli._result import Result
from segcate.findings._design import NOTABLE
from segcate.plots._profile_cells import profile_cells, scale_of_rows
from segcate.reports import AddedSection

# Covariates of a profile that are shown on the terminal.
_MOST_SHOWN = 25
_SHOWN = ["n_treated", "n_control", "effect", "std_error", "ci_low", "ci_high", "p_adjusted"]


def worst_balance(balance: pd.DataFrame) -> pd.DataFrame:
    """Per segment: the largest absolute standardised difference and how many are above 0.1.

    A covariate that is constant in an arm has no finite difference; such are counted in a column of
    their own where there are any.
    """
    sizes = balance[["smd_before", "smd_after"]].abs()
    is_infinite = sizes.eq(np.inf).any(axis=1)
    sizes = sizes.mask(sizes.eq(np.inf))
    table = sizes.groupby(level="segment", sort=False).max()
    table.columns = ["largest_before", "largest_after"]
    above = (sizes["smd_after"] > NOTABLE).groupby(level="segment", sort=False).sum()
    table["above_0.1_after"] = above
    if is_infinite.any():
        table["no_finite"] = is_infinite.groupby(level="segment", sort=False).sum()
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
        *_shown_profile(analysis),
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


def _shown_profile(analysis: Analysis) -> list[str]:
    """Show the covariates in which segments differ most; all of them stand in profile.csv."""
    profile, n_hidden = analysis.profile, 0
    if profile.shape[1] > _MOST_SHOWN:
        scale = scale_of_rows(analysis.X, profile, analysis.weights)
        cells = profile_cells("segcate run", profile, *scale, "spread", _MOST_SHOWN)
        profile, n_hidden = profile[["n", "share", *cells.covariates]], cells.n_hidden
    table = shown_table(profile.T.map(write_number)).to_string()
    left = f"{n_hidden} more covariates, which differ less, stand in profile.csv"
    return [table, left] if n_hidden else [table]


def _verdict(result: Result) -> list[str]:
    """Write verdict and doubts, line by line."""
    lines = [one_line(statement.text) for statement in result.findings.verdict]
    doubts = [
        one_line(
            f"{'Remark' if doubt.kind == 'remark of the estimator' else 'Doubt'}: {doubt.text}"
        )
        for doubt in result.findings.doubts
    ]
    return [*(["What is established, and what is not", *lines] if lines else []), *doubts]


def notes_of(result: Result) -> list[str]:
    """Return what is to be known of the data."""
    study = result.study
    n_treated = int((study.treatment == 1).sum())
    return [
        f"{study.title}: {len(study.X):,} rows, {n_treated:,} treated, {len(study.covariates)} covariates.",
        f"Covariates: {', '.join(study.covariates)}",
        _where_segments_come_from(result),
        *(["Treatment was drawn by lot, as --experiment says."] if result.plan.experiment else []),
        *study.notes,
        *result.analysis.notes,
    ]


def _where_segments_come_from(result: Result) -> str:
    if result.study.segment is not None:
        return f"Segments: given by column {result.study.segment}"
    return f"Segments: clustered on {', '.join(result.analysis.clustered_on)}"


def added_sections(result: Result, profit: Any = None) -> list[AddedSection]:
    """Return what was asked for beside the findings: effects by columns, whom to treat."""
    found = [AddedSection("As the estimator says it", "summary", summary=result.analysis.summary)]
    if result.by is not None:
        tables = {
            str(name): table.droplevel("column")[_SHOWN]
            for name, table in result.by.groupby(level="column", sort=False)
        }
        words = "p-values are adjusted over the groups of a column."
        found.append(AddedSection("Effects by column", "by", words, tables=tables))
    if result.targeting is not None:
        words = (
            "Each row stands in targeting.csv, the profit by the share treated in profit_curve.csv."
        )
        said = result.targeting.summary()
        found.append(AddedSection("Whom to treat", "profit", words, said, picture=profit))
    return found
