"""The counterfactual recurrent network of Bica, Alaa, Jordon & van der Schaar (2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from segcate._inputs.parameters import check_option
from segcate.temporal._models.causal_transformer import BALANCING
from segcate.temporal._models.neural import NeuralEstimator
from segcate.temporal._networks.balanced import BalancedLearner, BalancedNetwork
from segcate.temporal._networks.recurrent import (
    RecurrentTrunk,
    Windows,
    last_two_outcomes,
    take_steps,
    windows_of,
)
from segcate.temporal._networks.tensors import PanelTensors
from segcate.temporal._networks.training import train

__all__ = ["CRN"]


class CRN(NeuralEstimator):
    """Predict outcomes under treatment plans by an encoder and a decoder LSTM, both balanced.

    A baseline of the Causal Transformer. The encoder reads the history and predicts one step; the
    decoder begins from its representation and goes on from its own predictions.

    Parameters
    ----------
    treatment, outcome, covariates, static, id, time, horizon : as in `CausalTransformer`
    balancing : {"grad_reverse", "cdc", None}, default="grad_reverse"
        How representations are kept from telling the treatment: gradient reversal as in the paper.
    alpha : float, default=1.0
        Weight of the balancing loss at the end of training, >= 0 (with "cdc" take 0.01).
    outcome_head, outcome_transform, treatment_coding : as in `CausalTransformer`
    hidden, representation, head : int, default=24, 18, 36
        Widths of the encoder's LSTM, of its representation (and so of the decoder's LSTM), and of
        the hidden layer of the heads.
    decoder_representation, decoder_head : int, default=18, 36
        The decoder's likewise.
    dropout : float in [0, 1), default=0.1
    n_models, n_epochs, batch_size, learning_rate : default=1, 100, 128, 0.01
    decoder_epochs, decoder_batch_size : int, default=30, 1024
        Of the decoder; its batches are windows after an origin.
    validation_share, patience, checkpoint, device, verbose, random_state : as in
        `CausalTransformer`
        With a `checkpoint` the decoder writes to a second file, ending in ".decoder".

    Attributes
    ----------
    weights_, history_, n_parameters_, coding_, scaling_ : as in `CausalTransformer`
        `history_` lists the encoder's epochs, then the decoder's.

    References
    ----------
    Bica, I., Alaa, A. M., Jordon, J., & van der Schaar, M. (2020). Estimating counterfactual
    treatment outcomes over time through adversarially balanced representations. ICLR.

    Examples
    --------
    >>> from segcate.temporal import CRN, tumor_growth
    >>> panel = tumor_growth(60, gamma=2, random_state=0).panel
    >>> model = CRN(["chemo", "radio"], "volume", horizon=3, n_epochs=2, decoder_epochs=2,
    ...             outcome_transform="cbrt", random_state=0)
    >>> plan = {"chemo": [1, 1, 1], "radio": [0, 0, 0]}
    >>> model.fit(panel).predict(panel, plan, origin=2).shape
    (180, 4)
    """

    def __init__(
        self,
        treatment: str | Sequence[str] = "treatment",
        outcome: str | Sequence[str] = "outcome",
        *,
        covariates: Sequence[str] = (),
        static: Sequence[str] = (),
        id: str = "id",
        time: str = "t",
        horizon: int = 6,
        balancing: str | None = "grad_reverse",
        alpha: float = 1.0,
        outcome_head: str = "residual",
        outcome_transform: Any = None,
        treatment_coding: str = "auto",
        hidden: int = 24,
        representation: int = 18,
        head: int = 36,
        decoder_representation: int = 18,
        decoder_head: int = 36,
        dropout: float = 0.1,
        n_models: int = 1,
        n_epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 0.01,
        decoder_epochs: int = 30,
        decoder_batch_size: int = 1024,
        validation_share: float = 0.15,
        patience: int | None = 15,
        checkpoint: Any = None,
        device: str = "auto",
        verbose: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.treatment = treatment
        self.outcome = outcome
        self.covariates = covariates
        self.static = static
        self.id = id
        self.time = time
        self.horizon = horizon
        self.balancing = balancing
        self.alpha = alpha
        self.outcome_head = outcome_head
        self.outcome_transform = outcome_transform
        self.treatment_coding = treatment_coding
        self.hidden = hidden
        self.representation = representation
        self.head = head
        self.decoder_representation = decoder_representation
        self.decoder_head = decoder_head
        self.dropout = dropout
        self.n_models = n_models
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.decoder_epochs = decoder_epochs
        self.decoder_batch_size = decoder_batch_size
        self.validation_share = validation_share
        self.patience = patience
        self.checkpoint = checkpoint
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def _check_parameters(self, owner: str) -> None:
        super()._check_parameters(owner)
        check_option(owner, "balancing", self.balancing, BALANCING)
        if not self.alpha >= 0:
            raise ValueError(f"{owner}: `alpha` must be at least 0; got {self.alpha!r}.")

    def _build(self, widths: tuple[int, int, int, int], generator: torch.Generator) -> nn.Module:
        n, rate, changes = self.n_models, self.dropout, self._changes()
        encoder = RecurrentTrunk(
            n, widths, self.hidden, self.representation, rate, changes, generator
        )
        without_covariates = (widths[0], widths[1], 0, widths[3])
        decoder = RecurrentTrunk(
            n, without_covariates, self.representation, self.decoder_representation,
            rate, changes, generator,
        )  # fmt: skip
        sizes = (
            (encoder, self.representation, self.head),
            (decoder, self.decoder_representation, self.decoder_head),
        )
        return _EncoderDecoder(
            *(
                BalancedNetwork(trunk, n, (d_r, d_h, widths[0]), generator)
                for trunk, d_r, d_h in sizes
            )
        )

    def _train(
        self,
        network: Any,
        data: PanelTensors,
        units: tuple[Tensor, Tensor | None],
        generator: torch.Generator,
    ) -> tuple[nn.Module, list[tuple[float, ...]]]:
        settings = self._settings()
        encoder = self._learner(network.encoder, data)
        history = train(encoder, *units, settings, generator, "CRN encoder")
        encoder.result.eval()
        windows = encoded_windows(encoder.result, data, self.n_models, max(self.horizon - 1, 1))
        decoder = self._learner(network.decoder, windows)
        settings = replace(
            settings,
            n_epochs=self.decoder_epochs,
            batch_size=self.decoder_batch_size,
            checkpoint=settings.checkpoint and settings.checkpoint.with_suffix(".decoder"),
        )
        train_part, validation_part = (
            None if part is None else windows.of_units(part) for part in units
        )
        if train_part is not None:
            history += train(
                decoder, train_part, validation_part, settings, generator, "CRN decoder"
            )
        return _EncoderDecoder(encoder.result, decoder.result), history

    def _learner(self, network: BalancedNetwork, data: Any) -> BalancedLearner:
        return BalancedLearner(
            network,
            data,
            balancing=self.balancing,
            alpha=self.alpha,
            is_one_hot=self.coding_.kind == "combination",
            learning_rate=self.learning_rate,
            decay=0.99,
        )

    def _represent(self, network: Any, data: PanelTensors) -> Tensor:
        found: Tensor = network.encoder.trunk(data.inputs(self._all_units(data)))
        return found

    def _roll_out(self, network: Any, data: PanelTensors, origins: Tensor, plans: Tensor) -> Tensor:
        inputs = data.inputs(self._all_units(data))
        phi = take_steps(network.encoder.trunk(inputs), origins)
        path = last_two_outcomes(inputs, origins)
        plans = plans.expand(self.n_models, *plans.shape)
        n_origins = origins.shape[1]
        static = inputs.static.repeat_interleave(n_origins, dim=1)
        decoder, trunk = network.decoder, network.decoder.trunk
        path.append(network.encoder.outcome(phi, plans[:, :, :, 0], path[-1], path[-2]))
        state = (phi.flatten(1, 2), phi.flatten(1, 2))
        for k in range(1, plans.shape[3]):
            outcome = trunk.changes.read(path[-1], path[-2])
            read = [plans[:, :, :, k - 1].flatten(1, 2), outcome.flatten(1, 2), static]
            state = trunk.lstm.step(trunk.lstm.input(torch.cat(read, dim=-1)), state)
            here = nn.functional.elu(trunk.output(state[0])).unflatten(1, (-1, n_origins))
            path.append(decoder.outcome(here, plans[:, :, :, k], path[-1], path[-2]))
        return torch.stack(path[2:], dim=3)


class _EncoderDecoder(nn.Module):
    """The two networks under one roof, for storing."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


@torch.no_grad()
def encoded_windows(
    encoder: BalancedNetwork, data: PanelTensors, n_models: int, length: int
) -> Windows:
    """List the windows after every origin, with what the encoder knew there."""
    unit, origin = windows_of(data)
    n = data.outcome.shape[0]
    everyone = torch.arange(n, device=unit.device).expand(n_models, n)
    phi = encoder.trunk(data.inputs(everyone))
    return Windows(data, unit, origin, length, phi[:, unit, origin])
