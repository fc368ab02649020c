"""Names that scores had before, until 0.3."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from segcate.metrics._scores import autoc_score, qini_score, uplift_at_k

# TODO(0.3): remove.
_RENAMED: dict[str, Callable[..., float]] = {
    "autoc_experiment_score": autoc_score,
    "qini_experiment_score": qini_score,
    "uplift_at_k_experiment_score": uplift_at_k,
}


def renamed(name: str) -> Callable[..., float]:
    """Return the score that had the name, with its design set.

    Raises
    ------
    AttributeError
        If no score ever had the name.

    Warns
    -----
    FutureWarning
        Always: it names what to write instead.
    """
    if name not in _RENAMED:
        raise AttributeError(f"module 'segcate.metrics' has no attribute {name!r}")
    score = _RENAMED[name]
    warnings.warn(
        f"`{name}` goes with 0.3: write `{score.__name__}(y, prediction, design='experiment', treatment=treatment)`.",
        FutureWarning,
        stacklevel=3,
    )

    def of_experiment(y: Any, prediction: Any, **given: Any) -> float:
        return score(y, prediction, design="experiment", **given)

    return of_experiment
