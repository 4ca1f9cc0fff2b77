"""Organizations and projects: how they come, change and go, and what they may be called."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import people
import psycopg
import pytest
from keys import RING
from people import OPERATOR, at

from lancio.registry import data_keys, names, organizations, pages, projects, tokens, users
from lancio.registry.acting import ActingRefused, NotAllowed, belonging, operating
from lancio.registry.refusal import LostRace, NameRefused, NotThere, RegistryRefused, Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import TestServer

Session = psycopg.Connection[Any]

ORGANIZATIONS = "SELECT slug FROM platform.organizations ORDER BY 1"


@pytest.fixture
def url(server: TestServer, keyed_template: str) -> Iterator[str]:
    yield from people.a_database(server, keyed_template)


@pytest.fixture
def session(url: str) -> Iterator[Session]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What several threads came to, an exception as a value."""
    came: list[object] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(place: int, call: Callable[[], object]) -> None:
        gate.wait()
        try:
            came[place] = call()
        except Exception as error:
            came[place] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    return came


def new(connection: Session, slug: str, who: str = "operator", owner: str = "nobody", **more: Any) -> Any:
    with operating(connection):
        user = users.named(connection, people.email_of(owner))
        return organizations.add(
            connection, people.OPERATOR if who == "operator" else _actor_of(user), slug=slug, name=slug,
            owner=user.id, **{"ring": RING, **more},
        )  # fmt: skip


def _actor_of(user: users.User) -> Any:
    from lancio.registry.acting import Actor

    return Actor("user", user.id, user.email)


def test_an_organization_begins_with_an_owner_and_a_data_key(session: Session) -> None:
    made = new(session, "third")
    with at(session, "nobody", "third") as work:
        assert work.role == "owner"
        assert organizations.one(work).id == made.id
    keys = session.execute("SELECT state FROM platform.data_keys WHERE organization_id = %s", (made.id,)).fetchall()
    assert keys == [("active",)]
    assert data_keys.rows(session, "of_organization", organization=made.id)[0].open(RING) is not None
    told = session.execute(
        "SELECT action FROM platform.audit_logs WHERE organization_id = %s ORDER BY 1", (made.id,)
    ).fetchall()
    assert told == [("data_key.add",), ("member.add",), ("organization.add",)]


def test_a_user_makes_an_organization_for_the_user_alone(session: Session) -> None:
    assert new(session, "mine", who="user").slug == "mine"
    with operating(session):
        someone = users.named(session, people.email_of("admin"))
    with pytest.raises(RegistryRefused, match="made by its owner"), operating(session):
        organizations.add(
            session, people.OPERATOR.__class__("user", someone.id, someone.email), slug="theirs", name="x",
            owner=users.named(session, people.email_of("nobody")).id, ring=RING,
        )  # fmt: skip


def test_what_fails_half_way_leaves_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(connection: Session, *_: object) -> None:
        """The connection ends where the data key is made, after organization and owner."""
        with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        connection.execute("SELECT 1")

    before = session.execute(ORGANIZATIONS).fetchall()
    with psycopg.connect(session.info.dsn, password=session.info.password, autocommit=True) as dying:
        monkeypatch.setattr(data_keys, "make", ends)
        with pytest.raises(psycopg.OperationalError):
            new(dying, "half")
    assert session.execute(ORGANIZATIONS).fetchall() == before
    assert session.execute("SELECT count(*) FROM platform.audit_logs WHERE after->>'slug' = 'half'").fetchone() == (0,)


def test_of_two_that_take_a_slug_at_once_one_is_told(url: str) -> None:
    def take() -> object:
        with psycopg.connect(url, autocommit=True) as connection:
            return new(connection, "rush")

    came = at_once(take, take, take)
    assert sum(isinstance(each, organizations.Organization) for each in came) == 1
    assert sum(isinstance(each, Taken) for each in came) == 2


def test_the_slug_of_a_removed_one_stays_taken(session: Session) -> None:
    with at(session, "owner") as work:
        organizations.remove(work)
    with pytest.raises(Taken, match="the slug acme is taken"):
        new(session, "acme")


def test_an_update_that_lost_the_race_says_so(session: Session) -> None:
    with at(session, "admin") as work:
        read = organizations.one(work)
    with at(session, "owner") as work:
        organizations.update(work, {"name": "Faster"}, version=read.version)
    with pytest.raises(LostRace, match="changed since you read it"), at(session, "admin") as work:
        organizations.update(work, {"name": "Slower"}, version=read.version)
    with at(session, "admin") as work:
        assert organizations.one(work).name == "Faster"
        # Without a version the last word counts.
        assert organizations.update(work, {"kind": "company"}).name == "Faster"


def test_of_updates_of_one_version_at_once_one_wins(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection, at(connection, "operator") as work:
        version = projects.one(work, "shop").version

    def change(number: int) -> Callable[[], object]:
        def run() -> object:
            with psycopg.connect(url, autocommit=True) as connection, at(connection, "developer") as work:
                return projects.update(work, "shop", {"name": f"Shop {number}"}, version=version)

        return run

    came = at_once(*(change(number) for number in range(6)))
    won = [each for each in came if isinstance(each, projects.Project)]
    assert len(won) == 1
    assert sum(isinstance(each, LostRace) for each in came) == 5
    with psycopg.connect(url, autocommit=True) as connection, at(connection, "operator") as work:
        assert projects.one(work, "shop").name == won[0].name


def test_an_organization_goes_in_two_steps(session: Session) -> None:
    with pytest.raises(RegistryRefused, match="is in use"), at(session, "owner") as work:
        organizations.purge(work)
    with at(session, "owner") as work:
        organizations.remove(work)
    with at(session, "owner", deleted=True) as work:
        has = organizations.what_it_has(work)
        assert has == {"projects": 2, "members": 6}
        id_ = work.organization
        assert organizations.purge(work) == has
    assert session.execute(ORGANIZATIONS).fetchall() == [("beta",)]
    for table in ("projects", "organization_members", "data_keys"):
        left = session.execute(f"SELECT 1 FROM platform.{table} WHERE organization_id = %s", (id_,)).fetchone()
        assert left is None
    row = session.execute(
        "SELECT organization_id, actor_email, before->>'slug' FROM platform.audit_logs WHERE action = %s",
        ("organization.purge",),
    ).fetchone()
    assert row == (None, "owner@example.com", "acme")
    assert session.execute(
        "SELECT count(*) FROM platform.audit_logs WHERE action = 'project.add' AND after->>'slug' = 'shop'"
    ).fetchone() == (1,)


def test_each_sees_the_organizations_to_choose_from(session: Session) -> None:
    seen = {}
    for who in ("operator", "developer", "outsider", "nobody"):
        with belonging(session, people.actor(session, who)):
            seen[who] = [each.slug for each in organizations.page(session).rows]
    assert seen == {"operator": ["acme", "beta"], "developer": ["acme"], "outsider": ["beta"], "nobody": []}


# --- projects ---------------------------------------------------------------------------------------------------------


def test_a_project_of_another_organization_is_not_there(session: Session) -> None:
    said = []
    for name in ("secret", "absent"):
        for refused_by in (
            lambda work, name=name: projects.one(work, name),
            lambda work, name=name: projects.update(work, name, {"name": "x"}),
            lambda work, name=name: projects.remove(work, name),
            lambda work, name=name: projects.restore(work, name),
        ):
            with pytest.raises(NotThere) as refused, at(session, "owner") as work:
                refused_by(work)
            said.append(str(refused.value.as_dict()).replace(name, "X"))
    assert len(set(said)) == 1
    with pytest.raises(Taken), at(session, "owner") as work:
        projects.add(work, slug="secret", name="x")


def test_a_project_comes_changes_goes_and_comes_back(session: Session) -> None:
    with at(session, "admin") as work:
        made = projects.add(work, slug="blog", name="Blog", region="eu")
        assert made.ref is not None
        assert len(made.ref) == 20
        changed = projects.update(work, made.ref, {"slug": "weblog", "region": ""})
        assert (changed.slug, changed.region, changed.ref) == ("weblog", None, made.ref)
        projects.remove(work, "weblog")
        assert [each.slug for each in projects.page(work).rows] == ["api", "shop"]
        assert len(projects.page(work, removed=True).rows) == 3
        with pytest.raises(RegistryRefused, match="was removed"):
            projects.one(work, "weblog")
        with pytest.raises(RegistryRefused, match="was removed"):
            projects.update(work, "weblog", {"name": "x"})
        projects.restore(work, "weblog")
        with pytest.raises(RegistryRefused, match="was not removed"):
            projects.restore(work, "weblog")
        assert projects.one(work, "weblog").deleted_at is None
    told = [action for action, kind, who in people.entries(session) if kind == "project" and who.startswith("admin")]
    assert sorted(told) == ["project.add", "project.remove", "project.restore", "project.update"]


def test_a_limited_member_sees_and_changes_the_own_projects_alone(session: Session) -> None:
    with at(session, "limited") as work:
        assert [each.slug for each in projects.page(work).rows] == ["shop"]
        projects.update(work, "shop", {"name": "Mine"})
        with pytest.raises(NotThere) as refused:
            projects.one(work, "api")
        assert "Did you mean" not in refused.value.cause
        with pytest.raises(NotAllowed):
            projects.add(work, slug="more", name="More")


def test_pages_have_every_row_once(session: Session) -> None:
    with at(session, "operator") as work:
        for number in range(7):
            projects.add(work, slug=f"p{number}", name=f"100%_{number}")
        seen, after = [], None
        while True:
            page = projects.page(work, limit=2, after=after)
            seen += [each.slug for each in page.rows]
            if (after := page.next) is None:
                break
        assert seen == ["api", *(f"p{number}" for number in range(7)), "shop"]
        # What LIKE takes for signs is text here.
        assert len(projects.page(work, like="100%_").rows) == 7
        assert projects.page(work, like="_0%").rows == ()
        assert [each.slug for each in projects.page(work, like="SHO").rows] == ["shop"]


@pytest.mark.parametrize(
    "mark", ["", "x", "!!!!", "WzFd", "e30", "W10", "A" * 100_000, "\udcff", pages.mark(("a", "b"))]
)
def test_what_is_no_mark_is_refused(mark: str) -> None:
    with pytest.raises(NameRefused, match="no mark"):
        pages.key_of(mark, 1)
    assert pages.key_of(pages.mark(("ä\"'",)), 1) == ("ä\"'",)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  Acme  ", "Acme"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("株式会社", "株式会社"),
        ("👩\u200d🔬 lab", "👩\u200d🔬 lab"),
        ("a" * 200, "a" * 200),
    ],
)
def test_a_name_is_kept_as_people_write_it(given: str, kept: str) -> None:
    assert names.name(given) == kept


@pytest.mark.parametrize(
    "given",
    ["", "   ", "\u200d", "a\nb", "a\0b", "\x1b[31mred", "a\u202eb", "\u2066x", "a\u200bb", "\ufeffa", "a\u2028b",
     "\ud800", "x" * 201, "x" * 1_000_000],
)  # fmt: skip
def test_a_name_that_deceives_or_upsets_is_refused_in_a_line(given: str) -> None:
    with pytest.raises(NameRefused) as refused:
        names.name(given)
    said = f"{refused.value.message}{refused.value.cause}"
    assert said.isprintable()
    assert len(said) < 400


@pytest.mark.parametrize(
    "given",
    [
        "",
        "-a",
        "a-",
        "A",
        "a b",
        "ä",
        "a_b",
        "a/b",
        "..",
        "x" * 64,
        "x" * 1_000_000,
        "a\n",
        "0b5d2a64-6d8e-4f0b-9f3a-6a1f0f1c0a01",
        "0b5d2a646d8e4f0b9f3a6a1f0f1c0a01",
    ],
)
def test_a_slug_is_small_letters_digits_and_hyphens(given: str) -> None:
    with pytest.raises(NameRefused):
        names.slug(given)
    for right in ("a", "acme-2", "0", "a--b", "x" * 63):
        assert names.slug(right) == right


def test_a_slug_is_proposed() -> None:
    assert names.slug_of("Zoë & Söhne GmbH") == "zoe-sohne-gmbh"
    with pytest.raises(NameRefused) as refused:
        names.slug("Acme Inc.")
    assert "acme-inc" in refused.value.remedy


@pytest.mark.parametrize(
    "given", ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n.c", "a@\u202eb", "x" * 300 + "@b"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(NameRefused):
        names.email(given)


def test_a_token_checks_itself() -> None:
    made = [tokens.make("lnk") for _ in range(50)]
    assert len({each.secret.reveal() for each in made}) == 50
    for each in made:
        text = each.secret.reveal()
        assert tokens.well_formed(text, "lnk")
        assert not tokens.well_formed(text, "lni")
        assert text not in repr(each)
        assert len(each.prefix) <= 16
        assert text.startswith(each.prefix)
        assert text.endswith(each.last4)
        place = len(text) // 2
        for other in (text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :], text[:-1], text + "A"):
            assert not tokens.well_formed(other, "lnk")


def test_a_login_bound_by_policies_purges_nothing(session: Session) -> None:
    with at(session, "owner") as work:
        organizations.remove(work)
    owner = people.actor(session, "owner")
    session.execute("CREATE ROLE purging LOGIN IN ROLE lancio_application")
    session.execute("SET SESSION AUTHORIZATION purging")
    try:
        from lancio.registry.acting import acting

        with (
            pytest.raises(ActingRefused, match="purges no organization"),
            acting(session, owner, organization="acme", deleted=True) as work,
        ):
            organizations.purge(work)
    finally:
        session.execute("RESET SESSION AUTHORIZATION")
        session.execute("DROP ROLE purging")
    assert session.execute(ORGANIZATIONS).fetchall() == [("acme",), ("beta",)]
    assert OPERATOR.kind == "system"
