"""A scale for an outcome, as two plain numbers: its kind and its offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float

# Outcomes nearer to zero than this, in units of their spread, count as this far in a slope.
_NEAREST = 1e-3


@dataclass(frozen=True, slots=True)
class OutcomeScale:
    """A scale for an outcome: identity, sqrt, cbrt, log(1 + y / offset) or asinh(y / offset).

    Attributes
    ----------
    kind : "identity", "sqrt", "cbrt", "log" or "asinh"
    offset : float
        Where "log" and "asinh" turn from linear to logarithmic, in units of the outcome; else 1.
    """

    kind: str
    offset: float = 1.0

    def __str__(self) -> str:
        """Write the scale as a formula."""
        formulas = {
            "log": f"log(1 + y / {self.offset:.3g})",
            "asinh": f"asinh(y / {self.offset:.3g})",
        }
        return formulas.get(self.kind, self.kind)

    def forward(self, y: Float) -> Float:
        """Put outcomes on the scale."""
        if self.kind in ("sqrt", "log") and (y < 0).any():
            raise ValueError(
                f"outcome_transform='auto' chose {self}, as all outcomes of the fit were at least 0; "
                f"found {int((y < 0).sum())} below, the smallest {float(y.min()):g}. Check them, or fit "
                "with these units, too."
            )
        found: Float
        if self.kind == "identity":
            found = y
        elif self.kind == "sqrt":
            found = np.sqrt(y)
        elif self.kind == "cbrt":
            found = np.cbrt(y)
        elif self.kind == "log":
            found = np.log1p(y / self.offset)
        else:
            found = np.arcsinh(y / self.offset)
        return found

    def back(self, z: Float) -> Float:
        """Return values on the scale to the outcome's own; those of sqrt and log are at least 0."""
        found: Float
        if self.kind == "identity":
            found = z
        elif self.kind == "sqrt":
            found = np.maximum(z, 0.0) ** 2
        elif self.kind == "cbrt":
            found = z**3
        elif self.kind == "log":
            found = np.maximum(np.expm1(z), 0.0) * self.offset
        else:
            found = np.sinh(z) * self.offset
        return found

    def log_slope(self, y: Float, spread: float) -> Float:
        """Return the logarithm of the slope of the scale at outcomes."""
        if self.kind == "identity":
            return np.zeros_like(y)
        far = np.maximum(np.abs(y), _NEAREST * spread)
        found: Float
        if self.kind == "sqrt":
            found = -np.log(2.0) - 0.5 * np.log(far)
        elif self.kind == "cbrt":
            found = -np.log(3.0) - np.log(far) * (2.0 / 3.0)
        elif self.kind == "log":
            found = -np.log(self.offset + y)
        else:
            found = -0.5 * np.log(y**2 + self.offset**2)
        return found
