"""Databases that have the platform in them: made once a server, copied for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from schema_files import ALL, KEYS, NINE, give_key, launch, run

from servers import TestServer, database_of

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
    """A database with all nine files applied; nobody connects to it."""
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


@pytest.fixture(params=["006", "007"])
def keyed(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """A superuser's session that has the key, on a database with the platform in it, before 007 and after."""
    url = request.getfixturevalue("platform" if request.param == "006" else "isolated")
    with psycopg.connect(url, autocommit=True) as connection:
        give_key(connection)
        yield connection
