# ruff: noqa: E501, ISC004  (one case a line)
"""Which rows and objects does a file ask for before it goes on?"""

from __future__ import annotations

import compact
import pytest

MISSING = [
    "PERFORM 1 FROM p WHERE slug = 'a'; IF NOT FOUND THEN RAISE 'gone'; END IF;",
    "SELECT id INTO v FROM p WHERE slug = 'a'; IF NOT FOUND THEN RAISE EXCEPTION 'gone'; END IF;",
    "SELECT id INTO v FROM p WHERE slug = 'a'; IF v IS NULL THEN RAISE NOTICE 'hm'; RAISE EXCEPTION 'gone'; END IF;",
    "SELECT id INTO v FROM p WHERE 'a' = slug; IF v IS NULL OR v < 5 THEN RAISE EXCEPTION 'g%', 'one'; END IF;",
    "v := (SELECT id FROM p WHERE slug = 'a'); IF v IS NULL THEN RAISE EXCEPTION USING MESSAGE = 'gone'; END IF;",
    "SELECT * INTO r FROM p WHERE slug = 'a'; IF r IS NULL THEN RAISE 'gone'; END IF;",
    "SELECT * INTO r FROM p WHERE slug = name; IF r.id IS NULL THEN RAISE 'gone'; END IF;",
    "IF NOT EXISTS (SELECT 1 FROM p WHERE slug = 'a') THEN RAISE 'gone'; END IF;",
    "IF NOT EXISTS (SELECT FROM p AS x WHERE x.slug = name::text) THEN RAISE 'gone'; END IF;",
    "IF EXISTS (SELECT 1 FROM p WHERE slug = 'a') THEN NULL; ELSE RAISE 'gone'; END IF;",
    "SELECT EXISTS (SELECT 1 FROM p WHERE slug = 'a') INTO b; IF NOT b THEN RAISE 'gone'; END IF;",
    "b := EXISTS (SELECT 1 FROM p WHERE slug = 'a'); IF b = false THEN RAISE 'gone'; END IF;",
    "b := EXISTS (SELECT 1 FROM p WHERE slug = 'a'); IF b IS NOT TRUE THEN RAISE 'gone'; END IF;",
    "IF (SELECT id FROM p WHERE slug = 'a') IS NULL THEN RAISE 'gone'; END IF;",
    "IF (SELECT count(*) FROM p WHERE slug = 'a') = 0 THEN RAISE 'gone'; END IF;",
    "IF (SELECT count(*) FROM p WHERE slug = 'a') < 1 THEN RAISE 'gone'; END IF;",
    "SELECT count(*) INTO v FROM p WHERE slug = 'a'; IF v = 0 THEN RAISE 'gone'; END IF;",
    "SELECT count(*) FROM p WHERE slug = 'a' INTO v; IF 0 = v THEN RAISE 'gone'; END IF;",
    "SELECT count(*) INTO v FROM p WHERE slug = 'a'; IF 1 > v THEN RAISE 'gone'; END IF;",
    "EXECUTE 'SELECT 1'; SELECT id INTO STRICT v FROM p WHERE slug = 'a';",
]


def block(body: str) -> str:
    return f"DO $$ DECLARE v int; b boolean; r record; name constant text := 'a'; BEGIN {body} END $$"


@pytest.mark.parametrize("body", MISSING)
def test_a_row_that_the_file_would_refuse_without_is_a_need_in_its_own_words(body: str) -> None:
    words = "" if "STRICT" in body else " 'gone'"
    assert compact.lines(block(body), kinds=("row",)) == ["read row p (slug = a)" + words]


NOT_NEEDED = [
    "SELECT id INTO v FROM p WHERE slug = 'a'; IF v IS NOT NULL THEN RAISE 'there'; END IF;",
    "IF EXISTS (SELECT 1 FROM p WHERE slug = 'a') THEN RAISE 'there'; END IF;",
    "PERFORM 1 FROM p WHERE slug = 'a'; IF FOUND THEN RAISE 'there'; END IF;",
    "SELECT id INTO v FROM p WHERE slug = 'a'; IF NOT FOUND THEN RAISE NOTICE 'gone'; END IF;",
    "SELECT id INTO v FROM p WHERE slug = 'a'; IF NOT FOUND THEN INSERT INTO q VALUES (1); RAISE 'x'; END IF;",
    "SELECT flag INTO b FROM p WHERE slug = 'a'; IF NOT b THEN RAISE 'off'; END IF;",
    "SELECT id INTO v FROM p WHERE slug = 'a'; v := 5; SELECT 1 INTO v; IF v IS NULL THEN RAISE 'x'; END IF;",
    "SELECT id INTO v FROM p WHERE slug = 'a' LIMIT 1; FETCH c INTO r; IF r IS NULL THEN RAISE 'x'; END IF;",
    "IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'x') THEN RAISE 'no role'; END IF;",
]


@pytest.mark.parametrize("body", NOT_NEEDED)
def test_a_row_that_the_file_does_without_is_no_need(body: str) -> None:
    assert compact.lines(block(body), kinds=("row",)) == []


OBJECTS = [
    ("to_regclass('s.t') IS NULL", "read relation s.t 'no'"),
    ("to_regclass('s.' || 't') IS NULL", "read relation s.t 'no'"),
    ("NOT (to_regclass('s.t') IS NOT NULL)", "read relation s.t 'no'"),
    ("to_regprocedure('s.f(uuid, int)') IS NULL", "read routine s.f(uuid, integer) 'no'"),
    ("to_regproc('s.f') IS NULL", "read routine s.f() 'no'"),
    ("to_regtype('s.mood') IS NULL", "read type s.mood 'no'"),
    ("to_regnamespace('s') IS NULL", "read schema s 'no'"),
    ("NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pgcrypto')", "read extension pgcrypto 'no'"),
    ("NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 's')", "read schema s 'no'"),
    ("NOT EXISTS (SELECT FROM pg_tables WHERE schemaname = 's' AND tablename = 't')", "read relation s.t 'no'"),
    ("NOT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = 's' AND table_name = 't')",
     "read relation s.t 'no'"),
    ("NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_schema = 's' AND table_name = 't'"
     " AND column_name = 'c')", "read column s.t.c 'no'"),
    ("NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 's'"
     " AND c.relname = 't' AND c.relkind = 'r')", "read relation s.t 'no'"),
    ("NOT EXISTS (SELECT 1 FROM pg_proc p JOIN pg_namespace n ON p.pronamespace = n.oid WHERE n.nspname = 's'"
     " AND p.proname = 'f')", "read routine s.f() 'no'"),
    ("NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 's' AND tablename = 't' AND policyname = 'p')",
     "read policy s.p on s.t 'no'"),
    ("NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'g' AND tgrelid = 's.t'::regclass AND NOT tgisinternal)",
     "read trigger s.g on s.t 'no'"),
    ("to_regclass('s.t') IS NULL OR to_regclass('s.u') IS NULL", "read relation s.u 'no'"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "expected"), OBJECTS)
def test_a_refusal_over_a_missing_object_is_a_need_in_the_files_own_words(condition: str, expected: str) -> None:
    found = compact.lines(block(f"IF {condition} THEN RAISE EXCEPTION 'no'; END IF;"), verbs=("read",))
    assert expected in found


def test_a_guard_stands_around_what_it_guards_and_its_contrary_around_the_rest() -> None:
    found = compact.lines(
        block(
            "IF to_regclass('s.t') IS NULL THEN CREATE TABLE s.t (); ELSE ALTER TABLE s.t ADD COLUMN a text; END IF;"
            "IF now() > '2020-01-01' THEN CREATE TABLE s.u (); END IF;"
        ),
        verbs=("make",),
    )
    assert found == [
        "make relation s.t [missing relation s.t]",
        "make column s.t.a [exists relation s.t]",
        "make relation s.u [unknown]",
    ]


def test_loops_over_constants_are_followed_round_by_round() -> None:
    made = [
        "FOREACH n IN ARRAY ARRAY['x', 'y'] LOOP EXECUTE format('CREATE TABLE s.%I ()', n); END LOOP;",
        "FOREACH n IN ARRAY names LOOP EXECUTE 'CREATE TABLE s.' || quote_ident(n) || ' ()'; END LOOP;",
        "FOR n IN SELECT unnest(names) LOOP EXECUTE format('CREATE TABLE %s.%s ()', 's', n); END LOOP;",
        "FOR n IN SELECT * FROM unnest(ARRAY['x', 'y']) LOOP EXECUTE concat('CREATE TABLE s.', n, ' ()'); END LOOP;",
        "FOR n IN VALUES ('x'), ('y') LOOP EXECUTE format($f$CREATE TABLE %1$I.%2$I ()$f$, 's', n); END LOOP;",
        "FOR r IN SELECT * FROM (VALUES ('x'), ('y')) AS q (w) LOOP EXECUTE format('CREATE TABLE s.%I ()', r.w); END LOOP;",
        "FOR n, m IN VALUES ('x', ''), ('y', '') LOOP EXECUTE replace('CREATE TABLE s.? ()', '?', n || m); END LOOP;",
    ]
    for body in made:
        sql = f"DO $$ DECLARE n text; m text; r record; names text[] := '{{x,\"y\"}}'; BEGIN {body} END $$"
        assert compact.lines(sql, verbs=("make", "opaque")) == ["make relation s.x", "make relation s.y"], body


OPAQUE = [
    "EXECUTE current_setting('a.b');",
    "EXECUTE format('DROP TABLE %I', (SELECT max(relname) FROM pg_class));",
    "n := 'SELECT 1'; LOOP EXECUTE n; n := 'DROP TABLE t'; END LOOP;",
    "n := 'SELECT 1'; IF b THEN n := 'SELECT 2'; END IF; EXECUTE n;",
    "n := 'SELECT 1'; GET DIAGNOSTICS n = PG_CONTEXT; EXECUTE n;",
    "n := 'SELECT 1'; FETCH c INTO n; EXECUTE n;",
    "n := 'SELECT 1'; SELECT x INTO n FROM y; EXECUTE n;",
    "n := 'SELECT 1'; FOR n IN SELECT x FROM y LOOP EXECUTE n; END LOOP;",
    "n := 'SELECT 1'; WHILE b LOOP EXECUTE n; SELECT x INTO n FROM y; END LOOP;",
    "EXECUTE 'SELEC 1';",
    "FOR n, b IN VALUES ('SELECT 1', true), ('SELECT 2', random() > 0.5) LOOP EXECUTE n; END LOOP;",
    "EXECUTE replace(replace('xxxxxxxxx', 'x', repeat('y', 9)), 'y', 'SELECT 1');",
]


@pytest.mark.parametrize("body", OPAQUE)
def test_what_is_put_together_at_run_time_is_said_to_be_opaque_with_its_line(body: str) -> None:
    sql = "SELECT 1;\n\nDO $$\nDECLARE n text; b boolean; c refcursor;\nBEGIN\n" + body + "\nEND\n$$;"
    (found,) = [op for op in compact.file(sql).ops if op.verb == "opaque"]
    assert (found.span.line, bool(found.detail.reason)) == (6, True)


def test_a_cursor_loop_is_no_opaque_place() -> None:
    body = "DECLARE c CURSOR (k int) FOR SELECT a FROM t WHERE b > k; BEGIN FOR r IN c(f(1)) LOOP NULL; END LOOP; END"
    found = compact.lines(f"DO $$ {body} $$")
    assert "opaque" not in " ".join(found)
    assert {"read relation t", "read column t.a", "call routine f(…)"} <= set(found)


def test_directives_are_read_with_their_lines_and_wrong_words_are_told() -> None:
    ops = compact.file(
        "-- lancio: requires row platform.projects (slug = 'x')\nSELECT 1; -- lancio: duration 2s\n"
        "/* lancio: risk high */ SELECT '-- lancio: risk low';\n--lancio:impact  none at all  \n-- lancio: requries x\n"
    )
    assert [(each.word, each.text, each.line) for each in ops.directives] == [
        ("requires", "row platform.projects (slug = 'x')", 1),
        ("duration", "2s", 2),
        ("impact", "none at all", 4),
    ]
    assert len(ops.problems) == 1
    assert ops.problems[0].startswith("line 5: `lancio: requries`")
