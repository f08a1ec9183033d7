"""`evalsuite plan profile`: operating points, means and intervals in closed form, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_samples import rate_point
from report_sample import write_sample
from report_streams import with_streams
from scipy import interpolate as scipy_interpolate
from scipy import stats as scipy_stats
from test_report_cost import TIMED
from typer.testing import CliRunner

from evalsuite.cli.commands import app
from evalsuite.errors import RequestError
from evalsuite.planning.attarget import at_target
from evalsuite.planning.devices import Device
from evalsuite.planning.figures import FIGURES, startup_s
from evalsuite.planning.points import RatePoint
from evalsuite.planning.profile import Profile, profile
from evalsuite.planning.profilesaid import document, sentence
from evalsuite.planning.reach import Target
from evalsuite.results.load import RunResults

VMAF = [Target("vmaf", 80)]
BOX = Device("box", "a box", None, 1.0, 1, None, "none")
SLOW = {"x265": {"decode_cpu_s": 30.0, **TIMED}}


def ladder(codec: str = "x265", sequence: str = "face", *, scale: float = 1.0, **changes: Any) -> list[RatePoint]:
    """VMAF rises by 20 with each doubling of the rate: 40 at 10 kbps, 60 at 20, 80 at 40, 100 at 80; times `scale`."""
    return [
        rate_point(codec, sequence, kbps=scale * 10 * 2**step, means={"vmaf": 40.0 + 20 * step}, **changes)
        for step in range(4)
    ]


def codecs_on(count: int, codec: str = "x265", tag: str = "faces") -> list[RatePoint]:
    """Sequences s0, s1 and so on, on which 80 takes 40, 80, 120 ... kbps; the even ones have the tag."""
    return [
        point
        for number in range(count)
        for point in ladder(
            codec, f"s{number}", scale=number + 1, traits=[tag] if number % 2 == 0 else [], decode={"cpu_s": 1.0}
        )
    ]


# What is reached, and what is summed up


def test_the_mean_over_sequences_of_the_cheapest_points_that_reach_the_target() -> None:
    (row,) = profile(codecs_on(6), VMAF, tags=["*"]).rows
    assert [one.point.kbps for one in row.reached] == [40, 80, 120, 160, 200, 240]
    amount = row.figures["kbps"]
    assert (amount.mean, amount.sequences, amount.reason) == (140, 6, "")
    assert amount.interval is not None
    # The bootstrap of few, expanded, is close to Student's interval of the same six.
    rates = np.arange(40, 241, 40.0)
    low, high = scipy_stats.t.interval(0.95, 5, rates.mean(), scipy_stats.sem(rates))
    assert amount.interval == pytest.approx((low, high), rel=0.1)


def test_a_row_for_each_tag_and_codec() -> None:
    points = [*codecs_on(6), *codecs_on(4, "x264")]
    found = profile(points, VMAF)
    assert [(row.tag, row.codec) for row in found.rows] == [
        ("*", "x265"),
        ("*", "x264"),
        ("faces", "x265"),
        ("faces", "x264"),
    ]
    _, other, faces, _ = found.rows
    assert (other.sequences, len(other.reached), other.not_run) == (6, 4, ("s4", "s5"))
    assert [one.point.sequence for one in faces.reached] == ["s0", "s2", "s4"]
    assert (faces.figures["kbps"].mean, faces.figures["kbps"].interval) == (120, None)
    assert found.unlike == ("*", "faces")
    assert profile(points, VMAF, codecs=["x264"], tags=["faces"]).unlike == ()


def test_a_sequence_that_no_point_reaches_is_named_and_not_in_the_mean() -> None:
    poor = [rate_point("x265", "poor", kbps=500, means={"vmaf": vmaf}) for vmaf in (61.0, 62.0)]
    worse = [rate_point("x265", "worse", kbps=500, means={"vmaf": 30.0})]
    (row,) = profile([*ladder(), *worse, *poor], VMAF, tags=["*"]).rows
    assert (row.sequences, len(row.reached), row.figures["kbps"].mean) == (3, 1, 40)
    assert [(one.sequence, one.best) for one in row.missed] == [("poor", 62), ("worse", 30)]


def test_of_several_targets_all_count() -> None:
    points = [
        rate_point("x265", "face", kbps=kbps, means={"vmaf": vmaf, "lpips": lpips})
        for kbps, vmaf, lpips in ((10, 90, 0.4), (20, 91, 0.3), (40, 92, 0.2))
    ]
    (row,) = profile(points, [Target("vmaf", 80), Target("lpips", 0.3)]).rows
    assert row.reached[0].point.kbps == 20
    assert row.at_target == {}
    (alone,) = profile(points, VMAF).rows
    assert alone.reached[0].point.kbps == 10


# Exactly at the target


@given(target=st.floats(40, 100), scale=st.floats(0.1, 100))
def test_on_a_straight_line_the_rate_at_the_target_is_on_it(target: float, scale: float) -> None:
    found = at_target(ladder(scale=scale), Target("vmaf", target), True)
    assert found["kbps"] == pytest.approx(scale * 10 * 2 ** ((target - 40) / 20), rel=1e-9)


def test_tokens_at_the_target_and_what_the_curve_does_not_tell() -> None:
    means = [{"lpips": 0.5 - 0.1 * step, "sent_token_rate": 100.0 * 3**step, "token_rate": 900.0} for step in range(4)]
    points = [rate_point("tvc", kbps=10 * 2**step, means=own) for step, own in enumerate(means)]
    found = at_target(points, Target("lpips", 0.35), False)
    assert found["kbps"] == pytest.approx(10 * 2**1.5)
    assert found["sent_token_rate"] == pytest.approx(100 * 3**1.5)
    assert found["token_rate"] == pytest.approx(900)
    for beyond in (0.51, 0.19):
        assert at_target(points, Target("lpips", beyond), False)["kbps"] is None
    assert at_target(points[:3], Target("lpips", 0.35), False)["kbps"] is None
    assert set(at_target(points, Target("vmaf", 80), True).values()) == {None}


def test_tokens_at_the_target_are_those_of_its_rate_though_they_fall() -> None:
    # Larger pictures with fewer latents: 9, 3, 6 and 12 tokens/s at 10, 20, 40 and 80 kbps.
    tokens = [9.0, 3.0, 6.0, 12.0]
    points = [
        rate_point("tvc", kbps=10 * 2**step, means={"vmaf": 40.0 + 20 * step, "token_rate": tokens[step]})
        for step in range(4)
    ]
    for step, own in enumerate(tokens):
        found = at_target(points, Target("vmaf", 40.0 + 20 * step), True)
        assert found["token_rate"] == pytest.approx(own)
        assert found["sent_token_rate"] is None
    # Between 6 and 12, each an octave apart in rate and in tokens, PCHIP ends in the line through both.
    between = at_target(points, Target("vmaf", 90), True)
    exact = scipy_interpolate.PchipInterpolator([0, 1, 2, 3], np.log(tokens))(2.5)
    assert between["token_rate"] == pytest.approx(np.exp(exact))
    # The same quality for more bits is no point of the curve, whatever its tokens.
    dearer = rate_point("tvc", kbps=15, means={"vmaf": 40.0, "token_rate": 1e6})
    twice = rate_point("tvc", kbps=20, means={"vmaf": 41.0, "token_rate": 1e6})
    for order in ([*points, dearer, twice], [twice, dearer, *points]):
        assert at_target(order, Target("vmaf", 60), True)["token_rate"] == pytest.approx(3)
    points[1] = rate_point("tvc", kbps=20, means={"vmaf": 60.0})
    assert at_target(points, Target("vmaf", 60), True)["token_rate"] is None


def test_a_saturating_metric_is_interpolated_in_its_log_domain() -> None:
    # -10 log10(1 - score) is 10, 20, 30, 40 dB: a straight line; half-way from 10 to 20 dB is 1 - 10^-1.5.
    table = pd.DataFrame({"metric": ["ssim"], "log_domain_ceiling": [1.0]})
    run = RunResults(Path(), table, {})
    points = [
        rate_point(
            kbps=10 * 2**step, means={"ssim": 1 - 10 ** -(step + 1)}, higher_is_better={"ssim": True}, runs=(run,)
        )
        for step in range(4)
    ]
    found = at_target(points, Target("ssim", 1 - 10**-1.5), True)
    assert found["kbps"] == pytest.approx(10 * 2**0.5)
    assert at_target(points, Target("ssim", 1.0), True)["kbps"] is None


def test_the_mean_at_the_target_says_of_how_many_sequences_it_is() -> None:
    cheap = [rate_point("x265", "easy", kbps=5, means={"vmaf": 95.0})]
    (row,) = profile([*ladder(), *cheap], [Target("vmaf", 70)]).rows
    amount = row.at_target["kbps"]
    assert (amount.sequences, amount.reason) == (1, "the curve does not tell")
    assert amount.mean == pytest.approx(20 * math.sqrt(2))


# Figures


def test_the_start_up_delay() -> None:
    # Equal frames: the first one takes a frame's time to arrive. Half of all in the first: half of the whole time.
    assert startup_s(rate_point(bits=[800] * 50)) == pytest.approx(1 / 25)
    assert startup_s(rate_point(bits=[4900, *[100] * 49])) == pytest.approx(0.5 * 2)
    # A late burst: it must be there after 8 of 10 frames, by when the channel has brought 8 tenths of 100 bits.
    assert startup_s(rate_point(bits=[0] * 8 + [100, 0])) == pytest.approx((100 - 80) / (100 / 0.4))
    assert startup_s(rate_point()) is None
    assert startup_s(rate_point(bits=[0, 0])) is None


def test_figures_that_are_not_known_say_what_to_run() -> None:
    (row,) = profile(ladder(), VMAF).rows
    reasons = {name: amount.reason for name, amount in row.figures.items() if amount.mean is None}
    assert set(reasons) == {one.name for one in FIGURES} - {"kbps", "bpp"}
    assert "`evalsuite run --metrics`" in reasons["token_rate"]
    assert "frame_bits" in reasons["startup_s"]
    assert "`--timing`" in reasons["decode_latency_p95_s"]


def test_devices_judge_operating_points_and_all_points() -> None:
    # 50 frames at 25 a second: 2 s of CPU are just in time.
    points = [
        rate_point(kbps=kbps, means={"vmaf": vmaf}, decode={"cpu_s": cpu})
        for kbps, vmaf, cpu in ((10, 70, 1.0), (20, 85, 2.0), (40, 95, 2.1))
    ]
    (row,) = profile(points, VMAF, devices=[BOX]).rows
    (playing,) = row.devices
    assert [one.point.kbps for one in playing.operating] == [20]
    # The samples' run does not tell what it was decoded on: the time alone cannot make a yes.
    assert [one.verdict.playable for one in playing.all] == [None, None, False]


# What is refused


@pytest.mark.parametrize(
    ("targets", "options", "said"),
    [
        ([Target("vmaf", 101)], {}, r"no rate point reaches vmaf ≥ 101[\s\S]*the best vmaf there is is 100"),
        ([Target("vmav", 80)], {}, r"no rate point has the metric 'vmav'[\s\S]*did you mean vmaf"),
        (VMAF, {"tags": ["trees"]}, r"no sequence of these results has the tag 'trees'[\s\S]*faces"),
        (VMAF, {"codecs": ["x256"]}, r"no codec 'x256'[\s\S]*did you mean x265"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused(targets: list[Target], options: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        profile(codecs_on(3), targets, **options)


# In words and as JSON


def test_how_many_tokens_are_good_enough_in_a_sentence() -> None:
    points = [
        rate_point("tvc", f"s{number}", kbps=20, traits=["faces"], means=means)
        for number in range(5)
        for means in ({"lpips": 0.4 if number < 3 else 0.6, "sent_token_rate": 1000.0, "token_rate": 2400.0},)
    ]
    found = profile(points, [Target("lpips", 0.4)], tags=["faces"])
    assert sentence(found, found.rows[0]) == (
        "tvc reaches lpips ≤ 0.4 on 3 of 5 'faces' sequences with a mean of 20.00 kbps, 1000 tokens/s sent, "
        "2400 tokens/s in all."
    )


def test_a_sentence_has_the_interval_where_there_is_one_and_the_best_where_nothing_reaches() -> None:
    even = [point for number in range(5) for point in ladder(sequence=f"s{number}")]
    poor = [rate_point("tvc", "s0", means={"vmaf": 55.5})]
    found = profile([*even, *poor], VMAF, tags=["*"])
    assert [sentence(found, row) for row in found.rows] == [
        "x265 reaches vmaf ≥ 80 on 5 of 5 sequences with a mean of 40.00 kbps (95 % interval 40.00 to 40.00).",
        "tvc reaches vmaf ≥ 80 on 0 of 5 sequences; tvc on s0: the best vmaf there is is 55.5.",
    ]


def test_rates_that_are_no_files_are_labelled() -> None:
    even = ladder(facts={"rate_source": "file"})
    told = profile([*even, *ladder("words", facts={"rate_source": "estimate"})], VMAF, tags=["*"])
    assert [row["label"] for row in document(told)["rows"]] == ["", "estimated rate, no bitstream"]
    assert [sentence(told, row) for row in told.rows] == [
        "x265 reaches vmaf ≥ 80 on 1 of 1 sequence with a mean of 40.00 kbps.",
        "words reaches vmaf ≥ 80 on 1 of 1 sequence with a mean of 40.00 kbps (estimated rate, no bitstream).",
    ]


def test_the_document_has_what_the_docs_say() -> None:
    found: Profile = profile(codecs_on(6), VMAF, devices=[BOX])
    told = json.loads(json.dumps(document(found)))
    page = (Path(__file__).parents[1] / "docs" / "planning.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in page for key in told)
    assert all(f"`{one.name}`" in page for one in FIGURES)
    row = told["rows"][0]
    assert (row["sequences"], row["reached"], row["figures"]["kbps"]["mean"]) == (6, 6, 140)
    assert row["at_target"]["kbps"]["mean"] == pytest.approx(140)
    assert row["devices"][0]["all"] == {"yes": 0, "no": 0, "unknown": 24}
    (device,) = told["devices"]
    assert (device["name"], len(device["points"])) == ("box", 24)  # once, though two tags have them
    assert {one["verdict"] for one in device["points"]} == {"unknown"}


# The command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vvenc and x265 on five sequences: VMAF is 35 at 0.01 bpp and rises by 45 with each decade; x265 has tokens."""
    folder = write_sample(
        tmp_path_factory.mktemp("profile") / "run", metrics=["vmaf", "lpips"], costs=SLOW, tokenized=["x265"]
    )
    return with_streams(folder, ["vvenc"])


def command(*arguments: object) -> tuple[int, str, str]:
    made = CliRunner().invoke(app, ["plan", "profile", *map(str, arguments)])
    return made.exit_code, made.stdout, made.stderr


def test_the_command_prints_tables_of_80_columns(run: Path) -> None:
    code, out, _ = command(run, "--target", "vmaf=50", "--device", "phone", "--tag", "*", "--tag", "sport")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    flat = " ".join(out.split())
    assert "x265 reaches vmaf ≥ 50 on 5 of 5 sequences with a mean of" in flat
    # x265 needs 30 CPU seconds for 48 to 60 frames, vvenc next to nothing.
    assert "phone x265 * 0 of 5 0 of 20" in flat
    assert "phone vvenc * 5 of 5 20 of 20" in flat
    assert "decode_latency_p95_s, decode_jitter_s of vvenc: not timed: run with `--timing`" in flat
    assert "Other content (--tag): animation, conferencing, face, street" in flat


def test_the_json_has_closed_forms(run: Path) -> None:
    code, out, _ = command(run, "--target", "vmaf=50", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["schema"] == 1
    assert {row["tag"] for row in told["rows"]} == {"*", "animation", "conferencing", "face", "sport", "street"}
    vvenc, x265 = told["rows"][:2]
    # 50 is 15 / 45 of a decade above 0.01 bpp: the points at 0.04 bpp are the cheapest beyond it.
    assert vvenc["figures"]["bpp"]["mean"] == pytest.approx(0.04, rel=1e-3)
    sizes = {"carphone": 176 * 144 * 30 / 1.001, "face": 640 * 360 * 25, "street": 720 * 405 * 25}
    sizes |= {"bikes": 640 * 272 * 25, "bunny": 640 * 360 * 24}
    exact = 0.01 * 10 ** (1 / 3) / 1000
    for point in vvenc["points"]:
        assert point["at_target"]["kbps"] == pytest.approx(exact * sizes[point["sequence"]], rel=1e-3)
        # Half of all bits are in the first frame, and nothing later empties the buffer.
        seconds = {"carphone": 60 * 1.001 / 30, "bunny": 2.0}.get(point["sequence"], 2.0)
        assert point["figures"]["startup_s"] == pytest.approx(seconds / 2, rel=1e-2)
    assert vvenc["figures"]["token_rate"]["reason"] == "the codec reports no tokens"
    assert x265["figures"]["token_rate"]["mean"] == 9900
    assert x265["figures"]["decode_latency_p95_s"]["mean"] == 0.004
    assert x265["figures"]["decode_cpu_s"]["mean"] == pytest.approx(
        np.mean([30 / frames for frames in (60, 50, 50, 50, 48)])
    )


def test_a_run_with_a_content_profile_can_be_asked_for_its_score(run: Path, tmp_path: Path) -> None:
    code, _, said = command(run, "--target", "profile:conferencing=60")
    assert code == 2
    assert "no rate point has the metric 'profile:conferencing'" in said
    scored = write_sample(tmp_path / "scored", metrics=["profile:conferencing"])
    code, out, _ = command(scored, "--target", "profile:conferencing=50")
    assert code == 0
    assert "vvenc 5 of 5" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "vmaf=99.5"], "the best vmaf there is is"),
        (["--target", "vmav=50"], "did you mean vmaf"),
        (["--target", "vmaf"], "is not a target"),
        (["--target", "token_rate=50"], "cannot be a target"),
        (["--target", "vmaf=50", "--tag", "snow"], "no sequence of these results has the tag 'snow'"),
        (["--target", "vmaf=50", "--codec", "vvenk"], "did you mean vvenc"),
        (["--target", "vmaf=50", "--device", "fone"], "did you mean phone"),
        (["--target", "vmaf=50", "--device", "no-budget.toml"], "`budget` is missing"),
        ([], "Missing option '--target'"),
    ],
    ids=str,
)
def test_a_wrong_request_is_one_clear_refusal(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no-budget.toml").write_text('name = "box"\ndescription = "a box"\nspeed = 1\n')
    code, out, error = command(run, *arguments)
    assert (code, out) == (2, "")
    assert said in " ".join(error.split())
