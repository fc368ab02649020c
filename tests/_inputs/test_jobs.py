"""Parts are worked on in order, in threads only where joblib would use several."""

from __future__ import annotations

import threading

import joblib
import pytest

from segcate._inputs.jobs import in_threads


def place(number, other):
    return number * other, threading.current_thread() is threading.main_thread()


PARTS = [(i, 10) for i in range(20)]


@pytest.mark.parametrize("n_jobs", [None, 1])
def test_one_job_stays_in_the_thread_of_the_caller(n_jobs):
    assert in_threads(place, PARTS, n_jobs) == [(10 * i, True) for i in range(20)]


def test_several_jobs_give_the_same_in_threads():
    found = in_threads(place, PARTS, 2)
    assert [value for value, _ in found] == [10 * i for i in range(20)]
    assert not all(is_main for _, is_main in found)


def test_the_context_of_joblib_decides_where_the_caller_does_not():
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert not all(is_main for _, is_main in in_threads(place, PARTS, None))
