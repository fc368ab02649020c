"""Store the networks of a model, and load them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate.temporal._models.settings import Training
from segcate.temporal._models.stored_model import Arrays, StoredModel


@dataclass(eq=False, repr=False, kw_only=True)
class StoredNetwork(StoredModel):
    """A model whose fit is the weights of networks."""

    # Fields of each nested parameter that the model uses, and their defaults.
    _defaults: ClassVar[dict[str, dict[str, Any]]]

    training: Training | None = None

    weights_: dict[str, npt.NDArray[Any]] = field(init=False)
    history_: npt.NDArray[np.float64] = field(init=False)
    n_parameters_: int = field(init=False)
    agreement_: pd.DataFrame | None = field(init=False)
    smearing_: npt.NDArray[np.float64] = field(init=False)
    _bounds: npt.NDArray[np.float64] = field(init=False)
    _widths: tuple[int, int, int, int] = field(init=False)

    @abstractmethod
    def _network(self) -> Any:
        """Build the fitted networks, once."""

    def _fit_header(self) -> dict[str, Any]:
        agreement = None if self.agreement_ is None else self.agreement_.to_dict("list")
        return {
            "widths": self._widths, "n_parameters": self.n_parameters_, "agreement": agreement,
        }  # fmt: skip

    def _fit_arrays(self) -> Arrays:
        weights = {f"weight.{name}": value for name, value in self.weights_.items()}
        scale = {"smearing": self.smearing_, "bounds": self._bounds}
        return {**weights, "history": self.history_, **scale, **self._extra_arrays()}

    def _take_fit(self, header: dict[str, Any], arrays: Arrays) -> None:
        self._widths, self.n_parameters_ = tuple(header["widths"]), header["n_parameters"]
        agreement = header.get("agreement")  # files of old have none
        self.agreement_ = None if agreement is None else pd.DataFrame(agreement)
        self.history_ = arrays.pop("history")
        self.smearing_, self._bounds = arrays.pop("smearing"), arrays.pop("bounds")
        names = [name for name in arrays if name.startswith("weight.")]
        self.weights_ = {name.removeprefix("weight."): arrays.pop(name) for name in names}
        self._take_extra_arrays(arrays)
        self._network()  # its weights fit its layers

    def _plain_parameters(self) -> dict[str, Any]:
        """Return parameters that a file can hold: nested ones as dicts, no seed and no path."""
        parameters = super()._plain_parameters()
        for name in self._defaults:
            if parameters[name] is not None:
                parameters[name] = parameters[name].get_params()
        if self.training is not None:
            parameters["training"]["checkpoint"] = None
        return parameters

    def _extra_arrays(self) -> Arrays:
        """Arrays to store beside the weights."""
        return {}

    def _take_extra_arrays(self, arrays: Arrays) -> None:
        """Take back what `_extra_arrays` gave."""
