"""What is written down of rotations: isolated, sealed with keys that may be rotated, and never written over."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from keys import ACME, OTHER, RING, an_organization
from psycopg import sql
from rotating import OLD, PROOF, RedisServer, a_role, logs_in, rotate
from schema_files import ROTATIONS, ROTATIONS_BACK, objects, run
from test_rotation_postgresql import refused

from lancio.registry import connection_strings, data_keys, key_rotation, secrets
from lancio.registry.acting import BROKER, acting, operator
from lancio.rotation.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from rotating import Desk

    from conftest import Pool
    from servers import TestServer


NAMES = ('we"ird; $user', "ü" * 31, "per%cent UPPER", "ünïcode", "a" * 63, "$user", "semi;colon'--", " ")


def rewrite(desk: Desk, database: UUID, url: str) -> None:
    """Somebody registers another connection string."""
    string = connection_strings.parse(url)
    with desk.connection.transaction():
        key = desk.keys.active(desk.connection, ACME)
        envelope = secrets.seal(string.build(), row_id=database, key=key)
        host = string.hosts[0]
        desk.connection.execute(
            "UPDATE platform.databases SET connection_string = %s, connection_string_encrypted = %s WHERE id = %s",
            (secrets.sealed_form(envelope, string.kind, host.name, host.port or 0), envelope, database),
        )


def test_the_migration_may_be_run_again_and_is_taken_back_when_nothing_is_unfinished(desk: Desk) -> None:
    before = objects(desk.url)
    run(desk.url, ROTATIONS)
    assert objects(desk.url) == before
    desk.connection.execute(
        "INSERT INTO platform.credential_rotations (id, organization_id, project_id, database_id, database_name, kind,"
        " way, old_login, new_login, old_id, candidate_id) SELECT %(id)s, %(o)s, %(p)s, %(id)s, 'x', 'redis',"
        " 'same-login', 'a', 'a', %(id)s, %(id)s",
        {"id": uuid4(), "o": ACME, "p": desk.project},
    )
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="1 rotations of credentials are unfinished"):
        run(desk.url, ROTATIONS_BACK)
    desk.connection.execute(
        "UPDATE platform.credential_rotations SET state = 'abandoned', finished_at = now(), old_id = NULL,"
        " candidate_id = NULL"
    )
    run(desk.url, ROTATIONS_BACK)
    run(desk.url, ROTATIONS_BACK)
    assert not any("credential_rotations" in each[1] for each in objects(desk.url))
    run(desk.url, ROTATIONS)
    assert objects(desk.url) == before


def test_an_operator_who_may_not_read_databases_himself_is_told_of_the_one_organization(
    desk: Desk, server: TestServer
) -> None:
    url = "redis://app:word@127.0.0.1:1/0"
    database, login = desk.add(url), f"tenant_{uuid4().hex[:8]}"
    with desk.connection.transaction():
        project = an_organization(desk.connection, OTHER)
        data_keys.make(desk.connection, RING, OTHER)
    desk.add(url, organization=OTHER, project=project)
    assert len(desk.registry.registered(database).sharing) == 1
    for statement in (
        "CREATE ROLE {} LOGIN NOINHERIT BYPASSRLS PASSWORD 'tenant' IN ROLE lancio_application, lancio_service",
        "GRANT USAGE ON SCHEMA platform TO {}",
        "GRANT SELECT ON platform.organizations TO {}",
        "GRANT EXECUTE ON FUNCTION platform.enter_organization(uuid) TO {}",
    ):
        desk.connection.execute(sql.SQL(statement).format(sql.Identifier(login)))
    try:
        name = desk.url.rsplit("/", 1)[1]
        with psycopg.connect(server.url(name, user=login, password="tenant"), autocommit=True) as own:
            within = partial(acting, own, operator(), organization=ACME, works_as=BROKER)
            assert Registry(own, desk.keys, within).registered(database).sharing == ()
    finally:
        for statement in ("DROP OWNED BY {}", "DROP ROLE {}"):
            desk.connection.execute(sql.SQL(statement).format(sql.Identifier(login)))


def test_an_organization_sees_its_own_rotations_and_stands_in_nobodys_way(desk: Desk, server: TestServer) -> None:
    database, login = uuid4(), f"tenant_{uuid4().hex[:8]}"
    other_project = an_organization(desk.connection, OTHER)
    user = uuid4()
    desk.connection.execute(
        "INSERT INTO platform.users (id, primary_email) VALUES (%s, 'somebody@test.invalid')", (user,)
    )
    desk.connection.execute(
        "INSERT INTO platform.organization_members (organization_id, user_id, role) VALUES (%s, %s, 'owner')",
        (OTHER, user),
    )
    add = (
        "INSERT INTO platform.credential_rotations (id, organization_id, project_id, database_id, database_name, kind,"
        " way, old_login, new_login, old_id, candidate_id)"
        " VALUES (gen_random_uuid(), %s, %s, %s, 'x', 'redis', 'same-login', 'a', 'a', %s, %s)"
    )
    desk.connection.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'tenant' IN ROLE lancio_application, lancio_service").format(
            sql.Identifier(login)
        )
    )
    try:
        name = desk.url.rsplit("/", 1)[1]
        with psycopg.connect(server.url(name, user=login, password="tenant"), autocommit=True) as tenant:
            with tenant.transaction():
                tenant.execute("SELECT platform.set_context(%s, %s)", (user, OTHER))
                # The same database's id: whether another organization has one under way is not told.
                tenant.execute(add, (OTHER, other_project, database, database, database))
            desk.connection.execute(add, (ACME, desk.project, database, database, database))
            with tenant.transaction():
                tenant.execute("SELECT platform.set_context(%s, %s)", (user, OTHER))
                seen = tenant.execute("SELECT organization_id FROM platform.credential_rotations").fetchall()
                assert seen == [(OTHER,)]
                changed = tenant.execute("UPDATE platform.credential_rotations SET notes = '[\"mine\"]'").rowcount
                assert changed == 1
            for organization, project in ((ACME, desk.project), (OTHER, desk.project)):
                values = (organization, project, uuid4(), database, database)
                with pytest.raises(psycopg.Error) as caught, tenant.transaction():
                    _in_context(tenant, user, add, values)
                assert caught.value.sqlstate in ("42501", "23503")
            assert tenant.execute("SELECT count(*) FROM platform.credential_rotations").fetchone() == (0,)
    finally:
        desk.connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))


def _in_context(tenant: psycopg.Connection, user: UUID, statement: str, values: tuple[object, ...]) -> None:
    tenant.execute("SELECT platform.set_context(%s, %s)", (user, OTHER))
    tenant.execute(statement, values)


def test_a_data_key_that_is_rotated_meanwhile_is_no_hindrance(desk: Desk, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "config") as server:
        database = desk.add(server.url)
        rotation = desk.machine().begin(database)
        before = desk.keys.active(desk.connection, ACME)
        fresh = desk.__class__(desk.url, desk.project)
        for _ in key_rotation.rotate(fresh.connection, data_keys.DataKeys(RING), ACME, settle_s=0):
            pass
        key_rotation.destroy_retired(fresh.connection, before.id, settle_s=0)
        fresh.close()
        fresh = desk.__class__(desk.url, desk.project)
        assert fresh.machine().go_on(rotation).state == "done"
        assert logs_in(fresh.now(database))
        fresh.close()


def test_what_else_is_changed_of_the_string_meanwhile_stays(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    with a_role(server) as role:
        database = desk.add(role.url)
        machine = desk.machine(role.administrator)
        rotation = machine.begin(database, keep_seconds=3600)
        rewrite(desk, database, f"{role.url}?application_name=shop")
        rotation = machine.go_on(rotation)
        now = desk.now(database)
        assert (rotation.state, now.user, now.option("application_name")) == ("registered", f"{role.name}_a", "shop")
        rewrite(desk, database, replace(now, options=(("application_name", "shop2"),)).build())
        assert machine.abandon(rotation).state == "abandoned"
        now = desk.now(database)
        assert (now.user, now.option("application_name")) == (role.name, "shop2")
        assert logs_in(now)


def test_the_old_login_is_not_ended_while_it_is_registered(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    with a_role(server) as role:
        database = desk.add(role.url)
        machine = desk.machine(role.administrator)
        rotation = rotate(machine, database, keep_seconds=None)
        rewrite(desk, database, role.url)
        refused(lambda: machine.go_on(rotation, end_now=True), "overtaken")
        assert logs_in(role.url)
        assert machine.abandon(rotation).state == "abandoned"
        assert role.roles() == {role.name}


def test_an_administrator_of_another_server_is_refused(desk: Desk, pool: Pool) -> None:
    server, other = pool.get(18), pool.get(10)
    with a_role(server) as role, other.connect() as elsewhere:
        elsewhere.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'its own'").format(sql.Identifier(role.name)))
        try:
            database = desk.add(role.url)
            for way in ("two-logins", "same-login"):
                refused(lambda way=way: rotate(desk.machine(other.url()), database, way=way), "administrator")  # type: ignore[misc]
            rotation = desk.machine(role.administrator).begin(database, way="same-login")
            refused(lambda: desk.machine(other.url()).go_on(rotation), "administrator")
            assert logs_in(other.url(user=role.name, password="its own"))
            assert logs_in(role.url)
        finally:
            elsewhere.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role.name)))


@pytest.mark.parametrize("name", NAMES if PROOF else NAMES[:1])
def test_names_and_passwords_of_any_kind_are_rotated(desk: Desk, pool: Pool, name: str) -> None:
    server = pool.get(18)
    password = "p'\"\\%&=+ ;@/:?#[]ß€ " + OLD
    with server.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
        )
        made = [name]
        try:
            database = desk.add(connection_strings.parse(server.url(user=name, password=password)).build())
            for way, back in (("two-logins", True), ("same-login", True), ("two-logins", False)):
                machine = desk.machine(server.url())
                rotation = rotate(machine, database, way=way, keep_seconds=None)  # type: ignore[arg-type]
                made.append(rotation.new_login)
                assert logs_in(desk.now(database))
                if back and rotation.state != "done":
                    assert machine.abandon(rotation).state == "abandoned"
                else:
                    assert machine.go_on(rotation, end_now=True).state == "done"
                assert logs_in(desk.now(database))
        finally:
            for each in dict.fromkeys(reversed(made)):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(each)))


def test_every_step_is_in_the_audit_log(desk: Desk, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "config") as server:
        database = desk.add(server.url)
        rotate(desk.machine(), database)
        desk.machine().abandon(desk.machine().begin(database))
        entries = desk.connection.execute(
            "SELECT after->>'step', after->>'name', actor_type, organization_id, project_id FROM platform.audit_logs"
            " WHERE action = 'database.rotate' AND after->>'database' = %s ORDER BY occurred_at",
            (str(database),),
        ).fetchall()
        assert [each[0] for each in entries] == [
            "plan", "made", "proved", "registered", "done", "plan", "abandoned",
        ]  # fmt: skip
        assert {each[2:] for each in entries} == {("system", ACME, desk.project)}
