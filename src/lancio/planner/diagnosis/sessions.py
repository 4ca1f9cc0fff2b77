"""Other sessions, the server's resources and the connection itself: states of the world, not of a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.planner.diagnosis.model import Answer

if TYPE_CHECKING:
    from lancio.planner.diagnosis.model import Case


def lock(case: Case) -> Answer | None:
    """A lock that did not come in time: who holds it, since when."""
    return ended(case, "Another session holds a lock that the statement needs, and the time to wait for it is over.")


def ended(case: Case, cause: str) -> Answer:
    """Who is in the way; a session that sits idle in its transaction may be ended, one at work waited for."""
    holders = case.evidence.holders
    if not holders:
        return Answer(
            cause,
            "Run it again: nobody stands in the way any more."
            if case.evidence.user
            else "Run it when that session has finished.",
            "likely",
            again=True,
        )
    idle = [holder for holder in holders if holder.state.startswith("idle")]
    first = holders[0]
    evidence = tuple(str(holder) for holder in holders[:5])
    if len(idle) == len(holders):
        return Answer(
            f"{cause} It is idle: whoever began the transaction of process {first.pid} has not ended it.",
            "Have it committed or rolled back; or end it, which rolls it back.",
            "certain",
            commands=tuple(case.way.sql(f"SELECT pg_terminate_backend({holder.pid})") for holder in idle[:5]),
            evidence=evidence,
            again=True,
        )
    return Answer(
        cause,
        "It is at work: run it when that session has finished; pg_cancel_backend() stops its statement, if it may be "
        "stopped.",
        "certain",
        commands=(case.way.sql("SELECT pid, usename, application_name, state, xact_start FROM pg_stat_activity WHERE "
                               f"pid IN ({', '.join(str(holder.pid) for holder in holders[:20])})"),),
        evidence=evidence,
        again=True,
    )  # fmt: skip


def deadlock(case: Case) -> Answer | None:
    """Two sessions that waited for one another; the other one may still be there."""
    holders = case.evidence.holders
    return Answer(
        "Two sessions each waited for a lock of the other, and PostgreSQL ended this one's transaction.",
        "Run it again, with less traffic on these tables; if it comes back, take the locks in the others' order (LOCK "
        "TABLE first).",
        "certain",
        evidence=tuple(str(holder) for holder in holders[:5]),
        again=True,
    )


def cancelled(case: Case) -> Answer | None:
    """A statement that was cancelled: by a person, by a time limit, by a standby's recovery."""
    message = case.said.message
    if "due to user request" in message:
        return Answer("Somebody cancelled the statement (Ctrl-C, or pg_cancel_backend).", "Run it again.", "certain",
                      again=True)  # fmt: skip
    if "statement timeout" in message or "transaction timeout" in message:
        facts = case.facts
        if facts is not None:
            for statement in facts.statements:
                found = re.search(
                    r"(?i)\b(statement_timeout|transaction_timeout)\s*(=|\bTO\b)\s*('[^']*'|\w+)", statement.sql
                )
                if found:
                    line = statement.span.line + statement.sql.count("\n", 0, found.start())
                    edit = case.way.edit(facts, line, found[0], f"{found[1]} {found[2]} 0")
                    return Answer(
                        f"The statement took longer than {facts.name}:{line} allows ({found[1]} = {found[3]}).",
                        "Give it more time there; 0 is no limit.",
                        "certain",
                        commands=(edit,) if edit else (),
                        again=bool(edit),
                    )
        setting = case.evidence.setting
        return Answer(
            "The statement took longer than a time limit allows"
            + (f": {setting.name} is {setting.value}, from {setting.source}." if setting else "."),
            "Raise statement_timeout for this role, or run it when there is less to do.",
            "certain",
            commands=(case.way.sql(setting.undo),) if setting and setting.undo else (),
            again=True,
        )
    if "autovacuum" in message:
        return Answer("An automatic VACUUM was cancelled, so that another session could have its lock: no harm.",
                      "Nothing is to be done.", "certain")  # fmt: skip
    if "conflict with recovery" in message:
        return Answer("The server is a standby, and what it replays took away what the query reads.",
                      "Run it on the primary.", "certain")  # fmt: skip
    return None


def read_only(case: Case) -> Answer | None:
    """A session that may not write: a standby, a setting, or the file's own transaction."""
    setting = case.evidence.setting
    if setting is not None and setting.name == "in_recovery":
        return Answer("The server is a standby: it replays another server's changes and takes none of its own.",
                      "Connect to the primary; target_session_attrs=read-write in the connection string finds it.",
                      "certain")  # fmt: skip
    if setting is not None:
        return Answer(
            f"The transaction is read-only: {setting.name} is {setting.value}, from {setting.source}.",
            "Take the setting away, if this database is to be changed; or connect to the one that is.",
            "certain",
            # The session that takes it away has to be let write first.
            commands=(case.way.sql(f"SET {setting.name} = off", setting.undo, together=False),) if setting.undo else (),
            again=bool(setting.undo),
        )
    return None


def slots(case: Case) -> Answer | None:
    """No connection is free: of the server, the database or the role."""
    message, found = case.said.message, case.evidence.slots
    whose = "The server"
    if named := re.search(r"too many connections for (database|role) \"([^\"]+)\"", message):
        whose = f"The {named[1]} {named[2]}"
    idle = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle' AND backend_type = 'client "
        "backend' "
        "AND pid <> pg_backend_pid()"
    )
    if named and named[1] == "database":
        idle += " AND datname = '" + named[2].replace("'", "''") + "'"
    return Answer(
        f"{whose} has reached its limit of connections"
        + (f": {found.used} of {found.limit} are taken, {found.idle} of them idle." if found else "."),
        "Close idle sessions (pg_stat_activity shows them), or raise the limit, then try again.",
        "certain",
        commands=(case.way.sql(idle),) if found and found.idle else (),
        again=True,
    )


def room(case: Case) -> Answer | None:
    """A limit of disk or memory that is reached."""
    setting = case.evidence.setting
    if setting is not None:
        return Answer(
            f"A sort or a hash needs more room on disk than {setting.name} allows: {setting.value}, from "
            f"{setting.source}.",
            "Raise it for this migration, or take the limit away.",
            "certain",
            commands=(case.way.sql(setting.undo),) if setting.undo else (),
            again=bool(setting.undo),
        )
    if "max_locks_per_transaction" in case.said.hint or "out of shared memory" in case.said.message:
        return Answer(
            "The transaction holds more locks than the server has room for.",
            "Raise max_locks_per_transaction (needs a restart), or part the file so that it touches fewer tables.",
            "certain",
            commands=(case.way.sql("ALTER SYSTEM SET max_locks_per_transaction = 256"),),
        )
    return None


def login(case: Case) -> Answer | None:
    """A login that the server does not accept."""
    message = case.said.message
    if found := re.search(r"role \"([^\"]+)\" does not exist", message):
        return Answer(f"There is no role {found[1]} on the server.",
                      "Name another user, or have an administrator create the role.", "certain")  # fmt: skip
    if found := re.search(r"role \"([^\"]+)\" is not permitted to log in", message):
        return Answer(f"The role {found[1]} has NOLOGIN.",
                      f"Connect as a role that may log in, and become this one by --role {found[1]}.",
                      "certain")  # fmt: skip
    if "no pg_hba.conf entry" in message or "pg_hba.conf rejects" in message:
        tls = re.search(r"no encryption|SSL off", message)
        return Answer(
            "pg_hba.conf has no rule that lets this user come to this database from here"
            + (" without encryption." if tls else "."),
            "Add sslmode=require to the connection string, or have an administrator add a rule."
            if tls
            else "Have an administrator add a rule to pg_hba.conf.",
            "certain",
        )
    if found := re.search(r"password authentication failed for user \"([^\"]+)\"", message):
        return Answer(
            f"The server knows no such user and password together ({found[1]}).",
            "Check user and password: in the connection string, PGPASSWORD or ~/.pgpass (mode 0600, first line that "
            "fits).",
            "certain",
        )
    return None


def unreachable(case: Case) -> Answer | None:
    """No server answers, or the connection broke."""
    message = case.said.message
    if re.search(
        r"could not translate host name|failed to resolve|Name or service not known|getaddrinfo|ENOTFOUND", message
    ):
        return Answer("The server's name has no address here.", "Check its spelling, and the network's name service.",
                      "certain")  # fmt: skip
    if re.search(r"Connection refused|ECONNREFUSED|No such file or directory", message):
        return Answer("Nothing listens at that address: the server does not run, or has another port.",
                      "Start it, or check host and port.", "certain", again=True)  # fmt: skip
    if re.search(r"timed? ?out|timeout expired|ETIMEDOUT", message):
        return Answer("Nobody answers at that address in time: a firewall, a wrong host, or a server that hangs.",
                      "Check host, port and the way there.", "likely", again=True)  # fmt: skip
    if re.search(r"certificate|SSL|TLS", message):
        return Answer("The two sides do not agree on encryption.",
                      "Check sslmode and sslrootcert in the connection string.", "likely")  # fmt: skip
    return None
