"""The site fetches nothing when a page opens, and the script that checks it finds what is wrong."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
CONF = (DOCS / "conf.py").read_text(encoding="utf-8")


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_html = load(DOCS / "check_html.py")


def pages(folder: Path, **bodies: str) -> list[str]:
    for name, body in bodies.items():
        (folder / f"{name}.html").write_text(body, encoding="utf-8")
    return check_html.check(folder)


def test_links_that_lead_somewhere_are_right(tmp_path):
    one = '<a href="two.html#there">x</a><a href="#here">x</a><p id="here"></p>'
    two = '<p id="there"></p><a href="https://example.org/nobody/looks">x</a><img src="data:,">'
    assert pages(tmp_path, one=one, two=two) == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('<a href="gone.html">x</a>', "gone.html is not there"),
        ('<a href="#gone">x</a>', "#gone has no such anchor"),
        ('<img src="gone.png">', "gone.png is not there"),
        ('<script src="https://cdn.example.org/x.js"></script>', "fetches https://cdn"),
        ('<link rel="stylesheet" href="//cdn.example.org/x.css">', "fetches //cdn"),
        ("<style>@import 'https://example.org/x.css';</style>", "fetches https://example"),
    ],
)
def test_what_is_wrong_is_found(tmp_path, body, says):
    (found,) = pages(tmp_path, page=body)
    assert says in found


def test_fonts_of_style_sheets_are_looked_at(tmp_path):
    (tmp_path / "x.css").write_text("@font-face {src: url(https://example.org/font.woff2)}")
    assert "x.css: fetches https://example.org/font.woff2" in pages(tmp_path, page="<p>")


def test_links_that_are_named_and_not_fetched_are_allowed(tmp_path):
    assert pages(tmp_path, page='<link rel="canonical" href="https://example.org/">') == []


def test_an_empty_folder_is_not_called_right(tmp_path):
    assert "there are no pages" in check_html.check(tmp_path)[0]


def test_the_site_draws_formulas_itself_and_has_no_part_that_fetches():
    assert 'html_math_renderer = "mathml"' in CONF
    for name in ("mathjax", "intersphinx", "linkcode", "binder", "http://", "https://"):
        assert name not in CONF


def test_make_docs_checks_the_pages():
    makefile = (DOCS.parent / "Makefile").read_text(encoding="utf-8")
    assert "docs/check_html.py docs/_build/html" in makefile


def test_every_formula_of_the_docs_becomes_mathml():
    convert = pytest.importorskip("latex2mathml.converter", reason="extra `docs`").convert
    texts = [path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")]
    formulas = re.findall(r"(?<![\\$`])\$([^$\n`]+?)\$", "\n".join(texts))
    assert len(formulas) > 20
    for formula in formulas:
        assert convert(formula).startswith("<math")
