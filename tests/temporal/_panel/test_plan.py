"""Plans: every form gives the same flags, and every slip is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.temporal import TreatmentPlan
from segcate.temporal._panel.plan import read_plan

NAMES = ("chemo", "radio")
FLAGS = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])


def read(plan, n_units=2, longest=4, names=NAMES):
    return read_plan("Model", plan, names, n_units, longest=longest)


@pytest.mark.parametrize(
    "plan",
    [
        FLAGS,
        FLAGS.tolist(),
        {"chemo": [1, 0, 0], "radio": [0, 1, 0]},
        {"radio": (0, 1, 0), "chemo": np.array([True, False, False])},
        TreatmentPlan({"chemo": [1, 0, 0], "radio": [0, 1, 0]}, name="both"),
        pd.DataFrame({"radio": [0, 1, 0], "chemo": [1, 0, 0]}),
    ],
)
def test_forms_of_a_plan_agree(plan):
    np.testing.assert_array_equal(read(plan), FLAGS[None])


def test_what_is_not_named_is_not_given():
    np.testing.assert_array_equal(read({"radio": [0, 1]})[0], [[0, 0], [0, 1]])


def test_each_unit_may_have_its_own():
    each = np.stack([FLAGS, 1 - FLAGS])
    np.testing.assert_array_equal(read(each), each)
    by_name = {"chemo": each[:, :, 0], "radio": each[:, :, 1]}
    np.testing.assert_array_equal(read(by_name), each)
    np.testing.assert_array_equal(read({"chemo": each[:, :, 0]})[..., 1], 0)


def test_one_treatment_may_be_a_list():
    np.testing.assert_array_equal(read([1, 0], names=("a",)), [[[1.0], [0.0]]])


@pytest.mark.parametrize(
    ("plan", "error", "message"),
    [
        (np.zeros((5, 2)), ValueError, "5 steps long.* a horizon of 4.*horizon=5"),
        (np.zeros((0, 2)), ValueError, "must be of shape"),
        (np.zeros((3, 3)), ValueError, r"shape is \(1, 3, 3\)"),
        ([1, 0, 1], ValueError, "must be of shape"),
        (np.zeros((3, 3, 2)), ValueError, "plans for 3 units and the panel has 2"),
        (FLAGS * 2, ValueError, r"must hold 0 and 1; found \{2.0\}"),
        (np.full((2, 2), np.nan), ValueError, r"found \{nan\}"),
        (
            {"surgery": [1]},
            ValueError,
            "'surgery', which the model does not know.*'chemo', 'radio'",
        ),
        ({"chemo": [1, 0], "radio": [1]}, ValueError, "differ in length"),
        ({}, ValueError, "names no treatment"),
        ([[1, 0], [1]], TypeError, "must hold numbers in a table"),
        ({"chemo": ["yes"]}, TypeError, "must hold numbers in a table"),
        (lambda state: FLAGS[0], TypeError, "only a model that simulates.*or GNet"),
        (TreatmentPlan(lambda state: FLAGS[0]), TypeError, "only a model that simulates.*or GNet"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(plan, error, message):
    with pytest.raises(error, match=f"Model: .*`plan`.*{message}"):
        read(plan)


def test_a_model_without_a_limit_takes_any_length():
    assert read(np.zeros((50, 2)), longest=None).shape == (1, 50, 2)
