"""Profiles put together: the profile of all rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.segmentation import combine_profiles, segment_profile


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    n = 400
    X = pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(40, 9, n)),
            "spend": rng.gamma(2.0, size=n),
            "plan": rng.choice(["free", "gold", "개인"], n),
            "joined": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, n), "D"),
        }
    )
    X.loc[[0, 1, 2], "joined"] = pd.Timestamp("2024-01-01")
    X.loc[X.index[5::11], "plan"] = None
    return X, rng.integers(-1, 4, n), np.arange(n) % 3


def test_parts_are_the_profile_of_all_rows(rows):
    X, segment, part = rows
    parts = [segment_profile(X[part == i], segment[part == i]) for i in range(3)]
    found = combine_profiles(parts)
    pd.testing.assert_frame_equal(found, segment_profile(X, segment), rtol=1e-12)


def test_levels_and_segments_of_some_parts_only(rows):
    X, segment, _ = rows
    X = X.drop(columns="joined")
    gold = (X["plan"] == "gold").to_numpy() & (segment > 0)
    parts = {
        "rest": segment_profile(X[~gold], segment[~gold]),
        "gold": segment_profile(X[gold], segment[gold]),
    }
    pd.testing.assert_frame_equal(combine_profiles(parts), segment_profile(X, segment), rtol=1e-12)
    pd.testing.assert_frame_equal(combine_profiles([parts["rest"]]), parts["rest"], rtol=1e-12)


def test_a_column_without_any_value_in_a_segment(rows):
    X, segment, part = rows
    X.loc[segment == 2, "age"] = np.nan
    parts = [segment_profile(X[part == i], segment[part == i]) for i in range(3)]
    found = combine_profiles(parts)
    assert np.isnan(found.loc[2, "age"])
    pd.testing.assert_frame_equal(found, segment_profile(X, segment), rtol=1e-12)


def test_what_cannot_be_put_together_is_refused(rows):
    X, segment, part = rows
    weighted = segment_profile(X, segment, sample_weight=part + 1.0)
    with pytest.raises(ValueError, match="'part 1' was made with `sample_weight`"):
        combine_profiles([weighted])
    first = segment_profile(X, segment)
    with pytest.raises(ValueError, match="describe different columns: 'spend' are in one"):
        combine_profiles([first, segment_profile(X.drop(columns="spend"), segment)])
    later = X.assign(joined=X["joined"] + pd.Timedelta(5, "D"))
    with pytest.raises(ValueError, match="dates count from the first day"):
        combine_profiles([first, segment_profile(later, segment)])
    with pytest.raises(TypeError, match="'part 1' is no profile"):
        combine_profiles([X])
    with pytest.raises(TypeError, match="must be a list or a dict"):
        combine_profiles(first)
    with pytest.raises(ValueError, match="is empty"):
        combine_profiles([])
