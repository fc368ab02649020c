"""A segment column is read alike, whatever holds its labels."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate.effects import SegmentRegression
from segcate.segmentation import GroupSegmenter, segment_profile

N = 200
RNG = np.random.default_rng(3)
CODE = np.arange(N) % 3
Z, T = RNG.normal(size=N), RNG.integers(0, 2, N)
Y = Z + T * CODE + RNG.normal(size=N)
DAYS = [dt.date(2024, 1, 1 + int(c)) for c in CODE]

NUMBERS = {
    "int": CODE,
    "float": CODE.astype(float),
    "object": pd.Series(CODE).astype(object),
    "object floats": pd.Series(CODE.astype(float)).astype(object),
    "Decimal": pd.Series([Decimal(int(c)) for c in CODE]),
    "nullable": pd.Series(CODE).astype("Int64"),
}
DATES = {
    "date": pd.Series(DAYS, dtype=object),
    "datetime": pd.to_datetime(pd.Series(DAYS)),
    "Period": pd.to_datetime(pd.Series(DAYS)).dt.to_period("D"),
    "ISO": pd.Series([d.isoformat() for d in DAYS]),
}


def labels_of(column):
    X = pd.DataFrame({"z": Z, "segment": column})
    model = SegmentRegression().fit(X, Y, treatment=T)
    assert len(np.unique(model.predict(X))) == 3
    ours = GroupSegmenter("segment", column="group").fit(X)
    profile = segment_profile(X, "segment")
    assert ours.segment_names_.tolist() == model.segment_labels_.tolist()
    assert profile.index.tolist() == model.segment_labels_.tolist()
    return model.segment_labels_.tolist()


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_whole_numbers(name):
    assert labels_of(NUMBERS[name]) == [0, 1, 2]


@pytest.mark.parametrize("name", DATES)
def test_dates_are_days(name):
    assert labels_of(DATES[name]) == ["2024-01-01", "2024-01-02", "2024-01-03"]


def test_polars_decimals_and_dates_are_read_alike():
    X = pl.DataFrame({"z": Z, "segment": [Decimal(int(c)) for c in CODE], "day": DAYS})
    model = SegmentRegression().fit(X, Y, treatment=T)
    assert model.segment_labels_.tolist() == [0, 1, 2]
    names = GroupSegmenter(["segment", "day"], column="g").fit(X).segment_names_
    assert names.tolist() == [f"{c} | 2024-01-0{c + 1}" for c in range(3)]


def test_lists_are_no_labels():
    X = pd.DataFrame({"z": Z, "segment": [[1]] * N})
    for call in (
        lambda: SegmentRegression().fit(X, Y, treatment=T),
        lambda: GroupSegmenter("segment", column="g").fit(X),
        lambda: segment_profile(X, "segment"),
    ):
        with pytest.raises(TypeError, match=r"Column 'segment' of X holds lists \(\[1\]\)"):
            call()
