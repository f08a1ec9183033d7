import json
import math
from pathlib import Path

import pytest
from json_schema import published_schema, violations
from results_samples import frames, point, points, summary

from evalsuite.errors import StoreError
from evalsuite.results.bdrows import BD_COLUMNS
from evalsuite.results.layout import FRAMES_SCHEMA, POINTS_SCHEMA, SUMMARY_KEYS
from evalsuite.results.load import write_results

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    ("status", "score"),
    [
        ("ok", None),
        ("ok", math.nan),
        ("ok", math.inf),
        ("infinite", 3.0),
        ("nan", None),
        ("failed", 3.0),
        ("unavailable", math.nan),
        ("splendid", 3.0),
    ],
)
def test_a_score_that_contradicts_its_status_is_never_written(tmp_path, status, score):
    with pytest.raises(StoreError, match="contradict") as error:
        write_results(tmp_path / "run", [point(status=status, score=score)], [], summary())
    assert "x265, carphone, psnr_y mean" in str(error.value)
    assert not (tmp_path / "run").exists()


def test_every_column_and_key_is_documented():
    text = (DOCS / "results.md").read_text()
    for name in (*POINTS_SCHEMA.names, *FRAMES_SCHEMA.names, *SUMMARY_KEYS, *BD_COLUMNS):
        assert f"`{name}`" in text, name


def test_summary_fits_its_published_schema(tmp_path):
    write_results(tmp_path, points(), frames(), summary())
    schema = published_schema()
    document = json.loads((tmp_path / "summary.json").read_text())
    assert violations(document, schema, schema) == []
    assert set(schema["required"]) == {"schema", *SUMMARY_KEYS}
    assert set(schema["$defs"]["bd_row"]["required"]) == set(BD_COLUMNS)
    for broken in ({"schema": 1}, {"bd_rate": [{}]}, {"run": {}}, {"failures": [{"stage": "coffee"}]}, {"codecs": 3}):
        assert violations(document | broken, schema, schema)
