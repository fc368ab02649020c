"""The profile's shades are distances of rows in standard deviations, its numbers plain means."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from segcate.plots import SegmentProfileDisplay
from segcate.plots._profile_cells import profile_cells, scale_of_rows
from segcate.segmentation import KMeansSegmenter, segment_profile
from tests.helpers.pictures import assert_texts_fit, luminance, one_line, title_of, words

MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "age": rng.normal(40, 10, 200),
            "plan": rng.choice(["free", "gold"], 200),
            "spend": rng.gamma(2, 100, 200),
            "one": 1.0,
        }
    )
    X.loc[:9, "spend"] = np.nan
    return X, np.where(X["age"] > 45, "old", "young")


def shades_of(display):
    (mesh,) = display.ax_.collections
    return np.ma.filled(mesh.get_array(), np.nan).reshape(mesh.get_coordinates().shape[0] - 1, -1)


def test_shades_are_distances_from_all_rows_in_their_standard_deviation(people):
    X, segment = people
    display = SegmentProfileDisplay.from_predictions(X, segment)
    gold = (X["plan"] == "gold").astype(float)
    missing = X["spend"].isna().astype(float)
    columns = [X["age"], 1 - gold, gold, X["spend"], missing]
    for row, values in zip(shades_of(display), columns, strict=False):
        means = values.groupby(segment).mean()
        expected = (means - values.mean()) / values.std(ddof=0)
        np.testing.assert_allclose(row, expected, rtol=1e-9)
    assert np.isnan(shades_of(display)[-1]).all()
    assert "Without shade: covariates that do not vary (1)." in one_line(display)


def test_weights_count_as_rows(people):
    X, segment = people
    weight = np.where(np.arange(200) < 50, 3.0, 1.0)
    rows = np.repeat(np.arange(200), weight.astype(int))
    repeated = X.iloc[rows].reset_index(drop=True)
    weighted = scale_of_rows(X, segment_profile(X, segment, sample_weight=weight), weight)
    expected = scale_of_rows(repeated, segment_profile(repeated, segment[rows]), None)
    np.testing.assert_allclose(weighted, expected, rtol=1e-9)


def test_cells_hold_the_plain_means(people):
    X, segment = people
    display = SegmentProfileDisplay.from_predictions(X, segment)
    shown = [text.get_text() for text in display.ax_.texts]
    means = X["age"].groupby(segment).mean()
    assert shown[:2] == [f"{means['old']:.1f}", f"{means['young']:.1f}"]
    share = (X["plan"] == "gold").groupby(segment).mean()
    assert shown[4:6] == [f"{share['old']:.2f}", f"{share['young']:.2f}"]


def test_rows_of_segments_stand_below_their_names(people):
    X, segment = people
    names = [label.get_text() for label in SegmentProfileDisplay.from_predictions(X, segment)
             .ax_.get_xticklabels()]  # fmt: skip
    counts = pd.Series(segment).value_counts()
    assert names == [f"{name}\n({counts[name]})" for name in ("old", "young")]


def test_table_alone_takes_the_spread_between_segments_and_says_so(people):
    X, segment = people
    profile = segment_profile(X[["age"]], segment)
    display = SegmentProfileDisplay(profile).plot()
    means, share = profile["age"].to_numpy(), profile["share"].to_numpy()
    middle = means @ share
    expected = (means - middle) / np.sqrt((means - middle) ** 2 @ share)
    np.testing.assert_allclose(shades_of(display)[0], expected, rtol=1e-9)
    assert any("in SD between segments" in text for text in words(display))


def test_shades_darken_with_the_mean_so_that_grey_tells_the_sign():
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0, 4.0] * 2})
    display = SegmentProfileDisplay.from_predictions(frame, list("abcde") * 2)
    (mesh,) = display.ax_.collections
    mesh.update_scalarmappable()
    shades = [luminance(face) for face in mesh.get_facecolors()]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] - shades[-1] > 0.5
    for text, shade in zip(display.ax_.texts, shades, strict=True):
        ink = luminance(text.get_color())
        contrast = (max(ink, shade) + 0.05) / (min(ink, shade) + 0.05)
        assert contrast > 3.9, (text.get_text(), contrast)


@pytest.mark.parametrize(("n_segments", "n_covariates"), [(1, 1), (2, 4), (9, 5), (30, 30)])
def test_no_text_overlaps_or_leaves_the_picture(n_segments, n_covariates):
    rng = np.random.default_rng(0)
    names = [f"a covariate with the rather long name {i}" for i in range(n_covariates)]
    X = pd.DataFrame(rng.normal(0, 1000, (600, n_covariates)), columns=names)
    segment = [f"a segment with a long name {i % n_segments}" for i in range(600)]
    display = SegmentProfileDisplay.from_predictions(X, segment)
    assert len(display.ax_.texts) == n_segments * n_covariates
    assert_texts_fit(display)
    if n_segments < 8:
        assert display.figure_.canvas.get_width_height()[0] == 640


def test_cells_too_small_for_numbers_say_so_and_names_stay_apart():
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(0, 1000, (600, 30)))
    X.columns = X.columns.astype(str)
    ax = plt.subplots(figsize=(4, 3), layout="constrained")[1]
    display = SegmentProfileDisplay.from_predictions(X, np.arange(600) % 30, ax=ax)
    assert not display.ax_.texts
    assert "Cells are too small to write the means into." in one_line(display)


def test_covariates_beyond_the_limit_are_those_that_differ_less():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 6)), columns=list("abcdef"))
    segment = np.arange(300) % 2
    X["e"] += 3 * segment
    X["b"] += segment
    display = SegmentProfileDisplay.from_predictions(X, segment, max_covariates=2)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["b", "e"]
    assert "4 more covariates, which differ less, are not shown." in one_line(display)
    assert "6 covariates" in title_of(display)
    ordered = SegmentProfileDisplay.from_predictions(X, segment, max_covariates=2, order="spread")
    assert [label.get_text() for label in ordered.ax_.get_yticklabels()] == ["e", "b"]


def test_noise_keeps_its_column_and_a_missing_mean_says_none():
    frame = pd.DataFrame({"x": [1.0, 2.0, np.nan, np.nan, 3.0]})
    display = SegmentProfileDisplay.from_predictions(frame, [-1, -1, 0, 0, 1])
    names = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert names == ["-1\n(2)", "0\n(2)", "1\n(1)"]
    assert [text.get_text() for text in display.ax_.texts][:3] == ["1.50", "none", "3.00"]


def test_both_ways_in_agree(people):
    X = people[0][["age", "spend"]].fillna(0.0)
    segmenter = KMeansSegmenter(3, random_state=0).fit(X)
    expected = words(SegmentProfileDisplay.from_predictions(X, segmenter.predict(X)))
    pipe = make_pipeline(FunctionTransformer(), segmenter)
    for estimator in (segmenter, pipe):
        assert words(SegmentProfileDisplay.from_estimator(estimator, X)) == expected


def test_bad_input_is_named(people):
    X, segment = people
    profile = segment_profile(X, segment)
    with pytest.raises(TypeError, match="LinearRegression, which labels no segments"):
        SegmentProfileDisplay.from_estimator(LinearRegression(), X)
    with pytest.raises(TypeError, match="`profile` must be a DataFrame"):
        SegmentProfileDisplay([1]).plot()
    with pytest.raises(ValueError, match="`profile` lacks the columns 'share'"):
        SegmentProfileDisplay(profile.drop(columns="share")).plot()
    with pytest.raises(ValueError, match="0 segments and 6 covariates"):
        SegmentProfileDisplay(profile.iloc[:0]).plot()
    with pytest.raises(ValueError, match="2 segments and 0 covariates"):
        SegmentProfileDisplay(profile[["n", "share"]]).plot()
    with pytest.raises(ValueError, match="`scale` must be one number for each of 6 covariates"):
        SegmentProfileDisplay(profile, scale=[1.0]).plot()
    with pytest.raises(ValueError, match=r"`max_covariates` must be .* at least 1; got True"):
        SegmentProfileDisplay(profile).plot(max_covariates=True)
    with pytest.raises(ValueError, match="`segment` has 3 labels, but X has 200 rows"):
        SegmentProfileDisplay.from_predictions(X, [1, 2, 3])


def test_cells_read_a_profile_of_gaps_by_the_rows_that_have_values():
    profile = pd.DataFrame(
        {"n": [10, 10], "share": [0.5, 0.5], "x": [2.0, np.nan]}, index=["a", "b"]
    )
    cells = profile_cells("Display", profile, None, None, "given", 5)
    assert cells.means[0, 0] == 2.0
    assert np.isnan(cells.means[0, 1])
    assert np.isnan(cells.distances).all()
