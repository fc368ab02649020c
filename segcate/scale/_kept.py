"""What finished passes of a run found, in a folder, so that a run that was killed goes on from there.

Every file appears whole or not at all. A run gives to its next pass what it reads back from its file, so
that a run in one go and one that was killed compute with the same arrays.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from segcate._writing.whole_files import whole_file
from segcate.exceptions import SegcateWarning
from segcate.scale._spill import KeptSpill, store
from segcate.scale._stale import is_held_elsewhere

FOLDER = "segcate-resume"
_LOCK, _MARKS, _FITTED = "running", "run.json", "fitted.pickle"
T = TypeVar("T")


class KeptPasses:
    """The folder of one run. Results are pickled: the folder must be one that nobody else writes to.

    Parameters
    ----------
    parent : folder in which the run's own lies
    marks : what must be the same for passes to count: arguments, source and versions, by name
    expected : how many passes there are, in words; empty where it is not known

    Attributes
    ----------
    n_before : passes that an earlier start finished
    n_read : passes for which it read the source to the end
    """

    def __init__(self, parent: str, marks: Mapping[str, str], expected: str) -> None:
        self.folder, self._marks = Path(parent) / FOLDER, dict(marks)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._refuse_others()
        self._lock = (self.folder / _LOCK).open("wb")
        if is_held_elsewhere(self._lock):
            self._lock.close()
            raise ValueError(
                f"scale.fit: another process is running in `spill`={parent!r}. Wait for it, or give this run a folder "
                "of its own."
            )
        self.n_before = self._agreed()
        if self.n_before:
            of = f" of {expected}" if expected else ""
            if self.n_read > self.n_before:
                of += f"; the rows of pass {self.n_read} are read, too"
            warnings.warn(f"scale.fit: going on after pass {self.n_before}{of}.", stacklevel=4)

    @property
    def n_read(self) -> int:
        return self.n_before + KeptSpill.is_in(self._dealt(self.n_before + 1))

    def _refuse_others(self) -> None:
        """Refuse a folder of another user, who could put anything there."""
        if hasattr(os, "getuid") and self.folder.stat().st_uid != os.getuid():
            raise ValueError(
                f"scale.fit: {str(self.folder)!r} belongs to another user. Give `spill` a folder of your own."
            )

    def _agreed(self) -> int:
        """Count the passes of an earlier run that was this one; begin anew after another one."""
        written = self.folder / _MARKS
        if written.exists():
            known = json.loads(written.read_text(encoding="utf-8"))
            other = [name for name, mark in self._marks.items() if known.get(name) != mark]
            if not other:
                return self._n_finished()
            names = ", ".join(f"`{name}`" for name in other)
            self.start_afresh(f"not as in the run that was killed: {names}")
        self._begin()
        return 0

    def _n_finished(self) -> int:
        n = 0
        while self._result(n + 1).exists():
            n += 1
        return n

    def start_afresh(self, why: str) -> None:
        """Remove what was kept, and say why."""
        self._clear()
        self._begin()
        self.n_before = 0
        warnings.warn(f"scale.fit: starting afresh: {why}.", SegcateWarning, stacklevel=6)

    def _begin(self) -> None:
        with whole_file(self.folder / _MARKS) as part:
            part.write_text(json.dumps(self._marks, indent=1), encoding="utf-8")

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink()

    def close(self, *, is_done: bool) -> None:
        """Let go of the folder; remove it after a run that came to its end."""
        if is_done:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def _result(self, number: int) -> Path:
        return self.folder / f"pass-{number}.pickle"

    def passed(self, number: int, make: Callable[[], T]) -> T:
        """Return what a pass found: from its file, else by making it."""
        found: T = self._once(self._result(number), make)
        shutil.rmtree(self._dealt(number), ignore_errors=True)
        return found

    def fitted(self, make: Callable[[], T]) -> T:
        """Return what was fitted on the sample, which need not come out the same twice."""
        return self._once(self.folder / _FITTED, make)

    def _once(self, path: Path, make: Callable[[], T]) -> T:
        if not path.exists():
            store(path, make())
        with path.open("rb") as file:
            found: T = pickle.load(file)
        return found

    def spill(self, number: int) -> KeptSpill:
        """Return the rows that a pass dealt out, or room for them."""
        return KeptSpill(self._dealt(number))

    def _dealt(self, number: int) -> Path:
        return self.folder / f"rows-{number}"
