"""The truth is PostgreSQL's: what files create, in which order they run, and which pairs may not be swapped."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import oracle
import psycopg
import pytest
from psycopg import sql

from lancio.catalog import profile
from lancio.executor import snapshot
from lancio.planner import graph, plan
from lancio.reading import operations
from lancio.reading.source import Folder, Migration, read_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.planner.model import Edge, FileFacts, Graph
    from servers import TestServer

PLATFORM = Path(str(resources.files("lancio.registry") / "schema"))
PROOF = os.environ.get("LANCIO_PROOF") == "1"
SEEDS = 40 if PROOF else 2


def names_for(story: str, count: int) -> list[str]:
    """Names without an order, other ones for each story and the same ones each time."""
    chosen = random.Random(story)
    return ["".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=9)) + ".sql" for _ in range(count)]


def compare(url: str, folder: Folder, opaque: frozenset[str] = frozenset()) -> None:
    """Each file that can be seen through: what the planner's catalog gains and loses is what the real one does."""
    with psycopg.connect(url, autocommit=True) as connection:
        before, said_before = oracle.held(connection), frozenset({("schema", "public")})
        for migration, said, is_open in oracle.bound(folder):
            oracle.run(connection, migration)
            after = oracle.held(connection)

            def seen(items: Iterable[oracle.Item], is_open: frozenset[str] = is_open) -> list[oracle.Item]:
                return sorted(
                    item for item in items if not (item[0] == "column" and item[1].rsplit(".", 1)[0] in is_open)
                )

            if migration.name in opaque:
                before, said_before = after, said
                continue
            assert seen(said - said_before) == seen(after - before), f"{migration.name} makes"
            assert seen(said_before - said) == seen(before - after), f"{migration.name} takes away"
            before, said_before = after, said


def stories(aspect: str, *more: str) -> list[object]:
    """All stories; where expected.toml tells a gap of this aspect, the test must fail until it is closed."""
    found: list[object] = list(more)
    for name in oracle.NAMES:
        gap = oracle.said(name).get("gap", {})
        marks = [pytest.mark.xfail(reason=gap[aspect], strict=True)] if aspect in gap else []
        found.append(pytest.param(name, marks=marks))
    return found


def opaque_in(name: str) -> frozenset[str]:
    """The files of a story that expected.toml calls opaque."""
    return frozenset(oracle.said(name).get("opaque", ()))


@pytest.mark.parametrize("name", oracle.NAMES)
def test_what_cannot_be_seen_is_said_and_nothing_else(name: str) -> None:
    planned = graph.build(oracle.story(name), profile.load(18))
    assert {each.at.file for each in planned.opaque} == opaque_in(name)


@pytest.mark.parametrize("name", stories("creates"))
def test_each_file_makes_and_takes_away_what_the_catalog_gains_and_loses(name: str, database: str) -> None:
    compare(database, oracle.story(name), opaque_in(name))


def test_the_platforms_files_make_what_the_catalog_gains(database: str) -> None:
    compare(database, read_folder(PLATFORM))


@pytest.mark.parametrize("name", stories("creates", "platform"))
def test_what_a_file_is_said_to_create_is_what_it_creates(name: str, database: str) -> None:
    folder = read_folder(PLATFORM) if name == "platform" else oracle.story(name)
    planned = graph.build(folder, profile.load(18))
    renamed = set(oracle.said(name).get("renamed", ()))
    with psycopg.connect(database, autocommit=True) as connection:
        before = oracle.held(connection)
        for facts in planned.files:
            oracle.run(connection, facts.migration)
            after = oracle.held(connection)
            said = {(each.kind, each.name) for each in facts.creates if each.kind in oracle.KINDS - {"column"}}
            real = {item for item in after - before if item[0] != "column" and item[1] not in renamed}
            # The labels of a new enum come with it.
            new_types = {each[1] for each in real if each[0] == "type"}
            real = {each for each in real if each[0] != "label" or each[1].split(" '")[0] not in new_types}
            said -= before & after  # made again under its name
            if facts.name not in opaque_in(name):
                assert sorted(said) == sorted(real), facts.name
            before = after


def shuffled(name: str, seed: int) -> tuple[Folder, dict[str, str]]:
    """A story under random names, and the original name of each file."""
    folder = oracle.story(name)
    given = oracle.shuffled(folder, names_for(f"{name} {seed}", len(folder.migrations)))
    original = {each.digest: each.name for each in folder.migrations}
    return given, {each.name: original[each.digest] for each in given.migrations}


@pytest.mark.parametrize("name", stories("order"))
def test_files_without_an_order_get_one_that_runs(name: str, server: TestServer) -> None:
    for seed in range(SEEDS):
        given, original = shuffled(name, seed)
        planned = graph.build(given, profile.load(18))
        order = [original[facts.name] for facts in planned.files]
        assert not [finding.message for finding in planned.findings if finding.severity == "refusal"], order
        url = server.create_database()
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                for facts in planned.files:
                    try:
                        oracle.run(connection, facts.migration)
                    except psycopg.Error as error:
                        pytest.fail(f"the order {order} fails at {original[facts.name]}: {error}")
        finally:
            server.drop_database(url)


@pytest.mark.parametrize("name", stories("without", "platform"))
def test_who_fails_without_a_file_needs_it_and_is_told_so_before(name: str, server: TestServer) -> None:
    """Each file left out: who then fails has it among its needs, and the preflight said no-go exactly there."""
    folder = read_folder(PLATFORM) if name == "platform" else oracle.story(name)
    planned = graph.build(folder, profile.load(18))
    firm = replace(
        planned,
        edges=tuple(
            each for each in planned.edges if each.strength in ("hard", "row") and each.hazard != "write-after-read"
        ),
    )
    accepted = {tuple(pair) for pair in oracle.said(name).get("without", ())}
    wrong: list[tuple[str, str, str]] = []
    for position, left_out in enumerate(planned.files):
        url = server.create_database()
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                for facts in planned.files[:position]:
                    oracle.run(connection, facts.migration)
                for facts in planned.files[position + 1 :]:
                    live = snapshot.take(connection, planned)
                    told = plan.make(planned, live, ledger={}, durations={}, environ={}, only=(facts.name,))
                    error = ran(connection, facts.migration)
                    pair = (facts.name, left_out.name)
                    if error and left_out.name not in firm.ancestors(facts.name) and pair not in accepted:
                        wrong.append((*pair, f"needs it: {error}"))
                    if told.go == bool(error) and pair not in accepted:
                        said = error or [each.message for each in told.missing]
                        wrong.append((*pair, f"{'go' if told.go else 'no-go'}, but: {said}"))
        finally:
            server.drop_database(url)
            with server.connect() as connection:  # roles are the server's, not the database's
                for (role,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^story_'").fetchall():
                    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    assert not wrong


def ran(connection: psycopg.Connection, migration: Migration) -> str:
    """Run a file; PostgreSQL's words where it fails, and nothing is left of it then."""
    try:
        connection.execute(migration.text)
    except psycopg.Error as error:
        connection.rollback()
        return str(error).split("\n")[0]
    finally:
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            connection.execute("RESET ALL")
    return ""


def swapped(planned: Graph, edge: Edge) -> tuple[list[FileFacts], list[FileFacts]]:
    """Files to run first, and then the two of an edge the wrong way round."""
    hard = replace(planned, edges=tuple(each for each in planned.edges if each.strength in ("hard", "row")))
    around = planned.ancestors(edge.file) | planned.ancestors(edge.needs)
    first = [
        facts
        for facts in planned.files
        if facts.name in around
        and facts.name not in (edge.file, edge.needs)
        and edge.needs not in hard.ancestors(facts.name)
        and edge.file not in hard.ancestors(facts.name)
    ]
    return first, [planned.file(edge.file), planned.file(edge.needs)]


@pytest.mark.parametrize("name", [*oracle.NAMES, "platform"])
def test_a_pair_that_may_not_be_swapped_fails_when_it_is(name: str, server: TestServer) -> None:
    folder = read_folder(PLATFORM) if name == "platform" else oracle.story(name)
    planned = graph.build(folder, profile.load(18))
    accepted = {tuple(pair) for pair in oracle.said(name).get("runs_swapped", ())}
    wrong = []
    url = server.create_database()
    try:
        for file, needs in sorted({(edge.file, edge.needs) for edge in planned.edges if edge.strength == "hard"}):
            edge = next(
                each for each in planned.edges if (each.file, each.needs, each.strength) == (file, needs, "hard")
            )
            if fails(url, *swapped(planned, edge)) == ((file, needs) in accepted):
                wrong.append((file, needs, [because.object for because in edge.because]))
    finally:
        server.drop_database(url)
    assert not wrong


def fails(url: str, first: list[FileFacts], then: list[FileFacts]) -> bool:
    """Whether files fail after others; everything is rolled back."""
    with psycopg.connect(url) as connection:
        for facts in first:
            oracle.run(connection, bare(facts.migration))
        try:
            for facts in then:
                oracle.run(connection, bare(facts.migration))
        except psycopg.Error:
            return True
        else:
            return False
        finally:
            connection.rollback()


def bare(migration: Migration) -> Migration:
    """The file without its own BEGIN and COMMIT."""
    raw = operations.read(migration)
    text = migration.text
    for statement in reversed(raw.statements):
        if statement.control:
            text = text[: statement.span.start] + text[statement.span.end :]
    return Migration(migration.name, migration.path, text)
