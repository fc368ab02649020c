"""What follows from an effect and its standard error: lift, power, sensitivity to hidden bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate._statistics.intervals import Law
from segcate.effects import SegmentMatching, e_value, pair_differences, rosenbaum_bounds
from segcate.effects._rosenbaum import why_no_pairs
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._control_means import ControlMean, control_means
from segcate.findings._source import Source

FollowUps = dict[str, Any]

_NEGATIVE = "the outcome takes values below 0, so that a share of the control mean has no meaning"
_NEAR_ZERO = "the control mean is not told from 0"
_LEFT_OUT = "rows of rare levels were left out of the estimate"
_NO_ERROR = "there is no standard error"


def follow_ups(source: Source, rows: AnalysedRows) -> tuple[list[FollowUps], FollowUps]:
    """Return the entries that each segment, and everyone, has beside the estimator's own."""
    model = source.model
    table, overall = model.effects_, model.overall_
    means, mean = control_means(source, rows)
    is_binary = bool(np.isin(rows.y, (0.0, 1.0)).all())
    has_lift = bool((rows.y[rows.is_used] >= 0).all())
    limits = _gamma_limits(source, rows)
    why_no_gamma = _why_no_gamma(source)
    found = []
    for i, (label, row) in enumerate(zip(rows.labels, table.to_dict("records"), strict=True)):
        at = (rows.codes == i) & rows.is_used
        entries = _entries(row, means[i], model.confidence_level, has_lift)
        entries |= _e_values(row, entries, is_binary, _spread(rows, at))
        entries["rosenbaum_gamma"] = limits.get(label, np.nan)
        entries["sensitivity_note"] = why_no_gamma
        found.append(entries)
    everyone = _entries(overall.to_dict(), mean, model.confidence_level, has_lift)
    everyone |= _e_values(overall.to_dict(), everyone, is_binary, _spread(rows, rows.is_used))
    everyone["sensitivity_note"] = why_no_gamma
    if limits:
        everyone["rosenbaum_gamma"] = limits[_ALL]
    return found, everyone


_ALL = object()


def _entries(row: Any, control: ControlMean, level: float, has_lift: bool) -> FollowUps:
    """Return control mean, lift and minimum detectable effect."""
    law = Law(row["df"])
    effect, std_error = float(row["effect"]), float(row["std_error"])
    entries: FollowUps = {
        "control_mean": control.mean,
        "control_mean_std_error": control.std_error,
        "minimum_detectable_effect": float(law.detectable(std_error, 1.0 - level)),
    }
    reach = float(law.quantile(level))
    note = ""
    if not np.isfinite(effect):
        note = "there is no estimate"
    elif not has_lift:
        note = _NEGATIVE
    elif not np.isfinite(control.mean):
        note = _LEFT_OUT
    elif not (np.isfinite(std_error) and np.isfinite(control.std_error)):
        note = _NO_ERROR
    elif control.mean <= reach * control.std_error:
        note = _NEAR_ZERO
    entries["lift_note"] = note
    if not note:
        entries["relative_lift"] = effect / control.mean
        entries["lift_low"], entries["lift_high"] = fieller_interval(
            effect, std_error, control, reach
        )
    return entries


def fieller_interval(
    effect: float, std_error: float, control: ControlMean, reach: float
) -> tuple[float, float]:
    """Return Fieller's interval of effect over control mean, where the latter is told from 0.

    All ratios r for which ``effect - r * mean`` is within `reach` standard errors of 0 (Fieller 1954,
    JRSS-B 16:175-185). It holds 0 exactly where the interval of the effect does.
    """
    squared = reach**2
    covariance = control.correlation * std_error * control.std_error
    a = control.mean**2 - squared * control.std_error**2
    b = effect * control.mean - squared * covariance
    c = effect**2 - squared * std_error**2
    root = np.sqrt(max(b**2 - a * c, 0.0))
    return float((b - root) / a), float((b + root) / a)


def _e_values(row: Any, entries: FollowUps, is_binary: bool, spread: float) -> FollowUps:
    """Return the E-values of a ratio of shares, or of a difference in standard deviations."""
    effect, half = float(row["effect"]), 0.5 * float(row["ci_high"] - row["ci_low"])
    if not np.isfinite(effect):
        return {}
    if is_binary:
        lift = entries.get("relative_lift", np.nan)
        if not lift > -1:
            return {}
        low, high = (max(1.0 + entries[end], 1e-9) for end in ("lift_low", "lift_high"))
        found = e_value(1.0 + lift, min(low, 1.0 + lift), max(high, 1.0 + lift))
    else:
        if not (np.isfinite(half) and spread > 0):
            return {}
        found = e_value(effect, measure="difference", std_error=half / 1.96, std_dev=spread)
    return {"e_value": found.value, "e_value_limit": found.limit}


def _spread(rows: AnalysedRows, at: Any) -> float:
    """Return the standard deviation of the outcome within the arms."""
    total, n = 0.0, 0
    for arm in (0, 1):
        values = rows.y[at & (rows.treatment == arm)]
        if len(values):
            total += float(((values - values.mean()) ** 2).sum())
            n += len(values) - 1
    return float(np.sqrt(total / n)) if n > 0 else np.nan


def _why_no_gamma(source: Source) -> str:
    """Say why there are no Rosenbaum bounds; "" where there are."""
    if not isinstance(source.model, SegmentMatching):
        return "Rosenbaum bounds are for matched pairs; nothing is matched here"
    why_not = why_no_pairs(source.model)
    return f"Rosenbaum bounds are for pairs of one row each, and {why_not}" if why_not else ""


def _gamma_limits(source: Source, rows: AnalysedRows) -> dict[Any, float]:
    """Return the largest bias that each segment's pairs withstand, and all pairs; {} without pairs."""
    model = source.model
    if _why_no_gamma(source) or not isinstance(model, SegmentMatching):
        return {}
    pairs = pair_differences(model, rows.y[rows.kept])
    level = float(model.confidence_level)
    found = {
        label: rosenbaum_bounds(values, gamma=1, confidence_level=level).gamma_limit
        for label, values in pairs.items()
        if len(values)
    }
    every = np.concatenate(list(pairs.values()))
    found[_ALL] = rosenbaum_bounds(every, gamma=1, confidence_level=level).gamma_limit
    return found
