"""What the facts around a plan mean for it: the cases that a test's own server cannot show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.catalog.model import Catalog, Live
from lancio.catalog.profile import load
from lancio.planner import asked, graph, plan, preflight
from lancio.planner.model import Place, Plan
from lancio.planner.surroundings import (
    Asked,
    Backend,
    Holder,
    Line,
    NewIndex,
    Rewrite,
    Rows,
    Setting,
    Surroundings,
    Table,
)  # fmt: skip
from lancio.reading.source import read_folder
from lancio.syntax import parser

if TYPE_CHECKING:
    from pathlib import Path

AT = Place("001.sql", 3, "ALTER TABLE app.orders")

AROUND = Surroundings(
    version=150004, version_text="15.4", user="app", superuser=False, createrole=False, rights={}, extensions={},
    settings={}, custom={}, tables={"app.orders": Table(1_200_000_000, 3_000_000.0, {"id": 8.0})}, holders=(),
    oldest=None, volatile=frozenset(), free_bytes=None, why_unknown="the server is on another machine",
    line=Line((1.0, 2.0, 3.0), 7, 7, local=False), services={}, rows=Rows(), backup=None,
)  # fmt: skip


@pytest.fixture
def one_step(tmp_path: Path) -> Plan:
    (tmp_path / "001.sql").write_text("SELECT 1;\n", encoding="utf-8")
    drawn = graph.build(read_folder(tmp_path), load(15))
    return plan.make(drawn, Live(Catalog(), {}, 150004), ledger={}, durations={}, environ={})


def said(judged: Plan, group: str) -> list[tuple[str, str, str]]:
    return [(item.mark, item.says, item.evidence) for item in judged.items if item.group == group]


def test_room_that_is_not_known_is_said_and_stops_nothing(one_step: Plan) -> None:
    needs = Asked(rewrites=((1, Rewrite("app.orders", "another type for id", AT)),))
    judged = preflight.judge(one_step, needs, AROUND, preflight.Terms())
    assert judged.go
    assert said(judged, "room")[-1] == (
        "unknown", "needs about 1.2 GB, beside the data",
        "free room is not known from here: the server is on another machine",
    )  # fmt: skip


def test_too_little_room_is_a_no_go_and_enough_is_not(one_step: Plan) -> None:
    needs = Asked(
        rewrites=((1, Rewrite("app.orders", "another type for id", AT)), (1, Rewrite("app.orders", "SET LOGGED", AT))),
        indexes=((1, NewIndex("app.orders", "orders_id", ("id",), AT)),),
    )
    judged = preflight.judge(one_step, needs, replace(AROUND, free_bytes=1_260_000_000), preflight.Terms())
    (missing,) = judged.missing
    assert (missing.requirement.kind, missing.here) == ("room", "1.3 GB free")
    # One pass over the table, and an index of three million rows of eight bytes.
    assert "1.3 GB are needed beside the data" in missing.message
    assert preflight.judge(one_step, needs, replace(AROUND, free_bytes=1_280_000_000), preflight.Terms()).go


def test_a_rewrite_only_if_a_function_is_volatile(one_step: Plan) -> None:
    needs = Asked(rewrites=((1, Rewrite("app.orders", "the volatile default of the new column at", AT, ("now",))),))
    assert said(preflight.judge(one_step, needs, AROUND, preflight.Terms()), "room")[0][0] == "met"
    told = preflight.judge(one_step, needs, replace(AROUND, volatile=frozenset(("now",))), preflight.Terms())
    assert said(told, "room")[0][1] == "the volatile default of the new column at writes app.orders anew"


def test_who_stands_in_the_way_of_a_lock_is_told_with_the_command_for_him(one_step: Plan) -> None:
    needs = Asked(locks={"app.orders": ("SHARE ROW EXCLUSIVE", AT)})
    holders = (
        Holder("app.orders", "ROW EXCLUSIVE", Backend(123, "app", "web", "idle in transaction", 840.0)),
        Holder("app.orders", "ACCESS SHARE", Backend(9, "app", "reader", "active", 5.0)),
        Holder("app.orders", "SHARE UPDATE EXCLUSIVE", Backend(77, "", "", "active", 90.0, wraparound=True)),
        Holder("app.orders", "ROW EXCLUSIVE", Backend(0, "app", "", "", 7200.0, prepared="x'; $(rm -rf /)")),
    )
    terms = preflight.Terms(psql='psql "$DATABASE_URL"')
    judged = preflight.judge(one_step, needs, replace(AROUND, holders=holders), terms)
    assert judged.go
    items = [item for item in judged.items if item.group == "locks"]
    assert {item.says for item in items} == {"blocks writes on app.orders (1.2 GB, about 3,000,000 rows)"}
    assert [item.evidence for item in items] == [
        "SHARE ROW EXCLUSIVE waits for ROW EXCLUSIVE of 14 minutes (pid 123, user app, web, idle in transaction)",
        "SHARE ROW EXCLUSIVE waits for SHARE UPDATE EXCLUSIVE of 90 seconds (autovacuum to prevent wraparound, pid 77)",
        'SHARE ROW EXCLUSIVE waits for ROW EXCLUSIVE of 2 hours (prepared transaction "x\'; $(rm -rf /)", owner app)',
    ]
    assert items[0].commands[1] == "psql \"$DATABASE_URL\" -c 'SELECT pg_terminate_backend(123)'"
    assert not any("terminate" in command for command in items[1].commands)
    # What somebody called his transaction is never a shell's to run.
    assert items[2].commands[1].startswith("psql \"$DATABASE_URL\" -c 'ROLLBACK PREPARED '")


def test_concurrently_waits_for_the_oldest_transaction(one_step: Plan) -> None:
    old = Backend(5, "app", "report", "active", 3600.0)
    judged = preflight.judge(one_step, Asked(waits=AT), replace(AROUND, oldest=old), preflight.Terms())
    assert said(judged, "locks") == [
        ("warning", "the oldest transaction",
         "60 minutes old (pid 5, user app, report, active); CONCURRENTLY waits for it"),
    ]  # fmt: skip


def test_a_pooler_is_a_no_go_and_a_slow_line_a_warning(one_step: Plan) -> None:
    line = Line((10.0, 900.0, 12.0), 1, 2, local=False)
    judged = preflight.judge(one_step, Asked(), replace(AROUND, line=line), preflight.Terms())
    assert [item.requirement.kind for item in judged.missing] == ["connection"]
    assert said(judged, "connection")[0] == ("warning", "3 round trips", "median 12.00 ms, worst 900.00 ms")


def test_a_timeout_that_the_run_does_not_lift_is_a_warning(one_step: Plan) -> None:
    settings = {
        "transaction_timeout": Setting("5000 ms", "user"), "statement_timeout": Setting("30000 ms", "database"),
        "session_replication_role": Setting("replica", "user"), "lock_timeout": Setting("0 ms", "default"),
    }  # fmt: skip
    judged = preflight.judge(one_step, Asked(), replace(AROUND, settings=settings), preflight.Terms())
    assert judged.go
    assert {says: mark for mark, says, _ in said(judged, "settings")} == {
        "statement_timeout": "note", "transaction_timeout": "note", "session_replication_role": "warning",
    }  # fmt: skip


def test_a_setting_that_is_read_once_a_row_is_a_warning(one_step: Plan) -> None:
    for by_row in (True, False):
        needs = Asked(settings={"app.tenant": AT}, by_row=frozenset(("app.tenant",) if by_row else ()))
        judged = preflight.judge(one_step, needs, AROUND, preflight.Terms())
        assert judged.go is by_row
        assert [item.blocking for item in judged.missing] == [not by_row]


def test_what_the_files_read_of_settings(tmp_path: Path) -> None:
    (tmp_path / "001.sql").write_text(
        "SELECT current_setting('a.alone');\nSELECT current_setting('a.unset', true);\n"
        "UPDATE t SET n = current_setting('a.rows');\nSET a.mine = '1';\nSELECT current_setting('a.mine');\n"
        "DO $$BEGIN PERFORM current_setting('a.block'); EXCEPTION WHEN undefined_object THEN NULL; END$$;\n",
        encoding="utf-8",
    )
    drawn = graph.build(read_folder(tmp_path), load(15))
    live = Live(Catalog(), {}, 150004)
    needs = asked.read(plan.make(drawn, live, ledger={}, durations={}, environ={}).steps, live)
    assert {name: place.line for name, place in needs.settings.items()} == {"a.alone": 1, "a.rows": 3}
    assert needs.by_row == {"a.rows"}


def test_a_server_below_the_recommendation_is_told_and_one_below_the_least_too(one_step: Plan) -> None:
    for version, mark in ((90400, "unmet"), (100000, "warning"), (120000, "met")):
        judged = preflight.judge(one_step, Asked(), replace(AROUND, version=version), preflight.Terms())
        assert said(judged, "server")[0][:2] == (mark, "PostgreSQL 9.5 or newer")


TYPES = (
    ("character varying(10)", "varchar(20)", False), ("character varying(20)", "varchar(10)", True),
    ("character varying(10)", "varchar", False), ("character varying(10)", "text", False),
    ("text", "varchar(10)", True), ("text", "varchar", False), ("integer", "bigint", True),
    ("numeric(10,2)", "numeric(12,2)", False), ("numeric(10,2)", "numeric(12,3)", True),
    ("numeric(10,2)", "numeric", False), ("numeric", "numeric(10,2)", True), ("cidr", "inet", False),
    ("timestamp(3) with time zone", "timestamptz(6)", False), ("timestamp with time zone", "timestamptz", False),
    ("character(5)", "char(9)", True), ("text[]", "text[]", False), ("text[]", "varchar[]", True),
    ("app.mood", "app.mood", False),
)  # fmt: skip


def test_types_that_are_stored_alike_cost_no_rewrite_and_postgresql_agrees(every_database: str) -> None:
    told: dict[tuple[str, str], bool] = {}
    found: dict[tuple[str, str], bool] = {}
    with psycopg.connect(every_database) as connection:
        connection.execute("CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('good')")
        for old, new, rewrites in TYPES:
            connection.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t (c {old})")
            before = connection.execute(
                "SELECT pg_relation_filenode('t'), format_type(atttypid, atttypmod) "
                "FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'c'"
            ).fetchone()
            assert before is not None
            command = f"ALTER TABLE t ALTER c TYPE {new}"
            connection.execute(command)
            after = connection.execute("SELECT pg_relation_filenode('t')").fetchone()
            found[old, new] = after != before[:1]
            (parsed,) = parser.parse(command.encode())
            type_name = parsed.tree["cmds"][0]["AlterTableCmd"]["def"]["ColumnDef"]["typeName"]
            told[old, new] = not asked._coercible(before[1], type_name)
            assert told[old, new] is rewrites
    # Where PostgreSQL spares a rewrite that is told, room is told too large; never the other way round.
    assert [each for each in TYPES if found[each[:2]] and not told[each[:2]]] == []
    assert sum(told.values()) - sum(found.values()) <= 1
