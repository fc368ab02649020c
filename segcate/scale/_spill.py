"""Rows dealt out to the parts that see them: kept in memory while they are few, in files beyond that."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from segcate._inputs.arrays import Float
from segcate._writing.whole_files import whole_file
from segcate.scale._runner import Place
from segcate.scale._stale import folder_to_make, make_folder
from segcate.scale._sums import Sums

# Bytes kept in memory before they are written.
MOST_HELD = 256 * 2**20
_COMPLETE = "complete"


class Spill:
    """Packed rows on their way to the parts. Leaves no file behind; a killed process's are removed at the next start.

    Parameters
    ----------
    folder : where files go; None: the system's folder for temporary files
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = folder_to_make(folder)
        self._lock: Any = None
        self._held: dict[Place, list[Float]] = {}
        self._n_held = 0
        self._widths: dict[Place, int] = {}
        self.n_rows, self.n_bytes = 0, 0
        self.learned: Any = None  # what a complete pass learned of the source

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._lock is not None:
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
        self._open()
        for place, parts in self._held.items():
            with self._file(place).open("ab") as file:
                for part in parts:
                    part.tofile(file)
        self.n_bytes += self._n_held
        self._held, self._n_held = {}, 0

    def _open(self) -> None:
        """Make the folder, if there is none yet."""
        if self._lock is None:
            self._lock = make_folder(self._folder)

    @property
    def is_complete(self) -> bool:
        """Tell whether all rows are there already."""
        return False

    def complete(self, learned: Any) -> None:
        """Take note that all rows are there, and of what was learned while they were read."""

    def _file(self, place: Place) -> Path:
        return self._folder / f"{place[0]}-{place[1]}.rows"

    def results(self, of: Callable[[Place, Float], Sums]) -> Iterator[tuple[Place, Sums]]:
        """Yield what the rows of each part give, and let go of them."""
        for place in sorted(self._widths):
            parts = self._held.pop(place, [])
            file = self._file(place)
            if file.exists():
                parts.insert(0, self._read(place))
                file.unlink()
            rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
            del parts
            yield place, of(place, rows)

    def _read(self, place: Place) -> Float:
        return np.fromfile(self._file(place)).reshape(-1, self._widths[place])


class KeptSpill(Spill):
    """Packed rows that outlive a process that is killed, and what the finished ones of their parts gave.

    Parameters
    ----------
    folder : of this pass alone; it stays until its owner removes it
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(None)
        self._folder, self._record = folder, folder / _COMPLETE
        if self.is_complete:
            with self._record.open("rb") as file:
                self._widths, self.n_rows, self.n_bytes, self.learned = pickle.load(file)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    def __exit__(self, *of_error: object) -> None:
        """Keep all files."""

    def _open(self) -> None:
        """Nothing is to be made: the folder is there."""

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Tell whether all rows of a pass lie in a folder."""
        return (folder / _COMPLETE).exists()

    @property
    def is_complete(self) -> bool:
        """Tell whether an earlier process dealt all rows out."""
        return self.is_in(self._folder)

    def complete(self, learned: Any) -> None:
        """Write what is held, and take note that all rows are there."""
        self._write()
        self.learned = learned
        store(self._record, (self._widths, self.n_rows, self.n_bytes, learned))

    def results(self, of: Callable[[Place, Float], Sums]) -> Iterator[tuple[Place, Sums]]:
        """Yield what each part gives, from its file where there is one; rows go when their sums are kept."""
        for place in sorted(self._widths):
            kept, file = self._file(place).with_suffix(".sums"), self._file(place)
            if not kept.exists():
                store(kept, of(place, self._read(place)))
            file.unlink(missing_ok=True)
            with kept.open("rb") as sums:
                yield place, pickle.load(sums)


def store(path: Path, value: Any) -> None:
    """Write a value to a file, whole or not at all."""
    with whole_file(path) as part, part.open("wb") as file:
        pickle.dump(value, file, protocol=5)
