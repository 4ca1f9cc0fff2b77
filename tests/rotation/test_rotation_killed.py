"""Killed between any two steps, a rotation goes on to its end, or is taken back; in both cases nothing is left over."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest
import redis
from rotating import PROOF, Desk, RedisServer, a_role, killed, logs_in, rotate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rotating import Roles

    from conftest import Pool
    from lancio.rotation.model import Rotation, Way

WAYS: tuple[tuple[str, Way], ...] = (
    ("postgresql", "two-logins"),
    ("postgresql", "same-login"),
    ("redis", "same-login"),
)
KILLS = 60 if PROOF else 2


class Place:
    """A registered database whose login is rotated over and over, and the login from before each rotation."""

    def __init__(self, desk: Desk, url: str, administrator: str | None, way: Way, roles: Roles | None) -> None:
        self.desk, self.administrator, self.way, self.roles = desk, administrator, way, roles
        self.database = desk.add(url)

    def work(self, desk: Desk, told: Callable[[str], None]) -> Rotation:
        return rotate(desk.machine(self.administrator, told=told), self.database, way=self.way)

    def again(self, desk: Desk, told: Callable[[str], None]) -> Rotation | None:
        """Go on with what is unfinished; None where nothing is."""
        rotation = desk.registry.unfinished_of(self.database)
        return None if rotation is None else desk.machine(self.administrator, told=told).go_on(rotation)

    def back(self, desk: Desk, told: Callable[[str], None]) -> Rotation | None:
        rotation = desk.registry.unfinished_of(self.database)
        return None if rotation is None else desk.machine(self.administrator, told=told).abandon(rotation)

    def left(self) -> set[str]:
        """Roles besides the one that owns things and the login; of Redis, passwords besides the registered one."""
        if self.roles is None:
            now = self.desk.now(self.database)
            assert now.password is not None
            with redis.Redis.from_url(now.build(), decode_responses=True) as client:
                there = client.acl_getuser(now.user or "default")["passwords"]
            return set(there) - {hashlib.sha256(now.password.reveal().encode()).hexdigest()}
        return self.roles.roles() - {self.roles.name, self.desk.now(self.database).user or ""}

    def check_over(self) -> None:
        """No rotation is unfinished, no secret of one is kept, no login left over, and what is registered logs in."""
        assert self.desk.registry.unfinished() == ()
        assert self.desk.credentials() == 0
        assert self.left() == set()
        assert logs_in(self.desk.now(self.database))


@contextlib.contextmanager
def a_place(desk: Desk, pool: Pool, tmp_path: Path, kind: str, way: Way) -> Iterator[Place]:
    if kind == "redis":
        with RedisServer(tmp_path, "aclfile") as server:
            yield Place(desk, server.url, None, way, None)
    else:
        server = pool.get(18)
        with a_role(server) as role:
            yield Place(desk, role.url, role.administrator, way, role)


@pytest.fixture(params=WAYS, ids=lambda given: "-".join(given))
def place(request: pytest.FixtureRequest, desk: Desk, pool: Pool, tmp_path: Path) -> Iterator[Place]:
    with a_place(desk, pool, tmp_path, *request.param) as place:
        yield place


def test_killed_between_any_two_steps_it_goes_on(place: Place) -> None:
    at, seen = 1, []
    while True:
        old = place.desk.now(place.database)
        was_killed, before = killed(place.desk, place.work, at=at)
        if was_killed:
            seen.append(before)
            rotation = place.desk.registry.unfinished_of(place.database)
            # Until it is over one of the two logins that are known works, whatever was done.
            assert logs_in(old) or (rotation is not None and logs_in(place.desk.registry.strings(rotation)[1]))
            if place.again(place.desk, lambda _: None) is None:
                place.work(place.desk, lambda _: None)
        place.check_over()
        assert place.desk.now(place.database).build() != old.build()
        assert not logs_in(old)
        if not was_killed:
            break
        at += 1
    assert {"make the new login", "write down that it is made", "prove the new login", "write down that it is proved",
            "register the new login", "end the old login", "write down that it is done"} < set(seen)  # fmt: skip


def test_killed_between_any_two_steps_it_is_taken_back(place: Place) -> None:
    at = 1
    while True:
        old = place.desk.now(place.database)
        was_killed, before = killed(place.desk, place.work, at=at)
        if not was_killed:
            break
        ended = before == "write down that it is done"
        if ended and place.way == "two-logins" and place.left() != {old.user}:
            # The old login may be dropped already; then there is only the way on.
            place.again(place.desk, lambda _: None)
        else:
            place.back(place.desk, lambda _: None)
            assert place.desk.now(place.database).build() == old.build()
            assert logs_in(old)
        place.check_over()
        at += 1
    assert at > 8


def test_a_resumption_and_a_taking_back_that_are_killed_are_done_again(place: Place) -> None:
    for first in range(2, 9) if PROOF else (4,):
        for then in (1, 2, 3, 4) if PROOF else (3,):
            for work in (place.again, place.back):
                old = place.desk.now(place.database)
                killed(place.desk, place.work, at=first)
                killed(place.desk, work, at=then)
                try:
                    work(place.desk, lambda _: None)
                finally:
                    place.again(place.desk, lambda _: None)
                place.check_over()
                if work == place.back and place.desk.now(place.database).build() != old.build():
                    assert not logs_in(old)


def test_killed_at_any_moment_it_goes_on_or_is_taken_back(place: Place) -> None:
    chance = random.Random(f"{place.way}{place.administrator is None}")
    began = time.monotonic()
    place.work(place.desk, lambda _: None)
    whole = time.monotonic() - began
    for _ in range(KILLS):
        old = place.desk.now(place.database)
        child = os.fork()
        if child == 0:
            status = 3
            try:
                place.work(Desk(place.desk.url, place.desk.project), lambda _: None)
                status = 0
            finally:
                os._exit(status)
        time.sleep(chance.uniform(0, whole * 1.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        rotation = place.desk.registry.unfinished_of(place.database)
        if rotation is not None and chance.random() < 0.5 and rotation.state != "registered":
            place.back(place.desk, lambda _: None)
            assert place.desk.now(place.database).build() == old.build()
        else:
            place.again(place.desk, lambda _: None)
        place.check_over()
