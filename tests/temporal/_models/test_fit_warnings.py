"""Warnings of networks: few steps of training, changes that are predicted out of scale."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from segcate.exceptions import SegcateWarning
from segcate.temporal._models.calibration import Calibration
from segcate.temporal._models.fit_warnings import (
    TrainingSteps,
    warn_of_calibration,
    warn_of_disagreement,
    warn_of_few_steps,
)
from tests.helpers.small_panels import small, small_panel


def calibration(slopes, std_error=0.05):
    slope = np.array(slopes, dtype=float)[:, None]
    return Calibration(slope, np.full(slope.shape, std_error), np.full(len(slopes), 100))


def test_few_steps_are_counted_and_ways_out_named():
    with pytest.warns(
        SegcateWarning,
        match=r"at most 240 optimisation steps \(`training`: 40 epochs of 6 batches of 128 units\).*"
        r"mostly need 1,000.*lower `training__batch_size`, raise `training__n_epochs`, or fit Linear",
    ):
        warn_of_few_steps("GNet", [TrainingSteps("training", 40, 128, 850)], stacklevel=2)
    with pytest.warns(
        SegcateWarning, match=r"batches of 8 windows\).*To mend it, raise `decoder_tr"
    ):
        warn_of_few_steps("CRN", [TrainingSteps("decoder_training", 10, 8, 200)], stacklevel=2)


def test_enough_steps_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_few_steps("GNet", [TrainingSteps("training", 100, 8, 80)], stacklevel=2)


def test_slopes_off_beyond_their_error_are_named_with_their_steps():
    with pytest.warns(
        SegcateWarning,
        match=r"changes of 'y' are predicted too large.*is 0\.40 \(standard error 0\.05\) at step 2; 1 is",
    ):
        warn_of_calibration("CRN", ("y",), calibration([0.9, 0.4, 1.1]), stacklevel=2)
    with pytest.warns(
        SegcateWarning, match=r"predicted too small.*2\.00.*at step 1, 3\.00.*at step 2"
    ):
        warn_of_calibration("CRN", ("y",), calibration([2, 3]), stacklevel=2)
    with pytest.warns(SegcateWarning, match="predicted out of scale"):
        warn_of_calibration("CRN", ("y",), calibration([0.2, 3]), stacklevel=2)


@pytest.mark.parametrize(
    "found", [calibration([0.7, 1.4]), calibration([0.4, 2.0], 0.3), calibration([np.nan])]
)
def test_slopes_near_one_or_uncertain_raise_no_warning(found):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_calibration("CRN", ("y",), found, stacklevel=2)


def comparison(*rows):
    names = ("treatment", "reference", "n", "correlation", "effect", "linear_effect", "doubt")
    return pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows])


def test_plans_on_which_models_disagree_are_named_with_both_answers():
    found = comparison(
        ("a", "never", 300, 0.312, 0.0153, -1234.5, "average, units"),
        ("b", "never", 300, 0.9, 1.0, 1.0, ""),
        ("a", "b", 300, np.nan, 2.0, 0.1, "average"),
    )
    with pytest.warns(
        SegcateWarning,
        match=r"GNet: effects at the last step of a plan differ from those of LinearGComputation: 'a' at every "
        r"step against never, where effects on 300 units correlate 0\.31 and their means are 0\.0153 here, "
        r"-1\.23e\+03 there; 'a' at every step against 'b', where effects on 300 units are the same for all by one "
        r"of them and .* 2 here, 0\.1 there\. Both cannot be right about which units gain more than others and "
        r"the average effect: trust neither there\..*LinearGComputation.*`training__n_epochs`.*more units",
    ):
        warn_of_disagreement("GNet", found, stacklevel=2)
    with pytest.warns(SegcateWarning, match=r"right about the average effect: trust") as caught:
        warn_of_disagreement("GNet", found[2:], stacklevel=2)
    assert "'b', where" in str(caught[0].message)


def test_a_warning_names_five_plans_and_counts_the_others():
    rows = [(f"a{i}", "never", 300, 0.1, 1.0, 1.0, "units") for i in range(7)]
    with pytest.warns(SegcateWarning, match=r"'a4' at.*; and 2 more in `agr.*right about which un"):
        warn_of_disagreement("GNet", comparison(*rows), stacklevel=2)
    found = comparison(*rows).assign(outcome="y2")
    with pytest.warns(SegcateWarning, match="'a0' at every step against never on 'y2', where"):
        warn_of_disagreement("GNet", found, stacklevel=2)


@pytest.mark.parametrize(
    "found", [None, comparison(("a", "never", 300, 0.1, 1.0, 1.0, ""))], ids=["none", "no doubt"]
)
def test_models_that_agree_or_were_not_compared_raise_no_warning(found):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_disagreement("GNet", found, stacklevel=2)


@pytest.mark.parametrize("name", ["CausalTransformer", "CRN", "GNet", "RMSN"])
def test_fits_of_networks_warn(name):
    pytest.importorskip("torch", reason="the extra `temporal` is not installed")
    from segcate import temporal

    model = getattr(temporal, name)(["a0", "a1"], "y", **small())
    with pytest.warns(SegcateWarning, match=rf"{name}: training takes at most \d+ optim") as caught:
        model.fit(small_panel())
    assert {warning.filename for warning in caught} == {__file__}
    assert "_trained" not in vars(model)
