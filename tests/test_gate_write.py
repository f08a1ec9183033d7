"""What a gate writes for machines: JSON, JUnit XML, Markdown."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from gate_samples import SEQUENCES, gate_of, rate_rule, rows, write_run

from evalsuite.results.gate.gate import run_gate
from evalsuite.results.gate.write import MARKER, as_json, as_junit, as_markdown

RULES = (
    rate_rule(allowed=5),
    rate_rule("psnr_yuv", name="fails"),
    rate_rule("lpips", name="undecided", sequences=["face", "city"]),
    rate_rule("dists", name="skipped", optional=True),
)


@pytest.fixture
def result(tmp_path):
    before, after = (write_run(tmp_path / name, rows(rate)) for name, rate in (("before", 1.0), ("after", 1.02)))
    return run_gate(gate_of(*RULES), before, after)


def test_json_is_the_contract(result):
    document = json.loads(json.dumps(as_json(result, "report"), allow_nan=False))
    assert (document["schema"], document["verdict"]) == (1, "fail")
    assert [rule["verdict"] for rule in document["rules"]] == ["pass", "fail", "undecided", "skipped"]
    first = document["rules"][0]
    assert {"rule", "verdict", "value", "ci", "limit", "sequences"} <= set(first)
    assert (first["value"], first["limit"], first["sequences"]) == (pytest.approx(2), 5, 6)
    assert first["ci"] == [pytest.approx(2), pytest.approx(2)]
    assert document["rules"][1]["explanation"][0]["link"] == (
        "report/curves.html#at=curves&metric=psnr_yuv&sequence=" + document["rules"][1]["explanation"][0]["sequence"]
    )
    assert document["rules"][2]["more_sequences"] == 3


def test_junit_has_a_case_for_each_rule(result):
    (suite,) = ElementTree.fromstring(as_junit(result))
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    kinds = {case.get("name"): [child.tag for child in case] for case in suite}
    assert kinds == {
        "rate at equal vmaf": ["system-out"],
        "fails": ["failure"],
        "undecided": ["error"],
        "skipped": ["skipped"],
    }
    failure = suite.find("testcase[@name='fails']/failure")
    assert "+2.00 %" in failure.get("message")
    assert "≤ 1 %" in failure.get("message")
    assert any(sequence in failure.text for sequence in SEQUENCES)


def test_undecided_that_may_pass_is_skipped_in_junit(result):
    lenient = replace(result, gate=replace(result.gate, may_pass_undecided=True))
    (suite,) = ElementTree.fromstring(as_junit(lenient))
    assert (suite.get("errors"), suite.get("skipped")) == ("0", "2")


def test_markdown_has_a_row_for_each_rule_and_folds_the_rest(result):
    text = as_markdown(result, "https://example.org/report/")
    assert text.startswith(MARKER)
    assert "gate: fail" in text
    table = [line for line in text.splitlines() if line.startswith("| ") and " % " in line]
    assert len(table) == 4
    assert "✗ fail" in table[1]
    assert "about 3 more sequences like these would decide" in table[2]
    assert "(https://example.org/report/curves.html#at=curves&metric=psnr_yuv&sequence=" in text
    assert text.count("<details>") == text.count("</details>") == 2


HOSTILE = "<script>|`@someone #1 [x](y)\x00\x0b\ud800&*_"


def test_names_are_never_markup(tmp_path):
    name = HOSTILE.replace("\ud800", "").replace("\x00", "")
    before, after = (
        write_run(
            tmp_path / side,
            [row | {"sequence": name if row["sequence"] == "face" else row["sequence"]} for row in rows(rate)],
        )
        for side, rate in (("before", 1.0), ("after", {name: 1.0, "face": 1.5}))
    )
    result = run_gate(gate_of(rate_rule(over="each", allowed=5, name=name)), before, after)
    (suite,) = ElementTree.fromstring(as_junit(result))
    assert suite.find("testcase/failure") is not None
    text = as_markdown(result)
    assert "<script>" not in text
    assert "@someone" not in text
    row = next(line for line in text.splitlines() if line.startswith("| ✗"))
    assert row.replace("\\|", "").count("|") == 8
