"""Columns measured after the treatment are found; those measured before it are left in peace."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from segcate._covariates.leakage import (
    _auc_of,
    _r2_of,
    _screened_rows,
    find_leaks,
    name_sounds_late,
)
from segcate.datasets import load_nhefs, load_nsw, make_segmented_users, make_uplift
from tests.helpers.shared import shared_path

STRONG = {"treatment", "treated only", "gate", "reverse gate", "nearly y"}


def signs(X, y, treatment, **options):
    X = pd.DataFrame(X)
    found = find_leaks(X, range(X.shape[1]), np.asarray(y, float), np.asarray(treatment), **options)
    return {leak.column: leak.sign for leak in found}


def shop(n=6000, seed=0):
    """Simulate spend with the visit that comes before it."""
    rng = np.random.default_rng(seed)
    treatment = rng.integers(0, 2, n)
    visit = rng.random(n) < 0.15 + 0.05 * treatment
    bought = visit & (rng.random(n) < 0.2)
    X = pd.DataFrame({"age": rng.normal(size=n), "city": rng.choice(["a", "b", "c"], n)})
    return X, np.where(bought, rng.exponential(50, n), 0.0), treatment, visit, bought


@pytest.mark.parametrize("screen", [False, True])
def test_gates_beside_spend_are_found_in_any_dress(screen):
    X, y, t, visit, bought = shop()
    X = X.assign(
        visit=visit.astype(int),
        seen=np.where(visit, "yes", "no"),
        visit_day=np.where(visit, np.arange(len(X)) / 7, np.nan),
        bought=bought,
    )
    assert signs(X, y, t, screen=screen) == {
        "visit": "gate", "seen": "gate", "visit_day": "gate", "bought": "gate"
    }  # fmt: skip


@pytest.mark.parametrize("screen", [False, True])
def test_what_only_buyers_have_is_a_reverse_gate(screen):
    X, _, t, visit, bought = shop()
    assert signs(X.assign(bought=bought), visit, t, screen=screen) == {"bought": "reverse gate"}


def test_a_gate_needs_rows_and_expected_outcomes():
    X, y, t, visit, _ = shop()
    rare = (np.arange(len(X)) % 12 == 0) & (y == 0)  # about 8 % of rows
    assert signs(X.assign(rare=rare), y, t) == {}
    few = np.where(np.arange(len(X)) < 2, 1.0, 0.0) * 100  # two buyers in all
    assert signs(X.assign(visit=visit | (few > 0)), few, t) == {}


@pytest.mark.parametrize("screen", [False, True])
def test_a_column_that_names_the_arm_decides_the_treatment(screen):
    X, y, t, *_ = shop()
    named = X.assign(arm=np.where(t == 1, np.where(y > 0, "mail", "mail2"), "none"), dose=t * 3.5)
    assert signs(named, y, t, screen=screen) == {"arm": "treatment", "dose": "treatment"}


@pytest.mark.parametrize("screen", [False, True])
def test_what_the_treated_alone_can_have_is_found_in_any_dress(screen):
    X, y, t, *_ = shop()
    y = y + np.random.default_rng(6).normal(size=len(y))
    clicked = (t == 1) & (np.random.default_rng(7).random(len(X)) < 0.4)
    had = X.assign(
        clicked=clicked,
        opened=np.where(clicked, "yes", "no"),
        rating=np.where(clicked, np.arange(len(X)) % 900, np.nan),
        channel=np.where(clicked, "mail", X["city"]),
        few=clicked & (np.arange(len(X)) % 10 == 0),
    )
    assert signs(had, y, t, screen=screen) == {
        "clicked": "treated only", "opened": "treated only", "rating": "treated only",
        "channel": "treated level",
    }  # fmt: skip
    assert signs(had[["clicked", "channel"]], y, 1 - t, screen=screen) == {}
    few_controls = np.flatnonzero((t == 1) | (np.cumsum(t == 0) <= 5))
    taken = had.iloc[few_controls]
    assert "clicked" not in signs(taken, y[few_controls], t[few_controls])


@pytest.mark.parametrize("size", [1.0, 1e-150, 1e150])
def test_a_copy_of_the_outcome_is_found(size):
    rng = np.random.default_rng(1)
    y = rng.normal(size=1000)
    t = rng.integers(0, 2, 1000)
    X = {"copy": -3 * y + 0.1 * rng.normal(size=1000), "other": rng.normal(size=1000)}
    assert signs(X, size * y, t) == {"copy": "nearly y"}
    assert signs({"copy": [str(v) for v in y]}, y, t) == {"copy": "nearly y"}


def test_a_copy_of_a_long_tailed_outcome_is_found():
    rng = np.random.default_rng(2)
    y = np.exp(2.5 * rng.normal(size=2000))
    assert signs({"cents": 100 * y}, y, rng.integers(0, 2, 2000)) == {"cents": "nearly y"}


def test_a_score_that_nearly_tells_a_yes_or_no_is_found():
    rng = np.random.default_rng(3)
    weight = rng.normal(size=3000)
    y = (weight < -1.5).astype(float)
    X = {"weight": weight, "age": rng.normal(size=3000)}
    assert signs(X, y, rng.integers(0, 2, 3000)) == {"weight": "nearly y"}


@pytest.mark.parametrize("correlation", [0.5, 0.7, 0.85])
def test_a_lagged_outcome_is_not_refused(correlation):
    rng = np.random.default_rng(4)
    lag, t = rng.normal(size=4000), rng.integers(0, 2, 4000)
    y = correlation * lag + np.sqrt(1 - correlation**2) * rng.normal(size=4000) + 0.3 * t
    assert set(signs({"lag": lag}, y, t).values()) <= {"close to y"}


def test_an_effect_is_not_taken_for_a_leak():
    """The outcome is nearly the treatment; a covariate that tells the treatment is no leak."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=2000)
    t = (x + 0.8 * rng.normal(size=2000) > 0).astype(int)
    assert signs({"x": x}, 10 * t + rng.normal(size=2000), t) == {}


def test_one_shifted_column_among_balanced_ones_is_noted():
    rng = np.random.default_rng(6)
    t = rng.integers(0, 2, 2000)
    X = pd.DataFrame(rng.normal(size=(2000, 5)), columns=list("abcde"))
    X["late"] = rng.normal(size=2000) + 0.5 * t
    assert signs(X, rng.normal(size=2000), t) == {"late": "randomised"}


def test_noise_raises_no_alarm():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, t = 220, rng.integers(0, 2, 220)
        X = {
            "number": rng.normal(size=n),
            "levels": rng.integers(0, 40, n).astype(str),
            "many": rng.integers(0, 100, n).astype(str),
            "flag": rng.integers(0, 2, n),
        }
        for y in (rng.normal(size=n), rng.random(n) < 0.3, (rng.random(n) < 0.1) * rng.random(n)):
            assert signs(X, y, t) == {}


@pytest.mark.parametrize(
    "data",
    [
        load_nhefs(),
        load_nsw(),
        load_nsw(control="cps"),
        *(make_segmented_users(3000, categories=True, random_state=i) for i in range(3)),
        *(make_uplift(5000, random_state=i) for i in range(3)),
    ],
    ids=["nhefs", "nsw", "cps", *["users"] * 3, *["uplift"] * 3],
)
def test_no_bundled_data_set_is_refused(data):
    assert not STRONG & set(signs(data.X, data.y, data.treatment).values())


def test_base_columns_of_hillstrom_and_mindset_pass():
    mails = pd.read_csv(shared_path("data", "uplift", "hillstrom.csv.gz"))
    t = mails["segment"] != "No E-Mail"
    late = ["segment", "visit", "conversion", "spend"]
    assert signs(mails.drop(columns=late), mails["spend"], t) == {}
    with_visit = mails.drop(columns=["segment", "spend"])
    found = signs(with_visit, mails["spend"], t, screen=True)
    assert found == {"visit": "gate", "conversion": "gate"}
    assert signs(mails.drop(columns="spend"), mails["spend"], t)["segment"] == "treatment"
    pupils = pd.read_csv(shared_path("data", "mindset", "mindset_rows.csv"))
    assert signs(pupils.drop(columns=["Y", "Z"]), pupils["Y"], pupils["Z"]) == {}


def test_order_of_rows_changes_nothing():
    X, y, t, visit, _ = shop()
    X = X.assign(visit=visit, close=np.log1p(y) + np.random.default_rng(0).normal(size=len(y)))
    order = np.random.default_rng(1).permutation(len(y))
    one = find_leaks(X, range(4), y, t)
    assert one == find_leaks(X.iloc[order], range(4), y[order], t[order])
    assert one


@pytest.mark.parametrize("binary", [False, True])
def test_screened_rows_do_not_depend_on_the_order_of_rows(binary):
    rng = np.random.default_rng(5)
    n = 9000
    X = pd.DataFrame({"a": rng.integers(0, 5, n), "b": rng.choice(["u", "v", "w"], n)})
    if not binary:
        X["c"] = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    y = rng.integers(0, 2, n).astype(float) if binary else rng.normal(size=n)
    t = rng.random(n) < 0.4
    order = rng.permutation(n)
    first = _screened_rows(X, range(X.shape[1]), y, t)
    second = order[_screened_rows(X.iloc[order], range(X.shape[1]), y[order], t[order])]
    whole = X.assign(y=y, t=t)
    columns = whole.columns.tolist()
    one, other = (whole.iloc[rows].sort_values(columns) for rows in (first, second))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))
    assert len(first) == (4000 if binary else 2000)
    assert one["a"].value_counts(normalize=True).between(0.15, 0.25).all()


def naive_auc(codes, positive):
    """Score every pair by the shares of their bins without the two rows."""
    total, n = 0.0, 0
    for i in np.flatnonzero(positive):
        for j in np.flatnonzero(~positive):
            rest = np.delete(np.arange(len(codes)), [i, j])
            scores = []
            for row in (i, j):
                same = rest[codes[rest] == codes[row]]
                alone = (codes == codes[row]).sum() == 1
                scores.append(positive.mean() if alone else positive[same].mean())
            total += (scores[0] > scores[1]) + 0.5 * (scores[0] == scores[1])
            n += 1
    return total / n


def test_auc_is_that_of_pairs_left_out():
    rng = np.random.default_rng(7)
    codes = np.repeat(np.arange(7), [9, 8, 7, 6, 5, 4, 1])
    positive = rng.random(40) < 0.2 + codes / 12
    assert _auc_of(codes, positive) == pytest.approx(naive_auc(codes, positive), abs=1e-12)


def test_r2_is_that_of_rows_left_out():
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 6, 50)
    codes[0] = 6
    y = codes + rng.normal(size=50)
    left = []
    for i in range(50):
        others = np.delete(np.arange(50), i)
        same = others[codes[others] == codes[i]]
        left.append(y[i] - y[same if len(same) else others].mean())
    total = sum((y[i] - np.delete(y, i).mean()) ** 2 for i in range(50))
    assert _r2_of(codes, y) == pytest.approx(1 - np.sum(np.square(left)) / total, rel=1e-12)


@pytest.mark.parametrize(
    "name",
    ["visit", "n_visits", "Conversion", "converted30d", "openedMail", "total-spend", "follow_up",
     "post_test", "respondent", "churned", "redeemed"],
)  # fmt: skip
def test_names_of_late_things(name):
    assert name_sounds_late(name)


@pytest.mark.parametrize(
    "name", ["age", "history", "postal", "border", "openness", "visitor_type", "afternoon", "x0"]
)
def test_names_of_other_things(name):
    assert not name_sounds_late(name)


@pytest.mark.parametrize("written", [Decimal, str], ids=["Decimal", "text"])
def test_the_same_rows_are_screened_however_numbers_are_written(written):
    rng = np.random.default_rng(0)
    y, treated = np.ones(9000), rng.random(9000) < 0.5
    texts = [f"{value:.2f}" for value in rng.exponential(100, 9000)]
    X = pd.DataFrame({"spend": list(map(float, texts)), "age": rng.integers(18, 90, 9000)})
    other = X.assign(spend=pd.Series([written(text) for text in texts], dtype=object))
    rows = _screened_rows(X, [0, 1], y, treated)
    np.testing.assert_array_equal(_screened_rows(other, [0, 1], y, treated), rows)
