"""Quality against loss: what each metric loses behind a channel, against the same bitstreams without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from evalsuite.results.load import RunResults
from evalsuite.results.stats import mean_interval

LOST, CONCEALED = "lost_packets", "concealed_share"
"""Figures of the channel (`evalsuite.metrics.concealment`)."""


CHANNEL = {"model", "rate", "burst", "packet_bytes", "seed", "kind", "class"}
"""What a codec's entry in a summary says of the channel behind it."""

_USUAL_BYTES = 1200
"""Of a packet, where the channel's name does not say it (`evalsuite.codec.channel`)."""


def is_channel(told: object) -> TypeGuard[dict[str, Any]]:
    """Whether the `loss` of a codec's entry tells of a channel; null and nothing do not."""
    return isinstance(told, dict) and told.keys() >= CHANNEL


def behind_channels(summary: Mapping[str, Any]) -> set[str]:
    """The codecs of a run that are behind a channel, by name.

    They are the codecs without it once more: what a channel costs is told against those (`losses`), and they have no
    place in comparisons of codecs.
    """
    return {str(one["name"]) for one in summary["codecs"] if is_channel(one.get("loss"))}


@dataclass(frozen=True, slots=True)
class Loss:
    """One codec behind one channel by one metric; means over sequences, of means over rates and seeds."""

    codec: str
    """Without its channel."""
    rate: float
    """Of the model: share of the packets that are hit."""
    burst: float | None
    packet_bytes: int
    kind: str
    """`drop` or `damage`."""
    only: str
    """The class of packets that are at risk; empty for all."""
    metric: str
    higher_is_better: bool
    unit: str
    clean: float
    lossy: float | None
    lost: float | None
    """Quality that is lost: positive is worse, whatever the metric's direction; None where no score is left."""
    interval: tuple[float, float] | None
    """95 % of `lost`, over sequences; None for too few."""
    sequences: int
    seeds: int
    packets: float | None
    """Share of the packets at risk that were hit; a mean over the same points as the qualities."""
    concealed: float | None
    """Share of the frames, likewise."""
    unscored: int
    """Points that have a score without a loss and none with it, which are in no mean here."""

    @property
    def lost_per_percent(self) -> float | None:
        """Quality that is lost for each percent of the packets at risk: the more, the better worth protecting."""
        return self.lost / (100 * self.packets) if self.packets and self.lost is not None else None

    @property
    def line(self) -> tuple[str, str, float, int]:
        """What channels of one curve over the rate share."""
        return self.only, self.kind, self.burst or 0, self.packet_bytes

    @property
    def channel(self) -> str:
        """In words: `5 %, burst 3, key, damaged`."""
        parts = [f"{100 * self.rate:g} %"]
        parts += [f"burst {self.burst:g}"] if self.burst is not None else []
        parts += [self.only] if self.only else []
        parts += [f"packet {self.packet_bytes}"] if self.packet_bytes != _USUAL_BYTES else []
        parts += ["damaged"] if self.kind == "damage" else []
        return ", ".join(parts)


def losses(run: RunResults) -> list[Loss]:
    """Every metric that judges, of every codec behind every channel of a run; by codec, class and rate.

    Only points that were measured on both sides count; how many were not is told beside.
    """
    behind = {
        str(one["name"]): (clean_name(one["name"]), told)
        for one in run.summary["codecs"]
        if is_channel(told := one.get("loss"))
    }
    return losses_of(run.points[run.points["statistic"] == "mean"], behind)


def clean_name(name: str) -> str:
    """The name of a codec without its channel."""
    return name.rpartition("@")[0]


def losses_of(means: pd.DataFrame, behind: Mapping[str, tuple[str, Mapping[str, Any]]]) -> list[Loss]:
    """Likewise of any means.

    Args:
        means: rows of results.parquet.
        behind: of each codec behind a channel, the same one without it, and what is told of the channel.
    """
    scored = means[means["status"] == "ok"]
    judged = scored[scored["higher_is_better"].notna()]
    places = zip(judged["codec"], judged["sequence"], judged["q"], judged["metric"], strict=True)
    clean = dict(zip(places, judged["score"], strict=True))
    groups: dict[tuple[Any, ...], list[pd.DataFrame]] = {}
    for name, (codec, told) in behind.items():
        key = (codec, *(told[part] for part in ("rate", "burst", "packet_bytes", "kind", "class")))
        groups.setdefault(key, []).append(means[means["codec"] == name])
    found = [one for key, frames in groups.items() for one in _of_channel(key, frames, clean)]
    return sorted(found, key=lambda one: (one.codec, *one.line, one.rate))


def _of_channel(
    key: tuple[Any, ...], frames: list[pd.DataFrame], clean: Mapping[tuple[str, str, float, str], float]
) -> Iterator[Loss]:
    codec, rate, burst, packet_bytes, kind, only = key
    rows = pd.concat(frames)
    place = ["codec", "sequence", "q"]
    figures = rows[rows["metric"].isin((LOST, CONCEALED)) & (rows["status"] == "ok")]
    shares = figures.pivot_table(index=place, columns="metric", values="score").reindex(columns=[LOST, CONCEALED])
    for metric, own in rows[rows["higher_is_better"].notna()].groupby("metric", sort=False):
        places = zip(own["sequence"], own["q"], strict=True)
        before = [clean.get((codec, sequence, q, str(metric)), np.nan) for sequence, q in places]
        own = own.assign(clean=before)
        own = own[own["clean"].notna()]
        if own.empty:
            continue
        higher, unit = bool(own["higher_is_better"].iloc[0]), str(own["unit"].iloc[0])
        unscored = int((own["status"] != "ok").sum())
        left = own[own["status"] == "ok"].join(shares, on=place)
        # Where no point has a score left, "without" is of those that had one.
        counted = own.assign(**dict.fromkeys(("score", LOST, CONCEALED), np.nan)) if left.empty else left
        by_sequence = counted.groupby("sequence")[["clean", "score", LOST, CONCEALED]].mean()
        packets, concealed = (_known(by_sequence[name].mean()) for name in (LOST, CONCEALED))
        lost = (by_sequence["clean"] - by_sequence["score"]).dropna().to_numpy() * (1 if higher else -1)
        yield Loss(
            *(codec, rate, burst, packet_bytes, kind, only or "", str(metric), higher, unit),
            clean=float(by_sequence["clean"].mean()),
            lossy=_known(by_sequence["score"].mean()),
            lost=float(lost.mean()) if len(lost) else None,
            interval=mean_interval(lost),
            sequences=len(lost),
            seeds=len(frames),
            packets=packets,
            concealed=concealed,
            unscored=unscored,
        )


def _known(mean: float) -> float | None:
    return None if np.isnan(mean) else float(mean)
