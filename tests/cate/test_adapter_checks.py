"""scikit-learn's own estimator checks on the adapters, as far as the models inside can pass."""

from __future__ import annotations

import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression

from segcate.cate import CausalMLEstimator, EconMLEstimator
from tests.helpers.other_libraries import import_causalml, import_econml
from tests.helpers.sklearn_checks import checks_of, checks_to_run, name_of
from tests.helpers.treatment_shim import AsRegressor, _safe_treatment, propensity_of

meta = import_causalml("meta")
tree = import_causalml("tree")
metalearners = import_econml("metalearners")
dml = import_econml("dml")


class CheckedCausalML(AsRegressor, CausalMLEstimator):
    """CausalMLEstimator that finds its treatment, and with few rows its propensity, in X."""

    def __init__(
        self, model, *, propensity_model=None, cv=2, clip=0.05, random_state=None, n_jobs=None
    ):
        super().__init__(
            model, propensity_model=propensity_model, cv=cv, clip=clip,
            random_state=random_state, n_jobs=n_jobs,
        )  # fmt: skip

    def fit(self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None):
        """Fit with a treatment made of the rows."""
        return super().fit(
            X, y, treatment=_safe_treatment(X) if treatment is None else treatment,
            sample_weight=sample_weight, groups=groups, propensity=propensity_of(X),
        )  # fmt: skip

    def score(self, X, y=None, *, treatment=None, sample_weight=None, pseudo_outcome=None):
        """Score on y in place of effect scores."""
        return super().score(X, y, sample_weight=sample_weight, pseudo_outcome=y)


class CheckedEconML(AsRegressor, EconMLEstimator):
    """EconMLEstimator that finds its treatment in X."""

    def __init__(self, model, *, inference=None, confidence_level=0.95, random_state=None):
        super().__init__(
            model, inference=inference, confidence_level=confidence_level,
            random_state=random_state,
        )  # fmt: skip

    def fit(self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None):
        """Fit with a treatment made of the rows."""
        return super().fit(
            X, y, treatment=_safe_treatment(X) if treatment is None else treatment,
            sample_weight=sample_weight, groups=groups,
        )  # fmt: skip

    def score(self, X, y=None, *, treatment=None, sample_weight=None, pseudo_outcome=None):
        """Score on y in place of effect scores."""
        return super().score(X, y, sample_weight=sample_weight, pseudo_outcome=y)


LINE, LOGIT = LinearRegression(), LogisticRegression()
ESTIMATORS = {
    "S": CheckedCausalML(meta.BaseSRegressor(LINE)),
    "T": CheckedCausalML(meta.BaseTRegressor(LINE)),
    "X": CheckedCausalML(meta.BaseXRegressor(LINE), propensity_model=LOGIT),
    "R": CheckedCausalML(
        meta.BaseRLearner(LINE, n_fold=2, random_state=0, cv_n_jobs=1), propensity_model=LOGIT
    ),
    "causal tree": CheckedCausalML(
        tree.CausalTreeRegressor(honesty=False, min_samples_leaf=2, min_group_samples=1),
        propensity_model=LOGIT,
    ),
    "EconML T": CheckedEconML(metalearners.TLearner(models=LINE)),
    "EconML DML": CheckedEconML(
        dml.LinearDML(model_y=LINE, model_t=LOGIT, discrete_treatment=True, random_state=0, cv=2)
    ),
}
_EQUIVALENCE = "check_sample_weight_equivalence_on_dense_data"
_REFUSES = dict.fromkeys(
    ["check_sample_weights_not_overwritten", _EQUIVALENCE],
    "refuses weights, which the model inside cannot heed",
)
FAILS = {
    "S": _REFUSES,
    "T": _REFUSES,
    "X": _REFUSES,
    "R": {_EQUIVALENCE: "causalml weighs rows in the effect model, not in that of the outcome"},
    "causal tree": {_EQUIVALENCE: "its smallest leaf counts rows, not their weights"},
    "EconML T": _REFUSES,
    "EconML DML": {_EQUIVALENCE: "folds deal rows, so that copies of a row fall apart"},
}
# What scikit-learn 1.6 to 1.9 runs on each; fewer means that a tag hides some.
FEWEST_CHECKS = 50


def cases():
    for name, estimator in ESTIMATORS.items():
        for check in checks_to_run(estimator):
            title = name_of(check)
            why = FAILS.get(name, {}).get(title)
            marks = [] if why is None else [pytest.mark.xfail(reason=why)]
            yield pytest.param(estimator, check, id=f"{name}-{title}", marks=marks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), list(cases()))
def test_scikit_learn_checks(estimator, check):
    check(clone(estimator))


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_no_check_was_lost(name):
    assert len(checks_of(ESTIMATORS[name])) >= FEWEST_CHECKS
