"""The shared part of CausalTransformer and CRN: a representation that may be balanced."""

from __future__ import annotations

from dataclasses import dataclass

from segcate._inputs.parameters import check_number, check_option
from segcate.temporal._models.neural import NeuralEstimator
from segcate.temporal._networks.balanced import BalancedLearner, BalancedNetwork
from segcate.temporal._networks.recurrent import Windows
from segcate.temporal._networks.tensors import PanelTensors

_BALANCING = (None, "cdc", "grad_reverse")
_DECAY = 0.99


@dataclass(eq=False, repr=False, kw_only=True)
class BalancedEstimator(NeuralEstimator):
    """An ensemble of networks whose representation may be balanced over treatments."""

    treatment_coding: str = "auto"
    balancing: str | None = None
    alpha: float = 0.01

    def _check_parameters(self, owner: str) -> None:
        super()._check_parameters(owner)
        check_option(owner, "balancing", self.balancing, _BALANCING)
        check_number(owner, "alpha", self.alpha, least=0)

    def _learner(
        self,
        network: BalancedNetwork,
        data: PanelTensors | Windows,
        name: str = "training",
        *,
        hides_covariates: bool = False,
    ) -> BalancedLearner:
        """Return the learner of a network; `name` is the nested parameter with its training."""
        decay = self._filled(name).moving_average
        if decay is None:
            decay = 0.0 if self.balancing == "grad_reverse" else _DECAY
        return BalancedLearner(
            network,
            data,
            balancing=self.balancing,
            alpha=self.alpha,
            is_one_hot=self.coding_.kind == "combination",
            descent=self._descent(name),
            decay=decay,
            hides_covariates=hides_covariates,
        )
