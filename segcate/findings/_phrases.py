"""Numbers and names as they stand in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from segcate._writing.label_texts import one_line
from segcate._writing.number_texts import decimals_of, write_decimals, write_number
from segcate.findings._segment_findings import SegmentFinding

if TYPE_CHECKING:
    from segcate.findings._findings import Findings

_MOST_LISTED = 6
_MINUS = "\N{MINUS SIGN}"


def amounts(findings: Findings, values: Sequence[float], *, half: float = 0.0) -> list[str]:
    """Write numbers in the unit of the outcome, all with the same decimals.

    Parameters
    ----------
    half : half the width of an interval, of which two digits are shown; 0: of the values
    """
    scale = 100.0 if findings.outcome_is_binary else 1.0
    shown = np.asarray(values, dtype=np.float64) * scale
    decimals = decimals_of([half * scale] if half > 0 else shown, 2)
    return [write_decimals(value, decimals).replace(_MINUS, "-") for value in shown.tolist()]


def unit(findings: Findings) -> str:
    """Return what follows a number."""
    if findings.outcome_is_binary:
        return " percentage points"
    words = one_line(findings.description.units)
    return f" {words}" if words else ""


def amount(findings: Findings, value: float) -> str:
    """Write one number with its unit."""
    return f"{amounts(findings, [value])[0]}{unit(findings)}"


def interval_phrase(findings: Findings, effect: float, low: float, high: float) -> str:
    """Write an effect with its interval: "0.42 kg (95 % interval 0.10 to 0.74)"."""
    level = f"{100 * findings.confidence_level:g} %"
    if not (np.isfinite(low) and np.isfinite(high)):
        return f"{amount(findings, effect)} (no interval)"
    texts = amounts(findings, [effect, low, high], half=0.5 * (high - low))
    return f"{texts[0]}{unit(findings)} ({level} interval {texts[1]} to {texts[2]})"


def effect_phrase(findings: Findings, effect: float, low: float, high: float) -> str:
    """Write a sentence about an effect: "the treatment raises the outcome by ..."."""
    words = findings.description
    verb = "raises" if effect > 0 else "lowers"
    signed = (effect, low, high) if effect > 0 else (-effect, -high, -low)
    return (
        f"{one_line(words.treated) or 'the treatment'} {verb} {one_line(words.outcome) or 'the outcome'} by "
        f"{interval_phrase(findings, *signed)}"
    )


def segment_phrase(segment: SegmentFinding) -> str:
    """Name a segment in a sentence: its words, and its label where that is another."""
    label, name = one_line(segment.label), one_line(segment.name)
    shown = f'"{label}"' if isinstance(segment.label, str) else label
    return f"segment {shown}" if name == label else f"segment {shown} ({name})"


def listing(texts: Sequence[str]) -> str:
    """Join texts with commas, and count those above six."""
    shown = list(texts[:_MOST_LISTED])
    n_more = len(texts) - len(shown)
    if n_more:
        return f"{', '.join(shown)} and {n_more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def percent(share: float) -> str:
    """Write a share."""
    return f"{write_number(round(100 * share, 1 if share < 0.1 else 0))} %"
