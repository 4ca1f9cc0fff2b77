"""What stands inside of names: found whatever the names are, in the order of the list, by as few rows as it takes."""

from __future__ import annotations

import json
import random
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from isolation import OTHER as FOREIGN_ORGANIZATION
from isolation import OWN, PROOF, logins, set_context
from isolation import populate as three_organizations
from registering import ACME, Desk, made, people
from schema_files import CHAIN, FOLDER, KEYS, NAMED, NAMED_BACK, NINE, run
from test_sealing import _dump

from lancio.registry import databases
from lancio.registry.databases import Filter
from lancio.registry.refusal import NotThere
from servers import database_of, run_psql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from servers import TestServer

FILES = sorted(each.name for each in FOLDER.glob("*.sql") if not each.name.endswith(".rollback.sql"))
ALPHABET = "abAB01-_ %\\'.*ßẞſKkİıIiÅÅåéÉσςΣﬁǅ漢字かパ🙂🏳️\u200d\U0001f308\U00010400\U0010ffffЖжҕ"
"""Few characters, so that they meet: of one to four bytes, combining ones, letters whose small form is longer, shorter
or two, wildcards of other searches, and joined emoji."""
NAMES, NEEDLES = (2000, 1000) if PROOF else (150, 60)


def register(connection: psycopg.Connection[Any], names: Sequence[str], to: str = "shop") -> None:
    """Databases of these names, without their connection strings."""
    connection.execute(
        "INSERT INTO platform.databases (project_id, name, type, host, port, connection_string, status)"
        " SELECT %s, n.name, (ARRAY['redis', 'mongodb'])[1 + n.at %% 2], 'h', 1,"
        "        (ARRAY['redis', 'mongodb'])[1 + n.at %% 2] || '://h:1', (ARRAY['active', 'error'])[1 + n.at %% 3 / 2]"
        " FROM unnest(%s::text[]) WITH ORDINALITY n (name, at)",
        (made(to), list(names)),
    )


def grams(connection: psycopg.Connection[Any]) -> Counter[Any]:
    return Counter(
        connection.execute(
            "SELECT organization_id, database_id, name_key, gram FROM platform.database_grams"
        ).fetchall()
    )


def expected(connection: psycopg.Connection[Any]) -> Counter[Any]:
    """What the names are made of, by our own reckoning."""
    return Counter(
        {
            (organization, id_, key, int.from_bytes(key[at : at + 3], "big")): 1
            for organization, id_, key in connection.execute(
                "SELECT organization_id, id, convert_to(lower(name), getdatabaseencoding()) FROM platform.databases"
            )
            for at in range(len(key) - 2)
        }
    )


@pytest.fixture
def each_desk(every_server: TestServer) -> Iterator[Desk]:
    """Somebody who works in acme, on each server version."""
    url = every_server.create_database()
    run(url, *FILES)
    with psycopg.connect(url, autocommit=True) as connection:
        people(connection)
        yield Desk(connection)
    every_server.drop_database(url)


@pytest.fixture(params=["gone through", "by grams"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to find a text: of few names and of many."""
    monkeypatch.setattr(databases, "FEW", 0 if request.param == "by grams" else 10**6)
    return str(request.param)


def hostile(dice: random.Random, most: int) -> str:
    text = "".join(dice.choices(ALPHABET, k=dice.randint(1, most)))
    return unicodedata.normalize("NFC", text).strip()[:200]


def through_pages(desk: Desk, wanted: Filter, limit: int) -> list[str]:
    found, after = [], None
    with desk.work() as work:
        while True:
            page = databases.page(work, wanted, after=after, limit=limit)
            found += [each.name for each in page.rows]
            if (after := page.next) is None:
                return found
            assert len(page.rows) == limit


def test_every_name_that_has_the_text_is_found_in_the_order_of_the_list(each_desk: Desk, way: str) -> None:
    dice = random.Random(5)
    names = sorted({hostile(dice, dice.choice((2, 8, 40, 200))) or "x" for _ in range(NAMES)} | {"漢" * 200, "aaaaaa"})
    names += [f"{each}2" for each in names[:40]]
    register(each_desk.connection, sorted(set(names)))
    register(each_desk.connection, ["elsewhere", "aB1-aB1"], to="elsewhere")
    oracle = """SELECT d.name FROM platform.databases d JOIN platform.projects p ON p.id = d.project_id
                WHERE p.organization_id = %s AND strpos(lower(d.name), lower(%s)) > 0
                  AND (%s::text IS NULL OR d.type = %s)
                ORDER BY lower(d.name) COLLATE "C", d.id"""
    looked = 0
    for number in range(NEEDLES):
        of = dice.choice(names)
        at = dice.randrange(len(of))
        text = of[at : at + dice.choice((1, 2, 3, 4, 9))] if number % 3 else hostile(dice, 4)
        text = dice.choice((text, text.upper(), text.lower())) or "a"
        kind = dice.choice((None, "redis"))
        right = [each for (each,) in each_desk.connection.execute(oracle, (made(ACME), text, kind, kind)).fetchall()]
        assert through_pages(each_desk, Filter(text=text, type=kind), dice.choice((3, 50))) == right, text
        looked += len(right)
    assert looked > NEEDLES
    assert through_pages(each_desk, Filter(text="漢" * 200), 50) == ["漢" * 200]
    assert through_pages(each_desk, Filter(text="nothing has this"), 50) == []


def test_few_rows_are_read_however_many_there_are(each_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    register(each_desk.connection, [f"{'orders' if each % 10 else 'sessions'}-{each}" for each in range(6000)])
    for table in ("databases", "database_grams"):
        each_desk.connection.execute(f"VACUUM ANALYZE platform.{table}".encode())
    asked: list[tuple[str, dict[str, Any]]] = []
    ask = databases._rows

    def noting(work: Any, query: str, **values: Any) -> list[dict[str, Any]]:
        asked.append((query, values))
        return ask(work, query, **values)

    monkeypatch.setattr(databases, "_rows", noting)
    with each_desk.work() as work:
        found = [
            databases.page(work, Filter(text="SION"), limit=50),
            databases.page(work, Filter(text="s-4990"), limit=50),
            databases.page(work, Filter(text="nowhere"), limit=50),
            databases.page(work, Filter(prefix="Sessions-499"), limit=50),
        ]
        databases.page(work, Filter(text="sion"), after=found[0].next, limit=50)
        with pytest.raises(NotThere) as refused:
            databases.one(work, "sesions-4990")
    assert [len(each.rows) for each in found] == [50, 1, 0, 1]
    assert "Did you mean sessions-4990?" in refused.value.cause
    plain = [(query, values) for query, values in asked if query in ("page", "page_of_gram", "near")]
    assert [query for query, _ in plain] == [*["page_of_gram"] * 3, "page", "page_of_gram", "near"]
    looked: list[float] = []
    with each_desk.work() as work:
        for query, values in plain:
            text = f"EXPLAIN (ANALYZE, FORMAT JSON) {databases._QUERIES[query]}"
            row = work.connection.execute(text.encode(), values, prepare=False).fetchone()
            assert row is not None
            plan = row["QUERY PLAN"] if isinstance(row, dict) else row[0]
            looked.append(read(plan[0]["Plan"]))
            assert looked[-1] < 2500, (query, values, json.dumps(plan))
    assert looked[0] > 50  # it does count


def read(node: dict[str, Any]) -> float:
    """Rows of tables and their indexes that a plan has looked at."""
    own = (
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] * ("Relation Name" in node)
    )
    return own + sum(map(read, node.get("Plans", ())))


@pytest.mark.parametrize(
    "typed", ["orders-eu-wets", "ordres-eu-west", "orders-eu-wst", "xrders-eu-west", "orders-eu-west2"]
)
def test_a_mistyped_name_is_told_from_many(registry: str, typed: str) -> None:
    with psycopg.connect(registry, autocommit=True) as connection:
        desk = Desk(connection)
        register(
            connection, ["orders-eu-west", *(f"{word}-{each}" for word in ("orders", "users") for each in range(900))]
        )
        register(connection, ["orders-eu-wets"], to="elsewhere")
        with desk.work() as work, pytest.raises(NotThere) as refused:
            databases.one(work, typed)
        assert "Did you mean orders-eu-west?" in refused.value.cause


def test_grams_follow_the_names(each_desk: Desk) -> None:
    connection = each_desk.connection
    register(connection, ["aaaaaa", "Ärger", "x", "yy", "one", "two", "漢字"])
    register(connection, ["one"], to="elsewhere")
    assert grams(connection) == expected(connection) != Counter()
    for statement in (
        "UPDATE platform.databases SET name = 'Renamed', name_key = 'forged' WHERE name = 'two'",
        "UPDATE platform.databases SET name = upper(name), status = 'error'",
        "UPDATE platform.databases SET name = name || name_key WHERE name = 'AAAAAA'",
        """INSERT INTO platform.databases (project_id, name, type, host, port, connection_string)
           SELECT project_id, name, type, host, port, connection_string FROM platform.databases
           ON CONFLICT (project_id, name) DO UPDATE SET name = EXCLUDED.name || '-again'""",
        f"UPDATE platform.databases SET project_id = '{made('blog')}' WHERE name ~ 'YY'",
        "SELECT platform.update_database_health(id, 'healthy', NULL) FROM platform.databases",
        "DELETE FROM platform.databases WHERE name ~ 'X'",
        f"DELETE FROM platform.projects WHERE id = '{made('blog')}'",
        f"DELETE FROM platform.organizations WHERE id = '{made('other')}'",
        "DROP TABLE platform.database_grams",
        "TRUNCATE platform.databases CASCADE",
    ):  # fmt: skip
        connection.execute(statement.encode())
        if statement.startswith("DROP"):
            connection.execute((FOLDER / NAMED).read_bytes())
        if "CASCADE" not in statement:
            assert connection.execute("SELECT count(*) FROM platform.databases").fetchone() != (0,)
        assert grams(connection) == expected(connection), statement
    assert not grams(connection)


def test_009_fills_in_what_was_there_before_it(every_server: TestServer) -> None:
    url = every_server.create_database()
    run(url, *NINE, KEYS)
    with psycopg.connect(url, autocommit=True) as connection:
        people(connection)
        register(connection, ["Before", "it", "Früher"])
        for names in ((NAMED,), (NAMED,), (CHAIN,), (NAMED_BACK, NAMED)):
            run(url, *names)
            assert grams(connection) == expected(connection) != Counter()
    every_server.drop_database(url)


def test_grams_are_the_organizations_own_and_nobody_writes_them(every_server: TestServer) -> None:
    url = every_server.create_database()
    run(url, *NINE)
    with psycopg.connect(url, autocommit=True) as connection:
        three_organizations(connection)
    run(url, *(each for each in FILES if each > KEYS[:3]))
    with logins(every_server, database_of(url)) as urls:
        for role in ("lancio_application", "lancio_service", "lancio_readonly"):
            with psycopg.connect(urls[role], autocommit=True) as connection:
                assert connection.execute("SELECT * FROM platform.database_grams").fetchall() == []
                heard: list[str] = []
                connection.add_notice_handler(lambda notice, to=heard: to.append(notice.message_primary or ""))
                with connection.transaction():
                    set_context(connection, OWN.user, OWN.id)
                    connection.execute(
                        "CREATE FUNCTION pg_temp.told(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0001"
                        " AS $$ BEGIN RAISE NOTICE '%', value; RETURN true; END $$"
                    )
                    seen = connection.execute(
                        "SELECT DISTINCT organization_id, database_id FROM platform.database_grams g"
                        " WHERE pg_temp.told(g::text)"
                    ).fetchall()
                    assert seen == [(OWN.id, OWN.row("databases"))]
                    assert heard
                    assert not any(str(FOREIGN_ORGANIZATION.id) in each for each in heard)
                    for statement in (
                        f"INSERT INTO platform.database_grams VALUES ('{OWN.id}', 1, 'x', '{OWN.id}')",
                        "UPDATE platform.database_grams SET gram = 1",
                        "DELETE FROM platform.database_grams",
                        "TRUNCATE platform.database_grams",
                        "SELECT platform_private.name_grams('abc')",
                        """CREATE TEMPORARY TABLE mine (id uuid, organization_id uuid, name_key bytea);
                           CREATE TRIGGER t AFTER DELETE ON mine FOR EACH ROW
                           EXECUTE PROCEDURE platform_private.keep_database_grams()""",
                    ):  # fmt: skip
                        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                            connection.execute(statement.encode())
        # What a program may do to its databases it may still do.
        with psycopg.connect(urls["lancio_service"], autocommit=True) as connection, connection.transaction():
            set_context(connection, OWN.user, OWN.id)
            connection.execute("UPDATE platform.databases SET name = 'Another'")
            left = connection.execute("SELECT DISTINCT name_key FROM platform.database_grams").fetchall()
            assert left == [(b"another",)]
            connection.execute("DELETE FROM platform.databases")
            assert connection.execute("SELECT * FROM platform.database_grams").fetchall() == []
    with psycopg.connect(url, autocommit=True) as connection:
        assert grams(connection) == expected(connection) != Counter()
    every_server.drop_database(url)


@pytest.mark.parametrize("flags", [(), ("--disable-triggers",), ("--table=platform.databases",)])
def test_a_restore_of_rows_alone_has_the_grams(
    server: TestServer, registry: str, registry_template: str, flags: tuple[str, ...]
) -> None:
    with psycopg.connect(registry, autocommit=True) as connection:
        register(connection, ["Restored", "rows"])
        stood = grams(connection)
        assert stood == expected(connection)
    dump = _dump(server, database_of(registry), "--data-only", *(flags or ("--table=platform.database*",)))
    target = server.create_database(template=registry_template)
    with psycopg.connect(target, autocommit=True) as connection:
        if flags == ("--disable-triggers",):
            tables = connection.execute(
                "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
                " WHERE schemaname ~ '^platform'"
            ).fetchone()
            assert tables is not None
            connection.execute("SET session_replication_role = replica")
            connection.execute(f"TRUNCATE {tables[0]}".encode())
        else:
            connection.execute("TRUNCATE platform.databases CASCADE")
        done = run_psql(target, sql=dump, stop_on_error=True)
        assert done.returncode == 0, done.stderr
        assert grams(connection) == stood
    server.drop_database(target)
