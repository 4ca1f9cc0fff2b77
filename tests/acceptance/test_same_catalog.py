"""The platform's files by psql and by Lancio leave one database, on every server version, however often they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import outside
import psycopg
import pytest
from outside import ALL, STEP_2, contents, differs, facts, lancio, launched, psql, rows

from lancio.executor import fingerprint

if TYPE_CHECKING:
    from conftest import Stage
    from servers import TestServer


def taken(url: str) -> fingerprint.Fingerprint:
    """Lancio's own fingerprint, which users go by; the comparison by our own queries stands beside it."""
    with psycopg.connect(url, autocommit=True) as connection:
        return fingerprint.take(connection)


def test_psql_and_lancio_make_the_same_catalog_and_nothing_changes_it_again(
    every_server: TestServer, stage: Stage
) -> None:
    by_psql, by_lancio = stage(every_server, *ALL), every_server.create_database()
    try:
        there = ("apply", "--platform", "--database", by_lancio)
        said = lancio(*there)
        assert said.status == 0, said.text
        assert f"{len(ALL)} of {len(ALL)} steps applied" in said.out
        assert differs(facts(by_psql), facts(by_lancio)) == []
        assert contents(by_psql) == contents(by_lancio)
        assert fingerprint.diff(taken(by_psql), taken(by_lancio)) == ([], [])
        assert taken(by_psql).hash == taken(by_lancio).hash
        # 26 tables, as the specification counts them; and those of keys, grams, seals and rotations (008 to 011).
        tables = {name for name in contents(by_lancio) if name.startswith("platform.")}
        later = {
            "platform.data_keys", "platform.database_grams", "platform.audit_rounds", "platform.audit_seals",
            "platform.credential_rotations",
        }  # fmt: skip
        assert later < tables
        assert len(tables) == 26 + len(later)
        assert sum(kind == "policy" for kind, _, _ in facts(by_lancio)) >= len(tables) * 3

        for url in (by_psql, by_lancio):
            stood = facts(url), rows(url)
            own = taken(url).hash
            for name in ALL:
                launched(url, name)
                assert url == by_psql or taken(url).hash == own, name
            assert taken(url).hash == own
            assert differs(stood[0], facts(url)) == []
            assert rows(url) == stood[1]
        again = lancio(*there)
        assert (again.status, again.out, again.err) == (0, f"Nothing to do: {len(ALL)} files applied, none left.\n", "")
        assert (facts(by_lancio), rows(by_lancio)) == stood
    finally:
        every_server.drop_database(by_lancio)


def test_a_database_that_psql_made_is_taken_over_without_a_change(every_server: TestServer, stage: Stage) -> None:
    url = stage(every_server, *ALL)
    stood = facts(url), rows(url)
    assert lancio("apply", "--no-backup", "--platform", "--database", url).status == 0
    assert differs(stood[0], facts(url)) == []
    assert rows(url) == stood[1]
    assert "Nothing to do" in lancio("apply", "--no-backup", "--platform", "--database", url).out


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE platform.users ADD COLUMN extra int",
        "ALTER TABLE platform.users NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY",
        "DROP INDEX platform.idx_databases_type",
        "ALTER POLICY permissive_all_users ON platform.users USING (false)",
        "REVOKE SELECT ON platform.databases_safe FROM PUBLIC",
        "ALTER TABLE platform.databases DISABLE TRIGGER update_databases_updated_at",
        "ALTER FUNCTION platform.verify_rls_enabled() SECURITY DEFINER",
        "COMMENT ON TABLE platform.users IS 'another'",
        "CREATE TABLE elsewhere (id int)",
        "CREATE TYPE mood AS ENUM ('well')",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA platform GRANT SELECT ON TABLES TO PUBLIC",
    ],
)
def test_both_comparisons_see_each_change(server: TestServer, stage: Stage, change: str) -> None:
    url = stage(server, *ALL)
    stood, own = facts(url), taken(url).hash
    outside.execute(url, change)
    assert differs(stood, facts(url)) != []
    assert taken(url).hash != own


def test_a_superseded_step_run_by_psql_says_that_it_leaves_things_alone(server: TestServer, stage: Stage) -> None:
    url = stage(server, *ALL)
    outside.execute(
        url,
        "DROP POLICY permissive_all_users ON platform.users",
        "CREATE POLICY own ON platform.users USING (false)",
    )
    stood = facts(url)
    said = psql(url, STEP_2)
    assert "ERROR" not in said.err
    assert "NOTICE:  table platform.users has policies of its own" in said.err
    assert facts(url) == stood
