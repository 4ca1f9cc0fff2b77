from __future__ import annotations

import json as standard
from pathlib import Path

import graphs

from lancio.render import json, mermaid

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "graph.schema.json"


def test_a_graph_is_what_the_contract_says() -> None:
    drawn = json.graph(graphs.specification())
    assert list(drawn)[:5] == ["files", "edges", "opaque", "unprovided", "findings"]
    assert drawn["files"][0] == graphs.SCHEMA
    edge = next(each for each in drawn["edges"] if each["strength"] == "row")
    assert (edge["file"], edge["needs"], edge["hazard"]) == (graphs.REGISTER, graphs.ORG, "read-after-write")
    assert edge["because"][0]["object"] == "row platform.projects (slug = 'lancio-studio')"
    assert (edge["because"][0]["file"], edge["because"][0]["line"]) == (graphs.REGISTER, 22)


def test_the_published_schema_names_every_field_that_is_printed() -> None:
    schema = standard.loads(SCHEMA.read_text(encoding="utf-8"))
    drawn = json.graph(graphs.specification())
    _conforms(drawn, schema, schema)


def test_the_schema_check_can_fail() -> None:
    schema = standard.loads(SCHEMA.read_text(encoding="utf-8"))
    drawn = json.graph(graphs.specification())
    drawn["edges"][0]["hazard"] = "something"
    try:
        _conforms(drawn, schema, schema)
    except AssertionError:
        return
    raise AssertionError("a wrong hazard was accepted")


def test_a_plan_says_whether_it_may_run() -> None:
    assert json.plan(graphs.ready())["go"] is True
    refused = json.plan(graphs.violated())
    assert refused["go"] is False
    assert refused["missing"][0]["cause"] == "Step 3 run before Step 1"
    assert standard.loads(json.document(refused)) == refused


def test_a_line_is_one_line() -> None:
    assert json.line({"a": "b\nc", "d": (1, 2)}) == '{"a":"b\\nc","d":[1,2]}'


def test_mermaid_draws_every_file_and_every_needed_pair() -> None:
    drawn = mermaid.graph(graphs.specification())
    assert drawn.splitlines()[0] == "flowchart TD"
    assert f'    f4["{graphs.TABLE}"]' in drawn.splitlines()
    assert '    f4 -->|"platform.databases table"| f6' in drawn.splitlines()
    pairs = {(edge.needs, edge.file) for edge in graphs.specification().edges}
    assert mermaid.graph(graphs.specification(), all_edges=True).count("-->") == len(pairs)


def test_mermaid_leaves_out_what_follows_from_other_edges() -> None:
    drawn = mermaid.graph(graphs.specification())
    assert "f1 -->|" in drawn
    assert not [line for line in drawn.splitlines() if line.startswith("    f1 -->") and line.endswith((" f4", " f5"))]


def test_mermaid_labels_cannot_break_out() -> None:
    assert mermaid.escape('a"]; click f1 "x') == "a#quot;]; click f1 #quot;x"
    assert mermaid.escape("<b>#1`") == "#lt;b#gt;#35;1#96;"
    assert "\n" not in mermaid.escape("a\nb")


def _conforms(value: object, schema: dict, root: dict, at: str = "$") -> None:  # type: ignore[type-arg]
    """As much of JSON Schema as the published file uses; an unknown keyword is an error of the file."""
    known = {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "enum", "items", "properties",
             "required", "additionalProperties", "minimum", "anyOf"}  # fmt: skip
    assert set(schema) <= known, set(schema) - known
    if "$ref" in schema:
        return _conforms(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, at)
    if "anyOf" in schema:
        branch = next(each for each in schema["anyOf"] if (each.get("type") == "null") == (value is None))
        return _conforms(value, branch, root, at)
    if "enum" in schema:
        assert value in schema["enum"], f"{at}: {value!r}"
    if "type" in schema:
        words = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        is_a = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
        assert any(
            isinstance(value, is_a[word]) and not (word == "integer" and isinstance(value, bool)) for word in words
        ), f"{at}: {value!r}"
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            assert name in value, f"{at}.{name} is missing"
        for name, item in value.items():
            assert name in schema["properties"], f"{at}.{name} is not published"
            _conforms(item, schema["properties"][name], root, f"{at}.{name}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            _conforms(item, schema["items"], root, f"{at}[{number}]")
    if "minimum" in schema and isinstance(value, int):
        assert value >= schema["minimum"], at
    return None
