"""What to see in each picture, in words with the numbers at hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from segcate._writing.number_texts import (
    decimals_of,
    write_count,
    write_decimals,
    write_estimate,
    write_number,
)
from segcate.findings import Findings, SegmentFinding
from segcate.findings._design import NOTABLE
from segcate.reports._blocks import p_text
from segcate.reports._units import segment_title, units_of


def words(name: str, findings: Findings) -> tuple[str, str, str]:
    """Return title, caption and alternative text of a picture."""
    title, write = _WORDS[name]
    caption, shows = write(findings)
    return title, caption, f"{shows} {caption}"


def _effects(findings: Findings) -> tuple[str, str]:
    found = [s for s in findings.segments if math.isfinite(s.effect)]
    overall, units = findings.overall, units_of(findings)
    parts = [
        f"Overall effect {_estimate(overall)} {units} (diamond and dashed line). "
        f"Squares are the segments, lines their {_level(findings)} intervals."
    ]
    if len(found) > 1:
        low, high = min(found, key=_effect), max(found, key=_effect)
        parts.append(
            f"The estimates reach from {_estimate(low)} in {_title(findings, low)} to "
            f"{_estimate(high)} in {_title(findings, high)}."
        )
        apart = [s for s in found if s.ci_low > 0 or s.ci_high < 0]
        parts.append(
            f"{len(apart)} of {len(found)} intervals {_leave(len(apart))} out 0. Whether segments differ is the "
            f"question of the test of heterogeneity (p {p_text(findings.heterogeneity.p_value)}), not of intervals "
            "that do or do not overlap."
        )
    missing = len(findings.segments) - len(found)
    if missing:
        parts.append(f"{missing} without an estimate; the row says why.")
    return " ".join(parts), f"Forest plot of the effect in {write_count(len(found), 'segment')}."


def _leave(n: int) -> str:
    return "leaves" if n == 1 else "leave"


def _profile(findings: Findings) -> tuple[str, str]:
    profile = findings.profile
    assert profile is not None
    size = np.abs(np.nan_to_num(np.array(profile.difference)))
    text = (
        "Numbers are means, or shares of a level; a shade says how far from the mean of all rows."
    )
    if size.size and size.max() > 0:
        i, j = np.unravel_index(int(size.argmax()), size.shape)
        pair = profile.values[i][j], profile.everyone[j]
        decimals = decimals_of(pair, 3)
        text += (
            f" The largest difference: {profile.columns[j]} in {segment_title(findings, profile.labels[i])}, "
            f"{write_decimals(pair[0], decimals)} against {write_decimals(pair[1], decimals)} among all rows."
        )
    return (
        text,
        f"Heat map of {write_count(len(profile.columns), 'mean')} in {write_count(len(profile.labels), 'segment')}.",
    )


def _balance(findings: Findings) -> tuple[str, str]:
    rows = [row for row in findings.balance_rows or () if math.isfinite(row.smd_after)]
    text = (
        "Open circles: difference between the arms before matching, filled ones after, in standard deviations; "
        f"below {NOTABLE} (dotted) is commonly called balanced."
    )
    if rows:
        worst = max(rows, key=lambda row: abs(row.smd_after))
        n_over = sum(abs(row.smd_after) > NOTABLE for row in rows)
        before = sum(abs(row.smd_before) > NOTABLE for row in rows)
        text += (
            f" Above {NOTABLE} are {n_over} of {len(rows)} pairs of covariate and segment after matching, "
            f"{before} before. The largest after: {worst.covariate} in "
            f"{segment_title(findings, worst.segment)}, {write_decimals(abs(worst.smd_after), 2)} "
            f"(before {write_decimals(abs(worst.smd_before), 2)})."
        )
    return text, "Love plot of the balance of the arms."


def _overlap(findings: Findings) -> tuple[str, str]:
    panels = findings.overlap or ()
    n_focal = sum(panel.n_focal for panel in panels)
    left = sum(panel.n_unmatched for panel in panels)
    text = "Where one side of a line is empty there is nobody to compare with."
    known = [panel for panel in panels if math.isfinite(panel.share_outside)]
    if known:
        worst = max(known, key=lambda panel: panel.share_outside)
        n_out = sum(panel.share_outside * panel.n_focal for panel in known)
        text += (
            f" {round(n_out):,} of {n_focal:,} rows that need a comparison lie beyond the other arm"
        )
        text += (
            f", most of them by share in {segment_title(findings, worst.segment)} "
            f"({write_decimals(100 * worst.share_outside, 1)} %)."
            if worst.share_outside > 0
            else "."
        )
    if left:
        text += f" {left:,} found no match."
    return text, "Histograms of the chance of treatment of both arms in each segment."


def _targeting(findings: Findings) -> tuple[str, str]:
    found = findings.targeting
    assert found is not None
    curve = np.asarray(found.gain)
    at = int(np.argmax(curve))
    values = write_estimate(found.qini, found.qini_low, found.qini_high)
    text = (
        f"On {found.n:,} rows that had no part in the fit: the higher the curve above the straight line, the better "
        f"the ranking. Area between them (Qini): {values}, p {p_text(found.qini_p_value)}. "
    )
    if at == len(curve) - 1:
        text += f"Treating everybody gains most, {write_number(found.average_effect, 3)} a row."
    else:
        text += (
            f"Most is gained when {write_decimals(100 * found.share[at], 0)} % of the rows are treated: "
            f"{write_number(float(curve[at]), 3)} a row, against {write_number(found.average_effect, 3)} when all are."
        )
    return text, "Curve of the gain from treating the rows with the largest predicted effect first."


def _protected(findings: Findings) -> tuple[str, str]:
    found = findings.by_protected
    assert found is not None
    levels = [level for level in found.levels if math.isfinite(level.effect)]
    told = [
        f"{level.level} {write_estimate(level.effect, level.ci_low, level.ci_high)}"
        for level in levels
    ]
    more = f" and {len(told) - 6} more" if len(told) > 6 else ""
    text = f"Effects by {found.column}: {', '.join(told[:6])}{more}."
    text += f" Test that all levels have one effect: p {p_text(found.p_value)}."
    return text, f"Forest plot of the effect by {found.column}."


def _effect(segment: SegmentFinding) -> float:
    return segment.effect


def _title(findings: Findings, segment: SegmentFinding) -> str:
    return segment_title(findings, segment.label)


def _estimate(entry: Any) -> str:
    return write_estimate(entry.effect, entry.ci_low, entry.ci_high)


def _level(findings: Findings) -> str:
    return f"{100 * findings.confidence_level:g} %"


_WORDS: dict[str, tuple[str, Callable[[Findings], tuple[str, str]]]] = {
    "effects": ("Effect of each segment", _effects),
    "profile": ("Who the segments are", _profile),
    "balance": ("How alike the arms are", _balance),
    "overlap": ("Whether both arms occur", _overlap),
    "targeting": ("What targeting gains", _targeting),
    "protected": ("Effects by a protected column", _protected),
}
