"""The page as text: whole, escaped, complete; written whole or not at all; with and without pictures."""

from __future__ import annotations

import builtins
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from segcate._writing.number_texts import write_decimals
from segcate.findings import Doubt, NotComputed, Statement
from segcate.plots import _fonts
from segcate.reports import report_html, report_markdown, write_report

LARGEST = 3_000_000
VOID = {"meta", "link", "br", "col", "img"}


class Reader(HTMLParser):
    """Read a page: elements, ids, links; complain where elements do not nest."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found, self.ids, self.links = [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.found.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(plain_findings):
    return report_html(plain_findings)


def test_elements_nest_ids_are_unique_and_contents_lead_somewhere(page):
    read = Reader(page)
    assert len(set(read.ids)) == len(read.ids)
    assert len(read.links) >= 7
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)


def test_nothing_is_fetched(page):
    for tag, attributes in Reader(page).found:
        assert tag not in ("iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), (tag, value)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style


def test_every_picture_says_what_it_shows_and_what_to_see(page, plain_findings):
    pictures = [a for tag, a in Reader(page).found if tag == "svg"]
    assert len(pictures) == 8
    assert all(a["role"] == "img" and len(a["aria-label"]) > 60 for a in pictures)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    assert len(captions) == 4
    assert all(re.search(r"\d", caption) for caption in captions)


def test_it_is_small_and_the_same_each_time(page, plain_findings):
    assert len(page.encode()) < LARGEST
    assert report_html(plain_findings) == page


def test_every_effect_stands_in_its_table(page, plain_findings):
    shown = {float(key) for key in re.findall(r'data-key="([^"]+)"', page)}
    for segment in plain_findings.segments:
        for name in ("n", "n_treated", "effect", "std_error", "ci_low", "p_value"):
            assert getattr(segment, name) in shown, name
        low, high = (write_decimals(v, 2) for v in (segment.ci_low, segment.ci_high))
        assert f">{low} to {high}<" in page
    for row in plain_findings.balance_rows:
        assert row.smd_after in shown or np.isnan(row.smd_after)


def test_hostile_labels_are_text(hostile_findings):
    page = report_html(hostile_findings)
    read = Reader(page)
    assert sum(tag == "script" for tag, _ in read.found) == 1
    assert not [tag for tag, _ in read.found if tag == "img"]
    assert not [a for _, a in read.found if any(name.startswith("on") for name in a)]
    assert "&lt;script&gt;window.hacked = 1" in page
    assert "\u202e" not in page


def test_verdict_comes_first_with_the_doubts_beside_it_and_what_is_missing_is_listed(
    plain_findings,
):
    found = replace(
        plain_findings,
        verdict=(
            Statement("Reminders help the loyal.", "p adjusted < 0.05", "segment", True, "loyal"),
            Statement("No difference is seen.", "p of equal effects > 0.05", "difference", False),
            Statement("This holds in an experiment.", "always", "condition", False),
        ),
        doubts=(
            Doubt("overlap", "9 of 10 rows have nobody to compare with.", "new"),
            Doubt("imbalance", "Spending differs among the new.", "new"),
            Doubt("imbalance", "Spending differs among the loyal.", "loyal"),
        ),
        not_computed=(NotComputed("targeting", "no rows were held out", "pass test="),),
    )
    page = report_html(found, figures=False)
    order = [
        page.index(f'id="{anchor}"')
        for anchor in ("verdict", "doubts", "effects", "not-computed", "made-by")
    ]
    assert order == sorted(order)
    assert "established</span>Reminders help the loyal." in page
    assert "not established</span>No difference" in page
    assert "on condition</span>This holds" in page
    assert "p adjusted &lt; 0.05" in page
    assert "9 of 10 rows have nobody" in page
    assert "Doubts (3)" in page
    assert page.count(">imbalance</span>") == 1
    assert re.search(r"among the new.*<summary>1 more of this kind.*among the loyal", page)
    assert re.search(r"targeting.*no rows were held out.*pass test=", page, re.DOTALL)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, plain_findings, monkeypatch):
    path = tmp_path / "report.html"
    write_report(plain_findings, path, figures=False)
    before = path.read_bytes()
    assert before.startswith(b"<!DOCTYPE html>")
    with pytest.raises(OSError, match="nowhere"):
        write_report(plain_findings, tmp_path / "nowhere" / "report.html", figures=False)
    with pytest.raises(IsADirectoryError):
        write_report(plain_findings, tmp_path, figures=False)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert path.read_bytes() == before


def test_without_matplotlib_the_page_is_written_and_says_so(plain_findings, monkeypatch):
    real = builtins.__import__

    def fail(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    page = report_html(plain_findings)
    assert "matplotlib was not installed" in page
    assert "<svg" not in page
    with pytest.raises(ImportError, match=r"segcate\[plot\]"):
        report_html(plain_findings, figures=True)
    assert "matplotlib" not in report_html(plain_findings, figures=False)


@pytest.mark.filterwarnings("ignore:No installed font:UserWarning")
def test_the_page_names_the_package_where_no_font_has_the_signs(plain_findings, monkeypatch):
    monkeypatch.setattr(_fonts, "_known_fonts", list)
    monkeypatch.setattr(_fonts, "_new_fonts", list)
    _fonts._fallbacks.cache_clear()
    words = replace(plain_findings.description, units="시간")
    page = report_html(replace(plain_findings, description=words))
    _fonts._fallbacks.cache_clear()
    assert page.count("fonts-noto-cjk") == 1
    assert "시간" in page


@pytest.mark.parametrize("write", [report_html, report_markdown, write_report])
def test_what_is_not_findings_is_named_with_the_way_to_make_them(write, tmp_path):
    more = (tmp_path / "report.html",) if write is write_report else ()
    with pytest.raises(TypeError, match=rf"{write.__name__}: .* got dict.*collect_findings"):
        write({}, *more)
    assert not list(tmp_path.iterdir())
