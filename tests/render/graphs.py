"""The specification's own graph, made by hand: the pictures are looked at before and without any reading."""

from __future__ import annotations

from pathlib import Path

from lancio.planner.model import (
    Because,
    Edge,
    Effect,
    FileFacts,
    FileState,
    Finding,
    Graph,
    Lock,
    Missing,
    Place,
    Plan,
    Requirement,
    Service,
    Step,
)
from lancio.reading.source import Migration

SCHEMA = "001_create_platform_schema.sql"
USERS = "003_user_management_and_permissions.sql"
ORG = "004_create_lancio_org.sql"
TABLE = "006_add_platform_databases_table.sql"
RLS = "006_enable_rls_with_permissive_policies.sql"
REGISTER = "006_register_railway_databases.sql"

FUNCTION = "function platform.update_updated_at_column()"
TABLES = [f"table_{number}" for number in range(1, 26)]


def effect(thing: str, kind: str, *, implied: bool = False) -> Effect:
    name = thing.split(" ", 1)[1] if " " in thing else thing
    return Effect(thing, kind, name, 1, implied)


def facts(name: str, number: int | None, **given: object) -> FileFacts:
    values: dict[str, object] = dict.fromkeys(
        ("statements", "requires", "creates", "changes", "drops", "rows", "locks", "checks", "settings", "services",
         "opaque"), (),
    )  # fmt: skip
    values |= {
        "risk": "low", "risk_because": "", "declared_risk": "", "duration_ms": None, "impact": "", "after_run": "",
    }  # fmt: skip
    return FileFacts(migration=Migration(name, Path(name), b"SELECT 1;\n", number), **{**values, **given})  # type: ignore[arg-type]


def needs(thing: str, kind: str, file: str, line: int, provider: str = "", *, strength: str = "hard") -> Requirement:
    return Requirement(
        thing, kind, strength, Place(file, line), "file" if provider else "server",  # type: ignore[arg-type]
        Place(provider, 3) if provider else None,
    )  # fmt: skip


def edge(file: str, provider: str, *things: tuple[str, str, int], strength: str = "hard") -> Edge:
    return Edge(
        file, provider, "read-after-write", strength,  # type: ignore[arg-type]
        tuple(Because(thing, kind, Place(file, line), Place(provider, 12)) for thing, kind, line in things),
    )  # fmt: skip


def specification() -> Graph:
    """001, 003, 004 and the three steps of 006, with the needs that the specification draws."""
    files = (
        facts(SCHEMA, 1, creates=(
            effect("schema platform", "schema"), effect("table platform.projects", "relation"),
            effect("table platform.organizations", "relation"), effect(FUNCTION, "routine"))),
        facts(USERS, 3, creates=(effect("extension pgcrypto", "extension"), effect("table platform.users", "relation")),
              requires=(needs("schema platform", "schema", USERS, 4, SCHEMA),)),
        facts(ORG, 4, rows=("row platform.projects (slug = 'lancio-studio')",),
              requires=(needs("table platform.projects", "relation", ORG, 9, SCHEMA),)),
        facts(TABLE, 6, duration_ms=2000, declared_risk="low",
              requires=(
                  needs("schema platform", "schema", TABLE, 4, SCHEMA),
                  needs("table platform.projects", "relation", TABLE, 11, SCHEMA),
                  needs("extension pgcrypto", "extension", TABLE, 20, USERS),
                  needs(FUNCTION, "routine", TABLE, 70, SCHEMA, strength="late"),
                  needs("function now()", "routine", TABLE, 12)),
              creates=(
                  effect("table platform.databases", "relation"),
                  *(effect(f"index platform.idx_databases_{n}", "index") for n in range(7)),
                  effect("index platform.databases_pkey", "index", implied=True),
                  effect("function platform.encrypt_database_connection_string()", "routine"),
                  effect("function platform.update_database_health(uuid, text, text)", "routine"),
                  effect("view platform.databases_safe", "relation"),
                  effect("trigger update_databases_updated_at on platform.databases", "trigger"),
                  effect("trigger encrypt_database_connection_string_trigger on platform.databases", "trigger"))),
        facts(RLS, 6, duration_ms=3000, declared_risk="low", risk="medium",
              risk_because="ACCESS EXCLUSIVE on 26 tables",
              impact="ZERO BEHAVIOR CHANGE (permissive policies)",
              locks=tuple(Lock(f"platform.{name}", "ACCESS EXCLUSIVE", 40) for name in TABLES),
              requires=(
                  *(needs(f"table platform.{name}", "relation", RLS, 40, SCHEMA) for name in TABLES),
                  needs("table platform.databases", "relation", RLS, 41, TABLE),
                  Requirement("PostgreSQL 9.5+", "server version", "external", Place(RLS, 2), "server")),
              creates=(
                  *(effect(f"policy permissive_all_{name} on platform.{name}", "policy") for name in TABLES),
                  effect("function platform.verify_rls_enabled()", "routine"))),
        facts(REGISTER, 6, duration_ms=1000, declared_risk="low",
              after_run="Update connection strings with actual Railway values",
              services=(Service("redis", "REDIS_URL", False, 3),),
              requires=(
                  needs("table platform.databases", "relation", REGISTER, 30, TABLE),
                  needs("row platform.projects (slug = 'lancio-studio')", "row", REGISTER, 22, ORG, strength="row")),
              rows=("2 rows of platform.databases",)),
    )  # fmt: skip
    edges = (
        edge(USERS, SCHEMA, ("schema platform", "schema", 4)),
        edge(ORG, SCHEMA, ("table platform.projects", "relation", 9)),
        edge(TABLE, SCHEMA, ("schema platform", "schema", 4), ("table platform.projects", "relation", 11)),
        edge(TABLE, USERS, ("extension pgcrypto", "extension", 20)),
        edge(RLS, SCHEMA, *((f"table platform.{name}", "relation", 40) for name in TABLES)),
        edge(RLS, TABLE, ("table platform.databases", "relation", 41)),
        edge(REGISTER, TABLE, ("table platform.databases", "relation", 30)),
        edge(REGISTER, ORG, ("row platform.projects (slug = 'lancio-studio')", "row", 22), strength="row"),
    )
    return Graph("migrations", files, edges, (), (), (), 18)


def ready() -> Plan:
    """001, 003 and 004 applied, the three steps of 006 to run, one with a measured time."""
    graph = specification()
    steps = tuple(
        Step(graph.file(name), position, expected, measured)
        for position, (name, expected, measured) in enumerate(
            ((TABLE, 12, True), (RLS, 3000, False), (REGISTER, 1000, False)), 4
        )
    )
    done = (SCHEMA, USERS, ORG)
    states = (
        *(FileState(name, "applied", recorded=True) for name in done),
        *(FileState(step.facts.name, "not applied", recorded=False) for step in steps),
    )
    return Plan(graph, steps, done, states, (), (), ((Service("redis", "REDIS_URL", False, 3), False),))


def violated() -> Plan:
    """Step 3 asked for alone, before Step 1: the specification's first error scenario."""
    graph = specification()
    requirement = graph.file(REGISTER).requires[0]
    missing = Missing(
        requirement, REGISTER, "relation platform.databases does not exist", "Step 3 run before Step 1",
        "Run Step 1 first", TABLE, "not applied", ("table platform.databases",),
        (f'psql "$DATABASE_URL" -f migrations/{TABLE}', f"lancio apply migrations --only {TABLE}"),
    )  # fmt: skip
    finding = Finding("names", "note", "the names put them in this order", Place(REGISTER, 1), "Nothing to do.")
    step = Step(graph.file(REGISTER), 6, 1000)
    return Plan(graph, (step,), (SCHEMA, USERS, ORG), (), (missing,), (finding,), ())
