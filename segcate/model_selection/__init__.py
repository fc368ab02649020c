"""Splitters that keep both arms, and honest estimates after a search."""

from segcate._publishing import publish
from segcate.model_selection._honest import HonestEffects, honest_effects
from segcate.model_selection._split import (
    TreatmentStratifiedGroupKFold,
    TreatmentStratifiedKFold,
    TreatmentStratifiedShuffleSplit,
)
from segcate.model_selection._targeting_policy import TargetingPolicy
from segcate.model_selection._targeting_rule import TargetingRule

__all__ = [
    "HonestEffects",
    "TargetingPolicy",
    "TreatmentStratifiedGroupKFold",
    "TreatmentStratifiedKFold",
    "TreatmentStratifiedShuffleSplit",
    "honest_effects",
]

publish(globals(), stored=[TargetingRule])
