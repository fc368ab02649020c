"""The fit, the tables and the predictions that all estimators of segment effects share."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from segcate._covariates.late_columns import check_late_columns
from segcate._covariates.missing import Filling, complete_data, missing_by_arm, treat_missing
from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import EffectData, check_effect_data
from segcate._inputs.features import check_features
from segcate._inputs.kinds import ColumnKind, with_note
from segcate._inputs.listing import first_few, listed
from segcate._inputs.parameters import check_count, check_in_unit_interval, check_option
from segcate._inputs.part_of_rows import is_fold_of_rows
from segcate._inputs.present_rows import present_rows
from segcate._inputs.routing import refuse_positional
from segcate._inputs.segments import Segment, code_segments
from segcate.base import EffectEstimatorMixin
from segcate.effects._curved.reweighted import Reweighted
from segcate.effects._curved.row_scores import Weighted
from segcate.effects._table.effect_table import EffectTable, SegmentContrasts
from segcate.effects._table.heterogeneity import Heterogeneity
from segcate.effects._table.imputed import combine_tables
from segcate.effects._table.pool import pool
from segcate.effects._table.second_estimate import SecondEstimate, second_estimate
from segcate.effects._table.segment_estimate import FEWEST_GROUPS, SegmentEstimate
from segcate.effects._table.summary import Described, summary_text
from segcate.effects._thin_segments import (
    FEWEST_PER_ARM,
    MergedSegments,
    merge_thin,
    with_remark,
)
from segcate.effects._ways_out import ways_out
from segcate.exceptions import EmptySegmentError, SegcateWarning

ESTIMANDS = ("att", "atc", "ate")


@dataclass(frozen=True, slots=True)
class Preparation:
    """How the data were changed before the estimates.

    Attributes
    ----------
    merged : segments that were merged into others
    filling : what was done about gaps in the covariates; None where there was nothing to do
    missing_by_arm : share of missing values in each arm, by column
    allows_missing : whether `predict` takes rows with gaps
    """

    merged: MergedSegments
    filling: Filling | None
    missing_by_arm: dict[str, list[float]]
    allows_missing: bool

    def tell(self, data: EffectData, estimates: Sequence[SegmentEstimate]) -> list[SegmentEstimate]:
        """Add to the status of each segment what was done to it."""
        found = self.merged.tell(data.segment.labels, list(estimates))
        remarks = [] if self.filling is None else self.filling.remarks()
        if not remarks:
            return found
        return [
            with_remark(estimate, remark) if remark and estimate.is_estimated else estimate
            for estimate, remark in zip(found, remarks, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Estimated:
    """The segments of one data set, estimated.

    Attributes
    ----------
    estimates : one a segment, in label order
    kinds : what the columns of X were taken as
    details : what else the estimator keeps
    weighted : the effects by exact weights, where they have such
    second : how far the effects are from those by other weights; None where there are none
    """

    estimates: Sequence[SegmentEstimate]
    kinds: tuple[ColumnKind, ...]
    details: Any = None
    second: Reweighted | None = None
    weighted: Weighted | None = None


class SegmentEffectsMixin(EffectEstimatorMixin):
    """Fit, tables and predictions of an estimator of segment effects.

    An estimator says in `_check_parameters` what its parameters may be, in `_plan` how it estimates,
    in `_estimate` what it finds in each segment, in `_keep` what it stores beside the tables, and in
    `_describe` how its summary begins and ends.

    Attributes
    ----------
    estimand : str
    segment : "auto", str, int or None
    confidence_level : float in (0, 1)
    on_empty : {"raise", "nan", "overall"}
    effects_ : DataFrame, one row a segment
    overall_ : Series
    heterogeneity_ : Heterogeneity
    segment_labels_ : array of shape (n_segments,)
    merged_segments_ : dict
    second_estimate_ : SecondEstimate or None
    complete_rows_ : intp array, with ``missing="drop"`` where rows were left out
        Positions in X of the rows that were used.
    """

    # What else may help a segment of too few rows, for the error message.
    _remedy: ClassVar[str] = ""
    # Whether `compare_estimators` asks what each row adds to the errors.
    _keeps_row_scores = False

    estimand: str
    inference: str = "population"
    random_state: Any
    segment: Segment
    confidence_level: float
    on_empty: str
    min_per_arm: int | None
    missing: str
    segment_labels_: npt.NDArray[Any]
    second_estimate_: SecondEstimate | None
    _row_scores: Float | None
    _table: EffectTable

    def fit(
        self,
        X: Any,
        y: Any,
        *more: Any,
        treatment: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        propensity: Any = None,
    ) -> Self:
        """Estimate the effect of every segment.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Covariates and the segment column. A model handed in gets the covariates as they came, so
            encode or impute in a pipeline; what we fit ourselves does with strings.
        y : array-like of shape (n_samples,)
            Outcome, 0/1 or measured.
        *more
            Nothing. Arguments after y go by name, as `treatment=`; others are refused.
        treatment : array-like of shape (n_samples,), values in {0, 1} or bool
            Arm of each row; 1 is treated.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0, of the rows in models, regressions, matched sets (only with
            replacement) and in the mean over the segment. Equal weights are none; whole numbers from
            1 are counts of rows; of all others only ratios count; a row of weight 0 is not there.
        groups : array-like of shape (n_samples,), default=None
            Clusters of dependent rows (schools, households), for the standard error and for folds.
        propensity : array-like of shape (n_samples,), values inside (0, 1), default=None
            Known or cross-fitted propensities, used as they are; no model of the treatment is fitted
            then. `SegmentMatching` takes 0 and 1 with ``score_scale="probability"``. A regression
            has no need of it and only checks it, so that different estimators can stand in one
            search.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an input or parameter is missing, misaligned or out of range, if no standard error
            is valid for the design, or if there are too few rows or groups for folds.
        TypeError
            If a matcher or a model is not an estimator of the kind needed.
        OverlapError
            If a column of X decides the treatment and no `propensity` is given, or if a modelled
            chance of treatment is exactly 0 or 1 and nothing is clipped.
        EmptySegmentError
            If a segment has no estimate and ``on_empty="raise"``.

        Warns
        -----
        SegcateWarning
            If modelled chances of treatment were clipped, there are fewer than 30 `groups`, or X has
            columns that were probably measured after the treatment.
        """
        refuse_positional(type(self).__name__, more)
        return self._fit_effects(
            X, y, treatment=treatment, sample_weight=sample_weight, groups=groups,
            propensity=propensity,
        )  # fmt: skip

    @property
    def _leaves_out_rows(self) -> bool:
        """Tell whether rows of weight 0 are left out before anything is estimated."""
        return True

    def _fit_effects(self, X: Any, y: Any, **given: Any) -> Self:
        """Check, estimate (each imputation on its own), refuse empty segments, pool and store.

        Warnings point at who called `fit`.
        """
        owner = type(self).__name__
        self._check_parameters(owner)
        given |= self._propensity_rules()
        data = check_effect_data(self, X, y, segment=self.segment, allow_missing=True, **given)
        data, prepared = self._prepare(owner, data)
        if self._leaves_out_rows:
            data = present_rows(data)
        plan = self._plan(owner, data)
        late_columns = check_late_columns(owner, data)
        found = [
            self._estimate_once(owner, one, plan, prepared, outcome=_name_of(y))
            for one in complete_data(data, prepared.filling, self._imputation_seed(plan))
        ]
        first = found[0][0]
        self._keep(data, plan, first, prepared.filling)
        if data.groups is not None:
            _warn_of_few_groups(owner, data.groups)
        self.late_columns_ = late_columns
        kinds = tuple(
            with_note(kind, late_columns[kind.name]) if kind.name in late_columns else kind
            for kind in first.kinds
        )
        self._store_effects(data, combine_tables([t for _, t in found]), prepared, kinds)
        if self._keeps_row_scores and first.weighted is not None:
            self._row_scores = first.weighted.row_scores()
        self.second_estimate_ = second_estimate(self._table, [one.second for one, _ in found])
        return self

    def _estimate_once(
        self, owner: str, data: EffectData, plan: Any, prepared: Preparation, outcome: str
    ) -> tuple[Estimated, EffectTable]:
        """Estimate, and pool, the data or one imputation of them."""
        found = self._estimate(owner, data, plan)
        estimates = prepared.tell(data, found.estimates)
        self._refuse_estimates(owner, data, plan, estimates)
        table = pool(
            estimates,
            data.segment.labels,
            inference=self.inference,
            confidence_level=self.confidence_level,
            estimand=self.estimand,
            outcome=outcome,
            n_groups=0 if data.groups is None else int(data.groups.max()) + 1,
        )
        return found, table

    def _check_parameters(self, owner: str) -> None:
        """Raise where a parameter is out of range."""
        raise NotImplementedError

    def _propensity_rules(self) -> dict[str, Any]:
        """Return keywords of `check_effect_data` for propensities that are handed in."""
        return {}

    def _uncompared_columns(self, data: EffectData) -> list[int]:
        """Return positions of columns whose gaps need no filling."""
        return []

    def _plan(self, owner: str, data: EffectData) -> Any:
        """Say how the effects and their standard errors are estimated, before any is."""
        raise NotImplementedError

    def _imputation_seed(self, plan: Any) -> Any:
        """Return what imputations are drawn with."""
        return self.random_state

    def _estimate(self, owner: str, data: EffectData, plan: Any) -> Estimated:
        """Estimate the effect of every segment."""
        raise NotImplementedError

    def _keep(self, data: EffectData, plan: Any, found: Estimated, filling: Filling | None) -> None:
        """Store what is this estimator's own; `fit` is three calls above."""
        raise NotImplementedError

    def _takes_missing(self, has_propensity: bool) -> bool:
        """Tell whether the models in use can be fitted with NaN in X."""
        return False

    def __sklearn_tags__(self) -> Any:
        """X may hold strings and categories in a frame, and NaN where it is said what it means."""
        tags = super().__sklearn_tags__()
        takes = self._takes_missing(has_propensity=False)
        tags.input_tags.allow_nan = takes or self.missing != "auto"
        return tags

    def predict(self, X: Any) -> Float:
        """Return the effect of the segment of each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            With the columns of `fit`; only the segment is read.

        Returns
        -------
        effect : float64 array of shape (n_samples,), in units of y

        Raises
        ------
        EmptySegmentError
            If a row's segment was not seen in `fit`, or has no estimate, and ``on_empty="raise"``.

        Warns
        -----
        SegcateWarning
            If a row's segment was not seen in `fit`: it gets NaN with ``on_empty="nan"``, everyone's
            effect with ``on_empty="overall"``.
        """
        check_is_fitted(self)
        owner = type(self).__name__
        X = check_features(
            self,
            X,
            reset=False,
            allow_missing=self._allows_missing,
            segment=self._segment_position,
        )
        if self._segment_position is None:
            return np.full(frames.n_rows(X), self._filled_effects()[0])
        found = code_segments(owner, X, self._segment_position, may_look_like_ids=True)
        place = {label: i for i, label in enumerate(self.segment_labels_.tolist())}
        place |= {label: place[into] for label, into in self.merged_segments_.items()}
        at = np.array([place.get(label, -1) for label in found.labels.tolist()], dtype=np.intp)
        unseen = [label for label, i in zip(found.labels.tolist(), at, strict=True) if i < 0]
        if unseen:
            self._tell_unseen(at[found.codes] < 0, unseen, place)
        beyond = self._table.overall.effect if self.on_empty == "overall" else np.nan
        effects = np.append(self._filled_effects(), beyond)
        return np.asarray(effects[at][found.codes])

    def _tell_unseen(
        self, is_unseen: npt.NDArray[np.bool_], unseen: Sequence[Any], known: Any
    ) -> None:
        """Refuse rows of segments that the fit did not see, or warn of what they get."""
        owner = f"{type(self).__name__}.predict"
        if self.on_empty == "raise":
            raise EmptySegmentError(
                f"{owner}: segments {listed(unseen)} were not seen in fit, which knew "
                f"{listed(known)}. Set on_empty='nan' or 'overall', or fit on rows of every segment."
            )
        gets = "everyone's effect" if self.on_empty == "overall" else "NaN"
        warnings.warn(
            f"{owner}: {int(is_unseen.sum())} of {len(is_unseen)} rows get {gets}: segments "
            f"{listed(unseen)} were not seen in fit, which knew {listed(known)}.",
            SegcateWarning,
            stacklevel=3,
        )

    def summary(self) -> str:
        """Describe design, effects, heterogeneity and weak points as text."""
        check_is_fitted(self)
        above, below = self._describe()
        if self.second_estimate_ is not None:
            below = [("Second estimate", self.second_estimate_.describe()), *below]
        if self._merge_remarks:
            below = [*below, ("Merged", "; ".join(self._merge_remarks))]
        if self._filling is not None:
            below = [*below, ("Missing", self._filling.describe())]
        return summary_text(self, above, below)

    def contrasts(self, matrix: Any = None) -> SegmentContrasts:
        """Compare segments with each other.

        Parameters
        ----------
        matrix : array-like of shape (n_contrasts, n_segments), mapping or list of mappings
            Coefficients of each combination, segments in the order of `effects_`, or as
            ``{label: coefficient}``; None (default): all pairwise differences.

        Returns
        -------
        SegmentContrasts
            `table` with Holm-adjusted p-values, and `joint`, a Wald test of all at once.
        """
        check_is_fitted(self)
        return self._table.contrasts(matrix)

    @property
    def effects_(self) -> pd.DataFrame:
        """Table of effects, one row a segment."""
        return self._table.frame(fill_overall=self.on_empty == "overall")

    @property
    def effect_table_(self) -> EffectTable:
        """The effects with all that tests, pooling and comparisons with other fits need."""
        return self._table

    @property
    def overall_(self) -> pd.Series[Any]:
        """The effect for everyone."""
        return self._table.overall_row()

    @property
    def heterogeneity_(self) -> Heterogeneity:
        """Cochran's Q over the segments, its p-value, tau^2."""
        return self._table.heterogeneity()

    def _describe(self) -> tuple[Described, Described]:
        """Name what stands above the summary's table, and what below."""
        raise NotImplementedError

    def _check_shared_parameters(self, owner: str, estimands: Sequence[str] = ESTIMANDS) -> None:
        """Check the parameters that all estimators of segment effects have."""
        check_option(owner, "estimand", self.estimand, estimands)
        check_option(owner, "on_empty", self.on_empty, ("raise", "nan", "overall"))
        check_in_unit_interval(owner, "confidence_level", self.confidence_level)
        check_count(owner, "min_per_arm", self.min_per_arm, 2, optional=True)

    def _prepare(self, owner: str, data: EffectData) -> tuple[EffectData, Preparation]:
        """Merge thin segments, and do about gaps in the covariates what `missing` says.

        Rows are left out before segments are counted. Gaps are filled with the means of segments
        after merging.
        """
        shares = missing_by_arm(data)
        takes_missing = self._takes_missing(has_propensity=data.propensity is not None)
        gaps: dict[str, Any] = {
            "takes_missing": takes_missing,
            "skip": self._uncompared_columns(data),
        }
        filling = None
        if self.missing == "drop":
            data, filling = treat_missing(owner, data, self.missing, **gaps)
        data, merged = merge_thin(data, self.min_per_arm)
        if self.missing != "drop":
            data, filling = treat_missing(owner, data, self.missing, **gaps)
        return data, Preparation(merged, filling, shares, takes_missing or self.missing != "auto")

    @property
    def _fewest_rows(self) -> int:
        """Rows of each arm that an estimate needs; a smaller `min_per_arm` asks for less."""
        least = FEWEST_PER_ARM if self.min_per_arm is None else int(self.min_per_arm)
        return min(FEWEST_PER_ARM, least)

    def _refuse_estimates(
        self, owner: str, data: EffectData, plan: Any, estimates: Sequence[SegmentEstimate]
    ) -> None:
        """Raise where the estimates cannot be used."""
        self._refuse_empty(owner, data, estimates)

    def _refuse_empty(
        self, owner: str, data: EffectData, estimates: Sequence[SegmentEstimate]
    ) -> None:
        """Raise where segments have no estimate and `on_empty`, or their number, does not allow it."""
        empty = [
            (label, e)
            for label, e in zip(data.segment.labels.tolist(), estimates, strict=True)
            if not e.is_estimated
        ]
        gaps = [f"segment {label!r}: {e.status}" + _counted_arms(e) for label, e in empty]
        if gaps and (self.on_empty == "raise" or len(gaps) == len(estimates)):
            ways = ways_out(owner, [e.status for _, e in empty], len(estimates), self._remedy)
            raise EmptySegmentError(
                f"{owner}: {len(gaps)} of {len(estimates)} segments have no estimate: "
                f"{first_few(gaps, separator='; ')} (n_samples={data.n_rows}). {ways}."
            )

    def _store_effects(
        self,
        data: EffectData,
        table: EffectTable,
        prepared: Preparation,
        kinds: tuple[ColumnKind, ...],
    ) -> None:
        """Keep the table, and what `predict` must know to find a row's segment."""
        self.segment_labels_ = data.segment.labels
        self.merged_segments_ = prepared.merged.into
        self._merge_remarks = list(prepared.merged.remarks.values())
        self._filling = prepared.filling
        self._missing_by_arm = prepared.missing_by_arm
        self._columns = kinds if prepared.filling is None else prepared.filling.records(kinds)
        if prepared.filling is not None and prepared.filling.complete is not None:
            self.complete_rows_ = prepared.filling.complete
        self._segment_position = data.segment.position
        self._allows_missing = prepared.allows_missing or prepared.filling is not None
        self._table = table

    def _filled_effects(self) -> Float:
        """Effects, gaps filled with the overall one where `on_empty` says so."""
        table = self._table
        if self.on_empty == "overall":
            return np.where(table.is_estimated, table.effect, table.overall.effect)
        return table.effect


def _name_of(y: Any) -> str:
    """Return the name of the outcome; "" where it has none."""
    name = getattr(y, "name", None)
    return name if isinstance(name, str) else ""


def _counted_arms(estimate: SegmentEstimate) -> str:
    """Count the rows of each arm, where the status does not say so itself."""
    if " treated, " in estimate.status:
        return ""
    return f" ({estimate.n_treated} treated, {estimate.n_control} control)"


def _warn_of_few_groups(owner: str, groups: npt.NDArray[np.intp]) -> None:
    """Warn where standard errors come from too few groups; `fit` is two calls above."""
    n_groups = int(groups.max()) + 1
    if n_groups < FEWEST_GROUPS and not is_fold_of_rows():
        warnings.warn(
            f"{owner}: standard errors clustered by {n_groups} groups run low below {FEWEST_GROUPS}, where the groups "
            "differ in size or in what they were given. Read the intervals as rough.",
            SegcateWarning,
            stacklevel=4,
        )
