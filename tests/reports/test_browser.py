"""The page in a headless Chromium: no complaint, no request, nothing overflows, tables sort."""

from __future__ import annotations

import pytest

from segcate.reports import write_report
from segcate.reports._page import _asset
from tests.helpers.browser import Browser, find_browser
from tests.reports.conftest import study

pytestmark = pytest.mark.skipif(
    find_browser() is None,
    reason="no Chromium here: install the Debian package chromium to look at pages",
)
WIDTHS = (375, 1280)
KOREAN = ("신규 사용자", "충성 고객", "떠난 고객")
EFFECTS = "[...document.querySelectorAll('table')].find(t => t.textContent.includes('std. error'))"
SHOWN = "getComputedStyle(document.querySelector('svg.{}')).display"


@pytest.fixture(scope="module")
def browser():
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, plain_findings, hostile_findings):
    folder = tmp_path_factory.mktemp("pages")
    found = {"plain": plain_findings, "hostile": hostile_findings}
    for name, findings in found.items():
        write_report(findings, folder / f"{name}.html")
    write_report(study(KOREAN, covariate="지출"), folder / "korean.html", figures=False)
    return {name: folder / f"{name}.html" for name in (*found, "korean")}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "hostile", "korean"])
def test_no_complaint_no_request_and_nothing_overflows(browser, pages, name, scheme, width):
    browser.open(pages[name], width, scheme=scheme)
    assert browser.run("innerWidth") == width
    assert browser.run("document.documentElement.scrollWidth") <= width
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []
    outside = [url for url in browser.requests() if not url.startswith("data:")]
    assert outside == [pages[name].resolve().as_uri()]
    assert browser.run("window.hacked === undefined")


def column(browser, number):
    return browser.run(f"[...({EFFECTS}).tBodies[0].rows].map(r => r.cells[{number}].textContent)")


def sort_state(browser, number):
    return browser.run(f"({EFFECTS}).tHead.rows[0].cells[{number}].getAttribute('aria-sort')")


def place_of(browser, head):
    heads = browser.run(f"[...({EFFECTS}).tHead.rows[0].cells].map(c => c.textContent)")
    return heads.index(head)


def test_a_click_sorts_numbers_as_numbers_and_the_sum_stays_last(browser, pages, plain_findings):
    browser.open(pages["plain"])
    at = place_of(browser, "effect")
    rank = {str(s.label): s.effect for s in plain_findings.segments}
    for state, names in (
        ("ascending", sorted(rank, key=rank.get)),
        ("descending", sorted(rank, key=rank.get, reverse=True)),
    ):
        browser.run(f"({EFFECTS}).tHead.rows[0].cells[{at}].querySelector('button').click()")
        assert sort_state(browser, at) == state
        assert column(browser, 0) == names
    assert browser.run(f"({EFFECTS}).tFoot.rows[0].cells[0].textContent") == "everyone"


def test_a_key_sorts_and_only_one_heading_says_so(browser, pages):
    browser.open(pages["plain"])
    for at, key in ((place_of(browser, "std. error"), " "), (0, "Enter")):
        browser.run(f"({EFFECTS}).tHead.rows[0].cells[{at}].querySelector('button').focus()")
        browser.press(key)
        assert sort_state(browser, at) == "ascending"
        assert browser.run(f"({EFFECTS}).querySelectorAll('[aria-sort]').length") == 1
    assert column(browser, 0) == sorted(column(browser, 0))


def test_cells_without_a_value_come_last_both_ways(browser, tmp_path):
    script = (
        "const t = document.createElement('div'); t.className = 'wide-table';"
        "t.innerHTML = '<table><thead><tr><th data-sort=number>x</th></tr></thead><tbody>"
        "<tr><td></td></tr><tr><td data-key=9>9</td></tr><tr><td data-key=10>10</td></tr>"
        "</tbody></table>'; document.body.prepend(t);"
    )
    path = tmp_path / "one.html"
    page = f"<!DOCTYPE html><body><script>{script}{_asset('report.js')}</script></body>"
    path.write_text(page, encoding="utf-8")
    browser.open(path)
    cells = "[...document.querySelectorAll('td')].map(c => c.textContent)"
    for expected in (["9", "10", ""], ["10", "9", ""]):
        browser.run("document.querySelector('button').click()")
        assert browser.run(cells) == expected


def test_a_phone_gets_the_narrow_picture_and_paper_the_wide_one(browser, pages, tmp_path):
    browser.open(pages["plain"], 375)
    assert browser.run(SHOWN.format("wide")) == "none"
    assert browser.run(SHOWN.format("narrow")) == "block"
    browser.open(pages["plain"], 1280)
    assert browser.run(SHOWN.format("wide")) == "block"
    assert browser.run(SHOWN.format("narrow")) == "none"


def ink(browser):
    """Return colours of the page and of a line of the first picture."""
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    path = "document.querySelector('svg.wide path[style*=\"--ink\"]')"
    return paper, browser.run(f"getComputedStyle({path}).fill + getComputedStyle({path}).stroke")


def test_pictures_follow_light_and_dark_and_paper_is_white(browser, pages):
    browser.open(pages["plain"], scheme="light")
    light = ink(browser)
    browser.open(pages["plain"], scheme="dark")
    dark = ink(browser)
    assert light[0] == "rgb(255, 255, 255)"
    assert dark[0] == "rgb(20, 24, 29)"
    assert light[1] != dark[1]
    browser.open(pages["plain"], scheme="dark", media="print")
    assert ink(browser)[0] == "rgb(255, 255, 255)"


def test_it_prints_with_everything_open(browser, pages, tmp_path):
    browser.open(pages["plain"])
    browser.run(
        "addEventListener('beforeprint', () => {"
        " window.folded = document.querySelectorAll('details:not([open])').length })"
    )
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert browser.run("window.folded") == 0
    assert browser.run("document.querySelectorAll('main details:not([open])').length") > 3


def test_the_contents_are_folded_on_a_phone_and_open_beside_the_page(browser, pages):
    for width, is_open in ((375, False), (1280, True)):
        browser.open(pages["plain"], width)
        assert browser.run("document.querySelector('nav details').open") is is_open
