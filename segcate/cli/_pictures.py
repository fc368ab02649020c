"""The pictures that `segcate run --out` writes, where matplotlib is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segcate.plots import (
    LovePlotDisplay,
    OverlapDisplay,
    SegmentEffectDisplay,
    SegmentProfileDisplay,
)

_DPI = 150
PICTURE_FILES = ("forest.png", "balance.png", "overlap.png", "profile.png")

__all__ = ["PICTURE_FILES", "Picture", "draw_pictures"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A file and what stands below it in a report."""

    file: Path
    caption: str


def draw_pictures(
    model: Any, X: Any, labels: Any, treatment: Any, units: str, folder: Path
) -> list[Picture]:
    """Draw effects, balance, overlap and profile.

    Parameters
    ----------
    model : fitted SegmentMatching
    X : DataFrame of shape (n_rows, n_covariates), the rows that the model was fitted on
    labels, treatment : of shape (n_rows,), segment and arm of each row
    units : unit of the outcome
    folder : where the files go

    Returns
    -------
    list of Picture
        Empty without matplotlib.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return []
    kinds: list[tuple[str, Callable[[], Any]]] = [
        (
            "Effect of each segment",
            lambda: SegmentEffectDisplay.from_estimator(model, units=units),
        ),
        (
            "Difference between the arms, before and after matching",
            lambda: LovePlotDisplay.from_estimator(model),
        ),
        (
            "Propensity of treated and controls in each segment",
            lambda: OverlapDisplay.from_estimator(model, treatment=treatment, segment=labels),
        ),
        (
            "Who the segments are",
            lambda: SegmentProfileDisplay.from_predictions(X, labels),
        ),
    ]
    pictures = []
    before = plt.get_backend()
    # Switching closes whatever figures are open: the caller's, so then it is left alone.
    switches = not plt.get_fignums()
    if switches:
        plt.switch_backend("Agg")
    try:
        for name, (caption, draw) in zip(PICTURE_FILES, kinds, strict=True):
            figure = draw().figure_
            figure.savefig(folder / name, dpi=_DPI)
            plt.close(figure)
            pictures.append(Picture(folder / name, caption))
    finally:
        if switches:
            plt.switch_backend(before)
    return pictures
