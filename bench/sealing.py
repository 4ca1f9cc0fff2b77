"""What does it cost to seal a secret and to open it, beside pgp_sym_encrypt() and AES-GCM?

    python bench/sealing.py [--rows 2000] [--rounds 25] [--major 18]

All ways take turns, round by round, on the same connection strings of 120 bytes, in one process and one session of a
throw-away server; the figure is the median of the rounds, per string. What is counted is the time on a processor, of
this process and of the server's (/proc/<pid>/schedstat; elsewhere than on Linux the clock), so that others at work on
the machine count little. In SQL a way is one query over all strings; what it takes to read them (the query without
sealing) is taken off. The session is bound by the policies of 007, as a broker's is.

    pgp_sym_encrypt          pgcrypto's, with its defaults: the specification's way
    envelope, SQL            platform_private.seal() and unseal(): what the trigger and the opening functions call
    with its key, SQL        the organization's key looked up, asked from the session and checked first
    envelope, Python         lancio.registry.secrets.seal() and open_sealed(), the same bytes
    AES-GCM, Python          cryptography's AESGCM, 256 bits, the row's id as associated data

Judged: the three of Lancio's against pgp_sym_encrypt; each round's ratio, and of these the median. Status 1 if one is
above a tenth. Below them, not judged, whole statements: a row written through the trigger, and one opened by
decrypt_database_connection_string() with its entry in platform.audit_logs, beside a table that does the same with
pgp_sym_encrypt.
"""

from __future__ import annotations

import argparse
import os
import platform
import secrets as random_bytes
import statistics
import sys
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import servers
from lancio.registry.secrets import CONNECTION_STRING, Key, open_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 0.1
LENGTH = 120
PASSPHRASE = "a passphrase of 32 characters..."
FIRST = "pgp_sym_encrypt"
JUDGED = ("envelope, SQL", "with its key, SQL", "envelope, Python")

SETUP = """
CREATE TABLE platform_private.texts (n integer PRIMARY KEY, id uuid, plain text, pgp bytea, sealed bytea);
ALTER TABLE platform_private.texts OWNER TO lancio_owner;
CREATE SCHEMA pgp;
CREATE TABLE pgp.databases (LIKE platform.databases INCLUDING ALL);
CREATE FUNCTION pgp.encrypt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.connection_string_encrypted := pgp_sym_encrypt(NEW.connection_string, current_setting('bench.passphrase'));
    NEW.connection_string := 'redis://***@' || NEW.host || ':' || NEW.port;
    RETURN NEW;
END
$$;
CREATE TRIGGER encrypt BEFORE INSERT OR UPDATE ON pgp.databases FOR EACH ROW EXECUTE PROCEDURE pgp.encrypt();
CREATE FUNCTION pgp.decrypt(database_id uuid) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    d pgp.databases;
BEGIN
    SELECT * INTO d FROM pgp.databases x WHERE x.id = database_id;
    INSERT INTO platform.audit_logs (organization_id, project_id, actor_type, action, target_type, target_id)
    VALUES (d.organization_id, d.project_id, 'service', 'secret.open', 'database', d.id::text);
    RETURN pgp_sym_decrypt(d.connection_string_encrypted, current_setting('bench.passphrase'));
END
$$;
GRANT USAGE ON SCHEMA pgp TO lancio_owner;
ALTER TABLE pgp.databases OWNER TO lancio_owner;
ALTER FUNCTION pgp.decrypt(uuid) OWNER TO lancio_owner;
"""

SEAL = {
    FIRST: "pgp_sym_encrypt(plain, %(passphrase)s)",
    "envelope, SQL": "platform_private.seal(plain, %(column)s, id, %(organization)s, %(key_id)s, %(key)s)",
    "with its key, SQL": "platform_private.seal_for(%(organization)s, %(column)s, id, plain, 'connection string')",
}
OPEN = {
    FIRST: "pgp_sym_decrypt(pgp, %(passphrase)s)",
    "envelope, SQL": "platform_private.unseal(sealed, %(column)s, id, %(organization)s, %(key)s)",
    "with its key, SQL": "platform_private.open_for(%(organization)s, %(column)s, id, sealed, 'connection string')",
}
WRITE = """INSERT INTO {}.databases (organization_id, project_id, name, type, host, port, connection_string)
SELECT %(organization)s, %(project)s, 'bench', 'redis', 'h.bench.invalid', 6379, plain
FROM platform_private.texts WHERE n <= %(few)s"""


class Meter:
    """Seconds on a processor, of this process and of one backend."""

    def __init__(self, backend: int) -> None:
        self._statistics = Path(f"/proc/{backend}/schedstat")
        self.by_processor = self._statistics.exists()

    def read(self) -> float:
        if not self.by_processor:
            return time.perf_counter()
        return time.process_time() + int(self._statistics.read_text().split()[0]) / 1e9

    def timed(self, work: Callable[[], object]) -> float:
        began = self.read()
        work()
        return self.read() - began


class Bench:
    """The strings, the keys, and a session in which lancio_owner works for one organization."""

    def __init__(self, connection: psycopg.Connection, rows: int) -> None:
        self.connection, self.rows, self.few = connection, rows, min(rows, 500)
        self.meter = Meter(connection.info.backend_pid)
        row = connection.execute("SELECT organization_id, id FROM platform.projects LIMIT 1").fetchone()
        assert row is not None
        self.organization: UUID = row[0]
        self.key = Key.random(1000, self.organization)
        self.values = {
            "organization": row[0], "project": row[1], "column": CONNECTION_STRING, "passphrase": PASSPHRASE,
            "key_id": self.key.id, "key": self.key.secret, "few": self.few,
        }  # fmt: skip
        connection.execute(
            "SELECT platform.add_data_key(1000, %s, '\\x01', 'bench', %s)", (row[0], self.key.check_value())
        )
        connection.execute(SETUP)
        self.texts = [f"redis://default:{random_bytes.token_hex(48)}"[:LENGTH - 21] + "@h.bench.invalid:6379"
                      for _ in range(rows)]  # fmt: skip
        assert {len(text) for text in self.texts} == {LENGTH}
        self.ids = [uuid4() for _ in range(rows)]
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO platform_private.texts VALUES (%s, %s, %s, pgp_sym_encrypt(%s, %s),"
                " platform_private.seal(%s, %s, %s, %s, %s, %s))",
                [(n, id_, text, text, PASSPHRASE, text, CONNECTION_STRING, id_, row[0], 1000, self.key.secret)
                 for n, (id_, text) in enumerate(zip(self.ids, self.texts, strict=True), start=1)],
            )  # fmt: skip
        connection.execute("ANALYZE platform_private.texts")
        self.envelopes = [seal(text, row_id=id_, key=self.key) for id_, text in self.strings()]
        self.gcm = AESGCM(self.key.secret[:32])
        self.boxes = [self.gcm_seal(id_, text) for id_, text in self.strings()]

    def strings(self) -> zip[tuple[UUID, str]]:
        return zip(self.ids, self.texts, strict=True)

    def gcm_seal(self, id_: UUID, text: str) -> bytes:
        nonce = os.urandom(12)
        return nonce + self.gcm.encrypt(nonce, text.encode(), id_.bytes)

    def begin(self) -> None:
        """What a request does before it: the organization's context and its key."""
        self.connection.execute("SET LOCAL ROLE lancio_owner")
        self.connection.execute("SELECT platform.enter_organization(%s)", (self.organization,))
        for name, value in self.key.settings().items():
            self.connection.execute("SELECT set_config(%s, %s, true)", (name, value.reveal()))
        self.connection.execute("SELECT set_config('bench.passphrase', %s, true)", (PASSPHRASE,))

    def query(self, expression: str) -> Callable[[], object]:
        """All strings by one statement, prepared before it is timed."""
        text = f"SELECT sum(octet_length({expression})) FROM platform_private.texts"
        return lambda: self.connection.execute(text, self.values, prepare=True).fetchone()

    def ways(self) -> dict[str, dict[str, Callable[[], object]]]:
        ids, key = self.ids, self.key
        return {
            "sealing": {name: self.query(expression) for name, expression in SEAL.items()}
            | {
                "envelope, Python": lambda: [seal(text, row_id=id_, key=key) for id_, text in self.strings()],
                "AES-GCM, Python": lambda: [self.gcm_seal(id_, text) for id_, text in self.strings()],
                "": self.query("plain"),
            },
            "opening": {name: self.query(expression) for name, expression in OPEN.items()}
            | {
                "envelope, Python": lambda: [
                    open_sealed(envelope, row_id=id_, key=key)
                    for id_, envelope in zip(ids, self.envelopes, strict=True)
                ],
                "AES-GCM, Python": lambda: [
                    self.gcm.decrypt(box[:12], box[12:], id_.bytes).decode()
                    for id_, box in zip(ids, self.boxes, strict=True)
                ],
                "": self.query("sealed"),
            },
        }

    def statements(self) -> dict[str, dict[str, float]]:
        """Seconds for `few` rows written and opened by whole statements, by Lancio and with pgp_sym_encrypt."""
        took: dict[str, dict[str, float]] = {"a row written": {}, "a row opened, with its entry": {}}
        for name, schema, opening in (
            (FIRST, "pgp", "pgp.decrypt"),
            ("Lancio", "platform", "platform.decrypt_database_connection_string"),
        ):
            write = WRITE.format(schema)
            took["a row written"][name] = self.meter.timed(
                lambda: self.connection.execute(write, self.values)  # noqa: B023  (called at once)
            )
            read = f"SELECT sum(octet_length({opening}(id))) FROM {schema}.databases WHERE name = 'bench'"
            took["a row opened, with its entry"][name] = self.meter.timed(
                lambda: self.connection.execute(read).fetchone()  # noqa: B023
            )
        return took


def run(url: str, rows: int, rounds: int) -> int:
    above = []
    with psycopg.connect(url, autocommit=True) as connection:
        bench = Bench(connection, rows)
        version = connection.info.parameter_status("server_version")
        print(f"PostgreSQL {version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.machine()}")
        print(
            f"{rows} strings of {LENGTH} bytes, {rounds} rounds; microseconds a string, of "
            f"{'processor time' if bench.meter.by_processor else 'the clock'}\n"
        )
        took: dict[str, dict[str, list[float]]] = {what: {} for what in bench.ways()}
        whole: dict[str, dict[str, list[float]]] = {}
        for turn in range(rounds + 2):
            for what, ways in bench.ways().items():
                # The order turns as well, so that nobody always comes behind the same other one.
                names = list(ways)
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    with connection.transaction():
                        bench.begin()
                        seconds = bench.meter.timed(ways[name])
                    if turn >= 2:  # two to warm up
                        took[what].setdefault(name, []).append(seconds / rows * 1e6)
            if turn >= 2:
                with connection.transaction(force_rollback=True):
                    bench.begin()
                    for what, sides in bench.statements().items():
                        for name, seconds in sides.items():
                            whole.setdefault(what, {}).setdefault(name, []).append(seconds / bench.few * 1e6)
        for what, ways_taken in took.items():
            scan = ways_taken.pop("")
            for name, values in ways_taken.items():
                if "Python" not in name:
                    ways_taken[name] = [value - reading for value, reading in zip(values, scan, strict=True)]
            print(f"{what:30}{'median':>10}{'of pgp':>10}")
            for name, values in ways_taken.items():
                ratio = statistics.median(v / p for v, p in zip(values, ways_taken[FIRST], strict=True))
                print(f"  {name:28}{statistics.median(values):>10.2f}{ratio:>10.3f}")
                if name in JUDGED and ratio > LIMIT:
                    above.append(f"{what}: {name}: {ratio:.3f} of {FIRST}")
            print()
        for what, sides_taken in whole.items():
            print(f"{what:30}{'median':>10}{'of pgp':>10}")
            for name, values in sides_taken.items():
                ratio = statistics.median(v / p for v, p in zip(values, sides_taken[FIRST], strict=True))
                print(f"  {name:28}{statistics.median(values):>10.2f}{ratio:>10.3f}")
        print(f"\nload {os.getloadavg()[0]:.1f}")
    for each in above:
        print(f"NOT HELD: {each}")
    print("" if above else f"HELD: each at most {LIMIT} of {FIRST}.")
    return 1 if above else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--major", type=int, default=servers.EMBEDDED, help="major version of the throw-away server")
    arguments = parser.parse_args()
    server = servers.start(arguments.major)
    try:
        url = server.create_database()
        folder = Path(str(resources.files("lancio.registry") / "schema"))
        with psycopg.connect(url, autocommit=True) as connection:
            for file in sorted(folder.glob("[0-9]*.sql")):
                if not file.name.endswith(".rollback.sql"):
                    connection.execute(file.read_bytes())
        return run(url, arguments.rows, arguments.rounds)
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
