"""Draw the picture of the front page from Hillstrom's experiment, whose file does not come with segcate.

python docs/landing_picture.py hillstrom.csv        # writes docs/_static/whom_to_mail.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split

from segcate.cate import InteractionRegression
from segcate.datasets import fetch_hillstrom
from segcate.effects import SegmentRegression
from segcate.metrics import effect_scores, profit_curve
from segcate.segmentation import GroupSegmenter

INK, PALE = "#1f4e79", "#9db7d1"
TO = Path(__file__).parent / "_static" / "whom_to_mail.png"


def segments(data, rows):
    """Estimate the effect of women's mail on visits, by what customers bought before."""
    X = data.X.drop(columns="history_segment")[rows]
    bought = X["mens"] + 2 * X["womens"]
    named = bought.map({1: "men's clothes", 2: "women's clothes", 3: "both"})
    customers = GroupSegmenter(["bought"]).fit_transform(X.assign(bought=named))
    model = SegmentRegression()
    arm = (data.treatment[rows] == 2).astype(int)
    model.fit(customers.drop(columns="bought"), data.y[rows], treatment=arm)
    return model


def profits(data):
    """Value mailing the highest predictions first, on customers that no model has seen."""
    X = data.X.drop(columns="history_segment")
    train, test = train_test_split(X.index, test_size=0.5, stratify=data.treatment, random_state=0)
    model = InteractionRegression()
    model.fit(X.loc[train], data.y[train], treatment=data.treatment[train])
    scores = effect_scores(None, data.y[test], treatment=data.treatment[test], design="experiment")
    predicted = model.predict(X.loc[test])[:, 1]
    return profit_curve(scores[:, 1], predicted, value=2.0, cost=0.10).frame()


def draw_effects(ax, model):
    """Draw one effect a segment with its interval."""
    table = model.effects_.sort_values("effect")
    place = range(len(table))
    middle, low, high = (100 * table[name] for name in ("effect", "ci_low", "ci_high"))
    ax.errorbar(middle, place, xerr=[middle - low, high - middle], fmt="o", color=INK, capsize=3)
    names = [f"{name}\n(n = {row['n']:,})" for name, row in table.iterrows()]
    ax.set_yticks(place, names)
    ax.tick_params(left=False)
    ax.axvline(0, color="0.6", linewidth=1)
    ax.axvline(100 * model.overall_["effect"], color=PALE, linestyle="--", linewidth=1)
    ax.text(100 * model.overall_["effect"], -0.52, " everybody", color="0.35", fontsize=8)
    ax.set(ylim=(-0.6, len(table) - 0.4), xlim=(-0.3, 10.5))
    ax.set_xlabel("more visits per 100 customers, 95 % interval")
    ax.set_title("Women's mail, by what customers had bought", loc="left", fontsize=10)


def draw_profit(ax, curve):
    """Draw profit against the share of customers mailed."""
    share, low, high = (100 * curve[name] for name in ("share", "ci_low", "ci_high"))
    ax.fill_between(share, low, high, color=PALE, alpha=0.4, linewidth=0)
    ax.plot(share, 100 * curve["profit"], color=INK, linewidth=1.2)
    ax.axhline(0, color="0.6", linewidth=1)
    ax.set_xlabel("% of customers mailed, highest predicted effect first")
    ax.set_title("Cents earned per customer (95 % band)", loc="left", fontsize=10)


def main(file: str) -> None:
    """Draw both panels."""
    data = fetch_hillstrom(file, outcome="visit")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.2), dpi=130)
    model = segments(data, data.treatment.isin([0, 2]))
    draw_effects(left, model)
    draw_profit(right, profits(data))
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    left.spines["left"].set_visible(False)
    figure.tight_layout(w_pad=3)
    figure.savefig(TO, facecolor="white")
    print((100 * model.effects_[["effect", "ci_low", "ci_high"]]).round(1))
    print(f"do segments differ? p = {model.heterogeneity_.p_value:.1g}")


if __name__ == "__main__":
    main(sys.argv[1])
