"""What only the user knows of an analysis: words for it, and rows kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Words for an analysis that no number tells; all may be left out.

    Attributes
    ----------
    title : of the report
    outcome : what y measures, such as "weight gained in 11 years"
    units : of y, such as "kg"
    treated, control : what the arms got, such as "stopped smoking" and "went on smoking"
    population : who the rows are
    period : when they were observed
    exclusions : who was left out of the data, and why
    source : where the data come from
    intended_use, out_of_scope : what the result is for, and what not
    """

    title: str = ""
    outcome: str = ""
    units: str = ""
    treated: str = ""
    control: str = ""
    population: str = ""
    period: str = ""
    exclusions: str = ""
    source: str = ""
    intended_use: str = ""
    out_of_scope: str = ""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows that had no part in the fit, on which a ranking may be judged.

    Attributes
    ----------
    X : frame or array of shape (n_samples, n_features), the columns that the fit saw
    y : array-like of shape (n_samples,), outcome
    treatment : array-like of shape (n_samples,), values 0 and 1
    groups : array-like of shape (n_samples,), clusters of dependent rows, default=None
    sample_weight : array-like of shape (n_samples,), default=None
    propensity : array-like of shape (n_samples,), inside (0, 1), default=None
        Known chances of treatment; None: modelled.
    design : {"observational", "experiment"}, default="observational"
        As in `segcate.metrics.effect_scores`.
    """

    X: Any
    y: Any
    treatment: Any
    groups: Any = None
    sample_weight: Any = None
    propensity: Any = None
    design: str = "observational"
