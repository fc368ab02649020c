"""Simulations of SegmentRegression and SegmentAIPW: do their intervals hold the truth?

1,000 draws a cell (250 data sets of 4 segments; 2,000 in some cells), fixed seeds. The
binomial error of a coverage of 95 % is then 0.7 points (0.5). The page on standard errors prints
what was measured.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from segcate.effects import SegmentAIPW, SegmentRegression
from tests.effects.test_coverage import N_DATASETS, design, report
from tests.helpers.coverage import Coverage, measure

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*was clipped there:segcate.exceptions.SegcateWarning"),
]

# Bars of the project.
COVERS = (0.935, 0.965)
# Those of matching where segments are small; the covariates' term is some 1 % too wide there.
SMALL_SEGMENTS, FEW_TREATED = (0.93, 0.97), (0.92, 0.975)
BIAS = 0.1
# The bias of Lin's regression in an experiment falls like 1 / n; it shows with 20 treated.
BIAS_FEW_TREATED = 0.2

EXPERIMENT = {"confounding": 0.0, "curvature": 0.7, "heterogeneity": 1.0}
OBSERVATIONAL = {"confounding": 0.7, "curvature": 0.0, "heterogeneity": 1.0}
# An outcome that lines miss, and polynomials do not.
CURVED = {"confounding": 0.7, "curvature": 0.7, "heterogeneity": 1.0}
SETTINGS = {"experiment": EXPERIMENT, "observational": OBSERVATIONAL}


def curves() -> SegmentAIPW:
    return SegmentAIPW(
        make_pipeline(PolynomialFeatures(2, include_bias=False), LinearRegression()),
        LogisticRegression(solver="newton-cholesky"),
        random_state=0,
    )


def lines() -> SegmentAIPW:
    return SegmentAIPW(
        LinearRegression(), LogisticRegression(solver="newton-cholesky"), random_state=0
    )


def check(
    name: str, found: Coverage, bar: tuple[float, float] = COVERS, bias: float = BIAS
) -> None:
    report(name, found)
    assert bar[0] <= found.rate <= bar[1], str(found)
    assert abs(found.bias) <= bias, str(found)
    assert found.n_missing == 0, str(found)


# --- regression -----------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["ate", "att"])
@pytest.mark.parametrize("setting", list(SETTINGS))
@pytest.mark.parametrize(("size", "share"), [(200, 0.1), (200, 0.4), (2000, 0.1), (2000, 0.4)])
def test_regression_covers(size, share, setting, estimand):
    """In an experiment with a curved outcome too, as Lin (2013) shows."""
    found = measure(
        SegmentRegression(estimand=estimand, adjustment="linear"), truth=estimand,
        n_datasets=N_DATASETS if size > 200 else 2 * N_DATASETS,
        **{**design(size, share), **SETTINGS[setting]},
    )  # fmt: skip
    bars = (COVERS, BIAS) if size >= 500 else (SMALL_SEGMENTS, BIAS)
    if size * share < 50:
        bars = (FEW_TREATED, BIAS_FEW_TREATED)
    check(f"regression, {estimand} | {setting}, population, {size}, {share}", found, *bars)


@pytest.mark.parametrize("estimand", ["ate", "att"])
def test_regression_covers_the_sample(estimand):
    found = measure(
        SegmentRegression(estimand=estimand, inference="sample", adjustment="linear"), n_datasets=2 * N_DATASETS,
        truth=f"{estimand}_sample", **{**design(500, 0.4), **OBSERVATIONAL},
    )  # fmt: skip
    check(f"regression, {estimand} | observational, sample, 500, 0.4", found)


def test_without_the_centring_term_the_interval_is_too_narrow_for_a_population():
    found = measure(
        SegmentRegression(inference="sample", adjustment="linear"), n_datasets=N_DATASETS, truth="ate",
        **{**design(500, 0.4), **OBSERVATIONAL, "heterogeneity": 2.0},
    )  # fmt: skip
    report("regression, no centring term | observational, population, 500, 0.4, effect SD 2", found)
    assert found.rate < 0.90, str(found)
    found = measure(
        SegmentRegression(adjustment="linear"), n_datasets=N_DATASETS, truth="ate",
        **{**design(500, 0.4), **OBSERVATIONAL, "heterogeneity": 2.0},
    )  # fmt: skip
    check("regression, ate | observational, population, 500, 0.4, effect SD 2", found)


@pytest.mark.parametrize("std_error", ["hc1", "hc3"])
def test_the_other_corrections_err_in_small_segments(std_error):
    """Why "auto" is hc2: 20 treated for 5 coefficients."""
    found = measure(
        SegmentRegression(std_error=std_error, adjustment="linear"), n_datasets=N_DATASETS, truth="ate",
        **{**design(200, 0.1), **OBSERVATIONAL},
    )  # fmt: skip
    report(f"regression, {std_error} | observational, population, 200, 0.1", found)
    chosen = measure(
        SegmentRegression(adjustment="linear"), n_datasets=N_DATASETS, truth="ate",
        **{**design(200, 0.1), **OBSERVATIONAL},
    )  # fmt: skip
    assert abs(np.log(chosen.ratio)) < abs(np.log(found.ratio)), f"{chosen}; {found}"


def test_regression_covers_with_groups():
    found = measure(
        SegmentRegression(adjustment="linear"), n_datasets=N_DATASETS, truth="ate", with_groups=True,
        **{**design(500, 0.3), **OBSERVATIONAL, "n_groups": 76},
    )  # fmt: skip
    check("regression, 76 groups | observational, population, 500, 0.3", found)


def test_regression_misses_a_curved_outcome_where_treatment_is_confounded():
    found = measure(
        SegmentRegression(adjustment="linear"),
        n_datasets=N_DATASETS,
        truth="ate",
        **{**design(500, 0.4), **CURVED},
    )
    report("regression, curved outcome | observational, population, 500, 0.4", found)
    assert abs(found.bias) > BIAS, str(found)


# --- AIPW -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["ate", "att"])
@pytest.mark.parametrize("setting", ["experiment", "observational"])
def test_aipw_covers(setting, estimand):
    """Both models within reach of the truth; pooled over the segments."""
    found = measure(
        curves().set_params(estimand=estimand), n_datasets=N_DATASETS, truth=estimand,
        **{**design(500, 0.4), **(EXPERIMENT if setting == "experiment" else CURVED)},
    )  # fmt: skip
    check(f"AIPW, quadratic, {estimand} | {setting}, population, 500, 0.4", found)


@pytest.mark.parametrize("estimand", ["ate", "att"])
def test_aipw_covers_inside_segments(estimand):
    found = measure(
        lines().set_params(pool_nuisances=False, cv=3, estimand=estimand), n_datasets=N_DATASETS,
        truth=estimand, **{**design(500, 0.4), **OBSERVATIONAL},
    )  # fmt: skip
    check(f"AIPW, lines in each segment, {estimand} | observational, population, 500, 0.4", found)


def test_aipw_is_unbiased_when_only_the_propensity_is_right():
    found = measure(lines(), n_datasets=N_DATASETS, truth="ate", **{**design(500, 0.4), **CURVED})
    check("AIPW, lines, curved outcome | observational, population, 500, 0.4", found)


def test_aipw_covers_with_groups():
    found = measure(
        lines(), n_datasets=N_DATASETS, truth="ate", with_groups=True,
        **{**design(500, 0.3), **OBSERVATIONAL, "n_groups": 76},
    )  # fmt: skip
    check("AIPW, lines, 76 groups | observational, population, 500, 0.3", found)


def test_aipw_covers_with_the_default_models():
    """Few draws, as the models take their time: a binomial error of 2.4 points."""
    found = measure(
        SegmentAIPW(None, random_state=0), n_datasets=20, truth="ate",
        **{**design(500, 0.4), **CURVED},
    )  # fmt: skip
    report("AIPW, default models | observational, population, 500, 0.4", found)
    assert found.rate >= 0.95 - 3 * found.binomial_error, str(found)
    assert abs(found.bias) <= 0.4, str(found)
