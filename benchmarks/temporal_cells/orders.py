"""Orders of an app week by week: a world that no feature or default was chosen on.

A hidden interest follows itself and its user's mean. A discount lifts it in the next week; a message lifts it
**two weeks later**, and only for users of one kind. It shows in the number of orders (Poisson), or in whether
there is any (0/1). The fewer recent orders, the likelier both treatments (`gamma`), and the likelier that the
user leaves for good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Float = npt.NDArray[np.float64]

N_WEEKS, CARRIED, SHOCK = 16, 0.7, 0.3
# Added to interest by a message, two weeks later, by kind; and by a discount, the week after.
BY_MESSAGE, BY_DISCOUNT = np.array([0.0, 0.35]), 0.25
KINDS = ("new", "loyal")
OUTCOMES = ("orders", "bought")


@dataclass(frozen=True)
class Orders:
    """Simulated users.

    Attributes
    ----------
    panel : DataFrame
        id, t, orders, bought, message, discount, kind.
    kind : int array of shape (n,)
    mean, interest : float arrays of shape (n,)
        The user's own mean, and interest in the last week.
    before : float array of shape (n,)
        Whether a message was sent in the week before the last one, which still acts.
    """

    panel: pd.DataFrame
    kind: npt.NDArray[np.intp]
    mean: Float
    interest: Float
    before: Float

    def expected(self, outcome: str, messages: list[int], n_draws: int = 400) -> Float:
        """Return the expected outcome after the last week of `messages`, for those who stay."""
        shocks = SHOCK * np.random.RandomState(11).randn(len(messages), n_draws, 1)
        x, before = np.broadcast_to(self.interest, (n_draws, len(self.mean))), self.before
        for sent, shock in zip(messages, shocks, strict=True):
            x = self.mean + CARRIED * (x - self.mean) + BY_MESSAGE[self.kind] * before + shock
            before = np.full(len(self.mean), float(sent))
        found: Float = _mean_of(outcome, x).mean(axis=0)
        return found


def _mean_of(outcome: str, interest: Float) -> Float:
    """Return the mean number of orders, or the chance of any."""
    rate = np.exp(interest)
    return rate if outcome == "orders" else 1.0 - np.exp(-rate)


def orders(n: int, gamma: float, seed: int) -> Orders:
    """Simulate users, some of whom leave."""
    rng = np.random.RandomState(seed)
    kind = (rng.rand(n) < 0.5).astype(np.intp)
    mean = 0.4 + 0.4 * rng.randn(n)
    x, before = mean + 0.4 * rng.randn(n), np.zeros(n)
    last, stays = np.full(n, N_WEEKS - 1), np.ones(n, dtype=bool)
    ends = {"interest": x.copy(), "before": before.copy()}
    counts = np.empty((n, N_WEEKS))
    given = np.empty((n, N_WEEKS, 2))
    for t in range(N_WEEKS):
        counts[:, t] = rng.poisson(np.exp(x))
        recent = np.log1p(counts[:, max(0, t - 1) : t + 1]).mean(axis=1) - 0.8
        drive = np.column_stack([-0.4 - 0.8 * gamma * recent, -0.8 - 0.5 * gamma * recent])
        given[:, t] = rng.rand(n, 2) < 1 / (1 + np.exp(-drive))
        ends["interest"][stays], ends["before"][stays] = x[stays], before[stays]
        leaves = stays & (t > 3) & (rng.rand(n) < 0.05 * np.exp(-counts[:, t]))
        last[leaves] = t
        stays &= ~leaves
        push = BY_MESSAGE[kind] * before + BY_DISCOUNT * given[:, t, 1]
        x = mean + CARRIED * (x - mean) + push + SHOCK * rng.randn(n)
        before = given[:, t, 0]
    unit, week = np.nonzero(np.arange(N_WEEKS) <= last[:, None])
    panel = pd.DataFrame(
        {
            "id": unit, "t": week, "orders": counts[unit, week],
            "bought": (counts[unit, week] > 0).astype(int),
            "message": given[unit, week, 0].astype(int),
            "discount": given[unit, week, 1].astype(int), "kind": np.array(KINDS)[kind[unit]],
        }
    )  # fmt: skip
    return Orders(panel, kind, mean, ends["interest"], ends["before"])
