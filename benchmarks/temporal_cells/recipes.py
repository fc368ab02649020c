"""The settings with which the authors of the Causal Transformer trained each model on tumours.

Networks train without held-out units (G-Net holds a tenth back for its errors), at a constant
learning rate, and predict with their last weights. RMSN has two propensity networks; that of past
treatments alone has 6 to 8 hidden units in the publication, by gamma, and 8 here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# By gamma: learning rate, hidden, representation, head.
CT = {0: (1e-3, 16, 12, 24), 2: (1e-2, 16, 8, 32), 4: (1e-2, 12, 16, 48)}
# By gamma: batch, representation, head, dropout of the encoder; batch, representation, head, dropout
# of the decoder.
CRN = {
    0: ((128, 18, 36, 0.1), (512, 24, 24, 0.2)),
    2: ((64, 24, 96, 0.2), (1024, 24, 12, 0.1)),
    4: ((64, 24, 96, 0.2), (1024, 24, 12, 0.1)),
}
# By gamma: hidden, dropout, batch, largest gradient, learning rate of the propensity; the same of the
# decoder.
RMSN = {
    0: ((8, 0.3, 128, 1.0, 1e-2), (32, 0.2, 1024, 2.0, 1e-3)),
    2: ((12, 0.5, 256, 2.0, 1e-2), (32, 0.3, 512, 4.0, 1e-3)),
    4: ((16, 0.5, 128, 2.0, 1e-4), (64, 0.1, 1024, 4.0, 1e-2)),
}
# By gamma: learning rate, batch, representation, head, dropout.
GNET = {
    0: (1e-2, 256, 18, 72, 0.1), 2: (1e-3, 64, 24, 96, 0.2), 4: (1e-2, 256, 18, 72, 0.1),
}  # fmt: skip
GAMMAS = tuple(CT)


def recipe(kind: str, gamma: int, epochs: dict[str, int]) -> dict[str, Any]:
    """Return the parameters of a model beside its roles, as published for this gamma."""
    from segcate.temporal import Network, Training

    if gamma not in CT:
        raise ValueError(
            f"gamma: settings were copied for {', '.join(map(str, GAMMAS))}; got {gamma}. Run "
            f"--gammas {' '.join(map(str, GAMMAS))}."
        )
    to_the_end = {"early_stopping": False, "validation_share": 0.0, "verbose": False}
    if kind == "CT":
        rate, hidden, representation, head = CT[gamma]
        return {
            "network": Network(hidden=hidden, representation=representation, head=head),
            "training": Training(
                n_epochs=epochs[kind], batch_size=128, learning_rate=rate, dropout=0.1, **to_the_end
            ),
        }
    if kind == "GNet":
        rate, batch, representation, head, dropout = GNET[gamma]
        to_the_end["validation_share"] = 0.1  # whose errors the simulation adds
        return {
            "network": Network(hidden=24, representation=representation, head=head),
            "training": Training(n_epochs=epochs[kind], learning_rate=rate, batch_size=batch,
                                 dropout=dropout, moving_average=0.0, **to_the_end),
        }  # fmt: skip
    if kind == "CRN":
        networks = [
            (Network(hidden=hidden, representation=representation, head=head),
             {"learning_rate": 1e-3, "batch_size": batch, "dropout": dropout})
            for hidden, (batch, representation, head, dropout) in zip((24, None), CRN[gamma], strict=True)
        ]  # fmt: skip
        return _two(networks, epochs[kind], epochs["decoder"], to_the_end)
    propensity, decoder = RMSN[gamma]
    found = _two(
        [_of_rmsn((12, 0.1, 128, 0.5, 1e-2)), _of_rmsn(decoder)],
        epochs[kind], epochs["decoder"], {"moving_average": 0.0, **to_the_end},
    )  # fmt: skip
    for name, setting in (("propensity", propensity), ("numerator", (8, 0.2, 64, 1.0, 1e-2))):
        found[name], settings = _of_rmsn(setting)
        found[f"{name}_training"] = Training(
            n_epochs=epochs[kind], early_stopping=False, **settings
        )
    return found


def _of_rmsn(setting: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
    from segcate.temporal import Network

    hidden, dropout, batch, largest, rate = setting
    return Network(hidden=hidden), {
        "dropout": dropout, "batch_size": batch, "max_gradient": largest, "learning_rate": rate,
    }  # fmt: skip


def _two(
    networks: list[Any], n_epochs: int, n_decoder: int, common: dict[str, Any]
) -> dict[str, Any]:
    """Set the encoder and the decoder, each with its own rates."""
    from segcate.temporal import Training

    (encoder, of_encoder), (decoder, of_decoder) = networks
    return {
        "network": encoder,
        "training": Training(n_epochs=n_epochs, **of_encoder, **common),
        "decoder": decoder,
        "decoder_training": Training(n_epochs=n_decoder, early_stopping=False, **of_decoder),
    }


@contextmanager
def constant_rate() -> Iterator[None]:
    """Hold the learning rate where training runs to its end, as published code does."""
    from segcate.temporal._networks import training

    kept, training._set_rate = training._set_rate, lambda learner, share: None
    try:
        yield
    finally:
        training._set_rate = kept
