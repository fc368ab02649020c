"""The summary of a fitted effect estimator, as text for a terminal or a report."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate._writing.label_texts import one_line, shown_table
from segcate._writing.number_texts import write_number

# A summary shows this many segments, and as many remarks.
MOST_SHOWN = 20

# Lines of a summary: what they are about, and what they say.
Described = list[tuple[str, str]]

ESTIMAND_NAMES = {
    "att": "ATT, effect on the treated",
    "atc": "ATC, effect on the controls",
    "ate": "ATE, effect on all",
}
_SHOWN = [
    "n_treated",
    "n_control",
    "n_matched",
    "effect",
    "std_error",
    "ci_low",
    "ci_high",
    "p_adjusted",
    "shrunken_effect",
]


def summary_text(model: Any, above: Described, below: Described) -> str:
    """Describe a fitted estimator of segment effects.

    The lines `above` the table end with the standard error; those `below` follow the tests.
    """
    effects, overall, test = model.effects_, model.overall_, model.heterogeneity_
    level = f"{100 * model.confidence_level:g} %"
    name, method = above[-1]
    head = [*above[:-1], (name, f"{method}; intervals {level}; p adjusted by Holm")]
    tail = [
        ("Overall", describe_overall(overall, model.confidence_level)),
        ("Heterogeneity", describe_heterogeneity(test)),
        *below,
    ]
    shown = _most_telling(effects)[_SHOWN]
    if model.second_estimate_ is not None:
        second = model.second_estimate_.table["second_effect"]
        shown = shown.assign(second_effect=second.reindex(shown.index))
    table = shown_table(shown).to_string(float_format=write_number)
    lines = [
        *(f"{name:<16}{text}" for name, text in head),
        "",
        table,
        *_how_many_more(
            len(effects), "segments, in `effects_`; shown are those of smallest p-value"
        ),
        "",
        *(f"{name:<16}{text}" for name, text in tail),
    ]
    with_remark = effects.loc[effects["status"] != "ok", "status"]
    if len(with_remark):
        lines += ["Remarks"]
        lines += [f"  {label}: {status}" for label, status in with_remark.head(MOST_SHOWN).items()]
        lines += _how_many_more(len(with_remark), "segments with remarks, in `effects_`")
    notes = model._column_notes()
    if notes:
        lines += ["Columns", *(f"  {note}" for note in notes)]
    return "\n".join(line if line is table else one_line(line) for line in lines)


def _most_telling(effects: Any) -> Any:
    """Return the segments of smallest p-value in the order of the table, all where there are few."""
    if len(effects) <= MOST_SHOWN:
        return effects
    order = np.argsort(effects["p_value"].to_numpy(), kind="stable")  # NaN comes last
    return effects.iloc[np.sort(order[:MOST_SHOWN])]


def _how_many_more(n: int, what: str) -> list[str]:
    """Say how many lines were left out."""
    return [f"  ... and {n - MOST_SHOWN:,} more {what}"] if n > MOST_SHOWN else []


def describe_adjustment(adjustment: Any) -> str:
    """Say how matched outcomes were adjusted."""
    if adjustment is None:
        return "none"
    return adjustment if isinstance(adjustment, str) else type(adjustment).__name__


def describe_overall(row: Any, confidence_level: float) -> str:
    """Write an effect with its standard error and interval."""
    return (
        f"{write_number(row['effect'])} (std. error {write_number(row['std_error'])}, {100 * confidence_level:g} % "
        f"interval {write_number(row['ci_low'])} to {write_number(row['ci_high'])})"
    )


def describe_heterogeneity(test: Any) -> str:
    """Say what the test of equal effects found."""
    if test.n_segments < 2:
        return "not tested (fewer than two segments with at least 20 matched rows)"
    return (
        f"Q = {write_number(test.q, 3)} on {test.df} degrees of freedom, p = {test.p_value:.3g}; "
        f"tau^2 = {write_number(test.tau2, 3)} ({test.n_segments} segments)"
    )


def describe_donors(matcher: Any) -> str:
    """Say how many rows serve as a match, and how often the one that serves most does."""
    counted = getattr(matcher, "_counted", None)
    if counted is None:
        uses = matcher.matched_.uses
        counted = {"n_donors": np.count_nonzero(uses), "most_uses": uses.max()}
    return (
        f"{counted['n_donors']:,} rows serve as a match; the one used most stands for "
        f"{counted['most_uses']:.3g} rows"
    )


def describe_unmatched(matcher: Any) -> str:
    """Count the rows without a match by reason."""
    counted = getattr(matcher, "_counted", None)
    reasons = counted["reasons"] if counted else _reasons(matcher)
    return "; ".join(f"{n} rows: {reason}" for reason, n in reasons.items()) or "none"


def _reasons(matcher: Any) -> dict[str, int]:
    found: dict[str, int] = matcher.matched_.unmatched["reason"].value_counts().to_dict()
    return found
