"""One sequence through a DCVC repository's own test script: what evalsuite's recipes beside this file run.

    python dcvc_script.py encode FAMILY --test REPOSITORY/test_video.py --image I.pth.tar --video V.pth.tar
        --input SOURCE.yuv --output DECODED.yuv --estimate BITS.txt
        --q Q --width W --height H --frames N --intra-period P

The script codes with `--write_stream 1`, decodes the stream that it has just written, and saves the frames. It cannot
decode alone, so these frames are the output, and the size of the stream is told as an estimate: evalsuite labels all
figures from it so. Only the standard library is used, by the Python of the repository's own environment.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FAMILIES = ("dc", "fm", "rt")
BEST_INDEX = 63
NEVER = 9999


def arguments(family: str, image: Path, video: Path, q: int, folder: Path, config: Path, cuda: bool) -> list[str]:
    """The test script's arguments, as its README gives them, for one rate point with streams and frames on disk."""
    # The scripts' index counts the other way: 63 is the best quality.
    index = str(BEST_INDEX - q)
    shared = [
        *("--rate_num", "1", "--test_config", str(config), "--cuda", str(int(cuda)), "--worker", "1"),
        *("--write_stream", "1", "--stream_path", str(folder / "streams"), "--save_decoded_frame", "1"),
        *("--output_path", str(folder / "result.json")),
    ]
    if family == "dc":
        return [
            *("--i_frame_model_path", str(image), "--p_frame_model_path", str(video)),
            *("--i_frame_q_indexes", index, "--p_frame_q_indexes", index, "--yuv420", "1"),
            *("--decoded_frame_path", str(folder / "decoded"), *shared),
        ]
    models = ["--model_path_i", str(image), "--model_path_p", str(video)]
    if family == "fm":
        return [*models, "--q_indexes_i", index, "--q_indexes_p", index, *shared]
    more = ["--force_zero_thres", "0.12", "--reset_interval", "64", "--check_existing", "0"]
    return [*models, "--qp_i", index, "--qp_p", index, *more, *shared]


def configuration(source: Path, width: int, height: int, frames: int, period: int) -> dict[str, object]:
    """The test configuration for one sequence; `gop` is DCVC-DC's word for `intra_period`."""
    every = period if period > 0 else NEVER
    sequence = {"width": width, "height": height, "frames": frames, "gop": every, "intra_period": every}
    return {
        "root_path": str(source.parent),
        "test_classes": {
            "evalsuite": {"test": 1, "base_path": "", "src_type": "yuv420", "sequences": {source.name: sequence}}
        },
    }


def encode(options: argparse.Namespace) -> None:
    """Run the test script, and take its stream's size and its frames."""
    with tempfile.TemporaryDirectory(dir=options.output.parent) as made:
        folder = Path(made)
        source, config = folder / "source.yuv", folder / "config.json"
        source.symlink_to(options.input.absolute())
        settings = configuration(source, options.width, options.height, options.frames, options.intra_period)
        config.write_text(json.dumps(settings), encoding="utf-8")
        given = arguments(options.family, options.image, options.video, options.q, folder, config, options.cuda)
        subprocess.run([sys.executable, options.test.name, *given], cwd=options.test.parent, check=True)
        # DCVC-DC names folders after the sequence, which ends in .yuv.
        made_files = [path for path in folder.glob("*/**/*") if path.is_file()]
        streams = [path for path in made_files if path.suffix == ".bin"]
        frames = [path for path in made_files if path.suffix == ".yuv"]
        if not streams or len(frames) != 1:
            sys.exit(f"expected streams and one file of frames, got {len(streams)} and {len(frames)}")
        options.estimate.write_text(str(8 * sum(path.stat().st_size for path in streams)), encoding="ascii")
        shutil.move(frames[0], options.output)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    version = commands.add_parser("version")
    version.set_defaults(run=lambda _: print_version())
    encoder = commands.add_parser("encode")
    encoder.add_argument("family", choices=FAMILIES)
    for name in ("test", "image", "video", "input", "output", "estimate"):
        encoder.add_argument(f"--{name}", type=Path, required=True)
    for name in ("q", "width", "height", "frames", "intra-period"):
        encoder.add_argument(f"--{name}", type=int, required=True)
    encoder.add_argument("--cuda", action="store_true")
    encoder.set_defaults(run=encode)
    options = parser.parse_args()
    options.run(options)


def print_version() -> None:
    """The version of PyTorch: weights and test script are identified by their digests."""
    import torch

    print(f"dcvc with torch {torch.__version__}")


if __name__ == "__main__":
    main()
