"""How treatments, outcomes and features become the numbers that networks read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._inputs.arrays import Bool, Float
from segcate.temporal._panel.outcome_scale import OutcomeScale
from segcate.temporal._panel.panel import Panel

_MOST_COMBINED = 3


@dataclass(frozen=True, slots=True)
class TreatmentCoding:
    """Treatments as one-hot combinations ("combination"), or as flags of their own ("flags").

    The combinations of chemo and radio are none, chemo, radio, both: the first treatment is the
    lowest bit. Behind them stand `n_marks` columns of what is missing, 0 in plans.
    """

    n_treatments: int
    kind: str
    n_marks: int = 0

    @property
    def n_codes(self) -> int:
        """Count the columns of treatments."""
        return 2**self.n_treatments if self.kind == "combination" else self.n_treatments

    @property
    def width(self) -> int:
        """Count the columns."""
        return self.n_codes + self.n_marks

    def encode(self, flags: Float) -> Float:
        """Code 0/1 flags along the last axis; marks are 0."""
        coded = flags
        if self.kind == "combination":
            combination = (flags @ (2.0 ** np.arange(self.n_treatments))).astype(np.intp)
            coded = np.eye(self.n_codes)[combination]
        if self.n_marks == 0:
            return coded
        return np.concatenate([coded, np.zeros((*coded.shape[:-1], self.n_marks))], axis=-1)

    def encode_panel(self, panel: Panel) -> Float:
        """Code what was given; nothing where it is missing, and the marks tell what is."""
        coded = self.encode(panel.treatment) * panel.is_row[..., None]
        if self.n_marks:
            coded *= panel.is_known[..., None]
            coded[..., self.n_codes :] = missing_marks(panel)
        return coded

    def decode(self, coded: Float) -> Float:
        """Return the flags of coded treatments; all zeros count as none."""
        coded = coded[..., : self.n_codes]
        if self.kind == "flags":
            return coded
        bits = np.arange(self.n_codes)[:, None] >> np.arange(self.n_treatments) & 1
        flags: Float = coded @ bits.astype(np.float64)
        return flags


def missing_marks(panel: Panel) -> Float:
    """Mark the rows whose treatments, and whose values, are missing: (n, t, 2), 0 and 1."""
    missing = np.stack([~panel.is_known, ~panel.is_seen], axis=-1) & panel.is_row[..., None]
    return missing.astype(np.float64)


def choose_coding(n_treatments: int, kind: str, *, has_gaps: bool = False) -> TreatmentCoding:
    """Resolve "auto": combinations of up to three treatments, flags beyond; marks where there are gaps."""
    if kind == "auto":
        kind = "combination" if n_treatments <= _MOST_COMBINED else "flags"
    return TreatmentCoding(n_treatments, kind, 2 if has_gaps else 0)


def _identity(values: Float) -> Float:
    return values


def _cube(values: Float) -> Float:
    return values**3


_TRANSFORMS: dict[str, tuple[Callable[[Float], Float], Callable[[Float], Float]]] = {
    "none": (_identity, _identity),
    "cbrt": (np.cbrt, _cube),
    "log1p": (np.log1p, np.expm1),
}


@dataclass(frozen=True, slots=True)
class Scaling:
    """Means and standard deviations of the training units, over the steps that are learned from.

    Attributes
    ----------
    transform : "none", "cbrt", "log1p", a pair of functions (forward, back), or an OutcomeScale an outcome
    outcome, covariates, static : float64 arrays of shape (2, width): mean, standard deviation
    change : float64 array of shape (n_outcomes + n_covariates,)
        Standard deviation of the change from step to step, once scaled.
    is_binary : bool array of shape (n_outcomes,)
        Outcomes that hold 0 and 1 alone, whose predictions are probabilities.
    """

    transform: Any
    outcome: Float
    covariates: Float
    static: Float
    change: Float
    is_binary: Bool

    @property
    def binary_levels(self) -> Float:
        """Return what 0 and 1 are once scaled, (2, n_outcomes)."""
        levels: Float = (np.array([[0.0], [1.0]]) - self.outcome[0]) / self.outcome[1]
        return levels

    @property
    def name(self) -> str:
        """Write the scale of outcomes, one formula an outcome where they differ."""
        if self.is_binary.all():
            return "probability"
        if not has_scales(self.transform):
            return self.transform if isinstance(self.transform, str) else "a pair of functions"
        both = zip(self.transform, self.is_binary, strict=True)
        return ", ".join("probability" if binary else str(scale) for scale, binary in both)

    def encode_outcome(self, y: Float) -> Float:
        """Transform and standardise outcomes."""
        scaled: Float = (self._functions()[0](y) - self.outcome[0]) / self.outcome[1]
        return scaled

    def encode_rows(self, panel: Panel) -> Float:
        """Transform and standardise the outcomes of a panel; zeros behind the last row of a unit."""
        scaled = np.zeros_like(panel.outcome)
        scaled[panel.is_row] = self.encode_outcome(panel.outcome[panel.is_row])
        return scaled

    def decode_outcome(self, z: Float) -> Float:
        """Return standardised outcomes to their own units."""
        return self._functions()[1](z * self.outcome[1] + self.outcome[0])

    def encode_covariates(self, x: Float) -> Float:
        """Standardise covariates."""
        scaled: Float = (x - self.covariates[0]) / self.covariates[1]
        return scaled

    def encode_static(self, v: Float) -> Float:
        """Standardise static features."""
        scaled: Float = (v - self.static[0]) / self.static[1]
        return scaled

    def _functions(self) -> tuple[Callable[[Float], Float], Callable[[Float], Float]]:
        return _functions_of(self.transform)


def _functions_of(transform: Any) -> tuple[Callable[[Float], Float], Callable[[Float], Float]]:
    if isinstance(transform, str):
        return _TRANSFORMS[transform]
    if has_scales(transform):
        return _by_outcome(transform, "forward"), _by_outcome(transform, "back")
    forward, back = transform
    return forward, back


def has_scales(transform: Any) -> bool:
    """Tell whether a transform is one scale an outcome, as "auto" chooses them."""
    return isinstance(transform, tuple) and all(isinstance(s, OutcomeScale) for s in transform)


def _by_outcome(scales: tuple[OutcomeScale, ...], way: str) -> Callable[[Float], Float]:
    def apply(values: Float) -> Float:
        parts = [getattr(scale, way)(values[..., j]) for j, scale in enumerate(scales)]
        return np.stack(parts, axis=-1)

    return apply


def find_binary(panel: Panel) -> Bool:
    """Tell which outcomes hold 0 and 1 alone, and both."""
    y = panel.outcome[panel.is_row & panel.is_seen]
    found: Bool = np.isin(y, (0.0, 1.0)).all(axis=0) & (y.std(axis=0) > 0)
    return found


def check_transform(owner: str, transform: Any) -> Any:
    """Accept "auto", None, a known name, or a pair of functions."""
    if transform is None:
        return "none"
    if isinstance(transform, str) and transform in {*_TRANSFORMS, "auto"}:
        return transform
    if isinstance(transform, tuple) and len(transform) == 2 and all(map(callable, transform)):
        return transform
    raise ValueError(
        f"{owner}: `outcome_transform` must be 'auto', None, 'cbrt', 'log1p' or a pair of functions "
        f"(there and back); got {transform!r}."
    )


def fit_scaling(owner: str, panel: Panel, transform: Any) -> Scaling:
    """Learn the scaling from every step but the last of each unit, whose outcome is only predicted."""
    steps = np.arange(panel.outcome.shape[1])
    is_input = steps < (panel.n_steps - 1)[:, None]
    forward, _ = _functions_of(transform)
    is_row = panel.is_row
    y = np.zeros_like(panel.outcome)
    with np.errstate(invalid="ignore", divide="ignore"):
        y[is_row] = forward(panel.outcome[is_row])
    n_bad = int((~np.isfinite(y)).sum())
    if n_bad:
        raise ValueError(
            f"{owner}: `outcome_transform` gives NaN or infinity for {n_bad} outcomes, the smallest "
            f"being {panel.outcome[is_row].min():g}. Choose a transform that takes all of them; the "
            "logarithm 'log1p' takes those above -1, the cube root 'cbrt' any."
        )
    outcome = _moments(y[is_input])
    covariates = _moments(panel.covariates[is_input])
    values = np.concatenate([y, panel.covariates], axis=2)
    change = np.diff(values, axis=1)[panel.is_learned[:, :-1]].std(axis=0)
    change /= np.concatenate([outcome[1], covariates[1]])
    return Scaling(
        transform=transform,
        outcome=outcome,
        covariates=covariates,
        static=_moments(panel.static),
        change=np.where(change > 0, change, 1.0),
        is_binary=find_binary(panel),
    )


def standardise(values: Float, is_row: Bool) -> tuple[Float, Float]:
    """Return values less the mean of the rows that count, over their spread; zeros elsewhere."""
    moments = _moments(values[is_row])
    return (values - moments[0]) / moments[1] * is_row[..., None], moments


def _moments(rows: Float) -> Float:
    """Return mean and standard deviation, 1 where a column is constant."""
    sd = rows.std(axis=0)
    return np.stack([rows.mean(axis=0), np.where(sd > 0, sd, 1.0)])
