"""A credential that Lancio is given comes to rest nowhere but sealed: not in what it says, nor on the server."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest
from outside import FOUNDATION, STEP_1, STEP_2, Said, lancio, one

from servers import Unavailable, database_of, newest_program, run_psql

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Stage
    from servers import TestServer

CANARY = "Can4ry-given-to-Lancio"
REDIS = f"redis://default:{CANARY}@redis.railway.internal:6379"
KEY = "5ea1" * 32


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with a Redis and a key."""
    file = tmp_path / "lancio.key"
    file.write_text(f"key_id = 3\nkey = {KEY}\n", encoding="ascii")
    file.chmod(0o600)
    return {"REDIS_URL": REDIS, "LANCIO_KEY_FILE": str(file)}


def opened(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT set_config('lancio.key_id', '3', false), set_config('lancio.key', %s, false)", (KEY,)
        )
        row = connection.execute(
            "SELECT platform.decrypt_database_connection_string(id) FROM platform.databases WHERE type = 'redis'"
        ).fetchone()
    assert row is not None
    return str(row[0])


def everything_of_the_ledger(url: str) -> str:
    found = []
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'lancio'::regnamespace"
                                    " AND relkind = 'r'").fetchall()  # fmt: skip
        for (table,) in tables:
            found += [str(row[0]) for row in connection.execute(f"SELECT t::text FROM lancio.{table} t")]
    assert len(found) > 10
    return "\n".join(found)


def dump(server: TestServer, url: str) -> str:
    """All of a database by the newest server's pg_dump: the older ones come without one."""
    try:
        program, library = newest_program("pg_dump")
    except Unavailable as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [program, "-h", server.host, "-p", str(server.port), "-U", server.superuser, database_of(url)],
        check=True, capture_output=True, text=True, env=os.environ | library | {"PGPASSWORD": server.password},
    )  # fmt: skip
    return done.stdout


def files_with(server: TestServer, *needles: str) -> list[Path]:
    """The files of the server, its log among them, that hold one of these; all that is in memory is written first."""
    if server.data is None or server.log_file is None:
        pytest.skip("the server was given: its folder and its log cannot be looked into")
    with server.connect() as connection:
        connection.execute("CHECKPOINT")
    wanted = re.compile(b"|".join(re.escape(needle.encode()) for needle in needles))
    paths = (path for path in (*server.data.rglob("*"), server.log_file) if path.is_file())
    return [path for path in paths if wanted.search(path.read_bytes())]


def test_what_lancio_seals_is_found_nowhere_and_opens(
    every_server: TestServer, stage: Stage, given: dict[str, str]
) -> None:
    said: list[Said] = []
    urls = []
    for arguments in ((), ("--json",)):
        url = stage(every_server, *FOUNDATION, STEP_1, STEP_2) if arguments else every_server.create_database()
        urls.append(url)
        there = ("--platform", "--database", url, *arguments)
        for verb in ("apply", "status") if arguments else ("apply",):
            said.append(lancio(verb, *there, *(("--no-backup",) if verb == "apply" else ()), env=given))
            assert said[-1].status == 0, said[-1].text
        assert opened(url) == REDIS
        shown = one(url, "SELECT to_jsonb(d)::text FROM platform.databases_safe d WHERE type = 'redis'")
        assert "redis://redis.railway.internal:6379" in shown
    try:
        shown = [each.out + each.err for each in said]
        for url in urls:
            shown += [everything_of_the_ledger(url), dump(every_server, url)]
        for needle in (CANARY, KEY):
            assert not [text for text in shown if needle in text]
        assert files_with(every_server, CANARY, KEY) == []
    finally:
        every_server.drop_database(urls[0])


def test_the_search_finds_what_is_there(server: TestServer, database: str) -> None:
    """A secret given by a literal stands where literals stand: the search is not blind."""
    plain = "Can4ry-that-is-shown"
    run_psql(database, sql=f"CREATE TABLE t (v text); INSERT INTO t VALUES ('{plain}'); SELECT '{plain}'::int;")
    found = files_with(server, plain)
    assert server.log_file in found
    assert {path.relative_to(server.data).parts[0] for path in found if path != server.log_file} >= {"base", "pg_wal"}
    assert plain in dump(server, database)


@pytest.mark.parametrize(
    "value",
    [
        f"redis://default:{CANARY}/half@redis.railway.internal:6379",
        f"redis://default:{CANARY}@bad host:6379",
        f"redis://default:{CANARY}@redis.railway.internal:99999",
        f"postgresql://default:{CANARY}@redis.railway.internal:6379",
        f"{CANARY}",
    ],
)
def test_a_credential_that_the_server_refuses_is_not_shown_by_the_refusal(
    server: TestServer, stage: Stage, given: dict[str, str], value: str
) -> None:
    url = stage(server, *FOUNDATION, STEP_1, STEP_2)
    said = lancio("apply", "--no-backup", "--platform", "--database", url, env=given | {"REDIS_URL": value})
    assert said.status in (1, 2), said.text
    assert said.err.count("Error: ") == 1
    assert "Cause:" in said.err
    as_json = lancio(
        "apply", "--no-backup", "--platform", "--database", url, "--json", env=given | {"REDIS_URL": value}
    )
    assert as_json.events[-1]["error"]["cause"]
    for each in (said, as_json):
        assert CANARY not in each.out + each.err
        assert KEY not in each.out + each.err
    assert one(url, "SELECT count(*) FROM platform.databases") == 0
    if one(url, "SELECT to_regclass('lancio.event') IS NOT NULL"):
        assert CANARY not in everything_of_the_ledger(url)
    assert files_with(server, CANARY) == []


def test_the_wrong_key_opens_nothing(server: TestServer, stage: Stage, given: dict[str, str]) -> None:
    url = stage(server, *FOUNDATION, STEP_1, STEP_2)
    assert lancio("apply", "--no-backup", "--platform", "--database", url, env=given).status == 0
    with psycopg.connect(url, autocommit=True) as connection:
        query = "SELECT platform.decrypt_database_connection_string(id) FROM platform.databases WHERE type = 'redis'"
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            connection.execute(query)
        connection.execute(
            "SELECT set_config('lancio.key_id', '3', false), set_config('lancio.key', %s, false)", ("ab" * 64,)
        )
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=r"lancio\.key is not key 3") as caught:
            connection.execute(query)
        assert CANARY not in str(caught.value)
