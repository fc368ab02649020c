"""Networks whose representation predicts the next outcome and hides the treatment given now."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from segcate.temporal._networks.averaging import MovingAverage
from segcate.temporal._networks.descent import Descent
from segcate.temporal._networks.layers import ELUPair
from segcate.temporal._networks.recurrent import Windows
from segcate.temporal._networks.tensors import Inputs, PanelTensors


class BalancedNetwork(nn.Module):
    """A trunk, a head for the outcome under a treatment, and a head that guesses the treatment."""

    def __init__(
        self,
        trunk: nn.Module,
        n_models: int,
        widths: tuple[int, int, int],
        generator: torch.Generator,
    ) -> None:
        """Build heads on a trunk; `widths` are of representation, hidden layer and treatment."""
        super().__init__()
        d_r, d_h, d_a = widths
        self.trunk = trunk
        d_y = trunk.n_outcomes
        n_shown = d_y + trunk.changes.n_added if trunk.changes.n_added else 0
        self.outcome_head = ELUPair(n_models, d_r + d_a + n_shown, d_h, d_y, generator)
        self.treatment_head = ELUPair(n_models, d_r, d_h, d_a, generator)

    def outcome(self, phi: Tensor, treatment: Tensor, now: Tensor, before: Tensor) -> Tensor:
        """Predict the next outcome under a treatment from the last two outcomes."""
        found = self._answer(phi, treatment, now, before)
        predicted: Tensor = self.trunk.changes.write(found, now)
        return predicted

    def losses(self, phi: Tensor, treatment: Tensor, inputs: Inputs, target: Tensor) -> Tensor:
        """Return the loss of each predicted outcome."""
        found = self._answer(phi, treatment, inputs.outcome, inputs.prev_outcome)
        losses: Tensor = self.trunk.changes.losses(found, inputs.outcome, target)
        return losses

    def _answer(self, phi: Tensor, treatment: Tensor, now: Tensor, before: Tensor) -> Tensor:
        """Return what the head of the outcome says."""
        changes = self.trunk.changes
        parts = [phi, treatment]
        if changes.n_added:
            parts.append(changes.read(now, before))
        found: Tensor = self.outcome_head(torch.cat(parts, dim=-1))
        return found


def adversary_weight(epoch: int, n_epochs: int, most: float) -> float:
    """Return the weight of the balancing loss: from 0 in the first epoch towards `most`.

    ``most * (2 / (1 + exp(-10 e / E)) - 1)``, Ganin et al. (2016).
    """
    return most * (2.0 / (1.0 + math.exp(-10.0 * epoch / n_epochs)) - 1.0)


class _ReverseGradient(torch.autograd.Function):
    """The identity whose gradient changes sign and size."""

    @staticmethod
    def forward(ctx, x, weight):  # type: ignore[no-untyped-def]
        """Pass on."""
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        """Reverse."""
        return -ctx.weight * grad, None


class BalancedLearner:
    """Learn a network by one of three ways of balancing.

    None: the outcome alone. "cdc", counterfactual domain confusion (Melnychuk et al., 2022, section
    4.2): the trunk confuses a treatment head towards the uniform law, the head learns to guess; each
    step sees the other part by its moving average. "grad_reverse" (Ganin et al., 2016): one step whose
    gradient is reversed between head and trunk.
    """

    def __init__(
        self,
        network: BalancedNetwork,
        data: PanelTensors | Windows,
        *,
        balancing: str | None,
        alpha: float,
        is_one_hot: bool,
        descent: Descent,
        decay: float,
        hides_covariates: bool = False,
    ) -> None:
        self.network, self.data, self.balancing = network, data, balancing
        self.hides_covariates = hides_covariates
        self.alpha, self.is_one_hot = alpha, is_one_hot
        self.descent, self.learning_rate = descent, descent.learning_rate
        self.average = copy.deepcopy(network).requires_grad_(False)
        # In the order of the network: an optimiser's stored state is matched to them by position.
        named = list(network.named_parameters())
        self._head = [p for name, p in named if self._is_head(name)]
        self._rest = [p for name, p in named if not self._is_head(name)]
        parts = [[*self._rest, *self._head]] if balancing == "grad_reverse" else [self._rest]
        if balancing == "cdc":
            parts.append(self._head)
        self.optimisers = [descent.optimiser(part) for part in parts]
        self._ema, self._ema_head = MovingAverage(decay), MovingAverage(decay)

    def step(self, units: Tensor, progress: tuple[int, int]) -> Tensor:
        """Take one optimisation step on a batch; return the outcome loss of each model."""
        weight = 0.0
        if self.balancing is not None:
            weight = adversary_weight(*progress, self.alpha)
        self.network.train()
        self.average.train()
        inputs, target, treatment, counts = self._batch(units)
        phi = self.network.trunk(inputs)
        loss = masked_mean(self.network.losses(phi, treatment, inputs, target), counts)
        total = loss.sum()
        if self.balancing == "cdc":
            logits = self.average.treatment_head(phi)
            total = total + weight * self._confusion(logits, counts).sum()
        elif self.balancing == "grad_reverse":
            logits = self.network.treatment_head(_ReverseGradient.apply(phi, weight))
            total = total + self._guess(logits, treatment, counts).sum()
        self.descent.step(self.optimisers[0], total, len(loss))
        self._ema.update(self.average, self.network, self._is_rest)
        if self.balancing == "cdc":
            self._step_of_head(inputs, treatment, counts, weight)
        return loss.detach()

    def _step_of_head(
        self, inputs: Inputs, treatment: Tensor, counts: Tensor, weight: float
    ) -> None:
        with torch.no_grad():
            phi = self.average.trunk(inputs)
        logits = self.network.treatment_head(phi)
        loss = weight * self._guess(logits, treatment, counts)
        self.descent.step(self.optimisers[1], loss.sum(), len(loss))
        self._ema_head.update(self.average, self.network, self._is_head)

    def _batch(self, units: Tensor) -> tuple[Inputs, Tensor, Tensor, Tensor]:
        """Gather a batch; where covariates may be hidden, repeat it with covariates cut at a random step."""
        target, treatment, counts = self.data.targets(units)
        inputs = self.data.inputs(units, counts.shape[-1])
        if inputs.covariates is None or not self.hides_covariates:
            return inputs, target, treatment, counts
        n_steps = self.data.n_steps[units] - 1
        split = (torch.rand(n_steps.shape, device=units.device) * (n_steps + 1)).long()
        known = torch.cat([torch.full_like(n_steps, counts.shape[-1]), split], dim=1)
        doubled = Inputs(
            twice(inputs.prev_treatment), twice(inputs.prev_outcome), twice(inputs.outcome),
            twice(inputs.covariates), twice(inputs.static), known,
        )  # fmt: skip
        return doubled, twice(target), twice(treatment), twice(counts)

    def _guess(self, logits: Tensor, treatment: Tensor, counts: Tensor) -> Tensor:
        """Cross-entropy of the treatment given."""
        if self.is_one_hot:
            nll = -(treatment * functional.log_softmax(logits, dim=-1)).sum(-1, keepdim=True)
        else:
            nll = functional.binary_cross_entropy_with_logits(logits, treatment, reduction="none")
        return masked_mean(nll, counts)

    def _confusion(self, logits: Tensor, counts: Tensor) -> Tensor:
        """Cross-entropy of the uniform law."""
        if self.is_one_hot:
            nll = -functional.log_softmax(logits, dim=-1).mean(-1, keepdim=True)
        else:
            even = torch.full_like(logits, 0.5)
            nll = functional.binary_cross_entropy_with_logits(logits, even, reduction="none")
        return masked_mean(nll, counts)

    @staticmethod
    def _is_head(name: str) -> bool:
        return name.startswith("treatment_head")

    def _is_rest(self, name: str) -> bool:
        return self.balancing == "grad_reverse" or not self._is_head(name)

    @torch.no_grad()
    def validate(self, units: Tensor) -> Tensor:
        """Return the factual loss of outcomes of each model's moving average."""
        self.average.eval()
        target, treatment, counts = self.data.targets(units)
        inputs = self.data.inputs(units, counts.shape[-1])
        phi = self.average.trunk(inputs)
        return masked_mean(self.average.losses(phi, treatment, inputs, target), counts)

    @property
    def result(self) -> nn.Module:
        """The network to predict with."""
        return self.average

    def state(self) -> dict[str, object]:
        """Everything needed to go on training but the optimisers."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "n_updates": [self._ema.n_updates, self._ema_head.n_updates],
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from `state`."""
        self.network.load_state_dict(state["network"])  # type: ignore[arg-type]
        self.average.load_state_dict(state["average"])  # type: ignore[arg-type]
        self._ema.n_updates, self._ema_head.n_updates = state["n_updates"]  # type: ignore[misc]


def masked_mean(values: Tensor, counts: Tensor) -> Tensor:
    """Average over units, steps and columns where `counts` is 1: one number a model."""
    inside = (values * counts.unsqueeze(-1)).flatten(1).sum(1)
    return inside / (counts.flatten(1).sum(1).clamp(min=1.0) * values.shape[-1])


def twice(x: Tensor) -> Tensor:
    """Repeat the units."""
    return torch.cat([x, x], dim=1)
