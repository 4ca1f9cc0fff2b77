"""Databases that have the platform in them: made once a server, copied for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from schema_files import ALL, give_key, launch

from servers import TestServer, database_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def template(server: TestServer) -> str:
    """A database with all eight files applied; nobody connects to it."""
    url = server.create_database()
    launch(url, *ALL)
    return database_of(url)


@pytest.fixture
def platform(server: TestServer, template: str) -> Iterator[str]:
    """The URL of a database with the platform in it."""
    url = server.create_database(template=template)
    yield url
    server.drop_database(url)


@pytest.fixture
def keyed(platform: str) -> Iterator[psycopg.Connection]:
    """A session that has the key, on a database with the platform in it."""
    with psycopg.connect(platform, autocommit=True) as connection:
        give_key(connection)
        yield connection
