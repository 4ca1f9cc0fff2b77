"""Databases that have the platform in them: made once a server, copied for each test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from isolation import populate
from keys import RING
from registering import people
from schema_files import ALL, FOLDER, KEY, KEYS, NINE, TEN, add_key, give_key, launch, run

from lancio.registry import key_rotation
from lancio.registry.secrets import Key
from servers import TestServer, database_of

# The responder of MongoDB's tests serves here, too.
sys.path.append(str(Path(__file__).resolve().parent.parent / "drivers"))

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def template(server: TestServer) -> str:
    """A database with 001 to 006 applied; nobody connects to it."""
    url = server.create_database()
    launch(url, *ALL)
    return database_of(url)


@pytest.fixture
def platform(server: TestServer, template: str) -> Iterator[str]:
    """The URL of a database with the platform in it."""
    url = server.create_database(template=template)
    yield url
    server.drop_database(url)


@pytest.fixture(scope="session")
def isolated_template(server: TestServer) -> str:
    """A database with 001 to 007 applied; nobody connects to it."""
    url = server.create_database()
    launch(url, *NINE)
    return database_of(url)


@pytest.fixture
def isolated(server: TestServer, isolated_template: str) -> Iterator[str]:
    """The URL of a database in which organizations are isolated."""
    url = server.create_database(template=isolated_template)
    yield url
    server.drop_database(url)


@pytest.fixture(scope="session")
def sealing_template(server: TestServer) -> str:
    """A database with 001 to 008 applied, in which the one organization has key 7; nobody connects to it."""
    url = server.create_database()
    launch(url, *TEN)
    with psycopg.connect(url, autocommit=True) as connection:
        for (organization,) in connection.execute("SELECT id FROM platform.organizations").fetchall():
            add_key(connection, Key(7, bytes.fromhex(KEY), organization))
    return database_of(url)


@pytest.fixture
def sealing(server: TestServer, sealing_template: str) -> Iterator[str]:
    """The URL of a database in which secrets are sealed with the organization's key 7."""
    url = server.create_database(template=sealing_template)
    yield url
    server.drop_database(url)


@pytest.fixture(scope="session")
def keyed_template(server: TestServer, isolated_template: str) -> str:
    """A database with 001 to 008 applied, and no organization in it; nobody connects to it."""
    url = server.create_database(template=isolated_template)
    run(url, KEYS)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM platform.organizations")
    return database_of(url)


@pytest.fixture
def keyed_platform(server: TestServer, keyed_template: str) -> Iterator[str]:
    """The URL of a database in which organizations have keys; there is no organization in it."""
    url = server.create_database(template=keyed_template)
    yield url
    server.drop_database(url)


@pytest.fixture(params=["006", "007", "008"])
def keyed(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """A superuser's session that has the key, on a database with the platform in it, as each migration leaves it."""
    url = request.getfixturevalue({"006": "platform", "007": "isolated", "008": "sealing"}[request.param])
    with psycopg.connect(url, autocommit=True) as connection:
        give_key(connection)
        yield connection


@pytest.fixture
def peopled(isolated: str) -> str:
    """A database in which three organizations have a row in every table."""
    with psycopg.connect(isolated) as connection:
        populate(connection)
    return isolated


@pytest.fixture(scope="session")
def registry_template(server: TestServer) -> str:
    """A database with all of the platform's files applied, in which each organization has a key; nobody connects."""
    url = server.create_database()
    run(url, *sorted(each.name for each in FOLDER.glob("*.sql") if not each.name.endswith(".rollback.sql")))
    with psycopg.connect(url, autocommit=True) as connection:
        people(connection)
        list(key_rotation.make_missing(connection, RING))
    return database_of(url)


@pytest.fixture
def registry(server: TestServer, registry_template: str) -> Iterator[str]:
    """The URL of a registry: Lancio's own organization with the placeholders of step 3, acme and other."""
    url = server.create_database(template=registry_template)
    yield url
    server.drop_database(url)
