"""Population, profile, balance and overlap, read from the fitted estimator and its rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.kinds import read_column
from segcate._writing.label_texts import one_line
from segcate.effects import SegmentAIPW, SegmentMatching
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._design_findings import (
    BalanceRow,
    Population,
    Profile,
    SegmentBalance,
    SegmentOverlap,
)
from segcate.findings._source import OWNER, Source
from segcate.matching import MatchedSample
from segcate.segmentation import segment_profile

# Below this absolute standardised difference arms are commonly called balanced (Austin 2009; Stuart 2010).
NOTABLE = 0.1
EXTREME = 0.02
_N_BINS = 20


def collect_population(source: Source, rows: AnalysedRows) -> Population:
    """Count rows, and say what the columns are and where the segments come from."""
    model, used = source.model, rows.is_used
    table = model.covariates_
    kinds = tuple(k for k in model._columns if k.position != rows.position)
    assert len(kinds) <= len(table)
    reasons = unmatched_reasons(source)
    n_gaps = rows.n_rows - len(rows.kept)
    n_weightless = int((~used).sum()) - n_gaps
    said = [
        f"{n:,} rows {why}"
        for n, why in ((n_weightless, "of weight 0"), (n_gaps, "with missing covariates"))
        if n
    ]
    return Population(
        n=rows.n_rows,
        n_treated=int((rows.treatment[used] == 1).sum()),
        n_control=int((rows.treatment[used] == 0).sum()),
        n_left_out=int((~used).sum()),
        left_out_because="; ".join(said),
        n_unmatched=sum(reasons.values()),
        unmatched_because=reasons,
        n_groups=0 if rows.groups is None else len(np.unique(rows.groups[used])),
        covariates=kinds,
        clustered_on=_clustered_on(source.segmenter),
        segment_source=_segment_source(source, rows),
        segments_saw_outcome=source.is_chosen_on_same_rows or source.is_fitted_on_outcome,
    )


def unmatched_reasons(source: Source) -> dict[str, int]:
    """Count the rows of the estimand without a match, by reason; {} where nothing is matched."""
    if not isinstance(source.model, SegmentMatching):
        return {}
    reason = source.model.matcher_.matched_.unmatched_reason
    names, counts = np.unique(
        reason[(reason != "") & (reason != "weight zero")], return_counts=True
    )
    return {str(n): int(c) for n, c in zip(names.tolist(), counts.tolist(), strict=True)}


def _clustered_on(segmenter: Any) -> tuple[str, ...]:
    """Name the columns that a fitted segmenter looked at; () where it does not say."""
    if not hasattr(segmenter, "column_positions_"):
        return ()
    names = getattr(segmenter, "feature_names_in_", None)
    positions = segmenter.column_positions_
    return tuple(f"x{i}" if names is None else str(names[i]) for i in positions)


def _segment_source(source: Source, rows: AnalysedRows) -> str:
    if rows.position is None:
        return "all rows are one segment"
    if source.segmenter is not None:
        return one_line(" ".join(repr(source.segmenter).split()), 300)
    names = frames.column_names(rows.labelled)
    return f"column {names[rows.position]!r}" if names else f"column {rows.position} of X"


def collect_profile(rows: AnalysedRows) -> Profile | None:
    """Describe the segments by means and shares; None where X holds nothing but the segment."""
    if not rows.covariates:
        return None
    used = np.flatnonzero(rows.is_used)
    X = frames.take_rows(frames.select_columns(rows.labelled, rows.covariates), used)
    weight = None if rows.weight is None else rows.weight[used]
    table = segment_profile(X, rows.codes[used], sample_weight=weight)
    everyone = segment_profile(X, np.zeros(len(used), dtype=int), sample_weight=weight).iloc[0]
    columns = [name for name in table.columns if name not in ("n", "share")]
    values = table[columns].to_numpy(dtype=np.float64)
    centre = everyone[columns].to_numpy(dtype=np.float64)
    spread = _spreads(X, columns, centre)
    difference = np.divide(values - centre, spread, out=np.zeros_like(values), where=spread > 0)
    labels = [rows.labels[code] for code in table.index.tolist()]
    return Profile(
        labels=tuple(labels),
        columns=tuple(columns),
        values=tuple(tuple(row) for row in values.tolist()),
        everyone=tuple(centre.tolist()),
        difference=tuple(tuple(row) for row in difference.tolist()),
    )


def _spreads(X: Any, columns: list[str], centre: Float) -> Float:
    """Return the standard deviation behind each column of a profile; of a share that of its 0 and 1."""
    known = dict(zip(columns, np.sqrt((centre * (1 - centre)).clip(min=0)).tolist(), strict=True))
    for i in range(X.shape[1]):
        kind, _ = read_column(OWNER, X, i, describe=True)
        if kind.found != "category":
            match = [
                name for name in columns if name == kind.name or name.startswith(f"{kind.name} (")
            ]
            known |= dict.fromkeys(match[:1], kind.scale)
    return np.array([known[name] for name in columns])


def collect_balance(
    source: Source,
) -> tuple[tuple[SegmentBalance, ...], tuple[BalanceRow, ...]] | None:
    """Return the worst covariate of each segment, and all of them; None where nothing is matched."""
    if not isinstance(source.model, SegmentMatching):
        return None
    table = source.model.balance_
    if not len(table):
        return None
    rows = tuple(
        BalanceRow(
            segment, str(covariate), *(float(getattr(row, name)) for name in _BALANCE)
        )
        for (segment, covariate), row in zip(table.index.tolist(), table.itertuples(), strict=True)
    )  # fmt: skip
    labels = source.model.segment_labels_.tolist()
    return tuple(_worst(label, [r for r in rows if r.segment == label]) for label in labels), rows


_BALANCE = (
    "smd_before", "smd_after", "variance_ratio_before", "variance_ratio_after", "ks_before", "ks_after",
)  # fmt: skip


def _worst(label: Any, rows: list[BalanceRow]) -> SegmentBalance:
    known = [row for row in rows if np.isfinite(row.smd_after)]
    if not known:
        return SegmentBalance(label, "", float("nan"), float("nan"), 0, len(rows))
    worst = max(known, key=lambda row: abs(row.smd_after))
    n_over = sum(abs(row.smd_after) > NOTABLE for row in known)
    return SegmentBalance(
        label, worst.covariate, worst.smd_before, worst.smd_after, n_over, len(rows)
    )


def propensity_of(source: Source, rows: AnalysedRows) -> Float | None:
    """Return the chance of treatment of each row that the estimator used; None where it used none."""
    model = source.model
    found = None
    if isinstance(model, SegmentMatching):
        found = model.matcher_.propensity_
    elif isinstance(model, SegmentAIPW):
        found = model.propensity_
    return None if found is None else rows.spread(found)


def collect_overlap(source: Source, rows: AnalysedRows) -> tuple[SegmentOverlap, ...] | None:
    """Compare the chances of treatment of both arms in each segment."""
    chance = propensity_of(source, rows)
    if chance is None:
        return None
    sample = source.model.matcher_.matched_ if isinstance(source.model, SegmentMatching) else None
    reason = None if sample is None else _reasons(sample, rows)
    weights = arm_weights(source, rows)
    edges = np.linspace(0.0, 1.0, _N_BINS + 1)
    return tuple(
        _overlap(label, rows, np.flatnonzero((rows.codes == i) & rows.is_used & np.isfinite(chance)),
                 (chance, weights, reason, edges), source.model.estimand)
        for i, label in enumerate(rows.labels)
    )  # fmt: skip


def _reasons(sample: MatchedSample, rows: AnalysedRows) -> Float:
    """Mark the rows that looked for a match in vain."""
    is_left = (sample.unmatched_reason != "") & (sample.unmatched_reason != "weight zero")
    return rows.spread(is_left.astype(np.float64), 0.0)


def arm_weights(source: Source, rows: AnalysedRows) -> Float:
    """Return what each row counts in its arm: matched weights, inverse chances of treatment, or 1."""
    if isinstance(source.model, SegmentMatching):
        return rows.spread(source.model.matcher_.matched_.weights, 0.0)
    own, chance = rows.own_weight, propensity_of(source, rows)
    if chance is None:
        return own
    treated = rows.treatment == 1
    with np.errstate(divide="ignore", invalid="ignore"):
        if source.model.estimand == "att":
            found = np.where(treated, own, own * chance / (1 - chance))
        else:
            found = np.where(treated, own / chance, own / (1 - chance))
    return np.asarray(np.where(np.isfinite(found), found, 0.0))


def _overlap(label: Any, rows: AnalysedRows, at: Any, parts: Any, estimand: str) -> SegmentOverlap:
    chance, weights, reason, edges = parts
    treated = rows.treatment[at] == 1
    score = chance[at]
    arms = [score[~treated], score[treated]]
    focal = {"att": treated, "atc": ~treated}.get(estimand, np.ones(len(at), dtype=bool))
    outside = np.zeros(len(at), dtype=bool)
    for mask, other in ((treated, arms[0]), (~treated, arms[1])):
        if len(other):
            outside |= mask & ((score < other.min()) | (score > other.max()))
        else:
            outside |= mask
    counts = [np.histogram(arm, edges)[0].tolist() for arm in arms]
    sizes = [_effective(weights[at][mask]) for mask in (treated, ~treated)]
    return SegmentOverlap(
        segment=label,
        edges=tuple(edges.tolist()),
        treated=tuple(counts[1]),
        control=tuple(counts[0]),
        n_unmatched=0 if reason is None else int(reason[at].sum()),
        n_focal=int(focal.sum()),
        share_outside=float(outside[focal].mean()) if focal.any() else float("nan"),
        effective_treated=sizes[0],
        effective_control=sizes[1],
        n_extreme=int(((score < EXTREME) | (score > 1 - EXTREME)).sum()),
    )


def _effective(weight: Float) -> float:
    """Return how many equally weighted rows some weights are worth."""
    squares = float(weight @ weight)
    return float(weight.sum() ** 2 / squares) if squares > 0 else 0.0
