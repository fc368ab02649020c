"""Pipelines of what people put before and behind our steps, to be stored by one version and read by another.

`python -m tests.helpers.stored_models write FOLDER` stores them with what they predict; `... read FOLDER`,
with other versions installed, loads them, compares, and fits them again.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import segcate
from segcate.cate import CausalForest, InteractionRegression, SegmentedCATE
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.matching import PropensityMatcher
from segcate.metrics import qini_experiment_scorer
from segcate.persistence import describe, dump, load
from segcate.segmentation import ClusterSegmenter, HDBSCANSegmenter, KMeansSegmenter, RuleSegmenter

users = make_segmented_users(400, n_segments=2, categories=True, random_state=0)
numbers = users.X.select_dtypes("number")
gaps = users.X.assign(x1=users.X["x1"].mask(np.arange(400) % 9 == 0))
NUMBERS, TEXTS = list(numbers.columns), ["plan", "channel"]


def columns(*steps: Any, remainder: str = "drop") -> Any:
    """Make a ColumnTransformer that hands a frame on."""
    made = make_column_transformer(
        *steps, remainder=remainder, verbose_feature_names_out=False, sparse_threshold=0.0
    )
    return made.set_output(transform="pandas")


def in_segments(*first: Any) -> Any:
    """Put steps before k-means and matching."""
    return make_pipeline(
        *first, KMeansSegmenter(2, random_state=0), SegmentMatching(on_empty="nan")
    )


def pipelines() -> dict[str, tuple[Any, Any]]:
    """Return each pipeline and its X; metadata routing must be on."""
    one_hot = OneHotEncoder(sparse_output=False)
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    asks = LogisticRegression().set_fit_request(sample_weight=True)
    return {
        "imputer": (in_segments(columns((SimpleImputer(), NUMBERS), remainder="passthrough")), gaps),
        "most frequent": (
            in_segments(columns((SimpleImputer(strategy="most_frequent"), TEXTS + NUMBERS))),
            gaps,
        ),
        "indicator": (
            in_segments(columns((SimpleImputer(add_indicator=True), NUMBERS), (one_hot, TEXTS))),
            gaps,
        ),
        "selector": (
            in_segments(
                columns(
                    (scaled, make_column_selector(dtype_include="number")),
                    (one_hot, make_column_selector(dtype_exclude="number")),
                )
            ),
            gaps,
        ),
        "request": (
            make_pipeline(
                KMeansSegmenter(2, random_state=0), SegmentMatching(PropensityMatcher(asks))
            ),
            numbers,
        ),
        "hdbscan": (
            make_pipeline(
                HDBSCANSegmenter(20, noise="nearest"),
                SegmentAIPW(random_state=0, on_empty="overall"),
            ),
            users.X,
        ),
        "forest": (CausalForest(10, bag_size=5, random_state=0), numbers),
        "mixture": (
            make_pipeline(
                ClusterSegmenter(GaussianMixture(2, random_state=0), random_state=0),
                SegmentRegression(),
            ),
            numbers,
        ),
        "rules": (
            make_pipeline(
                RuleSegmenter({"low": "x0 < 0"}),
                SegmentedCATE(InteractionRegression(), random_state=0),
            ),
            numbers,
        ),
        "search": (
            GridSearchCV(
                make_pipeline(
                    KMeansSegmenter(random_state=0), SegmentMatching(on_empty="overall")
                ),
                {"kmeanssegmenter__n_clusters": [2, 3]},
                scoring=qini_experiment_scorer,
                cv=2,
            ),
            numbers,
        ),
    }  # fmt: skip


def write(folder: Path) -> None:
    """Fit and store each pipeline, with its predictions beside it."""
    for name, (model, X) in pipelines().items():
        model.fit(X, users.y, treatment=users.treatment)
        dump(model, folder / f"{name}.skops")
        np.save(folder / f"{name}.npy", model.predict(X))


def read(folder: Path) -> None:
    """Load each pipeline; it must predict and describe itself as before, and fit again."""
    for name, (_, X) in pipelines().items():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*was stored with scikit-learn")
            model = load(folder / f"{name}.skops")
        expected = np.load(folder / f"{name}.npy")
        np.testing.assert_allclose(model.predict(X), expected, rtol=1e-9, atol=1e-12)
        last = model[-1] if hasattr(model, "steps") else model
        if hasattr(last, "effects_"):
            assert last.summary()
            assert len(last.effects_) > 1
        model.fit(X, users.y, treatment=users.treatment)
    assert len(describe(folder / "search.skops").candidates) == 2


if __name__ == "__main__":
    place = Path(sys.argv[2])
    place.mkdir(exist_ok=True)
    with segcate.routing():
        {"write": write, "read": read}[sys.argv[1]](place)
    print(f"{sys.argv[1]}: {len(list(place.glob('*.skops')))} models, {place}")
