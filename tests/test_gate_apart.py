"""Curves that have no number: far apart, or one curve of which each side has another part; and what became lossless."""

from __future__ import annotations

import math

import pytest
from gate_samples import gate_of, rate_rule, rows, write_run

from evalsuite.results.gate.gate import run_gate

DOUBLING_DB = 3
"""What psnr_yuv of the samples gains with every doubling of the rate: a straight line."""
MOVED = 3.5
"""Times the baseline's rates: less than half of the qualities, and of the rates, is common then."""


@pytest.fixture
def judged(tmp_path):
    def judge(before, after, rule):
        folders = (tmp_path / str(len(list(tmp_path.iterdir()))) for _ in range(2))
        runs = [write_run(folder, points) for folder, points in zip(folders, (before, after), strict=True)]
        (one,) = run_gate(gate_of(rule), *runs).judgements
        return one

    return judge


def moved(loss: float):
    """The same line at other rates, so much worse at each."""
    return rows(MOVED, shift={"psnr_yuv": DOUBLING_DB * math.log2(MOVED) - loss})


def percent(loss: float) -> float:
    """BD-rate of such a line."""
    return 100 * (2 ** (loss / DOUBLING_DB) - 1)


@pytest.mark.parametrize("over", ["mean", "each"])
@pytest.mark.parametrize(("loss", "verdict"), [(0.01, "undecided"), (1e-6, "undecided"), (0.5, "fail")])
def test_a_loss_within_the_limit_is_no_failure_where_only_the_rates_moved(judged, loss, verdict, over):
    assert (percent(loss) > 1) == (verdict == "fail")
    one = judged(rows(), moved(loss), rate_rule("psnr_yuv", allowed=1, over=over))
    assert (one.verdict, one.value) == (verdict, None)
    rule = {"measure": "bd_quality", "metric": "psnr_yuv", "allowed": 0.25, "over": over}
    assert judged(rows(), moved(loss), rule).verdict == verdict


def test_one_sequence_that_moved_does_not_pass_for_better_in_what_little_is_common(judged):
    after = [row for row in moved(-0.001) if row["sequence"] == "jump"]
    after += [row for row in rows() if row["sequence"] != "jump"]
    one = judged(rows(), after, rate_rule("psnr_yuv", allowed=1))
    assert one.verdict == "undecided"
    assert "jump" in one.reason


@pytest.mark.parametrize(
    "rule", [rate_rule("psnr_yuv"), {"measure": "score", "metric": "psnr_yuv", "allowed": 0.1}], ids=["bd", "score"]
)
def test_what_became_lossless_stands_aside(judged, rule):
    after = rows()
    for row in after:
        if row["sequence"] == "jump" and row["metric"] == "psnr_yuv":
            row |= {"score": math.inf, "status": "infinite", "reason": "identical frames"}
    one = judged(rows(), after, rule)
    assert one.verdict == "pass"
    assert "jump" in one.reason
