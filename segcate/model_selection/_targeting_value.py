"""What a recipe for policies is worth: cross-fitted, with a variance that counts the choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri, owens_t

from segcate._inputs.arrays import Float, Int
from segcate._nuisance import folds
from segcate._nuisance.folds import Splits, treatment_strata
from segcate.metrics import PolicyValue
from segcate.model_selection._targeting_effects import by_segment
from segcate.model_selection._targeting_rule import TargetingRule

# Rules of so many other folds are compared with that of a row's own fold.
_MOST_COMPARED = 4
# With more folds than that the rows of a rule are cross-fitted in fewer, larger parts.
_MOST_PAIRED, _N_PARTS = 10, 5


@dataclass(frozen=True, slots=True)
class Fits:
    """Which rows models are fitted on, and which they predict.

    Attributes
    ----------
    splits : rows to fit on and rows to value of each fold
    train, predicted : tuples of intp arrays, rows of each fit; first one fit a fold
    inner : for each fold the fits that predict its training rows, each with the rows it predicts
        of them; empty where rules do not look at their training rows
    """

    splits: Splits
    train: tuple[Int, ...]
    predicted: tuple[Int, ...]
    inner: tuple[tuple[tuple[int, Int], ...], ...]

    @property
    def n_compared(self) -> int:
        """Count the other folds whose rules are compared with that of a row's own."""
        return min(len(self.splits) - 1, _MOST_COMPARED)

    def own_fold(self, effects: list[Float]) -> Float:
        """Return the effects that each row has in the model of its fold, which did not see it."""
        n_rows = sum(len(test) for _, test in self.splits)
        found = np.empty((n_rows, effects[0].shape[1]))
        for (_, test), values in zip(self.splits, effects, strict=False):
            found[test] = values[: len(test)]
        return found

    def of_training_rows(self, fold: int, effects: list[Float]) -> Float:
        """Return the effects of a fold's training rows, by models that saw neither row nor fold."""
        train = self.splits[fold][0]
        found = np.empty((len(train), effects[0].shape[1]))
        for fit, rows in self.inner[fold]:
            at = np.searchsorted(self.predicted[fit], rows)
            found[np.searchsorted(train, rows)] = effects[fit][at]
        return found


def plan_fits(
    owner: str,
    splits: Splits,
    arm: Int,
    groups: Int | None,
    rng: np.random.RandomState,
    *,
    rules_see_rows: bool,
) -> Fits:
    """Plan the fits behind `value_`; models of the same rows are fitted once.

    Where a limit or a search for profit looks at predictions of the training rows
    (`rules_see_rows`), these come from models that the fold to be valued had no part in: from fits
    without both folds.
    """
    n = len(splits)
    n_compared = min(n - 1, _MOST_COMPARED)
    splits = tuple((np.sort(train), test) for train, test in splits)
    train = [rows for rows, _ in splits]
    predicted = [
        np.concatenate([splits[(k - s) % n][1] for s in range(n_compared + 1)]) for k in range(n)
    ]
    if not rules_see_rows:
        return Fits(splits, tuple(train), tuple(predicted), ())
    fold = np.empty(len(arm), dtype=np.intp)
    for k, (_, test) in enumerate(splits):
        fold[test] = k
    known: dict[bytes, int] = {}
    inner = []
    for rows, _ in splits:
        parts = _inner_parts(owner, rows, fold[rows], arm, groups, rng)
        fits = []
        for part in parts:
            fitted = np.setdiff1d(rows, part, assume_unique=True)
            if (at := known.setdefault(fitted.tobytes(), len(train))) == len(train):
                train.append(fitted)
                predicted.append(np.setdiff1d(np.arange(len(arm)), fitted, assume_unique=True))
            fits.append((at, part))
        inner.append(tuple(fits))
    return Fits(splits, tuple(train), tuple(predicted), tuple(inner))


def _inner_parts(
    owner: str, rows: Int, fold: Int, arm: Int, groups: Int | None, rng: np.random.RandomState
) -> list[Int]:
    """Cut the training rows of a fold into the parts that are predicted from the rest of them."""
    labels = np.unique(fold)
    if len(labels) == 1:
        strata = treatment_strata(owner, arm[rows], None, n_outcome_bins=1, min_rows=2)
        codes = None if groups is None else np.unique(groups[rows], return_inverse=True)[1]
        fold = folds.deal_folds(owner, strata, codes, 2, rng)
        labels = np.arange(2)
    n_parts = len(labels) if len(labels) <= _MOST_PAIRED else _N_PARTS
    return [rows[np.isin(fold, part)] for part in np.array_split(labels, n_parts)]


def assign_folds(
    fits: Fits,
    effects: list[Float],
    weight: Float,
    segment: Int | None,
    choose: Callable[[Float, Int], TargetingRule],
) -> Int:
    """Return arms of shape (n_compared + 1, n_rows): by the rule of a row's fold, and of others.

    `choose` makes a rule from the deciding effects of some rows and from those rows. Row s holds
    what the rule of the s-th next fold would give.
    """
    n = len(fits.splits)
    arms = np.empty((fits.n_compared + 1, len(weight)), dtype=np.intp)
    own = None if fits.inner else fits.own_fold(effects)

    def deciding(values: Float, rows: Int) -> Float:
        return by_segment(values, weight[rows], None if segment is None else segment[rows])

    for k, (train, _) in enumerate(fits.splits):
        seen = fits.of_training_rows(k, effects) if own is None else own[train]
        rule = choose(deciding(seen, train), train)
        start = 0
        for s in range(fits.n_compared + 1):
            rows = fits.splits[(k - s) % n][1]
            values = effects[k][start : start + len(rows)]
            arms[s, rows] = rule.assign(deciding(values, rows))
            start += len(rows)
    return arms


def counting_the_choice(
    value_of: Callable[[Int, Int | None], PolicyValue], arms: Int, splits: Splits, weight: Float
) -> PolicyValue:
    """Value the first of several policies, with the variance that choosing it adds.

    The rule of a fold is made on the other folds, so their noise is in it; and their rules are made
    on this one. Two rows of different folds thus enter the value twice, as a U-statistic does, and
    the part of a rule that is linear in the noise counts twice in the variance. How far rules of
    different folds disagree says how large that part is (see `_linear_part`).
    """
    found = value_of(arms[0], None)
    share = _split_share(arms, weight)
    if share == 0 or share == 1:
        return found
    gaps = [value_of(arms[0], other).std_error ** 2 for other in arms[1:]]
    added = _linear_part(share, _overlap(splits, len(gaps))) * float(np.mean(gaps))
    std_error = float(np.sqrt(found.std_error**2 + added))
    return replace(found, std_error=std_error)


def _split_share(arms: Int, weight: Float) -> float:
    """Return the share of the arm that is nearest to one half, over all rules."""
    shares = (
        np.bincount(arms.ravel(), weights=np.tile(weight, len(arms))) / weight.sum() / len(arms)
    )
    return float(shares[np.argmin(np.abs(shares - 0.5))])


def _overlap(splits: Splits, n_compared: int) -> float:
    """Return how much of their rows the training sets of compared folds share, on average."""
    n = len(splits)
    n_rows = sum(len(test) for _, test in splits)
    found = []
    for k, (train, _) in enumerate(splits):
        is_seen = np.zeros(n_rows, dtype=bool)
        is_seen[train] = True
        for s in range(1, n_compared + 1):
            other = splits[(k + s) % n][0]
            found.append(is_seen[other].sum() / np.sqrt(len(train) * len(other)))
    return float(np.mean(found))


def _linear_part(share: float, overlap: float) -> float:
    """Return the linear part of a rule's variance, per unit of disagreement of two rules.

    A rule treats where a normal score exceeds the threshold that a share of rows exceeds; scores of
    two rules correlate by the rows that both saw. The indicator's part that is linear in the score
    has variance phi(h)^2 (its first Hermite coefficient), and the rules disagree with chance
    4 T(h, sqrt((1 - r) / (1 + r))), T Owen's function.
    """
    height = float(ndtri(share))
    density = float(np.exp(-(height**2)) / (2.0 * np.pi))
    disagree = 4.0 * float(owens_t(height, np.sqrt((1.0 - overlap) / (1.0 + overlap))))
    return density / disagree if disagree > 0 else 0.0
