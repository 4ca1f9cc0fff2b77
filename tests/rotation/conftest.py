"""A registry with migration 011 in it: made once, emptied for each test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

# Helpers of other tests are used here too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "registry"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "executor"))

from rotating import Desk, RedisServer, desk_of
from schema_files import KEYS, NAMED, NINE, ROTATIONS, launch, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import TestServer


@pytest.fixture(scope="session")
def platform(server: TestServer) -> str:
    """A database with the platform in it."""
    url = server.create_database()
    launch(url, *NINE)
    run(url, KEYS, NAMED, ROTATIONS)
    return url


@pytest.fixture
def desk(platform: str) -> Iterator[Desk]:
    """Somebody who rotates, in a registry of one organization; of others before only the audit log tells."""
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute("DELETE FROM platform.organizations")
    desk = desk_of(platform)
    yield desk
    desk.close()


@pytest.fixture(params=RedisServer.WAYS)
def redis_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis whose user is set up in each of the ways that there are."""
    with RedisServer(tmp_path, request.param) as server:
        yield server
