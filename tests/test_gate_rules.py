"""The TOML of a gate: what it may say, and that nothing else passes."""

import contextlib
import tomllib
from pathlib import Path

import pytest
from gate_samples import gate_of, rate_rule
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import EvalError, RecipeError, RequestError
from evalsuite.metrics.registry import select
from evalsuite.results.gate.rules import load_gate, parse_gate


def test_every_field():
    gate = gate_of(
        {
            "name": "faces",
            "measure": "score",
            "metric": "identity_cos",
            "statistic": "p5",
            "sequences": ["tag:faces"],
            "over": "each",
            "allowed": 0.05,
            "confidence": 0.9,
            "optional": True,
        },
        rate_rule(),
        baseline="base",
        candidate="cand",
        codec="tvc",
        baseline_codec="old",
        undecided="pass",
        confidence=0.99,
        run=["--codecs", "tvc"],
    )
    faces, rate = gate.rules
    assert (faces.name, faces.statistic, faces.over, faces.confidence) == ("faces", "p5", "each", 0.9)
    assert (rate.name, rate.confidence, rate.unit, rate.over) == ("rate at equal vmaf", 0.99, "%", "mean")
    assert gate.may_pass_undecided
    assert (gate.baseline, gate.candidate, gate.codec, gate.baseline_codec) == ("base", "cand", "tvc", "old")


def test_patterns_of_sequences():
    (rule,) = gate_of(rate_rule(sequences=["tag:faces", "city*"])).rules
    assert rule.covers("anna", ("faces", "indoor"))
    assert rule.covers("city_2", ())
    assert not rule.covers("bunny", ("animation",))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "`measure` is missing"),
        ({"measure": "bdrate"}, "`measure` is not valid"),
        ({"measure": "bd_rate", "allowed": 1}, "`metric` is missing"),
        ({"measure": "bd_rate", "metric": "vmaf"}, "a rule has one limit"),
        ({"measure": "bd_rate", "metric": "vmaf", "at_most": 1}, "a rule has one limit"),
        ({"measure": "score", "metric": "vmaf", "at_most": 1, "allowed": 2}, "a rule has one limit"),
        ({"measure": "bd_rate", "metric": "vmaf", "allowed": "1"}, "`allowed` is not valid"),
        ({"measure": "bd_rate", "metric": "vmaf", "allowed": float("nan")}, "`allowed` is not valid"),
        ({"measure": "bd_rate", "metric": "vmaf", "allowed": True}, "`allowed` is not valid"),
        ({"measure": "failures", "metric": "vmaf", "allowed": 0}, "`metric` is unknown"),
        (rate_rule(confidence=95), "`confidence` is not valid"),
        (rate_rule(over="all"), "`over` is not valid"),
        (rate_rule(sequence=["face"]), "`sequence` is unknown"),
        ({"measure": "score", "metric": "vmaf", "allowed": 1, "worse": "higher"}, "`worse` is not valid"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_field(rule, said):
    with pytest.raises(RecipeError, match=said) as caught:
        gate_of(rule)
    assert "rule 1" in str(caught.value)


def test_two_rules_of_one_name_are_refused():
    with pytest.raises(RecipeError, match="`rule` is not valid") as caught:
        gate_of(rate_rule(), rate_rule(allowed=2))
    assert "rate at equal vmaf" in str(caught.value)


@pytest.mark.parametrize("fields", [{"undecided": "maybe"}, {"runs": ["x"]}, {"confidence": 1}, {"run": "x"}])
def test_a_wrong_gate_is_refused(fields):
    with pytest.raises(RecipeError):
        gate_of(rate_rule(), **fields)


def test_no_rules_are_no_gate():
    with pytest.raises(RecipeError):
        parse_gate({"rule": []}, Path("gate.toml"))


def test_the_standard_gate_asks_only_for_metrics_of_the_default_panel():
    panel = {info.name: info for info in select("default")}
    rules = load_gate("standard").rules
    assert {rule.metric for rule in rules if rule.metric} <= set(panel)
    assert all(rule.measure in ("score", "bd_rate", "failures") for rule in rules)


def test_an_unknown_gate_suggests_the_near_ones():
    with pytest.raises(RequestError, match="unknown gate 'standart'") as caught:
        load_gate("standart")
    assert "did you mean standard?" in str(caught.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    ["measure", "metric", "allowed", "at_most", "at_least", "over", "sequences", "confidence", "name", "statistic"]
)


@given(st.dictionaries(st.sampled_from(["rule", "baseline", "undecided", "confidence", "run", "x"]), values))
def test_fuzz_gate(data):
    with contextlib.suppress(EvalError):
        parse_gate(data, Path("gate.toml"))


@given(st.dictionaries(keys, values | st.sampled_from(["bd_rate", "score", "vmaf", "each"])))
def test_fuzz_rule(rule):
    with contextlib.suppress(EvalError):
        parse_gate({"rule": [rule]}, Path("gate.toml"))


@given(st.binary(max_size=200))
def test_fuzz_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("gate") / "gate.toml"
    path.write_bytes(data)
    with contextlib.suppress(EvalError):
        load_gate(str(path))


def test_the_files_that_ship_are_valid_toml():
    for path in (Path(__file__).parents[1] / "gates").glob("*.toml"):
        assert tomllib.loads(path.read_text())["rule"]
        assert load_gate(str(path)).rules
