"""What the runs of the report's tests are about: sequences, metrics, token figures, and their summary entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# name -> (width, height, frame rate, frames, tags)
SEQUENCES: dict[str, tuple[int, int, str, int, list[str]]] = {
    "carphone": (176, 144, "30000/1001", 60, ["conferencing"]),
    "face": (640, 360, "25", 50, ["conferencing", "face"]),
    "street": (720, 405, "25", 50, ["street"]),
    "bikes": (640, 272, "25", 50, ["sport"]),
    "bunny": (640, 360, "24", 48, ["animation"]),
}
# name -> (unit, higher is better, score at 0.01 bpp, change per decade of rate)
METRICS: dict[str, tuple[str, bool, float, float]] = {
    "psnr_y": ("dB", True, 30.0, 9.0),
    "psnr_cb": ("dB", True, 36.0, 6.0),
    "psnr_cr": ("dB", True, 36.5, 6.0),
    "psnr_yuv": ("dB", True, 31.6, 8.2),
    "ssim": ("", True, 0.82, 0.12),
    "ms_ssim": ("", True, 0.86, 0.10),
    "vmaf": ("", True, 35.0, 45.0),
    "vmaf_neg": ("", True, 33.0, 44.0),
    "lpips": ("", False, 0.42, -0.21),
}
# What describes: the same, without a direction.
FIGURES: dict[str, tuple[str, None, float, float]] = {
    "peak_kbps": ("kbps", None, 1234.56, 0.0),
    "encode_cpu_per_frame": ("s", None, 0.0123456, 0.0),
}
# name -> (unit, value at 0.01 bpp, change per decade of rate)
TOKENS: dict[str, tuple[str, float, float]] = {
    "tokens_per_frame": ("tokens", 396.0, 0.0),
    "token_rate": ("tokens/s", 9900.0, 0.0),
    "sent_token_rate": ("tokens/s", 2400.0, 5200.0),
    "token_density": ("tokens/Mpixel", 1718.8, 0.0),
    "bits_per_token": ("bit", 4.1, 2.5),
    "masked_share": ("", 0.76, -0.52),
    "discrete_share": ("", 0.91, -0.1),
    "codebook_perplexity": ("codes", 210.0, 130.0),
}
# What the entry of a codec behind a channel says of the channel.
LOSS: dict[str, Any] = {
    "model": "iid:0.02",
    "rate": 0.02,
    "burst": None,
    "packet_bytes": 1200,
    "seed": 1,
    "kind": "drop",
    "class": None,
}
NO_TOKENS = "the codec reports no tokens"


def token_rows(
    shared: Mapping[str, Any], decades: float, tokenized: bool, gaps: Mapping[tuple[str, str], str]
) -> Iterator[dict[str, Any]]:
    """Rows of one point: a figure of the whole bitstream has its mean alone, and no direction."""
    for metric, (unit, start, slope) in TOKENS.items():
        status = gaps.get((metric, shared["sequence"]), "ok") if tokenized else "not_applicable"
        yield {
            **shared,
            "metric": metric,
            "statistic": "mean",
            "score": start + slope * decades if status == "ok" else None,
            "unit": unit,
            "higher_is_better": None,
            "log_domain_ceiling": None,
            "status": status,
            "reason": {"ok": "", "not_applicable": NO_TOKENS}.get(status, "the info command ended with status 1"),
        }


def codec_entry(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "preset": "medium",
        "version": f"{name} 4.3",
        "binary": "ffmpeg",
        "binary_sha256": {"ffmpeg": "c" * 64},
        "recipe_sha256": "d" * 64,
        "files": {},
        "structure": "random access",
        "intra_period": 48,
        "threads": 1,
        "rate_control": "constant quality",
        "internal_bit_depth": 10 if name == "vvenc" else 8,
        "encode": ["{ffmpeg}", "-i", "{input}", "-crf", "{q}", "{output}"],
        "decode": ["{ffmpeg}", "-i", "{input}", "{output}"],
        **facts,
    }


def sequence_entry(name: str) -> dict[str, Any]:
    width, height, rate, frames, tags = SEQUENCES.get(name, SEQUENCES["face"])
    return {
        "name": name,
        "dataset": "demo",
        "width": width,
        "height": height,
        "frame_rate": rate,
        "frames": frames,
        "bit_depth": 8,
        "chroma": "420",
        "colour": "bt601 limited",
        "tags": tags,
        "licence": "CC0",
        "origin": "package example 1.0, data/clip.mp4",
        "sha256": f"{name:x<64}"[:64],
    }


def metric_entry(name: str) -> dict[str, Any]:
    unit, higher, start, _ = {**METRICS, **FIGURES}.get(name, METRICS["vmaf"])
    return {
        "name": name,
        "family": "example",
        "unit": unit,
        "higher_is_better": higher,
        "version": "1",
        "definition": "What it measures, in one sentence.",
        "source": "A paper; an implementation.",
        "range": [0, None if unit == "dB" or not higher else (1 if start < 1 else 100)],
    }


def token_entry(name: str) -> dict[str, Any]:
    unit, start, _ = TOKENS[name]
    return {
        "name": name,
        "family": "tokens",
        "unit": unit,
        "higher_is_better": None,
        "version": "1",
        "definition": "What it counts, in one sentence.",
        "source": "the codec's own report",
        "range": [0, 1 if start < 1 else None],
    }
