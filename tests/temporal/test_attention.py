"""Attention with relative positions, held to the formula written out."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal._attention import attend, distance_table  # noqa: E402

G, N, HEADS, T, D, LONGEST = 2, 2, 1, 7, 3, 4


@pytest.fixture
def parts():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sequences = [draw(G, N, HEADS, T, D) for _ in range(3)]
    return (*sequences, draw(G, LONGEST + 1, D), draw(G, LONGEST + 1, D))


def naive(query, key, value, key_table, value_table, is_masked):
    """Sum over keys one by one."""
    out = torch.zeros(G, N, T, HEADS * D, dtype=torch.float64)
    for g in range(G):
        for n in range(N):
            for h in range(HEADS):
                for i in range(T):
                    seen = [j for j in range(i + 1) if not is_masked(n, j)]
                    if not seen:
                        continue
                    back = [min(i - j, LONGEST) for j in seen]
                    q = query[g, n, h, i]
                    score = torch.stack(
                        [
                            q @ (key[g, n, h, j] + key_table[g, b])
                            for j, b in zip(seen, back, strict=True)
                        ]
                    )
                    weight = torch.softmax(score / math.sqrt(D), 0)
                    out[g, n, i, h * D : (h + 1) * D] = sum(
                        w * (value[g, n, h, j] + value_table[g, b])
                        for w, j, b in zip(weight, seen, back, strict=True)
                    )
    return out


def test_attention_is_the_formula(parts):
    query, key, value, key_table, value_table = parts
    tables = (distance_table(key_table, T), distance_table(value_table, T))
    found = attend(query, key, value, *tables, None, 0.0, False)
    torch.testing.assert_close(found, naive(*parts, lambda n, j: False), rtol=0, atol=1e-13)


def test_masked_keys_are_not_looked_at(parts):
    query, key, value, key_table, value_table = parts
    tables = (distance_table(key_table, T), distance_table(value_table, T))
    # The first unit's keys are unknown from the fourth on, the second unit's everywhere.
    known = torch.tensor([3, 0])
    mask = (torch.arange(T) >= known.unsqueeze(1))[None, :, None, None, :]
    found = attend(query, key, value, *tables, mask, 0.0, False)
    expected = naive(*parts, lambda n, j: j >= int(known[n]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    assert (found[:, 1] == 0).all()


def test_only_the_distance_counts_beyond_the_longest(parts):
    query, key, value, key_table, value_table = parts
    tables = (distance_table(key_table, T), distance_table(value_table, T))
    alone = torch.zeros(T, dtype=torch.bool)
    alone[0] = True
    mask = (~alone)[None, None, None, None, :].expand(G, N, 1, T, T)
    found = attend(query, key, value, *tables, mask, 0.0, False)
    # All that is seen is position 0, whose entry is shared by every distance from LONGEST on.
    far = found[:, :, LONGEST:]
    torch.testing.assert_close(far, far[:, :, :1].expand_as(far), rtol=0, atol=1e-13)
    assert (found[:, :, 0] - far[:, :, 0]).abs().max() > 0.1
