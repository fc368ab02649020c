"""Put what was found into the estimator, as its own fit does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._covariates.missing import Filling
from segcate._inputs.arrays import Bool
from segcate._inputs.effect_data import EffectData
from segcate._inputs.encoding import EncodedColumns
from segcate._inputs.kinds import with_note
from segcate._inputs.segments import SegmentCodes
from segcate.effects import SegmentMatching
from segcate.effects._matched.standard_errors import describe_std_error, refuse_segments
from segcate.effects._mixin import Preparation
from segcate.effects._table.pool import pool
from segcate.effects._table.second_estimate import second_estimate
from segcate.effects._table.segment_estimate import SegmentEstimate
from segcate.effects._table.summary import describe_adjustment
from segcate.effects._thin_segments import MergedSegments
from segcate.scale._balance import measured_balance
from segcate.scale._core import SegmentPlan
from segcate.scale._curved_run import CurvedRun
from segcate.scale._job import Job
from segcate.scale._sums import Sums


@dataclass(frozen=True, slots=True)
class Findings:
    """All that passes over a source have found; lists go by the order of the labels.

    Attributes
    ----------
    labels, position : of the segments, and their column in X
    estimates : one a segment
    sums, plans : one a segment; None where an arm is empty
    notes : what is special about the score of each segment
    encoded : how covariates were encoded
    is_binary : bool array of shape (n_encoded,), columns of 0 and 1
    data : the sample, checked
    options : how effects follow from matches
    outcome : its name
    report : counts and times
    curved : what the curved adjustment found; None for another one
    filling : what was done about gaps in the covariates; None where there were none
    """

    labels: npt.NDArray[Any]
    position: int | None
    estimates: list[SegmentEstimate]
    sums: list[Sums | None]
    plans: list[SegmentPlan | None]
    notes: list[str]
    encoded: EncodedColumns
    is_binary: Bool
    data: EffectData
    options: Any
    outcome: str
    report: dict[str, Any]
    curved: CurvedRun | None = None
    filling: Filling | None = None


@dataclass(frozen=True, slots=True)
class _Segments:
    """What tables and messages ask of the data."""

    segment: SegmentCodes
    n_rows: int


def assemble(job: Job, found: Findings) -> Any:
    """Return the fitted model."""
    estimator, owner = job.estimator, "SegmentMatching"
    data: Any = _Segments(
        SegmentCodes(np.empty(0, dtype=np.intp), found.labels, found.position),
        found.report["n_rows"],
    )
    prepared = Preparation(MergedSegments({}, {}), found.filling, _missing_by_arm(found), False)
    estimates = prepared.tell(data, found.estimates)
    estimator._refuse_empty(owner, data, estimates)
    refuse_segments(owner, found.options.std_error, found.labels.tolist(), estimates)
    table = pool(
        estimates, found.labels, inference=estimator.inference,
        confidence_level=estimator.confidence_level, estimand=estimator.estimand, outcome=found.outcome,
    )  # fmt: skip
    _keep_matcher(job, found)
    curved = found.curved
    estimator._adjustment = (
        describe_adjustment(found.options.adjustment) if curved is None else curved.words
    )
    estimator.std_error_method_ = describe_std_error(found.options.std_error, found.estimates)
    late = estimator.late_columns_
    kinds = tuple(
        with_note(kind, late[kind.name]) if kind.name in late else kind
        for kind in found.encoded.kinds
    )
    estimator._store_effects(data, table, prepared, kinds)
    seconds = [None if curved is None else curved.found.second]
    estimator.second_estimate_ = second_estimate(table, seconds)
    estimator.scale_report_ = found.report
    return job.model


def _missing_by_arm(found: Findings) -> dict[str, list[float]]:
    """Return the share of missing values in each arm; NaN for categories, of which none is counted."""
    by_arm = {} if found.filling is None else found.filling.shares_by_arm
    for kind in found.encoded.kinds:
        if kind.found == "nothing":
            by_arm.setdefault(kind.name, [1.0, 1.0])
        elif kind.is_category and kind.share_missing > 0:
            by_arm.setdefault(kind.name, [float("nan")] * 2)
    return by_arm


def _keep_matcher(job: Job, found: Findings) -> None:
    """Keep of the matches what belongs to no single row."""
    matcher, estimator = job.matcher, job.estimator
    shifts = [
        np.empty(0) if plan is None else np.append(0.0, plan.shift[2:]) for plan in found.plans
    ]
    measured = measured_balance(
        found.sums, shifts, ("propensity", *found.encoded.names),
        np.append(False, found.is_binary), estimator.estimand,
    )  # fmt: skip
    found.report["ks_error"] = measured.ks_error
    sums = [s for s in found.sums if s is not None]
    n_unmatched = sum(
        int((s["n"] - s["n_matched"])[arm])
        for s in sums
        for arm in (0, 1)
        if _is_focal(estimator, arm)
    )
    n_alone = sum(
        n
        for e, s in zip(found.estimates, found.sums, strict=True)
        for arm, n in ((0, e.n_control), (1, e.n_treated))
        if s is None and _is_focal(estimator, arm)
    )
    reasons = {"no row within the caliper": n_unmatched, "no row of the other arm": n_alone}
    matcher.adopt_sums(
        balance=measured.balance,
        sizes=measured.sizes,
        labels=found.labels,
        notes={
            label: note
            for label, note in zip(found.labels.tolist(), found.notes, strict=True)
            if note
        },
        columns=found.encoded.kinds,
        counted={
            "n_donors": sum(int(s["n_donors"].sum()) for s in sums),
            "most_uses": max((float(s["largest_uses"].max()) for s in sums), default=0.0),
            "reasons": {reason: n for reason, n in reasons.items() if n},
        },
    )
    estimator.matcher_ = matcher


def _is_focal(estimator: SegmentMatching, arm: int) -> bool:
    return {"att": arm == 1, "atc": arm == 0}.get(estimator.estimand, True)
