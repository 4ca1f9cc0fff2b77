"""Two organizations with people of every role, made as a program makes them: for the tests of who may what."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from keys import RING
from schema_files import FOLDER, KEYS, run

from lancio.registry import members, organizations, projects, users
from lancio.registry.acting import Acting, Actor, acting, operating, operator, user_actor
from servers import TestServer, database_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLES = ("owner", "admin", "developer", "billing", "read_only")
OPERATOR = operator()


def email_of(who: str) -> str:
    return f"{who}@example.com"


def populate(connection: psycopg.Connection[Any]) -> None:
    """`acme` with a member of each role, and `limited`, a developer in the project shop alone; `beta` is another's."""
    with operating(connection):
        made = {
            who: users.add(connection, OPERATOR, email=email_of(who))
            for who in (*ROLES, "limited", "outsider", "nobody")
        }
        for slug, name, owner in (("acme", "Acme Inc.", "owner"), ("beta", "Beta", "outsider")):
            organizations.add(connection, OPERATOR, slug=slug, name=name, owner=made[owner].id, ring=RING)
    with acting(connection, OPERATOR, organization="acme") as work:
        for slug in ("shop", "api"):
            projects.add(work, slug=slug, name=slug.title())
        for role in ROLES[1:]:
            members.add(work, email_of(role), role)
        members.add(work, email_of("limited"), "developer", of_projects=["shop"])
    with acting(connection, OPERATOR, organization="beta") as work:
        projects.add(work, slug="secret", name="Secret")


_TEMPLATES: dict[str, str] = {}


def a_database(server: TestServer, keyed_template: str) -> Iterator[str]:
    """The URL of a database of its own with these people in it; what a fixture yields."""
    if keyed_template not in _TEMPLATES:
        made = server.create_database(template=keyed_template)
        run(
            made,
            *sorted(each.name for each in FOLDER.glob("0*.sql") if each.name > KEYS and "rollback" not in each.name),
        )
        with psycopg.connect(made, autocommit=True) as connection:
            populate(connection)
        _TEMPLATES[keyed_template] = database_of(made)
    url = server.create_database(template=_TEMPLATES[keyed_template])
    yield url
    server.drop_database(url)


def actor(connection: psycopg.Connection[Any], who: str) -> Actor:
    return OPERATOR if who == "operator" else user_actor(connection, email_of(who))


@contextmanager
def at(connection: psycopg.Connection[Any], who: str, organization: str = "acme", **more: Any) -> Iterator[Acting]:
    """A transaction of one of them."""
    with acting(connection, actor(connection, who), organization=organization, **more) as work:
        yield work


def entries(connection: psycopg.Connection[Any]) -> list[tuple[str, str, str]]:
    """Action, kind of target and actor of the newest entries, the newest first."""
    return connection.execute(
        "SELECT action, target_type, actor_email FROM platform.audit_logs ORDER BY occurred_at DESC, id LIMIT 50"
    ).fetchall()
