"""Sections and remarks that a caller adds to a report."""

from __future__ import annotations

import pandas as pd
import pytest

from segcate.reports import AddedSection, report_html, report_markdown
from segcate.reports._figures import Picture

COSTS = pd.DataFrame(
    {"cost": [0.5, 1234.5], "<b>": ["a|b", "kiosk"]}, index=pd.Index(["mail", "call"], name="arm")
)
SECTION = AddedSection(
    "What it <i>costs</i>", "costs", "In euros.", "total   2\n", tables={"by arm": COSTS}
)


@pytest.mark.parametrize("write", [report_html, report_markdown])
def test_sections_and_notes_stand_in_the_report_as_text(plain_findings, write):
    options = {"figures": False} if write is report_html else {}
    before = write(plain_findings, **options)
    text = write(plain_findings, notes=["41 left <out>"], added=[SECTION], **options)
    for said in ("In euros.", "total   2", "by arm", "kiosk", "41 left &lt;out&gt;"):
        assert said in text
        assert said not in before
    assert "1234" in text
    assert "<i>costs" not in text
    assert text.index("In euros.") < text.rindex("What this rests on")


def test_tables_of_a_section_have_names_of_their_own(plain_findings):
    section = AddedSection("By", "by", tables={"x": COSTS, "y": COSTS})
    page = report_html(plain_findings, figures=False, added=[section])
    ids = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    assert "by" in ids
    assert 'href="#by"' in page


def test_a_picture_is_drawn_where_pictures_are(plain_findings):
    figures = pytest.importorskip("matplotlib.figure")
    figure = figures.Figure(figsize=(4, 3))
    figure.subplots().plot([0, 1])
    section = AddedSection(
        "Curve", "curve", picture=Picture(figure, "A curve", "It rises.", "A line.")
    )
    assert "It rises." in report_html(plain_findings, added=[section])
    assert "It rises." not in report_html(plain_findings, figures=False, added=[section])
    page = report_markdown(plain_findings, pictures={"curve": "curve.png"}, added=[section])
    assert "![Curve](curve.png)" in page
