"""The specification's state diagram, ticked from what a real database holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.cli.options import platform_folder
from lancio.registry import state
from lancio.render import text

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = sorted(platform_folder().glob("00[1-6]*.sql"))


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def launch(connection: psycopg.Connection, count: int) -> None:
    for file in FILES[:count]:
        connection.execute(file.read_bytes())


def lines(found: state.State) -> dict[str, state.Line]:
    """Every line of the diagram by its words without figures in brackets."""
    return {line.says.split(" (")[0]: line for stage in found.stages for line in stage.lines}


def judged(connection: psycopg.Connection, **given: object) -> state.State:
    return state.judge(state.ask(connection), **given)  # type: ignore[arg-type]


def test_an_empty_database_ticks_nothing_and_says_why(connection: psycopg.Connection) -> None:
    found = judged(connection)
    ticked = [line.says for stage in found.stages for line in stage.lines if line.ticked]
    assert ticked == []
    assert all(line.reason for stage in found.stages for line in stage.lines)
    assert found.stands == "before the platform"
    assert not found.ready


def test_asking_changes_nothing_and_leaves_the_session_usable(connection: psycopg.Connection) -> None:
    state.ask(connection)
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert connection.execute("SELECT to_regnamespace('platform') IS NULL").fetchone() == (True,)


def test_the_foundation_alone_is_the_state_before_the_migration(connection: psycopg.Connection) -> None:
    launch(connection, 5)
    found = judged(connection)
    assert found.stands == "Pre-Migration State"
    assert lines(found)["RLS disabled on all tables"].ticked is True
    assert lines(found)["platform.databases table created"].ticked is False


def test_after_step_1_nothing_is_registered_and_rls_is_still_off(connection: psycopg.Connection) -> None:
    launch(connection, 6)
    found = judged(connection)
    assert found.stands == f"Step 1: Run {state.STEP_1}"
    assert lines(found)["RLS still disabled"].ticked is True
    assert lines(found)["Redis registered"].ticked is False


def test_the_end_is_ready_and_lists_what_is_still_to_do(connection: psycopg.Connection) -> None:
    launch(connection, 8)
    found = judged(connection)
    assert found.ready
    assert found.stands == state.READY
    by = lines(found)
    assert by["RLS enabled on 26 tables"].ticked is True
    assert by["Redis registered"].ticked is True
    # What held before a later step is history, not a fault.
    assert by["RLS disabled on all tables"].ticked is None
    updated = state.words(state.ask(connection)).done[state.UPDATE]
    assert updated.ticked is False
    assert "Railway Redis" in updated.reason
    assert [said.split(" (")[0] for said in found.to_do[:2]] == ["Railway MongoDB", "Railway Redis"]


def test_a_client_is_ticked_once_it_reached_what_is_registered(connection: psycopg.Connection) -> None:
    launch(connection, 8)

    def clients() -> dict[str, str]:
        """The reason of each that is not ticked."""
        later = state.words(state.ask(connection)).later
        assert all(bool(item.reason) is not item.ticked for item in later)
        return {item.says.split()[0]: item.reason for item in later if "client" in item.says and not item.ticked}

    assert clients() == {
        "Redis": "still a placeholder: Railway Redis",
        "MongoDB": "still a placeholder: Railway MongoDB",
    }
    connection.execute("UPDATE platform.databases SET metadata = metadata - 'placeholder'")
    assert "lancio db test" in clients()["Redis"]
    assert [said.split(":")[1] for said in judged(connection).to_do] == [" Railway MongoDB, Railway Redis"]
    connection.execute(
        "SELECT platform.update_database_health(id, 'healthy', NULL) FROM platform.databases WHERE type = 'redis'"
    )
    assert [*clients()] == ["MongoDB"]
    connection.execute("SELECT platform.update_database_health(id, 'unhealthy', 'refused') FROM platform.databases")
    assert [*clients()] == ["Redis", "MongoDB"]
    connection.execute("SELECT platform.update_database_health(id, 'healthy', NULL) FROM platform.databases")
    assert clients() == {}
    assert judged(connection).to_do == ()


def test_step_2_without_step_1_is_partly_applied_once_databases_exists(connection: psycopg.Connection) -> None:
    launch(connection, 5)
    connection.execute(FILES[6].read_bytes())
    connection.execute(FILES[5].read_bytes())
    found = judged(connection)
    step_2 = found.stages[2].lines[1]
    assert step_2.ticked is False
    assert step_2.reason == "partly applied: no policy on databases"


@pytest.mark.parametrize(
    ("mutation", "says"),
    [
        ("ALTER TABLE platform.users DISABLE ROW LEVEL SECURITY", "RLS enabled on 25 tables"),
        ("DROP POLICY permissive_all_users ON platform.users", "Permissive policies created"),
        ("DROP FUNCTION platform.test_rls_policies()", "Verification functions created"),
        ("DELETE FROM platform.databases WHERE type = 'redis'", "Redis registered"),
        ("DROP VIEW platform.databases_safe CASCADE", "Views created"),
        (
            "ALTER TABLE platform.databases DISABLE TRIGGER encrypt_database_connection_string_trigger",
            "Encryption functions created",
        ),
        ("DELETE FROM platform.databases", "Redis registered"),
    ],
)
def test_each_mutation_unticks_its_line(connection: psycopg.Connection, mutation: str, says: str) -> None:
    launch(connection, 8)
    connection.execute(mutation)
    found = judged(connection)
    assert lines(found)[says].ticked is False
    assert lines(found)[says].reason


def test_an_absent_mongodb_is_no_fault(connection: psycopg.Connection) -> None:
    launch(connection, 7)
    connection.execute("SET lancio.mongodb_url = 'absent'")
    connection.execute(FILES[7].read_bytes())
    found = judged(connection)
    assert found.ready
    assert lines(found)["MongoDB registered"].ticked is None


def test_a_policy_that_narrows_is_said(connection: psycopg.Connection) -> None:
    launch(connection, 8)
    connection.execute("CREATE POLICY own ON platform.users AS RESTRICTIVE USING (false)")
    line = lines(judged(connection))["Zero behavior change"]
    assert line.ticked is None
    assert "own on users" in line.reason


def test_a_role_that_may_not_read_is_told_so_and_nothing_breaks(connection: psycopg.Connection) -> None:
    launch(connection, 8)
    connection.execute("CREATE ROLE lancio_state_stranger")
    try:
        connection.execute("SET ROLE lancio_state_stranger")
        found = judged(connection)
        assert "cannot be read" in lines(found)["Redis registered"].reason
    finally:
        connection.execute("RESET ROLE")
        connection.execute("DROP ROLE lancio_state_stranger")


def test_rows_that_a_policy_hides_are_not_counted_as_missing(connection: psycopg.Connection) -> None:
    launch(connection, 8)
    connection.execute((platform_folder() / "007_isolate_organizations.sql").read_bytes())
    found = judged(connection)
    assert found.ready
    assert lines(found)["Zero behavior change"].ticked is None
    connection.execute("SET ROLE lancio_owner")
    line = lines(judged(connection))["Redis registered"]
    assert line.ticked is False
    assert "would be affected by row-level security" in line.reason
    assert connection.execute("SHOW row_security").fetchone() == ("on",)


def test_the_drawing_has_the_specifications_boxes_in_its_order(connection: psycopg.Connection) -> None:
    launch(connection, 8)
    found = judged(connection)
    drawn = text.diagram(found, 80)
    titles = ["[Pre-Migration State]", "[Step 1: ", "[Step 2: ", "[Step 3: ", f"[Post-Migration State: {state.READY}]"]
    assert [drawn.index(title) for title in titles] == sorted(drawn.index(title) for title in titles)
    assert f"State: {state.READY}" in drawn
    assert "✓ RLS enabled on 26 tables" in drawn


def test_the_state_is_known_on_every_version(every_database: str) -> None:
    with psycopg.connect(every_database, autocommit=True) as connection:
        assert judged(connection).stands == "before the platform"
        launch(connection, 8)
        assert judged(connection).ready
