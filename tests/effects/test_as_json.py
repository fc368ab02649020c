"""Effect tables as JSON: the same to the last bit when they come back."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from segcate.effects import EffectTable, SegmentMatching, SegmentRegression
from tests.helpers.small_studies import small_study


def fitted(labels=None, groups=False, missing="auto", **options):
    study = small_study(7, n=600, n_segments=3, n_groups=40)
    X = pd.DataFrame(study.Z, columns=["a", "b", "c"])
    X["segment"] = study.segment if labels is None else np.array(labels)[study.segment]
    if missing == "impute":
        X.loc[::9, "a"] = np.nan
        model = SegmentRegression(missing=missing, random_state=0)
    else:
        model = SegmentMatching(on_empty="nan", **options)
    kept = ~((study.segment == 2) & (study.treatment == 1)) if options.get("thin") else slice(None)
    y = pd.Series(study.y, name="금액")
    return model.fit(
        X[kept], y[kept], treatment=study.treatment[kept], groups=study.groups if groups else None
    ).effect_table_


def same(a, b):
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if field.name == "imputations":
            assert len(x) == len(y)
            for one, other in zip(x, y, strict=True):
                same(one, other)
        elif dataclasses.is_dataclass(x):
            same(x, y)
        elif isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y, strict=True)
        else:
            assert type(x) is type(y)
            assert x == y or (x != x and y != y)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"labels": ["서울", "부산", 'a "b"']},
        {"groups": True},
        {"adjustment": "auto"},
        {"missing": "impute"},
    ],
)
def test_a_table_comes_back_to_the_last_bit(options):
    table = fitted(**options)
    text = table.to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    again = EffectTable.from_json(text)
    same(again, table)
    pd.testing.assert_frame_equal(again.frame(), table.frame(), check_exact=True)
    pd.testing.assert_frame_equal(EffectTable.combine([again]).frame(), table.frame())


def test_gaps_and_infinity_come_back():
    table = fitted()
    effect = table.effect.copy()
    effect[0] = np.nan
    table = dataclasses.replace(table, effect=effect, df=np.array([np.inf, 3.0, -np.inf]))
    same(EffectTable.from_json(table.to_json()), table)


def test_what_is_no_table_is_refused():
    with pytest.raises(ValueError, match="this is not JSON"):
        EffectTable.from_json("{")
    with pytest.raises(ValueError, match="no effect table"):
        EffectTable.from_json('{"a": 1}')
    stored = json.loads(fitted().to_json())
    with pytest.raises(ValueError, match="of version 99, and this segcate reads 1"):
        EffectTable.from_json(json.dumps(stored | {"version": 99}))
    del stored["effect"]
    with pytest.raises(ValueError, match="the table is damaged"):
        EffectTable.from_json(json.dumps(stored))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("labels", "abc", "AttributeError"),
        ("labels", None, "AttributeError"),
        ("n", [1, 2, 3], "n is not one number for each of 3 segments"),
        ("variance", {"dtype": "<f8", "shape": [2], "values": [1.0, 2.0]}, "variance is not one number"),
        ("status", [1, 2, 3], "status is not one text for each of 3 segments"),
        ("status", ["ok"], "status is not one text"),
        ("methods", "abc", "methods is not one text"),
        ("weights", [1], "AttributeError"),
        ("between", "abc", "between is no square of 3 segments"),
        ("overall", {"effect": "x", "variance": 1.0, "df": 1.0}, "overall and confidence_level are not all numbers"),
        ("confidence_level", None, "overall and confidence_level are not all numbers"),
    ],
)  # fmt: skip
def test_a_table_whose_fields_do_not_belong_together_is_refused(name, value, said):
    stored = json.loads(fitted().to_json()) | {name: value}
    with pytest.raises(ValueError, match=f"the table is damaged.*{said}"):
        EffectTable.from_json(json.dumps(stored))


def test_labels_that_json_has_no_word_for_are_refused():
    table = dataclasses.replace(
        fitted(), labels=np.array([(1, 2j), (2, 2j), (3, 2j)], dtype=object)
    )
    with pytest.raises(TypeError, match="labels must be text or whole numbers"):
        table.to_json()
