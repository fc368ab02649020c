"""Random coefficients: EM finds the law, and what is known of a unit comes from its past alone."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.temporal._linear.own_answers import (
    AnswerLaw,
    are_long,
    filter_answers,
    fit_answers,
)

COVARIANCE = np.array([[0.4, 0.1], [0.1, 0.2]])
NOISE = 0.5


def simulated(n, t, seed=0):
    rng = np.random.default_rng(seed)
    regressors = np.stack([np.ones((n, t)), rng.integers(0, 2, (n, t))], axis=2).astype(float)
    own = rng.multivariate_normal([0, 0], COVARIANCE, n)
    errors = (regressors * own[:, None]).sum(axis=2) + np.sqrt(NOISE) * rng.normal(size=(n, t))
    return errors, regressors, np.ones((n, t), dtype=bool)


def test_em_finds_the_law():
    errors, regressors, is_learned = simulated(2000, 20)
    law = fit_answers(errors, regressors, is_learned, np.ones(2000))
    np.testing.assert_allclose(law.covariance, COVARIANCE, rtol=0.2)
    assert law.noise == pytest.approx(NOISE, rel=0.05)


def test_errors_far_out_do_not_blow_up_the_noise():
    errors, regressors, is_learned = simulated(1000, 20)
    errors[:, ::10] += 6.0 * np.random.default_rng(1).normal(size=(1000, 2))
    plain, robust = (
        fit_answers(errors, regressors, is_learned, np.ones(1000), has_tails=has_tails)
        for has_tails in (False, True)
    )
    assert plain.noise > 4.0
    assert robust.noise < 2 * NOISE
    np.testing.assert_allclose(robust.covariance, COVARIANCE, atol=0.1)


def test_long_tails_are_told_from_normal_errors():
    rng = np.random.default_rng(0)
    assert not any(are_long(rng.normal(size=2000)) for _ in range(20))
    assert all(are_long(rng.standard_t(4, size=2000)) for _ in range(20))


def test_a_weight_is_as_many_copies_of_a_unit():
    errors, regressors, is_learned = simulated(60, 6)
    is_learned[5:9, 4:] = False
    weight = np.random.default_rng(1).integers(0, 3, 60)
    again = np.repeat(np.arange(60), weight)
    found = fit_answers(errors, regressors, is_learned, weight.astype(float))
    expected = fit_answers(errors[again], regressors[again], is_learned[again], np.ones(len(again)))
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-9)
    assert found.noise == pytest.approx(expected.noise, rel=1e-9)


def test_the_filter_equals_the_posterior_of_all_rows_before():
    errors, regressors, is_learned = simulated(7, 8)
    is_learned[3, 5:] = False
    found = filter_answers(errors, regressors, is_learned, AnswerLaw(COVARIANCE, NOISE))
    for i in range(7):
        for t in range(8):
            counts = is_learned[i, :t]
            w, e = regressors[i, :t][counts], errors[i, :t][counts]
            spread = np.linalg.inv(np.linalg.inv(COVARIANCE) + w.T @ w / NOISE)
            np.testing.assert_allclose(found[i, t], spread @ w.T @ e / NOISE, atol=1e-10)


def test_later_rows_play_no_part():
    errors, regressors, is_learned = simulated(5, 9)
    law = AnswerLaw(COVARIANCE, NOISE)
    before = filter_answers(errors, regressors, is_learned, law)
    errors[:, 4:] += 3.0
    regressors[:, 4:, 1] = 1.0
    after = filter_answers(errors, regressors, is_learned, law)
    np.testing.assert_array_equal(after[:, :5], before[:, :5])
    assert (after[:, 5:] != before[:, 5:]).any()
