"""Times as whole steps: what is understood, and what is refused with a way out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.temporal._panel.panel import Roles, read_panel

ROLES = Roles(("a",), ("y",), (), (), "id", "t")
MONTHS = pd.period_range("2023-10", periods=6, freq="M")


def frame(times, n_units=4):
    return pd.DataFrame(
        {
            "id": np.repeat(np.arange(n_units), len(times)),
            "t": pd.Series(list(times) * n_units),
            "a": 0,
            "y": np.arange(n_units * len(times), dtype=float),
        }
    )


def read(times, **options):
    return read_panel("Model", frame(times), ROLES, **options)


@pytest.mark.parametrize("times", [MONTHS, MONTHS.to_timestamp(), MONTHS.astype(str)])
def test_a_month_left_out_is_a_row_of_its_own(times):
    found = read(np.delete(np.asarray(times.astype(object)), 2))
    assert found.n_steps.tolist() == [6] * 4
    assert found.is_seen[0].tolist() == [True, True, False, True, True, True]
    assert (found.clock.unit, found.clock.step) == ("month", 1.0)


def test_new_units_may_write_the_same_months_in_another_way():
    known = read(MONTHS)
    found = read(MONTHS.to_timestamp(), static_names=(), clock=known.clock)
    assert found.clock.step == 1.0
    with pytest.raises(ValueError, match="counts time by numbers, that of the fit by months"):
        read(range(6), static_names=(), clock=known.clock)


def test_new_units_need_the_step_of_the_fit():
    quarters = pd.period_range("2023Q1", periods=6, freq="Q")
    known = read(MONTHS)
    with pytest.raises(ValueError, match=r"irregular: .* differ from 1 month"):
        read(quarters, static_names=(), clock=known.clock)


def test_days_of_one_month_are_days_and_not_months():
    assert read(pd.date_range("2024-02-01", periods=6)).clock.unit == "nanosecond"


def test_days_scattered_over_months_are_refused_with_a_way_out():
    days = pd.DatetimeIndex(["2024-01-03", "2024-02-05", "2024-03-04", "2024-04-02"])
    with pytest.raises(ValueError, match=r"irregular.*dt\.to_period\('M'\)"):
        read(days)
    known = read(MONTHS.to_timestamp())
    with pytest.raises(ValueError, match="do not stand at the same place of a month"):
        read(days, static_names=(), clock=known.clock)


def test_years_and_months_in_one_number_are_refused():
    with pytest.raises(ValueError, match=r"202311 to 202402, which .*years and months.*'%Y%m'"):
        read([202311, 202312, 202401, 202402])
    assert read([202401, 202402, 202403]).clock.step == 1.0


def test_texts_in_another_order_are_refused():
    with pytest.raises(TypeError, match=r"such as '2024-03'.*it holds '01/02/2024'"):
        read(["01/02/2024", "01/03/2024"])


def test_most_steps_must_be_one_step_long():
    with pytest.raises(ValueError, match="irregular: 3 of 4 steps differ from 1"):
        read_panel(
            "Model", frame([0, 1, 3, 5, 7], 1), ROLES, static_names=(), clock=read([0, 1]).clock
        )
    with pytest.raises(ValueError, match="irregular: 1 of 3 steps"):
        read_panel("Model", frame([0, 1, 2, 50], 1), ROLES)


MONDAYS = pd.date_range("2023-11-06", periods=20, freq="7D")
ISO = MONDAYS.strftime("%G-W%V")
WEEKS = MONDAYS.strftime("%G%V").astype(int)


@pytest.mark.parametrize(
    ("times", "error", "way"),
    [
        (ISO, TypeError, "pandas.to_datetime(panel['t'] + '-1', format='%G-W%V-%u')"),
        (
            ISO.str.replace("-", ""),
            TypeError,
            "pandas.to_datetime(panel['t'] + '-1', format='%GW%V-%u')",
        ),
        (
            MONDAYS.astype(str) + "/" + (MONDAYS + pd.Timedelta("6D")).astype(str),
            TypeError,
            "pandas.to_datetime(panel['t'].str[:10])",
        ),
        (
            WEEKS,
            ValueError,
            "pandas.to_datetime(panel['t'].astype(int).astype(str) + '-1', format='%G%V-%u')",
        ),
        (pd.Index(range(5)).astype(str), TypeError, "pandas.to_numeric(panel['t'])"),
    ],
)
def test_weeks_and_texts_are_refused_with_a_way_out_that_leads_there(times, error, way):
    with pytest.raises(error) as caught:
        read(times)
    assert way in str(caught.value)
    panel = frame(times)
    panel["t"] = eval(way, {"pandas": pd, "panel": panel})
    found = read_panel("Model", panel, ROLES)
    assert found.n_steps.tolist() == [len(times)] * 4
    if len(times) > 5:
        assert found.clock.step == 7 * 86_400 * 10**9


def test_years_and_weeks_in_one_number_are_told_as_such():
    with pytest.raises(ValueError, match=r"202345 to 202412, which look like years and weeks.* 49"):
        read(WEEKS)
    # With every second week, and with some left out.
    for some in (WEEKS[::2], np.delete(WEEKS, [3, 8])):
        with pytest.raises(ValueError, match="years and weeks"):
            read(some)


def test_numbers_that_are_no_weeks_are_taken_as_they_come():
    assert read(WEEKS[:8]).clock.step == 1.0
    assert read(np.arange(200001, 201000, 50)).clock.step == 50.0
    assert read(np.arange(202395, 202410)).clock.step == 1.0
