"""No row of another organization: on pooled connections in any interleaving, and whatever is asked.

The judge of a generated query is a second database in which the other organizations have never been: whatever is asked
under the context of the one, both have to answer the same, errors and notices included.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from isolation import CATALOGUES, OTHER, OWN, PROOF, TABLES, TENANTS, THIRD, Organization, made, populate, set_context
from psycopg import sql
from schema_files import NINE, run

from servers import database_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from servers import TestServer

SCHEDULES = 10_000 if PROOF else 200
QUERIES = 100_000 if PROOF else 1_000
PASSWORD = "Pr0be-of-the-leaks"


@pytest.fixture(scope="module")
def login(server: TestServer) -> Iterator[str]:
    """A program's login: a member of lancio_application, and of nothing else."""
    url = server.create_database()
    run(url, *NINE)  # the roles
    server.drop_database(url)
    with server.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE leak_web LOGIN PASSWORD {} IN ROLE lancio_application").format(sql.Literal(PASSWORD))
        )
        yield "leak_web"
        connection.execute("DROP ROLE leak_web")


# Pooled connections.

SEEN = {
    "projects": "SELECT organization_id FROM platform.projects",
    "databases": "SELECT organization_id FROM platform.databases ORDER BY created_at DESC, id",
    "credits": "SELECT organization_id FROM platform.credits WHERE amount_minor > 0",
    "organizations": "SELECT id FROM platform.organizations WHERE name <> ''",
}


KEPT: list[str] = []
"""Contexts as an attacker would keep them, of all sessions."""


@dataclass
class Pooled:
    """A connection of a pool in transaction mode, and what a right database would show on it now."""

    connection: psycopg.Connection
    open: bool = False
    contexts: list[tuple[UUID, UUID | None] | None] = field(default_factory=lambda: [None])
    """The context at each savepoint; the last one is that of now."""
    given: dict[str, tuple[UUID, UUID | None]] = field(default_factory=dict)
    """The contexts that this transaction was given, by what stands in the setting."""

    def expected(self, table: str) -> set[UUID]:
        now = self.contexts[-1] if self.open else None
        if now is None:
            return set()
        user, organization = now
        if organization is None:
            own = {each.id for each in (OWN, OTHER, THIRD) if each.user == user}
            return own if table == "organizations" else set()
        return {organization}

    def step(self, dice: random.Random) -> None:
        choices: list[Callable[[random.Random], None]] = [self.look]
        if not self.open:
            choices += [self.begin, self.forge]
        else:
            choices += [self.enter, self.enter, self.alone, self.trespass, self.save, self.fail, self.forge, self.end]
            if len(self.contexts) > 1:
                choices += [self.back, self.release]
        dice.choice(choices)(dice)
        self.look(dice)

    def look(self, dice: random.Random) -> None:
        table = dice.choice(list(SEEN))
        # Prepared, so that one plan serves one organization after another.
        found = {row[0] for row in self.connection.execute(SEEN[table], prepare=dice.random() < 0.7)}
        assert found == self.expected(table), (table, self.contexts)

    def begin(self, dice: random.Random) -> None:  # noqa: ARG002  (as all steps are called)
        self.connection.execute("BEGIN")
        self.open, self.contexts, self.given = True, [None], {}

    def enter(self, dice: random.Random) -> None:
        of = dice.choice((OWN, OTHER, THIRD))
        set_context(self.connection, of.user, of.id)
        self.contexts[-1] = (of.user, of.id)
        row = self.connection.execute("SELECT current_setting('lancio.context')").fetchone()
        assert row is not None
        self.given[row[0]] = (of.user, of.id)
        KEPT.append(row[0])

    def alone(self, dice: random.Random) -> None:
        of = dice.choice((OWN, OTHER, THIRD))
        set_context(self.connection, of.user)
        self.contexts[-1] = (of.user, None)

    def trespass(self, dice: random.Random) -> None:
        one, other = dice.sample((OWN, OTHER, THIRD), 2)
        self.connection.execute("SAVEPOINT t")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            set_context(self.connection, one.user, other.id)
        self.connection.execute("ROLLBACK TO SAVEPOINT t")

    def save(self, dice: random.Random) -> None:  # noqa: ARG002  (as all steps are called)
        self.connection.execute(f"SAVEPOINT s{len(self.contexts)}")
        self.contexts.append(self.contexts[-1])

    def back(self, dice: random.Random) -> None:  # noqa: ARG002  (as all steps are called)
        self.contexts.pop()
        self.connection.execute(f"ROLLBACK TO SAVEPOINT s{len(self.contexts)}")

    def release(self, dice: random.Random) -> None:  # noqa: ARG002  (as all steps are called)
        now = self.contexts.pop()
        self.connection.execute(f"RELEASE SAVEPOINT s{len(self.contexts)}")
        self.contexts[-1] = now

    def fail(self, dice: random.Random) -> None:
        with pytest.raises(psycopg.errors.DivisionByZero):
            self.connection.execute("SELECT 1 / 0")
        if len(self.contexts) > 1 and dice.random() < 0.5:
            self.back(dice)
        else:
            self.connection.execute("ROLLBACK")
            self.open, self.contexts = False, [None]

    def forge(self, dice: random.Random) -> None:
        """A context that somebody kept, of this session or another, put back for the transaction or the session.

        It holds only if this same transaction was given it.
        """
        if KEPT:
            kept = dice.choice(KEPT[-20:])
            self.connection.execute("SELECT set_config('lancio.context', %s, %s)", (kept, dice.random() < 0.5))
            self.contexts[-1] = self.given.get(kept) if self.open else None

    def end(self, dice: random.Random) -> None:
        self.connection.execute(dice.choice(("COMMIT", "COMMIT", "ROLLBACK")))
        self.open, self.contexts = False, [None]


def test_pooled_connections_never_show_the_last_users_rows(server: TestServer, isolated: str, login: str) -> None:
    with psycopg.connect(isolated) as connection:
        populate(connection)
    url = server.url(database_of(isolated), user=login, password=PASSWORD)
    dice = random.Random(2026)
    pool = [Pooled(psycopg.connect(url, autocommit=True, prepare_threshold=1)) for _ in range(3)]
    try:
        for _ in range(SCHEDULES):
            # A schedule: steps of three sessions in a random interleaving, on connections nobody cleans in between.
            for _ in range(dice.randint(4, 10)):
                dice.choice(pool).step(dice)
    finally:
        for each in pool:
            each.connection.close()


# Generated queries.

TYPES = "uuid", "text", "int4", "int8", "numeric", "bool", "jsonb"
LINKS = ("organization_id", "project_id", "user_id")


class Generator:
    """Statements over the platform's tables, of every kind that an application could send."""

    def __init__(self, seed: int, columns: dict[str, dict[str, str]]) -> None:
        self.dice = random.Random(seed)
        self.columns = columns
        self.serial = 0

    def table(self) -> str:
        return self.dice.choice(list(self.columns))

    def column(self, table: str, *types: str) -> str:
        fitting = [name for name, kind in self.columns[table].items() if not types or kind in types]
        return self.dice.choice(fitting or list(self.columns[table]))

    def id(self) -> str:
        """A literal UUID: of one's own, of another's, of nobody."""
        of = self.dice.choice((OWN, OWN, OTHER, THIRD, Organization("nobody")))
        return f"'{self.dice.choice((of.id, of.project, of.user, of.row(self.dice.choice(TABLES))))}'::uuid"

    def condition(self, alias: str, table: str, depth: int) -> str:
        column = self.column(table)
        kind, name = self.columns[table][column], f"{alias}.{column}"
        choices = [f"{name} IS NOT NULL", "true"]
        if kind == "uuid":
            choices += [f"{name} = {self.id()}", f"{name} <> {self.id()}", f"{name} IN ({self.id()}, {self.id()})"]
            if depth:
                other = self.table()
                choices += [
                    f"{name} IN (SELECT x.{self.column(other, 'uuid')} FROM platform.{other} x)",
                    f"{name} = ANY (ARRAY(SELECT x.{self.column(other, 'uuid')} FROM platform.{other} x))",
                    f"NOT EXISTS (SELECT 1 FROM platform.{other} x WHERE x.{self.column(other, 'uuid')} = {name})",
                ]
        elif kind == "text":
            choices += [
                f"{name} LIKE '%{self.dice.choice('aeiotr-')}%'",
                f"{name} = 'test-other'",
                f"length({name}) > 3",
                f"{name} ~ 'o(wn|ther)'",
                f"{name} > 'other'",
                # These fail on a value that they meet: which must never be another's.
                f"{name}::int > 0",
                f"{name}::uuid IS NULL",
                f"1 / (CASE WHEN {name} ~ 'other' THEN 0 ELSE 1 END) = 1",
                f"pg_temp.told({name}::text)",
            ]
        elif kind in ("int4", "int8", "numeric"):
            choices += [f"{name} >= {self.dice.randint(0, 9000)}", f"{name} BETWEEN 1 AND 7000", f"1000 / {name} >= 0"]
        elif kind == "bool":
            choices += [name, f"NOT {name}"]
        else:
            choices += [f"{name}::text <> '{{}}'", f"{name} @> '{{}}'"]
        found = self.dice.choice(choices)
        if depth and self.dice.random() < 0.3:
            found = f"({found} {self.dice.choice(('AND', 'OR'))} {self.condition(alias, table, depth - 1)})"
        return found

    def joined(self) -> tuple[str, dict[str, str]]:
        tables = [self.table() for _ in range(self.dice.choice((1, 1, 2, 2, 3)))]
        aliases = {f"t{number}": table for number, table in enumerate(tables)}
        text = f"platform.{tables[0]} t0"
        for number, table in enumerate(tables[1:], 1):
            way = self.dice.choice(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"))
            text += f" {way} platform.{table} t{number}"
            if way == "CROSS JOIN":
                continue
            shared = [
                link for link in LINKS if link in self.columns[table] and link in self.columns[tables[number - 1]]
            ]
            left, right = (self.dice.choice(shared),) * 2 if shared else (
                self.column(tables[number - 1], "uuid"), self.column(table, "uuid")
            )  # fmt: skip
            text += f" ON t{number - 1}.{left} = t{number}.{right}"
        return text, aliases

    def select(self, depth: int = 2) -> str:
        text, aliases = self.joined()
        names = [f"{alias}.{self.column(table)}" for alias, table in aliases.items() for _ in range(2)]
        alias = self.dice.choice(list(aliases))
        where = self.condition(alias, aliases[alias], depth)
        shape = self.dice.random()
        if shape < 0.15:
            return f"SELECT count(*), count(DISTINCT {names[0]}) FROM {text} WHERE {where}"
        if shape < 0.25:
            return f"SELECT {names[0]}, count(*) FROM {text} WHERE {where} GROUP BY 1 HAVING count(*) > 0"
        if shape < 0.33:
            return f"SELECT {names[0]}, row_number() OVER (ORDER BY {', '.join(names)}) FROM {text} WHERE {where}"
        if shape < 0.40:
            other = self.table()
            return (
                f"SELECT {names[0]}, x.n FROM {text} CROSS JOIN LATERAL (SELECT count(*) AS n FROM platform.{other} y"
                f" WHERE y.{self.column(other, 'uuid')} = {alias}.{self.column(aliases[alias], 'uuid')}) x"
                f" WHERE {where}"
            )
        if shape < 0.47:
            return f"SELECT string_agg({names[0]}::text, ',' ORDER BY {names[0]}::text) FROM {text} WHERE {where}"
        if shape < 0.54:
            return f"SELECT DISTINCT {', '.join(names)} FROM {text} WHERE {where}"
        if shape < 0.60:
            return f"SELECT {', '.join(names)} FROM {text} WHERE {where} ORDER BY {', '.join(names)} LIMIT 3"
        if shape < 0.66:
            return f"SELECT to_jsonb({alias}.*)->>'{self.column(aliases[alias])}' FROM {text} WHERE {where}"
        return f"SELECT {', '.join(names)} FROM {text} WHERE {where}"

    def statement(self) -> str:
        self.serial += 1
        shape = self.dice.random()
        if shape < 0.45:
            return self.select()
        if shape < 0.52:
            return f"WITH c AS ({self.select(1)}) SELECT count(*) FROM c"
        if shape < 0.57:
            one = self.column(table := self.table(), "uuid")
            two = self.column(other := self.table(), "uuid")
            way = self.dice.choice(("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
            return f"SELECT {one} FROM platform.{table} {way} SELECT {two} FROM platform.{other}"
        if shape < 0.61:
            return f"SELECT name, type, connection_string_masked FROM platform.get_project_databases({self.id()})"
        if shape < 0.65:
            return f"COPY ({self.select(1)}) TO STDOUT"
        if shape < 0.69:
            return f"EXPLAIN (COSTS OFF) {self.select(1)}"
        table = self.dice.choice(TENANTS)
        column = self.column(table, "text", "int4", "int8", "bool")
        where = self.condition("t", table, 1)
        if shape < 0.75:
            return f"UPDATE platform.{table} t SET {column} = {column} WHERE {where} RETURNING t.id, t.{column}"
        if shape < 0.80:
            other = self.table()
            return (
                f"UPDATE platform.{table} t SET {column} = t.{column} FROM platform.{other} x"
                f" WHERE x.{self.column(other, 'uuid')} = t.{self.column(table, 'uuid')}"
                f" RETURNING t.id, x.{self.column(other)}"
            )
        if shape < 0.84:
            return f"DELETE FROM platform.{table} t WHERE {where} RETURNING t.id"
        if shape < 0.87:
            other = self.table()
            return (
                f"DELETE FROM platform.{table} t USING platform.{other} x WHERE x.{self.column(other, 'uuid')} = t.id"
            )
        if shape < 0.91:
            source = self.table()
            return (
                "INSERT INTO platform.tax_ids (organization_id, country, type, value)"
                f" SELECT {self.dice.choice(('x.organization_id', 'platform.current_organization_id()'))}"
                f", 'IT', 'g', left(x.{self.column(source)}::text, 20) FROM platform.{source} x"
                " ON CONFLICT DO NOTHING RETURNING value"
            )
        if shape < 0.94:
            return (
                f"WITH gone AS (DELETE FROM platform.{table} t WHERE {where} RETURNING t.*)"
                f" SELECT count(*), min(gone.organization_id::text) FROM gone"
            )
        if shape < 0.97:
            return (
                "INSERT INTO platform.credits (organization_id, amount_minor, remaining_minor, source)"
                f" VALUES ({self.id()}, 1, 1, 'promo') RETURNING organization_id, amount_minor"
            )
        return (
            "INSERT INTO platform.databases (project_id, name, type, host, port, connection_string)"
            f" VALUES ({self.id()}, 'g', 'redis', 'h', 1, 'redis://h:1') RETURNING organization_id, name"
        )


TOLD = """CREATE FUNCTION pg_temp.told(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0001
AS $$ BEGIN RAISE NOTICE 'told %', value; RETURN true; END $$"""
"""A function that tells what it is asked about, as cheap as can be, so that the planner would like to ask it first."""


class Asker:
    """A session of the program in one of the two databases."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute(TOLD)
        self.notices: list[str] = []
        self.connection.add_notice_handler(lambda notice: self.notices.append(notice.message_primary or ""))

    def ask(self, statement: str) -> tuple[object, list[str]]:
        """All that comes back, in an order of its own: rows, how many, notices, the error."""
        connection = self.connection
        connection.execute(f"ROLLBACK; BEGIN; SELECT platform.set_context('{OWN.user}', '{OWN.id}')".encode())
        self.notices.clear()
        try:
            if statement.startswith("COPY"):
                with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
                    found: Any = sorted(b"".join(copy).splitlines())
            elif statement.startswith("EXPLAIN"):
                # A plan follows the statistics, which are of all rows: what it must not have in it is their values.
                found = [row[0] for row in connection.execute(statement.encode())]
                found = [line for line in found if any(id_ in line and id_ not in statement for id_ in FOREIGN)]
            else:
                done = connection.execute(statement.encode())
                found = (done.rowcount, sorted(map(repr, done.fetchall())) if done.description else [])
                if done.statusmessage and not done.statusmessage.startswith("SELECT"):
                    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            found = (error.sqlstate, error.diag.message_primary, error.diag.message_detail)
        # How often a function is asked depends on the plan; what it is asked about must not.
        return found, sorted(set(self.notices))

    def answers(self, statement: str, answer: object) -> bool:
        """Whether some plan gives this answer: of two errors, which is met first depends on the plan."""
        for off in ("hashjoin", "nestloop", "mergejoin", "seqscan", "material", "hashagg", "sort"):
            self.connection.execute(f"ROLLBACK; SET enable_{off} = off")
            found = self.ask(statement)
            self.connection.execute(f"ROLLBACK; RESET enable_{off}")
            if found == answer:
                return True
        return False


FOREIGN = [str(made(kind, each.name)) for each in (OTHER, THIRD) for kind in ("organization", "user", "project")]


@pytest.fixture
def both(server: TestServer, isolated_template: str) -> Iterator[tuple[str, str]]:
    """A database with three organizations, and one in which there has only been the one that asks."""
    urls = [server.create_database(template=isolated_template) for _ in range(2)]
    for url, there in zip(urls, ((OWN, OTHER, THIRD), (OWN,)), strict=True):
        with psycopg.connect(url) as connection:
            populate(connection, there)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DELETE FROM platform.organizations WHERE slug = 'lancio'")
            connection.execute("VACUUM ANALYZE")
    yield urls[0], urls[1]
    for url in urls:
        server.drop_database(url)


def columns_of(url: str) -> dict[str, dict[str, str]]:
    """The columns of the tables and of databases_safe whose values are the same in both: no moments."""
    columns: dict[str, dict[str, str]] = {}
    with psycopg.connect(url) as connection:
        for table, column, kind in connection.execute(
            "SELECT c.relname, a.attname, t.typname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " JOIN pg_type t ON t.oid = a.atttypid WHERE c.relnamespace = 'platform'::regnamespace"
            " AND c.relkind IN ('r', 'v') AND c.relname <> 'databases_with_connection_strings'"
            " AND a.attnum > 0 AND NOT a.attisdropped AND t.typname = ANY (%s) ORDER BY 1, a.attnum",
            (list(TYPES),),
        ):
            columns.setdefault(table, {})[column] = kind
    return columns


def values_of(url: str) -> set[str]:
    """Every value in the platform's tables, as text."""
    found: set[str] = set()
    with psycopg.connect(url) as connection:
        for table, columns in columns_of(url).items():
            for name in columns:
                found |= {row[0] for row in connection.execute(f"SELECT {name}::text FROM platform.{table}") if row[0]}
    return found


def harmless(one: tuple[Any, list[str]], other: tuple[Any, list[str]], known: set[str]) -> bool:
    """Whether the two differ in the order alone in which rows were met: the same error, by another value that is there.

    A query that ends in an error has told of, and failed at, whatever row its plan came to first.
    """
    told = {notice.removeprefix("told ") for notice in set(one[1]) - set(other[1])}
    if one[0] == other[0]:
        return told <= known
    errors = [answer[0] for answer in (one, other) if isinstance(answer[0], tuple) and len(answer[0]) == 3]
    named = re.search(r'"(.*)"', errors[0][1]) if len(errors) == 2 else None
    return named is not None and errors[0][0] == errors[1][0] and {named[1], *told} <= known


def different(server: TestServer, urls: tuple[str, str], login: str, queries: int) -> tuple[str, float, float]:
    """The first statement that is answered differently, or ""; and the shares that were answered, and with rows."""
    generator = Generator(2026, columns_of(urls[0]))
    full, solo = (Asker(server.url(database_of(url), user=login, password=PASSWORD)) for url in urls)
    known = values_of(urls[1]) | {"<NULL>"}
    answered = with_rows = 0
    try:
        for number in range(queries):
            statement = generator.statement()
            one, other = full.ask(statement), solo.ask(statement)
            if one != other and not harmless(one, other, known) and not solo.answers(statement, one):
                return f"{number}: {statement}\n{one}\n{other}", 0, 0
            result = one[0]
            answered += not (isinstance(result, tuple) and len(result) == 3)
            with_rows += bool(isinstance(result, tuple) and len(result) == 2 and result[0])
    finally:
        full.connection.close()
        solo.connection.close()
    return "", answered / queries, with_rows / queries


def test_generated_queries_answer_as_if_the_others_had_never_been(
    server: TestServer, both: tuple[str, str], login: str
) -> None:
    found, answered, with_rows = different(server, both, login, QUERIES)
    assert found == ""
    # They are questions that are answered, and not only refused.
    assert answered > 0.6
    assert with_rows > 0.3
    assert {*CATALOGUES, "databases_safe"} <= set(columns_of(both[0]))


@pytest.mark.parametrize(
    "hole",
    [
        "ALTER POLICY organization_credits ON platform.credits USING (true)",
        "DROP POLICY organization_projects ON platform.projects",
        "ALTER POLICY owner_databases ON platform.databases USING (true);"  # noqa: ISC004
        " ALTER VIEW platform.databases_safe SET (security_invoker = false)",
        "ALTER TABLE platform.users DISABLE ROW LEVEL SECURITY",
    ],
)
def test_the_judge_sees_a_hole(server: TestServer, both: tuple[str, str], login: str, hole: str) -> None:
    with psycopg.connect(both[0], autocommit=True) as connection:
        connection.execute(hole)
    assert different(server, both, login, 4_000)[0] != ""
