"""What does isolation cost, at a million databases of ten thousand organizations?

    python bench/isolation.py [--databases 1000000] [--organizations 10000] [--pairs 1000] [--explain]

Asked are the same rows: under 007, as a member of lancio_application with a context, and as one with BYPASSRLS, for
which no policy holds: in one session, which takes up one role and the other, so that whatever else the machine does
meets both. Query and parameters are the same, so are context and transaction. In a pair both ask five times in turn,
each time once to have the rows read and once by the client's clock, and the quickest of five counts. The ratio is the
median over the pairs, each of which asks for another organization, drawn from all of them, for users who are members
of that one and for users who are members of 200. Beside it stands what the median is between, 95 times of 100.

A count is asked without the organization in the query: 007 alone narrows it, and without a policy it counts all rows,
which is what "the same query" costs there. With the organization in it, it is shown and not judged: see BESIDE.

Then the plans of the specification's four queries are looked at, and with --explain those of all questions are printed
as they were run, with their buffers.

Status 0 if every ratio is at most 1.1 (the specification's limit) and every plan uses its index, 1 if one is above or
does not, 3 if the pairs do not decide it: ask again with more of them, or on a machine that does nothing else.
Without --database a throw-away server of the embedded PostgreSQL is started, on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import statistics
import sys
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIMIT = 1.1
PASSWORD = "Pr0be-of-the-bench"
HEAVY = 200
CLOSED, OPEN = "bench_web", "bench_open"
"""Who asks: a login of lancio_application, and a role of it with BYPASSRLS, which that login takes up by SET ROLE."""

FILL = """
SET session_replication_role = replica;
INSERT INTO platform.users (id, primary_email)
SELECT md5('user' || i)::uuid, 'user' || i || '@bench.invalid' FROM generate_series(1, {organizations}) i
UNION ALL
SELECT md5('heavy' || i)::uuid, 'heavy' || i || '@bench.invalid'
FROM generate_series(0, ({organizations} - 1) / {heavy}) i;
INSERT INTO platform.organizations (id, slug, name)
SELECT md5('organization' || i)::uuid, 'org-' || i, 'Organization ' || i FROM generate_series(1, {organizations}) i;
INSERT INTO platform.organization_members (organization_id, user_id)
SELECT md5('organization' || i)::uuid, md5('user' || i)::uuid FROM generate_series(1, {organizations}) i
UNION ALL
SELECT md5('organization' || i)::uuid, md5('heavy' || (i - 1) / {heavy})::uuid
FROM generate_series(1, {organizations}) i;
INSERT INTO platform.projects (id, organization_id, slug, name)
SELECT md5('project' || i)::uuid, md5('organization' || (i % {organizations} + 1))::uuid, 'project-' || i,
       'Project ' || i
FROM generate_series(1, {projects}) i;
INSERT INTO platform.databases (id, project_id, organization_id, name, type, host, port, connection_string, status,
                                health_check_status, last_health_check_at, created_at)
SELECT md5('database' || i)::uuid, md5('project' || (i % {projects} + 1))::uuid,
       md5('organization' || ((i % {projects} + 1) % {organizations} + 1))::uuid, 'database ' || i,
       (ARRAY['redis', 'postgresql', 'mongodb'])[1 + i / {projects} % 3], 'host-' || i || '.bench.invalid', 6379,
       'redis://h:1',
       CASE WHEN i % 10 = 0 THEN 'inactive' ELSE 'active' END,
       CASE WHEN i % 97 = 0 THEN 'unhealthy' ELSE 'healthy' END,
       now() - (i % 100000) * interval '1 second', now() - (i::bigint * 7919 % 10000000) * interval '1 second'
FROM generate_series(1, {databases}) i;
SET session_replication_role = origin;
"""

ASKED = {
    "lookup by project": "SELECT * FROM platform.databases_safe WHERE project_id = %(project)s",
    "list of an organization": "SELECT d.* FROM platform.databases_safe d"
    " JOIN platform.projects p ON p.id = d.project_id WHERE p.organization_id = %(organization)s"
    " ORDER BY d.created_at DESC, d.id LIMIT 50",
    "newest 50 of it": "SELECT * FROM platform.databases WHERE organization_id = %(organization)s"
    " ORDER BY created_at DESC, id LIMIT 50",
    "count of an organization": "SELECT count(*) FROM platform.databases WHERE organization_id = %(organization)s",
    "count": "SELECT count(*) FROM platform.databases",
}

BESIDE = ("count of an organization",)
"""Shown and not judged. All of it is 0.03 ms, most of which is the way to the server and back, so its tenth is less
than what any policy costs: the subquery that asks for the context, even if the function in it did nothing."""

PLANS = {
    "project databases lookup": (
        "SELECT * FROM platform.databases WHERE project_id = %(project)s",
        (
            "idx_databases_project_id",
            "idx_databases_project_id_organization_id",
        ),
    ),
    "filter by type": (
        "SELECT * FROM platform.databases WHERE type = 'redis'",
        ("idx_databases_type", "idx_databases_type_organization_id"),
    ),
    "health monitoring": (
        "SELECT * FROM platform.databases"  # noqa: ISC004
        " WHERE health_check_status = 'unhealthy' ORDER BY last_health_check_at LIMIT 100",
        ("idx_databases_health_check", "idx_databases_health_check_organization_id"),
    ),
    "composite": (
        "SELECT * FROM platform.databases WHERE project_id = %(project)s AND type = 'redis' AND status = 'active'",
        ("idx_databases_project_type_status", "idx_databases_project_type_status_organization_id"),
    ),
}
"""The specification's "Query Optimization": the index it names, or one that begins with the same column."""


def uuid_of(kind: str, number: int) -> UUID:
    import hashlib

    return UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


def timed(
    session: psycopg.Connection, sides: Sequence[str], user: UUID, organization: UUID, query: str,
    values: dict[str, Any], times: int,
) -> dict[str, float]:  # fmt: skip
    """For each side, which is a role, the seconds of the query alone: the least of some, asked in turn in a context."""
    took = dict.fromkeys(sides, float("inf"))
    with session.transaction():
        session.execute("SELECT platform.set_context(%s, %s)", (user, organization))
        for _ in range(times):
            for side in sides:
                session.execute(f"SET LOCAL ROLE {side}".encode())
                # A statement of its own for each, so that neither's plan is made anew for the other's role.
                asked = f"/* {side} */ {query}".encode()
                session.execute(asked, values).fetchall()
                began = time.perf_counter()
                session.execute(asked, values).fetchall()
                took[side] = min(took[side], time.perf_counter() - began)
    return took


def around(values: list[float]) -> tuple[float, float, float]:
    """The median, and what it is between 95 times of 100: by the ranks, so whatever the values are spread like."""
    ordered = sorted(values)
    off = math.ceil(0.98 * math.sqrt(len(ordered)))
    middle = len(ordered) // 2
    return ordered[max(0, middle - off)], statistics.median(ordered), ordered[min(len(ordered) - 1, middle + off)]


def grow(connection: psycopg.Connection, databases: int, organizations: int) -> None:
    """Fill a platform: ten projects an organization, databases spread over them, two users that see each of them."""
    text = FILL.format(
        databases=databases, organizations=organizations, projects=organizations * 10, heavy=min(HEAVY, organizations)
    )
    connection.execute(text.encode())
    connection.execute("VACUUM ANALYZE")


def fill(url: str, databases: int, organizations: int) -> None:
    folder = resources.files("lancio.registry") / "schema"
    with psycopg.connect(url, autocommit=True) as connection:
        for file in sorted(each.name for each in folder.iterdir() if each.name.endswith(".sql")):
            if ".rollback." not in file:
                connection.execute((folder / file).read_bytes())
        began = time.perf_counter()
        grow(connection, databases, organizations)
        print(f"{databases:,} databases in {time.perf_counter() - began:.0f} s", flush=True)


def measure(session: psycopg.Connection, pairs: int, organizations: int) -> tuple[list[str], list[str]]:
    """What was asked and is too slow, and what the pairs do not decide."""
    dice, above, unsure = random.Random(7), [], []
    print(f"\n{'':28}{'member of':>12}{'007, ms':>10}{'none, ms':>10}{'ratio':>8}{'between':>16}")
    for name, query in ASKED.items():
        for many in (1, min(HEAVY, organizations)):
            took = []
            whole = name == "count"  # without a policy it counts a million
            for number in range(min(pairs, 20) if whole else pairs):
                organization = dice.randint(1, organizations)
                user = uuid_of("user", organization) if many == 1 else uuid_of("heavy", (organization - 1) // many)
                # Project i is of organization i % organizations + 1.
                project = organization - 1 + organizations * dice.randint(1, 9)
                values = {"organization": uuid_of("organization", organization), "project": uuid_of("project", project)}
                sides = (CLOSED, OPEN) if number % 2 else (OPEN, CLOSED)
                took.append(timed(session, sides, user, values["organization"], query, values, 1 if whole else 5))
            low, ratio, high = around([each[CLOSED] / each[OPEN] for each in took])
            under, without = (statistics.median(each[side] for each in took) * 1000 for side in (CLOSED, OPEN))
            print(
                f"{name:28}{many:>12}{under:>10.3f}{without:>10.3f}{ratio:>8.3f}{low:>9.3f} {high:.3f}", flush=True
            )  # fmt: skip
            said = f"{name}, a member of {many}: {ratio:.3f}, between {low:.3f} and {high:.3f}"
            if name not in BESIDE and high > LIMIT:
                (above if low > LIMIT else unsure).append(said)
    return above, unsure


def explained(session: psycopg.Connection, organizations: int) -> None:
    """Each question's plan as it was run, under 007 and without a policy."""
    number = organizations // 2
    values = {
        "organization": uuid_of("organization", number),
        "project": uuid_of("project", number - 1 + organizations),
    }
    for name, query in ASKED.items():
        for side, said in ((CLOSED, "007"), (OPEN, "none")):
            with session.transaction():
                session.execute(
                    "SELECT platform.set_context(%s, %s)", (uuid_of("user", number), values["organization"])
                )
                session.execute(f"SET LOCAL ROLE {side}".encode())
                session.execute(query, values).fetchall()
                rows = psycopg.ClientCursor(session).execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {query}", values)
                print(f"\n{name}, {said}\n" + "\n".join(f"    {row[0]}" for row in rows))


def context_cost(closed: psycopg.Connection, pairs: int) -> None:
    times = []
    for _ in range(pairs):
        with closed.transaction():
            closed.execute("SELECT 1")
            began = time.perf_counter()
            closed.execute(
                "SELECT platform.set_context(%s, %s)", (uuid_of("heavy", 0), uuid_of("organization", 1))
            ).fetchall()
            times.append(time.perf_counter() - began)
    print(f"{'set_context() itself':40}{statistics.median(times) * 1000:>10.3f}")


def plans(closed: psycopg.Connection, organizations: int) -> list[str]:
    """The plans of the specification's queries; those that do not use their index."""
    wrong = []
    print()
    with closed.transaction():
        closed.execute("SELECT platform.set_context(%s, %s)", (uuid_of("user", 1), uuid_of("organization", 1)))
        for name, (query, wanted) in PLANS.items():
            rows = psycopg.ClientCursor(closed).execute(
                f"EXPLAIN (COSTS OFF) {query}", {"project": uuid_of("project", organizations)}
            )
            text = "\n".join(row[0] for row in rows)
            used = [word for line in text.splitlines() for word in line.split() if word.startswith("idx_databases")]
            print(f"{name:28}{', '.join(used) or text}")
            if not used or not set(used) <= set(wanted):
                wrong.append(f"{name}: {text}")
    return wrong


def run(url_of: Callable[..., str], url: str, arguments: argparse.Namespace) -> int:
    fill(url, arguments.databases, arguments.organizations)
    with psycopg.connect(url, autocommit=True) as connection:
        version = connection.info.parameter_status("server_version")
        connection.execute(f"CREATE ROLE {OPEN} NOLOGIN BYPASSRLS IN ROLE lancio_application".encode())
        connection.execute(
            f"CREATE ROLE {CLOSED} LOGIN PASSWORD '{PASSWORD}' IN ROLE lancio_application, {OPEN}".encode()
        )
    try:
        with psycopg.connect(url_of(CLOSED), autocommit=True) as session:
            print(f"PostgreSQL {version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.machine()}")
            above, unsure = measure(session, arguments.pairs, arguments.organizations)
            context_cost(session, arguments.pairs)
            wrong = plans(session, arguments.organizations)
            if arguments.explain:
                explained(session, arguments.organizations)
            print(f"\nload {os.getloadavg()[0]:.1f}")
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {CLOSED}, {OPEN}".encode())
    for each in (*above, *wrong):
        print(f"NOT HELD: {each}")
    for each in unsure:
        print(f"NOT DECIDED: {each}")
    if above or wrong:
        return 1
    print("" if unsure else f"HELD: at most {LIMIT} of the same query without a policy, and each plan by its index.")
    return 3 if unsure else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--databases", type=int, default=1_000_000)
    parser.add_argument("--organizations", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=1_000)
    parser.add_argument("--explain", action="store_true", help="print the plans as they were run")
    parser.add_argument("--database", metavar="URL", help="an empty database, by a superuser")
    parser.add_argument("--major", type=int, default=servers.EMBEDDED, help="major version of the throw-away server")
    arguments = parser.parse_args()
    if arguments.database:
        from psycopg import conninfo

        def given(user: str) -> str:
            return conninfo.make_conninfo(arguments.database, user=user, password=PASSWORD)

        return run(given, arguments.database, arguments)
    server = servers.start(arguments.major)
    try:
        url = server.create_database()
        name = servers.database_of(url)
        return run(lambda user: server.url(name, user=user, password=PASSWORD), url, arguments)
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
