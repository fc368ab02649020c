"""Attention with relative positions, held to the formula written out."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal._networks.attention import attend  # noqa: E402
from segcate.temporal._networks.layers import LayerNorm, keep_factors  # noqa: E402

G, N, HEADS, T, D, LONGEST = 2, 2, 1, 7, 3, 4


@pytest.fixture
def parts():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sequences = [draw(G, N, HEADS, T, D) for _ in range(3)]
    return (*sequences, draw(G, LONGEST + 1, D), draw(G, LONGEST + 1, D))


def plain(query, key, value, key_table, value_table, key_mask, rate):
    """Look every distance up: what autograd differentiates for us."""
    g, n, n_heads, t, d = query.shape
    back = torch.arange(t).unsqueeze(1) - torch.arange(t)
    at = back.clamp(0, key_table.shape[1] - 1)
    score = torch.einsum("gnhid,gnhjd->gnhij", query, key)
    score = score + torch.einsum("gnhid,gijd->gnhij", query, key_table[:, at])
    is_blocked = (back < 0).expand(g, n, n_heads, t, t)
    if key_mask is not None:
        is_blocked = is_blocked | key_mask
    weight = torch.softmax((score / math.sqrt(d)).masked_fill(is_blocked, -1e30), dim=-1)
    weight = weight.masked_fill(is_blocked, 0.0)
    if rate:
        weight = weight * keep_factors(weight, rate)
    out = torch.einsum("gnhij,gnhjd->gnihd", weight, value)
    out = out + torch.einsum("gnhij,gijd->gnihd", weight, value_table[:, at])
    return out.flatten(-2)


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
    found = attend(query, key, value, key_table, value_table, None, 0.0, False)
    torch.testing.assert_close(found, naive(*parts, lambda n, j: False), rtol=0, atol=1e-13)


def test_masked_keys_are_not_looked_at(parts):
    query, key, value, key_table, value_table = parts
    # The first unit's keys are unknown from the fourth on, the second unit's everywhere.
    known = torch.tensor([3, 0])
    mask = (torch.arange(T) >= known.unsqueeze(1))[None, :, None, None, :]
    found = attend(query, key, value, key_table, value_table, mask, 0.0, False)
    expected = naive(*parts, lambda n, j: j >= int(known[n]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    assert (found[:, 1] == 0).all()


def test_only_the_distance_counts_beyond_the_longest(parts):
    query, key, value, key_table, value_table = parts
    alone = torch.zeros(T, dtype=torch.bool)
    alone[0] = True
    mask = (~alone)[None, None, None, None, :]
    found = attend(query, key, value, key_table, value_table, mask, 0.0, False)
    # All that is seen is position 0, whose entry is shared by every distance from LONGEST on.
    far = found[:, :, LONGEST:]
    torch.testing.assert_close(far, far[:, :, :1].expand_as(far), rtol=0, atol=1e-13)
    assert (found[:, :, 0] - far[:, :, 0]).abs().max() > 0.1


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize(("t", "longest"), [(1, 3), (2, 1), (5, 4), (5, 5), (9, 3), (6, 15)])
def test_gradients_are_those_of_the_formula(t, longest, rate, is_masked):
    generator = torch.Generator().manual_seed(t)
    shapes = [(3, 2, 2, t, 4)] * 3 + [(3, longest + 1, 4)] * 2
    parts = [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]
    upstream = torch.randn(3, 2, t, 8, generator=generator, dtype=torch.float64)
    mask = None
    if is_masked:
        known = torch.randint(0, t + 1, (3, 2, 1), generator=generator)
        mask = (torch.arange(t) >= known)[:, :, None, None, :]
    both = []
    for form in (plain, lambda *a: attend(*a, True)):
        torch.manual_seed(0)
        out = form(*parts, mask, rate)
        both.append([out, *torch.autograd.grad((out * upstream).sum(), parts)])
    for found, expected in zip(*both[::-1], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_gradients_are_those_of_small_differences(parts):
    known = torch.tensor([T, 3])
    mask = (torch.arange(T) >= known.unsqueeze(1))[None, :, None, None, :]
    for key_mask in (None, mask):
        assert torch.autograd.gradcheck(
            lambda *a, m=key_mask: attend(*a, m, 0.0, False),
            [part.requires_grad_() for part in parts],
        )


def test_layer_norm_is_the_formula_with_its_gradients():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    norm = LayerNorm(2, 5).double()
    with torch.no_grad():
        norm.gain.add_(torch.randn(norm.gain.shape, generator=generator, dtype=torch.float64))
    expected = norm.gain * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)
    torch.testing.assert_close(norm(x), expected + norm.bias, rtol=0, atol=1e-13)
    assert torch.autograd.gradcheck(norm, x)


def test_layer_norm_of_equal_entries_has_a_finite_gradient():
    x = torch.ones(1, 1, 2, 5, dtype=torch.float64, requires_grad=True)
    found = LayerNorm(1, 5).double()(x)
    assert (found == 0).all()
    weights = torch.arange(5, dtype=torch.float64)
    (found * weights).sum().backward()
    # Only the mean is left to differentiate, over an sd of 0 + 1e-6.
    expected = ((weights - weights.mean()) / 1e-6).expand_as(x)
    torch.testing.assert_close(x.grad, expected, rtol=1e-12, atol=0)


def test_dropout_keeps_the_share_and_the_mean():
    torch.manual_seed(0)
    factors = keep_factors(torch.empty(1001, 999), 0.1)
    n_dropped = round(256 * 0.1)
    assert factors.unique().tolist() == [0.0, pytest.approx(256 / (256 - n_dropped))]
    # Five standard errors of the share dropped.
    error = (n_dropped / 256 * (1 - n_dropped / 256) / factors.numel()) ** 0.5
    assert abs(float((factors == 0).double().mean()) - n_dropped / 256) < 5 * error
