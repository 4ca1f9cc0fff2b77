"""The specification's checklist and critical path on databases that psql made, whole and broken: what is ticked.

A state is written as the lines that are ticked: exactly those, and every other has its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import outside
import pytest
from outside import (
    AUDIT,
    BILLING,
    CHAIN,
    FOUNDATION,
    ISOLATION,
    KEYS,
    LANCIO,
    NAMES,
    PLATFORM,
    ROTATIONS,
    SIX,
    STEP_1,
    STEP_2,
    STEP_3,
    USERS,
    lancio,
    whole,
)

if TYPE_CHECKING:
    from conftest import Stage
    from servers import TestServer

BACKUP = "Database backup created"
M1 = "Migration 001 applied (platform schema exists)"
M2 = "Migration 002 applied (billing schema exists)"
M3 = "Migration 003 applied (pgcrypto exists)"
M4 = "Migration 004 applied (Lancio project exists)"
M5 = "Migration 005 applied (audit_logs exists)"
S1, S2, S3 = f"Step 1: {STEP_1}", f"Step 2: {STEP_2}", f"Step 3: {STEP_3}"
V1 = "Verify: SELECT COUNT(*) FROM platform.databases; returns 0"
V2 = "Verify: SELECT COUNT(*) FROM pg_policies WHERE schemaname = 'platform'; returns 24+"
V3 = "Verify: SELECT COUNT(*) FROM platform.databases; returns 2+"
M7 = f"Migration 007: {ISOLATION}"
V7 = (
    (
        "Verify: SELECT COUNT(*) FROM pg_policies WHERE schemaname = 'platform' AND permissive = 'RESTRICTIVE'"
        " AND policyname::text = 'organization_' || tablename::text; returns 26+"
    ),
    "Verify: SELECT COUNT(*) FROM platform.verify_rls_enabled() WHERE rls_enabled AND policy_count >= 3; returns 26+",
)
M8 = f"Migration 008: {KEYS}"
V8 = (
    (
        "Verify: SELECT COUNT(*) FROM pg_policies WHERE schemaname = 'platform' AND permissive = 'RESTRICTIVE'"
        " AND policyname = 'organization_data_keys'; returns 1"
    ),
    (
        "Verify: SELECT COUNT(*) FROM platform.verify_rls_enabled() WHERE table_name = 'data_keys' AND rls_enabled"
        " AND policy_count >= 3; returns 1"
    ),
)
M9 = f"Migration 009: {NAMES}"
V9 = (
    (
        "Verify: SELECT COUNT(*) FROM pg_constraint WHERE conname = 'databases_project_id_name_key' AND contype = 'u'"
        " AND convalidated; returns 1"
    ),
    ("Verify: SELECT COUNT(*) FROM pg_trigger WHERE tgname = 'version_databases' AND tgenabled <> 'D'; returns 1"),
    (
        "Verify: SELECT COUNT(*) FROM platform.verify_rls_enabled() WHERE table_name = 'database_grams' AND rls_enabled"
        " AND policy_count >= 3; returns 1"
    ),
)
M10 = f"Migration 010: {CHAIN}"
V10 = (
    (
        "Verify: SELECT COUNT(*) FROM platform.verify_rls_enabled() WHERE table_name IN ('audit_seals', 'audit_rounds')"
        " AND rls_enabled AND policy_count >= 3; returns 2"
    ),
    (
        "Verify: SELECT COUNT(*) FROM pg_trigger"
        " WHERE tgfoid = to_regprocedure('platform_private.write_change()')::oid; returns 69+"
    ),
)
M11 = f"Migration 011: {ROTATIONS}"
V11 = (
    (
        "Verify: SELECT COUNT(*) FROM pg_policies WHERE schemaname = 'platform' AND permissive = 'RESTRICTIVE'"
        " AND policyname = 'organization_credential_rotations'; returns 1"
    ),
    (
        "Verify: SELECT COUNT(*) FROM platform.verify_rls_enabled() WHERE table_name = 'credential_rotations'"
        " AND rls_enabled AND policy_count >= 3; returns 1"
    ),
)
UPDATE = "Update connection strings with actual Railway values"
PHASES = {
    "Phase 1: Verify Prerequisites": [BACKUP, M1, M2, M3, M4, M5],
    "Phase 2: Execute in Order": [S1, V1, S2, V2, S3, V3, M7, *V7, M8, *V8, M9, *V9, M10, *V10, M11, *V11],
    "Phase 3: Post-Migration": [UPDATE, "Test application endpoints", "Monitor for errors"],
}
BLOCKING = [
    ("Backup database", "CRITICAL"),
    ("Verify migrations 001-005 applied", "CRITICAL"),
    ("Verify pgcrypto extension installed", "CRITICAL"),
    ("Verify Lancio project exists", "REQUIRED FOR STEP 3"),
]
NON_BLOCKING = [
    ("Actual Railway connection strings", "Can update post-migration"),
    ("Redis client implementation", "Separate task"),
    ("MongoDB client implementation", "Separate task"),
    ("Health check automation", "Future enhancement"),
]
BOTTLENECK = "None (total execution ~6 seconds, without 5 steps of unknown duration)"
FIRST = (M1, M2, M3, M4, M5)
UP_TO_1 = (*FIRST, S1, V1)
UP_TO_2 = (*UP_TO_1, S2, V2)
READY = (*FIRST, S1, S2, V2, S3, V3)
"""Once step 3 has run there are rows, and nobody recorded that there were none after step 1."""


class Made(NamedTuple):
    by_psql: tuple[str, ...]
    ticked: tuple[str, ...]
    by_hand: tuple[str, ...] = ()
    says: dict[str, str] = {}  # noqa: RUF012  (never changed)
    """What the reason of a line must name."""
    blocked: tuple[bool, bool, bool] = (True, True, True)
    """Whether 001-005, pgcrypto and the project are ticked among the blocking dependencies."""


NOTHING = (False, False, False)
REAL = "UPDATE platform.databases SET metadata = metadata - 'placeholder'"
"""What is so once the actual values are there."""
STATES = {
    "nothing": Made((), (), says={M1: "not applied", S1: "not applied", V1: "has not run"}, blocked=NOTHING),
    "001": Made((PLATFORM,), (M1,), says={M2: "not applied"}, blocked=NOTHING),
    "001 and 002": Made((PLATFORM, BILLING), (M1, M2), says={M3: "not applied"}, blocked=NOTHING),
    "001 to 003": Made((PLATFORM, BILLING, USERS), (M1, M2, M3), blocked=(False, True, False)),
    "001 to 004": Made(
        (PLATFORM, BILLING, USERS, LANCIO), (M1, M2, M3, M4), says={M5: "not applied"}, blocked=(False, True, True)
    ),
    "001 to 003 and 005": Made(
        (PLATFORM, BILLING, USERS, AUDIT), (M1, M2, M3, M5), says={M4: "not applied"}, blocked=(False, True, False)
    ),
    "001 to 005": Made(FOUNDATION, FIRST, says={S1: "not applied"}),
    "step 1": Made((*FOUNDATION, STEP_1), UP_TO_1, says={S2: "not applied", V3: "has not run"}),
    "steps 1 and 2": Made((*FOUNDATION, STEP_1, STEP_2), UP_TO_2, says={S3: "not applied"}),
    "all": Made(SIX, READY, says={V1: "2 now, and no record of that moment", UPDATE: "Railway Redis"}),
    "step 1 and 3 without 2": Made((*FOUNDATION, STEP_1, STEP_3), (*FIRST, S1, S3, V3), says={V1: "2 now"}),
    "step 2 without step 1": Made((*FOUNDATION, STEP_2), (*FIRST, S2, V2), says={S1: "not applied"}),
    "step 2, then step 1": Made(
        (*FOUNDATION, STEP_2, STEP_1), (*UP_TO_1, V2), says={S2: "policy permissive_all_databases"}
    ),
    "an index dropped": Made(
        (*FOUNDATION, STEP_1), (*FIRST, V1), ("DROP INDEX platform.idx_databases_type",),
        {S1: "missing: index platform.idx_databases_type"},
    ),
    "an index invalid": Made(
        (*FOUNDATION, STEP_1), (*FIRST, V1),
        ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'platform.idx_databases_type'::regclass",),
        {S1: "platform.idx_databases_type"},
    ),
    "row level security off on one table": Made(
        SIX, (*FIRST, S1, V2, S3, V3), ("ALTER TABLE platform.users DISABLE ROW LEVEL SECURITY",),
        {S2: "platform.users"},
    ),
    "one policy dropped": Made(
        SIX, (*FIRST, S1, V2, S3, V3), ("DROP POLICY permissive_all_users ON platform.users",),
        {S2: "permissive_all_users on platform.users"},
    ),
    "policies dropped": Made(
        SIX, (*FIRST, S1, S3, V3),
        (("DO $$ DECLARE p record; BEGIN FOR p IN SELECT policyname, tablename FROM pg_policies LOOP"
         " EXECUTE format('DROP POLICY %I ON platform.%I', p.policyname, p.tablename); END LOOP; END $$"),),
        {S2: "missing:", V2: "0 now"},
    ),
    "the row of 004 removed": Made(
        FOUNDATION, (M1, M2, M3, M5), ("DELETE FROM platform.projects",), {M4: "not applied"}, (False, True, False)
    ),
    "extension missing": Made(
        (*FOUNDATION,), (M1, M2, M4, M5), ("DROP EXTENSION pgcrypto CASCADE",),
        {M3: "missing: extension pgcrypto"}, (False, False, True),
    ),
    "a view dropped": Made(
        (*FOUNDATION, STEP_1), (*FIRST, V1), ("DROP VIEW platform.databases_safe CASCADE",),
        {S1: "platform.databases_safe"},
    ),
    "a trigger dropped": Made(
        SIX, (*FIRST, S2, V2, S3, V3), ("DROP TRIGGER update_databases_updated_at ON platform.databases",),
        {S1: "update_databases_updated_at"},
    ),
    "a function dropped": Made(
        SIX, (*FIRST, S1, V2, S3, V3), ("DROP FUNCTION platform.verify_rls_enabled()",), {S2: "verify_rls_enabled"}
    ),
    "a table of 002 dropped": Made(
        FOUNDATION, (M1, M4, M5), ("DROP TABLE platform.tax_ids CASCADE",),
        {M2: "platform.tax_ids", M3: "default of column platform.tax_ids.id"}, (False, True, True),
    ),
    "audit_logs dropped": Made(
        FOUNDATION, (M1, M2, M3, M4), ("DROP TABLE platform.audit_logs",), {M5: "not applied"}, (False, True, True)
    ),
    "one record of two removed": Made(
        SIX, tuple(line for line in READY if line != V3), ("DELETE FROM platform.databases WHERE type = 'mongodb'",),
        {V3: "1 now", V1: "1 now"},
    ),
    "007": Made((*SIX, ISOLATION), (*READY, M7, *V7)),
    "008": Made((*SIX, ISOLATION, KEYS), (*READY, M7, *V7, M8, *V8)),
    "009": Made((*SIX, ISOLATION, KEYS, NAMES), (*READY, M7, *V7, M8, *V8, M9, *V9)),
    "011": Made((*SIX, ISOLATION, KEYS, ROTATIONS), (*READY, M7, *V7, M8, *V8, M11, *V11)),
    "010": Made((*SIX, ISOLATION, KEYS, CHAIN), (*READY, M7, *V7, M8, *V8, M10, *V10)),
    "actual values": Made(SIX, (*READY, UPDATE), (REAL,)),
    "the schema of another program": Made(
        (), (), ("CREATE SCHEMA platform", "CREATE TABLE platform.notes (id int)"),
        {M1: "not applied"}, NOTHING,
    ),
}  # fmt: skip


@pytest.mark.parametrize("made", STATES.values(), ids=STATES)
def test_each_line_is_ticked_from_a_fact_or_unticked_with_its_reason(
    server: TestServer, stage: Stage, made: Made
) -> None:
    url = stage(server, *made.by_psql)
    outside.execute(url, *made.by_hand)
    stood = whole(url)
    said = lancio("checklist", "--platform", "--database", url, "--json").json
    lines = [line for phase in said["phases"] for line in phase["lines"]]
    # The specification's phases with its lines, in its order.
    assert {phase["title"]: [line["says"] for line in phase["lines"]] for phase in said["phases"]} == PHASES
    reasons = {line["says"]: line["reason"] for line in lines}
    assert {line["says"] for line in lines if line["ticked"]} == set(made.ticked), str(reasons)
    assert all(line["reason"] for line in lines if not line["ticked"])
    for says, thing in made.says.items():
        assert thing in reasons[says]
    assert "no run of Lancio" in reasons["Monitor for errors"]
    path = said["critical_path"]
    assert [(each["says"], each["weight"]) for each in path["blocking"]] == BLOCKING
    assert tuple(each["ticked"] for each in path["blocking"]) == (False, *made.blocked)
    assert [(each["says"], each["weight"]) for each in path["non_blocking"]] == NON_BLOCKING
    assert path["bottleneck"]["says"] == BOTTLENECK
    assert path["single_point_of_failure"] == "Database connection stability"
    assert [each["ticked"] for each in path["mitigation"]] == [True, True]
    # To look changes nothing.
    assert whole(url) == stood


def test_every_version_is_told_right_on_its_way_and_where_something_was_lost(
    every_server: TestServer, stage: Stage
) -> None:
    for name in ("001 to 003", "step 1", "all", "row level security off on one table", "an index dropped"):
        made = STATES[name]
        url = stage(every_server, *made.by_psql)
        outside.execute(url, *made.by_hand)
        said = lancio("checklist", "--platform", "--database", url, "--json").json
        lines = [line for phase in said["phases"] for line in phase["lines"]]
        assert {line["says"] for line in lines if line["ticked"]} == set(made.ticked), name
        assert tuple(each["ticked"] for each in said["critical_path"]["blocking"]) == (False, *made.blocked), name


def test_there_are_at_least_twenty_states() -> None:
    assert len(STATES) >= 20


def test_status_shows_the_same_checklist(server: TestServer, stage: Stage) -> None:
    url = stage(server, *FOUNDATION, STEP_1)
    phases = lancio("checklist", "--platform", "--database", url, "--json").json["phases"]
    assert lancio("status", "--platform", "--database", url, "--json").json["checklist"] == phases


def test_after_lancios_own_run_the_moments_and_the_errors_are_known(server: TestServer, stage: Stage) -> None:
    url = stage(server, *FOUNDATION)
    assert lancio("backup", "note", "--at", "now", "--where", "a copy", "--database", url).status == 0
    assert lancio("apply", "--platform", "--database", url).status == 0
    said = lancio("checklist", "--platform", "--database", url, "--json").json
    ticked = {line["says"] for phase in said["phases"] for line in phase["lines"] if line["ticked"]}
    assert ticked == {
        *READY,
        V1,
        M7,
        *V7,
        M8,
        *V8,
        M9,
        *V9,
        M10,
        *V10,
        M11,
        *V11,
        "Monitor for errors",
        "Database backup created",
    }
    bottleneck = said["critical_path"]["bottleneck"]
    assert (bottleneck["file"], bottleneck["measured"]) == (None, True)
    assert bottleneck["says"].startswith("None (total execution ")
    assert "~" not in bottleneck["says"]
    # A deadlock, rollbacks and a table that lost what it had are told from then on.
    outside.execute(url, "ALTER TABLE platform.users DISABLE ROW LEVEL SECURITY")
    said = lancio("checklist", "--platform", "--database", url, "--json").json
    monitor = said["phases"][2]["lines"][2]
    assert monitor["ticked"] is False
    assert "26 tables have row level security" in monitor["reason"]


def test_a_role_that_may_not_read_the_rows_is_told_so(server: TestServer, stage: Stage) -> None:
    url = stage(server, *FOUNDATION)
    role = "lancio_checklist_stranger"
    outside.execute(url, f"CREATE ROLE {role}", f"GRANT USAGE ON SCHEMA platform TO {role}")
    try:
        said = lancio("checklist", "--platform", "--database", url, "--role", role, "--json").json
        lines = {line["says"]: line for phase in said["phases"] for line in phase["lines"]}
        assert lines[M4]["ticked"] is False
        assert "permission denied" in lines[M4]["reason"]
        assert lines[M5]["ticked"] is True
    finally:
        outside.execute(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
