"""The training loop: batches by index, early stopping or a falling learning rate, checkpoints."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from segcate._writing.whole_files import whole_file


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How long, in what batches and from where.

    Attributes
    ----------
    n_epochs : passes over the training units
    batch_size : units a step
    patience : epochs without a better validation error after which training ends
        None: all epochs, the learning rate falling to 0 along half a cosine.
    checkpoint : file to write after each epoch and to go on from; None: none
    digest : what tells this fit from fits on other data or with other parameters
    is_shown : whether to write progress to standard error
    """

    n_epochs: int
    batch_size: int
    patience: int | None = None
    checkpoint: Path | None = None
    digest: str = ""
    is_shown: bool = False


class Learner(Protocol):
    """What the loop asks of something that learns by steps."""

    network: nn.Module
    optimisers: list[torch.optim.Adam]
    learning_rate: float

    def step(self, units: Tensor, progress: tuple[int, int]) -> Tensor:
        """Learn from a batch, an index tensor (n_models, n); return the loss of each model."""

    def validate(self, units: Tensor) -> Tensor:
        """Return the validation error of each model."""

    @property
    def result(self) -> nn.Module:
        """The network to predict with."""

    def state(self) -> dict[str, Any]:
        """Everything needed to go on but the optimisers."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from it."""


@dataclass
class _Best:
    """The weights of each model at its lowest validation error."""

    error: Tensor
    weights: dict[str, Tensor]
    since: int = 0

    def look(self, error: Tensor, network: nn.Module) -> None:
        """Keep what is better than before."""
        is_better = error < self.error
        self.error = torch.where(is_better, error, self.error)
        for name, value in network.state_dict().items():
            shape = (-1,) + (1,) * (value.dim() - 1)
            n_inside = value.shape[0] // len(error)
            better = is_better.repeat_interleave(n_inside).view(shape)
            self.weights[name] = torch.where(better, value, self.weights[name])
        self.since = 0 if bool(is_better.any()) else self.since + 1


def train(
    learner: Learner,
    train_units: Tensor,
    validation_units: Tensor | None,
    settings: TrainingSettings,
    generator: torch.Generator,
    name: str,
    error_of: Callable[[], Tensor] | None = None,
) -> list[tuple[float, ...]]:
    """Train all models at once; afterwards `learner.result` holds the weights to predict with.

    With patience those are each model's best on validation units; without, the last ones.

    Parameters
    ----------
    train_units, validation_units : int tensors of shape (n_models, n)
    generator : of the order of units, on the CPU
    name : of the network, for progress and messages
    error_of : function without arguments
        Validation error of each model by `learner.result`; None: `learner.validate`.

    Returns
    -------
    history : one tuple an epoch
        Epoch, mean training loss and mean validation error over models (NaN without one).

    Raises
    ------
    ValueError
        If the checkpoint was written by another fit, or is damaged.
    """
    best: _Best | None = None
    history: list[tuple[float, ...]] = []
    if settings.checkpoint is not None and settings.checkpoint.exists():
        saved = _load(settings.checkpoint, settings.digest, name, train_units.device)
        try:
            history, best = _go_on(saved, learner, generator, train_units.device)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as failure:
            raise _damaged(settings.checkpoint, name, failure) from failure
    progress = _Progress(name, settings)
    for epoch in range(len(history), settings.n_epochs):
        if best is not None and settings.patience is not None and best.since >= settings.patience:
            break
        if settings.patience is None:
            _set_rate(learner, 0.5 + 0.5 * math.cos(math.pi * epoch / settings.n_epochs))
        loss = _one_epoch(learner, train_units, epoch, settings, generator)
        error, best = _validate(learner, validation_units, best, settings, error_of)
        history.append((float(epoch), loss, error))
        progress.show(epoch, loss, error)
        if settings.checkpoint is not None:
            states = {
                "digest": settings.digest,
                "generator": generator.get_state(),
                "random": _random_states(train_units.device),
            }
            _save(settings.checkpoint, learner, best, history, states)
    progress.end()
    if best is not None:
        learner.result.load_state_dict(best.weights)
    return history


def _validate(
    learner: Learner,
    units: Tensor | None,
    best: _Best | None,
    settings: TrainingSettings,
    error_of: Callable[[], Tensor] | None,
) -> tuple[float, _Best | None]:
    """Return the mean validation error, and the best weights so far where they are kept."""
    if units is None:
        return float("nan"), None
    learner.result.eval()
    with torch.no_grad():
        found = learner.validate(units) if error_of is None else error_of()
    if settings.patience is not None:
        if best is None:
            weights = {k: v.clone() for k, v in learner.result.state_dict().items()}
            best = _Best(torch.full_like(found, torch.inf), weights)
        best.look(found, learner.result)
    return float(found.mean()), best


def _set_rate(learner: Learner, share: float) -> None:
    """Learn at a share of the learning rate."""
    for optimiser in learner.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = learner.learning_rate * share


def _one_epoch(
    learner: Learner,
    units: Tensor,
    epoch: int,
    settings: TrainingSettings,
    generator: torch.Generator,
) -> float:
    """Visit every unit once, each model in an order of its own; a last part batch is left out."""
    n_models, n = units.shape
    order = torch.argsort(torch.rand(n_models, n, generator=generator), dim=1).to(units.device)
    shuffled = units.gather(1, order)
    size = min(settings.batch_size, n)
    losses = [
        learner.step(shuffled[:, start : start + size], (epoch, settings.n_epochs))
        for start in range(0, n - size + 1, size)
    ]
    return float(torch.stack(losses).mean())


def _load(path: Path, digest: str, name: str, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint; refuse that of another fit and one that is damaged."""
    try:
        saved = torch.load(path, weights_only=True, map_location=device)
        found = saved["digest"]
    except Exception as error:  # torch raises whatever the bytes lead it to
        raise _damaged(path, name, error) from error
    if found != digest:
        raise ValueError(
            f"{name}: the checkpoint {str(path)!r} was written by a fit on other data, with other "
            "parameters or another seed. Delete it, name another file, or set the `random_state` "
            "of that fit."
        )
    if _holds_nan([saved.get("learner"), saved.get("best") and saved["best"].get("weights")]):
        raise ValueError(
            f"{name}: the checkpoint {str(path)!r} holds weights that are no numbers (NaN): it is damaged, or "
            "training diverged. Delete it and fit anew, with a lower `learning_rate` if that comes again."
        )
    return dict(saved)


def _go_on(
    saved: dict[str, Any], learner: Learner, generator: torch.Generator, device: torch.device
) -> tuple[list[tuple[float, ...]], _Best | None]:
    """Put learner and random numbers where they were; return the history and the best weights."""
    learner.restore(saved["learner"])
    for optimiser, state in zip(learner.optimisers, saved["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    generator.set_state(saved["generator"].cpu())
    _set_random_states(saved["random"], device)
    kept = saved["best"]
    best = None if kept is None else _Best(kept["error"], kept["weights"], kept["since"])
    return [tuple(row) for row in saved["history"]], best


def _damaged(path: Path, name: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{name}: the checkpoint {str(path)!r} is damaged or none of ours ({reason:.200}). Delete it to fit anew, or "
        "name another file."
    )


def _holds_nan(saved: Any) -> bool:
    """Look for NaN in all tensors of nested dicts and lists."""
    if isinstance(saved, Tensor):
        return saved.is_floating_point() and bool(torch.isnan(saved).any())
    inner = saved.values() if isinstance(saved, dict) else saved
    return isinstance(saved, dict | list | tuple) and any(_holds_nan(value) for value in inner)


def _save(
    path: Path,
    learner: Learner,
    best: _Best | None,
    history: list[tuple[float, ...]],
    states: dict[str, Any],
) -> None:
    """Write a checkpoint, whole or not at all."""
    kept = None
    if best is not None:
        kept = {"error": best.error, "weights": best.weights, "since": best.since}
    content = {
        "learner": learner.state(),
        "optimisers": [optimiser.state_dict() for optimiser in learner.optimisers],
        "history": [list(row) for row in history],
        "best": kept,
        **states,
    }
    with whole_file(path) as part:
        try:
            torch.save(content, part)
        except RuntimeError as error:  # torch's word for a full disk
            raise OSError(str(error)) from error


def _random_states(device: torch.device) -> list[Tensor]:
    """Return the states of torch's own generators, which dropout draws from."""
    on_gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *on_gpu]


def _set_random_states(states: list[Tensor], device: torch.device) -> None:
    """Go on drawing where the states were taken."""
    torch.set_rng_state(states[0].cpu())
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1].cpu(), device)


class _Progress:
    """One line on standard error, rewritten every half second."""

    def __init__(self, name: str, settings: TrainingSettings) -> None:
        self.name, self.settings = name, settings
        self.start = self.last = time.monotonic()
        self.text = ""

    def show(self, epoch: int, loss: float, error: float) -> None:
        now = time.monotonic()
        n = self.settings.n_epochs
        left = (now - self.start) / (epoch + 1) * (n - epoch - 1)
        bar = "#" * round(20 * (epoch + 1) / n)
        self.text = (
            f"{self.name} [{bar:<20}] {epoch + 1}/{n} loss {loss:.4f} validation {error:.4f} "
            f"{left:.0f} s left"
        )
        if self.settings.is_shown and now - self.last > 0.5:
            self.last = now
            print(f"\r{self.text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.settings.is_shown and self.text:
            print(f"\r{self.text}", file=sys.stderr, flush=True)
