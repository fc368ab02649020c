"""Many futures of a unit at once: keys and values of its history are made once.

The representation of a past position depends neither on the origin nor on the plan, so a future adds
one position a step and looks back at what is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from segcate.temporal._networks.attention import attend_from
from segcate.temporal._networks.balanced import BalancedNetwork
from segcate.temporal._networks.recurrent import last_two_outcomes, take_steps
from segcate.temporal._networks.tensors import Inputs
from segcate.temporal._networks.transformer import Attention, TransformerTrunk


@dataclass(slots=True)
class _Kept:
    """Keys and values of one attention of one block, rows of the streams that move on.

    Those of the futures' own steps are written into places made once.
    """

    key: Tensor
    value: Tensor
    horizon: int
    own: tuple[Tensor, Tensor] | None = None

    def add(self, key: Tensor, value: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Add those of the k-th step, counted from 1; return all so far, (..., k, d)."""
        if self.own is None:
            shape = (*key.shape[:-1], self.horizon, key.shape[-1])
            self.own = key.new_empty(shape), value.new_empty(shape)
        for place, new in zip(self.own, (key, value), strict=True):
            place[..., k - 1, :] = new
        return self.own[0][..., :k, :], self.own[1][..., :k, :]


def roll_out(network: BalancedNetwork, inputs: Inputs, origins: Tensor, plans: Tensor) -> Tensor:
    """Predict outcomes under plans, each step from the predictions before it.

    Parameters
    ----------
    network : in evaluation mode, its trunk a `TransformerTrunk`
    inputs : histories, (n_models, n, t, ...)
    origins : int tensor of shape (n, f)
        Last known position of each of f futures of a unit; the plan begins there.
    plans : tensor of shape (n, f, horizon, d_a), coded

    Returns
    -------
    tensor of shape (n_models, n, f, horizon, d_y), scaled
    """
    trunk = network.trunk
    n_models = inputs.outcome.shape[0]
    horizon = plans.shape[2]
    plans = plans.expand(n_models, *plans.shape)
    phi, walker = _read_history(trunk, inputs, origins, horizon)
    phi = take_steps(phi, origins)
    path = last_two_outcomes(inputs, origins)
    path.append(network.outcome(phi, plans[:, :, :, 0], path[-1], path[-2]))
    for k in range(1, horizon):
        phi = walker.advance(trunk.tokens(plans[:, :, :, k - 1], path[-1], path[-2]), k)
        path.append(network.outcome(phi, plans[:, :, :, k], path[-1], path[-2]))
    return torch.stack(path[2:], dim=3)


def _read_history(
    trunk: TransformerTrunk, inputs: Inputs, origins: Tensor, horizon: int
) -> tuple[Tensor, _Walker]:
    """Run the trunk over the histories once, keeping keys and values."""
    streams, static = trunk.embed(inputs)
    rows = _moving_rows(trunk, streams.device)
    kept: list[_Kept] = []
    phi = trunk.read(
        inputs,
        streams,
        static,
        lambda key, value: kept.append(_Kept(key[rows], value[rows], horizon)),
    )
    key_table, value_table = trunk.tables()
    walker = _Walker(
        trunk, kept, None if static is None else static[rows], rows,
        (key_table[rows], value_table[rows]), origins, streams.shape[2],
    )  # fmt: skip
    return phi, walker


def _moving_rows(trunk: TransformerTrunk, device: torch.device) -> Tensor:
    """Rows of the leading axis of the streams that futures move: treatment and outcome."""
    model = torch.arange(trunk.n_models, device=device) * trunk.n_streams
    return (model[:, None] + torch.arange(2, device=device)).flatten()


class _Walker:
    """Adds one position a step to every future."""

    def __init__(
        self,
        trunk: TransformerTrunk,
        kept: list[_Kept],
        static: Tensor | None,
        rows: Tensor,
        tables: tuple[Tensor, Tensor],
        origins: Tensor,
        n_positions: int,
    ) -> None:
        self.trunk, self.kept, self.static, self.rows = trunk, kept, static, rows
        self.key_table, self.value_table = tables
        position = torch.arange(n_positions, device=origins.device)
        self.back = (origins.unsqueeze(-1) - position)[None, :, None]
        self.is_future = self.back < 0

    def advance(self, tokens: list[Tensor], k: int) -> Tensor:
        """Read what was given and predicted k steps after the origin; return the representation."""
        trunk = self.trunk
        parts = [layer(part) for layer, part in zip(trunk.inputs, tokens, strict=False)]
        streams = torch.stack(parts, dim=1).flatten(0, 1)
        steps_back = torch.arange(k - 1, -1, -1, device=streams.device)
        distances = (self.back + k, steps_back.view(1, 1, 1, 1, -1))
        for b, block in enumerate(trunk.blocks):
            kept = self.kept[b * trunk.n_streams : (b + 1) * trunk.n_streams]
            look = partial(self._look_back, kept, distances, k)
            streams = block.mix(streams, self.static, look, 0.0, self.rows)
        mean = streams.unflatten(0, (trunk.n_models, 2)).mean(dim=1)
        return nn.functional.elu(trunk.output(mean))

    def _look_back(
        self,
        kept: list[_Kept],
        distances: tuple[Tensor, Tensor],
        k: int,
        shift: int,
        attention: Attention,
        streams: Tensor,
        attended: Tensor,
    ) -> Tensor:
        """Attend from the new position to the unit's history and the future's own steps."""
        source, is_unknown = self._source(streams, shift)
        key, value = attention.keys_values(source, self.rows)
        store = kept[shift]
        own_key, own_value = store.add(key, value, k)
        return attend_from(
            attention.queries(attended, self.rows),
            (store.key, own_key),
            (store.value, own_value),
            self.key_table, self.value_table, distances,
            (self.is_future, is_unknown),
        )  # fmt: skip

    def _source(self, streams: Tensor, shift: int) -> tuple[Tensor, Tensor]:
        """Give each moving stream the one `shift` places on; True where that is the covariates."""
        n_streams = self.trunk.n_streams
        apart = streams.unflatten(0, (self.trunk.n_models, 2))
        sources = [(s + shift) % n_streams for s in range(2)]
        taken = torch.stack([apart[:, s if s < 2 else 0] for s in sources], dim=1)
        unknown = torch.tensor([s >= 2 for s in sources], device=streams.device)
        mask = unknown.repeat(self.trunk.n_models).view(-1, 1, 1, 1, 1)
        return taken.flatten(0, 1), mask
