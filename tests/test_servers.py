"""The test servers themselves are what the other tests believe they are."""

from __future__ import annotations

import psycopg

from servers import TestServer, run_psql


def test_every_version_is_the_one_asked_for(every_server: TestServer, every_database: str) -> None:
    with psycopg.connect(every_database) as connection:
        assert connection.info.server_version // 10000 == every_server.version
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
        assert connection.execute("SHOW password_encryption").fetchone() == ("scram-sha-256",)
        assert connection.execute("SHOW log_statement").fetchone() == ("none",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_every_version_has_pgcrypto_and_takes_psql(every_database: str) -> None:
    done = run_psql(every_database, sql="CREATE EXTENSION pgcrypto;\nSELECT length(gen_random_bytes(5)) AS five;")
    assert done.returncode == 0, done.stderr
    assert "5" in done.stdout


def test_psql_goes_on_after_an_error_unless_told_to_stop(database: str) -> None:
    text = "SELECT nowhere;\nSELECT 'reached' AS later;"
    assert "reached" in run_psql(database, sql=text).stdout
    stopped = run_psql(database, sql=text, stop_on_error=True)
    assert "reached" not in stopped.stdout
    assert stopped.returncode == 3


def test_a_database_is_a_copy_of_its_template(server: TestServer) -> None:
    original = server.create_database()
    copy = None
    try:
        assert run_psql(original, sql="CREATE TABLE carried (a int)").returncode == 0
        copy = server.create_database(template=psycopg.conninfo.conninfo_to_dict(original)["dbname"])
        with psycopg.connect(copy) as connection:
            assert connection.execute("SELECT count(*) FROM carried").fetchone() == (0,)
    finally:
        for url in (copy, original):
            if url:
                server.drop_database(url)
