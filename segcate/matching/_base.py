"""Matcher: what every matching or weighting design promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy.typing as npt
from sklearn.base import BaseEstimator

from segcate._covariates.missing import Filling, missing_by_arm, treat_missing
from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import DesignData, check_design_data
from segcate._inputs.kinds import ColumnKind
from segcate._inputs.present_rows import present_rows
from segcate._inputs.records import RecordedColumns
from segcate._inputs.routing import DESIGN_REQUEST
from segcate._inputs.segments import Segment
from segcate._inputs.vectors import check_same_index
from segcate.matching._balance import Balance
from segcate.matching._cells import exact_positions
from segcate.matching._design import Design
from segcate.matching._design_balance import UnmeasuredBalance, unmeasured_balance

if TYPE_CHECKING:
    import pandas as pd


class Matcher(RecordedColumns, BaseEstimator):
    """Promise of a design: `match` says who is compared with whom, and sees no outcome.

    `segcate.effects.SegmentMatching` takes any instance. A new design derives from this class. It
    stores its parameters in `__init__` and implements `check_parameters`, `match` and `describe`;
    `fit`, the balance table and all that is stored are here.

    Parameters of every design are `segment` and `missing`; `exact` where it has one.

    Attributes
    ----------
    replacement : bool
        Whether a row may serve as a match more than once; it decides which standard errors hold.
    estimates_score : bool
        Whether rows are matched on a propensity score alone, so that the standard error of Abadie &
        Imbens (2016) may hold.
    takes_certain : bool
        Whether `fit` takes propensities of exactly 0 and 1.
    propensity_remedy : str
        What to do about propensities that `fit` refuses, for the message.
    propensity_ : float64 array of shape (n_samples,), or None
        None where the design needs no propensity.
    matched_ : MatchedSample
    balance_ : DataFrame
    effective_sample_size_ : float64 array of shape (n_segments, 2)
    segment_labels_ : array of shape (n_segments,)
    score_notes_ : dict of segment label to str

    See Also
    --------
    PropensityMatcher : Nearest neighbours on the propensity score.
    segcate.effects.SegmentMatching : Effects per segment from a design.
    """

    __metadata_request__fit = DESIGN_REQUEST

    estimates_score: ClassVar[bool] = False
    propensity_remedy: ClassVar[str] = "drop them and say so"
    replacement: bool
    segment: Segment
    missing: str
    exact: Any = None
    segment_labels_: npt.NDArray[Any]
    _balance: Balance
    _sizes: Float
    _unmeasured: UnmeasuredBalance | None = None

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        treatment: Any = None,
        sample_weight: Any = None,
        propensity: Any = None,
    ) -> Self:
        """Match the treated rows of every segment with its control rows.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Covariates and the segment column.
        y : ignored
            Present for scikit-learn; the design does not look at outcomes.
        treatment : array-like of shape (n_samples,), values in {0, 1} or bool
            Arm of each row; 1 is treated.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0. Equal weights are none; whole numbers from 1 are counts of rows; of
            all others only ratios count; a row of weight 0 is not there.
        propensity : array-like of shape (n_samples,), values inside (0, 1), default=None
            Known or cross-fitted propensities; nothing is fitted then. 0 and 1 are taken with
            ``score_scale="probability"``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an input is missing, misaligned or out of range.
        OverlapError
            If a propensity model gives exactly 0 or 1 and log-odds are asked for.
        """
        owner = type(self).__name__
        self.check_parameters()
        check_same_index(
            owner, X=X, y=y, treatment=treatment, sample_weight=sample_weight,
            propensity=propensity,
        )  # fmt: skip
        data = check_design_data(
            self,
            X,
            treatment=treatment,
            segment=self.segment,
            sample_weight=sample_weight,
            propensity=propensity,
            takes_certain=self.takes_certain,
            propensity_remedy=self.propensity_remedy,
            allow_missing=True,
        )
        shares = missing_by_arm(data)
        data, filling = treat_missing(
            owner,
            data,
            self.missing,
            takes_missing=self.allows_missing(propensity is not None),
            skip=self.exact_positions(data),
            allowed=("auto", "indicator", "drop"),
        )
        self.adopt(self.match(present_rows(data), "att"), filling)
        self._missing_by_arm = shares
        return self

    def check_parameters(self) -> None:
        """Refuse parameters that no design can be made with, before any data are looked at."""
        raise NotImplementedError

    def match(self, data: DesignData, estimand: str) -> Design:
        """Find who is compared with whom, for an estimand; nothing is stored.

        Parameters
        ----------
        data : the checked input, rows of weight 0 left out
        estimand : {"att", "atc", "ate"}

        Returns
        -------
        Design
        """
        raise NotImplementedError

    def describe(self) -> str:
        """Say in one line how rows were matched."""
        raise NotImplementedError

    @property
    def takes_certain(self) -> bool:
        """Whether `fit` takes propensities of exactly 0 and 1."""
        return False

    def allows_missing(self, has_propensity: bool = False) -> bool:
        """Tell whether the design can be made with NaN in X, with propensities handed in or without."""
        return False

    def exact_positions(self, data: DesignData) -> list[int]:
        """Return the positions of the columns matched exactly; a gap there is a value of its own."""
        return exact_positions(type(self).__name__, data, self.exact)

    def adopt(self, design: Design, filling: Filling | None = None) -> None:
        """Keep what is worth looking at of a design.

        The balance table is made when it is first read; the covariates are kept until then.

        Parameters
        ----------
        design : from `match`
        filling : what was done about gaps in the covariates, default=None
        """
        data = design.data
        self.propensity_ = design.given_propensity()
        self.matched_ = design.given_sample()
        kinds = design.encoded.kinds
        self._columns = kinds if filling is None else filling.records(kinds)
        self.segment_labels_ = data.segment.labels
        self._filling = filling
        if filling is not None and filling.complete is not None:
            self.complete_rows_ = filling.complete
        labels = data.segment.labels.tolist()
        self.score_notes_ = {
            label: note for label, note in zip(labels, design.notes, strict=True) if note
        }
        self._unmeasured = unmeasured_balance(design)

    def adopt_sums(
        self,
        *,
        balance: Balance,
        sizes: Float,
        labels: npt.NDArray[Any],
        notes: dict[Any, str],
        columns: tuple[ColumnKind, ...],
        counted: dict[str, Any],
    ) -> None:
        """Keep what is known of a design that was made in parts: nothing that belongs to single rows.

        Parameters
        ----------
        balance, sizes : of the segments
        labels : of the segments
        notes : what is special about scores, by label
        columns : records of the columns
        counted : ``n_donors``, ``most_uses`` and ``reasons`` (rows without a match, by reason)
        """
        self._balance, self._sizes, self._unmeasured = balance, sizes, None
        self.segment_labels_, self.score_notes_ = labels, notes
        self._columns, self._filling = columns, None
        self._counted = counted

    def __getattr__(self, name: str) -> Any:
        """Say why there is nothing by row after a fit in parts."""
        if name in ("matched_", "propensity_") and "_counted" in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__} has no `{name}` after scale.fit, which keeps nothing by row. Fit a sample in "
                "memory to look at single rows."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def balance_(self) -> pd.DataFrame:
        """Balance of the arms before and after matching, one row a segment and covariate.

        Columns: weighted means after matching, standardised mean difference (`smd_*`; unit: standard
        deviation of the treated in the raw sample), variance ratio (treated over control; NaN for 0/1
        columns) and Kolmogorov-Smirnov distance, each `_before` and `_after` matching. The table is
        made when it, or the effective sample size, is first read; a stored matcher holds it.
        """
        self._measure()
        return self._balance.frame(self.segment_labels_.tolist())

    @property
    def effective_sample_size_(self) -> Float:
        """Rows of equal weight that the matched rows are worth, controls and treated by segment."""
        self._measure()
        return self._sizes

    def _measure(self) -> None:
        """Measure the balance unless it is there; the covariates are let go."""
        unmeasured = self._unmeasured
        if unmeasured is not None:
            self._balance, self._sizes = unmeasured.measure()
            self._unmeasured = None

    def __getstate__(self) -> Any:
        """Return what is stored: the balance table, and no covariates."""
        self._measure()
        return super().__getstate__()

    def __sklearn_tags__(self) -> Any:
        """X may hold strings and categories in a frame, and NaN where the design takes it."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.allows_missing() or self.missing != "auto"
        return tags
