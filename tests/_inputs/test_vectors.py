"""Row-aligned arguments: which indexes agree, and what an error says of those that do not."""

import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from segcate._inputs.vectors import as_hashed, check_same_index, check_vector

FRAME = pd.DataFrame({"x": range(6)})
TURNED = pd.Series([0, 1, 0, 1, 0, 1], index=[5, 4, 3, 2, 1, 0])


def test_other_order_is_named_as_such_with_both_arguments_and_a_way_out():
    message = (
        r"F: the index of `treatment` differs from the index of X \(the same labels in another "
        r"order\).*`treatment\.loc\[X\.index\]`.*`treatment\.to_numpy\(\)`"
    )
    with pytest.raises(ValueError, match=message):
        check_same_index("F", X=FRAME, treatment=TURNED)


def test_other_labels_are_named_as_such():
    other = pd.Series(range(6), index=range(10, 16))
    with pytest.raises(
        ValueError, match=r"`groups` differs from the index of `y` \(other labels\)"
    ):
        check_same_index("F", X=None, y=TURNED, groups=other)


def test_all_pairs_are_compared_where_x_is_an_array():
    with pytest.raises(ValueError, match=r"index of `b` differs from the index of `y`"):
        check_same_index("F", X=FRAME.to_numpy(), y=FRAME["x"], a=[0] * 6, b=TURNED)


def test_a_mapping_is_compared_value_by_value():
    with pytest.raises(ValueError, match=re.escape("`prediction['b']` differs")):
        check_same_index("F", psi=FRAME["x"], prediction={"a": FRAME["x"], "b": TURNED})


@pytest.mark.parametrize(
    "values",
    [
        None,
        1.5,
        [1, 2],
        np.arange(6),
        pd.Series(range(6)),
        pd.Series(range(6), index=np.arange(6)),
        pd.Series(range(6), index=np.arange(6.0)),
        pd.Series(
            [1.0, 2.0], index=["arm 1", "arm 2"]
        ),  # one value an arm: lengths are told elsewhere
    ],
)
def test_what_carries_no_index_or_the_same_one_passes(values):
    check_same_index("F", X=FRAME, values=values)


def test_the_same_index_object_costs_no_comparison(monkeypatch):
    def refuse(self, other):
        raise AssertionError("compared label by label")

    y, treatment = (pd.Series(range(6), index=FRAME.index) for _ in range(2))
    monkeypatch.setattr(pd.RangeIndex, "equals", refuse)
    check_same_index("F", X=FRAME, y=y, treatment=treatment)


def test_a_vector_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"F: `cost` has 2 values for 6 rows"):
        check_vector("F", "cost", [1.0, 2.0], FRAME)


def test_numbers_of_any_type_are_hashed_alike_and_text_as_it_is():
    whole = np.array([0, 3, 7])
    for same in (
        whole.astype(float) * -1 * -1,
        np.array([Decimal("-0.0"), Decimal("3.00"), Decimal(7)]),
    ):
        assert as_hashed(same).tobytes() == as_hashed(whole).tobytes()
    gaps = as_hashed(np.array([None, Decimal("0.1"), np.nan], dtype=object))
    assert gaps.tobytes() == np.array([np.nan, 0.1, np.nan]).tobytes()
    text = np.array(["3", None], dtype=object)
    assert as_hashed(text) is text
