"""What groups of dependent rows add to the error of each segment's effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from segcate._inputs.arrays import Float, Int
from segcate.effects._table.segment_estimate import SegmentEstimate


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of the groups in each segment: one entry for a segment and a group that is in it.

    Variances and covariances of the effects are sums over groups of products of scores, so that
    segments that share no group are independent and nothing is stored for them.

    Attributes
    ----------
    segment, group : intp arrays of shape (n_entries,), codes from 0
    value : float64 array of shape (n_entries,)
    total : float64 array of shape (n_entries,), weight of the matched focal rows
    n_segments, n_groups : int
    names : intp array of shape (n_groups,), codes of the groups over all rows of X
    n_levels : int, number of groups over all rows of X
    """

    segment: Int
    group: Int
    value: Float
    total: Float
    n_segments: int
    n_groups: int
    names: Int
    n_levels: int

    @property
    def is_shared(self) -> bool:
        """Tell whether any group has rows in two segments."""
        return bool((np.bincount(self.group, minlength=1) > 1).any())

    def covariance(self) -> Float:
        """Return the covariance of the effects, shape (n_segments, n_segments)."""
        scores = self._matrix(self.value)
        return np.asarray((scores @ scores.T).toarray(), dtype=np.float64)

    def freedom_together(self, involved: npt.NDArray[np.bool_], df: Float) -> Float:
        """Bound the degrees of freedom of combinations of segments by the groups they have together.

        The sum of the segments' own, times distinct groups over groups counted in each segment: all
        of it where segments share no group, that of one where they share all.

        Parameters
        ----------
        involved : bool array of shape (n_combinations, n_segments)
        df : float64 array of shape (n_segments,)
        """
        is_in = self._matrix(np.ones(len(self.value)))
        counted = involved @ np.bincount(self.segment, minlength=self.n_segments)
        together = csr_matrix(involved.astype(np.float64)) @ is_in
        distinct = np.diff(together.indptr)
        own = involved @ np.where(np.isfinite(df), df, 0.0)
        return np.asarray(own * distinct / np.maximum(counted, 1), dtype=np.float64)

    def _matrix(self, value: Float) -> csr_matrix:
        shape = (self.n_segments, self.n_groups)
        return csr_matrix((value, (self.segment, self.group)), shape=shape)


def collect_group_scores(
    estimates: Sequence[SegmentEstimate], n_levels: int = 0
) -> GroupScores | None:
    """Collect the scores of segments with a variance over groups; None where rows are independent."""
    with_groups = [i for i, e in enumerate(estimates) if e.groups is not None]
    if not with_groups:
        return None
    parts = [estimates[i] for i in with_groups]
    group = np.concatenate([e.groups for e in parts if e.groups is not None])
    value = np.concatenate([e.group_sums for e in parts if e.group_sums is not None])
    total = np.concatenate([e.group_totals for e in parts if e.group_totals is not None])
    sizes = [0 if e.groups is None else len(e.groups) for e in parts]
    names, codes = np.unique(group, return_inverse=True)
    return GroupScores(
        segment=np.repeat(np.array(with_groups, dtype=np.intp), sizes),
        group=codes.astype(np.intp),
        value=value,
        total=total,
        n_segments=len(estimates),
        n_groups=len(names),
        names=names.astype(np.intp),
        n_levels=max(n_levels, int(names.max(initial=-1)) + 1),
    )
