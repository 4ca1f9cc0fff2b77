"""Is the audit trail still what was written down? Which entry was changed, removed or slipped in?

A sealer goes over what is committed and hashes it, in *rounds*; nobody who writes an entry waits for it. In a round
each organization that has entries in it gets a *seal*: the id and the SHA-256 of each entry. A seal is linked to the
organization's seal before by its hash, a round to the round before, and both bear a MAC under the key-encryption key,
which PostgreSQL never has.

    for step in seal(connection, ring): …
    found = Verified()
    for finding in verify(connection, ring, found): print(finding.says)

What the hashes are of (numbers are big-endian; the zero organization is the platform's own):

    entry   SHA-256 of `lancio.audit.entry`, a zero byte, and the row as PostgreSQL's record_send() gives it
    seal    SHA-256 of `lancio.audit.seal`, a zero byte, organization (16), number, round, numbers of the first and the
            last entry, entries (8 each), SHA-256 of its leaves, hash of the seal before (zeros for the first), id of
            the key
    round   SHA-256 of `lancio.audit.round`, a zero byte, number, kind (1: seal, 2: prune), its numbers from (exclusive)
            and to, entries, seals, newest, through, sealed_at (8 each), SHA-256 of its seals' hashes, hash of the
            round before, id of the key

A later MAC proves all that was before: after a rotation of the key-encryption key the next round vouches for the older
ones.

What no seal can do: entries younger than the last round can be removed by who owns the database, and so can the last
rounds together with their entries, which leaves an older state that is whole in itself. Against the first seal often;
against the second keep an `Anchor` where the owner of the database cannot reach it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from psycopg.rows import class_row, tuple_row

from lancio.postgres import named_queries
from lancio.registry.audit_trail import AuditRefused
from lancio.registry.context import OWN_NAMES, pin
from lancio.registry.secrets import KeyRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import psycopg

    from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring

BATCH: Final = 5000
"""How many entries a round has at most."""

WAIT_SECONDS: Final = 10.0
"""How long the sealer waits for transactions that began to write before it."""

PLATFORM: Final = UUID(int=0)
"""Stands for the platform's own entries, which belong to no organization."""

_PURPOSE: Final = b"lancio.audit"
_LEAF: Final = 48
_NOTHING: Final = bytes(32)
_QUERIES = named_queries("lancio.registry", "audit_seal.sql")

Kind = Literal["changed", "removed", "added", "unsealed", "seal", "round", "forged", "unproved", "cut"]


@dataclass(frozen=True, slots=True)
class Round:
    """A row of platform.audit_rounds."""

    number: int
    kind: str
    after_seq: int
    upto_seq: int
    entries: int
    seals: int
    newest: int
    """Microseconds since 1970."""
    through: int
    """Of a prune: the last round that it takes away."""
    root: bytes
    sealed_at: int
    """Microseconds since 1970."""
    previous: bytes
    chain: bytes
    kek_id: str
    mac: bytes

    def hashed(self) -> bytes:
        """What `chain` has to be."""
        numbers = (
            self.number, {"seal": 1, "prune": 2}.get(self.kind, 0), self.after_seq, self.upto_seq, self.entries,
            self.seals, self.newest, self.through, self.sealed_at,
        )  # fmt: skip
        return hashlib.sha256(
            b"lancio.audit.round\0" + struct.pack(">9q", *numbers) + self.root + self.previous + self.kek_id.encode()
        ).digest()


@dataclass(frozen=True, slots=True)
class Seal:
    """A row of platform.audit_seals."""

    organization_id: UUID
    number: int
    round: int
    first_seq: int
    last_seq: int
    entries: int
    leaves: bytes
    previous: bytes
    chain: bytes
    kek_id: str
    mac: bytes

    def hashed(self) -> bytes:
        """What `chain` has to be."""
        return hashlib.sha256(
            b"lancio.audit.seal\0"
            + self.organization_id.bytes
            + struct.pack(">5q", self.number, self.round, self.first_seq, self.last_seq, self.entries)
            + hashlib.sha256(self.leaves).digest()
            + self.previous
            + self.kek_id.encode()
        ).digest()

    def hashes(self) -> dict[UUID, bytes]:
        """The hash of each entry by its id."""
        return {
            UUID(bytes=self.leaves[at : at + 16]): self.leaves[at + 16 : at + _LEAF]
            for at in range(0, len(self.leaves) - _LEAF + 1, _LEAF)
        }


@dataclass(frozen=True, slots=True)
class Sealed:
    """A round that was just made."""

    round: int
    entries: int
    """In this run until now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was sealed."""

    kind: Kind
    says: str
    entry: UUID | None = None
    organization: UUID | None = None
    """None for the platform's own, and where it cannot be told."""
    round: int | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The last round, or an organization's last seal, to be kept elsewhere: whatever is cut off or written anew
    shows."""

    number: int
    """Of the round; of the seal if there is an organization."""
    chain: bytes
    upto_seq: int
    sealed_at: str | None = None
    organization: UUID | None = None

    def line(self) -> str:
        """One line of JSON without its end."""
        said = {
            "lancio_audit_anchor": 1, "organization": str(self.organization) if self.organization else None,
            "number": self.number, "chain": self.chain.hex(), "upto_seq": self.upto_seq, "sealed_at": self.sealed_at,
        }  # fmt: skip
        return json.dumps(said)


def anchors_of(text: str) -> list[Anchor]:
    """The anchors of a file, one a line.

    Raises:
        AuditRefused: a line that is none, or no line at all.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            if said["lancio_audit_anchor"] != 1:
                raise ValueError
            chain = bytes.fromhex(said["chain"])
            if len(chain) != 32:
                raise ValueError
            named = said["organization"]
            found.append(
                Anchor(
                    int(said["number"]), chain, int(said["upto_seq"]), said["sealed_at"], UUID(named) if named else None
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise AuditRefused(
                f"line {number} is not an anchor of the audit trail",
                cause="An anchor is a line of JSON as `lancio audit anchor` prints it.",
                remedy="Give the file that it was kept in, unchanged.",
                commands=("lancio audit anchor > anchors.jsonl",),
            ) from error
    if not found:
        raise AuditRefused(
            "there is no anchor in it", remedy="Keep one first.", commands=("lancio audit anchor > anchors.jsonl",)
        )
    return found


@dataclass(slots=True)
class Verified:
    """What was looked at; filled while `verify` runs."""

    rounds: int = 0
    seals: int = 0
    entries: int = 0
    """That are as they were sealed."""
    pruned: int = 0
    """That a sealed record says were taken away."""
    unsealed: int = 0
    """That are younger than the last round: of them nothing is proved."""
    unsealed_since: datetime | None = None
    key: bool = False
    """Whether there was a key to prove the MACs with."""
    proved: int = 0
    """The last round (seal, of one organization) whose MAC is right: it and all before were made with the key."""
    last: int = 0
    findings: int = 0
    anchored: list[int] = field(default_factory=list)
    """The rounds, or seals, whose anchor says the same."""


# --- sealing ----------------------------------------------------------------------------------------------------------


def refuse_unready(connection: psycopg.Connection[Any]) -> None:
    """Return if migration 010 is applied.

    Raises:
        AuditRefused: it is not.
    """
    if not _one(connection, "there"):
        raise AuditRefused(
            "entries are not sealed in this database",
            cause="Migration 010 is not applied here.",
            remedy="Apply it.",
            commands=("lancio apply --platform",),
        )


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make an error of rows that a policy would hide, in this session; and refuse a database without 010.

    What is hashed are the bytes of the text, and one encoding gives one hash.
    """
    pin(connection, {"row_security": "off", "client_encoding": "UTF8"} | OWN_NAMES, session=True)
    refuse_unready(connection)


def seal(
    connection: psycopg.Connection[Any],
    ring: Ring,
    *,
    batch: int = BATCH,
    wait_s: float = WAIT_SECONDS,
    anchor: Anchor | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[Sealed]:
    """Seal what is committed and not sealed yet; each round is a transaction, and gives its progress when it is there.

    Entries of transactions that are still open, and of those that began after one of them, are left to a later run.
    Killed half-way, run it again. Several at work take turns. For a session that policies do not bind, in autocommit
    mode.

    Where nothing is to be sealed and the last round was made with another KEK than the current one, a round without
    entries is made, which vouches for all before.

    Raises:
        AuditRefused: the last round is not proved by a key of the ring nor by `anchor`: what goes on from a forged
            round would vouch for it.
        KeyRefused: the last round was made with a KEK that is not in the ring.
    """
    prepare(connection)
    _refuse_unproved(_head(connection), ring, anchor)
    upto = _settled(connection, wait_s) or 0
    done = 0
    while (made := _round(connection, ring, anchor, upto, batch, clock)) is not None:
        done += made.entries
        yield Sealed(made.number, done)


def unsealed(connection: psycopg.Connection[Any]) -> int:
    """How many entries are younger than the last round."""
    head = _head(connection)
    return int(_one(connection, "unsealed", after=0 if head is None else head.upto_seq))


def _settled(connection: psycopg.Connection[Any], wait_s: float) -> int | None:
    """The number up to which no entry can appear any more; None if that is not known yet.

    Who drew a number up to the last one had its transaction's id before that, so before ours, which is taken after.
    """
    with connection.transaction():
        number, own = _one(connection, "number"), _one(connection, "own")
        mark = _row(connection, "mark")
        if mark is None or mark[1] > own:
            # None, or one of another server, whose transactions are not here: the database was restored.
            mark = None
            connection.execute(_QUERIES["set_mark"], {"seq": number, "xact": own})
    until = time.monotonic() + wait_s
    while True:
        oldest = _one(connection, "oldest")
        if oldest > own:
            connection.execute(_QUERIES["clear_mark"])
            return int(number)
        if time.monotonic() >= until:
            break
        time.sleep(0.02)
    # Something older is open all the time: what an earlier run has marked may be over.
    if mark is not None and oldest > mark[1]:
        connection.execute(_QUERIES["set_mark"], {"seq": number, "xact": own})
        return int(mark[0])
    return None


def _round(
    connection: psycopg.Connection[Any],
    ring: Ring,
    anchor: Anchor | None,
    upto: int,
    batch: int,
    clock: Callable[[], float],
) -> Round | None:
    kek = ring.current
    with connection.transaction(), connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        head = _last(connection, ring, anchor)
        after = 0 if head is None else head.upto_seq
        cursor.execute(_QUERIES["settled_entries"], {"after": after, "upto": upto, "batch": batch})
        rows = cursor.fetchall()
        if not rows and (head is None or head.kek_id == kek.id):
            return None
        of: dict[UUID, list[tuple[int, bytes]]] = {}
        for id_, organization, seq, _, record in rows:
            of.setdefault(organization, []).append((seq, id_.bytes + leaf(record)))
        number = 1 if head is None else head.number + 1
        cursor.execute(_QUERIES["last_seals"], {"organizations": list(of)})
        last = {organization: (n, chain) for organization, n, chain in cursor.fetchall()}
        seals = []
        for organization in sorted(of, key=lambda each: each.bytes):
            entries = of[organization]
            before, chain = last.get(organization, (0, _NOTHING))
            seals.append(
                _made_seal(
                    kek, organization, before + 1, number, entries[0][0], entries[-1][0],
                    b"".join(each for _, each in entries), chain,
                )
            )  # fmt: skip
        made = _made_round(
            kek, head, "seal", clock,
            after_seq=after,
            upto_seq=rows[-1][2] if len(rows) == batch else max(upto, after),
            entries=len(rows),
            seals=len(seals),
            newest=max((row[3] for row in rows), default=int(clock() * 1_000_000)),
            root=root(each.chain for each in seals),
        )  # fmt: skip
        cursor.execute(_QUERIES["add_round"], _fields(made))
        cursor.executemany(_QUERIES["add_seal"], [_fields(each) for each in seals])
    return made


def leaf(record: bytes) -> bytes:
    """The hash of an entry, of what record_send() gives of its row."""
    return hashlib.sha256(b"lancio.audit.entry\0" + record).digest()


def root(chains: Iterable[bytes]) -> bytes:
    """The hash over the seals of a round, in the order of their organizations."""
    return hashlib.sha256(b"".join(chains)).digest()


def _made_seal(
    kek: KeyEncryptionKey, organization: UUID, number: int, of: int, first: int, last: int, leaves: bytes, before: bytes
) -> Seal:
    bare = Seal(organization, number, of, first, last, len(leaves) // _LEAF, leaves, before, b"", kek.id, b"")
    chain = bare.hashed()
    return replace(bare, chain=chain, mac=kek.mac(_PURPOSE, chain))


def _made_round(
    kek: KeyEncryptionKey, head: Round | None, kind: str, clock: Callable[[], float], *, root: bytes, **numbers: int
) -> Round:
    number, previous = (1, _NOTHING) if head is None else (head.number + 1, head.chain)
    values: dict[str, Any] = {"number": number, "kind": kind, "through": 0, "sealed_at": int(clock() * 1_000_000)}
    bare = Round(**values | numbers, root=root, previous=previous, chain=b"", kek_id=kek.id, mac=b"")
    chain = bare.hashed()
    return replace(bare, chain=chain, mac=kek.mac(_PURPOSE, chain))


def _last(connection: psycopg.Connection[Any], ring: Ring, anchor: Anchor | None = None) -> Round | None:
    """The last round, which stays the last one until the transaction ends.

    Raises:
        AuditRefused, KeyRefused: as `seal`.
    """
    connection.execute(_QUERIES["lock"])
    head = _head(connection)
    _refuse_unproved(head, ring, anchor)
    return head


def _refuse_unproved(head: Round | None, ring: Ring, anchor: Anchor | None) -> None:
    if head is None:
        if anchor is not None:
            raise AuditRefused(
                f"there is no round here, and the anchor knows round {anchor.number}",
                cause="The seals were removed, or this is another database.",
                remedy="Restore them, or give no anchor to begin anew.",
            )
        return
    if (
        anchor is not None
        and (anchor.number, anchor.chain) == (head.number, head.chain)
        and head.hashed() == head.chain
    ):
        return
    if head.kek_id not in {each.id for each in ring}:
        raise KeyRefused(
            f"the key-encryption key {head.kek_id} is not here",
            cause=f"The last round of the audit trail, {head.number}, bears a MAC of it. At hand: "
            f"{', '.join(each.id for each in ring)}.",
            remedy="Name that one. After a rotation of the key-encryption key give both once. If it is lost, an anchor "
            "of that round stands for it (lancio audit seal --anchor).",
            commands=("lancio audit seal --kek-file new.kek --old-kek-file lancio.kek",),
        )
    kek = ring.of(head.kek_id)
    if head.hashed() != head.chain or not hmac.compare_digest(kek.mac(_PURPOSE, head.chain), head.mac):
        raise AuditRefused(
            f"the last round, {head.number}, was not made with the key-encryption key {kek.id}",
            cause="It was changed or forged. What goes on from it would vouch for it.",
            remedy="Look at what else was changed.",
            commands=("lancio audit verify",),
        )


# --- verifying --------------------------------------------------------------------------------------------------------


def verify(
    connection: psycopg.Connection[Any],
    ring: Ring | None,
    found: Verified,
    *,
    anchors: Sequence[Anchor] = (),
    resume: Anchor | None = None,
) -> Iterator[Finding]:
    """All that is not as it was sealed, as it is found; memory holds one round at a time.

    Without a ring the hashes alone are compared: whoever could change entries and make the hashes anew is not found.
    `resume`: what was before this anchor is taken as it is, since it was verified then. One state of the database is
    looked at, whatever is written meanwhile. For a session that policies do not bind.

    Raises:
        AuditRefused: migration 010 is not applied, or the round of `resume` is not here.
    """
    prepare(connection)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for finding in _verify(connection, ring, found, anchors, resume):
            found.findings += 1
            yield finding


def _verify(
    connection: psycopg.Connection[Any],
    ring: Ring | None,
    found: Verified,
    anchors: Sequence[Anchor],
    resume: Anchor | None,
) -> Iterator[Finding]:
    found.key = ring is not None
    pruned = int(_one(connection, "pruned_through"))
    before = None if resume is None else refuse_rewritten(connection, resume)
    begun = 0 if before is None else before.number
    wanted = {each.number: each for each in anchors if each.organization is None and each.number > begun}
    last_seals: dict[UUID, tuple[int, bytes]] = {}
    begins = bool(pruned) or resume is not None
    if before is None:
        yield from (
            Finding("added", f"entry {id_} has number {seq}, which is below all that are given", id_)
            for id_, seq in _rows(connection, "before_the_first", upto=0)
        )
    else:
        found.proved = found.last = before.number
    bad_tail = False
    while page := _rounds(connection, 0 if before is None else before.number):
        for each in page:
            told = list(_linked(ring, each, before))
            if not told and _mac_wrong(ring, each.kek_id, each.chain, each.mac) is False:
                found.proved = each.number
            bad_tail = bool(told)
            yield from told
            if (anchor := wanted.pop(each.number, None)) is not None:
                if anchor.chain == each.chain:
                    found.anchored.append(each.number)
                else:
                    says = f"round {each.number} is another than the anchor knows: history was written anew"
                    yield Finding("cut", says, round=each.number)
            if each.kind == "seal":
                yield from _within(connection, ring, each, last_seals, found, gone=each.number <= pruned, begins=begins)
            found.rounds += 1
            found.last = each.number
            before = each
    for number in sorted(wanted):
        why = f"the last one here is {found.last}: the end was cut off, or the round was removed"
        yield Finding("cut", f"the anchor knows round {number}, and {why}", round=number)
    for organization, number, of in _rows(connection, "stray_seals"):
        says = f"seal {number} of organization {organization} belongs to round {of}, which is not there"
        yield Finding("seal", says, None, organization, of)
    if before is not None and ring is not None and found.proved < found.last and not bad_tail:
        of = f"of a key-encryption key that is not at hand: {before.kek_id}"
        yield Finding("unproved", f"rounds {found.proved + 1} to {found.last} bear the MAC {of}", round=found.last)
    found.unsealed, found.unsealed_since = _row(connection, "unsealed", after=0 if before is None else before.upto_seq)


def refuse_rewritten(connection: psycopg.Connection[Any], known: Anchor) -> Round:
    """The round of an anchor.

    Raises:
        AuditRefused: it is not here as the anchor knows it.
    """
    with connection.cursor(row_factory=class_row(Round), binary=True) as cursor:
        found = cursor.execute(_QUERIES["round"], {"number": known.number}).fetchone()
    if found is None or found.chain != known.chain:
        raise AuditRefused(
            f"round {known.number} is not here as the anchor knows it",
            cause="It was removed or written anew, or the anchor is of another database.",
            remedy="Verify the whole, with the anchor to compare.",
            commands=("lancio audit verify --anchor anchors.jsonl",),
        )
    return found


def _linked(ring: Ring | None, each: Round, before: Round | None) -> Iterator[Finding]:
    number = 0 if before is None else before.number
    after = 0 if before is None else before.upto_seq
    if each.number != number + 1:
        missing = f"round {number + 1}" if each.number == number + 2 else f"rounds {number + 1} to {each.number - 1}"
        yield Finding("round", f"{missing} {'was' if each.number == number + 2 else 'were'} removed", round=number + 1)
    elif each.previous != (_NOTHING if before is None else before.chain):
        yield Finding("round", f"round {each.number} does not go on from round {number}", round=each.number)
    if each.hashed() != each.chain:
        yield Finding("round", f"round {each.number} was changed", round=each.number)
    elif each.number == number + 1 and each.after_seq != after:
        yield Finding(
            "round",
            f"round {each.number} begins at entry {each.after_seq}, and round {number} ends at {after}",
            round=each.number,
        )
    if _mac_wrong(ring, each.kek_id, each.chain, each.mac):
        yield Finding(
            "forged", f"round {each.number} was not made with the key-encryption key {each.kek_id}", round=each.number
        )


def _mac_wrong(ring: Ring | None, kek_id: str, chain: bytes, mac: bytes) -> bool | None:
    """None: it cannot be told, since the KEK is not at hand."""
    for each in ring or ():
        if each.id == kek_id:
            return not hmac.compare_digest(each.mac(_PURPOSE, chain), mac)
    return None


def _within(
    connection: psycopg.Connection[Any],
    ring: Ring | None,
    each: Round,
    last_seals: dict[UUID, tuple[int, bytes]],
    found: Verified,
    *,
    gone: bool,
    begins: bool,
) -> Iterator[Finding]:
    """The seals and the entries of a round."""
    with connection.cursor(row_factory=class_row(Seal), binary=True) as cursor:
        seals = cursor.execute(_QUERIES["seals"], {"round": each.number}).fetchall()
    hashes: dict[UUID, tuple[UUID, bytes]] = {}
    for one in seals:
        yield from _seal_stands(ring, one, last_seals.get(one.organization_id), begins=begins)
        last_seals[one.organization_id] = one.number, one.chain
        hashes.update((id_, (one.organization_id, hash_)) for id_, hash_ in one.hashes().items())
    found.seals += len(seals)
    if gone and not seals:
        found.pruned += each.entries
    elif len(seals) != each.seals:
        yield Finding(
            "seal", f"round {each.number} had {each.seals} seals, and {len(seals)} are there", round=each.number
        )
    elif root(one.chain for one in seals) != each.root:
        yield Finding(
            "seal", f"the seals of round {each.number} are not those that it was made with", round=each.number
        )
    missing = len(seals) < each.seals and not gone
    rows = _stream(connection, "entries", after=each.after_seq, upto=each.upto_seq)
    yield from _compared(connection, rows, hashes, found, each.number, missing=missing)


def _seal_stands(ring: Ring | None, one: Seal, before: tuple[int, bytes] | None, *, begins: bool) -> Iterator[Finding]:
    name = f"seal {one.number} of {_said(one.organization_id)}"

    def wrong(kind: Kind, says: str) -> Finding:
        return Finding(kind, f"{name} {says}", None, _named(one.organization_id), one.round)

    if before is not None:
        if one.number != before[0] + 1:
            yield wrong("seal", f"comes after seal {before[0]}: what was between was removed, or it is a copy")
        elif one.previous != before[1]:
            yield wrong("seal", f"does not go on from seal {before[0]}")
    elif one.previous != _NOTHING if one.number == 1 else not begins:
        yield wrong("seal", "goes on from a seal that is not there")
    if one.hashed() != one.chain or len(one.leaves) != one.entries * _LEAF:
        yield wrong("seal", "was changed")
    elif _mac_wrong(ring, one.kek_id, one.chain, one.mac):
        yield wrong("forged", f"was not made with the key-encryption key {one.kek_id}")


def _compared(
    connection: psycopg.Connection[Any],
    rows: Iterator[Any],
    hashes: dict[UUID, tuple[UUID, bytes]],
    found: Verified,
    number: int | None,
    *,
    missing: bool,
) -> Iterator[Finding]:
    """Each entry of a range of numbers with its hash; `hashes` loses those that were met."""
    for id_, organization, seq, record in rows:
        sealed = hashes.pop(id_, None)
        if sealed is None:
            kind: Kind = "unsealed" if missing else "added"
            why = "belongs to a seal that was removed" if missing else "was not there when its neighbours were sealed"
            yield Finding(
                kind, f"entry {id_} (number {seq}, {_said(organization)}) {why}", id_, _named(organization), number
            )
        elif leaf(record) != sealed[1]:
            yield Finding(
                "changed", f"entry {id_} (number {seq}, {_said(sealed[0])}) was changed", id_, _named(sealed[0]), number
            )
        else:
            found.entries += 1
    if hashes:
        there = {id_: (seq, leaf(record)) for id_, seq, record in _rows(connection, "elsewhere", ids=list(hashes))}
        for id_, (organization, hash_) in hashes.items():
            where = f"round {number}" if number is not None else _said(organization)
            if id_ not in there:
                said = f" ({_said(organization)})" if number is not None else ""
                yield Finding("removed", f"entry {id_} of {where}{said} was removed", id_, _named(organization), number)
            elif there[id_][1] != hash_:
                says = f"entry {id_} of {where} was changed: its number is {there[id_][0]} now"
                yield Finding("changed", says, id_, _named(organization), number)
            else:
                found.entries += 1  # it is as it was; the numbers of its round are not


def verify_trail(
    connection: psycopg.Connection[Any],
    organization: UUID,
    ring: Ring | None,
    found: Verified,
    *,
    anchors: Sequence[Anchor] = (),
) -> Iterator[Finding]:
    """As `verify`, of one organization's entries and seals: for its members, who see no others. In the transaction
    whose context shows them; what is sealed or pruned meanwhile confuses it unless that is REPEATABLE READ
    (`connection.isolation_level`).

    That the last seals were not cut off shows only against an anchor of the organization.
    """
    # What is hashed are the bytes of the text, and one encoding gives one hash.
    pin(connection, {"client_encoding": "UTF8"})
    for finding in _verify_trail(connection, organization, ring, found, anchors):
        found.findings += 1
        yield finding


def _verify_trail(
    connection: psycopg.Connection[Any],
    organization: UUID,
    ring: Ring | None,
    found: Verified,
    anchors: Sequence[Anchor],
) -> Iterator[Finding]:
    def wrong(kind: Kind, says: str) -> Finding:
        return Finding(kind, says, None, organization)

    found.key = ring is not None
    sealed, pruned = _row(connection, "horizon")
    # What was pruned cannot be compared, and an organization of which nothing is left begins with seal 1 again.
    wanted = {each.number: each for each in anchors if each.organization == organization and each.upto_seq > pruned}
    if ring is not None and pruned and _one(connection, "may_see_rounds"):
        yield from _pruning_stands(connection, ring)
    before: Seal | None = None
    after, bad_tail = pruned, False
    while page := _trail_seals(connection, organization, 0 if before is None else before.number):
        for one in page:
            told = list(_seal_stands(ring, one, (before.number, before.chain) if before else None, begins=True))
            if before is None and one.number > 1 and not pruned:
                missing = "seal 1 was" if one.number == 2 else f"seals 1 to {one.number - 1} were"
                told.append(wrong("seal", f"{missing} removed"))
            yield from told
            bad_tail = bool(told)
            if not told and _mac_wrong(ring, one.kek_id, one.chain, one.mac) is False:
                found.proved = one.number
            if (anchor := wanted.pop(one.number, None)) is not None:
                if anchor.chain == one.chain:
                    found.anchored.append(one.number)
                else:
                    says = f"seal {one.number} is another than the anchor knows: history was written anew"
                    yield wrong("cut", says)
            hashes = {id_: (organization, hash_) for id_, hash_ in one.hashes().items()}
            between = {"organization": organization, "after": min(after, one.first_seq - 1), "upto": one.last_seq}
            rows = _stream(connection, "trail_entries", **between)
            yield from _compared(connection, rows, hashes, found, None, missing=False)
            after = max(after, one.last_seq)
            found.seals += 1
            found.last = one.number
            before = one
    rows = _stream(connection, "trail_entries", organization=organization, after=after, upto=sealed)
    yield from _compared(connection, rows, {}, found, None, missing=False)
    for number in sorted(wanted):
        if before is None or number > before.number:
            last = f"the last one here is {found.last}: the end was cut off"
            yield wrong("cut", f"the anchor knows seal {number}, and {last}")
        elif not pruned:
            yield wrong("cut", f"the anchor knows seal {number}, which was removed")
    if before is not None and ring is not None and found.proved < found.last and not bad_tail:
        of = f"of a key-encryption key that is not at hand: {before.kek_id}"
        yield wrong("unproved", f"seals {found.proved + 1} to {found.last} bear the MAC {of}")
    found.unsealed, found.unsealed_since = _row(connection, "trail_unsealed", organization=organization, after=sealed)


def _pruning_stands(connection: psycopg.Connection[Any], ring: Ring) -> Iterator[Finding]:
    """What says up to where nothing is compared has to be made with the key."""
    with connection.cursor(row_factory=class_row(Round), binary=True) as cursor:
        record = cursor.execute(_QUERIES["pruning"]).fetchone()
    if record is None or (
        record.hashed() == record.chain and not _mac_wrong(ring, record.kek_id, record.chain, record.mac)
    ):
        return
    yield Finding(
        "forged", f"round {record.number}, which says what was pruned, was not made with the key-encryption key"
        f" {record.kek_id}", round=record.number,
    )  # fmt: skip


def anchor(connection: psycopg.Connection[Any], organization: UUID | None = None) -> Anchor | None:
    """The end of the chain as it is now; None where nothing is sealed."""
    if organization is None:
        head = _head(connection)
        if head is None:
            return None
        sealed = datetime.fromtimestamp(head.sealed_at / 1_000_000, UTC).isoformat()
        return Anchor(head.number, head.chain, head.upto_seq, sealed)
    last = _row(connection, "last_seals", organizations=[organization])
    if last is None:
        return None
    seals = _trail_seals(connection, organization, last[1] - 1)
    return Anchor(seals[-1].number, seals[-1].chain, seals[-1].last_seq, None, organization)


# --- retention --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Pruned:
    """What a prune does; filled while it runs."""

    rounds: list[int] = field(default_factory=list)
    entries: int = 0
    """Taken away in this run."""
    of: int = 0
    """That the rounds had when they were sealed."""
    kept_back: int = 0
    """Rounds that are old enough and stay, since an older one is not."""


def outlook(connection: psycopg.Connection[Any], before: datetime) -> Pruned:
    """What `prune` would take away."""
    prepare(connection)
    limit = int(before.timestamp() * 1_000_000)
    pruned = int(_one(connection, "pruned_through"))
    found = Pruned([each for (each,) in _rows(connection, "unfinished", through=pruned)])
    number, young = pruned, False
    while page := _rounds(connection, number):
        for each in page:
            number = each.number
            if each.kind != "seal":
                continue
            old = each.newest < limit
            young = young or not old
            if not young:
                found.rounds.append(number)
                found.of += each.entries
            elif old:
                found.kept_back += 1
    return found


def refuse_unfit(connection: psycopg.Connection[Any], ring: Ring | None, plan: Pruned) -> None:
    """Return if what `outlook` found may be pruned; without a ring the hashes alone are compared.

    Raises:
        AuditRefused, KeyRefused: as `prune`.
    """
    if ring is not None:
        _refuse_unproved(_head(connection), ring, None)
    pruned = int(_one(connection, "pruned_through"))
    if plan.rounds and plan.rounds[-1] > pruned:
        _refuse_altered(connection, ring, pruned, plan.rounds[-1])


def prune(connection: psycopg.Connection[Any], ring: Ring, before: datetime, done: Pruned) -> Iterator[Sealed]:
    """Take away the rounds whose entries were all written before a time, oldest first, each in a transaction of its
    own.

    What is to be taken away is verified first, and a sealed record of it is made: its place in the chain stays, with
    the number of its entries and the hash over them, so that the rest verifies as before. Entries that are not sealed
    stay. Killed half-way, run it again.

    Raises:
        AuditRefused: something there is not as it was sealed, which would be lost with it; or as `seal`.
        KeyRefused: as `seal`.
    """
    plan = outlook(connection, before)
    pruned = int(_one(connection, "pruned_through"))
    done.rounds, done.of, done.kept_back = plan.rounds, plan.of, plan.kept_back
    fresh = [each for each in plan.rounds if each > pruned]
    refuse_unfit(connection, ring, plan)
    if fresh:
        chains = [each.chain for each in _between(connection, pruned, fresh[-1])]
        with connection.transaction():
            head = _last(connection, ring)
            if head is None or int(_one(connection, "pruned_through")) != pruned:
                raise AuditRefused(
                    "another prune has just begun",
                    cause="Some of what was to be pruned is gone by now.",
                    remedy="Look again at what is left to prune.",
                    commands=(f"lancio audit prune --before {before.isoformat()} --dry-run",),
                )
            made = _made_round(
                ring.current, head, "prune", time.time, root=root(chains), after_seq=head.upto_seq,
                upto_seq=head.upto_seq, entries=plan.of, seals=0, newest=0, through=fresh[-1],
            )  # fmt: skip
            connection.execute(_QUERIES["add_round"], _fields(made))
            after = {
                "through": fresh[-1], "rounds": len(fresh), "entries": plan.of, "before": before.isoformat(),
                "record": made.number,
            }  # fmt: skip
            connection.execute(_QUERIES["note"], {"target": str(made.number), "after": json.dumps(after)})
    for number in plan.rounds:
        with connection.transaction():
            done.entries += int(_one(connection, "prune", round=number))
        yield Sealed(number, done.entries)


def _between(connection: psycopg.Connection[Any], after: int, upto: int) -> Iterator[Round]:
    while page := _rounds(connection, after):
        for each in page:
            if each.number > upto:
                return
            after = each.number
            yield each


def _refuse_altered(connection: psycopg.Connection[Any], ring: Ring | None, after: int, upto: int) -> None:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found, last_seals = Verified(), dict[UUID, tuple[int, bytes]]()
        with connection.cursor(row_factory=class_row(Round), binary=True) as cursor:
            before = cursor.execute(_QUERIES["round"], {"number": after}).fetchone()
        problems: list[Finding] = []
        for each in _between(connection, after, upto):
            problems += _linked(ring, each, before)
            if each.kind == "seal":
                problems += _within(connection, ring, each, last_seals, found, gone=False, begins=True)
            before = each
            if len(problems) > 10:
                break
    if problems:
        raise AuditRefused(
            "nothing was pruned: entries are not as they were sealed",
            cause="; ".join(each.says for each in problems[:5]) + (" …" if len(problems) > 5 else "") + ".",
            remedy="Find out what happened first: with them the evidence would go.",
            commands=("lancio audit verify",),
        )


# --- asking -----------------------------------------------------------------------------------------------------------


def _said(organization: UUID) -> str:
    return "the platform" if organization == PLATFORM else f"organization {organization}"


def _named(organization: UUID) -> UUID | None:
    return None if organization == PLATFORM else organization


def _fields(value: Round | Seal) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _head(connection: psycopg.Connection[Any]) -> Round | None:
    with connection.cursor(row_factory=class_row(Round), binary=True) as cursor:
        return cursor.execute(_QUERIES["head"]).fetchone()


def _rounds(connection: psycopg.Connection[Any], after: int) -> list[Round]:
    with connection.cursor(row_factory=class_row(Round), binary=True) as cursor:
        return cursor.execute(_QUERIES["rounds"], {"after": after}).fetchall()


def _trail_seals(connection: psycopg.Connection[Any], organization: UUID, after: int) -> list[Seal]:
    with connection.cursor(row_factory=class_row(Seal), binary=True) as cursor:
        return cursor.execute(_QUERIES["trail_seals"], {"organization": organization, "after": after}).fetchall()


def _stream(connection: psycopg.Connection[Any], query: str, **values: object) -> Iterator[Any]:
    """Rows as they come: however many somebody has put there, few are held."""
    with connection.cursor("lancio_audit", row_factory=tuple_row) as cursor:
        cursor.itersize = 1000
        yield from cursor.execute(_QUERIES[query], values, binary=True)


def _rows(connection: psycopg.Connection[Any], query: str, **values: object) -> list[Any]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(_QUERIES[query], values).fetchall()


def _row(connection: psycopg.Connection[Any], query: str, **values: object) -> Any:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(_QUERIES[query], values).fetchone()


def _one(connection: psycopg.Connection[Any], query: str, **values: object) -> Any:
    row = _row(connection, query, **values)
    assert row is not None  # noqa: S101  these have one row
    return row[0]
