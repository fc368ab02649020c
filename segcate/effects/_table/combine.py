"""Put tables of several fits together: other segments side by side, the same segment as an average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate.effects._table.effect_table import EffectTable
from segcate.effects._table.group_scores import collect_group_scores
from segcate.effects._table.imputed import combine_tables
from segcate.effects._table.parts import (
    Part,
    common_labels,
    names_text,
    read_parts,
    recoded,
    shares_of,
)
from segcate.effects._table.pool import average, overall_group_sums, pool
from segcate.effects._table.segment_estimate import OK, SegmentEstimate

_OWNER = "EffectTable.combine"


def combine(given: Any, groups: Sequence[Any] | None) -> EffectTable:
    """Combine tables or fitted estimators; see `EffectTable.combine`."""
    parts = read_parts(_OWNER, given, groups)
    n_imputations = max(len(part.table.imputations) for part in parts)
    if not n_imputations:
        return _combine_once(parts)
    return combine_tables(
        [_combine_once([_imputation(part, i) for part in parts]) for i in range(n_imputations)]
    )


def _imputation(part: Part, i: int) -> Part:
    """Return a part as one of its imputations has it; one without gaps is the same in all."""
    return replace(part, table=part.table.imputations[i]) if part.table.imputations else part


def _combine_once(parts: Sequence[Part]) -> EffectTable:
    labels = common_labels(parts)
    place = {label: i for i, label in enumerate(labels.tolist())}
    at = [np.array([place[label] for label in p.table.labels.tolist()], np.intp) for p in parts]
    estimates = [recoded(part) for part in parts]
    found: list[dict[int, SegmentEstimate]] = [{} for _ in place]
    for p, (segments, ones) in enumerate(zip(at, estimates, strict=True)):
        for segment, one in zip(segments.tolist(), ones, strict=True):
            found[segment][p] = one
    names, inference = [part.name for part in parts], _said([p.table.inference for p in parts])
    expected = _expected_parts([list(one) for one in found], len(parts))
    merged = [
        _merge(one, names, sorted(beside - set(one)), inference)
        for one, beside in zip(found, expected, strict=True)
    ]
    covariances = _covariances(parts, at, found)
    if covariances is not None:
        merged = [replace(e, covariances=row) for e, row in zip(merged, covariances, strict=True)]
    codes = [part.codes.max(initial=-1) for part in parts if part.codes is not None]
    return pool(
        merged,
        labels,
        inference=inference,
        confidence_level=parts[0].table.confidence_level,
        estimand=_said([part.table.estimand for part in parts]),
        outcome=_said([part.table.outcome for part in parts]),
        n_groups=int(max(codes, default=-1)) + 1,
    )


def _said(texts: Sequence[str]) -> str:
    """Return what parts say of themselves; they were checked to agree."""
    return next((text for text in texts if text), "")


def _expected_parts(holders: list[list[int]], n_parts: int) -> list[set[int]]:
    """Return where each segment may be looked for: parts that share a segment with one that has it."""
    beside: list[set[int]] = [{p} for p in range(n_parts)]
    for held_by in holders:
        for p in held_by:
            beside[p].update(held_by)
    return [set().union(*(beside[p] for p in held_by)) for held_by in holders]


def _merge(
    found: dict[int, SegmentEstimate], names: Sequence[str], absent: list[int], inference: str
) -> SegmentEstimate:
    """Average the estimates of one segment; `found` holds them by part."""
    status = _status(found, names, absent)
    estimates = list(found.values())
    if len(estimates) == 1:
        return replace(estimates[0], status=status)
    used = [e for e in estimates if e.is_estimated]
    counts: dict[str, Any] = {
        "n": sum(e.n for e in estimates),
        "n_treated": sum(e.n_treated for e in estimates),
        "n_control": sum(e.n_control for e in estimates),
    }
    if not used:
        return replace(estimates[0], status=status, **counts)
    scores = collect_group_scores(used)
    mean = average(used, inference, scores)
    share = shares_of(used)
    spread = np.array([e.effect - mean.effect for e in used]) * (inference == "population")
    kept = np.array([e.pooled_variance for e in used])
    has_spread = any(e.variance > 0 for e in used)
    flat = 0.0 if not np.isnan(kept).any() else np.nan
    return SegmentEstimate(
        status=status,
        effect=mean.effect,
        variance=mean.variance,
        n_matched=sum(e.n_matched for e in used),
        total=sum(e.total for e in used),
        method=" and ".join(sorted({e.method for e in used})),
        df=mean.df,
        pooled_variance=mean.variance if has_spread else flat,
        total_squares=sum(e.total_squares for e in used),
        n_eff_controls=1 / float(share**2 @ (1 / np.array([e.n_eff_controls for e in used]))),
        **counts,
        **_merged_groups(used, share, spread),
    )  # fmt: skip


def _merged_groups(used: list[SegmentEstimate], share: Float, gap: Float) -> dict[str, Any]:
    """Add up the scores of groups, and their focal weight; nothing where rows are independent."""
    groups = [e.groups for e in used if e.groups is not None]
    if not groups:
        return {}
    names = np.unique(np.concatenate(groups)).astype(np.intp)
    totals: Float = np.zeros(len(names))
    for e in used:
        if e.groups is not None and e.group_totals is not None:
            np.add.at(totals, np.searchsorted(names, e.groups), e.group_totals)
    sums = overall_group_sums(used, share, gap)[names]
    return {"groups": names, "group_sums": sums, "group_totals": totals}


def _covariances(
    parts: Sequence[Part], at: list[Int], found: list[dict[int, SegmentEstimate]]
) -> Float | None:
    """Weigh the covariances inside parts by what their estimates count; None where there are none."""
    if all(part.table.between is None for part in parts):
        return None
    out = np.zeros((len(found), len(found)))
    shares = np.zeros((len(parts), len(found)))
    for segment, one in enumerate(found):
        shares[list(one), segment] = shares_of(list(one.values()))
    for p, (part, segments) in enumerate(zip(parts, at, strict=True)):
        if part.table.between is not None:
            share = shares[p, segments]
            out[np.ix_(segments, segments)] += np.outer(share, share) * part.table.between
    return out


def _status(found: dict[int, SegmentEstimate], names: Sequence[str], absent: list[int]) -> str:
    """Say what the parts say, by part where they differ, and where the segment does not occur."""
    estimated = [p for p, e in found.items() if e.is_estimated]
    remarks: dict[str, list[str]] = {}
    for p, e in found.items():
        if estimated and not e.is_estimated:
            remarks.setdefault(f"no estimate: {e.status}", []).append(names[p])
        for remark in _remarks(e) if e.is_estimated or not estimated else []:
            remarks.setdefault(remark, []).append(names[p])
    n_said = len(estimated) or len(found)
    said = [
        text if len(by) == n_said and not text.startswith("no estimate:") else f"{text} ({names_text(by)})"
        for text, by in remarks.items()
    ]  # fmt: skip
    if absent:
        said.append(f"not in {names_text([names[p] for p in absent])}")
    if not estimated:
        return "; ".join(said)
    return f"{OK}: {'; '.join(said)}" if said else OK


def _remarks(estimate: SegmentEstimate) -> list[str]:
    if not estimate.is_estimated:
        return [estimate.status]
    return [
        text for text in estimate.status.removeprefix(OK).removeprefix(": ").split("; ") if text
    ]
