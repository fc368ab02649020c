"""Outcomes and treatments on top of covariates: their random functions, and how they move on.

After Melnychuk, Frauen and Feuerriegel (2022), "Causal Transformer for estimating counterfactual
outcomes", section on semi-synthetic data, with the constants of the program behind its tables,
which differ from the text: splines of degree 4, effects that fade with the square root of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from segcate._inputs.arrays import Float, Int

Flags = npt.NDArray[np.int8]

_N_FEATURES = 100
_LENGTH_SCALE = 25.0
_SPLINE_ROWS = np.array(
    [[1.0, 0.9, 0.0, -0.5, -1.0], [1.0, 1.0, 0.5, 0.2, 0.2], [-0.3, -0.2, -0.2, -0.3, -0.2]]
)
_SPLINE_SHARES = [0.35, 0.35, 0.3]
OUTCOME_NAMES = ("y1", "y2")
TREATMENT_NAMES = ("t1", "t2", "t3")


@dataclass(frozen=True, slots=True)
class OutcomeModel:
    """Untreated course of an outcome: weights of spline, Gaussian process and covariates."""

    covariates: tuple[str, ...]
    spline: float
    process: float
    function: float
    white_noise: float


@dataclass(frozen=True, slots=True)
class TreatmentModel:
    """Who gets a treatment, and what it does: added to `moves` for `fades` days, from day 1 on."""

    covariates: tuple[str, ...]
    outcomes: tuple[int, ...]
    window: int
    of_outcomes: float
    of_covariates: float
    intercept: float
    effect: float
    fades: int
    moves: tuple[int, ...]


_VASCULAR = "systemic vascular resistance"
OUTCOMES = (
    OutcomeModel(("heart rate", "glucose", "sodium"), 2.0, 0.4, 0.9, 0.005),
    OutcomeModel(("heart rate", "glucose", "anion gap"), 3.5, 0.5, 1.0, 0.001),
)
TREATMENTS = (
    TreatmentModel(
        ("blood urea nitrogen", "glucose", "sodium"), (0,), 3, 2.5, 2.5, 0.0, -1.0, 20, (0,)
    ),
    TreatmentModel(
        (_VASCULAR, "bicarbonate", "anion gap"), (0, 1), 3, 2.0, 0.25, 1.0, -1.0, 20, (0, 1)
    ),
    TreatmentModel(
        ("chloride urine", "glucose", "sodium", _VASCULAR, "magnesium", "anion gap"),
        (1,), 20, 1.5, 0.25, 0.0, -0.75, 7, (1,),
    ),
)  # fmt: skip
COVARIATE_ROLES = tuple(sorted({name for m in (*OUTCOMES, *TREATMENTS) for name in m.covariates}))
LONGEST_WINDOW = max(model.window for model in TREATMENTS)


@dataclass(frozen=True, slots=True)
class FourierFunction:
    """A smooth random function: 100 random Fourier features (Rahimi and Recht 2007).

    Attributes
    ----------
    frequencies : float64 array of shape (n_inputs, 100)
    phases, weights : float64 arrays of shape (100,)
    """

    frequencies: Float
    phases: Float
    weights: Float

    def __call__(self, inputs: Float) -> Float:
        """Return the values at inputs of shape (..., n_inputs)."""
        features = np.cos(inputs @ self.frequencies + self.phases)
        return np.asarray(np.sqrt(2 / _N_FEATURES) * features @ self.weights, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class SemiDraws:
    """All that is random in a semi-synthetic data set.

    Attributes
    ----------
    outcome_functions, treatment_functions : tuples of FourierFunction
    spline_row : intp array of shape (n_units, n_outcomes), values 0, 1 and 2
    uniform : float64 array of shape (n_units, n_days, n_treatments)
    process : float64 array of shape (n_units, n_days, n_outcomes)
    """

    outcome_functions: tuple[FourierFunction, ...]
    treatment_functions: tuple[FourierFunction, ...]
    spline_row: Int
    uniform: Float
    process: Float


def draw_semi(
    n_units: int, n_days: int, rng: np.random.RandomState, path_seed: int | None
) -> SemiDraws:
    """Draw, in the order of the published program; with `path_seed` its Gaussian processes, too."""
    outcomes = tuple(_draw_function(len(m.covariates), 0.005, 40.0, rng) for m in OUTCOMES)
    treatments = tuple(_draw_function(len(m.covariates), 0.01, 30.0, rng) for m in TREATMENTS)
    rows = [rng.choice(len(_SPLINE_ROWS), n_units, p=_SPLINE_SHARES) for _ in OUTCOMES]
    rng.random_sample()  # drawn and not used in the published program
    seeds = rng.randint(2**31 - 1, size=n_units)
    shape = (n_days, len(TREATMENTS))
    # A generator of its own for every unit, as published: no way around drawing one by one.
    uniform = np.array([np.random.RandomState(seed).random_sample(shape) for seed in seeds])
    process = [
        _draw_processes(
            n_units, n_days, m.white_noise,
            rng if path_seed is None else np.random.RandomState(path_seed),
        )
        for m in OUTCOMES
    ]  # fmt: skip
    return SemiDraws(
        outcome_functions=outcomes,
        treatment_functions=treatments,
        spline_row=np.stack(rows, axis=1).astype(np.intp),
        uniform=uniform,
        process=np.stack(process, axis=2),
    )


def _draw_function(
    n_inputs: int, gamma: float, scale: float, rng: np.random.RandomState
) -> FourierFunction:
    rng.randn(n_inputs)  # drawn and not used in the published program
    frequencies = np.sqrt(2 * gamma) * rng.randn(n_inputs, _N_FEATURES)
    phases = 2 * np.pi * rng.random_sample(_N_FEATURES)
    return FourierFunction(frequencies, phases, scale / 10 * rng.randn(_N_FEATURES))


def _draw_processes(
    n_units: int, n_days: int, white_noise: float, rng: np.random.RandomState
) -> Float:
    """Draw Gaussian processes (Matern 5/2 over days, and white noise), shape (n_units, n_days)."""
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    kernel = Matern(nu=2.5, length_scale=_LENGTH_SCALE) + WhiteKernel(noise_level=white_noise)
    covariance = kernel(np.arange(n_days)[:, None])
    return np.asarray(
        rng.multivariate_normal(np.zeros(n_days), covariance, n_units), dtype=np.float64
    )


def spline_basis(n_days: int) -> Float:
    """Return five pieces of the uniform B-spline of degree 4, shape (n_days, 5)."""
    u = np.arange(n_days) / n_days
    pieces = [
        1 - 4 * u + 6 * u**2 - 4 * u**3 + u**4,
        11 - 12 * u - 6 * u**2 + 12 * u**3 - 4 * u**4,
        11 + 12 * u - 6 * u**2 - 12 * u**3 + 6 * u**4,
        1 + 4 * u + 6 * u**2 + 4 * u**3 - 4 * u**4,
        u**4,
    ]
    return np.stack(pieces, axis=1) / 24


def untreated_outcomes(draws: SemiDraws, drift: Float) -> Float:
    """Return outcomes without any treatment, shape (n_units, n_days, n_outcomes)."""
    spline = _SPLINE_ROWS[draws.spline_row] @ spline_basis(drift.shape[1]).T
    weights = np.array([[m.spline, m.process, m.function] for m in OUTCOMES])
    return np.asarray(
        weights[:, 0] * np.moveaxis(spline, 1, 2)
        + weights[:, 1] * draws.process
        + weights[:, 2] * drift,
        dtype=np.float64,
    )


def treatment_chances(outcome: Float, today: int, drift: Float) -> Float:
    """Return the chance of each treatment today.

    Parameters
    ----------
    outcome : float64 array of shape (..., n_days, n_outcomes)
    today : int
        Position of today among the days.
    drift : float64 array of shape (..., n_treatments)
        The treatments' functions of today's covariates.

    Returns
    -------
    float64 array of shape (..., n_treatments)
    """
    chances = []
    for k, model in enumerate(TREATMENTS):
        recent = outcome[..., max(today - model.window, 0) : today + 1, :]
        mean = recent[..., list(model.outcomes)].mean(axis=(-2, -1))
        chances.append(
            expit(model.intercept + model.of_outcomes * mean + model.of_covariates * drift[..., k])
        )
    return np.stack(np.broadcast_arrays(*chances), axis=-1)


def add_effects(outcome: Float, today: int, given: Flags, chance: Float) -> None:
    """Add to later outcomes, in place, what today's treatments do to them.

    An effect is in proportion to the chance of the treatment, and fades with the square root of
    the days since. Of several treatments on one day the strongest acts alone.

    Parameters
    ----------
    outcome : float64 array of shape (..., n_days, n_outcomes)
    today : int
        Position of today among the days.
    given : int8 array of shape (..., n_treatments)
    chance : float64 array of shape (..., n_treatments)
    """
    since = np.arange(1, outcome.shape[-2] - today)
    for j in range(len(OUTCOMES)):
        strongest = np.zeros((*outcome.shape[:-2], len(since)))
        for k, model in enumerate(TREATMENTS):
            if j in model.moves:
                course = np.where(since <= model.fades, model.effect / np.sqrt(since), 0.0)
                scale = (given[..., k] * chance[..., k])[..., None]
                strongest = np.minimum(strongest, scale * course)
        outcome[..., today + 1 :, j] += strongest


def is_given(chance: Float, uniform: Float) -> Flags:
    """Turn uniform numbers into treatments, as a binomial generator that inverts does."""
    return np.where(chance <= 0.5, uniform > 1 - chance, uniform <= chance).astype(np.int8)
