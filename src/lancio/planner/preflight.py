"""Go or no-go: what do the facts around a plan mean for it?

What stops a run becomes a `Missing` of the plan, with its cause, who can help and the command; everything that was
looked at becomes an `Item` with its evidence. What cannot be known from here is *unknown* and said so.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from lancio.planner.locks import CONFLICTS, MODES
from lancio.planner.model import Item, Missing, Place, Requirement
from lancio.planner.rows import identifier, literal
from lancio.planner.surroundings import key

if TYPE_CHECKING:
    from lancio.planner.model import Group, Mark, Plan, Strength
    from lancio.planner.surroundings import Asked, Backend, Extension, Held, NewIndex, Right, Surroundings

MINIMUM, RECOMMENDED = 90500, 120000
"""The specification's compatibility matrix: PostgreSQL 9.5 has row level security, 12 or newer is recommended."""

COMPONENTS = {"pgcrypto": "1.0"}
"""The least version of each extension that the matrix names."""

OLD_TRANSACTION_S = 60
SLOW_PING_MS = 250.0
"""From here on an open transaction, or a round trip, is worth a warning."""

PAGE = 8192.0
"""Bytes of an index without rows."""

BACKUP_AGE_S = 24 * 3600.0

BLOCKS = {
    "ACCESS EXCLUSIVE": "blocks reads and writes on", "EXCLUSIVE": "blocks writes on",
    "SHARE ROW EXCLUSIVE": "blocks writes on", "SHARE": "blocks writes on",
    "SHARE UPDATE EXCLUSIVE": "blocks other changes of", "ROW EXCLUSIVE": "writes rows of",
    "ROW SHARE": "locks rows of", "ACCESS SHARE": "reads",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a plan may be a go, and the commands that people are given."""

    backup: bool = True  # False: --no-backup
    backup_age_s: float = BACKUP_AGE_S
    folder: str = ""  # how a command names it
    database: str = ""
    psql: str = "psql"
    dump: str = 'pg_dump -Fc -f backup.dump "$DATABASE_URL"'


def judge(plan: Plan, asked: Asked, around: Surroundings, terms: Terms) -> Plan:
    """The plan with what was looked at, and with what is missing around it. Nothing is connected to."""
    told = {(item.requirement.kind, item.requirement.object) for item in plan.missing}
    bench = _Bench(plan, asked, around, terms, told)
    if plan.steps:
        bench.server()
        bench.extensions()
        bench.rights()
        bench.settings()
        bench.locks()
        bench.room()
        bench.services()
        bench.backup()
    bench.connection()
    return replace(plan, missing=(*plan.missing, *bench.missing), items=tuple(bench.items))


@dataclass
class _Bench:
    """Takes each fact in turn, and keeps what it means."""

    plan: Plan
    asked: Asked
    around: Surroundings
    terms: Terms
    told: set[tuple[str, str]]
    items: list[Item] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def item(
        self, group: Group, mark: Mark, says: str, evidence: str = "", at: Place | None = None, provider: str = "",
        commands: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.items.append(Item(group, mark, says, evidence, at, provider, commands))

    def lacks(
        self, group: Group, kind: str, object_: str, at: Place, message: str, *, cause: str, solution: str, here: str,
        provider: str = "", commands: tuple[str, ...] = (), strength: Strength = "external", says: str = "",
        blocking: bool = True,
    ) -> None:  # fmt: skip
        """Something that stops the run, or may if it does not block."""
        self.item(group, "unmet" if blocking else "warning", says or object_, here, at, provider, commands)
        if (kind, object_) in self.told:
            return  # the plan itself told it
        self.told.add((kind, object_))
        requirement = Requirement(object_, kind, strength, at, "missing")
        self.missing.append(
            Missing(
                requirement,
                at.file,
                message,
                cause,
                solution,
                provider,
                commands=commands,
                blocking=blocking,
                here=here,
            )
        )

    # Server and extensions.

    def server(self) -> None:
        version, text = self.around.version, self.around.version_text
        mark: Mark = "met" if version >= RECOMMENDED else "warning" if version >= MINIMUM else "unmet"
        evidence = f"this is {text}" + ("" if version >= RECOMMENDED else "; 12 or newer is recommended")
        self.item("server", mark, "PostgreSQL 9.5 or newer", evidence)
        for feature, place in sorted(self.asked.features, key=lambda each: -each[0].since):
            if feature.since * 10000 <= version:
                self.item(
                    "server", "met", f"{feature.name}: PostgreSQL {feature.since} or newer", f"this is {text}", place
                )
                continue
            instead = f" Or write it otherwise: {feature.instead}." if feature.instead else ""
            self.lacks(
                "server", "server version", f"PostgreSQL {feature.since} for {feature.name}", place,
                f"{place}: {feature.name} needs PostgreSQL {feature.since}; this server is {text}",
                cause=f"Servers know {feature.name} from PostgreSQL {feature.since} on.",
                solution=f"Upgrade the server.{instead}", here=f"this is {text}", provider="the server",
            )  # fmt: skip

    def extensions(self) -> None:
        made: set[str] = set()
        for each in self.asked.extensions:
            found = self.around.extensions.get(each.name)
            says = f"extension {each.name}{f' {each.version}' if each.version else ''}"
            if found is None:
                if ("extension", f"extension {each.name} to be installable") in self.told:
                    self.item("server", "unmet", says, "not available on this server", each.at, "the server")
                else:
                    self.item("server", "unknown", says, "the server cannot tell what can be installed", each.at)
                continue
            wanted = each.version or found.default
            needs = [name for name in found.requires.get(wanted, ()) if name not in made]
            lacking = [name for name in needs if not self._installed(name)]
            if each.version and each.version not in found.versions:
                self.lacks(
                    "server", "extension", f"extension {each.name} in version {each.version}", each.at,
                    f'extension "{each.name}" has no version "{each.version}" here',
                    cause=f"This server can install {', '.join(found.versions)}.",
                    solution="Ask for one of these, or install the newer package on the server.",
                    here=f"available: {', '.join(found.versions)}", provider="the server",
                )  # fmt: skip
            elif any(("extension", f"extension {name}") in self.told for name in lacking):
                self.item("server", "unmet", says, f"{', '.join(lacking)} is not installed", each.at, "the server")
            elif lacking and not each.cascade and not each.update and not found.installed:
                self.lacks(
                    "server", "extension", f"extension {', '.join(lacking)} for {each.name}", each.at,
                    f'required extension "{lacking[0]}" is not installed',
                    cause=f"{each.name} {wanted} needs {', '.join(lacking)}.",
                    solution="Install it first, or write CASCADE.", here="not installed",
                    provider="a file that makes it",
                    commands=(f"CREATE EXTENSION {identifier(each.name)} CASCADE;",),
                )  # fmt: skip
            else:
                self._extension(each, says)
            made.add(each.name)

    def _installed(self, name: str) -> bool:
        there = self.around.extensions.get(name)
        made = any(item.name == name for item in self.asked.extensions)
        return made or (there is not None and bool(there.installed)) or name == "plpgsql"

    def _extension(self, each: Extension, says: str) -> None:
        found = self.around.extensions[each.name]
        here = f"available {found.default}"
        if found.installed:
            here += f", installed {found.installed} in schema {found.schema}"
        least = COMPONENTS.get(each.name)
        if least:
            here += f"; {least} is the least"
        mark: Mark = "met"
        if found.installed and not each.update:
            if each.version and each.version != found.installed:
                mark, here = "warning", f"{here}: it stays at {found.installed}"
            elif each.schema and each.schema != found.schema:
                mark, here = "warning", f"{here}: it stays in schema {found.schema}, not {each.schema}"
        elif found.trusted and found.superuser and not found.installed:
            here += ", trusted"
        if ("extension", f"extension {each.name} to be installable") in self.told:
            mark, here = "unmet", f"{here}; {self.around.user} may not create it"
        self.item("server", mark, says, here, each.at, "the server")

    # Rights.

    def rights(self) -> None:
        user = self.around.user
        for right, (place, what) in self.asked.rights.items():
            found = self.around.rights.get(right)
            if found is None or found.held is None:
                continue
            if found.held:
                self.item("privileges", "met", _right_said(right), f"held by {user}", place)
            else:
                self._denied(right, found, place, what)
        for attribute, (place, what) in self.asked.attributes.items():
            has = self.around.superuser or (attribute == "createrole" and self.around.createrole)
            says = "a superuser" if attribute == "superuser" else "the right to create roles"
            if has:
                self.item("privileges", "met", says, f"{user} is one" if attribute == "superuser" else "held", place)
                continue
            self.lacks(
                "privileges", "privilege", f"{attribute.upper()} for {what}", place,
                f"permission denied: {what} takes {says}",
                cause=f"The role {user} is no superuser"
                + (" and has no CREATEROLE." if attribute == "createrole" else "."),
                solution="Run this file as a superuser (--role, --database), or let one run it once.",
                here="not granted", provider="a superuser", strength="hard",
                commands=(
                    f"ALTER ROLE {identifier(user)} CREATEROLE;"
                    if attribute == "createrole"
                    else f"lancio apply {self.terms.folder} --only {place.file} --role NAME_OF_A_SUPERUSER",
                ),
            )  # fmt: skip

    def _denied(self, right: Right, found: Held, place: Place, what: str) -> None:
        user, owner = self.around.user, found.owner
        said = _object_said(right)
        me = identifier(user)
        provider = f"{owner}, its owner" if owner else "a superuser"
        command = f"GRANT {right.right} ON {_grant_target(right)} TO {me};"
        solution = "Let its owner grant it, or name another role by --role."
        message = f"permission denied for {said}"
        here = "not granted"
        cause = f"The role {user} has no {right.right} on {said}, which {what} needs."
        if right.right in ("OWNER", "DROP"):
            message = f"must be owner of {said}"
            cause = f"The role {user} does not own {said}, which {what} needs."
            command = "" if right.kind == "extension" else f"ALTER {_grant_target(right)} OWNER TO {me};"
            solution = "Run as its owner (--role), or let the owner hand it over."
        elif right.right == "NO RLS":
            message = f"query would be affected by row-level security policy for {said}"
            cause = (
                f"Row level security of {said} holds for {user}, and {what} would see a part of the rows only; "
                "a run never works on a part."
            )
            command, provider = f"ALTER ROLE {me} BYPASSRLS;", "a superuser"
            here = f"row level security holds for {user}"
            solution = "Run as its owner (--role), or as a role with BYPASSRLS."
        elif right.kind == "role":
            message = f"must be able to SET ROLE {right.name}"
            cause = f"The role {user} is no member of {right.name} that may become it, which {what} needs."
            command, provider = f"GRANT {right.name} TO {me};", "a superuser, or who administers that role"
        elif right.kind == "language":
            cause = f"Functions in {right.name} are made by superusers, or by those who were granted the language."
            provider = "a superuser"
            command = ""
            solution = "Run this file as a superuser."
        elif right.kind == "setting":
            message = f'permission denied to set parameter "{right.name}"'
            cause = f"Only a superuser may set {right.name}, or who was granted it (from PostgreSQL 15 on)."
            provider, solution = "a superuser", "Run this file as a superuser."
            command = f"GRANT SET ON PARAMETER {right.name} TO {me};" if self.around.version >= 150000 else ""
        elif right.kind == "database":
            message = f"permission denied for database {self.database_name}"
            command = f"GRANT {right.right} ON DATABASE {identifier(self.database_name)} TO {me};"
        certain = right not in self.asked.conditional
        if not certain:
            cause += " The statement stands under a condition that cannot be answered from here."
        self.lacks(
            "privileges", "privilege", _right_said(right), place, message, cause=cause, solution=solution,
            here=here, provider=provider, commands=(command,) if command else (), strength="hard",
            blocking=certain,
        )  # fmt: skip

    @property
    def database_name(self) -> str:
        return self.terms.database

    # Settings.

    def settings(self) -> None:
        settings = self.around.settings
        for name, place in self.asked.settings.items():
            says = f"setting {name}"
            if self.around.custom.get(name):
                self.item("settings", "met", says, "has a value here", place)
                continue
            certain = name not in self.asked.by_row
            self.lacks(
                "settings", "setting", says, place, f'unrecognized configuration parameter "{name}"',
                cause=f"{place} reads {name}, which nobody has set in this database."
                + ("" if certain else " It is read once a row: without rows nothing fails."),
                solution="Set it for the database or the role, or let the file take an unset one: "
                f"current_setting('{name}', true).",
                here="not set", provider="whoever administers this database",
                commands=(f"ALTER DATABASE {identifier(self.database_name)} SET {name} = '…';",),
                blocking=certain,
            )  # fmt: skip
        if self.around.standby:
            self.item("settings", "unmet", "a server that takes changes", "this is a standby")
        elif (only := settings.get("default_transaction_read_only")) and only.value == "on":
            self.item(
                "settings",
                "unmet",
                "transactions that may write",
                f"default_transaction_read_only is on ({only.source})",
            )
        self._path()
        for name, taken in (
            ("statement_timeout", "the run sets it to 0, unless a file sets its own"),
            ("transaction_timeout", "the run sets it to 0, unless a file sets its own"),
            ("lock_timeout", "the run sets its own"),
            ("idle_in_transaction_session_timeout", "the run sets its own"),
            ("idle_session_timeout", "the run sets it to 0"),
        ):
            set_ = settings.get(name)
            if set_ is not None and set_.value.split(" ")[0] != "0":
                self.item("settings", "note", name, f"{set_.value} ({set_.source}); {taken}")
        replica = settings.get("session_replication_role")
        if replica is not None and replica.value != "origin":
            self.item(
                "settings", "warning", "session_replication_role",
                f"{replica.value} ({replica.source}): triggers and foreign keys do not fire",
            )  # fmt: skip

    def _path(self) -> None:
        path = self.around.settings.get("search_path")
        said = f"search_path is {path.value} ({path.source})" if path is not None else ""
        bare = self.asked.bare
        if bare is None:
            return
        if self.around.creates_in is None:
            self.lacks(
                "settings", "setting", "a schema to create in", bare, "no schema has been selected to create in",
                cause=f"{bare} makes something without saying in which schema, and {said}, of which none is there or "
                "may be used.",
                solution="Write the schema, SET search_path in the file, or make the schema first.",
                here=said, provider="the file, or the setting", strength="hard",
                commands=(f"ALTER ROLE {identifier(self.around.user)} SET search_path = public;",),
            )  # fmt: skip
        elif self.around.creates_in != "public":
            self.item("settings", "note", f"names without a schema are made in {self.around.creates_in}", said, bare)

    # Locks.

    def locks(self) -> None:
        around = self.around
        sizes = {name: table.bytes for name, table in around.tables.items()}
        for relation in sorted(self.asked.locks, key=lambda name: (-sizes.get(name, 0), name)):
            mode, place = self.asked.locks[relation]
            table = around.tables.get(relation)
            size = f" ({_table_said(table.bytes, table.rows)})" if table is not None else ""
            says = f"{BLOCKS[mode]} {relation}{size}"
            standing = [each for each in around.holders if each.relation == relation and each.mode in CONFLICTS[mode]]
            if not standing and MODES.index(mode) >= MODES.index("SHARE UPDATE EXCLUSIVE"):
                self.item("locks", "met", says, f"{mode}; nothing holds it up now", place)
            seen: set[object] = set()
            for holder in standing:
                if (holder.by.pid, holder.by.prepared) not in seen:
                    seen.add((holder.by.pid, holder.by.prepared))
                    evidence = f"{mode} waits for {holder.mode} of {_age(holder.by.age_s)} ({holder.by})"
                    self.item("locks", "warning", says, evidence, place, str(holder.by), self._who(holder.by))
        if around.oldest is not None and (self.asked.locks or self.asked.waits):
            old = around.oldest
            waits = self.asked.waits is not None
            mark: Mark = "warning" if waits and old.age_s > OLD_TRANSACTION_S else "note"
            more = "; CONCURRENTLY waits for it" if waits else ""
            evidence = f"{_age(old.age_s)} old ({old}){more}"
            commands = self._who(old) if mark == "warning" else ()
            self.item("locks", mark, "the oldest transaction", evidence, self.asked.waits, commands=commands)

    def _who(self, by: Backend) -> tuple[str, ...]:
        """Commands to look at who stands in the way, and to end it."""

        def ask(query: str) -> str:
            # The name of a prepared transaction is somebody else's text: it must not be a shell's.
            return f"{self.terms.psql} -c {shlex.quote(query)}"

        if by.prepared:
            return (ask("TABLE pg_prepared_xacts"), ask(f"ROLLBACK PREPARED {literal(by.prepared)}"))
        if by.wraparound:
            return (ask("TABLE pg_stat_progress_vacuum"),)
        return (ask(f"{_LOOK} {by.pid}"), ask(f"SELECT pg_terminate_backend({by.pid})"))

    # Room.

    def room(self) -> None:
        """Rewrites stand beside what they replace until their step commits; indexes stay."""
        around = self.around
        stays, peak, unknown = 0.0, 0.0, False
        elsewhere = False
        first: Place | None = None
        beside: dict[int, dict[str, float]] = {}
        for position, each in self.asked.rewrites:
            if each.calls and not around.volatile & set(each.calls):
                continue
            table = around.tables.get(each.relation)
            first = first or each.at
            says = f"{each.because} writes {each.relation} anew"
            if table is None:
                unknown = True
                self.item("room", "unknown", says, "its size could not be asked", each.at)
                continue
            elsewhere = elsewhere or bool(table.tablespace)
            # Several in one step are one pass over the table, or at least follow one another in the same room.
            beside.setdefault(position, {})[each.relation] = float(table.bytes)
            self.item("room", "note", says, f"about {_size(table.bytes)} beside, until the step is committed", each.at)
        for position in sorted({*beside, *(position for position, _ in self.asked.indexes)}):
            for at, index in self.asked.indexes:
                if at != position:
                    continue
                first = first or index.at
                estimate = self._index(index)
                if estimate is None:
                    unknown = True
                    self.item(
                        "room", "unknown", f"{index.name} on {index.relation}", "its rows were never counted", index.at
                    )
                else:
                    stays += estimate
                    self.item("room", "note", f"{index.name} on {index.relation}", f"about {_size(estimate)}", index.at)
            peak = max(peak, stays + sum(beside.get(position, {}).values()))
        if first is None:
            self.item(
                "room", "met", "nothing is written anew", "no rewrite of a table and no new index on one that is there"
            )
            return
        need = max(peak, stays)
        said = f"about {_size(need)}" + (", and what is unknown" if unknown else "")
        if around.free_bytes is None or elsewhere:
            why = around.why_unknown or "a tablespace has a disk of its own"
            self.item(
                "room", "unknown", f"needs {said}, beside the data", f"free room is not known from here: {why}", first
            )
        elif around.free_bytes < need:
            self.lacks(
                "room", "room", f"{_size(need)} free on the disk of the data", first,
                f"about {_size(need)} are needed beside the data, and {_size(around.free_bytes)} are free",
                cause="A rewrite stands beside the old table until its step is committed, and new indexes stay.",
                solution="Make room on the server's disk, or rewrite in parts.",
                here=f"{_size(around.free_bytes)} free", provider="whoever administers the server",
                says=f"needs {said}, beside the data",
            )  # fmt: skip
        else:
            mark: Mark = "unknown" if unknown else "met"
            self.item("room", mark, f"needs {said}, beside the data", f"{_size(around.free_bytes)} are free", first)

    def _index(self, index: NewIndex) -> float | None:
        """Bytes of a B-tree: for each row a line pointer, a header and the columns; pages are nine tenths full."""
        table = self.around.tables.get(index.relation)
        if table is None or table.rows is None:
            return None
        width = sum(table.widths.get(column, 16.0) for column in index.columns or ("",))
        return max(PAGE, table.rows * (12 + -(-width // 8) * 8) / 0.9)

    # Outside.

    def services(self) -> None:
        for service, place in self.asked.services:
            outcome = self.around.services.get(key(service))
            if outcome is None:
                continue  # a wanted one, and nobody asked
            says = f"service {service.name}, {'required' if service.required else 'wanted'}"
            where = f"{outcome.where}: " if outcome.where else ""
            unset = outcome.code == "unset"
            here = f"{service.variable} is not set" if unset else f"{where}{outcome.says} [{outcome.layer}]"
            if outcome.code in ("answers", "open"):
                took = f"{where}{outcome.says}, {outcome.took_ms:.0f} ms"
                self.item("services", "met", says, took, place, service.variable)
            elif not service.required:
                self.item("services", "note", says, here, place, service.variable)
            elif outcome.code in ("no variable", "not looked up"):
                self.item("services", "unknown", says, here, place, service.variable)
            else:
                self._service(service.name, service.variable, outcome.layer, outcome.says, where, here, place, says)

    def _service(
        self, name: str, variable: str, layer: str, outcome: str, where: str, here: str, place: Place, says: str
    ) -> None:
        remedy, command = _SERVICE[layer]
        self.lacks(
            "services", "service", f"service {name}", place,
            f"the service {name} does not answer: {where}{outcome}",
            cause=f"{place.file} requires it; {variable or 'no variable'} gives its address. It ended at {layer}.",
            solution=remedy.format(variable=variable), here=here, provider=variable, says=says,
            commands=(command.format(variable=variable),),
        )  # fmt: skip

    def backup(self) -> None:
        rows, known, terms = self.around.rows, self.around.backup, self.terms
        first = self.plan.steps[0].facts
        place = Place(first.name, 1)
        age = f"the last {_age(terms.backup_age_s)}"
        here = (
            f"{_age(known.age_s)} old, {known.where} (noted by {known.who})" if known is not None else "none is known"
        )
        if known is not None and known.age_s <= terms.backup_age_s:
            self.item("backup", "met", f"a backup of {age}", here, None, known.where)
        elif not (rows.tables or rows.unsure or rows.more):
            self.item("backup", "met", "no backup is needed", "this database has no rows")
        elif not terms.backup:
            self.item("backup", "note", f"a backup of {age}", f"{here}; --no-backup goes without")
        else:
            some = [*rows.tables, *rows.unsure]
            more = f" and {rows.more} more tables" if rows.more else ""
            sure = "has rows" if rows.tables else "may have rows, which could not be asked,"
            last = f"the last known backup is {_age(known.age_s)} old" if known is not None else "no backup is recorded"
            self.lacks(
                "backup", "backup", f"a backup of {age}", place, f"no backup of {age} is known",
                cause=f"This database {sure} in {', '.join(some[:3]) or 'some tables'}{more}, and {last}.",
                solution="Let Lancio make one, or note one that was made; or go without by --no-backup.",
                here=here, provider="you, by pg_dump or your provider's snapshot",
                commands=(
                    f"lancio backup make {terms.folder}",
                    terms.dump,
                    "lancio backup note --at now --where backup.dump",
                    f"lancio apply {terms.folder} --no-backup".replace("  ", " "),
                ),
            )  # fmt: skip

    def connection(self) -> None:
        line, settings = self.around.line, self.around.settings
        pings = sorted(line.pings_ms)
        if pings:
            middle, worst = pings[len(pings) // 2], pings[-1]
            mark: Mark = "warning" if worst > SLOW_PING_MS else "met"
            self.item("connection", mark, f"{len(pings)} round trips", f"median {middle:.2f} ms, worst {worst:.2f} ms")
        if line.proved:
            said = f"server process {line.server_pid}, kept through transactions of others"
            self.item("connection", "met", "a pooler in session mode, as was proved", said)
        elif line.told_pid != line.server_pid:
            self.lacks(
                "connection", "connection", "a connection without a pooler", Place(self._any_file(), 1),
                "a connection pooler stands between Lancio and PostgreSQL",
                cause=f"The server process is {line.server_pid}, the connection was told {line.told_pid}.",
                solution="Connect to PostgreSQL itself: usually port 5432 instead of the pooler's 6432 or 6543. If the "
                "pooler is in session mode, say so by --pooler session.",
                here="a pooler", provider="the address of the database",
            )  # fmt: skip
        else:
            way = "on this machine" if line.local else "by TLS" if line.tls else "by TCP, without TLS"
            self.item("connection", "met", "no pooler between", f"server process {line.server_pid}, {way}")
        keep = [settings.get(f"tcp_keepalives_{name}") for name in ("idle", "interval", "count")]
        if not line.local and all(keep):
            values = ", ".join(each.value for each in keep if each is not None)
            self.item("connection", "note", "TCP keepalives (idle, interval, count)", values)

    def _any_file(self) -> str:
        return self.plan.steps[0].facts.name if self.plan.steps else self.plan.graph.folder


_SERVICE: dict[str, tuple[str, str]] = {
    "variable": ("Set {variable} and run again.", "export {variable}=…"),
    "address": (
        "Write {variable} as scheme://user:password@host:port, special characters percent-encoded (%40 for @).",
        "export {variable}=redis://host:6379",
    ),
    "dns": ("Mend the host in {variable}, or the DNS of this machine.", "getent hosts NAME_OF_THE_HOST"),
    "tcp": ("Start or deploy the service, or mend host and port in {variable}.", "export {variable}=…"),
    "tls": ("Mend the scheme or the certificate that {variable} leads to.", "export {variable}=…"),
    "hello": ("See what listens there: {variable} may lead to another service.", "export {variable}=…"),
}


_LOOK = "SELECT state, xact_start, query FROM pg_stat_activity WHERE pid ="


def _right_said(right: Right) -> str:
    if right.kind == "role":
        return f"membership of role {right.name}"
    words = {"OWNER": "ownership of", "DROP": "ownership of", "NO RLS": "all rows of"}
    opening = words.get(right.right, f"{right.right} on")
    return f"{opening} {_object_said(right)}"


def _object_said(right: Right) -> str:
    word = {"relation": "table", "routine": "function", "database": "this database", "setting": "parameter"}
    said = word.get(right.kind, right.kind)
    return f"{said} {right.name}".strip()


def _grant_target(right: Right) -> str:
    words: dict[str, Literal["TABLE", "SCHEMA", "FUNCTION", "TYPE", "LANGUAGE"]] = {
        "relation": "TABLE", "schema": "SCHEMA", "routine": "FUNCTION", "type": "TYPE", "language": "LANGUAGE",
    }  # fmt: skip
    return f"{words.get(right.kind, '')} {right.name}".strip()


def _table_said(size: int, rows: float | None) -> str:
    return _size(size) + (
        ", rows never counted" if rows is None else f", about {rows:,.0f} rows" if rows else ", no rows"
    )


def _size(count: float) -> str:
    """`1.2 GB`, `640 kB`: decimal, as disks are sold."""
    for unit, step in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            value = count / step
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{count:.0f} bytes"


def _age(seconds: float) -> str:
    """`14 minutes`, `24 hours`, `3 days`."""
    for unit, step in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 2 * step:
            count = seconds // step
            return f"{count:.0f} {unit}s"
    whole = round(max(0.0, seconds))
    return f"{whole} second{'' if whole == 1 else 's'}"
