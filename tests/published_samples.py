"""Published points made by hand, in each of the formats that `evalsuite import` reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

POINTS = {"022": (0.08, 40.0), "027": (0.04, 37.0), "032": (0.02, 34.0), "037": (0.01, 31.0)}
"""QP: (bpp, PSNR-Y); Cb is 2 dB and Cr 4 dB above, so (6 Y + Cb + Cr) / 8 is 0.75 dB above."""


def dcvc_entry(qp: str, bpp: float, psnr_y: float, frames: int = 48, pixels: int | None = None) -> dict[str, Any]:
    return {
        "frame_pixel_num": pixels,
        "i_frame_num": 1,
        "p_frame_num": frames - 1,
        "ave_i_frame_bpp": 9.0,
        "ave_all_frame_bpp": bpp,
        "ave_all_frame_psnr": psnr_y + 0.75,
        "ave_all_frame_psnr_y": psnr_y,
        "ave_all_frame_psnr_u": psnr_y + 2,
        "ave_all_frame_psnr_v": psnr_y + 4,
        "ave_all_frame_msssim": 0.9,
        "qp": int(qp),
    }


def dcvc_document(*names: str, factor: float = 1.0, **changes: Any) -> dict[str, Any]:
    """One dataset `set`, each sequence with the points of `POINTS` at `factor` times the rate."""
    return {
        "set": {
            name: {qp: dcvc_entry(qp, factor * bpp, score, **changes) for qp, (bpp, score) in POINTS.items()}
            for name in names or ("Bunny_640x360_24.yuv",)
        }
    }


def write_json(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


COMPRESSAI = {
    "name": "a-codec",
    "description": "Inference (ans)",
    "results": {
        "q": ["model-1", "model-2"],
        "bpp": [0.1, 0.2],
        "psnr-y": [30.0, 33.0],
        "ms-ssim-rgb": [0.9, 0.95],
        "mse-rgb": [65.0, 32.0],
        "encoding_time": [1.0, 2.0],
    },
}

# quality, pixels (two frames of 320x180), bytes, then PSNR, PSNR-HVS, SSIM, fast SSIM, CIEDE2000, PSNR Cb, Cr
AWCY = "20 115200 28800 38 36 18 20 40 41 42\n55 115200 3600 29 27 11 12 33 35 36\n"

CSV = """sequence,q,width,height,frames,fps,bpp,psnr_y,vmaf,lpips,my metric
bunny,22,640,360,48,24,0.08,40,90,0.1,7
bunny,27,640,360,48,24,0.04,37,80,0.2,6
bunny,32,640,360,48,24,0.02,34,70,0.3,5
bunny,37,640,360,48,24,0.01,31,60,-,4
"""
