"""Error texts as people paste them, from psql, logs, drivers and tools: what does explain make of each?"""

from __future__ import annotations

import json

import pytest

from lancio.planner.diagnosis import diagnose, masked
from lancio.planner.diagnosis.model import Case, Evidence, Said, Spot, Way
from lancio.planner.diagnosis.printed import read

TEXTS = [
    # psql
    ('psql:migrations/002_users.sql:14: ERROR:  relation "accounts" does not exist\nLINE 1: INSERT INTO accounts '
    'VALUES (1);\n'
     "                    ^\n", "42P01", 'relation "accounts" does not exist', "migrations/002_users.sql", 14),
    ('psql:/srv/db/V3__x.sql:7: ERROR:  23505: could not create unique index "u_mail"\nDETAIL:  Key '
    '(mail)=(ann@example.org) is '
     "duplicated.\nSCHEMA NAME:  public\nTABLE NAME:  users\nCONSTRAINT NAME:  u_mail\nLOCATION:  "
     "comparetup_index_btree, "
     "tuplesort.c:4056\n", "23505", 'could not create unique index "u_mail"', "/srv/db/V3__x.sql", 7),
    ("ERROR:  current transaction is aborted, commands ignored until end of transaction block", "25P02",
     "current transaction is aborted, commands ignored until end of transaction block", "", 0),
    ('psql: error: connection to server at "db.internal" (10.0.0.7), port 5432 failed: FATAL:  password '
    'authentication failed '
     'for user "app"', "28P01", 'password authentication failed for user "app"', "", 0),
    ('psql: error: connection to server at "localhost" (::1), port 5432 failed: Connection refused\n\tIs the server '
    'running on '
     "that host and accepting TCP/IP connections?", "08001", "Connection refused", "", 0),
    ("psql: error: connection to server on socket \"/var/run/postgresql/.s.PGSQL.5432\" failed: FATAL:  database "
    "\"shop\" does "
     "not exist", "3D000", 'database "shop" does not exist', "", 0),
    # the server's log
    ('2024-05-01 12:00:01.123 UTC [4711] app@shop ERROR:  column "emial" does not exist at character 8\n'
     '2024-05-01 12:00:01.123 UTC [4711] app@shop HINT:  Perhaps you meant to reference the column "users.email".\n'
     "2024-05-01 12:00:01.123 UTC [4711] app@shop STATEMENT:  SELECT emial FROM users", "42703",
     'column "emial" does not exist', "", 0),
    ("2024-05-01 12:00:01 CEST 40P01 [99] ERROR:  deadlock detected\n2024-05-01 12:00:01 CEST 40P01 [99] DETAIL:  "
    "Process 99 "
     "waits for ShareLock on transaction 7; blocked by process 98.\n\tProcess 98 waits for ShareLock on transaction "
     "8; blocked "
     "by process 99.\n\tProcess 99: UPDATE t SET secret = 'hunter2'", "40P01", "deadlock detected", "", 0),
    ("2024-05-01 12:00:01 UTC [1]: FATAL:  sorry, too many clients already", "53300", "sorry, too many clients already",
    "", 0),
    ('2024-05-01 12:00:01.123 UTC,"app","shop",4711,"10.0.0.9:51234",6632,3,"INSERT",2024-05-01 11:59:00 '
    'UTC,4/12,733,ERROR,'
     '23503,"insert or update on table ""orders"" violates foreign key constraint ""orders_user_fkey""","Key '
     '(user_id)=(99) is '
     'not present in table ""users"".",,,,,"INSERT INTO orders VALUES (99)",,,"psql","client backend",,0', "23503",
     'insert or update on table "orders" violates foreign key constraint "orders_user_fkey"', "", 0),
    ('{"timestamp":"2024-05-01 12:00:01.123 UTC","user":"app","pid":4711,"error_severity":"ERROR","state_code":"42501",'
     '"message":"permission denied for table users","statement":"SELECT * FROM users"}', "42501",
     "permission denied for table users", "", 0),
    # Python
    ('psycopg2.errors.UndefinedTable: relation "auth_user" does not exist\nLINE 1: SELECT 1 FROM auth_user\n         '
    '             ^',
     "42P01", 'relation "auth_user" does not exist', "", 0),
    ('sqlalchemy.exc.ProgrammingError: (psycopg2.errors.DuplicateTable) relation "users" already exists\n\n[SQL: '
    '\nCREATE TABLE '
     "users (\n\tid SERIAL NOT NULL\n)\n\n]\n(Background on this error at: https://sqlalche.me/e/14/f405)", "42P07",
     'relation "users" already exists', "", 0),
    ('django.db.utils.IntegrityError: column "owner_id" of relation "shop_item" contains null values', "23502",
     'column "owner_id" of relation "shop_item" contains null values', "", 0),
    ("psycopg.errors.ActiveSqlTransaction: CREATE INDEX CONCURRENTLY cannot run inside a transaction block", "25001",
     "CREATE INDEX CONCURRENTLY cannot run inside a transaction block", "", 0),
    ('asyncpg.exceptions.UndefinedFunctionError: function uuid_generate_v4() does not exist\nHINT:  No function '
    'matches the given '
     "name and argument types. You might need to add explicit type casts.", "42883",
     "function uuid_generate_v4() does not exist", "", 0),
    ("psycopg2.errors.ObjectNotInPrerequisiteState: lastval is not yet defined in this session", "55000",
     "lastval is not yet defined in this session", "", 0),
    ("psycopg2.errors.UnsafeNewEnumValueUsage: unsafe use of new value \"paused\" of enum type job_state\nHINT:  New "
    "enum values "
     "must be committed before they can be used.", "55P04", 'unsafe use of new value "paused" of enum type job_state',
     "", 0),
    # node
    ('error: relation "knex_migrations_lock" does not exist\n    at Parser.parseErrorMessage '
    '(/app/node_modules/pg-protocol/dist/'
     "parser.js:287:98)\n    at Socket.<anonymous> {\n  length: 120,\n  severity: 'ERROR',\n  code: '42P01',\n  "
     "detail: undefined,\n"
     "  position: '15',\n  file: 'parse_relation.c',\n  routine: 'parserOpenTable'\n}", "42P01",
     'relation "knex_migrations_lock" does not exist', "", 0),
    ("QueryFailedError: duplicate key value violates unique constraint \"PK_1\"\n    at PostgresQueryRunner.query "
    "{\n  code: '23505',"
     "\n  detail: 'Key (id)=(1) already exists.',\n  schema: 'public',\n  table: 'user',\n  constraint: 'PK_1'\n}",
     "23505",
     'duplicate key value violates unique constraint "PK_1"', "", 0),
    ('Error: P3018\n\nA migration failed to apply. New migrations cannot be applied before the error is recovered '
    'from.\n\nMigration '
     'name: 20240101120000_init\n\nDatabase error code: 42710\n\nDatabase error:\nERROR: type "Role" already '
     'exists\n\nDbError { '
     'severity: "ERROR", parsed_severity: Some(Error), code: SqlState(E42710), message: "type \\"Role\\" already '
     'exists", detail: '
     'None, hint: None, position: None }', "42710", 'type "Role" already exists', "", 0),
    ("Error: connect ECONNREFUSED 127.0.0.1:5432", "08001", "connect ECONNREFUSED 127.0.0.1:5432", "", 0),
    ("Error: getaddrinfo ENOTFOUND db.example.org", "08001", "getaddrinfo ENOTFOUND db.example.org", "", 0),
    # the JVM
    ('org.postgresql.util.PSQLException: ERROR: column "x" of relation "t" already exists\n\tat org.postgresql.core.v3.'
     "QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2713)", "42701",
     'column "x" of relation "t" already exists',
     "", 0),
    ("Migration V3__add.sql failed\n---------------------------\nSQL State  : 42704\nError Code : 0\nMessage    : "
    "ERROR: type "
     '"citext" does not exist\n  Position: 30\nLocation   : db/migration/V3__add.sql (/app/V3__add.sql)\nLine       '
     ': 4\n'
     "Statement  : ALTER TABLE users ALTER mail TYPE citext", "42704", 'type "citext" does not exist', "V3__add.sql",
     4),
    ('Caused by: liquibase.exception.DatabaseException: ERROR: relation "public.orders" does not exist [Failed SQL: '
    '(0) ALTER TABLE '
     "public.orders ADD note TEXT]", "42P01", 'relation "public.orders" does not exist', "", 0),
    # Go
    ('pq: relation "schema_migrations" does not exist', "42P01", 'relation "schema_migrations" does not exist', "", 0),
    ('ERROR: relation "goose_db_version" does not exist (SQLSTATE 42P01)', "42P01",
    'relation "goose_db_version" does not exist',
     "", 0),
    ('goose run: ERROR 00002_more.sql: failed to run SQL migration: failed to execute SQL query "ALTER TABLE x": '
    'ERROR: relation '
     '"x" does not exist (SQLSTATE 42P01)', "42P01", 'relation "x" does not exist', "00002_more.sql", 0),
    ('error: migration failed: syntax error at or near "TABEL" (column 8 in line 1): CREATE TABEL x (id int); '
    '(details: pq: syntax '
     'error at or near "TABEL")', "42601", 'syntax error at or near "TABEL"', "", 0),
    ("failed to connect to `user=app database=shop`: 127.0.0.1:5432 (localhost): server error: FATAL: role \"app\" "
    "is not "
     "permitted to log in (SQLSTATE 28000)", "28000", 'role "app" is not permitted to log in', "", 0),
    # Ruby, PHP, .NET, Rust, Elixir
    ('PG::UndefinedColumn: ERROR:  column users.nick does not exist\nLINE 1: SELECT users.nick', "42703",
     "column users.nick does not exist", "", 0),
    ("ActiveRecord::StatementInvalid: PG::DependentObjectsStillExist: ERROR:  cannot drop table a because other "
    "objects depend on it\n"
     "DETAIL:  view v depends on table a\nHINT:  Use DROP ... CASCADE to drop the dependent objects too.", "2BP01",
     "cannot drop table a because other objects depend on it", "", 0),
    ('SQLSTATE[42P01]: Undefined table: 7 ERROR:  relation "cache" does not exist\nLINE 1: delete from "cache"',
    "42P01",
     'relation "cache" does not exist', "", 0),
    ("Npgsql.PostgresException (0x80004005): 22001: value too long for type character varying(20)", "22001",
     "value too long for type character varying(20)", "", 0),
    ('error returned from database: relation "_sqlx_migrations" already exists', "42P07",
     'relation "_sqlx_migrations" already exists', "", 0),
    ('** (Postgrex.Error) ERROR 42703 (undefined_column) column p0.title does not exist', "42703",
     "column p0.title does not exist", "", 0),
    # dumps, restores, poolers, clouds
    ('pg_restore: error: could not execute query: ERROR:  role "rds_superuser" does not exist\nCommand was: GRANT '
    'ALL ON SCHEMA '
     "public TO rds_superuser;", "42704", 'role "rds_superuser" does not exist', "", 0),
    ("ERROR:  extension \"postgis\" is not available\nDETAIL:  Could not open extension control file "
    "\"/usr/share/postgresql/16/"
     "extension/postgis.control\": No such file or directory.\nHINT:  The extension must first be installed on the "
     "system where "
     "PostgreSQL is running.", "0A000", 'extension "postgis" is not available', "", 0),
    ("ERROR:  canceling statement due to lock timeout", "55P03", "canceling statement due to lock timeout", "", 0),
    ("FATAL:  terminating connection due to administrator command", "57P01",
     "terminating connection due to administrator command", "", 0),
    ("FATAL:  the database system is starting up", "57P03", "the database system is starting up", "", 0),
    ("FATAL:  no pg_hba.conf entry for host \"10.0.0.9\", user \"app\", database \"shop\", no encryption", "28000",
     'no pg_hba.conf entry for host "10.0.0.9", user "app", database "shop", no encryption', "", 0),
    ("ERROR:  could not extend file \"base/16384/16420\": No space left on device\nHINT:  Check free disk space.",
    "53100",
     'could not extend file "base/16384/16420": No space left on device', "", 0),
    ("ERROR:  out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.", "53200",
     "out of shared memory", "", 0),
    ("ERROR:  functions in index predicate must be marked IMMUTABLE", "42P17",
     "functions in index predicate must be marked IMMUTABLE", "", 0),
    # other languages
    ("FEHLER:  Relation »benutzer« existiert nicht\nZEILE 1: SELECT * FROM benutzer;\n                      ^", "42P01",
     'relation "benutzer" does not exist', "", 0),
    ("psql:a.sql:3: ERREUR:  la relation « clients » n'existe pas", "42P01", 'relation "clients" does not exist',
    "a.sql", 3),
    ("ERROR:  no existe la relación «clientes»\nLÍNEA 1: SELECT * FROM clientes", "42P01",
    'relation "clientes" does not exist',
     "", 0),
    ('ERROR:  リレーション"users"は存在しません', "42P01", 'relation "users" does not exist', "", 0),
    ('ОШИБКА:  отношение "users" не существует', "42P01", 'relation "users" does not exist', "", 0),
    ('错误:  关系 "users" 不存在', "42P01", 'relation "users" does not exist', "", 0),
    ("FEHLER:  23505: doppelter Schlüsselwert verletzt Unique-Constraint »u«\nDETAIL:  Schlüssel "
    "»(mail)=(ann@example.org)« "
     "existiert bereits.", "23505", 'duplicate key value violates unique constraint "u"', "", 0),
    ("ERREUR:  42830: une phrase que personne ne connaît", "42830", "une phrase que personne ne connaît", "", 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "state", "message", "file", "line"), TEXTS, ids=range(len(TEXTS)))
def test_a_pasted_text_is_told_by_its_state_and_its_sentence(
    text: str, state: str, message: str, file: str, line: int
) -> None:
    found = read(text)
    assert (found.said.sqlstate, found.said.message) == (state, message)
    assert found.found
    assert (found.file, found.line) == (file, line)
    diagnosis = diagnose(found.said)
    assert diagnosis.rule
    assert diagnosis.cause
    assert diagnosis.solution
    assert "ann@example.org" not in str(diagnosis)
    assert "hunter2" not in str(diagnosis)


@pytest.mark.parametrize(
    "text",
    [
        "", "hello world", "Segmentation fault (core dumped)", "npm ERR! code ELIFECYCLE",
        "Traceback (most recent call last):",
        "Access denied for user 'root'@'localhost' (using password: YES)", "ORA-00942: table or view does not exist",
        "no such table: users", "{", '{"a": 1}', "{" * 5000, "\x00\x01\x02", "ERR" * 1000,
        "LOG:  checkpoint starting: time",
        "users", "42", "HINT:", "\n\n\n",
    ],
)  # fmt: skip
def test_what_is_no_error_of_postgresql_is_not_taken_for_one(text: str) -> None:
    assert not read(text).found


def test_a_million_characters_are_read_at_once() -> None:
    for text in ("ERROR: " + "x" * 1_000_000, "(" * 1_000_000, "a:" * 500_000, "\n" * 1_000_000, '"' * 1_000_000,
                 "DETAIL: x\n" * 100_000, "psql:" * 200_000, "key=(" * 200_000, ")=(" * 300_000):  # fmt: skip
        found = read(text)
        masked(found.said.message[:100_000])


def test_the_json_of_apply_is_read_back() -> None:
    event = {"event": "step-failed", "migration": "002.sql", "diagnosis": {
        "message": 'relation "a" does not exist', "sqlstate": "42P01", "where": "002.sql:7\n  SELECT\n  ^",
        "cause": "x"}}  # fmt: skip
    refusal = {
        "error": {"code": "step", "message": '002.sql failed: relation "a" does not exist', "where": "002.sql:7"}
    }
    for text in (
        "\n".join(json.dumps(each) for each in ({"event": "run-started"}, event)),
        json.dumps(refusal, indent=2),
    ):
        found = read(text)
        assert (found.said.sqlstate, found.said.message) == ("42P01", 'relation "a" does not exist')
        assert (found.file, found.line) == ("002.sql", 7)


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"Key (v)=(a) b, c) is duplicated {SECRET}",
        f"Key (a, b)=(1, x)=({SECRET}) already exists.",
        f"Key (a)=(1) already exists. {SECRET}) already exists.",
        f'Key (lower(a))=({SECRET}\nmore) is not present in table "t".',
        f"Key (during)=([1,5)) conflicts with existing key (during)=([{SECRET},9)).",
        f"Key (a)=({SECRET}",
        f"Failing row contains (1, {SECRET} (with) parens, x).",
        f"Partition key of the failing row contains (a) = ({SECRET}).",
        f"Fehlgeschlagene Zeile enthält (1, {SECRET}).",
        f'invalid input syntax for type integer: "{SECRET}"',
        f'invalid input syntax for type integer: "a"b\n{SECRET}"',
        f'invalid input value for enum mood: "{SECRET}"',
        f'malformed array literal: "{{{SECRET}"',
        f'date/time field value out of range: "{SECRET}"',
        f'value "{SECRET}" is out of range for type integer',
        f'Token "{SECRET}" is invalid.',
        f'time zone "{SECRET}" not recognized',
        f"connection to postgresql://u:{SECRET}@h/db failed",
        f"postgres://u:p%40{SECRET}@h:5432,h2/db?sslpassword={SECRET}",
        f"password={SECRET} host=h",
        f"password = '{SECRET} x' host=h",
        f"ALTER ROLE app PASSWORD '{SECRET}'",
        f"ALTER ROLE app PASSWORD $x${SECRET}$x$",
        f"CREATE USER app WITH ENCRYPTED PASSWORD E'{SECRET}\\'x'",
        f'{{"password": "{SECRET}", "host": "h"}}',
        f"PGPASSWORD={SECRET} psql",
        f"Authorization: Bearer {SECRET}{SECRET}",
        f"aws_secret_access_key: {SECRET}",
        f"api_key='{SECRET}'",
    ],
)
def test_what_may_be_secret_never_gets_through(text: str) -> None:
    shown = masked(text)
    assert SECRET not in shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "detail",
    [f"Schlüssel »(mail)=({SECRET})« existiert bereits.", f"La llave (mail)=({SECRET}) ya existe.",
     f"キー(mail)=({SECRET})はすでに存在します。", f"실패한 자료: (1, {SECRET})", f'Der Wert "{SECRET}" passt nicht.'],
)  # fmt: skip
def test_a_detail_about_values_is_masked_in_any_language(detail: str) -> None:
    assert SECRET not in diagnose(Said("23505", "x", detail)).detail


def test_what_is_harmless_stays() -> None:
    for text in ('relation "password_resets" does not exist', "view v depends on table a",
        "Key (id)=(…) already exists.",
                 'column "token" of relation "t" contains null values', "permission denied for table secrets",
                 'password authentication failed for user "app"'):  # fmt: skip
        assert masked(text) == text


def test_a_hostile_name_stays_one_word_of_the_shell() -> None:
    import shlex

    said = Said("42704", 'role "x\'; DROP TABLE t; $(rm -rf ~) --" does not exist')
    from lancio.planner.model import Graph

    graph = Graph("m", (), (), (), (), (), 18)
    for command in diagnose(said, graph=graph, way=Way("m")).commands:
        words = shlex.split(command)
        assert words[:3] == ["psql", "$DATABASE_URL", "-c"]
        assert words[3] == 'CREATE ROLE "x\'; DROP TABLE t; $(rm -rf ~) --"'


def test_a_case_without_a_file_has_no_command_to_try_again() -> None:
    case = Case(Said("40001", "x"), None, "", Spot("SELECT 1", 1, 1), Evidence(), Way(), None)
    assert case.again == ()
    assert case.edit("SELECT", "x") == ()
