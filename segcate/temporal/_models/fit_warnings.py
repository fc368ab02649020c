"""Warnings of networks that cannot be right yet: few steps, changes out of scale, effects of their own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segcate.exceptions import SegcateWarning
from segcate.temporal._models.agreement import NEVER
from segcate.temporal._models.calibration import Calibration

# Steps of optimisation below which effects are hardly learned yet.
LEAST_STEPS = 1000
# Slopes of changes that came on predicted ones that are borne, and errors that a slope must lie beyond.
SLOPES, N_ERRORS = (0.67, 1.5), 2.0
# Pairs of plans that one warning names.
_MOST_LISTED = 5


@dataclass(frozen=True, slots=True)
class TrainingSteps:
    """The steps that one network of a model may take.

    Attributes
    ----------
    name : of the nested parameter, "training" or "decoder_training"
    n_epochs, batch_size : as trained
    n_rows : units learned from, of a decoder windows
    """

    name: str
    n_epochs: int
    batch_size: int
    n_rows: int

    @property
    def batches(self) -> int:
        """Count the batches of an epoch."""
        return max(self.n_rows // self.batch_size, 1)

    @property
    def most(self) -> int:
        """Count the steps of all epochs."""
        return self.n_epochs * self.batches


def warn_of_few_steps(owner: str, trained: Sequence[TrainingSteps], stacklevel: int) -> None:
    """Warn of networks that may take fewer steps than effects need."""
    for part in trained:
        if part.most >= LEAST_STEPS:
            continue
        kind = "windows" if part.name.startswith("decoder") else "units"
        smaller = ""
        if part.batch_size > 8:
            smaller = f"lower `{part.name}__batch_size`, "
        warnings.warn(
            f"{owner}: training takes at most {part.most} optimisation steps (`{part.name}`: "
            f"{part.n_epochs} epochs of {part.batches} batches of {part.batch_size} {kind}), and effects, "
            f"which are learned last, mostly need {LEAST_STEPS:,}. To mend it, {smaller}raise "
            f"`{part.name}__n_epochs`, or fit LinearGComputation, which few units serve better.",
            SegcateWarning,
            stacklevel=stacklevel,
        )


def warn_of_calibration(
    owner: str, outcomes: tuple[str, ...], found: Calibration, stacklevel: int
) -> None:
    """Warn of steps at which changes of held-out units are predicted much too large or too small."""
    too_large = found.slope + N_ERRORS * found.std_error < SLOPES[0]
    too_small = found.slope - N_ERRORS * found.std_error > SLOPES[1]
    for j, outcome in enumerate(outcomes):
        is_off = (too_large | too_small)[:, j]
        if not is_off.any():
            continue
        listed = ", ".join(
            f"{found.slope[k, j]:.2f} (standard error {found.std_error[k, j]:.2f}) at step {k + 1}"
            for k in np.flatnonzero(is_off)
        )
        how = "too large" if too_large[is_off, j].all() else "too small"
        if too_large[is_off, j].any() and too_small[is_off, j].any():
            how = "out of scale"
        warnings.warn(
            f"{owner}: changes of {outcome!r} are predicted {how}. On units held out the slope of changes "
            f"that came on predicted ones is {listed}; 1 is right, and effects may be off as much. Compare "
            "with LinearGComputation (`agreement_`); where the two disagree on an average effect, trust neither.",
            SegcateWarning,
            stacklevel=stacklevel,
        )


def warn_of_disagreement(owner: str, found: pd.DataFrame | None, stacklevel: int) -> None:
    """Warn of plans whose effects a network and a linear model tell differently; None: not compared."""
    if found is None or not found["doubt"].any():
        return
    doubted = found[found["doubt"] != ""]
    about = sorted({part for doubt in doubted["doubt"] for part in doubt.split(", ")})
    parts = [_what_differs(row) for row in doubted.head(_MOST_LISTED).to_dict("records")]
    if len(doubted) > _MOST_LISTED:
        parts.append(f"and {len(doubted) - _MOST_LISTED} more in `agreement_`")
    told = {
        "units": "which units gain more than others",
        "average": "the average effect",
    }
    warnings.warn(
        f"{owner}: effects at the last step of a plan differ from those of LinearGComputation: {'; '.join(parts)}. "
        f"Both cannot be right about {' and '.join(told[part] for part in reversed(about))}: trust neither there. "
        "Look at these effects with LinearGComputation, fit again with a higher `training__n_epochs` or to more "
        "units, and go by what both then say. `agreement_` holds the comparison.",
        SegcateWarning,
        stacklevel=stacklevel,
    )


def _what_differs(row: Mapping[Any, Any]) -> str:
    """Say of one pair of plans how far two models differ."""
    reference = row["reference"]
    plans = f"{row['treatment']!r} at every step against "
    plans += "never" if reference == NEVER else f"{reference!r}"
    on = f" on {row['outcome']!r}" if "outcome" in row else ""
    same = row["correlation"]
    how = "are the same for all by one of them" if np.isnan(same) else f"correlate {same:.2f}"
    return (
        f"{plans}{on}, where effects on {row['n']} units {how} and their means are {row['effect']:.3g} here, "
        f"{row['linear_effect']:.3g} there"
    )
