"""Where does a database stand on its way to the platform? The specification's state diagram, as facts.

Every line is asked from the live catalog. A line that cannot be known is left unticked and says why. The checklist of
the platform is that of any folder (`planner/checklist.py`); what the specification says of it besides is in `words`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from lancio.planner.checklist import Item, Line, Words, some
from lancio.planner.model import Check
from lancio.postgres import named_queries
from lancio.registry.context import looking

BILLING = "002_platform_billing_schema.sql"
STEP_1 = "006_add_platform_databases_table.sql"
STEP_2 = "006_enable_rls_with_permissive_policies.sql"
STEP_3 = "006_register_railway_databases.sql"

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

ISOLATED = "organization_databases"
"""The policy of migration 007 on platform.databases."""

OPTIONAL = ("mongodb",)
"""Services that the specification calls optional: without them the registration is skipped, and that is safe."""

VERIFY_ROWS = "SELECT count(*) >= 2 FROM platform.databases"
"""The specification's check behind step 3. The file's own asks for less where a service was said to be absent."""

FILL = "lancio db update --from-env"
UPDATE = "Update connection strings with actual Railway values"
"""What step 3 declares to be done after the run."""

HEALTHY = "healthy"
TRY = "lancio db test NAME"

NOT_HERE = "not part of a database: nothing here tells"

READY = "READY FOR REDIS INTEGRATION"


@dataclass(frozen=True, slots=True)
class Stage:
    """A box of the state diagram with its lines: `ticked` is None where a later step has made one history."""

    title: str
    lines: tuple[Line, ...]

    @property
    def reached(self) -> bool:
        """No line is unticked."""
        return all(line.ticked is not False for line in self.lines)


@dataclass(frozen=True, slots=True)
class State:
    """The whole diagram, and what is still to do by hand."""

    stages: tuple[Stage, ...]
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
    health: str
    """What its last probe found: `healthy`, `unhealthy`, `unknown`."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database answered. `databases` is None where they could not be asked, with `why_databases`."""

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
    databases: tuple[Registered, ...] | None = None
    why_databases: str = ""


def ask(connection: psycopg.Connection[Any]) -> Facts:
    """Ask the database, reading only, in a transaction (or a savepoint) of its own.

    Works on a database that has nothing of the platform. A table that this role may not read leaves its facts
    unknown; every other error of PostgreSQL is raised as psycopg raises it.
    """
    queries = named_queries("lancio.registry", "state.sql")
    with looking(connection), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(queries["catalog"], {"tables": [*TABLES, "databases"]})
        found = cursor.fetchone()
        assert found is not None  # noqa: S101  a SELECT without FROM has one row
        tables = frozenset(found["tables"])
        isolated = f"{ISOLATED} on databases" in found["narrowing"]
        if isolated:
            # What a policy filters is no fact: rather an error, which is told. It ends with this transaction.
            cursor.execute("SET LOCAL row_security = off")
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
        databases=None if rows is None else tuple(Registered(**row) for row in rows),
        why_databases=why_databases,
    )


def judge(facts: Facts) -> State:
    """Turn the answers of `ask` into the diagram."""
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
    return State((*stages, last), _to_do(facts, ready=ready), ready)


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
    no_table = some("there is no table", absent) or "there are no tables"
    proving = [name for name in PROVING if name not in facts.functions]
    return Stage(
        f"Step 2: Run {STEP_2}",
        (
            _of(
                f"RLS enabled on {len(facts.secured)} tables" if facts.secured else "RLS enabled on 24+ tables",
                bool(present) and not open_tables and not absent,
                f"{prefix}{some('not enabled on', open_tables)}" if open_tables else no_table,
            ),
            _of(
                f"Permissive policies created ({len(facts.permitted)})",
                bool(present) and not without and not absent,
                f"{prefix}{some('no policy on', without)}" if without else no_table,
            ),
            _of("Verification functions created", not proving, some("missing", proving)),
            _of(
                "Zero behavior change (policies allow all)",
                bool(facts.permitted) and not facts.narrowing,
                some("these policies narrow", facts.narrowing) or "there are no policies",
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


def words(facts: Facts) -> Words:
    """What the specification's checklist says of these files beyond what they say themselves, with its facts."""
    count = None if facts.databases is None else len(facts.databases)
    placeholders = [each.name for each in facts.databases or () if each.placeholder]
    reason = some("still a placeholder:", placeholders) or facts.why_databases
    if placeholders:
        reason = f"{reason} ({FILL})"
    updated = _of(UPDATE, bool(count) and not placeholders, reason or "no database is registered")
    return Words(
        proofs={BILLING: "billing schema exists"},
        verifies={STEP_3: (Check(VERIFY_ROWS, VERIFY_ROWS, once=False, declared=True),)},
        done={UPDATE: updated},
        later=(
            Item(
                "Actual Railway connection strings", "Can update post-migration", updated.ticked is True, updated.reason
            ),
            _client("Redis", "redis", facts),
            _client("MongoDB", "mongodb", facts),
            Item("Health check automation", "Future enhancement", False, NOT_HERE),
        ),
    )


def _to_do(facts: Facts, *, ready: bool) -> tuple[str, ...]:
    said = [
        f"{each.name} ({each.type}): still a placeholder ({FILL})" for each in facts.databases or () if each.placeholder
    ]
    unreached = [each.name for each in facts.databases or () if not each.placeholder and each.health != HEALTHY]
    if ready and unreached:
        said.append(some(f"not reached by its client yet ({TRY}):", unreached))
    return tuple(said)


def _client(name: str, kind: str, facts: Facts) -> Item:
    """Lancio has the client; that it is at work is seen by a probe that reached what is registered."""
    rows = [each for each in facts.databases or () if each.type == kind]
    reason = (
        facts.why_databases
        or ("" if rows else f"platform.databases has no row of type {kind}")
        or some("still a placeholder:", [each.name for each in rows if each.placeholder])
        or some(f"not reached yet ({TRY}):", [each.name for each in rows if each.health != HEALTHY])
    )
    return Item(f"{name} client implementation", "Separate task", not reason, reason)


def _sealing(facts: Facts) -> bool:
    return not _unsealed(facts)


def _unsealed(facts: Facts) -> list[str]:
    missing = [f"{name}()" for name in (*SEALING, *REGISTRY) if name not in facts.functions]
    missing += [f"trigger {name}" for name in TRIGGERS if name not in facts.triggers]
    return missing if facts.sealed_column else [*missing, "column connection_string_encrypted"]


def _lacking(facts: Facts) -> str:
    return some("missing", _unsealed(facts))


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
