"""Units that leave: counts, and weights by the inverse of the chance of staying."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.exceptions import SegcateWarning
from segcate.temporal import MSM, LinearGComputation
from segcate.temporal._models.staying import count_panel, leaves, staying_weights
from segcate.temporal._models.treatment_weights import history_columns
from segcate.temporal._panel.panel import Roles, read_panel
from tests.helpers.small_panels import linear_panel

ROLES = Roles(("a",), ("y",), (), (), "id", "t")


def with_leavers(n_units, seed=0, strength=1.5):
    """Cut the linear panel where units leave: after a row with large y, more often than others.

    The treatment lowers y, and so keeps units.
    """
    frame = linear_panel(n_units, seed=seed)
    rng = np.random.default_rng(seed + 100)
    y = frame["y"].to_numpy()
    goes = (rng.random(len(frame)) < 1 / (1 + np.exp(2.0 - strength * y))) & (frame["t"] > 1)
    gone = goes.groupby(frame["id"]).cumsum() - goes
    return frame[gone == 0].reset_index(drop=True)


TOLD = pytest.mark.filterwarnings("ignore:MSM. .* units leave:segcate.exceptions.SegcateWarning")


def weights_of(frame, **options):
    model = MSM("a", "y", horizon=3, **options).fit(frame)
    data = read_panel("test", frame, ROLES)
    return data, staying_weights(data, *history_columns(data, model.scaling_, model.coding_))


def test_units_that_leave_are_counted():
    frame = linear_panel(20, n_steps=6)
    frame = frame[(frame["id"] > 3) | (frame["t"] < 4)]
    late = frame[(frame["id"] != 19) | (frame["t"] > 1)]  # comes later, and stays
    found = count_panel(read_panel("test", late, ROLES))
    assert found["n_units"] == 20
    assert found["n_units_leaving"] == 4
    assert found["n_rows"] == len(late)
    assert found["n_steps"] == found["n_steps_learned"] == len(late) - 20
    assert MSM("a", "y", horizon=2).fit(late).panel_counts_ == found


@TOLD
def test_steps_that_units_stayed_for_weigh_one_on_average():
    data, found = weights_of(with_leavers(1500))
    assert leaves(data).mean() > 0.3
    stays = np.arange(found.shape[1]) < (data.n_steps - 1)[:, None]
    assert (found[~stays] == 1).all()
    np.testing.assert_allclose(found[stays].mean(), 1.0, atol=0.02)
    high = data.outcome[..., 0] > 1
    assert found[stays & high].mean() > 1.1 * found[stays & ~high].mean()


def test_where_nobody_leaves_all_weigh_one():
    _, found = weights_of(linear_panel(100))
    assert (found == 1).all()
    frame = linear_panel(100)
    plain, weighed = (MSM("a", "y", horizon=2, leaving=how).fit(frame) for how in (None, "weigh"))
    np.testing.assert_array_equal(plain.coef_[1], weighed.coef_[1])


@TOLD
def test_weights_bring_back_what_is_found_where_nobody_leaves():
    found = []
    for seed in range(4):
        full, frame = linear_panel(3000, seed=seed), with_leavers(3000, seed)
        for panel, how in ((full, None), (frame, None), (frame, "weigh")):
            model = MSM("a", "y", horizon=3, leaving=how, clip=0.0).fit(panel)
            effect = model.effect(panel, [1, 1, 1], [0, 0, 0]).groupby("step")["effect"].mean()
            found.append(effect.iloc[-1])
    full, plain, weighed = np.reshape(found, (4, 3)).mean(axis=0)
    assert plain - full > 0.05  # who was not treated and still is there had luck
    assert abs(weighed - full) < 0.5 * (plain - full)


def test_the_linear_model_takes_weights_and_finds_the_truth():
    frame = with_leavers(1500)
    model = LinearGComputation(
        "a", "y", horizon=3, leaving="weigh", n_bootstraps=0, outcome_transform=None, random_state=0
    ).fit(frame)
    found = model.effect(linear_panel(300, seed=9), [1, 1, 1], [0, 0, 0])
    np.testing.assert_allclose(found.groupby("step")["effect"].mean(), [-1, -1.5, -1.75], atol=0.15)
    coef = model.coef_
    assert not np.array_equal(model.set_params(leaving=None).fit(frame).coef_, coef)


@TOLD
def test_open_treatments_of_those_who_leave_are_not_read():
    frame = with_leavers(400)
    last = frame.groupby("id")["t"].transform("max") == frame["t"]
    opened = frame.assign(a=frame["a"].where(~last))
    data, found = weights_of(opened)
    assert data.is_open.all()
    flipped = frame.assign(a=np.where(last, 1 - frame["a"], frame["a"]))
    assert not np.array_equal(weights_of(flipped)[1], weights_of(frame)[1])
    assert np.isfinite(found).all()


def test_units_that_leave_after_other_outcomes_are_told_of():
    frame = with_leavers(300)
    with pytest.warns(
        SegcateWarning, match=r"MSM: \d+ of 300 units leave .* 'y' is higher"
    ) as told:
        MSM("a", "y", horizon=2).fit(frame)
    assert 'Set `leaving="weigh"`' in str(told[0].message)
    assert told[0].filename == __file__
    MSM("a", "y", horizon=2, leaving="weigh").fit(frame)  # warnings are errors
    by_chance = linear_panel(300)
    length = np.random.default_rng(0).integers(4, 9, 300)
    MSM("a", "y", horizon=2).fit(by_chance[by_chance["t"] < length[by_chance["id"]]])


@pytest.mark.parametrize("kind", [MSM, LinearGComputation])
def test_what_is_not_known_is_refused(kind):
    with pytest.raises(ValueError, match=r"`leaving` must be"):
        kind("a", "y", horizon=2, leaving="drop").fit(linear_panel(20))


def test_counts_are_stored(tmp_path):
    frame: pd.DataFrame = with_leavers(60)
    model = LinearGComputation("a", "y", horizon=2, n_bootstraps=0, random_state=0).fit(frame)
    model.save(tmp_path / "model.npz")
    again = LinearGComputation.load(tmp_path / "model.npz")
    assert again.panel_counts_ == model.panel_counts_
    assert again.panel_counts_["n_units_leaving"] > 0
