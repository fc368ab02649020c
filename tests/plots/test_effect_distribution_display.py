"""Ridges show the distribution of effects in each group, whatever the column holds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from scipy.stats import norm

from segcate.plots import EffectDistributionDisplay
from segcate.plots._effect_groups import cut_column, describe_groups
from tests.helpers.pictures import (
    ColumnEffect,
    assert_reads_in_grey,
    assert_texts_fit,
    one_line,
    title_of,
    words,
)

MINUS = "\N{MINUS SIGN}"
RNG = np.random.default_rng(0)


def group_of(effect, weight=None):
    (group,) = describe_groups(np.asarray(effect, float), np.zeros(len(effect), int), ["a"], weight)
    return group


def labels(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


def test_numbers_are_those_of_the_rows():
    effect = RNG.normal(size=1000)
    plan = np.where(np.arange(1000) % 3 == 0, "gold", "free")
    groups = describe_groups(effect, (plan == "gold").astype(int), ["free", "gold"], None)
    for group, name in zip(groups, ("free", "gold"), strict=True):
        rows = effect[plan == name]
        assert group.n == len(rows)
        assert group.mean == pytest.approx(rows.mean(), rel=1e-12)
        quartiles = np.quantile(rows, [0.25, 0.5, 0.75], method="hazen")
        np.testing.assert_allclose([group.low, group.middle, group.high], quartiles, rtol=1e-12)


def test_density_is_that_of_the_law_the_effects_were_drawn_from():
    group = group_of(np.random.default_rng(1).normal(size=100_000))
    expected = norm.pdf(group.at) / norm.pdf(0)
    assert not group.is_discrete
    assert np.abs(group.height - expected).max() < 0.04


def test_density_is_the_naive_kernel_sum():
    effect = np.random.default_rng(2).gamma(2, 1, 400)
    group = group_of(effect)
    robust = np.subtract(*np.quantile(effect, [0.75, 0.25], method="hazen")) / 1.34
    width = 0.9 * min(effect.std(), robust) * 400**-0.2
    naive = norm.pdf((group.at[:, None] - effect) / width).sum(axis=1)
    assert np.abs(group.height - naive / naive.max()).max() < 0.01


def test_weights_count_as_rows():
    effect = RNG.normal(size=50)
    weight = np.where(np.arange(50) < 20, 2.0, 1.0)
    repeated = group_of(np.repeat(effect, weight.astype(int)))
    weighted = group_of(effect, weight)
    assert weighted.mean == pytest.approx(repeated.mean, rel=1e-12)
    np.testing.assert_allclose(weighted.at[[0, -1]], repeated.at[[0, -1]], rtol=1e-12)


def test_few_distinct_effects_are_lines_as_high_as_their_share():
    group = group_of([0.1, 0.1, 0.1, 0.5, 0.5, 0.9])
    assert group.is_discrete
    np.testing.assert_allclose(group.at, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(group.height, [1, 2 / 3, 1 / 3])
    display = EffectDistributionDisplay.from_predictions([0.1, 0.1, 0.5], ["a", "a", "b"])
    assert sum(isinstance(c, LineCollection) for c in display.ax_.collections) == 2
    assert not any(isinstance(c, PolyCollection) for c in display.ax_.collections)


def test_numbers_are_cut_at_quantiles_equal_values_together():
    values = np.array([1.0] * 60 + list(range(2, 42)))
    codes, names, is_cut = cut_column(values, 4, 30)
    assert is_cut
    assert len(set(codes[:60])) == 1
    assert names[0] == "1 to 1"
    assert names[-1].endswith("to 41")
    for code, name in enumerate(names):
        low, high = values[codes == code].min(), values[codes == code].max()
        assert name == f"{low:g} to {high:g}"


def test_bands_hold_equal_shares_without_ties():
    codes, names, _ = cut_column(np.random.default_rng(0).normal(size=1000), 5, 30)
    assert np.bincount(codes).tolist() == [200] * 5
    assert names[0].startswith(MINUS)


def test_few_values_are_levels_and_many_rare_ones_one_group():
    assert cut_column(np.array([3, 1, 2, 1]), 5, 30)[1] == ["1", "2", "3"]
    codes, names, is_cut = cut_column(np.array(list("aaabbcde"), dtype=object), 5, 3)
    assert names == ["a", "b", "3 other values"]
    assert codes.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert not is_cut


@pytest.mark.parametrize(
    "column",
    [np.array(["a", None, "b"], dtype=object), pd.Series(["a", pd.NA, "b"], dtype="string")],
)
def test_missing_values_are_a_group_of_their_own_at_the_end(column):
    display = EffectDistributionDisplay.from_predictions([1.0, 2.0, 3.0], column)
    assert labels(display) == ["a (1)", "b (1)", "<missing> (1)"]


def test_gaps_in_a_number_do_not_spoil_its_bands():
    values = np.append(np.arange(50.0), np.nan)
    codes, names, _ = cut_column(values, 2, 30)
    assert names == ["0 to 24", "25 to 49", "<missing>"]
    assert codes[-1] == 2


def test_rows_without_an_effect_are_counted_and_a_group_of_them_says_so():
    effect = [1.0, 2.0, np.nan, np.nan]
    display = EffectDistributionDisplay.from_predictions(effect, ["a", "a", "a", "b"])
    assert labels(display) == ["a (3)", "b (1)"]
    assert "no effect predicted" in words(display)
    assert "2 rows without a predicted effect" in one_line(display)
    assert title_of(display).endswith("n = 2")


@pytest.mark.parametrize("n_groups", [1, 30])
def test_no_text_overlaps_or_leaves_the_picture(n_groups):
    rng = np.random.default_rng(3)
    by = [f"a value with the rather long name {i % n_groups}" for i in range(3000)]
    display = EffectDistributionDisplay.from_predictions(
        rng.normal(-4000, 900, 3000), pd.Series(by, name="a column with quite a long name, too")
    )
    assert len(labels(display)) == n_groups
    assert_texts_fit(display)
    assert_reads_in_grey(display)


@pytest.mark.parametrize("effect", [[0.3, 0.3, 0.3], [0.0, 0.0, 0.0], [-1.0, np.nan, -1.0]])
def test_constant_effects_draw(effect):
    display = EffectDistributionDisplay.from_predictions(effect, ["a", "b", "a"])
    low, high = display.ax_.get_xlim()
    assert low < np.nanmin(effect) < high
    assert_texts_fit(display)


def test_column_by_name_position_or_values_is_the_same_picture():
    X = pd.DataFrame(
        {"effect": RNG.normal(size=60), "age": np.arange(60), "plan": list("abc") * 20}
    )
    model = ColumnEffect().fit(X[["effect", "age"]])
    X_model = X[["effect", "age"]]
    expected = words(
        EffectDistributionDisplay.from_predictions(X["effect"], X["age"], by_name="age")
    )
    for by in ("age", 1, -1, X["age"]):
        assert words(EffectDistributionDisplay.from_estimator(model, X_model, by=by)) == expected
    display = EffectDistributionDisplay.from_estimator(model, X_model.to_numpy(), by=1)
    assert title_of(display) == "Predicted effect by x1 (cut at quantiles), n = 60"
    other = EffectDistributionDisplay.from_estimator(model, X_model, by=X["plan"])
    assert title_of(other) == "Predicted effect by plan, n = 60"


def test_bad_input_is_named():
    effect, by = [1.0, 2.0], ["a", "b"]
    draw = EffectDistributionDisplay.from_predictions
    with pytest.raises(ValueError, match=r"`n_bands` must be .* at least 2; got 1"):
        draw(effect, by, n_bands=1)
    with pytest.raises(ValueError, match=r"`max_groups` must be .* at least 2; got 2.5"):
        draw(effect, by, max_groups=2.5)
    with pytest.raises(ValueError, match="`by` must be one value for each of 2 rows"):
        draw(effect, ["a"])
    with pytest.raises(ValueError, match="index of `by` differs"):
        draw(pd.Series(effect), pd.Series(by, index=[7, 8]))
    X = pd.DataFrame({"effect": effect, "plan": [1, 2]})
    model = ColumnEffect().fit(X)
    with pytest.raises(ValueError, match="`by` is 'age', and X has 'effect', 'plan'"):
        EffectDistributionDisplay.from_estimator(model, X, by="age")
    with pytest.raises(ValueError, match="X is an array without names"):
        EffectDistributionDisplay.from_estimator(model, X.to_numpy(), by="age")
    with pytest.raises(ValueError, match="by=5 is not a column of X, which has 2 columns"):
        EffectDistributionDisplay.from_estimator(model, X, by=5)
    with pytest.raises(TypeError, match="`by` must be the name or position"):
        EffectDistributionDisplay.from_estimator(model, X, by=True)
