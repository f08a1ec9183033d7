"""Device profiles: what is read, what is refused, and verdicts worked out by hand."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_samples import rate_point

from evalsuite import resources
from evalsuite.errors import RecipeError, RequestError
from evalsuite.planning.devices import Device, judge, load_device, needed_accelerator, parse_device, standard_devices
from evalsuite.planning.points import RatePoint

DATA: dict[str, Any] = {"name": "box", "description": "a box", "budget": "realtime", "speed": 0.5}
BOX = Device("box", "a box", None, 0.5, 1, None, "none")
PROGRAM = {"name": "x265", "decode": ["ffmpeg"]}


def point(codec: dict[str, Any] = PROGRAM, **decode: float) -> RatePoint:
    """A point of 50 frames at 25 frames a second: a frame is shown for 40 ms."""
    return rate_point(str(codec["name"]), decode=decode, facts=codec)


def test_the_shipped_devices_are_read_and_say_that_they_are_assumed() -> None:
    assert {"desktop", "laptop", "phone"} <= set(resources.available("devices"))
    assert [(one.name, one.speed, one.cores) for one in standard_devices()] == [
        ("phone", 0.25, 1),
        ("laptop", 1.0, 1),
        ("desktop", 2.0, 1),
    ]
    assert all("by assumption" in one.description for one in standard_devices())


def test_a_device_has_defaults_that_assume_nothing() -> None:
    assert parse_device(DATA, "box.toml") == BOX
    full = DATA | {"budget": 20, "cores": 4, "memory_mb": 512, "accelerator": "cuda"}
    assert parse_device(full, "box.toml") == Device("box", "a box", 20.0, 0.5, 4, 512.0, "cuda")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": None}, "`budget` is missing"),
        ({"budget": "soon"}, '"realtime", or milliseconds of a frame'),
        ({"budget": 0}, '"realtime", or milliseconds of a frame'),
        ({"speed": None}, "`speed` is missing"),
        ({"speed": -1}, "above 0"),
        ({"speed": True}, "above 0"),
        ({"cores": 0}, "1 or more"),
        ({"memory_mb": "512"}, "above 0"),
        ({"accelerator": "tpu"}, "none or cuda"),
        ({"name": "../box"}, "letters, digits"),
        ({"memory": 512}, "did you mean memory_mb"),
    ],
    ids=str,
)
def test_what_is_wrong_in_a_device_is_named(change: dict[str, Any], said: str) -> None:
    data = {key: value for key, value in (DATA | change).items() if value is not None}
    with pytest.raises(RecipeError, match=r"box\.toml") as error:
        parse_device(data, "box.toml")
    assert said in str(error.value)


@given(
    st.dictionaries(
        st.sampled_from(["name", "description", "budget", "speed", "cores", "memory_mb", "accelerator", "x"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_subnormal=False)
        | st.text(max_size=9)
        | st.lists(st.integers()),
    )
)
def test_any_table_is_a_device_or_refused(change: dict[str, Any]) -> None:
    try:
        device = parse_device(DATA | change, "box.toml")
    except RecipeError:
        return
    assert device.speed > 0
    assert device.cores >= 1
    assert device.budget_s(25) > 0


def test_devices_are_found_by_name_and_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match=r"unknown device 'fone'[\s\S]*did you mean phone"):
        load_device("fone")
    folder = tmp_path / "devices"
    folder.mkdir()
    (folder / "box.toml").write_text('name="box"\ndescription="a box"\nbudget="realtime"\nspeed=0.5\n')
    assert load_device(str(folder / "box.toml")) == BOX
    monkeypatch.chdir(tmp_path)
    assert load_device("box") == BOX
    (folder / "box.toml").write_text("name=")
    with pytest.raises(RecipeError, match="device file is not valid TOML"):
        load_device("box")


# Half the speed: 1 CPU second for 50 frames is 20 ms of a frame here and 40 ms there, as long as it is shown.
@pytest.mark.parametrize(
    ("decode", "change", "playable", "said"),
    [
        ({"cpu_s": 1.0}, {}, True, "latency was not timed"),
        ({"cpu_s": 1.01}, {}, False, "a frame takes 40.4 ms to decode, of 40 ms"),
        ({"cpu_s": 1.01}, {"cores": 2}, True, ""),
        ({"cpu_s": 1.0}, {"budget_ms": 39.9}, False, "of 39.9 ms"),
        ({"cpu_s": 1.01}, {"budget_ms": 41.0}, True, ""),
        ({}, {}, None, "CPU time of its decoder is not known"),
        ({"cpu_s": 0.1, "streams": 1, "latency_p95_s": 0.02}, {}, True, ""),
        ({"cpu_s": 0.1, "streams": 1, "latency_p95_s": 0.021}, {}, False, "the p95 of latency is 42 ms, of 40 ms"),
        ({"cpu_s": 0.1, "streams": 1, "latency_p95_s": 0.021}, {"cores": 8}, False, "42 ms"),
        ({"cpu_s": 0.1, "streams": 0}, {}, None, "whether it streams is not known"),
        ({"cpu_s": 0.1, "peak_rss_bytes": 512e6}, {"memory_mb": 512.0}, True, ""),
        ({"cpu_s": 0.1, "peak_rss_bytes": 513e6}, {"memory_mb": 512.0}, False, "it holds 513 MB, of 512 MB"),
        ({"cpu_s": 0.1}, {"memory_mb": 512.0}, None, "memory of its decoder is not known"),
        ({"cpu_s": 9.0}, {"memory_mb": 512.0}, False, "a frame takes 360 ms to decode, of 40 ms"),
    ],
    ids=str,
)
def test_every_part_of_a_profile_must_be_enough(
    decode: dict[str, float], change: dict[str, Any], playable: bool | None, said: str
) -> None:
    verdict = judge(point(**decode), replace(BOX, **change))
    assert verdict.playable is playable
    assert said in verdict.reason


def test_a_no_names_every_part_that_is_not_enough() -> None:
    verdict = judge(point(cpu_s=2.0, peak_rss_bytes=2e9), replace(BOX, memory_mb=1000.0))
    assert verdict.reason == "a frame takes 80 ms to decode, of 40 ms; it holds 2000 MB, of 1000 MB"


@pytest.mark.parametrize(
    ("codec", "needed"),
    [
        ({"name": "x", "decode": ["ffmpeg"]}, "none"),
        ({"name": "x", "decode": [], "device": "cpu"}, "none"),
        ({"name": "x", "decode": [], "device": "cuda:1"}, "cuda"),
        ({"name": "x", "decode": [], "device": ""}, None),
        ({"name": "x"}, None),
    ],
    ids=str,
)
def test_what_a_codec_was_decoded_on_is_the_runs_word(codec: dict[str, Any], needed: str | None) -> None:
    assert needed_accelerator(point(codec)) == needed


def test_time_on_an_accelerator_counts_only_where_it_was_timed() -> None:
    cuda, unknown = {"name": "x", "decode": [], "device": "cuda"}, {"name": "x", "decode": []}
    timed = {"cpu_s": 0.1, "streams": 1.0, "latency_p95_s": 0.01}
    fast = replace(BOX, accelerator="cuda")
    assert judge(point(cuda, **timed), BOX).playable is False
    assert "accelerator (cuda), which the device does not have" in judge(point(cuda, **timed), BOX).reason
    assert judge(point(cuda, **timed), fast).playable is True
    assert judge(point(cuda, cpu_s=0.1), fast).playable is None
    assert "run with `--timing`" in judge(point(cuda, cpu_s=0.1), fast).reason
    assert judge(point(unknown, **timed), BOX).playable is None
    assert judge(point(unknown, **timed), fast).playable is True


def test_the_example_in_the_docs_is_a_device() -> None:
    text = (Path(__file__).parents[1] / "docs" / "planning.md").read_text(encoding="utf-8")
    toml = "\n".join(line[4:] for line in text.partition("    name = ")[2].partition("\n\n")[0].splitlines()[1:])
    device = parse_device({"name": "tablet", **tomllib.loads(toml)}, "docs/planning.md")
    assert device.budget_ms is None
