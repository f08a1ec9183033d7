"""Data is text in the report: no name, tag or message becomes markup, and a wrong summary no traceback."""

from __future__ import annotations

import copy
import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_page import Page, build, plain, rendered
from report_sample import BREAKOUT, HOSTILE, QUOTES, failure, hostile_run, write_sample

from evalsuite.errors import StoreError
from evalsuite.report import data, page
from evalsuite.report.build import MARKER
from evalsuite.report.merge import merge
from evalsuite.results.layout import check_summary
from evalsuite.results.load import read_run

SCRIPTS = {path.name for path in page.ASSETS.glob("*.js")} | {"plotly.min.js", "data/report.js"}


def test_hostile_names_are_text(tmp_path):
    made, told = build(tmp_path, hostile_run(tmp_path / "run"))
    sources = [attributes for tag, attributes in made.tags if tag == "script"]
    assert {one["src"] for one in sources} <= SCRIPTS
    assert all(set(one) <= {"src", "defer"} for one in sources)
    assert not {"iframe", "object", "style", "base"} & {tag for tag, _ in made.tags}
    assert not [name for _, attributes in made.tags for name in attributes if name.startswith("on") or name == "style"]
    assert HOSTILE in made.text
    assert BREAKOUT in made.text
    assert plain(QUOTES) in made.text  # the template's own signs are not evaluated either
    assert HOSTILE in [codec["name"] for codec in told["codecs"]]
    for file in (tmp_path / "report" / "data").iterdir():
        assert not set("<>&") & set(file.read_text(encoding="utf-8")), file.name


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    made, _ = build(tmp_path, hostile_run(tmp_path / "run"))
    folder = tmp_path / "report"
    named = [
        attributes[name] for _, attributes in made.tags for name in ("src", "href", "action") if name in attributes
    ]
    files = {name.partition("#")[0] for name in named} - {""}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files <= present
    # What no page names is loaded as it is needed, or of a page that this run has not.
    own = {path.name for path in page.ASSETS.iterdir()}
    assert {name for name in present - files - own if not name.startswith("data/")} == {MARKER}


def test_policy_allows_no_inline_code_and_no_network(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    policies = {a["content"] for _, a in made.tags if a.get("http-equiv") == "Content-Security-Policy"}
    (policy,) = policies
    assert len([a for _, a in made.tags if "http-equiv" in a]) == len(list((tmp_path / "report").glob("*.html")))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|\*", policy)


OWN_NAMES = {"script", "plotly", "other.file", "loop.index0", "still.file"}


def test_templates_leave_no_way_around_escaping():
    for template in page.ASSETS.glob("*.html"):
        source = template.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|Markup|autoescape|style=|\son\w+=", source), template.name
        # A value in an attribute without quotes could end it with a space.
        assert not re.search(r"=\{\{|=\{%", source), template.name
        assert not re.search(r"<(script|style)[^>]*>[^<]", source), template.name
        # Files have names of the report's own making, never of data.
        for value in re.findall(r"(?:href|src)=\"[^\"#]*\{\{(.*?)\}\}", source):
            assert value.strip() in OWN_NAMES, (template.name, value)


def test_ids_are_unique_and_references_lead_somewhere(tmp_path):
    build(tmp_path, hostile_run(tmp_path / "run"))
    pages = {path.name: Page(path.read_text(encoding="utf-8")) for path in (tmp_path / "report").glob("*.html")}
    ids = {name: [a["id"] for _, a in one.tags if "id" in a] for name, one in pages.items()}
    for name, made in pages.items():
        assert len(ids[name]) == len(set(ids[name]))
        for tag, attributes in made.tags:
            for key in ("aria-controls", "aria-labelledby", "data-table"):
                assert set(attributes.get(key, "").split()) <= set(ids[name])
            if tag in ("a", "use"):
                file, _, place = attributes["href"].partition("#")
                assert file or place
                assert not place or place in ids[file or name], (name, attributes["href"])


PARTS = (
    "request",
    "run",
    "codecs",
    "sequences",
    "metrics",
    "outcomes",
    "rate_match",
    "commands",
    "failures",
    "bd_rate",
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    return read_run(
        write_sample(
            folder / "run",
            sequences=["face"],
            metrics=["vmaf"],
            tokenized=["x265"],
            floors={("x265", "face"): 0.015},
            codec_facts={"x265": {"scale": {"divisor": 2, "filter": "lanczos"}}},
            failures=[failure()],
        )
    )


@given(part=st.sampled_from(PARTS), choose=st.randoms(use_true_random=False), value=JSON_VALUES, drop=st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_summary_with_anything_wrong_is_shown_or_refused_by_name(small_run, part, choose, value, drop):
    summary = copy.deepcopy(small_run.summary)
    place = summary[part]
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = choose.choice(keys)
        if isinstance(place[key], (dict, list)) and place[key] and choose.random() < 0.7:
            place = place[key]
            continue
        if drop:
            del place[key]
        else:
            place[key] = value
        break
    try:
        check_summary(summary, small_run.folder)
        run = dataclasses.replace(small_run, summary=summary)
        rendered(run)
        for name, found in data.documents(merge([run]), []):
            data.script(name, found)
    except StoreError:
        pass  # any other error fails the test
