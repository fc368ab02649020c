"""What holds for every display: both ways in agree, axes are reused, errors name the way out."""

from __future__ import annotations

import ast
import builtins
import inspect
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba_array
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from segcate import plots
from segcate.plots import (
    EffectByQuantileDisplay,
    EffectDistributionDisplay,
    LovePlotDisplay,
    OverlapDisplay,
    ProfitCurveDisplay,
    RepresentationDisplay,
    SegmentEffectDisplay,
    SegmentProfileDisplay,
    SortedEffectDisplay,
    UpliftCurveDisplay,
)
from tests.helpers.pictures import ColumnEffect, assert_texts_fit, title_of, words

N_ROWS = 200


def drawing(n_rows=N_ROWS, names=("new", "loyal")):
    """Return, by display, a function that draws it through `from_predictions`."""
    rng = np.random.default_rng(0)
    prediction = rng.normal(0.2, 0.5, n_rows)
    psi = prediction + rng.normal(size=n_rows)
    segment = np.array(names)[np.arange(n_rows) % len(names)]
    propensity = rng.uniform(0.1, 0.9, n_rows)
    treatment = (rng.random(n_rows) < propensity).astype(int)
    X = pd.DataFrame({names[0]: prediction, names[-1] + " ": psi})
    index = pd.MultiIndex.from_product(
        [names, ["propensity", *names]], names=["segment", "covariate"]
    )
    balance = pd.DataFrame({"smd_before": 0.3, "smd_after": 0.1}, index=index)
    effects = pd.DataFrame({"effect": 1.0, "ci_low": 0.5, "ci_high": 1.5}, index=list(names))
    first, second = names[0], names[-1]
    return {
        "SegmentEffectDisplay": lambda **kw: SegmentEffectDisplay.from_predictions(effects, **kw),
        "LovePlotDisplay": lambda **kw: LovePlotDisplay.from_predictions(balance, **kw),
        "OverlapDisplay": lambda **kw: OverlapDisplay.from_predictions(
            propensity, treatment, segment=segment, **kw
        ),
        "UpliftCurveDisplay": lambda **kw: UpliftCurveDisplay.from_predictions(
            psi, {first: prediction, second: -prediction}, **kw
        ),
        "EffectByQuantileDisplay": lambda **kw: EffectByQuantileDisplay.from_predictions(
            psi, prediction, **kw
        ),
        "SortedEffectDisplay": lambda **kw: SortedEffectDisplay.from_predictions(prediction, **kw),
        "EffectDistributionDisplay": lambda **kw: EffectDistributionDisplay.from_predictions(
            prediction, segment, **kw
        ),
        "SegmentProfileDisplay": lambda **kw: SegmentProfileDisplay.from_predictions(
            X, segment, **kw
        ),
        "ProfitCurveDisplay": lambda **kw: ProfitCurveDisplay.from_predictions(
            psi, {first: prediction, second: -prediction}, cost=0.2, **kw
        ),
        "RepresentationDisplay": lambda **kw: RepresentationDisplay.from_predictions(
            SimpleNamespace(
                representation=np.column_stack([prediction, psi, propensity]),
                treatment=segment,
                outcome=psi[:, None],
                explained=0.05,
                std_error=0.01,
            ),
            **kw,
        ),
    }


NAMES = list(drawing())


def test_every_public_display_is_tested_here():
    assert sorted(NAMES) == sorted(plots.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_draws_into_the_axes_it_is_given(name):
    figure, axes = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
    display = drawing()[name](ax=axes[1, 0])
    assert display.ax_ is axes[1, 0]
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert isinstance(display, getattr(plots, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_of_four_has_room_for_its_texts(name):
    _, axes = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
    display = None
    for ax in axes.ravel():
        display = drawing()[name](ax=ax)
    assert_texts_fit(display)


@pytest.mark.parametrize("name", NAMES)
def test_plot_takes_axes_by_position_and_all_else_by_keyword(name):
    parameters = inspect.signature(getattr(plots, name).plot).parameters
    assert list(parameters)[:2] == ["self", "ax"]
    assert parameters["ax"].default is None
    kinds = {parameters[other].kind for other in list(parameters)[2:]}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    display = drawing()[name]()
    figure, ax = plt.subplots()
    assert display.plot(ax) is display
    assert display.ax_ is ax
    assert display.figure_ is figure


def kinds_of(name):
    """List the kinds of marks that a display keeps and takes a style for."""
    parameters = inspect.signature(getattr(plots, name).plot).parameters
    return [other.removesuffix("_kw") for other in parameters if other.endswith("_kw")]


# Marks that stand in a picture only sometimes.
OPTIONAL_MARKS = {"unmatched", "overall"}


@pytest.mark.parametrize("name", NAMES)
def test_marks_are_kept_and_drawn_again_only_once(name):
    display = drawing()[name]()
    for _ in range(2):
        for kind in kinds_of(name):
            marks = getattr(display, f"{kind}_")
            assert isinstance(marks, list)
            assert marks or kind in OPTIONAL_MARKS, kind
            assert all(mark.axes is display.ax_ for mark in marks)
        display.plot()


@pytest.mark.parametrize("name", NAMES)
def test_each_mark_takes_a_style_of_its_own(name):
    """A style for one kind of mark reaches all marks of that kind, and no other."""
    draw, kinds = drawing()[name], kinds_of(name)
    display = draw()
    for kind in kinds:
        display.plot(**{f"{kind}_kw": {"alpha": 0.321}})
        for other in kinds:
            shown = {mark.get_alpha() == 0.321 for mark in getattr(display, f"{other}_")}
            assert shown <= {other == kind}, (kind, other)
        plt.close(display.figure_)


@pytest.mark.parametrize("name", NAMES)
def test_styles_pass_through_the_other_ways_in_and_wrong_ones_are_named(name):
    kind = kinds_of(name)[0]
    display = drawing()[name](**{f"{kind}_kw": {"alpha": 0.321}})
    assert {mark.get_alpha() for mark in getattr(display, f"{kind}_")} == {0.321}
    with pytest.raises(TypeError, match=f"{name}.plot: `{kind}_kw` must be None or a dict"):
        display.plot(**{f"{kind}_kw": "red"})
    with pytest.raises((ValueError, AttributeError), match="colr") as unknown:
        display.plot(**{f"{kind}_kw": {"colr": "red"}})
    assert f"`{kind}_kw`" in str(unknown.value)
    with pytest.raises(TypeError, match=f"{name}.plot: `ax` must be matplotlib Axes or None; got"):
        display.plot(plt.figure())
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        drawing()[name](colour="red")


@pytest.mark.parametrize("name", [n for n in NAMES if n != "SegmentProfileDisplay"])
def test_a_colour_in_any_spelling_is_that_of_the_whole_mark(name):
    kind = kinds_of(name)[0]
    display = drawing()[name](**{f"{kind}_kw": {"c": "#123456", "lw": 3}})
    for mark in getattr(display, f"{kind}_"):
        found = mark.get_color() if hasattr(mark, "get_color") else mark.get_facecolor()
        np.testing.assert_allclose(
            to_rgba_array(found)[:, :3], [[0x12 / 255, 0x34 / 255, 0x56 / 255]]
        )
        assert np.unique(mark.get_linewidth()).tolist() == [3]


@pytest.mark.parametrize("name", NAMES)
def test_title_is_the_users_or_none(name):
    assert title_of(drawing()[name](title="A title of our own")) == "A title of our own"
    assert title_of(drawing()[name](title="")) == ""
    default = title_of(drawing()[name]())
    assert any(character.isdigit() for character in default), default


@pytest.mark.parametrize("name", NAMES)
def test_names_with_dollars_are_no_formulas_and_other_scripts_draw(name):
    """Hebrew and Arabic run from right to left; an unknown sign would be a warning."""
    strange = ("$cost$ and $spend$", "פלח של לקוחות חדשים", "عملاء جدد")
    display = drawing(names=strange)[name]()
    display.figure_.canvas.draw()
    assert_texts_fit(display)
    if name not in ("EffectByQuantileDisplay", "SortedEffectDisplay"):
        shown = " ".join(" ".join(words(display)).split())
        assert "$cost$" not in shown.replace(r"\$", "")


@pytest.mark.parametrize("name", NAMES)
def test_two_hundred_thousand_rows_draw_in_seconds(name):
    draw = drawing(200_000)[name]
    drawing()[name]()
    begin = time.process_time()
    display = draw()
    display.figure_.canvas.draw()
    assert time.process_time() - begin < 5.0
    n_points = sum(len(line.get_xdata()) for line in display.ax_.lines)
    n_points += sum(len(path.vertices) for c in display.ax_.collections for path in c.get_paths())
    assert n_points < 10_000


@pytest.mark.parametrize("name", NAMES)
def test_without_matplotlib_the_error_names_the_extra(name, monkeypatch):
    real = builtins.__import__

    def without(module, *args, **kwargs):
        if module.startswith("matplotlib"):
            raise ModuleNotFoundError(module)
        return real(module, *args, **kwargs)

    draw = drawing()[name]
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=rf"{name}.plot needs matplotlib.*segcate\[plot\]"):
        draw()


@pytest.mark.parametrize("name", NAMES)
def test_drawing_changes_no_global_setting(name):
    before = dict(plt.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing()[name]()
    assert dict(plt.rcParams) == before


@pytest.mark.parametrize("name", NAMES)
def test_vector_output_is_lines_and_text_not_a_picture(name, tmp_path):
    display = drawing()[name]()
    file = tmp_path / "picture.svg"
    display.figure_.savefig(file)
    body = file.read_text(encoding="utf-8")
    n_images = body.count("<image")
    assert n_images <= (1 if name == "SegmentProfileDisplay" else 0)  # its colour key is one


BY_ESTIMATOR = {
    UpliftCurveDisplay: {"pseudo_outcome": True, "kind": "qini"},
    ProfitCurveDisplay: {"pseudo_outcome": True, "cost": 0.1},
    EffectByQuantileDisplay: {"pseudo_outcome": True, "n_groups": 3},
    SortedEffectDisplay: {"mark": 0.1},
}


@pytest.mark.parametrize("display", BY_ESTIMATOR, ids=lambda display: display.__name__)
def test_both_ways_in_agree_through_pipelines_and_searches(display):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"effect": rng.normal(size=120)})
    psi = X["effect"] + rng.normal(size=120)
    options = dict(BY_ESTIMATOR[display])
    if options.pop("pseudo_outcome", False):
        several = display in (UpliftCurveDisplay, ProfitCurveDisplay)
        given = {"ColumnEffect": X["effect"]} if several else X["effect"]
        expected = display.from_predictions(psi, given, **options)
        options["pseudo_outcome"] = psi
    else:
        expected = display.from_predictions(X["effect"], **options)
    model = ColumnEffect().fit(X)
    pipe = make_pipeline(FunctionTransformer(), ColumnEffect()).fit(X)
    search = GridSearchCV(pipe, {}, scoring="r2", cv=2).fit(X, X["effect"])
    for estimator in (model, pipe, search, make_pipeline(FunctionTransformer(), search)):
        found = display.from_estimator(estimator, X, **options)
        assert words(found) == words(expected)
        ours = [line.get_xydata() for line in found.ax_.lines if len(line.get_xdata()) > 5]
        theirs = [line.get_xydata() for line in expected.ax_.lines if len(line.get_xdata()) > 5]
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
    with pytest.raises(NotFittedError, match="has no `best_estimator_`"):
        display.from_estimator(GridSearchCV(pipe, {}), X, **options)


@pytest.mark.parametrize("display", BY_ESTIMATOR, ids=lambda display: display.__name__)
def test_what_predicts_no_effect_is_named(display):
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": 0.0})
    options = {"pseudo_outcome": [1.0, 2.0, 3.0]} if display is not SortedEffectDisplay else {}
    with pytest.raises(TypeError, match="FunctionTransformer, which has no `predict`"):
        display.from_estimator(FunctionTransformer(), X, **options)

    class TwoArms(ColumnEffect):
        def predict(self, X):
            return np.asarray(X)

    with pytest.raises(ValueError, match="TwoArms predicts 2 effects a row, one for each arm"):
        display.from_estimator(TwoArms().fit(X), X, **options)


def test_several_estimators_are_named_by_their_keys_and_one_by_its_class():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"effect": rng.normal(size=120)})
    psi, model = X["effect"], ColumnEffect().fit(X)
    for display in (UpliftCurveDisplay, ProfitCurveDisplay):
        assert "ColumnEffect" in words(display.from_estimator(model, X, pseudo_outcome=psi))
        several = display.from_estimator({"ours": model, "theirs": model}, X, pseudo_outcome=psi)
        assert {"ours", "theirs"} <= set(words(several))


def test_displays_use_only_public_parts_of_other_subpackages():
    for path in Path(plots.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not str(node.module).startswith("segcate."):
                continue
            room, *inner = str(node.module).split(".")[1:]
            is_ours = room == "plots" or room.startswith("_")
            assert is_ours or not inner, f"{path.name} imports from {node.module}"
