"""What treating the best-ranked rows first gains, on rows that had no part in the fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate.findings import Findings
from segcate.plots._drawing import INK, MAIN, new_sheet, open_axes, write_side, write_texts
from segcate.reports._units import units_of


def draw_targeting(findings: Findings, width: float) -> Any:
    """Draw the curve of gains beside that of treating rows at random."""
    found = findings.targeting
    if found is None:
        return None
    ax = open_axes("draw_figures", new_sheet(width), 3.6)
    percent = 100.0 * np.asarray(found.share)
    low, high = np.asarray(found.gain_low), np.asarray(found.gain_high)
    ax.fill_between(percent, low, high, color=MAIN, alpha=0.16, linewidth=0)
    ax.plot(percent, found.gain, color=MAIN, linewidth=1.8, label="largest predicted effect first")
    ax.plot([0, 100], [0, found.average_effect], color="#6b6b6b", linewidth=1.1, label="at random")
    ax.axhline(0.0, color=INK, linewidth=0.8, zorder=0)
    ax.set_xlim(0.0, 100.0)
    ax.legend(loc="best", frameon=False, fontsize=8.5, labelcolor="linecolor")
    write_side(ax, f"gain a row, in {units_of(findings)}")
    level = f"{100 * findings.confidence_level:g} %"
    write_texts(ax, "share of rows treated (%)", [f"Band: {level} at each share."], "", "")
    return ax.figure
