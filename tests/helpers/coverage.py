"""Simulate a design many times and see whether the intervals hold the truth as often as they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from segcate.datasets import make_segmented_users


@dataclass(frozen=True)
class Coverage:
    """What came of the draws (one a segment and data set).

    Attributes
    ----------
    rate : share of 95 % intervals that hold the truth
    bias : mean error in standard deviations of the estimate
    ratio : mean standard error over the standard deviation of the error
    n_draws : int
    n_missing : draws without an estimate or standard error
    overall_rate, q_rejects : the same for everyone; share of Q tests below 5 %
    """

    rate: float
    bias: float
    ratio: float
    n_draws: int
    n_missing: int
    overall_rate: float
    q_rejects: float

    @property
    def binomial_error(self) -> float:
        """Standard error of a rate of 95 % from that many draws."""
        return float(np.sqrt(0.95 * 0.05 / self.n_draws))

    def __str__(self) -> str:
        return (
            f"coverage {100 * self.rate:.1f} % (+-{100 * self.binomial_error:.1f}), bias "
            f"{self.bias:+.2f} SD, std. error / SD {self.ratio:.3f}, overall {100 * self.overall_rate:.1f} %, "
            f"Q rejects {100 * self.q_rejects:.1f} %, {self.n_draws} draws, {self.n_missing} missing"
        )


def measure(
    model: Any,
    *,
    n_datasets: int,
    truth: str = "att",
    seed: int = 0,
    target: Callable[[Any, Any], np.ndarray] | None = None,
    with_groups: bool = False,
    **design: Any,
) -> Coverage:
    """Fit `model` to `n_datasets` simulated data sets and compare with the true segment effects.

    Parameters
    ----------
    model : unfitted effect estimator with `effects_` and `overall_`
    truth : column of the generator's truth that the model is after
    target : makes the true effects of a data set and a fitted model where `truth` is not it
    with_groups : hand the generator's groups to the fit
    design : parameters of make_segmented_users
    """
    errors, errors_se, covered, overall, q = [], [], [], [], []
    missing = 0
    for i in range(n_datasets):
        users = make_segmented_users(random_state=seed * 1_000_003 + i, as_frame=False, **design)
        X = np.column_stack([users.X, users.segment])
        keywords = {"groups": users.groups} if with_groups else {}
        fitted = (
            clone(model)
            .set_params(segment=-1)
            .fit(X, users.y, treatment=users.treatment, **keywords)
        )
        table = fitted.effects_
        wanted = users.truth[truth].to_numpy() if target is None else target(users, fitted)
        known = table["std_error"].notna().to_numpy()
        missing += int((~known).sum())
        gap = (table["effect"].to_numpy() - wanted)[known]
        errors.extend(gap)
        errors_se.extend(table["std_error"].to_numpy()[known])
        low, high = table["ci_low"].to_numpy(), table["ci_high"].to_numpy()
        covered.extend(((low <= wanted) & (wanted <= high))[known])
        if target is None:
            everyone = users.overall[truth]
            overall.append(fitted.overall_["ci_low"] <= everyone <= fitted.overall_["ci_high"])
        q.append(fitted.heterogeneity_.p_value < 0.05)
    deviation = float(np.std(errors))
    return Coverage(
        rate=float(np.mean(covered)),
        bias=float(np.mean(errors)) / deviation,
        ratio=float(np.mean(errors_se)) / deviation,
        n_draws=len(covered),
        n_missing=missing,
        overall_rate=float(np.mean(overall)) if overall else float("nan"),
        q_rejects=float(np.mean(q)),
    )
