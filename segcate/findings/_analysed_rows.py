"""The rows of the fit, checked against what the estimator saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.features import check_features
from segcate._inputs.groups import check_groups
from segcate._inputs.listing import listed
from segcate._inputs.segments import code_segments, find_segment_column
from segcate._inputs.treatment import check_two_arms
from segcate._inputs.vectors import check_outcome, check_propensity, check_same_index
from segcate._inputs.weights import check_weights
from segcate.findings._source import OWNER, Source


@dataclass(frozen=True, slots=True)
class AnalysedRows:
    """The rows of the fit.

    Attributes
    ----------
    X : as it was given, before any step
    labelled : what the effect estimator saw: X with its segment column
    position : of the segment column in `labelled`; None for one segment
    y, treatment : outcome, and arm (1 treated)
    weight, groups, propensity : as given; None where they were not
    codes : position of each row's segment among `labels`, merged segments counted where they went
    labels : segments of the estimator
    kept : positions of the rows that were not dropped for gaps
    is_used : rows that the estimates are made of: of weight above 0, without gaps if those were dropped
    """

    X: Any
    labelled: Any
    position: int | None
    y: Float
    treatment: npt.NDArray[np.int8]
    weight: Float | None
    groups: Int | None
    propensity: Float | None
    codes: Int
    labels: list[Any]
    kept: Int
    is_used: npt.NDArray[np.bool_]

    @property
    def n_rows(self) -> int:
        """Count the rows that were given."""
        return len(self.y)

    @property
    def own_weight(self) -> Float:
        """Return the weight of each row, 0 where it is not used."""
        weight = np.ones(self.n_rows) if self.weight is None else self.weight
        return np.where(self.is_used, weight, 0.0)

    @property
    def covariates(self) -> list[int]:
        """Positions in `labelled` of the columns that are not the segment."""
        return [i for i in range(self.labelled.shape[1]) if i != self.position]

    @property
    def column_names(self) -> list[str]:
        """Names of the columns of `labelled`; x0, x1, ... where they have none."""
        names = frames.column_names(self.labelled)
        return [f"x{i}" for i in range(self.labelled.shape[1])] if names is None else names

    @property
    def covariate_names(self) -> list[str]:
        """Names of the covariates."""
        names = self.column_names
        return [str(names[i]) for i in self.covariates]

    def spread(self, values: Any, fill: float = np.nan) -> Float:
        """Place values of the rows without gaps among all rows."""
        given = np.asarray(values, dtype=np.float64)
        if len(given) == self.n_rows:
            return given
        out = np.full(self.n_rows, fill)
        out[self.kept] = given
        return out


def read_rows(source: Source, X: Any, y: Any, **given: Any) -> AnalysedRows:
    """Check the rows of the fit, label them, and compare them with the estimator's counts.

    Parameters
    ----------
    source : what was fitted
    X, y : as they were given to its fit
    given : treatment, groups, sample_weight, propensity

    Raises
    ------
    ValueError
        If the rows are not those of the fit, or arguments do not fit together.
    """
    check_same_index(OWNER, X=X, y=y, **given)
    X = X if frames.is_frame(X) else np.asarray(X)
    outcome = check_outcome(OWNER, y, X)
    arms = check_two_arms(OWNER, given["treatment"], X, "binary")
    groups = check_groups(OWNER, given["groups"], X)
    weight = check_weights(OWNER, given["sample_weight"], X)
    chance = check_propensity(OWNER, given["propensity"], X, takes_certain=True)
    rows = np.arange(len(outcome))
    honest = source.honest
    if honest is not None and len(rows) == len(honest.design_idx) + len(honest.estimation_idx):
        rows = np.asarray(honest.estimation_idx)
        X = frames.take_rows(X, rows)
    parts = [None if p is None else p[rows] for p in (outcome, arms, weight, groups, chance)]
    labelled = X if source.before is None else source.before.transform(X)
    found = _read(source, X, labelled, parts)
    _compare_counts(source, found)
    return found


def _read(source: Source, X: Any, labelled: Any, parts: list[Any]) -> AnalysedRows:
    model = source.model
    outcome, arms, weight, groups, chance = parts
    labelled = check_features(model, labelled, reset=False)
    position = find_segment_column(OWNER, labelled, model.segment)
    codes = code_segments(OWNER, labelled, position, may_look_like_ids=True)
    labels = model.segment_labels_.tolist()
    place = {label: i for i, label in enumerate(labels)}
    place |= {label: place[into] for label, into in model.merged_segments_.items()}
    unknown = [label for label in codes.labels.tolist() if label not in place]
    if unknown:
        raise ValueError(
            f"{OWNER}: segments {listed(unknown)} were not there in the fit, which knew {listed(labels)}. Pass the "
            "rows that the estimator was fitted on; other rows go into `test=`."
        )
    into = np.array([place[label] for label in codes.labels.tolist()], dtype=np.intp)
    kept = np.arange(len(outcome))
    if hasattr(model, "complete_rows_"):
        kept = model.complete_rows_[model.complete_rows_ < len(outcome)]
    is_used = np.zeros(len(outcome), dtype=bool)
    is_used[kept] = True
    if weight is not None:
        is_used &= weight > 0
    return AnalysedRows(
        X, labelled, position, outcome, arms, weight, groups, chance, into[codes.codes], labels, kept,
        is_used,
    )  # fmt: skip


def _compare_counts(source: Source, rows: AnalysedRows) -> None:
    """Raise where the rows are not those that the estimator counted."""
    table = source.model.effects_
    counts = np.bincount(
        2 * rows.codes[rows.is_used] + rows.treatment[rows.is_used], minlength=2 * len(rows.labels)
    ).reshape(-1, 2)
    seen = table[["n_control", "n_treated"]].to_numpy()
    if (counts != seen).any():
        raise ValueError(
            f"{OWNER}: X, y and treatment must be the rows that the estimator was fitted on: it saw "
            f"{int(seen[:, 1].sum()):,} treated and {int(seen[:, 0].sum()):,} control rows in {len(seen)} segments, "
            f"these are {int(counts[:, 1].sum()):,} and {int(counts[:, 0].sum()):,}, or they lie in other segments. "
            "Pass the same rows, with the same `sample_weight`; other rows go into `test=HeldOut(X, y, treatment)`."
        )
