"""tvc's masked-token transformer."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from tvc_samples import UNEVEN as TINY
from tvc_samples import one_thread  # noqa: F401 (a fixture)

from tvc.fsq import FSQ
from tvc.predictor import Predictor


def _predictor(**changes: int) -> Predictor:
    torch.manual_seed(0)
    predictor = Predictor(replace(TINY, **changes))
    torch.nn.init.ones_(predictor.gate)
    return predictor.eval()


def test_the_predictor_changes_masked_values_only() -> None:
    predictor = _predictor()
    values = FSQ(TINY.levels)(torch.randn(2, 6, 5, 7))
    mask = (torch.rand(2, 1, 5, 7) < 0.5).float()
    refined, logits = predictor(values, mask, None)
    assert logits.shape == (2, sum(TINY.levels), 5, 7)
    changed = (refined != values).any(dim=1, keepdim=True)
    assert torch.equal(changed, mask > 0)
    assert float(refined.detach().abs().max()) <= 1
    with_past, _ = predictor(values, mask, values)
    assert not torch.equal(with_past, refined)


def test_the_predictor_sees_no_further_than_its_windows() -> None:
    predictor = _predictor()
    values, mask = torch.zeros(1, 6, 4, 24), torch.ones(1, 1, 4, 24)
    moved = values.clone()
    moved[..., -1] = 1
    before, _ = predictor(values, mask, None)
    after, _ = predictor(moved, mask, None)
    difference = (before - after).detach().abs().amax(dim=(0, 1, 2))
    # A window of 4 holds columns 20 ... 23, and the shifted window of the second layer 18 ... 21.
    assert float(difference[:18].max()) == 0
    assert float(difference[19]) > 0


def _written_out(predictor: Predictor, values: Tensor, mask: Tensor, previous: Tensor) -> Tensor:
    """Logits (1, sum of levels, h, w) of one video by the formula: all pairs of tokens, those of two windows cut."""
    _, _, h, w = values.shape
    side = predictor.window
    past = torch.cat((previous, torch.zeros_like(mask), torch.ones_like(mask)), dim=1)
    current = torch.cat((values, mask, torch.ones_like(mask)), dim=1)
    tokens = [slot[0, :, row, column] for slot in (past, current) for row in range(h) for column in range(w)]
    places = [(slot, row, column) for slot in range(2) for row in range(h) for column in range(w)]
    x = torch.stack([predictor.embed(t) + predictor.place[p[0], 0, 0] for t, p in zip(tokens, places, strict=True)])
    for number, layer in enumerate(predictor.layers):
        offset = side - side // 2 if number % 2 else 0
        window = [((row + offset) // side, (column + offset) // side) for _, row, column in places]
        inside = [
            slot * side**2 + (row + offset) % side * side + (column + offset) % side for slot, row, column in places
        ]
        apart = torch.tensor([[a != b for b in window] for a in window])
        parts = []
        normed = layer.norm1(x)
        for head, qkv in enumerate(layer.qkv(normed).reshape(len(x), 3, layer.heads, -1).unbind(2)):
            q, k, v = qkv.unbind(1)
            scores = q @ k.T / math.sqrt(q.shape[1]) + layer.position[head][inside][:, inside]
            parts.append(scores.masked_fill(apart, -math.inf).softmax(1) @ v)
        x = x + layer.project(torch.cat(parts, dim=1))
        x = x + layer.contract(functional.gelu(layer.expand(layer.norm2(x))))
    return predictor.logits(predictor.norm(x[h * w :])).T.reshape(1, -1, h, w)


@pytest.mark.parametrize(("h", "w", "layers"), [(5, 7, 3), (4, 4, 2), (9, 3, 1), (1, 1, 2)])
def test_the_predictor_is_attention_within_windows(h: int, w: int, layers: int) -> None:
    predictor = _predictor(predictor_layers=layers)
    for layer in predictor.layers:
        torch.nn.init.normal_(layer.position, std=0.5)
    values, previous = torch.rand(2, 2, 6, h, w) * 2 - 1
    mask = (torch.rand(2, 1, h, w) < 0.5).float()
    with torch.no_grad():
        _, logits = predictor(values, mask, previous)
    for i in range(2):
        one = slice(i, i + 1)
        expected = _written_out(predictor, values[one], mask[one], previous[one])
        torch.testing.assert_close(logits[one], expected, rtol=1e-4, atol=1e-4)
