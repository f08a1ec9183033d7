"""What HDR files say for displays: mastering display (SMPTE ST 2086) and content light level (CTA-861.3).

Read from decoded frames, where FFmpeg puts it whether the container or the bitstream has it; and from and to manifests.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import starmap
from typing import TYPE_CHECKING, Any, cast

from evalsuite.sources import fields as parse
from evalsuite.sources.fields import Table
from evalsuite.types import ContentLight, HdrMetadata, MasteringDisplay

if TYPE_CHECKING:
    from av.buffer import Buffer
    from av.video.frame import VideoFrame

_MASTERING = struct.Struct("=22i")
"""libavutil's AVMasteringDisplayMetadata: x and y of red, green, blue and white, darkest and brightest, each with its
denominator; then whether there are chromaticities, and luminances."""
_LIGHT = struct.Struct("=2I")
"""libavutil's AVContentLightMetadata."""
_BRIGHTEST = 10_000.0
"""cd/m²: the end of PQ."""


def from_frame(frame: VideoFrame) -> HdrMetadata:
    """What a decoded frame carries."""
    # A mapping to buffers, whatever its annotation says.
    data = cast("Mapping[str, Buffer]", frame.side_data)
    mastering, light = data.get("MASTERING_DISPLAY_METADATA"), data.get("CONTENT_LIGHT_LEVEL")
    return HdrMetadata(
        None if mastering is None else unpack_mastering(bytes(mastering)),
        None if light is None else ContentLight(*_LIGHT.unpack_from(bytes(light))),
    )


def unpack_mastering(data: bytes) -> MasteringDisplay | None:
    """The display that FFmpeg's structure tells of; None where it tells nothing.

    Raises:
        struct.error: too few bytes.
    """
    *numbers, has_chromaticities, has_luminances = _MASTERING.unpack_from(data)
    values = list(starmap(_ratio, zip(numbers[0::2], numbers[1::2], strict=True)))
    if not has_chromaticities and not has_luminances:
        return None
    red, green, blue, white = zip(values[0:8:2], values[1:8:2], strict=True)
    luminances = (values[8], values[9]) if has_luminances else None
    if not has_chromaticities:
        return MasteringDisplay(luminance_cd_m2=luminances)
    return MasteringDisplay(red, green, blue, white, luminances)


def _ratio(numerator: int, denominator: int) -> float:
    # FFmpeg's unknown is 0/0 or 0/1.
    return numerator / denominator if denominator else 0.0


def parse_hdr(table: Table) -> HdrMetadata:
    """The tables `mastering_display` and `content_light` of a manifest's sequence."""
    mastering, light = (table.get(name, parse.table, None) for name in ("mastering_display", "content_light"))
    return HdrMetadata(
        None if mastering is None else _mastering(Table(mastering, f"{table.where}, mastering_display")),
        None if light is None else _light(Table(light, f"{table.where}, content_light")),
    )


def _mastering(table: Table) -> MasteringDisplay:
    point = _pair(1.0)
    found = MasteringDisplay(
        red=table.get("red", point, None),
        green=table.get("green", point, None),
        blue=table.get("blue", point, None),
        white=table.get("white", point, None),
        luminance_cd_m2=table.get("luminance_cd_m2", _pair(_BRIGHTEST), None),
    )
    table.finish()
    return found


def _light(table: Table) -> ContentLight:
    found = ContentLight(table.take("max_cll_cd_m2", parse.count(0)), table.take("max_fall_cd_m2", parse.count(0)))
    table.finish()
    return found


def _pair(largest: float) -> Callable[[object], tuple[float, float]]:
    def parsed(value: object) -> tuple[float, float]:
        if (
            not isinstance(value, list)
            or len(value) != 2
            or not all(isinstance(item, int | float) and 0 <= item <= largest for item in value)
        ):
            raise ValueError(f"two numbers, each 0 to {largest:g}")
        return float(value[0]), float(value[1])

    return parsed


def manifest_lines(hdr: HdrMetadata) -> list[str]:
    """The lines of a manifest that `parse_hdr` reads back."""
    return [f"{name} = {_inline(table)}" for name, table in as_json(hdr).items() if table is not None]


def as_json(hdr: HdrMetadata) -> dict[str, Any]:
    """What JSON says: null for what is not known."""
    return asdict(hdr)


def _inline(table: Mapping[str, Any]) -> str:
    known = {name: value for name, value in table.items() if value is not None}
    return "{ " + ", ".join(f"{name} = {_toml(value)}" for name, value in known.items()) + " }"


def _toml(value: Any) -> str:
    return f"[{', '.join(map(repr, value))}]" if isinstance(value, tuple) else repr(value)
