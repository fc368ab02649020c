"""The Causal Transformer of Melnychuk, Frauen & Feuerriegel (2022)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from segcate.temporal._models.balanced_estimator import BalancedEstimator
from segcate.temporal._models.neural import History, Units
from segcate.temporal._models.settings import TRAINING
from segcate.temporal._networks.balanced import BalancedNetwork
from segcate.temporal._networks.tensors import PanelTensors
from segcate.temporal._networks.transformer import TransformerSize, TransformerTrunk
from segcate.temporal._networks.transformer_rollout import roll_out


@dataclass(eq=False, repr=False, kw_only=True)
class CausalTransformer(BalancedEstimator):
    """Predict outcomes under treatment plans by attention over treatments, outcomes and covariates.

    Use it on many units seen at equal steps, whose treatment at a step follows from what was seen
    until then. Three streams (treatments, outcomes, covariates) attend to themselves and to each
    other; the representation they make predicts the next outcome and can be kept from telling the
    treatment. Its effects are not stable: on the same kind of data they may be right with one seed and have
    the wrong sign with another (Notes). `fit` compares them with those of `LinearGComputation`, and warns.

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
    outcome_head : {"residual", "direct"}, default="residual"
        "residual": networks read the last change of the outcome beside it and predict the next
        change, in units of its standard deviation; the transformer's stream of outcomes also reads
        the treatment that the change followed. "direct": they read and predict the outcome alone, as
        in the paper. Effects are small beside outcomes: in simulations only the first found them.
    outcome_transform : "auto", None, "cbrt", "log1p" or pair of functions, default="auto"
        Scale on which the outcome is learned. "auto" chooses one for each outcome, by the likelihood
        of a linear model of its changes: as it is, square or cube root, log(1 + y / c), asinh(y / c).
    treatment_coding : {"auto", "combination", "flags"}, default="auto"
        One column a combination of treatments (auto: up to three), or one a treatment.
    balancing : None, "cdc" or "grad_reverse", default=None
        How the representation is kept from telling the treatment: not at all; counterfactual domain
        confusion; gradient reversal. In the authors' corrected tables None is as good or better in
        most cells.
    alpha : float, default=0.01
        Weight of the balancing loss at the end of training, >= 0.
    network : Network, default=None
        Widths, heads and blocks; None, and every field that is None: as listed in `Network`.
    training : Training, default=None
        Epochs, learning rate, early stopping and so on; None, and every field that is None: as
        listed in `Training`.
    n_models : int, default=1
        Networks trained side by side, each with validation units of its own. Intervals need two.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    weights_ : dict of arrays
        Of all models, by name; the leading axis runs over models (and streams).
    history_ : array of shape (n_epochs, 3)
        Epoch, training loss, factual validation error: squared errors of scaled outcomes, of 0/1 outcomes
        the deviance.
    n_parameters_ : int
        Of one model.
    transform_ : str
        The scale on which outcomes were learned.
    smearing_ : array of shape (n_models, horizon, 50, n_outcomes)
        Errors of held-out units on the scale, by step, which predictions are averaged over; empty
        without a transform.
    agreement_ : DataFrame or None
        Effects beside those of a `LinearGComputation` that `fit` fits, too (Notes). One row for each treatment given
        at every step of the horizon against never, and for each pair of treatments (and outcome): treatment,
        reference, n (units), correlation (of units' effects at the last step), effect and linear_effect (means),
        doubt ("", "units", "average" or "units, average"). None with ``Training(compare_linear=False)``, with fewer
        than 100 units of two rows, and, after a warning, where `LinearGComputation` refuses the units chosen.
    coding_, scaling_ : how treatments and numbers were coded

    See Also
    --------
    LinearGComputation : The first model to try; where the two disagree on an average, trust neither.
    Network, Training : The nested parameters, and the defaults of every model.
    TrajectorySegmenter : Segments of trajectories.

    Notes
    -----
    Where it works and fails, by the correlation of estimated and true effects with default settings and
    1,000 units, one or two data sets: 0.76 and 0.89 on confounded tumours, 0.84 on confounded customers;
    **0.06 and 0.90 on tumours without confounding, 0.75 and 0.49 on customers without**. The first was -0.26
    when fitted once more; with 400 tumours it was -0.82. On customers effects differ by a third
    to a half of what they should. Calibration of factual changes, of which `fit` warns, is as good where it fails as
    where it does not; what told failures was a correlation below 0.7 with the effects of `LinearGComputation`.

    So every fit of a network fits a `LinearGComputation` of the same columns, to 1,000 units at most, and compares
    effects from the last row of 300 at most, evenly chosen. It warns where they correlate less than 0.7 and differ
    between units by more than a fifth of the spread of the outcome ("units"), and where means lie a fifth of that
    spread apart and half of the larger one ("average"); with fewer than 1,000 units a fifth grows as noise does, by
    sqrt(1000 / n). The outermost twentieths of effects are drawn in before, as a few units can be all of a
    correlation. **Trust neither then**: the linear model is wrong in places, too. In simulations it named about
    seven of ten failed fits, and one of ten good ones (the guide's page of measurements); that no warning comes
    proves nothing. It takes a second or two, and changes neither weights nor random numbers;
    ``Training(compare_linear=False)`` leaves it out.

    Assumed: no unseen cause of both treatment and later outcomes, given the history; every plan
    asked for could have happened. What is predicted is a mean: predictions on the scale of a transform
    are turned back with the errors of held-out units added, and averaged (Duan, 1983). Those several
    steps ahead feed the model its own expected outcomes, so that with a curved response they are close
    to means, and not exact ones.

    References
    ----------
    Duan, N. (1983). Smearing estimate: a nonparametric retransformation method. Journal of the American
    Statistical Association, 78(383), 605-610.

    Melnychuk, V., Frauen, D., & Feuerriegel, S. (2022). Causal Transformer for estimating
    counterfactual outcomes. ICML, PMLR 162, 15293-15329.

    Examples
    --------
    >>> from segcate.temporal import CausalTransformer, Training, tumor_growth
    >>> panel = tumor_growth(60, gamma=2, random_state=0).panel
    >>> model = CausalTransformer(
    ...     treatment=["chemo", "radio"], outcome="volume", horizon=3,
    ...     outcome_transform="cbrt", training=Training(n_epochs=2), random_state=0)
    >>> plan = {"chemo": [1, 1, 1], "radio": [0, 0, 0]}
    >>> model.fit(panel).predict(panel, plan, origin=2).shape
    (180, 4)
    """

    _defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "network": {
            "hidden": 16, "representation": 12, "head": 24,
            "n_blocks": 1, "n_heads": 2, "longest_distance": 15,
        },
        "training": {**TRAINING, "learning_rate": 0.003},
    }  # fmt: skip

    def _check_parameters(self, owner: str) -> None:
        super()._check_parameters(owner)
        size = self._filled("network")
        if size.hidden % size.n_heads:
            raise ValueError(
                f"{owner}: `network__hidden` must be a multiple of `network__n_heads`; got "
                f"{size.hidden} and {size.n_heads}."
            )

    def _build(
        self, widths: tuple[int, int, int, int], generator: torch.Generator
    ) -> BalancedNetwork:
        asked = self._filled("network")
        size = TransformerSize(
            hidden=asked.hidden,
            representation=asked.representation,
            head=asked.head,
            blocks=asked.n_blocks,
            heads=asked.n_heads,
            longest=asked.longest_distance,
            dropout=self._filled("training").dropout,
        )
        trunk = TransformerTrunk(self.n_models, widths, size, self._changes(), generator)
        heads = (asked.representation, asked.head, widths[0])
        return BalancedNetwork(trunk, self.n_models, heads, generator)

    def _train(
        self, network: Any, data: PanelTensors, units: Units, generator: torch.Generator
    ) -> tuple[Any, History]:
        learner = self._learner(network, data, hides_covariates=True)
        futures = self._futures(data, units)
        roll_out = partial(self._look_ahead, learner.result)
        history = self._learn(
            learner, units, generator, futures=None if futures is None else (futures, roll_out)
        )
        return learner.result, history

    def _roll_out(self, network: Any, data: PanelTensors, origins: Tensor, plans: Tensor) -> Tensor:
        return roll_out(network, data.inputs(self._all_units(data)), origins, plans)
