"""The Markdown page: the same numbers, labels as text, pictures where there are files."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from segcate.findings import Doubt, NotComputed, Statement
from segcate.reports import report_markdown


@pytest.fixture(scope="module")
def page(plain_findings):
    return report_markdown(
        plain_findings, pictures={"effects": "forest.png"}, notes=["3 rows left"]
    )


def test_it_names_question_notes_pictures_and_the_call(page, plain_findings):
    assert page.startswith("# Effect of a reminder on hours played, by segment\n")
    assert plain_findings.question in page
    assert "* 3 rows left" in page
    assert "![Effects](forest.png)" in page
    assert page.count("![") == 1
    assert plain_findings.call in page


def test_tables_have_as_many_cells_in_every_row(page):
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        lines = block.strip().split("\n")
        assert len(lines) > 2
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_effects_are_those_of_the_findings(page, plain_findings):
    rows = re.findall(r"^\| (\w+) \|.*$", page, re.MULTILINE)
    assert {str(segment.label) for segment in plain_findings.segments} <= set(rows)
    for segment in plain_findings.segments:
        assert f"{abs(segment.effect):.2f}" in page
        assert f"| {segment.n_treated} |" in page


def test_labels_with_markup_are_text(hostile_findings):
    page = report_markdown(hostile_findings)
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;window.hacked = 1&lt;/script&gt;" in page


def test_verdict_and_doubts_come_first(plain_findings):
    found = replace(
        plain_findings,
        verdict=(
            Statement("It helps.", "p < 0.05", "overall", True),
            Statement("Who?", "p > 0.05", "difference", False),
        ),
        doubts=(Doubt("overlap", "Nobody to compare with.", "new"),),
        not_computed=(NotComputed("cross_check", "it was not asked for", "pass cross_check=True"),),
    )
    page = report_markdown(found)
    order = ["## Verdict", "**established**: It helps. (Rule: p &lt; 0.05)"]
    order += ["**not established**: Who?"]
    order += ["### Doubts", "**overlap**: Nobody", "## Effects", "## Not computed"]
    at = [page.index(text) for text in order]
    assert at == sorted(at)
    assert "| cross check | it was not asked for | pass cross_check=True |" in page
