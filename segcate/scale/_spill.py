"""Rows dealt out to the parts that see them: kept in memory while they are few, in files beyond that."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from segcate._inputs.arrays import Bool, Float, Int
from segcate.scale._core import PartRows
from segcate.scale._halo import Halo
from segcate.scale._rows import Rows

# Bytes kept in memory before they are written.
MOST_HELD = 256 * 2**20
_FIXED = 3  # score, outcome, arm and owner

Place = tuple[int, int]


class Spill:
    """Parts on their way to the core. Leaves no file behind, whatever happens in between.

    Parameters
    ----------
    folder : where files go; None: the system's folder for temporary files
    n_columns : covariates
    has_weights : bool
    """

    def __init__(self, folder: str | None, n_columns: int, has_weights: bool) -> None:
        self._parent, self._folder = folder, Path()
        self._is_open = False
        self._width = _FIXED + int(has_weights) + n_columns
        self._has_weights = has_weights
        self._held: dict[Place, list[Float]] = {}
        self._n_held = 0
        self._places: set[Place] = set()
        self.n_rows, self.n_halo, self.n_bytes = 0, 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._is_open:
            shutil.rmtree(self._folder, ignore_errors=True)

    def deal(self, code: int, rows: Rows, score: Float, halo: Halo) -> None:
        """Give rows of one segment to all parts that see them."""
        if halo.n_parts == 1:
            everyone = np.arange(len(score))
            self.n_rows += len(score)
            packed = self._packed(rows, score, everyone, np.ones(len(score), dtype=bool))
            self._hold((code, 0), packed)
            return
        first, last = halo.seen_by(score)
        at = np.repeat(np.arange(len(score)), last - first)
        begins = np.cumsum(last - first) - (last - first)
        part = np.arange(len(at)) - np.repeat(begins - first, last - first)
        own = part == halo.own_part(score)[at]
        self.n_rows += len(score)
        self.n_halo += len(at) - len(score)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(halo.n_parts + 1))
        for place in range(halo.n_parts):
            taken = order[bounds[place] : bounds[place + 1]]
            if len(taken):
                self._hold((code, place), self._packed(rows, score, at[taken], own[taken]))

    def _packed(self, rows: Rows, score: Float, at: Int, own: Bool) -> Float:
        out = np.empty((len(at), self._width))
        out[:, 0], out[:, 1] = score[at], rows.y[at]
        out[:, 2] = rows.treatment[at] + 2.0 * own
        if self._has_weights and rows.weight is not None:
            out[:, 3] = rows.weight[at]
        out[:, self._width - rows.columns.shape[1] :] = rows.columns[at]
        return out

    def _hold(self, place: Place, packed: Float) -> None:
        self._places.add(place)
        self._held.setdefault(place, []).append(packed)
        self._n_held += packed.nbytes
        if self._n_held > MOST_HELD:
            self._write()

    def _write(self) -> None:
        """Append what is held to the files."""
        if not self._is_open:
            self._folder = Path(tempfile.mkdtemp(prefix="segcate-", dir=self._parent))
            self._is_open = True
        for place, parts in self._held.items():
            with self._file(place).open("ab") as file:
                for part in parts:
                    part.tofile(file)
        self.n_bytes += self._n_held
        self._held, self._n_held = {}, 0

    def _file(self, place: Place) -> Path:
        return self._folder / f"{place[0]}-{place[1]}.rows"

    def parts(self) -> Iterator[tuple[Place, PartRows]]:
        """Yield the parts, and let go of each."""
        for place in sorted(self._places):
            parts = self._held.pop(place, [])
            file = self._file(place)
            if self._is_open and file.exists():
                parts.insert(0, np.fromfile(file).reshape(-1, self._width))
                file.unlink()
            yield place, self._unpacked(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def _unpacked(self, packed: Float) -> PartRows:
        marks = packed[:, 2].astype(np.int8)
        return PartRows(
            np.ascontiguousarray(packed[:, _FIXED + int(self._has_weights) :]),
            packed[:, 1].copy(),
            packed[:, 0].copy(),
            marks % 2,
            marks >= 2,
            packed[:, 3].copy() if self._has_weights else None,
        )
