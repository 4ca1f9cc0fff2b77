"""Where does a database stand on its way to the platform? The specification's state diagram and checklist, as facts.

Every line is asked from the live catalog (or, where the line speaks of a moment that is over, from what the ledger
kept of that moment). A line that cannot be known is left unticked and says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STEP_1 = "006_add_platform_databases_table.sql"
STEP_2 = "006_enable_rls_with_permissive_policies.sql"
STEP_3 = "006_register_railway_databases.sql"

FOUNDATION = {
    "001": ("organizations", "organization_members", "organization_invitations", "organization_feature_flags",
            "projects", "project_members", "project_addons", "project_metrics"),
    "002": ("subscriptions", "invoices", "payment_methods", "billing_plans"),
    "003": ("users", "user_sessions", "api_keys"),
    "005": ("audit_logs",),
}  # fmt: skip
"""Tables that the specification names for a migration; with them it counts as applied."""

TABLES = (
    "organizations", "organization_members", "organization_invitations", "organization_feature_flags", "projects",
    "project_members", "project_addons", "project_metrics", "subscriptions", "invoices", "payment_methods", "tax_ids",
    "customer_profiles", "credits", "disk_config", "compute_config", "addons", "usage_metrics", "users",
    "user_sessions", "api_keys", "audit_logs", "feature_flags", "billing_plans", "credentials",
)  # fmt: skip
"""The 25 tables of the specification's list of row level security; `databases` is the 26th."""

SEALING = ("decrypt_database_connection_string", "encrypt_database_connection_string")
REGISTRY = ("get_project_databases", "update_database_health")
VIEWS = ("databases_safe", "databases_with_connection_strings")
TRIGGERS = ("encrypt_database_connection_string_trigger", "update_databases_updated_at")
PROVING = ("test_rls_policies", "verify_rls_enabled")

LEAST_POLICIES = 24
"""The specification's `24+`."""

NO_PROJECT = "platform.projects has no row lancio-studio"

OPTIONAL = ("mongodb",)
"""Services that the specification calls optional: without them the registration is skipped, and that is safe."""

VERIFY_EMPTY = "Verify: SELECT COUNT(*) FROM platform.databases; returns 0"
VERIFY_POLICIES = "Verify: SELECT COUNT(*) FROM pg_policies WHERE schemaname = 'platform'; returns 24+"
VERIFY_ROWS = "Verify: SELECT COUNT(*) FROM platform.databases; returns 2+"

READY = "READY FOR REDIS INTEGRATION"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the diagram or the checklist: `ticked` is None where a later step has made it history."""

    says: str
    ticked: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A box of the state diagram with its lines."""

    title: str
    lines: tuple[Line, ...]

    @property
    def reached(self) -> bool:
        """No line is unticked."""
        return all(line.ticked is not False for line in self.lines)


@dataclass(frozen=True, slots=True)
class State:
    """The whole diagram, the checklist by phases, and what is still to do by hand."""

    stages: tuple[Stage, ...]
    checklist: tuple[Stage, ...]
    to_do: tuple[str, ...]
    ready: bool

    @property
    def stands(self) -> str:
        """The name of the last stage that is reached with all before it."""
        name = "before the platform"
        for stage in self.stages:
            if not stage.reached:
                break
            name = stage.title
        return READY if self.ready else name


@dataclass(frozen=True, slots=True)
class Registered:
    """A row of platform.databases, without any of its secrets."""

    name: str
    type: str
    placeholder: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database answered. `project` and `databases` are None where they could not be asked, with `why`."""

    schema: bool
    pgcrypto: str | None
    tables: frozenset[str]
    views: frozenset[str]
    functions: frozenset[str]
    triggers: frozenset[str]
    sealed_column: bool
    secured: frozenset[str]
    permitted: frozenset[str]
    narrowing: tuple[str, ...]
    policies: int
    project: bool | None = None
    databases: tuple[Registered, ...] | None = None
    why_project: str = ""
    why_databases: str = ""


def ask(connection: psycopg.Connection[Any]) -> Facts:
    """Ask the database, reading only, in a transaction (or a savepoint) of its own.

    Works on a database that has nothing of the platform. A table that this role may not read leaves its facts
    unknown; every other error of PostgreSQL is raised as psycopg raises it.
    """
    queries = named_queries("lancio.registry", "state.sql")
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(queries["catalog"], {"tables": [*TABLES, "databases"]})
        found = cursor.fetchone()
        assert found is not None  # noqa: S101  a SELECT without FROM has one row
        tables = frozenset(found["tables"])
        project, why_project = _rows(connection, queries["project"], present="projects" in tables, table="projects")
        rows, why_databases = _rows(connection, queries["databases"], present="databases" in tables, table="databases")
    return Facts(
        schema=found["schema"],
        pgcrypto=found["pgcrypto"],
        tables=tables,
        views=frozenset(found["views"]),
        functions=frozenset(found["functions"]),
        triggers=frozenset(found["triggers"]),
        sealed_column=found["sealed_column"],
        secured=frozenset(found["secured"]),
        permitted=frozenset(found["permitted"]),
        narrowing=tuple(found["narrowing"]),
        policies=found["policies"],
        project=None if project is None else bool(project[0]["project"]),
        databases=None if rows is None else tuple(Registered(**row) for row in rows),
        why_project=why_project,
        why_databases=why_databases,
    )


def judge(
    facts: Facts, kept: Mapping[str, Sequence[str]] | None = None, lost: Mapping[str, Sequence[str]] | None = None
) -> State:
    """Turn the answers into the diagram and the checklist.

    Args:
        facts: the answers of `ask`.
        kept: for each file in the ledger the checks that held when its step was committed, as they are said; None
            where there is no ledger.
        lost: for each file that is only partly there, what is missing of it.
    """
    lost = {} if lost is None else lost
    kept = {} if kept is None else kept
    stages = (_before(facts), _step_1(facts), _step_2(facts), _step_3(facts))
    ready = all(stage.reached for stage in stages)
    last = Stage(
        f"Post-Migration State: {READY}",
        (
            _of("Multi-database support enabled", stages[1].reached, "Step 1 is not complete"),
            _of("Connection encryption enabled", _sealing(facts), "the sealing functions or their trigger are missing"),
            _of("RLS foundation established", stages[2].reached, "Step 2 is not complete"),
            _of("Databases registered", stages[3].reached, "Step 3 is not complete"),
        ),
    )
    ready = ready and last.reached
    return State((*stages, last), _checklist(facts, stages, kept, lost), _to_do(facts, ready=ready), ready)


def _before(facts: Facts) -> Stage:
    return Stage(
        "Pre-Migration State",
        (
            _of("platform schema exists", facts.schema, "there is no schema platform: run 001"),
            _of("projects table exists", "projects" in facts.tables, "there is no table platform.projects: run 001"),
            _of(
                f"pgcrypto installed{f' ({facts.pgcrypto})' if facts.pgcrypto else ''}",
                facts.pgcrypto is not None,
                "there is no extension pgcrypto: run 003",
            ),
            _still_off("RLS disabled on all tables", facts),
        ),
    )


def _step_1(facts: Facts) -> Stage:
    missing_views = [view for view in VIEWS if view not in facts.views]
    return Stage(
        f"Step 1: Run {STEP_1}",
        (
            _of(
                "platform.databases table created", "databases" in facts.tables, "there is no table platform.databases"
            ),
            _of("Encryption functions created", _sealing(facts), _lacking(facts)),
            _of("Views created", not missing_views, f"missing: {', '.join(missing_views)}"),
            _still_off("RLS still disabled", facts),
        ),
    )


def _step_2(facts: Facts) -> Stage:
    present = facts.tables & {*TABLES, "databases"}
    open_tables = sorted(present - facts.secured)
    without = sorted(present - facts.permitted)
    absent = [table for table in TABLES if table not in facts.tables]
    partly = bool(facts.permitted) and (bool(open_tables) or bool(without))
    prefix = "partly applied: " if partly else ""
    no_table = _names("there is no table", absent) or "there are no tables"
    proving = [name for name in PROVING if name not in facts.functions]
    return Stage(
        f"Step 2: Run {STEP_2}",
        (
            _of(
                f"RLS enabled on {len(facts.secured)} tables" if facts.secured else "RLS enabled on 24+ tables",
                bool(present) and not open_tables and not absent,
                f"{prefix}{_names('not enabled on', open_tables)}" if open_tables else no_table,
            ),
            _of(
                f"Permissive policies created ({len(facts.permitted)})",
                bool(present) and not without and not absent,
                f"{prefix}{_names('no policy on', without)}" if without else no_table,
            ),
            _of("Verification functions created", not proving, _names("missing", proving)),
            _of(
                "Zero behavior change (policies allow all)",
                bool(facts.permitted) and not facts.narrowing,
                _names("these policies narrow", facts.narrowing) or "there are no policies",
                history=bool(facts.narrowing) and bool(facts.permitted),
            ),
        ),
    )  # fmt: skip


def _step_3(facts: Facts) -> Stage:
    return Stage(
        f"Step 3: Run {STEP_3}",
        (
            _registered("MongoDB", "mongodb", facts),
            _registered("Redis", "redis", facts),
            _of(
                "Ready for actual connection string update",
                bool(facts.databases),
                facts.why_databases or "no database is registered",
            ),
        ),
    )


def _checklist(
    facts: Facts, stages: Sequence[Stage], kept: Mapping[str, Sequence[str]], lost: Mapping[str, Sequence[str]]
) -> tuple[Stage, ...]:
    count = None if facts.databases is None else len(facts.databases)

    def migration(number: str, shown: str, holds: bool | None, reason: str = "") -> Line:
        lacking = [table for table in FOUNDATION.get(number, ()) if table not in facts.tables]
        ok = holds is True and not lacking
        return _of(
            f"Migration {number} applied ({shown})", ok, reason or _names("there is no table", lacking) or "not there"
        )

    placeholders = [each.name for each in facts.databases or () if each.placeholder]
    return (
        Stage(
            "Phase 1: Verify Prerequisites",
            (
                Line("Database backup created", False, "not known: no backup is recorded in this database"),
                migration("001", "platform schema exists", facts.schema),
                migration("002", "billing schema exists", "subscriptions" in facts.tables),
                migration("003", "pgcrypto exists", facts.pgcrypto is not None),
                migration("004", "Lancio project exists", facts.project, facts.why_project or NO_PROJECT),
                migration("005", "audit_logs exists", "audit_logs" in facts.tables),
            ),
        ),
        Stage(
            "Phase 2: Execute in Order",
            (
                _step(f"Step 1: {STEP_1}", stages[1], lost.get(STEP_1, ())),
                _then(
                    VERIFY_EMPTY, STEP_1, "platform.databases", kept,
                    now=count == 0, instead=facts.why_databases or f"{count} rows now, and no record of that moment",
                ),
                _step(f"Step 2: {STEP_2}", stages[2], lost.get(STEP_2, ())),
                _of(
                    f"{VERIFY_POLICIES} ({facts.policies} now)",
                    facts.policies >= LEAST_POLICIES, f"{facts.policies} now",
                ),
                _step(f"Step 3: {STEP_3}", stages[3], lost.get(STEP_3, ())),
                _of(
                    VERIFY_ROWS if count is None else f"{VERIFY_ROWS} ({count} now)",
                    count is not None and count >= 2, facts.why_databases or f"{count} now",
                ),
            ),
        ),
        Stage(
            "Phase 3: Post-Migration",
            (
                _of(
                    "Update connection strings with actual Railway values",
                    bool(count) and not placeholders,
                    _names("still a placeholder:", placeholders) or facts.why_databases or "no database is registered",
                ),
                Line("Test application endpoints", False, "not tested here: the endpoints are not part of a database"),
                Line("Monitor for errors", False, "not known: nothing in this database watches the application"),
            ),
        ),
    )  # fmt: skip


def _to_do(facts: Facts, *, ready: bool) -> tuple[str, ...]:
    said = [
        f"{each.name} ({each.type}): still a placeholder, update its connection string"
        for each in facts.databases or ()
        if each.placeholder
    ]
    if ready:
        said.append("implement the Redis client")
    return tuple(said)


def _step(says: str, stage: Stage, lost: Sequence[str]) -> Line:
    if lost:
        return Line(says, False, _names("partly applied, missing:", lost))
    first = next((line for line in stage.lines if line.ticked is False), None)
    return Line(says, first is None, "" if first is None else first.reason)


def _then(says: str, file: str, about: str, kept: Mapping[str, Sequence[str]], *, now: bool, instead: str) -> Line:
    """A count that held at a moment: from the ledger's record of that step, else from what is so now."""
    for said in kept.get(file, ()):
        if about in said and "count" in said.casefold():
            return Line(f"{says} (verified at the step)", True)
    return _of(says, now, instead)


def _sealing(facts: Facts) -> bool:
    return not _unsealed(facts)


def _unsealed(facts: Facts) -> list[str]:
    missing = [f"{name}()" for name in (*SEALING, *REGISTRY) if name not in facts.functions]
    missing += [f"trigger {name}" for name in TRIGGERS if name not in facts.triggers]
    return missing if facts.sealed_column else [*missing, "column connection_string_encrypted"]


def _lacking(facts: Facts) -> str:
    return _names("missing", _unsealed(facts))


def _still_off(says: str, facts: Facts) -> Line:
    """True before step 2; from then on it is history, and no fault."""
    if not facts.schema:
        return Line(says, False, "there is no schema platform")
    if not facts.secured:
        return Line(says, True)
    return Line(says, None, f"no longer: it is enabled on {len(facts.secured)} tables now")


def _registered(name: str, kind: str, facts: Facts) -> Line:
    if facts.databases is None:
        return Line(f"{name} registered", False, facts.why_databases)
    rows = [each for each in facts.databases if each.type == kind]
    if not rows and kind in OPTIONAL and facts.databases:
        return Line(f"{name} registered", None, "skipped: the service was said to be absent, and it is optional")
    waiting = sum(each.placeholder for each in rows)
    note = " (placeholder creds)" if waiting else ""
    return _of(f"{name} registered{note}", bool(rows), f"platform.databases has no row of type {kind}")


def _of(says: str, holds: bool, reason: str, *, history: bool = False) -> Line:
    if holds:
        return Line(says, True)
    return Line(says, None if history else False, reason)


def _names(opening: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:4])
    return f"{opening} {shown}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"


def _rows(
    connection: psycopg.Connection[Any], query: str, *, present: bool, table: str
) -> tuple[list[dict[str, Any]] | None, str]:
    if not present:
        return None, f"there is no table platform.{table}"
    try:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall(), ""
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedColumn) as error:
        return None, f"platform.{table} cannot be read: {error.diag.message_primary}"
