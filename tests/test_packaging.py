"""What is handed out is whole: the source archive, the citation, and no dependency by accident."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import segcate

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# All that an installation brings; causalml and what it asks for is by far the largest.
BRINGS = {
    "causalml", "hdbscan", "narwhals", "numba", "numpy", "pandas", "scikit-learn", "scipy",
}  # fmt: skip
# In every source archive without being named in MANIFEST.in.
BY_ITSELF = {"segcate", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"}
NOT_FOR_OTHERS = {".git", ".gitignore"}


def ignored() -> list[str]:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    return [line.strip("/").replace("*", "") for line in lines] + [".hypothesis"]


def test_an_installation_brings_what_is_listed():
    names = {re.match(r"[\w-]+", line).group() for line in PROJECT["dependencies"]}
    assert names == BRINGS
    (causalml,) = [line for line in PROJECT["dependencies"] if line.startswith("causalml")]
    assert "python_version" in causalml  # it has no wheels for later versions
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for extra in PROJECT["optional-dependencies"]:
        assert f"`{extra}`" in readme, extra


def test_the_source_archive_holds_everything():
    manifest = (ROOT / "MANIFEST.in").read_text(encoding="utf-8")
    named = set(
        re.findall(r"[\w./]+", " ".join(re.findall(r"^(?:graft|include) (.*)$", manifest, re.M)))
    )
    there = {path.name for path in ROOT.iterdir()}
    there -= {name for name in there if any(word and word in name for word in ignored())}
    assert there - BY_ITSELF - NOT_FOR_OTHERS - named == set()


def test_the_citation_names_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {segcate.__version__}\n" in citation
    assert f"license: {PROJECT['license']}\n" in citation
