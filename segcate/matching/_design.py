"""The design stage in one pass: propensity, score, caliper, matched sets. No outcome is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.effect_data import EffectData
from segcate._inputs.encoding import EncodedColumns, encode_columns
from segcate._inputs.labels import label_values
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_option
from segcate._inputs.weights import mass_in_rows
from segcate._kernels import kernel
from segcate.matching import _sample
from segcate.matching._cell_order import sort_rows
from segcate.matching._greedy import ORDERS, match_without_replacement
from segcate.matching._model_columns import ModelColumns, model_columns, noted
from segcate.matching._nearest import count_uses, match_with_replacement
from segcate.matching._propensity import (
    PropensityFit,
    check_scores,
    classifier_propensity,
    given_propensity,
    logit_propensity,
)
from segcate.matching._sample import MatchedSample
from segcate.matching._support import FOCAL_ARMS, LevelSupport, level_support

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.intp]

_NONE = np.empty(0)
_NO_DONORS = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class MatchingOptions:
    """How to match: the parameters of a PropensityMatcher, and the estimand."""

    estimator: Any = None
    n_neighbors: int = 3
    replacement: bool = True
    caliper: float | None = None
    caliper_scale: str = "sd"
    score_scale: str = "logit"
    pool_propensity: bool = False
    order: str = "largest"
    exact: Any = None
    common_support: str | None = None
    n_jobs: int | None = None
    priority: Float | None = None
    estimand: str = "att"
    tie_tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Design:
    """A matched sample with everything that an effect and its standard error need beside y.

    Attributes
    ----------
    data : the checked input
    encoded : covariates as numbers
    columns : covariates as our own models take them
    support : sparse categories, and rows whose level has no donor
    propensity : how the score came about
    sample : who is matched with whom
    counts : int64 array of shape (n_segments, 2)
        Rows of each segment in the control and the treated arm.
    """

    data: EffectData
    encoded: EncodedColumns
    columns: ModelColumns
    support: LevelSupport
    propensity: PropensityFit
    sample: MatchedSample
    counts: npt.NDArray[np.int64]


def check_matching_options(owner: str, options: MatchingOptions) -> None:
    """Refuse values that no matching can work with."""
    k = options.n_neighbors
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"{owner}: `n_neighbors` must be an integer of at least 1; got {k!r}.")
    check_option(owner, "replacement", options.replacement, (True, False))
    check_option(owner, "pool_propensity", options.pool_propensity, (True, False))
    check_option(owner, "caliper_scale", options.caliper_scale, ("sd", "raw"))
    check_option(owner, "score_scale", options.score_scale, ("logit", "probability"))
    check_option(owner, "order", options.order, ORDERS)
    check_option(
        owner, "common_support", options.common_support, (None, "treated", "control", "both")
    )
    width = options.caliper
    if width is not None and (
        isinstance(width, bool)
        or not isinstance(width, int | float | np.number)
        or not 0 <= width < np.inf
    ):
        raise ValueError(
            f"{owner}: `caliper` must be None or a number of at least 0 (in standard deviations of the score, or in "
            f"its own units with caliper_scale='raw'); got {width!r}."
        )
    if options.estimand == "ate" and not options.replacement:
        raise ValueError(
            f"{owner}: estimand='ate' needs `replacement=True`: without replacement the treated and the controls "
            "would compete for each other. Use 'att' or 'atc', or match with replacement."
        )


def make_design(owner: str, data: EffectData, options: MatchingOptions) -> Design:
    """Match every focal row inside its segment.

    Parameters
    ----------
    owner : name of the estimator, for messages
    data : the checked input; its `y` is not looked at
    options : how to match
    """
    check_matching_options(owner, options)
    exact, covariates = _split_exact(owner, data, options.exact)
    encoded = encode_columns(data.X, covariates, owner=owner)
    columns = model_columns(encoded)
    encoded = noted(encoded, columns)
    support = level_support(data, columns, options.estimand)
    if data.propensity is not None:
        support = support.ignored()
    propensity = _fit_propensity(owner, data, encoded, columns, support.sparse, options)
    score = propensity.linear if options.score_scale == "logit" else propensity.propensity
    counts = np.bincount(
        2 * data.segment.codes + data.treatment, minlength=2 * data.segment.n_segments
    ).reshape(-1, 2)
    mixed: npt.NDArray[np.bool_] = np.asarray((counts > 0).all(axis=1))
    check_scores(owner, score, propensity.propensity, mixed, data.segment.codes)
    sample = _match(data, score, exact, support, options)
    return Design(data, encoded, columns, support, propensity, sample, counts)


def _split_exact(owner: str, data: EffectData, exact: Any) -> tuple[Int | None, list[int]]:
    """Code the combinations of the exact columns; return them and the columns left as covariates."""
    if exact is None:
        return None, data.covariates
    positions = exact_positions(owner, data, exact)
    codes = np.zeros(data.n_rows, dtype=np.intp)
    for position in positions:
        part, levels = frames.sorted_codes(label_values(owner, data.X, position))
        codes = codes * len(levels) + part
        codes = np.unique(codes, return_inverse=True)[1]
    return codes, [i for i in data.covariates if i not in positions]


def exact_positions(owner: str, data: EffectData, exact: Any) -> list[int]:
    """Resolve the columns of `exact`, names or positions, to positions in X."""
    names = frames.column_names(data.X)
    n_columns = data.X.shape[1]
    known = "X is an array without names" if names is None else f"its columns are {listed(names)}"
    is_one = isinstance(exact, str | int | np.integer)
    if not is_one and not isinstance(exact, list | tuple | np.ndarray | pd.Index):
        raise TypeError(
            f"{owner}: `exact` must be None, a column or a list of columns (names or positions); got {exact!r}."
        )
    positions = []
    for column in [exact] if is_one else exact:
        if isinstance(column, str) and names is not None and column in names:
            positions.append(names.index(column))
        elif (
            isinstance(column, int | np.integer)
            and not isinstance(column, bool)
            and -n_columns <= column < n_columns
        ):
            positions.append(int(column) % n_columns)
        else:
            raise ValueError(
                f"{owner}: X has no column {column!r} for `exact`; {known}, {n_columns} in all. Name columns of X, "
                "or give their positions."
            )
    return positions


def _fit_propensity(
    owner: str,
    data: EffectData,
    encoded: EncodedColumns,
    columns: ModelColumns,
    sparse: npt.NDArray[np.bool_],
    options: MatchingOptions,
) -> PropensityFit:
    if data.propensity is not None:
        return given_propensity(data.propensity, data.segment.n_segments)
    if columns.values.shape[1] == 0:
        raise ValueError(
            f"{owner}: X has no covariates beside the segment{_left_out(encoded)}, so there is nothing to fit a "
            "propensity on. Keep the covariates in X (segmenters pass them through), or hand in `propensity=`."
        )
    rows_of = rows_by_code(data.segment.codes, data.segment.n_segments)
    if options.estimator is not None:
        return classifier_propensity(
            owner,
            options.estimator,
            data,
            rows_of,
            pooled=options.pool_propensity,
            n_jobs=options.n_jobs,
        )
    return logit_propensity(
        data, columns, sparse, rows_of, pooled=options.pool_propensity, n_jobs=options.n_jobs
    )


def _left_out(encoded: EncodedColumns) -> str:
    """Name the columns of X that say nothing, to follow "X has no covariates"."""
    found = ", ".join(f"{kind.name!r} ({kind.note})" for kind in encoded.kinds[:5])
    return f" that say anything (left out: {found})" if found else ""


def rows_by_code(codes: Int, n_codes: int) -> Sequence[Int]:
    """Return the rows of each code, ascending."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.searchsorted(codes[order], np.arange(1, n_codes)))


def _match(
    data: EffectData,
    score: Float,
    exact: Int | None,
    support: LevelSupport,
    options: MatchingOptions,
) -> MatchedSample:
    """Form cells, apply support and caliper, and match."""
    codes, n_segments = data.segment.codes, data.segment.n_segments
    no_score = np.isnan(score)  # in segments without both arms
    if no_score.any():
        score = np.where(no_score, 0.0, score)
    status = _first_status(data, score, no_score, support, options)
    if exact is None:
        cell, cell_segment = codes, np.arange(n_segments, dtype=np.intp)
    else:
        combined, cell = np.unique(codes * (int(exact.max()) + 1) + exact, return_inverse=True)
        cell_segment = (combined // (int(exact.max()) + 1)).astype(np.intp)
    left_out = status > _sample.NOT_FOCAL
    if left_out.any():
        cell = np.where(left_out, -1, cell)
    order, bounds = sort_rows(cell, len(cell_segment), data.treatment, score)
    sorted_score = score[order]
    weight = None if data.sample_weight is None else data.sample_weight[order]
    mass = None if weight is None else mass_in_rows(weight, codes[order], n_segments)
    caliper, deviation = _caliper_width(
        sorted_score, mass, bounds, cell_segment, n_segments, options
    )
    tolerance = options.tie_tolerance * deviation[cell_segment] ** 2
    start, stop, donors = _matched_sets(
        sorted_score,
        order,
        bounds,
        caliper[cell_segment],
        tolerance,
        None if weight is None else _places(data, weight, order),
        options,
    )
    uses, squares = count_uses(
        start,
        stop,
        _NO_DONORS if donors is None else donors,
        _NONE if weight is None else weight,
        _NONE if weight is None else weight,
        len(order),
    )
    _say_why_unmatched(
        status,
        order,
        bounds,
        start,
        stop,
        sorted_score,
        caliper[cell_segment],
        options.replacement,
        np.array(FOCAL_ARMS[options.estimand]),
    )
    return MatchedSample(
        order,
        bounds,
        cell_segment,
        sorted_score,
        start,
        stop,
        donors,
        uses,
        squares,
        status,
        int(options.n_neighbors),
        bool(options.replacement),
        caliper,
        tolerance,
        weight,
        row_ids(data.X),
        support.names,
    )


def _places(data: EffectData, weight: Float, order: npt.NDArray[np.int32]) -> Float:
    """Return how many places of `n_neighbors` a row fills: sampling weights relative to its arm."""
    key = 2 * data.segment.codes[order] + data.treatment[order]
    return mass_in_rows(weight, key, 2 * data.segment.n_segments)


def _matched_sets(
    score: Float,
    order: npt.NDArray[np.int32],
    bounds: npt.NDArray[np.int64],
    caliper: Float,
    tie_tolerance: Float,
    places: Float | None,
    options: MatchingOptions,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32] | None]:
    focal_arms = FOCAL_ARMS[options.estimand]
    if options.replacement:
        start, stop = match_with_replacement(
            score,
            bounds,
            focal_arms=focal_arms,
            n_neighbors=int(options.n_neighbors),
            caliper=caliper,
            tie_tolerance=tie_tolerance,
            weight=places,
        )
        return start, stop, None
    return match_without_replacement(
        score,
        order,
        bounds,
        focal_arm=focal_arms.index(True),
        n_neighbors=int(options.n_neighbors),
        caliper=caliper,
        order=options.order,
        priority=options.priority,
    )


def row_ids(X: Any) -> npt.NDArray[Any] | None:
    """Return the index labels of X, None where rows are simply numbered."""
    index = frames.index_of(X)
    if index is None or (index.dtype.kind in "iu" and index.equals(type(index)(range(len(index))))):
        return None
    return np.asarray(index)


def _first_status(
    data: EffectData,
    score: Float,
    no_score: npt.NDArray[np.bool_],
    support: LevelSupport,
    options: MatchingOptions,
) -> npt.NDArray[np.int8]:
    """Mark rows that do not take part: no weight, score or donor level, outside common support."""
    focal = np.array(FOCAL_ARMS[options.estimand])
    by_arm = np.where(focal, _sample.MATCHED, _sample.NOT_FOCAL).astype(np.int8)
    status: npt.NDArray[np.int8] = by_arm[data.treatment]
    if no_score.any():
        status[no_score & focal[data.treatment]] = _sample.NO_DONOR
    lonely = support.category >= 0
    if lonely.any():
        status[lonely] = _sample.NO_LEVEL + support.category[lonely]
    if options.common_support is not None:
        status[_outside_support(data, score, options.common_support)] = _sample.OUTSIDE_SUPPORT
    return status


def _outside_support(data: EffectData, score: Float, which: str) -> npt.NDArray[np.bool_]:
    """Mark rows whose score lies outside the range of the other arm in their segment."""
    codes, n = data.segment.codes, data.segment.n_segments
    low, high = np.full((n, 2), np.inf), np.full((n, 2), -np.inf)
    np.minimum.at(low, (codes, data.treatment), score)
    np.maximum.at(high, (codes, data.treatment), score)
    other = 1 - data.treatment
    outside: npt.NDArray[np.bool_] = (score < low[codes, other]) | (score > high[codes, other])
    outside &= np.isfinite(low[codes, other])
    if which != "both":
        outside &= data.treatment == (1 if which == "treated" else 0)
    return outside


def _caliper_width(
    score: Float,
    weight: Float | None,
    bounds: npt.NDArray[np.int64],
    cell_segment: Int,
    n_segments: int,
    options: MatchingOptions,
) -> tuple[Float, Float]:
    """Return the caliper and the score's standard deviation (ddof 1) in each segment."""
    width = np.full(n_segments, np.inf)
    deviation = np.zeros(n_segments)
    if options.caliper is None and options.tie_tolerance == 0:
        return width, deviation
    for s in range(n_segments):
        cells = np.flatnonzero(cell_segment == s)
        if len(cells):
            part = slice(bounds[2 * cells[0]], bounds[2 * cells[-1] + 2])
            deviation[s] = _deviation(score[part], None if weight is None else weight[part])
    if options.caliper is not None:
        width[:] = options.caliper * (deviation if options.caliper_scale == "sd" else 1.0)
    return width, deviation


def _deviation(score: Float, weight: Float | None) -> float:
    """Return the standard deviation with denominator n - 1; a weight counts as that many rows."""
    if weight is None:
        return float(score.std(ddof=1)) if len(score) > 1 else 0.0
    total = float(weight.sum())
    if total <= 1:
        return 0.0
    mean = weight @ score / total
    return float(np.sqrt(weight @ (score - mean) ** 2 / (total - 1)))


@kernel
def _say_why_unmatched(  # type: ignore[no-untyped-def]
    status, order, bounds, start, stop, score, caliper, replacement, focal
):
    for c in range(len(caliper)):
        for arm in range(2):
            if not focal[arm]:
                continue
            first, last = bounds[2 * c + 1 - arm], bounds[2 * c + 2 - arm]
            for i in range(bounds[2 * c + arm], bounds[2 * c + arm + 1]):
                if stop[i] > start[i]:
                    continue
                if first == last:
                    status[order[i]] = 3
                elif replacement or not _within(score, score[i], first, last, caliper[c]):
                    status[order[i]] = 4
                else:
                    status[order[i]] = 5


@kernel
def _within(score, x, first, last, caliper):  # type: ignore[no-untyped-def]
    """Tell whether any of the scores first:last lies within the caliper of x."""
    at = first + np.searchsorted(score[first:last], x)
    below = at > first and x - score[at - 1] <= caliper
    return below or (at < last and score[at] - x <= caliper)
