"""The table of standard errors of matched effects: choosing, refusing and naming read one row."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import pytest

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.effects._matched.standard_errors import (
    STANDARD_ERRORS,
    STD_ERROR_OPTIONS,
    Situation,
    choose_std_error,
    describe_std_error,
)
from segcate.matching import PropensityMatcher

SITUATIONS = [
    Situation(*values)
    for values in product(
        ("att", "atc", "ate"),
        ("population", "sample"),
        (False, True),
        (False, True),
        (False, True),
        (False, True),
        (0, 2),
        (False, True),
    )
    if not (values[0] == "ate" and (values[2] or not values[4]))
    and not (values[2] and values[7])  # refused before, see the estimator
]


def reasons(name, situation):
    return [r.why for r in STANDARD_ERRORS[name].reasons if r.applies(situation)]


def test_options_are_auto_and_every_name_that_can_be_asked_for():
    assert sorted(STD_ERROR_OPTIONS) == [
        "abadie-imbens", "abadie-imbens-2016", "auto", "group", "pair", "pair+unit", "residual",
    ]  # fmt: skip


def test_auto_takes_a_valid_one_and_has_none_only_for_groups_of_fixed_rows():
    for situation in SITUATIONS:
        if situation.has_groups and situation.conditions_on_rows:
            with pytest.raises(
                ValueError, match=r"std_error='group' is for inference='population'"
            ):
                choose_std_error("SegmentMatching", "auto", situation)
        else:
            name = choose_std_error("SegmentMatching", "auto", situation)
            assert not reasons(name, situation)
            assert (name == "group") == situation.has_groups


def test_what_is_asked_for_is_given_or_refused_with_the_first_reason():
    for situation, name in product(SITUATIONS, STD_ERROR_OPTIONS[1:]):
        why = reasons(name, situation)
        if not why:
            assert choose_std_error("SegmentMatching", name, situation) == name
            continue
        with pytest.raises(ValueError, match="SegmentMatching: std_error=") as found:
            choose_std_error("SegmentMatching", name, situation)
        assert str(found.value) == f"SegmentMatching: std_error={name!r} {why[0]}"


class OnCovariates(PropensityMatcher):
    """A matcher that says of itself that no score is behind its matches."""

    estimates_score = False


def test_a_matcher_without_a_score_has_no_correction_for_one():
    users = make_segmented_users(400, n_segments=2, random_state=0)
    X = users.X.assign(segment=users.segment)
    with pytest.raises(ValueError, match="is for matches on an estimated propensity score alone"):
        SegmentMatching(OnCovariates(), adjustment="bias", std_error="abadie-imbens-2016").fit(
            X, users.y, treatment=users.treatment
        )


@pytest.mark.parametrize(
    ("used", "name"),
    [
        (["abadie-imbens"] * 2, "abadie-imbens"),
        (["abadie-imbens", "abadie-imbens-2016"], "abadie-imbens (the larger of 2006 and 2016)"),
    ],
)
def test_what_auto_used_is_named(used, name):
    estimates = [SimpleNamespace(is_estimated=True, method=method) for method in used]
    assert describe_std_error("abadie-imbens-auto", estimates) == name
    assert describe_std_error("pair", estimates) == "pair"


def test_the_summary_says_how_often_donors_serve():
    users = make_segmented_users(400, n_segments=2, random_state=0)
    X = users.X.assign(segment=users.segment)
    model = SegmentMatching().fit(X, users.y, treatment=users.treatment)
    weights = model.matcher_.matched_.weights[users.treatment == 0]
    (line,) = [line for line in model.summary().splitlines() if line.startswith("Donors")]
    n = (weights > 0).sum()
    assert f"{n} rows serve as a match" in line
    assert f"stands for {weights.max():.3g} rows" in line
