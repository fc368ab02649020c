"""The network of the Causal Transformer: streams that attend to themselves and to each other.

Melnychuk, V., Frauen, D., & Feuerriegel, S. (2022). Causal Transformer for estimating counterfactual
outcomes. ICML, PMLR 162, 15293-15329. Section 4.1 and Appendix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segcate.temporal._networks.attention import attend, split_heads
from segcate.temporal._networks.changes import Changes
from segcate.temporal._networks.layers import LayerNorm, Linear, dropout
from segcate.temporal._networks.tensors import Inputs


@dataclass(frozen=True, slots=True)
class TransformerSize:
    """Widths of the network.

    Attributes
    ----------
    hidden : width of the streams, a multiple of `heads`
    representation : width of the balanced representation
    head : width of the hidden layer of the outcome and treatment heads
    blocks, heads : number of blocks, and of attention heads in each
    longest : relative positions further back share one entry
    dropout : share of entries dropped while training
    """

    hidden: int = 16
    representation: int = 12
    head: int = 24
    blocks: int = 1
    heads: int = 2
    longest: int = 15
    dropout: float = 0.1


class Attention(nn.Module):
    """Heads of queries on one tensor, keys and values on another; residual and norm follow."""

    def __init__(self, n: int, width: int, n_heads: int, generator: torch.Generator) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = Linear(n, width, width, generator)
        self.key_value = Linear(n, width, 2 * width, generator)
        self.norm = LayerNorm(n, width)

    def queries(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """Project to queries, heads apart."""
        return split_heads(self.query(x, rows), self.n_heads)

    def keys_values(self, x: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Project to keys and values, heads apart."""
        key, value = self.key_value(x, rows).chunk(2, dim=-1)
        return split_heads(key, self.n_heads), split_heads(value, self.n_heads)


Look = Callable[[int, Attention, Tensor, Tensor], Tensor]


class FeedForward(nn.Module):
    """Linear to four times the width, ReLU, linear back; residual and norm follow."""

    def __init__(self, n: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.up = Linear(n, width, 4 * width, generator)
        self.down = Linear(n, 4 * width, width, generator)
        self.norm = LayerNorm(n, width)

    def forward(self, x: Tensor, rate: float, rows: Tensor | None = None) -> Tensor:
        """Transform each position on its own."""
        inner = dropout(torch.relu(self.up(x, rows)), rate, self.training)
        return self.norm(dropout(self.down(inner, rows), rate, self.training) + x, rows)


class Block(nn.Module):
    """One block: self-attention, attention to each other stream, feed-forward.

    The models and their streams share one leading axis, streams inside: ``g = model * n_streams +
    stream``. The k-th cross-attention of a stream looks at the stream k places on.
    """

    def __init__(
        self, n_models: int, n_streams: int, width: int, n_heads: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        n = n_models * n_streams
        self.self_attention = Attention(n, width, n_heads, generator)
        self.cross_attention = nn.ModuleList(
            Attention(n, width, n_heads, generator) for _ in range(n_streams - 1)
        )
        self.feed_forward = FeedForward(n, width, generator)

    def mix(
        self,
        streams: Tensor,
        static: Tensor | None,
        look: Look,
        rate: float,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Pass the streams through the block.

        `look(shift, attention, streams, attended)` returns what the queries of `attended` find in
        the streams `shift` places on; `rows` says whose weights to use, where not all are asked.
        """
        first = self.self_attention
        attended = first.norm(look(0, first, streams, streams) + streams, rows)
        found = [
            attention.norm(look(shift, attention, streams, attended) + attended, rows)
            for shift, attention in enumerate(self.cross_attention, start=1)
        ]
        total = sum(found[1:], start=found[0])
        return self.feed_forward(total if static is None else total + static, rate, rows)


class TransformerTrunk(nn.Module):
    """From histories to the representation at every position."""

    def __init__(
        self,
        n_models: int,
        widths: tuple[int, int, int, int],
        size: TransformerSize,
        changes: Changes,
        generator: torch.Generator,
    ) -> None:
        """Build the trunk for widths of treatment, outcome, covariates and static."""
        super().__init__()
        self.n_models, self.size, self.changes = n_models, size, changes
        d_a, d_y, d_x, d_v = widths
        n_read = d_y + changes.n_added + d_a if changes.n_added else d_y
        streams = [d_a, n_read, d_x] if d_x else [d_a, n_read]
        self.n_streams, self.n_outcomes = len(streams), d_y
        self.inputs = nn.ModuleList(
            Linear(n_models, width, size.hidden, generator) for width in streams
        )
        self.static = Linear(n_models, d_v, size.hidden, generator) if d_v else None
        d_k = size.hidden // size.heads
        self.key_table = nn.Parameter(
            torch.randn(n_models, size.longest + 1, d_k, generator=generator)
        )
        self.value_table = nn.Parameter(
            torch.randn(n_models, size.longest + 1, d_k, generator=generator)
        )
        self.blocks = nn.ModuleList(
            Block(n_models, self.n_streams, size.hidden, size.heads, generator)
            for _ in range(size.blocks)
        )
        self.output = Linear(n_models, size.hidden, size.representation, generator)

    def embed(self, inputs: Inputs) -> tuple[Tensor, Tensor | None]:
        """Return the streams, (g, n, t, width), and what static features add to each."""
        parts = self.tokens(inputs.prev_treatment, inputs.outcome, inputs.prev_outcome)
        if inputs.covariates is not None:
            parts.append(inputs.covariates)
        streams = torch.stack(
            [layer(part) for layer, part in zip(self.inputs, parts, strict=True)], dim=1
        ).flatten(0, 1)
        if self.static is None:
            return streams, None
        static = self.static(inputs.static).unsqueeze(2)
        return streams, static.repeat_interleave(self.n_streams, dim=0)

    def tokens(self, treatment: Tensor, now: Tensor, before: Tensor) -> list[Tensor]:
        """Return what the streams of treatments and outcomes read at a position.

        With changes, the outcome's stream is shown the treatment that the change followed: one
        block then finds how a unit answered each treatment.
        """
        outcome = self.changes.read(now, before)
        if self.changes.n_added:
            outcome = torch.cat([outcome, treatment], dim=-1)
        return [treatment, outcome]

    def tables(self) -> tuple[Tensor, Tensor]:
        """Repeat the relative-position tables for every stream."""
        return (
            self.key_table.repeat_interleave(self.n_streams, dim=0),
            self.value_table.repeat_interleave(self.n_streams, dim=0),
        )

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the representation, (n_models, n, t, width)."""
        streams, static = self.embed(inputs)
        return self.read(inputs, streams, static)

    def read(
        self,
        inputs: Inputs,
        streams: Tensor,
        static: Tensor | None,
        keep: Callable[[Tensor, Tensor], None] | None = None,
    ) -> Tensor:
        """Pass embedded inputs through all blocks and pool them.

        `keep` is handed the keys and values of every attention, in order.
        """
        t = streams.shape[2]
        key_table, value_table = self.tables()
        hidden = self._hidden_covariates(inputs, t)
        rate = self.size.dropout

        def look(shift: int, attention: Attention, streams: Tensor, attended: Tensor) -> Tensor:
            key, value = attention.keys_values(self.rotate(streams, shift) if shift else streams)
            if keep is not None:
                keep(key, value)
            return attend(
                attention.queries(attended), key, value, key_table, value_table,
                self.key_mask(hidden, shift), rate, self.training,
            )  # fmt: skip

        for block in self.blocks:
            streams = block.mix(streams, static, look, rate)
        return self.pool(streams, None if hidden is None else hidden[:, :, 0, 0])

    def pool(self, streams: Tensor, is_hidden: Tensor | None) -> Tensor:
        """Average the streams (without the covariates' where they are unknown) and project.

        `is_hidden` is a bool tensor of shape (n_models, n, t).
        """
        apart = streams.unflatten(0, (self.n_models, self.n_streams))
        mean = apart.mean(dim=1)
        if is_hidden is not None:
            mean = torch.where(is_hidden.unsqueeze(-1), apart[:, :2].mean(dim=1), mean)
        mean = dropout(mean, self.size.dropout, self.training)
        return nn.functional.elu(self.output(mean))

    def _hidden_covariates(self, inputs: Inputs, t: int) -> Tensor | None:
        """Mark positions whose covariates are unknown: (n_models, n, 1, 1, t)."""
        if inputs.covariates is None or inputs.known_until is None:
            return None
        position = torch.arange(t, device=inputs.outcome.device)
        return (position >= inputs.known_until.unsqueeze(-1))[:, :, None, None, :]

    def key_mask(self, hidden: Tensor | None, shift: int) -> Tensor | None:
        """Block keys of unknown covariates for the streams that look at them.

        `shift` is how many places on a stream looks; 0 for itself.
        """
        if hidden is None:
            return None
        shows = torch.zeros(self.n_streams, dtype=torch.bool, device=hidden.device)
        shows[(2 - shift) % self.n_streams] = True
        mask = hidden.unsqueeze(1) & shows.view(1, -1, 1, 1, 1, 1)
        return mask.flatten(0, 1)

    def rotate(self, streams: Tensor, shift: int) -> Tensor:
        """Give every stream the one `shift` places on."""
        apart = streams.unflatten(0, (self.n_models, self.n_streams))
        return apart.roll(-shift, dims=1).flatten(0, 1)
