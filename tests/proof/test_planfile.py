"""A plan that was kept is run only where nothing has changed since."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.executor import fingerprint, planfile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lancio.proof import scratch

BASE = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE parent (id serial PRIMARY KEY, name text, amount integer DEFAULT 1, at timestamptz);
CREATE TABLE child (id integer, parent integer);
CREATE TABLE measured (at date) PARTITION BY RANGE (at);
CREATE VIEW shown AS SELECT id, name FROM parent;
CREATE MATERIALIZED VIEW kept AS SELECT id FROM parent;
CREATE FUNCTION twice(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x * 2';
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE SEQUENCE numbers;
CREATE INDEX parent_name ON parent (name);
"""

pytestmark = pytest.mark.embedded

CHANGES = {
    "a table added": ("CREATE TABLE added (id integer)", "relation public.added"),
    "a table dropped": ("DROP TABLE child; ", "relation public.child"),
    "a column added": ("ALTER TABLE parent ADD COLUMN more text", "column public.parent.more"),
    "a column dropped": ("ALTER TABLE parent DROP COLUMN at", "column public.parent.at"),
    "a column's type": ("ALTER TABLE parent ALTER amount TYPE bigint", "column public.parent.amount"),
    "a column nullable or not": ("ALTER TABLE parent ALTER id DROP DEFAULT; ALTER TABLE parent ALTER name SET NOT NULL",
                                 "column public.parent.name"),
    "a column's default": ("ALTER TABLE parent ALTER amount SET DEFAULT 2", "column public.parent.amount"),
    "a column renamed": ("ALTER TABLE parent RENAME amount TO sum", "column public.parent.sum"),
    "an index added": ("CREATE INDEX parent_amount ON parent (id, name)", "index public.parent_amount"),
    "an index with other columns": ("DROP INDEX parent_name; CREATE INDEX parent_name ON parent (name, id)",
                                    "index public.parent_name"),
    "a constraint": ("ALTER TABLE parent ADD CONSTRAINT short CHECK (length(name) < 9)",
                     "constraint public.parent short"),
    "a constraint validated": ("ALTER TABLE parent ADD CONSTRAINT later CHECK (id > 0) NOT VALID",
                               "constraint public.parent later"),
    "a view's text": ("CREATE OR REPLACE VIEW shown AS SELECT id, upper(name) AS name FROM parent",
                      "view public.shown"),
    "a materialized view": ("DROP MATERIALIZED VIEW kept", "relation public.kept"),
    "a function's body": (
        "CREATE OR REPLACE FUNCTION twice(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x + x'",
        "routine public.twice"),
    "a function's volatility": ("ALTER FUNCTION twice(integer) IMMUTABLE", "routine public.twice"),
    "a trigger": ("CREATE TRIGGER touch BEFORE UPDATE ON parent FOR EACH ROW EXECUTE PROCEDURE touched()",
                  "trigger public.parent touch"),
    "a trigger disabled": ("ALTER TABLE parent DISABLE TRIGGER touch", "trigger public.parent touch"),
    "a rule": ("CREATE RULE quiet AS ON DELETE TO parent DO INSTEAD NOTHING", "rule public.parent quiet"),
    "a policy": ("CREATE POLICY own ON parent USING (id > 0)", "policy public.parent own"),
    "row security": ("ALTER TABLE parent ENABLE ROW LEVEL SECURITY", "relation public.parent"),
    "a grant": ("GRANT SELECT ON parent TO PUBLIC", "grant relation public.parent to public"),
    "a grant on a column": ("GRANT UPDATE (name) ON parent TO PUBLIC", "grant column public.parent.name to public"),
    "a default grant": ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", "default grant postgres r"),
    "an enum's label": ("ALTER TYPE mood ADD VALUE 'fair'", "type public.mood"),
    "a domain's check": ("ALTER DOMAIN positive ADD CHECK (VALUE < 10)", "constraint public.positive"),
    "an extension": ("CREATE EXTENSION pgcrypto", "extension pgcrypto"),
    "a sequence": ("ALTER SEQUENCE numbers INCREMENT 5", "sequence public.numbers"),
    "a schema": ("CREATE SCHEMA elsewhere", "schema elsewhere"),
    "a comment": ("COMMENT ON TABLE parent IS 'said'", "comment table public.parent"),
    "a partition": ("CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
                    "inheritance public.measured_1"),
    "a publication": ("CREATE PUBLICATION told FOR TABLE child2", "publication told"),
    "a cast": ("CREATE CAST (mood AS integer) WITH INOUT", "cast (public.mood AS integer)"),
    "text search": ("CREATE TEXT SEARCH CONFIGURATION words (COPY = simple)", "text search configuration public.words"),
    "a foreign server": ("CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far", "server away"),
    "statistics": ("CREATE STATISTICS together ON id, name FROM parent", "statistics together"),
}  # fmt: skip


WHOLE = ("a table added", "a column dropped", "a column's type", "a column's default", "a constraint", "a view's text",
         "a function's body", "a policy", "a grant", "an enum's label", "an extension", "a sequence")  # fmt: skip
"""Of these kinds both commands run whole; of all of them with LANCIO_PROOF=1."""


def lancio(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def said(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def changing(memory, tmp_path_factory) -> tuple[str, str]:
    """A database that changes from one test to the next, and a folder with a file to run in it."""
    folder = tmp_path_factory.mktemp("kept") / "migrations"
    folder.mkdir()
    (folder / "001.sql").write_text("CREATE TABLE run_here (id integer);")
    url = url_of(memory, memory.create())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BASE)
        connection.execute("CREATE TABLE child2 ()")
    return url, str(folder)


@pytest.fixture
def database(memory: scratch.Scratch) -> Iterator[str]:
    """An empty database in memory, where making one takes a tenth of the time."""
    name = memory.create()
    yield url_of(memory, name)
    memory.drop(name)


def url_of(server: scratch.Scratch, name: str) -> str:
    parts = conninfo_to_dict(server.conninfo)
    return f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/{name}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "migrations"
    found.mkdir()
    (found / "001.sql").write_text("CREATE TABLE one (id integer);")
    (found / "002.sql").write_text("CREATE TABLE two (id integer);")
    return found


def password(server: scratch.Scratch) -> str:
    return str(conninfo_to_dict(server.conninfo)["password"])


def there(url: str, table: str) -> bool:
    with psycopg.connect(url) as connection:
        return bool(connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()[0])


@pytest.mark.parametrize("what", list(CHANGES))
def test_a_plan_is_refused_and_the_object_named_after_a_change_of(what, changing, tmp_path):
    url, folder = changing
    path = str(tmp_path / "plan.json")
    whole = what in WHOLE or os.environ.get("LANCIO_PROOF") == "1"
    if whole:
        assert lancio("plan", folder, "--save", path, "--database", url)[0] == 0
    statement, name = CHANGES[what]
    with psycopg.connect(url, autocommit=True) as connection:
        before = planfile.objects(fingerprint.take(connection))
        for each in statement.split("; "):
            if each.strip():
                connection.execute(each)
        after = planfile.objects(fingerprint.take(connection))
    differ = [each for each in before.keys() | after.keys() if before.get(each) != after.get(each)]
    assert any(each.startswith(name) for each in differ), differ
    if not whole:
        return
    status, out, err = lancio("apply", "--plan", path, "--database", url, "--yes", "--no-backup", "--json")
    assert status == 3, err
    changes = json.loads(out)["error"]["changes"]
    assert any(each.startswith(name) for each in changes), changes
    assert not there(url, "run_here")


def test_a_plan_is_run_where_nothing_changed_and_rows_are_no_change(database, folder, tmp_path):
    path = str(tmp_path / "plan.json")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id integer)")
        assert lancio("plan", str(folder), "--to", "001.sql", "--save", path, "--database", database)[0] == 0
        connection.execute("INSERT INTO t VALUES (1)")
    lancio("backup", "note", "--at", "now", "--where", "x", "--database", database)
    status, out, err = lancio("apply", "--plan", path, "--database", database, "--yes")
    assert (status, err) == (0, ""), out + err
    assert there(database, "one")
    assert not there(database, "two")  # the plan was of the first file
    status, out, err = lancio("apply", "--plan", path, "--database", database, "--yes")
    assert status == 3
    assert "in the ledger, 001.sql is new" in said(err)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda folder: (folder / "001.sql").write_text("CREATE TABLE three (id integer);"), "file 001.sql changed"),
        (lambda folder: (folder / "003.sql").write_text("SELECT 1;"), "file 003.sql is new"),
        (lambda folder: (folder / "002.sql").unlink(), "file 002.sql is gone"),
        (lambda folder: (folder / "001.sql").rename(folder / "009.sql"), "file 009.sql is new"),
    ],
)
def test_a_plan_of_other_files_is_refused(database, folder, tmp_path, edit, told):
    path = str(tmp_path / "plan.json")
    assert lancio("plan", str(folder), "--save", path, "--database", database)[0] == 0
    edit(folder)
    status, _, err = lancio("apply", "--plan", path, "--database", database, "--yes")
    assert status == 3
    assert told in said(err)
    assert not there(database, "one")
    assert not there(database, "three")


def test_a_plan_for_another_database_is_refused(memory, database, folder, tmp_path):
    path = str(tmp_path / "plan.json")
    lancio("plan", str(folder), "--save", path, "--database", database)
    other = url_of(memory, memory.create())
    status, _, err = lancio("apply", "--plan", path, "--database", other, "--yes")
    assert status == 3
    assert "another database" in said(err)
    assert password(memory) not in err


def test_a_kept_plan_holds_no_secret_and_no_definition(memory, database, folder, tmp_path):
    path = tmp_path / "plan.json"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT 'hidden-in-a-body'$$")
    lancio("plan", str(folder), "--save", str(path), "--database", database)
    text = path.read_text(encoding="utf-8")
    assert password(memory) not in text
    assert "hidden-in-a-body" not in text
    assert "routine public.f()" in text


def test_the_same_plan_kept_twice_has_one_hash(database, folder, tmp_path):
    hashes = set()
    for name in ("a", "b"):
        lancio("plan", str(folder), "--save", str(tmp_path / name), "--database", database)
        hashes.add(json.loads((tmp_path / name).read_text())["hash"])
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no plan"),
        ("[]", "is no plan"),
        ("{}", "is no plan"),
        ('{"lancio_plan": 99}', "another format"),
        ('{"lancio_plan": 1, "choice": 3}', "is no plan"),
        ("\x00\xff", "is no plan"),
    ],
)
def test_what_is_no_plan_is_told_so(database, tmp_path, text, told):
    path = tmp_path / "plan.json"
    path.write_text(text, encoding="latin-1")
    status, _, err = lancio("apply", "--plan", str(path), "--database", database)
    assert status == 2
    assert told in said(err)


def test_a_plan_that_was_edited_is_told_so(database, folder, tmp_path):
    path = tmp_path / "plan.json"
    lancio("plan", str(folder), "--save", str(path), "--database", database)
    path.write_text(path.read_text().replace('"minimal": false', '"minimal": true'))
    status, _, err = lancio("apply", "--plan", str(path), "--database", database)
    assert status == 2
    assert "changed by hand" in said(err)


def test_what_a_plan_says_itself_is_not_said_beside_it(database, folder, tmp_path):
    path = str(tmp_path / "plan.json")
    lancio("plan", str(folder), "--save", path, "--database", database)
    for words in (("--to", "001.sql"), ("--only", "001.sql"), ("--adopt",), ("--order", "graph")):
        status, _, err = lancio("apply", "--plan", path, *words, "--database", database)
        assert status == 2
        assert words[0] in err


def test_a_plan_that_cannot_be_written_is_told_so(database, folder, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = lancio("plan", str(folder), "--save", str(tmp_path / "file" / "x"), "--database", database)
    assert status == 2
    assert "cannot be written" in said(err)
