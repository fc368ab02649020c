"""Small random studies with what makes matching hard: ties, thin arms, cells, weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class SmallStudy:
    """Rows of a study; `score` is a propensity inside (0, 1)."""

    Z: np.ndarray
    segment: np.ndarray
    cell: np.ndarray
    treatment: np.ndarray
    y: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    groups: np.ndarray

    @property
    def X(self) -> pd.DataFrame:
        frame = pd.DataFrame(self.Z, columns=[f"z{i}" for i in range(self.Z.shape[1])])
        return frame.assign(cell=self.cell, segment=self.segment)


def small_study(
    seed: int,
    n: int = 80,
    *,
    n_segments: int = 1,
    n_cells: int = 1,
    share: float = 0.4,
    decimals: int | None = None,
    n_groups: int = 8,
) -> SmallStudy:
    """Draw a study; `decimals` rounds the score so that it ties."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, 3))
    segment = rng.integers(0, n_segments, n)
    propensity = 1 / (1 + np.exp(-(np.log(share / (1 - share)) + 0.7 * Z[:, 0] - 0.3 * Z[:, 1])))
    treatment = (rng.random(n) < propensity).astype(int)
    treatment[:4] = [0, 1, 0, 1]
    score = propensity if decimals is None else np.round(propensity, decimals)
    score = np.clip(score, 10.0 ** -(decimals or 9), 1 - 10.0 ** -(decimals or 9))
    y = Z @ [1.0, 0.5, 0.2] + treatment * (1 + 0.5 * Z[:, 0]) + rng.normal(size=n)
    return SmallStudy(
        Z=Z,
        segment=segment,
        cell=np.array(list("pqrstu"))[rng.integers(0, n_cells, n)],
        treatment=treatment,
        y=y,
        score=score,
        weight=rng.integers(0, 4, n).astype(float),
        groups=rng.integers(0, n_groups, n),
    )
