"""Effects of segments, of everyone, and differences between segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate._statistics.intervals import Law
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._follow_ups import FollowUps
from segcate.findings._names import SegmentName
from segcate.findings._segment_findings import Contrast, OverallFinding, SegmentFinding
from segcate.findings._source import Source

# More segments than this have too many pairs to read.
MOST_COMPARED = 25
_COUNTS = ("n", "n_treated", "n_control", "n_matched")
_SHARED = (
    "n", "n_treated", "n_control", "n_matched", "effect", "std_error", "ci_low", "ci_high", "p_value",
)  # fmt: skip
_OWN = ("p_adjusted", "shrunken_effect", "shrunken_ci_low", "shrunken_ci_high", "df")


def collect_segments(
    source: Source, rows: AnalysedRows, names: list[SegmentName], more: list[FollowUps]
) -> tuple[SegmentFinding, ...]:
    """Read `effects_`, and add what follows from it, one dict a segment."""
    table = source.model.effects_
    merged: dict[Any, list[Any]] = {}
    for label, into in source.model.merged_segments_.items():
        merged.setdefault(into, []).append(label)
    share = _shares(rows)
    return tuple(
        SegmentFinding(
            label=label,
            name=names[i].text,
            name_rule=names[i].rule,
            name_share=names[i].share,
            name_share_elsewhere=names[i].share_elsewhere,
            share=float(share[i]),
            status=str(table["status"].iloc[i]),
            is_merged_from=tuple(merged.get(label, ())),
            **{name: table[name].iloc[i].item() for name in (*_SHARED, *_OWN)},
            **more[i],
        )
        for i, label in enumerate(rows.labels)
    )


def _shares(rows: AnalysedRows) -> Float:
    weight = rows.own_weight
    found = np.bincount(rows.codes, weight, minlength=len(rows.labels)) / weight.sum()
    return np.asarray(found, dtype=np.float64)


def collect_overall(source: Source, more: FollowUps) -> OverallFinding:
    """Read `overall_`, and add what follows from it."""
    row = source.model.overall_
    found: dict[str, Any] = {name: int(row[name]) for name in _COUNTS}
    found |= {name: float(row[name]) for name in (*_SHARED[len(_COUNTS) :], "df")}
    return OverallFinding(**found, **more)


def collect_contrasts(
    source: Source, miss: Callable[[str, str, str], None]
) -> tuple[Contrast, ...] | None:
    """Compare all pairs of segments; None where there is one segment, or there are too many."""
    labels = source.model.segment_labels_.tolist()
    if len(labels) < 2:
        miss("contrasts", "there is one segment", "fit with two or more segments")
        return None
    if len(labels) > MOST_COMPARED:
        n_pairs = len(labels) * (len(labels) - 1) // 2
        miss(
            "contrasts",
            f"{len(labels)} segments have {n_pairs:,} differences, too many to read",
            "estimator.contrasts([{label: 1, other: -1}]) for the pairs of interest",
        )
        return None
    table = source.model.contrasts().table
    pairs = [(a, b) for i, a in enumerate(labels) for b in labels[i + 1 :]]
    columns = ["estimate", "std_error", "ci_low", "ci_high", "p_value", "p_adjusted", "df"]
    level = 1.0 - source.model.confidence_level
    law, error = Law(table["df"].to_numpy()), table["std_error"].to_numpy()
    n_known = max(int(np.isfinite(error).sum()), 1)
    numbers = np.column_stack(
        [table[columns], law.detectable(error, level), law.detectable(error, level / n_known)]
    )
    return tuple(
        Contrast(first, second, *row)
        for (first, second), row in zip(pairs, numbers.tolist(), strict=True)
    )
