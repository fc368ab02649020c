"""Minutes of a listening app week by week: a world drawn up after terms were frozen, before zeros stood apart.

A hidden habit follows itself and its listener's mean. A playlist lifts it in the next week and half as much in the
week after, the less the longer the listener has been there; a trial lifts it for listeners without a subscription,
unless one was given the week before. Minutes read the habit with skewed errors, and are 0 in one week of twelve
whatever the habit; sessions read it as counts. The fewer recent minutes, the likelier both treatments (`gamma`),
and the likelier that the listener leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Float = npt.NDArray[np.float64]

N_WEEKS, CARRIED, SHOCK, SHAPE, AWAY = 14, 0.75, 0.35, 6.0, 1 / 12
BY_PLAYLIST, BY_TRIAL, LONGEST = 0.30, 0.25, 6.0
SUBSCRIPTIONS = ("none", "basic", "full")


@dataclass(frozen=True)
class Minutes:
    """Simulated listeners.

    Attributes
    ----------
    panel : DataFrame
        id, t, minutes, sessions, playlist, trial, subscription, years.
    subscription : int array of shape (n,)
    years, mean, habit : float arrays of shape (n,)
        Years with the app, the listener's own mean, and habit in the last week.
    before : float array of shape (n, 2)
        Treatments in the week before the last one.
    """

    panel: pd.DataFrame
    subscription: npt.NDArray[np.intp]
    years: Float
    mean: Float
    habit: Float
    before: Float

    def expected(self, playlists: list[int], n_draws: int = 400) -> Float:
        """Return expected minutes after the last week of `playlists` without trials, for those who stay."""
        shocks = SHOCK * np.random.RandomState(12).randn(len(playlists), n_draws, 1)
        h, before = np.broadcast_to(self.habit, (n_draws, len(self.mean))), self.before
        for sent, shock in zip(playlists, shocks, strict=True):
            now = np.tile([float(sent), 0.0], (len(self.mean), 1))
            push = _push(now, before, self.years, self.subscription)
            h, before = self.mean + CARRIED * (h - self.mean) + push + shock, now
        found: Float = (1 - AWAY) * _level(h).mean(axis=0)
        return found


def _level(habit: Float) -> Float:
    found: Float = np.exp(3.5 + 0.6 * habit)
    return found


def _push(now: Float, before: Float, years: Float, subscription: npt.NDArray[np.intp]) -> Float:
    """Return what the treatments of two weeks add to the habit."""
    playlists = now[:, 0] + 0.5 * before[:, 0]
    trial = now[:, 1] * (1 - before[:, 1]) * (subscription == 0)
    found: Float = BY_PLAYLIST * (1 - years / LONGEST) * playlists + BY_TRIAL * trial
    return found


def minutes(n: int, gamma: float, seed: int) -> Minutes:
    """Simulate listeners, some of whom leave."""
    rng = np.random.RandomState(seed)
    subscription, years = rng.choice(3, n, p=[0.5, 0.3, 0.2]), LONGEST * rng.rand(n)
    mean = 0.6 * rng.randn(n) + 0.3 * (subscription == 2)
    h, before = mean + 0.5 * rng.randn(n), np.zeros((n, 2))
    last, stays = np.full(n, N_WEEKS - 1), np.ones(n, dtype=bool)
    ends = {"habit": h.copy(), "before": before.copy()}
    spent, sessions = np.empty((n, N_WEEKS)), np.empty((n, N_WEEKS))
    given = np.empty((n, N_WEEKS, 2))
    for t in range(N_WEEKS):
        spent[:, t] = _level(h) * rng.gamma(SHAPE, 1 / SHAPE, n) * (rng.rand(n) > AWAY)
        sessions[:, t] = rng.poisson(np.exp(0.8 + 0.4 * h))
        recent = np.log1p(spent[:, max(0, t - 1) : t + 1]).mean(axis=1) - 3.3
        drive = np.column_stack([-0.5 - 0.5 * gamma * recent, -1.0 - 0.3 * gamma * recent])
        given[:, t] = rng.rand(n, 2) < 1 / (1 + np.exp(-drive))
        ends["habit"][stays], ends["before"][stays] = h[stays], before[stays]
        leaves = stays & (t > 2) & (rng.rand(n) < 0.04 / (1 + np.exp(recent)))
        last[leaves] = t
        stays &= ~leaves
        push = _push(given[:, t], before, years, subscription)
        h, before = mean + CARRIED * (h - mean) + push + SHOCK * rng.randn(n), given[:, t]
    unit, week = np.nonzero(np.arange(N_WEEKS) <= last[:, None])
    panel = pd.DataFrame(
        {
            "id": unit, "t": week, "minutes": spent[unit, week].round(1),
            "sessions": sessions[unit, week].astype(int),
            "playlist": given[unit, week, 0].astype(int), "trial": given[unit, week, 1].astype(int),
            "subscription": np.array(SUBSCRIPTIONS)[subscription[unit]],
            "years": years[unit].round(2),
        }
    )  # fmt: skip
    return Minutes(panel, subscription, years, mean, ends["habit"], ends["before"])
