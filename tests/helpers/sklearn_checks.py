"""scikit-learn's estimator checks: all of them, and those that can run here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import estimator_checks_generator

# scikit-learn skips it unless SCIPY_ARRAY_API is set before SciPy is imported; no estimator of ours
# claims to support array API inputs, so that the check has nothing to look at.
LEFT_OUT = ("check_array_api_input",)


def name_of(check: Callable[..., Any]) -> str:
    """Return the name of a check, which may be a partial."""
    return str(getattr(check, "func", check).__name__)


def checks_of(estimator: Any) -> list[Callable[..., Any]]:
    """List all checks that scikit-learn makes for an estimator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [check for _, check in estimator_checks_generator(estimator)]


def checks_to_run(estimator: Any) -> list[Callable[..., Any]]:
    """List those that are not skipped by scikit-learn itself."""
    return [check for check in checks_of(estimator) if name_of(check) not in LEFT_OUT]
