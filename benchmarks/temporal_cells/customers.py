"""Customers seen month by month, with the effect of every plan known: a second world beside tumours.

A hidden engagement follows itself, its customer's mean, coupons and e-mails; it shows in spend, which is
read with error, and in visits. The lower recent spend, the likelier the coupon: time-varying
confounding of a strength that `gamma` sets. Effects on engagement differ by channel; those on spend
also by how much a customer spends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Float = npt.NDArray[np.float64]

CHANNELS = np.array(["app", "web", "store"])
REGIONS = np.array(["north", "south", "east", "west"])
# Added to engagement by one coupon and one e-mail, by channel.
EFFECTS = 0.35 * np.array([[0.50, 0.20, 0.02], [0.10, 0.10, -0.20]])
CARRIED, SHOCK, READING = 0.8, 0.35, 0.30
ROLES: dict[str, Any] = {
    "treatment": ["coupon", "email"], "outcome": "spend", "covariates": ["visits"],
    "static": ["channel", "region", "age"], "id": "customer", "time": "month",
}  # fmt: skip


@dataclass(frozen=True)
class Customers:
    """Simulated customers.

    Attributes
    ----------
    panel : DataFrame
        customer, month, spend, coupon, email, visits, channel, region, age.
    channel : int array of shape (n,)
    mean, engagement : float arrays of shape (n,)
        The customer's own mean, and engagement in the last month.
    """

    panel: pd.DataFrame
    channel: npt.NDArray[np.intp]
    mean: Float
    engagement: Float

    def true_effect(
        self, plan: dict[str, Any], reference: dict[str, Any], n_draws: int = 200
    ) -> Float:
        """Return the expected effect on spend from the last month on, (n, horizon)."""
        horizon = len(next(iter(plan.values())))
        shocks = SHOCK * np.random.RandomState(5).randn(n_draws, horizon, len(self.mean))
        return self._expected(plan, shocks) - self._expected(reference, shocks)

    def _expected(self, plan: dict[str, Any], shocks: Float) -> Float:
        given = np.array(
            [plan.get(name, np.zeros(shocks.shape[1])) for name in ("coupon", "email")]
        )
        e = np.broadcast_to(self.engagement, shocks[:, 0].shape)
        found = []
        for k in range(shocks.shape[1]):
            e = _next(e, self.mean, given[:, k] @ EFFECTS[:, self.channel], shocks[:, k])
            found.append(np.exp(3 + 0.7 * e + READING**2 / 2).mean(axis=0))
        return np.stack(found, axis=1)


def _next(e: Float, mean: Float, push: Float, shock: Float) -> Float:
    return mean + CARRIED * (e - mean) + push + shock


def customers(
    n: int = 1000, n_months: int = 12, gamma: float = 0.0, seed: int = 0, *, churn: bool = False
) -> Customers:
    """Simulate customers; with `churn` those of low engagement leave."""
    rng = np.random.RandomState(seed)
    channel = rng.choice(3, n, p=[0.40, 0.35, 0.25])
    region, age = rng.choice(4, n), rng.randint(18, 75, n)
    mean = 0.5 * rng.randn(n) + 0.2 * (channel == 0)
    e = mean + 0.6 * rng.randn(n)
    last, engagement = np.full(n, n_months - 1), np.empty((n, n_months))
    spend, visits = np.empty((n, n_months)), np.empty((n, n_months))
    given = np.empty((n, n_months, 2))
    for t in range(n_months):
        engagement[:, t] = e
        spend[:, t] = np.exp(3 + 0.7 * e + READING * rng.randn(n))
        visits[:, t] = rng.poisson(np.exp(1 + 0.5 * e))
        recent = np.log(spend[:, max(0, t - 2) : t + 1]).mean(axis=1) - 3.1
        drives = np.column_stack([-0.6 - 0.45 * gamma * recent, -0.2 - 0.20 * gamma * recent])
        given[:, t] = rng.rand(n, 2) < 1 / (1 + np.exp(-drives))
        if churn and t > 2:
            leaves = (last == n_months - 1) & (rng.rand(n) < 0.03 / (1 + np.exp(1.5 * e)))
            last[leaves] = t
        push = (given[:, t] * EFFECTS[:, channel].T).sum(axis=1)
        e = _next(e, mean, push, SHOCK * rng.randn(n))
    unit, month = np.nonzero(np.arange(n_months) <= last[:, None])
    panel = pd.DataFrame(
        {
            "customer": unit, "month": month, "spend": spend[unit, month],
            "coupon": given[unit, month, 0].astype(int), "email": given[unit, month, 1].astype(int),
            "visits": visits[unit, month], "channel": CHANNELS[channel[unit]],
            "region": REGIONS[region[unit]], "age": age[unit],
        }
    )  # fmt: skip
    return Customers(panel, channel, mean, engagement[np.arange(n), last])
