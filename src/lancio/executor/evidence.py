"""What does the live database know of an error?

Each class of error has its questions: who holds the lock, which rows stand in the way, what stands on the object,
which right is lacking. They are asked in one read-only transaction, each under a time limit; a question that is not
answered in time is named, never guessed. No other session's query is read, and of rows a number and sample keys alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from lancio.planner import locks
from lancio.planner.diagnosis import naming
from lancio.planner.diagnosis.model import Dependent, Evidence, Grant, Holder, Rows, Setting, Slots, Standing
from lancio.planner.rows import identifier
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lancio.planner.diagnosis.model import Said

LIMIT_MS = 2000
"""Milliseconds that one question may take."""

COUNTED = 10_000
"""Rows that are counted exactly; beyond it is "more than"."""

SAMPLES = 5

Row = dict[str, Any]

NAME = r"(?:[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\"(?:[^\"]|\"\")+\")"
FULL = rf"{NAME}(?:\.{NAME})?"


def gather(connection: psycopg.Connection[Any], said: Said, *, sql: str = "") -> Evidence:
    """Ask what bears on an error. `sql` is the statement that failed, only where it comes from a file that was run:
    conditions are taken out of it and sent to the server. Nothing is changed, and nothing raised.

    `connection` must be in no transaction.
    """
    asker = _Asker(connection, said, sql)
    try:
        with connection.transaction():
            connection.execute("SET TRANSACTION READ ONLY")
            connection.execute(f"SET LOCAL statement_timeout = {LIMIT_MS}")
            connection.execute("SET LOCAL lock_timeout = 500")
            who = asker.ask("who")
            if not who:
                return Evidence()
            asker.found = Evidence(**who[0])
            for question in _QUESTIONS.get(said.sqlstate, ()):
                asker.named = question.__name__.strip("_")
                question(asker)
    except psycopg.Error:
        # What cannot be asked is not known; the error itself is told in any case.
        return asker.found
    return replace(asker.found, unfinished=tuple(dict.fromkeys(asker.unfinished)))


@dataclass
class _Asker:
    connection: psycopg.Connection[Any]
    said: Said
    sql: str
    found: Evidence = field(default_factory=Evidence)
    unfinished: list[str] = field(default_factory=list)
    named: str = ""

    @property
    def statement(self) -> str:
        """The statement that failed; inside a routine the one there. Empty where no file was run."""
        return (self.said.inner or self.sql) if self.sql else ""

    def ask(self, name: str, *parameters: object) -> list[Row]:
        return self.send(named_queries("lancio.executor", "evidence.sql")[name], *parameters)

    def send(self, query: str, *parameters: object) -> list[Row]:
        """The answer; nothing where the server refuses the question, which is noted where time ran out."""
        try:
            with self.connection.transaction(), psycopg.RawCursor(self.connection, row_factory=dict_row) as cursor:
                return cursor.execute(query.encode(), parameters).fetchall()
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
            if error.sqlstate in ("57014", "55P03"):
                self.unfinished.append(_SAYS.get(self.named, self.named))
            return []

    def note(self, **fields: object) -> None:
        self.found = replace(self.found, **fields)  # type: ignore[arg-type]

    def relation(self, name: str) -> Row | None:
        """A relation by its full name as SQL, else by its bare name where only one has it."""
        rows = self.ask("relation", name)
        if not rows and "." not in name:
            called = self.ask("relations_called", name.strip('"'))
            rows = called if len(called) == 1 else []
        return rows[0] if rows else None


# --- what is missing, what is there -----------------------------------------------------------------------------------


def _names(asker: _Asker) -> None:
    thing = naming.missing(asker.said.message)
    if thing is None:
        return
    if thing.kind == "column":
        schema, _, table = thing.of.rpartition(".")
        rows = asker.ask("columns", table, schema) if table else []
    elif thing.kind in naming.ROUTINES:
        found = asker.ask("functions", naming.bare(thing.name).rpartition(".")[2])
        asker.note(functions=tuple(row["name"] for row in found))
        return
    else:
        query = {"type": "types", "domain": "types", "schema": "schemas", "role": "roles"}.get(thing.kind)
        query = query or ("relations" if thing.kind in naming.RELATIONS else None)
        rows = asker.ask(query) if query else []
    asker.note(names=tuple(row["name"] for row in rows))


def _standing(asker: _Asker) -> None:
    thing = naming.present(asker.said.message)
    if thing is None:
        return
    bare = thing.name.rpartition(".")[2] if "." in thing.name else thing.name
    if thing.kind == "column":
        _column(asker, thing.name, thing.of)
    elif thing.kind in naming.RELATIONS:
        _relation(asker, thing.name)
    else:
        rows = asker.ask("object", thing.kind, bare, thing.of)
        if len(rows) != 1:
            return  # several of one name: which one is meant is not known
        row = rows[0]
        stands = asker.ask("stands_on", f"pg_catalog.{row['catalog']}", row["oid"], -1)
        dependents = tuple(_described(each["said"]) for each in stands)
        if row["kind"] == "schema":
            inside = asker.ask("in_schema", row["oid"])
            if not inside or inside[0]["number"]:
                dependents = dependents or (Dependent("something in it", ""),)
        drop = row["drop"].replace("%s", row["name"])
        if drop:
            asker.note(standing=Standing(row["kind"], row["name"], -1, dependents, drop))


def _relation(asker: _Asker, name: str) -> None:
    wanted = re.search(rf"(?i)(?:{NAME}\.)?\"?{re.escape(name)}\"?(?![\w$])", asker.statement)
    row = asker.relation(wanted[0]) if wanted else None
    row = row or asker.relation(identifier(name))
    if row is None:
        return
    kinds = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table", "S": "sequence",
             "i": "index", "I": "index"}  # fmt: skip
    kind = kinds.get(row["kind"])
    if kind is None:
        return
    stands = tuple(_described(each["said"]) for each in asker.ask("stands_on", "pg_catalog.pg_class", row["oid"], -1))
    rows = -1
    if kind == "index":
        (index,) = asker.ask("index", row["oid"]) or [{"constrains": True}]
        if index["constrains"]:
            return
    elif kind in ("table", "materialized view"):
        counted = asker.send(f"SELECT count(*) AS n FROM (SELECT 1 FROM {row['name']} LIMIT 1000) AS c")
        if not counted:
            return
        rows = counted[0]["n"]
    elif kind in ("foreign table", "sequence"):
        return
    asker.note(standing=Standing(kind, row["name"], rows, stands, f"DROP {kind.upper()} {row['name']}"))


def _column(asker: _Asker, name: str, table: str) -> None:
    row = _table_in_statement(asker, table)
    if row is None:
        return
    column = asker.ask("column", row["oid"], name)
    if not column:
        return
    quoted = column[0]["name"]
    counted = asker.send(f"SELECT count({quoted}) AS n FROM (SELECT {quoted} FROM {row['name']} "
                         f"WHERE {quoted} IS NOT NULL LIMIT 1000) AS c")  # fmt: skip
    if not counted:
        return
    stands = asker.ask("stands_on", "pg_catalog.pg_class", row["oid"], column[0]["number"])
    dependents = tuple(_described(each["said"]) for each in stands)
    drop = f"ALTER TABLE {row['name']} DROP COLUMN {quoted}"
    asker.note(standing=Standing("column", row["name"], counted[0]["n"], dependents, drop))


def _table_in_statement(asker: _Asker, table: str) -> Row | None:
    """A table that a message names without its schema: as the statement writes it, else the only one of that name."""
    written = re.search(rf"(?i)(?:{NAME}\.)\"?{re.escape(table)}\"?(?![\w$])", asker.statement)
    row = asker.relation(written[0]) if written else None
    return row or asker.relation(identifier(table))


def _described(said: str) -> Dependent:
    kind, _, name = said.partition(" ")
    return Dependent(kind, name)


def _primary_key(asker: _Asker) -> None:
    found = re.match(rf"multiple primary keys for table {naming.QUOTED}", asker.said.message)
    rows = asker.ask("primary_key", found[1]) if found else []
    if len(rows) == 1:
        row = rows[0]
        stands = tuple(Dependent("foreign key", each) for each in row["stands"])
        drop = f"ALTER TABLE {row['table']} DROP CONSTRAINT {row['name']}"
        asker.note(standing=Standing("primary key", row["name"], -1, stands, drop))


_DEPENDS = re.compile(r"^(?:rule \S+ on )?(view|materialized view|[a-z ]+?) (\S+|\"[^\"]+\") depends on ", re.MULTILINE)


def _dependents(asker: _Asker) -> None:
    """Those that PostgreSQL's DETAIL names: views with what makes them anew, all others by name."""
    found = _DEPENDS.findall(asker.said.detail)
    if not found:
        return
    views = [name for kind, name in found if kind.endswith("view")]
    others = [Dependent(kind, name) for kind, name in found if not kind.endswith("view")]
    rows = asker.ask("views_on", views) if views else []
    known = tuple(Dependent(row["kind"], row["name"], row["definition"] or "") for row in rows)
    asker.note(dependents=(*known, *others))


def _on_function(asker: _Asker) -> None:
    hinted = re.search(r"Use DROP (?:FUNCTION|PROCEDURE|ROUTINE) ([^(]+)\(", asker.said.hint)
    if not hinted:
        return
    rows = asker.ask("object", "function", hinted[1].rpartition(".")[2].strip('"'), "")
    if len(rows) == 1:
        stands = asker.ask("stands_on", "pg_catalog.pg_proc", rows[0]["oid"], -1)
        asker.note(dependents=tuple(_described(row["said"]) for row in stands))


def _on_view(asker: _Asker) -> None:
    made = re.search(rf"(?is)\bVIEW\s+({FULL})", asker.statement)
    row = asker.relation(made[1]) if made else None
    if row is None:
        return
    rows = asker.ask("views_on", [row["name"]])
    others = [each for each in rows if each["name"] != row["name"]]
    asker.note(dependents=tuple(Dependent(each["kind"], each["name"], each["definition"] or "") for each in others))


def _invalid(asker: _Asker) -> None:
    if re.search(r"(?i)\bconcurrently\b", asker.statement):
        asker.note(invalid=tuple(row["name"] for row in asker.ask("invalid")))


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows(asker: _Asker) -> None:
    """The rows that stand in the way, where a statement over a whole table failed."""
    said = asker.said
    name = ".".join(identifier(part) for part in (said.schema, said.table) if part)
    if not name and not (name := _altered(asker.statement)):
        return
    row = asker.relation(name)
    if row is None or row["kind"] not in ("r", "p", "m"):
        return
    names = {each["name"]: each for each in asker.ask("names_of", row["oid"])}
    keys = asker.ask("key", row["oid"])
    condition, copy = _condition(asker, row, names, [each["name"] for each in keys])
    if not condition:
        return
    counted = asker.send(f"SELECT count(*) AS n FROM (SELECT 1 FROM {row['name']} AS t WHERE {condition} "
                         f"LIMIT {COUNTED + 1}) AS c")  # fmt: skip
    if not counted:
        return
    count = counted[0]["n"]
    total = asker.send(f"SELECT count(*) AS n FROM (SELECT 1 FROM {row['name']} LIMIT 1000001) AS c")
    copies = asker.send(f"SELECT count(*) AS n FROM {row['name']} AS t WHERE {copy}") if copy else []
    sample: tuple[str, ...] = ()
    if keys and all(each["plain"] for each in keys) and count:
        listed = ", ".join(f"t.{each['name']}::text" for each in keys)
        order = ", ".join(f"t.{each['name']}" for each in keys)
        shown = asker.send(f"SELECT concat_ws('/', {listed}) AS key FROM {row['name']} AS t WHERE {condition} "
                           f"ORDER BY {order} LIMIT {SAMPLES}")  # fmt: skip
        sample = tuple(each["key"] for each in shown)
    referenced = asker.ask("referenced", row["oid"])
    asker.note(
        rows=Rows(
            table=row["name"],
            count=min(count, COUNTED),
            more=count > COUNTED,
            total=total[0]["n"] if total and total[0]["n"] <= 1_000_000 else -1,
            condition=condition,
            key=tuple(each["name"] for each in keys),
            sample=sample,
            default=bool(names.get(said.column, {}).get("filled")),
            copies=copies[0]["n"] if copies else 0,
            copy=copy,
            referenced=not referenced or referenced[0]["yes"],
        )
    )


def _condition(asker: _Asker, row: Row, names: Mapping[str, Row], key: Sequence[str]) -> tuple[str, str]:
    """SQL over `t` for the rows in question, and for those that are copies of another row."""
    said, sql = asker.said, asker.statement
    state = said.sqlstate
    if state == "23502" and "contains null values" in said.message and said.column in names:
        return f"{names[said.column]['quoted']} IS NULL", ""
    if state == "23505" and said.message.startswith("could not create unique index"):
        return _shared(said, sql, names, row["name"], key)
    definition = _definition(asker, row)
    if state == "23514" and "is violated by some row" in said.message:
        inside = bracketed(definition, "CHECK")
        return (f"NOT ({inside})" if inside else ""), ""
    if state == "23503" and said.message.startswith("insert or update on table"):
        return _orphans(asker, definition, names), ""
    if state == "23P01":
        return _excluded(definition, row["name"], names, key), ""
    if state[:2] == "22":
        return _unfit(asker, sql, names), ""
    return "", ""


def _definition(asker: _Asker, row: Row) -> str:
    """The constraint as the catalog has it; one that the failed statement would have added, as that has it."""
    name = asker.said.constraint
    found = asker.ask("constraint", row["oid"], name) if name else []
    if found:
        return str(found[0]["definition"])
    sql = asker.statement
    written = re.search(rf"(?is)\bCONSTRAINT\s+\"?{re.escape(name)}\"?\s+(.*)", sql) if name else None
    return written[1] if written else sql


def bracketed(sql: str, word: str) -> str:
    """What stands in the brackets behind a word, strings and inner brackets taken whole; empty where there are none."""
    found = re.search(rf"(?i)\b{word}\s*\(", sql)
    if not found:
        return ""
    depth, at = 1, found.end()
    while at < len(sql) and depth:
        char = sql[at]
        if char in "'\"":
            end = sql.find(char, at + 1)
            if end < 0:
                return ""
            at = end
        elif char in "()":
            depth += 1 if char == "(" else -1
        at += 1
    return sql[found.end() : at - 1].strip() if not depth else ""


def _shared(said: Said, sql: str, names: Mapping[str, Row], table: str, key: Sequence[str]) -> tuple[str, str]:
    columns = re.match(r"Key \((.*?)\)=", said.detail)
    wanted = [each.strip().strip('"') for each in columns[1].split(",")] if columns else []
    if not wanted or any(each not in names for each in wanted):
        return "", ""
    quoted = [names[each]["quoted"] for each in wanted]
    where = re.search(r"(?is)\bWHERE\b(.+?);?\s*\Z", sql) if re.search(r"(?i)\bINDEX\b", sql) else None
    some = f" WHERE ({where[1].strip()})" if where else ""
    listed = ", ".join(quoted)
    condition = f"({listed}) IN (SELECT {listed} FROM {table}{some} GROUP BY {listed} HAVING count(*) > 1)"
    if where:
        condition += f" AND ({where[1].strip()})"
    others = [each["quoted"] for each in names.values() if each["quoted"] not in key]
    if not key or set(quoted) & set(key) or where:
        return condition, ""
    same = " AND ".join(f"o.{each} = t.{each}" for each in quoted)
    alike = " AND ".join(f"o.{each} IS NOT DISTINCT FROM t.{each}" for each in others if each not in quoted)
    before = f"({', '.join(f'o.{each}' for each in key)}) < ({', '.join(f't.{each}' for each in key)})"
    copy = f"EXISTS (SELECT FROM {table} AS o WHERE {same}{' AND ' + alike if alike else ''} AND {before})"
    return condition, copy


def _orphans(asker: _Asker, definition: str, names: Mapping[str, Row]) -> str:
    columns = bracketed(definition, r"FOREIGN\s+KEY")
    parent = re.search(rf"(?is)\bREFERENCES\s+({FULL})\s*(?:\(([^()]*)\))?", definition)
    if not columns or not parent:
        return ""
    own = [each.strip().strip('"') for each in columns.split(",")]
    other = asker.relation(parent[1])
    if other is None or any(each not in names for each in own):
        return ""
    theirs = [each.strip() for each in (parent[2] or "").split(",") if each.strip()]
    theirs = theirs or [each["name"] for each in asker.ask("key", other["oid"])]
    known = {each["name"] for each in asker.ask("names_of", other["oid"])}
    if len(theirs) != len(own) or any(each.strip('"') not in known for each in theirs):
        return ""
    full = " AND ".join(f"t.{names[each]['quoted']} IS NOT NULL" for each in own)
    pairs = " AND ".join(f"p.{there} = t.{names[here]['quoted']}" for here, there in zip(own, theirs, strict=True))
    return f"{full} AND NOT EXISTS (SELECT FROM {other['name']} AS p WHERE {pairs})"


def _excluded(definition: str, table: str, names: Mapping[str, Row], key: Sequence[str]) -> str:
    inside = bracketed(definition, r"EXCLUDE(?:\s+USING\s+\w+)?")
    parts = [re.fullmatch(r"\s*\"?([\w$]+)\"?(?:\s+\w+_ops)?\s+WITH\s+([-+*/<>=~!@#%^&|`?]+)\s*", each)
             for each in inside.split(",")]  # fmt: skip
    if not inside or any(each is None or each[1] not in names for each in parts):
        return ""
    pairs = " AND ".join(
        f"o.{names[each[1]]['quoted']} {each[2]} t.{names[each[1]]['quoted']}" for each in parts if each
    )
    other = (
        f"({', '.join(f'o.{each}' for each in key)}) <> ({', '.join(f't.{each}' for each in key)})"
        if key
        else ("o.ctid <> t.ctid")
    )
    return f"EXISTS (SELECT FROM {table} AS o WHERE {other} AND {pairs})"


_CHANGES = re.compile(
    rf"(?is)\bALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?({FULL})\s+ALTER\s+(?:COLUMN\s+)?({NAME})\s+"
    r"(?:SET\s+DATA\s+)?TYPE\s+([\w\" ]+?(?:\s*\(\s*[\d\s,]+\))?(?:\[\])?)\s*(?:USING\b.*)?;?\s*\Z"
)


def _altered(sql: str) -> str:
    """The table whose column a statement gives another type."""
    found = _CHANGES.search(sql)
    return found[1] if found else ""


def _unfit(asker: _Asker, sql: str, names: Mapping[str, Row]) -> str:
    found = _CHANGES.search(sql)
    column = found[2].strip('"') if found else ""
    if not found or column not in names:
        return ""
    quoted, type_ = names[column]["quoted"], found[3].strip()
    if asker.said.sqlstate == "22001":
        size = re.search(r"\((\d+)\)", type_)
        return f"length({quoted}::text) > {size[1]}" if size else ""
    bare = type_.lower()
    if asker.found.version >= 160000:
        return f"{quoted} IS NOT NULL AND NOT pg_input_is_valid({quoted}::text, '{type_.replace(chr(39), '')}')"
    if bare in ("int", "integer", "int4", "bigint", "int8", "smallint", "int2"):
        if asker.said.sqlstate == "22003":
            most = {"s": 32767, "i": 2147483647, "b": 9223372036854775807}["s" if "2" in bare or bare[0] == "s" else (
                "b" if "8" in bare or bare[0] == "b" else "i")]  # fmt: skip
            return f"{quoted}::numeric NOT BETWEEN -{most} - 1 AND {most}"
        return f"{quoted}::text !~ '^\\s*[-+]?[0-9]+\\s*$'"
    if bare == "uuid":
        return f"{quoted}::text !~* '^[{{]?[0-9a-f]{{8}}-?([0-9a-f]{{4}}-?){{3}}[0-9a-f]{{12}}[}}]?$'"
    return ""


# --- sessions ---------------------------------------------------------------------------------------------------------


def _holders(asker: _Asker) -> None:
    """Who holds a lock that conflicts with the one that the statement wants, on a relation that it names."""
    named = re.search(rf"on relation {naming.QUOTED}", asker.said.message)
    sql = asker.statement
    relations = list(dict.fromkeys(re.findall(FULL, re.sub(r"'(?:[^']|'')*'", "''", sql))))[:300]
    if named:
        relations.append(identifier(named[1]))
    if not relations:
        rows = asker.ask("blocking")
    else:
        wanted = requested(sql)
        modes = [locks.in_pg_locks(mode) for mode in locks.CONFLICTS[locks.spoken(wanted)]]
        if wanted == "RowExclusiveLock":
            modes = ["RowExclusiveLock", *modes]  # a row's lock shows in the lock of its table
        rows = asker.ask("holders", relations, modes)
    asker.note(holders=tuple(_holder(row) for row in rows))


def requested(sql: str) -> str:
    """The lock mode that a statement asks for on the tables it names, as its opening words tell."""
    words = re.sub(r"\s+", " ", sql.strip()).upper()
    named = re.search(r"\bIN ((?:ACCESS |ROW |SHARE )*(?:SHARE|EXCLUSIVE|UPDATE EXCLUSIVE)(?: EXCLUSIVE)?) MODE", words)
    if words.startswith("LOCK") and named:
        return "".join(word.capitalize() for word in named[1].split()) + "Lock"
    if words.startswith(("CREATE INDEX CONCURRENTLY", "CREATE UNIQUE INDEX CONCURRENTLY", "ANALYZE", "COMMENT")) or (
        words.startswith(("VACUUM", "DROP INDEX CONCURRENTLY", "REINDEX")) and "FULL" not in words[:16]
    ):
        return "ShareUpdateExclusiveLock"
    if "VALIDATE CONSTRAINT" in words and words.startswith("ALTER TABLE"):
        return "ShareUpdateExclusiveLock"
    if words.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX")):
        return "ShareLock"
    if words.startswith("CREATE TRIGGER") or (
        "REFERENCES" in words and words.startswith(("ALTER TABLE", "CREATE TABLE"))
    ):
        return "ShareRowExclusiveLock"
    if words.startswith(("INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "COPY")):
        return "RowExclusiveLock"
    if words.startswith("SELECT"):
        return "RowShareLock" if " FOR " in words else "AccessShareLock"
    return "AccessExclusiveLock"


def _holder(row: Row) -> Holder:
    mode = re.sub(r"(?<!^)(?=[A-Z])", " ", row["mode"].removesuffix("Lock")).upper()
    return Holder(row["pid"], row["user"], row["application"], row["state"], row["seconds"], row["relation"], mode)


def _processes(asker: _Asker) -> None:
    """The other sessions of a deadlock; numbers out of a text from elsewhere may mean other processes by now."""
    if asker.sql:
        pids = sorted({int(each) for each in re.findall(r"\bprocess (\d{1,9})", asker.said.detail, re.IGNORECASE)})
        asker.note(holders=tuple(_holder(row) for row in asker.ask("processes", pids)))


def _database_users(asker: _Asker) -> None:
    _holders(asker)


# --- rights -----------------------------------------------------------------------------------------------------------

_VERBS = (
    ("INSERT", r"\bINSERT\s+INTO\b"), ("UPDATE", r"\bUPDATE\b(?!\s+OF\b)"), ("DELETE", r"\bDELETE\s+FROM\b"),
    ("TRUNCATE", r"\bTRUNCATE\b"), ("REFERENCES", r"\bREFERENCES\b"), ("TRIGGER",
    r"\bCREATE\s+(?:OR\s+REPLACE\s+)?TRIGGER"),
    ("SELECT", r"\bSELECT\b|\bFROM\b|\bRETURNING\b|\bWHERE\b"),
)  # fmt: skip


def _rights(asker: _Asker) -> None:
    message, sql = asker.said.message, asker.statement
    if owner := re.match(r"must be owner of (?:(\w+(?: \w+)?) )?(\S+)$", message):
        _owner(asker, owner[1] or "", owner[2].strip('"'))
        return
    denied = re.match(r"permission denied for ([a-z ]+?) (\S+)$", message)
    if not denied:
        return
    kind, name = denied[1], denied[2].strip('"')
    grants: list[Grant] = []
    if kind == "schema":
        for row in asker.ask("schema_rights", name):
            wants = "CREATE" if row["usage"] and not row["make"] else "USAGE"
            both = not row["usage"] and not row["make"] and re.match(r"(?is)\s*CREATE\b", sql)
            privilege = "USAGE, CREATE" if both else wants
            grants.append(Grant(privilege, f"SCHEMA {row['name']}", row["owner"], row["grantable"]))
    elif kind == "database":
        grants = [Grant("CREATE", f"DATABASE {row['name']}", row["owner"], row["grantable"])
                  for row in asker.ask("database_rights", name)]  # fmt: skip
    elif kind in ("function", "procedure", "aggregate", "routine"):
        grants = [Grant("EXECUTE", f"FUNCTION {row['name']}", row["owner"], row["grantable"])
                  for row in asker.ask("routine_rights", name.rpartition(".")[2]) if not row["may"]]  # fmt: skip
    elif kind in ("table", "relation", "view", "sequence", "materialized view", "foreign table"):
        grants = _on_relations(asker, name)
    asker.note(grants=tuple(grants))


def _on_relations(asker: _Asker, name: str) -> list[Grant]:
    sql = asker.statement
    candidates = asker.ask("relations_called", name)
    written = [row for row in candidates if row["name"].replace('"', "") in sql.replace('"', "")]
    grants = []
    for row in (written or candidates)[:1]:
        if row["kind"] == "S":
            for privilege in ("USAGE", "SELECT"):
                if asker.ask("lacks_sequence", row["oid"], privilege)[0]["lacks"]:
                    grants.append(Grant(privilege, f"SEQUENCE {row['name']}", row["owner"], row["grantable"]))
                    break
            continue
        wanted = [verb for verb, pattern in _VERBS if re.search(pattern, sql, re.IGNORECASE)] or ["SELECT"]
        lacking = [verb for verb in wanted if asker.ask("lacks", row["oid"], verb)[0]["lacks"]]
        if lacking:
            grants.append(Grant(", ".join(lacking), f"TABLE {row['name']}", row["owner"], row["grantable"]))
    return grants


def _owner(asker: _Asker, kind: str, name: str) -> None:
    rows: list[Row] = []
    if kind in ("", "table", "relation", "view", "sequence", "index", "materialized view", "foreign table"):
        rows = asker.ask("relations_called", name.rpartition(".")[2])
    elif kind == "schema":
        rows = asker.ask("schema_rights", name)
    elif kind in ("function", "procedure", "aggregate"):
        rows = asker.ask("routine_rights", name.rpartition(".")[2].split("(")[0])
    elif kind in ("type", "domain"):
        rows = asker.ask("type_owner", name.rpartition(".")[2])
    elif kind == "database":
        rows = asker.ask("database_rights", name)
    owners = {row["owner"] for row in rows}
    if len(owners) == 1:
        asker.note(owner=owners.pop(), owner_of=f"{kind} {name}".strip())


# --- settings and resources -------------------------------------------------------------------------------------------


def _setting(asker: _Asker, name: str, idle: Sequence[str]) -> None:
    rows = asker.ask("setting", name)
    if not rows or rows[0]["value"] in idle:
        return
    source = rows[0]["source"]
    database, user = identifier(asker.found.database), identifier(asker.found.login)
    says, undo = {
        "database": (f"the database {database}", f"ALTER DATABASE {database} RESET {name}"),
        "user": (f"the role {user}", f"ALTER ROLE {user} RESET {name}"),
        "database user": (
            f"the role {user} in this database",
            f"ALTER ROLE {user} IN DATABASE {database} RESET {name}",
        ),
        "configuration file": ("the server's configuration", ""),
        "client": ("the connection's own options", ""),
    }.get(source, ("", ""))
    if says:
        asker.note(setting=Setting(name, rows[0]["value"], says, undo))


def _writable(asker: _Asker) -> None:
    rows = asker.ask("recovery")
    if rows and rows[0]["yes"]:
        asker.note(setting=Setting("in_recovery", "on", "the server"))
        return
    _setting(asker, "default_transaction_read_only", ("off",))


def _temporary(asker: _Asker) -> None:
    if "temp_file_limit" in asker.said.message or "temporary file" in asker.said.message:
        _setting(asker, "temp_file_limit", ("-1kB", "-1"))


def _time(asker: _Asker) -> None:
    if "statement timeout" in asker.said.message:
        _setting(asker, "statement_timeout", ("0ms", "0"))


def _slots(asker: _Asker) -> None:
    database = re.search(r"too many connections for database \"([^\"]+)\"", asker.said.message)
    for row in asker.ask("slots", database[1] if database else ""):
        asker.note(slots=Slots(row["used"], row["limit"], row["idle"]))


_SAYS = {"rows": "the rows that stand in the way", "holders": "who holds the lock", "standing": "what is in it",
         "names": "what there is of that kind", "rights": "the rights"}  # fmt: skip

_QUESTIONS: Mapping[str, tuple[Callable[[_Asker], None], ...]] = {
    "42P01": (_names,), "42703": (_names,), "42883": (_names,), "42704": (_names,), "3F000": (_names,),
    "P0001": (_names,), "22023": (_names,),
    "42P07": (_standing, _invalid), "42P06": (_standing,), "42710": (_standing,), "42701": (_standing,),
    "42723": (_standing,),
    "42P13": (_on_function,), "42P16": (_primary_key, _on_view), "2BP01": (_dependents,), "0A000": (_dependents,),
    "23502": (_rows,), "23503": (_rows,), "23505": (_rows, _invalid), "23514": (_rows,), "23P01": (_rows,),
    "22P02": (_rows,), "22001": (_rows,), "22003": (_rows,), "22007": (_rows,), "22008": (_rows,),
    "55P03": (_holders, _invalid), "40P01": (_processes, _invalid), "55006": (_database_users,),
    "42501": (_rights,), "25006": (_writable,), "53400": (_temporary,), "57014": (_time, _invalid), "53300": (_slots,),
}  # fmt: skip
"""What is asked for each SQLSTATE."""
