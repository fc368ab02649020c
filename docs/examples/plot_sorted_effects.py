"""
Who gains from a subsidy? Sorted effects, as in Kim (2023)
==========================================================

A Korean scheme adds to the savings of young people who stay with a small firm for two years (*Youth
Tomorrow Mutual Aid*). Kim (2023) fits a causal forest to a survey and shows the predicted effects sorted
from the largest down, their averages in the outer fifths, and how they are spread by sex and education.

The survey may not be handed on, so **the workers here are simulated**: their columns are invented, and the
effects are made so that the averages are near those that the thesis prints (its Table 4.3: 321 in the top
fifth, 25 for all, -304 in the bottom fifth) and larger for men and for graduates. The truth is therefore known,
which shows what such a picture can and cannot tell.
"""

# %%
# The workers. Who joins the scheme depends on age, wage and education, which also move the outcome.
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n = 4000
X = pd.DataFrame(
    {
        "sex": rng.choice(["man", "woman"], n),
        "education": rng.choice(["school", "college", "university"], n, p=[0.3, 0.3, 0.4]),
        "age": rng.integers(19, 35, n),
        "wage": np.exp(rng.normal(5.3, 0.25, n)).round(),
        "firm_size": np.exp(rng.normal(3.2, 0.9, n)).round(),
    }
)
schooling = X["education"].map({"school": -1.0, "college": 0.0, "university": 1.0})
is_man = (X["sex"] == "man") * 2 - 1
effect = 15 + 110 * is_man + 150 * schooling - 130 * (np.log(X["wage"]) - 5.3) / 0.25
chance = 1 / (1 + np.exp(0.6 - 0.3 * schooling + 0.08 * (X["age"] - 26)))
joined = pd.Series(rng.binomial(1, chance), name="joined")
before = 3000 + 60 * (X["age"] - 26) + 200 * schooling + 2 * (X["wage"] - 200)
y = (before + effect * joined + rng.normal(0, 450, n)).rename("outcome")

# %%
# Half of the workers trains the forest, the other half is predicted and judged.
from segcate.cate import CausalForest

train, test = slice(0, n // 2), slice(n // 2, n)
forest = CausalForest(n_estimators=300, random_state=0)
forest.fit(X[train], y[train], treatment=joined[train])
predicted = forest.predict(X[test])

# %%
# Kim's Figure 4.2 and Table 4.3: effects sorted, with their running mean.
from segcate.plots import SortedEffectDisplay

SortedEffectDisplay.from_predictions(predicted)

# %%
# The picture sorts *predictions*. The top fifth of any predictions lies above their mean, also of predictions
# that are noise, so the thesis's table alone does not show that effects differ. What shows it is the effect *estimated*
# in each fifth of workers whom the forest has not seen. Here effects rise from fifth to fifth; the lowest predictions
# are too low.
from segcate.metrics import effect_by_quantile, effect_scores

psi = effect_scores(X[test], y[test], treatment=joined[test], random_state=0)
fifths = effect_by_quantile(psi, predicted)
table = fifths.frame()[["n", "mean_prediction", "effect", "ci_low", "ci_high"]]
order = np.argsort(np.argsort(predicted)) * 5 // len(predicted)
table["true"] = pd.Series(effect[test].to_numpy()).groupby(order).mean().to_numpy()
print(table.round(0).to_string())
found = fifths.monotonicity()
print(f"top less bottom fifth: {found.difference:.0f} ({found.ci_low:.0f} to {found.ci_high:.0f})")

# %%
from segcate.plots import EffectByQuantileDisplay

EffectByQuantileDisplay.from_predictions(psi, predicted)

# %%
# Kim's Figures 4.3 and 4.4: predicted effects by sex and by education.
from segcate.plots import EffectDistributionDisplay

EffectDistributionDisplay.from_predictions(predicted, X[test]["sex"])

# %%
EffectDistributionDisplay.from_predictions(predicted, X[test]["education"])

# %%
# And the same question as one of segments: effects with intervals, and a test of whether they differ.
from segcate.effects import SegmentAIPW
from segcate.plots import SegmentEffectDisplay
from segcate.segmentation import GroupSegmenter

segments = GroupSegmenter(["sex", "education"]).fit_transform(X).drop(columns=["sex", "education"])
model = SegmentAIPW(random_state=0).fit(segments, y, treatment=joined)
print(f"do segments differ? p = {model.heterogeneity_.p_value:.1g}")
SegmentEffectDisplay.from_estimator(model)

# %%
# Who is in the outer fifths?
from segcate.metrics import clan

print(clan(X[test], predicted, pseudo_outcome=psi).frame().round(2).to_string())
