"""How long do keys take: made, wrapped anew, replaced, and the tables written anew behind them?

    python bench/keys.py [--organizations 10000] [--rows 100000] [--database URL]

Data keys are made for all organizations and wrapped by another key-encryption key; one organization has all the rows,
whose secrets are sealed again with a new key, without anybody else at work (the proof of tests/registry/
test_key_rotation.py does it under reads: LANCIO_PROOF=1). Then platform.data_keys and platform.databases are written
anew by VACUUM FULL, which is how long nobody else reads them. Each is done once.

Without --database a throw-away server of the embedded PostgreSQL is started; its fsync is off.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import servers
from lancio.registry import key_rotation, secrets
from lancio.registry.data_keys import DataKeys
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def timed(what: str, count: int) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    took = time.perf_counter() - begun
    print(f"{what:<52} {count:>9} {took:>9.2f} s {count / took:>11.0f} /s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organizations", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--database")
    asked = parser.parse_args()
    with ExitStack() as stack:
        url = asked.database
        if url is None:
            server = servers.start(servers.EMBEDDED)
            stack.callback(server.stop)
            url = server.create_database()
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        schema = resources.files("lancio.registry") / "schema"
        for file in sorted(each.name for each in schema.iterdir() if each.name.endswith(".sql")):
            if ".rollback." not in file:
                connection.execute((schema / file).read_bytes())
        run(connection, asked.organizations, asked.rows)
    return 0


def run(connection: psycopg.Connection, organizations: int, rows: int) -> None:
    old, new = KeyEncryptionKey.random(), KeyEncryptionKey.random()
    connection.execute(
        "INSERT INTO platform.organizations (id, slug, name)"
        " SELECT md5(i::text)::uuid, 'bench-' || i, 'bench' FROM generate_series(1, %s) i",
        (organizations,),
    )
    with timed("data keys made", organizations):
        for _ in key_rotation.make_missing(connection, Ring(old)):
            pass
    with timed("data keys wrapped by another KEK", organizations):
        for _ in key_rotation.rewrap(connection, Ring(new, (old,))):
            pass
    with timed("data keys opened, one and all", organizations):
        key_rotation.check(connection, Ring(new))
    with timed("platform.data_keys written anew (ACCESS EXCLUSIVE)", organizations):
        key_rotation.forget_old_bytes(connection)
    (one,) = connection.execute("SELECT md5('1')::uuid").fetchone() or (None,)
    connection.execute(
        "INSERT INTO platform.projects (id, organization_id, slug, name) VALUES (%s, %s, 'bench', 'bench')", (one, one)
    )
    keys = DataKeys(Ring(new))
    key = keys.active(connection, one)
    copied = (
        "COPY platform.databases (id, project_id, organization_id, name, type, host, port, connection_string,"
        " connection_string_encrypted) FROM STDIN"
    )
    with (
        timed("secrets sealed here and written by COPY", rows),
        connection.cursor() as cursor,
        cursor.copy(copied) as copy,
    ):
        for each in range(rows):
            row = uuid4()
            envelope = secrets.seal(f"redis://default:{row}@cache.bench:6379/0", row_id=row, key=key)
            shown = secrets.sealed_form(envelope, "redis", "cache.bench", 6379)
            copy.write_row((row, one, one, f"bench-{each}", "redis", "cache.bench", 6379, shown, envelope))
    connection.execute("ANALYZE platform.databases")
    with timed("secrets sealed again with a new data key", rows):
        for _ in key_rotation.rotate(connection, keys, one, settle_s=0):
            pass
    with timed("platform.databases written anew (ACCESS EXCLUSIVE)", rows):
        key_rotation.rewrite(connection, "platform.databases", waits=10)


if __name__ == "__main__":
    sys.exit(main())
