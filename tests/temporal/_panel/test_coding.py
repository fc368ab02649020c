"""Codes and scales: there and back."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.temporal._panel.coding import check_transform, choose_coding, fit_scaling
from segcate.temporal._panel.panel import Roles, read_panel
from tests.helpers.small_panels import small_panel


def data(**options):
    roles = Roles(("a0", "a1"), ("y",), ("x0",), ("age",), "id", "t")
    return read_panel("Model", small_panel(n_covariates=1, **options), roles)


def test_combinations_are_none_first_second_both():
    coding = choose_coding(2, "auto")
    flags = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float)
    np.testing.assert_array_equal(coding.encode(flags), np.eye(4))
    np.testing.assert_array_equal(coding.decode(np.eye(4)), flags)


@pytest.mark.parametrize(
    ("n", "kind", "found", "width"),
    [
        (1, "auto", "combination", 2),
        (3, "auto", "combination", 8),
        (4, "auto", "flags", 4),
        (2, "flags", "flags", 2),
        (4, "combination", "combination", 16),
    ],
)
def test_codes_and_their_widths_round_trip(n, kind, found, width):
    coding = choose_coding(n, kind)
    flags = np.random.default_rng(0).integers(0, 2, (5, 7, n)).astype(float)
    assert (coding.kind, coding.width) == (found, width)
    assert coding.encode(flags).shape == (5, 7, width)
    np.testing.assert_array_equal(coding.decode(coding.encode(flags)), flags)


def test_nothing_coded_counts_as_nothing_given():
    np.testing.assert_array_equal(choose_coding(2, "auto").decode(np.zeros((1, 4))), [[0, 0]])


@pytest.mark.parametrize("transform", [None, "cbrt", "log1p", (np.arcsinh, np.sinh)])
def test_outcomes_round_trip(transform):
    panel = data()
    if transform == "log1p":
        panel.outcome[:] = np.abs(panel.outcome)
    scaling = fit_scaling("Model", panel, check_transform("Model", transform))
    found = scaling.decode_outcome(scaling.encode_outcome(panel.outcome))
    np.testing.assert_allclose(found, panel.outcome, atol=1e-12)


def test_outcomes_that_a_transform_does_not_take_are_counted():
    panel = data()
    panel.outcome[:, 0] = np.linspace(-3, 1, 30)[:, None]
    n_bad = int((panel.outcome <= -1).sum())
    with pytest.raises(ValueError, match=rf"Model: `outcome_transform` gives NaN .* {n_bad} out"):
        fit_scaling("Model", panel, "log1p")


def test_scale_is_that_of_all_rows_but_the_last_of_each_unit():
    panel = data()
    scaling = fit_scaling("Model", panel, "none")
    rows = np.concatenate(
        [y[: n - 1, 0] for y, n in zip(panel.outcome, panel.n_steps, strict=True)]
    )
    np.testing.assert_allclose(scaling.outcome[:, 0], [rows.mean(), rows.std()], rtol=1e-12)
    np.testing.assert_allclose(scaling.static[:, 0], [54.5, np.arange(30).std()], rtol=1e-12)


def test_constant_columns_are_only_centred():
    panel = data()
    panel.covariates[:] = 3.0
    scaling = fit_scaling("Model", panel, "none")
    np.testing.assert_array_equal(scaling.covariates, [[3.0], [1.0]])
    assert not scaling.encode_covariates(panel.covariates).any()


@pytest.mark.parametrize("transform", ["sqrt", 3, (np.log,), (np.log, 2)])
def test_unknown_transforms_are_refused(transform):
    with pytest.raises(
        ValueError, match="`outcome_transform` must be 'auto', None, 'cbrt', 'log1p'"
    ):
        check_transform("Model", transform)


def test_changes_are_measured_between_rows_of_a_unit_and_in_scaled_units():
    panel = data()
    scaling = fit_scaling("Model", panel, "cbrt")
    steps = np.concatenate(
        [np.diff(np.cbrt(y[:n, 0])) for y, n in zip(panel.outcome, panel.n_steps, strict=True)]
    )
    assert scaling.change[0] == pytest.approx(steps.std() / scaling.outcome[1, 0], rel=1e-12)
    n_outcomes, n_covariates = panel.outcome.shape[2], panel.covariates.shape[2]
    assert scaling.change.shape == (n_outcomes + n_covariates,)
