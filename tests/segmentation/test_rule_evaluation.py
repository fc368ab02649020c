import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate.segmentation._rule_evaluation import evaluate_rule
from segcate.segmentation._rule_grammar import RuleProblem, read_rule

FRAME = pd.DataFrame(
    {
        "age": [20, 60, 40, 70],
        "spend": [1.5, np.nan, 0.0, 30.0],
        "plan": ["gold", "free", None, "free%"],
        "home": ["gold", "x", "y", "free%"],
        "member": [True, False, True, None],
        "signup": pd.to_datetime(
            ["2024-01-01 00:00", "2024-02-01 12:00", None, "2023-01-01 00:00"]
        ),
        "first": pd.to_datetime(["2023-12-31", "2024-01-01", "2020-01-01", "2023-01-01"]),
        "size": pd.Categorical(["S", "L", None, "M"], ["S", "M", "L"], ordered=True),
        "empty": [None, None, None, None],
        "n visits": np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32),
    }
)
POLARS = pl.DataFrame(
    {
        name: pl.Series(
            name,
            [None if pd.isna(value) else value for value in FRAME[name].tolist()],
            dtype={"size": pl.Enum(["S", "M", "L"]), "n visits": pl.Float32}.get(name),
        )
        for name in FRAME
    }
)


def holds(text, X=FRAME):
    result = evaluate_rule(read_rule(text), X, list(X.columns))
    n = len(X)
    mask = np.broadcast_to(result.values, (n,)) & ~np.broadcast_to(result.missing, (n,))
    assert result.kind == "truth"
    return "".join("1" if held else "0" for held in mask)


@pytest.mark.parametrize("X", [FRAME, POLARS], ids=["pandas", "polars"])
@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("age > 40", "0101"),
        ("40 <= age < 70", "0110"),
        ("age == 40 or age == 20", "1010"),
        ("not (age > 40 and age < 70)", "1011"),
        ("age in [20, 70.0, 40.5]", "1001"),
        ("age not in (20, 70)", "0110"),
        ("age in []", "0000"),
        ("age between 40 and 60", "0110"),
        ("age not between 40 and 60", "1001"),
        ("between(age, 40, 60)", "0110"),
        ("True", "1111"),
        ("not True or False", "0000"),
        ("3 > 2", "1111"),
        # a comparison with a missing value is false
        ("spend > 1", "1001"),
        ("spend <= 1", "0010"),
        ("spend != 1.5", "0011"),
        ("spend not in [1.5]", "0011"),
        ("spend not between 1 and 2", "0011"),
        ("not spend > 1", "0110"),
        ("spend is missing", "0100"),
        ("spend is not missing", "1011"),
        ("plan is missing or age > 65", "0011"),
        ("empty > 3 or empty == 'a' or empty in [1] or empty != 2", "0000"),
        ("empty is missing", "1111"),
        # text
        ("plan == 'gold'", "1000"),
        ("plan != 'gold'", "0101"),
        ("plan in ['gold', 'free']", "1100"),
        ("plan not in ['gold']", "0101"),
        ("plan == home", "1001"),
        ("plan < 'g'", "0101"),
        ("startswith(plan, 'free')", "0101"),
        ("endswith(plan, '%')", "0001"),
        ("contains(plan, 'ol')", "1000"),
        ("contains(plan, '.')", "0000"),
        ("contains(plan, ['ol', '%'])", "1001"),
        ("not contains(plan, 'ol')", "0111"),
        # truth
        ("member", "1010"),
        ("not member", "0101"),
        ("member and age > 30", "0010"),
        ("member == False", "0100"),
        ("member + (age > 30) >= 2", "0010"),
        ("member in [1]", "1010"),
        ("member in [2]", "0000"),
        # dates
        ("signup >= '2024-01-01'", "1100"),
        ("signup == '2024-01-01'", "1000"),
        ("'2023-06-01' < signup < '2024-02-01 13:00'", "1100"),
        ("signup in ['2024-01-01', '2023-01-01']", "1001"),
        ("signup between '2023-01-01' and '2024-01-31'", "1001"),
        ("signup > first", "1100"),
        ("signup - first > 30", "0100"),
        ("signup - '2023-12-31' == 1", "1000"),
        # ordered categories
        ("size > 'S'", "0101"),
        ("size <= 'M'", "1001"),
        ("size == 'L'", "0100"),
        ("'S' < size < 'L'", "0001"),
        # arithmetic
        ("spend / age > 0.1", "0001"),
        ("age / spend > 1000", "0010"),
        ("spend / spend == 1", "1001"),
        ("-spend < -1", "1001"),
        ("age - 20 * 2 >= +0", "0111"),
        ("`n visits` == 0.1 or `n visits` in [0.3]", "1010"),
    ],
)
def test_rules_hold_where_they_say(X, text, rows):
    assert holds(text, X) == rows


def test_large_whole_numbers_are_compared_exactly():
    ids = [2**53, 2**53 + 1, None]
    for X in (pd.DataFrame({"id": pd.array(ids, dtype="Int64")}), pl.DataFrame({"id": ids})):
        assert holds(f"id == {2**53 + 1}", X) == "010"
        assert holds(f"id in [{2**53 + 1}, {2**70}]", X) == "010"
        assert holds(f"id < {2**70}", X) == "110"
    X = pd.DataFrame({"small": np.array([1, 200], dtype=np.uint8)})
    assert holds("small < 300", X) == "11"
    assert holds("small > -1", X) == "11"
    assert holds("small in [300, 200, -1]", X) == "01"
    assert holds("small + small == 400", X) == "01"


def test_times_with_a_zone_are_read_in_it():
    times = pd.to_datetime(["2024-03-01 00:30", "2024-03-01 12:00"]).tz_localize("Asia/Tokyo")
    for X in (
        pd.DataFrame({"t": times}),
        pl.DataFrame({"t": [t.to_pydatetime() for t in times.tz_localize(None)]}).with_columns(
            pl.col("t").dt.replace_time_zone("Asia/Tokyo")
        ),
    ):
        assert holds("t >= '2024-03-01 12:00'", X) == "01"
        assert holds("t < '2024-03-01 00:00+00:00'", X) == "10"
        assert holds("t in ['2024-03-01 12:00']", X) == "01"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("visits > 3", "names an unknown column: 'visits'.*did you mean 'n visits'"),
        ("AGE > 3", r"unknown column: 'AGE' \(did you mean 'age'\?\)"),
        ("plan > 3", "compares text with numbers.*'plan > 3'"),
        ("age == '3'", "compares numbers with text"),
        ("age in [1, 'a']", "compares numbers with text.*\"'a'\""),
        ("signup > 3", "compares dates with numbers"),
        ("signup > '3/4/2024'", "a date is written 'YYYY-MM-DD'"),
        ("signup > '2024-01-01 00:00+01:00'", "have a time zone"),
        ("signup > plan", "compares dates with text"),
        ("age and member", "takes numbers for a condition.*'age'"),
        ("not plan", "takes text for a condition"),
        ("-plan == 'a'", "puts a sign before text"),
        ("plan + plan == 'a'", "calculates with text and text"),
        ("signup + 3 > first", "calculates with dates and numbers"),
        ("age in plan", "needs a list of constants after `in`"),
        ("'a' in plan", r"contains\(plan, 'go'\)"),
        ("age in [age, 3]", "has a column inside a list of constants: 'age'"),
        ("age == [1, 2]", "has a list that does not follow `in`"),
        ("age is 3", "only `is missing`"),
        ("age is True", "only `is missing`"),
        ("3 is missing", "asks whether a constant is missing"),
        ("age in [1] in [2]", "goes on comparing"),
        ("age between 1 and 2 < 3", "goes on comparing"),
        ("contains(age, 'a')", "looks for text among numbers"),
        ("contains(plan, 3)", "looks for something that is no text"),
        ("contains(plan, home)", "looks for something that is no text"),
        ("contains(plan)", "needs a column and a text"),
        ("contains(*plan, 'a')", "rules do not know"),
        ("size > 'XL'", "none of its levels 'S', 'M', 'L'"),
        ("age > 1e999", "number that is too large"),
        ("age > 1e300", "number that is too large"),
        ("between(age, 1)", "without its two limits"),
    ],
)
def test_what_cannot_be_evaluated_is_named(text, message):
    with pytest.raises(RuleProblem, match=message):
        holds(text)


def test_time_of_a_missing_cell_is_not_read():
    X = pd.DataFrame({"t": [datetime.date(2024, 1, 1), None]})
    assert holds("t > '1900-01-01'", X) == "10"
    assert holds("t < '2100-01-01'", X) == "10"
