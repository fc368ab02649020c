"""Write names beside curves, where they neither cover a curve nor each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate.plots._drawing import FONT, fit_name, measure, text_size
from segcate.plots._fonts import families_for

_COLOURS = ("#1f4e79", "#b34d05", "#007a5a", "#8a3b8f", "#6b5300", "#4a4a4a", "#a51e37")
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.2, 1.2)), (0, (7, 2, 1.5, 2)), (0, (3, 1.5)))
_LONGEST_NAME = 28
_N_POINTS = 240
_PLACES = np.linspace(0.04, 0.96, 24)
_STEPS = (0.9, 1.3, 1.8, 2.5, 3.4, 4.5, 6.0)


@dataclass(frozen=True, slots=True)
class NamedCurve:
    """A curve as it is drawn.

    Attributes
    ----------
    name : what to write beside it
    x, y : float64 arrays of shape (n_points,), x ascending
    colour : of the line and its name
    """

    name: str
    x: Float
    y: Float
    colour: str


def line_style(k: int) -> dict[str, Any]:
    """Return colour and dashes of curve `k`; dashes tell curves apart in grey."""
    return {
        "color": _COLOURS[k % len(_COLOURS)],
        "linestyle": _DASHES[k % len(_DASHES)],
        "linewidth": 1.8,
    }


def label_curves(
    ax: Any,
    curves: list[NamedCurve],
    *,
    avoid: tuple[float, ...] = (),
    edges: tuple[NamedCurve, ...] = (),
) -> list[Any]:
    """Write each curve's name near it, with a thin line to it where it cannot stand close.

    Limits of the axes must be final; `avoid` are places on the x axis with a vertical line,
    `edges` lines that get no name. A place is judged by what it would cover: other texts first,
    then curves, then by its distance.
    """
    measure(ax)
    renderer = ax.figure.canvas.get_renderer()
    paths = [_pixels(ax, curve) for curve in (*curves, *edges)]
    taken = [text.get_window_extent(renderer).padded(2.0).extents for text in ax.texts]
    frame = ax.get_window_extent()
    verticals = ax.transData.transform([(x, 0.0) for x in avoid])[:, 0] if avoid else []
    taken += [np.array([x - 1.0, frame.y0, x + 1.0, frame.y1]) for x in verticals]
    texts = []
    for k, curve in enumerate(curves):
        name = fit_name(curve.name, _LONGEST_NAME, 2)
        size = text_size(ax, name, FONT)
        box, anchor, is_far = _best_place(ax, paths, k, size, taken)
        taken.append(box)
        texts.append(_write(ax, name, curve.colour, box, anchor, is_far))
    return texts


def _pixels(ax: Any, curve: NamedCurve) -> Float:
    """Sample a curve at equal steps across the axes, in pixels: shape (n_points, 2)."""
    low, high = ax.get_xlim()
    x = np.linspace(max(low, curve.x[0]), min(high, curve.x[-1]), _N_POINTS)
    points = ax.transData.transform(np.column_stack([x, np.interp(x, curve.x, curve.y)]))
    return np.asarray(points, dtype=np.float64)


def _best_place(
    ax: Any, paths: list[Float], k: int, size: tuple[float, float], taken: list[Any]
) -> tuple[Float, Float, bool]:
    """Choose box, point on the curve, and whether the two are far apart."""
    frame = ax.get_window_extent()
    width, height = size
    best: tuple[float, Float, Float, bool] | None = None
    for place in _PLACES:
        anchor = paths[k][int(place * (_N_POINTS - 1))]
        for step in _STEPS:
            for side in (1.0, -1.0):
                middle = anchor + np.array([0.0, side * step * height])
                box = np.array([
                    middle[0] - width / 2, middle[1] - height / 2,
                    middle[0] + width / 2, middle[1] + height / 2,
                ])  # fmt: skip
                if box[0] < frame.x0 or box[2] > frame.x1:
                    continue
                if box[1] < frame.y0 or box[3] > frame.y1:
                    continue
                cost = _cost(box, paths, k, taken, height) + step + abs(place - 0.5)
                if best is None or cost < best[0]:
                    best = (cost, box, anchor, _gap(box, paths[k]) > 0.9 * height)
    if best is None:  # axes too small for any name: write it where the curve ends
        anchor = paths[k][-1]
        return np.array([*anchor, anchor[0] + width, anchor[1] + height]), anchor, False
    return best[1:]


def _gap(box: Float, path: Float) -> float:
    """Return how far above or below the box its curve runs."""
    beside = path[(path[:, 0] >= box[0]) & (path[:, 0] <= box[2]), 1]
    gaps = np.maximum(box[1] - beside, beside - box[3])
    return float(gaps.min()) if len(gaps) else np.inf


def _cost(box: Float, paths: list[Float], k: int, taken: list[Any], height: float) -> float:
    """Judge a place: what it covers, and whose curve is nearest."""
    cost = 0.0
    for other in taken:
        if box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]:
            cost += 1_000.0
    pad = 0.15 * height
    x, y = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
    gaps = []
    for path in paths:
        beside = (path[:, 0] > box[0] - pad) & (path[:, 0] < box[2] + pad)
        inside = beside & (path[:, 1] > box[1] - pad) & (path[:, 1] < box[3] + pad)
        cost += 20.0 * float(inside.any()) + 2.0 * float(inside.sum())
        gaps.append(float(np.abs(np.interp(x, path[:, 0], path[:, 1]) - y)))
    nearer = sum(gap < gaps[k] for i, gap in enumerate(gaps) if i != k)
    return cost + 8.0 * nearer


def _write(ax: Any, name: str, colour: str, box: Float, anchor: Float, is_far: bool) -> Any:
    """Write a name into its box; a thin line leads to the curve where that is far."""
    to_data = ax.transData.inverted()
    x, y = to_data.transform([0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])])
    if is_far:
        edge = box[1] if anchor[1] < box[1] else box[3]
        ends = to_data.transform([[anchor[0], edge], anchor])
        ax.plot(*ends.T, color=colour, linewidth=0.7, zorder=3.5)
        ax.plot(*ends[1:].T, "o", color=colour, markersize=3.5, zorder=3.5)
    return ax.text(
        x, y, name, color=colour, fontsize=FONT, family=families_for(name),
        horizontalalignment="center", verticalalignment="center", zorder=5,
    )  # fmt: skip
