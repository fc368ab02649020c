"""Rows dealt out to the parts that see them: kept in memory while they are few, in files beyond that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from segcate._inputs.arrays import Float
from segcate.scale._runner import Place
from segcate.scale._stale import new_folder

# Bytes kept in memory before they are written.
MOST_HELD = 256 * 2**20


class Spill:
    """Packed rows on their way to the parts. Leaves no file behind; a killed process's are removed at the next start.

    Parameters
    ----------
    folder : where files go; None: the system's folder for temporary files
    """

    def __init__(self, folder: str | None) -> None:
        self._parent, self._folder = folder, Path()
        self._lock: Any = None
        self._is_open = False
        self._held: dict[Place, list[Float]] = {}
        self._n_held = 0
        self._widths: dict[Place, int] = {}
        self.n_rows, self.n_bytes = 0, 0

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
            self._lock.close()

    def hold(self, place: Place, packed: Float) -> None:
        """Keep rows of one part."""
        self._widths[place] = packed.shape[1]
        self._held.setdefault(place, []).append(packed)
        self.n_rows += len(packed)
        self._n_held += packed.nbytes
        if self._n_held > MOST_HELD:
            self._write()

    def _write(self) -> None:
        """Append what is held to the files."""
        if not self._is_open:
            self._folder, self._lock = new_folder(self._parent)
            self._is_open = True
        for place, parts in self._held.items():
            with self._file(place).open("ab") as file:
                for part in parts:
                    part.tofile(file)
        self.n_bytes += self._n_held
        self._held, self._n_held = {}, 0

    def _file(self, place: Place) -> Path:
        return self._folder / f"{place[0]}-{place[1]}.rows"

    def parts(self) -> Iterator[tuple[Place, Float]]:
        """Yield the rows of each part, and let go of them."""
        for place in sorted(self._widths):
            parts = self._held.pop(place, [])
            file = self._file(place)
            if self._is_open and file.exists():
                parts.insert(0, np.fromfile(file).reshape(-1, self._widths[place]))
                file.unlink()
            yield place, parts[0] if len(parts) == 1 else np.concatenate(parts)
