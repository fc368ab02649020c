"""E-values: what the package EValue prints, and their properties."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segcate.effects import e_value
from tests.helpers.references import COPIES

REFERENCE = json.loads((COPIES / "sensitivity.json").read_text(encoding="utf-8"))["evalue"]
MEASURES = {"RR": "risk ratio", "OR": "odds ratio", "HR": "hazard ratio"}
EXACT = 1e-9


@pytest.mark.parametrize("record", REFERENCE, ids=lambda record: record["name"])
def test_figures_are_those_of_evalue(record):
    kind, arguments = record["call"].removeprefix("evalues.").rstrip(")").split("(")
    given = [float(part) for part in arguments.split(",")[:3]]
    found = e_value(*given, measure=MEASURES[kind])
    ratio, values = record["value"]
    np.testing.assert_allclose(
        [found.risk_ratio, found.low, found.high],
        [ratio[name] for name in ("point", "lower", "upper")], rtol=EXACT,
    )  # fmt: skip
    assert found.value == pytest.approx(values["point"], rel=EXACT)
    limit = values["lower"] if values["lower"] is not None else values["upper"]
    assert found.limit == pytest.approx(limit, rel=EXACT)


def test_a_difference_is_one_in_standard_deviations():
    found = e_value(2.0, measure="difference", std_error=0.5, std_dev=4.0)
    assert found.risk_ratio == pytest.approx(np.exp(0.91 * 0.5), rel=EXACT)
    assert found.low == pytest.approx(np.exp(0.91 * 0.5 - 1.78 * 0.125), rel=EXACT)
    same = e_value(found.risk_ratio, found.low, found.high)
    assert (found.value, found.limit) == (same.value, same.limit)
    turned = e_value(-2.0, measure="difference", std_error=0.5, std_dev=4.0)
    assert turned.value == pytest.approx(found.value, rel=EXACT)
    assert turned.limit == pytest.approx(found.limit, rel=EXACT)


def test_a_confounder_of_that_strength_explains_the_estimate_away():
    """The bias of a confounder with ratios a and b is at most a b / (a + b - 1)."""
    found = e_value(3.0)
    assert found.value**2 / (2 * found.value - 1) == pytest.approx(3.0, rel=EXACT)
    assert np.isnan(found.limit)


def test_an_interval_with_no_effect_needs_no_confounder():
    assert e_value(1.3, 0.9, 2.0).limit == 1.0
    assert e_value(1.0, 0.9, 1.2).value == 1.0


def test_rare_outcomes_need_no_root():
    assert e_value(4.0, measure="odds ratio", is_rare=True).value == e_value(4.0).value


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"`estimate` must be a number above 0; got -1"):
        e_value(-1)
    with pytest.raises(ValueError, match="does not hold the `estimate`"):
        e_value(2.0, 3.0, 4.0)
    with pytest.raises(ValueError, match="`measure`"):
        e_value(2.0, measure="ratio")
