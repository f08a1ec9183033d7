"""The masked-token transformer: what stands where no token was sent, from the tokens around it in space and time.

After MaskGIT (Chang et al., arXiv 2202.04200) and MAGE (Li et al., arXiv 2211.09117), in one step and with
attention in shifted windows (Swin, Liu et al., arXiv 2103.14030). Float arithmetic: its output reaches
pixels only, never the entropy decoder.
"""

from __future__ import annotations

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

    def forward(self, x: Tensor, blocked: Tensor) -> Tensor:
        """X (windows, tokens, width), blocked (windows, tokens) bool -> the same shape as x."""
        windows, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(windows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.position[None] + torch.where(blocked, -1e4, 0.0)[:, None, None]
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = x + self.project(seen.transpose(1, 2).reshape(windows, tokens, width))
        out: Tensor = x + self.contract(functional.gelu(self.expand(self.norm2(x))))
        return out


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
        batch, _, h, w = values.shape
        before = torch.zeros_like(values) if previous is None else previous
        flag = torch.zeros_like(mask) if previous is None else torch.ones_like(mask)
        current = torch.cat((values, mask, torch.ones_like(mask)), dim=1)
        past = torch.cat((before, torch.zeros_like(mask), flag), dim=1)
        x = torch.stack((past, current), dim=1).permute(0, 1, 3, 4, 2)  # (B, 2, h, w, D + 2)
        x = self.embed(x) + self.place
        pad_h, pad_w = -h % self.window, -w % self.window
        x = functional.pad(x, (0, 0, 0, pad_w, 0, pad_h))
        absent = functional.pad(x.new_zeros(1, 1, h, w, 1), (0, 0, 0, pad_w, 0, pad_h), value=1.0)
        absent = absent.expand(batch, _SLOTS, -1, -1, 1)
        for number, layer in enumerate(self.layers):
            x = self._attend(layer, x, absent, shift=number % 2 * (self.window // 2))
        logits = self.logits(self.norm(x[:, 1, :h, :w])).permute(0, 3, 1, 2).float()  # (B, 39, h, w)
        change = self.gate * (self._expectation(logits) - values)
        return values + mask * change, logits

    def _attend(self, layer: nn.Module, x: Tensor, absent: Tensor, shift: int) -> Tensor:
        """One layer over windows of the (possibly shifted) map."""
        side = self.window
        joined = torch.cat((x, absent.to(x.dtype)), dim=-1)
        if shift:
            # Padded, not rolled: what wraps around a frame's edge is no neighbour.
            joined = functional.pad(joined, (0, 0, side - shift, shift, side - shift, shift))
            joined[..., : side - shift, :, -1] = joined[..., -shift:, :, -1] = 1
            joined[..., :, : side - shift, -1] = joined[..., :, -shift:, -1] = 1
        batch, _, h, w, channels = joined.shape
        windows = joined.reshape(batch, _SLOTS, h // side, side, w // side, side, channels)
        windows = windows.permute(0, 2, 4, 1, 3, 5, 6).reshape(-1, _SLOTS * side * side, channels)
        out: Tensor = layer(windows[..., :-1], windows[..., -1] > 0.5)
        out = out.reshape(batch, h // side, w // side, _SLOTS, side, side, channels - 1)
        out = out.permute(0, 3, 1, 4, 2, 5, 6).reshape(batch, _SLOTS, h, w, channels - 1)
        return out[:, :, side - shift : h - shift, side - shift : w - shift] if shift else out

    def _expectation(self, logits: Tensor) -> Tensor:
        """Logits (B, sum of levels, h, w) -> expected values (B, D, h, w)."""
        parts = zip(torch.split(logits, self.levels, dim=1), torch.split(self.grid, self.levels), strict=True)
        means = [(part.softmax(dim=1) * values[:, None, None]).sum(dim=1) for part, values in parts]
        return torch.stack(means, dim=1)
