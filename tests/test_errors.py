"""Messages about unknown names: the near ones whatever their case, all where nothing else lists them."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalsuite import resources
from evalsuite.errors import RequestError, did_you_mean
from evalsuite.metrics.registry import info_of, infos

WHOLE = "`evalsuite metrics list` shows all"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("VMAF", f"did you mean vmaf or vmaf_neg? ({WHOLE})"),
        ("Lpips_VGG", f"did you mean lpips_vgg or lpips? ({WHOLE})"),
        ("qqqqqq", WHOLE),  # eighty names are no hint
        ("sport", "sport is a profile: --profile sport; `evalsuite metrics show profile:sport` explains it"),
        ("profile:Sport", "sport is a profile: --profile sport; `evalsuite metrics show profile:sport` explains it"),
    ],
)
def test_an_unknown_metric_is_told_in_one_short_line(name: str, hint: str) -> None:
    with pytest.raises(RequestError, match="unknown metric") as caught:
        info_of(name)
    assert caught.value.fix == hint
    assert len(infos()) > 60


def test_a_prefix_may_be_missing_and_a_short_list_is_said() -> None:
    assert did_you_mean("FSIM", ["piq:fsim", "piq:vsi"], WHOLE) == f"did you mean piq:fsim? ({WHOLE})"
    assert did_you_mean("qqq", ["b", "a"], WHOLE) == "known: a, b"
    assert did_you_mean(5, ["b", "a"]) == "known: a, b"
    assert did_you_mean("x", []) == "known: none"


@pytest.mark.parametrize(("kind", "near"), [("boards", "ultra-lo"), ("devices", "fone"), ("gates", "standart")])
def test_what_no_command_lists_is_listed_by_the_message(kind: resources.Kind, near: str) -> None:
    names = ", ".join(resources.available(kind))
    with pytest.raises(RequestError) as caught:
        resources.find(kind, near)
    assert str(caught.value.fix).startswith("did you mean")
    assert str(caught.value.fix).endswith(f"(known: {names})")
    with pytest.raises(RequestError) as caught:
        resources.find(kind, "qqqqqq")
    assert caught.value.fix == f"known: {names}"


def test_an_unknown_codec_names_the_command_that_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as caught:
        resources.find("codecs", "X265")
    assert caught.value.fix == "did you mean x265 or x264? (`evalsuite codecs list` shows all)"
