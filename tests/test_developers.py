"""The pages for developers say what is so: layers, files and the words in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_architecture import ANNEXES, FLOORS, TEMPORAL_FLOORS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "developers").glob("*.md"))
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in PAGES}


def layers(head: str) -> dict[str, int]:
    """Read a table of layers: which subpackage stands in which."""
    after = TEXTS["architecture.md"].split(head)[1]
    table = after.split("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| \S", table, flags=re.MULTILINE)
    return {name: int(layer) for layer, name in rows}


def test_layers_are_those_that_the_tests_hold():
    expected = {name: layer for layer, names in enumerate(FLOORS) for name in names}
    assert layers("| layer | subpackage |") == expected


def test_layers_of_temporal_are_those_that_the_tests_hold():
    expected = {name: layer for layer, names in enumerate(TEMPORAL_FLOORS) for name in names}
    assert layers("| layer | subpackage of `temporal` |") == expected


def test_imports_of_temporal_are_named():
    sentence = re.search(r"It may import from (.*?), and no other", TEXTS["architecture.md"], re.S)
    assert set(re.findall(r"`(\w+)`", sentence.group(1))) == ANNEXES["temporal"]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_files_that_a_page_names_exist(page):
    """All but those of the reader's own, whose names begin with `my_`."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:segcate|tests|docs|benchmarks)/[\w./-]*)`", text)
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    missing = [name for name in named if "my_" not in name and not (ROOT / name).exists()]
    missing += [link for link in links if not (page.parent / link).exists()]
    assert not missing


WALK = re.findall(r"^\| [^|]+\? \| `([\w./]+)` \| `(\w+)` \|$", TEXTS["architecture.md"], re.M)


@pytest.mark.parametrize(("file", "word"), WALK)
def test_questions_are_answered_by_the_file_that_is_named(file, word):
    source = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^(?:def |class )?{word}\b", source, flags=re.M)


def test_the_questions_are_there():
    assert len(WALK) >= 10
