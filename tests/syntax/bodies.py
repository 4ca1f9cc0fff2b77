# ruff: noqa: E501  (one case a line)
"""PL/pgSQL bodies that PostgreSQL accepts: every statement of its documentation (chapter 43), in every spelling."""

from __future__ import annotations

HEADS = {
    "trigger": "() RETURNS trigger",
    "event": "() RETURNS event_trigger",
    "set": "(a integer, b text) RETURNS SETOF integer",
    "record": "(a integer, b text, OUT c integer, OUT d text) RETURNS record",
    "void": "(a integer, b text) RETURNS void",
    "integer": "(a integer, b text) RETURNS integer",
}
"""What stands before a body, by its kind: a body whose name has no prefix `kind:` is one of a void function."""

SETUP = """
CREATE TABLE t (id integer PRIMARY KEY, name text, at timestamptz, tags text[], "end" integer, "Größe" integer);
CREATE TYPE pair AS (x integer, y text, zs integer[]);
CREATE SCHEMA other;
CREATE DOMAIN other.positive AS integer CHECK (VALUE > 0);
CREATE TABLE other.u (id other.positive, p pair);
CREATE PROCEDURE other.proc(INOUT n integer) LANGUAGE plpgsql AS 'BEGIN n := n + 1; END';
"""

BODIES: dict[str, str] = {
    "empty": "BEGIN END",
    "null": "BEGIN NULL; END;",
    "declarations": """
DECLARE
    i integer; j int := 5; k CONSTANT numeric(10, 2) NOT NULL DEFAULT 1.5; l text COLLATE "C" := 'x';
    m text COLLATE "C" NOT NULL = 'y'; n other.positive = 3; o t.name%TYPE; p t%ROWTYPE; q other.u%ROWTYPE;
    r record; s integer[] := ARRAY[1, 2]; u integer[3][3]; v pair; w double precision; x timestamp(3) with time zone;
    y character varying(5); z integer ARRAY[4]; "Mixed Case" text; größe integer := 1; alias1 ALIAS FOR a; first ALIAS FOR $1;
    cc public.t.name%TYPE; dd a%TYPE := 7; query text; next integer; type text; level integer;
BEGIN NULL; END""",
    "cursors": """
DECLARE
    c1 refcursor; c2 CURSOR FOR SELECT * FROM t; c3 CURSOR (key integer, w text) IS SELECT id FROM t WHERE id = key;
    c4 NO SCROLL CURSOR FOR SELECT 1; c5 SCROLL CURSOR FOR SELECT CASE WHEN true THEN 1 END AS x; r record; n integer;
BEGIN
    OPEN c2; OPEN c3(1, 'x'); CLOSE c3; OPEN c3(w := 'a', key := 5); OPEN c1 FOR SELECT * FROM t; CLOSE c1;
    OPEN c1 SCROLL FOR SELECT * FROM t ORDER BY id; CLOSE c1;
    OPEN c1 FOR EXECUTE 'SELECT * FROM t WHERE id = $1' USING a; CLOSE c1;
    OPEN c1 NO SCROLL FOR EXECUTE format('SELECT * FROM %I', 't'); FETCH c1 INTO r; FETCH NEXT FROM c2 INTO r;
    FETCH LAST FROM c2 INTO r; FETCH RELATIVE -2 FROM c2 INTO r; FETCH ABSOLUTE n IN c2 INTO r; FETCH c4 INTO n;
    MOVE c2; MOVE LAST FROM c2; MOVE RELATIVE -1 FROM c2; MOVE FORWARD 2 FROM c2;
    UPDATE t SET name = 'x' WHERE CURRENT OF c2; DELETE FROM t WHERE CURRENT OF c2; CLOSE c2;
END""",
    "cursor loops": """
DECLARE c CURSOR FOR SELECT id FROM t; d CURSOR (k integer) FOR SELECT id FROM t WHERE id > k;
BEGIN
    FOR r IN c LOOP RAISE NOTICE '%', r.id; END LOOP;
    FOR r IN d(5) LOOP NULL; END LOOP;
    FOR r IN d(k := (SELECT max(id) FROM t)) LOOP EXIT; END LOOP;
END""",
    "assignments": """
DECLARE i integer; r t%ROWTYPE; p pair; q integer[]; z record;
BEGIN
    i := 1; i = 2; r.name := 'x'; r."end" := 3; r."Größe" = 4; r.tags[1] := 'a'; p.zs[i + 1] := 5; p.zs[1:2] = ARRAY[1, 2];
    q[1] := 1; q[q[1]] := 2; q := q || 5; q[i] := (SELECT max(id) FROM t WHERE id = ANY (q)); r := ROW(1, 'a', now(), NULL, 1, 2);
    SELECT * INTO z FROM t; z.id := 5; i := (SELECT count(*) FROM t WHERE name = 'then; loop'); i := CASE WHEN i > 1 THEN 1 ELSE 2 END;
    p.x := p.x + 1; i := r.end; i := 5 = 5 AND i = 2;
END""",
    "into": """
DECLARE i integer; s text; r record; p pair; q integer[];
BEGIN
    SELECT id, name INTO i, s FROM t WHERE id = 1; SELECT INTO i, s id, name FROM t; SELECT id INTO STRICT i FROM t;
    SELECT INTO STRICT r * FROM t; SELECT id, name FROM t INTO i, s; SELECT 1 INTO p.x;
    INSERT INTO t (id) VALUES (1) RETURNING id INTO i; INSERT INTO t SELECT 2 RETURNING * INTO STRICT r;
    UPDATE t SET name = 'b' WHERE id = 1 RETURNING id, name INTO i, s; DELETE FROM t RETURNING id INTO i;
    WITH x AS (INSERT INTO t (id) VALUES (7) RETURNING id) SELECT id INTO i FROM x; VALUES (1) INTO i;
    MERGE INTO t USING other.u ON t.id = u.id WHEN MATCHED THEN UPDATE SET name = 'x' WHEN NOT MATCHED THEN INSERT (id) VALUES (u.id);
    EXECUTE 'SELECT 1' INTO i; EXECUTE 'SELECT $1, $2' INTO STRICT i, s USING a, b; EXECUTE 'SELECT $1' USING a INTO i;
    SELECT (SELECT max(id) FROM t) INTO i; SHOW search_path INTO s; EXPLAIN SELECT 1 INTO s;
END""",
    "if": """
BEGIN
    IF a = 1 THEN NULL; END IF;
    IF a = 1 THEN NULL; ELSE NULL; END IF;
    IF a = 1 THEN NULL; ELSIF a = 2 THEN NULL; ELSEIF a = 3 THEN IF b THEN NULL; END IF; ELSE NULL; END IF;
    IF (CASE WHEN a = 1 THEN true ELSE false END) THEN NULL; END IF;
    IF EXISTS (SELECT CASE WHEN true THEN 1 END FROM t) AND NOT FOUND THEN PERFORM 1; END IF;
    IF b = 'then' OR b = $x$ then $x$ /* then */ -- then
    THEN NULL; END IF;
END""",
    "case": """
DECLARE i integer;
BEGIN
    CASE a WHEN 1, 2 THEN i := 1; WHEN 3 THEN NULL; ELSE i := 0; END CASE;
    CASE WHEN a > 1 AND a < 5 THEN i := 1; WHEN a IS NULL THEN CASE b WHEN 'x' THEN NULL; END CASE; END CASE;
    CASE (CASE WHEN a = 1 THEN 1 ELSE 2 END) WHEN 1 THEN NULL; ELSE END CASE;
    CASE a WHEN (CASE WHEN true THEN 1 END) THEN i := CASE a WHEN 1 THEN 2 END; ELSE RAISE 'no'; END CASE;
END""",
    "loops": """
DECLARE i integer; x text; xs text[]; r record; j integer := 3;
BEGIN
    LOOP EXIT; END LOOP;
    <<outer>> LOOP <<inner>> WHILE true LOOP CONTINUE outer WHEN a > 1; EXIT inner; EXIT outer WHEN a = 2; END LOOP inner; END LOOP outer;
    WHILE a < 10 AND EXISTS (SELECT 1) LOOP CONTINUE; END LOOP;
    FOR i IN 1..10 LOOP NULL; END LOOP;
    FOR i IN REVERSE 10..1 LOOP NULL; END LOOP;
    FOR i IN REVERSE 10..1 BY 2 LOOP NULL; END LOOP;
    FOR i IN 1 .. array_length(ARRAY[1, 2], 1) BY j LOOP NULL; END LOOP;
    FOR i IN j..(SELECT max(id) FROM t) LOOP NULL; END LOOP;
    FOR r IN SELECT * FROM t WHERE id BETWEEN 1 AND 2 LOOP NULL; END LOOP;
    FOR i, x IN SELECT id, name FROM t ORDER BY 1 LOOP NULL; END LOOP;
    FOR r IN (SELECT 1 AS a) UNION SELECT 2 LOOP NULL; END LOOP;
    FOR r IN WITH q AS (SELECT 1) SELECT * FROM q LOOP NULL; END LOOP;
    FOR r IN VALUES (1), (2) LOOP NULL; END LOOP;
    FOR r IN TABLE t LOOP NULL; END LOOP;
    FOR r IN UPDATE t SET name = name RETURNING id LOOP NULL; END LOOP;
    FOR r IN EXECUTE 'SELECT 1 AS a' LOOP NULL; END LOOP;
    FOR r IN EXECUTE format('SELECT %s', a) || ' ' USING a, b LOOP NULL; END LOOP;
    FOR r IN EXPLAIN SELECT 1 LOOP NULL; END LOOP;
    FOREACH x IN ARRAY xs LOOP NULL; END LOOP;
    FOREACH xs SLICE 1 IN ARRAY ARRAY[ARRAY['a'], ARRAY['b']] LOOP NULL; END LOOP;
    <<l>> FOREACH i IN ARRAY (SELECT array_agg(id) FROM t) LOOP EXIT l WHEN i = 2; END LOOP l;
    FOR r IN SELECT a FROM (SELECT 1 AS a) AS loop_ LOOP NULL; END LOOP;
END""",
    "labels": """
<<a_block>> DECLARE x integer := 1;
BEGIN
    <<"Inner Block">> DECLARE x integer; BEGIN a_block.x := "Inner Block".x; EXIT "Inner Block" WHEN x = 1; END "Inner Block";
    BEGIN BEGIN NULL; END; END;
    DECLARE y integer; BEGIN y := 1; END;
    <<w>> WHILE x < 2 LOOP x := x + 1; CONTINUE w; END LOOP w;
    <<f>> FOR i IN 1..2 LOOP EXIT f; END LOOP f;
END a_block""",
    "raise": """
DECLARE s text := 'x';
BEGIN
    RAISE DEBUG 'a'; RAISE LOG 'a %', s; RAISE INFO '%%, %', a + 1; RAISE NOTICE '% %', s, (SELECT count(*) FROM t); RAISE WARNING 'w' USING HINT = 'h';
EXCEPTION WHEN others THEN RAISE;
END""",
    "raise forms": """
BEGIN
    IF a = 1 THEN RAISE EXCEPTION 'no %', b USING ERRCODE = 'unique_violation', HINT = 'x', DETAIL := 'y' || b; END IF;
    IF a = 2 THEN RAISE division_by_zero; END IF;
    IF a = 3 THEN RAISE SQLSTATE '22012'; END IF;
    IF a = 4 THEN RAISE unique_violation USING MESSAGE = 'm: ' || b, COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 'd', TABLE = 't', SCHEMA = 's'; END IF;
    IF a = 5 THEN RAISE EXCEPTION USING MESSAGE = 'm', ERRCODE = '22012'; END IF;
    IF a = 6 THEN RAISE USING MESSAGE = CASE WHEN b = 'x' THEN 'y' ELSE 'z' END; END IF;
    IF a = 7 THEN RAISE 'plain'; END IF;
    IF a = 8 THEN RAISE EXCEPTION SQLSTATE 'P0001' USING HINT = 'h'; END IF;
    IF a = 9 THEN RAISE NOTICE 'a'
        'b %', 1; END IF;
    IF a = 10 THEN RAISE NOTICE E'tab\\t%', f(1, 2); END IF;
    IF a = 11 THEN RAISE NOTICE $m$dollar %$m$, b; END IF;
END""",
    "exceptions": """
DECLARE i integer; s text; st text;
BEGIN
    BEGIN i := 1 / 0;
    EXCEPTION
        WHEN division_by_zero THEN i := 0;
        WHEN unique_violation OR foreign_key_violation OR SQLSTATE '23514' THEN NULL;
        WHEN SQLSTATE '22012' THEN RAISE NOTICE '% %', SQLSTATE, SQLERRM;
        WHEN OTHERS THEN GET STACKED DIAGNOSTICS s = MESSAGE_TEXT, st := PG_EXCEPTION_CONTEXT;
    END;
EXCEPTION WHEN others THEN
    BEGIN NULL; EXCEPTION WHEN others THEN NULL; END;
END""",
    "diagnostics": """
DECLARE n integer; o oid; c text; ns integer[];
BEGIN
    UPDATE t SET name = 'x'; GET DIAGNOSTICS n = ROW_COUNT; GET CURRENT DIAGNOSTICS n := ROW_COUNT, c = PG_CONTEXT, o = PG_ROUTINE_OID;
END""",
    "dynamic": """
DECLARE n text := 't';
BEGIN
    EXECUTE 'SELECT 1'; EXECUTE 'UPDATE ' || quote_ident(n) || ' SET name = $1' USING b; EXECUTE format('SELECT %L', b);
    EXECUTE CASE WHEN a = 1 THEN 'SELECT 1' ELSE 'SELECT 2' END; EXECUTE (SELECT 'SELECT 1'); EXECUTE n || 'using' USING (SELECT 1), a;
END""",
    "assert": "BEGIN ASSERT a > 0; ASSERT (SELECT count(*) FROM t) > 0, 'no rows in ' || 't'; ASSERT a IN (1, 2), format('%s', a); END",
    "perform": "BEGIN PERFORM 1; PERFORM f(1, 2) FROM t WHERE id = a; PERFORM * FROM t; PERFORM pg_sleep(0), now(); PERFORM id FROM t FOR UPDATE; END",
    "call": "DECLARE n integer := 1; BEGIN CALL other.proc(n); CALL other.proc(n => n); END",
    "do and set": "BEGIN DO 'BEGIN END'; SET LOCAL search_path = other; RESET search_path; LOCK TABLE t; NOTIFY x; TRUNCATE t; ANALYZE t; END",
    "transactions": "BEGIN COMMIT; ROLLBACK; COMMIT AND CHAIN; ROLLBACK AND NO CHAIN; END",
    "ddl": """
BEGIN
    CREATE TEMP TABLE x AS SELECT 1 AS a; CREATE TABLE IF NOT EXISTS y (a integer DEFAULT 1, CHECK (a > 0));
    CREATE FUNCTION g() RETURNS integer LANGUAGE sql AS $f$ SELECT 1; $f$;
    CREATE OR REPLACE FUNCTION h() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;
    ALTER TABLE t ADD COLUMN IF NOT EXISTS z integer; DROP TABLE IF EXISTS zz; GRANT SELECT ON t TO PUBLIC; COMMENT ON TABLE t IS 'x; y';
    CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
    CREATE VIEW v AS SELECT CASE id WHEN 1 THEN 'end' END AS e FROM t; COPY t TO '/dev/null';
END""",
    "words as names": """
DECLARE query text; next integer; open integer := 1; get integer; log text; cursor_ integer; message text; hint text; r record;
    error text; type integer; reverse integer; slice integer; move integer; is_ integer; use_column integer; level text;
BEGIN
    open := 2; get := open; next := get + 1; query := 'x'; log := query; message = hint; error := 'e'; type = 1; move := slice;
    SELECT t.id AS type, t.name AS message INTO r FROM t; IF r.message = 'x' THEN reverse := r.type; END IF;
    PERFORM t."end" FROM t; level := 'notice';
END""",
    "dotted keywords": """
DECLARE r record; n integer;
BEGIN
    SELECT 1 AS "case", 2 AS "end", 3 AS "then", 4 AS "loop", 5 AS "using" INTO r;
    n := r."case" + r."end" + r."then" + r."loop" + r."using"; UPDATE t SET "end" = t."end" + 1 WHERE t."end" > 1;
    n := (SELECT x.end FROM t AS x LIMIT 1); SELECT t.end INTO n FROM t; n := n + 1;
END""",
    "comments anywhere": """
-- before ; begin
/* DECLARE /* nested */ */ DECLARE -- x integer;
    i /* type */ integer /* := 5 */ := /* value ; */ 1; -- end
BEGIN -- BEGIN
    IF /* IF */ i = 1 -- THEN
    THEN /* ; */ i := 2; END /* LOOP */ IF; -- END
    SELECT id /* INTO j */ INTO /* x */ i -- , y
    FROM t; /* last */
END /* label */; -- after""",
    "strings with everything": """
DECLARE s text;
BEGIN
    s := 'it''s; END IF; LOOP'; s := E'a\\'; b'; s := $$; END $$; s := $q$ $$ ' $q$; s := U&'d\\0061t;'; s := '--' || '/*' || 'x*/';
    EXECUTE $x$ DO $y$ BEGIN NULL; END $y$ $x$; s := "b"; PERFORM '"', 'x''y"';
END""",
    "options": "#variable_conflict use_column\n#print_strict_params on\nBEGIN PERFORM id FROM t; END",
    "option error": "#variable_conflict error\nDECLARE x integer; BEGIN NULL; END",
    "parameters by number": "BEGIN $1 := $1 + 1; PERFORM $2 || 'x'; IF $1 > 2 THEN RETURN; END IF; END",
    "qualified by function": "BEGIN f.a := f.a + 1; PERFORM f.b; END",
    "operators": "DECLARE j jsonb := '{}'; x boolean; BEGIN x := j ? 'a'; x := j @> '{}'::jsonb; x := a<>-1; x := a>=+1; j := j #- '{a}'; j := j->'x'->>'y'; x := NOT a<-1; x := '{1}'::int[]<@'{2}'; x := b ~* 'a.*'; END",
    "slices and ranges": "DECLARE q integer[] := '{1,2}'; BEGIN q := q[1:2]; q := q[:1]; q := q[1:]; q[2:3] := q[1:2]; FOR i IN q[1]..q[2] LOOP NULL; END LOOP; END",
    "nested deeply": "BEGIN " + "IF a = 1 THEN " * 40 + "NULL;" + " END IF;" * 40 + " END",
    "long": "BEGIN " + "a := a + 1; " * 500 + "END",
    "many declares": "DECLARE x integer; DECLARE y integer; BEGIN x := 1; y := x; END",
    "upper case": "DECLARE X INTEGER; BEGIN SELECT 1 INTO X; IF X=1 THEN RAISE NOTICE 'A'; ELSIF X=2 THEN NULL; END IF; END;",
    "no spaces": "DECLARE x integer:=1;y text:='a';BEGIN IF(x=1)THEN x:=x+1;END IF;FOR i IN 1..2 LOOP x:=i;END LOOP;END;",
    "arrays of records": "DECLARE ps pair[]; BEGIN ps[1] := (1, 'a', NULL); ps[1].x := 2; ps[1].zs[1] := 3; PERFORM (ps[1]).x; END",
    "row comparison": "BEGIN IF (a, b) = (1, 'x') OR ROW(a) IS DISTINCT FROM ROW(1) THEN NULL; END IF; END",
    "window and filter": "DECLARE n bigint; BEGIN SELECT count(*) FILTER (WHERE id > 1) OVER (PARTITION BY name ORDER BY id) INTO n FROM t LIMIT 1; END",
    "on conflict": "BEGIN INSERT INTO t AS x (id, name) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET name = excluded.name || x.name; END",
    "nested blocks and handlers": "BEGIN BEGIN BEGIN RAISE 'x'; EXCEPTION WHEN raise_exception THEN RAISE NOTICE 'y'; END; EXCEPTION WHEN OTHERS THEN RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE; END; END",
    "exit block": "<<b>> BEGIN IF a = 1 THEN EXIT b; END IF; NULL; END b",
    "unicode": 'DECLARE größe integer := 1; "naïve ☃" text := \'☃\'; BEGIN größe := größe + 1; RAISE NOTICE \'☃ %\', "naïve ☃"; PERFORM "Größe" FROM t; END',
    "into at the end": "DECLARE i integer; BEGIN SELECT CASE WHEN true THEN 1 END FROM t WHERE id IN (SELECT 1) INTO i; END",
    "union into": "DECLARE i integer; BEGIN SELECT 1 UNION SELECT 2 INTO i; SELECT 1 INTO i UNION ALL SELECT 2; END",
    "import words": "BEGIN INSERT INTO t (id) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM t AS into_ WHERE id = 1); END",
    "trigger: old and new": """
BEGIN
    IF TG_OP = 'INSERT' THEN NEW.at := now(); NEW.tags[1] := TG_NAME; RETURN NEW;
    ELSIF TG_OP = 'UPDATE' AND OLD.* IS DISTINCT FROM NEW.* THEN NEW.id = OLD.id; RETURN NEW; END IF;
    INSERT INTO t SELECT NEW.*; INSERT INTO t SELECT (NEW).*; RETURN NULL; RETURN OLD;
END""",
    "trigger: arguments": "DECLARE x text := TG_ARGV[0]; BEGIN EXECUTE format('INSERT INTO %I.%I SELECT $1.*', TG_TABLE_SCHEMA, TG_TABLE_NAME) USING NEW; RETURN COALESCE(NEW, OLD); END",
    "event: commands": "DECLARE r record; BEGIN FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP RAISE NOTICE '%', r.object_identity; END LOOP; END",
    "set: returns": """
BEGIN
    RETURN NEXT 1; RETURN NEXT a + 1; RETURN QUERY SELECT id FROM t; RETURN QUERY EXECUTE 'SELECT 1'; RETURN QUERY VALUES (1), (2);
    RETURN QUERY EXECUTE 'SELECT $1' USING a; RETURN QUERY WITH x AS (SELECT 1) SELECT * FROM x; RETURN QUERY INSERT INTO t (id) VALUES (1) RETURNING id;
    RETURN QUERY SELECT CASE WHEN a = 1 THEN 1 ELSE 2 END; RETURN QUERY (SELECT 1) UNION (SELECT 2); RETURN;
END""",
    "record: out": "BEGIN c := a; d := b; SELECT 1, 'x' INTO c, d; RETURN; END",
    "integer: return": "BEGIN IF a = 1 THEN RETURN 1; ELSIF a = 2 THEN RETURN (SELECT max(id) FROM t); END IF; RETURN CASE a WHEN 3 THEN 1 ELSE 2 END; END",
    "integer: return variable": "DECLARE query integer := 1; next_ integer; BEGIN RETURN next_; RETURN a; RETURN -a; RETURN (a); END",
    "integer: recursion": "BEGIN RETURN CASE WHEN a <= 1 THEN 1 ELSE a * f(a - 1, b) END; EXCEPTION WHEN OTHERS THEN RETURN -1; END",
    "json": "DECLARE j jsonb; BEGIN SELECT jsonb_object_agg(name, id) INTO j FROM t; j := jsonb_set(j, '{a,b}', '1'::jsonb); j['a'] := '5'; j['x']['y'] = '1'; END",
    "values in a loop": "DECLARE r record; BEGIN FOR r IN SELECT * FROM (VALUES ('a', 1), ('b', 2)) AS v (name, n) LOOP EXECUTE format('COMMENT ON COLUMN t.%I IS %L', r.name, r.n); END LOOP; END",
    "execute in conditions": "BEGIN IF to_regclass('other.u') IS NULL THEN EXECUTE 'CREATE TABLE other.u ()'; END IF; IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'pair') THEN CREATE TYPE pair AS ENUM ('a'); END IF; END",
    "grouping words": "BEGIN PERFORM id FROM t GROUP BY GROUPING SETS ((id), ()) HAVING count(*) > 1 ORDER BY 1 LIMIT 1 OFFSET 1 FOR UPDATE; END",
    "rule with parentheses": "BEGIN CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO other.u (id) VALUES (1); DELETE FROM other.u); END",
    "semicolons in case": "DECLARE i integer; BEGIN CASE WHEN a = 1 THEN i := CASE WHEN b = ';' THEN 1 ELSE 2 END; i := i + 1; ELSE i := 0; END CASE; END",
    "type of array element": 'DECLARE x t.tags%TYPE; y other.u.p%TYPE; z public.pair; w pg_catalog.int4; v pg_catalog."char"; u interval day to second(2); BEGIN NULL; END',
    "not null without default is refused later": "DECLARE x integer NOT NULL := 1; c CONSTANT text := 'a'; d CONSTANT integer[] := '{1,2}'; BEGIN NULL; END",
}
