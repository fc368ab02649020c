"""
Which patients gain from which treatment? Segments of trajectories
==================================================================

Patients are treated day after day, and each treatment answers to what the ones before did. What would
five days of radiotherapy do to a tumour, what five of chemotherapy, and for whom is which better?

The tumours are simulated, so the truth is known and stands beside the answers at the end.
"""

# %%
# One row a patient and day: the volume is seen, then the treatment of the day is given. The larger the
# tumour was of late, the more often it is treated, so treated and untreated days do not compare.
# sphinx_gallery_thumbnail_number = 3
from segcate.temporal import tumor_growth

sim = tumor_growth(900, gamma=2, random_state=0)
panel = sim.panel[sim.panel.groupby("id")["t"].transform("max") >= 20]
panel.head()

# %%
# One part of the patients teaches the model and the segments, the others say what the effects are.
# The cube root of a volume is a diameter, which changes by a like amount each day; that is the scale to
# learn on. Five networks are trained side by side: their disagreement is part of every interval.
from segcate.temporal import GNet, Training

design, others = panel[panel["id"] % 3 > 0], panel[panel["id"] % 3 == 0]
model = GNet(
    ["chemo", "radio"],
    "volume",
    static=["type"],
    horizon=5,
    outcome_transform="cbrt",
    training=Training(n_epochs=70, batch_size=32, dropout=0.0, early_stopping=False),
    n_models=5,
    random_state=0,
).fit(design)

# %%
# The error should have stopped falling: effects are small beside volumes, and are learned last. That on
# held-out patients hangs on a few large tumours, so it is looked at, and not stopped by
# (`early_stopping=False`).
import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6.4, 3.6))
ax.semilogy(model.history_[:, 0], model.history_[:, 1], label="training")
ax.semilogy(model.history_[:, 0], model.history_[:, 2], label="held-out patients")
ax.set(xlabel="epoch", ylabel="squared error of the next day (scaled)")
ax.set_title("The networks have learned what they can")
ax.legend()
figure.tight_layout()

# %%
# What have the networks kept of a history? The same patients twice: by the treatment they were given on day
# 20, and by the volume of the day after. Large tumours lie on one side, and are treated more often, so the
# representation should tell a little of the treatment. How much, says the sentence below the picture.
from segcate.plots import RepresentationDisplay

RepresentationDisplay.from_estimator(model, others, origin=20)

# %%
# Effects from day 20 on, patient by patient, for patients that no network has seen.
radio, chemo = {"radio": [1] * 5}, {"chemo": [1] * 5}
effects = model.effect(others, radio, chemo, origin=20)
effects[effects["step"] == 5].describe()[["effect"]].round(2)

# %%
# Segments of patients for whom the two plans differ alike, and the effect in each. A few large tumours
# hold most of the effect in cubic centimetres, so patients are compared by its cube root.
# `followed_plan` is the share of patients who ever had the whole plan, day after day: near 0 the model
# extrapolates from shorter runs. `began_plan` is the share who ever had its first treatment.
import numpy as np
from sklearn.cluster import KMeans

from segcate.temporal import TrajectorySegmenter, segment_effects


def contrast(model, panel):
    """Predict what radiotherapy adds to the diameter, one row a patient."""
    effects = model.effect(panel, radio, chemo, origin=20)
    return np.cbrt(effects.loc[effects["step"] == 5, ["effect"]].to_numpy())


clusterer = KMeans(4, n_init=10, random_state=0)
segmenter = TrajectorySegmenter(model, clusterer, features=contrast, origin=20).fit(design)
table = segment_effects(model, segmenter, others, radio, chemo, origin=20)
table.round(2)

# %%
# The truth, which only a simulation knows: the very same patients under both plans.
truth = sim.true_effect(radio, chemo, origin=20).query("step == 5")
found = effects.query("step == 5").merge(truth, on="id", suffixes=("", "_true"))
found["segment"] = found["id"].map(segmenter.transform(others).set_index("id")["segment"])
table["true_effect"] = found.groupby("segment")["effect_true"].mean()
print(table[["n", "effect", "ci_low", "ci_high", "true_effect"]].round(2))
print(f"correlation of effects with the truth: {found['effect'].corr(found['effect_true']):.2f}")

# %%
figure, ax = plt.subplots(figsize=(6.4, 3.6))
place = range(len(table))
ax.errorbar(
    table["effect"],
    place,
    xerr=[table["effect"] - table["ci_low"], table["ci_high"] - table["effect"]],
    fmt="o",
    color="black",
    capsize=3,
    label="estimate, 95 % interval",
)
ax.plot(table["true_effect"], place, "D", color="tab:orange", label="truth")
ax.axvline(0, color="0.7", linewidth=1)
ax.set_yticks(place, [f"segment {s} (n = {n})" for s, n in table["n"].items()])
ax.set(
    xlabel="volume after 5 days, radiotherapy less chemotherapy (cm³)",
    ylim=(-0.6, len(table) - 0.4),
)
ax.set_title("For whom radiotherapy is worse")
ax.legend(loc="lower right")
figure.tight_layout()
