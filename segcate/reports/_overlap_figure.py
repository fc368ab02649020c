"""Which chances of treatment occur in both arms, from counts in bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from segcate.findings import Findings, SegmentOverlap
from segcate.plots._drawing import (
    INK,
    MAIN,
    PALE,
    WIDTH,
    fit_name,
    font_size,
    name_rows,
    new_sheet,
    open_axes,
    write_beside,
    write_texts,
)
from segcate.reports._units import names_in_pictures

_ROW_INCHES = 0.62
_MOST_SEGMENTS = 20


def draw_overlap(findings: Findings, width: float) -> Any:
    """Draw both arms of each segment: the treated above a line, the controls below."""
    if not findings.overlap:
        return None
    panels = findings.overlap[:_MOST_SEGMENTS]
    names = names_in_pictures(findings, with_words=width >= WIDTH)
    ax = open_axes("draw_figures", new_sheet(width), 1.1 + _ROW_INCHES * (len(panels) + 0.5))
    size = font_size(ax, 3.0 * len(panels))
    shares = [(_shares(panel.treated), _shares(panel.control)) for panel in panels]
    tallest = max(float(arm.max()) for pair in shares for arm in pair if len(arm)) or 1.0
    for y, (panel, pair) in enumerate(zip(panels, shares, strict=True)):
        _draw_arms(ax, panel, pair, float(y), tallest)
        text = f"{sum(panel.treated):,} treated\n{sum(panel.control):,} controls"
        write_beside(ax, 1.02, y, text, 0.85 * size)
    ax.set_xlim(*_limits(panels))
    ax.set_ylim(len(panels) - 0.45, -0.55)
    labels = [fit_name(names.get(panel.segment, panel.segment), 24) for panel in panels]
    name_rows(ax, range(len(panels)), labels, size)
    notes = ["Above each line: share of the treated; below: of the controls."]
    if len(findings.overlap) > len(panels):
        notes.append(f"{len(findings.overlap) - len(panels)} more segments are in the table.")
    write_texts(ax, "propensity (probability of treatment)", notes, "", "")
    return ax.figure


def _shares(counts: tuple[int, ...]) -> Any:
    values = np.asarray(counts, dtype=np.float64)
    return values / values.sum() if values.sum() > 0 else values


def _draw_arms(ax: Any, panel: SegmentOverlap, pair: Any, y: float, tallest: float) -> None:
    line = {"baseline": y, "fill": True, "edgecolor": INK, "linewidth": 0.5}
    for share, side, face in zip(pair, (-1.0, 1.0), (MAIN, PALE), strict=True):
        heights = y + 0.44 * side / tallest * share
        ax.stairs(heights, panel.edges, facecolor=face, **line)
    ax.plot([panel.edges[0], panel.edges[-1]], [y, y], color=INK, linewidth=0.8)


def _limits(panels: Sequence[SegmentOverlap]) -> tuple[float, float]:
    """Return the ends of the bins that hold rows, and a margin."""
    held = [
        (panel.edges[i], panel.edges[i + 1])
        for panel in panels
        for i, (treated, control) in enumerate(zip(panel.treated, panel.control, strict=True))
        if treated or control
    ]
    low, high = min(ends[0] for ends in held), max(ends[1] for ends in held)
    margin = 0.02 + 0.02 * (high - low)
    return max(0.0, low - margin), min(1.0, high + margin)
