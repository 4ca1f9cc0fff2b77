"""Servers and databases for every test, and the marks that keep the fast loop fast."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

import servers
from servers import TestServer, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDS_A_SERVER = {"server", "database", "every_server", "every_database"}
EACH_VERSION = {"every_server", "every_database"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "postgres: needs a running PostgreSQL (set by conftest from its fixtures)")
    config.addinivalue_line("markers", "every_version: runs on each major version (set by conftest from its fixtures)")
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    config.addinivalue_line("markers", "embedded: starts embedded servers of its own (set postgres with it)")


_CACHE = tempfile.TemporaryDirectory(prefix="lancio-cache-")


def pytest_sessionstart() -> None:
    """What the tests plan is kept in a folder of their own, not in the user's."""
    os.environ.setdefault("LANCIO_CACHE", _CACHE.name)


def pytest_sessionfinish() -> None:
    _CACHE.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if NEEDS_A_SERVER & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("embedded"):
            item.add_marker(pytest.mark.postgres)
        if EACH_VERSION & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.every_version)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Under LANCIO_CI=1 what could not be installed is a failure, not a silence."""
    report = yield
    if os.environ.get("LANCIO_CI") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a skip is a failure under LANCIO_CI=1. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for a module that skips itself as a whole."""
    report = yield
    if os.environ.get("LANCIO_CI") == "1" and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid}: a skip is a failure under LANCIO_CI=1. {report.longrepr}"
    return report


class Pool:
    """The servers of this process: each started when first asked for, all stopped at the end."""

    def __init__(self) -> None:
        self._running: dict[int, TestServer] = {}
        self._unavailable: dict[int, str] = {}

    def get(self, version: int) -> TestServer:
        """The server of a major version; the test is skipped, with the reason, if there is none."""
        if version not in self._running and version not in self._unavailable:
            try:
                self._running[version] = servers.start(version)
            except Unavailable as error:
                self._unavailable[version] = str(error)
        if version in self._unavailable:
            pytest.skip(self._unavailable[version])
        return self._running[version]

    def stop(self) -> None:
        for server in self._running.values():
            server.stop()


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.stop()


@pytest.fixture(scope="session")
def server(pool: Pool) -> TestServer:
    """The embedded PostgreSQL 18, that of the major LANCIO_TEST_SERVER, or the one that LANCIO_TEST_DSN names."""
    if dsn := os.environ.get("LANCIO_TEST_DSN"):
        return servers.given(dsn)
    return pool.get(int(os.environ.get("LANCIO_TEST_SERVER") or servers.EMBEDDED))


@pytest.fixture
def database(server: TestServer) -> Iterator[str]:
    """The URL of a fresh, empty database on `server`."""
    url = server.create_database()
    yield url
    server.drop_database(url)


def versions() -> list[int]:
    """The majors to test on: LANCIO_TEST_VERSIONS=10,11,… or `all`, else a sample of five."""
    asked = os.environ.get("LANCIO_TEST_VERSIONS", "")
    if asked == "all":
        return list(range(18, 9, -1))
    return [int(word) for word in asked.replace(",", " ").split()] or list(servers.DEFAULT_VERSIONS)


@pytest.fixture(scope="session", params=versions(), ids=lambda version: f"pg{version}")
def every_server(request: pytest.FixtureRequest, pool: Pool) -> TestServer:
    """One server a major version, embedded 18 among them."""
    return pool.get(request.param)


@pytest.fixture
def every_database(every_server: TestServer) -> Iterator[str]:
    """The URL of a fresh, empty database on each of `every_server`."""
    url = every_server.create_database()
    yield url
    every_server.drop_database(url)
