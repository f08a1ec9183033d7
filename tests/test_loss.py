"""Real bitstreams behind channels that lose packets: what arrives, what is shown of it, and what is said of that."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_clip
from sample_losses import differs, joined, random_channels, received, told, try_all
from sample_recipes import edited, point, script_recipe, sequence_of

from evalsuite.codec.channel import Channel, parse_channel
from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.run import encode
from evalsuite.codec.transport import send, through
from evalsuite.errors import MediaError, RecipeError, RequestError
from evalsuite.types import Sequence

FRAMES, PERIOD = 40, 16
CODECS = ("x264:lowdelay", "x264", "x265:lowdelay", "x265", "kvazaar", "svtav1", "libaom", "rav1e", "vp9")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Sequence:
    return sequence_of(make_clip(tmp_path_factory.mktemp("clip") / "clip.y4m", 96, 80, FRAMES), FRAMES)


class Coded:
    """A codec, its bitstream of the clip, and what that decodes to."""

    def __init__(self, name: str, clip: Sequence, folder: Path) -> None:
        self.recipe = load_recipe(name)
        self.path = folder / f"{name.replace(':', '-')}.bin"
        self.point = point(self.recipe, 1, PERIOD)
        encode(self.recipe, clip, self.point, self.path)
        with decode(self.recipe, self.path, clip, self.point) as decoder:
            self.clean = joined(decoder)


@pytest.fixture(scope="module")
def coded(clip: Sequence, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Coded]:
    folder = tmp_path_factory.mktemp("coded")
    return {name: Coded(name, clip, folder) for name in CODECS}


def shown(
    coded: Coded, clip: Sequence, model: str, recipe: Recipe | None = None
) -> tuple[list[bytes], tuple[bool, ...], float]:
    """Frames, marks and the share of packets hit, by the real processes."""
    behind = through(recipe or coded.recipe, parse_channel(model))
    with decode(behind, coded.path, clip, coded.point, timeout=60) as decoder:
        frames = joined(decoder)
    delivery = decoder.delivered()
    return frames, delivery.concealed, delivery.hit / max(1, delivery.packets)


@pytest.mark.parametrize("name", CODECS)
def test_where_nothing_is_hit_it_is_what_the_codec_decodes(coded: dict[str, Coded], clip: Sequence, name: str) -> None:
    frames, concealed, hit = shown(coded[name], clip, "iid:0.000001")
    assert (frames, any(concealed), hit) == (coded[name].clean, False, 0)


@pytest.mark.parametrize("name", CODECS)
def test_what_is_not_marked_is_as_sent_and_the_rest_is_concealed(
    coded: dict[str, Coded], clip: Sequence, name: str
) -> None:
    frames, concealed, hit = shown(coded[name], clip, "iid:0.15,packet=100,seed=4")
    assert hit > 0
    assert len(frames) == FRAMES
    assert 0 < sum(concealed) <= FRAMES
    for frame, clean, mark in zip(frames, coded[name].clean, concealed, strict=True):
        assert mark or frame == clean


def test_a_lost_picture_is_the_one_before_until_the_next_key_picture(coded: dict[str, Coded], clip: Sequence) -> None:
    own = coded["x264:lowdelay"]
    # All but key pictures are lost: what is shown is each key picture, as often as there are frames in a period.
    frames, concealed, hit = shown(own, clip, "iid:1,class=other")
    assert hit == 1
    assert frames == [own.clean[PERIOD * (place // PERIOD)] for place in range(FRAMES)]
    assert concealed == tuple(place % PERIOD > 0 for place in range(FRAMES))


def test_before_anything_came_there_is_grey(coded: dict[str, Coded], clip: Sequence) -> None:
    frames, concealed, _ = shown(coded["x265:lowdelay"], clip, "iid:1")
    assert set(frames) == {bytes([128]) * clip.format.frame_bytes}
    assert all(concealed)


@pytest.mark.parametrize("name", ["x264:lowdelay", "x265:lowdelay", "svtav1"])
@pytest.mark.parametrize("kind", ["drop", "damage"])
def test_the_same_losses_give_the_same_pictures(coded: dict[str, Coded], clip: Sequence, name: str, kind: str) -> None:
    model = f"ge:0.2,burst=2,packet=100,kind={kind}"
    first = shown(coded[name], clip, model)
    assert shown(coded[name], clip, model) == first
    assert shown(coded[name], clip, f"{model},seed=2") != first


def test_damage_is_shown_where_the_decoder_conceals_it(coded: dict[str, Coded], clip: Sequence) -> None:
    own = coded["x264:lowdelay"]
    frames, concealed, hit = shown(own, clip, "iid:0.2,packet=100,kind=damage")
    assert hit > 0
    changed = [differs(frame, clean) for frame, clean in zip(frames, own.clean, strict=True)]
    assert any(changed)
    assert all(mark for mark, change in zip(concealed, changed, strict=True) if change)


def test_pictures_before_a_key_picture_of_an_open_gop_are_marked(clip: Sequence, tmp_path: Path) -> None:
    recipe = edited("x265", tmp_path, ("open-gop=0", "open-gop=1"))
    own_point, path = point(recipe, 1, PERIOD), tmp_path / "open.h265"
    encode(recipe, clip, own_point, path)
    with decode(recipe, path, clip, own_point) as decoder:
        clean = joined(decoder)
    channels = [Channel(0.15, packet_bytes=100, seed=seed, only="other") for seed in range(40)]
    tried = try_all(lambda channel: received(recipe, path, clip, channel), clean, channels)
    assert (tried.streams, dict(tried.wrong)) == (40, {})


@pytest.mark.parametrize("name", ["x264", "x265", "kvazaar", "svtav1", "libaom", "rav1e", "vp9"])
def test_damaged_streams_never_hang_or_crash(coded: dict[str, Coded], clip: Sequence, name: str) -> None:
    own, count = coded[name], int(os.environ.get("LOSS_FUZZ", "40"))
    tried = try_all(lambda channel: received(own.recipe, own.path, clip, channel), own.clean, random_channels(count, 7))
    assert (tried.streams, dict(tried.wrong)) == (count, {})


def test_the_receiver_is_not_led_astray_by_files_of_the_users(
    coded: dict[str, Coded], clip: Sequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert len(shown(coded["x264:lowdelay"], clip, "iid:0.2")[0]) == FRAMES


def test_a_small_picture_coded_smaller_comes_back_in_full_size(clip: Sequence, tmp_path: Path) -> None:
    recipe = load_recipe("x265:half")
    own_point, path = point(recipe, 1, PERIOD), tmp_path / "half.h265"
    encode(recipe, clip, own_point, path)
    with decode(through(recipe, parse_channel("iid:0.3,packet=64")), path, clip, own_point, timeout=60) as decoder:
        frames = list(decoder)
    assert [frame[0].shape for frame in frames] == [(80, 96)] * FRAMES
    assert len(decoder.delivered().concealed) == FRAMES


def test_a_channel_makes_another_codec() -> None:
    clean = load_recipe("x265")
    behind = through(clean, parse_channel("ge:5%,burst=3,class=key"))
    assert (behind.name, behind.sent_name) == ("x265@5%x3+class=key", "x265")
    assert behind.identity() not in (clean.identity(), through(clean, parse_channel("iid:5%")).identity())
    odd = replace(clean, name="x265:a@b")
    assert (odd.sent_name, through(odd, Channel(0.05)).sent_name) == ("x265:a@b", "x265:a@b")


def test_what_can_be_lost_is_part_of_the_identity_behind_a_channel() -> None:
    clean, channel = load_recipe("tvc"), Channel(0.05)
    assert clean.transport is not None
    fewer = replace(clean, transport=replace(clean.transport, classes=("key",)))
    other = replace(clean, info=(*clean.info, "--more"))
    assert clean.identity() == fewer.identity() == other.identity()
    assert len({through(one, channel).identity() for one in (clean, fewer, other)}) == 3


def test_transport_alone_changes_no_identity() -> None:
    # What results are stored and published under stays.
    recipe = load_recipe("x265")
    assert recipe.transport is not None
    assert replace(recipe, transport=None).identity() == recipe.identity()


def test_codecs_that_cannot_be_sent_are_refused() -> None:
    with pytest.raises(RequestError, match="vvenc cannot be sent") as caught:
        through(load_recipe("vvenc"), Channel(0.1))
    assert "[transport]" in str(caught.value.expected)
    for name, only, known in (("x264", "tokens", "key or other"), ("tvc", "other", "key or tokens or latents")):
        with pytest.raises(RequestError, match=f"no packets of the class '{only}'") as caught:
            through(load_recipe(name), Channel(0.1, only=only))
        assert caught.value.expected == known


@pytest.mark.parametrize(
    "extra",
    [
        *("[transport]", '[transport]\ndecode = ["{binary}", "{input}"]', '[transport]\npackets = "nal"'),
        '[transport]\ndecode = ["{binary}", "{input}", "{output}", "{lost}"]\nclasses = ["a"]',
        '[transport]\ndecode = ["{binary}", "{input}", "{lost}"]\nclasses = ["A b"]',
        '[transport]\ndecode = ["{binary}", "{input}", "{lost}"]\nclasses = ["header"]',
    ],
)
def test_a_transport_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extra: str) -> None:
    with pytest.raises(RecipeError):
        script_recipe(monkeypatch, tmp_path, extra=extra)


def test_a_codec_that_does_not_tell_its_parts_is_an_error(clip: Sequence, tmp_path: Path) -> None:
    (tmp_path / "clip.tvc").write_bytes(b"TVC")
    behind = through(load_recipe("tvc"), Channel(0.1))
    with pytest.raises(MediaError, match="does not tell what its bitstream is made of"):
        send(behind, tmp_path / "clip.tvc", clip, tmp_path, "", told)


def test_tvc_conceals_what_is_lost_and_says_so(clip: Sequence, tmp_path: Path) -> None:
    recipe = load_recipe("tvc:live")
    own_point, path = point(recipe, 1, PERIOD), tmp_path / "clip.tvc"
    encode(recipe, clip, own_point, path)
    with decode(recipe, path, clip, own_point, timeout=60) as decoder:
        clean = joined(decoder)
    with decode(through(recipe, parse_channel("iid:1,class=tokens")), path, clip, own_point, timeout=60) as decoder:
        frames = joined(decoder)
    delivery = decoder.delivered()
    # Slots of four frames: the first of each period is intra and arrives, the others do not.
    assert delivery.hit == delivery.packets > 0
    assert delivery.concealed == tuple(place % PERIOD >= 4 for place in range(FRAMES))
    assert all(mark or frame == other for frame, other, mark in zip(frames, clean, delivery.concealed, strict=True))


def test_tvc_predicts_what_is_lost_where_its_variant_says_so(clip: Sequence, tmp_path: Path) -> None:
    path, shown = tmp_path / "clip.tvc", {}
    encode(load_recipe("tvc:live"), clip, point(load_recipe("tvc:live"), 1, PERIOD), path)
    for name in ("tvc:live", "tvc:live:predict"):
        recipe = through(load_recipe(name), parse_channel("iid:1,class=tokens"))
        with decode(recipe, path, clip, point(recipe, 1, PERIOD), timeout=60) as decoder:
            shown[name] = joined(decoder), decoder.delivered().concealed
    (still, marks), (predicted, other_marks) = shown.values()
    assert marks == other_marks
    # The intra slot of each period is the same; what is predicted moves on from it.
    assert [a == b for a, b in zip(still, predicted, strict=True)] == [not mark for mark in marks]
