"""Weights of steps and of futures: what was given later does not depend on what happened on the way."""

from __future__ import annotations

import numpy as np

from segcate.temporal import MSM
from segcate.temporal._models.treatment_weights import (
    future_weights,
    history_columns,
    step_weights,
)
from segcate.temporal._panel.factual import factual_plans
from segcate.temporal._panel.panel import Roles, read_panel
from tests.helpers.small_panels import linear_panel

ROLES = Roles(("a",), ("y",), (), (), "id", "t")


def test_weights_multiply_from_the_step_after_the_origin():
    weights = np.array([[1.0, 2.0, 3.0, 5.0]])
    origins = np.array([[0, 1, 2]])
    is_there = np.array([[[True, True, True], [True, True, False], [True, False, False]]])
    found = future_weights(weights, origins, is_there)
    assert found[0, 0].tolist() == [1.0, found[0, 0, 1], 6.0]
    # Two factors of the second step, 2 and 3, cut off at quantiles of 1 and 99 %.
    np.testing.assert_allclose(found[0, :2, 1], [2.01, 2.99])
    assert (found[0, 1, 2], found[0, 2, 1]) == (0.0, 0.0)


def test_steps_weigh_as_in_msm_and_one_on_average():
    panel = linear_panel(400)
    model = MSM("a", "y", horizon=2).fit(panel)
    data = read_panel("test", panel, ROLES)
    by_step = step_weights(data, *history_columns(data, model.scaling_, model.coding_))
    np.testing.assert_array_equal(by_step, model.weights_)
    origins, _, is_there = factual_plans(data, 2)
    found = future_weights(by_step, origins, is_there)
    assert abs(found[is_there].mean() - 1) < 0.02


def test_a_later_treatment_tells_nothing_of_the_outcome_before_it_once_weighted():
    panel = linear_panel(3000)
    data = read_panel("test", panel, ROLES)
    model = MSM("a", "y", horizon=2).fit(panel)
    by_step = step_weights(data, *history_columns(data, model.scaling_, model.coding_))
    origins, plans, is_there = factual_plans(data, 2)
    weight = future_weights(by_step, origins, is_there)[:, 3, 1]
    unit = np.arange(data.n_units)
    between = data.outcome[unit, origins[:, 3] + 1, 0]
    start = data.outcome[unit, origins[:, 3], 0]
    later = plans[:, 3, 1, 0]
    given = plans[:, 3, 0, 0]
    design = np.column_stack([np.ones(len(unit)), start, given, later])

    def coefficient(w):
        return np.linalg.solve((design.T * w) @ design, (design.T * w) @ between)[3]

    assert coefficient(np.ones(len(unit))) > 0.3
    assert abs(coefficient(weight)) < 0.1
