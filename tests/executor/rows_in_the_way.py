"""Forty statements that fail on rows that are there, and for each a twin that passes: what PostgreSQL says is the truth.

`{t}` is the table; its rows 7, 21 and 42 are the planted ones, and every column `d_…` has something wrong in them.
"""

from __future__ import annotations

from typing import NamedTuple

PLANTED = "(7, 21, 42)"

TABLE = f"""
CREATE TABLE {{t}} AS
SELECT i AS id, i AS n, 'v' || i AS name,
       CASE WHEN i NOT IN {PLANTED} THEN 'v' || i END AS d_null,
       CASE WHEN i IN {PLANTED} THEN 'same' ELSE 'v' || i END AS d_same,
       CASE WHEN i IN {PLANTED} THEN 'V1' || i ELSE 'v' || i END AS d_case,
       CASE WHEN i IN {PLANTED} THEN 'x' || i ELSE i::text END AS d_number,
       i::text AS number,
       CASE WHEN i IN {PLANTED} THEN repeat('x', 30) ELSE 'v' || i END AS d_long,
       CASE WHEN i IN {PLANTED} THEN -i ELSE i END AS d_sign,
       i % 40 + 1 AS other, CASE WHEN i IN {PLANTED} THEN 0 ELSE i % 40 + 1 END AS d_other,
       int4range(i * 10, i * 10 + 5) AS span,
       CASE WHEN i IN {PLANTED} THEN int4range(1, 3) ELSE int4range(i * 10, i * 10 + 5) END AS d_span
FROM generate_series(1, {{rows}}) AS i
"""

TABLES = """
CREATE TABLE others (id int PRIMARY KEY, code text NOT NULL UNIQUE, a int, b int, UNIQUE (a, b));
INSERT INTO others SELECT i, 'c' || i, i, i FROM generate_series(1, 40) AS i;
CREATE DOMAIN word AS text;
CREATE TABLE words (id int PRIMARY KEY, said word, fine word);
INSERT INTO words SELECT i, CASE WHEN i IN (7, 21, 42) THEN 'no' ELSE 'yes' END, 'yes' FROM generate_series(1, 50) AS i;
CREATE TABLE parts (id int NOT NULL, n int) PARTITION BY RANGE (id);
CREATE TABLE lists (id int NOT NULL, n text) PARTITION BY LIST (n);
CREATE TABLE kept (id int PRIMARY KEY, n int, d_n int, other int, d_other int);
INSERT INTO kept SELECT i, i, CASE WHEN i IN (7, 21, 42) THEN -i ELSE i END, 1,
    CASE WHEN i IN (7, 21, 42) THEN 0 ELSE 1 END FROM generate_series(1, 50) AS i;
ALTER TABLE kept ADD CONSTRAINT kept_n CHECK (n > 0) NOT VALID;
ALTER TABLE kept ADD CONSTRAINT kept_d_n CHECK (d_n > 0) NOT VALID;
ALTER TABLE kept ADD CONSTRAINT kept_other FOREIGN KEY (other) REFERENCES others NOT VALID;
ALTER TABLE kept ADD CONSTRAINT kept_d_other FOREIGN KEY (d_other) REFERENCES others NOT VALID;
"""

OTHERS = """
CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.d_null := coalesce(NEW.d_null, '-'); RETURN NEW; END $$;
CREATE TABLE trace (a int);
CREATE FUNCTION sneaky(int) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO trace VALUES ($1); RETURN false; END $$;
CREATE TABLE safe (name text PRIMARY KEY, secret text);
INSERT INTO safe VALUES ('hunter2', 'hunter3');
CREATE TABLE pairs (a int, b date, secret text, PRIMARY KEY (a, b));
INSERT INTO pairs VALUES (7, '2020-02-03', 'hunter3');
DO $$ BEGIN CREATE ROLE veiler; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
CREATE TABLE veiled (a int);
INSERT INTO veiled VALUES (NULL);
ALTER TABLE veiled ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, OWNER TO veiler;
GRANT ALL ON SCHEMA public TO veiler;
"""


class Case(NamedTuple):
    """A statement (or some) that fails on the rows, what is said of it, and the twin that passes."""

    name: str
    sql: str
    says: str
    twin: str
    alone: bool = False  # cannot run in a transaction
    sized: bool = True  # about the table {t}
    since: int = 10  # the first major version that takes it


IDS = "(id 7, 21, 42)"
UNIQUE = f"1 value comes more than once, in 3 of {{rows}} rows {IDS}"

CASES = (
    Case("set-not-null", "ALTER TABLE {t} ALTER d_null SET NOT NULL", f"3 of {{rows}} rows are NULL {IDS}",
         "ALTER TABLE {t} ALTER name SET NOT NULL"),
    Case("set-not-null-quoted", 'ALTER TABLE {t} RENAME n TO "Ünï n"; UPDATE {t} SET "Ünï n" = NULL WHERE id = 7;'
         'ALTER TABLE {t} ALTER "Ünï n" SET NOT NULL', "1 of {rows} rows is NULL (id 7)",
         'ALTER TABLE {t} RENAME n TO "Ünï n"; ALTER TABLE {t} ALTER "Ünï n" SET NOT NULL'),
    Case("unique", "ALTER TABLE {t} ADD UNIQUE (d_same)", UNIQUE, "ALTER TABLE {t} ADD UNIQUE (name)"),
    Case("unique-of-two", "ALTER TABLE {t} ADD CONSTRAINT u UNIQUE (d_same, d_long)", UNIQUE,
         "ALTER TABLE {t} ADD CONSTRAINT u UNIQUE (d_same, n)"),
    Case("unique-nulls", "ALTER TABLE {t} ADD UNIQUE (d_same); ALTER TABLE {t} ADD UNIQUE (d_null)", UNIQUE,
         "ALTER TABLE {t} ADD UNIQUE (d_null)"),
    Case("primary-key-null", "ALTER TABLE {t} DROP CONSTRAINT {t}_pkey; ALTER TABLE {t} ADD PRIMARY KEY (d_null)",
         f"3 of {{rows}} rows are NULL {IDS}",
         "ALTER TABLE {t} DROP CONSTRAINT {t}_pkey; ALTER TABLE {t} ADD PRIMARY KEY (name)"),
    Case("primary-key-same", "ALTER TABLE {t} DROP CONSTRAINT {t}_pkey; ALTER TABLE {t} ADD PRIMARY KEY (d_same)",
         UNIQUE, "ALTER TABLE {t} DROP CONSTRAINT {t}_pkey; ALTER TABLE {t} ADD PRIMARY KEY (n)"),
    Case("primary-key-by-index", "ALTER TABLE {t} DROP CONSTRAINT {t}_pkey; CREATE UNIQUE INDEX k ON {t} (d_null);"
         "ALTER TABLE {t} ADD CONSTRAINT k PRIMARY KEY USING INDEX k", f"3 of {{rows}} rows are NULL {IDS}",
         "ALTER TABLE {t} DROP CONSTRAINT {t}_pkey; CREATE UNIQUE INDEX k ON {t} (name);"
         "ALTER TABLE {t} ADD CONSTRAINT k PRIMARY KEY USING INDEX k"),
    Case("foreign-key", "ALTER TABLE {t} ADD FOREIGN KEY (d_other) REFERENCES others",
         f"3 of {{rows}} rows point to none {IDS}", "ALTER TABLE {t} ADD FOREIGN KEY (other) REFERENCES others"),
    Case("foreign-key-of-two", "ALTER TABLE {t} ADD FOREIGN KEY (d_other, d_other) REFERENCES others (a, b)",
         f"3 of {{rows}} rows point to none {IDS}",
         "ALTER TABLE {t} ADD FOREIGN KEY (other, other) REFERENCES others (a, b)"),
    Case("foreign-key-full", "UPDATE {t} SET other = NULL WHERE id IN (7, 21, 42);"
         "ALTER TABLE {t} ADD COLUMN o2 int DEFAULT 1;"
         "ALTER TABLE {t} ADD FOREIGN KEY (other, o2) REFERENCES others (a, b) MATCH FULL", "rows point to none",
         "ALTER TABLE {t} ADD COLUMN o2 int; ALTER TABLE {t} ADD COLUMN o3 int;"
         "ALTER TABLE {t} ADD FOREIGN KEY (o3, o2) REFERENCES others (a, b) MATCH FULL"),
    Case("foreign-key-parents-go", "DELETE FROM others WHERE id = 8; ALTER TABLE {t} ADD FOREIGN KEY (other) REFERENCES others",
         "rows point to none (id 7, 47", "DELETE FROM others WHERE id > 40;"
         "ALTER TABLE {t} ADD FOREIGN KEY (other) REFERENCES others"),
    Case("check", "ALTER TABLE {t} ADD CONSTRAINT positive CHECK (d_sign > 0)", f"3 of {{rows}} rows break it {IDS}",
         "ALTER TABLE {t} ADD CONSTRAINT positive CHECK (n > 0)"),
    Case("check-of-two", "ALTER TABLE {t} ADD CHECK ({t}.d_sign = n AND name LIKE 'v%' -- as it is\n)",
         f"3 of {{rows}} rows break it {IDS}", "ALTER TABLE {t} ADD CHECK ({t}.n = id AND name LIKE 'v%' -- as it is\n)"),
    Case("check-not-null", "ALTER TABLE {t} ADD CHECK (d_null IS NOT NULL)", f"3 of {{rows}} rows break it {IDS}",
         "ALTER TABLE {t} ADD CHECK (d_null <> '')"),
    Case("check-fails", "ALTER TABLE {t} ADD CHECK (d_number::int > 0)", f"3 rows fail {IDS}",
         "ALTER TABLE {t} ADD CHECK (number::int > 0)"),
    Case("exclude-equal", "ALTER TABLE {t} ADD EXCLUDE USING btree (d_same WITH =)",
         f"3 of {{rows}} rows conflict with one another {IDS}", "ALTER TABLE {t} ADD EXCLUDE USING btree (name WITH =)"),
    Case("exclude-ranges", "ALTER TABLE {t} ADD EXCLUDE USING gist (d_span WITH &&)",
         "3 of {rows} rows conflict with one another (id 7, 21, 42", "ALTER TABLE {t} ADD EXCLUDE USING gist (span WITH &&)"),
    Case("exclude-where", "ALTER TABLE {t} ADD EXCLUDE USING gist (d_span WITH &&) WHERE (id > 10)",
         "2 of {rows} rows conflict with one another (id 21, 42",
         "ALTER TABLE {t} ADD EXCLUDE USING gist (d_span WITH &&) WHERE (id > 30)"),
    Case("type-number", "ALTER TABLE {t} ALTER d_number TYPE int USING d_number::int", f"3 of {{rows}} rows fail {IDS}",
         "ALTER TABLE {t} ALTER number TYPE int USING number::int"),
    Case("type-length", "ALTER TABLE {t} ALTER d_long TYPE varchar(20)", f"3 of {{rows}} rows are longer than 20 {IDS}",
         "ALTER TABLE {t} ALTER d_long TYPE varchar(30)"),
    Case("type-small", "ALTER TABLE {t} ALTER d_sign TYPE smallint USING (CASE WHEN d_sign < 0 THEN 99999 END)",
         f"3 of {{rows}} rows fail {IDS}", "ALTER TABLE {t} ALTER other TYPE smallint"),
    Case("type-enum", "CREATE TYPE mark AS ENUM ('a', 'b'); ALTER TABLE {t} ALTER d_sign TYPE mark USING "
         "(CASE WHEN d_sign < 0 THEN 'c' ELSE 'a' END)::mark", f"3 of {{rows}} rows are none of its values {IDS}",
         "CREATE TYPE mark AS ENUM ('a', 'b'); ALTER TABLE {t} ALTER d_sign TYPE mark USING "
         "(CASE WHEN d_sign < 0 THEN 'b' ELSE 'a' END)::mark"),
    Case("type-becomes-null", "ALTER TABLE {t} ALTER name SET NOT NULL; ALTER TABLE {t} ALTER name TYPE text USING d_null",
         f"3 of {{rows}} rows become NULL {IDS}",
         "ALTER TABLE {t} ALTER name SET NOT NULL; ALTER TABLE {t} ALTER name TYPE text USING d_same"),
    Case("type-under-a-key", "CREATE UNIQUE INDEX k ON {t} (d_case); ALTER TABLE {t} ALTER d_case TYPE text USING "
         "CASE WHEN d_case LIKE 'V%' THEN 'v1' ELSE d_case END", "1 value comes more than once, in 4 of {rows} rows (id 1, 7, 21 …)",
         "CREATE UNIQUE INDEX k ON {t} (d_case); ALTER TABLE {t} ALTER d_case TYPE text USING d_case || '.'"),
    Case("type-domain", "CREATE DOMAIN short AS text CHECK (length(VALUE) < 20); ALTER TABLE {t} ALTER d_long TYPE short",
         f"3 of {{rows}} rows break its check {IDS}",
         "CREATE DOMAIN short AS text CHECK (length(VALUE) < 20); ALTER TABLE {t} ALTER name TYPE short"),
    Case("add-not-null", "ALTER TABLE {t} ADD x int NOT NULL", "{rows} of {rows} rows are NULL (id 1, 2, 3 …)",
         "ALTER TABLE {t} ADD x int NOT NULL DEFAULT 0"),
    Case("add-unique", "ALTER TABLE {t} ADD x int DEFAULT 1 UNIQUE", "1 value comes more than once, in {rows} of {rows}",
         "ALTER TABLE {t} ADD x serial UNIQUE"),
    Case("add-check", "ALTER TABLE {t} ADD x int DEFAULT 1 + 1 CHECK (x > 2)", "{rows} of {rows} rows break it",
         "ALTER TABLE {t} ADD x int DEFAULT 1 + 1 CHECK (x > 1)"),
    Case("add-references", "ALTER TABLE {t} ADD x int DEFAULT 0 REFERENCES others", "{rows} of {rows} rows point to none",
         "ALTER TABLE {t} ADD x int DEFAULT 1 REFERENCES others (id)"),
    Case("add-generated", "ALTER/**/TABLE {t} ADD x int GENERATED ALWAYS AS (nullif(d_other, 0)) STORED NOT NULL",
         f"3 of {{rows}} rows are NULL {IDS}",
         "ALTER/**/TABLE {t} ADD x int GENERATED ALWAYS AS (nullif(other, 0)) STORED NOT NULL", since=12),
    Case("unique-index", "CREATE UNIQUE INDEX ON {t} (d_same)", UNIQUE, "CREATE UNIQUE INDEX ON {t} (name)"),
    Case("unique-index-expression", "CREATE UNIQUE INDEX k ON {t} (lower(d_case), (n / 1000000000))", "more than once",
         "CREATE UNIQUE INDEX k ON {t} (lower(d_case), (n / 2))"),
    Case("unique-index-partial", "CREATE UNIQUE INDEX k ON {t} (d_same) WHERE n < 30",
         "1 value comes more than once, in 2 of {rows} rows (id 7, 21)", "CREATE UNIQUE INDEX k ON {t} (d_same) WHERE n < 20"),
    Case("unique-index-concurrently", "CREATE UNIQUE INDEX CONCURRENTLY k ON {t} (d_same)", UNIQUE,
         "CREATE UNIQUE INDEX CONCURRENTLY k ON {t} (name)", alone=True),
    Case("index-expression-fails", "CREATE INDEX k ON {t} ((d_number::int))", f"3 of {{rows}} rows fail {IDS}",
         "CREATE INDEX k ON {t} ((number::int))"),
    Case("updated-before", "UPDATE {t} AS q SET d_null = '' WHERE q.id < 20; ALTER TABLE {t} ALTER d_null SET NOT NULL",
         "2 of {rows} rows are NULL (id 21, 42)",
         "UPDATE {t} AS q SET d_null = '' WHERE q.d_null IS NULL; ALTER TABLE {t} ALTER d_null SET NOT NULL"),
    Case("deleted-before", "DELETE FROM {t} WHERE d_other = 0 AND id > 7; ALTER TABLE {t} ADD FOREIGN KEY (d_other) REFERENCES others",
         "1 of ", "DELETE FROM {t} WHERE d_other NOT IN (SELECT id FROM others);"
         "ALTER TABLE {t} ADD FOREIGN KEY (d_other) REFERENCES others"),
    Case("renamed-before", "ALTER TABLE {t} RENAME TO q; ALTER TABLE q RENAME d_null TO x; ALTER TABLE q ALTER x SET NOT NULL",
         f"3 of {{rows}} rows are NULL {IDS}",
         "ALTER TABLE {t} RENAME TO q; ALTER TABLE q RENAME name TO x; ALTER TABLE q ALTER x SET NOT NULL"),
    Case("deduplicated-before", "DELETE FROM {t} a USING {t} b WHERE a.d_same = b.d_same AND a.ctid < b.ctid AND a.id < 20;"
         "ALTER TABLE {t} ADD UNIQUE (d_same)", "1 value comes more than once, in 2 of",
         "DELETE FROM {t} a USING {t} b WHERE a.d_same = b.d_same AND a.ctid < b.ctid; ALTER TABLE {t} ADD UNIQUE (d_same)"),
    Case("filled-from-another", "ALTER TABLE {t} ADD code text; UPDATE {t} SET code = o.code FROM others AS o WHERE o.id = d_other;"
         "ALTER TABLE {t} ALTER code SET NOT NULL", f"3 of {{rows}} rows are NULL {IDS}",
         "ALTER TABLE {t} ADD code text; UPDATE {t} SET code = o.code FROM others AS o WHERE o.id = other;"
         "ALTER TABLE {t} ALTER code SET NOT NULL"),
    Case("validate-check", "ALTER TABLE kept VALIDATE CONSTRAINT kept_d_n", f"3 of 50 rows break it {IDS}",
         "ALTER TABLE kept VALIDATE CONSTRAINT kept_n", sized=False),
    Case("validate-foreign-key", "ALTER TABLE kept VALIDATE CONSTRAINT kept_d_other", f"3 of 50 rows point to none {IDS}",
         "ALTER TABLE kept VALIDATE CONSTRAINT kept_other", sized=False),
    Case("validate-renamed", "ALTER TABLE kept RENAME d_n TO x; ALTER TABLE kept VALIDATE CONSTRAINT kept_d_n",
         f"3 of 50 rows break it {IDS}",
         "ALTER TABLE kept RENAME n TO x; ALTER TABLE kept VALIDATE CONSTRAINT kept_n", sized=False),
    Case("validate-of-the-plan", "ALTER TABLE {t} ADD CONSTRAINT k CHECK (d_sign > 0) NOT VALID; ALTER TABLE {t} VALIDATE CONSTRAINT k",
         f"3 of {{rows}} rows break it {IDS}",
         "ALTER TABLE {t} ADD CONSTRAINT k CHECK (n > 0) NOT VALID; ALTER TABLE {t} VALIDATE CONSTRAINT k"),
    Case("domain", "ALTER DOMAIN word ADD CHECK (VALUE <> 'no')", f"3 of 50 rows break it {IDS}",
         "ALTER DOMAIN word ADD CHECK (VALUE <> 'maybe')", sized=False),
    Case("attach-range", "ALTER TABLE parts ATTACH PARTITION loose FOR VALUES FROM (10) TO (60)",
         "9 of 50 rows lie outside of its bounds", "ALTER TABLE parts ATTACH PARTITION loose FOR VALUES FROM (MINVALUE) TO (51)",
         sized=False),
    Case("attach-list", "ALTER TABLE lists ATTACH PARTITION listed FOR VALUES IN ('a', 'b')",
         "rows lie outside of its bounds", "ALTER TABLE lists ATTACH PARTITION listed FOR VALUES IN ('a', 'b', 'c')",
         sized=False),
)  # fmt: skip

UNSAID = (
    ("UPDATE small SET d_null = o.d_null FROM small AS o WHERE o.other = small.other; ALTER TABLE small ALTER d_null SET NOT NULL",
     "rows are filled before from several that match, and PostgreSQL takes any of them"),
    ("CREATE TABLE made (id serial PRIMARY KEY, n int); INSERT INTO made (n) SELECT n FROM small; ALTER TABLE small ADD m int; UPDATE small SET m = made.id FROM made WHERE made.n = small.n; ALTER TABLE small ALTER m SET NOT NULL",
     "SET NOT NULL small.m: not known before the run, rows change before, by 001_step.sql:1"),
    ("CREATE FUNCTION f(text) RETURNS text LANGUAGE sql AS 'SELECT $1'; UPDATE small SET d_null = f('x');ALTER TABLE small ALTER d_null SET NOT NULL",
     "SET NOT NULL small.d_null: not known before the run"),
    ("DO $$ BEGIN EXECUTE 'UPDATE small SET d_null = 1'; END $$; ALTER TABLE small ALTER d_null SET NOT NULL",
     "SET NOT NULL small.d_null: 3 of 50 rows are NULL|not known before the run, rows change before"),
    ("DO $$ DECLARE t text := 'sm' || current_date; BEGIN EXECUTE t; END $$;ALTER TABLE small ALTER d_null SET NOT NULL",
     "not known before the run, rows change before, by 001_step.sql:1"),
    ("UPDATE small SET d_sign = nextval('pg_catalog.nothing'); ALTER TABLE small ADD UNIQUE (d_sign)",
     "UNIQUE of small (d_sign): not known before the run, rows change before, by 001_step.sql:1"),
    ("INSERT INTO others VALUES (0) ON CONFLICT DO NOTHING; ALTER TABLE small ADD FOREIGN KEY (d_other) REFERENCES others",
     "3 of 50 rows point to none (id 7, 21, 42); whether they are in the way is not known"),
    ("DO $$ BEGIN IF current_date > '2020-01-01' THEN ALTER TABLE small ALTER d_null SET NOT NULL; END IF; END $$",
     "it stands under a condition"),
    ("CREATE TRIGGER q BEFORE UPDATE ON small FOR EACH ROW EXECUTE PROCEDURE tidy(); UPDATE small SET n = 1;ALTER TABLE small ALTER d_null SET NOT NULL",
     "SET NOT NULL small.d_null: not known before the run"),
    ("DELETE FROM small WHERE id = (SELECT max(f) FROM fresh); ALTER TABLE small ALTER d_null SET NOT NULL;CREATE TABLE fresh (f int)",
     "SET NOT NULL small.d_null: not known before the run"),
)  # fmt: skip
"""Statements of which the rows alone do not tell whether they pass, and a part of what is said."""

LEFT = (
    "TRUNCATE others CASCADE; ALTER TABLE small ADD o int REFERENCES others, ADD u uuid UNIQUE, ADD t timestamptz NOT NULL DEFAULT now()",
    "DO $$ DECLARE t text := 'sm' || current_date; BEGIN IF false THEN EXECUTE t; END IF; END $$; ALTER TABLE small ADD x int NOT NULL DEFAULT 3",
    "CREATE TABLE single (a int); INSERT INTO single VALUES (1); CREATE UNIQUE INDEX ON single ((true))",
    "CREATE TABLE fresh (a int); ALTER TABLE fresh ALTER a SET NOT NULL, ADD UNIQUE (a), ADD CHECK (a > 0)",
    "CREATE TABLE fresh (a int); INSERT INTO fresh VALUES (1), (2); ALTER TABLE fresh ADD UNIQUE (a)",
    "CREATE TABLE fresh (id serial, a int DEFAULT 3); INSERT INTO fresh (a) SELECT n FROM small;ALTER TABLE fresh ALTER a SET NOT NULL",
    "TRUNCATE small; ALTER TABLE small ALTER d_null SET NOT NULL",
    "ALTER TABLE small ALTER id SET NOT NULL",
    "ALTER TABLE small ADD COLUMN IF NOT EXISTS n int NOT NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS small_pkey ON small (d_same)",
    "ALTER TABLE small ADD CONSTRAINT c CHECK (d_sign > 0) NOT VALID",
    "UPDATE small SET d_null = 'none' WHERE d_null IS NULL AND id IS DISTINCT FROM -1; ALTER TABLE small ALTER d_null SET NOT NULL",
    "WITH twice AS (SELECT id, row_number() OVER (PARTITION BY d_same ORDER BY id) AS n FROM small) DELETE FROM small WHERE id IN (SELECT id FROM twice WHERE n > 1); CREATE UNIQUE INDEX ON small (d_same)",
    "CREATE SCHEMA s; ALTER TABLE small SET SCHEMA s; UPDATE s.small SET d_null = s.small.name; ALTER TABLE s.small ALTER d_null SET NOT NULL",
    "INSERT INTO others SELECT 0, 'zero', 0, 0; ALTER TABLE small ADD FOREIGN KEY (d_other) REFERENCES others",
    "ALTER TABLE small ADD x int; UPDATE small SET (x, n) = (1, 2), name = DEFAULT; UPDATE small SET x = 1;ALTER TABLE small ALTER x SET NOT NULL",
)
"""Statements that pass, because of what stands before them."""
