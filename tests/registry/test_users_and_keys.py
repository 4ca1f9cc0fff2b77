"""Users, the keys by which programs get in, and plans with what they allow."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import people
import psycopg
import pytest
from people import OPERATOR, at
from test_organizations import at_once

from lancio.registry import api_keys, billing, limits, members, organizations, projects, tokens, users
from lancio.registry.acting import Actor, NotAllowed, acting, belonging, operating
from lancio.registry.refusal import LimitReached, LostRace, NameRefused, NotThere, RegistryRefused, Taken
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import TestServer

Session = psycopg.Connection[Any]
PASSWORD = Secret("correct horse battery staple")


@pytest.fixture
def url(server: TestServer, keyed_template: str) -> Iterator[str]:
    yield from people.a_database(server, keyed_template)


@pytest.fixture
def session(url: str) -> Iterator[Session]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


# --- users ------------------------------------------------------------------------------------------------------------


def test_a_password_is_kept_as_its_argon2id_hash_and_signs_in(session: Session) -> None:
    with operating(session):
        made = users.add(session, OPERATOR, email="Ada@Example.com", first_name="Ada", password=PASSWORD)
        assert made.has_password
        assert made.email == "Ada@Example.com"
    row = session.execute("SELECT password_hash FROM platform.users WHERE id = %s", (made.id,)).fetchone()
    assert row is not None
    assert row[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    whole = str(session.execute("SELECT before, after FROM platform.audit_logs").fetchall())
    assert row[0] not in whole
    assert PASSWORD.reveal() not in whole
    assert "'password': 'set'" in whole
    with operating(session):
        found = users.signed_in(session, "ada@example.com", PASSWORD)
        assert found is not None
        assert found.id == made.id
        for email, password in (
            ("ada@example.com", Secret("correct horse battery stable")), ("ada@example.com", Secret("")),
            ("nobody@example.com", PASSWORD), ("zed@example.com", PASSWORD), ("a\0", PASSWORD),
        ):  # fmt: skip
            assert users.signed_in(session, email, password) is None
        users.disable(session, OPERATOR, "ada@example.com")
        assert users.signed_in(session, "ada@example.com", PASSWORD) is None


def test_that_there_is_no_such_user_takes_as_long_as_a_wrong_password(session: Session) -> None:
    with operating(session):
        users.add(session, OPERATOR, email="ada@example.com", password=PASSWORD)

        def lasts(email: str) -> float:
            began = time.perf_counter()
            assert users.signed_in(session, email, Secret("wrong, and long enough")) is None
            return time.perf_counter() - began

        known = median(lasts("ada@example.com") for _ in range(5))
        unknown = median(lasts("zed@example.com") for _ in range(5))
    assert 0.3 < unknown / known < 3


@pytest.mark.parametrize("text", ["", "hunter2", "x" * 11, "x" * 1025, "x" * 1_000_000, "zero\0byte-in-it"])
def test_a_password_that_cannot_be_is_refused_without_being_said(text: str) -> None:
    with pytest.raises(NameRefused) as refused:
        users.hash_of(Secret(text))
    assert not text or text not in str(refused.value.as_dict())


def test_an_address_is_one_users_however_it_is_spelled(session: Session) -> None:
    with operating(session), pytest.raises(Taken, match=r"the address OWNER@example\.com is taken"):
        users.add(session, OPERATOR, email="OWNER@example.com")
    with operating(session):
        users.update(session, OPERATOR, "owner@example.com", {"username": "boss"})
        with pytest.raises(Taken, match="the user name boss is taken"):
            users.add(session, OPERATOR, email="other@example.com", username="boss")
        with pytest.raises(NotThere) as refused:
            users.named(session, "ownr@example.com")
        assert "Did you mean owner@example.com?" in refused.value.cause


def test_users_are_the_operators_and_each_their_own(session: Session) -> None:
    admin = people.actor(session, "admin")
    with operating(session):
        for attempt in (
            lambda: users.add(session, admin, email="x@example.com"),
            lambda: users.disable(session, admin, "developer@example.com"),
            lambda: users.enable(session, admin, "developer@example.com"),
            lambda: users.update(session, admin, "developer@example.com", {"first_name": "X"}),
        ):
            with pytest.raises(NotAllowed):
                attempt()
        assert users.update(session, admin, "admin@example.com", {"first_name": "Me"}).first_name == "Me"
    with belonging(session, admin):
        assert [each.email for each in users.page(session).rows] == ["admin@example.com"]
        with pytest.raises(NotThere):
            users.named(session, "developer@example.com")
        assert [each.slug for each in users.organizations(session, users.named(session, "admin@example.com"))] == [
            "acme"
        ]


def test_another_password_and_disabling_end_the_sessions(session: Session) -> None:
    with operating(session):
        user = users.named(session, "admin@example.com")
        for number in range(2):
            session.execute(
                "INSERT INTO platform.user_sessions (user_id, token_hash, expires_at)"
                " VALUES (%s, %s, now() + interval '1 day')",
                (user.id, tokens.digest(str(number))),
            )
        users.update(session, OPERATOR, "admin@example.com", {}, password=PASSWORD)
        found = session.execute("SELECT revoke_reason FROM platform.user_sessions").fetchall()
        assert found == [("password changed",)] * 2
        _, alone = users.disable(session, OPERATOR, "owner@example.com")
        assert alone == ("acme",)
    with pytest.raises(LostRace), operating(session):
        users.update(session, OPERATOR, "admin@example.com", {"first_name": "X"}, version=user.version)


def test_users_are_found_page_by_page(session: Session) -> None:
    with operating(session):
        seen, after = [], None
        while True:
            page = users.page(session, limit=3, after=after)
            seen += [each.email for each in page.rows]
            if (after := page.next) is None:
                break
        assert seen == sorted(seen)
        assert len(seen) == 8
        assert [each.email for each in users.page(session, like="OUTS").rows] == ["outsider@example.com"]
        users.disable(session, OPERATOR, "outsider@example.com")
        assert [each.email for each in users.page(session, disabled=True).rows] == ["outsider@example.com"]
        assert len(users.page(session, disabled=False).rows) == 7


# --- API keys ---------------------------------------------------------------------------------------------------------


def test_a_key_is_found_by_its_token_and_acts_as_far_as_it_goes(session: Session) -> None:
    with at(session, "developer") as work:
        key, token = api_keys.add(work, "ci", ["database.read", "project.read"], project="shop")
        shop = projects.one(work, "shop").id
    row = session.execute("SELECT token_hash, prefix, last4 FROM platform.api_keys").fetchone()
    assert row == (tokens.digest(token.reveal()), token.reveal()[:12], token.reveal()[-4:])
    assert token.reveal() not in str(session.execute("SELECT before, after FROM platform.audit_logs").fetchall())
    with operating(session):
        found = api_keys.find(session, Secret(f"{token.reveal()}\n"))
    assert found is not None
    actor, organization = found
    assert (actor.kind, actor.id, actor.email) == ("api_key", key.id, "ci")
    with acting(session, actor, organization=organization) as work:
        assert [each.slug for each in projects.page(work).rows] == ["shop"]
        assert work.may("database.read", shop)
        with pytest.raises(NotAllowed):
            work.require("database.reveal", shop)
    with at(session, "developer") as work:
        assert api_keys.one(work, "ci").last_used_at is not None
        assert api_keys.one(work, key.prefix).id == key.id


def test_the_time_of_use_is_written_once_a_minute(session: Session) -> None:
    with at(session, "developer") as work:
        _, token = api_keys.add(work, "ci", ["database.read"])
    changes = []
    for _ in range(3):
        with operating(session):
            api_keys.find(session, token)
        changes.append(session.execute("SELECT xmin, last_used_at FROM platform.api_keys").fetchone())
    assert changes[0] == changes[1] == changes[2]
    session.execute("UPDATE platform.api_keys SET last_used_at = now() - interval '61 seconds'")
    with operating(session):
        api_keys.find(session, token)
    row = session.execute("SELECT last_used_at > now() - interval '10 seconds' FROM platform.api_keys").fetchone()
    assert row == (True,)


@pytest.mark.parametrize("ends", ["revoked", "expired", "user", "organization", "member"])
def test_a_key_that_has_ended_opens_nothing(session: Session, ends: str) -> None:
    with at(session, "developer") as work:
        _, token = api_keys.add(work, "ci", ["database.read"], lasts=timedelta(days=1))
    with operating(session):
        assert api_keys.find(session, token) is not None
        assert api_keys.find(session, tokens.make("lnk").secret) is None
        assert api_keys.find(session, Secret("")) is None
        if ends == "user":
            users.disable(session, OPERATOR, "developer@example.com")
    if ends == "expired":
        session.execute("UPDATE platform.api_keys SET expires_at = now() - interval '1 second'")
    elif ends != "user":
        with at(session, "owner") as work:
            if ends == "revoked":
                api_keys.revoke(work, "CI")
                with pytest.raises(RegistryRefused, match="revoked before"):
                    api_keys.revoke(work, "ci")
            elif ends == "organization":
                organizations.remove(work)
            else:
                members.remove(work, "developer@example.com")
    with operating(session):
        assert api_keys.find(session, token) is None


def test_a_key_gives_no_more_than_its_maker_may(session: Session) -> None:
    with at(session, "developer") as work:
        with pytest.raises(NotAllowed, match=r"may not give member\.add"):
            api_keys.add(work, "ci", ["database.read", "member.add"])
        for scopes in ([], ["database.reed"], ["*"], ["x" * 1_000_000]):
            with pytest.raises(NameRefused):
                api_keys.add(work, "ci", scopes)
        for lasts in (timedelta(0), timedelta(days=4000)):
            with pytest.raises(NameRefused):
                api_keys.add(work, "ci", ["database.read"], lasts=lasts)
        key, _ = api_keys.add(work, "ci", ["database.read"])
        # What keys are named by besides is not another's name: `revoke` would end the wrong one.
        for name in (key.prefix, key.prefix.upper(), str(key.id), key.id.hex, "", "a\u202eb"):
            with pytest.raises(NameRefused):
                api_keys.add(work, name, ["database.read"])
        with pytest.raises(Taken):
            api_keys.add(work, "CI", ["database.read"])
    for who in ("billing", "read_only"):
        with at(session, who) as work:
            for attempt in (lambda: api_keys.add(work, "x", ["project.read"]), lambda: api_keys.page(work)):
                with pytest.raises(NotAllowed):
                    attempt()
    with at(session, "limited") as work:
        with pytest.raises(NotAllowed, match="API keys here"):
            api_keys.add(work, "x", ["database.read"])
        api_keys.add(work, "mine", ["database.read"], project="shop")
        assert [each.name for each in api_keys.page(work).rows] == ["mine"]
        with pytest.raises(NotThere):
            api_keys.revoke(work, "ci")
    with at(session, "owner") as work:
        assert [each.name for each in api_keys.page(work).rows] == ["ci", "mine"]
        first = api_keys.page(work, limit=1)
        assert [each.name for each in api_keys.page(work, limit=1, after=first.next).rows] == ["mine"]
    with at(session, "outsider", "beta") as work, pytest.raises(NotThere):
        api_keys.one(work, "ci")


# --- plans ------------------------------------------------------------------------------------------------------------


def a_plan(connection: Session, code: str, **allows: int) -> billing.Plan:
    with operating(connection):
        return billing.add(connection, OPERATOR, code=code, name=code.title(), allows=allows)


def test_a_plan_is_added_taken_and_archived(session: Session) -> None:
    a_plan(session, "free", projects=3)
    with operating(session):
        team = billing.add(
            session, OPERATOR, code="team", name="Team", price_minor=billing.minor("19.5", "EUR"), currency="EUR"
        )
        assert team.price == "19.50 EUR a month"
        with pytest.raises(Taken):
            billing.add(session, OPERATOR, code="team", name="x")
        with pytest.raises(NotThere) as refused:
            billing.plan(session, "tem")
        assert "Did you mean team?" in refused.value.cause
    with at(session, "billing") as work:
        assert billing.subscription(work) is None
        assert billing.subscribe(work, "free").plan == "free"
        with pytest.raises(RegistryRefused, match="already"):
            billing.subscribe(work, "free")
        assert billing.subscribe(work, "team").plan == "team"
    states = session.execute("SELECT status FROM platform.subscriptions ORDER BY created_at, status").fetchall()
    assert sorted(states) == [("active",), ("canceled",)]
    with at(session, "owner") as work:
        assert organizations.one(work).plan == "team"
    with operating(session):
        assert billing.archive(session, OPERATOR, "free").archived
        with pytest.raises(RegistryRefused, match="archived before"):
            billing.archive(session, OPERATOR, "free")
        assert [each.code for each in billing.plans(session)] == ["team"]
    with pytest.raises(RegistryRefused, match="is archived"), at(session, "owner") as work:
        billing.subscribe(work, "free")
    for who in ("admin", "developer", "read_only"):
        with pytest.raises(NotAllowed, match="change the plan"), at(session, who) as work:
            billing.subscribe(work, "team")
    with operating(session), pytest.raises(NotAllowed):
        billing.add(session, Actor("user", uuid4(), "a@example.com"), code="x", name="x")


def test_what_a_plan_limits_is_held_to(session: Session) -> None:
    a_plan(session, "small", projects=3, members=7, databases=0)
    with at(session, "owner") as work:
        billing.subscribe(work, "small")
        projects.add(work, slug="third", name="Third")
        with pytest.raises(LimitReached, match="the plan small allows 3 projects"):
            projects.add(work, slug="fourth", name="Fourth")
        projects.remove(work, "third")
        projects.add(work, slug="fourth", name="Fourth")
        with pytest.raises(LimitReached):
            projects.restore(work, "third")
        members.add(work, people.email_of("nobody"), "read_only")
        with pytest.raises(LimitReached, match="7 members"):
            members.add(work, people.email_of("outsider"), "read_only")
        with pytest.raises(LimitReached, match="0 databases"):
            limits.require(work, "databases")
        assert [(each.what, each.used, each.limit) for each in limits.usage(work)] == [
            ("databases", 0, 0), ("projects", 3, 3), ("members", 7, 7)
        ]  # fmt: skip
    a_plan(session, "tiny", projects=1)
    with (
        pytest.raises(LimitReached, match="has more than the plan tiny allows") as refused,
        at(session, "owner") as work,
    ):
        billing.subscribe(work, "tiny")
    assert "3 projects, of which it allows 1" in refused.value.cause
    with at(session, "owner") as work:
        assert organizations.one(work).plan == "small"


def test_of_two_that_take_the_last_place_at_once_one_gets_it(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        a_plan(connection, "small", projects=3)
        with at(connection, "owner") as work:
            billing.subscribe(work, "small")

    def add(number: int) -> Callable[[], object]:
        def run() -> object:
            with psycopg.connect(url, autocommit=True) as connection, at(connection, "admin") as work:
                return projects.add(work, slug=f"last-{number}", name="Last")

        return run

    came = at_once(*(add(number) for number in range(4)))
    assert sum(isinstance(each, projects.Project) for each in came) == 1
    assert sum(isinstance(each, LimitReached) for each in came) == 3


def test_a_plan_is_not_changed_under_who_is_adding(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection, psycopg.connect(url, autocommit=True) as watching:
        a_plan(connection, "small", projects=2)
        came: list[object] = []

        def take() -> None:
            with psycopg.connect(url, autocommit=True) as other, at(other, "owner") as work:
                try:
                    came.append(billing.subscribe(work, "small"))
                except LimitReached as error:
                    came.append(error)

        taking = threading.Thread(target=take)
        with at(connection, "admin") as work:
            projects.add(work, slug="third", name="Third")
            taking.start()
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            deadline = time.monotonic() + 30
            while watching.execute(waits).fetchone() == (0,) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert came == []
        taking.join(30)
        assert [type(each) for each in came] == [LimitReached]


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("0", "USD", 0), ("19", "USD", 1900), (" 19.50 ", "EUR", 1950), ("500", "JPY", 500), ("1.234", "KWD", 1234),
     ("0.01", "USD", 1)],
)  # fmt: skip
def test_a_price_is_kept_in_the_smallest_unit_of_its_currency(text: str, currency: str, minor: int) -> None:
    assert billing.minor(text, currency) == minor


@pytest.mark.parametrize("text", ["", "-1", "1.999", "abc", "nan", "inf", "1e400", "1" * 40, "9" * 25, "1,5"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(NameRefused, match="is no price"):
        billing.minor(text, "USD")
    with pytest.raises(NameRefused):
        billing.minor("1.5", "JPY")
