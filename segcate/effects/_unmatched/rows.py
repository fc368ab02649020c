"""The rows of each segment, for estimators that work on rows and not on matched sets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import EffectData
from segcate._inputs.encoding import EncodedColumns, encode_columns
from segcate._inputs.weights import weight_note
from segcate.effects._table.segment_estimate import SegmentEstimate
from segcate.matching._model_columns import model_columns
from segcate.matching._support import LevelSupport, level_support

Rows = npt.NDArray[np.intp]

# A covariate that sorts so many rows of either arm apart does not do so by chance.
FEWEST_TO_TELL = 10


@dataclass(frozen=True, slots=True)
class SegmentRows:
    """Rows of one segment with a weight above 0 and a level that both arms have, in the order of X.

    Attributes
    ----------
    rows : intp array of shape (n_rows,), positions in X
    y : float64 array of shape (n_rows,)
    is_treated : bool array of shape (n_rows,)
    weight : float64 array of shape (n_rows,)
    weight_note : how weights were read, empty where none were given
    own : float64 array of shape (n_rows,)
        Weight in the target population of the estimand, 0 outside it.
    counted : the estimate before there is one; its status says why there can be none
    note : says which share of the rows was left out, empty for none
    """

    rows: Rows
    y: Float
    is_treated: npt.NDArray[np.bool_]
    weight: Float
    weight_note: str
    own: Float
    counted: SegmentEstimate
    note: str = ""

    @property
    def is_weighted(self) -> bool:
        """Tell whether rows weigh differently."""
        return bool(self.weight_note)

    @property
    def n_smaller(self) -> int:
        """Count the rows of the smaller arm."""
        n_treated = int(self.is_treated.sum())
        return min(n_treated, len(self.rows) - n_treated)


def rows_by_segment(
    data: EffectData, estimand: str, support: LevelSupport | None = None
) -> list[SegmentRows]:
    """Cut the rows of every segment out, in label order.

    With `support`, rows whose level has no row of the other arm are left out.
    """
    codes, n_segments = data.segment.codes, data.segment.n_segments
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_segments))
    return [
        _segment_rows(data, order[start:end], estimand, support, code)
        for code, (start, end) in enumerate(zip(np.append(0, ends[:-1]), ends, strict=True))
    ]


def comparable_columns(owner: str, data: EffectData) -> EncodedColumns | None:
    """Read the covariates in which the arms are compared; None where scores were handed in.

    None, too, where columns cannot be read as numbers and levels: a model that takes them has its
    own reading.
    """
    if data.propensity is not None:
        return None
    try:
        return encode_columns(data.X, data.covariates, owner=owner)
    except (TypeError, ValueError):
        return None


def supported_levels(
    data: EffectData, encoded: EncodedColumns | None, estimand: str
) -> LevelSupport | None:
    """Compare the levels of the arms."""
    if encoded is None:
        return None
    return level_support(data, model_columns(encoded, long_tails=False), estimand)


def telling_covariate(part: SegmentRows, encoded: EncodedColumns | None) -> str:
    """Name a covariate whose values in one arm all lie above those in the other; empty for none.

    A score that segments share may not show it. In arms of fewer than 10 rows it is chance.
    """
    if encoded is None or part.n_smaller < FEWEST_TO_TELL:
        return ""
    values = encoded.values[part.rows]
    treated, control = values[part.is_treated], values[~part.is_treated]
    apart = np.fmin.reduce(treated) > np.fmax.reduce(control)
    apart |= np.fmin.reduce(control) > np.fmax.reduce(treated)
    return encoded.names[int(np.argmax(apart))] if apart.any() else ""


def with_telling(part: SegmentRows, encoded: EncodedColumns | None) -> SegmentRows:
    """Give a segment in which a covariate tells the arms apart a status that says so."""
    telling = "" if part.counted.status else telling_covariate(part, encoded)
    if not telling:
        return part
    why = f"no overlap of scores (covariate {telling!r} tells the arms apart)"
    return replace(part, counted=replace(part.counted, status=why))


def _segment_rows(
    data: EffectData,
    rows: Rows,
    estimand: str,
    support: LevelSupport | None,
    code: int,
) -> SegmentRows:
    arms, weight = data.treatment[rows], np.ones(len(rows))
    if data.sample_weight is not None:
        weight = data.sample_weight[rows]
        rows, weight = rows[weight > 0], weight[weight > 0]
    n, n_treated = len(rows), int(data.treatment[rows].sum())
    if support is not None:
        keep = support.category[rows] < 0
        rows, weight = rows[keep], weight[keep]
    is_treated = data.treatment[rows] == 1
    in_target = {"ate": np.ones(len(rows), dtype=bool), "att": is_treated, "atc": ~is_treated}
    own = np.where(in_target[estimand], weight, 0.0)
    counted = SegmentEstimate(
        status="",
        effect=np.nan,
        variance=np.nan,
        n=n,
        n_treated=n_treated,
        n_control=n - n_treated,
        n_matched=int(in_target[estimand].sum()),
        total=float(own.sum()),
        total_squares=float(own @ own),
    )
    had_both_arms = _is_mixed(arms) if data.given is None else data.given.had_both_arms[code]
    if n_treated in (0, n) and had_both_arms:
        counted = replace(counted, status="weights are zero")
    elif n_treated == 0:
        counted = replace(counted, status="no treated rows")
    elif n_treated == n:
        counted = replace(counted, status="no control rows")
    elif support is not None:
        counted = replace(counted, status=support.refusal(code, data.segment.codes))
    note = "" if support is None else support.note(code)
    return SegmentRows(
        rows, data.y[rows], is_treated, weight, weight_note(data.sample_weight), own, counted, note
    )


def _is_mixed(treatment: npt.NDArray[np.int8]) -> bool:
    """Tell whether there are rows of both arms."""
    return bool(0 < treatment.sum() < len(treatment))
