"""A registry with migration 011 in it: made once a server, copied for each test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from servers import TestServer, database_of

# Helpers of the registry's tests are used here too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "registry"))

from rotating import Desk, RedisServer, desk_of
from schema_files import KEYS, NAMED, NINE, ROTATIONS, launch, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def rotating_template(server: TestServer) -> str:
    """A database with the platform in it and no organization; nobody connects to it."""
    url = server.create_database()
    launch(url, *NINE)
    run(url, KEYS, NAMED, ROTATIONS)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM platform.organizations")
    return database_of(url)


@pytest.fixture
def desk(server: TestServer, rotating_template: str) -> Iterator[Desk]:
    """Somebody who rotates, in a registry of one organization."""
    url = server.create_database(template=rotating_template)
    desk = desk_of(url)
    yield desk
    desk.close()
    server.drop_database(url)


@pytest.fixture(params=RedisServer.WAYS)
def redis_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis whose user is set up in each of the ways that there are."""
    with RedisServer(tmp_path, request.param) as server:
        yield server
