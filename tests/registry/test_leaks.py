"""The platform gives no secret away; and where it is made to, it is seen, each time where and in which form."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from schema_files import NINE, TEN, launch

from lancio import postgres
from lancio.errors import LancioError
from lancio.proof import canary, leaks, places, ways
from lancio.registry import secrets
from servers import database_of

if TYPE_CHECKING:
    from conftest import Pool
    from servers import TestServer


def proved(url: str, *, by_commands: bool = False) -> leaks.Report:
    target = postgres.resolve(url)
    with postgres.connect(target) as connection:
        return leaks.on_given(target, connection, by_commands=by_commands)


def found(report: leaks.Report) -> dict[str, set[str]]:
    """Which canary in which form, by the place."""
    return {each.name: {f"{sighting.what} {sighting.form}" for sighting in each.sightings} for each in report.leaking}


def searched(report: leaks.Report) -> set[str]:
    return {each.name for each in report.places if each.proved}


@pytest.mark.parametrize(("version", "files"), [(10, TEN), (12, NINE), (15, TEN), (18, TEN)])
def test_a_given_database_gives_nothing_away_and_keeps_nothing(
    pool: Pool, version: int, files: tuple[str, ...]
) -> None:
    server = pool.get(version)
    url = server.create_database()
    launch(url, *files)
    count = "SELECT (SELECT count(*) FROM platform.databases), (SELECT count(*) FROM platform.audit_logs)"
    try:
        with server.connect(database_of(url)) as connection:
            before = connection.execute(count).fetchone()
        report = proved(url)
        assert (found(report), report.doubts) == ({}, ())
        assert report.sound
        assert searched(report) >= {
            places.WAL, places.ACTIVITY, places.ROWS, places.AUDIT, places.ANSWERS, places.ERRORS, places.COMMANDS,
            places.ENVIRONMENTS,
        }  # fmt: skip
        assert len(report.gone) > 30
        # What cannot be searched from here is told, with its reason, and is not among what is clean.
        assert {each.name for each in report.places if each.why_not} >= {places.HEAP, places.DUMP, places.STATISTICS}
        with server.connect(database_of(url)) as connection:
            assert connection.execute(count).fetchone() == before
            assert connection.execute("SELECT to_regclass('lancio_control')").fetchone() == (None,)
    finally:
        server.drop_database(url)


KEEP = """
CREATE TABLE kept (content text);
CREATE FUNCTION leak() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;
CREATE TRIGGER a_leak BEFORE INSERT OR UPDATE ON platform.databases FOR EACH ROW EXECUTE PROCEDURE leak();
"""
CLEAR, BASE64, HEX, KEY_HEX = "secret in clear", "secret base64", "secret hexadecimal", "key hexadecimal"
STORED = """
INSERT INTO kept VALUES (NEW.connection_string), (encode(convert_to(NEW.connection_string, 'UTF8'), 'hex')),
    (encode(convert_to(NEW.connection_string, 'UTF8'), 'base64')), (current_setting('lancio.key', true));
"""
SHOWN = """
INSERT INTO platform.audit_logs (actor_type, action, after) VALUES ('system', 'x', to_jsonb(NEW));
NEW.metadata := jsonb_build_object('was', NEW.connection_string);
PERFORM set_config('application_name', NEW.connection_string, false);
RAISE NOTICE 'sealing %', NEW.connection_string;
"""
RAISED = """
IF NEW.port > 65535 THEN
    RAISE EXCEPTION 'no such port' USING DETAIL = NEW.connection_string, HINT = current_setting('lancio.key');
END IF;
"""


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (STORED, {places.ROWS: {CLEAR, BASE64, HEX, KEY_HEX}, places.WAL: {CLEAR, BASE64, HEX, KEY_HEX}}),
        (SHOWN, {key: {CLEAR} for key in (places.AUDIT, places.ANSWERS, places.ACTIVITY, places.ERRORS)}),
        (RAISED, {places.ERRORS: {CLEAR, KEY_HEX}}),
    ],
    ids=["stored", "shown", "raised"],
)
def test_a_trigger_that_gives_it_away_is_seen(isolated: str, body: str, seen: dict[str, set[str]]) -> None:
    with psycopg.connect(isolated, autocommit=True) as connection:
        connection.execute(KEEP.replace("{body}", body).encode())
    leaking = found(proved(isolated))
    assert {place: leaking.get(place, set()) & forms for place, forms in seen.items()} == seen


NOT_SEALED = """
ALTER TABLE platform.databases DISABLE TRIGGER encrypt_database_connection_string_trigger;
ALTER TABLE platform.databases ALTER organization_id DROP NOT NULL;
"""
OPENED_BY_HEALTH = """
CREATE OR REPLACE FUNCTION platform.update_database_health(database_id uuid, status text, error text) RETURNS boolean
    LANGUAGE sql AS $$
UPDATE platform.databases d SET health_check_error = platform.decrypt_database_connection_string(d.id)
WHERE d.id = database_id RETURNING true $$;
"""


@pytest.mark.parametrize("sql", [NOT_SEALED, OPENED_BY_HEALTH], ids=["not sealed", "opened by health"])
def test_a_broken_platform_is_seen(isolated: str, sql: str) -> None:
    with psycopg.connect(isolated, autocommit=True) as connection:
        connection.execute(sql.encode())
    assert CLEAR in found(proved(isolated))[places.ANSWERS]


def test_a_platform_that_does_not_seal_what_it_says_proves_nothing(isolated: str) -> None:
    """Nothing is found where the secret never was, so that must not pass for clean."""
    with psycopg.connect(isolated, autocommit=True) as connection:
        cut = "NEW.connection_string := regexp_replace(NEW.connection_string, ':[^:]*@', ':x@');"
        connection.execute(KEEP.replace("{body}", cut).encode())
    report = proved(isolated)
    assert "what was opened in SQL is not what was put in" in report.doubts
    assert not report.sound


def test_a_platform_that_takes_nothing_is_told_without_its_words(isolated: str) -> None:
    with psycopg.connect(isolated, autocommit=True) as connection:
        connection.execute(KEEP.replace("{body}", "RAISE EXCEPTION 'no: %', NEW.connection_string;").encode())
    report = proved(isolated)
    assert CLEAR in found(report)[places.ERRORS]
    assert any("SQLSTATE P0001" in doubt for doubt in report.doubts)
    assert not [doubt for doubt in report.doubts if "redis://" in doubt]


def test_an_error_that_nobody_expected_is_told_by_its_number(isolated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(ground: ways.Ground) -> None:
        assert ground.held is not None
        ground.held.execute("SELECT %s::text::integer", (ground.url(),))

    monkeypatch.setattr(ways, "go", fail)
    with pytest.raises(LancioError) as caught:
        proved(isolated)
    assert "22P02" in caught.value.cause
    assert "redis" not in places.told(caught.value)


def test_a_literal_is_seen_in_the_activity_and_the_error(isolated: str) -> None:
    control, secret = canary.Canary.random("control"), canary.Canary.random("secret")
    key = secrets.Key.random()

    def connect(_: str = "") -> psycopg.Connection:
        return psycopg.connect(isolated, autocommit=True)

    scene = places.Scene(control, (secret,), connect)
    with places.Watch(scene, connect):
        ways.literally(ways.Ground(scene, secret, key, connect, "here"))
    names = {each.name: each for each in places.OWN}
    for name in (places.ACTIVITY, places.ERRORS):
        assert canary.CLEAR in {hit.form for hit in places.search(names[name], scene).sightings}


def test_a_search_that_does_not_find_its_control_proves_nothing(isolated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    blind = replace(next(each for each in places.GIVEN if each.name == places.ROWS), material=lambda _: [])
    monkeypatch.setattr(places, "GIVEN", (*(each for each in places.GIVEN if each.name != places.ROWS), blind))
    report = proved(isolated)
    assert found(report) == {}
    assert not report.sound
    assert places.ROWS not in searched(report)


def test_a_process_that_is_handed_the_secret_and_one_that_takes_it(isolated: str) -> None:
    control, secret = canary.Canary.random("control"), canary.Canary.random("secret")
    scene = places.Scene(control, (secret,), lambda _: psycopg.connect(isolated))
    lines = [(1, b"lancio\0apply\0", f"REDIS_URL={secret.text}".encode()), (2, b"sh\0", b"HOME=/")]
    scene.environments += lines
    scene.entitled.add(1)
    place = next(each for each in places.OWN if each.name == places.ENVIRONMENTS)
    assert places.search(place, scene).found == 0
    # A child that has not become another program yet is its parent's likeness; one that has is not.
    scene.environments.append((3, *lines[0][1:]))
    assert places.search(place, scene).found == 0
    scene.environments.append((4, b"git\0log\0", lines[0][2]))
    assert [each.where for each in places.search(place, scene).sightings] == ["process 4"]


def test_a_database_without_the_platform_is_refused(database: str) -> None:
    with pytest.raises(LancioError) as caught:
        proved(database)
    assert caught.value.code == "no-leak"
    assert caught.value.commands == ("lancio apply --platform",)


def test_a_role_without_rights_proves_nothing(server: TestServer, isolated: str) -> None:
    role = f"stranger_{os.getpid()}"
    with psycopg.connect(isolated, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'Pr0be-of-a-stranger'".encode())
    try:
        report = proved(server.url(database_of(isolated), user=role, password="Pr0be-of-a-stranger"))
        assert report.doubts
        assert not report.sound
    finally:
        with psycopg.connect(isolated, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
