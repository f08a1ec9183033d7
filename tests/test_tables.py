import math

import numpy as np
import pandas as pd
import pytest

from evalsuite.errors import RequestError, StoreError
from evalsuite.results.bdrate import bd_rate
from evalsuite.results.bdrows import BDRow, bd_summary, mean_row
from evalsuite.results.tables import bd_table

RATES = np.array([0.01, 0.02, 0.04, 0.08])
SCORES = np.array([30.0, 33, 35.5, 37.5])


def rows(codec, sequence, rates=RATES, scores=SCORES, **changes):
    made = []
    for i, (rate, score) in enumerate(zip(rates, scores, strict=True)):
        row = {
            "codec": codec,
            "preset": "default",
            "sequence": sequence,
            "tags": "",
            "threads": 1,
            "bpp": rate,
            "target_bpp": math.nan,
            "q": 30.0 - i,
            "metric": "psnr_y",
            "statistic": "mean",
            "score": score,
            "higher_is_better": True,
            "log_domain_ceiling": math.nan,
            "status": "ok",
            "reason": "",
            "cell_key": f"{codec}-{sequence}-{i}",
            "metric_version": "1",
            "codec_version": "1.0",
            "intra_period": 32,
            "structure": "low-delay",
            "rate_control": "crf",
            "internal_bit_depth": 8,
            "lookahead": 25,
            "delay": 29,
            "scale_divisor": 1,
            "rate_source": "file",
            "frames": 48,
            "width": 640,
            "height": 360,
            "source_sha256": f"sha-of-{sequence}",
        }
        made.append(row | {key: value[i] if isinstance(value, list) else value for key, value in changes.items()})
    return made


def table(*groups):
    return pd.DataFrame([row for group in groups for row in group])


def star(rows: list[BDRow]) -> BDRow:
    (found,) = [row for row in rows if row.sequence == "*"]
    return found


def savings(*factors, **changes):
    """One sequence per factor; the test codec needs that factor of the anchor's rate."""
    return table(
        *(rows("anchor", f"s{i}") for i in range(len(factors))),
        *(rows("test", f"s{i}", RATES * factor, **changes) for i, factor in enumerate(factors)),
    )


def test_rows_per_sequence_then_the_mean():
    found = bd_table(savings(0.9, 0.8), "anchor")
    assert [row.sequence for row in found] == ["s0", "s1", "*"]
    assert [row.bd_rate_percent for row in found] == pytest.approx([-10, -20, -15])
    assert [row.sequences for row in found] == [1, 1, 2]
    assert {(row.metric, row.anchor, row.test, row.status, row.reason) for row in found} == {
        ("psnr_y", "anchor", "test", "ok", "")
    }
    assert (star(found).overlap, star(found).points_anchor, star(found).points_test) == (1, 4, 4)
    assert star(found).bd_quality == pytest.approx(np.mean([row.bd_quality for row in found[:2]]))
    assert (star(found).ci_low, star(found).ci_high) == (None, None)


def test_interval_over_five_sequences():
    found = bd_table(savings(0.9, 0.8, 0.7, 0.95, 1.1), "anchor")
    mean = star(found)
    assert mean.bd_rate_percent == pytest.approx(-11)
    assert -30 < mean.ci_low < -11 < mean.ci_high < 10
    (summary,) = bd_summary(found)
    assert summary.row == mean
    assert (summary.summary.median, summary.summary.wins) == (pytest.approx(-10), 4)
    assert (summary.summary.lowest, summary.summary.highest) == (pytest.approx(-30), pytest.approx(10))


def test_trap24_per_sequence_before_mean():
    """Half the rate saved on an easy sequence, nothing on one that costs 50 times as much."""
    data = table(
        rows("anchor", "easy"),
        rows("anchor", "hard", RATES * 50),
        rows("test", "easy", RATES / 2),
        rows("test", "hard", RATES * 50),
    )
    found = star(bd_table(data, "anchor"))
    assert found.bd_rate_percent == pytest.approx(-25)
    averaged = data.groupby(["codec", "score"])["bpp"].mean()
    misleading = bd_rate(
        averaged["anchor"], averaged["anchor"].index, averaged["test"], averaged["test"].index, higher_is_better=True
    )
    assert misleading.percent == pytest.approx(100 * (50.5 / 51 - 1)), "averaged curves hide the saving"


def test_trap26_one_bad_sequence_neither_removes_nor_poisons_the_mean():
    data = pd.concat([savings(0.9, 0.8), table(rows("anchor", "bad"), rows("test", "bad", scores=SCORES + 20))])
    found = bd_table(data, "anchor")
    bad = next(row for row in found if row.sequence == "bad")
    assert (bad.status, bad.bd_rate_percent, bad.sequences) == ("refused", None, 0)
    assert star(found).bd_rate_percent == pytest.approx(-15)
    assert (star(found).status, star(found).sequences) == ("flagged", 2)
    assert "holds 2 of 3 sequences; refused: bad" in star(found).reason
    (summary,) = bd_summary(found)
    assert [row.sequence for row in summary.refused] == ["bad"]


def test_all_refused():
    found = bd_table(table(rows("anchor", "s"), rows("test", "s", scores=SCORES + 20)), "anchor")
    assert (star(found).status, star(found).bd_rate_percent, star(found).sequences) == ("refused", None, 0)
    assert "BD-quality holds 1" in star(found).reason
    assert star(found).bd_quality == pytest.approx(20)
    assert bd_summary(found)[0].summary is None


def test_a_sequence_that_one_side_lacks_is_shown():
    found = bd_table(table(rows("anchor", "a"), rows("anchor", "b"), rows("test", "a"), rows("test", "c")), "anchor")
    by_name = {row.sequence: row for row in found}
    assert by_name["a"].status == "ok"
    assert "test codec has no points" in by_name["b"].reason
    assert "anchor has no points" in by_name["c"].reason
    assert star(found).sequences == 1


def test_trap14_infinite_psnr_is_dropped_by_name_and_never_turns_to_nan():
    data = savings(0.9)
    lossless = rows("test", "s0", [0.5], [math.inf], status="infinite")
    found = bd_table(pd.concat([data, table(lossless)]), "anchor")
    assert found[0].bd_rate_percent == pytest.approx(-10)
    assert found[0].status == "flagged"
    assert "dropped 1 score infinite" in found[0].reason
    assert math.isfinite(star(found).bd_rate_percent)


def test_trap21_not_applicable_is_out_of_the_mean_with_its_reason():
    none = {"status": "not_applicable", "reason": "no faces in the source", "score": math.nan}
    data = pd.concat([savings(0.9), table(rows("anchor", "street", **none), rows("test", "street", **none))])
    found = bd_table(data, "anchor")
    street = next(row for row in found if row.sequence == "street")
    assert street.status == "refused"
    assert street.reason.startswith("anchor: 4 not_applicable (no faces in the source)")
    assert star(found).sequences == 1


def test_failed_cells_are_counted():
    failed = rows("test", "s0", [math.nan], [math.nan], status="failed", reason="x265 exited with code 1")
    found = bd_table(pd.concat([savings(0.9), table(failed)]), "anchor")
    assert (found[0].status, found[0].bd_rate_percent) == ("flagged", pytest.approx(-10))
    assert "test: 1 failed (x265 exited with code 1)" in found[0].reason


def test_trap02_unequal_structure_is_marked():
    found = bd_table(savings(0.9, intra_period=-1), "anchor")
    assert found[0].status == "flagged"
    assert "not like with like: intra period 32 against -1" in found[0].reason
    assert found[0].bd_rate_percent == pytest.approx(-10)


@pytest.mark.parametrize(("column", "value"), [("frames", 96), ("width", 1280), ("source_sha256", "another")])
def test_different_content_is_refused(column, value):
    found = bd_table(savings(0.9, **{column: value}), "anchor")
    assert found[0].status == "refused"
    assert column in found[0].reason


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("codec_version", ["1.0", "1.0", "2.0", "2.0"], "1.0/2.0"),
        ("threads", [1, 1, 4, 4], "1/4"),
        ("intra_period", [32, 32, 32, 64], "32/64"),
    ],
)
def test_trap02_one_curve_of_two_codecs_is_refused(column, values, said):
    found = bd_table(savings(0.9, **{column: values}), "anchor")
    assert (found[0].status, found[0].reason) == ("refused", f"the test mixes codecs: {column} {said}")


def test_only_means_make_curves():
    worst = [row | {"statistic": "worst", "score": row["score"] - 9} for row in rows("test", "s0")]
    data = savings(0.9)
    assert bd_table(pd.concat([data, table(worst)]), "anchor") == bd_table(data, "anchor")


def test_every_metric_and_codec_has_its_group():
    lpips = [
        row | {"metric": "lpips", "score": 1 - row["score"] / 50, "higher_is_better": False}
        for codec, factor in (("anchor", 1), ("test", 0.8), ("other", 1.25))
        for row in rows(codec, "s0", RATES * factor)
    ]
    found = bd_table(pd.concat([savings(0.8), table(rows("other", "s0", RATES * 1.25), lpips)]), "anchor")
    means = {(row.metric, row.test): row.bd_rate_percent for row in found if row.sequence == "*"}
    assert means == {
        ("lpips", "other"): pytest.approx(25),
        ("lpips", "test"): pytest.approx(-20),
        ("psnr_y", "other"): pytest.approx(25),
        ("psnr_y", "test"): pytest.approx(-20),
    }
    assert [(summary.row.metric, summary.row.test) for summary in bd_summary(found)] == list(means)


def test_log_domain_comes_from_the_results():
    scores = np.array([60.0, 80, 92, 97])
    data = table(
        rows("anchor", "s", scores=scores, log_domain_ceiling=100.0),
        rows("test", "s", RATES * [0.9, 0.8, 0.7, 0.6], scores=scores, log_domain_ceiling=100.0),
    )
    direct = bd_rate(RATES, scores, RATES * [0.9, 0.8, 0.7, 0.6], scores, higher_is_better=True, log_domain_ceiling=100)
    assert bd_table(data, "anchor")[0].bd_rate_percent == direct.percent


def test_presets_of_one_codec_are_codecs_of_their_own():
    data = table(rows("x265", "s", preset="medium"), rows("x265", "s", RATES * 0.9, preset="slow"), rows("vvenc", "s"))
    found = bd_table(data, "x265/medium")
    assert {row.test: row.bd_rate_percent for row in found if row.sequence == "*"} == {
        "x265/slow": pytest.approx(-10),
        "vvenc": pytest.approx(0),
    }


def test_unknown_anchor_is_suggested():
    with pytest.raises(RequestError, match="did you mean anchor"):
        bd_table(savings(0.9), "anchr")


@pytest.mark.parametrize(
    ("column", "value"), [("higher_is_better", False), ("log_domain_ceiling", 1.0), ("metric_version", "2")]
)
def test_trap17_one_metric_with_two_definitions_is_an_error(column, value):
    with pytest.raises(StoreError, match=column):
        bd_table(savings(0.9, **{column: value}), "anchor")


def test_mean_row_of_flagged_rows_names_them():
    found = bd_table(savings(0.9, 0.8, intra_period=-1), "anchor")
    assert mean_row(found[:2]).reason == (
        "holds 2 of 2 sequences; flagged: s0, s1; not like with like: intra period 32 against -1"
    )
