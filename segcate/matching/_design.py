"""A design: who is compared with whom, and all that an effect needs beside y. No outcome is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import DesignData
from segcate._inputs.encoding import EncodedColumns, encode_columns
from segcate._inputs.weights import mass_in_rows
from segcate.matching._calipers import (
    RowStatus,
    caliper_widths,
    say_why_unmatched,
    score_deviations,
)
from segcate.matching._cell_order import sort_rows
from segcate.matching._cells import cells_of, exact_codes, exact_positions
from segcate.matching._matched_sets import PositionedRows, matched_sets, point_ranks
from segcate.matching._model_columns import ModelColumns, model_columns, noted
from segcate.matching._options import MatchingOptions, neighbors_for
from segcate.matching._propensity import (
    PropensityFit,
    ScoreOptions,
    check_scores,
    fit_propensity,
)
from segcate.matching._sample import MatchedSample
from segcate.matching._support import FOCAL_ARMS, LevelSupport, level_support, outside_support
from segcate.matching._window_sums import count_uses

Index = npt.NDArray[np.int32]

_NONE = np.empty(0)
_NO_DONORS = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Covariates:
    """What rows are compared on, before anybody is matched.

    Attributes
    ----------
    data : the checked input
    exact : intp array of shape (n_rows,), codes of the exact columns; None where there are none
    encoded : covariates as numbers
    columns : covariates as our own models take them
    support : sparse categories, and rows whose level has no donor
    counts : int64 array of shape (n_segments, 2)
        Rows of each segment in the control and the treated arm.
    """

    data: DesignData
    exact: Int | None
    encoded: EncodedColumns
    columns: ModelColumns
    support: LevelSupport
    counts: npt.NDArray[np.int64]

    @property
    def has_both_arms(self) -> npt.NDArray[np.bool_]:
        """Mark the segments that have rows of both arms."""
        return np.asarray((self.counts > 0).all(axis=1))


def design_covariates(owner: str, data: DesignData, exact: Any, estimand: str) -> Covariates:
    """Encode the covariates, without the exact columns, and find levels without a donor."""
    positions = exact_positions(owner, data, exact)
    codes = exact_codes(owner, data, positions)
    encoded = encode_columns(
        data.X, [i for i in data.covariates if i not in positions], owner=owner
    )
    columns = model_columns(encoded)
    support = level_support(data, columns, estimand)
    if data.propensity is not None:
        support = support.ignored()
    counts = np.bincount(
        2 * data.segment.codes + data.treatment, minlength=2 * data.segment.n_segments
    ).reshape(-1, 2)
    return Covariates(data, codes, noted(encoded, columns), columns, support, counts)


@dataclass(frozen=True, slots=True)
class Design:
    """A matched sample with everything that an effect and its standard error need beside y.

    Attributes
    ----------
    estimand : "att", "atc" or "ate"
    covariates : what rows were compared on
    sample : who is matched with whom
    propensity : how the score came about; None where there is none
    notes : one text a segment, what is special about its score or distance; empty for nothing
    """

    estimand: str
    covariates: Covariates
    sample: MatchedSample
    propensity: PropensityFit | None
    notes: tuple[str, ...]

    @property
    def data(self) -> DesignData:
        """The checked input."""
        return self.covariates.data

    @property
    def encoded(self) -> EncodedColumns:
        """Covariates as numbers."""
        return self.covariates.encoded

    @property
    def columns(self) -> ModelColumns:
        """Covariates as our own models take them."""
        return self.covariates.columns

    @property
    def support(self) -> LevelSupport:
        """Sparse categories, and rows whose level has no donor."""
        return self.covariates.support

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each segment in the control and the treated arm."""
        return self.covariates.counts

    def given_propensity(self) -> Float | None:
        """Return the propensity of every row that was given; NaN in rows of weight 0."""
        if self.propensity is None:
            return None
        given, values = self.data.given, self.propensity.propensity
        return values if given is None else given.spread(values, np.nan)

    def given_sample(self) -> MatchedSample:
        """Return the matched sample by the rows that were given, rows of weight 0 among them."""
        given, sample = self.data.given, self.sample
        if given is None:
            return sample
        return replace(
            sample,
            order=given.kept[sample.order].astype(np.int32),
            status=given.spread(sample.status, RowStatus.ZERO_WEIGHT),
            ids=_row_ids(given.X),
        )


@dataclass(frozen=True, slots=True)
class Space:
    """Where rows lie: they are as far apart as their points, or as their scores without points.

    Attributes
    ----------
    score : float64 array of shape (n_rows,), or None
        What the caliper limits; NaN in segments without both arms. None where nobody asks for it.
    propensity : how the score came about; None where there is none
    notes : one text a segment
    points : float64 array of shape (n_rows, n_coordinates), or None
    """

    score: Float | None
    propensity: PropensityFit | None
    notes: tuple[str, ...]
    points: Float | None = None


def score_space(owner: str, covariates: Covariates, options: ScoreOptions) -> Space:
    """Make the propensity, and place rows by it on the scale asked for."""
    data = covariates.data
    fit = fit_propensity(
        owner,
        data,
        covariates.encoded,
        covariates.columns,
        covariates.support.sparse,
        options,
    )
    score = fit.linear if options.score_scale == "logit" else fit.propensity
    check_scores(owner, score, fit.propensity, covariates.has_both_arms, data.segment.codes)
    return Space(score, fit, fit.notes)


def nearest_design(covariates: Covariates, space: Space, options: MatchingOptions) -> Design:
    """Match every focal row with its nearest neighbours inside its cell."""
    data = covariates.data
    n_segments = data.segment.n_segments
    status, score = _first_status(covariates, space.score, options)
    cell, cell_segment = cells_of(data.segment.codes, n_segments, covariates.exact)
    left_out = status > RowStatus.NOT_FOCAL
    if left_out.any():
        cell = np.where(left_out, -1, cell)
    key = score if space.points is None else point_ranks(space.points, score)
    order, bounds = sort_rows(cell, len(cell_segment), data.treatment, key)
    weight = None if data.sample_weight is None else data.sample_weight[order]
    score = score[order]
    caliper, deviation = _widths(score, data, weight, order, bounds, cell_segment, options)
    points = None if space.points is None else space.points[order]
    tolerance = options.tie_tolerance * deviation[cell_segment] ** 2
    if points is not None:
        tolerance = np.full(len(cell_segment), options.tie_tolerance)
    places = None if weight is None else _places(data, weight, order)
    sets = PositionedRows(score, points, order, bounds, caliper[cell_segment], tolerance, places)
    start, stop, donors = matched_sets(sets, options)
    own = _NONE if weight is None else weight
    uses, squares = count_uses(
        start, stop, _NO_DONORS if donors is None else donors, own, own, len(order)
    )
    say_why_unmatched(
        status, order, bounds, start, stop, score, sets.sorted_score, caliper[cell_segment],
        options.replacement, FOCAL_ARMS[options.estimand],
    )  # fmt: skip
    sample = MatchedSample(
        order, bounds, cell_segment, None if space.score is None else score, start, stop, donors,
        uses, squares, status, _most_neighbors(options, bounds), options.replacement, caliper, tolerance, weight,
        _row_ids(data.X), covariates.support.names, points,
    )  # fmt: skip
    return Design(options.estimand, covariates, sample, space.propensity, space.notes)


def _most_neighbors(options: MatchingOptions, bounds: npt.NDArray[np.int64]) -> int:
    """Return the neighbours asked for; of a number that follows from the donors the largest."""
    if options.n_neighbors is not None:
        return options.n_neighbors
    return neighbors_for(float(np.diff(bounds).max(initial=1)))


def _first_status(
    covariates: Covariates, score: Float | None, options: MatchingOptions
) -> tuple[npt.NDArray[np.int8], Float]:
    """Mark rows that do not take part: no score or donor level, outside common support.

    Returns the scores too, 0 where there are none.
    """
    data, support = covariates.data, covariates.support
    focal = np.array(FOCAL_ARMS[options.estimand])
    by_arm = np.where(focal, RowStatus.MATCHED, RowStatus.NOT_FOCAL).astype(np.int8)
    status: npt.NDArray[np.int8] = by_arm[data.treatment]
    if score is None:
        score = np.zeros(data.n_rows)
    elif (no_score := np.isnan(score)).any():
        score = np.where(no_score, 0.0, score)
        status[no_score & focal[data.treatment]] = RowStatus.NO_DONOR
    lonely = support.category >= 0
    if lonely.any():
        status[lonely] = RowStatus.NO_LEVEL + support.category[lonely]
    if options.common_support is not None:
        status[outside_support(data, score, options.common_support)] = RowStatus.OUTSIDE_SUPPORT
    return status, score


def _widths(
    score: Float,
    data: DesignData,
    weight: Float | None,
    order: Index,
    bounds: npt.NDArray[np.int64],
    cell_segment: Int,
    options: MatchingOptions,
) -> tuple[Float, Float]:
    """Return the caliper of each segment, and the standard deviation of its score where it is asked for."""
    n_segments = data.segment.n_segments
    deviation = np.zeros(n_segments)
    if options.caliper is not None or options.tie_tolerance > 0:
        codes = data.segment.codes
        mass = None if weight is None else mass_in_rows(weight, codes[order], n_segments)
        deviation = score_deviations(score, mass, bounds, cell_segment, n_segments)
    return caliper_widths(options.caliper, options.caliper_scale, deviation), deviation


def _places(data: DesignData, weight: Float, order: Index) -> Float:
    """Return how many places of `n_neighbors` a row fills: sampling weights relative to its arm."""
    key = 2 * data.segment.codes[order] + data.treatment[order]
    return mass_in_rows(weight, key, 2 * data.segment.n_segments)


def _row_ids(X: Any) -> npt.NDArray[Any] | None:
    """Return the index labels of X, None where rows are simply numbered."""
    index = frames.index_of(X)
    if index is None or (index.dtype.kind in "iu" and index.equals(type(index)(range(len(index))))):
        return None
    return np.asarray(index)
