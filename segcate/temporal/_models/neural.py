"""The base of the neural estimators: it fits an ensemble as one batch and keeps its weights."""

from __future__ import annotations

import hashlib
import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_count, check_option, check_seed
from segcate.exceptions import SegcateWarning
from segcate.temporal._models.agreement import compare_with_linear
from segcate.temporal._models.calibration import calibrate
from segcate.temporal._models.estimator import (
    check_treatments,
    find_transform,
    name_roles,
    warn_of_horizon,
)
from segcate.temporal._models.fit_warnings import (
    TrainingSteps,
    warn_of_calibration,
    warn_of_disagreement,
    warn_of_few_steps,
)
from segcate.temporal._models.settings import (
    Network,
    check_settings,
    fill,
    settings_type,
    sized_batch,
)
from segcate.temporal._models.smearing import (
    scale_bounds,
    smear,
    some_units,
    typical_errors,
)
from segcate.temporal._models.staying import count_panel
from segcate.temporal._models.stored_network import StoredNetwork
from segcate.temporal._models.treatment_probe import (
    N_FOLDS,
    TreatmentProbe,
    explained_share,
    name_treatments,
)
from segcate.temporal._models.treatment_weights import (
    future_weights,
    history_columns,
    step_weights,
)
from segcate.temporal._networks.ahead import FactualFutures, RollOut
from segcate.temporal._networks.changes import Changes
from segcate.temporal._networks.descent import Descent
from segcate.temporal._networks.loss_learner import LossLearner
from segcate.temporal._networks.lstm import compile_parts
from segcate.temporal._networks.tensors import PanelTensors, panel_tensors
from segcate.temporal._networks.training import Learner, TrainingSettings, train
from segcate.temporal._panel.coding import check_transform, choose_coding, fit_scaling
from segcate.temporal._panel.factual import factual_plans
from segcate.temporal._panel.panel import Panel, read_panel, with_steps

# Training and validation units of each model, and the epochs of a training.
Units = tuple[torch.Tensor, torch.Tensor | None]
History = list[tuple[float, ...]]

HEADS = ("residual", "direct")

# Units, and futures of units, simulated at a time: keeps the largest tensor near 100 MB.
_MOST_UNITS = 64
_MOST_FUTURES = 5_000

# Largest batch: of units, and of a decoder's windows.
_LARGEST = {
    "training": 128, "propensity_training": 128, "numerator_training": 128, "decoder_training": 1024,
}  # fmt: skip

# Quantile of positive outcomes below which "auto" tries no offset: networks learn badly what a
# logarithm makes of outcomes next to nothing.
_SMALLEST_OFFSET = 0.1

# Parameters that may differ between a fit and the one that goes on from its checkpoint; the outcome
# transform is seen in the scaled outcomes, the random state in the seed drawn from it.
_FREE = {
    "checkpoint",
    "compare_linear",
    "compile",
    "device",
    "outcome_transform",
    "patience",
    "random_state",
    "verbose",
}


@dataclass(eq=False, repr=False, kw_only=True)
class NeuralEstimator(StoredNetwork):
    """An ensemble of networks that read histories.

    A subclass builds its networks in `_build`, trains them in `_train` and rolls them out in
    `_roll_out`; weights are kept as arrays in `weights_`.
    """

    outcome_head: str = "residual"
    outcome_transform: Any = "auto"
    network: Network | None = None
    n_models: int = 1
    random_state: Any = None

    treatment_coding: str = field(init=False)
    _trained: list[TrainingSteps] = field(init=False)

    # Nested parameters whose open fields are those of another one; a training follows `training`.
    _follows: ClassVar[dict[str, str]] = {}
    # A fitted linear model to compare effects with; None: one of its own.
    _beside: ClassVar[Any] = None
    # Whether `_roll_out` gives means on the outcome's own scale, scaled again.
    _averages_paths: ClassVar[bool] = False

    @abstractmethod
    def _build(self, widths: tuple[int, int, int, int], generator: torch.Generator) -> nn.Module:
        """Build the networks for widths of treatment, outcome, covariates and static."""

    @abstractmethod
    def _train(
        self, network: nn.Module, data: PanelTensors, units: Units, generator: torch.Generator
    ) -> tuple[nn.Module, History]:
        """Train; return the networks to predict with and the training history."""

    @abstractmethod
    def _roll_out(
        self, network: nn.Module, data: PanelTensors, origins: torch.Tensor, plans: torch.Tensor
    ) -> torch.Tensor:
        """Predict scaled outcomes, (n_models, n, n_origins, horizon, d_y)."""

    def fit(self, panel: Any, y: Any = None) -> Any:
        """Fit on the histories of all units.

        Parameters
        ----------
        panel : frame
            One row a unit and time, in any order: the columns named in the constructor. The
            treatment of a row is given after its outcome and covariates were seen, and moves the
            outcome of the next row; that of a unit's last row may be missing.
        y : None
            Unused; present for scikit-learn.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If times repeat or are irregular, if no unit has two rows, if a column has no value in a unit, if a
            treatment is never or always given, if the transform does not take an outcome, if a
            parameter is out of range, or if the checkpoint was written by another fit.

        Warns
        -----
        SegcateWarning
            If no unit is as long as `horizon`, if training takes few steps, if changes of units held out are
            predicted out of scale, or if effects and those of a `LinearGComputation` of the same panel
            disagree (`agreement_`).
        """
        owner = type(self).__name__
        self._check_parameters(owner)
        roles = name_roles(owner, self)
        everybody = read_panel(owner, panel, roles)
        data = with_steps(owner, everybody)
        check_treatments(owner, data, roles)
        warn_of_horizon(owner, data, self.horizon)
        self.panel_counts_ = count_panel(data)
        rng = check_seed(owner, self.random_state)
        seed = int(rng.randint(2**31 - 1))
        train_rows, validation_rows = self._split(owner, data.n_units, rng)
        self._roles, self._static_names, self._clock = roles, data.static_names, data.clock
        self.coding_ = choose_coding(
            len(roles.treatment), self.treatment_coding, has_gaps=data.has_gaps
        )
        transform = find_transform(owner, self.outcome_transform, data, _SMALLEST_OFFSET)
        self.scaling_ = fit_scaling(owner, data, transform)
        device = self._device()
        tensors = panel_tensors(data, self.scaling_, self.coding_, device)
        generator = torch.Generator().manual_seed(seed)
        units = (
            torch.as_tensor(train_rows, device=device),
            None if validation_rows is None else torch.as_tensor(validation_rows, device=device),
        )
        self._widths = _widths(tensors)
        self._digest = self._fit_digest(tensors, units, seed)
        # Dropout draws from torch's own generator: a copy of it, so that the caller's stays put.
        gpus = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpus), torch.enable_grad():
            torch.manual_seed(seed)
            network = self._build(self._widths, generator).to(device)
            self._trained = []
            network, history = self._train(network, tensors, units, generator)
        warn_of_few_steps(owner, self.__dict__.pop("_trained"), stacklevel=3)
        self._check_calibration(owner, network, data, tensors, units)
        self.weights_ = {k: v.cpu().numpy() for k, v in network.state_dict().items()}
        self.history_ = np.array(history, dtype=np.float64).reshape(len(history), -1)
        self.n_parameters_ = sum(p.numel() for p in network.parameters()) // self.n_models
        self.__dict__.pop("_built", None)
        self._learn_own_scale(data, train_rows if validation_rows is None else validation_rows)
        self.agreement_ = self._compare(owner, panel, everybody, seed)
        warn_of_disagreement(owner, self.agreement_, stacklevel=3)
        return self

    def _fit_beside(self, panel: Any, linear: Any) -> Any:
        """Fit, and compare effects with those of a linear model of the same panel; None: of one that `fit` fits."""
        self.__dict__["_beside"] = linear
        try:
            return self.fit(panel)
        finally:
            del self.__dict__["_beside"]

    def _compare(self, owner: str, panel: Any, everybody: Panel, seed: int) -> pd.DataFrame | None:
        """Compare effects with those of a linear model, where that is asked for."""
        if not self._filled("training").compare_linear:
            return None
        try:
            return compare_with_linear(
                owner, self, panel, everybody, self._roles, seed, self._beside
            )
        except ValueError as error:
            warnings.warn(
                f"{owner}: effects were not compared with those of LinearGComputation, which was not fitted to "
                f"a part of the units: {error} Fit LinearGComputation yourself, and compare.",
                SegcateWarning,
                stacklevel=3,
            )
            return None

    def _learn_own_scale(self, data: Panel, left_out: Int) -> None:
        """Keep what turns predictions on the scale of a transform into means: errors, and bounds."""
        if self.scaling_.transform == "none":
            self.smearing_ = np.empty((self.n_models, 0, 0, data.outcome.shape[2]))
            self._bounds = np.empty((2, 0))
            return
        self._bounds = scale_bounds(self.scaling_.encode_rows(data), data.is_row)
        units = some_units(left_out)
        part = data.take(units)
        origins, plans, is_there = factual_plans(part, self.horizon)
        self.smearing_ = np.empty((self.n_models, 0, 0, data.outcome.shape[2]))
        if self._averages_paths:
            return
        at = origins[..., None] + np.arange(1, self.horizon + 1)
        at = np.minimum(at, part.outcome.shape[1] - 1)
        reached = self.scaling_.encode_rows(part)
        reached = reached[np.arange(len(units))[:, None, None], at]
        errors = reached - self._on_scale(part, origins, plans)
        is_own = np.stack([np.isin(units, own) for own in left_out])
        found = typical_errors(errors, is_own[:, :, None, None] & is_there)
        # A probability is a mean already.
        self.smearing_ = np.where(self.scaling_.is_binary, 0.0, found)

    def transform(self, panel: Any, *, origin: Any = "last") -> Float:
        """Return the representation of each unit's history.

        Parameters
        ----------
        panel : frame
            As in `predict`.
        origin : "last" or int, default="last"
            The row up to which the history is read.

        Returns
        -------
        float64 array of shape (n_units, n_models * width), units in the sorted order of their ids
        """
        check_is_fitted(self)
        data = self._read(panel)
        return self._representations(data, self._one_origin(data, origin)[:, 0])

    def _representations(self, data: Panel, origins: Int) -> Float:
        """Return the representation of each unit at its origin, of all models side by side."""
        parts = []
        with torch.no_grad():
            for tensors, rows in self._chunks(data):
                phi = self._represent(self._network(), tensors)
                at = torch.as_tensor(origins[rows], device=phi.device)
                parts.append(phi[:, torch.arange(len(at), device=phi.device), at].transpose(0, 1))
        found: Float = torch.cat(parts).flatten(1).cpu().numpy().astype(np.float64)
        return found

    def probe_treatment(self, panel: Any, *, origin: int) -> TreatmentProbe:
        """Tell how well a fresh probe finds the treatment in the representation of histories.

        Parameters
        ----------
        panel : frame
            As in `predict`.
        origin : int
            The row up to which histories are read, and whose treatment the probe looks for. Units of
            which it or the row after it is not known are left out.

        Returns
        -------
        TreatmentProbe
            Representations, treatments, next outcomes, and the share of the treatment's entropy that a
            logistic regression explains on units held out. `segcate.plots.RepresentationDisplay` draws it.

        Raises
        ------
        ValueError
            If `origin` is no row number, or fewer than ten units are known there.
        """
        check_is_fitted(self)
        owner = f"{type(self).__name__}.probe_treatment"
        check_count(owner, "origin", origin, 0)
        data = self._read(panel)
        n_times = data.outcome.shape[1]
        rows = np.flatnonzero(data.is_learned[:, origin]) if origin < n_times else np.empty(0, int)
        if len(rows) < 2 * N_FOLDS:
            raise ValueError(
                f"{owner}: {len(rows)} of {data.n_units} units are known at row {origin} and at the row after "
                f"it; {2 * N_FOLDS} are needed. Use an earlier origin."
            )
        part = data.take(rows)
        found = self._representations(part, np.full(len(rows), origin))
        given = name_treatments(part.treatment[:, origin], self._roles.treatment)
        explained = explained_share(found, given)
        return TreatmentProbe(part.ids, found, given, part.outcome[:, origin + 1], *explained)

    def _changes(self, *, with_covariates: bool = False) -> Changes:
        """Say how outcomes (and covariates) enter and leave the networks."""
        d_y, is_binary = len(self._roles.outcome), self.scaling_.is_binary
        width = len(self.scaling_.change) if with_covariates else d_y
        levels = np.full((2, width), np.nan)
        levels[:, :d_y] = np.where(is_binary, self.scaling_.binary_levels, np.nan)
        sd = None if self.outcome_head == "direct" else self.scaling_.change[:width]
        return Changes(sd, levels if is_binary.any() else None)

    def _represent(self, network: Any, data: PanelTensors) -> torch.Tensor:
        """Return representations, (n_models, n, t, width)."""
        everyone = self._all_units(data)
        found: torch.Tensor = network.trunk(data.inputs(everyone))
        return found

    def _all_units(self, data: PanelTensors) -> torch.Tensor:
        n = data.outcome.shape[0]
        return torch.arange(n, device=data.outcome.device).expand(self.n_models, n)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the built networks out: they are made from `weights_` when needed."""
        state = dict(super().__getstate__())
        state.pop("_built", None)
        return state

    def _network(self) -> nn.Module:
        """Build the fitted networks, once."""
        if "_built" not in self.__dict__:
            device = self._device()
            network = self._build(self._widths, torch.Generator().manual_seed(0))
            weights = {k: torch.as_tensor(v) for k, v in self.weights_.items()}
            network.load_state_dict(weights)
            self.__dict__["_built"] = network.to(device).eval()
        return self.__dict__["_built"]

    def _chunks(self, panel: Panel, n_futures: int = 1) -> Any:
        """Yield tensors of a few units at a time, and which units they are."""
        device = self._device()
        size = max(1, min(_MOST_UNITS, _MOST_FUTURES // (n_futures * self._n_paths)))
        for start in range(0, panel.n_units, size):
            rows = np.arange(start, min(start + size, panel.n_units))
            yield panel_tensors(panel.take(rows), self.scaling_, self.coding_, device), rows

    @property
    def _n_paths(self) -> int:
        """Simulations of each future."""
        return 1

    def _simulate(self, panel: Panel, origins: Int, plans: Float) -> Float:
        found = self._on_scale(panel, origins, plans)
        if self.smearing_.shape[1] == 0:
            return self.scaling_.decode_outcome(found)
        return smear(found, self.smearing_, self._bounds, self.scaling_.decode_outcome)

    def _on_scale(self, panel: Panel, origins: Int, plans: Float) -> Float:
        """Predict scaled outcomes."""
        parts = []
        with torch.no_grad():
            for tensors, rows in self._chunks(panel, origins.shape[1]):
                device = tensors.outcome.device
                coded = self.coding_.encode(plans[rows])
                found = self._roll_out(
                    self._network(),
                    tensors,
                    inside(origins[rows], tensors),
                    torch.as_tensor(coded, dtype=torch.float32, device=device),
                )
                parts.append(found.cpu().numpy())
        return np.concatenate(parts, axis=1).astype(np.float64)

    def set_params(self, **params: Any) -> Any:
        """Set parameters; a nested one that is None is made when one of its fields is set.

        Parameters
        ----------
        **params : parameters
            `training__n_epochs` sets `n_epochs` of `training`.

        Returns
        -------
        self
        """
        for name in {key.partition("__")[0] for key in params if "__" in key}:
            if name in self._defaults and params.get(name, getattr(self, name)) is None:
                setattr(self, name, settings_type(name)())
        return super().set_params(**params)

    def _filled(self, name: str) -> Any:
        """Return a nested parameter, its open fields filled by the model's defaults."""
        defaults, is_training = self._defaults[name], name.endswith("_training")
        followed = self._follows.get(name, "training" if is_training else "")
        if followed:
            known = self._filled(followed).get_params()
            used = known if is_training else self._defaults[followed]
            defaults = {**{field: known[field] for field in used}, **defaults}
        return fill(type(self).__name__, name, getattr(self, name), defaults)

    def _device(self) -> torch.device:
        wanted = self._filled("training").device
        if wanted == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(wanted)

    def _descent(self, name: str = "training") -> Descent:
        """Say how the weights of a network follow its loss."""
        asked = self._filled(name)
        return Descent(asked.learning_rate, asked.weight_decay, asked.max_gradient)

    def _learn(
        self,
        learner: Learner,
        units: Sequence[torch.Tensor | None],
        generator: torch.Generator,
        part: str = "",
        name: str = "training",
        futures: tuple[FactualFutures, RollOut] | None = None,
    ) -> History:
        """Train one network of the model on units, or on windows; return its epochs.

        With `futures` it stops by their error, predicted by a roll-out; else by the learner's own.
        """
        asked, path = self._filled(name), self._filled("training").checkpoint
        if path is not None:
            path = Path(path) if part in ("", "encoder") else Path(path).with_suffix(f".{part}")
        shown = self._filled("training").verbose
        learned: torch.Tensor = units[0]
        n_units = learned.shape[1]
        batch_size = asked.batch_size or sized_batch(n_units, asked.n_epochs, _LARGEST[name])
        settings = TrainingSettings(
            n_epochs=asked.n_epochs,
            batch_size=batch_size,
            patience=asked.patience if asked.early_stopping else None,
            checkpoint=path,
            digest=self._digest,
            is_shown=sys.stderr.isatty() if shown == "auto" else bool(shown),
        )
        label = f"{type(self).__name__} {part}".strip()
        if name not in ("propensity_training", "numerator_training"):
            self._trained.append(TrainingSteps(name, asked.n_epochs, batch_size, n_units))
        error_of = None
        if futures is not None and asked.stop_by == "horizon":
            error_of = partial(futures[0].error, futures[1])
        if self._filled("training").compile:
            compile_parts(learner.network)
        history = train(learner, learned, units[1], settings, generator, label, error_of)
        learner.result.eval()
        return history

    def _check_calibration(
        self, owner: str, network: nn.Module, panel: Panel, data: PanelTensors, held: Units
    ) -> None:
        """Warn where changes of held-out units are predicted out of scale."""
        futures = self._futures(data, held)
        if futures is None:
            return
        with torch.no_grad():
            predicted = self._look_ahead(network, futures.data, futures.origins, futures.plans)
        predicted, came, is_there = futures.changes(predicted)
        units = futures.units.cpu().numpy()
        by_step = step_weights(panel, *history_columns(panel, self.scaling_, self.coding_))[units]
        origins = np.tile(futures.origins.cpu().numpy(), (1, self.n_models))
        found = calibrate(predicted, came, future_weights(by_step, origins, is_there))
        warn_of_calibration(owner, self._roles.outcome, found, stacklevel=4)

    def _look_ahead(
        self, network: Any, data: PanelTensors, origins: torch.Tensor, plans: torch.Tensor
    ) -> torch.Tensor:
        """Predict as `_roll_out` does, by what is quick and can be had while a network learns."""
        return self._roll_out(network, data, origins, plans)

    def _futures(self, data: PanelTensors, units: Units) -> FactualFutures | None:
        """Return what came of the units held out, over the horizon."""
        if units[1] is None:
            return None
        return FactualFutures.of_units(data, units[1], self.horizon)

    def _minimise(
        self,
        network: nn.Module,
        loss: Callable[[Any, torch.Tensor], torch.Tensor],
        units: Sequence[torch.Tensor | None],
        generator: torch.Generator,
        part: str = "",
        name: str = "training",
        roll_out: tuple[FactualFutures | None, Callable[[Any], RollOut]] | None = None,
    ) -> History:
        """Train one network of the model by a loss; return its epochs."""
        learner = LossLearner(
            network, loss, self._descent(name), self._filled(name).moving_average or 0.0
        )
        futures = None
        if roll_out is not None and roll_out[0] is not None:
            futures = roll_out[0], roll_out[1](learner.result)
        history = self._learn(learner, units, generator, part, name, futures)
        network.load_state_dict(learner.result.state_dict())
        network.eval()
        return history

    def _fit_digest(self, data: PanelTensors, units: Units, seed: int) -> str:
        """Return a digest of data, parameters and seed; a checkpoint serves the fit with the same one."""
        if self._filled("training").checkpoint is None:
            return ""
        parameters = self.get_params(deep=False)
        for name in self._defaults:
            del parameters[name]
            fields = self._filled(name).get_params()
            parameters |= {f"{name}__{field}": value for field, value in fields.items()}
        for name in [name for name in parameters if name.rpartition("__")[2] in _FREE]:
            del parameters[name]
        digest = hashlib.sha256(repr((type(self).__name__, seed, parameters)).encode())
        tensors = (
            data.treatment, data.outcome, data.covariates, data.static, data.n_steps,
            data.is_learned, *units,
        )  # fmt: skip
        for tensor in tensors:
            if tensor is not None:
                digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def _split(self, owner: str, n: int, rng: np.random.RandomState) -> tuple[Int, Int | None]:
        """Choose validation units, for each model its own: two arrays (n_models, n_units)."""
        order = np.stack([rng.permutation(n) for _ in range(self.n_models)])
        share = self._filled("training").validation_share
        n_validation = round(share * n)
        if n_validation == 0:
            trainings = [name for name in self._defaults if name.endswith("training")]
            if any(self._filled(name).early_stopping for name in trainings):
                raise ValueError(
                    f"{owner}: validation_share={share} of {n} units leaves none to stop early by. "
                    "Raise it, or set `early_stopping=False` in `training`."
                )
            return np.sort(order, axis=1), None
        if n - n_validation < 2:
            raise ValueError(
                f"{owner}: {n} units are too few to learn from; at least 10 or so are needed."
            )
        return np.sort(order[:, n_validation:], axis=1), np.sort(order[:, :n_validation], axis=1)

    def _check_parameters(self, owner: str) -> None:
        check_count(owner, "n_models", self.n_models, 1)
        for name in self._defaults:
            check_settings(owner, name, self._filled(name))
        check_option(owner, "outcome_head", self.outcome_head, HEADS)
        check_option(
            owner, "treatment_coding", self.treatment_coding, ("auto", "combination", "flags")
        )
        check_transform(owner, self.outcome_transform)


def inside(origins: Int, data: PanelTensors) -> torch.Tensor:
    """Put origins on the device; those beyond the longest unit move to its last row."""
    at = np.minimum(origins, data.outcome.shape[1] - 1)
    return torch.as_tensor(at, device=data.outcome.device)


def _widths(data: PanelTensors) -> tuple[int, int, int, int]:
    d_x = 0 if data.covariates is None else data.covariates.shape[2]
    return data.treatment.shape[2], data.outcome.shape[2], d_x, data.static.shape[1]
