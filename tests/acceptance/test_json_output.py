"""`--json` on every command: one JSON value, nothing beside it, as published, and the same bytes each time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from outside import ALL, FOUNDATION, STEP_1, STEP_3, lancio

from servers import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Stage
    from servers import TestServer

SCHEMA = json.loads((PROJECT / "docs" / "reference" / "graph.schema.json").read_text(encoding="utf-8"))
TYPES = {
    "object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": (int, float),
    "null": type(None),
}  # fmt: skip
KEYWORDS = {
    "$schema", "$id", "$defs", "$ref", "title", "description", "type", "properties", "required",
    "additionalProperties", "items", "enum", "anyOf", "minimum",
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], at: str = "$") -> list[str]:
    """Where a value is not what the schema says; as much of JSON Schema as the published file uses."""
    if unknown := set(schema) - KEYWORDS:
        return [f"{at}: this check does not know {sorted(unknown)}"]
    if "$ref" in schema:
        target: Any = SCHEMA
        for word in schema["$ref"].removeprefix("#/").split("/"):
            target = target[word]
        return faults(value, target, at)
    found: list[str] = []
    if "anyOf" in schema and all(faults(value, each, at) for each in schema["anyOf"]):
        found.append(f"{at}: none of anyOf fits {value!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is not one of {schema['enum']}")
    if "type" in schema:
        named = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        fits = [isinstance(value, TYPES[name]) and not (name != "boolean" and value is True) for name in named]
        if not any(fits):
            return [*found, f"{at}: {value!r} is no {named}"]
    if "minimum" in schema and isinstance(value, int) and value < schema["minimum"]:
        found.append(f"{at}: {value} is less than {schema['minimum']}")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            if name in properties:
                found += faults(item, properties[name], f"{at}.{name}")
            elif schema.get("additionalProperties", True) is False:
                found.append(f"{at}.{name} is not published")
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            found += faults(item, schema["items"], f"{at}[{number}]")
    return found


FOLDERS = {
    "plain": {"001_a.sql": "CREATE TABLE a (id int);", "002_b.sql": "CREATE VIEW b AS SELECT id FROM a;"},
    "blind": {"a.sql": "DO $$ BEGIN EXECUTE current_setting('x.y'); END $$;", "b.sql": "SELECT * FROM nowhere.t;"},
    "wrong order": {"001_b.sql": "CREATE VIEW b AS SELECT id FROM a;", "002_a.sql": "CREATE TABLE a (id int);"},
    "services": {"a.sql": "-- lancio: requires service redis env REDIS_URL\nSELECT 1;"},
    "drops": {"1.sql": "CREATE TABLE t (a int, b int);", "2.sql": "ALTER TABLE t DROP COLUMN a;\nDROP TABLE t;"},
}


@pytest.fixture(params=["platform", *FOLDERS])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "platform":
        return "--platform"
    for name, text in FOLDERS[request.param].items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path)


def test_a_graph_is_as_published_and_the_same_bytes_each_time(folder: str) -> None:
    first = lancio("graph", folder, "--format", "json", env={"PYTHONHASHSEED": "1"})
    assert (first.status, first.err) == (0, "")
    assert faults(first.json, SCHEMA) == []
    again = lancio("graph", folder, "--json", env={"PYTHONHASHSEED": "2", "LANG": "C", "COLUMNS": "63"})
    assert again.out == first.out


@pytest.mark.parametrize("arguments", [("--format", "text"), ("--tree",), ("--format", "mermaid")])
def test_the_same_folder_gives_the_same_picture(arguments: tuple[str, ...]) -> None:
    said = [lancio("graph", "--platform", *arguments, env={"PYTHONHASHSEED": seed}) for seed in ("1", "2")]
    assert said[0].status == 0
    assert said[0].out == said[1].out
    assert said[0].err == ""


def test_the_check_of_the_schema_can_fail() -> None:
    drawn = lancio("graph", "--platform", "--json").json
    assert faults(drawn, SCHEMA) == []
    drawn["edges"][0]["hazard"] = "something"
    drawn["details"][0]["more"] = 1
    del drawn["files"]
    drawn["server_version"] = "18"
    assert len(faults(drawn, SCHEMA)) == 4


def test_every_command_speaks_json_and_nothing_else(server: TestServer, stage: Stage, tmp_path: Path) -> None:
    url = stage(server, *FOUNDATION)
    there = ("--platform", "--database", url, "--json")
    for words, status in (
        (("graph", *there), 0),
        (("plan", "--no-backup", *there), 0),
        (("plan", "--no-backup", *there, "--only", STEP_3), 3),
        (("preflight", "--no-backup", *there), 0),
        (("preflight", "--no-backup", *there, "--only", STEP_3), 3),
        (("status", *there), 0),
        (("verify", *there), 0),
        (("apply", "--no-backup", *there, "--only", STEP_3), 3),
        (("explain", 'relation "platform.databases" does not exist', "--platform", "--json"), 0),
        (("adopt", *there, "--edited", STEP_1), 2),
        (("server", "status", "--json"), 1),
        (("plan", "--platform", "--database", "postgresql://x:y@127.0.0.1:1/z", "--json"), 1),
        (("plan", "--platform", "--nonsense", "--json"), 2),
    ):
        # An embedded server of this account's own may run here, or not: one of a folder without any never does.
        said = lancio(*words, env={"LANCIO_HOME": str(tmp_path)})
        assert said.err == "", words
        value = said.json
        assert isinstance(value, (dict, list)), words
        assert said.status == status, f"{words}: {said.out}"
        assert said.out.endswith("\n")
        if status in (1, 2) and words[0] != "server":
            assert {"code", "message", "cause", "remedy"} <= set(value["error"]), words


def test_a_run_is_one_json_value_a_line_and_then_there_is_nothing_to_do(database: str) -> None:
    there = ("--platform", "--database", database, "--json")
    said = lancio("apply", "--no-backup", *there)
    assert (said.status, said.err) == (0, "")
    events = said.events
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    applied = [event for event in events if event["event"] == "step-applied"]
    assert len(applied) == len(ALL)
    assert events[-1]["event"] == "run-finished"
    again = lancio("apply", "--no-backup", *there)
    assert (again.status, again.json["event"], again.json["done"]) == (0, "nothing-to-do", list(ALL))
    for verb in ("plan", "preflight", "status", "verify"):
        one, other = (lancio(verb, *there, env={"PYTHONHASHSEED": seed}) for seed in ("1", "2"))
        assert (one.status, one.err) == (0, "")
        if verb == "preflight":  # how long it took to answer, and as which process, is another each time
            assert [one.json | {"items": []}, one.json.keys()] == [other.json | {"items": []}, other.json.keys()]
            continue
        assert one.json == other.json
        assert one.out == other.out


def test_a_step_that_fails_is_told_as_json_with_its_cause(database: str, tmp_path: Path) -> None:
    (tmp_path / "001_a.sql").write_text("CREATE TABLE a (id int);\nSELECT 1/0;\n", encoding="utf-8")
    said = lancio("apply", str(tmp_path), "--database", database, "--json")
    assert (said.status, said.err) == (1, "")
    error = said.events[-1]["error"]
    assert error["code"] == "step"
    assert "division by zero" in error["message"]
    assert "001_a.sql:2" in error["where"]
    assert error["cause"]
    assert error["remedy"]


def test_a_warning_on_the_way_is_an_event_and_not_talk(database: str) -> None:
    said = lancio("apply", "--platform", "--database", database, "--json", env={"MONGO_URL": "absent"})
    assert (said.status, said.err) == (0, "")
    assert "Railway MongoDB not found" in json.dumps([event for event in said.events if event["event"] == "notice"])


def test_stdout_is_data_alone_when_people_read_it(server: TestServer, stage: Stage) -> None:
    url = stage(server, *FOUNDATION)
    for words in (("plan", "--no-backup"), ("preflight", "--no-backup"), ("status",), ("verify",)):
        said = lancio(*words, "--platform", "--database", url)
        assert (said.status, said.err) == (0, ""), words
        assert "\033" not in said.out
