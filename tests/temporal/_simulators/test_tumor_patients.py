"""Patients of the tumour simulator: equal to the published ones, and spread as they should be."""

import numpy as np
import pytest

from segcate.temporal._simulators.tumor_patients import diameter_of, draw_patients, volume_of
from tests.helpers.temporal_reference import stored_arrays

ROUNDING = 1e-15
# A last bit of the log diameter, times a spread of up to 9.4 SD and the third power.
VOLUME_ROUNDING = 1e-14
FILES = {
    "factual_g4_seed100_n100": 100,
    "onestep_g4_seed100_n20": 20,
    "seq_sliding_g4_seed100_n20": 20,
}


@pytest.mark.parametrize("name", FILES)
def test_patients_are_the_published_ones(name):
    stored = stored_arrays(name)
    patients = draw_patients(FILES[name], np.random.RandomState(100))
    np.testing.assert_array_equal(patients.type, stored["param_patient_types"])
    np.testing.assert_array_equal(patients.stage, stored["param_initial_stages"])
    for field in ("alpha", "beta", "beta_c", "rho"):
        gap = np.abs(getattr(patients, field) - stored[f"param_{field}"]).max()
        assert gap <= ROUNDING, field
    np.testing.assert_allclose(
        patients.initial_volume, stored["param_initial_volumes"], rtol=VOLUME_ROUNDING, atol=0
    )


def test_types_differ_in_what_they_respond_to():
    patients = draw_patients(60_000, np.random.RandomState(0))
    mean = {k: patients.beta_c[patients.type == k].mean() for k in (1, 2, 3)}
    # The SD of 0.0007 leaves the means of 20,000 patients known to 0.000005.
    assert mean[1] == pytest.approx(0.028, abs=2e-5)
    assert mean[2] == pytest.approx(0.028, abs=2e-5)
    assert mean[3] == pytest.approx(0.0308, abs=2e-5)
    lowest = {k: patients.alpha[patients.type == k].min() for k in (1, 2, 3)}
    assert lowest[1] > 0.00398
    assert max(lowest[2], lowest[3]) < 0.001


def test_all_parameters_are_positive_and_diameters_inside_their_stage():
    patients = draw_patients(20_000, np.random.RandomState(1))
    for field in ("alpha", "beta", "beta_c", "rho"):
        assert (getattr(patients, field) > 0).all(), field
    diameter = diameter_of(patients.initial_volume)
    assert diameter.min() >= 0.3 * (1 - 1e-12)
    assert diameter.max() <= 13.0 * (1 + 1e-12)
    assert diameter[patients.stage == "I"].max() <= 5.0 * (1 + 1e-12)


def test_stages_come_in_the_shares_of_the_registry():
    patients = draw_patients(20_000, np.random.RandomState(2))
    share = {stage: (patients.stage == stage).mean() for stage in ("I", "II", "IIIA", "IIIB", "IV")}
    counts = {"I": 1432, "II": 128, "IIIA": 1306, "IIIB": 7248, "IV": 12840}
    for stage, count in counts.items():
        p = count / sum(counts.values())
        assert abs(share[stage] - p) < 4 * np.sqrt(p * (1 - p) / 20_000), stage


def test_volume_and_diameter_are_inverse():
    diameter = np.array([0.3, 1.0, 13.0])
    np.testing.assert_allclose(diameter_of(volume_of(diameter)), diameter, rtol=1e-14)
    assert volume_of(13.0) == pytest.approx(1150.3465099894624, rel=1e-15)
    assert np.isnan(diameter_of(np.array([-1.0]))).all()
