"""Who acts, in which organization, and does the database keep the transaction to it?"""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import people
import psycopg
import pytest
from keys import RING
from people import OPERATOR, at
from psycopg import sql

from lancio.registry import audit_entry, organizations, projects, rights, users
from lancio.registry.acting import (
    ActingRefused,
    Actor,
    NotAllowed,
    acting,
    belonging,
    operating,
    operator,
    user_actor,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import TestServer

Session = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def acme(server: TestServer, keyed_template: str) -> Iterator[str]:
    """For tests that leave it as it was."""
    yield from people.a_database(server, keyed_template)


@pytest.fixture
def session(acme: str) -> Iterator[Session]:
    with psycopg.connect(acme, autocommit=True) as connection:
        yield connection


@pytest.fixture
def changing(server: TestServer, keyed_template: str) -> Iterator[Session]:
    """A session on a database of its own."""
    for url in people.a_database(server, keyed_template):
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection


def nothing_left(session: Session) -> bool:
    """Whether neither role nor context are left of a transaction."""
    row = session.execute(
        "SELECT current_user = session_user AND coalesce(current_setting('lancio.context', true), '') = ''"
    ).fetchone()
    return row is not None and bool(row[0])


@pytest.mark.parametrize("who", ["operator", "owner", "read_only"])
def test_the_transaction_sees_one_organization_and_nothing_is_left_of_it(session: Session, who: str) -> None:
    with at(session, who) as work:
        assert work.slug == "acme"
        assert work.role == (None if who == "operator" else who)
        assert session.execute("SELECT slug FROM platform.organizations").fetchall() == [("acme",)]
        slugs = session.execute("SELECT slug FROM platform.projects ORDER BY 1").fetchall()
        assert slugs == [("api",), ("shop",)]
        assert session.execute("SELECT current_user::text").fetchone() == ("lancio_application",)
    assert nothing_left(session)


def test_an_organization_is_named_by_its_id_too(session: Session) -> None:
    with at(session, "owner") as work:
        id_ = work.organization
    for named in (id_, str(id_)):
        with acting(session, people.actor(session, "owner"), organization=named) as work:
            assert work.slug == "acme"


def test_another_organization_is_refused_in_the_words_of_one_that_is_not_there(session: Session) -> None:
    said = []
    with at(session, "operator", "beta") as work:
        beta = str(work.organization)
    for name in ("beta", "nope", beta, str(uuid4())):
        with pytest.raises(ActingRefused) as refused, at(session, "owner", name):
            pass
        said.append({key: str(value).replace(name, "X") for key, value in refused.value.as_dict().items()})
    assert said[0] == said[1] == said[2] == said[3]
    assert nothing_left(session)


def test_a_near_slug_is_proposed_of_the_own_organizations_alone(session: Session) -> None:
    with pytest.raises(ActingRefused, match="there is no organization acne") as refused, at(session, "owner", "acne"):
        pass
    assert "Did you mean acme?" in refused.value.cause
    with pytest.raises(ActingRefused) as refused, at(session, "owner", "bet"):
        pass
    assert "Did you mean" not in refused.value.cause
    with pytest.raises(ActingRefused) as refused, at(session, "operator", "bet"):
        pass
    assert "Did you mean beta?" in refused.value.cause


@pytest.mark.parametrize("name", ["", "x" * 1_000_000, "a\0b", "\u202eacme", "'; DROP TABLE x; --", "ACME"])
def test_whatever_is_named_is_refused_in_a_short_sentence(session: Session, name: str) -> None:
    with pytest.raises(ActingRefused) as refused, at(session, "owner", name):
        pass
    assert len(refused.value.message) < 200
    assert "\u202e" not in refused.value.message


def test_users_who_are_not_there_or_disabled_do_not_act(changing: Session) -> None:
    with pytest.raises(ActingRefused, match=r"there is no user zed@example\.com"):
        people.actor(changing, "zed")
    with pytest.raises(ActingRefused, match="there is no user"):
        user_actor(changing, "a\0b@example.com")
    admin = people.actor(changing, "admin")
    with operating(changing):
        users.disable(changing, OPERATOR, "ADMIN@example.com")
    with pytest.raises(ActingRefused, match=r"admin@example\.com is disabled"):
        people.actor(changing, "admin")
    # Who had been looked up before is stopped by the database.
    with pytest.raises(ActingRefused, match="not there, is disabled"), acting(changing, admin, organization="acme"):
        pass
    assert nothing_left(changing)


@pytest.mark.parametrize(("database", "message"), [("platform", "not isolated"), ("empty", "not in this database")])
def test_without_007_nobody_acts(
    server: TestServer, request: pytest.FixtureRequest, database: str, message: str
) -> None:
    url = server.create_database() if database == "empty" else request.getfixturevalue("platform")
    with psycopg.connect(url, autocommit=True) as connection:
        for opening in (acting(connection, operator(), organization="acme"), operating(connection)):
            with pytest.raises(ActingRefused, match=message) as refused, opening:
                pass
            assert refused.value.commands == ("lancio apply --platform",)


def test_an_open_transaction_is_refused(session: Session) -> None:
    with session.transaction(), pytest.raises(ActingRefused, match="open on this connection"), at(session, "operator"):
        pass


def test_an_exception_takes_everything_back(session: Session) -> None:
    def fails() -> None:
        with at(session, "owner") as work:
            projects.add(work, slug="gone", name="Gone")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert nothing_left(session)
    assert session.execute("SELECT 1 FROM platform.projects WHERE slug = 'gone'").fetchone() is None
    assert "project.add" not in [action for action, _, who in people.entries(session) if who == "owner@example.com"]


def test_the_logins_own_rights_end_with_their_block_whatever_happens_in_it(session: Session) -> None:
    with at(session, "owner") as work:
        with work.as_login():
            assert session.execute("SELECT count(*) FROM platform.organizations").fetchone() == (2,)
        assert session.execute("SELECT count(*) FROM platform.organizations").fetchone() == (1,)
        with pytest.raises(psycopg.errors.DivisionByZero), work.as_login():
            session.execute("SELECT 1 / 0")
        assert session.execute("SELECT current_user::text").fetchone() == ("lancio_application",)
        assert session.execute("SELECT count(*) FROM platform.organizations").fetchone() == (1,)


def test_a_session_with_row_security_off_works(session: Session) -> None:
    session.execute("SET row_security = off")
    with at(session, "developer") as work:
        assert len(projects.page(work).rows) == 2
    assert session.execute("SHOW row_security").fetchone() == ("off",)


@pytest.fixture
def web(session: Session) -> Iterator[Session]:
    """The session of a program that logs in as a role of its own, which is granted lancio_application alone."""
    name = f"web_{uuid4().hex[:12]}"
    session.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    session.execute(sql.SQL("GRANT lancio_application TO {}").format(sql.Identifier(name)))
    session.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(name)))
    yield session
    session.execute("RESET SESSION AUTHORIZATION")
    session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_program_acts_for_users_and_not_as_the_operator(acme: str, web: Session) -> None:
    with psycopg.connect(acme, autocommit=True) as other:
        owner = people.actor(other, "owner")
    with acting(web, owner, organization="acme") as work:
        made = projects.add(work, slug="web", name="From the web")
        assert made.slug == "web"
        web.execute("DELETE FROM platform.projects WHERE id = %s", (made.id,))
        assert work.emails([owner.id]) in ({}, {owner.id: "owner@example.com"})  # type: ignore[list-item]
    with belonging(web, owner):
        assert [each.slug for each in organizations.page(web).rows] == ["acme"]
    for opening in (acting(web, OPERATOR, organization="acme"), operating(web)):
        with pytest.raises(ActingRefused), opening:
            pass
    with (
        pytest.raises(ActingRefused, match="may not become lancio_service"),
        acting(web, owner, organization="acme", works_as="lancio_service"),
    ):
        pass
    assert nothing_left(web)


def test_an_operator_need_not_be_a_superuser(changing: Session) -> None:
    name = f"operator_{uuid4().hex[:12]}"
    changing.execute(f"CREATE ROLE {name} LOGIN BYPASSRLS IN ROLE lancio_owner")
    changing.execute(f"SET SESSION AUTHORIZATION {name}")
    try:
        with pytest.raises(ActingRefused, match="may not become lancio_application"), at(changing, "operator"):
            pass
        changing.execute("RESET SESSION AUTHORIZATION")
        changing.execute(f"GRANT lancio_application, lancio_service TO {name}")
        changing.execute(f"SET SESSION AUTHORIZATION {name}")
        with operating(changing):
            owner = users.add(changing, OPERATOR, email="new@example.com")
            organizations.add(changing, OPERATOR, slug="third", name="Third", owner=owner.id, ring=RING)
        with at(changing, "operator", "third") as work:
            projects.add(work, slug="first", name="First")
            assert changing.execute("SELECT slug FROM platform.projects").fetchall() == [("first",)]
            organizations.remove(work)
        with at(changing, "operator", "third", deleted=True) as work:
            organizations.purge(work)
        with at(changing, "owner") as work:
            assert len(projects.page(work).rows) == 2
    finally:
        changing.execute("RESET SESSION AUTHORIZATION")
        changing.execute(f"DROP ROLE {name}")


def test_a_login_without_any_role_is_told_what_to_grant(acme: str, web: Session) -> None:
    with psycopg.connect(acme, autocommit=True) as other:
        owner = people.actor(other, "owner")
        row = web.execute("SELECT session_user::text").fetchone()
        assert row is not None
        other.execute(sql.SQL("REVOKE lancio_application FROM {}").format(sql.Identifier(row[0])))
    with pytest.raises(ActingRefused) as refused, acting(web, owner, organization="acme"):
        pass
    assert "GRANT lancio_application" in " ".join(refused.value.commands)


def test_a_removed_organization_is_told_to_its_own_people_alone(changing: Session) -> None:
    with at(changing, "owner") as work:
        organizations.remove(work)
    with pytest.raises(ActingRefused, match="was removed"), at(changing, "developer"):
        pass
    with pytest.raises(ActingRefused, match="there is no organization acme"), at(changing, "outsider"):
        pass
    with at(changing, "owner", deleted=True) as work:
        organizations.restore(work)
    with at(changing, "developer"):
        pass


# --- rights -----------------------------------------------------------------------------------------------------------

MATRIX = """
organization.read     owner admin developer billing read_only
organization.update   owner admin
organization.remove   owner
organization.restore  owner
organization.purge    owner
project.read          owner admin developer billing read_only
project.add           owner admin
project.update        owner admin developer
project.remove        owner admin
project.restore       owner admin
member.read           owner admin developer billing read_only
member.add            owner admin
member.role           owner admin
member.remove         owner admin
member.owner          owner
api_key.read          owner admin developer
api_key.add           owner admin developer
api_key.revoke        owner admin developer
billing.read          owner admin developer billing read_only
billing.change        owner billing
database.read         owner admin developer read_only
database.add          owner admin developer
database.update       owner admin developer
database.test         owner admin developer
database.open         owner admin developer
database.reveal       owner admin developer
database.rotate       owner admin developer
database.remove       owner admin developer
audit.read            owner admin
audit.export          owner admin
"""
"""Who may what, written down a second time."""
TABLE = {line.split()[0]: line.split()[1:] for line in MATRIX.strip().splitlines()}


def test_each_action_is_in_the_matrix() -> None:
    assert set(TABLE) == set(rights.ACTIONS)


@pytest.mark.parametrize("role", people.ROLES)
def test_a_member_may_what_the_matrix_says(session: Session, role: str) -> None:
    with at(session, role) as work:
        assert work.role == role
        for action, roles in TABLE.items():
            if role in roles:
                work.require(action)
                continue
            with pytest.raises(NotAllowed) as refused:
                work.require(action)
            assert refused.value.message.startswith(f"{role}@example.com may not ")
            assert f"The role in acme is {role}" in refused.value.cause
            assert "owner@example.com (owner)" in refused.value.remedy
            assert role not in refused.value.remedy.replace("owner@example.com (owner)", "").split(" ")


def test_the_operator_may_everything(session: Session) -> None:
    with at(session, "operator") as work:
        for action in rights.ACTIONS:
            work.require(action)


def test_a_limited_membership_works_in_its_projects_and_looks_at_the_rest(session: Session) -> None:
    with at(session, "operator") as work:
        shop, api = projects.one(work, "shop").id, projects.one(work, "api").id
    with at(session, "limited") as work:
        assert work.projects == {shop}
        for action, roles in TABLE.items():
            known = rights.ACTIONS[action]
            assert work.may(action, shop) == ("developer" in roles)
            assert not work.may(action, api)
            assert work.may(action) == ("developer" in roles and known.reads)
        with pytest.raises(NotAllowed, match="may not reveal a connection string here") as refused:
            work.require("database.reveal", api)
        assert "this is not one of them" in refused.value.cause


def test_an_api_key_does_what_its_scopes_and_its_user_allow(session: Session) -> None:
    with at(session, "operator") as work:
        shop = projects.one(work, "shop").id
    developer = people.actor(session, "developer")
    scopes = frozenset(("database.read", "project.add"))
    key = Actor("api_key", uuid4(), "ci", scopes, developer.id, frozenset((shop,)))
    with acting(session, key, organization="acme") as work:
        assert work.may("database.read", shop)
        assert not work.may("database.read", uuid4())
        assert not work.may("database.update", shop)  # the scopes do not name it
        assert not work.may("project.add", shop)  # the user may not
        with pytest.raises(NotAllowed, match="the API key may not") as refused:
            work.require("database.reveal", shop)
        assert "database.reveal" in " ".join(refused.value.commands)


# --- entries ----------------------------------------------------------------------------------------------------------


def test_an_entry_names_who_acted(changing: Session) -> None:
    for who, expected in (("operator", f"{getpass.getuser()}@{socket.gethostname()}"), ("admin", "admin@example.com")):
        with at(changing, who) as work:
            projects.add(work, slug=f"of-{who}", name="x")
        row = changing.execute(
            "SELECT a.actor_type, a.actor_email, a.action, o.slug, p.slug, a.before, a.after->>'slug'"
            " FROM platform.audit_logs a JOIN platform.organizations o ON o.id = a.organization_id"
            " JOIN platform.projects p ON p.id = a.project_id WHERE p.slug = %s",
            (f"of-{who}",),
        ).fetchone()
        kind = "system" if who == "operator" else "user"
        assert row == (kind, expected, "project.add", "acme", f"of-{who}", None, f"of-{who}")


def test_an_entry_takes_named_fields_and_of_two_rows_what_differs(session: Session) -> None:
    before = {"slug": "a", "name": "N", "password": "hunter2", "token": b"x", "kind": None}
    with at(session, "owner") as work:
        audit_entry.insert(
            session, work.actor, "organization.update", "organization", work.organization,
            organization=work.organization, before=before, after={**before, "slug": "b", "password": "hunter3"},
        )  # fmt: skip
        row = session.execute(
            "SELECT before, after FROM platform.audit_logs WHERE action = 'organization.update'"
        ).fetchone()
        raise psycopg.Rollback
    assert row == ({"slug": "a"}, {"slug": "b"})
    with pytest.raises(KeyError), at(session, "owner") as work:
        audit_entry.insert(session, work.actor, "x", "secret", "1", organization=work.organization)


def test_an_entry_of_another_organization_is_not_written(session: Session) -> None:
    with at(session, "outsider", "beta") as work:
        beta = work.organization
    for organization in (beta, None):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), at(session, "owner") as work:
            audit_entry.insert(session, work.actor, "x", "project", "1", organization=organization)
