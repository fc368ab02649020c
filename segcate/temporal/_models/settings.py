"""How the networks of an estimator are built and learned: nested parameters that a search can set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from segcate._inputs.parameters import check_count, check_flag, check_number, check_option

# Of a fit as a whole: the networks that are learned later cannot have their own.
_OF_THE_FIT = (
    "validation_share", "checkpoint", "device", "compile", "compare_linear", "verbose",
)  # fmt: skip

# Of numbers; what is not listed is a count.
_RANGES: dict[str, dict[str, Any]] = {
    "learning_rate": {"above": 0.0},
    "weight_decay": {"least": 0.0},
    "dropout": {"least": 0.0, "below": 1.0},
    "max_gradient": {"above": 0.0},
    "moving_average": {"least": 0.0, "below": 1.0},
    "validation_share": {"least": 0.0, "below": 1.0},
}

# Steps that a training may take at least, if a batch of a few units allows it.
ENOUGH_STEPS, SMALLEST_BATCH = 2000, 8

TRAINING: dict[str, Any] = {
    "n_epochs": 100,
    "batch_size": None,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "dropout": 0.0,
    "max_gradient": math.inf,
    "moving_average": None,
    "early_stopping": True,
    "patience": 20,
    "stop_by": "next",
    "validation_share": 0.15,
    "checkpoint": None,
    "device": "auto",
    "compile": False,
    "compare_linear": True,
    "verbose": "auto",
}


@dataclass(eq=False, repr=False, kw_only=True)
class Network(BaseEstimator):  # type: ignore[misc]
    """Set the widths of a network.

    It is the parameter `network` of `CausalTransformer`, `CRN`, `GNet` and `RMSN`, and `decoder`,
    `propensity` and `numerator` where a model has further networks. A width that is None is the model's default.

    Parameters
    ----------
    hidden : int, default=None
        Width of the LSTM, or of the streams of the transformer, >= 1.
    representation : int, default=None
        Width of the representation of a history, >= 1.
    head : int, default=None
        Width of the hidden layer of the heads, >= 1.
    n_blocks, n_heads : int, default=None
        Blocks of the transformer, and attention heads in each; `n_heads` divides `hidden`.
    longest_distance : int, default=None
        Positions further back than this share one relative position, >= 1.

    See Also
    --------
    Training : How a network learns.

    Notes
    -----
    Widths of `CausalTransformer`, `GNet` and the CRN's encoder are their authors' for simulated tumours
    without confounding; the others are ours. A model refuses a width that stands blank:

    ================================  ======  ==============  ====  ========  =======  ================
    network                           hidden  representation  head  n_blocks  n_heads  longest_distance
    ================================  ======  ==============  ====  ========  =======  ================
    `CausalTransformer(network=)`     16      12              24    1         2        15
    `GNet(network=)`                  24      18              72
    `CRN(network=)`, the encoder      24      18              36
    `CRN(decoder=)`                           18              36
    `RMSN(network=)`, the encoder     24
    `RMSN(decoder=)`                  32
    `RMSN(propensity=)`               12
    `RMSN(numerator=)`                12
    ================================  ======  ==============  ====  ========  =======  ================

    The LSTM of the CRN's decoder has the width of the encoder's representation, from which it starts.

    Examples
    --------
    >>> from segcate.temporal import GNet, Network
    >>> GNet("a", "y", network=Network(hidden=48)).get_params()["network__hidden"]
    48
    """

    hidden: int | None = None
    representation: int | None = None
    head: int | None = None
    n_blocks: int | None = None
    n_heads: int | None = None
    longest_distance: int | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class Training(BaseEstimator):  # type: ignore[misc]
    """Set how a network learns: how long, in what steps, and when it stops.

    It is the parameter `training` of `CausalTransformer`, `CRN`, `GNet` and `RMSN`, and
    `decoder_training`, `propensity_training` and `numerator_training` where a model has further
    networks. A field that is None is the model's default.

    Parameters
    ----------
    n_epochs : int, default=None
        Passes over the training units, >= 1.
    batch_size : int, default=None
        Units a step, >= 1; of a decoder, windows after an origin. The default of all models is the largest
        power of two with which all epochs together take 2,000 steps: 8 at least, 128 at most (of a
        decoder 1024).
    learning_rate : float, default=None
        Of Adam, > 0.
    weight_decay : float, default=None
        Squared penalty on the weights, as Adam has it, >= 0.
    dropout : float in [0, 1), default=None
        Share of entries dropped while learning.
    max_gradient : float, default=None
        Largest norm of a model's gradient, > 0; ``float("inf")`` leaves gradients alone.
    moving_average : float in [0, 1), default=None
        Predict with an exponential moving average of the weights, of this decay, which warms up; 0
        predicts with the weights themselves.
    early_stopping : bool, default=None
        True stops when the factual error of held-out units no longer falls, and each model keeps its
        best weights. False runs all epochs, the learning rate falling to 0 along half a cosine, and
        keeps the last weights. Prefer False for effects where a few units hold most of the error, as
        with tumours: on which epoch those few are predicted best is chance.
    patience : int, default=None
        Epochs without a better validation error after which early stopping ends, >= 1.
    stop_by : {"next", "horizon"}, default=None
        Error of held-out units by which training stops: of the next outcome, or, in a network that predicts
        several steps, of every step up to the horizon, predicted from the predictions before it, in units of
        what the outcome changed.
    validation_share : float in [0, 1), default=None
        Share of units held out.
    checkpoint : path, default=None
        File written after each epoch; a fit that finds it goes on from there. Networks beside the
        first write to files of their own, with endings such as ".decoder".
    device : str, default=None
        "auto", the default of all models: a GPU where torch finds one.
    compile : bool, default=None
        Compile the networks by `torch.compile` before they learn; False, the default of all models: not.
        It is for long trainings of a transformer on a GPU, whose time goes into starting small operations. On
        a CPU a fit of 2 s took 100, with the same losses; LSTMs are left as they are.
    compare_linear : bool, default=None
        Compare effects with those of a `LinearGComputation` after training, keep the comparison as `agreement_`,
        and warn where the two disagree; True, the default of all models. It takes a second or two of a fit
        to 1,000 units or more, six with 25 covariates and 60 rows a unit. False: `agreement_` is None.
    verbose : bool or "auto", default=None
        Progress on standard error; "auto", the default of all models: on a terminal.

    See Also
    --------
    Network : How wide a network is.

    Notes
    -----
    All models learn by default for 100 epochs, with a learning rate of 0.01, neither weight decay nor
    dropout, and predict with averaged weights; 15 % of the units are held out, and training stops after
    20 epochs without a better error of the next outcome. Apart from these:

    ==============================  ========  =============  ============  ==============
    network                         n_epochs  learning_rate  max_gradient  moving_average
    ==============================  ========  =============  ============  ==============
    `CausalTransformer`                       0.003          inf           0.99 or 0
    `CRN`                                                    inf           0.99 or 0
    `GNet`                                                   inf           0.99
    `CRN(decoder_training=)`        30
    `RMSN`                                                   1.0           0.99
    `RMSN(decoder_training=)`       30
    `RMSN(propensity_training=)`    30
    ==============================  ========  =============  ============  ==============

    The moving average is 0 with ``balancing="grad_reverse"``, as the authors have it, else 0.99. These
    defaults were chosen by effects on simulated customers and tumours (the guide's page of measurements);
    dropout of 0.1, as the authors have it, hides from a network how a unit answered before.
    A fit warns where a network may take fewer than 1,000 steps in all.

    What stands blank in the rows of a decoder and of propensities is as in `training`, set or not: a
    learning rate in `training` is that of all networks. `RMSN(numerator_training=)` is as
    `propensity_training` in all that it leaves open. `n_epochs` and `batch_size` of `training` are
    those of the encoder, as a decoder learns from windows and not from units. `validation_share`,
    `checkpoint`, `device`, `compile` and `verbose` belong to a fit as a whole and are set in `training` alone.

    The authors of CRN and RMSN chose rates, batches and dropout for each network apart, by a random
    search over learning rates of 0.0001 to 0.01, batches of 64 to 256 (decoders 256 to 1024) and
    dropout of 0.1 to 0.5: all of it can be set here, network by network, as can the largest gradient and
    the widths. One of their settings is not taken: LSTMs of two layers, which were chosen on intensive-care
    data alone.

    References
    ----------
    Bica, I., Alaa, A. M., Jordon, J., & van der Schaar, M. (2020). Estimating counterfactual
    treatment outcomes over time through adversarially balanced representations. ICLR.

    Lim, B., Alaa, A., & van der Schaar, M. (2018). Forecasting treatment responses over time using
    recurrent marginal structural networks. NeurIPS 31.

    Examples
    --------
    >>> from segcate.temporal import Training
    >>> Training(n_epochs=60, early_stopping=False)
    Training(early_stopping=False, n_epochs=60)
    """

    n_epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    dropout: float | None = None
    max_gradient: float | None = None
    moving_average: float | None = None
    early_stopping: bool | None = None
    patience: int | None = None
    stop_by: str | None = None
    validation_share: float | None = None
    checkpoint: str | Path | None = None
    device: str | None = None
    compile: bool | None = None
    compare_linear: bool | None = None
    verbose: bool | str | None = None


def sized_batch(n_units: int, n_epochs: int, largest: int) -> int:
    """Return the largest batch, a power of two, with which all epochs take enough steps.

    Parameters
    ----------
    n_units : int
        Units, or windows, learned from.
    n_epochs : int
    largest : int
        A power of two.
    """
    size = largest
    while size > SMALLEST_BATCH and n_units // size * n_epochs < ENOUGH_STEPS:
        size //= 2
    return size


def settings_type(name: str) -> type[Network] | type[Training]:
    """Return the class of the nested parameter of this name."""
    return Training if name.endswith("training") else Network


def fill(owner: str, name: str, given: Any, defaults: Mapping[str, Any]) -> Any:
    """Fill the fields that a nested parameter leaves open, by the defaults of a model.

    Parameters
    ----------
    owner, name : the model and its parameter, for messages
    given : Network, Training or None
    defaults : mapping
        Value of each field that the model uses.
    """
    kind = settings_type(name)
    if given is None:
        given = kind()
    if not isinstance(given, kind):
        raise TypeError(
            f"{owner}: `{name}` must be a segcate.temporal.{kind.__name__} or None; got "
            f"{given!r:.80}. Pass {kind.__name__}(...) with the fields to set."
        )
    asked = {field: value for field, value in given.get_params().items() if value is not None}
    unused = sorted(asked.keys() - defaults.keys())
    if unused:
        raise ValueError(
            f"{owner}: `{name}` sets {', '.join(unused)}, of which it makes no use; it knows "
            f"{', '.join(defaults)}. Leave the others None."
        )
    of_the_fit = [field for field in _OF_THE_FIT if field in asked and name != "training"]
    if of_the_fit and kind is Training:
        raise ValueError(
            f"{owner}: `{name}` sets {', '.join(of_the_fit)}, which belong to the fit as a whole. "
            "Set them in `training`."
        )
    return kind(**{**defaults, **asked})


def check_settings(owner: str, name: str, filled: Any) -> None:
    """Refuse fields that are out of range; those of no use are None."""
    for field, value in filled.get_params().items():
        if value is None or field in ("checkpoint", "device", "verbose"):
            continue
        full = f"{name}__{field}"
        if field in ("early_stopping", "compile", "compare_linear"):
            check_flag(owner, full, value)
        elif field == "stop_by":
            check_option(owner, full, value, ("horizon", "next"))
        elif field not in _RANGES:
            check_count(owner, full, value, 1)
        elif not (field == "max_gradient" and value == math.inf):
            check_number(owner, full, value, **_RANGES[field])
