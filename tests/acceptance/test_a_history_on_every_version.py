"""A history as an application grows one, small and made up, on every major version: by psql and by Lancio alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import outside
import pytest
from outside import differs, facts, lancio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import TestServer

HISTORY = {
    "001_shop.sql": """
        -- lancio: duration 1s
        CREATE SCHEMA shop;
        CREATE TYPE shop.state AS ENUM ('new', 'paid');
        CREATE TABLE shop.customers (id serial PRIMARY KEY, email text NOT NULL UNIQUE, born date);
        CREATE TABLE shop.orders (
            id bigserial PRIMARY KEY,
            customer_id integer NOT NULL REFERENCES shop.customers,
            state shop.state NOT NULL DEFAULT 'new',
            cents bigint NOT NULL CHECK (cents >= 0)
        );
    """,
    "002_touched.sql": """
        ALTER TABLE shop.orders ADD COLUMN touched_at timestamptz NOT NULL DEFAULT now();
        CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.touched_at := now();
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER touch BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE PROCEDURE shop.touch();
    """,
    "003_first_customer.sql": """
        INSERT INTO shop.customers (email) VALUES ('first@example.org');
        INSERT INTO shop.orders (customer_id, cents) SELECT id, 1200 FROM shop.customers;
    """,
    "004_events.sql": """
        CREATE TABLE shop.events (at timestamptz NOT NULL, what text NOT NULL) PARTITION BY RANGE (at);
        CREATE TABLE shop.events_2026 PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    """,
    "005_idx_orders_state.sql": "CREATE INDEX CONCURRENTLY orders_state ON shop.orders (state);",
    "006_totals.sql": """
        -- lancio: verify SELECT count(*) = 1 FROM shop.totals
        CREATE VIEW shop.totals AS
            SELECT c.email, sum(o.cents) AS cents FROM shop.customers c JOIN shop.orders o ON o.customer_id = c.id
            GROUP BY c.email;
        CREATE MATERIALIZED VIEW shop.busy AS SELECT customer_id, count(*) AS orders FROM shop.orders GROUP BY 1;
    """,
    "007_names.sql": """
        ALTER TABLE shop.customers RENAME COLUMN born TO birthday;
        ALTER TABLE shop.customers ADD CONSTRAINT grown CHECK (birthday < '2020-01-01') NOT VALID;
        ALTER TABLE shop.customers VALIDATE CONSTRAINT grown;
        ALTER INDEX shop.orders_state RENAME TO orders_by_state;
    """,
    "008_rights.sql": """
        ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
        CREATE POLICY everyone ON shop.orders USING (true) WITH CHECK (true);
        GRANT SELECT ON shop.totals TO PUBLIC;
    """,
    "009_backfill.sql": """
        DO $$
        BEGIN
            IF NOT EXISTS (SELECT 1 FROM shop.customers WHERE email = 'first@example.org') THEN
                RAISE EXCEPTION 'first customer not found';
            END IF;
            UPDATE shop.orders SET state = 'paid';
        END
        $$;
    """,
    "010_gone.sql": """
        -- lancio: after-run Tell the analysts that shop.busy is gone
        DROP MATERIALIZED VIEW shop.busy;
        ALTER TABLE shop.orders DROP COLUMN touched_at CASCADE;
        DROP TRIGGER touch ON shop.orders;
        DROP FUNCTION shop.touch();
    """,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    made.mkdir()
    for name, text in HISTORY.items():
        (made / name).write_text(text, encoding="utf-8")
    return made


@pytest.fixture
def two(every_server: TestServer) -> Iterator[tuple[str, str]]:
    urls = every_server.create_database(), every_server.create_database()
    yield urls
    for url in urls:
        every_server.drop_database(url)


def test_psql_and_lancio_leave_the_same_database_and_it_is_told_right(two: tuple[str, str], folder: Path) -> None:
    by_psql, by_lancio = two
    outside.launched(by_psql, *HISTORY, folder=folder)
    said = lancio("apply", str(folder), "--database", by_lancio, "--yes")
    assert said.status == 0, said.text
    assert f"{len(HISTORY)} of {len(HISTORY)} steps" in said.text
    assert differs(facts(by_psql), facts(by_lancio)) == []
    assert outside.rows(by_psql).keys() == outside.rows(by_lancio).keys()
    # And afterwards: nothing to do, everything stands, each state is told.
    assert "othing to" in lancio("apply", str(folder), "--database", by_lancio, "--yes").text
    assert lancio("verify", str(folder), "--database", by_lancio).status == 0
    states = lancio("status", str(folder), "--since-run", "--database", by_lancio, "--json").json
    assert all(each["recorded"] for each in states["files"])
    since = states["since_run"]
    assert (since["unknown"], since["rollbacks"], since["deadlocks"], since["failed_checks"]) == ("", 0, 0, [])


def test_the_checklist_of_a_folder_that_is_half_run(two: tuple[str, str], folder: Path) -> None:
    url = two[0]
    assert lancio("apply", str(folder), "--database", url, "--yes", "--to", "007_names.sql").status == 0
    said = lancio("checklist", str(folder), "--database", url, "--json").json
    before, steps, after = ([(line["says"], line["ticked"]) for line in phase["lines"]] for phase in said["phases"])
    assert before == [
        ("Database backup created", False),
        ("Migration 001 applied (shop schema exists)", True),
        *((line, True) for line, _ in before[2:]),
    ]
    assert len(before) == 8
    assert [says for says, _ in steps if says.startswith("Step")] == [
        f"Step {number}: {name}" for number, name in enumerate(list(HISTORY)[7:], 1)
    ]
    assert not any(ticked for _, ticked in steps)
    assert after[0] == ("Tell the analysts that shop.busy is gone", False)
    assert after[-1] == ("Monitor for errors", True)
    blocking = said["critical_path"]["blocking"]
    assert ("Verify migrations 001-007 applied", True) in [(each["says"], each["ticked"]) for each in blocking]


def test_a_step_that_is_asked_for_too_early_is_a_no_go_and_changes_nothing(two: tuple[str, str], folder: Path) -> None:
    url = two[0]
    stood = outside.whole(url)
    said = lancio("preflight", str(folder), "--only", "006_totals.sql", "--database", url)
    assert said.status == 3
    assert "shop.orders does not exist" in said.text
    assert "001_shop.sql" in said.text
    assert outside.whole(url) == stood


def test_what_a_server_says_is_explained_with_who_makes_what_is_missing(two: tuple[str, str], folder: Path) -> None:
    said = outside.psql(two[0], "002_touched.sql", folder=folder)
    error = next(line for line in said.err.splitlines() if "does not exist" in line and "shop" in line)
    told = lancio("explain", error.partition("ERROR:")[2].strip(), str(folder))
    assert told.status == 0
    assert "001_shop.sql" in told.text
