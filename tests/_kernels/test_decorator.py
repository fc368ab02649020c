"""Kernels are leaves, compiled on their first call and for large inputs only; numpy does the same for few rows."""

from __future__ import annotations

import ast
import inspect
import itertools
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from segcate._kernels import decorator
from segcate._kernels.decorator import Kernel
from segcate._nuisance import curves
from segcate._statistics import sort
from segcate.effects import SegmentMatching
from segcate.matching import (
    PropensityMatcher,
    _balance,
    _cell_order,
    _greedy,
    _nearest,
    _window_sums,
)

ROOT = Path(decorator.__file__).parents[2]
MODULES = (_balance, _cell_order, _nearest, _window_sums, curves)
# Of these modules some: the others serve order="closest", which keeps a heap, and rankings.
NAMED = {
    sort: ("_count_digits", "_deal_places", "_deal_to_slices"),
    _greedy: ("_prepare", "_visit_from_the_top", "_match_in_turn"),
}
KERNELS = {
    name: value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, Kernel) and value.py_func.__module__ == module.__name__
} | {name: getattr(module, name) for module, names in NAMED.items() for name in names}
# Of numpy, scalars of a kind alone.
SCALARS = {"uint64", "int64", "nan"}
BUILTINS = {"range", "len", "min", "max", "abs", "int"}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_a_leaf_that_allocates_nothing(name):
    tree = ast.parse(textwrap.dedent(inspect.getsource(KERNELS[name].py_func)))
    (function,) = tree.body
    for node in ast.walk(function):
        assert not isinstance(node, ast.Slice)
        if isinstance(node, ast.Call):
            called = node.func
            is_scalar = isinstance(called, ast.Attribute) and called.attr in SCALARS
            assert is_scalar or (isinstance(called, ast.Name) and called.id in BUILTINS), (
                ast.unparse(node)
            )
        if isinstance(node, ast.Return):
            assert node.value is None
    loaded = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    own = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    own |= {argument.arg for argument in function.args.args}
    for constant in loaded - own - BUILTINS - {"np", "kernel"}:
        source = Path(inspect.getfile(KERNELS[name].py_func)).read_text(encoding="utf-8")
        assert f"\n{constant} = " in source, f"{constant} stands in another file than {name}"


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(8)
    X = pd.DataFrame(
        {
            "a": rng.normal(size=400),
            "b": rng.integers(0, 5, 400),
            "c": rng.exponential(size=400) ** 4,
        }
    )
    treatment = (rng.random(400) < 1 / (1 + np.exp(1 - X["a"]))).astype(int)
    y = X["a"] + treatment + rng.normal(size=400)
    return X.assign(segment=rng.integers(0, 3, 400)), y, treatment, rng.uniform(0.5, 2, 400)


def fits(rows):
    """Yield effects and balance of varied designs."""
    X, y, treatment, weight = rows
    for estimand, caliper, exact in itertools.product(("att", "ate"), (None, 0.2), (None, ["b"])):
        matcher = PropensityMatcher(caliper=caliper, exact=exact)
        model = SegmentMatching(matcher, estimand=estimand, on_empty="nan", adjustment="bias")
        for sample_weight in (None, weight):
            model.fit(X, y, treatment=treatment, sample_weight=sample_weight)
            yield model.effects_.drop(columns="status"), model.balance_
    yield from curved_fits(rows)
    yield from greedy_fits(rows)
    array = X.to_numpy(dtype=np.float32)
    model = SegmentMatching(segment=-1, adjustment="bias").fit(
        array, y.to_numpy(), treatment=treatment.astype(bool)
    )
    yield model.effects_.drop(columns="status"), model.balance_


def curved_fits(rows):
    """Yield effects and balance of the curved regression."""
    X, y, treatment, weight = rows
    for sample_weight in (None, weight):
        model = SegmentMatching(adjustment="auto", on_empty="nan")
        model.fit(X, y, treatment=treatment, sample_weight=sample_weight)
        yield model.effects_.drop(columns="status"), model.balance_


def greedy_fits(rows):
    """Yield effects and balance of matching without replacement."""
    X, y, treatment, _ = rows
    for order, estimand in itertools.product(("largest", "data", "random"), ("att", "atc")):
        matcher = PropensityMatcher(n_neighbors=1, replacement=False, order=order, random_state=0)
        model = SegmentMatching(matcher, estimand=estimand, adjustment="bias", on_empty="nan")
        model.fit(X, y, treatment=treatment)
        yield model.effects_.drop(columns="status"), model.balance_


def test_both_paths_give_one_answer_and_each_kernel_has_one_signature(rows, monkeypatch):
    monkeypatch.setattr(decorator, "FEW_ROWS", 10**9)
    by_numpy = list(fits(rows))
    monkeypatch.setattr(decorator, "FEW_ROWS", 0)
    for (effects, balance), (other, other_balance) in zip(by_numpy, fits(rows), strict=True):
        pd.testing.assert_frame_equal(effects, other, rtol=1e-9, atol=1e-12)
        pd.testing.assert_frame_equal(balance, other_balance, rtol=1e-9, atol=1e-12)
    used = [name for name, found in KERNELS.items() if found.is_compiled]
    assert {
        "_nearest_rows",
        "_widen",
        "_mean_short",
        "_count_short",
        "_variances",
        "_deal_rows",
        "_fill",
        "_match_in_turn",
    } <= set(used)
    assert {name: len(KERNELS[name].compiled.signatures) for name in used} == dict.fromkeys(used, 1)


FIT = """
import sys, time
import sklearn.base, sklearn.utils.parallel, sklearn.utils.validation, pandas as pd, numpy as np
importing = time.process_time()
begin = time.process_time()
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
if {block}:
    sys.modules["numba"] = None
def fit(n):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 5)), columns=list("abcde")).assign(segment=rng.integers(0, 4, n))
    treatment = (rng.random(n) < 1 / (1 + np.exp(1 - X["a"]))).astype(int)
    y = X["a"] + treatment + rng.normal(size=n)
    matcher = PropensityMatcher(n_neighbors=1, replacement=False) if {turns} else None
    model = SegmentMatching(matcher, adjustment={adjustment!r}).fit(X, y, treatment=treatment)
    return model.balance_, model.overall_["effect"]
fit({n})
first = time.process_time() - begin
begin = time.process_time()
effect = fit({n})[1]
print(importing, first, time.process_time() - begin, "numba" in sys.modules, effect)
"""


def start(n, cache, block=False, adjustment="bias", turns=False):
    env = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(cache),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", FIT.format(n=n, block=block, adjustment=adjustment, turns=turns)],
        env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


class Run(NamedTuple):
    """CPU seconds of two fits in a new process, and what they found.

    `importing` is what scikit-learn, pandas and numpy take, about one second on a free machine. A
    machine that is slow or busy takes longer over all of it, so that limits grow with it.
    """

    importing: float
    first: float
    second: float
    has_numba: bool
    effect: float

    def allows(self, seconds):
        return seconds * max(1.0, self.importing)


def finish(process):
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    importing, first, second, has_numba, effect = out.split()
    return Run(float(importing), float(first), float(second), has_numba == "True", float(effect))


@pytest.mark.parametrize("adjustment", ["bias", "auto"])
@pytest.mark.parametrize("turns", [False, True])
def test_a_small_fit_needs_no_compiler(tmp_path, adjustment, turns):
    run = finish(start(4000, tmp_path, adjustment=adjustment, turns=turns))
    assert not run.has_numba
    assert not list(tmp_path.rglob("*.nb?"))
    finish(start(4000, tmp_path, block=True, adjustment=adjustment, turns=turns))


def test_few_rows_are_interpreted_until_they_are_many(rows, monkeypatch):
    monkeypatch.setattr(decorator, "FEW_ROWS", 1000)
    function = Kernel(_greedy._match_in_turn.py_func)
    assert [function.for_rows(400) is function for _ in range(4)] == [False, False, True, True]


@pytest.mark.slow
@pytest.mark.parametrize("adjustment", ["bias", "auto"])
def test_compiling_takes_a_few_seconds(tmp_path, adjustment):
    run = finish(start(60_000, tmp_path, adjustment=adjustment))
    assert run.has_numba
    assert run.first - run.second < run.allows(5.0)  # importing numba among them


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Return a cache that two processes made together, and the effect that they found."""
    folder = tmp_path_factory.mktemp("cache")
    first, other = start(25_000, folder), start(25_000, folder)
    effect = finish(first).effect
    assert finish(other).effect == effect
    return folder, effect


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["none", "cut index", "cut code", "noise", "gone"])
def test_a_fit_stands_whatever_the_cache_holds(tmp_path, compiled, damage):
    shutil.copytree(compiled[0], tmp_path, dirs_exist_ok=True)
    kind = "*.nbi" if damage == "cut index" else "*.nbc"
    files = sorted(tmp_path.rglob(kind))
    assert files
    for path in files:
        content = path.read_bytes()
        if damage.startswith("cut"):
            path.write_bytes(content[: len(content) // 2])
        elif damage == "noise":
            path.write_bytes(np.random.default_rng(0).bytes(len(content)))
        elif damage == "gone":
            path.unlink()
    assert finish(start(25_000, tmp_path)).effect == compiled[1]


@pytest.mark.slow
def test_a_fit_stands_where_no_cache_can_be_written():
    assert finish(start(25_000, "/proc/nowhere")).effect > 0
