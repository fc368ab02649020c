"""Draw the patients of the tumour simulator: stage, first volume, growth and sensitivities.

The distributions are those of Geng, Paganetti and Grassberger (2017), "Prediction of treatment
response for combined chemo- and radiation therapy for non-small cell lung cancer patients using a
bio-mathematical model", doi:10.1038/s41598-017-13646-z, as Lim, Alaa and van der Schaar (2018) used
them to compare models of counterfactual outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import truncnorm

from segcate._inputs.arrays import Float

# Stage -> patients in the registry, and mean, SD (log scale), lower and upper end of the diameter
# in cm. Draws go through the stages in the order of their names.
_STAGES = {
    "I": (1432, 1.72, 4.70, 0.3, 5.0),
    "II": (128, 1.96, 1.63, 0.3, 13.0),
    "IIIA": (1306, 1.91, 9.40, 0.3, 13.0),
    "IIIB": (7248, 2.76, 6.87, 0.3, 13.0),
    "IV": (12840, 3.86, 8.82, 0.3, 13.0),
}
_ALPHA_MEAN, _ALPHA_SD = 0.0398, 0.168
_RHO_MEAN, _RHO_SD = 7e-5, 7.23e-3
_CORRELATION = 0.87
_ALPHA_BETA_RATIO = 10.0
_CHEMO_MEAN, _CHEMO_SD = 0.028, 0.0007
# How far the better response of types 1 (radio) and 3 (chemo) moves the mean, as a share of it.
_TYPE_GAIN = 0.1


@dataclass(frozen=True, slots=True)
class TumorPatients:
    """Parameters of simulated patients.

    Attributes
    ----------
    type : int64 array of shape (n_patients,), values 1, 2 and 3
        Type 1 responds a little more to radiotherapy, type 3 to chemotherapy.
    stage : str array of shape (n_patients,)
        Stage of the cancer at the start: I, II, IIIA, IIIB or IV.
    initial_volume : float64 array of shape (n_patients,)
        Volume of the tumour on day 0, in cubic centimetres.
    rho : float64 array of shape (n_patients,)
        Growth rate per day, above 0.
    alpha, beta : float64 arrays of shape (n_patients,)
        Linear and quadratic sensitivity to radiotherapy, per gray and per gray squared, above 0.
    beta_c : float64 array of shape (n_patients,)
        Sensitivity to chemotherapy, per milligram in the body.
    """

    type: npt.NDArray[np.int64]
    stage: npt.NDArray[np.str_]
    initial_volume: Float
    rho: Float
    alpha: Float
    beta: Float
    beta_c: Float

    def __len__(self) -> int:
        """Count the patients."""
        return len(self.type)

    def take(self, rows: Any) -> TumorPatients:
        """Index every array of the patients alike."""
        return TumorPatients(
            **{name: getattr(self, name)[rows] for name in TumorPatients.__dataclass_fields__}
        )


def volume_of(diameter: Float | float) -> Float:
    """Return the volume in cubic centimetres of a ball with a diameter in centimetres."""
    return np.asarray(4 / 3 * np.pi * (np.asarray(diameter) / 2) ** 3, dtype=np.float64)


def diameter_of(volume: Float) -> Float:
    """Return the diameter in centimetres of a ball; NaN for a negative volume."""
    with np.errstate(invalid="ignore"):
        return np.asarray((volume / (4 / 3 * np.pi)) ** (1 / 3) * 2, dtype=np.float64)


def draw_patients(n_patients: int, rng: np.random.RandomState) -> TumorPatients:
    """Draw patients; the order of the draws is that of the published data sets."""
    names = sorted(_STAGES)
    counts = np.array([_STAGES[name][0] for name in names])
    stages = rng.choice(names, n_patients, p=counts / counts.sum())
    sizes = [int((stages == name).sum()) for name in names]
    diameter = np.concatenate(
        [_draw_diameters(name, size, rng) for name, size in zip(names, sizes, strict=True)]
    )
    alpha, rho = _draw_growth(n_patients, rng)
    kind = rng.randint(3, size=n_patients) + 1
    # The published lower end leaves 40 SD below the mean, which cuts nothing off.
    spread = truncnorm.rvs(-_CHEMO_MEAN / _CHEMO_SD, np.inf, size=n_patients, random_state=rng)
    beta_c = _CHEMO_MEAN + _CHEMO_SD * spread + _TYPE_GAIN * _CHEMO_MEAN * (kind == 3)
    alpha = alpha + _TYPE_GAIN * _ALPHA_MEAN * (kind == 1)
    order = np.arange(n_patients)
    rng.shuffle(order)
    return TumorPatients(
        type=kind.astype(np.int64),
        stage=np.repeat(np.array(names), sizes),
        initial_volume=volume_of(diameter),
        rho=rho,
        alpha=alpha,
        beta=alpha / _ALPHA_BETA_RATIO,
        beta_c=np.asarray(beta_c, dtype=np.float64),
    ).take(order)


def _draw_diameters(stage: str, size: int, rng: np.random.RandomState) -> Float:
    _, mean, sd, low, high = _STAGES[stage]
    ends = (np.log(low) - mean) / sd, (np.log(high) - mean) / sd
    z = truncnorm.rvs(*ends, size=size, random_state=rng)
    return np.asarray(np.exp(z * sd + mean), dtype=np.float64)


def _draw_growth(n_patients: int, rng: np.random.RandomState) -> tuple[Float, Float]:
    """Draw pairs of alpha and rho until enough of them are positive; about two in five are."""
    between = _CORRELATION * _ALPHA_SD * _RHO_SD
    covariance = [[_ALPHA_SD**2, between], [between, _RHO_SD**2]]
    accepted: list[Float] = []
    while sum(len(pairs) for pairs in accepted) < n_patients:
        pairs = rng.multivariate_normal([_ALPHA_MEAN, _RHO_MEAN], covariance, n_patients)
        accepted.append(pairs[(pairs > 0).all(axis=1)])
    kept = np.concatenate(accepted)[:n_patients]
    return kept[:, 0], kept[:, 1]
