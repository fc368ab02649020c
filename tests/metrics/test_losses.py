"""Losses of predicted effects: the definitions, hand-worked rows, differences, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator

import segcate
from segcate.metrics import dr_loss, dr_score, make_uplift_scorer, r_loss, r_score
from tests.helpers.group_references import CASES, EXACT, inputs, own
from tests.helpers.naive_groups import naive_mean


def nuisances(case):
    e = case["propensity"]
    return {
        "treatment": case["treatment"],
        "propensity": e,
        "outcome": e * case["mu1"] + (1 - e) * case["mu0"],
    }


@pytest.mark.parametrize("name", CASES)
def test_equal_the_definitions(name):
    case, figures = inputs(name), own(name, "losses")
    s, psi = case["score"], case["psi_aipw"]
    plug_in = case["mu1"] - case["mu0"]
    found = {
        "tau_risk_to": dr_loss(case["psi_ipw"], s),
        "dr_loss": dr_loss(psi, s),
        "plugin_t": dr_loss(plug_in, s),
        "dr_score_r2": dr_score(psi, s),
        "r_loss": r_loss(case["y"], s, **nuisances(case)),
        "r_score": r_score(case["y"], s, **nuisances(case)),
    }
    for key, figure in figures.items():
        assert float(found[key]) == pytest.approx(figure, **EXACT), key


def test_six_rows_by_hand():
    # Gaps 1 0 -1 2 0 0: squares 1 0 1 4 0 0, mean 1. Around the mean effect 1 (psi 2 0 0 3 1 0):
    # 1 1 1 4 0 1, mean 8 / 6.
    psi, s = [2, 0, 0, 3, 1, 0], [1, 0, 1, 1, 1, 0]
    loss = dr_loss(psi, s)
    assert loss.value == 1
    assert loss.std_error == pytest.approx(np.std([1, 0, 1, 4, 0, 0], ddof=1) / np.sqrt(6))
    assert dr_score(psi, s).value == pytest.approx(1 - 6 / 8)
    assert dr_loss(psi, s, baseline=[1] * 6).value == pytest.approx(1 - 8 / 6)


@pytest.mark.parametrize("name", ["observational", "binary_ties"])
def test_errors_are_those_of_a_mean_over_clusters(name):
    case = inputs(name)
    s, psi, w, c = case["score"], case["psi_aipw"], case["sample_weight"], case["cluster"]
    found = dr_loss(psi, s, sample_weight=w, groups=c)
    assert (found.value, found.std_error) == pytest.approx(naive_mean((psi - s) ** 2, w, c))
    over = dr_loss(psi, s, baseline=0 * s, sample_weight=w, groups=c)
    theirs = naive_mean((psi - s) ** 2 - psi**2, w, c)
    assert (over.value, over.std_error) == pytest.approx(theirs)
    k = nuisances(case)
    left, lever = case["y"] - k["outcome"], case["treatment"] - case["propensity"]
    found = r_loss(case["y"], s, **k, baseline=0 * s, sample_weight=w, groups=c)
    theirs = naive_mean((left - lever * s) ** 2 - left**2, w, c)
    assert (found.value, found.std_error) == pytest.approx(theirs)
    assert found.p_value == pytest.approx(over.p_value, abs=1)


@pytest.mark.parametrize("which", ["dr", "r"])
def test_error_of_a_score_is_that_of_the_jackknife(which):
    rng = np.random.default_rng(0)
    n = 200
    s, t = rng.normal(size=n), rng.integers(0, 2, n)
    y = t * s + rng.normal(size=n)
    psi = s + rng.normal(size=n)

    def score(keep):
        if which == "dr":
            return dr_score(psi[keep], s[keep])
        half = np.full(keep.sum(), 0.5)
        return r_score(y[keep], s[keep], treatment=t[keep], propensity=half, outcome=s[keep] / 2)

    left_out = [score(np.arange(n) != i).value for i in range(n)]
    jackknife = np.sqrt((n - 1) / n * np.sum((left_out - np.mean(left_out)) ** 2))
    assert score(np.ones(n, dtype=bool)).std_error == pytest.approx(jackknife, rel=0.02)


def test_the_best_constant_scores_zero():
    rng = np.random.default_rng(1)
    psi = rng.normal(1, 1, 50)
    assert dr_score(psi, np.full(50, psi.mean())).value == pytest.approx(0, abs=1e-12)
    y, t = rng.normal(size=50), np.arange(50) % 2
    half, m = np.full(50, 0.5), np.full(50, 0.3)
    constant = np.sum((y - m) * (t - half)) / np.sum((t - half) ** 2)
    found = r_score(y, np.full(50, constant), treatment=t, propensity=half, outcome=m)
    assert found.value == pytest.approx(0, abs=1e-12)


def test_scorers_choose_the_smaller_loss():
    scorer = make_uplift_scorer(dr_loss, greater_is_better=False)

    class Constant(BaseEstimator):
        def __init__(self, effect):
            self.effect = effect

        def predict(self, X):
            return np.full(len(X), self.effect)

    X, y, psi = np.zeros((4, 1)), np.zeros(4), [1.0, 1.0, 1.0, 2.0]
    with segcate.routing():
        good, bad = (scorer(Constant(effect), X, y, pseudo_outcome=psi) for effect in (1.0, 3.0))
    assert good == -0.25
    assert bad < good


def test_table_holds_every_number():
    table = dr_loss([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]).frame()
    assert table.columns.tolist() == [
        "value", "std_error", "ci_low", "ci_high", "p_value", "n_units", "confidence_level",
    ]  # fmt: skip
    assert len(table) == 1


def test_bad_input_is_named():
    y, s, t = [0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [0, 1, 0]
    good = {"treatment": t, "propensity": [0.5] * 3, "outcome": [0.0] * 3}
    with pytest.raises(ValueError, match=r"r_loss: `propensity` must lie strictly inside"):
        r_loss(y, s, **{**good, "propensity": [0.0, 0.5, 0.5]})
    with pytest.raises(ValueError, match=r"r_score: `outcome` is None"):
        r_score(y, s, **{**good, "outcome": None})
    with pytest.raises(ValueError, match=r"dr_loss: `baseline` has 2 values for 3 rows"):
        dr_loss(y, s, baseline=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"leaves nothing unexplained"):
        dr_score([1.0, 1.0, 1.0], s)
    with pytest.raises(ValueError, match=r"`prediction` is NaN or infinite in 1 of 3"):
        r_loss(y, [1.0, np.nan, 2.0], **good)
    assert np.isnan(dr_loss([1.0, 2.0], [1.0, 2.0]).p_value)
