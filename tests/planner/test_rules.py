"""The rules of `lancio check`: each has its page, and the examples of the pages are what they say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lancio.catalog import profile
from lancio.planner import graph, rules
from lancio.planner.rules import RULES
from lancio.reading.source import read_folder
from servers import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = PROJECT / "docs" / "reference" / "rules"
LEVELS = {"refusal": "error", "warning": "warning", "note": "note"}
BASE = """
CREATE TABLE users (id int PRIMARY KEY, email text, name text, phone text, age int, active boolean);
CREATE TABLE members (id int PRIMARY KEY, email text);
CREATE TABLE plans (id int PRIMARY KEY, price int);
CREATE VIEW plan_prices AS SELECT price FROM plans;
CREATE TABLE subscriptions (plan int CONSTRAINT subscriptions_plan_fkey REFERENCES plans);
CREATE TABLE orders (id int PRIMARY KEY, user_id int);
CREATE TABLE events (id int PRIMARY KEY);
CREATE FUNCTION lookup(id int) RETURNS text LANGUAGE sql AS 'SELECT id::text';
"""
OF_ONE_FOLDER = (
    "unprovided", "still-needed", "transaction-control", "not-null-without-default", "data-loss", "drop-cascade",
    "table-rewrite", "set-not-null", "constraint-without-not-valid", "unique-without-index", "index-not-concurrent",
    "rename", "name-taken", "directive", "allow", "opaque",
)  # fmt: skip


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def block(name: str, title: str) -> str:
    match = re.search(rf"^## {title}\n\n```\w+\n(.*?)```", page(name), re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


def test_rules_and_pages_agree() -> None:
    assert {each.stem for each in PAGES.glob("*.md")} == {*RULES, "README"}
    rows = dict(re.findall(r"^\| \[`([\w-]+)`\]\(\1\.md\) \| (\w+) \|", page("README"), re.MULTILINE))
    assert rows == {name: LEVELS[rule.severity] for name, rule in RULES.items()}


@pytest.mark.parametrize("name", RULES)
def test_a_page_says_what_why_both_examples_and_how_to_silence_it(name: str) -> None:
    text = page(name)
    assert text.startswith(f"# {name}\n\n*{RULES[name].says}*")
    assert f"**{LEVELS[RULES[name].severity]}**" in text
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["What", "Why", "Bad", "Good", "How to silence it"]
    assert block(name, "Bad").strip() != block(name, "Good").strip()
    assert re.search(rf"allow {name} REASON|--ignore {name}", text)


def broken(folder: Path, text: str, base: str = BASE) -> set[str]:
    """The rules that an example breaks; `-- NNN.sql` in it begins another file."""
    folder.mkdir()
    (folder / "000_base.sql").write_text(base)
    parts = re.split(r"^-- (\w+\.sql).*\n", text, flags=re.MULTILINE)
    files = dict(zip(parts[1::2], parts[2::2], strict=True)) or {"001_example.sql": text}
    for name, body in files.items():
        (folder / name).write_text(body)
    made = graph.build(read_folder(folder), profile.load(18))
    told = [*rules.of_graph(made, files), *rules.of_requirements(made, files), *rules.of_opaque(made, files)]
    told += [each for name in files for each in rules.of_file(made, name)]
    return {each.rule for each in rules.judge(told, [made.file(name) for name in files]).findings}


@pytest.mark.parametrize("name", OF_ONE_FOLDER)
def test_the_bad_example_breaks_the_rule_and_the_good_one_does_not(tmp_path: Path, name: str) -> None:
    assert name in broken(tmp_path / "bad", block(name, "Bad"))
    good = block(name, "Good")
    if name == "opaque":  # there the good one is the plain statement
        good = good.partition("can be:\n")[2]
    if name == "directive":
        good = f"-- 041_orders.sql\nCREATE SCHEMA app;\nCREATE TABLE app.orders ();\n-- 042_x.sql\n{good}"
    assert name not in broken(tmp_path / "good", good)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE users ALTER age TYPE bigint", "table-rewrite"),
        ("ALTER TABLE users ALTER email TYPE varchar", ""),
        ("ALTER TABLE users ALTER email TYPE varchar(10)", "table-rewrite"),
        ("ALTER TABLE sized ALTER v TYPE varchar(40)", ""),
        ("ALTER TABLE sized ALTER v TYPE varchar(10)", "table-rewrite"),
        ("ALTER TABLE sized ALTER v TYPE text", ""),
        ("ALTER TABLE sized ALTER n TYPE numeric(12, 2)", ""),
        ("ALTER TABLE sized ALTER n TYPE numeric(12, 4)", "table-rewrite"),
        ("ALTER TABLE users ADD k uuid DEFAULT gen_random_uuid()", "table-rewrite"),
        ("ALTER TABLE users ADD k timestamptz DEFAULT now()", ""),
        ("ALTER TABLE users ADD k bigserial", "table-rewrite"),
        ("ALTER TABLE users ADD k int GENERATED ALWAYS AS (age + 1) STORED", "table-rewrite"),
        ("ALTER TABLE users ADD k int GENERATED ALWAYS AS (age + 1) VIRTUAL", ""),
        ("ALTER TABLE users ADD k int NOT NULL DEFAULT NULL", "not-null-without-default"),
        ("ALTER TABLE users ADD k int NOT NULL DEFAULT 0", ""),
        ("ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID", ""),
        ("ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0)", "constraint-without-not-valid"),
        ("CREATE TABLE own (id int); CREATE INDEX ON own (id); ALTER TABLE own ALTER id SET NOT NULL", ""),
        ("CREATE TEMP TABLE t (id int); DROP TABLE t", ""),
        ("CREATE INDEX ON users (age)", "index-not-concurrent"),
        ("TRUNCATE users", "data-loss"),
        ("DELETE FROM users", "data-loss"),
        ("DELETE FROM users WHERE age > 9", ""),
        ("DROP TABLE members", "data-loss"),
        ("ALTER TABLE members SET SCHEMA public", "rename"),
        ("VACUUM FULL users", "table-rewrite"),
    ],
)
def test_what_a_statement_breaks(tmp_path: Path, statement: str, rule: str) -> None:
    base = BASE + "CREATE TABLE sized (v varchar(20), n numeric(10, 2));"
    assert broken(tmp_path / "f", statement, base) - {"exclusive-lock"} == ({rule} if rule else set())


def test_what_a_postgres_says_to_both(tmp_path: Path, database: str) -> None:
    """A column without a rewrite keeps its file; one with a rewrite gets another: PostgreSQL's own word for it."""
    import psycopg

    cases = {
        "v TYPE varchar(40)": False, "v TYPE text": False, "n TYPE numeric(12, 2)": False,
        "i TYPE bigint": True, "n TYPE numeric(12, 4)": True, "v TYPE varchar(10)": True,
    }  # fmt: skip
    base = "CREATE TABLE sized (v varchar(20), n numeric(10, 2), i int);"
    for number, (change, rewritten) in enumerate(cases.items()):
        told = broken(tmp_path / str(number), f"ALTER TABLE sized ALTER {change}", base)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"DROP TABLE IF EXISTS sized; {base} INSERT INTO sized VALUES ('a', 1, 1)".encode())
            before = connection.execute("SELECT pg_relation_filenode('sized')").fetchone()
            connection.execute(f"ALTER TABLE sized ALTER {change}".encode())
            after = connection.execute("SELECT pg_relation_filenode('sized')").fetchone()
        assert (before != after) is rewritten, change
        assert ("table-rewrite" in told) is rewritten, change
