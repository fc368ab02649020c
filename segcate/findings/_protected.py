"""Effects and targeting by the levels of a column that decisions must not be unfair on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.kinds import read_column
from segcate._inputs.listing import listed
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._evidence import ProtectedFinding, ProtectedLevel
from segcate.findings._source import OWNER, Source

_MOST_LEVELS = 20
_COLUMN = "protected level"


def protected_position(rows: AnalysedRows, column: Any) -> int:
    """Find the protected column among the columns that the estimator saw, and refuse one of many values.

    Raises
    ------
    ValueError
        If there is no such column, or it has more than 20 values.
    """
    names = rows.column_names
    if column not in names:
        raise ValueError(
            f"{OWNER}: `protected` is {column!r}, and X has no such column; its columns are {listed(names, 20)}. The "
            "column must be among those that the estimator gets."
        )
    return names.index(column)


def collect_protected(source: Source, rows: AnalysedRows, column: str) -> ProtectedFinding:
    """Estimate the effect in each level of a column, and say who is targeted there."""
    position = protected_position(rows, column)
    codes, levels = _levels(rows, position, column)
    used = np.flatnonzero(rows.is_used)
    kept = [i for i in rows.covariates if i != position]
    X = frames.take_rows(frames.select_columns(rows.labelled, kept), used)
    X = _with_segments(X, rows, used, is_split=rows.position is not None)
    X = frames.append_column(X, _COLUMN, codes[used])
    model = clone(source.model).set_params(
        segment=X.shape[1] - 1, on_empty="nan", min_per_arm=None, n_jobs=source.model.n_jobs
    )
    given = {
        name: None if values is None else values[used]
        for name, values in (
            ("sample_weight", rows.weight), ("groups", rows.groups), ("propensity", rows.propensity),
        )
    }  # fmt: skip
    model.fit(X, rows.y[used], treatment=rows.treatment[used], **given)
    prediction = _predicted(source, rows)
    table = model.effects_
    columns = (
        "n", "n_treated", "n_control", "status", "effect", "std_error", "ci_low", "ci_high", "p_value",
    )  # fmt: skip
    found = []
    for code, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        at = used[codes[used] == int(code)]
        entries: dict[str, Any] = {name: row[name] for name in columns}
        entries |= _targeted(prediction[at], rows.own_weight[at])
        found.append(ProtectedLevel(level=levels[int(code)], **entries))
    return ProtectedFinding(column, tuple(found), float(model.heterogeneity_.p_value))


def _levels(rows: AnalysedRows, position: int, column: str) -> tuple[Int, list[Any]]:
    """Code the column; a level is the text of a category, or a number."""
    kind, content = read_column(OWNER, rows.labelled, position, describe=True)
    if content is None:
        raise ValueError(f"{OWNER}: the protected column {column!r} has no values.")
    if kind.found == "category":
        codes = np.asarray(content, dtype=np.intp)
        levels: list[Any] = list(kind.levels)
    else:
        values, codes = np.unique(content, return_inverse=True)
        levels = [int(v) if float(v).is_integer() else float(v) for v in values.tolist()]
    n = len(np.unique(codes[rows.is_used]))
    if n > _MOST_LEVELS or n < 2:
        raise ValueError(
            f"{OWNER}: the protected column {column!r} has {n} values, and from 2 to {_MOST_LEVELS} can be shown. Pass "
            "a column of groups, such as pd.cut(age, [0, 30, 50, 100])."
        )
    return codes, levels


def _with_segments(X: Any, rows: AnalysedRows, used: Int, *, is_split: bool) -> Any:
    """Add a 0/1 column for every segment but the first, so that segments stay what rows are compared within."""
    if not is_split:
        return X
    codes = rows.codes[used]
    for code in range(1, len(rows.labels)):
        mark: npt.NDArray[Any] = (codes == code).astype(np.float64)
        X = frames.append_column(X, f"segment {code}", mark)
    return X


def _predicted(source: Source, rows: AnalysedRows) -> Float:
    """Return the estimated effect of the segment of each row."""
    return np.asarray(source.model.effects_["effect"].to_numpy()[rows.codes], dtype=np.float64)


def _targeted(prediction: Float, weight: Float) -> dict[str, float]:
    """Return the share of rows that would be treated where the effect is above 0, and what that gains."""
    total = float(weight.sum())
    gain = np.where(prediction > 0, prediction, 0.0)
    return {
        "share_targeted": float(weight @ (prediction > 0) / total),
        "predicted_gain": float(weight @ gain / total),
    }
