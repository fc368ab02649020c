"""Whether a regression by lines notices that the outcome bends."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from segcate.cate import InteractionRegression, SegmentedCATE
from segcate.cate._line_check import bent_effects
from segcate.exceptions import SegcateWarning


def rows(seed=0, n=3000, bends=True, lottery=False):
    """Draw rows whose effect is 1; the treatment follows the logarithm of a long-tailed column."""
    rng = np.random.default_rng(seed)
    spend, age = rng.lognormal(0, 1, n), rng.normal(size=n)
    chance = np.full(n, 0.5) if lottery else 1 / (1 + np.exp(-1.5 * np.log(spend)))
    t = (rng.random(n) < chance).astype(int)
    y = 2 * np.log(spend) if bends else 2 * spend
    return pd.DataFrame({"age": age, "spend": spend}), y + age + t + rng.normal(size=n), t


def said(*data, **given):
    X, y, t = data
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        InteractionRegression().fit(X, y, treatment=t, **given)
    return [str(w.message) for w in caught if "by lines" in str(w.message)]


def test_an_outcome_that_bends_with_the_treatment_is_named():
    X, y, t = rows()
    lines = InteractionRegression()
    with pytest.warns(
        SegcateWarning, match=r"the mean effect is .* by lines, and .* 'spend' bends"
    ):
        lines.fit(X, y, treatment=t)
    (bent,) = bent_effects(t[:, None].astype(float), X.to_numpy(), np.arange(2), y, None, None)
    assert lines.predict(X).mean() == pytest.approx(bent.by_lines)
    # The effect is 1.
    assert abs(bent.with_bends - 1.0) < 0.1 < abs(bent.by_lines - 1.0) - 0.05


@pytest.mark.parametrize("options", [{"bends": False}, {"lottery": True}])
def test_lines_and_lotteries_are_left_in_peace(options):
    # In 100 draws 0 and 6 were named: a lottery may leave arms that differ where the outcome bends.
    n_said = sum(bool(said(*rows(seed, n=1000, **options))) for seed in range(20))
    assert n_said <= (3 if options.get("lottery") else 0)


def test_most_draws_with_a_bend_are_named():
    assert sum(bool(said(*rows(seed))) for seed in range(10)) >= 7


def test_too_few_rows_to_tell_and_columns_of_two_values_say_nothing():
    X, y, t = rows(n=60)
    assert not said(X, y, t)
    X, y, t = rows()
    assert not said(X.assign(age=X["age"] > 0, spend=X["spend"] > 1), y, t)


def test_rows_of_weight_0_are_not_there():
    X, y, t = rows(n=800)
    D, Z = t[:, None].astype(float), X.to_numpy()
    count = (np.arange(800) % 3).astype(float)
    weighted = bent_effects(D, Z, np.arange(2), y, count, None)[0]
    ones = bent_effects(
        D[count > 0], Z[count > 0], np.arange(2), y[count > 0], count[count > 0], None
    )
    assert weighted == ones[0]


def test_arms_are_told_apart():
    X, y, t = rows(n=9000)
    arm = np.where(np.arange(9000) % 2, 2 * t, t)  # codes 0, 1, 2
    messages = said(X, y, arm)
    assert len(messages) == 2
    assert "of arm 1 is" in messages[0]
    assert "of arm 2 is" in messages[1]


def test_groups_widen_the_error_of_the_difference():
    X, y, t = rows()
    group = np.arange(3000) // 10
    y = y + np.random.default_rng(1).normal(size=300)[group]
    D, Z = t[:, None].astype(float), X.to_numpy()
    own = bent_effects(D, Z, np.arange(2), y, None, None)[0]
    grouped = bent_effects(D, Z, np.arange(2), y, None, group)[0]
    assert grouped.by_lines == own.by_lines
    assert grouped.difference_error != own.difference_error
    assert not bent_effects(D, Z, np.arange(2), y, None, np.arange(3000) // 200)


def test_the_difference_given_the_rows_is_that_of_dense_hat_rows():
    X, y, t = rows(n=300)
    D, Z = t[:, None].astype(float), X.to_numpy()
    bent = bent_effects(D, Z, np.arange(2), y, None, None)[0]
    spread = (Z - np.median(Z, axis=0)) / (
        np.diff(np.quantile(Z, [0.25, 0.75], axis=0), axis=0) / 1.349
    )
    curves = np.column_stack([np.arcsinh(spread), np.clip(spread, -3, 3) ** 2])
    middle = Z - Z.mean(axis=0)
    lines = np.column_stack([np.ones(300), t, middle, t[:, None] * middle])
    wider = np.column_stack([lines, curves - curves.mean(axis=0)])
    own, other = np.linalg.pinv(lines), np.linalg.pinv(wider)
    assert bent.by_lines == pytest.approx(own[1] @ y)
    assert bent.with_bends == pytest.approx(other[1] @ y)
    residual = [(y - M @ (P @ y)) / (1 - np.diag(M @ P)) for M, P in ((lines, own), (wider, other))]
    assert bent.error == pytest.approx(np.linalg.norm(own[1] * residual[0]))
    gap = np.linalg.norm(own[1] * residual[0] - other[1] * residual[1])
    assert bent.difference_error == pytest.approx(gap)
    assert bent.given_rows == pytest.approx(np.linalg.norm((own[1] - other[1]) * residual[1]))


def test_fits_to_folds_and_segments_leave_it_to_the_model_of_all_rows():
    rng = np.random.default_rng(0)
    n = 1_200
    x = rng.normal(size=n)
    t = (rng.random(n) < 1 / (1 + np.exp(1 - x**2))).astype(int)
    X = pd.DataFrame({"x": x, "segment": rng.integers(0, 3, n)})
    with pytest.warns(SegcateWarning, match="by lines, and") as said:
        SegmentedCATE(InteractionRegression(), random_state=0).fit(
            X, x**2 + t + rng.normal(size=n), treatment=t
        )
    assert len(said) == 1
