"""Databases as the registry keeps them: named once, sealed here, changed by versions, seen by whom they concern."""

from __future__ import annotations

import random
import string
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from isolation import PROOF
from psycopg.rows import dict_row
from registering import ACME, DEV, LOOKER, OTHER, STRANGER, Desk, made, project
from schema_files import NAMED, NAMED_BACK, TEN, launch, objects, psql, run

from lancio.registry import connection_strings, databases, imports
from lancio.registry.acting import NotAllowed
from lancio.registry.connection_strings import MongoDB, PostgreSQL, Redis, listed
from lancio.registry.connection_strings.model import Host
from lancio.registry.databases import Ambiguous, Change, Filter, Placeholder
from lancio.registry.refusal import LimitReached, LostRace, NameRefused, NotThere, Taken
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from servers import TestServer

CANARY = "Can4ry-of-the-registry"
HOSTILE = 1000 if PROOF else 40
PRINTABLE = "".join(each for each in string.printable if each.isprintable())
"""Every printable character of ASCII."""


@pytest.fixture
def desk(registry: str) -> Iterator[Desk]:
    with psycopg.connect(registry, autocommit=True) as connection:
        yield Desk(connection)


def add(desk: Desk, name: str, text: str = f"redis://default:{CANARY}@cache.test:6380/2", to: str = "shop") -> Any:
    with desk.work() as work:
        return databases.add(work, desk.keys, project(work, to), name, connection_strings.parse(text))


def opened(desk: Desk, name: str, to: str = "shop") -> connection_strings.ConnectionString:
    with desk.work() as work:
        return databases.value_of(work, desk.keys, databases.one(work, name, project=to))


def entries(desk: Desk, id_: UUID) -> list[dict[str, Any]]:
    with desk.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT action, actor_type, actor_email, before, after FROM platform.audit_logs"
            " WHERE target_id = %s::text ORDER BY occurred_at, action",
            (id_,),
        ).fetchall()


# --- what is registered -----------------------------------------------------------------------------------------------


def test_a_database_is_registered_found_opened_and_each_of_it_is_written_down(desk: Desk) -> None:
    made_ = add(desk, "cache")
    assert (made_.type, made_.host, made_.port, made_.database, made_.username) == (
        "redis", "cache.test", 6380, "2", "default",
    )  # fmt: skip
    assert made_.display == "redis://cache.test:6380/2"
    assert (made_.sealed, made_.placeholder, made_.version, made_.project) == (True, False, 1, "shop")
    with desk.work() as work:
        assert databases.one(work, "cache") == databases.one(work, str(made_.id)) == made_
    assert opened(desk, "cache").build() == f"redis://default:{CANARY}@cache.test:6380/2"
    row = desk.connection.execute("SELECT * FROM platform.databases WHERE id = %s", (made_.id,)).fetchone()
    assert CANARY not in str(row)
    assert CANARY not in repr(made_)
    told = entries(desk, made_.id)
    assert [each["action"] for each in told] == ["database.add", "database.open", "secret.open"]
    assert told[0]["after"]["name"] == "cache"
    assert told[0]["before"] is None
    assert CANARY not in str(told)


@pytest.mark.parametrize(
    ("text", "host", "port", "ssl", "display"),
    [
        ("postgresql://u:pw@one.test:5433,two.test/app?sslmode=verify-full", "one.test", 5433, True,
         "postgresql://one.test:5433,two.test:5432/app"),
        ("postgresql://u:pw@/app?host=/run/postgresql", "localhost", 5432, False, None),
        ("postgresql://u:pw@[2001:db8::1]:5433/app", "2001:db8::1", 5433, False, "postgresql://[2001:db8::1]:5433/app"),
        ("mongodb+srv://u:pw@cluster.test/app", "cluster.test", 27017, True, "mongodb+srv://cluster.test/app"),
        ("mongodb://u:pw@a.test:1,b.test:2/app?replicaSet=rs", "a.test", 1, False, "mongodb://a.test:1,b.test:2/app"),
        ("rediss://:pw@cache.test:6380/0", "cache.test", 6380, True, None),
        ("unix://u:pw@/run/redis.sock", "localhost", 6379, False, None),
        ("redis+cluster://u:pw@a.test:7000,b.test:7001", "a.test", 7000, False, None),
    ],
)  # fmt: skip
def test_one_address_stands_for_several_hosts_sockets_and_names_of_dns(
    desk: Desk, text: str, host: str, port: int, ssl: bool, display: str | None
) -> None:
    made_ = add(desk, "it", text)
    assert (made_.host, made_.port, made_.ssl_enabled) == (host, port, ssl)
    assert made_.display == (display or connection_strings.parse(text).display)
    assert "pw" not in str(made_.config)
    assert opened(desk, "it") == connection_strings.parse(text)


def test_an_address_without_a_secret_is_not_sealed_and_opening_it_leaves_no_entry(desk: Desk) -> None:
    made_ = add(desk, "open", "redis://cache.test:6379")
    assert not made_.sealed
    assert opened(desk, "open") == connection_strings.parse("redis://cache.test:6379")
    assert [each["action"] for each in entries(desk, made_.id)] == ["database.add"]


def test_a_lone_word_before_the_at_of_redis_may_be_a_password_and_is_not_written_down(desk: Desk) -> None:
    assert add(desk, "lone", f"redis://{CANARY}@cache.test:6379").username is None


def hostile(dice: random.Random) -> str:
    """A password of every printable character, in any order, perhaps with others among them."""
    characters = list(PRINTABLE + "".join(dice.choices("äß€漢🙂\u202e'\"\\", k=dice.randint(0, 5))))
    dice.shuffle(characters)
    return "".join(characters)


def test_a_hostile_password_is_registered_opened_and_equal(desk: Desk) -> None:
    dice = random.Random(7)
    made_ = add(desk, "hostile")
    for number in range(HOSTILE):
        password = Secret(hostile(dice))
        value = (
            PostgreSQL((Host("db.test", 5432),), "u'\"\\%", password, "d b"),
            Redis((Host("db.test", 6379),), "default", password, "0"),
            MongoDB((Host("db.test", 27017),), "u@:/", password, "db"),
        )[number % 3]  # fmt: skip
        with desk.work() as work:
            if number < 3:
                databases.add(work, desk.keys, project(work), f"hostile-{value.kind}", value)
            else:
                there = databases.one(work, f"hostile-{value.kind}")
                databases.update(work, desk.keys, there, Change(value=value), version=there.version)
        found = opened(desk, f"hostile-{value.kind}")
        assert found == value
        assert found.password == password
    row = desk.connection.execute("SELECT string_agg(d::text, '') FROM platform.databases d").fetchone()
    assert row is not None
    assert str(PRINTABLE[10:40]) not in row[0]
    assert made_.version == 1


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_name_is_there_once_in_a_project_and_may_be_there_in_another(desk: Desk) -> None:
    add(desk, "cache")
    with pytest.raises(Taken):
        add(desk, "cache")
    with pytest.raises(Taken):
        add(desk, "  cache ")  # spaces around are no part of it
    add(desk, "Cache")  # another case is another name
    add(desk, "cache", to="blog")
    with desk.work() as work, pytest.raises(Ambiguous) as refused:
        databases.one(work, "cache")
    assert "blog, shop" in refused.value.cause
    with desk.work() as work:
        assert databases.one(work, "cache", project="blog").project == "blog"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00b", "x" * 201, "a\u202eb"])
def test_what_nobody_could_read_is_no_name(desk: Desk, name: str) -> None:
    with pytest.raises(NameRefused):
        add(desk, name)


def test_a_mistyped_name_is_told_with_the_near_one(desk: Desk) -> None:
    add(desk, "orders-db")
    with desk.work() as work, pytest.raises(NotThere) as refused:
        databases.one(work, "orders-bd")
    assert "Did you mean orders-db?" in refused.value.cause


# --- who may ----------------------------------------------------------------------------------------------------------


def test_another_organization_s_database_is_not_there(desk: Desk) -> None:
    made_ = add(desk, "cache")
    for given in ("cache", str(made_.id)):
        with desk.work(STRANGER, OTHER) as work, pytest.raises(NotThere):
            databases.one(work, given)
    with desk.work(STRANGER, OTHER) as work:
        assert databases.page(work).rows == ()
        with pytest.raises(NotThere):
            databases.update(work, desk.keys, made_, Change(name="mine"))
        with pytest.raises(NotThere):
            databases.remove(work, made_)
        with pytest.raises(NotThere):
            databases.page(work, Filter(project="shop"))


def test_who_may_only_look_sees_the_list_and_nothing_is_opened_or_changed(desk: Desk) -> None:
    made_ = add(desk, "cache")
    with desk.work(LOOKER) as work:
        assert [each.name for each in databases.page(work).rows] == ["cache"]
        for action in ("database.open", "database.reveal", "database.test"):
            with pytest.raises(NotAllowed):
                databases.value_of(work, desk.keys, made_, action=action)
        with pytest.raises(NotAllowed):
            databases.update(work, desk.keys, made_, Change(name="other"))
        with pytest.raises(NotAllowed):
            databases.remove(work, made_)
        with pytest.raises(NotAllowed):
            databases.add(work, desk.keys, project(work), "new", connection_strings.parse("redis://h:1"))
        with pytest.raises(NotAllowed):
            databases.write_health(work, made_, "healthy")
    assert [each["action"] for each in entries(desk, made_.id)] == ["database.add"]


def test_a_developer_registers_and_the_entry_names_the_user(desk: Desk) -> None:
    with desk.work(DEV) as work:
        made_ = databases.add(work, desk.keys, project(work), "mine", connection_strings.parse("redis://:pw@h:1"))
    (entry,) = entries(desk, made_.id)
    assert (entry["actor_type"], entry["actor_email"]) == ("user", "dev@acme.test")


def test_a_membership_that_is_limited_to_a_project_sees_no_other(desk: Desk) -> None:
    add(desk, "cache")
    add(desk, "posts", to="blog")
    desk.connection.execute(
        "UPDATE platform.organization_members SET project_ids = ARRAY[%s::uuid] WHERE user_id = %s",
        (made("blog"), DEV.id),
    )
    with desk.work(DEV) as work:
        assert [each.name for each in databases.page(work).rows] == ["posts"]
        with pytest.raises(NotThere):
            databases.one(work, "cache")


def test_the_plan_s_limit_is_kept(desk: Desk) -> None:
    desk.connection.execute(
        "WITH plan AS (INSERT INTO platform.billing_plans (id, code, name, limits)"
        " VALUES (gen_random_uuid(), 'tiny', 'Tiny', '{\"databases\": 1}') RETURNING id)"
        " UPDATE platform.organizations SET plan_id = plan.id FROM plan WHERE slug = %s",
        (ACME,),
    )
    add(desk, "one")
    with pytest.raises(LimitReached):
        add(desk, "two")


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_change_raises_the_version_and_a_health_check_does_not(desk: Desk) -> None:
    made_ = add(desk, "cache")
    with desk.work() as work:
        assert databases.write_health(work, made_, "unhealthy", "refused: nobody listens there")
        sick = databases.one(work, "cache")
        assert (sick.version, sick.health, sick.health_error) == (1, "unhealthy", "refused: nobody listens there")
        renamed = databases.update(work, None, sick, Change(name="sessions", status="maintenance"))
        assert (renamed.version, renamed.name, renamed.status, renamed.id) == (2, "sessions", "maintenance", made_.id)
        # What was found of it as it was is not written to it as it is.
        assert not databases.write_health(work, sick, "healthy")
        assert databases.one(work, "sessions").health == "unhealthy"
        again = databases.update(work, None, renamed, Change(name="sessions"))
        assert again.version == 2
        moved = databases.update(
            work, desk.keys, again, Change(value=connection_strings.parse("redis://:n3w@new.test:1/0"))
        )
        assert (moved.version, moved.host, moved.health, moved.health_error) == (3, "new.test", "unknown", None)
    assert opened(desk, "sessions").build() == "redis://:n3w@new.test:1/0"
    told = [each for each in entries(desk, made_.id) if each["action"] == "database.update"]
    assert [each["after"]["version"] for each in told] == [2, 3]
    assert told[0]["before"] == {"name": "cache", "status": "active", "version": 1}
    assert told[1]["after"]["connection_string"] == "changed"


def test_of_two_that_read_the_same_version_the_second_is_refused_and_told_who_was_faster(desk: Desk) -> None:
    read = add(desk, "cache")
    with desk.work(DEV) as work:
        databases.update(work, None, read, Change(status="maintenance"), version=read.version)
    with pytest.raises(LostRace) as refused, desk.work() as work:
        databases.update(work, None, read, Change(name="mine"), version=read.version)
    assert "dev@acme.test changed status at" in refused.value.cause
    assert "It was version 1 then, and is 2 now." in refused.value.cause
    with pytest.raises(LostRace), desk.work() as work:
        databases.remove(work, read, version=read.version)


def test_of_many_that_change_at_once_each_version_has_one(desk: Desk, registry: str) -> None:
    read = add(desk, "cache")
    won, lost = [], []
    gate = threading.Barrier(6)

    def change(number: int) -> None:
        with psycopg.connect(registry, autocommit=True) as connection:
            gate.wait(30)
            try:
                with Desk(connection).work() as work:
                    databases.update(work, None, read, Change(name=f"name-{number}"), version=read.version)
                won.append(number)
            except LostRace:
                lost.append(number)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(won), len(lost)) == (1, 5)
    with desk.work() as work:
        assert databases.one(work, str(read.id)).name == f"name-{won[0]}"


def test_of_many_that_add_one_name_at_once_one_does(desk: Desk, registry: str) -> None:
    gate = threading.Barrier(5)
    done: list[str] = []

    def register() -> None:
        with psycopg.connect(registry, autocommit=True) as connection:
            mine = Desk(connection)
            gate.wait(30)
            try:
                add(mine, "cache")
                done.append("added")
            except Taken:
                done.append("taken")

    threads = [threading.Thread(target=register) for _ in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(done) == ["added", "taken", "taken", "taken", "taken"]


def test_a_removed_one_is_gone_and_said_to_be_whoever_comes_late(desk: Desk) -> None:
    read = add(desk, "cache")
    with desk.work(DEV) as work:
        databases.remove(work, read, version=read.version)
    with pytest.raises(NotThere) as refused, desk.work() as work:
        databases.update(work, None, read, Change(name="mine"), version=read.version)
    assert "dev@acme.test removed it" in refused.value.cause
    add(desk, "cache")


def test_another_kind_is_another_database(desk: Desk) -> None:
    made_ = add(desk, "cache")
    with desk.work() as work, pytest.raises(NameRefused):
        databases.update(work, desk.keys, made_, Change(value=connection_strings.parse("mongodb://u:p@h:1/d")))


def test_metadata_is_public_and_takes_no_secret(desk: Desk) -> None:
    made_ = add(desk, "cache")
    with desk.work() as work:
        noted = databases.update(work, None, made_, Change(metadata={"team": "web", "tier": "1"}))
        assert noted.metadata == {"team": "web", "tier": "1"}
        assert databases.update(work, None, noted, Change(metadata={"team": None})).metadata == {"tier": "1"}
        with pytest.raises(NameRefused) as refused:
            databases.update(work, None, noted, Change(metadata={"url": f"redis://:{CANARY}@h:1"}))
        assert CANARY not in str(refused.value.as_dict())
        with pytest.raises(NameRefused):
            databases.update(work, None, noted, Change(metadata={"placeholder": "true"}))


def test_a_placeholder_is_not_opened_and_is_none_once_it_has_a_string(desk: Desk) -> None:
    with desk.work(organization="lancio") as work:
        waiting = databases.one(work, "Railway MongoDB")
        assert waiting.placeholder
        with pytest.raises(Placeholder):
            databases.value_of(work, desk.keys, waiting)
        found = databases.page(work, Filter(placeholder=True)).rows
        assert [each.name for each in found] == ["Railway MongoDB", "Railway Redis"]
        after = databases.update(
            work, desk.keys, waiting, Change(value=connection_strings.parse("mongodb://mongo.test:27017"))
        )
        assert (after.placeholder, after.sealed, after.database) == (False, False, "lancio")
        assert databases.value_of(work, desk.keys, after) == connection_strings.parse("mongodb://mongo.test:27017")


# --- lists ------------------------------------------------------------------------------------------------------------


def test_pages_go_through_all_by_name_whatever_comes_and_goes_meanwhile(desk: Desk) -> None:
    given = [f"db-{number:02}" for number in range(23)] + ["Alpha", "äther", "ZEBRA"]
    for name in given:
        add(desk, name, "redis://h:1")
    seen: list[str] = []
    after = None
    with desk.work() as work:
        while True:
            page = databases.page(work, after=after, limit=5)
            seen += [each.name for each in page.rows]
            if (after := page.next) is None:
                break
            if len(seen) == 10:
                databases.remove(work, page.rows[-1])  # the one that the mark names
    assert seen == sorted(given, key=str.lower)
    with desk.work() as work, pytest.raises(NameRefused):
        databases.page(work, after="not-a-mark")


def test_filters_hold_together(desk: Desk) -> None:
    add(desk, "Rail-cache")
    add(desk, "rail-main", "postgresql://u:pw@Main.test/app")
    add(desk, "posts_100%", "postgresql://u:pw@main.test/posts", to="blog")

    def names(**wanted: Any) -> list[str]:
        with desk.work() as work:
            return [each.name for each in databases.page(work, Filter(**wanted)).rows]

    assert names(prefix="RAIL") == ["Rail-cache", "rail-main"]
    assert names(prefix="rail", type="redis") == ["Rail-cache"]
    assert names(text="_100%") == ["posts_100%"]
    assert names(text="MAIN") == ["rail-main"]
    assert names(host="MAIN.test") == ["posts_100%", "rail-main"]
    assert names(project="blog") == ["posts_100%"]
    assert names(status="inactive") == []
    assert names(health="unknown", type="postgresql", project="shop") == ["rail-main"]
    assert names(prefix="a\\") == []


# --- files ------------------------------------------------------------------------------------------------------------

ENV = f"""REDIS_URL=redis://:{CANARY}@redis.railway.internal:6379
DATABASE_URL="postgresql://u:{CANARY}@pg.railway.internal:5432/railway"
OTHER=1
"""


def test_a_file_is_taken_once_and_a_second_run_changes_nothing(desk: Desk) -> None:
    def run_(text: str) -> list[tuple[int, str, str]]:
        with desk.work() as work:
            planned = imports.plan(work, desk.keys, listed.read(text, "env"), "shop")
            imports.carry_out(work, desk.keys, planned)
        return [(each.line, each.what, each.name) for each in planned]

    assert run_(ENV) == [(1, "new", "REDIS_URL"), (2, "new", "DATABASE_URL")]
    assert run_(ENV) == [(1, "same", "REDIS_URL"), (2, "same", "DATABASE_URL")]
    assert run_(ENV.replace(CANARY, "another", 1)) == [(1, "changed", "REDIS_URL"), (2, "same", "DATABASE_URL")]
    assert opened(desk, "REDIS_URL") == connection_strings.parse("redis://:another@redis.railway.internal:6379")


def test_a_line_that_is_refused_says_why_and_shows_nothing(desk: Desk) -> None:
    text = f"name,project,connection_string\na,shop,redis://:{CANARY}@h:1\nb,nowhere,redis://:{CANARY}@h:1\n"
    text += f"c,shop,redis://:{CANARY}@h:port\nb,elsewhere,redis://:{CANARY}@h:1\n"
    with desk.work() as work:
        planned = imports.plan(work, desk.keys, listed.read(text, "csv"), None)
    assert [(each.line, each.what) for each in planned] == [
        (2, "new"), (3, "refused"), (4, "refused"), (5, "refused"),
    ]  # fmt: skip
    assert CANARY not in str([each.as_dict() for each in planned])
    assert CANARY not in repr(planned)


# --- migration 009 ----------------------------------------------------------------------------------------------------


def test_two_of_one_name_are_named_and_nothing_is_changed(server: TestServer, sealing_template: str) -> None:
    url = server.create_database(template=sealing_template)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO platform.databases (project_id, name, type, host, port, connection_string)"
            " SELECT id, 'O''Twin', 'redis', 'h', 1, 'redis://h:1' FROM platform.projects, generate_series(1, 2)"
        )
        before = objects(url)
        done = psql(url, NAMED)
        assert "1 names of databases are there more than once" in done.stderr
        assert "'O''Twin'" in done.stderr
        command = done.stderr.split("run this file again: ", 1)[1].splitlines()[0]
        assert objects(url) == before
        connection.execute(command)  # what the hint says
    launch(url, NAMED)
    server.drop_database(url)


def test_009_runs_again_after_everything_and_its_way_back_is_one(every_server: TestServer) -> None:
    url = every_server.create_database()
    run(url, *TEN)
    before = objects(url)
    run(url, NAMED)
    after = objects(url)
    run(url, NAMED, *TEN, NAMED)
    assert objects(url) == after
    run(url, NAMED_BACK, NAMED_BACK)
    assert {each for each in objects(url) if each[0] != "column"} == {each for each in before if each[0] != "column"}
    run(url, NAMED)
    with psycopg.connect(url, autocommit=True) as connection:
        made_ = connection.execute(
            "UPDATE platform.databases SET version = 77, name_key = 'x', name = 'ÄB' WHERE type = 'redis'"
            " RETURNING version, name_key = convert_to(lower('ÄB'), getdatabaseencoding())"
        ).fetchone()
        assert made_ == (2, True)
        connection.execute("SELECT platform.update_database_health(id, 'healthy', NULL) FROM platform.databases")
        assert connection.execute("SELECT version FROM platform.databases WHERE type = 'redis'").fetchone() == (2,)
        owner = connection.execute(
            "SELECT proowner = 'lancio_owner'::regrole, has_function_privilege('public', oid, 'EXECUTE')"
            " FROM pg_proc WHERE proname = 'raise_database_version'"
        ).fetchone()
        assert owner == (True, False)
    every_server.drop_database(url)
