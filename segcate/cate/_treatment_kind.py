"""Tell from the values of a treatment whether it is 0/1, several arms, or a dose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_option
from segcate._inputs.treatment import TreatmentKind
from segcate._inputs.vectors import as_array

KINDS = ("auto", "binary", "arms", "continuous")
# More whole numbers than this are not taken for arms.
_MOST_ARMS = 10


def treatment_kind_of(owner: str, kind: Any, treatment: Any) -> TreatmentKind:
    """Return the kind asked for; with "auto", the one that the values show.

    Values 0 and 1 are binary; whole numbers 0, 1, ..., K - 1 with K up to 10 are arms; anything with
    fractions is a dose. Other whole numbers could be either, and are refused. Values that are no
    numbers count as binary here; the check of the treatment refuses them.
    """
    check_option(owner, "treatment_kind", kind, KINDS)
    if kind != "auto":
        found: TreatmentKind = kind
        return found
    levels = _levels(owner, treatment)
    if levels is None or not len(levels) or np.isin(levels, (0.0, 1.0)).all():
        return "binary"
    if (levels % 1 != 0).any():
        return "continuous"
    if len(levels) <= _MOST_ARMS and np.array_equal(levels, np.arange(len(levels))):
        return "arms"
    raise ValueError(
        f"{owner}: `treatment` holds the whole numbers {{{listed(map(int, levels.tolist()))}}}, and "
        "treatment_kind='auto' cannot tell doses from arms. Say treatment_kind='continuous' for "
        "doses; for arms recode them 0, 1, 2, ... with 0 the control, for example with "
        "segcate.encode_treatment(labels, control=...)."
    )


def _levels(owner: str, treatment: Any) -> Any:
    """Return the sorted distinct numbers of a treatment, gaps left out; None if it is no numbers."""
    if treatment is None:
        return None
    values = as_array(owner, "treatment", treatment)
    if values.dtype.kind not in "iufbO":
        return None
    levels = pd.unique(values.ravel())
    if levels.dtype.kind == "O":
        levels = levels[~pd.isna(levels)]
    try:
        numbers = levels.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return np.unique(numbers[np.isfinite(numbers)])
