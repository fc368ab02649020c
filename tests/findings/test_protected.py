"""Effects and targeting by the levels of a protected column."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.effects import SegmentMatching, SegmentRegression
from segcate.findings import collect_findings
from tests.findings.small import collect, fitted, labelled, users


@pytest.mark.parametrize("estimator", [SegmentMatching(), SegmentRegression()], ids=repr)
def test_levels_have_effects_and_targeting(estimator):
    model = fitted(estimator)
    found = collect(model, protected="plan").by_protected
    plan = labelled()["plan"]
    prediction = model.effects_["effect"].loc[users().segment].to_numpy()
    assert [level.level for level in found.levels] == sorted(plan.unique())
    for level in found.levels:
        at = (plan == level.level).to_numpy()
        assert level.n == at.sum()
        assert level.n_treated == users().treatment[at].sum()
        assert level.share_targeted == pytest.approx((prediction[at] > 0).mean())
        assert level.predicted_gain == pytest.approx(np.maximum(prediction[at], 0).mean())
        assert level.ci_low < level.effect < level.ci_high
    assert 0 <= found.p_value <= 1
    assert found.frame().index.name == "level"


def test_a_known_difference_between_levels_is_found():
    rng = np.random.RandomState(0)
    X = np.column_stack(
        [rng.normal(size=2000), rng.randint(2, size=2000), rng.randint(3, size=2000)]
    )
    t = rng.randint(2, size=2000)
    y = X[:, 0] + t * X[:, 1] * 2 + rng.normal(size=2000)
    model = SegmentMatching(segment=2).fit(X, y, treatment=t)
    found = collect_findings(model, X, y, treatment=t, protected="x1").by_protected
    assert [level.level for level in found.levels] == [0, 1]
    np.testing.assert_allclose([level.effect for level in found.levels], [0, 2], atol=0.3)
    assert found.p_value < 0.001


def test_unknown_and_continuous_columns_are_refused():
    with pytest.raises(
        ValueError, match=r"`protected` is 'sex', and X has no such column; its columns are"
    ):
        collect(protected="sex")
    with pytest.raises(ValueError, match=r"'x1' has 1200 values, and from 2 to 20 can be shown"):
        collect(protected="x1")


def test_without_a_column_it_is_not_computed():
    assert collect().why_not("by_protected").reason == "no column was named"
