"""Databases as plain psql leaves them after some of the files: made once a server, copied for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import outside
import pytest

from servers import TestServer, database_of

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stage(Protocol):
    def __call__(self, server: TestServer, *names: str) -> str: ...


Templates = dict[tuple[int, tuple[str, ...]], tuple[TestServer, str]]


@pytest.fixture(scope="session")
def templates(pool: object) -> Iterator[Templates]:
    made: Templates = {}
    yield made
    for server, name in made.values():
        if server.data is None:  # given by LANCIO_TEST_DSN: nobody else removes what was made on it
            server.drop_database(name)


@pytest.fixture
def stage(templates: Templates) -> Iterator[Stage]:
    """`stage(server, FILE, …)`: the URL of a database of its own on which psql has run these files, in this order."""
    made: list[tuple[TestServer, str]] = []

    def make(server: TestServer, *names: str) -> str:
        key = (server.port, names)
        if key not in templates:
            # Each stage grows out of the one before it.
            base = templates.get((server.port, names[:-1])) if names[:-1] else None
            template = server.create_database(template=base[1] if base else None)
            outside.launched(template, *(names[-1:] if base else names))
            templates[key] = server, database_of(template)
        url = server.create_database(template=templates[key][1])
        made.append((server, url))
        return url

    yield make
    for server, url in made:
        server.drop_database(url)
