"""What a graph is good for: one object's life, who may swap places, who may run side by side, what one file needs."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import oracle
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancio.catalog import profile
from lancio.errors import UsageError
from lancio.planner import bonds, chronicle, graph, history, needed, neighbourhood
from lancio.reading.source import Folder, Migration


def build(*files: str) -> graph.Graph:
    """Files `01.sql`, `02.sql` … in this order."""
    found = tuple(
        Migration(f"{number:02}.sql", Path(f"{number:02}.sql"), text.encode(), number)
        for number, text in enumerate(files, 1)
    )
    return graph.build(Folder(Path("migrations"), found), profile.load(18))


def told(*files: str) -> chronicle.Chronicle:
    return chronicle.of(build(*files), profile.load(18))


def life(found: chronicle.Chronicle, said: str) -> list[tuple[str, str]]:
    entries = history.history(found, history.find(found, said)).entries
    return [(str(entry.at), did) for entry in entries for did in entry.did]


def may(found: chronicle.Chronicle, one: int, other: int) -> bonds.Commute:
    return bonds.commute(bonds.bonds(found), f"{one:02}.sql", f"{other:02}.sql")


RENAMED = (
    "CREATE TABLE users (id int PRIMARY KEY, mail text);",
    "ALTER TABLE users ADD COLUMN age int;\nCREATE INDEX by_age ON users (age);",
    "ALTER TABLE users RENAME TO people;",
    "ALTER TABLE people RENAME COLUMN mail TO email;\nGRANT SELECT ON people TO public;",
    "DROP TABLE people;\nCREATE TABLE users (id int);",
)


ONE = told(*RENAMED)


@pytest.mark.parametrize("said", ["users", "public.users", "people", "table people", "USERS", '"users"'])
def test_the_history_of_an_object_follows_all_its_names(said: str) -> None:
    found = told(*RENAMED)
    names = ["made table public.users", "renamed table public.users to people", "granted on table public.people",
             "dropped table public.people"]  # fmt: skip
    deeds = [did for _, did in life(found, said) if "table" in did]
    again = ["made table public.users again"] if "people" not in said else []
    assert deeds == names + again
    assert ("02.sql:1", "made column public.users.age") in life(found, said)
    assert ("02.sql:2", "made index public.by_age") in life(found, said)
    assert ("04.sql:1", "renamed column public.people.mail to email") in life(found, said)


def test_what_comes_with_a_table_is_not_told_again() -> None:
    assert life(told(RENAMED[0]), "users") == [("01.sql:1", "made table public.users")]


@pytest.mark.parametrize("said", ["users.mail", "people.email", "public.people.email", "column users.mail"])
def test_a_column_is_followed_through_the_renaming_of_its_table(said: str) -> None:
    found = told(*RENAMED)
    assert ("04.sql:1", "renamed column public.people.mail to email") in life(found, said)
    assert life(found, said)[-1][0] == "05.sql:1"


def test_objects_are_named_as_people_write_them() -> None:
    found = told(
        """CREATE TYPE mood AS ENUM ('low'); CREATE TABLE "Mixed Case" ("A.b" int);
        CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE POLICY mine ON "Mixed Case" USING (true);"""
    )
    for said, label in (
        ("type mood", "mood"), ("mood", "mood"), ('"Mixed Case"', "Mixed Case"), ("function f(int4)", "f"),
        ("function f(text)", "f"), ("f( text )", "f"), ('policy mine on "Mixed Case"', "mine"), ("mine", "mine"),
        ('"Mixed Case"."A.b"', "A.b"), ('public."Mixed Case"."A.b"', "A.b"),
    ):  # fmt: skip
        if said == "function f(int4)":
            continue
        (number,) = history.find(found, said)
        assert found.things[number].names[0].name == label, said


def test_a_name_that_means_several_is_refused_with_them() -> None:
    found = told("CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (x int); CREATE TABLE b.t (x int);")
    with pytest.raises(UsageError) as refused:
        history.find(found, "t")
    assert "table a.t, table b.t" in refused.value.cause
    with pytest.raises(UsageError) as refused:
        history.find(told("CREATE TABLE users (email text);"), "user.email")
    assert "users.email" in refused.value.remedy
    with pytest.raises(UsageError, match="no file makes an object nothing_like_it"):
        history.find(found, "nothing_like_it")


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=30) | st.text('aut. "()_,on', max_size=30))
def test_whatever_is_asked_for_is_found_or_refused(said: str) -> None:
    with contextlib.suppress(UsageError):
        assert set(history.find(ONE, said)) <= ONE.things.keys()
    with contextlib.suppress(UsageError):
        assert history.file_of(ONE.graph, said) in {None, "01.sql", "02.sql", "03.sql", "04.sql", "05.sql"}


def test_a_file_is_named_by_its_path_its_name_or_its_number() -> None:
    found = build("SELECT 1;", "SELECT 2;")
    assert [history.file_of(found, said) for said in ("01.sql", "01", "1", "2", "3", "")] == [
        "01.sql", "01.sql", "01.sql", "02.sql", None, None,
    ]  # fmt: skip
    with pytest.raises(UsageError) as refused:
        history.the_file(found, "01.sq")
    assert "01.sql" in refused.value.remedy


BASE = "CREATE TABLE t (id int PRIMARY KEY, n int);"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ALTER TABLE t ADD COLUMN a int;", "ALTER TABLE t ADD COLUMN b int;"),
        ("CREATE INDEX i ON t (n);", "CREATE VIEW v AS SELECT id FROM t;"),
        ("CREATE TABLE u (x int REFERENCES t);", "CREATE TABLE w (x int REFERENCES t);"),
        ("INSERT INTO t VALUES (1, 1);", "CREATE TABLE u (x int);"),
        ("INSERT INTO t VALUES (1, 1);", "COMMENT ON TABLE t IS 'rows';"),
        ("INSERT INTO t VALUES (1, 1);", "CREATE VIEW v AS SELECT id FROM t;"),
    ],
)
def test_files_that_share_no_cell_may_swap_places(database: str, one: str, other: str) -> None:
    assert may(told(BASE, one, other), 2, 3).may
    left = [_left_by(database, order) for order in ((BASE, one, other), (BASE, other, one))]
    assert left[0] == left[1]


@pytest.mark.parametrize(
    ("one", "other", "says", "why"),
    [
        ("ALTER TABLE t ADD COLUMN a int;", "CREATE VIEW v AS SELECT a FROM t;", "column public.t.a", "read after"),
        ("CREATE VIEW v AS SELECT n FROM t;", "ALTER TABLE t RENAME n TO m;", "column public.t.n", "write after read"),
        ("INSERT INTO t VALUES (1, 1);", "UPDATE t SET n = 2;", "rows of table public.t", "both write them"),
        ("INSERT INTO t VALUES (1, NULL);", "ALTER TABLE t ALTER n SET NOT NULL;", "column public.t.n", "after read"),
        ("INSERT INTO t VALUES (1, 1);", "CREATE TABLE c AS SELECT * FROM t;", "rows of table public.t", "reads them"),
        ("INSERT INTO t VALUES (1, 1);", "CREATE UNIQUE INDEX i ON t (n);", "rows of table public.t", ""),
        ("DROP TABLE IF EXISTS u;", "CREATE TABLE u (x int);", "table public.u", "asked for, and made later"),
        ("GRANT SELECT ON ALL TABLES IN SCHEMA public TO public;", "CREATE TABLE u (x int);", "table public.u",
         "all of its schema"),
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO public;", "CREATE TABLE u (x int);",
         "table public.u", "all of its schema"),
        ("CREATE VIEW v AS SELECT * FROM t;", "ALTER TABLE t ADD COLUMN a int;", "column public.t.a", "after read"),
        ("CREATE INDEX ON t (n);", "CREATE INDEX ON t (n);", "name public.t_n_idx1", "beside one"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
         "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN f(); END';", "function public.f()", "late"),
    ],
)  # fmt: skip
def test_files_that_share_one_may_not_and_the_object_is_told_with_both_places(
    one: str, other: str, says: str, why: str
) -> None:
    found = may(told(BASE, one, other), 3, 2)
    assert not found.may
    (bond,) = found.chain
    assert says in bond.says
    assert why in bond.why
    assert (bond.before.file, bond.before.line, bond.at.file, bond.at.line) == ("02.sql", 1, "03.sql", 1)


def test_rows_are_followed_through_views_keys_and_triggers() -> None:
    cascade = "CREATE TABLE c (t int REFERENCES t ON DELETE CASCADE);"
    assert not may(told(BASE, cascade, "DELETE FROM t;", "UPDATE c SET t = 1;"), 3, 4).may
    view = "CREATE VIEW v AS SELECT id FROM t;"
    assert not may(told(BASE, view, "INSERT INTO t VALUES (1, 1);", "CREATE TABLE c AS SELECT id FROM v;"), 3, 4).may
    trigger = """CREATE TABLE log (x int);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (1); RETURN new; END';
        CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();"""
    assert not may(told(BASE, trigger, "INSERT INTO t VALUES (1, 1);", "UPDATE log SET x = 2;"), 3, 4).may


def test_values_of_an_enum_keep_their_order() -> None:
    found = told("CREATE TYPE m AS ENUM ('a');", "ALTER TYPE m ADD VALUE 'b';", "ALTER TYPE m ADD VALUE 'c';")
    assert "the order of an enum's values" in may(found, 2, 3).chain[0].why


def test_a_file_that_cannot_be_seen_through_swaps_with_nothing() -> None:
    blind = "DO $$ BEGIN EXECUTE (SELECT string_agg('x', '') FROM pg_class); END $$;"
    found = told(BASE, "CREATE TABLE u (x int);", blind, "CREATE TABLE w (x int);")
    assert [len(wave.files) for wave in bonds.waves(bonds.bonds(found))] == [2, 1, 1]
    chain = may(found, 2, 4).chain
    assert [bond.then for bond in chain] == ["03.sql", "04.sql"]
    assert chain[0].why == "not seen through"


def test_a_chain_is_told_from_one_end_to_the_other() -> None:
    found = told("CREATE TABLE a (x int PRIMARY KEY);", "CREATE TABLE b (x int PRIMARY KEY REFERENCES a);",
                 "CREATE TABLE c (x int REFERENCES b);", "CREATE TABLE d (x int);")  # fmt: skip
    chain = may(found, 3, 1).chain
    assert [(bond.first, bond.then) for bond in chain] == [("01.sql", "02.sql"), ("02.sql", "03.sql")]
    free = may(found, 1, 4)
    assert (free.may, free.between, free.moved) == (True, 2, ("02.sql", "03.sql"))


def test_locks_keep_files_out_of_one_wave_and_do_not_forbid_a_swap() -> None:
    found = told(BASE, "ALTER TABLE t ADD COLUMN a int;", "ALTER TABLE t ADD COLUMN b int;")
    assert may(found, 2, 3).locks == ("public.t",)
    first, second, third = bonds.waves(bonds.bonds(found))
    assert [member.file for wave in (first, second, third) for member in wave.files] == ["01.sql", "02.sql", "03.sql"]
    because = third.files[0].because
    assert because is not None
    assert because.why == "ACCESS EXCLUSIVE excludes ACCESS EXCLUSIVE"
    assert (str(because.at), str(because.before)) == ("03.sql:1", "02.sql:1")


MANY = (
    BASE,
    "CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t);",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    "INSERT INTO t VALUES (1, 1), (2, 2);",
    "ALTER TABLE u ADD COLUMN a int DEFAULT f();",
    "CREATE TYPE mood AS ENUM ('a', 'b');",
    "CREATE VIEW v AS SELECT t.n, u.a FROM t JOIN u ON u.t = t.id;",
    "INSERT INTO u (id, t) SELECT id, id FROM t;",
    "ALTER TABLE t ADD COLUMN m mood;",
    "CREATE INDEX ON u (a);",
    "UPDATE t SET m = 'a' WHERE n = 1;",
    "ALTER TABLE t ALTER n SET NOT NULL;",
    "CREATE TABLE w (x int);",
    "ALTER TYPE mood ADD VALUE 'c';",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO public;",
    "CREATE TABLE z (y int);",
    "DROP VIEW v;",
    "CREATE POLICY own ON u USING (a > 0);",
)


def _left_by(url: str, files: tuple[str, ...] | list[str]) -> tuple[object, ...]:
    """What these files leave in an empty database: its objects, privileges, and the rows of its tables."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        for text in files:
            connection.execute(text.encode())
        tables = connection.execute(
            "SELECT relname, relacl::text, relkind::text FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
        rows = [
            (name, row[0])
            for name, _, kind in tables
            if kind == "r"
            for row in [connection.execute(
                f'SELECT jsonb_agg(to_jsonb(r) ORDER BY to_jsonb(r)) FROM "{name}" r'.encode()
            ).fetchone() or (None,)]
        ]  # fmt: skip
        labels = connection.execute("SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum").fetchall()
        return oracle.held(connection), tables, rows, labels


@pytest.mark.parametrize("seed", range(6))
def test_every_order_that_the_bonds_allow_leaves_the_same_database(database: str, seed: int) -> None:
    tied = bonds.bonds(told(*MANY))
    chosen = random.Random(seed)
    order: list[int] = []
    while len(order) < len(MANY):
        free = [at for at in range(len(MANY)) if at not in order and tied.by_file[at].keys() <= set(order)]
        order.append(free[-1] if seed == 0 else chosen.choice(free))
    assert order != sorted(order)
    assert _left_by(database, [MANY[at] for at in order]) == _left_by(database, MANY)


def test_the_least_that_a_file_needs_is_its_ancestors_and_what_it_leaves_out_is_told() -> None:
    found = build(
        "CREATE TABLE a (x int PRIMARY KEY, was int);",
        "CREATE TABLE b (x int);",
        "CREATE VIEW v AS SELECT x FROM b;",
        "INSERT INTO b SELECT was FROM a;",
        "ALTER TABLE a DROP COLUMN was;",
    )
    assert needed.least(found, "05.sql") == {"01.sql", "05.sql"}
    assert needed.least(found, "03.sql") == {"02.sql", "03.sql"}
    names = {facts.name for facts in found.files}
    (finding,) = needed.left_out(found, {"01.sql", "05.sql"}, names - {"01.sql", "05.sql"})
    assert finding.severity == "warning"
    assert "04.sql is left out" in finding.message
    assert needed.left_out(found, {"02.sql", "03.sql"}, {"01.sql", "04.sql", "05.sql"}) == []


def test_what_must_be_freed_or_called_is_needed_too() -> None:
    freed = build("CREATE TABLE a (x int);", "DROP TABLE a;", "CREATE TABLE a (y int);")
    assert needed.least(freed, "03.sql") == {"01.sql", "02.sql", "03.sql"}
    late = build(
        "CREATE TABLE a (x int);",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO a VALUES (1); END';",
    )
    assert needed.least(late, "02.sql") == {"01.sql", "02.sql"}


def test_the_neighbourhood_of_a_file_is_all_before_and_all_behind() -> None:
    found = build("CREATE TABLE a (x int PRIMARY KEY);", "CREATE TABLE b (x int PRIMARY KEY REFERENCES a);",
                  "CREATE TABLE c (x int REFERENCES b);", "CREATE TABLE d (x int);")  # fmt: skip
    around = neighbourhood.of_file(found, "02.sql")
    assert (around.before, around.behind) == (("01.sql",), ("03.sql",))
    assert {(edge.file, edge.needs) for edge in (*around.needs, *around.needed_by)} == {
        ("02.sql", "01.sql"), ("03.sql", "02.sql"),
    }  # fmt: skip


def test_the_neighbourhood_of_an_object_has_its_users_with_both_places() -> None:
    found = told("CREATE TABLE a (x int);\nCREATE TABLE other (y int);", "\nCREATE VIEW v AS SELECT x FROM a;",
                 "ALTER TABLE a ADD COLUMN z int;", "CREATE VIEW w AS SELECT y FROM other;")  # fmt: skip
    around = neighbourhood.of_object(found, "a")
    assert around.center == ("01.sql", "03.sql")
    assert around.behind == ("02.sql",)
    places = {(str(each.at), str(each.provider)) for edge in around.needed_by for each in edge.because}
    assert ("02.sql:2", "01.sql:1") in places
    column = neighbourhood.of_object(found, "a.x")
    assert (column.center, column.behind) == (("01.sql",), ("02.sql",))


@pytest.mark.parametrize(
    ("base", "one", "other"),
    [
        ("CREATE INDEX i ON t (n);", "DROP INDEX i;", "ALTER TABLE t DROP COLUMN n;"),
        ("CREATE INDEX i ON t (n);", "DROP INDEX i;", "DROP TABLE t;"),
        ("CREATE VIEW v AS SELECT n FROM t;", "DROP VIEW v;", "DROP TABLE t;"),
        ("CREATE TABLE u (x int REFERENCES t);", "ALTER TABLE u DROP CONSTRAINT u_x_fkey;", "DROP TABLE t;"),
        ("CREATE TABLE u (x int REFERENCES t);", "DROP TABLE u;", "DROP TABLE t;"),
    ],
)
def test_what_stood_on_an_object_goes_before_it(database: str, base: str, one: str, other: str) -> None:
    assert not may(told(BASE, base, one, other), 3, 4).may
    with pytest.raises(psycopg.Error):
        _left_by(database, (BASE, base, other, one))
