"""Simulate users in segments whose treatment effects are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit
from sklearn.utils import Bunch

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_seed
from segcate.datasets._simulated_design import (
    LEVELS,
    Design,
    check_choices,
    check_sizes,
    check_structure,
    make_design,
)
from segcate.datasets._truth import mean_need_of_treated

_CHANNELS = ("app", "store", "web")
_PLANS = ("basic", "plus", "pro")
_DESCRIPTION = """Simulated users in segments, with confounding and known treatment effects.

X holds features that tell the segments apart and, inside a segment, move both the treatment and the
outcome. `truth` holds the exact effects per segment. See segcate.datasets.make_segmented_users.
"""


@dataclass(frozen=True, slots=True)
class _Users:
    """Draws made before treatment."""

    segment: Int
    features: Float
    need: Float
    pull: Float
    channel: Int
    plan: Int
    groups: Int | None


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Observed outcomes of the users, and their true scores and effects."""

    y: Float
    treatment: npt.NDArray[np.int64]
    propensity: Float
    effect: Float


def make_segmented_users(
    n_samples: int = 2000,
    *,
    n_segments: int = 4,
    n_features: int = 4,
    effects: Sequence[float] | None = None,
    heterogeneity: float | Literal["constant"] = "constant",
    treated_share: float | Sequence[float] = 0.3,
    confounding: float = 1.0,
    overlap_loss: float = 0.0,
    outcome: Literal["continuous", "binary"] = "continuous",
    prognosis: float = 1.0,
    curvature: float = 0.0,
    noise: float = 1.0,
    segment_shares: Sequence[float] | None = None,
    separation: float = 6.0,
    n_groups: int | None = None,
    assignment: Literal["user", "group"] = "user",
    group_sd: float = 0.5,
    categories: bool = False,
    missing: float = 0.0,
    random_state: Any = None,
    as_frame: bool = True,
) -> Bunch:
    """Make users in segments with confounded treatment and known effects.

    Inside segment s the features are normal with unit variance around the segment's centre. Their
    standardised sum U, the user's need, moves treatment, outcome and (if asked) the effect alike::

        P(treated) = expit(a_s + confounding * (U + channel / 2) + overlap_loss * W)
        effect     = effects[s] + heterogeneity * U
        y          = b_s + prognosis * U + curvature * (U^2 - 1) / sqrt(2) + effect * treated
                     + group_sd * G + noise * e

    with W an alternating sum of the features that the outcome does not depend on, and G and e
    standard normal. X holds every confounder, so an analysis that adjusts for X is unbiased.

    Parameters
    ----------
    n_samples : int, default=2000
        Number of users.
    n_segments : int, default=4
        Number of segments, labelled 0 to n_segments - 1.
    n_features : int, default=4
        Number of numeric features, ``x0``, ``x1``, ...
    effects : sequence of float of shape (n_segments,), default=None
        Average treatment effect (ATE) of each segment in units of y; with constant effects also its
        ATT. None: evenly spaced, 0 to 1 for a continuous outcome, 0 to 0.3 (risk difference) for a
        binary one.
    heterogeneity : "constant" or float, default="constant"
        Change of the effect, in units of y, per SD of the need U inside a segment. For a binary
        outcome the effect is ``effects[s] + heterogeneity * tanh(U / 2)``, so it stays within that
        distance of the average.
    treated_share : float or sequence of float of shape (n_segments,), default=0.3
        Expected share of treated users, inside (0, 1), for all or for each segment.
    confounding : float, default=1.0
        SD, inside a segment, of the part of the logit score that the outcome depends on too, 0 to
        10. 0 is a randomised experiment (given ``overlap_loss=0``), 0.7 mild, 2 severe.
    overlap_loss : float, default=0.0
        SD, inside a segment, of the part of the logit score that the outcome does not depend on, 0
        to 10. It drives scores to 0 and 1 without adding confounding. Needs two features.
    outcome : {"continuous", "binary"}, default="continuous"
        Binary outcomes are 0/1 with a control risk that follows the same index through a logistic
        curve, scaled so that every risk stays between 0.05 and 0.95; effects are risk differences.
    prognosis : float, default=1.0
        Change of the outcome (binary: of its logistic index) per SD of the need.
    curvature : float, default=0.0
        SD of the part of the outcome (binary: of its index) that is quadratic in the need.
    noise : float, default=1.0
        SD of the user's own error in y, at least 0. Unused for a binary outcome.
    segment_shares : sequence of float of shape (n_segments,), default=None
        Relative sizes of the segments. Sizes are fixed, not drawn: with None they differ by one
        user at most.
    separation : float, default=6.0
        Distance between neighbouring segment centres in SDs of a feature.
    n_groups : int, default=None
        Number of groups of users (schools, households) that share an error; groups cut across
        segments and differ in size by one user at most. None: no groups.
    assignment : {"user", "group"}, default="user"
        Whether users or whole groups are treated. With "group" the need and W are shared by a
        group, so that the score is too, and `treated_share` must be one number.
    group_sd : float, default=0.5
        SD of the groups' shared error in y (binary: in its logistic index). Unused without groups.
    categories : bool, default=False
        Add a string column ``channel``, whose three levels shift score and outcome by half as much
        as the need does (levels have mean 0 and SD 1), and a category column ``plan``, which
        shifts the outcome alone.
    missing : float, default=0.0
        Share of the numeric feature values set to NaN, completely at random, in [0, 1).
    random_state : int, RandomState instance or None, default=None
        Seed; the same seed gives the same users.
    as_frame : bool, default=True
        Whether X is a DataFrame and the columns are Series; arrays otherwise.

    Returns
    -------
    data : Bunch
        * ``X`` : DataFrame or array of shape (n_samples, n_features), segments not included
        * ``y`` : float64 of shape (n_samples,)
        * ``treatment`` : int64 of shape (n_samples,), values 0 and 1
        * ``segment`` : int64 of shape (n_samples,), the true segment
        * ``groups`` : int64 of shape (n_samples,), or None
        * ``propensity`` : float64 of shape (n_samples,), the true probability of treatment
        * ``effect`` : float64 of shape (n_samples,), the true effect in units of y
        * ``att`` : float64 of shape (n_segments,), population ATT of each segment, exact
        * ``att_sample`` : float64 of shape (n_segments,), mean effect of the treated users drawn;
          NaN in a segment without treated users
        * ``truth`` : DataFrame indexed by segment: ``n``, ``n_treated``, and ``att``, ``atc``,
          ``ate`` with their ``_sample`` twins
        * ``overall`` : dict with the same keys, for all segments together
        * ``feature_names``, ``description``

    Raises
    ------
    ValueError
        If a parameter is out of its range, a sequence has the wrong length, or effects leave no room for
        risks between 0.05 and 0.95.

    See Also
    --------
    segcate.datasets.load_nhefs : A real study.

    Notes
    -----
    "Population" means infinitely many users of the same segments, with segment sizes fixed. The
    population ATT is ``effects[s] + heterogeneity * E[U | treated]``. The expectation, and the
    intercept ``a_s`` that makes the expected treated share exact, are integrals over one or two
    normals, computed by the trapezoidal rule to 1e-12; nothing is simulated. Groups and missing
    values do not change them.

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> data = make_segmented_users(
    ...     400, n_segments=2, effects=[0, 1], heterogeneity=0.5, random_state=0
    ... )
    >>> data.X.shape, int(data.treatment.sum())
    ((400, 4), 109)
    >>> data.att.round(3), data.att_sample.round(3)
    (array([0.295, 1.295]), array([0.303, 1.281]))
    """
    check_sizes(
        n_samples=n_samples, n_segments=n_segments, n_features=n_features, n_groups=n_groups,
        noise=noise, group_sd=group_sd, separation=separation, prognosis=prognosis,
        curvature=curvature,
    )  # fmt: skip
    check_choices(outcome, assignment, missing, categories and not as_frame)
    check_structure(n_samples, n_segments, n_features, n_groups, assignment, overlap_loss)
    design = make_design(
        n_samples,
        n_segments,
        effects=effects,
        heterogeneity=heterogeneity,
        treated_share=treated_share,
        confounding=confounding,
        overlap_loss=overlap_loss,
        outcome=outcome,
        segment_shares=segment_shares,
        assignment=assignment,
        categories=categories,
    )
    rng = check_seed("make_segmented_users", random_state)
    users = _draw_users(design, rng, n_features, separation, n_groups, assignment, categories)
    index = prognosis * users.need + curvature * (users.need**2 - 1) / np.sqrt(2)
    if categories:
        index += 0.5 * prognosis * (LEVELS[users.channel] + LEVELS[users.plan])
    if users.groups is not None:
        index += group_sd * rng.standard_normal(n_groups)[users.groups]
    drawn = _treat_and_observe(design, users, index, noise, assignment, rng)
    if missing > 0:
        users.features[rng.uniform(size=users.features.shape) < missing] = np.nan
    return _as_bunch(design, users, drawn, categories, as_frame)


def _draw_users(
    design: Design,
    rng: np.random.RandomState,
    n_features: int,
    separation: float,
    n_groups: int | None,
    assignment: str,
    categories: bool,
) -> _Users:
    n = int(design.sizes.sum())
    segment = rng.permutation(np.repeat(np.arange(len(design.sizes)), design.sizes))
    deviation = rng.standard_normal((n, n_features))
    towards_need = np.full(n_features, n_features**-0.5)
    towards_pull = _alternating(n_features)
    groups = None if n_groups is None else rng.permutation(np.arange(n) % n_groups)
    need, pull = deviation @ towards_need, deviation @ towards_pull
    if groups is not None and assignment == "group":
        shared = rng.standard_normal((int(groups.max()) + 1, 2))[groups]
        deviation += np.outer(shared[:, 0] - need, towards_need) + np.outer(
            shared[:, 1] - pull, towards_pull
        )
        need, pull = shared[:, 0], shared[:, 1]
    none = np.zeros(n, dtype=np.intp)
    channel = none
    if categories:
        of_group = groups is not None and assignment == "group"
        channel = rng.randint(3, size=n_groups)[groups] if of_group else rng.randint(3, size=n)
    return _Users(
        segment=segment,
        features=deviation + _centres(len(design.sizes), n_features, separation)[segment],
        need=need,
        pull=pull,
        channel=channel,
        plan=rng.randint(3, size=n) if categories else none,
        groups=groups,
    )


def _alternating(n_features: int) -> Float:
    """Return the alternating unit vector orthogonal to (1, ..., 1); 0 in one dimension."""
    vector = np.where(np.arange(n_features) % 2 == 0, 1.0, -1.0)
    vector -= vector.mean()
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def _centres(n_segments: int, n_features: int, separation: float) -> Float:
    """Put the segments on a cubic lattice, neighbours `separation` apart."""
    side = 2
    while side**n_features < n_segments:
        side += 1
    digits = np.arange(n_segments)[:, None] // side ** np.arange(n_features)[None, :] % side
    return separation * digits.astype(np.float64)


def _treat_and_observe(
    design: Design,
    users: _Users,
    index: Float,
    noise: float,
    assignment: str,
    rng: np.random.RandomState,
) -> _Drawn:
    """Draw treatment and outcome; a group has one score, and one chance treats it whole."""
    shift = np.array(design.shifts)[users.channel] if len(design.shifts) > 1 else 0.0
    score = design.intercepts[users.segment] + design.confounding * (users.need + shift)
    propensity = np.asarray(expit(score + design.overlap_loss * users.pull), dtype=np.float64)
    if assignment == "group" and users.groups is not None:
        chance = rng.uniform(size=int(users.groups.max()) + 1)[users.groups]
    else:
        chance = rng.uniform(size=len(propensity))
    treatment = (chance < propensity).astype(np.int64)
    modifier = np.tanh(users.need / 2) if design.is_binary else users.need
    effect = design.effects[users.segment] + design.slope * modifier
    y = _outcome(design, index + 0.5 * users.segment, effect * treatment, noise, rng)
    return _Drawn(y=y, treatment=treatment, propensity=propensity, effect=effect)


def _outcome(
    design: Design, index: Float, gain: Float, noise: float, rng: np.random.RandomState
) -> Float:
    """Draw y around its index (or, for a binary y, at the risk that the index stands for)."""
    if not design.is_binary:
        return np.asarray(index + gain + noise * rng.standard_normal(len(index)), dtype=np.float64)
    low, high = design.control_risks()
    middle = 0.25 * (len(design.sizes) - 1)
    risk = low + (high - low) * expit(index - middle) + gain
    return np.asarray(rng.uniform(size=len(risk)) < risk, dtype=np.float64)


def _truth_table(design: Design, users: _Users, drawn: _Drawn) -> pd.DataFrame:
    """Effects per segment: of the population, exactly, and of the users drawn."""
    k = len(design.sizes)
    key = (design.confounding, design.overlap_loss, design.shifts, design.is_binary)
    share = design.treated_share
    of_treated = np.zeros(k)
    if design.slope:
        of_treated[:] = [mean_need_of_treated(s, *key) for s in share.tolist()]
    n_treated = np.bincount(users.segment, drawn.treatment, k)
    sum_treated = np.bincount(users.segment, drawn.effect * drawn.treatment, k)
    sum_all = np.bincount(users.segment, drawn.effect, k)
    with np.errstate(invalid="ignore"):
        columns = {
            "n": design.sizes,
            "n_treated": n_treated.astype(np.int64),
            "att": design.effects + design.slope * of_treated,
            "atc": design.effects - design.slope * of_treated * share / (1 - share),
            "ate": design.effects,
            "att_sample": sum_treated / n_treated,
            "atc_sample": (sum_all - sum_treated) / (design.sizes - n_treated),
            "ate_sample": sum_all / design.sizes,
        }
    return pd.DataFrame(columns, index=pd.RangeIndex(k, name="segment"))


def _overall_truth(design: Design, truth: pd.DataFrame, drawn: _Drawn) -> dict[str, float]:
    """Average the segments' exact effects by their expected arms, and the drawn users' effects."""
    overall: dict[str, float] = {"n": len(drawn.y), "n_treated": int(drawn.treatment.sum())}
    expected = design.sizes * design.treated_share
    for name, weight, rows in (
        ("att", expected, drawn.treatment == 1),
        ("atc", design.sizes - expected, drawn.treatment == 0),
        ("ate", design.sizes, np.ones(len(drawn.y), dtype=bool)),
    ):
        overall[name] = float(np.average(truth[name].to_numpy(), weights=weight))
        overall[f"{name}_sample"] = float(drawn.effect[rows].mean()) if rows.any() else float("nan")
    return overall


def _as_bunch(
    design: Design, users: _Users, drawn: _Drawn, categories: bool, as_frame: bool
) -> Bunch:
    truth = _truth_table(design, users, drawn)
    names = [f"x{j}" for j in range(users.features.shape[1])]
    X: Any = users.features
    columns: dict[str, Any] = {
        "y": drawn.y,
        "treatment": drawn.treatment,
        "segment": users.segment.astype(np.int64),
        "groups": None if users.groups is None else users.groups.astype(np.int64),
        "propensity": drawn.propensity,
        "effect": drawn.effect,
    }
    if as_frame:
        X = pd.DataFrame(users.features, columns=names)
        if categories:
            X["channel"] = np.array(_CHANNELS, dtype=object)[users.channel]
            X["plan"] = pd.Categorical(
                np.array(_PLANS, dtype=object)[users.plan], categories=list(_PLANS), ordered=True
            )
        columns = {k: None if v is None else pd.Series(v, name=k) for k, v in columns.items()}
    return Bunch(
        X=X,
        **columns,
        att=truth["att"].to_numpy(),
        att_sample=truth["att_sample"].to_numpy(),
        truth=truth,
        overall=_overall_truth(design, truth, drawn),
        feature_names=names + (["channel", "plan"] if categories else []),
        description=_DESCRIPTION,
    )
