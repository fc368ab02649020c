"""The pictures that reports, cards and the command line share, and their words."""

from __future__ import annotations

import math
from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from segcate.findings import ProtectedFinding, ProtectedLevel, Targeting
from segcate.reports._captions import words
from segcate.reports._figures import draw_figures
from tests.helpers.pictures import assert_texts_fit

ALWAYS = ["effects", "profile", "balance", "overlap"]


class Drawn:
    """A figure as the helpers of pictures want it."""

    def __init__(self, figure):
        self.figure_ = figure
        self.ax_ = figure.axes[0]


def targeting():
    share = tuple(np.linspace(0, 1, 11).tolist())
    gain = tuple((0.4 * np.sqrt(np.linspace(0, 1, 11)) - 0.1 * np.linspace(0, 1, 11)).tolist())
    return Targeting(
        n=500, n_treated=240, qini=0.12, qini_std_error=0.05, qini_low=0.02, qini_high=0.22,
        qini_p_value=0.016, autoc=0.2, autoc_std_error=0.1, autoc_low=0.004, autoc_high=0.396,
        autoc_p_value=0.046, share=share, gain=gain,
        gain_low=tuple(g - 0.1 for g in gain), gain_high=tuple(g + 0.1 for g in gain),
        average_effect=0.3, how="by AIPW",
    )  # fmt: skip


def protected():
    level = {"n": 100, "n_treated": 50, "n_control": 50, "status": "ok", "p_value": 0.2}
    more = {"share_targeted": 0.5, "predicted_gain": 0.1, "std_error": 0.5}
    levels = [
        ProtectedLevel(level=name, effect=e, ci_low=e - 1, ci_high=e + 1, **level, **more)
        for name, e in (("women", 1.2), ("men", 0.8))
    ]
    return ProtectedFinding("sex", tuple(levels), 0.61)


@pytest.fixture(scope="module")
def everything(plain_findings):
    return replace(plain_findings, targeting=targeting(), by_protected=protected())


@pytest.fixture(scope="module")
def pictures(everything):
    return draw_figures(everything)


def test_what_has_numbers_is_drawn_in_order(pictures, plain_findings):
    assert list(pictures) == [*ALWAYS, "targeting", "protected"]
    bare = replace(plain_findings, balance_rows=None, overlap=None, profile=None)
    assert list(draw_figures(bare)) == ["effects"]


@pytest.mark.parametrize("width", [6.4, 4.1])
def test_texts_fit_on_a_page_and_on_a_phone(everything, width):
    for name, picture in draw_figures(everything, width=width).items():
        assert picture.figure.get_figwidth() <= max(width, 6.4)
        assert picture.figure.get_figheight() > 1.2, name
        assert_texts_fit(Drawn(picture.figure))


def test_pyplot_and_styles_of_the_user_are_left_alone(plain_findings):
    bare = replace(plain_findings, balance_rows=None, overlap=None, profile=None)
    with plt.style.context("dark_background"):
        before = mpl.rcParams.copy()
        figure = draw_figures(bare)["effects"].figure
        assert mpl.rcParams == before
    assert plt.get_fignums() == []
    assert mpl.colors.to_hex(figure.axes[0].spines["bottom"].get_edgecolor()) == "#000000"


def test_captions_hold_the_numbers(pictures, everything):
    said = {name: picture.caption for name, picture in pictures.items()}
    overall = everything.overall
    assert f"{overall.effect:.2f} [" in said["effects"]
    best = max(everything.segments, key=lambda segment: segment.effect)
    assert f"{best.effect:.2f} [{best.ci_low:.2f}, {best.ci_high:.2f}]" in said["effects"].replace(
        "\N{MINUS SIGN}", "-"
    )
    after = [row.smd_after for row in everything.balance_rows if math.isfinite(row.smd_after)]
    worst = max(map(abs, after))
    over = sum(abs(value) > 0.1 for value in after)
    assert f"{over} of {len(after)} pairs" in said["balance"]
    assert f"{worst:.2f}" in said["balance"]
    n_focal = sum(panel.n_focal for panel in everything.overlap)
    assert f"of {n_focal:,} rows that need a comparison" in said["overlap"]
    assert "0.12 [0.02, 0.22], p = 0.016" in said["targeting"]
    assert "Treating everybody gains most, 0.3 a row." in said["targeting"]
    some = replace(everything.targeting, gain=(*everything.targeting.gain[:-1], 0.1))
    told = words("targeting", replace(everything, targeting=some))[1]
    assert "when 90 % of the rows are treated: 0.289 a row, against 0.3 when all are" in told
    assert "women 1.2 [0.2, 2.2], men 0.8" in said["protected"]
    size = np.abs(everything.profile.difference)
    i, j = np.unravel_index(size.argmax(), size.shape)
    assert f"{everything.profile.columns[j]} in segment" in said["profile"]
    assert str(everything.profile.labels[i]) in said["profile"]
    for picture in pictures.values():
        assert picture.caption in picture.alt


def test_bars_of_the_overlap_are_shares_of_their_arm(pictures, everything):
    heights = [patch.get_data() for patch in pictures["overlap"].figure.axes[0].patches]
    assert len(heights) == 2 * len(everything.overlap)
    scale = None
    for bars, baseline, panel in zip(
        heights[::2],
        range(len(everything.overlap)),
        everything.overlap,
        strict=True,
    ):
        share = np.array(panel.treated) / sum(panel.treated)
        drawn = baseline - np.array(bars.values)
        scale = drawn[share > 0][0] / share[share > 0][0] if scale is None else scale
        np.testing.assert_allclose(drawn, scale * share, atol=1e-12)


def test_shades_of_the_profile_are_its_differences(pictures, everything):
    mesh = pictures["profile"].figure.axes[0].collections[0]
    shades = np.sort(np.asarray(mesh.get_array()).ravel())
    expected = np.clip(np.array(everything.profile.difference), -2.5, 2.5).ravel()
    limit = float(np.abs(shades).max())
    np.testing.assert_allclose(shades, np.sort(np.clip(expected, -limit, limit)), atol=1e-9)
