"""Who the rows are, who is compared with whom, and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from segcate._inputs.kinds import ColumnKind, covariate_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The rows of the fit.

    Attributes
    ----------
    n : rows that the fit was given
    n_treated, n_control : rows of each arm that were used
    n_left_out : rows that were not used at all: of weight 0, or with gaps
    left_out_because : the reasons in words; "" where none was left out
    n_unmatched : rows of the estimand that found no match
    unmatched_because : rows by reason
    n_groups : clusters of dependent rows; 0 where rows are independent
    covariates : what each column of X was taken as, the segment not among them
    clustered_on : columns that the segments were found in; () where that is not known
    segment_source : where the segments come from, in words
    segments_saw_outcome : whether what made the segments was fitted with the outcome, or chosen by it
    """

    n: int
    n_treated: int
    n_control: int
    n_left_out: int = 0
    left_out_because: str = ""
    n_unmatched: int = 0
    unmatched_because: dict[str, int]
    n_groups: int = 0
    covariates: tuple[ColumnKind, ...] = ()
    clustered_on: tuple[str, ...] = ()
    segment_source: str = ""
    segments_saw_outcome: bool = False

    def frame(self) -> pd.DataFrame:
        """Return the covariates: one row a column of X."""
        return covariate_table(self.covariates)


@dataclass(frozen=True, slots=True)
class Profile:
    """Means of numbers and shares of levels in each segment.

    Attributes
    ----------
    labels : segments
    columns : what is described: "age", "plan=gold"
    values : one tuple a segment, in the order of `columns`
    everyone : the same for all rows
    difference : segment less everyone, in standard deviations of all rows
    """

    labels: tuple[Any, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    everyone: tuple[float, ...]
    difference: tuple[tuple[float, ...], ...]

    def frame(self) -> pd.DataFrame:
        """Return means and shares: one row a segment."""
        index = pd.Index(self.labels, name="segment")
        return pd.DataFrame(list(self.values), index=index, columns=list(self.columns))


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """How alike the arms of a segment are on one covariate, before and after matching.

    Attributes
    ----------
    segment : label
    covariate : column, or column and level
    smd_before, smd_after : standardised mean differences
    variance_ratio_before, variance_ratio_after : treated over control; NaN for 0/1 columns
    ks_before, ks_after : largest distance between the distribution functions
    """

    segment: Any
    covariate: str
    smd_before: float
    smd_after: float
    variance_ratio_before: float
    variance_ratio_after: float
    ks_before: float
    ks_after: float


@dataclass(frozen=True, slots=True)
class SegmentBalance:
    """The covariate on which the arms of a segment differ most after matching.

    Attributes
    ----------
    segment : label
    worst : the covariate; "" where there is none
    smd_before, smd_after : its standardised mean differences
    n_over : covariates whose difference after matching is above 0.1 in size
    n_covariates : all of them
    """

    segment: Any
    worst: str
    smd_before: float
    smd_after: float
    n_over: int
    n_covariates: int


@dataclass(frozen=True, slots=True)
class SegmentOverlap:
    """Whether both arms of a segment occur at the same chances of treatment.

    Attributes
    ----------
    segment : label
    edges : of the bins of the chance of treatment
    treated, control : rows of each arm in each bin
    n_unmatched : rows of the estimand without a match
    n_focal : rows of the estimand that looked for one
    share_outside : share of the rows of the estimand whose chance no row of the other arm reaches
    effective_treated, effective_control : rows that the weights are worth
    n_extreme : rows whose chance is below 0.02 or above 0.98
    """

    segment: Any
    edges: tuple[float, ...]
    treated: tuple[int, ...]
    control: tuple[int, ...]
    n_unmatched: int
    n_focal: int
    share_outside: float
    effective_treated: float
    effective_control: float
    n_extreme: int
