"""Every effect by a second method on the same rows, and whether the two agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._statistics.intervals import Law
from segcate._statistics.multiplicity import holm
from segcate.effects import (
    EffectTable,
    SecondEstimate,
    SegmentAIPW,
    SegmentMatching,
    SegmentRegression,
)
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._evidence import CrossCheck, CrossCheckRow
from segcate.findings._source import Source

_SAME = 1e-6
# Of tests whose size is right; refitted methods are judged more strictly.
_LEVEL = 0.05


def collect_cross_check(source: Source, rows: AnalysedRows, random_state: Any) -> CrossCheck:
    """Estimate every effect a second time: by AIPW, or by regression where AIPW was the first.

    Both methods are fitted with every row (or given group) as a group, so that what each group adds to
    either error is known, and with it the error of their difference.
    """
    model = source.model
    used = np.flatnonzero(rows.is_used)
    X = frames.take_rows(rows.labelled, used)
    groups = np.arange(len(used)) if rows.groups is None else rows.groups[used]
    weight, chance = rows.weight, rows.propensity
    given = {
        "groups": groups,
        "sample_weight": None if weight is None else weight[used],
        "propensity": None if chance is None else chance[used],
    }
    second, sign = _second_method(source, random_state)
    arms = rows.treatment[used]
    other = second.fit(X, rows.y[used], treatment=arms if sign > 0 else 1 - arms, **given)._table
    first = _refitted(model).fit(X, rows.y[used], treatment=arms, **given)._table
    return CrossCheck(_method(second), _rows(source, first, other, sign))


def cross_check_of(second: SecondEstimate) -> CrossCheck:
    """Take the second estimates that came with the fit; no model is fitted again."""
    table = second.table[np.isfinite(second.table["p_value"])]
    columns = ["effect", "second_effect", "difference", "std_error", "ci_low", "ci_high", "p_value"]
    numbers = table[[*columns, "p_adjusted"]].to_numpy().tolist()
    rows = (CrossCheckRow(label, *row) for label, row in zip(table.index, numbers, strict=True))
    everyone = second.overall
    p = float(everyone["p_value"])
    entries = [*everyone[columns].tolist(), p]
    overall = CrossCheckRow("overall", *entries) if np.isfinite(p) else None
    return CrossCheck(second.method, tuple(rows), _LEVEL, overall)


def _second_method(source: Source, random_state: Any) -> tuple[Any, float]:
    """Return the second method, and -1 where it is to estimate the effect of not being treated."""
    model = source.model
    shared: dict[str, Any] = {
        "segment": model.segment, "min_per_arm": model.min_per_arm, "missing": model.missing,
        "confidence_level": model.confidence_level, "on_empty": "nan",
    }  # fmt: skip
    if isinstance(model, SegmentAIPW):
        return SegmentRegression(estimand=model.estimand, adjustment="linear", **shared), 1.0
    estimand = "ate" if model.estimand == "ate" else "att"
    second = SegmentAIPW(None, estimand=estimand, random_state=random_state, **shared)
    return second, -1.0 if model.estimand == "atc" else 1.0


def _refitted(model: Any) -> Any:
    """Return the estimator, to be fitted with groups."""
    changes: dict[str, Any] = {"on_empty": "nan"}
    if isinstance(model, SegmentMatching | SegmentRegression):
        changes |= {"std_error": "auto", "inference": "population"}
    return clone(model).set_params(**changes)


def _method(second: Any) -> str:
    if isinstance(second, SegmentAIPW):
        return "AIPW (cross-fitted models of outcome and treatment)"
    return "regression with treatment interactions"


def _rows(
    source: Source, first: EffectTable, other: EffectTable, sign: float
) -> tuple[CrossCheckRow, ...]:
    """Compare segment by segment; those without an estimate by both methods are left out."""
    table = source.model.effects_
    place = {label: j for j, label in enumerate(other.labels.tolist())}
    found: list[tuple[Any, ...]] = []
    for i, label in enumerate(first.labels.tolist()):
        if label not in place or label not in table.index:
            continue
        j = place[label]
        effect, second = float(table.loc[label, "effect"]), sign * float(other.effect[j])
        if not np.isfinite(effect - second):
            continue
        is_same = abs(first.effect[i] - effect) <= _SAME * max(abs(effect), 1.0)
        error = _error_of_difference(first, i, other, j, sign) if is_same else np.nan
        if not error > 0:  # without scores: as if the two methods had seen different rows
            error = float(np.sqrt(table.loc[label, "std_error"] ** 2 + other.variance[j]))
        df = float(np.fmin(table.loc[label, "df"], other.df[j]))
        found.append((label, effect, second, error, df))
    law = Law(np.array([entry[4] for entry in found]))
    gap = np.array([entry[1] - entry[2] for entry in found])
    errors = np.array([entry[3] for entry in found])
    low, high = law.interval(gap, errors, source.model.confidence_level)
    p = np.asarray(law.two_sided_p(gap / errors), dtype=np.float64)
    numbers = np.column_stack([gap, errors, low, high, p, holm(p)]).tolist()
    return tuple(
        CrossCheckRow(label, effect, second, *row)
        for (label, effect, second, _, _), row in zip(found, numbers, strict=True)
    )


def _error_of_difference(
    first: EffectTable, i: int, other: EffectTable, j: int, sign: float
) -> float:
    """Return the standard error of the difference of two effects, from what groups add to both."""
    if first.scores is None or other.scores is None:
        return float("nan")
    gap: dict[int, float] = {}
    for scores, row, s in ((first.scores, i, 1.0), (other.scores, j, -sign)):
        at = np.flatnonzero(scores.segment == row)
        names: Any = scores.names[scores.group[at]]
        for name, value in zip(names.tolist(), (s * scores.value[at]).tolist(), strict=True):
            gap[name] = gap.get(name, 0.0) + value
    values: Float = np.array(list(gap.values()))
    return float(np.sqrt(values @ values))
