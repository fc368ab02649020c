"""causalml is installed with segcate, and nothing but its own adapter needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Refuse causalml as a machine does on which it is not installed.
BLOCKED = """
import importlib, pkgutil, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "causalml":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refused())
"""
CORE = """
from segcate.cate import CausalForest, InteractionRegression, SegmentedCATE
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.metrics import effect_scores, policy_value, qini_score
from segcate.model_selection import TargetingPolicy
from segcate.segmentation import HDBSCANSegmenter, KMeansSegmenter

users = make_segmented_users(600, n_segments=2, effects=[0, 2], random_state=0)
y, treatment = users.y, users.treatment
X = KMeansSegmenter(2, random_state=0).fit_transform(users.X)
HDBSCANSegmenter(20).fit(users.X)
for model in (
    SegmentMatching(), SegmentRegression(), SegmentAIPW(random_state=0), InteractionRegression(),
    CausalForest(n_estimators=20, random_state=0), SegmentedCATE(InteractionRegression()),
):
    assert abs(model.fit(X, y, treatment=treatment).predict(X).mean() - 1) < 0.5
scores = effect_scores(X, y, treatment=treatment, random_state=0)
assert qini_score(scores, users.effect) > 0
policy_value(scores, users.effect > 1)
TargetingPolicy(InteractionRegression(), random_state=0).fit(X, y, treatment=treatment)
assert "causalml" not in sys.modules
"""
MODULES = """
import segcate

for found in pkgutil.walk_packages(segcate.__path__, "segcate."):
    if found.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(found.name)
    except ModuleNotFoundError as error:  # an extra that is not installed either
        assert error.name != "causalml", found.name
"""
ADAPTER = """
from segcate.cate import CausalMLEstimator
from segcate.datasets import make_segmented_users

users = make_segmented_users(200, random_state=0)
CausalMLEstimator(object()).fit(users.X, users.y, treatment=users.treatment)
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_every_module_is_imported():
    done = run(MODULES)
    assert done.returncode == 0, done.stderr


def test_segments_effects_metrics_and_policies_work():
    done = run(CORE)
    assert done.returncode == 0, done.stderr


def test_the_command_line_works(tmp_path):
    rows = "".join(f"{i % 3 // 2},{i % 7},{i % 11 + i % 5}\n" for i in range(300))
    (tmp_path / "users.csv").write_text("treated,spend,age\n" + rows)
    code = "from segcate.cli import main\nsys.exit(main(sys.argv[1:]))"
    call = ["run", str(tmp_path / "users.csv"), "--outcome", "spend", "--treatment", "treated"]
    done = run(code, *call)
    assert done.returncode == 0, done.stderr
    assert "causalml" not in done.stderr


def test_its_adapter_does_not_take_what_is_no_model_of_causalml():
    done = run(ADAPTER)
    assert done.returncode != 0
    assert "causalml" in done.stderr.strip().splitlines()[-1]
