"""What weights leave unlike between arms: against sums in loops, and in simulated designs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate._nuisance.curves import curves_of
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.effects._curved.comparison import Comparison
from segcate.effects._curved.imbalance import Imbalance, imbalance_left, imbalance_notes
from segcate.effects._curved.weighted_effects import weighted_effects
from tests.effects.test_curved_weighted_effects import (
    FOCAL,
    SEGMENT,
    TREATED,
    USES,
    WEIGHT,
    S,
    Y,
    Z,
    comparison,
)
from tests.helpers import naive_curves


def functions(Z, weight, centre):
    """Lines, squares and pairs of columns that are standardised, centred and bounded."""
    z = [
        np.clip(c - m, -4, 4)
        for c, m in zip(naive_curves.standardised(Z, weight), centre, strict=True)
    ]
    squares = [(j, j) for j in range(len(z)) if len(set(z[j])) > 2]
    pairs = [(a, b) for a in range(len(z)) for b in range(a + 1, len(z))]
    return z + [z[a] * z[b] for a, b in squares + pairs]


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_differences_are_those_of_exact_weights_row_by_row(estimand, weight):
    v = np.ones(len(Y)) if weight is None else weight
    curves, compared = curves_of(Z, weight), comparison(estimand, weight)
    found = weighted_effects(curves, compared)
    left = imbalance_left(curves, compared, found)
    naive = naive_curves.effects(Z, SEGMENT, Y, TREATED, FOCAL[estimand] * v, USES, v, estimand)
    share = np.array([(FOCAL[estimand] * v)[k == SEGMENT].sum() for k in range(S)])
    for k in range(S):
        arms = []
        for arm in (0, 1):
            at = (k == SEGMENT) & (arm == TREATED)
            arms.append(
                naive.weights[arm][k] * at if arm in naive.weights else at * v / v[at].sum()
            )
        donors = (k == SEGMENT) & ((estimand == "atc") == TREATED)
        centre = [v[donors] @ z[donors] / v[donors].sum() for z in naive_curves.standardised(Z, v)]
        for f, values in enumerate(functions(Z, v, centre)):
            means = [sum(w * values) for w in arms]
            noise = sum(sum(w**2 * (values - np.mean(means)) ** 2) for w in arms)
            spread = [
                sum(w**2 * values**2) / sum(w**2) - (sum(w**2 * values) / sum(w**2)) ** 2
                for w in arms
            ]
            assert left.difference[k, f] == pytest.approx(means[1] - means[0], abs=1e-9)
            assert left.std_error[k, f] == pytest.approx(np.sqrt(noise), rel=1e-7)
            assert left.scale[k, f] == pytest.approx(np.sqrt(np.mean(spread)), rel=1e-7)
    np.testing.assert_allclose(
        left.difference[S], share @ left.difference[:S] / share.sum(), atol=1e-12
    )


def test_the_bias_of_one_segment_is_the_imbalance_in_what_was_left_out():
    """Outcomes that are one of the functions, without noise: the effect is off by its difference."""
    curves = curves_of(Z)
    centre = [z[TREATED == 0].mean() for z in naive_curves.standardised(Z, np.ones(len(Y)))]
    values = functions(Z, np.ones(len(Y)), centre)[4]
    one = Comparison(
        [np.arange(len(Y))], values, TREATED == 1, FOCAL["att"] * 1.0, USES, None, "att"
    )
    found = weighted_effects(curves, one, penalties=[(1e9,) * 4])
    assert found.effect[0] == pytest.approx(imbalance_left(curves, one, found).difference[0, 4])


def imbalance(difference, std_error, df=400.0):
    shape = np.shape(difference)
    columns = np.array([[0, 1, 0, 0], [-1, -1, 0, 1]])
    return Imbalance(
        columns, np.array(difference), np.broadcast_to(std_error, shape), np.ones(shape),
        np.full(shape[0], df),
    )  # fmt: skip


def test_what_is_large_beyond_chance_is_named():
    found = imbalance([[0.0, 0.2, 0.5, 0.5], [0.0] * 4, [0.0, 0.1, 0.25, 0.25]], 0.04)
    assert imbalance_notes(found, ["age", "visits"]) == [
        "imbalance left in visits, age^2, age x visits",
        "",
    ]


@pytest.mark.parametrize(
    ("difference", "std_error"), [(0.09, 0.001), (0.9, 0.4)], ids=["small", "noisy"]
)
def test_what_is_small_or_may_be_chance_is_not_named(difference, std_error):
    found = imbalance([[difference] * 4, [0.0] * 4, [0.0] * 4], std_error)
    assert imbalance_notes(found, ["age", "visits"]) == ["", ""]


def test_segments_that_lean_one_way_are_named_by_what_they_leave_together():
    small, error = [0.186, 0.0, 0.0, 0.0], np.array([[0.06]] * 10 + [[0.02]])
    found = imbalance([small] * 11, error)
    assert imbalance_notes(found, ["age", "visits"]) == ["imbalance left in age"] * 10
    alone = imbalance([small] + [[0.0] * 4] * 9 + [[0.02, 0, 0, 0]], error)
    assert imbalance_notes(alone, ["age", "visits"]) == [""] * 10


def poor_overlap(rng, n, steep):
    x = rng.normal(size=(n, 4))
    t = (rng.random(n) < 1 / (1 + np.exp(0.5 - steep * x[:, 0] - 0.8 * steep * x[:, 1]))).astype(
        int
    )
    y = x[:, 0] + x[:, 1] + t + rng.normal(size=n)
    frame = pd.DataFrame(x, columns=["age", "visits", "spend", "days"])
    return frame.assign(segment=(x[:, 2] > 0).astype(int)), y, t


def share_flagged(model, steep, n, n_draws=12):
    flagged = []
    for draw in range(n_draws):
        X, y, t = poor_overlap(np.random.default_rng([7, draw]), n, steep)
        status = model.fit(X, y, treatment=t).effects_["status"]
        flagged.append(status.str.contains("imbalance left in").mean())
    return np.mean(flagged)


def test_status_names_curves_that_have_no_donors():
    model = SegmentMatching(adjustment="auto")
    X, y, t = poor_overlap(np.random.default_rng(1), 1500, 2.5)
    status = model.fit(X, y, treatment=t).effects_["status"]
    assert status.str.contains(r"imbalance left in .*(?:age\^2|age x visits)").any()


@pytest.mark.parametrize("model", [SegmentMatching(adjustment="auto"), SegmentAIPW("auto")])
def test_good_overlap_is_not_doubted(model):
    assert share_flagged(model, 0.4, 600) <= 0.05


def test_regression_leaves_balance_to_its_lines():
    X, y, t = poor_overlap(np.random.default_rng(1), 1500, 2.5)
    status = SegmentRegression(adjustment="auto").fit(X, y, treatment=t).effects_["status"]
    assert not status.str.contains("imbalance").any()
