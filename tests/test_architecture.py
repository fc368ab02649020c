"""The shape of the house: who imports whom, how long modules are, what an import costs."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "segcate"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 600

# Every room stands on a floor, and imports from floors below its own, never from its own or above.
FLOORS = [
    {"exceptions"},
    {"_kernels", "_publishing", "_writing"},
    {"_inputs"},
    {"_statistics", "datasets", "persistence"},
    {"_covariates", "_nuisance", "_ranking"},
    {"base"},
    {"segmentation", "matching"},
    {"effects"},
    {"cate", "metrics", "scale"},
    {"model_selection"},
    {"findings"},
    {"plots"},
    {"reports"},
    {"cards"},
    {"mlflow"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
# `temporal` stands beside the order: all that it may import from, and its own rooms in theirs.
ANNEXES = {
    "temporal": {"exceptions", "_kernels", "_publishing", "_writing", "_inputs", "_statistics"}
}
TEMPORAL_FLOORS = [
    {"_panel"}, {"_linear", "_networks", "_simulators"}, {"_models"}, {"_segments"},
]  # fmt: skip
# Who may import from `datasets` (for its demonstration) and from `scale`: the command line.
READERS = {"datasets": {"cli"}, "scale": {"cli"}}


def room_of(dotted: str) -> str:
    """Name the room of a module `segcate.x._y`; the package itself has none."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in {*FLOOR, *ANNEXES} else ""


def imports_of(source: str) -> set[str]:
    """Dotted names of all segcate modules that a source imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "segcate"}


def is_allowed(importer: str, imported: str) -> bool:
    """Tell whether one room may import from another; the package itself says its version only."""
    if importer in ("", imported) or imported == "":
        return True
    if importer in ANNEXES:
        return imported in ANNEXES[importer]
    if imported in ANNEXES:
        return False
    if imported in READERS:
        return importer in READERS[imported]
    return FLOOR[imported] < FLOOR[importer]


def dotted_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_imports_go_down(path):
    importer = room_of(dotted_name(path))
    wrong = [
        name
        for name in imports_of(path.read_text(encoding="utf-8"))
        if not is_allowed(importer, room_of(name))
    ]
    assert not wrong, f"{dotted_name(path)} ({importer}) must not import {wrong}"


@pytest.mark.parametrize(
    ("importer", "source", "allowed"),
    [
        ("plots", "from segcate.metrics import qini_score", True),
        ("metrics", "from segcate.plots import SegmentEffectDisplay", False),
        ("metrics", "def f():\n    from segcate.plots import X", False),
        ("matching", "from segcate._inputs import frames", True),
        ("matching", "import segcate.effects._table.pool", False),
        ("effects", "from segcate import cate", False),
        ("cate", "from segcate.effects import SegmentMatching", True),
        ("cate", "from segcate.metrics import qini_score", False),
        ("effects", "from segcate.datasets import load_nhefs", False),
        ("cli", "from segcate.datasets import load_nhefs", True),
        ("cli", "from segcate import __version__", True),
        ("_statistics", "from segcate._inputs.vectors import as_array", True),
        ("_inputs", "from segcate._statistics.intervals import Law", False),
        ("_nuisance", "from segcate._ranking.rows import ranked_rows", False),
        ("base", "from segcate.effects import SegmentMatching", False),
        ("temporal", "from segcate._statistics.intervals import Law", True),
        ("temporal", "from segcate.effects import SegmentMatching", False),
        ("effects", "from segcate.temporal import CRN", False),
        ("datasets", "from segcate._inputs.listing import listed", True),
        ("datasets", "from segcate.effects import SegmentMatching", False),
    ],
)
def test_the_rule_itself(importer, source, allowed):
    (name,) = imports_of(source)
    assert is_allowed(importer, room_of(name)) is allowed


def test_every_module_stands_in_a_known_room():
    known = {*FLOOR, *ANNEXES, ""}
    assert {room_of(dotted_name(path)) for path in MODULES} <= known
    at_the_top = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert at_the_top | folders == {*FLOOR, *ANNEXES}


def temporal_floor(dotted: str) -> int:
    """Return the floor of a module in `temporal`; its own `__init__` stands above all."""
    parts = dotted.split(".")
    floors = [i for i, rooms in enumerate(TEMPORAL_FLOORS) if len(parts) > 2 and parts[2] in rooms]
    return floors[0] if floors else len(TEMPORAL_FLOORS)


@pytest.mark.parametrize("path", sorted((PACKAGE / "temporal").rglob("*.py")), ids=dotted_name)
def test_imports_within_temporal_go_down(path):
    importer = dotted_name(path)
    wrong = [
        name
        for name in imports_of(path.read_text(encoding="utf-8"))
        if name.startswith("segcate.temporal.")
        and importer.split(".")[2:3] != name.split(".")[2:3]
        and temporal_floor(name) >= temporal_floor(importer)
    ]
    assert not wrong, f"{importer} must not import {wrong}"


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_modules_are_short(path):
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= LONGEST, f"{n_lines} lines: split it"


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_only_public_parts_of_scikit_learn_are_used(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        private = [n for n in names if n.startswith("sklearn") and re.search(r"\._", n)]
        assert not private


def loaded_after(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


OPTIONAL = {"torch", "matplotlib", "causalml", "hdbscan", "polars", "causaldata", "statsmodels"}


def test_import_of_the_package_loads_nothing_heavy():
    assert not loaded_after("import segcate") & (OPTIONAL | {"numba"})


def test_no_room_loads_an_optional_package_when_imported():
    names = ", ".join(f"segcate.{name}" for name in [*FLOOR, *ANNEXES])
    assert not loaded_after(f"import {names}") & OPTIONAL


def test_import_takes_under_a_second_beyond_scikit_learn():
    code = (
        "import time, sklearn.base, sklearn.utils, sklearn.metrics; start = time.perf_counter(); "
        "import segcate; print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        for _ in range(3)
    ]
    assert min(float(done.stdout) for done in runs) < 1.0


def documented() -> dict[str, set[str]]:
    """Read the names of each module in the API reference."""
    found: dict[str, set[str]] = {}
    module = ""
    for line in (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8").splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.removeprefix(".. currentmodule:: ").strip()
            found[module] = set()
        elif re.fullmatch(r"   \w+", line):
            found[module].add(line.strip())
    return found


def public() -> dict[str, set[str]]:
    """Collect the public names of the package: what each `__all__` lists."""
    folders = [path.parent.name for path in sorted(PACKAGE.glob("*/__init__.py"))]
    rooms = [f"segcate.{name}" for name in folders if not name.startswith("_")]
    modules = [
        f"segcate.{path.stem}" for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")
    ]
    return {
        name: {n for n in importlib.import_module(name).__all__ if not n.startswith("__")}
        for name in ["segcate", *rooms, *modules]
    }


def test_api_reference_lists_exactly_the_public_names():
    assert documented() == public()
