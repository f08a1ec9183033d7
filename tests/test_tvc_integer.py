"""tvc.integer and tvc.tables: exact sums and integer probabilities, checked against int64 arithmetic and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from torch.nn import functional

from tvc.errors import WeightsError
from tvc.integer import (
    MAX_TERMS,
    PEAK,
    UNIT,
    IntegerLayer,
    activate,
    integer_state,
    load_integer_state,
    planes,
    quantise,
    through,
)
from tvc.tables import FRACTIONS, REACH, SCALES, TOTAL, gaussian_counts, softmax_counts, steps


def _activations(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, PEAK + 1, shape, generator=generator).float()


def _by_int64(layer: IntegerLayer, x: torch.Tensor) -> torch.Tensor:
    """The layer's definition in int64: floor((w * x + b) / 2**shift)."""
    stored = layer.integers()
    rows = (-1, 1, 1) if x.ndim == 4 else (-1,)
    weight, columns = stored["weight"].long().flatten(1), x.long()
    if x.ndim == 4:
        windows = functional.unfold(x.double(), layer.kernel, padding=layer.kernel // 2).long()
        sums = (weight @ windows).reshape(x.shape[0], -1, *x.shape[2:])
    else:
        sums = columns @ weight.T
    shift = stored["shift"].long().reshape(rows)
    return (sums + stored["bias"].long().reshape(rows)) >> shift


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("inputs", "kernel"), [(111, 3), (1000, 1), (3, 3)])
def test_layer_is_exactly_int64_arithmetic_at_full_scale(inputs, kernel, training):
    torch.manual_seed(inputs)
    layer = IntegerLayer(inputs, 24, kernel).train(training)
    with torch.no_grad():
        layer.weight[:4] = 0.0078  # every weight at its peak: the largest sums there can be
        layer.bias.uniform_(-40, 40)
    x = _activations(1, 2, inputs, 9, 7)
    x[0] = PEAK
    with torch.no_grad():
        assert torch.equal(layer(x).long(), _by_int64(layer, x))


def test_layer_on_rows_is_the_same_as_on_maps():
    torch.manual_seed(2)
    layer = IntegerLayer(100, 40).eval()
    x = _activations(3, 50, 100)
    with torch.no_grad():
        rows = layer(x)
        assert torch.equal(rows.long(), _by_int64(layer, x))
        assert torch.equal(rows, layer(x.T.reshape(1, 100, 5, 10)).reshape(40, 50).T)


def test_batch_does_not_change_a_bit():
    torch.manual_seed(4)
    layer = IntegerLayer(64, 64, 3).eval()
    x = _activations(5, 20, 64, 6, 6)
    with torch.no_grad():
        assert torch.equal(layer(x), torch.cat([layer(one[None]) for one in x]))


def test_sums_beyond_float32_are_refused():
    with pytest.raises(WeightsError, match="float32 sums exactly"):
        IntegerLayer(112, 8, 3)
    assert MAX_TERMS * PEAK * PEAK < 2**24


def test_stored_integers_come_back_the_same():
    torch.manual_seed(6)
    module = torch.nn.Sequential(IntegerLayer(30, 20, 3), IntegerLayer(20, 10))
    with torch.no_grad():
        module[0].weight.mul_(torch.logspace(-6, 3, 20).reshape(-1, 1, 1, 1))
        module[0].weight[3] = 0
        module[0].bias.uniform_(-1000, 1000)
    state = integer_state(module)
    assert {value.dtype for value in state.values()} == {torch.int8, torch.int32}
    other = torch.nn.Sequential(IntegerLayer(30, 20, 3), IntegerLayer(20, 10)).eval()
    x = _activations(7, 1, 30, 5, 5)
    with torch.no_grad():
        other(x)  # before loading: nothing of the old weights may survive
        load_integer_state(other, state)
        again = integer_state(other)
        assert all(torch.equal(again[name], state[name]) for name in state)
        assert torch.equal(activate(other[0](x)), activate(module.eval()[0](x)))


def test_wrong_stored_integers_are_refused():
    layer = torch.nn.Sequential(IntegerLayer(4, 4))
    state = integer_state(layer)
    with pytest.raises(WeightsError, match="not the model's"):
        load_integer_state(layer, {name: value for name, value in state.items() if "bias" not in name})
    with pytest.raises(WeightsError, match="does not fit"):
        load_integer_state(layer, state | {"0.weight": state["0.weight"].float()})
    with pytest.raises(WeightsError, match="not ones"):
        load_integer_state(layer, state | {"0.bias": torch.full((4,), 2**31 - 1, dtype=torch.int32)})
    with pytest.raises(WeightsError, match="not ones"):
        load_integer_state(layer, state | {"0.weight": torch.full((4, 4, 1, 1), -128, dtype=torch.int8)})


def test_gradients_pass_straight_through():
    x = torch.tensor([0.4, 1.6], requires_grad=True)
    through(x * 3, torch.round(x * 3)).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    torch.manual_seed(8)
    layer = IntegerLayer(8, 5, 3)
    layer(_activations(9, 1, 8, 4, 4)).sum().backward()
    assert layer.weight.grad.abs().min() > 0
    # A sum of 16 outputs over a bias in units of 1/32.
    assert layer.bias.grad.tolist() == [16.0 * UNIT] * 5


def test_float_mode_does_not_round():
    torch.manual_seed(10)
    layer = IntegerLayer(8, 5)
    quantise(layer, on=False)
    x = _activations(11, 3, 8)
    expected = x.double() @ layer.weight.double().flatten(1).T
    assert torch.allclose(layer(x).double(), expected, atol=1e-3)


def test_planes_are_one_hot_and_empty_where_unknown():
    codes = torch.tensor([[[[0, 2]], [[1, -1]]]])
    assert planes(codes, (3, 2))[0, :, 0].tolist() == [[UNIT, 0], [0, 0], [0, UNIT], [0, 0], [UNIT, 0]]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-(2**24), 2**24), min_size=5, max_size=5), min_size=1, max_size=20))
def test_softmax_counts_sum_and_never_miss_a_symbol(rows):
    counts = softmax_counts(np.array(rows, dtype=np.int64))
    assert (counts.sum(1) == TOTAL).all()
    assert counts.min() >= 1


def test_softmax_counts_agree_with_powers_of_two():
    logits = np.random.default_rng(0).integers(-200, 200, (2000, 8))
    expected = np.exp2(logits / 32)
    expected /= expected.sum(1, keepdims=True)
    # One count in 65,536 for the floor of each of 8 symbols, and the remainder on the likeliest.
    assert np.abs(softmax_counts(logits) / TOTAL - expected).max() < 10 / TOTAL


def test_gaussian_counts_agree_with_scipy():
    counts = gaussian_counts()
    assert counts.shape == (SCALES, FRACTIONS, 2 * REACH + 1)
    assert (counts.sum(-1) == TOTAL).all()
    assert counts.min() >= 1
    deviation = np.exp2((np.arange(SCALES) - 32) / 8)[:, None, None]
    mean = ((np.arange(FRACTIONS) - 8) / 16)[None, :, None]
    edge = np.arange(-REACH, REACH + 2) - 0.5
    mass = np.diff(norm.cdf(edge, mean, deviation), axis=-1)
    mass /= mass.sum(-1, keepdims=True)
    excess = (mass * np.log2(np.maximum(mass, 1e-300) * TOTAL / counts)).sum(-1)
    assert excess.max() < 0.0015  # bits a symbol: 63 counts of 65,536 are the price of never missing one


def test_steps_are_powers_of_two_in_fixed_point():
    for index in range(-16, 33):
        step, inverse = steps(index)
        assert abs(step - 2 ** (index / 8) * 256) <= 0.5
        assert abs(inverse - 2 ** (-index / 8) * 32768) <= 0.5
