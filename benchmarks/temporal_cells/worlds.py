"""Worlds whose effects are known unit by unit: what a model over time is measured on.

Customers and tumours are those of their simulators. The others are autoregressions around a mean of
each unit, y' = mean + 0.7 (y - mean) + push(treatments) + 0.5 noise, with treatment the likelier the
lower y, and with pushes of different kinds:

gaussian      0.5 a for one kind of unit, 0 for the other
threshold     1.0 a where y is below -0.5, else 0
saturating    0.8 a exp(-dose), the dose a running sum of treatments that halves each step
pairs         0.5 a + 0.3 b - 0.8 a b: each treatment helps alone, and both together do not
nothing       0

Orders and bought are those of `temporal_cells.orders`: nothing was chosen on them at first, then treatments of long
ago were. Minutes are those of `temporal_cells.minutes`, drawn up after that; what they showed of zeros was mended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .customers import ROLES, customers
from .minutes import minutes
from .orders import OUTCOMES, orders

Float = npt.NDArray[np.float64]

PUSHES = ("gaussian", "threshold", "saturating", "pairs", "nothing")
WORLDS = (
    *("customers 0", "customers 4", "tumors 0", "tumors 4", "semi"),
    *(f"{kind} {gamma}" for kind in (*PUSHES, *OUTCOMES, "minutes") for gamma in (0, 2)),
)
N_STEPS, HORIZON, CARRIED, NOISE = 15, 4, 0.7, 0.5


@dataclass(frozen=True)
class World:
    """A panel to learn from, another to ask about, and the effect on each of its units.

    Attributes
    ----------
    training, fresh : DataFrame
    roles : names of columns, as a model takes them
    plan, reference : plans
    origin : "last" or int
    truth : float array of shape (n_fresh,)
        Effect at the last step of the plan, on the (first) outcome.
    group : array of shape (n_fresh,)
        A few groups of units, known beforehand.
    """

    training: pd.DataFrame
    fresh: pd.DataFrame
    roles: dict[str, Any]
    plan: dict[str, Any]
    reference: dict[str, Any]
    origin: Any
    truth: Float
    group: npt.NDArray[Any]


def world(name: str, n: int, n_fresh: int, seed: int) -> World:
    """Simulate a world."""
    kind, *rest = name.split()
    if kind == "semi":
        return _semi(n, n_fresh, seed)
    gamma = float(rest[0])
    if kind == "customers":
        return _customers(gamma, n, n_fresh, seed)
    if kind == "tumors":
        return _tumors(gamma, n, n_fresh, seed)
    if kind in OUTCOMES:
        return _orders(kind, gamma, n, n_fresh, seed)
    if kind == "minutes":
        return _minutes(gamma, n, n_fresh, seed)
    return _pushes(kind, gamma, n, n_fresh, seed)


def true_effect(
    name: str, n_fresh: int, seed: int, plan: dict[str, Any], reference: dict[str, Any]
) -> Float:
    """Return the effect of any plan against another on the fresh units of `world`, at the last step."""
    kind, *rest = name.split()
    if kind == "customers":
        fresh = customers(n_fresh, 12, float(rest[0]), 1000 + seed)
        return fresh.true_effect(plan, reference)[:, -1]
    if kind == "tumors":
        return _tumor_effects(*_fresh_tumors(float(rest[0]), n_fresh, seed), plan, reference)
    if kind not in PUSHES:
        raise ValueError(f"of {name!r} effects of its one plan alone are known")
    fresh = _simulate(kind, float(rest[0]), n_fresh, 1000 + seed)
    shocks = np.random.RandomState(7).randn(HORIZON, 200, n_fresh)
    ours, theirs = (
        np.array([p.get(name, [0] * HORIZON) for name in ("a", "b")], dtype=float).T
        for p in (plan, reference)
    )
    return fresh.expected(kind, ours, shocks) - fresh.expected(kind, theirs, shocks)


def _customers(gamma: float, n: int, n_fresh: int, seed: int) -> World:
    training, fresh = customers(n, 12, gamma, seed), customers(n_fresh, 12, gamma, 1000 + seed)
    plan, reference = {"coupon": [1] * 4}, {"coupon": [0] * 4}
    truth = fresh.true_effect(plan, reference)[:, -1]
    return World(
        training.panel, fresh.panel, {**ROLES, "horizon": 4}, plan, reference, "last", truth,
        fresh.channel,
    )  # fmt: skip


def _tumors(gamma: float, n: int, n_fresh: int, seed: int) -> World:
    from segcate.temporal import tumor_growth

    training = tumor_growth(n, gamma=gamma, random_state=10 + seed).panel
    simulation, fresh = _fresh_tumors(gamma, n_fresh, seed)
    plan, reference = {"radio": [1] * 5}, {"chemo": [1] * 5}
    effect = _tumor_effects(simulation, fresh, plan, reference)
    kind = simulation.parameters.type[np.unique(fresh["id"])]
    roles = {"treatment": ["chemo", "radio"], "outcome": "volume", "static": ["type"], "horizon": 5}
    training = training[training.groupby("id")["t"].transform("size") > 1]
    return World(training, fresh, roles, plan, reference, 20, effect, kind)


def _fresh_tumors(gamma: float, n_fresh: int, seed: int) -> tuple[Any, pd.DataFrame]:
    """Simulate patients to ask about; return those who are there on day 20, until then."""
    from segcate.temporal import tumor_growth

    simulation = tumor_growth(n_fresh, gamma=gamma, random_state=2000 + seed)
    fresh = simulation.panel
    is_there = fresh.groupby("id")["t"].transform("max") >= 20
    return simulation, fresh[is_there & (fresh["t"] <= 20)]


def _tumor_effects(simulation: Any, fresh: pd.DataFrame, plan: Any, reference: Any) -> Float:
    effect = simulation.true_effect(plan, reference, origin=20)
    effect = effect[(effect["step"] == 5) & effect["id"].isin(fresh["id"])]
    return effect["effect"].to_numpy()


def _orders(outcome: str, gamma: float, n: int, n_fresh: int, seed: int) -> World:
    training, fresh = orders(n, gamma, seed), orders(n_fresh, gamma, 1000 + seed)
    plan, reference = [1] * HORIZON, [0] * HORIZON
    truth = fresh.expected(outcome, plan) - fresh.expected(outcome, reference)
    roles = {
        "treatment": ["message", "discount"], "outcome": outcome, "static": ["kind"],
        "covariates": ["orders"] if outcome == "bought" else [], "horizon": HORIZON,
    }  # fmt: skip
    return World(
        training.panel, fresh.panel, roles, {"message": plan}, {"message": reference}, "last",
        truth, fresh.kind,
    )  # fmt: skip


def _minutes(gamma: float, n: int, n_fresh: int, seed: int) -> World:
    training, fresh = minutes(n, gamma, seed), minutes(n_fresh, gamma, 1000 + seed)
    plan, reference = [1] * HORIZON, [0] * HORIZON
    roles = {
        "treatment": ["playlist", "trial"], "outcome": "minutes", "static": ["subscription", "years"],
        "covariates": ["sessions"], "horizon": HORIZON,
    }  # fmt: skip
    return World(
        training.panel, fresh.panel, roles, {"playlist": plan}, {"playlist": reference}, "last",
        fresh.expected(plan) - fresh.expected(reference), (fresh.years < 3).astype(np.intp),
    )  # fmt: skip


def _semi(n: int, n_fresh: int, seed: int) -> World:
    from segcate.temporal import semi_synthetic, standin_covariates

    covariates = standin_covariates(n + n_fresh, 60, random_state=10 + seed)
    names = [c for c in covariates.columns if c not in ("id", "time", "t")]
    simulation = semi_synthetic(covariates, center=True, random_state=seed)
    panel = simulation.panel
    time = next(c for c in panel.columns if c in ("time", "t"))
    fresh = panel[panel["id"] >= n]
    plan, reference = {t: [1] * 4 for t in ("t1", "t2", "t3")}, {"t1": [0] * 4}
    origin = 40
    fresh = fresh[fresh[time] <= origin]
    effect = simulation.true_effect(plan, reference, origin=origin)
    effect = effect[(effect["step"] == 4) & (effect["id"] >= n)]
    roles = {
        "treatment": ["t1", "t2", "t3"], "outcome": ["y1", "y2"], "covariates": names, "time": time,
        "horizon": 4,
    }  # fmt: skip
    truth = effect["effect_y1"].to_numpy()
    group = np.zeros(len(truth), dtype=int)
    return World(panel[panel["id"] < n], fresh, roles, plan, reference, origin, truth, group)


def _push(kind: str, y: Float, a: Float, dose: Float, is_moved: Float) -> Float:
    """Return what treatments (..., 2) add to the next outcome."""
    first, second = a[..., 0], a[..., 1]
    if kind == "gaussian":
        return 0.5 * first * is_moved
    if kind == "threshold":
        return 1.0 * first * (y < -0.5)
    if kind == "saturating":
        return 0.8 * first * np.exp(-dose)
    if kind == "pairs":
        return 0.5 * first + 0.3 * second - 0.8 * first * second
    return np.zeros_like(y)


@dataclass(frozen=True)
class _Pushed:
    panel: pd.DataFrame
    mean: Float
    is_moved: Float
    y: Float
    dose: Float

    def expected(self, kind: str, plan: Float, shocks: Float) -> Float:
        y = np.broadcast_to(self.y, shocks[0].shape)
        dose = self.dose
        for given, shock in zip(plan, shocks, strict=True):
            a = np.broadcast_to(given, (*y.shape, 2))
            push = _push(kind, y, a, dose, self.is_moved)
            y = self.mean + CARRIED * (y - self.mean) + push + NOISE * shock
            dose = 0.5 * dose + given[0]
        return y.mean(axis=0)


def _simulate(kind: str, gamma: float, n: int, seed: int) -> _Pushed:
    rng = np.random.RandomState(seed)
    mean, is_moved = 0.5 * rng.randn(n), (rng.rand(n) < 0.5).astype(float)
    y, dose = mean + 0.7 * rng.randn(n), np.zeros(n)
    rows = []
    for t in range(N_STEPS):
        chance = 1 / (1 + np.exp(0.4 + 0.5 * gamma * y))
        a = (rng.rand(n, 2) < chance[:, None]).astype(float)
        rows.append(
            pd.DataFrame({"id": np.arange(n), "t": t, "y": y, "a": a[:, 0], "b": a[:, 1],
                          "kind": np.where(is_moved == 1, "moved", "still")})
        )  # fmt: skip
        if t + 1 < N_STEPS:
            push = _push(kind, y, a, dose, is_moved)
            y = mean + CARRIED * (y - mean) + push + NOISE * rng.randn(n)
            dose = 0.5 * dose + a[:, 0]
    return _Pushed(pd.concat(rows, ignore_index=True), mean, is_moved, y, dose)


def _pushes(kind: str, gamma: float, n: int, n_fresh: int, seed: int) -> World:
    training, fresh = (_simulate(kind, gamma, m, s) for m, s in ((n, seed), (n_fresh, 1000 + seed)))
    both = kind == "pairs"
    plan = np.array([[1.0, float(both)]] * HORIZON)
    # Both treatments are compared with the first alone: what the second one adds.
    reference = np.array([[float(both), 0.0]] * HORIZON)
    shocks = np.random.RandomState(7).randn(HORIZON, 200, n_fresh)
    truth = fresh.expected(kind, plan, shocks) - fresh.expected(kind, reference, shocks)
    names = ("a", "b")
    plans = [dict(zip(names, p.T.astype(int).tolist(), strict=True)) for p in (plan, reference)]
    roles = {"treatment": list(names), "outcome": "y", "static": ["kind"], "horizon": HORIZON}
    return World(
        training.panel, fresh.panel, roles, plans[0], plans[1], "last", truth,
        fresh.is_moved.astype(int),
    )  # fmt: skip
