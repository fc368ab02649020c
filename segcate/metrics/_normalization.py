"""What a Qini score may be divided by: the average effect, or the score of an oracle."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.outcome import check_outcome, is_zero_one
from segcate._inputs.parameters import check_option
from segcate._inputs.treatment import check_treatment
from segcate._inputs.weights import check_weights
from segcate.exceptions import SegcateWarning

Normalize = Literal["ate", "oracle"] | None

__all__ = ["Normalize", "qini_divisor"]


def qini_divisor(
    owner: str,
    normalize: Normalize,
    pseudo_outcome: Any,
    sample_weight: Any,
    y: Any,
    treatment: Any,
) -> float:
    """Return what `normalize` divides a Qini score by; effect scores were checked before."""
    check_option(owner, "normalize", normalize, [None, "ate", "oracle"])
    if normalize is None:
        return 1.0
    weight = check_weights(owner, sample_weight, pseudo_outcome)
    if normalize == "ate":
        return _size_of_ate(owner, np.asarray(pseudo_outcome, dtype=np.float64), weight)
    if y is None or treatment is None:
        raise ValueError(
            f"{owner}: normalize='oracle' needs `y` and `treatment`, for the responders of each arm; "
            f"{'`y`' if y is None else '`treatment`'} is None. Pass both, or normalize='ate'."
        )
    return _oracle_area(
        owner,
        check_outcome(owner, y, pseudo_outcome),
        check_treatment(owner, treatment, pseudo_outcome) == 1,
        np.ones(len(y)) if weight is None else weight,
    )


def _size_of_ate(owner: str, psi: Float, weight: Float | None) -> float:
    mean = float(np.average(psi, weights=weight))
    w = np.ones(len(psi)) if weight is None else weight
    n = int((w > 0).sum())
    spread = float(((w * (psi - mean)) ** 2).sum())
    std_error = math.sqrt(spread * n / (n - 1)) / float(w.sum()) if n > 1 else math.inf
    if mean == 0:
        raise ValueError(
            f"{owner}: the average effect is 0, so nothing can be divided by it. Use normalize=None."
        )
    if abs(mean) < 2 * std_error:
        warnings.warn(
            f"{owner}: normalize='ate' divides by an average effect of {mean:.3g} with a standard "
            f"error of {std_error:.3g}, so the ratio says little. Use normalize=None.",
            SegcateWarning,
            stacklevel=4,
        )
    return abs(mean)


def _oracle_area(owner: str, y: Float, is_treated: Any, weight: Float) -> float:
    """Return the area above the chord of a ranking that knows outcomes.

    Responders with treatment come first, those without it last, as scikit-uplift's perfect Qini
    curve with `negative_effect=True`, per row of all.
    """
    if not is_zero_one(y):
        raise ValueError(
            f"{owner}: normalize='oracle' knows responders from others, so `y` must hold only 0 and "
            f"1; it has {len(np.unique(y))} values. Use normalize='ate' or None."
        )
    area = 0.0
    for arm in (is_treated, ~is_treated):
        responders, size = float((weight * y)[arm].sum()), float(weight[arm].sum())
        if size == 0:
            raise ValueError(
                f"{owner}: normalize='oracle' needs rows of both arms. Check `treatment`."
            )
        area += responders / size * (1.0 - responders / float(weight.sum())) / 2.0
    if area == 0:
        raise ValueError(
            f"{owner}: `y` is 0 in every row, so the oracle gains nothing. Use normalize=None."
        )
    return area
