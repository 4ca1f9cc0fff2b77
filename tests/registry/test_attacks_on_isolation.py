"""What a session tries that is not content with its own rows: as the application, the broker, a reader, a stranger."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
import pytest
from isolation import (
    EVERYBODY,
    OTHER,
    OWN,
    PASSWORD,
    TABLES,
    TENANTS,
    THIRD,
    insert,
    logins,
    made,
    populate,
    set_context,
    values,
)  # fmt: skip
from psycopg import sql
from schema_files import FOLDER, NINE, give_key, run

from lancio.registry.context import BypassRefused, refuse_bypass
from servers import TestServer, database_of, run_psql

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = ("lancio_application", "lancio_service", "lancio_readonly")
FOREIGN = {str(made(kind, each.name)) for each in (OTHER, THIRD) for kind in ("organization", "user", "project")} | {
    str(each.row(table)) for each in (OTHER, THIRD) for table in TABLES if table not in ("projects", "organizations")
}
"""Ids that no answer to OWN has in it."""


@pytest.fixture
def urls(server: TestServer, peopled: str) -> Iterator[dict[str, str]]:
    """A login for each role, in a database where anybody may create things in schema public, as below 15."""
    with psycopg.connect(peopled, autocommit=True) as connection:
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        connection.execute("VACUUM ANALYZE")
    with logins(server, database_of(peopled)) as found:
        yield found
        with psycopg.connect(peopled, autocommit=True) as connection:
            for role in found:
                name = sql.Identifier(f"{database_of(peopled)}_{role}")
                connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(name))


@contextlib.contextmanager
def own(url: str) -> Iterator[psycopg.Connection]:
    """A session in the context of OWN."""
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction(force_rollback=True):
        set_context(connection, OWN.user, OWN.id)
        yield connection


def refused(connection: psycopg.Connection, statement: str, *codes: str) -> str:
    """The message of the refusal, which has to be one of these SQLSTATEs; 42501 where none is given."""
    with pytest.raises(psycopg.Error) as caught, connection.transaction():
        connection.execute(f"{statement}; SET CONSTRAINTS ALL IMMEDIATE".encode())
    assert caught.value.sqlstate in (codes or ("42501",)), (statement, caught.value)
    said = str(caught.value)
    assert not any(each in said for each in FOREIGN if each not in statement), said
    return said


def test_no_setting_and_no_role_opens_more(urls: dict[str, str]) -> None:
    for role in WORKERS:
        with own(urls[role]) as connection:
            for other in ("lancio_owner", "postgres", *(each for each in WORKERS if each != role)):
                refused(connection, f"SET LOCAL ROLE {other}")
                refused(connection, f"SELECT set_config('role', '{other}', true)")
                refused(connection, f"SET LOCAL SESSION AUTHORIZATION {other}")
            for setting in ("session_replication_role = replica", "lo_compat_privileges = on"):
                with contextlib.suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(f"SET LOCAL {setting}".encode())
                    assert setting.startswith("lo_")
            for name, value in (
                ("lancio.user_id", OTHER.user), ("lancio.organization_id", OTHER.id), ("lancio.bypass", "on"),
                ("lancio.shadow_seen", "x"), ("app.org_id", OTHER.id),
            ):  # fmt: skip
                connection.execute("SELECT set_config(%s, %s, true)", (name, str(value)))
            seen = connection.execute("SELECT id FROM platform.projects").fetchall()
            assert seen == [(OWN.project,)]
            connection.execute("SET LOCAL row_security = off")
            refused(connection, "SELECT id FROM platform.projects")


def test_the_key_of_contexts_is_out_of_reach(urls: dict[str, str], peopled: str) -> None:
    with psycopg.connect(peopled) as connection:
        row = connection.execute(
            "SELECT 'platform_private.context_key_1'::regclass::oid::bigint,"
            " (SELECT last_value FROM platform_private.context_key_1)"
        ).fetchone()
    assert row is not None
    oid, key = row
    for role in WORKERS:
        with own(urls[role]) as connection:
            for statement in (
                "SELECT * FROM platform_private.context_key_1",
                "SELECT nextval('platform_private.context_key_1')",
                "SELECT setval('platform_private.context_key_1', 1)",
                "SELECT platform_private.first_organization_id()",
                "SELECT platform_private.caller_bypasses()",
                "SELECT * FROM platform_private.replaced",
            ):
                refused(connection, statement)
            # By its number the schema is not asked.
            for statement in (
                f"SELECT pg_sequence_last_value({oid}::regclass)",
                f"SELECT currval({oid}::regclass)",
                f"SELECT nextval({oid}::regclass)",
                f"SELECT setval({oid}::regclass, 1)",
                f"SELECT last_value FROM pg_get_sequence_data({oid}::regclass)",
                "SELECT lastval()",
                "SELECT last_value FROM pg_sequences WHERE schemaname = 'platform_private'",
                "SELECT prosrc FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^platform'",
                "SELECT * FROM pg_settings",
            ):
                try:
                    with connection.transaction():
                        found = connection.execute(statement.encode()).fetchall()
                except psycopg.Error as error:
                    found = [(str(error),)]
                assert not any(str(key) in str(each) for each in found), statement


HOSTILE = """
CREATE SCHEMA {schema};
CREATE FUNCTION {schema}.yes(bytea, bytea) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION {schema}.yes(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION {schema}.yes(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION {schema}.yes(uuid, uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR {schema}.= (LEFTARG = bytea, RIGHTARG = bytea, PROCEDURE = {schema}.yes);
CREATE OPERATOR {schema}.= (LEFTARG = text, RIGHTARG = text, PROCEDURE = {schema}.yes);
CREATE OPERATOR {schema}.= (LEFTARG = integer, RIGHTARG = integer, PROCEDURE = {schema}.yes);
CREATE OPERATOR {schema}.= (LEFTARG = uuid, RIGHTARG = uuid, PROCEDURE = {schema}.yes);
CREATE OPERATOR {schema}.<> (LEFTARG = bytea, RIGHTARG = bytea, PROCEDURE = {schema}.yes);
CREATE FUNCTION {schema}.octet_length(bytea) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 130';
CREATE FUNCTION {schema}.length(text) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 130';
CREATE FUNCTION {schema}.sha256(bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT '\\x00'::bytea $$;
CREATE FUNCTION {schema}.encode(bytea, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT repeat('0', 64) $$;
CREATE FUNCTION {schema}.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2000-01-01'::timestamptz $$;
CREATE FUNCTION {schema}.pg_backend_pid() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION {schema}.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT '{forged}'::text $$;
CREATE FUNCTION {schema}.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT ''::text $$;
CREATE DOMAIN {schema}.uuid AS pg_catalog.text;
CREATE DOMAIN {schema}.bytea AS pg_catalog.text;
"""


def test_names_that_are_slipped_under_its_functions_are_not_used(urls: dict[str, str], peopled: str) -> None:
    forged = f"{OWN.user.hex}:{OTHER.id.hex}:{'0' * 64}"
    with psycopg.connect(peopled, autocommit=True) as admin:
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO PUBLIC").format(sql.Identifier(database_of(peopled))))
    for role in WORKERS:
        with psycopg.connect(urls[role], autocommit=True) as connection:
            schema = f"evil_{role}"
            connection.execute(HOSTILE.format(schema=schema, forged=forged).encode())
            # Before anything of the platform was called, so that every plan is made under this path.
            connection.execute(f"SET search_path = {schema}, pg_temp, public, pg_catalog".encode())
            connection.execute(
                "CREATE TEMP TABLE organization_members"
                " (organization_id pg_catalog.uuid, user_id pg_catalog.uuid, role text)"
            )
            connection.execute("CREATE TEMP TABLE projects (id pg_catalog.uuid, organization_id pg_catalog.uuid)")
            connection.execute(
                "INSERT INTO pg_temp.organization_members VALUES (%s::pg_catalog.uuid, %s::pg_catalog.uuid, 'owner')",
                (str(OTHER.id), str(OWN.user)),
            )
            with connection.transaction():
                connection.execute("SELECT pg_catalog.set_config('lancio.context', %s, true)", (forged,))
                assert connection.execute("SELECT platform.current_organization_id()").fetchone() == (None,)
                assert connection.execute("SELECT platform.current_user_id()").fetchone() == (None,)
                assert connection.execute("SELECT id::text FROM platform.projects").fetchall() == []
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("SELECT platform.set_context(%s::pg_catalog.uuid, %s::pg_catalog.uuid)",
                                   (str(OWN.user), str(OTHER.id)))  # fmt: skip
            with connection.transaction():
                connection.execute("SELECT platform.set_context(%s::pg_catalog.uuid, %s::pg_catalog.uuid)",
                                   (str(OWN.user), str(OWN.id)))  # fmt: skip
                assert connection.execute("SELECT id::text FROM platform.projects").fetchall() == [(str(OWN.project),)]


def test_other_ways_to_the_rows_of_a_table_show_the_same_rows(urls: dict[str, str]) -> None:
    with own(urls["lancio_application"]) as connection:
        connection.execute(
            "CREATE FUNCTION pg_temp.told(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0001"
            " AS $$ BEGIN RAISE NOTICE '%', value; RETURN true; END $$"
        )
        heard: list[str] = []
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        connection.execute("CREATE TEMP VIEW mine AS SELECT * FROM platform.projects")
        for table in (*TENANTS, "organizations", "users", "user_sessions", "databases_safe"):
            for statement in (
                f"SELECT * FROM platform.{table} t WHERE pg_temp.told(t::text)",
                f"SELECT t.* FROM platform.{table} t TABLESAMPLE SYSTEM (100)" if table != "databases_safe" else "",
                f"SELECT * FROM platform.{table} WHERE ctid IN ('(0,1)', '(0,2)', '(0,3)', '(0,4)', '(0,5)')"
                if table != "databases_safe" else "",
                f"TABLE platform.{table}",
                f"SELECT query_to_xml('SELECT * FROM platform.{table}', true, true, '')::text",
                f"SELECT * FROM platform.{table} FOR SHARE" if table not in ("audit_logs", "databases_safe") else "",
                f"SELECT * FROM pg_stats WHERE schemaname = 'platform' AND tablename = '{table}'",
            ):  # fmt: skip
                if statement:
                    found = str(connection.execute(statement.encode()).fetchall())
                    assert not any(each in found for each in FOREIGN), statement
            with (
                connection.cursor() as cursor,
                cursor.copy(f"COPY (SELECT * FROM platform.{table}) TO STDOUT".encode()) as copy,
            ):
                text = b"".join(copy).decode()
            assert not any(each in text for each in FOREIGN), table
        assert heard
        assert not any(each in line for each in FOREIGN for line in heard)
        assert connection.execute("SELECT id FROM mine").fetchall() == [(OWN.project,)]


def test_what_is_not_reading_and_writing_rows_is_refused(urls: dict[str, str], peopled: str) -> None:
    for role in WORKERS:
        with own(urls[role]) as connection:
            for table in TABLES:
                for statement in (
                    f"TRUNCATE platform.{table}",
                    f"ALTER TABLE platform.{table} DISABLE ROW LEVEL SECURITY",
                    f"DROP POLICY organization_{table} ON platform.{table}",
                    f"CREATE POLICY open_{table} ON platform.{table} USING (true)",
                    f"CREATE TABLE public.points (id uuid REFERENCES platform.{table} (id))",
                    f"CREATE TRIGGER t BEFORE INSERT ON platform.{table} EXECUTE PROCEDURE public.no_trigger()",
                    f"CREATE RULE r AS ON INSERT TO platform.{table} DO ALSO NOTHING",
                    f"COPY platform.{table} TO '/tmp/x'",
                ):
                    refused(connection, statement)
                if role == "lancio_application" and table in TENANTS:
                    with pytest.raises(psycopg.Error) as caught, connection.transaction():
                        connection.cursor().copy(f"COPY platform.{table} FROM STDIN".encode()).__enter__()
                    assert caught.value.sqlstate in ("0A000", "42501"), table  # not with row level security
            for statement in (
                "CREATE FUNCTION platform.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
                "CREATE TABLE platform.t (id integer)",
                "ALTER FUNCTION platform.current_organization_id() SECURITY INVOKER",
                "CREATE OR REPLACE FUNCTION platform.current_user_id() RETURNS uuid LANGUAGE sql AS 'SELECT NULL'",
                "ALTER SCHEMA platform RENAME TO p",
                "CREATE VIEW platform.v AS SELECT 1",
                "ALTER ROLE lancio_owner LOGIN",
                "GRANT lancio_owner TO CURRENT_USER",
            ):
                refused(connection, statement)


def test_written_rows_stay_in_the_organization(urls: dict[str, str], server: TestServer) -> None:
    with own(urls["lancio_application"]) as connection:
        for table in TENANTS:
            if table == "audit_logs":
                continue  # which is not updated at all
            row = f"WHERE id = '{OWN.row(table)}'"
            codes = ("42501", "22023", "23503")
            refused(connection, f"UPDATE platform.{table} SET organization_id = '{OTHER.id}' {row}", *codes)
            done = connection.execute(
                f"UPDATE platform.{table} SET organization_id = '{OWN.id}' WHERE id = '{OTHER.row(table)}'".encode()
            )
            assert done.rowcount == 0
        # A row of the other's, met by a key: the answer is the same whatever stands in it, and it stays as it is.
        target = dict(values("tax_ids", OWN, "x")) | {"id": OTHER.row("tax_ids")}
        for more, code in (
            (" ON CONFLICT (id) DO UPDATE SET value = 'mine'", "42501"), ("", "23505"),
            (f" ON CONFLICT (id) DO UPDATE SET organization_id = '{OWN.id}' RETURNING *", "42501"),
        ):  # fmt: skip
            with pytest.raises(psycopg.Error) as caught, connection.transaction():
                connection.execute(insert("tax_ids", target) + sql.SQL(more), target)  # type: ignore[arg-type]
            assert caught.value.sqlstate == code
            assert caught.value.diag.message_detail is None  # of the row that is there nothing is told
        done = connection.execute(insert("tax_ids", target) + sql.SQL(" ON CONFLICT DO NOTHING RETURNING *"), target)
        assert done.fetchall() == []
        if server.version >= 15:
            refused(
                connection,
                f"MERGE INTO platform.tax_ids t USING (SELECT '{OTHER.row('tax_ids')}'::uuid AS id) s ON t.id = s.id"
                " WHEN MATCHED THEN UPDATE SET value = 'mine' WHEN NOT MATCHED THEN"
                f" INSERT (organization_id, country, type, value) VALUES ('{OTHER.id}', 'IT', 'vat', 'mine')",
            )
        # Nobody lets himself into another organization, with a context or with a user alone.
        for organization in (OWN.id, None):
            connection.execute("SELECT platform.set_context(%s, %s)", (OWN.user, organization))
            refused(
                connection,
                "INSERT INTO platform.organization_members (organization_id, user_id, role)"
                f" VALUES ('{OTHER.id}', '{OWN.user}', 'owner')",
            )
        moved = f"UPDATE platform.organization_members SET organization_id = '{OTHER.id}'"
        assert connection.execute(moved.encode()).rowcount == 0  # a user alone changes none
        set_context(connection, OWN.user, OWN.id)
        refused(connection, moved, "42501")
        refused(connection, f"UPDATE platform.users SET id = '{OTHER.user}'", "42501", "23505")


POINTING = sorted({table for table in TENANTS if "project_id" in values(table, OWN)} | {"api_keys", "projects"})


def test_foreign_keys_do_not_tell_which_projects_of_others_there_are(urls: dict[str, str]) -> None:
    """One's own row that names a project: another's, and one that is nowhere. The answers are the same."""
    nowhere = made("project", "nowhere")
    told = {}
    for table in POINTING:
        column = "parent_project_id" if table == "projects" else "project_id"
        said = []
        for project in (THIRD.project, nowhere):
            row = dict(values(table, OWN, "new")) | {column: project}
            if table in ("disk_config", "compute_config"):
                row["id"] = made("another", table)
            answer = []
            with psycopg.connect(urls["lancio_application"]) as connection:
                try:
                    set_context(connection, OWN.user, OWN.id)
                    connection.execute(insert(table, row), row)
                    answer.append("taken for now")
                    connection.commit()
                    answer.append("kept")
                except psycopg.Error as error:
                    answer += [error.sqlstate or "", str(error.diag.message_primary), str(error.diag.constraint_name)]
                    answer.append(str(error.diag.message_detail).replace(str(project), "..."))
                connection.rollback()
            said.append([part.replace(str(project), "...") for part in answer])
        told[table] = said
    unlike = {table: said for table, said in told.items() if said[0] != said[1]}
    # One row a project: that it has one already is told before the project is looked at. See isolation.md.
    assert {table for table in unlike if "23505" not in unlike[table][0]} == set(), unlike
    assert set(unlike) <= {"disk_config", "compute_config"}
    assert not any("kept" in answer for said in told.values() for answer in said)


def test_prepared_statements_and_cursors_follow_the_context(urls: dict[str, str]) -> None:
    with psycopg.connect(urls["lancio_application"], autocommit=True) as connection:
        for plan in ("force_generic_plan", "force_custom_plan", "auto"):
            with contextlib.suppress(psycopg.errors.UndefinedObject):  # from 12 on
                connection.execute(f"SET plan_cache_mode = {plan}".encode())
            connection.execute("PREPARE asked AS SELECT organization_id FROM platform.databases WHERE port > $1")
            for each in (OWN, OTHER, OWN, THIRD, None, OTHER):
                with connection.transaction():
                    if each is not None:
                        set_context(connection, each.user, each.id)
                    assert connection.execute("EXECUTE asked (1)").fetchall() == ([(each.id,)] if each else [])
            connection.execute("DEALLOCATE asked")
        # A cursor's rows are those of one context, also if another is set before it is read.
        with connection.transaction():
            set_context(connection, OWN.user, OWN.id)
            connection.execute("DECLARE c CURSOR FOR SELECT p.organization_id, d.organization_id"
                               " FROM platform.projects p, platform.databases d")  # fmt: skip
            set_context(connection, OTHER.user, OTHER.id)
            assert set(connection.execute("FETCH ALL FROM c").fetchall()) <= {(OTHER.id, OTHER.id)}
        # WITH HOLD keeps what was read, which is why a pool says DISCARD ALL.
        with connection.transaction():
            set_context(connection, OWN.user, OWN.id)
            connection.execute("DECLARE held CURSOR WITH HOLD FOR SELECT organization_id FROM platform.projects")
        assert connection.execute("FETCH ALL FROM held").fetchall() == [(OWN.id,)]
        connection.execute("DISCARD ALL")
        with pytest.raises(psycopg.errors.InvalidCursorName):
            connection.execute("FETCH ALL FROM held")


def test_no_function_of_the_platform_answers_for_another(urls: dict[str, str], peopled: str) -> None:
    """Every function that a role may call, with every id of the other's as each argument that is one."""
    with psycopg.connect(peopled, autocommit=True) as admin:
        give_key(admin)
        admin.execute(
            "UPDATE platform.databases SET connection_string = 'redis://:s3cret@cache.test:6379' WHERE id = %s",
            (OTHER.row("databases"),),
        )
    called = 0
    for role in WORKERS:
        with own(urls[role]) as connection:
            give_key(connection, local=True)
            found = connection.execute(
                "SELECT p.proname, p.proargtypes::regtype[]::text[], p.pronargs - p.pronargdefaults FROM pg_proc p"
                " WHERE p.pronamespace = 'platform'::regnamespace AND has_function_privilege(p.oid, 'EXECUTE')"
                " AND p.prorettype <> 'trigger'::regtype"
            ).fetchall()
            for name, types, _ in found:
                if name in ("set_context", "test_rls_policies"):
                    continue
                for id_ in (OTHER.id, OTHER.project, OTHER.row("databases"), OTHER.user):
                    given = [
                        f"'{id_}'::uuid" if kind == "uuid" else "'redis'" if kind == "text" else "1" for kind in types
                    ]
                    try:
                        with connection.transaction():
                            answer = str(connection.execute(
                                f"SELECT * FROM platform.{name}({', '.join(given)})".encode()).fetchall())  # fmt: skip
                    except psycopg.Error as error:
                        answer = str(error).replace(str(id_), "")
                    assert "s3cret" not in answer
                    assert not any(each in answer for each in FOREIGN), (role, name, answer)
                    called += 1
            assert connection.execute("SELECT id FROM platform.projects").fetchall() == [(OWN.project,)]
    assert called > 20
    with psycopg.connect(peopled) as admin:
        assert admin.execute(
            "SELECT health_check_status FROM platform.databases WHERE id = %s", (OTHER.row("databases"),)
        ).fetchone() == ("unknown",)


def test_asking_whether_isolation_holds_leaves_the_context_as_it_was(urls: dict[str, str]) -> None:
    with own(urls["lancio_application"]) as connection:
        found = connection.execute("SELECT test_name, test_result FROM platform.test_rls_policies()").fetchall()
        assert {result for _, result in found} <= {"PASS", "SKIP"}, found
        assert connection.execute("SELECT id FROM platform.projects").fetchall() == [(OWN.project,)]


def test_a_stranger_sees_nothing_whatever_it_was_granted(server: TestServer, peopled: str) -> None:
    """Rights on everything, of functions too, but no membership; and a member that does not inherit."""
    names = {each: f"{database_of(peopled)}_{each}" for each in ("stranger", "noinherit", "reads_all")}
    with psycopg.connect(peopled, autocommit=True) as admin:
        for name in names.values():
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT PASSWORD {}").format(sql.Identifier(name), PASSWORD))
            for what in ("ALL TABLES", "ALL FUNCTIONS"):
                admin.execute(
                    sql.SQL("GRANT ALL ON {} IN SCHEMA platform TO {}").format(sql.SQL(what), sql.Identifier(name))
                )
            admin.execute(sql.SQL("GRANT USAGE ON SCHEMA platform TO {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("GRANT lancio_application TO {}").format(sql.Identifier(names["noinherit"])))
        if server.version >= 14:
            admin.execute(sql.SQL("GRANT pg_read_all_data TO {0}; ALTER ROLE {0} INHERIT").format(
                sql.Identifier(names["reads_all"])))  # fmt: skip
    try:
        for name in names.values():
            with psycopg.connect(server.url(database_of(peopled), user=name, password=PASSWORD)) as connection:
                # All functions were granted, so a context can be set: of the rows it shows none.
                set_context(connection, OWN.user, OWN.id)
                for table in (*TABLES, "databases_safe", "databases_with_connection_strings"):
                    found = connection.execute(f"SELECT * FROM platform.{table}".encode()).fetchall()
                    assert found == [] or server.version < 15, (name, table)
                    assert not any(each in str(found) for each in FOREIGN), (name, table)
                row = dict(values("tax_ids", OWN, "x"))
                with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(insert("tax_ids", row), row)
                assert connection.execute("DELETE FROM platform.projects").rowcount == 0
                connection.rollback()
    finally:
        with psycopg.connect(peopled, autocommit=True) as admin:
            for name in names.values():
                admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def test_a_program_does_not_start_where_set_role_would_open_everything(server: TestServer, peopled: str) -> None:
    """BYPASSRLS is no attribute that is inherited, but SET ROLE gets it."""
    name = database_of(peopled)
    with psycopg.connect(peopled, autocommit=True) as admin:
        for statement in (
            "CREATE ROLE {ops} NOLOGIN BYPASSRLS", "CREATE ROLE {between} NOLOGIN IN ROLE {ops}",
            "CREATE ROLE {web} LOGIN NOINHERIT PASSWORD {password} IN ROLE lancio_application, {between}",
        ):  # fmt: skip
            admin.execute(sql.SQL(statement).format(
                ops=sql.Identifier(f"{name}_ops"), between=sql.Identifier(f"{name}_between"),
                web=sql.Identifier(f"{name}_web"), password=PASSWORD,
            ))  # fmt: skip
        try:
            with psycopg.connect(server.url(name, user=f"{name}_web", password=PASSWORD)) as connection:
                with pytest.raises(BypassRefused) as caught:
                    refuse_bypass(connection)
                assert f"{name}_ops has BYPASSRLS" in caught.value.cause
        finally:
            for each in ("web", "between", "ops"):
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(f"{name}_{each}")))


BETTER = {
    "pg_has_role(text, text)": "boolean", "pg_has_role(text, oid, text)": "boolean", "format(text, text)": "text",
    "obj_description(regclass, text)": "text", "format(text, text, text)": "text", "setval(text, bigint)": "bigint",
    "has_function_privilege(text, text, text)": "boolean", "has_schema_privilege(text, oid, text)": "boolean",
    "has_table_privilege(text, text)": "boolean", "pg_get_functiondef(regprocedure)": "text",
    "quote_ident(name)": "text", "string_agg(name, text)": "text",
}  # fmt: skip
"""Functions that fit what the files call better than PostgreSQL's own do."""


def test_a_file_that_a_superuser_runs_calls_nothing_that_others_have_made(urls: dict[str, str], peopled: str) -> None:
    trap = "BEGIN IF current_setting('is_superuser') = 'on' THEN PERFORM nextval('public.sprung'); END IF; RETURN"
    with psycopg.connect(urls["lancio_readonly"], autocommit=True) as connection:
        # A sequence keeps what a transaction takes back.
        connection.execute("CREATE SEQUENCE public.sprung; GRANT ALL ON public.sprung TO PUBLIC")
        for signature, returns in BETTER.items():
            connection.execute(
                f"CREATE FUNCTION public.{signature} RETURNS {returns} LANGUAGE plpgsql"
                f" AS $$ {trap} NULL::{returns}; END $$".encode()
            )
        for left, right in (("name", "text"), ("name", "name"), ("oid", "regrole"), ("oid", "regproc")):
            connection.execute(
                f"CREATE FUNCTION public.f(a {left}, b {right}) RETURNS boolean LANGUAGE plpgsql"
                f" AS $$ {trap} a::text = b::text; END $$;"
                f"CREATE OPERATOR public.|| (LEFTARG = {left}, RIGHTARG = {right}, PROCEDURE = public.f);"
                f"CREATE OPERATOR public.<> (LEFTARG = {left}, RIGHTARG = {right}, PROCEDURE = public.f)".encode()
            )
    everything = sorted(FOLDER.glob("0*.sql"), key=lambda each: each.name)
    there = [each for each in everything if "rollback" not in each.name]
    back = [each for each in everything if "rollback" in each.name][::-1]
    for file in (*there, *there, *back):
        done = run_psql(peopled, file=file)
        with psycopg.connect(peopled) as connection:
            sprung = connection.execute("SELECT is_called FROM public.sprung").fetchone()
        assert sprung == (False,), file.name
        assert "ERROR" not in done.stderr, done.stderr


def test_a_user_alone_changes_removes_and_locks_no_organization_and_no_membership(
    urls: dict[str, str], peopled: str
) -> None:
    with psycopg.connect(urls["lancio_application"], autocommit=True) as connection, connection.transaction():
        set_context(connection, EVERYBODY)
        for table, change in (("organizations", "name = 'x'"), ("organization_members", "role = 'owner'")):
            seen = connection.execute(f"SELECT id FROM platform.{table}".encode()).fetchall()
            assert len(seen) == 2
            assert connection.execute(f"SELECT id FROM platform.{table} FOR UPDATE".encode()).fetchall() == []
            assert connection.execute(f"UPDATE platform.{table} SET {change}".encode()).rowcount == 0
        refused(connection, "DELETE FROM platform.organizations")
        assert connection.execute("DELETE FROM platform.organization_members").rowcount == 0
    with psycopg.connect(peopled) as connection:
        # By the policy too, where somebody grants it.
        connection.execute("GRANT DELETE ON platform.organizations TO lancio_application")
        connection.execute("SELECT platform.set_context(%s)", (EVERYBODY,))
        connection.execute("SET LOCAL ROLE lancio_application")
        assert connection.execute("DELETE FROM platform.organizations").rowcount == 0
        connection.rollback()


def test_the_application_deletes_neither_its_organization_nor_its_user(urls: dict[str, str], peopled: str) -> None:
    with own(urls["lancio_application"]) as connection:
        refused(connection, "DELETE FROM platform.organizations")
        refused(connection, "DELETE FROM platform.users")
        assert connection.execute("UPDATE platform.organizations SET name = 'x'").rowcount == 1
    # A text of 007 that granted it is put right by running the file again; what is granted after that stays.
    with psycopg.connect(peopled, autocommit=True) as connection:
        connection.execute("GRANT DELETE ON platform.organizations, platform.users TO lancio_application")
        connection.execute("DROP POLICY removed_organizations ON platform.organizations")
        run(peopled, NINE[-1])
        granted = "SELECT has_table_privilege('lancio_application', 'platform.users', 'DELETE')"
        assert connection.execute(granted).fetchone() == (False,)
        connection.execute("GRANT DELETE ON platform.users TO lancio_application")
        run(peopled, NINE[-1])
        assert connection.execute(granted).fetchone() == (True,)


def as_the_role_in_a_superusers_session(
    admin: psycopg.Connection, url: str, select: str, before: str = ""
) -> list[str]:
    """What a SELECT of one text finds in an index of the role's own table, as a superuser analyses that."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "CREATE TABLE public.loot (what text)",
            "CREATE TABLE public.bait (i integer)",
            (
                f"CREATE FUNCTION public.takes() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {before}"
                f" INSERT INTO public.loot {select};"
                " EXCEPTION WHEN OTHERS THEN INSERT INTO public.loot VALUES ('refused: ' || SQLERRM); END $$"
            ),
            (
                "CREATE FUNCTION public.same(i integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql"
                " AS $$ BEGIN PERFORM public.takes(); RETURN i; END $$"
            ),
            "CREATE INDEX ON public.bait (public.same(i))",
            "INSERT INTO public.bait VALUES (1)",
            "TRUNCATE public.loot",
        ):
            connection.execute(statement.encode())
        admin.execute("ANALYZE public.bait")
        found = connection.execute("SELECT what FROM public.loot").fetchall()
        connection.execute("DROP TABLE public.loot, public.bait; DROP FUNCTION public.same(integer), public.takes()")
    return [what for (what,) in found]


def test_a_definer_function_gives_a_role_nothing_more_in_a_superusers_session(
    server: TestServer, registry: str
) -> None:
    database, credential = made("row", "of", "another"), made("secret", "of", "another")
    with psycopg.connect(registry, autocommit=True) as admin, logins(server, database_of(registry)) as urls:
        admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        admin.execute(
            "INSERT INTO platform.databases (id, project_id, name, type, host, port, connection_string)"
            " SELECT %s, id, 'x', 'redis', 'cache.test', 6379, 'redis://cache.test:6379'"
            " FROM platform.projects WHERE slug = 'elsewhere'",
            (database,),
        )
        admin.execute(
            "INSERT INTO platform.credentials (id, organization_id, project_id, kind, name)"
            " SELECT %s, organization_id, id, 'token', 'x' FROM platform.projects WHERE slug = 'elsewhere'",
            (credential,),
        )
        sealed = f"SELECT shown FROM platform.read_sealed_connection_string('{database}')"
        sealing = f"SELECT platform.seal_credential('{credential}', 'x')::text"
        now = "SET CONSTRAINTS ALL IMMEDIATE;"
        for again in (False, True):
            # As a text of 007 made it that knew nothing of this, and as the file run again leaves it.
            if again:
                admin.execute("ALTER FUNCTION platform_private.caller_bypasses() STABLE")
                run(registry, NINE[-1])
            assert as_the_role_in_a_superusers_session(admin, urls["lancio_service"], sealed, now) == []
            (said,) = as_the_role_in_a_superusers_session(admin, urls["lancio_application"], sealing, now)
            assert f"credential {credential} is not there" in said
            # Who would see them anyway still does.
            assert admin.execute(sealed.encode()).fetchall() == [("redis://cache.test:6379",)]
        for role in urls:
            name = sql.Identifier(f"{database_of(registry)}_{role}")
            admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(name))


def not_started(connection: psycopg.Connection) -> str:
    """Why a program does not start."""
    with pytest.raises(BypassRefused) as caught:
        refuse_bypass(connection)
    return caught.value.cause or ""


def test_a_program_does_not_start_with_rights_that_lead_past_the_policies(server: TestServer, peopled: str) -> None:
    name = f"{database_of(peopled)}_web"
    web = sql.Identifier(name)
    powers = ["pg_read_server_files", "pg_write_server_files", "pg_execute_server_program"] * (server.version >= 11)
    powers += ["pg_read_all_data", "pg_write_all_data"] * (server.version >= 14)
    with psycopg.connect(peopled, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE lancio_application").format(web, PASSWORD))
        try:
            with psycopg.connect(server.url(name[:-4], user=name, password=PASSWORD), autocommit=True) as connection:
                admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
                refuse_bypass(connection)
                for power in powers:
                    group = sql.Identifier(power)
                    admin.execute(sql.SQL("GRANT {} TO {}").format(group, web))
                    assert power in not_started(connection)
                    admin.execute(sql.SQL("REVOKE {} FROM {}").format(group, web))
                for attribute in ("CREATEROLE", "REPLICATION"):
                    admin.execute(sql.SQL("ALTER ROLE {} {}").format(web, sql.SQL(attribute)))
                    assert attribute in not_started(connection)
                    admin.execute(sql.SQL("ALTER ROLE {} NO{}").format(web, sql.SQL(attribute)))
                # Or where what its SQL leaves behind is called by its later sessions, in whatever context those are.
                here = sql.Identifier(name[:-4])
                for to in (sql.SQL("PUBLIC"), sql.Identifier("lancio_application"), web):
                    admin.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(to))
                    assert "it may create in schema public" in not_started(connection)
                    admin.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM {}").format(to))
                admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(here, web))
                assert f"{name} may create schemas in this database" in not_started(connection)
                connection.execute("CREATE SCHEMA mine")
                admin.execute(sql.SQL("REVOKE CREATE ON DATABASE {} FROM {}").format(here, web))
                assert "it may create in schema mine" in not_started(connection)
                connection.execute("DROP SCHEMA mine")
                refuse_bypass(connection)
        finally:
            admin.execute(sql.SQL("DROP ROLE {}").format(web))


def test_a_program_does_not_start_where_a_later_files_table_is_open(server: TestServer, registry: str) -> None:
    with (
        logins(server, database_of(registry)) as urls,
        psycopg.connect(registry, autocommit=True) as admin,
        psycopg.connect(urls["lancio_application"], autocommit=True) as connection,
    ):
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        refuse_bypass(connection)
        for table in ("data_keys", "database_grams", "audit_seals", "audit_rounds", "credential_rotations"):
            admin.execute(f"ALTER TABLE platform.{table} DISABLE ROW LEVEL SECURITY".encode())
            assert table in not_started(connection)
            admin.execute(f"ALTER TABLE platform.{table} ENABLE ROW LEVEL SECURITY".encode())


def test_007_takes_nothing_that_another_role_made_before_it(server: TestServer, platform: str) -> None:
    name = database_of(platform)
    other = sql.Identifier(f"{name}_other")
    with psycopg.connect(platform, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(other, PASSWORD))
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(name), other))
        try:
            with psycopg.connect(server.url(name, user=f"{name}_other", password=PASSWORD)) as connection:
                connection.execute("CREATE SCHEMA platform_private")
                connection.execute("CREATE SEQUENCE platform_private.context_key_1")
            done = run_psql(platform, file=FOLDER / NINE[-1])
            assert f"schema platform_private of {name}_other" in done.stderr
            # Nor what it keeps in a schema of the right owner.
            admin.execute("ALTER SCHEMA platform_private OWNER TO CURRENT_USER")
            done = run_psql(platform, file=FOLDER / NINE[-1])
            assert f"relation platform_private.context_key_1 of {name}_other" in done.stderr
            admin.execute("DROP SCHEMA platform_private CASCADE")
            run(platform, NINE[-1])
        finally:
            admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(other))


def test_the_same_attacks_fail_below_15_where_views_ask_as_their_owner(every_server: TestServer) -> None:
    url = every_server.create_database()
    run(url, *NINE)
    with psycopg.connect(url) as connection:
        populate(connection)
    with logins(every_server, database_of(url)) as urls:
        for view, role in (("databases_safe", WORKERS[0]), ("databases_safe", WORKERS[2]),
                           ("databases_with_connection_strings", WORKERS[1])):  # fmt: skip
            with own(urls[role]) as connection:
                heard: list[str] = []
                connection.add_notice_handler(lambda notice, to=heard: to.append(notice.message_primary or ""))
                connection.execute(
                    "CREATE FUNCTION pg_temp.told(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0001"
                    " AS $$ BEGIN RAISE NOTICE '%', value; RETURN true; END $$"
                )
                found = connection.execute(
                    f"SELECT id FROM platform.{view} v WHERE pg_temp.told(v.id::text) AND pg_temp.told(v.host)".encode()
                ).fetchall()
                assert found == [(OWN.row("databases"),)]
                assert heard
                assert not any(each in line for each in FOREIGN for line in heard)
        test_foreign_keys_do_not_tell_which_projects_of_others_there_are(urls)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
            for role in (WORKERS[0], WORKERS[2]):
                found = as_the_role_in_a_superusers_session(
                    admin, urls[role], "SELECT v::text FROM platform.databases_safe v"
                )
                assert found == []
                with psycopg.connect(urls[role], autocommit=True) as connection:
                    connection.execute(
                        "CREATE MATERIALIZED VIEW public.kept AS SELECT v::text AS what FROM platform.databases_safe v"
                    )
                    admin.execute("REFRESH MATERIALIZED VIEW public.kept")
                    assert connection.execute("SELECT what FROM public.kept").fetchall() == []
                    connection.execute("DROP MATERIALIZED VIEW public.kept")
            # Who would see them anyway still does.
            assert admin.execute("SELECT count(*) > 2 FROM platform.databases_safe").fetchone() == (True,)
            for role in urls:
                name = sql.Identifier(f"{database_of(url)}_{role}")
                admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(name))
    every_server.drop_database(url)
