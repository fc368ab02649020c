"""What exact weights leave unlike between the arms of a segment: covariates, their squares, their pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._inputs.listing import first_few
from segcate._nuisance.curves import FARTHEST, Curves
from segcate._statistics.intervals import Law
from segcate.effects._curved.comparison import Comparison
from segcate.effects._curved.weighted_effects import WeightedEffects

__all__ = ["ArmSums", "Imbalance", "arm_sums", "compared_arms", "imbalance_left", "imbalance_notes"]

# Standardised differences that count: of covariates, and of squares and products. Squares of a normal
# column differ by .35 of their standard deviations where its variances have a ratio of about 2.
MOST_OF_LINES, MOST_OF_CURVES = 0.1, 0.35
# Chance of any false alarm in a fit, where the weights are right.
LEVEL = 0.05
# Where all segments together leave something unlike, those are named that leave this many errors.
_TOGETHER = 3.0
# A column of standard deviation 1 that varies less than this in a segment is constant there.
_CONSTANT = 1e-9
# Columns beyond which pairs are not looked at.
MOST_PAIRED = 100
_BLOCK = 4_096
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Imbalance:
    """Differences of means between the arms that the weights of each effect compare.

    Attributes
    ----------
    features : intp array of shape (2, n_features)
        Two columns: -1 follows a covariate itself, the same column a square, another one a product.
    difference, std_error : float64 arrays of shape (n_segments + 1, n_features)
        The last row is that of all segments together; NaN in segments without an effect.
    scale : float64 array of the same shape, standard deviations
    df : float64 array of shape (n_segments + 1,), rows of equal weight behind a difference, less 1
    """

    features: Int
    difference: Float
    std_error: Float
    scale: Float
    df: Float

    def is_left(self) -> npt.NDArray[np.bool_]:
        """Mark what is out of bounds in each segment beyond chance, shape (n_segments, n_features).

        By itself, or in all segments together where the segment leans the same way.
        """
        n_segments = int(np.isfinite(self.df[:-1]).sum())
        n_features = self.features.shape[1]
        most = np.where(self.features[1] < 0, MOST_OF_LINES, MOST_OF_CURVES)
        with np.errstate(invalid="ignore"):
            is_large = (np.abs(self.difference) > most * self.scale) & (self.scale > _CONSTANT)
            size = np.abs(self.difference) / np.where(self.std_error > 0, self.std_error, np.inf)
        df = np.fmax(self.df, 1.0)
        alone = Law(df).quantile(1.0 - LEVEL / max(n_segments * n_features, 1))
        together = Law(df[-1]).quantile(1.0 - LEVEL / max(n_features, 1))
        leans = (size > _TOGETHER) & (np.sign(self.difference) == np.sign(self.difference[-1]))
        is_left = (size > alone[:, None]) | (leans & (size[-1] > together) & is_large[-1])
        return np.asarray(is_large & is_left)[:-1]


def imbalance_notes(found: Imbalance, names: Sequence[str]) -> list[str]:
    """Name what each segment's weights leave unlike; empty where that is small or may be chance."""
    notes = []
    for marked in found.is_left():
        left = [_named(names, a, b) for a, b in found.features[:, marked].T.tolist()]
        shown = first_few(dict.fromkeys(left), _SHOWN)
        notes.append(f"imbalance left in {shown}" if shown else "")
    return notes


def _named(names: Sequence[str], first: int, second: int) -> str:
    if second < 0:
        return names[first]
    return f"{names[first]}^2" if first == second else f"{names[first]} x {names[second]}"


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Sums over the rows of an arm of one segment, by weights that sum to 1 and may be below 0.

    Attributes
    ----------
    line : ``sum w z``, of shape (n_columns,)
    pair : ``sum w z z'``, of shape (n_columns, n_columns); its diagonal alone where pairs are not
        looked at
    squares : ``sum w^2``
    line_noise, pair_noise, quartic_noise : sums of z, of z z' and of the squares of z z' by ``w^2``
    """

    line: Float
    pair: Float
    squares: float
    line_noise: Float
    pair_noise: Float
    quartic_noise: Float

    def of(self, first: Int, second: Int) -> tuple[Float, Float, Float]:
        """Return the mean of each function, and the sums of it and of its square by squared weights."""
        is_line = second < 0
        other = np.where(is_line, first, second)
        mean = np.where(is_line, self.line[first], self.pair[first, other])
        linear = np.where(is_line, self.line_noise[first], self.pair_noise[first, other])
        square = np.where(is_line, self.pair_noise[first, first], self.quartic_noise[first, other])
        return mean, linear, square


def imbalance_left(curves: Curves, comparison: Comparison, found: WeightedEffects) -> Imbalance:
    """Compare the arms of every segment by the exact weights of its own rows."""
    known = np.flatnonzero(np.isfinite(found.effect)).tolist()
    arms = {code: _arms(curves, comparison, found, code) for code in known}
    mass = {code: float(comparison.own[comparison.rows_of[code]].sum()) for code in known}
    return compared_arms(curves, arms, mass, len(found.effect))


def compared_arms(
    curves: Curves,
    arms: Mapping[int, tuple[ArmSums, ArmSums]],
    mass: Mapping[int, float],
    n_segments: int,
) -> Imbalance:
    """Compare the treated and the controls of every segment.

    Parameters
    ----------
    arms : treated and controls of the segments with an effect
    mass : weight of their focal rows
    n_segments : int
    """
    varies = np.flatnonzero(curves.standard.varies)
    features = _features(len(varies), curves.squared)
    shape = (n_segments + 1, features.shape[1])
    difference, noise, spread = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
    df, share = np.full(shape[0], np.nan), np.zeros(n_segments)
    for code, (treated, control) in arms.items():
        share[code] = mass[code]
        difference[code], noise[code], spread[code] = _compared(treated, control, features)
        df[code] = 1.0 / max(treated.squares, control.squares) - 1.0
    share /= max(float(share.sum()), 1e-300)
    difference[-1] = share @ np.nan_to_num(difference[:-1])
    noise[-1], spread[-1] = share**2 @ np.nan_to_num(noise[:-1]), share @ spread[:-1]
    df[-1] = np.nansum(df[:-1])
    second = np.where(features[1] < 0, -1, varies[features[1]])
    named = np.stack([varies[features[0]], second]).astype(np.intp)
    return Imbalance(named, difference, np.sqrt(noise), np.sqrt(spread), df)


def _features(n: int, squared: Int) -> Int:
    """Return the columns of each function, among those that vary."""
    lines = np.stack([np.arange(n), np.full(n, -1)])
    products = np.array(np.triu_indices(n if n <= MOST_PAIRED else 0, k=1))
    return np.hstack([lines, np.stack([squared, squared]), products]).astype(np.intp)


def _arms(
    curves: Curves, comparison: Comparison, found: WeightedEffects, code: int
) -> tuple[ArmSums, ArmSums]:
    rows = comparison.rows_of[code]
    weight = found.exact_weights(comparison, rows)
    is_treated = comparison.is_treated[rows]
    centre = found.parts[0].arm.sums.mean[code][: curves.n_lines]
    treated, control = (
        arm_sums(curves, rows[at], weight[at] / float(weight[at].sum()), centre)
        for at in (is_treated & (weight != 0), ~is_treated & (weight != 0))
    )
    return treated, control


def _compared(treated: ArmSums, control: ArmSums, features: Int) -> tuple[Float, Float, Float]:
    """Return the differences of means, their variances, and the mean variance of both arms."""
    sums = [arm.of(*features) for arm in (treated, control)]
    middle = 0.5 * (sums[0][0] + sums[1][0])
    noise, spread = np.zeros(len(middle)), np.zeros(len(middle))
    for arm, (_, linear, square) in zip((treated, control), sums, strict=True):
        noise += np.maximum(square - middle * (2.0 * linear - middle * arm.squares), 0.0)
        spread += 0.5 * np.maximum(square / arm.squares - (linear / arm.squares) ** 2, 0.0)
    return sums[0][0] - sums[1][0], noise, spread


def arm_sums(curves: Curves, rows: Int, share: Float, centre: Float) -> ArmSums:
    """Add up rows of an arm, a few thousand at a time; columns are standardised and bounded."""
    n = curves.n_lines
    line, line_noise = np.zeros(n), np.zeros(n)
    pair, pair_noise, quartic_noise = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    for begin in range(0, len(rows), _BLOCK):
        at, w = rows[begin : begin + _BLOCK], share[begin : begin + _BLOCK]
        z = curves.standard.apply(curves.columns[at], curves.standard.varies) - centre
        np.clip(z, -FARTHEST, FARTHEST, out=z)
        z_by_w = w[:, None] * z
        line += w @ z
        pair += _products(z_by_w, z)
        line_noise += w @ z_by_w
        pair_noise += _products(z_by_w, z_by_w)
        z *= z_by_w
        quartic_noise += _products(z, z)
    return ArmSums(line, pair, float(share @ share), line_noise, pair_noise, quartic_noise)


def _products(left: Float, right: Float) -> Float:
    """Return the sums of products of all columns; of each with itself alone where they are many."""
    if left.shape[1] <= MOST_PAIRED:
        return np.asarray(left.T @ right, dtype=np.float64)
    return np.diag((left * right).sum(axis=0))
