"""Targeting, judged on rows that had no part in the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from segcate._inputs import frames
from segcate._inputs.listing import listed
from segcate._inputs.segments import code_segments
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._description import HeldOut
from segcate.findings._evidence import Targeting
from segcate.findings._provenance import row_hashes
from segcate.findings._source import OWNER, Source
from segcate.metrics import effect_scores, rank_test, uplift_curve

# So large a share of held-out rows among those of the fit is no coincidence where rows are told apart.
_SAME_ROWS = 0.9


def read_held_out(test: Any) -> HeldOut | None:
    """Read `test`: a HeldOut, or a mapping with the names of its fields."""
    if test is None or isinstance(test, HeldOut):
        return test
    known = [field.name for field in fields(HeldOut)]
    if not isinstance(test, Mapping):
        raise TypeError(
            f"{OWNER}: `test` must be HeldOut(X, y, treatment) or a mapping of {listed(known)}; got "
            f"{type(test).__name__}."
        )
    unknown = [name for name in test if name not in known]
    missing = [name for name in ("X", "y", "treatment") if name not in test]
    if unknown or missing:
        what = f"does not know {listed(unknown)}" if unknown else f"needs {listed(missing)}"
        raise ValueError(f"{OWNER}: `test` {what}; its names are {listed(known)}.")
    return HeldOut(**test)


def collect_targeting(
    source: Source, rows: AnalysedRows, test: HeldOut, random_state: Any
) -> Targeting | None:
    """Rank the held-out rows by predicted effect, and score the ranking; None where all are alike.

    Raises
    ------
    ValueError
        If the held-out rows are those of the fit, or have other columns, or segments that the fit did
        not know.
    """
    X = test.X if frames.is_frame(test.X) else np.asarray(test.X)
    _check_columns(rows, X)
    _refuse_rows_of_fit(rows, X, test)
    prediction = np.asarray(source.shown.predict(X), dtype=np.float64)
    labelled = X if source.before is None else source.before.transform(X)
    given = {
        "treatment": test.treatment,
        "groups": test.groups,
        "sample_weight": test.sample_weight,
    }
    options: dict[str, Any] = {"design": test.design, "propensity": test.propensity}
    psi = effect_scores(labelled, test.y, random_state=random_state, **given, **options)
    known = np.isfinite(prediction)
    if len(np.unique(prediction[known])) < 2:
        return None
    more = {
        "groups": _taken(test.groups, known),
        "sample_weight": _taken(test.sample_weight, known),
        "confidence_level": source.model.confidence_level,
    }
    ranked = (psi[known], prediction[known])
    qini = rank_test(*ranked, metric="qini", **more)
    autoc = rank_test(*ranked, metric="autoc", **more)
    curve = uplift_curve(*ranked, **more)
    arms = np.asarray(test.treatment)[known]
    return Targeting(
        n=int(known.sum()),
        n_treated=int((arms == 1).sum()),
        **_entries("qini", qini),
        **_entries("autoc", autoc),
        share=tuple(curve.share.tolist()),
        gain=tuple(curve.value.tolist()),
        gain_low=tuple(curve.ci_low.tolist()),
        gain_high=tuple(curve.ci_high.tolist()),
        average_effect=float(curve.value[-1]),
        how=_how(test, int((~known).sum()), _lacking(rows, source, labelled)),
    )


def _entries(name: str, score: Any) -> dict[str, float]:
    return {
        name: float(score.value),
        f"{name}_std_error": float(score.std_error),
        f"{name}_low": score.ci_low,
        f"{name}_high": score.ci_high,
        f"{name}_p_value": score.p_value,
    }


def _lacking(rows: AnalysedRows, source: Source, labelled: Any) -> list[Any]:
    """List the segments of the fit that no held-out row is in."""
    if rows.position is None:
        return []
    found = set(
        code_segments(OWNER, labelled, rows.position, may_look_like_ids=True).labels.tolist()
    )
    merged = source.model.merged_segments_
    found |= {merged[label] for label in found if label in merged}
    return [label for label in rows.labels if label not in found]


def _how(test: HeldOut, n_without: int, lacking: list[Any]) -> str:
    """Say how effects of the held-out rows were scored, and what they lack."""
    if test.design == "experiment":
        text = "effect scores of an experiment: every row had a known chance of treatment"
    elif test.propensity is not None:
        text = "doubly robust effect scores with the chances of treatment that were given"
    else:
        text = "doubly robust effect scores, their models cross-fitted on the held-out rows"
    if n_without:
        text += f"; {n_without:,} rows without a predicted effect left out"
    if lacking:
        text += f"; no held-out row is in segment {listed(lacking)}"
    return text


def _taken(values: Any, known: Any) -> Any:
    return None if values is None else np.asarray(values)[known]


def _check_columns(rows: AnalysedRows, X: Any) -> None:
    """Refuse held-out rows with other columns than those of the fit."""
    ours, theirs = frames.column_names(rows.X), frames.column_names(X)
    if ours is None or theirs is None:
        if X.ndim != 2 or X.shape[1] != rows.X.shape[1]:
            raise ValueError(
                f"{OWNER}: `test.X` has shape {X.shape}, and the fit had {rows.X.shape[1]} columns. Pass the same ones."
            )
        return
    lacking = [name for name in ours if name not in theirs]
    if lacking:
        raise ValueError(
            f"{OWNER}: `test.X` lacks the columns {listed(lacking)} that the fit had. Pass the same columns."
        )


def _refuse_rows_of_fit(rows: AnalysedRows, X: Any, test: HeldOut) -> None:
    """Refuse held-out rows that took part in the fit: a ranking is always good on its own rows."""
    ours = row_hashes(rows.X, {"y": rows.y, "treatment": rows.treatment})
    theirs = row_hashes(X, {"y": np.asarray(test.y), "treatment": np.asarray(test.treatment)})
    if len(np.unique(ours)) < _SAME_ROWS * len(ours):
        return
    n_same = int(np.isin(theirs, ours).sum())
    if n_same > _SAME_ROWS * len(theirs):
        raise ValueError(
            f"{OWNER}: {n_same:,} of the {len(theirs):,} rows of `test` took part in the fit, and any ranking "
            "looks good on its own rows. Hold rows out before the fit: train_test_split(X, y, treatment)."
        )
