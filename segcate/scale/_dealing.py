"""Rows on their way to the parts that see them: dealt out, packed into one array, and unpacked there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Bool, Float, Int
from segcate.scale._core import PartRows, SegmentPlan, part_sums
from segcate.scale._halo import Halo
from segcate.scale._rows import Rows
from segcate.scale._runner import Place
from segcate.scale._score import RowScore
from segcate.scale._sums import Sums

_FIXED = 3  # score, outcome, arm and owner


@dataclass(frozen=True, slots=True)
class MatchStep:
    """Deals rows out by their score, and matches them in each part.

    Attributes
    ----------
    plans, scores, halos : by segment
    has_weights : bool
    """

    plans: Mapping[int, SegmentPlan]
    scores: Mapping[int, RowScore]
    halos: Mapping[int, Halo]
    has_weights: bool

    @property
    def n_parts(self) -> int:
        """Count the parts."""
        return sum(halo.n_parts for halo in self.halos.values())

    def dealt(self, code: int, rows: Rows) -> Iterator[tuple[int, Float]]:
        """Yield the parts that see some of the rows, with the packed rows that each sees."""
        if code not in self.plans:
            return
        score, halo = self.scores[code].of(rows.columns), self.halos[code]
        if halo.n_parts == 1:
            yield 0, self._packed(rows, score, slice(None), np.ones(len(score), dtype=bool))
            return
        first, last = halo.seen_by(score)
        at = np.repeat(np.arange(len(score)), last - first)
        begins = np.cumsum(last - first) - (last - first)
        part = np.arange(len(at)) - np.repeat(begins - first, last - first)
        own = part == halo.own_part(score)[at]
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(halo.n_parts + 1))
        for place in np.flatnonzero(np.diff(bounds)).tolist():
            taken = order[bounds[place] : bounds[place + 1]]
            yield place, self._packed(rows, score, at[taken], own[taken])

    def _packed(self, rows: Rows, score: Float, at: Int | slice, own: Bool) -> Float:
        fixed = _FIXED + int(self.has_weights)
        out = np.empty((len(own), fixed + rows.columns.shape[1]))
        out[:, 0], out[:, 1] = score[at], rows.y[at]
        out[:, 2] = rows.treatment[at] + 2.0 * own
        if self.has_weights and rows.weight is not None:
            out[:, 3] = rows.weight[at]
        out[:, fixed:] = rows.columns[at]
        return out

    def sums(self, place: Place, dealt: Float) -> Sums:
        """Match the rows of a part, and add up its own."""
        code, part = place
        return part_sums(self.unpacked(dealt), self.plans[code], part)

    def unpacked(self, packed: Float) -> PartRows:
        """Return the rows of a part."""
        marks = packed[:, 2].astype(np.int8)
        return PartRows(
            np.ascontiguousarray(packed[:, _FIXED + int(self.has_weights) :]),
            packed[:, 1].copy(),
            packed[:, 0].copy(),
            marks % 2,
            marks >= 2,
            packed[:, 3].copy() if self.has_weights else None,
        )
