"""
Quitting smoking and weight: effects by segment
===============================================

Did quitting smoking make people heavier, and did it so for everyone alike? 1,566 smokers of NHEFS,
403 of whom quit between 1971 and 1982. Nobody was assigned to quit, so quitters differ from the
others, and each is compared with three others of the same segment who were as likely to quit.
"""

# %%
# The people. Everything in X was measured in 1971, before anyone quit.
from segcate.datasets import load_nhefs

data = load_nhefs()
print(data.description)
data.X.head()

# %%
# Four segments by age, smoking and weight. Only facts from before the treatment may enter.
from segcate.segmentation import KMeansSegmenter, segment_profile

segmenter = KMeansSegmenter(
    4, columns=["age", "smokeintensity", "smokeyrs", "wt71"], random_state=0
)
X = segmenter.fit_transform(data.X)
segment_profile(data.X, segmenter.labels_)[
    ["n", "age", "smokeintensity", "smokeyrs", "wt71"]
].round(1)

# %%
# The design, before any outcome is looked at: how different are quitters, and what is left of the
# difference once they are matched?
from segcate.matching import PropensityMatcher

matcher = PropensityMatcher().fit(X, treatment=data.treatment)
balance = matcher.balance_[["smd_before", "smd_after"]].abs()
balance.groupby(level="segment").median().round(3)

# %%
# The effects. Quitters gained weight in every segment; the heterogeneity test finds no sign that
# segments differ, so the overall effect is the better guess for each, which is what the shrunken
# effects say.
from segcate.effects import SegmentMatching

model = SegmentMatching(matcher).fit(X, data.y, treatment=data.treatment)
print(model.summary())

# %%
from segcate.plots import SegmentEffectDisplay

SegmentEffectDisplay.from_estimator(model, units="kg")
