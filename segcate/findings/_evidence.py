"""What else was looked at: targeting, a second method, a protected column, the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from segcate.findings._tables import table


@dataclass(frozen=True, slots=True, kw_only=True)
class Targeting:
    """How well the predicted effects rank rows that had no part in the fit.

    Attributes
    ----------
    n, n_treated : held-out rows
    qini, qini_std_error, qini_low, qini_high, qini_p_value : in units of y; 0 is chance
    autoc, autoc_std_error, autoc_low, autoc_high, autoc_p_value : the same for the top of the ranking
    share, gain, gain_low, gain_high : curve: treating that share of rows, best first, gains so much
        per row of all
    average_effect : of the held-out rows
    how : how the effects of the held-out rows were scored, in words
    """

    n: int
    n_treated: int
    qini: float
    qini_std_error: float
    qini_low: float
    qini_high: float
    qini_p_value: float
    autoc: float
    autoc_std_error: float
    autoc_low: float
    autoc_high: float
    autoc_p_value: float
    share: tuple[float, ...]
    gain: tuple[float, ...]
    gain_low: tuple[float, ...]
    gain_high: tuple[float, ...]
    average_effect: float
    how: str


@dataclass(frozen=True, slots=True)
class CrossCheckRow:
    """The effect of a segment by two methods on the same rows.

    Attributes
    ----------
    segment : label
    effect, other : by the estimator, and by the second method
    difference, std_error, ci_low, ci_high, p_value : effect less other; the standard error counts
        that both saw the same rows
    p_adjusted : by Holm over segments
    """

    segment: Any
    effect: float
    other: float
    difference: float
    std_error: float
    ci_low: float
    ci_high: float
    p_value: float
    p_adjusted: float


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """All effects by a second method.

    Attributes
    ----------
    method : in words
    rows : one a segment
    level : adjusted p-value up to which a difference is doubt
    overall : the effect for everyone by both methods, with the one test; None where it was not tested
    """

    method: str
    rows: tuple[CrossCheckRow, ...]
    level: float = 0.01
    overall: CrossCheckRow | None = None

    def differs(self, row: CrossCheckRow | None) -> bool:
        """Tell whether the two effects are further apart than chance explains on the same rows."""
        return row is not None and row.p_adjusted <= self.level

    def contradicts(self, row: CrossCheckRow | None, ci_low: float, ci_high: float) -> bool:
        """Tell whether the second effect differs, and lies outside an interval.

        Two methods on the same rows share most of their noise, so that even a difference that matters to
        nobody may be beyond chance.
        """
        return row is not None and self.differs(row) and not ci_low <= row.other <= ci_high

    def frame(self) -> pd.DataFrame:
        """Return one row a segment."""
        return table(self.rows, "segment")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedLevel:
    """Effect and targeting among the rows of one level of a protected column.

    Attributes
    ----------
    level : the level
    n, n_treated, n_control : rows
    status : of the estimate
    effect, std_error, ci_low, ci_high, p_value : estimated with the levels as segments
    share_targeted : share of rows in segments whose estimated effect is above 0
    predicted_gain : mean predicted effect of the targeted rows, times their share
    """

    level: Any
    n: int
    n_treated: int
    n_control: int
    status: str
    effect: float
    std_error: float
    ci_low: float
    ci_high: float
    p_value: float
    share_targeted: float
    predicted_gain: float


@dataclass(frozen=True, slots=True)
class ProtectedFinding:
    """Effects and targeting by the levels of a protected column.

    Attributes
    ----------
    column : its name
    levels : one entry a level
    p_value : of the test that all levels have one effect
    """

    column: str
    levels: tuple[ProtectedLevel, ...]
    p_value: float

    def frame(self) -> pd.DataFrame:
        """Return one row a level."""
        return table(self.levels, "level")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting that a search tried.

    Attributes
    ----------
    parameters : by name, as text
    mean_score, std_score : over the folds
    rank : 1 is the best
    """

    parameters: dict[str, str]
    mean_score: float
    std_score: float
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFinding:
    """The search that chose the pipeline.

    Attributes
    ----------
    kind : class of the search
    grid : values that were tried, by parameter, as text
    n_candidates, n_splits : settings, and folds
    scoring : name of the score
    candidates : all settings, in the order of the search
    best_parameters : the chosen ones, as text
    best_score, lowest_score, std_between : mean score of the best and the worst candidate, and the
        standard deviation of the mean scores
    is_honest : whether effects come from rows that the search did not see
    n_design, n_estimation : rows that chose, and rows that estimated
    """

    kind: str
    grid: dict[str, tuple[str, ...]]
    n_candidates: int
    n_splits: int
    scoring: str
    candidates: tuple[Candidate, ...]
    best_parameters: dict[str, str]
    best_score: float
    lowest_score: float
    std_between: float
    is_honest: bool
    n_design: int
    n_estimation: int

    def frame(self) -> pd.DataFrame:
        """Return one row a candidate, the best first."""
        ordered = sorted(self.candidates, key=lambda candidate: candidate.rank)
        return pd.DataFrame(
            [
                {
                    **c.parameters,
                    "mean_score": c.mean_score,
                    "std_score": c.std_score,
                    "rank": c.rank,
                }
                for c in ordered
            ]
        )
