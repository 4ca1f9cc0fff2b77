"""The envelope of an organization's key: the same bytes by SQL and by Python, and nothing opens anywhere else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from isolation import PROOF

from lancio.registry import secrets
from lancio.registry.secrets import Key, SealBroken, open_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 8
TRIPS = 100_000 if PROOF else 2_000
BATCH = 1_000
COLUMNS = (secrets.CONNECTION_STRING, secrets.CREDENTIAL)
HOME, AWAY = UUID(int=1 << 120), UUID(int=2 << 120)
ROW, OTHER_ROW = UUID(int=3), UUID(int=4)
KEY = Key(1004, bytes(range(64)), HOME)

SQL_SEALS = """
SELECT x.n, platform_private.seal(x.plain, x.col, x.row_id, x.organization, x.key_id, x.key)
FROM unnest(%s::int[], %s::text[], %s::text[], %s::uuid[], %s::uuid[], %s::int[], %s::bytea[])
     AS x (n, plain, col, row_id, organization, key_id, key) ORDER BY 1"""
SQL_OPENS = """
SELECT x.n, platform_private.unseal(x.envelope, x.col, x.row_id, x.organization, x.key)
FROM unnest(%s::int[], %s::bytea[], %s::text[], %s::uuid[], %s::uuid[], %s::bytea[])
     AS x (n, envelope, col, row_id, organization, key) ORDER BY 1"""


@pytest.fixture
def sql(sealing: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(sealing, autocommit=True) as connection:
        yield connection


def opened_by_sql(connection: psycopg.Connection, envelopes: list[bytes], column: str, row: UUID, key: Key,
                  organization: UUID | None) -> list[str | None]:  # fmt: skip
    many = len(envelopes)
    found = connection.execute(
        SQL_OPENS,
        (list(range(many)), envelopes, [column] * many, [row] * many, [organization] * many, [key.secret] * many),
    )
    return [plain for _, plain in found]


def texts(dice: random.Random) -> Iterator[str]:
    """Connection strings and other secrets: every length up to some blocks, accents, emoji, long ones now and then."""
    alphabet = "abcXYZ019:/@%?#&= '\"\\\n\táßж中\U0001f511"
    while True:
        length = dice.choice((dice.randrange(1, 100), dice.randrange(1, 20), dice.randrange(1, 3000)))
        yield "".join(dice.choice(alphabet) for _ in range(length))


def test_what_one_side_seals_the_other_opens(sql: psycopg.Connection) -> None:
    """Both ways, by keys of organizations and by the single key, for both columns; with the same IV the same bytes."""
    dice = random.Random(SEED)
    plains = texts(dice)
    for start in range(0, TRIPS, BATCH):
        numbers = list(range(start, start + BATCH))
        plain = [next(plains) for _ in numbers]
        column = [dice.choice(COLUMNS) for _ in numbers]
        row = [UUID(int=dice.getrandbits(128)) for _ in numbers]
        organization = [UUID(int=dice.getrandbits(128)) if dice.random() < 0.9 else None for _ in numbers]
        key = [Key(dice.randrange(1, 1_000_000_000), dice.randbytes(64), each) for each in organization]
        made = sql.execute(
            SQL_SEALS,
            (numbers, plain, column, row, organization, [each.id for each in key], [each.secret for each in key]),
        ).fetchall()
        assert len(made) == BATCH
        ours = []
        for (number, envelope), text, where, id_, with_ in zip(made, plain, column, row, key, strict=True):
            assert open_sealed(envelope, row_id=id_, key=with_, column=where).reveal() == text, number
            assert seal(text, row_id=id_, key=with_, column=where, iv=envelope[5:21]) == envelope, number
            assert secrets.key_id_of(envelope) == with_.id
            ours.append(seal(text, row_id=id_, key=with_, column=where))
        back = sql.execute(SQL_OPENS, (numbers, ours, column, row, organization, [each.secret for each in key]))
        assert [text for _, text in back] == plain


def test_every_flipped_bit_of_an_envelope_is_refused_by_both(sql: psycopg.Connection) -> None:
    for key in (KEY, Key(7, KEY.secret)):
        envelope = seal("redis://:s3cret@h:1", row_id=ROW, key=key)
        flipped = []
        for bit in range(len(envelope) * 8):
            changed = bytearray(envelope)
            changed[bit // 8] ^= 1 << bit % 8
            flipped.append(bytes(changed))
            with pytest.raises(SealBroken):
                open_sealed(bytes(changed), row_id=ROW, key=key)
        assert len(set(flipped)) == len(envelope) * 8
        flipped += [envelope[:length] for length in range(len(envelope))] + [envelope + b"\0", envelope + bytes(16)]
        found = opened_by_sql(sql, [*flipped, envelope], secrets.CONNECTION_STRING, ROW, key, key.organization)
        assert found == [None] * len(flipped) + ["redis://:s3cret@h:1"]


def test_an_envelope_opens_in_its_own_column_row_and_organization_alone(sql: psycopg.Connection) -> None:
    envelope = seal("redis://:s3cret@h:1", row_id=ROW, key=KEY)
    single = seal("redis://:s3cret@h:1", row_id=ROW, key=Key(7, KEY.secret))
    for sealed, column, row, organization in (
        (envelope, secrets.CREDENTIAL, ROW, HOME),
        (envelope, secrets.CONNECTION_STRING, OTHER_ROW, HOME),
        (envelope, secrets.CONNECTION_STRING, ROW, AWAY),  # with the same key: the organization itself is in the MAC
        (envelope, secrets.CONNECTION_STRING, ROW, None),
        (single, secrets.CONNECTION_STRING, ROW, HOME),
        (single, secrets.CONNECTION_STRING, OTHER_ROW, None),
        (b"\x01" + envelope[1:], secrets.CONNECTION_STRING, ROW, None),
        (b"\x02" + single[1:], secrets.CONNECTION_STRING, ROW, HOME),
    ):
        assert opened_by_sql(sql, [sealed], column, row, KEY, organization) == [None]
        with pytest.raises(SealBroken):
            open_sealed(sealed, row_id=row, key=Key(secrets.key_id_of(sealed), KEY.secret, organization), column=column)
    for key in (Key.random(1004, HOME), Key(1004, KEY.secret[:32] + bytes(32), HOME)):
        assert opened_by_sql(sql, [envelope], secrets.CONNECTION_STRING, ROW, key, HOME) == [None]
        with pytest.raises(SealBroken):
            open_sealed(envelope, row_id=ROW, key=key)


def test_the_envelope_of_an_organization_is_the_one_that_is_written_down() -> None:
    envelope = seal("redis://:s3cret@h:1", row_id=ROW, key=KEY, iv=bytes(16))
    # The two parts as `openssl enc -aes-256-cbc` and `openssl dgst -sha256 -mac HMAC` give them.
    assert envelope[:21].hex() == "02000003ec" + "00" * 16
    assert envelope[21:-32].hex() == "3932bc5c61c6d9322990f2a36a3e58de138cff13367af765456951cccd3d727b"
    assert envelope[-32:].hex() == "3d2a711d14afd0eafa1ec47b81525476b52708308d1ee75aa750efc93026b6f7"
    assert KEY.check_value().hex() == "52c86155f2801dfa27538b7277a16f5d3bdc7c79e9671e31d925f5db50d8f15c"


def test_a_check_value_is_the_same_on_both_sides_and_tells_keys_apart(sql: psycopg.Connection) -> None:
    dice = random.Random(SEED)
    keys = [KEY, Key(1005, KEY.secret, HOME), Key(1004, KEY.secret, AWAY), Key(1004, KEY.secret)]
    for half in (0, 63):
        changed = bytearray(KEY.secret)
        changed[half] ^= 1
        keys.append(Key(1004, bytes(changed), HOME))
    keys += [Key(dice.randrange(1, 10**9), dice.randbytes(64), UUID(int=dice.getrandbits(128))) for _ in range(100)]
    for key in keys:
        assert sql.execute(
            "SELECT platform_private.check_value(%s, %s, %s)", (key.id, key.organization, key.secret)
        ).fetchone() == (key.check_value(),)
    assert len({key.check_value() for key in keys}) == len(keys)


def test_what_is_no_envelope_names_no_key(sql: psycopg.Connection) -> None:
    for envelope in (b"", b"\x02" * 68, b"\x03" + bytes(68), b"\x02\x80" + bytes(67), b"\x02" * 70, bytes(69)):
        assert sql.execute("SELECT platform.envelope_key_id(%s)", (envelope,)).fetchone() == (None,)
        with pytest.raises(SealBroken):
            secrets.key_id_of(envelope)
