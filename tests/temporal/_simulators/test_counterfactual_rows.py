"""Counterfactual rows: history, plan and outcome of a row stand where they belong."""

import numpy as np
import pytest

from segcate.temporal import semi_synthetic, standin_covariates, tumor_growth


@pytest.fixture(scope="module", params=["one_step", "sliding", "semi"])
def rows(request):
    if request.param == "semi":
        sim = semi_synthetic(standin_covariates(6, 15, random_state=0), center=True, random_state=0)
        return sim.random_plans(n_plans=3, horizon=4, random_state=0)
    sim = tumor_growth(1, gamma=2, n_steps=20, random_state=0)
    return getattr(sim, request.param)(8, random_state=1)


def test_dense_rows_are_history_plan_and_zeros(rows):
    dense = rows.dense()
    n_days = rows.history_outcome.shape[1]
    n_plan = rows.plan.shape[1]
    assert dense.outcome.shape[:2] == (len(rows), n_days + n_plan - 1)
    for i in range(0, len(rows), 7):
        origin, unit = rows.origin[i], rows.unit[i]
        end = origin + n_plan
        np.testing.assert_array_equal(
            dense.outcome[i, : origin + 1], rows.history_outcome[unit, : origin + 1]
        )
        np.testing.assert_array_equal(dense.outcome[i, origin + 1 : end + 1], rows.outcome[i])
        np.testing.assert_array_equal(
            dense.treatment[i, :origin], rows.history_treatment[unit, :origin]
        )
        np.testing.assert_array_equal(dense.treatment[i, origin:end], rows.plan[i])
        assert not dense.outcome[i, end + 1 :].any()
        assert not dense.treatment[i, end:].any()
        assert dense.length[i] == end


def test_some_rows_are_spelled_out_as_in_all(rows):
    some = np.array([5, 0, 2])
    np.testing.assert_array_equal(rows.dense(some).outcome, rows.dense().outcome[some])
    np.testing.assert_array_equal(rows.dense(slice(2)).treatment, rows.dense().treatment[:2])


def test_factual_days_of_plans_are_what_was_given(rows):
    for k in range(rows.n_factual):
        given = rows.history_treatment[rows.unit, rows.origin + k]
        np.testing.assert_array_equal(rows.plan[:, k], given)
        lived = rows.history_outcome[rows.unit, rows.origin + k + 1]
        np.testing.assert_allclose(rows.outcome[:, k], lived, rtol=0, atol=1e-14)


def test_the_frame_has_a_line_for_each_row_and_step(rows):
    frame = rows.frame
    assert len(frame) == rows.outcome.shape[0] * rows.outcome.shape[1]
    i = len(rows) // 2
    own = frame[frame["row"] == i]
    assert (own["id"] == rows.ids[rows.unit[i]]).all()
    np.testing.assert_array_equal(own["step"], np.arange(1, rows.plan.shape[1] + 1))
    np.testing.assert_array_equal(own[list(rows.treatment_names)], rows.plan[i])
    np.testing.assert_array_equal(own[list(rows.outcome_names)], rows.outcome[i])


def test_the_panel_holds_the_factual_histories(rows):
    panel = rows.panel
    assert len(panel) == (rows.length + 1).sum()
    first = panel[panel["id"] == rows.ids[0]]
    n_days = rows.length[0] + 1
    np.testing.assert_array_equal(first[list(rows.outcome_names)], rows.history_outcome[0, :n_days])
    np.testing.assert_array_equal(
        first[list(rows.treatment_names)], rows.history_treatment[0, :n_days]
    )


def test_every_row_has_an_origin_inside_its_history(rows):
    assert (rows.origin < rows.length[rows.unit]).all()
    assert (np.diff(rows.unit) >= 0).all()
