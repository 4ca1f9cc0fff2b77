"""A backup is made, proved, kept from others' eyes, and gives back what a destructive step took away."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.errors import EmbeddedError
from lancio.executor import fingerprint, ledger
from lancio.proof import dump, programs
from lancio.proof.programs import BackupFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.proof import scratch

pytestmark = pytest.mark.embedded

ALL = os.environ.get("LANCIO_PROOF") == "1"

BASE = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE parent (
    id serial PRIMARY KEY, name text NOT NULL, mood mood DEFAULT 'good', amount numeric(10, 2), doc jsonb,
    at timestamptz DEFAULT '2026-01-01 12:00+01', raw bytea, half double precision, CHECK (length(name) < 100)
);
COMMENT ON COLUMN parent.name IS 'as people say it';
CREATE INDEX parent_name ON parent (lower(name));
CREATE TABLE child (
    id bigint GENERATED ALWAYS AS IDENTITY, parent integer REFERENCES parent ON DELETE CASCADE, twice integer
);
CREATE TABLE grandchild (id integer PRIMARY KEY, parent integer REFERENCES parent);
CREATE TABLE apart (id integer PRIMARY KEY, word text);
CREATE TABLE measured (at date, value integer) PARTITION BY RANGE (at);
CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE measured_2 PARTITION OF measured FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
CREATE INDEX measured_at ON measured (at);
CREATE VIEW shown AS SELECT id, name, amount FROM parent;
CREATE VIEW shown_again AS SELECT * FROM shown;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS many FROM parent;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := NEW.name || ''!''; RETURN NEW; END';
CREATE FUNCTION twice(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x * 2';
CREATE TRIGGER touch BEFORE INSERT ON parent FOR EACH ROW EXECUTE PROCEDURE touched();
ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON parent USING (name <> 'secret');
GRANT SELECT ON parent TO PUBLIC;
CREATE SCHEMA side;
CREATE TABLE side.t (id integer PRIMARY KEY);
CREATE FUNCTION side.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
INSERT INTO side.t VALUES (1), (2);
CREATE PUBLICATION told FOR TABLE apart;
CREATE STATISTICS together ON id, word FROM apart;
INSERT INTO parent (name, amount, doc, raw, half)
    SELECT E'row\\t' || i || E'\\n\\\\.', i * 1.25, '{"a": [1, null]}', decode('00ff', 'hex'), i / 3.0
    FROM generate_series(1, 60) AS i;
INSERT INTO child (parent, twice) SELECT i, i * 2 FROM generate_series(1, 30) AS i;
INSERT INTO grandchild SELECT i, i FROM generate_series(1, 10) AS i;
INSERT INTO apart SELECT i, 'x' FROM generate_series(1, 20) AS i;
INSERT INTO measured SELECT '2026-06-01'::date + i, i FROM generate_series(1, 60) AS i;
REFRESH MATERIALIZED VIEW counted;
"""

STEPS = {
    "a column dropped": "DROP VIEW shown_again, shown; ALTER TABLE parent DROP COLUMN amount;",
    "a column dropped with what stands on it": "ALTER TABLE parent DROP COLUMN amount CASCADE;",
    "a table dropped": "DROP TABLE apart;",
    "a table dropped with all that hangs on it": "DROP TABLE parent CASCADE;",
    "a table of children dropped": "DROP TABLE child;",
    "rows deleted": "DELETE FROM parent WHERE id > 20;",
    "rows deleted with the rows of another table": "DELETE FROM parent WHERE id BETWEEN 20 AND 25;",
    "rows updated": "UPDATE parent SET name = 'gone', doc = NULL WHERE id > 5;",
    "rows truncated": "TRUNCATE apart;",
    "a type changed": "ALTER TABLE grandchild ALTER parent TYPE bigint; ALTER TABLE apart ALTER word TYPE varchar(10);",
    "an index dropped": "DROP INDEX parent_name;",
    "a constraint dropped and one made": "ALTER TABLE parent DROP CONSTRAINT parent_name_check, ADD CHECK (id > 0);",
    "a trigger and a policy dropped": "DROP TRIGGER touch ON parent; DROP POLICY own ON parent;",
    "row security": "ALTER TABLE parent DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON parent FROM PUBLIC;",
    "a column renamed": "ALTER TABLE parent RENAME doc TO document;",
    "a table renamed": "ALTER TABLE apart RENAME TO aside;",
    "a table moved": "CREATE SCHEMA elsewhere; ALTER TABLE apart SET SCHEMA elsewhere;",
    "a partition dropped": "DROP TABLE measured_2;",
    "a partitioned table dropped": "DROP TABLE measured;",
    "a view of another text": "CREATE OR REPLACE VIEW shown AS SELECT id, upper(name) AS name, amount FROM parent;",
    "a function of another body": "CREATE OR REPLACE FUNCTION twice(x integer) RETURNS integer"
    " LANGUAGE sql AS 'SELECT 0';",
    "a function dropped": "DROP FUNCTION twice(integer);",
    "a trigger's function dropped": "DROP FUNCTION touched() CASCADE;",
    "a label added": "ALTER TYPE mood ADD VALUE 'fair';",
    "new things beside": "CREATE TABLE fresh (id serial PRIMARY KEY, parent integer REFERENCES parent);"
    " ALTER TABLE apart ADD COLUMN more text DEFAULT 'x', ADD UNIQUE (word, id); UPDATE apart SET more = 'y';"
    " CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'; INSERT INTO fresh (parent) VALUES (1);",
    "a sequence": "DROP TABLE child; ALTER SEQUENCE parent_id_seq INCREMENT 7;",
    "rows of partitions": "UPDATE measured SET value = 0 WHERE at > '2026-06-20';"
    " DELETE FROM measured WHERE value = 2;",
    "a schema dropped": "DROP SCHEMA side CASCADE;",
    "a published table with statistics": "ALTER TABLE apart ALTER id TYPE bigint; UPDATE apart SET word = 'z';",
    "a DO block": "DO $$ BEGIN UPDATE apart SET word = 'z';"
    " EXECUTE 'ALTER TABLE grandchild ADD COLUMN c integer'; END $$;",
    "rights and comments": "GRANT USAGE ON SCHEMA side TO PUBLIC; REVOKE ALL ON FUNCTION twice(integer) FROM PUBLIC;"
    " COMMENT ON TABLE apart IS 'new'; COMMENT ON COLUMN apart.word IS 'new'; COMMENT ON COLUMN parent.name IS 'other';"
    " COMMENT ON SCHEMA side IS 'new';",
    "a materialized view": "DROP MATERIALIZED VIEW counted; DELETE FROM grandchild;",
}
SAMPLE = ("a column dropped", "a table dropped with all that hangs on it", "rows deleted", "rows updated",
          "a type changed", "a partitioned table dropped", "new things beside")  # fmt: skip
"""What is tried without LANCIO_PROOF=1."""


PASSWORDS = ["pass word'\"\\", "p@ss:w/ord?%20#", "-dpostgres --no", "geheim\tüß$HOME`id`"]


def lancio(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def said(text: str) -> str:
    return " ".join(text.split())


def url_of(server: scratch.Scratch, name: str) -> str:
    parts = conninfo_to_dict(server.conninfo)
    return f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/{name}"


@pytest.fixture(scope="module")
def model(memory: scratch.Scratch) -> str:
    """A database with all of BASE in it, recorded as applied; tests work on copies."""
    name = memory.create()
    with memory.connect(name) as connection:
        connection.execute(BASE)
    return name


@pytest.fixture
def live(memory: scratch.Scratch, model: str) -> Iterator[str]:
    name = memory.create(model)
    yield url_of(memory, name)
    memory.drop(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose first file is all that is there already."""
    found = tmp_path / "migrations"
    found.mkdir()
    (found / "001.sql").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def quick(memory: scratch.Scratch) -> tuple[str, str]:
    """Where backups are checked: a server that runs already."""
    return ("--scratch", memory.conninfo)


def state(url: str) -> tuple[set[tuple[str, ...]], dict[str, tuple[int, str]]]:
    with psycopg.connect(url, autocommit=True) as connection:
        facts = {tuple(each) for each in fingerprint.take(connection).facts}
        with connection.transaction():
            dump.pin(connection, connection.info.server_version)
            rows = {each.name: (each.rows, each.sum) for each in dump._sums(connection, None)}
    return facts, {name: found for name, found in rows.items() if not name.startswith("lancio.")}


def applied(url: str) -> set[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        return set(ledger.read(connection))


def backed(folder: Path, url: str, *words: str) -> str:
    """Make a backup and give its path."""
    path = str(folder.parent / "b.dump")
    status, out, err = lancio("backup", "make", str(folder), "--out", path, "--database", url, *words)
    assert status == 0, out + err
    return path


def adopted(folder: Path, url: str) -> None:
    status, out, err = lancio("adopt", str(folder), "--implied", "--yes", "--database", url)
    assert status == 0, out + err


def steps() -> list[str]:
    return list(STEPS if ALL else SAMPLE)


@pytest.mark.parametrize("what", steps())
def test_a_scoped_backup_gives_back_rows_and_catalog_after(what, folder, live, quick):
    adopted(folder, live)
    (folder / "002.sql").write_text(STEPS[what])
    path = backed(folder, live, *quick)
    before = state(live)
    status, out, err = lancio("apply", str(folder), "--database", live, "--yes")
    assert status == 0, out + err
    assert state(live) != before
    assert "002.sql" in applied(live)
    status, out, err = lancio("restore", path, "--database", live, "--yes")
    assert status == 0, out + err
    after = state(live)
    assert after[0] == before[0]
    assert after[1] == before[1]
    assert "002.sql" not in applied(live)
    status, out, err = lancio("apply", str(folder), "--database", live, "--yes")  # it may run again
    assert status == 0, out + err


def test_the_platforms_last_files_are_undone_by_their_backup(memory, quick, tmp_path):
    url = url_of(memory, memory.create())
    words = ("--platform", "--database", url)
    assert lancio("apply", *words, "--to", "005_create_audit_logs.sql", "--yes")[0] == 0
    before, path = state(url), str(tmp_path / "p.dump")
    to = ("--to", "006_register_railway_databases.sql")  # 007 touches all, and its backup is one of the whole database
    assert lancio("backup", "make", *words, *to, "--out", path, *quick)[0] == 0
    assert lancio("apply", *words, *to, "--yes")[0] == 0
    status, out, err = lancio("restore", path, "--database", url, "--yes")
    assert status == 0, out + err
    assert state(url) == before
    assert {name for name in applied(url) if name.startswith("006")} == set()
    assert lancio("apply", *words, *to, "--yes")[0] == 0


def test_a_plan_is_undone_only_in_the_database_that_it_was_run_in(memory, model, folder, live, quick):
    adopted(folder, live)
    (folder / "002.sql").write_text("TRUNCATE apart;")
    path = backed(folder, live, *quick)
    other = url_of(memory, memory.create(model))
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("TRUNCATE apart")
    status, _, err = lancio("restore", path, "--database", other, "--yes")
    assert status == 1
    assert "of another database" in said(err)
    assert lancio("restore", path, "--only", "public.apart", "--database", other, "--yes")[0] == 0
    assert state(other)[1]["public.apart"][0] == 20


def test_what_came_since_is_shown_and_a_sequence_never_goes_back(folder, live, quick):
    adopted(folder, live)
    (folder / "002.sql").write_text("DELETE FROM parent WHERE id > 58;")
    path = backed(folder, live, *quick)
    lancio("apply", str(folder), "--database", live, "--yes")
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("INSERT INTO parent (name) SELECT 'new' FROM generate_series(1, 5)")
    status, out, _ = lancio("restore", path, "--database", live, "--dry-run", "--json")
    assert status == 0
    seen = json.loads(out)
    assert {each["table"]: (each["now"], each["then"]) for each in seen["tables"]}["public.parent"] == (63, 60)
    assert seen["undone"] == ["002.sql"]
    status, out, _ = lancio("restore", path, "--database", live, "--dry-run")
    assert "At least 3 rows would be lost" in said(out)
    assert "inserted or changed since the backup would be lost, also where there are fewer now" in said(out)
    status, _, err = lancio("restore", path, "--database", live)  # nobody to be asked
    assert status == 2
    assert "--yes" in err
    assert lancio("restore", path, "--database", live, "--yes")[0] == 0
    with psycopg.connect(live, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM parent").fetchone()[0] == 60
        assert connection.execute("SELECT nextval('parent_id_seq')").fetchone()[0] == 66
        assert connection.execute("SELECT count(*) FROM parent WHERE name LIKE '%%!!'").fetchone()[0] == 0
    status, out, _ = lancio("restore", path, "--database", live, "--yes")
    assert (status, out) == (0, "Nothing is to be restored: all is as in the backup.\n")


def test_what_came_since_and_would_be_lost_is_a_refusal_that_names_it(folder, live, quick):
    adopted(folder, live)
    (folder / "002.sql").write_text("ALTER TABLE apart DROP COLUMN word;")
    path = backed(folder, live, *quick)
    lancio("apply", str(folder), "--database", live, "--yes")
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("CREATE VIEW made_since AS SELECT id FROM apart")
    before = state(live)
    status, _, err = lancio("restore", path, "--database", live, "--yes")
    assert status == 1
    assert "view public.made_since would be lost" in said(err)
    assert state(live) == before
    assert "002.sql" in applied(live)


def test_rows_that_hang_on_what_a_restore_takes_away_are_a_refusal_that_names_their_table(folder, live, quick):
    adopted(folder, live)
    (folder / "002.sql").write_text("UPDATE parent SET name = 'x' WHERE id = 1;")
    path = backed(folder, live, *quick)
    lancio("apply", str(folder), "--database", live, "--yes")
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("INSERT INTO parent (id, name) VALUES (1000, 'new')")
        connection.execute("INSERT INTO grandchild VALUES (1000, 1000)")
    before = state(live)
    status, _, err = lancio("restore", path, "--database", live, "--yes")
    assert status == 1
    assert "grandchild" in err
    assert state(live) == before


def test_single_tables_of_a_whole_backup_are_restored_in_place(folder, live, quick, tmp_path):
    path = str(tmp_path / "whole.dump")
    assert lancio("backup", "make", "--whole", "--out", path, "--database", live, *quick)[0] == 0
    before = state(live)
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("DELETE FROM parent WHERE id > 30; TRUNCATE apart; UPDATE child SET twice = 0")
    status, out, err = lancio("restore", path, "--only", "public.parent", "--only", "public.child", "--database", live,
                              "--yes")  # fmt: skip
    assert status == 0, err
    assert "The ledger stays as it is" in out
    after = state(live)
    assert after[0] == before[0]
    assert {name for name in after[1] if after[1][name] != before[1][name]} == {"public.apart"}
    status, _, err = lancio("restore", path, "--only", "public.nothing", "--database", live, "--yes")
    assert status == 2
    assert "public.nothing" in err
    status, _, err = lancio("restore", path, "--database", live, "--yes")
    assert status == 2
    assert "--into" in err


def test_a_whole_backup_goes_into_a_new_database_and_never_over_a_live_one(memory, live, quick, tmp_path):
    path = str(tmp_path / "whole.dump")
    assert lancio("backup", "make", "--whole", "--out", path, "--database", live, *quick)[0] == 0
    fresh = url_of(memory, f"{memory.family}restored")
    status, out, err = lancio("restore", path, "--into", fresh)
    assert status == 0, err
    assert "compared: equal" in out
    assert state(fresh) == state(live)
    status, _, err = lancio("restore", path, "--into", fresh)
    assert status == 1
    assert "is not empty" in err


def test_an_archive_that_was_changed_is_refused_before_anything(folder, live, quick):
    adopted(folder, live)
    (folder / "002.sql").write_text("TRUNCATE apart;")
    path = backed(folder, live, *quick)
    lancio("apply", str(folder), "--database", live, "--yes")
    data = bytearray(Path(path).read_bytes())
    data[len(data) // 2] ^= 1
    Path(path).write_bytes(data)
    status, _, err = lancio("restore", path, "--database", live, "--yes")
    assert status == 1
    assert "not what was written then" in err
    (Path(path).with_name("b.dump.json")).unlink()
    status, _, err = lancio("restore", path, "--database", live, "--yes")
    assert status == 2
    assert "b.dump.json cannot be read" in err


def test_names_that_are_strange_are_backed_up_and_restored(memory, folder, quick):
    name = memory.create()
    url = url_of(memory, name)
    schema, table = 'my "odd". schema', 'ta"ble\nof $1 *'
    quoted = '"my ""odd"". schema"."ta""ble\nof $1 *"'
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema.replace(chr(34), chr(34) * 2)}"')
        connection.execute(f'CREATE TABLE {quoted} (id int PRIMARY KEY, "a b" text)')
        connection.execute(f"INSERT INTO {quoted} VALUES (1, 'x')")
        connection.execute("CREATE TABLE other (id int); INSERT INTO other VALUES (1)")
    path = str(folder.parent / "w.dump")
    assert lancio("backup", "make", "--whole", "--out", path, "--database", url, *quick)[0] == 0
    before = state(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DELETE FROM {quoted}")
    status, _, err = lancio("restore", path, "--only", f"{schema}.{table}", "--database", url, "--yes")
    assert status == 0, err
    assert state(url) == before


# --- making -----------------------------------------------------------------------------------------------------------


def test_a_backup_is_for_its_owners_eyes_and_known_to_the_preflight_of_its_plan_alone(folder, live, quick, tmp_path):
    adopted(folder, live)
    (folder / "002.sql").write_text("TRUNCATE apart;")
    (folder / "003.sql").write_text("TRUNCATE grandchild;")
    path = Path(backed(folder, live, "--to", "002.sql", *quick))
    for each in (path, path.with_name("b.dump.json")):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    manifest = dump.read(path)
    assert manifest.checked
    assert {table.name: table.rows for table in manifest.tables} == {"public.apart": 20}
    assert lancio("preflight", str(folder), "--to", "002.sql", "--database", live)[0] == 0
    assert lancio("preflight", str(folder), "--database", live)[0] == 3
    _, out, _ = lancio("backup", "list", "--database", live)
    assert "plan of 1 file, checked" in out
    assert str(path) in out


def test_a_backup_that_is_not_checked_says_so(folder, live):
    adopted(folder, live)
    (folder / "002.sql").write_text("TRUNCATE apart;")
    path = backed(folder, live, "--no-check")
    assert "not checked" in dump.read(Path(path)).doubt
    assert "not checked" in lancio("backup", "list", "--database", live)[1]


def test_what_is_there_already_and_what_cannot_be_written_is_refused(folder, live, tmp_path):
    (tmp_path / "b.dump").write_text("mine")
    for path in ("b.dump", "b.dump/x"):
        status, _, err = lancio("backup", "make", "--whole", "--out", str(tmp_path / path), "--database", live)
        assert status == 2
        assert "no backup can be written" in said(err)
    assert (tmp_path / "b.dump").read_text() == "mine"


def test_the_proof_tells_what_is_not_equal(memory, live, folder, quick, tmp_path):
    path = tmp_path / "w.dump"
    lancio("backup", "make", "--whole", "--out", str(path), "--no-check", "--database", live)
    manifest = dump.read(path)
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("UPDATE apart SET word = 'y' WHERE id = 1; DELETE FROM grandchild WHERE id = 1")
        connection.execute("DROP INDEX parent_name; CREATE TABLE new_one ()")
        told = dump.differences(manifest, connection)
    assert "rows of public.apart are not the same" in told
    assert "public.grandchild has 9 rows, and had 10" in told
    assert "index public.parent_name is not there as it was" in told
    assert "relation public.new_one is not as it was" in told
    assert not any("public.child" in each for each in told)


def fake(folder: Path, text: str) -> Path:
    """Programs of our own in a folder."""
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (folder / name).write_text(f"#!/bin/sh\n{text}")
        (folder / name).chmod(0o755)
    return folder


def test_a_full_disk_is_said_and_leaves_nothing(live, tmp_path, monkeypatch):
    text = (
        'case "$*" in *--version*) echo "pg_dump (PostgreSQL) 99.1";; *)'
        ' for word in "$@"; do case "$word" in --file=*) echo half > "${word#--file=}";; esac; done;'
        ' echo "pg_dump: error: could not write to file: No space left on device" >&2; exit 1;; esac\n'
    )
    monkeypatch.setenv("LANCIO_PGBIN", str(fake(tmp_path / "bin", text)))
    place = tmp_path / "kept"
    status, _, err = lancio("backup", "make", "--whole", "--out", str(place / "x.dump"), "--database", live)
    assert status == 1
    assert "is full" in said(err)
    assert list(place.iterdir()) == []


def test_a_pg_dump_older_than_the_server_is_refused_by_name(live, tmp_path, monkeypatch):
    folder = fake(tmp_path / "bin", 'echo "pg_dump (PostgreSQL) 9.6.1"\n')
    monkeypatch.setenv("LANCIO_PGBIN", str(folder))
    monkeypatch.setenv("PATH", "")

    def none(_home: Path) -> Path:
        raise EmbeddedError("no wheel here")

    monkeypatch.setattr(programs.embedded, "unpack", none)
    with pytest.raises(BackupFailed, match="no pg_dump for PostgreSQL 18") as caught:
        programs.find(18)
    assert "version 9.6." in caught.value.cause
    monkeypatch.setenv("LANCIO_PGBIN", str(tmp_path))
    with pytest.raises(BackupFailed, match="no pg_dump"):
        programs.find(18)


@pytest.mark.parametrize("password", PASSWORDS[: 4 if ALL else 2])
def test_a_password_is_on_no_command_line_and_in_no_record(memory, live, folder, tmp_path, monkeypatch, password):
    from urllib.parse import quote

    real = programs.find(18)
    seen = tmp_path / "words"
    text = f'for word in "$0" "$@"; do printf "%s\\n" "$word" >> {seen}; done\nexec {real.folder}/$(basename $0) "$@"\n'
    monkeypatch.setenv("LANCIO_PGBIN", str(fake(tmp_path / "bin", text)))
    for name, value in real.environment.items():
        monkeypatch.setattr(programs, "_loader", lambda _folder, name=name, value=value: {name: value})
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS lancio_test_hostile")
        words = psycopg.sql.SQL("CREATE ROLE lancio_test_hostile LOGIN SUPERUSER PASSWORD {}")
        connection.execute(words.format(psycopg.sql.Literal(password)))
    parts = conninfo_to_dict(live)
    url = (
        f"postgresql://lancio_test_hostile:{quote(password, safe='')}@{parts['host']}:{parts['port']}/{parts['dbname']}"
    )
    try:
        path = str(tmp_path / "h.dump")
        told = [lancio("backup", "make", "--whole", "--out", path, "--database", url, "--scratch", memory.conninfo)]
        told.append(lancio("backup", "list", "--json", "--database", url))
        with psycopg.connect(live, autocommit=True) as connection:
            connection.execute("TRUNCATE apart")
        told.append(lancio("restore", path, "--only", "public.apart", "--database", url, "--yes"))
        told.append(lancio("restore", path, "--into", url))
        told.append(
            lancio("plan", str(folder), "--rehearse", "--copy", "--scratch", memory.conninfo, "--database", url)
        )
        assert [status for status, _, _ in told] == [0, 0, 0, 1, told[-1][0]], told
        own = str(conninfo_to_dict(memory.conninfo)["password"])
        texts = [seen.read_text(), Path(f"{path}.json").read_text(), *(out + err for _, out, err in told)]
        for secret in (password, quote(password, safe=""), own):
            assert not any(secret in text for text in texts)
        assert "pg_dump" in texts[0]
        assert "pg_restore" in texts[0]
    finally:
        with psycopg.connect(live, autocommit=True) as connection:
            connection.execute("REASSIGN OWNED BY lancio_test_hostile TO postgres; DROP ROLE lancio_test_hostile")


def test_other_secrets_of_a_connection_go_by_a_file_of_ours(tmp_path):
    found = programs.Programs(tmp_path, "18.1")
    target = "host=h user=u password=pw sslpassword=hidden sslkey=k"
    with programs.command(found, "pg_dump", ["-Fc"], target) as (words, environment):
        assert "hidden" not in " ".join(words)
        assert "pw" not in " ".join(words)
        assert environment["PGPASSWORD"] == "pw"
        file = Path(environment["PGSERVICEFILE"])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "sslpassword=hidden" in file.read_text()
    assert not file.exists()


# --- before a run -----------------------------------------------------------------------------------------------------


def test_apply_makes_a_backup_first_and_goes_on(folder, live, quick, tmp_path):
    adopted(folder, live)
    (folder / "002.sql").write_text("DELETE FROM apart;")
    status, out, err = lancio("apply", str(folder), "--backup", "--backup-to", str(tmp_path / "kept"), *quick,
                              "--database", live, "--yes")  # fmt: skip
    assert status == 0, out + err
    assert "restored and compared: equal" in said(err)
    (archive,) = (tmp_path / "kept").glob("*.dump")
    assert lancio("restore", str(archive), "--database", live, "--yes")[0] == 0
    assert state(live)[1]["public.apart"][0] == 20


def test_apply_does_nothing_where_its_backup_does_not_restore(folder, live, quick, monkeypatch):
    adopted(folder, live)
    (folder / "002.sql").write_text("DELETE FROM apart;")
    monkeypatch.setattr(dump, "check", lambda *_: ("public.apart has 19 rows, and had 20",))
    status, _, err = lancio("apply", str(folder), "--backup", *quick, "--database", live, "--yes")
    assert status == 1
    assert "does not give back what was there" in said(err)
    assert state(live)[1]["public.apart"][0] == 20
    assert lancio("backup", "list", "--json", "--database", live)[1].count("taken_at") == 0


@pytest.mark.slow
@pytest.mark.parametrize("version", range(10, 19) if ALL else (10, 15))
def test_backup_and_restore_on(version, pool, folder):
    """Each major version, with the scratch server of this machine."""
    every_server = pool.get(version)
    every_database = every_server.create_database()
    with psycopg.connect(every_database, autocommit=True) as connection:
        base = BASE if every_server.version >= 11 else BASE.replace("CREATE INDEX measured_at ON measured (at);", "")
        connection.execute(base)
    (folder / "001.sql").write_text(base)
    adopted(folder, every_database)
    (folder / "002.sql").write_text("DROP TABLE parent CASCADE; UPDATE apart SET word = 'y'; DROP TABLE measured_1;")
    path = backed(folder, every_database)
    before = state(every_database)
    status, out, err = lancio("apply", str(folder), "--database", every_database, "--yes")
    assert status == 0, out + err
    status, out, err = lancio("restore", path, "--database", every_database, "--yes")
    assert status == 0, out + err
    assert state(every_database) == before
    every_server.drop_database(every_database)
