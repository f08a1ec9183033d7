"""The masked-token transformer: what stands where no token was sent, from the tokens around it in space and time.

After MaskGIT (Chang et al., arXiv 2202.04200) and MAGE (Li et al., arXiv 2211.09117), in one step and with
attention in shifted windows (Swin, Liu et al., arXiv 2103.14030). Float arithmetic: its output reaches
pixels only, never the entropy decoder.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvc.config import ModelConfig

_SLOTS = 2
"""The window spans the previous slot and the current one."""


class _Layer(nn.Module):
    """Attention within windows, then a two-layer perceptron, each after a layer norm over channels."""

    def __init__(self, width: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.position = nn.Parameter(torch.zeros(heads, tokens, tokens))

    def forward(self, x: Tensor, windows: Tensor, asked: int) -> Tensor:
        """One layer: nothing is computed outside the map, nor for tokens that nobody asks for.

        Args:
            x: (B, N, width), all tokens.
            windows: (W, T), as `_windows` gives them.
            asked: how many tokens are wanted, the last ones: N, or N / 2 for those of the current slot.

        Returns:
            (B, asked, width).
        """
        batch, count, width = x.shape
        asking = windows[:, -(windows.shape[1] * asked // count) :] - (count - asked)
        bias = self.position[:, None, -asking.shape[1] :] + torch.where(windows == count, -1e4, 0.0)[:, None]
        bias = bias.flatten(0, 1)[None]  # (1, heads * W, T or half, T)
        normed, x = self.norm1(x), x[:, -asked:]
        queries = functional.linear(normed[:, -asked:], self.qkv.weight[:width], self.qkv.bias[:width])
        keys, contents = functional.linear(normed, self.qkv.weight[width:], self.qkv.bias[width:]).chunk(2, dim=-1)
        q, k, v = self._heads(queries, asking), self._heads(keys, windows), self._heads(contents, windows)
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        # Where each token lies among those of all windows.
        places = asking.new_empty(asked + 1).scatter_(
            0, asking.flatten(), torch.arange(asking.numel(), device=x.device)
        )
        seen = seen.reshape(batch, self.heads, -1, width // self.heads)[:, :, places[:asked]]
        x = x + self.project(seen.transpose(1, 2).reshape(batch, asked, width))
        out: Tensor = x + self.contract(functional.gelu(self.expand(self.norm2(x))))
        return out

    def _heads(self, x: Tensor, windows: Tensor) -> Tensor:
        """(B, N, width) by windows (W, T) -> (B, heads * W, T, width / heads); zeros where there is no token."""
        heads = x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (B, heads, N, width / heads)
        padded = functional.pad(heads, (0, 0, 0, 1)).index_select(2, windows.flatten())
        return padded.reshape(len(x), -1, windows.shape[1], heads.shape[3])


class Predictor(nn.Module):
    """Expected FSQ values at masked positions.

    Args:
        config: the model's sizes.
    """

    grid: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, self.window = config.predictor_width, config.predictor_window
        self.levels = list(config.levels)
        tokens = _SLOTS * self.window**2
        self.embed = nn.Linear(len(config.levels) + 2, width)
        self.place = nn.Parameter(torch.randn(_SLOTS, 1, 1, width) * 0.02)
        self.layers = nn.ModuleList(
            _Layer(width, config.predictor_heads, tokens) for _ in range(config.predictor_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.logits = nn.Linear(width, sum(config.levels))
        # How far the expectation moves the value that both sides already guessed; nothing until trained.
        self.gate = nn.Parameter(torch.zeros(1, len(config.levels), 1, 1))
        grid = torch.cat([(torch.arange(n) - n // 2) / (n // 2) for n in config.levels])
        self.register_buffer("grid", grid, persistent=False)

    def forward(self, values: Tensor, mask: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor]:
        """Refines guessed values.

        Args:
            values: (B, D, h, w); guesses where masked.
            mask: (B, 1, h, w) float, 1 where masked.
            previous: values (B, D, h, w) of the previous slot, or None.

        Returns:
            Values (B, D, h, w), changed only where masked; and logits (B, sum of levels, h, w).
        """
        h, w = values.shape[2:]
        before = torch.zeros_like(values) if previous is None else previous
        flag = torch.zeros_like(mask) if previous is None else torch.ones_like(mask)
        current = torch.cat((values, mask, torch.ones_like(mask)), dim=1)
        past = torch.cat((before, torch.zeros_like(mask), flag), dim=1)
        x = torch.stack((past, current), dim=1).permute(0, 1, 3, 4, 2)  # (B, 2, h, w, D + 2)
        x = (self.embed(x) + self.place).flatten(1, 3)  # (B, 2 * h * w, width), the previous slot first
        windows = [_windows(h, w, self.window, shift, x.device) for shift in (0, self.window // 2)]
        for number, layer in enumerate(self.layers):
            x = layer(x, windows[number % 2], h * w if number == len(self.layers) - 1 else x.shape[1])
        logits = self.logits(self.norm(x)).reshape(-1, h, w, sum(self.levels)).permute(0, 3, 1, 2)
        logits = logits.float()  # (B, 39, h, w)
        change = self.gate * (self._expectation(logits) - values)
        return values + mask * change, logits

    def _expectation(self, logits: Tensor) -> Tensor:
        """Logits (B, sum of levels, h, w) -> expected values (B, D, h, w)."""
        parts = zip(torch.split(logits, self.levels, dim=1), torch.split(self.grid, self.levels), strict=True)
        means = [(part.softmax(dim=1) * values[:, None, None]).sum(dim=1) for part, values in parts]
        return torch.stack(means, dim=1)


@lru_cache(maxsize=64)
def _windows(h: int, w: int, side: int, shift: int, device: torch.device) -> Tensor:
    """Which tokens each window holds: (W, 2 * side * side), of the previous slot and then of the current one.

    Numbers count the tokens of both maps in rows; 2 * h * w says that there is none: windows begin at multiples of
    `side` plus `shift`, so they reach over the edges, and what would wrap around those is no neighbour.
    """
    with torch.inference_mode(False):
        tokens = torch.arange(_SLOTS * h * w).reshape(_SLOTS, h, w)
        before = (side - shift) % side
        after_h, after_w = (-(length + before) % side for length in (h, w))
        tokens = functional.pad(tokens, (before, after_w, before, after_h), value=_SLOTS * h * w)
        tiles = tokens.reshape(_SLOTS, tokens.shape[1] // side, side, tokens.shape[2] // side, side)
        return tiles.permute(1, 3, 0, 2, 4).reshape(-1, _SLOTS * side * side).to(device)
