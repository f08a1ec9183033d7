"""Tokenizers in TorchScript as codecs: an encoder and a decoder file, and what a recipe says of them.

Frames become RGB by the suite's own conversion, are filled up to whole windows and to multiples of the spatial factor
by repeating the last frame, row and column, and pass the encoder one window at a time. All tokens, those of the padding
too, are written to a real file. The decoder gets what stands in that file; its frames are cropped, converted and
rounded. The models are called as those of Cosmos Tokenizer are (arXiv 2501.03575, github.com/NVIDIA/Cosmos-Tokenizer).
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.codec import tokenfile
from evalsuite.codec.plugin import Job, Role, frames_sha256
from evalsuite.codec.tokencoding import Ints
from evalsuite.codec.tokenfile import TokenFile
from evalsuite.codec.tokenheader import Header
from evalsuite.codec.tokenizer import Tokenizer, grouped, tokenizers
from evalsuite.errors import EvalError, MediaError, RecipeError, ShapeError
from evalsuite.sources.colour import from_rgb, to_rgb
from evalsuite.sources.y4m import Y4MReader
from evalsuite.types import Frame

# PyTorch is imported where a model is loaded: reporting on a file does without it.
if TYPE_CHECKING:
    import torch

_DTYPES = ("float32", "float16", "bfloat16")


class TorchScript:
    """A tokenizer of one or more pairs of TorchScript modules.

    `encoder(x)` with x (1, 3, T, H, W) gives tokens (1, t, h, w), whole numbers, or latents (1, C, t, h, w); of a
    tuple, the first is taken. `decoder` of the same gives (1, 3, T, H, W). An image tokenizer lacks T and t.

    Args:
        device: of the models.
        role: an encoder loads no decoder, unless it is asked for its reconstruction.
        files: `encoder` and `decoder`; or, for several pairs, `encoder_1`, `decoder_1`, `encoder_2`, ...: q is the
            number of the pair.
        input_range: values of black and white.
        dtype: of the models: float32, float16 or bfloat16.
        reconstruct: decode after encoding, so that another process is held to the same frames.
        settings: see `evalsuite.codec.tokenizer.tokenizers`.

    Raises:
        RecipeError: a setting or file is wrong.
    """

    sources = (
        "evalsuite.codec.tokenizer",
        "evalsuite.codec.tokenfile",
        "evalsuite.codec.tokenheader",
        "evalsuite.codec.tokencoding",
        "evalsuite.sources.colour",
    )

    @classmethod
    def version(cls) -> str:
        """Versions of what computes the results besides this package."""
        return f"torch {metadata.version('torch')} constriction {metadata.version('constriction')}"

    def __init__(
        self,
        *,
        device: str,
        role: Role,
        files: Mapping[str, Path],
        input_range: list[float] | None = None,
        dtype: str = "float32",
        reconstruct: bool = False,
        **settings: Any,
    ) -> None:
        pairs = _pairs(files)
        self._tokenizers = tokenizers(len(pairs), **settings)
        if len(pairs) > 1 and not self._tokenizers[0].levels:
            raise RecipeError(
                "a codec of latents has one pair of models, whose q is the step of its latents",
                expected="encoder and decoder in [files]",
                got=f"{len(pairs)} pairs",
                fix="write a recipe for each pair",
            )
        self._low, self._high = _range(input_range)
        if dtype not in _DTYPES:
            raise RecipeError("the setting `dtype` is not valid", expected=" or ".join(_DTYPES), got=dtype)
        self._device, self._dtype, self._reconstruct = device, dtype, reconstruct
        self._encoders = [self._load(encoder) for encoder, _ in pairs] if role == "encode" else []
        decodes = role == "decode" or (role == "encode" and reconstruct)
        self._decoders = [self._load(decoder) for _, decoder in pairs] if decodes else []

    def encode(self, source: Path, output: Path, job: Job) -> str | None:
        """Write the tokens of a Y4M file.

        Raises:
            RecipeError: what the encoder gives is not what the settings say.
            ShapeError: the file has another number of frames than it should.
        """
        latents = not self._tokenizers[0].levels
        pair = 0 if latents or len(self._tokenizers) == 1 else round(job.q) - 1
        tokenizer, step = self._tokenizers[pair], job.q if latents else 0.0
        windows = self._windows(source, job, pair, step)
        if latents:
            first = next(windows)
            channels = len(first)
            windows = _chain(first, windows)
        else:
            channels = 0
        header = Header(pair, job.format, job.frames, job.frame_rate, job.colour, channels, step)
        tokenfile.write(output, header, tokenizer, windows)
        return frames_sha256(self.decode(output)) if self._reconstruct else None

    def _windows(self, source: Path, job: Job, pair: int, step: float) -> Iterator[Ints]:
        tokenizer = self._tokenizers[pair]
        length = tokenizer.window_frames(job.frames)
        height, width = job.format.height, job.format.width
        shape = tokenizer.latent_shape(job.frames, height, width)
        rows, columns = (-side % tokenizer.spatial for side in (height, width))
        frames = _counted(Y4MReader(source), job.frames, source)
        for group in grouped(frames, length):
            rgb = np.stack([to_rgb(frame, job.colour, job.format.bit_depth) for frame in group], axis=1)
            rgb = np.pad(rgb, ((0, 0), (0, 0), (0, rows), (0, columns)), mode="edge")  # (3, T, H, W)
            given = self._run(self._encoders[pair], rgb * (self._high - self._low) + self._low, tokenizer)
            yield _latents(given, shape, step) if step else _tokens(given, shape, tokenizer)

    def decode(self, bitstream: Path) -> Iterator[Frame]:
        """The frames of a file.

        Raises:
            MediaError: it is damaged, or was written with other settings.
            RecipeError: what the decoder gives is not what the settings say.
        """
        file = TokenFile(bitstream, self._tokenizers)
        header, tokenizer = file.header, file.tokenizer
        height, width = header.format.height, header.format.width
        length = tokenizer.window_frames(header.frames)
        padded = (3, length, *(-(-side // tokenizer.spatial) * tokenizer.spatial for side in (height, width)))
        left = header.frames
        for window in file:
            given = window if tokenizer.levels else (window * header.step).astype(np.float32)
            rgb = self._run(self._decoders[header.pair], given, tokenizer)
            if rgb.shape != padded:
                raise _unlike("decoder", f"frames of shape {padded}", rgb.shape)
            rgb = (rgb.astype(np.float32) - self._low) / (self._high - self._low)
            for frame in rgb[:, :left, :height, :width].swapaxes(0, 1):
                yield from_rgb(frame, header.colour, header.format.bit_depth)
            left -= length

    def info(self, bitstream: Path) -> dict[str, float]:
        """Token statistics of a file; empty for latents."""
        return tokenfile.statistics(TokenFile(bitstream, self._tokenizers))

    def _load(self, path: Path) -> Any:
        import torch

        with warnings.catch_warnings():
            # TorchScript is deprecated in PyTorch, but it is what tokenizers are published in.
            warnings.simplefilter("ignore", FutureWarning)
            try:
                # To the CPU first: a file remembers the device that it was made on, which may not be here.
                model = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
            except Exception as error:  # damaged archives raise whatever they please
                said = (str(error).splitlines() or [""])[0]
                raise MediaError(f"the TorchScript file cannot be read: {said}", where=path) from error
        try:
            return model.eval().to(device=self._device, dtype=getattr(torch, self._dtype))
        except (RuntimeError, AssertionError) as error:
            raise EvalError(f"the model cannot be put on {self._device}: {error}", where=path) from error

    def _run(self, model: Any, given: NDArray[Any], tokenizer: Tokenizer) -> NDArray[Any]:
        """The first output of a model, less its batch of one and with a time axis; float32 or int64.

        Args:
            model: TorchScript.
            given: RGB (3, T, H, W), tokens (t, h, w) or latents (C, t, h, w).
            tokenizer: says whether the model takes images.
        """
        import torch

        if tokenizer.image:
            given = given.squeeze(given.ndim - 3)
        tensor = torch.from_numpy(np.ascontiguousarray(given))[None].to(self._device)
        if tensor.is_floating_point():
            tensor = tensor.to(getattr(torch, self._dtype))
        # The first calls of an optimised graph may compute otherwise than later ones: the decoder is another process.
        optimized = torch.jit.optimized_execution  # type: ignore[attr-defined]
        with torch.inference_mode(), optimized(False), _explained():
            found: torch.Tensor = _first(model(tensor))
            found = found[0].float() if found.is_floating_point() else found[0].long()
            given = found.cpu().numpy()
        return np.expand_dims(given, given.ndim - 2) if tokenizer.image else given


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turns what a model raises into an error of one line: the rest is an interpreter's own trace."""
    try:
        yield
    except (RuntimeError, IndexError, TypeError, NotImplementedError) as error:
        raise RecipeError(
            f"the model cannot be run: {(str(error).strip().splitlines() or [''])[-1]}",
            fix="check window, temporal, spatial, image and dtype in [settings]",
        ) from error


def _first(found: Any) -> Any:
    while isinstance(found, (tuple, list)) and found:
        found = found[0]
    return found


def _tokens(given: NDArray[Any], shape: tuple[int, ...], tokenizer: Tokenizer) -> Ints:
    """Tokens (t, h, w) of one window, checked."""
    if given.dtype != np.int64 or given.shape != shape:
        raise _unlike("encoder", f"whole numbers of shape {shape}", f"{given.dtype} of shape {given.shape}")
    if given.min() < 0 or given.max() >= tokenizer.codebook:
        raise _unlike("encoder", f"tokens from 0 to {tokenizer.codebook - 1}", f"{given.min()} to {given.max()}")
    return given


def _latents(given: NDArray[Any], shape: tuple[int, ...], step: float) -> Ints:
    """Quantised latents (C, t, h, w) of one window, checked."""
    if given.dtype != np.float32 or given.shape[1:] != shape:
        raise _unlike("encoder", f"latents of shape (channels, *{shape})", f"{given.dtype} of shape {given.shape}")
    if not np.isfinite(given).all():
        raise _unlike("encoder", "finite latents", "NaN or inf")
    return tokenfile.quantised(given, step)


def _unlike(model: str, expected: str, got: object) -> RecipeError:
    return RecipeError(
        f"the {model} gives something else than the settings say",
        expected=expected,
        got=got,
        fix="check levels, latents, window, temporal, spatial, causal and image in [settings]",
    )


def _counted(frames: Iterable[Frame], count: int, where: Path) -> Iterator[Frame]:
    found = 0
    for frame in frames:
        found += 1
        yield frame
    if found != count:
        raise ShapeError(
            "the source has another number of frames than it should", where=where, expected=count, got=found
        )


def _chain(first: Ints, rest: Iterator[Ints]) -> Iterator[Ints]:
    yield first
    yield from rest


def _pairs(files: Mapping[str, Path]) -> list[tuple[Path, Path]]:
    """Encoder and decoder of each pair."""
    if set(files) == {"encoder", "decoder"}:
        return [(files["encoder"], files["decoder"])]
    pairs = len(files) // 2
    wanted = [(f"encoder_{number}", f"decoder_{number}") for number in range(1, pairs + 1)]
    if not pairs or set(files) != {name for pair in wanted for name in pair}:
        raise RecipeError(
            "the files of a tokenizer are not complete",
            where="[files]",
            expected="encoder and decoder; or encoder_1, decoder_1, encoder_2, decoder_2, ...",
            got=", ".join(sorted(files)) or "none",
        )
    return [(files[encoder], files[decoder]) for encoder, decoder in wanted]


def _range(setting: list[float] | None) -> tuple[float, float]:
    low, high = setting if isinstance(setting, list) and len(setting) == 2 else (0.0, 0.0)
    if setting is None:
        low, high = -1.0, 1.0
    if not all(isinstance(value, (int, float)) for value in (low, high)) or not low < high:
        raise RecipeError(
            "the setting `input_range` is not valid", expected="[black, white], such as [-1, 1]", got=setting
        )
    return float(low), float(high)
