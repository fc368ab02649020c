"""Sample weights: none, counts of rows, or sampling weights, whose ratios alone count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._inputs.vectors import (
    as_array,
    as_numbers,
    check_length,
    refuse_huge,
)

Codes = npt.NDArray[np.integer[Any]]

COUNTS_NOTE = "weights read as counts"
SAMPLING_NOTE = "weights read as sampling weights"

# Weights that differ by a smaller share are equal.
_SAME = 1e-12


@dataclass(frozen=True, slots=True)
class GivenRows:
    """What rows of weight 0 were left out of.

    Attributes
    ----------
    kept : intp array of shape (n_kept,), the rows that are left
    n_rows : rows that were given
    X : what was given
    had_both_arms : bool array of shape (n_segments,), rows of weight 0 counted
    """

    kept: Codes
    n_rows: int
    X: Any
    had_both_arms: npt.NDArray[np.bool_]

    def spread(self, values: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        """Give the values of the rows that are left back to all rows."""
        out = np.full(self.n_rows, fill, dtype=values.dtype)
        out[self.kept] = values
        return out


def read_weights(values: Float) -> Float | None:
    """Bring weights on the one scale that everything is computed with.

    Weights that are equal in all rows are none. Whole numbers of which the smallest above 0 is 1
    are counts and stay as they are. All others are sampling weights: only their ratios count, so
    they are divided by their mean. Rows of weight 0 are not there, and play no part in this.

    Parameters
    ----------
    values : float64 array of shape (n_rows,), finite, at least 0 and somewhere above

    Returns
    -------
    float64 array of shape (n_rows,), or None where all rows weigh the same
        1 and 0 where all rows but those of weight 0 weigh the same.
    """
    above = values[values > 0]
    largest = float(above.max())
    if largest - above.min() <= _SAME * largest:
        return None if len(above) == len(values) else (values > 0).astype(np.float64)
    if are_counts(values):
        return values
    # the largest comes first: sums of huge weights overflow, those of tiny ones lose digits; summed
    # in order of size, so that the order of rows changes no bit
    total = float(np.sort(above / largest).sum())
    return np.asarray(values / largest * (len(above) / total), dtype=np.float64)


def are_counts(weight: Float) -> bool:
    """Tell whether weights are whole numbers of which the smallest above 0 is 1."""
    above = weight[weight > 0]
    return bool(len(above) and above.min() == 1.0 and (above == np.rint(above)).all())


def weight_note(weight: Float | None) -> str:
    """Say in a status how weights were read; empty where there are none."""
    if weight is None or (weight[weight > 0] == 1.0).all():
        return ""
    return COUNTS_NOTE if are_counts(weight) else SAMPLING_NOTE


def mass_in_rows(weight: Float, codes: Codes, n_codes: int) -> Float:
    """Return weights in units of rows: counts as they are, others over their mean within each code.

    Rows of one code, a segment or an arm of it, then weigh as much as there are rows above 0.
    """
    if are_counts(weight):
        return weight
    total = np.bincount(codes, weight, n_codes)
    n_above = np.bincount(codes, weight > 0, n_codes)
    factor = np.divide(n_above, total, out=np.zeros(n_codes), where=total > 0)
    return np.asarray(weight * factor[codes], dtype=np.float64)


def effective_rows(weight: Float, *, as_counts: bool) -> float:
    """Count rows for a threshold: the sum of counts, else Kish's ``(sum w)^2 / sum w^2``."""
    total = float(weight.sum())
    if as_counts or total <= 0:
        return total
    largest = weight.max()
    share = weight / largest
    return float(np.round(share.sum() ** 2 / (share @ share), 6))


def present(weight: Float | None) -> npt.NDArray[np.intp] | None:
    """Return the rows above weight 0, None where all are."""
    if weight is None or weight.all():
        return None
    return np.flatnonzero(weight)


def present_groups(groups: Codes, weight: Float | None) -> npt.NDArray[np.intp]:
    """Code groups again without those whose rows all weigh 0; such rows get the first code."""
    if weight is None or weight.all():
        return groups.astype(np.intp)
    out = np.zeros(len(groups), dtype=np.intp)
    is_there = weight > 0
    out[is_there] = np.unique(groups[is_there], return_inverse=True)[1]
    return out


def check_weights(owner: str, sample_weight: Any, X: Any) -> Float | None:
    """Check that weights are finite and not negative, and read them (see `read_weights`)."""
    if sample_weight is None:
        return None
    values = as_array(owner, "sample_weight", sample_weight)
    if values.ndim == 0:
        raise ValueError(
            f"{owner}: `sample_weight` must be an array; got {sample_weight!r}. Pass one weight for every row."
        )
    if values.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {values.ndim}D array.")
    values = as_numbers(owner, "`sample_weight`", values, "numbers, at least 0")
    check_length(owner, "sample_weight", values, X)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            f"{owner}: `sample_weight` must be finite and not negative; "
            f"{int((~np.isfinite(values)).sum())} are not finite, {int((values < 0).sum())} are negative. "
            "Drop those rows, or give them weight 0."
        )
    refuse_huge(owner, "sample_weight", values)
    if not (values > 0).any():
        raise ValueError(
            f"{owner}: `sample_weight` is zero in every row; nothing is left to estimate from."
        )
    return read_weights(values)
