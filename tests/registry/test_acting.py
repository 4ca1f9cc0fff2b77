"""Who acts, in which organization, and does the database keep the transaction to it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from isolation import EVERYBODY, OTHER, OWN, THIRD

from lancio.registry import audit_entry
from lancio.registry.acting import (
    BROKER,
    ActingRefused,
    Actor,
    NotAllowed,
    acting,
    become,
    operating,
    operator,
    user_actor,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import TestServer

ALICE = Actor("user", OWN.user, "own@example.com")


@pytest.fixture
def session(peopled: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(peopled, autocommit=True) as connection:
        yield connection


def slug(connection: psycopg.Connection[Any], organization: object) -> str:
    row = connection.execute("SELECT slug FROM platform.organizations WHERE id = %s", (organization,)).fetchone()
    assert row is not None
    found: str = row[0]
    return found


@pytest.mark.parametrize("actor", [operator(), ALICE], ids=["operator", "member"])
def test_the_transaction_sees_one_organization_and_nothing_is_left_of_it(
    session: psycopg.Connection[Any], actor: Actor
) -> None:
    with acting(session, actor, organization=slug(session, OWN.id)) as work:
        assert work.organization == OWN.id
        seen = session.execute("SELECT DISTINCT organization_id FROM platform.projects").fetchall()
        assert seen == [(OWN.id,)]
        assert session.execute("SELECT current_user::text").fetchone() == ("lancio_application",)
    left = session.execute("SELECT current_user = session_user, current_setting('lancio.context', true)").fetchone()
    assert left in ((True, ""), (True, None))
