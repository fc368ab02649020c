"""The LSTM: PyTorch's with the same weights, and gradients beside those of plain steps."""

import pytest

torch = pytest.importorskip("torch")

from segcate.temporal._networks.lstm import LSTM, compile_parts  # noqa: E402


def in_order():
    # PyTorch orders gates in, forget, candidate, out; ours are in, forget, out, candidate.
    return torch.cat([torch.arange(10), torch.arange(15, 20), torch.arange(10, 15)])


def both():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = LSTM(1, 3, 5, 0.0, generator), torch.nn.LSTM(3, 5, batch_first=True)
    order = in_order()
    with torch.no_grad():
        theirs.weight_ih_l0[order] = ours.input.weight[0].T
        theirs.bias_ih_l0[order] = ours.input.bias[0, 0]
        theirs.weight_hh_l0[order] = ours.recurrent[0].T
        theirs.bias_hh_l0.zero_()
    return ours, theirs, torch.randn(4, 7, 3, generator=generator)


def test_lstm_is_that_of_pytorch():
    ours, theirs, x = both()
    with torch.no_grad():
        expected, (_, cell) = theirs(x)
        torch.testing.assert_close(ours(x[None])[0], expected)
        before, cells = ours.states_before(ours.input(x[None]))
        torch.testing.assert_close(before[0, :, 1:], expected[:, :-1])
        assert not before[0, :, 0].any()
        last = ours.step(ours.input(x[None])[:, :, -1], (before[:, :, -1], cells[:, :, -1]))
        torch.testing.assert_close(last[1], cell)


def test_gradients_are_those_of_pytorch():
    ours, theirs, x = both()
    x_ours, x_theirs = (x.clone().requires_grad_() for _ in range(2))
    share = torch.linspace(-1.0, 1.0, 4 * 7 * 5).view(4, 7, 5)
    (ours(x_ours[None])[0] * share).sum().backward()
    (theirs(x_theirs)[0] * share).sum().backward()
    torch.testing.assert_close(x_ours.grad, x_theirs.grad)
    order = in_order()
    torch.testing.assert_close(ours.recurrent.grad[0].T, theirs.weight_hh_l0.grad[order])
    torch.testing.assert_close(ours.input.weight.grad[0].T, theirs.weight_ih_l0.grad[order])


def test_models_beside_each_other_read_as_by_plain_steps():
    generator = torch.Generator().manual_seed(1)
    lstm = LSTM(2, 3, 5, 0.0, generator).double()
    given = [
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((2, 4, 6, 3), (2, 4, 5), (2, 4, 5))
    ]
    share = torch.linspace(-1.0, 1.0, 2 * 4 * 6 * 5).view(2, 4, 6, 5)

    def gradients(run):
        lstm.zero_grad()
        own = [part.clone().requires_grad_() for part in given]
        outputs = run(*own)
        (outputs * share).sum().backward()
        return [outputs, *(part.grad for part in (*own, *lstm.parameters()))]

    def by_steps(x, hidden, cell):
        outputs, state = [], (hidden, cell)
        for gates in lstm.input(x).unbind(2):
            state = lstm.step(gates, state)
            outputs.append(state[0])
        return torch.stack(outputs, dim=2)

    found = gradients(lambda x, *state: lstm(x, state))
    for ours, expected in zip(found, gradients(by_steps), strict=True):
        torch.testing.assert_close(ours, expected)


def test_dropout_of_an_lstm_is_drawn_once_a_sequence():
    lstm = LSTM(1, 1, 400, 0.5, torch.Generator().manual_seed(0)).train()
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    outputs = lstm(torch.ones(1, 1, 6, 1))
    torch.set_rng_state(torch_state)
    dropped = outputs[0, 0] == 0
    assert (dropped == dropped[0]).all()
    assert 0.4 < float(dropped[0].float().mean()) < 0.6


def test_parts_with_an_lstm_are_not_compiled(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(self))
    generator = torch.Generator().manual_seed(0)
    inner = torch.nn.Sequential(LSTM(1, 2, 3, 0.0, generator))
    network = torch.nn.ModuleDict({"read": inner, "head": torch.nn.Linear(3, 1)})
    compile_parts(network)
    assert compiled == [network["head"]]
