"""Pictures in a page: inks that follow it, names of parts that no other picture has."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from segcate.plots._drawing import INK, MAIN, new_sheet
from segcate.reports._svg import inline_svg


@pytest.fixture
def figure():
    sheet = new_sheet(3.0)
    sheet.set_figheight(2.0)
    ax = sheet.add_subplot()
    ax.plot([0, 1], [0, 1], color=MAIN)
    ax.text(0.5, 0.5, "--><script>alert(1)</script>", color=INK)
    ax.text(0.2, 0.2, "kept", color="#212121")
    return sheet


def test_inks_are_variables_of_the_page_and_others_stay(figure):
    svg = inline_svg(figure, "a", "alt", "wide")
    assert f"stroke: var(--main, {MAIN})" in svg
    assert f"fill: var(--ink, {INK})" in svg
    assert "fill: #212121" in svg
    assert not re.search(r"(fill|stroke): #ffffff", svg)


def test_labels_are_shapes_and_nothing_of_them_is_markup(figure):
    svg = inline_svg(figure, "a", 'a "quoted" <alt>', "wide")
    assert "script" not in svg
    assert "<!--" not in svg
    assert "<text" not in svg
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == 'a "quoted" <alt>'
    assert root.attrib["viewBox"] == "0 0 216 144"


def test_names_of_parts_are_the_pictures_own_and_all_are_found(figure):
    one, other = (inline_svg(figure, key, "alt", "wide") for key in "ab")
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', one))
    assert used <= ids[0]
