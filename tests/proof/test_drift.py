"""Whatever is changed by hand is named, with its file, and where nothing was changed nothing is."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import psycopg
import pytest
from drifting import FILES, MUTATIONS, Mutation

from lancio.catalog import profile
from lancio.planner import chronicle, graph, owners
from lancio.proof import drift, replay
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lancio.planner.drift import Difference, Drift
    from lancio.proof.scratch import Scratch

PROOF = os.environ.get("LANCIO_PROOF") == "1"
SAMPLE = MUTATIONS if PROOF else tuple(random.Random(5).sample(MUTATIONS, 16))


class Place:
    """A history that ran on a database, and copies of that to be changed."""

    def __init__(self, server: Scratch, folder: Path) -> None:
        self.server = server
        read = read_folder(folder)
        self.scripts = [replay.script(each) for each in read.migrations]
        bound = graph.build(read, profile.load(server.major))
        self.owners = owners.Owners(chronicle.of(bound, profile.load(server.major)))
        self.name = server.create()
        with server.connect(self.name) as connection:
            for script in self.scripts:
                drift.run(server, connection, script)

    def of(self, name: str) -> Drift:
        with self.server.connect(name) as connection:
            return drift.rehearsed(self.server, connection, self.scripts, owners=self.owners)


@pytest.fixture(scope="module")
def place_of(memory: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("drifting")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    made = Place(memory, folder)
    yield made
    memory.clear()


@pytest.fixture
def changed(place_of: Place) -> Iterator[Callable[[str], str]]:
    names: list[str] = []

    def make(statements: str) -> str:
        names.append(place_of.server.create(place_of.name))
        with place_of.server.connect(names[-1]) as connection:
            connection.execute(statements)
        return names[-1]

    yield make
    for name in names:
        place_of.server.drop(name)


def test_there_are_more_than_forty_kinds_of_mutation() -> None:
    kinds = {(each.deed, each.says.split(" ")[0], each.attribute) for each in MUTATIONS}
    assert len(kinds) >= 40


@pytest.mark.parametrize("mutation", SAMPLE, ids=lambda each: each.sql[:60])
def test_each_mutation_is_named_with_its_file_and_nothing_else(
    place_of: Place, changed: Callable[[str], str], mutation: Mutation
) -> None:
    found = place_of.of(changed(mutation.sql)).differences
    named = [each for each in found if (each.deed, each.says, each.attribute) == mutation[1:2] + mutation[2:4]]
    assert len(named) == 1, [str((each.deed, each.says, each.attribute)) for each in found]
    owner = named[0].owner
    assert (owner.made.file if owner is not None else "") == mutation.file
    assert not [each for each in found if each is not named[0] and not goes_along(each, mutation)]
    if mutation.deed == "changed":
        assert named[0].expected != named[0].found


def goes_along(each: Difference, mutation: Mutation) -> bool:
    """What the statement changes besides, and is so: the other half of a renaming, what hangs on a value."""
    renamed = "RENAME" in mutation.sql or mutation.sql.startswith("DROP FUNCTION app.double")
    if renamed and each.deed == "extra":
        return True
    if "RENAME" in mutation.sql:  # the texts that use the name
        return each.attribute in ("definition", "default", "tables", "function", "partition", "columns", "owned by")
    return mutation.attribute == "generated" and each.attribute == "default"


def test_an_unchanged_database_has_no_drift_three_times_in_a_row(
    place_of: Place, changed: Callable[[str], str]
) -> None:
    name = changed("SELECT 1")
    for _ in range(3):
        found = place_of.of(name)
        assert found.differences == ()
        assert found.compared > 50


def test_a_database_restored_from_a_dump_has_no_drift(place_of: Place) -> None:
    name = drift.copied(place_of.server, place_of.name)
    assert name is not None
    twice = drift.copied(place_of.server, name)
    assert twice is not None
    try:
        assert place_of.of(name).differences == ()
        assert place_of.of(twice).differences == ()
    finally:
        place_of.server.drop(name)
        place_of.server.drop(twice)


def test_a_column_in_another_place_is_no_drift(place_of: Place, changed: Callable[[str], str]) -> None:
    name = changed(
        "ALTER TABLE app.users DROP COLUMN age; ALTER TABLE app.users ADD COLUMN age integer "
        "CONSTRAINT users_age_check CHECK (age > 0)"
    )
    assert place_of.of(name).differences == ()


def test_what_an_ignored_pattern_means_is_told_apart(place_of: Place, changed: Callable[[str], str]) -> None:
    name = changed("CREATE SCHEMA audit; CREATE TABLE audit.log (id int); CREATE INDEX tmp_x ON app.users (nick)")
    with place_of.server.connect(name) as connection:
        found = drift.rehearsed(
            place_of.server, connection, place_of.scripts, owners=place_of.owners, ignore=("audit", "index app.tmp_*")
        )
    assert found.differences == ()
    assert {each.says for each in found.ignored} == {"schema audit", "index app.tmp_x"}


def test_what_mends_a_difference_does_so(place_of: Place, changed: Callable[[str], str]) -> None:
    name = changed(
        "ALTER TABLE app.users DISABLE ROW LEVEL SECURITY; ALTER TABLE app.users ALTER COLUMN email DROP NOT NULL;"
        "ALTER TABLE app.users ALTER COLUMN mood DROP DEFAULT; DROP INDEX app.by_state; DROP VIEW app.ill;"
        "ALTER POLICY own ON app.users USING (true); DROP TRIGGER touched ON app.users;"
        "ALTER TABLE app.orders DROP CONSTRAINT known_state, DROP CONSTRAINT of_whom"
    )
    found = place_of.of(name).differences
    assert len(found) == 9
    assert all(each.sql for each in found)
    with place_of.server.connect(name) as connection:
        for each in found:
            connection.execute(each.sql.encode())
    assert place_of.of(name).differences == ()


def test_a_file_that_does_not_run_is_refused_with_its_line(place_of: Place, tmp_path: Path) -> None:
    from lancio.errors import ServerError

    (tmp_path / "1.sql").write_text("SELECT 1;\nCREATE TABLE t (id nothing);\n")
    scripts = [replay.script(each) for each in read_folder(tmp_path).migrations]
    with (
        place_of.server.connect(place_of.name) as connection,
        pytest.raises(ServerError, match=r"1\.sql does not run on the scratch database") as refused,
    ):
        drift.rehearsed(place_of.server, connection, scripts, owners=place_of.owners)
    assert refused.value.where == "1.sql:2"


def test_another_major_version_is_refused(place_of: Place, every_database: str) -> None:
    with psycopg.connect(every_database, autocommit=True) as connection:
        if connection.info.server_version // 10000 == place_of.server.major:
            return
        with pytest.raises(drift.OtherVersion):
            drift.rehearsed(place_of.server, connection, [], owners=place_of.owners)
