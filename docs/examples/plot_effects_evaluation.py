"""
Are predicted effects right? From split to target
=================================================

A campaign was sent to some users and not to others; who got it was not left to chance. For whom did
it work, is the model right about it, and whom should the next one go to? The steps are those of every
such analysis: split, fit a model of individual effects, cut the test users by quantile of the
predicted effect, see whether estimates rise and agree with predictions, compare segments, target.

The users are simulated, so the truth is known and stands beside the answers at the end.
"""

# %%
# The users, in four segments. The effect differs between segments and, with the users' need, inside
# them; the need also moves treatment and outcome, which is what an analysis must adjust for.
# sphinx_gallery_thumbnail_number = 5
from segcate.datasets import make_segmented_users

users = make_segmented_users(
    6000,
    effects=[-0.4, 0.0, 0.5, 1.0],
    heterogeneity=0.4,
    treated_share=0.4,
    confounding=0.8,
    random_state=0,
)
X, y, treatment = users.X, users.y, users.treatment

# %%
# Before any outcome is looked at: who is in the segments, and do treated and untreated users of the
# same kind exist? The propensity here is known; `PropensityMatcher` fits one where it is not.
from segcate.plots import OverlapDisplay, SegmentProfileDisplay

SegmentProfileDisplay.from_predictions(X, users.segment)

# %%
OverlapDisplay.from_predictions(users.propensity, treatment, segment=users.segment)

# %%
# Split. Everything below is judged on users that no model has seen.
from sklearn.model_selection import train_test_split

train, test = train_test_split(range(len(X)), test_size=0.5, stratify=treatment, random_state=0)

# %%
# Fit. A causal forest, and beside it a regression with interactions as the yardstick.
from segcate.cate import CausalForest, InteractionRegression

models = {
    "causal forest": CausalForest(n_estimators=200, random_state=0),
    "interaction regression": InteractionRegression(),
}
for model in models.values():
    model.fit(X.iloc[train], y.iloc[train], treatment=treatment.iloc[train])

# %%
# Effects are never observed, so predictions are judged against effect scores: one number for each
# test user whose mean over any group is that group's effect. They are made once, by models that know
# nothing of the two above. Where the chance of treatment is on record, as it is here, hand it in: it
# is better than any model of it.
from segcate.metrics import effect_scores

X_test = X.iloc[test]
psi = effect_scores(
    X_test,
    y.iloc[test],
    treatment=treatment.iloc[test],
    propensity=users.propensity.iloc[test],
    random_state=0,
)

# %%
# How much do predicted effects differ, and between whom?
from segcate.plots import EffectDistributionDisplay, SortedEffectDisplay

forest = models["causal forest"]
SortedEffectDisplay.from_estimator(forest, X_test)

# %%
EffectDistributionDisplay.from_estimator(forest, X_test, by="x0")

# %%
# Cut at quantiles of the predicted effect. Do estimates rise from group to group, and do intervals
# hold the predictions? The picture, and the tests beside it.
from segcate.metrics import effect_by_quantile
from segcate.plots import EffectByQuantileDisplay

EffectByQuantileDisplay.from_estimator(forest, X_test, pseudo_outcome=psi)

# %%
quantiles = effect_by_quantile(psi, forest.predict(X_test))
print(quantiles.frame()[["n", "mean_prediction", "effect", "ci_low", "ci_high"]].round(2))
print(f"groups in order: Kendall's tau {quantiles.monotonicity().kendall_tau:.2f}")
print(f"estimates equal predictions: p = {quantiles.calibration().p_value:.2f}")

# %%
# Which model ranks better? Both curves are made of the same users, so bands that overlap decide
# nothing; `compare_scores` tests the difference.
from segcate.plots import UpliftCurveDisplay

UpliftCurveDisplay.from_estimator(models, X_test, pseudo_outcome=psi, kind="qini")

# %%
# Compare segments, with one effect each from users of the same segment.
from segcate.effects import SegmentMatching
from segcate.plots import LovePlotDisplay, SegmentEffectDisplay

segments = SegmentMatching().fit(X.assign(segment=users.segment), y, treatment=treatment)
LovePlotDisplay.from_estimator(segments)

# %%
SegmentEffectDisplay.from_estimator(segments)

# %%
# Target. A unit of the outcome is worth 1, a mail costs 0.4. The curve says how far down the ranking
# mails pay; its best point was chosen on these users, so it is valued on others: half of the test
# users choose the threshold, the other half say what it is worth.
import numpy as np

from segcate.metrics import policy_value, profit_curve
from segcate.plots import ProfitCurveDisplay

ProfitCurveDisplay.from_estimator(models, X_test, pseudo_outcome=psi, cost=0.4, units="EUR")

# %%
prediction = forest.predict(X_test)
is_choosing = np.arange(len(psi)) % 2 == 0
best = profit_curve(psi[is_choosing], prediction[is_choosing], cost=0.4)
others = ~is_choosing
targeted = policy_value(psi[others], prediction[others] >= best.best_threshold, cost=0.4)
everyone = policy_value(psi[others], np.ones(others.sum(), dtype=int), cost=0.4)
for name, found in ((f"those above {best.best_threshold:.2f}", targeted), ("all", everyone)):
    interval = f"({found.ci_low:.2f} to {found.ci_high:.2f})"
    print(f"mail {name}: {found.share:.0%} of users, profit {found.value:.2f} {interval} per user")

# %%
# The truth, which only a simulation knows.
truth = users.effect.iloc[test].to_numpy()
is_mailed = prediction >= best.best_threshold
print(f"error of the forest's effects (RMSE): {np.sqrt(np.mean((prediction - truth) ** 2)):.2f}")
print(f"true profit of mailing those: {np.mean(is_mailed * (truth - 0.4)):.3f} per user")
print(f"true profit of mailing everyone: {np.mean(truth - 0.4):.3f} per user")
print(
    f"true profit of mailing the right ones: {np.mean((truth > 0.4) * (truth - 0.4)):.3f} per user"
)
