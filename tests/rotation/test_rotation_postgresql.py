"""A role of PostgreSQL is rotated while programs log in, on real servers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from proxy import Proxy
from psycopg import sql
from rotating import PROOF, Program, a_role, hba, logs_in, rotate

from lancio.registry import connection_strings
from lancio.rotation import login
from lancio.rotation.model import CredentialRotationRefused

if TYPE_CHECKING:
    from rotating import Desk

    from conftest import Pool

VERSIONS = (18, 17, 16, 15, 14, 13, 12, 11, 10) if PROOF else (18, 10)
ENCRYPTIONS = [
    *((each, "scram-sha-256") for each in VERSIONS),
    *((each, "md5") for each in VERSIONS if PROOF or each == 10),
]
"""On which versions, and with which of the two hashes."""


def whoami(desk: Desk, database: object) -> tuple[str, str]:
    """Who logs in with what is registered, and whom it works as."""
    with psycopg.connect(desk.now(database).build()) as connection:  # type: ignore[arg-type]
        return connection.execute("SELECT session_user::text, current_user::text").fetchone()  # type: ignore[return-value]


def refused(work: object, reason: str) -> CredentialRotationRefused:
    with pytest.raises(CredentialRotationRefused) as caught:
        work()  # type: ignore[operator]
    assert caught.value.reason == reason, caught.value.as_dict()
    assert caught.value.cause
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(("version", "encryption"), ENCRYPTIONS)
def test_no_login_fails_while_a_second_login_takes_over(desk: Desk, pool: Pool, version: int, encryption: str) -> None:
    server = pool.get(version)
    with a_role(server, encryption=encryption) as role:
        lines = [f"host {role.database} +{role.name} 127.0.0.1/32 md5"] if encryption == "md5" else []
        with hba(server, *lines):
            database = desk.add(role.url)
            machine = desk.machine(role.administrator)
            fresh = desk.__class__(desk.url, desk.project)
            with Program(lambda: fresh.now(database)) as current:
                rotation = rotate(machine, database, keep_seconds=None)
                assert rotation.state == "registered"
                current.more()
                # A program that keeps a copy of the old string is let in as well, until it is said.
                assert logs_in(role.url)
                assert machine.go_on(rotation).state == "registered"
                done = machine.go_on(rotation, end_now=True)
                assert done.state == "done"
                current.more()
            fresh.close()
            assert (current.refused, current.times > 10) == (0, True)
            assert not logs_in(role.url)
            assert whoami(desk, database) == (f"{role.name}_a", role.name)
            assert desk.credentials() == 0

            # And again: now the login of the first rotation is dropped.
            assert rotate(machine, database).state == "done"
            assert whoami(desk, database) == (f"{role.name}_b", role.name)
            assert role.roles() == {role.name, f"{role.name}_b"}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_login_has_its_sibling_has(desk: Desk, pool: Pool, version: int) -> None:
    server = pool.get(version)
    with a_role(server, attributes="CREATEDB CONNECTION LIMIT 7 VALID UNTIL '2099-02-01 03:04:05+06'") as role:
        role.run('ALTER ROLE {role} SET search_path = "$user", \'odd "name\', own, public')
        role.run("ALTER ROLE {role} SET statement_timeout = '77s'")
        role.run(f"ALTER ROLE {{role}} IN DATABASE {role.database} SET work_mem = '5MB'")
        role.run("ALTER ROLE {role} SET \"my.setting\" = 'a ''quoted'' value'")
        role.run("CREATE TABLE own.before (id int); ALTER TABLE own.before OWNER TO {role}")
        role.run("CREATE TABLE own.granted (id int); GRANT SELECT ON own.granted TO {role}")
        role.run("ALTER DEFAULT PRIVILEGES FOR ROLE {role} GRANT SELECT ON TABLES TO PUBLIC")
        shown = ("search_path", "statement_timeout", "work_mem", "my.setting", "current_user")
        ask = "SELECT " + ", ".join(f"current_setting('{each}')" for each in shown[:-1]) + ", current_user::text"
        with psycopg.connect(role.url) as connection:
            before = connection.execute(ask).fetchone()
        database = desk.add(role.url)
        for _ in range(2):
            rotate(desk.machine(role.administrator), database)
            with psycopg.connect(desk.now(database).build()) as connection:
                assert connection.execute(ask).fetchone() == before
                connection.execute("ALTER TABLE own.before ADD COLUMN IF NOT EXISTS more int")
                connection.execute("SELECT * FROM own.granted")
                connection.execute("DROP TABLE IF EXISTS own.after; CREATE TABLE own.after (id int)")
                made = connection.execute(
                    "SELECT tableowner::text, (SELECT relacl::text FROM pg_class WHERE oid = 'own.after'::regclass)"
                    " FROM pg_tables WHERE tablename = 'after'"
                ).fetchone()
                assert made is not None
                assert made[0] == role.name
                assert "=r/" in made[1]
            with server.connect() as connection:
                found = connection.execute(
                    "SELECT rolconnlimit, rolvaliduntil = '2099-02-01 03:04:05+06' FROM pg_roles WHERE rolname = %s",
                    (desk.now(database).user,),
                ).fetchone()
                assert found == (7, True)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_administrator_need_not_be_a_superuser(desk: Desk, pool: Pool, version: int) -> None:
    """One that may make roles, and from 16 on pass on this one; it is no member itself, as on managed servers."""
    server = pool.get(version)
    with a_role(server) as role:
        name = f"{role.name}_chief"
        role.run("ALTER ROLE {role} SET work_mem = '5MB'")
        role.run(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'chief'")
        if version >= 16:
            role.run(f"GRANT {{role}} TO {name} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
        database = desk.add(role.url)
        machine = desk.machine(server.url(user=name, password="chief"))
        for _ in range(2):
            assert rotate(machine, database).state == "done"
        assert whoami(desk, database) == (f"{role.name}_b", role.name)
        assert rotate(machine, database, way="same-login").state == "done"
        assert role.roles() == {role.name, f"{role.name}_b", name}
        # What only a superuser may give is told, before anything is begun.
        role.run("ALTER ROLE {role}_b SET log_statement = 'none'".replace("{role}_b", f"{role.name}_b"))
        refused(lambda: rotate(machine, database), "no-rights")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_login_beside_the_first_changes_its_own_password(desk: Desk, pool: Pool, version: int) -> None:
    """Its sessions work as another role, which may not."""
    with a_role(pool.get(version)) as role:
        database = desk.add(role.url)
        rotate(desk.machine(role.administrator), database)
        assert rotate(desk.machine(), database, way="same-login").state == "done"
        assert whoami(desk, database) == (f"{role.name}_a", role.name)


def test_a_login_whose_last_session_is_just_ending_is_dropped(desk: Desk, pool: Pool) -> None:
    with a_role(pool.get(18)) as role:
        database = desk.add(role.url)
        machine = desk.machine(role.administrator)
        rotate(machine, database)
        session = psycopg.connect(desk.now(database).build())
        ended = threading.Timer(0.6, session.close)

        def told(what: str) -> None:
            if what == "end the old login":
                ended.start()

        done = rotate(desk.machine(role.administrator, told=told), database)
        ended.join()
        assert (done.state, role.roles()) == ("done", {role.name, f"{role.name}_b"})

        # One that stays is left alone, and the role with it.
        with psycopg.connect(desk.now(database).build()) as session:
            done = rotate(machine, database)
            assert session.execute("SELECT current_user::text").fetchone() == (role.name,)
        assert any("1 session of" in note for note in done.notes)
        assert f"{role.name}_b" in role.roles()


def test_a_comment_that_somebody_changed_is_no_hindrance(desk: Desk, pool: Pool) -> None:
    with a_role(pool.get(18)) as role:
        database = desk.add(role.url)
        machine = desk.machine(role.administrator)
        rotation = rotate(machine, database, keep_seconds=None)
        role.run(f"COMMENT ON ROLE {role.name}_a IS 'of the shop'")
        assert machine.go_on(rotation, end_now=True).state == "done"
        assert rotate(machine, database).state == "done"
        assert not logs_in(role.url)
        assert role.roles() == {role.name, f"{role.name}_a", f"{role.name}_b"}


def test_a_login_that_may_make_roles_ends_itself(desk: Desk, pool: Pool) -> None:
    """Before PostgreSQL 16 CREATEROLE is enough for it; who has logged in as a role cannot drop it."""
    with a_role(pool.get(10), attributes="CREATEROLE") as role:
        database = desk.add(role.url)
        for _ in range(2):
            assert rotate(desk.machine(), database).state == "done"
        assert role.roles() == {role.name, f"{role.name}_b"}


def test_a_login_that_no_rotation_made_is_closed_and_never_dropped(desk: Desk, pool: Pool) -> None:
    """Also where it works as another role, in all databases or in one: others may be its members."""
    server = pool.get(18)
    with a_role(server) as role:
        for other in ("owner", "elsewhere", "member"):
            role.run(f"CREATE ROLE {role.name}_{other}")
        for statement in (
            "GRANT {0}_owner, {0}_elsewhere TO {0}", "GRANT {0} TO {0}_member", "ALTER ROLE {0} SET role = '{0}_owner'",
            f"ALTER ROLE {{0}} IN DATABASE {role.database} SET role = '{{0}}_elsewhere'",
        ):  # fmt: skip
            role.run(statement.format(role.name))
        database = desk.add(role.url)
        planned = desk.machine(role.administrator).plan(database)
        assert "may not log in any more" in planned.outlook.steps[-1]
        assert rotate(desk.machine(role.administrator), database).state == "done"
        assert whoami(desk, database) == (f"{role.name}_owner_a", f"{role.name}_elsewhere")
        assert not logs_in(role.url)
        with server.connect() as connection:
            members = connection.execute(
                "SELECT member::regrole::text FROM pg_auth_members WHERE roleid = %s::regrole", (role.name,)
            ).fetchall()
        assert members == [(f"{role.name}_member",)]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_discards_a_sessions_role_is_said(desk: Desk, pool: Pool, version: int) -> None:
    with a_role(pool.get(version)) as role:
        database = desk.add(role.url)
        done = rotate(desk.machine(role.administrator), database)
        with psycopg.connect(desk.now(database).build(), autocommit=True) as connection:
            connection.execute("DISCARD ALL")
            stays = connection.execute("SELECT current_user::text").fetchone() == (role.name,)
        assert stays is not any("DISCARD ALL" in note for note in done.notes)
        assert stays or version < 12


@pytest.mark.parametrize("after", ["SELECT 1", "CREATE ROLE", "COMMENT", "COMMIT", "ALTER ROLE"])
def test_an_answer_that_is_lost_with_the_connection_is_no_loss(desk: Desk, pool: Pool, after: str) -> None:
    """Whatever the administrator's statement did: it goes on from there, or is taken back."""
    with a_role(pool.get(18)) as role:
        database = desk.add(role.url)
        proxy = Proxy(role.administrator, cut_after=after.encode() + b"\0")
        direct, cut = desk.machine(role.administrator), desk.machine(proxy.url)
        try:
            rotation = direct.begin(database)
            proxy.armed = True
            refused(lambda: cut.go_on(rotation), "unreachable")
            assert logs_in(role.url)
            assert direct.abandon(rotation).state == "abandoned"
            assert role.roles() == {role.name}
            again = direct.begin(database)
            proxy.armed = True
            refused(lambda: cut.go_on(again), "unreachable")
            assert direct.go_on(again).state == "done"
            assert whoami(desk, database) == (f"{role.name}_a", role.name)
        finally:
            proxy.close()


@pytest.mark.parametrize(("version", "encryption"), ENCRYPTIONS)
def test_a_role_changes_its_own_password(desk: Desk, pool: Pool, version: int, encryption: str) -> None:
    server = pool.get(version)
    with a_role(server, encryption=encryption) as role:
        lines = [f"host {role.database} {role.name} 127.0.0.1/32 md5"] if encryption == "md5" else []
        with hba(server, *lines):
            database = desk.add(role.url)
            assert rotate(desk.machine(), database, way="same-login").state == "done"
            assert not logs_in(role.url)
            assert whoami(desk, database) == (role.name, role.name)


@pytest.mark.parametrize("more", ["", "?require_auth=scram-sha-256"])
def test_a_login_that_is_asked_for_scram_gets_a_scram_verifier(desk: Desk, pool: Pool, more: str) -> None:
    """Also where the server would hash by MD5: pg_hba.conf says scram-sha-256, and an MD5 hash would shut it out."""
    with a_role(pool.get(10)) as role:
        role.run("ALTER ROLE {role} SET password_encryption = 'md5'")
        database = desk.add(f"{role.url}{more}")
        assert rotate(desk.machine(), database, way="same-login").state == "done"
        assert logs_in(desk.now(database))


@pytest.mark.parametrize("version", VERSIONS)
def test_without_the_rights_nothing_is_begun(desk: Desk, pool: Pool, version: int) -> None:
    server = pool.get(version)
    with a_role(server) as role, a_role(server) as other:
        before = role.roles()
        database = desk.add(role.url)
        refused(lambda: rotate(desk.machine(), database), "no-rights")
        refused(lambda: rotate(desk.machine(other.url), database), "no-rights")
        refused(lambda: rotate(desk.machine(other.url), database, way="same-login"), "no-rights")
        wrong = role.administrator.replace("Pr0be", "Wrong")
        refused(lambda: rotate(desk.machine(wrong), database), "administrator")
        refused(lambda: rotate(desk.machine("redis://:x@localhost"), database), "administrator")
        assert role.roles() == before
        assert desk.registry.unfinished() == ()
        assert logs_in(role.url)


def test_a_superuser_is_not_given_a_second_login(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    with a_role(server, attributes="SUPERUSER") as role:
        database = desk.add(role.url)
        refused(lambda: rotate(desk.machine(), database), "superuser")
        assert rotate(desk.machine(), database, way="same-login").state == "done"


@pytest.mark.parametrize("way", ["two-logins", "same-login"])
def test_when_the_new_login_is_not_let_in_the_old_one_stays(desk: Desk, pool: Pool, way: str) -> None:
    server = pool.get(18)
    with a_role(server) as role:
        database = desk.add(role.url)
        machine = desk.machine(role.administrator)
        rotation = machine.begin(database, way=way)  # type: ignore[arg-type]
        if way == "two-logins":
            lines = (f"host {role.database} {role.name} 127.0.0.1/32 scram-sha-256",
                     f"host {role.database} all 127.0.0.1/32 reject")  # fmt: skip
            with hba(server, *lines):
                refused(lambda: machine.go_on(rotation), "proof")
                assert logs_in(role.url)
                assert desk.now(database).build() == connection_strings.parse(role.url).build()
                refused(lambda: machine.go_on(rotation), "proof")
                assert desk.registry.again(rotation).failure == "proof"
        else:

            def told(what: str) -> None:
                if what == "prove the new login":
                    role.run("ALTER ROLE {role} PASSWORD 'something else'")

            refused(lambda: desk.machine(role.administrator, told=told).go_on(rotation), "proof")
            assert logs_in(role.url)
        # What stood in the way is gone: it goes on.
        assert machine.go_on(rotation).state == "done"
        assert logs_in(desk.now(database))


def test_a_role_of_that_name_is_left_alone(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    with a_role(server) as role:
        database = desk.add(role.url)
        role.run(f"CREATE ROLE {role.name}_a LOGIN PASSWORD 'another'")
        machine = desk.machine(role.administrator)
        refused(lambda: machine.begin(database, login=f"{role.name}_a"), "login-taken")
        rotation = machine.begin(database)
        assert rotation.new_login == f"{role.name}_b"
        # Made meanwhile by somebody else.
        role.run(f"CREATE ROLE {role.name}_b LOGIN PASSWORD 'another'")
        refused(lambda: machine.go_on(rotation), "login-taken")
        assert machine.abandon(rotation).state == "abandoned"
        assert {f"{role.name}_a", f"{role.name}_b"} < role.roles()
        assert logs_in(role.url)


def test_of_two_rotations_at_once_one_is_refused(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    with a_role(server) as role:
        database = desk.add(role.url)
        other = desk.__class__(desk.url, desk.project, patience_s=0)
        rotation = desk.machine(role.administrator).begin(database)
        refused(lambda: other.machine(role.administrator).begin(database), "under-way")

        reasons = []

        def told(what: str) -> None:
            reasons.append(refused(lambda: other.machine(role.administrator).go_on(rotation), "held").reason)
            reasons.append(refused(lambda: other.machine(role.administrator).abandon(rotation), "held").reason)

        assert desk.machine(role.administrator, told=told).go_on(rotation).state == "done"
        assert len(reasons) > 10
        refused(lambda: other.machine(role.administrator).abandon(rotation), "none")
        other.close()


def test_the_lock_holds_whatever_a_pooler_does_to_the_session(desk: Desk, pool: Pool) -> None:
    """It gives the server's process to somebody else between two transactions, and says DISCARD ALL to it."""
    with a_role(pool.get(18)) as role:
        database = desk.add(role.url)
        other = desk.__class__(desk.url, desk.project, patience_s=0)
        name = sql.Identifier(desk.url.rsplit("/", 1)[1])
        setting = sql.SQL("ALTER DATABASE {} SET idle_in_transaction_session_timeout = {}")
        desk.connection.execute(setting.format(name, sql.Literal("50ms")))
        try:
            with desk.registry.alone(database):
                desk.connection.execute("DISCARD ALL")
                time.sleep(0.2)
                refused(lambda: other.machine(role.administrator).begin(database), "held")
            assert other.machine(role.administrator).begin(database).state == "planned"
        finally:
            desk.connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(name))
            other.close()


def test_what_a_session_sets_ends_with_its_transaction(pool: Pool) -> None:
    """The next one in a pooler's server process is a program."""
    limits = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
    with a_role(pool.get(18)) as role:
        string = connection_strings.parse(role.url)
        assert isinstance(string, connection_strings.PostgreSQL)
        with login.postgresql(string) as connection:
            assert connection.execute(limits).fetchone() == ("30s", "10s")
            connection.execute("COMMIT")
            assert connection.execute(limits).fetchone() == ("0", "0")


def test_databases_with_the_same_login_are_not_shut_out_unasked(desk: Desk, pool: Pool) -> None:
    with a_role(pool.get(18)) as role:
        database = desk.add(role.url)
        desk.add(role.url)
        machine = desk.machine(role.administrator)
        refused(lambda: machine.begin(database), "shared")
        refusal = refused(lambda: machine.begin(database, way="same-login", keep_seconds=60), "shared")
        assert refusal.commands[0] == "lancio db rotate NAME --way two-logins --keep-old 24h"
        assert desk.registry.unfinished() == ()
        rotation = rotate(machine, database, keep_seconds=60)
        assert any("At the same address" in note for note in rotation.notes)
        assert logs_in(role.url)
        machine.abandon(rotation)
        assert machine.go_on(machine.begin(database, shared=True)).state == "done"


def test_a_string_that_was_changed_meanwhile_is_not_overwritten(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    with a_role(server) as role, a_role(server) as other:
        database = desk.add(role.url)
        machine = desk.machine(role.administrator)
        rotation = machine.begin(database)
        with desk.connection.transaction():
            desk.keys.give(desk.connection, rotation.organization_id)
            desk.connection.execute(
                "UPDATE platform.databases SET connection_string = %s, connection_string_encrypted = NULL"
                " WHERE id = %s",
                (other.url, database),
            )
        refused(lambda: machine.go_on(rotation), "overtaken")
        assert machine.abandon(rotation).state == "abandoned"
        assert desk.now(database).user == other.name
        assert role.roles() == {role.name}


def test_it_is_taken_back_from_every_state(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    with a_role(server) as role:
        database = desk.add(role.url)
        for stop in ("make the new login", "prove the new login", "register the new login", None):

            class Stopped(Exception):  # noqa: N818
                pass

            def told(what: str, stop: str | None = stop) -> None:
                if what == stop:
                    raise Stopped

            machine = desk.machine(role.administrator)
            rotation = machine.begin(database, keep_seconds=3600)
            if stop is None:
                rotation = machine.go_on(rotation)
                assert rotation.state == "registered"
            else:
                with pytest.raises(Stopped):
                    desk.machine(role.administrator, told=told).go_on(rotation)
            assert machine.abandon(rotation).state == "abandoned"
            assert role.roles() == {role.name}
            assert whoami(desk, database) == (role.name, role.name)
            assert desk.credentials() == 0
            assert logs_in(role.url)


def test_a_registered_login_that_is_wrong_is_told_before_anything_is_begun(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    with a_role(server) as role:
        wrong = desk.add(role.url.replace("Old-", "Wrong-"))
        refused(lambda: rotate(desk.machine(role.administrator), wrong), "old-login")
        away = desk.add("postgresql://a:b@127.0.0.1:1/x")
        refused(lambda: rotate(desk.machine(), away), "unreachable")


def test_a_host_that_does_not_answer_is_noted_and_the_others_are_proved(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    with a_role(server) as role:
        url = role.url.replace(f"@{server.host}:{server.port}/", f"@127.0.0.1:1,{server.host}:{server.port}/")
        database = desk.add(url)
        done = rotate(desk.machine(role.administrator), database)
        assert done.state == "done"
        assert any("127.0.0.1:1 did not answer" in note for note in done.notes)
        assert logs_in(desk.now(database))
