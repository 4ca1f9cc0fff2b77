"""Members and invitations: nobody gives more than they have, and an organization always has an owner."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import people
import psycopg
import pytest
from people import at
from test_organizations import at_once

from lancio.registry import api_keys, members, organizations, projects, users
from lancio.registry.acting import NotAllowed, acting, operating, user_actor
from lancio.registry.refusal import LostRace, NameRefused, NotThere, RegistryRefused, Taken
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import TestServer

Session = psycopg.Connection[Any]


@pytest.fixture
def url(server: TestServer, keyed_template: str) -> Iterator[str]:
    yield from people.a_database(server, keyed_template)


@pytest.fixture
def session(url: str) -> Iterator[Session]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def accepts(connection: Session, who: str, token: Secret) -> Any:
    actor = people.actor(connection, who)
    with operating(connection):
        return members.accept(connection, actor, token)


def invited(connection: Session, by: str = "admin", role: str = "developer", **more: Any) -> Secret:
    with at(connection, by) as work:
        return members.invite(work, people.email_of("nobody"), role, **more)[1]


def test_members_are_listed_with_their_addresses_page_by_page(session: Session) -> None:
    seen, after = [], None
    while True:
        with at(session, "read_only") as work:
            page = members.page(work, limit=2, after=after)
        seen += [(each.email, each.role, each.projects) for each in page.rows]
        if (after := page.next) is None:
            break
    expected = {(people.email_of(role), role, None) for role in people.ROLES}
    assert len(seen) == 6
    assert set(seen) == expected | {(people.email_of("limited"), "developer", ("shop",))}
    with at(session, "read_only") as work:
        assert [each.email for each in members.page(work, role="owner").rows] == [people.email_of("owner")]


def test_an_invitation_is_accepted_once_by_whom_it_was_made_for(session: Session) -> None:
    token = invited(session, role="read_only", of_projects=["shop"])
    kept = session.execute("SELECT token_hash FROM platform.organization_invitations").fetchone()
    assert kept is not None
    assert len(kept[0]) == 32
    with pytest.raises(RegistryRefused, match="for another address"):
        accepts(session, "outsider", token)
    slug, made = accepts(session, "nobody", Secret(f"  {token.reveal()}\n"))
    assert (slug, made.role, made.projects) == ("acme", "read_only", ("shop",))
    with at(session, "nobody") as work:
        assert [each.slug for each in projects.page(work).rows] == ["shop"]
    with pytest.raises(RegistryRefused, match="no longer open") as refused:
        accepts(session, "nobody", token)
    assert refused.value.cause == "It was accepted already."
    whole = str(session.execute("SELECT before, after FROM platform.audit_logs").fetchall())
    assert token.reveal() not in whole
    assert kept[0].hex() not in whole


def test_of_two_acceptances_at_once_one_makes_a_member(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        token = invited(connection)

    def accept() -> object:
        with psycopg.connect(url, autocommit=True) as connection:
            return accepts(connection, "nobody", token)

    came = at_once(accept, accept, accept, accept)
    assert sum(isinstance(each, tuple) for each in came) == 1
    refused = [each for each in came if isinstance(each, RegistryRefused)]
    assert [each.cause for each in refused] == ["It was accepted already."] * 3
    with psycopg.connect(url, autocommit=True) as connection, at(connection, "owner") as work:
        assert len(members.page(work).rows) == 7


@pytest.mark.parametrize(
    ("ends", "cause"),
    [("revoked", "It was revoked."), ("expired", "It has expired"), ("again", "It was revoked."),
     ("removed", "The organization was removed.")],
)  # fmt: skip
def test_an_invitation_that_has_ended_opens_nothing(session: Session, ends: str, cause: str) -> None:
    token = invited(session)
    if ends == "revoked":
        with at(session, "owner") as work:
            members.revoke(work, "NOBODY@example.com")
        with pytest.raises(NotThere), at(session, "owner") as work:
            members.revoke(work, people.email_of("nobody"))
    elif ends == "again":
        other = invited(session)
    elif ends == "removed":
        with at(session, "owner") as work:
            organizations.remove(work)
    else:
        session.execute("UPDATE platform.organization_invitations SET expires_at = now() - interval '1 second'")
    with pytest.raises(RegistryRefused, match="no longer open") as refused:
        accepts(session, "nobody", token)
    assert refused.value.cause.startswith(cause)
    if ends == "again":
        assert accepts(session, "nobody", other)[0] == "acme"


def test_what_is_no_token_is_refused_without_being_said(session: Session) -> None:
    for text in ("", "~", "lni_1", "lnk_" + "A" * 58, "lni_12345678_" + "A" * 49, "x" * 65_000, "\0"):
        with pytest.raises(RegistryRefused, match="no invitation's token") as refused:
            accepts(session, "nobody", Secret(text))
        assert not text or text not in str(refused.value.as_dict())


def test_nobody_gives_more_than_they_have(session: Session) -> None:
    with at(session, "admin") as work:
        for attempt in (
            lambda: members.add(work, people.email_of("nobody"), "owner"),
            lambda: members.invite(work, people.email_of("nobody"), "owner"),
            lambda: members.change(work, people.email_of("admin"), "owner"),
            lambda: members.change(work, people.email_of("owner"), "admin"),
            lambda: members.remove(work, people.email_of("owner")),
        ):
            with pytest.raises(NotAllowed, match="make, change or remove owners"):
                attempt()
        assert members.change(work, people.email_of("developer"), "admin").role == "admin"
    for who in ("developer", "billing", "read_only", "limited"):
        with at(session, who if who != "developer" else "limited") as work:
            for attempt in (
                lambda work=work: members.add(work, people.email_of("nobody"), "read_only"),
                lambda work=work: members.invite(work, people.email_of("nobody"), "read_only"),
                lambda work=work: members.change(work, people.email_of("limited"), "admin"),
                lambda work=work: members.remove(work, people.email_of("admin")),
            ):
                with pytest.raises(NotAllowed):
                    attempt()


def test_the_last_owner_stays(session: Session) -> None:
    owner = people.email_of("owner")
    for who in ("owner", "operator"):
        with at(session, who) as work:
            for attempt in (lambda: members.remove(work, owner), lambda: members.change(work, owner, "admin")):
                with pytest.raises(RegistryRefused, match="the last owner of acme"):
                    attempt()
    with at(session, "owner") as work:
        members.change(work, people.email_of("admin"), "owner")
        members.remove(work, owner)
    with at(session, "admin") as work:
        assert work.role == "owner"


def test_of_two_owners_who_leave_at_once_one_stays(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection, at(connection, "owner") as work:
        members.change(work, people.email_of("admin"), "owner")

    def leave(who: str) -> Callable[[], object]:
        def run() -> object:
            with psycopg.connect(url, autocommit=True) as connection, at(connection, who) as work:
                return members.remove(work, people.email_of(who))

        return run

    came = at_once(leave("owner"), leave("admin"))
    assert sum(isinstance(each, tuple) for each in came) == 1
    assert sum(isinstance(each, RegistryRefused) and "last owner" in each.message for each in came) == 1


def test_everybody_may_leave_and_the_keys_go_with_them(session: Session) -> None:
    with at(session, "developer") as work:
        key, token = api_keys.add(work, "mine", ["database.read"])
    with operating(session):
        assert api_keys.find(session, token) is not None
    with at(session, "developer") as work:
        before, revoked = members.remove(work, people.email_of("developer"))
        assert (before.role, revoked) == ("developer", 1)
    with operating(session):
        assert api_keys.find(session, token) is None
    with at(session, "owner") as work:
        assert api_keys.one(work, "mine").id == key.id
        assert api_keys.one(work, "mine").state == "revoked"


def test_a_membership_is_limited_and_freed(session: Session) -> None:
    limited = people.email_of("limited")
    with at(session, "admin") as work:
        assert members.change(work, limited, "read_only").projects == ("shop",)  # stays where it is
        assert members.change(work, limited, of_projects=["api", "shop", "api"]).projects == ("api", "shop")
        assert members.change(work, limited, everywhere=True).projects is None
        with pytest.raises(NotThere):
            members.change(work, limited, of_projects=["secret"])
        with pytest.raises(RegistryRefused, match="no project reaches nothing"):
            members.change(work, limited, of_projects=[])
        version = members.one(work, limited).version
    with at(session, "owner") as work:
        with pytest.raises(RegistryRefused, match="an owner is not limited"):
            members.change(work, limited, "owner", of_projects=["shop"])
        members.change(work, limited, of_projects=["shop"])
        assert members.change(work, limited, "owner").projects is None
    with pytest.raises(LostRace), at(session, "owner") as work:
        members.change(work, limited, "admin", version=version)


def test_an_address_that_is_written_for_a_shell_is_quoted_in_what_is_proposed(session: Session) -> None:
    hostile = "$(touch${IFS}x);`id`@example.com"
    with operating(session):
        users.add(session, people.OPERATOR, email=hostile)
    with at(session, "owner") as work:
        members.add(work, hostile, "read_only")
        with pytest.raises(Taken) as refused:
            members.add(work, hostile, "read_only")
    assert shlex.split(refused.value.commands[0])[:4] == ["lancio", "member", "role", hostile]
    actor = user_actor(session, hostile)
    with acting(session, actor, organization="acme") as work, pytest.raises(NotAllowed) as denied:
        work.require("member.add")
    assert shlex.split(denied.value.commands[0])[:4] == ["lancio", "member", "role", hostile]


def test_who_cannot_be_a_member_is_told_why(session: Session) -> None:
    with at(session, "owner") as work:
        with pytest.raises(NotThere) as refused:
            members.add(work, "new@example.com", "developer")
        assert refused.value.commands[0] == "lancio member invite new@example.com developer --org acme"
        with pytest.raises(Taken):
            members.add(work, "ADMIN@example.com", "developer")
        with pytest.raises(Taken):
            members.invite(work, people.email_of("admin"), "developer")
        with pytest.raises(NameRefused):
            members.invite(work, "no address", "developer")
        with pytest.raises(NameRefused):
            members.invite(work, "a@example.com", "king")
        for lasts in (timedelta(0), timedelta(days=91), timedelta(days=-1)):
            with pytest.raises(NameRefused, match="an invitation"):
                members.invite(work, "a@example.com", "developer", lasts=lasts)
        with pytest.raises(NotThere, match="no member outsider"):
            members.one(work, people.email_of("outsider"))
    with operating(session):
        users.disable(session, people.OPERATOR, people.email_of("nobody"))
    with pytest.raises(RegistryRefused, match="is disabled"), at(session, "owner") as work:
        members.add(work, people.email_of("nobody"), "developer")
