"""Labels in any script are drawn by a font that has them; one that none has is said once."""

from __future__ import annotations

import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.text import Text

from segcate.plots import SegmentEffectDisplay, _fonts
from segcate.plots._drawing import new_sheet
from segcate.plots._fonts import families_for, missing_signs, what_to_install
from tests.plots.test_display import NAMES, drawing

KOREAN = ("신규 사용자", "충성 고객")
HAS_HANGUL = not missing_signs(*KOREAN)


def without_fonts(monkeypatch):
    """Leave only the fonts that matplotlib brings, none of which has Hangul."""
    monkeypatch.setattr(_fonts, "_known_fonts", list)
    monkeypatch.setattr(_fonts, "_new_fonts", list)
    monkeypatch.setattr(_fonts, "_said", set())
    _fonts._fallbacks.cache_clear()


@pytest.fixture(autouse=True)
def _forget():
    yield
    _fonts._fallbacks.cache_clear()


def test_texts_that_the_font_has_change_nothing():
    assert families_for("age", "größer ≥ 5") == mpl.rcParams["font.family"]
    assert missing_signs("größer") == ""


def test_a_font_with_the_signs_is_found(monkeypatch):
    path = mpl.font_manager.findfont("DejaVu Sans Mono")
    monkeypatch.setattr(_fonts, "_known_fonts", lambda: [("First", path), ("Second", path)])
    has = frozenset({0xD55C}) | _fonts._characters(path)
    monkeypatch.setattr(_fonts, "_characters", lambda p: has if p == path else frozenset())
    _fonts._fallbacks.cache_clear()
    assert families_for("한") == [*mpl.rcParams["font.family"], "First"]


@pytest.mark.skipif(not HAS_HANGUL, reason="no installed font has Hangul")
@pytest.mark.parametrize("name", NAMES)
def test_every_display_draws_korean_labels(name):
    display = drawing(names=KOREAN)[name]()
    display.figure_.canvas.draw()  # a sign without a glyph is a warning, which is an error here
    shown = [text for text in display.figure_.findobj(Text) if missing_in(text)]
    assert not shown, [text.get_text() for text in shown]


def missing_in(text):
    """Tell whether a text has signs that its own fonts lack."""
    find, of = mpl.font_manager.findfont, mpl.font_manager.FontProperties
    paths = [find(of(family=[family])) for family in text.get_fontfamily()]
    signs = {ord(sign) for sign in text.get_text() if not sign.isspace()}
    return signs - frozenset().union(*map(_fonts._characters, paths))


def test_signs_that_no_font_has_are_said_once_with_the_package(monkeypatch):
    without_fonts(monkeypatch)
    with pytest.warns(UserWarning, match="fonts-noto-cjk") as said:
        drawing(names=KOREAN)["SegmentEffectDisplay"]()
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing(names=KOREAN)["LovePlotDisplay"]()
    assert missing_signs("고객 abc") == "객고"


@pytest.mark.parametrize(
    ("signs", "package"),
    [("漢", "fonts-noto-cjk"), ("か", "fonts-noto-cjk"), ("🜁", "fonts-symbola"), ("ꦏ", "fonts-noto-core")],
)  # fmt: skip
def test_the_package_fits_the_script(signs, package):
    assert package in what_to_install(signs)


def test_a_sheet_serves_as_axes_and_keeps_its_width():
    figure = new_sheet(4.0)
    display = drawing()["SegmentEffectDisplay"](ax=figure)
    assert isinstance(display, SegmentEffectDisplay)
    assert display.figure_ is figure
    assert figure.get_figwidth() == 4.0
    assert figure.get_figheight() > 1.4
    assert plt.get_fignums() == []
