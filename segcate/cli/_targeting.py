"""Whom to treat, and what that is worth: the rule is learned on one half, its value found on the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from segcate._writing.number_texts import write_number
from segcate.cli._analysis import fit_arm, metadata
from segcate.cli._plan import Plan, effect_estimator, segmenter
from segcate.cli._progress import Progress
from segcate.cli._study import Study
from segcate.metrics import PolicyValue, ProfitCurve, effect_scores, profit_curve
from segcate.model_selection import (
    HonestEffects,
    TargetingPolicy,
    TreatmentStratifiedGroupKFold,
    TreatmentStratifiedKFold,
)


@dataclass(frozen=True, slots=True)
class Prices:
    """What treatment costs and what the outcome is worth, in one money.

    Attributes
    ----------
    cost : of treating one row
    value : of one unit of the outcome
    """

    cost: float = 0.0
    value: float = 1.0


@dataclass(frozen=True, slots=True)
class Targeting:
    """Whom to treat.

    Attributes
    ----------
    prices : that the rule was made for
    rows : DataFrame, one row a row of the study: id, predicted effect, whether to treat, and whether
        the rule was learned from it or valued on it
    gain : profit a row over treating nobody, on the rows that the rule did not see
    over_all : the same over treating everybody
    curve : profit by the share treated, on those rows
    share : part of the weight of all rows that is treated; None where rows have none
    """

    prices: Prices
    rows: pd.DataFrame
    gain: PolicyValue
    over_all: PolicyValue
    curve: ProfitCurve
    share: float | None = None

    def summary(self) -> str:
        """Say whom to treat, and what it is worth."""
        is_valued = self.rows["part"] == "valued on"
        level = f"{self.gain.confidence_level:.0%} interval"
        treat = int(self.rows["treat"].sum())
        of_weight = "" if self.share is None else f", {self.share:.0%} of the weight"
        return "\n".join(
            [
                f"Rule            treat where {write_number(self.prices.value)} x predicted effect is above the cost, "
                f"{write_number(self.prices.cost)}",
                f"Whom            {treat:,} of {len(self.rows):,} rows{of_weight}",
                f"Honest          learned on {int((~is_valued).sum()):,} rows, valued on the {int(is_valued.sum()):,} "
                "others",
                f"Profit a row    {_interval(self.gain)} ({level}) over treating nobody",
                f"                {_interval(self.over_all)} ({level}) over treating everybody",
                f"Advice          {self.advice()}",
            ]
        )

    @property
    def is_losing(self) -> bool:
        """Tell whether treating nobody, or everybody, earns more than the rule beyond chance."""
        return self.gain.ci_high < 0 or self.over_all.ci_high < 0

    def advice(self) -> str:
        """Say in words what the profit says."""
        if self.is_losing:
            over_nobody = self.gain.value - self.over_all.value  # of treating everybody
            whom, value = ("everybody", self.over_all) if over_nobody > 0 else ("nobody", self.gain)
            return (
                f"do not use the rule: treating {whom} earns {write_number(-value.value)} more a row "
                f"({write_number(-value.ci_high)} to {write_number(-value.ci_low)})"
            )
        unproven = {"nobody": self.gain.ci_low, "everybody": self.over_all.ci_low}
        others = [whom for whom, low in unproven.items() if low <= 0]
        if not others:
            return "the rule earns more than treating nobody and than treating everybody"
        return (
            f"these rows do not show that the rule earns more than treating {' or '.join(others)}"
        )


def _interval(value: PolicyValue) -> str:
    numbers = map(write_number, (value.value, value.ci_low, value.ci_high))
    return "{}, {} to {}".format(*numbers)


def find_targets(study: Study, plan: Plan, prices: Prices, progress: Progress) -> Targeting:
    """Learn whom to treat on one half of the rows, and value that on the other.

    Parameters
    ----------
    study : rows of one arm and of control
    plan : how segments and effects are found
    prices : cost and worth
    progress : told of each stage
    """
    learn, rest = _halves(study, plan)
    seen, unseen = study.take(learn), study.take(rest)
    recipe = _recipe(seen, plan, progress)
    policy = TargetingPolicy(
        recipe,
        value=prices.value,
        cost=prices.cost,
        cv=None,
        confidence_level=plan.confidence_level,
        random_state=plan.random_state,
    )
    with progress.during(f"learning whom to treat on {len(learn):,} rows"):
        policy.fit(seen.X, seen.y, **metadata(seen))
    with progress.during(f"valuing the rule on {len(rest):,} other rows"):
        psi = effect_scores(
            None if plan.experiment else unseen.X,
            unseen.y,
            design="experiment" if plan.experiment else "observational",
            random_state=plan.random_state,
            **metadata(unseen),
        )
        more = {"pseudo_outcome": psi, "groups": unseen.groups, "sample_weight": unseen.weights}
        gain = policy.evaluate(unseen.X, **more)
        over_all = policy.evaluate(unseen.X, baseline=1, **more)
    effects = np.asarray(policy.effect_estimator_.predict(study.X), dtype=np.float64)
    curve = profit_curve(
        psi,
        effects[rest],
        value=prices.value,
        cost=prices.cost,
        groups=unseen.groups,
        sample_weight=unseen.weights,
        confidence_level=plan.confidence_level,
    )
    part = np.full(len(effects), "learned from", dtype=object)
    part[rest] = "valued on"
    ids = pd.Series(np.arange(len(effects)) + 1, name="row") if study.ids is None else study.ids
    rows = pd.DataFrame(
        {
            str(ids.name): ids.to_numpy(),
            "predicted_effect": effects,
            "treat": policy.predict(study.X),
            "part": part,
        }
    )
    share = None
    if study.weights is not None:
        share = float(np.average(rows["treat"] > 0, weights=study.weights))
    return Targeting(prices, rows, gain, over_all, curve, share)


def _halves(study: Study, plan: Plan) -> tuple[Any, Any]:
    """Deal the rows into two halves alike in arms and outcome; clusters stay whole."""
    kind = TreatmentStratifiedKFold if study.groups is None else TreatmentStratifiedGroupKFold
    splitter = kind(2, shuffle=True, random_state=plan.random_state)
    given = {} if study.groups is None else {"groups": study.groups}
    splits = splitter.split(study.X, study.y, treatment=study.treatment, **given)
    learn, rest = next(iter(splits))
    return learn, rest


def _recipe(study: Study, plan: Plan, progress: Progress) -> Any:
    """Return what learns effects: segments and effects, the segments tuned where asked for."""
    if study.segment is not None:
        return effect_estimator(plan, study.segment, on_empty="overall")
    if plan.tune:
        honest = fit_arm(study, plan, progress).fitted
        assert isinstance(honest, HonestEffects)
        return honest.pipeline.set_params(effects__on_empty="overall")
    estimator = effect_estimator(plan, "segment", on_empty="overall")
    return Pipeline([("segment", segmenter(plan, len(study.X))), ("effects", estimator)])
