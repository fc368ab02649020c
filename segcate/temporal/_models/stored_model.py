"""Store a fitted model in one file of arrays and JSON, and load it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from segcate.temporal._models.estimator import TemporalEstimator
from segcate.temporal._models.model_file import damaged, read_model_file, write_model_file
from segcate.temporal._models.settings import Training, settings_type
from segcate.temporal._panel.coding import Scaling, TreatmentCoding
from segcate.temporal._panel.panel import Roles

# Arrays of `Scaling`, in its order.
_SCALES = ("outcome", "covariates", "static", "change")
# What the header of a stored model holds.
_HEADER = {
    *("class", "parameters", "roles", "static_names", "step"),
    *("coding", "transform", "widths", "n_parameters"),
}


@dataclass(eq=False, repr=False, kw_only=True)
class StoredModel(TemporalEstimator):
    """An estimator whose fit is arrays and a few plain values."""

    # Fields of each nested parameter that the model uses, and their defaults.
    _defaults: ClassVar[dict[str, dict[str, Any]]]

    training: Training | None = None

    weights_: dict[str, npt.NDArray[Any]] = field(init=False)
    history_: npt.NDArray[np.float64] = field(init=False)
    n_parameters_: int = field(init=False)
    _widths: tuple[int, int, int, int] = field(init=False)

    @abstractmethod
    def _network(self) -> Any:
        """Build the fitted networks, once."""

    def save(self, path: Any) -> None:
        """Write the fitted estimator to one file of arrays and JSON; nothing in it is code.

        Parameters
        ----------
        path : str or Path
            Ends in ".npz".
        """
        check_is_fitted(self)
        owner = type(self).__name__
        if not isinstance(self.scaling_.transform, str):
            raise TypeError(
                f"{owner}: `outcome_transform` is a pair of functions, which a file without code "
                "cannot hold. Fit with 'cbrt' or 'log1p', or pickle the estimator."
            )
        header = {
            "class": owner,
            "parameters": self._plain_parameters(),
            "roles": asdict(self._roles),
            "static_names": self._static_names,
            "step": self._step,
            "coding": asdict(self.coding_),
            "transform": self.scaling_.transform,
            "widths": self._widths,
            "n_parameters": self.n_parameters_,
        }
        arrays = {f"weight.{name}": value for name, value in self.weights_.items()}
        for name in _SCALES:
            arrays[f"scaling.{name}"] = getattr(self.scaling_, name)
        arrays |= {"history": self.history_, **self._extra_arrays()}
        write_model_file(owner, path, header, arrays)

    @classmethod
    def load(cls, path: Any) -> Any:
        """Read an estimator that `save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        estimator
            Fitted, of the class that was saved.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is of another class, is damaged, or holds weights that are not finite.
        """
        header, arrays = read_model_file(cls.__name__, path, _HEADER)
        if header["class"] != cls.__name__:
            raise ValueError(
                f"{cls.__name__}.load: the file holds a {header['class']}. Load it with "
                f"segcate.temporal.{header['class']}.load."
            )
        try:
            found = cls._from_file(header, arrays)
            found._network()  # its weights fit its layers
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise damaged(cls.__name__, path, error) from error
        return found

    @classmethod
    def _from_file(cls, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Any:
        """Put a fitted estimator together from what a file holds."""
        parameters = {
            name: settings_type(name)(**value) if isinstance(value, dict) else value
            for name, value in header["parameters"].items()
        }
        found = cls(**parameters)
        roles: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in header["roles"].items()
        }
        found._roles = Roles(**roles)
        found._static_names, found._step = tuple(header["static_names"]), header["step"]
        found.coding_ = TreatmentCoding(**header["coding"])
        scaling = [arrays.pop(f"scaling.{name}") for name in _SCALES]
        found.scaling_ = Scaling(header["transform"], *scaling)
        found._widths, found.n_parameters_ = tuple(header["widths"]), header["n_parameters"]
        found.history_ = arrays.pop("history")
        names = [name for name in arrays if name.startswith("weight.")]
        found.weights_ = {name.removeprefix("weight."): arrays.pop(name) for name in names}
        found._take_extra_arrays(arrays)
        return found

    def _plain_parameters(self) -> dict[str, Any]:
        """Return parameters that a file can hold: nested ones as dicts, no seed and no path."""
        parameters = {**self.get_params(deep=False), "random_state": None}
        for name in self._defaults:
            if parameters[name] is not None:
                parameters[name] = parameters[name].get_params()
        if self.training is not None:
            parameters["training"]["checkpoint"] = None
        return parameters

    def _extra_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays to store beside the weights."""
        return {}

    def _take_extra_arrays(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take back what `_extra_arrays` gave."""
