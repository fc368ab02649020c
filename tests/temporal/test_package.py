"""What an import of the temporal room costs and offers, with PyTorch and without."""

import subprocess
import sys
from pathlib import Path

import pytest

from segcate import temporal

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Missing())
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.strip()


def test_simulators_load_no_pytorch():
    code = (
        "import sys; from segcate.temporal import semi_synthetic, standin_covariates, tumor_growth;"
        "tumor_growth(3, random_state=0).one_step(2, random_state=0).panel;"
        "semi_synthetic(standin_covariates(5, 5, random_state=0), center=True, random_state=0);"
        "print('torch' in sys.modules)"
    )
    assert run(code) == "False"


def test_without_pytorch_simulators_work_and_models_name_the_extra():
    code = WITHOUT_TORCH + (
        "import segcate.temporal as t; print(len(t.tumor_growth(3, random_state=0).volume))\n"
        "try:\n    t.CausalTransformer\nexcept ImportError as error:\n    print(error)"
    )
    n_patients, message = run(code).split("\n", 1)
    assert n_patients == "3"
    assert "segcate.temporal.CausalTransformer needs PyTorch" in message
    assert 'pip install "segcate[temporal]"' in message


def test_without_pytorch_msm_segments_and_plans_work():
    code = WITHOUT_TORCH + (
        "from segcate.temporal import MSM, TrajectorySegmenter, TreatmentPlan, tumor_growth\n"
        "panel = tumor_growth(100, gamma=2, random_state=0).panel\n"
        "model = MSM(['chemo', 'radio'], 'volume', horizon=2).fit(panel)\n"
        "plan = TreatmentPlan({'chemo': [1, 0]})\n"
        "found = TrajectorySegmenter(model, features='potential_outcomes', plan=plan).fit(panel)\n"
        "print(len(found.labels_), 'torch' in sys.modules)"
    )
    assert run(code) == "100 False"


def test_models_are_loaded_when_asked_for():
    pytest.importorskip("torch")
    assert temporal.CausalTransformer.__name__ == "CausalTransformer"
    assert set(temporal.__all__) <= set(dir(temporal))


def test_other_names_are_no_attributes():
    with pytest.raises(AttributeError, match="has no attribute 'Transformer'"):
        temporal.Transformer  # noqa: B018
