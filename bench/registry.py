"""Do list, search and show of registered databases stay flat as the registry grows?

    python bench/registry.py [--small 1000] [--large 100000] [--times 200] [--database URL]

Two registries in one server, one small and one large, with the same organizations: one that has half of all databases
and a hundred others that share the rest. Everything is asked as the commands ask it, by a member under the policies,
through the library (`lancio.registry.databases`), each question in a transaction of its own, in turn in the one and in
the other registry, so that what else the machine does falls on both. Medians, and their ratio.

Without --database a throw-away server of the embedded PostgreSQL is started; its fsync is off.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import servers
from lancio.registry import databases
from lancio.registry.acting import Actor, acting
from lancio.registry.databases import Filter

if TYPE_CHECKING:
    from collections.abc import Callable

OTHERS = 100
WORDS = ("orders", "billing", "cache", "sessions", "events", "search", "users", "mail", "queue", "reports")
ROWS = """
INSERT INTO platform.databases (project_id, name, type, host, port, connection_string, status, metadata)
SELECT md5('project-' || o.n || '-' || g.i %% 10)::uuid, (%(words)s::text[])[1 + g.i %% 10] || '-' || g.i,
       (ARRAY['redis', 'postgresql', 'mongodb'])[1 + g.i %% 3], 'host-' || g.i %% 997 || '.test', 6379,
       (ARRAY['redis', 'postgresql', 'mongodb'])[1 + g.i %% 3] || '://host-' || g.i %% 997 || '.test:6379',
       'active', '{}'
FROM (SELECT 0 AS n, %(half)s AS many UNION ALL SELECT n, %(half)s / %(others)s FROM generate_series(1, %(others)s) n) o
     CROSS JOIN LATERAL generate_series(1, o.many) g (i)
"""

PEOPLE = f"""
INSERT INTO platform.users (id, primary_email) VALUES (md5('user')::uuid, 'bench@example.com');
INSERT INTO platform.organizations (id, slug, name)
SELECT md5('organization-' || n)::uuid, 'bench-' || n, 'bench' FROM generate_series(0, {OTHERS}) n;
INSERT INTO platform.organization_members (organization_id, user_id, role)
SELECT md5('organization-' || n)::uuid, md5('user')::uuid, 'developer' FROM generate_series(0, {OTHERS}) n;
INSERT INTO platform.projects (id, organization_id, slug, name)
SELECT md5('project-' || n || '-' || p)::uuid, md5('organization-' || n)::uuid, 'bench-' || n || '-' || p, 'p'
FROM generate_series(0, {OTHERS}) n, generate_series(0, 9) p
"""


def fill(connection: psycopg.Connection[Any], count: int) -> None:
    """The same people in each registry, and so many databases."""
    schema = resources.files("lancio.registry") / "schema"
    for file in sorted(each.name for each in schema.iterdir() if each.name.endswith(".sql")):
        if ".rollback." not in file:
            connection.execute((schema / file).read_bytes())
    for statement in PEOPLE.split(";"):
        connection.execute(statement.encode())
    connection.execute(ROWS, {"words": list(WORDS), "half": count // 2, "others": OTHERS})
    connection.execute("VACUUM ANALYZE")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--database", help="a server on which two databases are made and left")
    asked = parser.parse_args()
    with ExitStack() as stack:
        if asked.database is None:
            server = servers.start(servers.EMBEDDED)
            stack.callback(server.stop)
        else:
            server = servers.given(asked.database)
        registries = []
        for count in (asked.small, asked.large):
            connection = stack.enter_context(psycopg.connect(server.create_database(), autocommit=True))
            begun = time.perf_counter()
            fill(connection, count)
            print(f"{count:,} databases registered in {time.perf_counter() - begun:.1f} s", flush=True)
            registries.append((connection, count))
        compare(registries, asked.times)
    return 0


def compare(registries: list[tuple[psycopg.Connection[Any], int]], times: int) -> None:
    """Each question so many times in each registry, in turn."""
    dice = random.Random(7)
    actor = Actor("user", user_of(registries[0][0]), "bench@example.com")
    print(f"\n{'':<50} {'':>9}" + "".join(f"{f'{count:,}':>12}" for _, count in registries) + f"{'ratio':>8}")
    for organization, said in (("bench-0", "half of all are one organization's"), ("bench-7", "one of a hundred")):
        print(said)
        questions: dict[str, Callable[[Any, int], object]] = {
            "list, the first page of 50": lambda work, _: databases.page(work),
            "list, a page in the middle": lambda work, _: databases.page(work, after=MIDDLE),
            "list, one project and kind": lambda work, _: databases.page(
                work, Filter(project=f"{work.slug}-3", type="redis")
            ),
            "list, one status and health": lambda work, _: databases.page(
                work, Filter(status="active", health="unknown")
            ),
            "search, a name's beginning": lambda work, count: databases.page(
                work, Filter(prefix=f"Orders-{10 * dice.randint(1, max(1, count // 20))}")
            ),
            "search, a name's beginning, nothing found": lambda work, _: databases.page(work, Filter(prefix="zz-9")),
            "search, inside of names, many found": lambda work, _: databases.page(work, Filter(text="SION")),
            "search, inside of names, nothing found": lambda work, _: databases.page(work, Filter(text="nowhere")),
            "search, two letters inside, nothing found": lambda work, _: databases.page(work, Filter(text="zz")),
            "show, by name": lambda work, count: databases.one(work, named(work, count, dice)),
            "show, a mistyped name": lambda work, _: mistyped(work),
        }
        for what, question in questions.items():
            took: list[list[float]] = [[] for _ in registries]
            for _ in range(times):
                for at, (connection, count) in enumerate(registries):
                    with acting(connection, actor, organization=organization) as work:
                        size = count if organization == "bench-0" else count // OTHERS
                        begun = time.perf_counter()
                        question(work, size)
                        took[at].append((time.perf_counter() - begun) * 1000)
            medians = [statistics.median(each) for each in took]
            print(
                f"  {what:<48} {'ms':>9}"
                + "".join(f"{each:>12.2f}" for each in medians)
                + f"{medians[-1] / medians[0]:>8.2f}",
                flush=True,
            )


def user_of(connection: psycopg.Connection[Any]) -> Any:
    row = connection.execute("SELECT id FROM platform.users WHERE primary_email = 'bench@example.com'").fetchone()
    assert row is not None
    return row[0]


MIDDLE = databases.pages.mark(("mail-5", "00000000-0000-0000-0000-000000000000"))


def named(work: Any, count: int, dice: random.Random) -> str:
    """One that there is."""
    number = dice.randint(1, max(1, count // 2))
    del work
    return f"{WORDS[number % 10]}-{number}"


def mistyped(work: Any) -> None:
    try:
        databases.one(work, "ordres-7")
    except databases.NotThere:
        return
    raise AssertionError("there is none of that name")


if __name__ == "__main__":
    sys.exit(main())
