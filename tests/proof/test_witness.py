"""Edges with PostgreSQL's own sentence, and kept as long as the files are the same."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from histories import folder, planned

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.proof import witness
from lancio.proof.cache import Cache

pytestmark = pytest.mark.embedded

TEXTS = (
    "CREATE TABLE a (id integer PRIMARY KEY, old text);",
    "UPDATE a SET old = 'y';",
    "ALTER TABLE a DROP COLUMN old;",
    "CREATE VIEW v AS SELECT id FROM a;",
)


@pytest.fixture
def prove(place, tmp_path):
    def prove(graph, **arguments):
        return witness.prove(
            graph, Cache(tmp_path / "cache"), lambda: contextlib.nullcontext(place), "18", jobs=1, **arguments
        )

    return prove


def test_each_edge_gets_the_sentence_of_the_file_that_fails(prove, tmp_path):
    proof = prove(planned(tmp_path / "h", *TEXTS))
    assert proof.witnesses["4.sql", "1.sql", "read-after-write"] == witness.Witness(
        "without", 'relation "a" does not exist', "42P01", 1
    )
    assert proof.witnesses["3.sql", "2.sql", "write-after-read"] == witness.Witness(
        "swapped", 'column "old" of relation "a" does not exist', "42703", 1
    )
    assert all(each.stands for each in proof.witnesses.values())
    assert (proof.kept, proof.proved) == (0, len(set(proof.witnesses)))
    assert proof.runs == 3  # the whole history, without 1, and 2 behind 3


def test_what_was_proved_is_not_asked_again(prove, tmp_path):
    first = prove(planned(tmp_path / "h", *TEXTS))

    def never():
        raise AssertionError("a server was asked for")

    again = witness.prove(planned(tmp_path / "h", *TEXTS), Cache(tmp_path / "cache"), never, "18")
    assert again.witnesses == first.witnesses
    assert (again.kept, again.proved, again.runs) == (first.proved, 0, 0)


def test_only_what_is_new_is_proved(prove, tmp_path):
    first = prove(planned(tmp_path / "h", *TEXTS))
    more = prove(planned(tmp_path / "h", *TEXTS, "CREATE VIEW w AS SELECT * FROM v;"))
    assert more.kept == first.proved
    assert ("5.sql", "4.sql", "read-after-write") in more.witnesses
    changed = prove(planned(tmp_path / "h", TEXTS[0].replace("integer", "bigint"), *TEXTS[1:]))
    assert changed.kept == 0


def test_an_edge_that_does_not_show_is_said_to_run(prove, tmp_path):
    function = "CREATE OR REPLACE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT {}';"
    texts = (function.format(1), "CREATE VIEW v AS SELECT f();", function.format(2))
    found = prove(planned(tmp_path / "h", *texts)).witnesses["3.sql", "2.sql", "write-after-read"]
    assert found == witness.Witness("runs")
    assert not found.stands


def test_a_file_that_fails_anyway_proves_nothing(prove, tmp_path):
    proof = prove(planned(tmp_path / "h", "CREATE TABLE a (id int);", "INSERT INTO a SELECT id FROM nowhere;"))
    found = proof.witnesses["2.sql", "1.sql", "read-after-write"]
    assert found == witness.Witness("broken", 'relation "nowhere" does not exist')
    assert not found.stands


def test_what_must_be_there_before_is_made(prove, tmp_path):
    texts = ("CREATE TABLE a (id int REFERENCES users);", "CREATE INDEX ON a (id);")
    proof = prove(planned(tmp_path / "h", *texts), preamble=b"CREATE TABLE users (id int PRIMARY KEY)")
    assert proof.witnesses["2.sql", "1.sql", "read-after-write"].kind == "without"


def lancio(*words):
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def test_the_command_shows_the_sentence_at_its_edge(server, tmp_path, monkeypatch):
    monkeypatch.setenv("LANCIO_CACHE", str(tmp_path / "cache"))
    given = ("graph", str(folder(tmp_path / "h", *TEXTS)), "--witness", "--scratch", server.url())
    status, out, err = lancio(*given)
    assert (status, err) == (0, "")
    assert '4.sql without it: relation "a" does not exist (42P01, line 1)' in out
    assert "2.sql" in out
    told = json.loads(lancio(*given, "--json")[1])
    edge = next(each for each in told["edges"] if (each["file"], each["needs"]) == ("4.sql", "1.sql"))
    assert edge["witness"]["message"] == 'relation "a" does not exist'
    assert told["witnesses"]["proved"] == 0
    assert told["witnesses"]["kept"] == told["witnesses"]["standing"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--witness", "--tree"), "--witness goes with --json alone"),
        (("--scratch", "x"), "--scratch goes with --witness"),
        (("--before", "x"), "--before goes with --witness"),
        (("--witness", "--before", "nowhere.sql"), "nowhere.sql cannot be read"),
    ],
)
def test_what_does_not_go_with_it_is_refused(words, said, tmp_path):
    status, _, err = lancio("graph", str(folder(tmp_path / "h", *TEXTS)), *words)
    assert status != 0
    assert said in err
