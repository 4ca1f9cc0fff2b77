"""Databases that others made, wholly or in part: Lancio tells their state from facts, and finishes what is open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import outside
import pytest
from outside import (
    ALL,
    AUDIT,
    BILLING,
    FOUNDATION,
    ISOLATION,
    LANCIO,
    PLATFORM,
    STEP_1,
    STEP_2,
    USERS,
    contents,
    differs,
    facts,
    lancio,
    rows,
    shell,
    whole,
)

if TYPE_CHECKING:
    from conftest import Stage
    from servers import TestServer


class Made(NamedTuple):
    by_psql: tuple[str, ...]
    stands: str
    partly: dict[str, tuple[str, ...]] = {}  # noqa: RUF012  (never changed)
    """Files of which something is missing, and what."""
    by_hand: tuple[str, ...] = ()


STANDS = {
    "nothing": Made((), "before the platform"),
    "001": Made((PLATFORM,), "before the platform"),
    "001 to 003": Made((PLATFORM, BILLING, USERS), "Pre-Migration State"),
    "001 to 005": Made(FOUNDATION, "Pre-Migration State"),
    "step 1 without step 2": Made((*FOUNDATION, STEP_1), f"Step 1: Run {STEP_1}"),
    "step 2 before step 1": Made((*FOUNDATION, STEP_2), "Pre-Migration State"),
    "step 2, then step 1": Made(
        (*FOUNDATION, STEP_2, STEP_1),
        f"Step 1: Run {STEP_1}",
        {STEP_2: ("policy permissive_all_databases on platform.databases",)},
    ),
    "an index dropped by hand": Made(
        (*FOUNDATION, STEP_1),
        f"Step 1: Run {STEP_1}",
        {STEP_1: ("index platform.idx_databases_type",)},
        ("DROP INDEX platform.idx_databases_type",),
    ),
    "a trigger and a view dropped by hand": Made(
        (*FOUNDATION, STEP_1),
        "",
        {STEP_1: ("platform.databases_with_connection_strings", "update_databases_updated_at")},
        (
            "DROP VIEW platform.databases_with_connection_strings",
            "DROP TRIGGER update_databases_updated_at ON platform.databases",
        ),
    ),
    "all but two indexes of 005": Made(
        FOUNDATION,
        "",
        {AUDIT: ("idx_audit_logs",)},
        (
            (
                "DO $$ DECLARE i regclass; BEGIN FOR i IN SELECT indexrelid FROM pg_index WHERE NOT indisprimary AND"
                " indrelid = 'platform.audit_logs'::regclass AND indexrelid::regclass::text ~ 'idx_audit' LIMIT 2 LOOP"
                " EXECUTE format('DROP INDEX %s', i); END LOOP; END $$"
            ),
        ),
    ),
}

each_stand = pytest.mark.parametrize("made", STANDS.values(), ids=STANDS)


def database(server: TestServer, stage: Stage, made: Made) -> str:
    url = stage(server, *made.by_psql)
    if made.by_hand:
        outside.execute(url, *made.by_hand)
    return url


@each_stand
def test_status_names_each_files_state_and_what_is_missing(server: TestServer, stage: Stage, made: Made) -> None:
    url = database(server, stage, made)
    stood = whole(url)
    said = lancio("status", "--platform", "--database", url, "--json").json
    states = {each["file"]: each["state"] for each in said["files"]}
    assert states == {
        name: "partly applied" if name in made.partly else "applied" if name in made.by_psql else "not applied"
        for name in ALL
    }
    if made.stands:
        assert said["stands"] == made.stands
    assert said["ready"] is False
    assert not any(each["recorded"] for each in said["files"])
    for each_ in said["files"]:
        expected = made.partly.get(each_["file"], ())
        assert bool(each_["missing"]) == bool(expected)
        for thing in expected:
            assert any(thing in missing for missing in each_["missing"]), each_["missing"]
    if made.by_hand:
        text = lancio("status", "--platform", "--database", url).text
        for name, missing in made.partly.items():
            assert f"{name}: partly applied" in text
            assert all(thing in text for thing in missing)
    # To look changes nothing.
    assert whole(url) == stood


@pytest.mark.parametrize("made", [made for made in STANDS.values() if made.partly],
                         ids=[name for name, made in STANDS.items() if made.partly])  # fmt: skip
def test_the_plan_names_what_is_there_in_part(server: TestServer, stage: Stage, made: Made) -> None:
    url = database(server, stage, made)
    text = lancio("plan", "--no-backup", "--platform", "--database", url).text
    assert "partly applied" in text
    for missing in made.partly.values():
        assert all(thing in text for thing in missing), text


@each_stand
def test_apply_finishes_it_without_touching_what_is_there(server: TestServer, stage: Stage, made: Made) -> None:
    url = database(server, stage, made)
    before, held = facts(url), rows(url)
    said = lancio("apply", "--no-backup", "--platform", "--database", url)
    assert said.status == 0, said.text
    assert differs(facts(stage(server, *ALL)), facts(url)) == []
    for table, lines in held.items():
        assert set(lines) <= set(rows(url)[table])
    assert {(kind, name) for kind, name, _ in before} <= {(kind, name) for kind, name, _ in facts(url)}
    status = lancio("status", "--platform", "--database", url, "--json").json
    assert (status["ready"], status["to_run"]) == (True, [])


LOST = {
    "an index": ("DROP INDEX platform.idx_databases_type", STEP_1, "index platform.idx_databases_type"),
    "a policy": ("DROP POLICY organization_users ON platform.users", ISOLATION, "policy organization_users"),
    "a trigger": (
        "DROP TRIGGER update_databases_updated_at ON platform.databases", STEP_1, "update_databases_updated_at",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_what_was_lost_after_lancio_applied_it_is_named_and_can_be_made_again(
    server: TestServer, stage: Stage, lost: tuple[str, str, str]
) -> None:
    statement, file, thing = lost
    url = stage(server, *FOUNDATION)
    assert lancio("apply", "--no-backup", "--platform", "--database", url).status == 0
    complete, kept = facts(url), contents(url)
    outside.execute(url, statement)
    status = lancio("status", "--platform", "--database", url).text
    assert f"{file}: partly applied" in status
    assert thing in status
    assert lancio("verify", "--platform", "--database", url).status == 1
    plan = lancio("plan", "--no-backup", "--platform", "--database", url).text
    assert file in plan
    assert thing in plan
    # The checklist does not tick what the list of files calls partly applied.
    assert not re.search(rf"- \[x\] Step \d: {re.escape(file)}", status)
    printed = set(re.findall(r"psql postgresql://\S+ -f \S+\.sql", plan + status))
    assert len(printed) == 1
    assert "ERROR" not in shell(printed.pop(), server.password).err
    assert differs(complete, facts(url)) == []
    assert contents(url) == kept


def test_a_whole_platform_that_psql_made_is_told_as_ready(server: TestServer, stage: Stage) -> None:
    url = stage(server, *ALL)
    said = lancio("status", "--platform", "--database", url, "--json").json
    assert (said["ready"], said["stands"]) == (True, "READY FOR REDIS INTEGRATION")
    assert {each["state"] for each in said["files"]} == {"applied"}
    assert not outside.ledger(url)


def test_a_lost_row_of_004_is_told(server: TestServer, stage: Stage) -> None:
    url = stage(server, *FOUNDATION)
    outside.execute(url, "DELETE FROM platform.projects")
    states = {
        each["file"]: each["state"]
        for each in lancio("status", "--platform", "--database", url, "--json").json["files"]
    }
    assert states[LANCIO] == "not applied"
    assert "- [ ] Migration 004 applied" in lancio("status", "--platform", "--database", url).out
