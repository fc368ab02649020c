"""One check of each kind of parameter, with one wording."""

from decimal import Decimal

import numpy as np
import pytest

from segcate._inputs.listing import first_few, listed
from segcate._inputs.parameters import (
    check_count,
    check_flag,
    check_number,
    check_numbers,
    check_option,
    check_seed,
    is_number,
    is_whole,
)


def test_true_is_neither_a_whole_number_nor_a_number() -> None:
    assert [is_whole(v) for v in (1, np.int8(1))] == [True, True]
    assert [is_whole(v) for v in (True, np.True_, 1.0)] == [False, False, False]
    assert [is_number(v) for v in (1, np.float32(1), 0.5)] == [True, True, True]
    assert [is_number(v) for v in (True, np.True_, "1")] == [False, False, False]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 10**400, 1j, Decimal(1), None, [1.0]])
def test_what_is_not_a_finite_number_is_none(value: object) -> None:
    assert not is_number(value)
    with pytest.raises(ValueError, match="A: `b` must be a finite number; got"):
        check_number("A", "b", value)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "allowed"),
    [
        ({"least": 0}, 0, -1e-9, "a number of at least 0"),
        ({"above": 0}, 1e-9, 0, "a number above 0"),
        ({"most": 1}, 1, 1.5, "a number of at most 1"),
        ({"below": 1}, 0.5, 1, "a number below 1"),
        ({"above": 0, "most": 0.5}, 0.5, 0, r"a number in \(0, 0.5\]"),
        ({"least": 0, "below": 0.5}, 0, 0.5, r"a number in \[0, 0.5\)"),
    ],
)
def test_bounds_of_a_number_are_checked_and_named(
    bounds: dict[str, float], inside: float, outside: float, allowed: str
) -> None:
    check_number("A", "b", inside, **bounds)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=f"^A: `b` must be {allowed} or None; got {outside!r}. Do c.$"
    ):
        check_number("A", "b", outside, optional=True, advice="Do c.", **bounds)  # type: ignore[arg-type]


def test_none_passes_where_it_is_allowed() -> None:
    check_count("A", "b", None, 1, optional=True)
    check_number("A", "b", None, least=1, optional=True)
    with pytest.raises(ValueError, match="A: `b` must be a whole number of at least 1; got None"):
        check_count("A", "b", None, 1)


@pytest.mark.parametrize("value", [1, 11, True, 2.0, "3"])
def test_counts_have_bounds(value: object) -> None:
    with pytest.raises(
        ValueError, match=f"A: `b` must be a whole number from 2 to 10; got {value!r}"
    ):
        check_count("A", "b", value, 2, 10)


def test_a_flag_is_true_or_false() -> None:
    for value in (True, False, np.True_):
        check_flag("A", "b", value)
    with pytest.raises(TypeError, match="A: `b` must be True or False; got 1"):
        check_flag("A", "b", 1)


def test_an_option_is_one_of_its_own_type() -> None:
    check_option("A", "b", None, (None, "c"))
    with pytest.raises(ValueError, match=r"A: `b` must be one of \['c', 1\]; got True"):
        check_option("A", "b", True, ("c", 1))


def test_a_seed_is_a_whole_number_a_generator_or_none() -> None:
    generator = np.random.RandomState(0)
    assert check_seed("A", generator) is generator
    assert check_seed("A", 0).randint(100) == np.random.RandomState(0).randint(100)
    for value in ("0", True, 1.5, np.random.default_rng(0)):
        with pytest.raises(TypeError, match="A: `random_state` must be a whole number, a numpy"):
            check_seed("A", value)
    with pytest.raises(ValueError, match="A: `random_state` is -1"):
        check_seed("A", -1)


def test_several_numbers_are_one_for_each_or_one_for_all():
    assert check_numbers("f", "effects", [1, 2], 2, "segment").tolist() == [1.0, 2.0]
    assert check_numbers("f", "effects", 3, 2, "segment", repeats=True).tolist() == [3.0, 3.0]
    for wrong in (3, [1, 2, 3], [1, np.nan], [1, "x"]):
        with pytest.raises(
            ValueError, match="`effects` must hold 2 finite numbers, one for each se"
        ):
            check_numbers("f", "effects", wrong, 2, "segment")


def test_the_first_few_texts_say_how_many_more_there_are():
    assert first_few(["a", "b"]) == "a, b"
    assert (
        first_few("abcdefg", separator="; ", noun="columns") == "a; b; c; d; e and 2 more columns"
    )
    assert listed([1, np.int64(2), "x"], limit=2) == "1, 2 and 1 more"
