"""Whose level has no row to be compared with: focal rows of a level that the other arm lacks.

Such rows are left out and counted. Carried by neighbouring levels, or by effects common to all
levels, they would bring back the confounding that the category stands for: a level is rare in an
arm because it decides the treatment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import DesignData
from segcate.matching._model_columns import Category, ModelColumns, is_sparse, level_counts

Bool = npt.NDArray[np.bool_]

FOCAL_ARMS = {"att": (False, True), "atc": (True, False), "ate": (True, True)}
# A segment that loses more than this share of its focal rows has no estimate.
MOST_LEFT_OUT = 0.5
_WHO = {"att": "treated", "atc": "controls", "ate": "rows"}


@dataclass(frozen=True, slots=True)
class LevelSupport:
    """What the levels of categories say about the segments.

    Attributes
    ----------
    sparse : bool array of shape (n_segments, n_categories)
        Categories with a level of fewer than five rows in an arm.
    n_levels : int64 array of shape (n_segments, n_categories)
    category : intp array of shape (n_rows,)
        For focal rows without a donor in their level: the first category for which this is so, by
        its place in `names`; -1 for all others.
    names : columns of X of the categories
    n_left_out, n_focal : int64 arrays of shape (n_segments,)
    estimand : "att", "atc" or "ate"
    """

    sparse: Bool
    n_levels: npt.NDArray[np.int64]
    category: Int
    names: tuple[str, ...]
    n_left_out: npt.NDArray[np.int64]
    n_focal: npt.NDArray[np.int64]
    estimand: str

    def ignored(self) -> LevelSupport:
        """Leave no row out, as where the scores were handed in."""
        nobody = np.zeros_like(self.n_left_out)
        return replace(self, category=np.full_like(self.category, -1), n_left_out=nobody)

    def sparse_levels(self, segment: int) -> str:
        """Say which categories of a segment are sparse: "40 levels of city and 12 of job"."""
        found = [
            f"{self.n_levels[segment, place]} {'levels ' if not k else ''}of {self.names[place]}"
            for k, place in enumerate(np.flatnonzero(self.sparse[segment]).tolist())
        ]
        if len(found) > 3:
            found = [*found[:3], f"{len(found) - 3} more categories"]
        return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)

    def note(self, segment: int) -> str:
        """Say which share of the focal rows was left out."""
        share = self._share(segment)
        if not share:
            return ""
        return f"{share} of {_WHO[self.estimand]} left out (no donor in their level)"

    def refusal(self, segment: int, codes: Int) -> str:
        """Say why a segment loses too many rows to have an estimate; empty where it does not."""
        left, focal = self.n_left_out[segment], self.n_focal[segment]
        if left <= MOST_LEFT_OUT * focal:
            return ""
        seen = np.unique(self.category[(codes == segment) & (self.category >= 0)])
        names = " or ".join(self.names[place] for place in seen[:3].tolist())
        if left == focal:
            return f"covariates tell the arms apart (no donor in any level of {names})"
        who = _WHO[self.estimand]
        return f"{self._share(segment)} of {who} have no donor in their level of {names}"

    def _share(self, segment: int) -> str:
        left, focal = int(self.n_left_out[segment]), int(self.n_focal[segment])
        if left == 0:
            return ""
        percent = round(100 * left / focal)
        return f"{percent} %" if percent else "less than 1 %"


def level_support(data: DesignData, columns: ModelColumns, estimand: str) -> LevelSupport:
    """Find sparse categories, and the focal rows whose level has no donor in their segment.

    Each category is looked at alone, not their combinations. For the ATE rows left out are no donors
    either, so that the search is repeated until it finds no more.
    """
    codes, n = data.segment.codes, data.segment.n_segments
    if not columns.categories:
        return _full_support(data.n_rows, n, estimand)
    counted = np.ones(data.n_rows, bool) if data.sample_weight is None else data.sample_weight > 0
    counts = [
        level_counts(category, codes, n, data.treatment, counted) for category in columns.categories
    ]
    sparse = np.array([is_sparse(found) for found in counts], dtype=bool).reshape(-1, n).T
    n_levels = np.array([(found.sum(axis=2) > 0).sum(axis=1) for found in counts]).reshape(-1, n).T
    category = _without_donors(data, columns.categories, sparse, counted, estimand)
    focal = np.array(FOCAL_ARMS[estimand])[data.treatment] & counted
    return LevelSupport(
        sparse,
        n_levels.astype(np.int64),
        category,
        tuple(category.name for category in columns.categories),
        np.bincount(codes[category >= 0], minlength=n),
        np.bincount(codes[focal], minlength=n),
        estimand,
    )


def _full_support(n_rows: int, n_segments: int, estimand: str) -> LevelSupport:
    """Leave no row out: there is no category."""
    none = np.zeros((n_segments, 0))
    nobody = np.zeros(n_segments, dtype=np.int64)
    category = np.full(n_rows, -1, dtype=np.intp)
    return LevelSupport(
        none.astype(bool), none.astype(np.int64), category, (), nobody, nobody, estimand
    )


def sparse_in_all(data: DesignData, columns: ModelColumns) -> list[bool]:
    """Tell which categories are sparse over the rows of all segments with both arms together."""
    codes, n = data.segment.codes, data.segment.n_segments
    counted = np.ones(data.n_rows, bool) if data.sample_weight is None else data.sample_weight > 0
    cell = 2 * codes[counted] + data.treatment[counted]
    n_arm = np.bincount(cell, minlength=2 * n).reshape(-1, 2)
    counted &= (n_arm[:, 0] > 0)[codes] & (n_arm[:, 1] > 0)[codes]
    everyone = np.zeros_like(codes)
    return [
        bool(is_sparse(level_counts(category, everyone, 1, data.treatment, counted))[0])
        for category in columns.categories
    ]


def outside_support(data: DesignData, score: Float, which: str) -> Bool:
    """Mark rows whose score lies outside the range of the other arm in their segment.

    `which` names the arms looked at: "treated", "control" or "both".
    """
    codes, n = data.segment.codes, data.segment.n_segments
    low, high = np.full((n, 2), np.inf), np.full((n, 2), -np.inf)
    np.minimum.at(low, (codes, data.treatment), score)
    np.maximum.at(high, (codes, data.treatment), score)
    other = 1 - data.treatment
    outside: Bool = (score < low[codes, other]) | (score > high[codes, other])
    outside &= np.isfinite(low[codes, other])
    if which != "both":
        outside &= data.treatment == (1 if which == "treated" else 0)
    return outside


def _without_donors(
    data: DesignData,
    categories: tuple[Category, ...],
    sparse: Bool,
    counted: Bool,
    estimand: str,
) -> Int:
    out = np.full(data.n_rows, -1, dtype=np.intp)
    codes, n = data.segment.codes, data.segment.n_segments
    focal_arms = np.array(FOCAL_ARMS[estimand])
    places = np.flatnonzero(sparse.any(axis=0)).tolist()
    while True:
        here = counted & (out < 0)
        n_before = int((out >= 0).sum())
        for place in places:
            found = level_counts(categories[place], codes, n, data.treatment, here)
            lonely = (found[..., ::-1] == 0) & sparse[:, place, None, None] & focal_arms
            mark = lonely[codes, categories[place].codes, data.treatment] & here & (out < 0)
            out[mark] = place
        if int((out >= 0).sum()) == n_before or not focal_arms.all():
            return out
