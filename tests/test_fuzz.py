"""Every public function and class takes odd input without a crash, a false answer or a mute message.

Each public name has a good call (`tests.helpers.public_calls`); one or two of its arguments are
replaced by an odd value (`tests.helpers.odd_values`). What follows must be an answer, or a ValueError
or TypeError that names an argument. The examples are the same in every run.
"""

from __future__ import annotations

import importlib
import warnings

import matplotlib as mpl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.odd_values import (
    BAD_FRAMES,
    BAD_VECTORS,
    ODD_FRAMES,
    ODD_VECTORS,
    SCALARS,
    complaint,
)
from tests.helpers.public_calls import Call, calls

CALLS = calls()
PACKAGES = (
    "cate", "datasets", "effects", "matching", "metrics", "model_selection", "plots", "segmentation", "temporal",
)  # fmt: skip

# Results are made by the functions, not by users; the rest has its own tests of odd input.
RESULTS = {
    "BestLinearPrediction", "Clan", "CombinedBalance", "CounterfactualRows", "CrossFitSegmentEffects", "DenseRows",
    "EffectByGroup", "EffectByQuantile", "EffectChange", "EffectTable", "EstimatorComparison", "GroupCalibration",
    "Heterogeneity",
    "HonestEffects", "MatchedSample", "MetricEstimate", "Monotonicity", "PolicyValue", "ProfitCurve", "RankScore",
    "ScoreComparison", "SecondEstimate",
    "SegmentContrasts", "EValue", "RosenbaumBounds", "SemiSynthetic", "SimulatedState", "TargetingCurve", "TumorGrowth",
    "TreatmentProbe", "TumorPatients",
}  # fmt: skip
ELSEWHERE = {
    "combine_balance": "tests/matching/test_combined_balance.py",
    "combine_profiles": "tests/segmentation/test_combined_profiles.py",
    "compare_estimators": "tests/effects/test_compare_estimators.py",
    "CausalMLEstimator": "tests/cate/test_adapter_checks.py",
    "EconMLEstimator": "tests/cate/test_adapter_checks.py",
    "fetch_hillstrom": "tests/datasets/test_hillstrom.py",
    "fetch_learning_mindset": "tests/datasets/test_mindset.py",
    "load_nhefs": "takes nothing",
    "Matcher": "the base of the matchers, which are here",
    "honest_effects": "tests/model_selection/test_honest.py",
    "pair_differences": "tests/effects/test_rosenbaum.py",
    "CRN": "tests/temporal", "MSM": "tests/temporal", "RMSN": "tests/temporal", "GNet": "tests/temporal",
    "LinearGComputation": "tests/temporal", "TemporalMean": "tests/temporal",
    "CausalTransformer": "tests/temporal", "TrajectorySegmenter": "tests/temporal",
    "cross_fit_segment_effects": "tests/temporal", "segment_effects": "tests/temporal",
    "Network": "tests/temporal", "Training": "tests/temporal",
}  # fmt: skip

LABELS = {"groups", "segment", "group", "labels", "by"}
ARE_LABELS = {
    "all text", "text among values", "infinity", "dates", "bytes", "objects", "None among values", "NaN",
    "NA among values",
}  # fmt: skip
MISALIGNED = {"other labels", "labels turned"}
# Of these another argument may be the one that the message names.
OF_LENGTH = {
    "a row less",
    "a row more",
    "an empty list",
    "one value",
    "no rows",
    "one row",
    "a number",
    "a text",
}
# Columns that a segmenter does not look at may hold anything, and it takes any number of rows.
OF_CONTENT = {
    "lists",
    "dicts",
    "bytes",
    "complex",
    "mixed",
    "infinity",
    "one row",
    "a row less",
    "no columns",
}


def odd_values(call: Call, argument: str) -> dict[str, object]:
    """Return the odd values of an argument, by kind."""
    if argument in call.vectors:
        made = {**BAD_VECTORS, **ODD_VECTORS}
        return {kind: make(call.arguments[argument]) for kind, make in made.items()}
    if argument in call.frames:
        made = {**BAD_FRAMES, **ODD_FRAMES}
        return {kind: make(call.arguments[argument]) for kind, make in made.items()}
    return SCALARS


def is_unanswerable(call: Call, argument: str, kind: str) -> bool:
    """Tell whether an odd value must end in an error."""
    if argument in call.vectors:
        if argument in LABELS and kind in ARE_LABELS:
            return False
        if kind in MISALIGNED:
            return "X" in call.frames
        if kind in ("two columns", "a frame of two") and "policy" in call.arguments:
            return False  # effect scores of two arms beside the control
        is_alone = len(call.vectors) + len(call.frames) == 1
        return kind in BAD_VECTORS and not (is_alone and kind in OF_LENGTH)
    if argument in call.frames:
        return kind in BAD_FRAMES and kind not in OF_CONTENT | {"other labels"}
    return False


def wrong(call: Call, argument: str, kind: str) -> str:
    """Say what is wrong with a call whose argument is odd; "" where all is well."""
    value = odd_values(call, argument)[kind]
    # A scorer predicts from X, so that its `prediction` has the length of X.
    others = (*call.arguments, "prediction") if kind in OF_LENGTH else (argument,)
    found = complaint(
        lambda: call.run(**{**call.arguments, argument: value}),
        others,
        must_fail=is_unanswerable(call, argument, kind),
    )
    return f"{argument} is {kind}: {found}" if found else ""


def n_examples(call: Call) -> int:
    """Return how many examples a call is worth: fewer where it takes longer."""
    return max(3, min(120, 400 // call.cost))


@pytest.mark.parametrize("name", list(CALLS))
def test_odd_input_gets_an_answer_or_a_message(name, monkeypatch):
    call = CALLS[name]
    arguments = [a for a in call.arguments if a not in (*call.fixed, "n_jobs", "n_init")]

    @settings(
        max_examples=n_examples(call),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data):
        argument = data.draw(st.sampled_from(arguments), label="argument")
        kinds = [
            kind for kind in odd_values(call, argument) if not is_left_out(call, argument, kind)
        ]
        kind = data.draw(st.sampled_from(kinds), label="kind")
        found = wrong(call, argument, kind)
        assert not found, f"{name}: {found}"

    with mpl.rc_context({"backend": "Agg"}):
        run()


def is_left_out(call: Call, argument: str, kind: str) -> bool:
    """Tell whether an answer takes too long, or only numpy can say what is wrong with a flag.

    Counts that are very large take too long.
    """
    if isinstance(call.arguments[argument], bool) and kind in (
        "an array",
        "a series",
        "an empty list",
        "a tuple",
    ):
        return True
    if argument in ("gamma", "units", "title"):  # taken as they are: a text, a size of confounding
        return kind in ("an array", "a series", "many", "too many")
    return kind in ("many", "too many") and argument.startswith(("n_", "max_"))


@pytest.mark.parametrize("name", list(CALLS))
def test_the_good_call_is_good(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CALLS[name].run(**CALLS[name].arguments)


def test_every_public_name_is_called():
    public = {"encode_treatment"}
    for package in PACKAGES:
        public |= set(importlib.import_module(f"segcate.{package}").__all__)
    called = {name.partition(",")[0] for name in CALLS}
    assert public == {*called, *RESULTS, *ELSEWHERE}
    assert not set(CALLS) & (RESULTS | set(ELSEWHERE))
