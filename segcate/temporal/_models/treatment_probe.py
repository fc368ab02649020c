"""How well a fresh probe tells the treatment from the representation of a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from segcate._inputs.arrays import Float, Int

N_FOLDS = 5
_INNER_FOLDS = 3
_PENALTIES = {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}


@dataclass(frozen=True, slots=True)
class TreatmentProbe:
    """Representations of histories, what was given and came next, and what a probe tells of the treatment.

    Attributes
    ----------
    ids : array of shape (n_units,)
        Units that were known at the origin and at the row after it, sorted.
    representation : float64 array of shape (n_units, width)
    treatment : array of str of shape (n_units,)
        Treatments given at the origin, "none" or their names joined by "+".
    outcome : float64 array of shape (n_units, n_outcomes)
        Outcomes of the row after the origin.
    explained : float
        Share of the treatment's entropy that a logistic regression on the standardised representation, its
        penalty chosen by folds within, explains on units held out (5 folds); 0 or less: nothing. NaN where
        fewer than two treatments have five units each.
    std_error : float
        Of `explained`, over units.
    """

    ids: npt.NDArray[np.object_] = field(repr=False)
    representation: Float = field(repr=False)
    treatment: npt.NDArray[np.object_] = field(repr=False)
    outcome: Float = field(repr=False)
    explained: float
    std_error: float


def name_treatments(given: Float, names: Sequence[str]) -> npt.NDArray[np.object_]:
    """Name the combination of treatments of each row of 0 and 1."""
    found = np.empty(len(given), dtype=object)
    for i, row in enumerate(given > 0):
        found[i] = "+".join(np.array(names, dtype=object)[row]) or "none"
    return found


def explained_share(
    representation: Float, treatment: npt.NDArray[np.object_]
) -> tuple[float, float]:
    """Return the share of entropy that a probe explains on rows held out, and its standard error.

    Treatments of fewer than five rows are left out.
    """
    _, codes, counts = np.unique(treatment, return_inverse=True, return_counts=True)
    is_kept = (counts >= N_FOLDS)[codes]
    if int((counts >= N_FOLDS).sum()) < 2:
        return float("nan"), float("nan")
    x, (_, given) = representation[is_kept], np.unique(codes[is_kept], return_inverse=True)
    gain, entropy = np.empty(len(x)), np.empty(len(x))
    for learned, held in StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(x, given):
        gain[held], entropy[held] = _gains(x, given, learned, held)
    share = float(gain.sum() / entropy.sum())
    spread = np.sqrt(np.sum((gain - share * entropy) ** 2))
    return share, float(spread / entropy.sum())


def _gains(x: Float, given: Int, learned: Int, held: Int) -> tuple[Float, Float]:
    """Return what the probe gains over shares of treatments on rows held out, and their own loss."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    # A probe that overfits would make a representation look balanced.
    chosen = GridSearchCV(probe, _PENALTIES, scoring="neg_log_loss", cv=_INNER_FOLDS)
    chances = chosen.fit(x[learned], given[learned]).predict_log_proba(x[held])
    shares = np.bincount(given[learned]) / len(learned)
    own = -np.log(shares)[given[held]]
    return own + chances[np.arange(len(held)), given[held]], own
