"""The Causal Transformer of Melnychuk, Frauen & Feuerriegel (2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from segcate._inputs.parameters import check_option
from segcate.temporal._models.neural import NeuralEstimator
from segcate.temporal._networks.balanced import BalancedLearner, BalancedNetwork
from segcate.temporal._networks.tensors import PanelTensors
from segcate.temporal._networks.training import train
from segcate.temporal._networks.transformer import TransformerSize, TransformerTrunk
from segcate.temporal._networks.transformer_rollout import roll_out

__all__ = ["CausalTransformer"]

BALANCING = (None, "cdc", "grad_reverse")


class CausalTransformer(NeuralEstimator):
    """Predict outcomes under treatment plans by attention over treatments, outcomes and covariates.

    Use it on many units seen at equal steps, whose treatment at a step follows from what was seen
    until then. Three streams (treatments, outcomes, covariates) attend to themselves and to each
    other; the representation they make predicts the next outcome and can be kept from telling the
    treatment.

    Parameters
    ----------
    treatment : str or list of str
        Columns of 0/1 treatments.
    outcome : str or list of str
        Columns of the outcomes.
    covariates : list of str, default=()
        Columns that change over time.
    static : list of str, default=()
        Columns that do not; text becomes 0/1 columns.
    id, time : str, default="id", "t"
        Columns, or index levels, of the unit and of the time.
    horizon : int, default=6
        Longest plan, in steps.
    balancing : None, "cdc" or "grad_reverse", default=None
        How the representation is kept from telling the treatment: not at all; counterfactual domain
        confusion; gradient reversal. In the authors' corrected tables None is as good or better in
        most cells.
    alpha : float, default=0.01
        Weight of the balancing loss at the end of training, >= 0.
    outcome_head : {"residual", "direct"}, default="residual"
        "residual": networks read the last change of the outcome beside it and predict the next
        change, in units of its standard deviation; the transformer's stream of outcomes also reads
        the treatment that the change followed. "direct": they read and predict the outcome alone, as
        in the paper. Effects are small beside outcomes: in simulations only the first found them.
    outcome_transform : None, "cbrt", "log1p" or pair of functions, default=None
        Scale on which the outcome is learned. The cube root suits volumes.
    treatment_coding : {"auto", "combination", "flags"}, default="auto"
        One column a combination of treatments (auto: up to three), or one a treatment.
    hidden, representation, head : int, default=16, 12, 24
        Widths of the streams, of the representation, and of the hidden layer of the heads.
    n_blocks, n_heads : int, default=1, 2
        Blocks, and attention heads in each; `n_heads` divides `hidden`.
    longest_distance : int, default=15
        Positions further back than this share one relative position.
    dropout : float in [0, 1), default=0.1
    n_models : int, default=1
        Networks trained side by side, each with validation units of its own. Intervals need two.
    n_epochs, batch_size, learning_rate : default=100, 128, 0.01
    validation_share : float in [0, 1), default=0.15
        Share of units held out to stop by the factual error of the next outcome.
    patience : int or None, default=15
        Epochs without a better validation error after which training stops, each model keeping its
        best weights. None: all epochs, the learning rate falling to 0 along half a cosine, and the last
        weights. Prefer None for effects where a few units hold most of the error, as with
        tumours: on which epoch those few are predicted best is chance.
    checkpoint : path, default=None
        File written after each epoch; a fit that finds it goes on from there.
    device : str, default="auto"
        "auto": a GPU where torch finds one.
    verbose : bool or "auto", default="auto"
        Progress on standard error; "auto": on a terminal.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    weights_ : dict of arrays
        Of all models, by name; the leading axis runs over models (and streams).
    history_ : array of shape (n_epochs, 3)
        Epoch, training loss, factual validation error (scaled).
    n_parameters_ : int
        Of one model.
    coding_, scaling_ : how treatments and numbers were coded

    See Also
    --------
    TrajectorySegmenter : Segments of trajectories.

    Notes
    -----
    Assumed: no unseen cause of both treatment and later outcomes, given the history; every plan
    asked for could have happened. Predictions several steps ahead feed the model its own expected
    outcomes, so that with a transform or a curved response they are not exact means.

    References
    ----------
    Melnychuk, V., Frauen, D., & Feuerriegel, S. (2022). Causal Transformer for estimating
    counterfactual outcomes. ICML, PMLR 162, 15293-15329.

    Examples
    --------
    >>> from segcate.temporal import CausalTransformer, tumor_growth
    >>> panel = tumor_growth(60, gamma=2, random_state=0).panel
    >>> model = CausalTransformer(
    ...     treatment=["chemo", "radio"], outcome="volume", horizon=3, n_epochs=2,
    ...     outcome_transform="cbrt", random_state=0)
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
        balancing: str | None = None,
        alpha: float = 0.01,
        outcome_head: str = "residual",
        outcome_transform: Any = None,
        treatment_coding: str = "auto",
        hidden: int = 16,
        representation: int = 12,
        head: int = 24,
        n_blocks: int = 1,
        n_heads: int = 2,
        longest_distance: int = 15,
        dropout: float = 0.1,
        n_models: int = 1,
        n_epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 0.01,
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
        self.n_blocks = n_blocks
        self.n_heads = n_heads
        self.longest_distance = longest_distance
        self.dropout = dropout
        self.n_models = n_models
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
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
        if not 0 <= self.dropout < 1:
            raise ValueError(f"{owner}: `dropout` must be in [0, 1); got {self.dropout!r}.")
        if self.hidden % self.n_heads:
            raise ValueError(
                f"{owner}: `hidden` must be a multiple of `n_heads`; got {self.hidden} and "
                f"{self.n_heads}."
            )

    def _build(
        self, widths: tuple[int, int, int, int], generator: torch.Generator
    ) -> BalancedNetwork:
        size = TransformerSize(
            hidden=self.hidden,
            representation=self.representation,
            head=self.head,
            blocks=self.n_blocks,
            heads=self.n_heads,
            longest=self.longest_distance,
            dropout=self.dropout,
        )
        trunk = TransformerTrunk(self.n_models, widths, size, self._changes(), generator)
        heads = (self.representation, self.head, widths[0])
        return BalancedNetwork(trunk, self.n_models, heads, generator)

    def _train(
        self,
        network: Any,
        data: PanelTensors,
        units: tuple[Tensor, Tensor | None],
        generator: torch.Generator,
    ) -> tuple[Any, list[tuple[float, ...]]]:
        learner = BalancedLearner(
            network,
            data,
            balancing=self.balancing,
            alpha=self.alpha,
            is_one_hot=self.coding_.kind == "combination",
            learning_rate=self.learning_rate,
            decay=0.99,
            hides_covariates=True,
        )
        history = train(learner, *units, self._settings(), generator, type(self).__name__)
        return learner.result, history

    def _roll_out(self, network: Any, data: PanelTensors, origins: Tensor, plans: Tensor) -> Tensor:
        return roll_out(network, data.inputs(self._all_units(data)), origins, plans)
