"""Does `lancio check` tell which files of two branches conflict, as PostgreSQL does?

    python bench/branches.py FOLDER… [--preamble FILE]… [--var NAME=VALUE]… [--seed 0] [--scratch URL] [-v]

Each FOLDER is one history (without one, the packaged platform's own files). It becomes the first commit of a git
repository in a temporary folder, with one more file that makes what some kinds of conflicts need and few histories
have (an enum, a partitioned table, a sequence …). Then, for each kind below, the other branch gets one file and this
branch another, on tables and columns of the history that the seed draws, and `lancio check --base other --json` is
asked. PostgreSQL is asked too: both orders of the two files run on copies of the history's database. A pair conflicts
where a file fails or the two catalogs differ, and is independent where both run and the catalogs are equal. Of an
edited or a deleted file the whole history is replayed with it. A number given twice is no question for PostgreSQL.

It prints how many planted conflicts `check` tells as errors, how many independent pairs it tells to commute without an
error, and ends with 1 where one is missed, one is invented, or PostgreSQL says otherwise."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from lancio.cli import main as command
from lancio.cli.terminal import Terminal
from lancio.errors import LancioError
from lancio.executor import fingerprint
from lancio.proof import replay, scratch
from lancio.reading import numbering, source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lancio.proof.scratch import Scratch

SETUP = """\
CREATE SCHEMA lb;
CREATE TYPE lb.mood AS ENUM ('calm', 'glad');
CREATE SEQUENCE lb.ticket;
CREATE FUNCTION lb.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION lb.touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE lb.article (id int PRIMARY KEY, code text UNIQUE, price int, note text);
CREATE VIEW lb.listed AS SELECT id, code FROM lb.article;
CREATE TABLE lb.event (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE lb.event_2026 (at date NOT NULL);
CREATE TABLE lb.spare (id int PRIMARY KEY, word text);
"""

CONFLICTS: Mapping[str, tuple[str, str]] = {
    "both add a column": ("ALTER TABLE {t} ADD COLUMN lb_new int;", "ALTER TABLE {t} ADD COLUMN lb_new text;"),
    "drop against use": ("ALTER TABLE {t} DROP COLUMN {c};", "CREATE VIEW lb.v AS SELECT {c} FROM {t};"),
    "rename against use": ("ALTER TABLE {t} RENAME COLUMN {c} TO lb_c;", "CREATE INDEX lb_index ON {t} ({c});"),
    "one index name": ("CREATE INDEX lb_index ON {t} ({c});", "CREATE INDEX lb_index ON {t} ({d});"),
    "type against view": (
        "ALTER TABLE {t} ALTER COLUMN {c} TYPE varchar(99) USING {c}::varchar(99);",
        "CREATE VIEW lb.v AS SELECT {c} FROM {t};",
    ),
    "enum value against use": (
        "ALTER TYPE lb.mood RENAME VALUE 'glad' TO 'merry';",
        "ALTER TABLE {t} ADD COLUMN lb_mood lb.mood DEFAULT 'glad';",
    ),
    "foreign key to a dropped table": ("DROP TABLE {x};", "CREATE TABLE lb.n (id {xtype} REFERENCES {x} ({xkey}));"),
    "policy on a dropped table": ("DROP TABLE {x};", "CREATE POLICY lb_policy ON {x} USING (true);"),
    "function replaced by both": (
        "CREATE OR REPLACE FUNCTION lb.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n + n';",
        "CREATE OR REPLACE FUNCTION lb.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';",
    ),
    "view replaced by both": (
        "CREATE OR REPLACE VIEW lb.listed AS SELECT id, code, price FROM lb.article;",
        "CREATE OR REPLACE VIEW lb.listed AS SELECT id, code, note FROM lb.article;",
    ),
    "schema moved": ("ALTER TABLE {x} SET SCHEMA lb;", "ALTER TABLE {x} ADD COLUMN lb_new int;"),
    "grant on a dropped table": ("DROP TABLE {x};", "GRANT SELECT ON {x} TO PUBLIC;"),
    "trigger on a renamed table": (
        "ALTER TABLE {x} RENAME TO lb_renamed;",
        "CREATE TRIGGER lb_t BEFORE INSERT ON {x} FOR EACH ROW EXECUTE PROCEDURE lb.touched();",
    ),
    "key behind a foreign key": (
        "ALTER TABLE lb.article DROP CONSTRAINT article_code_key;",
        "CREATE TABLE lb.n (code text REFERENCES lb.article (code));",
    ),
    "default on a dropped sequence": (
        "DROP SEQUENCE lb.ticket;",
        "ALTER TABLE {t} ADD COLUMN lb_no bigint DEFAULT nextval('lb.ticket');",
    ),
    "check on a dropped column": (
        "ALTER TABLE {t} DROP COLUMN {c};",
        "ALTER TABLE {t} ADD CONSTRAINT lb_check CHECK ({c} IS NOT NULL OR true);",
    ),
    "attach against drop": (
        "DROP TABLE lb.event_2026;",
        "ALTER TABLE lb.event ATTACH PARTITION lb.event_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');",
    ),
    "both add an enum value": ("ALTER TYPE lb.mood ADD VALUE 'odd';", "ALTER TYPE lb.mood ADD VALUE 'shy';"),
    "both make a table if it is not there": (
        "CREATE TABLE IF NOT EXISTS lb.made (id int);",
        "CREATE TABLE IF NOT EXISTS lb.made (id bigint, more text);",
    ),
    "all tables against a new one": (
        "GRANT SELECT ON ALL TABLES IN SCHEMA lb TO PUBLIC;",
        "CREATE TABLE lb.n (id int);",
    ),
    "all columns against a new one": (
        "CREATE VIEW lb.v AS SELECT * FROM {t};",
        "ALTER TABLE {t} ADD COLUMN lb_new int;",
    ),
    "default set by both": (
        "ALTER TABLE lb.article ALTER COLUMN price SET DEFAULT 1;",
        "ALTER TABLE lb.article ALTER COLUMN price SET DEFAULT 2;",
    ),
    "new column that must be filled": (
        "ALTER TABLE lb.spare ADD COLUMN must int NOT NULL;",
        "INSERT INTO lb.spare (id, word) VALUES (1, 'one');",
    ),
    "dropped function against a policy": (
        "DROP FUNCTION lb.twice(int);",
        "CREATE POLICY lb_policy ON lb.article USING (lb.twice(id) > 0);",
    ),
}  # fmt: skip
"""What the other branch runs, and this one: {t} is a table with the columns {c} and {d} that nothing stands on, {x} a
table that nothing stands on, with {xkey} for its key of the type {xtype}."""

OF_FILES = ("one number", "edited file", "deleted file")

INDEPENDENT: Mapping[str, tuple[str, str]] = {
    "two columns": ("ALTER TABLE {t} ADD COLUMN lb_a int;", "ALTER TABLE {t} ADD COLUMN lb_b text DEFAULT 'x';"),
    "column and view": ("ALTER TABLE {t} ADD COLUMN lb_a int;", "CREATE VIEW lb.v AS SELECT {c}, {d} FROM {t};"),
    "two tables": ("CREATE TABLE lb.a (id serial PRIMARY KEY);", "CREATE TABLE lb.b (id serial PRIMARY KEY);"),
    "table and column": ("CREATE TABLE lb.a (id int);", "ALTER TABLE {t} ADD COLUMN lb_b int;"),
    "two indexes": ("CREATE INDEX lb_a ON {t} ({c});", "CREATE INDEX lb_b ON {t} ({d});"),
    "two keys to one table": (
        "CREATE TABLE lb.a (id {xtype} REFERENCES {x} ({xkey}));",
        "CREATE TABLE lb.b (id {xtype} REFERENCES {x} ({xkey}));",
    ),
    "two functions": (
        "CREATE FUNCTION lb.f(n int) RETURNS int LANGUAGE sql AS 'SELECT lb.twice(n)';",
        "CREATE FUNCTION lb.g(n int) RETURNS int LANGUAGE sql AS 'SELECT lb.twice(n) + 1';",
    ),
    "two overloads": (
        "CREATE FUNCTION lb.twice(n numeric) RETURNS numeric LANGUAGE sql AS 'SELECT n * 2';",
        "CREATE FUNCTION lb.twice(t text) RETURNS text LANGUAGE sql AS 'SELECT t || t';",
    ),
    "column and key": (
        "ALTER TABLE {x} ADD COLUMN lb_a int;",
        "CREATE TABLE lb.b (id {xtype} REFERENCES {x} ({xkey}));",
    ),
    "two policies": (
        "CREATE POLICY lb_a ON {t} FOR SELECT USING ({c} IS NOT NULL);",
        "CREATE POLICY lb_b ON {t} FOR DELETE USING (false);",
    ),
    "two triggers": (
        "CREATE TRIGGER lb_a BEFORE INSERT ON {t} FOR EACH ROW EXECUTE PROCEDURE lb.touched();",
        "CREATE TRIGGER lb_b BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE PROCEDURE lb.touched();",
    ),
    "grant and column": ("GRANT SELECT ON {t} TO PUBLIC;", "ALTER TABLE {t} ADD COLUMN lb_b int;"),
    "comment and index": ("COMMENT ON TABLE {t} IS 'said';", "CREATE INDEX lb_b ON {t} ({c});"),
    "two enums": ("CREATE TYPE lb.a AS ENUM ('x');", "CREATE TYPE lb.b AS ENUM ('x');"),
    "two columns dropped": ("ALTER TABLE {t} DROP COLUMN {c};", "ALTER TABLE {t} DROP COLUMN {d};"),
    "rename and column": ("ALTER TABLE {t} RENAME COLUMN {c} TO lb_a;", "ALTER TABLE {t} ADD COLUMN lb_b int;"),
    "two views": ("CREATE VIEW lb.a AS SELECT {c} FROM {t};", "CREATE VIEW lb.b AS SELECT {c}, {d} FROM {t};"),
    "check and column": (
        "ALTER TABLE {t} ADD CONSTRAINT lb_a CHECK ({c} IS NOT NULL OR true);",
        "ALTER TABLE {t} ADD COLUMN lb_b int;",
    ),
    "sequence and default": ("CREATE SEQUENCE lb.a;", "ALTER TABLE lb.article ALTER COLUMN price SET DEFAULT 0;"),
    "drop and column": ("DROP TABLE {x};", "ALTER TABLE {t} ADD COLUMN lb_b int;"),
    "two defaults": (
        "ALTER TABLE lb.article ALTER COLUMN price SET DEFAULT 1;",
        "ALTER TABLE lb.article ALTER COLUMN note SET DEFAULT '';",
    ),
    "moved table and another": ("ALTER TABLE {x} SET SCHEMA lb;", "CREATE TABLE lb.b (id int);"),
    "partition and column": (
        "ALTER TABLE lb.event ATTACH PARTITION lb.event_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');",
        "ALTER TABLE {t} ADD COLUMN lb_b int;",
    ),
    "rows of two tables": (
        "INSERT INTO lb.spare (id, word) VALUES (1, 'one');",
        "INSERT INTO lb.article (id, code) VALUES (1, 'one');",
    ),
}  # fmt: skip

TABLES = """
SELECT format('%I.%I', n.nspname, c.relname), c.oid,
       ARRAY(SELECT quote_ident(a.attname) FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND a.atttypid IN (16, 20, 23, 25, 1043, 1114, 1184, 2950, 3802)
                AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass
                                   AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype <> 'i'
                                   AND d.classid <> 'pg_attrdef'::regclass)
              ORDER BY a.attnum)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND NOT c.relispartition AND n.nspname !~ '^pg_'
   AND n.nspname NOT IN ('information_schema', 'lb')
 ORDER BY 1
"""
KEY = """
SELECT quote_ident(a.attname), format_type(a.atttypid, a.atttypmod)
  FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
 WHERE k.conrelid = %s AND k.contype = 'p' AND cardinality(k.conkey) = 1
"""


@dataclass(frozen=True)
class Case:
    """What was planted, what `check` said, and what PostgreSQL says."""

    kind: str
    conflict: bool
    told: bool
    rules: tuple[str, ...]
    truth: bool | None
    why: str

    @property
    def right(self) -> bool:
        return self.told == self.conflict and self.truth in (None, self.conflict)


class Bench:
    """One history as a git repository and as a database, and the cases that are planted on it."""

    def __init__(self, folder: Path, preamble: bytes, given: argparse.Namespace, server: Scratch, place: Path) -> None:
        self.variables = dict(each.split("=", 1) for each in given.var)
        self.server = server
        self.chosen = random.Random(given.seed)
        self.preamble = preamble
        self.name = folder.name
        self.home = place / "repository"
        self.folder = self.home / folder.name
        read = source.read_folder(folder, variables=self.variables)
        self.layout = read.layout
        for each in sorted(folder.resolve().rglob("*")):
            if each.is_file() and not any(part.startswith(".") for part in each.relative_to(folder.resolve()).parts):
                target = self.folder / each.relative_to(folder.resolve())
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(each.read_bytes())
        self.now = datetime.now(UTC)
        self.add("lb setup", SETUP)
        self.git("init", "--quiet", "--initial-branch", "released")
        self.commit("all that is released")
        self.history = source.read_folder(self.folder, variables=self.variables)
        self.database = server.create()
        self.failed = self.run(self.database, [replay.script(each) for each in self.history.migrations], preamble)
        self.released = self.facts(self.database)
        with server.connect(self.database) as connection:
            self.words = self.draw(connection)

    # The repository.

    def git(self, *words: str) -> None:
        who = ("-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, "-C", str(self.home), *words], check=True, capture_output=True)

    def commit(self, said: str) -> None:
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--no-verify", "-m", said)

    def add(self, words: str, sql: str, later: int = 0) -> str:
        """The next file of the folder as it is now, `later` seconds from now; its name."""
        folder = source.read_folder(self.folder, variables=self.variables)
        made = numbering.following(words, folder, None, self.now + timedelta(seconds=later))
        name, text = made.files[0]
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        head, line, tail = text.partition("\n")
        path.write_text(f"{head}\n{sql}\n{tail}" if line else sql)
        return name

    def check(self) -> tuple[list[str], bool]:
        """The rules of all errors that `lancio check` tells on the branch at hand, and whether all pairs commute."""
        out, err = io.StringIO(), io.StringIO()
        variables = [word for each in self.variables.items() for word in ("--var", "=".join(each))]
        status = command.run(
            ["check", str(self.folder), "--base", "theirs", "--json", *variables], Terminal(out, err, {})
        )
        said = json.loads(out.getvalue())
        if "error" in said:
            raise SystemExit(f"{self.name}: check refused: {said['error']}")
        errors = [each["rule"] for each in said["findings"] if each["severity"] == "error"]
        if status != (1 if errors else 0):
            raise SystemExit(f"{self.name}: check ended with {status} and told {errors}")
        return errors, all(each["commute"] for each in said["pairs"])

    # PostgreSQL.

    def draw(self, connection: psycopg.Connection[Any]) -> dict[str, str]:
        """Tables and columns of the history that nothing stands on, drawn with the seed; else those of the setup."""
        tables = connection.execute(TABLES.encode()).fetchall()
        shaped = [(name, columns) for name, _, columns in tables if len(columns) > 1]
        table, columns = self.chosen.choice(shaped) if shaped else ("lb.article", ["price", "note"])
        one, other = self.chosen.sample(columns, 2)
        spare = ("lb.spare", "id", "integer")
        self.chosen.shuffle(tables)
        for name, oid, _ in tables:
            key = connection.execute(KEY, (oid,)).fetchone()
            if key is None or name == table:
                continue
            try:
                connection.execute("BEGIN")
                connection.execute(f"DROP TABLE {name}".encode())
            except psycopg.Error:
                continue
            else:
                spare = (name, *key)
                break
            finally:
                connection.execute("ROLLBACK")
        return {"t": table, "c": one, "d": other, "x": spare[0], "xkey": spare[1], "xtype": spare[2]}

    def run(self, database: str, scripts: Sequence[replay.Script], before: bytes = b"") -> tuple[str, ...]:
        """Run files in a database; PostgreSQL's sentence for each that fails."""
        failed = []
        with self.server.connect(database, replay.SESSION) as connection:
            if before:
                connection.execute(before)
            for script in scripts:
                done = replay.run(connection, script)
                if isinstance(done, replay.Failed):
                    failed.append(f"{script.name}: {done.message}")
        return tuple(failed)

    def facts(self, database: str) -> frozenset[fingerprint.Fact]:
        with self.server.connect(database) as connection:
            return frozenset(fingerprint.take(connection).facts)

    def order(self, scripts: Sequence[replay.Script]) -> tuple[tuple[str, ...], frozenset[fingerprint.Fact]]:
        """What fails and what is there, once these have run behind the history."""
        copy = self.server.create(self.database)
        try:
            return self.run(copy, scripts), self.facts(copy)
        finally:
            self.server.drop(copy)

    def truth(self, theirs: str, ours: str) -> tuple[bool, str]:
        """Whether PostgreSQL sees a conflict between two files, and how."""
        found = {each.name: each for each in source.read_folder(self.folder, variables=self.variables).migrations}
        self.git("checkout", "--quiet", "theirs")
        found |= {each.name: each for each in source.read_folder(self.folder, variables=self.variables).migrations}
        self.git("checkout", "--quiet", "ours")
        scripts = replay.script(found[theirs]), replay.script(found[ours])
        for script in scripts:
            if alone := self.order([script])[0]:
                raise SystemExit(f"{self.name}: what was to be planted fails by itself: {alone[0]}")
        (one, there), (other, here) = self.order(scripts), self.order(scripts[::-1])
        if one or other:
            return True, "; ".join((*one, *other))
        differ = sorted(there ^ here)
        return bool(differ), f"{len(differ)} facts differ, {differ[0].kind} {differ[0].identity}" if differ else "equal"

    # The cases.

    def pair(self, kind: str, sqls: tuple[str, str], *, conflict: bool) -> Case:
        theirs, ours = (sql.format(**self.words) for sql in sqls)
        self.git("checkout", "--quiet", "-B", "theirs", "released")
        one = self.add("lb theirs", theirs, later=1)
        self.commit(kind)
        self.git("checkout", "--quiet", "-B", "ours", "released")
        if kind == "one number":
            other = one.replace("theirs", "ours")
            (self.folder / other).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / other).write_text((self.folder / self.setup_name()).read_text().replace(SETUP, ours))
        else:
            other = self.distinct(self.add("lb ours", ours, later=2), one)
        self.commit(kind)
        errors, commute = self.check()
        truth, why = self.truth(one, other)
        if kind == "one number":
            return Case(kind, conflict, "same-number" in errors, tuple(errors), None, "")
        told = "conflict" in errors if conflict else bool(errors) or not commute
        return Case(kind, conflict, told, tuple(errors), truth, why)

    def setup_name(self) -> str:
        return next(each.name for each in self.history.migrations if SETUP.strip().encode() in each.text)

    def distinct(self, ours: str, theirs: str) -> str:
        """This branch's file with a number of its own, where both branches would give the next one."""
        if numbering.number(self.layout, ours) != numbering.number(self.layout, theirs):
            return ours
        path = self.folder / ours
        text = path.read_text()
        name = self.add("lb ours", "SELECT 1;", later=3)  # the number behind
        path.unlink()
        (self.folder / name).write_text(text)
        return name

    def file(self, kind: str) -> Case:
        """A released file edited or deleted on this branch, the other one being as it was."""
        self.git("checkout", "--quiet", "-B", "theirs", "released")
        self.git("checkout", "--quiet", "-B", "ours", "released")
        names = [each.name for each in self.history.migrations]
        for name in self.chosen.sample(names, len(names)):
            path = self.folder / name
            kept = path.read_bytes()
            if kind == "edited file":
                edited = kept.replace(b"create table", b"CREATE TABLE").replace(
                    b"CREATE TABLE", b"CREATE TABLE lb_edited (id int);\nCREATE TABLE", 1
                )
                if edited == kept:
                    continue
                path.write_bytes(edited)
            else:
                path.unlink()
            now = source.read_folder(self.folder, variables=self.variables)
            database = self.server.create()
            failed = self.run(database, [replay.script(each) for each in now.migrations], self.preamble)
            differ = self.facts(database) ^ self.released
            self.server.drop(database)
            if not differ and failed == self.failed:
                path.write_bytes(kept)  # this one changed nothing that lasts: not a conflict in PostgreSQL's eyes
                continue
            self.commit(kind)
            errors, _ = self.check()
            wanted = kind.replace(" ", "-")
            return Case(kind, True, wanted in errors, tuple(errors), True, f"{name}: {len(differ)} facts differ")
        raise SystemExit(f"{self.name}: no file of it can be {kind.split()[0]}")

    def cases(self) -> Iterator[Case]:
        for kind, sqls in CONFLICTS.items():
            yield self.pair(kind, sqls, conflict=True)
        if self.layout != "prisma":  # whose migrations are told apart by their whole names
            yield self.pair("one number", ("CREATE TABLE lb.a (id int);", "CREATE TABLE lb.b (id int);"), conflict=True)
        for kind in OF_FILES[1:]:
            yield self.file(kind)
        for kind, sqls in INDEPENDENT.items():
            yield self.pair(kind, sqls, conflict=False)


def measure(folder: Path, preamble: bytes, server: Scratch, given: argparse.Namespace) -> bool:
    """Print one history's lines; whether everything is as it should be."""
    with tempfile.TemporaryDirectory(prefix="lancio-branches-") as place:
        began = time.monotonic()
        bench = Bench(folder, preamble, given, server, Path(place))
        cases = []
        for case in bench.cases():
            cases.append(case)
            if given.v or not case.right:
                said = "conflict" if case.told else "independent"
                truth = {None: "not asked", True: "conflict", False: "independent"}[case.truth]
                print(f"  {'' if case.right else 'WRONG '}{case.kind}: check {said} {sorted(set(case.rules))}, "
                      f"PostgreSQL {truth} ({case.why})", flush=True)  # fmt: skip
        planted = [each for each in cases if each.conflict]
        free = [each for each in cases if not each.conflict]
        agree = [each for each in cases if each.truth is not None]
        print(
            f"{bench.name}: {len(bench.history.migrations)} files, {len(bench.failed)} fail here; conflicts told "
            f"{sum(each.told for each in planted)} of {len(planted)}, independent told "
            f"{sum(not each.told for each in free)} of {len(free)}; as PostgreSQL says "
            f"{sum(each.truth == each.told for each in agree)} of {len(agree)}; {time.monotonic() - began:.0f} s",
            flush=True,
        )
        return all(each.right for each in cases)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--preamble", action="append", default=[])
    parser.add_argument("--var", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch")
    parser.add_argument("-v", action="store_true", help="print every case")
    given = parser.parse_args(arguments)
    given.folders = given.folders or [Path(str(resources.files("lancio.registry") / "schema"))]
    if given.preamble and len(given.preamble) != len(given.folders):
        parser.error("--preamble is given once a folder, or not at all")
    preambles = [b"" if each == "-" else Path(each).read_bytes() for each in given.preamble]
    right = True
    try:
        with contextlib.ExitStack() as stack:
            if "LANCIO_CACHE" not in os.environ:
                os.environ["LANCIO_CACHE"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="lancio-cache-"))
            server = stack.enter_context(scratch.server(given.scratch))
            for folder, preamble in zip(given.folders, preambles or [b""] * len(given.folders), strict=True):
                right = measure(folder, preamble, server, given) and right
    except LancioError as error:
        print(f"{error.message}\n{error.cause}\n{error.remedy}", file=sys.stderr)
        return error.exit_status
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
