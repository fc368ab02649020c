"""The numbers and texts of a forest plot: its rows, limits, decimals and remarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.listing import listed
from segcate._writing.label_texts import one_line
from segcate._writing.number_texts import decimals_of, write_estimate
from segcate.plots._drawing import fit_name, plain

# A plot holds this many segments; of more it shows the most telling.
MOST_ROWS = 50
_LONGEST_NAME = 26
_LONGEST_REASON = 64
_NEEDED = ("effect", "ci_low", "ci_high")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the plot.

    Attributes
    ----------
    name : segment, or "overall"
    effect, low, high : estimate and interval, NaN where there is none
    status : "ok" or "ok: ..." for an estimate of the segment's own; anything else says why there is
        none, or whose estimate stands in
    n_treated : treated rows, None where unknown
    is_overall : whether the line is everyone together
    """

    name: str
    effect: float
    low: float
    high: float
    status: str
    n_treated: int | None
    is_overall: bool = False

    @property
    def has_estimate(self) -> bool:
        """Tell whether there is a point to draw."""
        return bool(np.isfinite(self.effect))

    @property
    def has_interval(self) -> bool:
        """Tell whether there is an interval to draw."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def is_own(self) -> bool:
        """Tell whether the estimate is the segment's own."""
        return self.status == "ok" or self.status.startswith("ok:")

    def label(self, n_lines: int) -> str:
        """Segment for the axis, a long one in several lines, with the treated rows."""
        name = fit_name(self.name, _LONGEST_NAME, n_lines)
        return name if self.n_treated is None else f"{name} ({self.n_treated:,})"

    @property
    def reason(self) -> str:
        """Why there is no estimate, shortened to fit."""
        return plain(one_line(f"no estimate: {self.status}", _LONGEST_REASON))

    def figures(self, decimals: int) -> str:
        """Write estimate and interval; an interval that would vanish has decimals of its own."""
        return write_estimate(self.effect, self.low, self.high, decimals)


def segment_rows(owner: str, effects: pd.DataFrame, order: str) -> list[Row]:
    """Read the table of effects; segments without an estimate come last when ordered by effect."""
    if not isinstance(effects, pd.DataFrame):
        raise TypeError(
            f"{owner}: `effects` must be a DataFrame with one row a segment; "
            f"got {type(effects).__name__}."
        )
    missing = [name for name in _NEEDED if name not in effects.columns]
    if missing:
        raise ValueError(
            f"{owner}: `effects` lacks the columns {listed(missing)}; it has "
            f"{listed(effects.columns, 12)}. Pass a table like `SegmentMatching.effects_`."
        )
    if len(effects) == 0:
        raise ValueError(f"{owner}: `effects` has no rows; there is nothing to draw.")
    if order == "effect":
        effects = effects.sort_values("effect", ascending=False, kind="stable", na_position="last")
    records = effects.to_dict("records")
    return [_row(str(name), record) for name, record in zip(effects.index, records, strict=True)]


def most_telling(rows: list[Row]) -> tuple[list[Row], int]:
    """Keep the 50 rows furthest from 0 in widths of their intervals; count the others."""
    if len(rows) <= MOST_ROWS:
        return rows, 0
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.array([abs(r.effect) / np.float64(r.high - r.low) for r in rows])
    order = np.argsort(-np.nan_to_num(distance, nan=-1.0, posinf=-1.0), kind="stable")
    return [rows[i] for i in np.sort(order[:MOST_ROWS])], len(rows) - MOST_ROWS


def overall_row(owner: str, overall: Any) -> Row | None:
    """Read the overall effect from a mapping, a Series or a table with one row."""
    if overall is None:
        return None
    if isinstance(overall, pd.DataFrame):
        if len(overall) != 1:
            raise ValueError(f"{owner}: `overall` must have one row; it has {len(overall)}.")
        overall = overall.iloc[0]
    is_record = isinstance(overall, Mapping | pd.Series) or hasattr(overall, "__dict__")
    if not is_record:
        raise TypeError(f"`overall` must be a row of effects, such as `overall_`; got {overall!r}.")
    record = dict(overall) if isinstance(overall, Mapping | pd.Series) else vars(overall)
    missing = [name for name in _NEEDED if name not in record]
    if missing:
        raise ValueError(
            f"{owner}: `overall` lacks {listed(missing)}; it has {listed(record, 12)}."
        )
    return _row("overall", record, is_overall=True)


def _row(name: str, record: Mapping[Any, Any], is_overall: bool = False) -> Row:
    n_treated = record.get("n_treated")
    return Row(
        name=name,
        effect=float(record["effect"]),
        low=float(record["ci_low"]),
        high=float(record["ci_high"]),
        status=str(record.get("status", "ok")),
        n_treated=None if n_treated is None or pd.isna(n_treated) else int(n_treated),
        is_overall=is_overall,
    )


def axis_limits(rows: list[Row]) -> tuple[float, float]:
    """Choose limits that hold 0, every estimate and all but the widest intervals.

    An interval may reach two typical (median) interval widths beyond the estimates; what is longer
    would squeeze the others into a line and is cut.
    """
    points = np.array([row.effect for row in rows if row.has_estimate] + [0.0])
    spans = [row for row in rows if row.has_estimate and row.has_interval]
    low, high = float(points.min()), float(points.max())
    if spans:
        typical = 2.0 * float(np.median([row.high - row.low for row in spans]))
        low = min(low, max(low - typical, min(row.low for row in spans)))
        high = max(high, min(high + typical, max(row.high for row in spans)))
    margin = 0.04 * (high - low) if high > low else 1.0
    return low - margin, high + margin


def decimals_for(rows: list[Row]) -> int:
    """Choose decimals so that a typical interval's half-width shows two digits."""
    widths = [0.5 * (row.high - row.low) for row in rows if row.has_interval and row.high > row.low]
    typical = float(np.median(widths)) if widths else abs(rows[0].effect)
    return decimals_of([typical]) if np.isfinite(typical) else 2


def remarks(rows: list[Row]) -> str:
    """List the statuses of the open squares, most frequent first."""
    special: dict[str, int] = {}
    for row in rows:
        if row.has_estimate and not row.is_own:
            special[row.status] = special.get(row.status, 0) + 1
    if not special:
        return ""
    ordered = sorted(special.items(), key=lambda item: -item[1])
    text = "; ".join(f"{status} ({count})" for status, count in ordered[:3])
    if len(ordered) > 3:
        text += f"; and {len(ordered) - 3} more kinds"
    return one_line(f"Open squares: {text}.")


def note_on_the_rest(n_shown: int, n_left_out: int) -> str:
    """Say which segments are shown, if some are left out."""
    if not n_left_out:
        return ""
    return (
        f"The {n_shown} segments furthest from 0 for their intervals; {n_left_out:,} more in the "
        "table."
    )
