"""The error scenarios of the specification, provoked by Lancio and by plain psql: its cause, its solution, no trace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import outside
import pytest
from outside import (
    ALL,
    AUDIT,
    BILLING,
    FOLDER,
    FOUNDATION,
    LANCIO,
    PLATFORM,
    STEP_1,
    STEP_2,
    STEP_3,
    USERS,
    lancio,
    psql,
    shell,
    whole,
    words,
)

from servers import database_of

if TYPE_CHECKING:
    from conftest import Stage
    from servers import TestServer


class Scenario(NamedTuple):
    before: tuple[str, ...]
    """What psql has run."""
    only: str
    """What is run too early."""
    error: str
    cause: str
    solution: str
    commands: tuple[str, ...]
    """The files of the solution."""
    hint: str
    """The file that plain psql is told to run."""


SCENARIOS = {
    "step 3 before step 1": Scenario(
        FOUNDATION, STEP_3, "relation platform.databases does not exist", "Step 3 run before Step 1",
        "Run Step 1 first", (STEP_1, STEP_3), STEP_1,
    ),
    "no pgcrypto": Scenario(
        (PLATFORM, BILLING), STEP_1, "extension pgcrypto does not exist", "Migration 003 not applied",
        "Apply migrations 001-005 in order", (USERS, LANCIO, AUDIT), USERS,
    ),
    "no Lancio project": Scenario(
        (PLATFORM, BILLING, USERS, AUDIT, STEP_1, STEP_2), STEP_3, "Lancio project not found",
        "Migration 004 not applied", "Apply migration 004", (LANCIO,), LANCIO,
    ),
    "no projects": Scenario(
        (), STEP_1, "table platform.projects does not exist", "Migration 001 not applied", "Apply migration 001",
        (PLATFORM,), PLATFORM,
    ),
}  # fmt: skip

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)


def no_go(url: str, only: str) -> list[dict[str, Any]]:
    """What `apply --only` finds missing, as JSON."""
    said = lancio("apply", "--no-backup", "--platform", "--database", url, "--only", only, "--json")
    assert said.status == 3, said.text
    assert said.json["event"] == "no-go"
    return list(said.json["missing"])


def read_only(url: str) -> None:
    """Let the server refuse whatever writes: a no-go has to be told without a single statement that does."""
    outside.execute(url, f'ALTER DATABASE "{database_of(url)}" SET default_transaction_read_only = on')


@each_scenario
def test_lancio_tells_cause_and_solution_before_anything_is_sent(
    server: TestServer, stage: Stage, scenario: Scenario
) -> None:
    url = stage(server, *scenario.before)
    stood = whole(url)
    assert stood[2] is False
    read_only(url)
    said = lancio("apply", "--no-backup", "--platform", "--database", url, "--only", scenario.only)
    assert said.status == 3
    shown = words(said.out)
    block = re.search(rf"Error \d+: {re.escape(scenario.error)} (.*?)(?= Error \d+:|NO-GO)", shown)
    assert block is not None, said.out
    assert f"Cause: {scenario.cause} " in block[1]
    assert f"Solution: {scenario.solution} " in block[1]
    for name in scenario.commands:
        assert re.search(rf"psql \S+ -f {re.escape(str(FOLDER / name))} ", block[1])
    only = " ".join(outside.named(scenario.commands))
    assert f"lancio apply --platform {only} --no-backup --database " in block[1]
    assert re.search(r"NO-GO: \d+ requirements? not met and 1 refusal\. Nothing was changed\.", shown)
    assert server.password not in said.text
    assert whole(url) == stood


@pytest.mark.parametrize("by", ["psql", "lancio"])
@each_scenario
def test_the_commands_that_were_printed_mend_it(server: TestServer, stage: Stage, scenario: Scenario, by: str) -> None:
    url = stage(server, *scenario.before)
    missing = no_go(url, scenario.only)
    assert [item["message"] for item in missing].count(scenario.error) == 1
    seen: set[str] = set()
    for _ in range(len(ALL)):
        for item in missing:
            for line in item["commands"]:
                if line.startswith(by):
                    done = shell(line, server.password)
                    assert "ERROR" not in done.err, f"{line}\n{done.text}"
                    assert done.status == 0, f"{line}\n{done.text}"
        seen |= {item["message"] for item in missing}
        said = lancio("apply", "--no-backup", "--platform", "--database", url, "--only", scenario.only, "--json")
        if said.status == 0:
            break
        missing = said.json["missing"]
        # What was mended stays mended.
        assert seen.isdisjoint(item["message"] for item in missing), said.out
    assert said.status == 0, said.text


@each_scenario
def test_psql_shows_error_and_file_and_leaves_nothing(
    every_server: TestServer, stage: Stage, scenario: Scenario
) -> None:
    url = stage(every_server, *scenario.before)
    stood = whole(url)
    said = psql(url, scenario.only)
    assert re.search(
        rf"ERROR:  {re.escape(scenario.error)}\nHINT:  Run {re.escape(scenario.hint)} first( \(.*\))?\.", said.err
    ), said.err
    assert whole(url) == stood


@each_scenario
def test_who_follows_the_hints_of_psql_gets_there(server: TestServer, stage: Stage, scenario: Scenario) -> None:
    url = stage(server, *scenario.before)
    to_run = [scenario.only]
    for _ in range(20):
        if not to_run:
            break
        said = psql(url, to_run[-1])
        hint = re.search(r"ERROR:  .*\nHINT:  Run (\S+\.sql) first\b", said.err)
        if hint is None:
            assert "ERROR" not in said.err, said.err
            to_run.pop()
        else:
            assert hint[1] not in to_run, f"the hints go in a circle: {to_run} and {hint[1]}"
            to_run.append(hint[1])
    assert to_run == []


@each_scenario
def test_explain_makes_cause_and_solution_of_what_psql_printed(
    server: TestServer, stage: Stage, scenario: Scenario
) -> None:
    url = stage(server, *scenario.before)
    printed = psql(url, scenario.only).err
    said = lancio("explain", "-", "--platform", stdin=printed)
    assert said.status == 0
    shown = words(said.out)
    assert f"Error: {scenario.error}" in shown
    assert re.search(rf'psql "\$DATABASE_URL" -f {re.escape(str(FOLDER / scenario.hint))}', shown)
    assert f"lancio apply --platform --only {scenario.hint}" in shown
    assert scenario.cause in shown
    assert scenario.solution in shown


MONGODB = """
INSERT INTO platform.databases (
  project_id, name, type, connection_string,
  host, port, database, ssl_enabled, status
) VALUES (
  '{project}',
  'Railway MongoDB',
  'mongodb',
  'mongodb://mongodb.railway.internal:27017',
  'mongodb.railway.internal',
  27017,
  'lancio',
  false,
  'active'
);
"""
"""The specification's own statement for a MongoDB that comes later."""


def registered(url: str) -> list[str]:
    return sorted(outside.one(url, "SELECT coalesce(array_agg(name), '{}') FROM platform.databases"))


@pytest.mark.parametrize("by", ["psql", "lancio"])
def test_an_absent_mongodb_is_a_warning_and_can_be_registered_by_hand(
    server: TestServer, stage: Stage, by: str
) -> None:
    url = stage(server, *FOUNDATION, STEP_1, STEP_2)
    if by == "psql":
        said = psql(url, STEP_3, env={"PGOPTIONS": "-c lancio.mongodb_url=absent"})
        assert "ERROR" not in said.err
        assert "WARNING:  Railway MongoDB not found\n" in said.err
    else:
        said = lancio("apply", "--no-backup", "--platform", "--database", url, env={"MONGO_URL": "absent"})
        assert said.status == 0, said.text
        assert "WARNING: Railway MongoDB not found" in said.err
        # stdout is what ran, the warning is talk.
        assert "not found" not in said.out
    assert "registration is skipped" in said.text
    assert "Deploy MongoDB on Railway" in said.text
    assert registered(url) == ["Railway Redis"]
    assert outside.one(url, "SELECT count(*) FROM platform.projects WHERE slug = 'lancio-studio'") == 1

    status = lancio("status", "--platform", "--database", url)
    assert "READY FOR REDIS INTEGRATION" in status.out
    project = outside.one(url, "SELECT id::text FROM platform.projects WHERE slug = 'lancio-studio'")
    outside.execute(url, MONGODB.format(project=project))
    assert registered(url) == ["Railway MongoDB", "Railway Redis"]
    (shown,) = outside.one(url, "SELECT array_agg(to_jsonb(d)) FROM platform.databases_safe d WHERE type = 'mongodb'")
    assert "mongodb://mongodb.railway.internal:27017" in shown.values()


def test_the_warning_is_explained_in_the_words_of_the_specification() -> None:
    shown = lancio("explain", "WARNING:  Railway MongoDB not found", "--platform").text
    assert "Railway MongoDB service not deployed" in shown
    assert "Deploy MongoDB on Railway" in shown


def test_all_that_is_missing_is_told_at_once(server: TestServer, database: str) -> None:
    told = {item["message"] for item in no_go(database, STEP_3)}
    assert {"relation platform.databases does not exist", "Lancio project not found"} <= told
    providers = {item["provider"] for item in no_go(database, STEP_3)}
    assert providers == {PLATFORM, LANCIO, STEP_1}


def test_the_folder_of_a_copy_is_the_path_that_is_printed(server: TestServer, stage: Stage, tmp_path: Any) -> None:
    """The psql line has the path of the file that is meant, also one with a blank in it."""
    url = stage(server, *FOUNDATION)
    folder = tmp_path / "our migrations"
    folder.mkdir()
    for name in ALL:
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    said = lancio("apply", "--no-backup", str(folder), "--database", url, "--only", STEP_3, "--json")
    assert said.status == 3
    lines = [line for item in said.json["missing"] for line in item["commands"]]
    for line in [each for each in lines if each.startswith("psql")]:
        assert shell(line, server.password).err == "", line
    for line in [each for each in lines if each.startswith("lancio")]:
        done = shell(line, server.password)
        assert done.status == 0, f"{line}\n{done.text}"
    assert registered(url) == ["Railway MongoDB", "Railway Redis"]


@pytest.mark.parametrize("made_by", ["psql", "lancio"])
def test_a_deleted_project_is_mended_by_what_is_printed(server: TestServer, stage: Stage, made_by: str) -> None:
    """With Lancio's ledger as well, which still has 004: a command that is printed must not end in nothing to do."""
    url = stage(server, *FOUNDATION, STEP_1, STEP_2)
    if made_by == "lancio":
        assert lancio("apply", "--no-backup", "--platform", "--database", url, "--to", STEP_2).status == 0
    outside.execute(url, "DELETE FROM platform.projects", "DELETE FROM platform.organizations")
    stood = whole(url)
    (item,) = no_go(url, STEP_3)
    assert (item["message"], item["provider"]) == ("Lancio project not found", LANCIO)
    assert whole(url) == stood
    lines = [each for each in item["commands"] if each.startswith("lancio")] or item["commands"]
    assert shell(lines[0], server.password).status == 0
    assert outside.one(url, "SELECT count(*) FROM platform.projects WHERE slug = 'lancio-studio'") == 1
    assert lancio("apply", "--no-backup", "--platform", "--database", url, "--only", STEP_3).status == 0
    assert registered(url) == ["Railway MongoDB", "Railway Redis"]


def test_a_mongodb_that_was_absent_is_registered_as_the_warning_says(server: TestServer, stage: Stage) -> None:
    """Run this file again, said by Lancio, has to work with Lancio."""
    url = stage(server, *FOUNDATION, STEP_1, STEP_2)
    said = lancio("apply", "--no-backup", "--platform", "--database", url, env={"MONGO_URL": "absent"})
    assert said.status == 0, said.text
    if "run this file again" in said.text:
        found = {"MONGO_URL": "mongodb://mongodb.railway.internal:27017"}
        again = lancio("apply", "--no-backup", "--platform", "--database", url, "--only", STEP_3, env=found)
        assert again.status == 0, again.text
        assert registered(url) == ["Railway MongoDB", "Railway Redis"], again.text
