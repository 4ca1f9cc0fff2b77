"""What does the audit trail cost who writes, and how long do sealing, verifying and asking take?

    python bench/audit.py [--entries 1000000] [--calls 2000] [--rounds 9] [--database URL]

Side by side, in one run: a database with the files up to 008, and one with 010 besides. Each operation is done `calls`
times in one transaction, in turns on both, `rounds` times; shown are the medians of a call and their ratio. Then the
other way to chain entries, one tail for each organization that a trigger locks, against ours: writers whose
transactions take 5 ms more. At last a trail of so many entries is sealed, verified and asked.

Without --database a throw-away server of the embedded PostgreSQL is started; its fsync is off.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import servers
from lancio.registry import audit_seal, audit_trail
from lancio.registry.audit_trail import Query
from lancio.registry.data_keys import DataKeys
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring

if TYPE_CHECKING:
    from uuid import UUID

RING = Ring(KeyEncryptionKey(bytes(range(32))))
WRITERS, SECONDS = 8, 4.0

LOOP = "DO $do$ DECLARE v text; BEGIN FOR i IN 1..{calls} LOOP {call}; END LOOP; END $do$"
CALLS = {
    "entry written": "INSERT INTO platform.audit_logs (organization_id, actor_type, action, target_type,"
    " target_id, after)"
    " VALUES ('{organization}', 'system', 'secret.open', 'database', '{database}', '{{\"key_id\": 1000}}')",
    "connection string opened": "v := platform.decrypt_database_connection_string('{database}')",
    "database renamed": "UPDATE platform.databases SET name = 'n' || i WHERE id = '{database}'",
    "health of a database written": "PERFORM platform.update_database_health('{database}', 'healthy', NULL)",
    "project renamed": "UPDATE platform.projects SET name = 'n' || i WHERE organization_id = '{organization}'",
    "member added": "INSERT INTO platform.organization_members (id, organization_id, user_id)"
    " SELECT gen_random_uuid(), '{organization}', id FROM platform.users WHERE username = 'u' || i",
}

TAIL = """
CREATE TABLE platform_private.tails (organization_id uuid PRIMARY KEY, hash bytea NOT NULL);
INSERT INTO platform_private.tails SELECT id, '' FROM platform.organizations;
CREATE FUNCTION platform_private.chain_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $body$
BEGIN
    SELECT hash INTO NEW.prev_hash FROM platform_private.tails WHERE organization_id = NEW.organization_id FOR UPDATE;
    NEW.row_hash := sha256(convert_to(NEW::text, 'UTF8'));
    UPDATE platform_private.tails SET hash = NEW.row_hash WHERE organization_id = NEW.organization_id;
    RETURN NEW;
END
$body$;
CREATE TRIGGER z_chain_entry BEFORE INSERT ON platform.audit_logs FOR EACH ROW EXECUTE FUNCTION
platform_private.chain_entry();
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--database", help="A server's URL; databases are made on it.")
    asked = parser.parse_args()
    with ExitStack() as stack:
        if asked.database:
            server = servers.given(asked.database)
        else:
            server = servers.start(servers.EMBEDDED)
            stack.callback(server.stop)
        urls = {
            name: prepared(server.create_database(), chained=name == "with 010") for name in ("up to 008", "with 010")
        }
        costs(urls, asked.calls, asked.rounds)
        tails(server)
        trail(urls["with 010"], asked.entries)
    return 0


def prepared(url: str, *, chained: bool) -> str:
    schema = resources.files("lancio.registry") / "schema"
    with psycopg.connect(url, autocommit=True) as connection:
        for file in sorted(
            each.name for each in schema.iterdir() if each.name.endswith(".sql") and ".rollback." not in each.name
        ):
            if chained or not file.startswith("010"):
                connection.execute((schema / file).read_bytes())
        connection.execute("INSERT INTO platform.users (id, primary_email, username)"
                           " SELECT gen_random_uuid(), 'u' || i || '@bench.dev', 'u' || i FROM"
                           " generate_series(1, 10000) i")  # fmt: skip
        keys = DataKeys(RING)
        with connection.transaction():
            organization, project = one(connection, "SELECT organization_id, id FROM platform.projects LIMIT 1")
            keys.give(connection, organization)
            connection.execute(
                "INSERT INTO platform.databases (project_id, name, type, host, port, connection_string)"
                " VALUES (%s, 'bench', 'redis', 'cache.bench', 6379,"
                " 'redis://default:secret@cache.bench:6379/0')", (project,),
            )  # fmt: skip
    return url


def one(connection: psycopg.Connection, statement: str) -> tuple[UUID, UUID]:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0], row[-1]


def costs(urls: dict[str, str], calls: int, rounds: int) -> None:
    print(f"{'microseconds a call':<32} {'up to 008':>10} {'with 010':>10} {'ratio':>7} {'more':>7}")
    with ExitStack() as stack:
        sessions = {name: stack.enter_context(psycopg.connect(url, autocommit=True)) for name, url in urls.items()}
        for what, call in CALLS.items():
            took: dict[str, list[float]] = {name: [] for name in sessions}
            for _ in range(rounds):
                for name, connection in sessions.items():
                    organization, database = one(
                        connection, "SELECT organization_id, id FROM platform.databases WHERE host = 'cache.bench'"
                    )
                    loop = LOOP.format(calls=calls, call=call.format(organization=organization, database=database))
                    with connection.transaction(force_rollback=True):
                        DataKeys(RING).give(connection, organization)
                        begun = time.perf_counter()
                        connection.execute(loop)
                        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what would run at the end
                        took[name].append((time.perf_counter() - begun) / calls * 1e6)
            without, with_ = (statistics.median(took[name]) for name in sessions)
            print(
                f"{what:<32} {without:>10.1f} {with_:>10.1f} {with_ / without:>7.2f} {with_ - without:>7.1f}",
                flush=True,
            )


def tails(server: servers.TestServer) -> None:
    """Transactions a second of writers of one organization: an entry, and 5 ms of something else."""
    print()
    for name, statements in (("a tail that is locked", TAIL), ("sealed afterwards", "")):
        url = prepared(server.create_database(), chained=not statements)
        with psycopg.connect(url, autocommit=True) as connection:
            if statements:
                connection.execute(statements)
            organization, _ = one(connection, "SELECT id, id FROM platform.organizations LIMIT 1")
        done, stop = [0] * WRITERS, threading.Event()

        def writes(
            at: int,
            url: str = url,
            organization: UUID = organization,
            done: list[int] = done,
            stop: threading.Event = stop,
        ) -> None:
            with psycopg.connect(url) as mine:
                while not stop.is_set():
                    mine.execute(
                        "INSERT INTO platform.audit_logs (organization_id, actor_type, action) VALUES (%s,"
                        " 'system', 'x')",
                        (organization,),
                    )
                    mine.execute("SELECT pg_sleep(0.005)")
                    mine.commit()
                    done[at] += 1

        threads = [threading.Thread(target=writes, args=(at,)) for at in range(WRITERS)]
        for each in threads:
            each.start()
        until = time.monotonic() + SECONDS
        with psycopg.connect(url, autocommit=True) as sealer:
            while time.monotonic() < until:
                if not statements:
                    for _ in audit_seal.seal(sealer, RING):
                        pass
                time.sleep(0.2)
        stop.set()
        for each in threads:
            each.join()
        print(
            f"{WRITERS} writers of one organization, {name:<24} {sum(done) / SECONDS:>8.0f} transactions/s", flush=True
        )


def trail(url: str, entries: int) -> None:
    print()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO platform.audit_logs (organization_id, actor_type, actor_id, action, target_type,"
            " target_id, after, occurred_at)"
            " SELECT md5((i %% 1000)::text)::uuid, 'user', md5((i %% 5000)::text)::uuid, CASE i %% 50 WHEN 0"
            " THEN 'database.update'"
            " ELSE 'secret.open' END, 'database', (i %% 20000)::text, '{\"key_id\": 1000}', now() - (%(count)s"
            " - i) * interval '1 second'"
            " FROM generate_series(1, %(count)s) i",
            {"count": entries},
        )
        connection.execute("ANALYZE platform.audit_logs")
        begun = time.perf_counter()
        sealed = list(audit_seal.seal(connection, RING))[-1]
        shown("sealed", sealed.entries, begun)
        for what, ring in (("verified with the key", RING), ("verified without a key", None)):
            found, begun = audit_seal.Verified(), time.perf_counter()
            assert not list(audit_seal.verify(connection, ring, found))
            shown(what, found.entries, begun)
        with connection.transaction():
            found, begun = audit_seal.Verified(), time.perf_counter()
            organization, _ = one(connection, "SELECT md5('7')::uuid, md5('7')::uuid")
            assert not list(audit_seal.verify_trail(connection, organization, RING, found))
            shown("one organization's trail of 1000 verified", found.entries, begun)
        for what, query in {
            "the newest 50": Query(), "of an organization": Query(organization=organization),
            "of an actor": Query(actor=str(organization)), "of an action": Query(action="database.update"),
            "of a target": Query(target_type="database", target_id="77"),
            "of an organization, by action": Query(organization=organization, action="database.update"),
        }.items():  # fmt: skip
            took = []
            for _ in range(15):
                begun = time.perf_counter()
                audit_trail.entries(connection, query)
                took.append(time.perf_counter() - begun)
            print(f"page of 50 {what:<36} {statistics.median(took) * 1000:>9.2f} ms", flush=True)
        size = connection.execute(
            "SELECT pg_total_relation_size('platform.audit_logs') / %(n)s,"
            " pg_total_relation_size('platform.audit_seals') / %(n)s",
            {"n": sealed.entries},
        ).fetchone()
        assert size is not None
        print(f"bytes an entry: {size[0]} in platform.audit_logs, {size[1]} in platform.audit_seals")


def shown(what: str, count: int, begun: float) -> None:
    took = time.perf_counter() - begun
    print(f"{what:<46} {count:>9} {took:>8.2f} s {count / took:>10.0f} /s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
