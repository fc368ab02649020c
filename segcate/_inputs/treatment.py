"""Treatment codes from the names a team uses for its arms."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.listing import listed
from segcate._inputs.routing import how_to_pass
from segcate._inputs.vectors import (
    are_numbers,
    are_whole,
    as_array,
    as_column,
    as_numbers,
    check_length,
    refuse_huge,
)

TreatmentKind = Literal["binary", "arms", "continuous"]


def encode_treatment(labels: Any, *, control: Any) -> tuple[Any, npt.NDArray[Any]]:
    """Code treatment labels as integers, the control arm as 0.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Name of the arm each row was in.
    control : label
        The arm that the others are compared with; it must occur in `labels`.

    Returns
    -------
    codes : int64 array of shape (n_samples,), or Series where `labels` is one
        0 for control, 1, 2, ... for the other arms in sorted order. A Series keeps its index, so
        that its rows are compared with those of X and y later on.
    arms : array of shape (n_arms,)
        The label behind each code, control first.

    Raises
    ------
    ValueError
        If a label is missing, or `control` does not occur.

    Examples
    --------
    >>> from segcate import encode_treatment
    >>> codes, arms = encode_treatment(["mail", "none", "mail", "call"], control="none")
    >>> codes.tolist(), arms.tolist()
    ([2, 0, 2, 1], ['none', 'call', 'mail'])
    """
    values = as_array("encode_treatment", "labels", labels)
    if values.ndim != 1 or values.dtype.kind not in "biufOUTMm":
        raise ValueError(
            f"encode_treatment: `labels` must be one label for each row; got shape {values.shape} of "
            f"{values.dtype}."
        )
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError("encode_treatment: `labels` holds infinity, which names no arm.")
    codes, levels = frames.sorted_codes(values)
    names = levels.tolist()
    if any(frames.is_missing(name) for name in names):
        raise ValueError(
            "encode_treatment: `labels` has missing values. Drop those rows or name their arm."
        )
    if not pd.api.types.is_hashable(control) or control not in names:
        raise ValueError(
            f"encode_treatment: control={control!r} does not occur in `labels`; the arms are {listed(names)}."
        )
    at = names.index(control)
    order = np.array([at] + [i for i in range(len(names)) if i != at])
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    coded = rank[codes]
    index = frames.index_of(labels)
    return (coded if index is None else pd.Series(coded, index, name="treatment")), levels[order]


def check_treatment(owner: str, treatment: Any, X: Any) -> npt.NDArray[np.int8]:
    """Check that treatment holds 0 and 1 (or bool), has no gaps and belongs to the rows of X."""
    values = _treatment_column(owner, treatment, X)
    if values.dtype.kind in "iub" and len(values) and values.min() >= 0 and values.max() <= 1:
        return values.astype(np.int8)
    levels = _treatment_levels(owner, values)
    if not are_numbers(levels) or not np.isin(levels.astype(np.float64), [0.0, 1.0]).all():
        raise ValueError(
            f"{owner}: `treatment` must hold only 0 and 1 (1 = treated); found {{{listed(levels)}}}. "
            "Recode it, for example `treatment == 'offer'`, or by "
            "`codes, arms = segcate.encode_treatment(labels, control=...)`."
        )
    return values.astype(np.int8)


def check_arms(owner: str, treatment: Any, X: Any) -> npt.NDArray[np.int64]:
    """Check that treatment codes arms as 0 (control), 1, 2, ..., without gaps and all present.

    Of two arms one may be empty: what that means is the caller's to say.
    """
    values = _treatment_column(owner, treatment, X)
    if values.dtype.kind in "iub" and len(values) and values.min() >= 0 and values.max() <= 1:
        return values.astype(np.int64)
    levels = _treatment_levels(owner, values)
    advice = (
        "Code the arms 0, 1, 2, ... with 0 the control, for example with "
        "segcate.encode_treatment(labels, control=...)."
    )
    if not are_numbers(levels) or not are_whole(levels.astype(np.float64)):
        raise ValueError(
            f"{owner}: `treatment` must hold integer codes of arms; found {{{listed(levels)}}}. {advice}"
        )
    codes = values.astype(np.int64)
    n_arms = max(int(codes.max()) + 1, 2)
    if codes.min() < 0 or (n_arms != len(levels) and n_arms > 2):
        raise ValueError(
            f"{owner}: `treatment` must hold every code from 0 to the largest; found {{{listed(levels)}}} "
            f"(n_samples={len(codes)} rows). {advice}"
        )
    return codes


def check_dose(owner: str, treatment: Any, X: Any) -> Float:
    """Check a continuous treatment: finite numbers that are not all the same."""
    values = _treatment_column(owner, treatment, X)
    dose = as_numbers(owner, "`treatment`", values, "numbers, the dose of each row")
    n_bad = int((~np.isfinite(dose)).sum())
    if n_bad:
        raise ValueError(
            f"{owner}: `treatment` is NaN or infinite in {n_bad} of {len(dose)} rows. Drop those rows, "
            "or say what their dose was."
        )
    if len(dose) and (dose == dose[0]).all():
        raise ValueError(
            f"{owner}: `treatment` is {dose[0]:g} in all n_samples={len(dose)} rows; an effect needs "
            "doses that differ."
        )
    refuse_huge(owner, "treatment", dose)
    return dose


def check_two_arms(owner: str, treatment: Any, X: Any, kind: TreatmentKind) -> npt.NDArray[Any]:
    """Check the treatment by its kind, and that there is something to compare."""
    if frames.n_rows(X) == 1:
        _treatment_column(owner, treatment, X)
        raise ValueError(
            f"{owner}: X has n_samples=1 row; comparing two arms needs at least 1 row in each."
        )
    if kind == "continuous":
        return check_dose(owner, treatment, X)
    check = check_arms if kind == "arms" else check_treatment
    codes: npt.NDArray[Any] = check(owner, treatment, X)
    for arm, word in ((1, "treated"), (0, "control")):
        if not (codes == arm).any():
            raise ValueError(
                f"{owner}: `treatment` has no {word} rows (all n_samples={len(codes)} are "
                f"{'control' if arm else 'treated'}); an effect needs both arms."
            )
    return codes


def _treatment_column(owner: str, treatment: Any, X: Any) -> npt.NDArray[Any]:
    """Take the treatment as one column that belongs to the rows of X."""
    if treatment is None:
        raise ValueError(f"{owner} needs `treatment`, but none came. {how_to_pass('treatment')}")
    if isinstance(treatment, tuple) and len(treatment) == 2 and np.ndim(treatment[0]) == 1:
        raise ValueError(
            f"{owner}: `treatment` is a pair of columns. segcate.encode_treatment returns codes and the label of "
            "each: write `codes, arms = segcate.encode_treatment(...)` and pass `treatment=codes`."
        )
    values = as_column(owner, "treatment", treatment)
    check_length(owner, "treatment", values, X)
    return values


def _treatment_levels(owner: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """List the arms that occur; refuse rows without one."""
    codes, levels = frames.sorted_codes(values)
    if any(frames.is_missing(level) for level in levels.tolist()):
        raise ValueError(
            f"{owner}: `treatment` is missing (NaN) in {int((codes == len(levels) - 1).sum())} of {len(values)} "
            "rows. Drop those rows, or say which arm they were in."
        )
    return levels
