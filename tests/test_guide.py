"""Every block of Python in the guide runs as a reader would run it: page by page, from the top."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import sklearn

DOCS = Path(__file__).resolve().parents[1] / "docs"
GUIDE = DOCS / "guide"
PAGES = {path.stem: path for path in sorted(GUIDE.glob("*.md"))}
# What a page needs beyond the package itself; without it the page is skipped.
NEEDS = {
    "cards_mlflow": ("skops", "mlflow", "matplotlib"),
    "causalml_econml": ("causalml", "econml"),
    "coming_from": ("causalml", "matplotlib"),
    "plots": ("matplotlib", "torch"),
    "report": ("matplotlib",),
    "temporal": ("torch",),
}
# Networks are trained on this page; its other half is in the tests of `temporal`.
SLOW = {"temporal"}
# Pages without code: tables of measurements, and how files are used from a shell.
WITHOUT_CODE = {"command_line", "missing", "standard_errors", "temporal_benchmark"}
# A block that is shown and not run says why in a comment above it.
NOT_RUN = re.compile(r"^% not run: \S.*\n```python\n.*?^```$", re.M | re.S)


def blocks(path: Path) -> list[str]:
    """Return the blocks of Python on a page that are to be run."""
    text = NOT_RUN.sub("", path.read_text(encoding="utf-8"))
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def run(codes: list[str], name: str) -> dict:
    """Run blocks in one scope, and leave scikit-learn's settings as they were."""
    scope: dict = {"__name__": "guide"}
    with sklearn.config_context():
        for number, code in enumerate(codes, start=1):
            exec(compile(code, f"{name}, block {number}", "exec"), scope)
    return scope


RUN = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name, path in PAGES.items()
    if blocks(path)
]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", RUN)
def test_blocks_of_the_page_run(page, tmp_path, monkeypatch):
    for package in NEEDS.get(page, ()):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    before = [] if page == "index" else blocks(PAGES["index"])
    run(before + blocks(PAGES[page]), page)


@pytest.mark.filterwarnings("default")
def test_every_call_of_ours_beside_one_of_others_runs():
    for package in NEEDS["coming_from"]:
        pytest.importorskip(package)
    page = PAGES["coming_from"]
    rows = re.findall(r"^\| .+? \| (.*?) \| .*\|$", page.read_text(encoding="utf-8"), re.M)
    calls = [call for row in rows for call in re.findall(r"`([^`]+)`", row)]
    assert len(calls) > 40
    scope = run(blocks(PAGES["index"]) + blocks(page), "coming_from")
    for call in calls:
        eval(compile(call, call, "eval"), scope)


@pytest.mark.parametrize("page", ["index", "ko"])
def test_example_of_the_front_pages_prints_what_they_print(page, capsys):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    run(blocks(DOCS / f"{page}.md"), page)
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed
    rest = re.sub(r"^```\S.*?^```$", "", text, flags=re.M | re.S)
    shown = re.findall(r"^```\n(.*?)^```$", rest, re.M | re.S)
    if shown:
        assert printed == shown[0].splitlines()


def test_pages_without_code_are_known():
    assert {name for name, path in PAGES.items() if not blocks(path)} <= WITHOUT_CODE


@pytest.mark.parametrize("page", PAGES)
def test_code_is_fenced_so_that_it_is_found(page):
    """Indented blocks would be shown and never run; calls of the command line may stand so."""
    text = re.sub(r"^```.*?^```$", "", PAGES[page].read_text(encoding="utf-8"), flags=re.M | re.S)
    indented = re.findall(r"(?<=\n\n)    (\S.*)", text)
    assert [line for line in indented if not line.startswith(("segcate", "$ "))] == []


@pytest.mark.parametrize("page", PAGES)
def test_page_stands_in_the_table_of_contents(page):
    trees = re.findall(
        r"^```\{toctree\}\n(.*?)^```$", (GUIDE / "index.md").read_text(), re.M | re.S
    )
    listed = [line for tree in trees for line in tree.split("\n") if line and line[0] != ":"]
    assert page == "index" or listed.count(page) == 1


# Pages that describe data or measure models, and are not a method to be used or not.
WITHOUT_ADVICE = {"columns", "temporal_benchmark", "command_line"}


@pytest.mark.parametrize("page", sorted(PAGES.keys() - WITHOUT_ADVICE))
def test_page_says_when_not_to_use_it(page):
    assert re.search(r"^(## |\*\*)When not to", PAGES[page].read_text(encoding="utf-8"), re.M)
