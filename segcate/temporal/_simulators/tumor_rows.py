"""Test sets of the tumour simulator: new patients under other treatments than their own.

The published sets contain a slip: the doctor of test patient i looks at row i of the output, which
belongs to one of the first patients and may be a counterfactual one, and not at patient i. The
policy "published" does the same; "own" looks at the patient.

Random numbers come patient by patient, in the order of the published sets. A normal draw takes a
varying number of the generator's words, so that drawing, and nothing else, goes one by one.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from segcate.temporal._simulators.tumor_paths import Draws, Paths, TumorDesign, follow_in_test
from segcate.temporal._simulators.tumor_patients import TumorPatients
from segcate.temporal._simulators.tumor_plans import PlanRows, sliding_plans, try_plans

Flags = npt.NDArray[np.int8]
Kind = Literal["one_step", "sliding", "random"]

# Patients with random plans that are followed at once; about as many as pass without an early end.
_BATCH = 32


class _FixedPlans:
    """Random numbers of patients whose plans are the same for everyone, or none."""

    def __init__(
        self, n_patients: int, design: TumorDesign, rng: np.random.RandomState, plans: Flags | None
    ) -> None:
        n_days = design.n_steps
        n_noise = n_days + (0 if plans is None else design.horizon)
        drawn = [
            (rng.randn(n_noise), *(rng.random_sample(n_days) for _ in range(3)))
            for _ in range(n_patients)
        ]
        self._draws = Draws(*(np.array(numbers) for numbers in zip(*drawn, strict=True)))
        self._plans = None if plans is None else plans[None, None]

    def batch_end(self, start: int, n_ready: int) -> int:
        """Return the end of the batch of patients to follow at once."""
        return n_ready

    def draw(self, start: int, end: int) -> tuple[Draws, Flags | None]:
        """Return the random numbers and the plans of some patients."""
        return self._draws.take(slice(start, end)), self._plans

    def settle(self, last: npt.NDArray[np.intp]) -> int:
        """Count the patients whose numbers hold, given their last days: all of them."""
        return len(last)


class _RandomPlans:
    """Random numbers of patients with plans of their own for every day.

    A patient who ends early draws fewer plans, which moves the draws of all who come after. So a
    batch draws as if nobody did, and holds up to the first who does.
    """

    def __init__(self, design: TumorDesign, rng: np.random.RandomState) -> None:
        self._design, self._rng = design, rng
        self._shape = (2 * design.horizon, design.horizon, 2)
        self._rng.randint(0, 2, self._shape)  # the published sets draw once in vain
        self._before_plans: list[Any] = []

    def batch_end(self, start: int, n_ready: int) -> int:
        """Return the end of the batch of patients to follow at once."""
        return min(n_ready, start + _BATCH)

    def draw(self, start: int, end: int) -> tuple[Draws, Flags | None]:
        """Return random numbers of some patients, and plans for every day there can be."""
        n_days, rng = self._design.n_steps, self._rng
        self._before_plans, drawn, plans = [], [], []
        for _ in range(start, end):
            noise = rng.randn(n_days + self._design.horizon)
            drawn.append((noise, *(rng.random_sample(n_days) for _ in range(3))))
            self._before_plans.append(rng.get_state())
            plans.append(rng.randint(0, 2, (n_days - 1, *self._shape)).astype(np.int8))
        draws = Draws(*(np.array(numbers) for numbers in zip(*drawn, strict=True)))
        return draws, np.array(plans)

    def settle(self, last: npt.NDArray[np.intp]) -> int:
        """Count the patients whose numbers hold, and go back to where the next one's begin."""
        ended = np.flatnonzero(last < self._design.n_steps - 2)
        if not len(ended):
            return len(last)
        first = int(ended[0])
        self._rng.set_state(self._before_plans[first])
        self._rng.randint(0, 2, (int(last[first]) + 1, *self._shape))
        return first + 1


class _Lookup:
    """The first rows of the output, as far as they are filled; the published policy reads them."""

    def __init__(self, n_patients: int, design: TumorDesign, kind: Kind) -> None:
        self.n_days = design.n_steps + (0 if kind == "one_step" else design.horizon)
        self.volume = np.zeros((n_patients, self.n_days))
        self.n_known = 0
        self.is_used = design.policy == "published"

    @property
    def n_ready(self) -> int:
        """Count the patients whose looked-up rows are complete."""
        return self.n_known if self.is_used else len(self.volume)

    def add(self, rows: PlanRows, paths: Paths) -> None:
        """Take rows, while there are fewer than patients."""
        missing = min(len(self.volume) - self.n_known, len(rows.unit))
        if self.is_used and missing:
            filled = slice(self.n_known, self.n_known + missing)
            self.volume[filled] = rows.volumes(paths, missing, self.n_days)
            self.n_known += missing


def simulate_rows(
    patients: TumorPatients, design: TumorDesign, kind: Kind, rng: np.random.RandomState
) -> tuple[Paths, PlanRows]:
    """Follow patients, and try plans on every day of theirs."""
    n_patients = len(patients)
    source: _FixedPlans | _RandomPlans
    if kind == "random":
        source = _RandomPlans(design, rng)
    else:
        plans = sliding_plans(design.horizon) if kind == "sliding" else None
        source = _FixedPlans(n_patients, design, rng, plans)
    lookup = _Lookup(n_patients, design, kind)
    parts: list[tuple[int, Paths, PlanRows]] = []
    start = 0
    while start < n_patients:
        end = min(max(source.batch_end(start, lookup.n_ready), start + 1), n_patients)
        draws, plans_now = source.draw(start, end)
        batch = patients.take(slice(start, end))
        paths = _follow(batch, draws, design, plans_now, lookup, start)
        kept = slice(source.settle(paths.last))
        paths = paths.take(kept)
        tried = None if plans_now is None else plans_now[kept]
        rows = try_plans(batch.take(kept), paths, draws.noise[kept], tried)
        lookup.add(rows, paths)
        parts.append((start, paths, rows))
        start += len(paths.last)
    return _join(parts)


def _follow(
    batch: TumorPatients,
    draws: Draws,
    design: TumorDesign,
    plans: Flags | None,
    lookup: _Lookup,
    start: int,
) -> Paths:
    if not lookup.is_used:
        return follow_in_test(batch, draws, design)
    if lookup.n_known > start:
        seen = lookup.volume[start : start + len(batch)]
        return follow_in_test(batch, draws, design, seen)
    # The row looked at is one of the patient's own, as the first patient's is, and empty until the
    # day that writes it. Up to that day an empty row is all there is to see: following the patient
    # with one tells the day and the content.
    paths = follow_in_test(batch, draws, design, np.zeros((1, lookup.n_days)))
    rows = try_plans(batch, paths, draws.noise, plans)
    own = start - lookup.n_known
    if own >= len(rows.unit):
        return paths
    seen = rows.volumes(paths, own + 1, lookup.n_days)[own:]
    return follow_in_test(batch, draws, design, seen, int(rows.origin[own]) + 1)


def _join(parts: list[tuple[int, Paths, PlanRows]]) -> tuple[Paths, PlanRows]:
    """Put batches of patients together, units counted from the first of all."""
    all_paths = {
        name: np.concatenate([getattr(paths, name) for _, paths, _ in parts])
        for name in Paths.__dataclass_fields__
    }
    all_rows: dict[str, Any] = {
        name: np.concatenate([getattr(rows, name) for _, _, rows in parts])
        for name in ("origin", "plan", "outcome", "noise_free")
    }
    return Paths(**all_paths), PlanRows(
        unit=np.concatenate([start + rows.unit for start, _, rows in parts]),
        n_dropped=sum(rows.n_dropped for _, _, rows in parts),
        **all_rows,
    )
