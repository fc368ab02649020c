"""What is said of a curved regression: in the summary, and in the status of a segment."""

from __future__ import annotations

from segcate._inputs.listing import listed
from segcate._nuisance.curves import Curves
from segcate.effects._curved.weighted_effects import WeightedEffects

__all__ = ["describe_curves", "donor_note", "std_error_words"]

# Donors that must carry a variance; with fewer, Student's t is wide and the status says why.
_FEW_DONORS = 15
_WHO = ("controls", "treated")


def describe_curves(curves: Curves, found: WeightedEffects) -> str:
    """Name the regression, and how many columns and effective parameters it has."""
    n_segments = len(found.effect)
    n_columns = curves.n_shared + n_segments * len(curves.own)
    used = max(part.arm.fit.n_parameters for part in found.parts)
    shared = ", slopes shared between segments as far as the data say" if n_segments > 1 else ""
    return f"curved{shared} ({n_columns:,} columns, {used:.1f} effective parameters)"


def std_error_words(method: str) -> str:
    """Describe the standard error of residuals; other methods have their names."""
    if method != "residual":
        return method
    return "residuals of the adjustment with exact weights, t by Satterthwaite"


def donor_note(curves: Curves, found: WeightedEffects, code: int, n_rows: tuple[int, int]) -> str:
    """Say where few donors carry the variance, and what was left out of the regression.

    Parameters
    ----------
    n_rows : controls and treated of the segment
    """
    notes = [
        f"few effective {_WHO[part.arm.arm]} (the variance rests on {part.freedom[code]:.0f} of "
        f"{n_rows[part.arm.arm]})"
        for part in found.parts
        if part.freedom[code] < _FEW_DONORS
    ]
    if curves.left_out:
        notes.append(f"adjusted without {listed(curves.left_out)} ({curves.n_columns} columns)")
    return "; ".join(notes)
