"""Treatments over time: models that predict outcomes under plans, and simulators with known truth.

The networks need PyTorch, the extra `temporal`, and are loaded when first asked for; simulators, plans,
segments, linear g-computation and the marginal structural model do without.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from segcate._publishing import publish
from segcate.temporal._models.linear_g_computation import LinearGComputation
from segcate.temporal._models.msm import MSM
from segcate.temporal._models.settings import Network, Training
from segcate.temporal._models.temporal_mean import TemporalMean
from segcate.temporal._models.treatment_probe import TreatmentProbe
from segcate.temporal._panel.coding import Scaling, TreatmentCoding
from segcate.temporal._panel.outcome_scale import OutcomeScale
from segcate.temporal._panel.panel import Roles
from segcate.temporal._panel.plan import TreatmentPlan
from segcate.temporal._panel.simulated_state import SimulatedState
from segcate.temporal._panel.times import Clock
from segcate.temporal._panel.zeros import Zeros
from segcate.temporal._segments.cross_fit import (
    CrossFitSegmentEffects,
    cross_fit_segment_effects,
)
from segcate.temporal._segments.plan_effects import segment_effects
from segcate.temporal._segments.trajectories import TrajectorySegmenter
from segcate.temporal._simulators.counterfactual_rows import CounterfactualRows, DenseRows
from segcate.temporal._simulators.covariates import standin_covariates
from segcate.temporal._simulators.semi_synthetic import SemiSynthetic, semi_synthetic
from segcate.temporal._simulators.tumor_growth import TumorGrowth, tumor_growth
from segcate.temporal._simulators.tumor_paths import TumorDesign
from segcate.temporal._simulators.tumor_patients import TumorPatients

if TYPE_CHECKING:
    from segcate.temporal._models.causal_transformer import CausalTransformer
    from segcate.temporal._models.crn import CRN
    from segcate.temporal._models.gnet import GNet
    from segcate.temporal._models.rmsn import RMSN

_NETWORKS = {
    "CRN": "_models.crn",
    "CausalTransformer": "_models.causal_transformer",
    "GNet": "_models.gnet",
    "RMSN": "_models.rmsn",
}

__all__ = [
    "CRN",
    "MSM",
    "RMSN",
    "CausalTransformer",
    "CounterfactualRows",
    "CrossFitSegmentEffects",
    "DenseRows",
    "GNet",
    "LinearGComputation",
    "Network",
    "SemiSynthetic",
    "SimulatedState",
    "TemporalMean",
    "Training",
    "TrajectorySegmenter",
    "TreatmentPlan",
    "TreatmentProbe",
    "TumorGrowth",
    "TumorPatients",
    "cross_fit_segment_effects",
    "segment_effects",
    "semi_synthetic",
    "standin_covariates",
    "tumor_growth",
]

publish(
    globals(), stored=[Clock, OutcomeScale, Roles, Scaling, TreatmentCoding, TumorDesign, Zeros]
)


def __getattr__(name: str) -> Any:
    """Load a network when it is first asked for."""
    if name not in _NETWORKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        model = getattr(importlib.import_module(f"{__name__}.{_NETWORKS[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(
            f"segcate.temporal.{name} needs PyTorch, which is not installed. Install it with "
            '`pip install "segcate[temporal]"`; LinearGComputation, MSM and the simulators do without.'
        ) from error
    model.__module__ = __name__
    globals()[name] = model
    return model


def __dir__() -> list[str]:
    """List the networks, too."""
    return sorted({*globals(), *__all__})
