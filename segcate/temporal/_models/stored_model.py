"""Store a fitted model in one file of arrays and JSON, and load it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from segcate._inputs.parameters import is_whole
from segcate.temporal._models.estimator import TemporalEstimator
from segcate.temporal._models.model_file import (
    check_class,
    damaged,
    read_model_file,
    write_model_file,
)
from segcate.temporal._models.settings import settings_type
from segcate.temporal._panel.coding import Scaling, TreatmentCoding, has_scales
from segcate.temporal._panel.outcome_scale import OutcomeScale
from segcate.temporal._panel.panel import Roles
from segcate.temporal._panel.times import Clock

Arrays = dict[str, npt.NDArray[Any]]

# Arrays of `Scaling`, in its order.
_SCALES = ("outcome", "covariates", "static", "change")
# What the header of every stored model holds.
HEADER = {
    "class",
    "parameters",
    "roles",
    "static_names",
    "clock",
    "coding",
    "transform",
    "is_binary",
    "panel_counts",
}


@dataclass(eq=False, repr=False, kw_only=True)
class StoredModel(TemporalEstimator):
    """An estimator whose fit is arrays and a few plain values."""

    @abstractmethod
    def _fit_header(self) -> dict[str, Any]:
        """Return the plain values of the fit, beside those that every model has."""

    @abstractmethod
    def _fit_arrays(self) -> Arrays:
        """Return the arrays of the fit, beside those of the scaling."""

    @abstractmethod
    def _take_fit(self, header: dict[str, Any], arrays: Arrays) -> None:
        """Take back what `_fit_header` and `_fit_arrays` gave; raise where it does not fit together."""

    def save(self, path: Any) -> None:
        """Write the fitted estimator to one file of arrays and JSON; nothing in it is code.

        Parameters
        ----------
        path : str or Path
            Ends in ".npz".
        """
        check_is_fitted(self)
        write_model_file(type(self).__name__, path, *self._to_file())

    def _to_file(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a file holds: plain values and arrays."""
        owner = type(self).__name__
        header = {
            "class": owner,
            "parameters": self._plain_parameters(),
            "roles": asdict(self._roles),
            "static_names": self._static_names,
            "clock": asdict(self._clock),
            "coding": asdict(self.coding_),
            "transform": _plain_transform(owner, self.scaling_.transform),
            "panel_counts": self.panel_counts_,
            "is_binary": self.scaling_.is_binary.tolist(),
            **self._fit_header(),
        }
        arrays = {f"scaling.{name}": getattr(self.scaling_, name) for name in _SCALES}
        return header, {**arrays, **self._fit_arrays()}

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
        header, arrays = read_model_file(cls.__name__, path, HEADER)
        check_class(cls.__name__, header)
        try:
            return cls._from_file(header, arrays)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise damaged(cls.__name__, path, error) from error

    @classmethod
    def _from_file(cls, header: dict[str, Any], arrays: Arrays) -> Any:
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
        found._static_names, found._clock = tuple(header["static_names"]), Clock(**header["clock"])
        found.panel_counts_ = dict(header["panel_counts"])
        found.coding_ = TreatmentCoding(**header["coding"])
        scaling = {name: arrays.pop(f"scaling.{name}") for name in _SCALES}
        is_binary = np.array(header["is_binary"], dtype=np.bool_)
        found.scaling_ = Scaling(
            transform=_transform_of(header["transform"]), is_binary=is_binary, **scaling
        )
        found._take_fit(header, arrays)
        return found

    def _plain_parameters(self) -> dict[str, Any]:
        """Return parameters that a file can hold: a seed that is a number, no generator."""
        found: dict[str, Any] = self.get_params(deep=False)
        seed = found["random_state"]
        return {**found, "random_state": int(seed) if is_whole(seed) else None}


def _plain_transform(owner: str, transform: Any) -> Any:
    """Return a transform as a name, or as a list of kinds and offsets."""
    if isinstance(transform, str):
        return transform
    if has_scales(transform):
        return [asdict(scale) for scale in transform]
    raise TypeError(
        f"{owner}: `outcome_transform` is a pair of functions, which a file without code "
        "cannot hold. Fit with 'auto', 'cbrt' or 'log1p', or pickle the estimator."
    )


def _transform_of(plain: Any) -> Any:
    return plain if isinstance(plain, str) else tuple(OutcomeScale(**scale) for scale in plain)
