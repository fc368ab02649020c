"""The marginal structural model where it is right: linear outcomes, logistic treatment."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.exceptions import SegcateWarning
from segcate.temporal import MSM
from tests.helpers.small_panels import linear_panel, small_panel

EFFECTS = np.array([-1.0, -1.5, -1.75])
ALWAYS, NEVER = [1, 1, 1], [0, 0, 0]


def interval(panel, **options):
    model = MSM("a", "y", horizon=3, **options).fit(panel)
    return model.effect_interval(panel, ALWAYS, NEVER)


# Without cutting off, weights of one draw in thirty are worth less than four fifths of the units.
@pytest.mark.filterwarnings("ignore:MSM. of 1000 units the weights are worth")
@pytest.mark.slow
def test_effects_are_unbiased_and_intervals_cover():
    n_draws = 500
    tables = [interval(linear_panel(1000, seed=seed), clip=0.0) for seed in range(n_draws)]
    effect = np.stack([table["effect"] for table in tables])
    bias = effect.mean(axis=0) - EFFECTS
    standard_error = effect.std(axis=0, ddof=1) / np.sqrt(n_draws)
    covers = np.stack([(t["ci_low"] <= EFFECTS) & (t["ci_high"] >= EFFECTS) for t in tables])
    rate = covers.mean(axis=0)
    print(f"bias {bias} (s.e. {standard_error}), coverage {rate}")
    # With 200 units large weights leave a bias of a tenth of a standard deviation (measured).
    assert (np.abs(bias) < 2 * standard_error).all(), (bias, standard_error)
    assert (np.abs(rate - 0.95) < 3 * np.sqrt(0.95 * 0.05 / n_draws)).all(), rate


def test_one_large_sample_is_near_the_truth():
    table = interval(linear_panel(4000, seed=1), clip=0.0)
    assert (np.abs(table["effect"] - EFFECTS) < 3 * table["std_error"]).all()
    assert (table["std_error"] < 0.06).all()


def test_weights_are_products_of_ratios_by_hand():
    panel = linear_panel(300)
    from sklearn.linear_model import LogisticRegression

    model = MSM("a", "y", horizon=1, clip=0.0).fit(panel)
    y = panel["y"].to_numpy().reshape(300, 8)
    a = panel["a"].to_numpy().reshape(300, 8)
    count = np.cumsum(a, axis=1) - a
    rows = (slice(None), slice(1, 7))
    given = a[rows].ravel()

    def chance(*columns):
        x = np.column_stack([c.ravel() for c in columns])
        found = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, given)
        p = found.predict_proba(x)[:, 1]
        return np.where(given == 1, p, 1 - p)

    expected = chance(count[rows]) / chance(count[rows], y[rows], y[:, 0:6])
    np.testing.assert_allclose(model.weights_[rows].ravel(), expected, rtol=1e-4)
    np.testing.assert_array_equal(model.weights_[:, [0, 7]], 1.0)


def test_the_interval_speaks_of_the_effect():
    panel = linear_panel(200)
    model = MSM("a", "y", horizon=3).fit(panel)
    table = model.effect_interval(panel, ALWAYS, NEVER, confidence_level=0.9)
    effect = model.effect(panel, ALWAYS, NEVER).groupby("step")["effect"]
    np.testing.assert_allclose(table["effect"], effect.mean(), rtol=1e-12)
    assert effect.std().max() < 1e-12
    assert (table["n"] == 200).all()
    assert (table["df"] == 199).all()
    np.testing.assert_allclose(
        table["ci_high"] - table["ci_low"], 2 * 1.6525 * table["std_error"], rtol=1e-4
    )
    other = model.effect_interval(panel, NEVER, ALWAYS)
    np.testing.assert_allclose(other["effect"], -table["effect"], rtol=1e-12)


def test_effective_units_are_counted_by_hand():
    panel = linear_panel(300)
    model = MSM("a", "y", horizon=3).fit(panel)
    assert model.n_effective_[0] == pytest.approx(300, rel=0.02)
    assert (np.diff(model.n_effective_) < 0).all()
    plain = MSM("a", "y", horizon=3, clip=0.0).fit(panel)
    weight = np.column_stack([plain.weights_[:, t : t + 3].prod(axis=1) for t in range(5)])
    by_unit = weight.sum(axis=1)
    assert plain.n_effective_[2] == pytest.approx(by_unit.sum() ** 2 / (by_unit**2).sum())


def test_weights_worth_few_units_are_told_of():
    panel = linear_panel(300)
    model = MSM("a", "y", horizon=3).fit(panel)
    model.effect_interval(panel, ALWAYS, NEVER)  # warnings are errors
    model.n_effective_ = np.array([290.0, 239.0, 120.4])
    with pytest.warns(SegcateWarning, match="239 at step 2, 120 at step 3") as told:
        model.effect_interval(panel, ALWAYS, NEVER)
    assert told[0].filename == __file__
    model.effect_interval(panel, [1], [0])


def test_scale_of_the_outcome_scales_effects_and_errors():
    panel = linear_panel(150)
    first, second = interval(panel), interval(panel.assign(y=7 - 3 * panel["y"]))
    np.testing.assert_allclose(second["effect"], -3 * first["effect"], rtol=1e-9)
    np.testing.assert_allclose(second["std_error"], 3 * first["std_error"], rtol=1e-9)


def test_two_rows_a_unit_are_enough_for_one_step():
    panel = linear_panel(100)
    panel = panel[panel["t"] < 2]
    model = MSM("a", "y", horizon=1).fit(panel)
    assert (model.weights_ == 1).all()
    assert model.score(panel) < 0


def of_two_kinds(n_units, seed=0):
    """Simulate y' = y / 2 - (1/2 + kind) a + e: effects of the kinds are a half and three halves."""
    rng = np.random.default_rng(seed)
    panel = linear_panel(n_units, seed=seed)
    kind = rng.integers(0, 2, n_units)
    y = np.zeros((n_units, 8))
    a = rng.integers(0, 2, (n_units, 8))
    for t in range(7):
        y[:, t + 1] = y[:, t] / 2 - (0.5 + kind) * a[:, t] + rng.normal(size=n_units)
    return panel.assign(y=y.ravel(), a=a.ravel(), kind=np.repeat(kind, 8)), kind


def test_effects_may_differ_by_static_columns():
    panel, kind = of_two_kinds(3000)
    model = MSM("a", "y", static=["kind"], interactions="static", horizon=3, clip=0.0).fit(panel)
    effect = model.effect(panel, ALWAYS, NEVER)["effect"].to_numpy().reshape(-1, 3)
    for value, size in ((0, 0.5), (1, 1.5)):
        np.testing.assert_allclose(effect[kind == value].mean(axis=0), size * EFFECTS, atol=0.15)
        of_kind = model.effect_interval(panel[panel["kind"] == value], ALWAYS, NEVER)
        assert (np.abs(of_kind["effect"] - size * EFFECTS) < 3 * of_kind["std_error"]).all()
        np.testing.assert_allclose(of_kind["effect"], effect[kind == value].mean(axis=0))
    table = model.effect_interval(panel, ALWAYS, NEVER)
    np.testing.assert_allclose(table["effect"], effect.mean(axis=0), rtol=1e-9)
    plain = MSM("a", "y", static=["kind"], horizon=3, clip=0.0, interactions=None).fit(panel)
    # What the kinds explain is no error any more.
    share = table["std_error"] / plain.effect_interval(panel, ALWAYS, NEVER)["std_error"]
    assert ((share > 0.7) & (share < 1)).all()


def test_transformed_outcomes_have_no_interval():
    panel = linear_panel(100)
    model = MSM("a", "y", horizon=3, outcome_transform="cbrt").fit(panel)
    with pytest.raises(ValueError, match="MSM: with `outcome_transform` effects differ"):
        model.effect_interval(panel, ALWAYS, NEVER)


def test_a_horizon_that_few_rows_reach_is_refused():
    panel = linear_panel(5)
    with pytest.raises(ValueError, match="MSM: 5 rows reach 7 steps on, too few for"):
        MSM("a", "y", horizon=7).fit(panel)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": 0.5}, r"`clip` must be a number in \[0, 0.5\); got 0.5"),
        ({"horizon": 0}, "`horizon` must be a whole number of at least 1; got 0"),
        ({"treatment": []}, "`treatment` names no column"),
        ({"static": ["y"]}, "columns 'y' have more than one role"),
        ({"interactions": "all"}, "`interactions` must be"),
        ({"outcome_transform": "sqrt"}, "`outcome_transform` must be"),
    ],
)
def test_parameters_are_checked(options, message):
    with pytest.raises(ValueError, match=f"MSM: {message}"):
        MSM(**{"treatment": "a", "outcome": "y", **options}).fit(linear_panel(20))


@pytest.mark.parametrize(("value", "word"), [(0, "never"), (1, "always")])
def test_a_treatment_that_does_not_vary_is_refused(value, word):
    panel = small_panel().assign(a1=value)
    with pytest.raises(ValueError, match=f"MSM: treatment 'a1' is {word} given in .* steps"):
        MSM(["a0", "a1"], "y", horizon=2).fit(panel)


def test_plans_that_differ_in_order_alone_are_warned_of():
    panel = linear_panel(200)
    model = MSM("a", "y", horizon=3).fit(panel)
    first, last = {"a": [1, 0, 0]}, {"a": [0, 0, 1]}
    with pytest.warns(SegcateWarning, match="by step 3 both plans give each treatment as often"):
        found = model.effect(panel, first, last)
    assert (found.loc[found["step"] == 3, "effect"] == 0).all()
    model.effect(panel, first, {"a": [0, 0, 0]})  # as many by no step
    model.effect(panel, first, first)


def test_how_weights_are_left_as_they_are_is_told():
    with pytest.raises(ValueError, match=r"`clip` must .*With 0 no weight is cut off"):
        MSM("a", "y", clip=None).fit(linear_panel(50))
