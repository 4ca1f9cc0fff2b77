"""What did the server say, in a text that psql, a log, a driver or another tool printed?

Forms that are taken apart: psql (with `file:line:` before it, verbose or not), the server's log (stderr, csvlog,
jsonlog), psycopg, SQLAlchemy, Django, asyncpg, node-postgres, Prisma, Rails, JDBC (Flyway, Liquibase), pgx and lib/pq
with the tools above them, Npgsql, PDO, Ecto, and Lancio's own JSON. Where a text bears no SQLSTATE, PostgreSQL's
sentence tells it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, replace
from typing import Any

from lancio.planner.diagnosis.languages import WORDS, english
from lancio.planner.diagnosis.model import Said

STATE = re.compile(r"[0-9A-Z]{5}")
LONGEST, WIDEST = 200_000, 8_000
"""Characters of a text that are looked at, and of one of its lines; JSON is read whole."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What a text says: the server's words, and the file and line that it names. `found` is whether anything in it was
    recognized as an error of PostgreSQL's."""

    said: Said
    file: str = ""
    line: int = 0
    statement: str = ""
    found: bool = False
    original: str = ""  # the message as it stood, where it was in another language
    at: int = 0  # the line of the statement that `LINE n:` names, counted from 1
    caret: int = -1  # the column under which a caret stands there, counted from 0


# psql and libpq print no SQLSTATE unless asked to; PostgreSQL's sentence tells it as well.
_STATES = tuple(
    (re.compile(pattern), state)
    for pattern, state in (
        (r"^could not open extension control file", "58P01"),
        (r"^extension .* is not available", "0A000"),
        (r"^database .*does not exist", "3D000"),
        (r"^(?:prepared statement|cursor) .*does not exist", "26000"),
        (r"^column .*does not exist", "42703"),
        (r"^(?:relation|table|view|sequence|index|materialized view|foreign table) (?!or view).*does not exist",
         "42P01"),
        (r"^missing FROM-clause entry for table|^invalid reference to FROM-clause entry", "42P01"),
        (r"^(?:function|procedure|aggregate|operator) .*does not exist", "42883"),
        (r"^could not find a (?:function|procedure|aggregate) named", "42883"),
        (r"^schema .*does not exist", "3F000"),
        (r"^no schema has been selected to create in", "3F000"),
        (r"^(?:extension|type|role|policy|trigger|language|collation|rule|constraint|publication|subscription|server"
         r"|tablespace|data type|index|text search|user mapping|event trigger|access method|operator class|unrecognized"
         r" configuration parameter) .*does not exist", "42704"),
        (r"^unrecognized configuration parameter", "42704"),
        (r"^relation .*already exists", "42P07"),
        (r"^schema .*already exists", "42P06"),
        (r"^database .*already exists", "42P04"),
        (r"^column .*(?:already exists|specified more than once)", "42701"),
        (r"^(?:function|procedure|aggregate) .*already exists", "42723"),
        (r"already exists(?: with same argument types)?$", "42710"),
        (r"^no schema privilege|^permission denied|^must be (?:owner|superuser|member)|violates row-level security"
         r"|would be affected by row-level security|^only superuser can", "42501"),
        (r"^syntax error|^unterminated |^invalid command \\", "42601"),
        (r"^INSERT has more (?:expressions|target columns)|^each \w+ query must have the same number of columns",
         "42601"),
        (r"^duplicate key value|^could not create unique index", "23505"),
        (r"contains null values|violates not-null constraint", "23502"),
        (r"violates foreign key constraint|violates RESTRICT setting", "23503"),
        (r"violates check constraint|is violated by some row|^no partition of relation", "23514"),
        (r"conflicting key value violates exclusion constraint|^could not create exclusion constraint", "23P01"),
        (r"due to lock timeout|^could not obtain lock", "55P03"),
        (r"^deadlock detected", "40P01"),
        (r"^could not serialize access", "40001"),
        (r"cannot run inside a transaction block|cannot be executed from a function|must be called before any query",
         "25001"),
        (r"in a read-only transaction", "25006"),
        (r"^cannot execute .* during recovery", "25006"),
        (r"^current transaction is aborted", "25P02"),
        (r"^canceling statement|^canceling autovacuum", "57014"),
        (r"^terminating connection due to (?:administrator command|conflict|idle-session)", "57P01"),
        (r"^terminating connection due to idle-in-transaction", "25P03"),
        (r"^terminating connection because of crash", "57P02"),
        (r"database system is (?:starting up|shutting down|in recovery|not (?:yet )?accepting)"
         r"|not yet accepting connections", "57P03"),
        (r"too many clients already|^remaining connection slots|^too many connections for|sorry, too many clients",
         "53300"),
        (r"^could not (?:extend|write|create) .*No space left on device|No space left on device", "53100"),
        (r"^out of (?:shared )?memory|^memory exhausted", "53200"),
        (r"^temporary file size exceeds", "53400"),
        (r"^cannot (?:drop|alter) .*because (?:other objects|extension|.*requires it|.*depend)", "2BP01"),
        (r"^role .*cannot be dropped because some objects depend on it", "2BP01"),
        (r"^cannot alter type of a column used", "0A000"),
        (r"^invalid input (?:syntax|value) for|^malformed ", "22P02"),
        (r"^value too long for type", "22001"),
        (r"^(?:date/time|interval) field value out of range", "22008"),
        (r"out of range(?: for type \w+)?$|^numeric field overflow", "22003"),
        (r"^division by zero", "22012"),
        (r"^invalid byte sequence for encoding", "22021"),
        (r"^invalid value for parameter|requires a Boolean value$|^new encoding .* incompatible", "22023"),
        (r"cannot be cast automatically to type|but expression is of type|cannot be implemented$|could not convert type"
         r"|argument of .* must be type", "42804"),
        (r"^cannot cast type", "42846"),
        (r"^column reference .* is ambiguous", "42702"),
        (r"is not unique$", "42725"),
        (r"^could not determine (?:polymorphic|data) type", "42P18"),
        (r"must appear in the GROUP BY clause|aggregate functions are not allowed", "42803"),
        (r"^\S+ is not a (?:table|view|sequence|materialized view|procedure|index|foreign table)", "42809"),
        (r"^there is no unique constraint matching given keys", "42830"),
        (r"^there is no unique or exclusion constraint matching the ON CONFLICT", "42P10"),
        (r"^cannot change (?:return type|name of input parameter)", "42P13"),
        (r"^multiple primary keys|^cannot (?:drop columns from|change name of|change data type of) view", "42P16"),
        (r"must be marked IMMUTABLE|is not immutable$|^infinite recursion detected", "42P17"),
        (r"^unacceptable (?:schema|tablespace) name|^role name .* is reserved", "42939"),
        (r"^unsafe use of new value", "55P04"),
        (r"pending trigger events|is being accessed by other users|being used by active queries", "55006"),
        (r"has not been populated|concurrently$|not yet defined in this session|must be loaded via shared_preload",
         "55000"),
        (r"^cannot insert a non-DEFAULT value into column", "428C9"),
        (r"^more than one row returned by a subquery|cannot affect row a second time", "21000"),
        (r"^query returned no rows", "P0002"),
        (r"password authentication failed|^SCRAM authentication", "28P01"),
        (r"no pg_hba\.conf entry|pg_hba\.conf rejects|is not permitted to log in|^Peer authentication failed"
         r"|^Ident authentication failed|^no password supplied|^fe_sendauth", "28000"),
        (r"server closed the connection unexpectedly|[Cc]onnection reset|SSL connection has been closed"
         r"|EOF detected|[Cc]onnection terminated|unexpected EOF on client|broken pipe|connection is closed", "08006"),
        (r"[Cc]onnection refused|ECONNREFUSED|could not translate host name|failed to resolve|ENOTFOUND|timeout expired"
         r"|[Cc]onnection timed out|ETIMEDOUT|No route to host|could not connect to server|Is the server running"
         r"|connection to server .* failed", "08001"),
        (r"^stack depth limit exceeded", "54001"),
        (r"^(?:tables|target lists|views) can have at most|^cannot have more than", "54011"),
        (r"^invalid page in block|^could not read block", "XX001"),
        (r"^cache lookup failed|^could not find tuple", "XX000"),
    )
)  # fmt: skip

CONDITIONS = {
    "successful_completion": "00000", "connection_failure": "08006", "connection_exception": "08000",
    "feature_not_supported": "0A000", "invalid_grant_operation": "0LP01", "cardinality_violation": "21000",
    "data_exception": "22000", "string_data_right_truncation": "22001", "numeric_value_out_of_range": "22003",
    "invalid_datetime_format": "22007", "datetime_field_overflow": "22008", "division_by_zero": "22012",
    "character_not_in_repertoire": "22021", "invalid_parameter_value": "22023", "invalid_text_representation": "22P02",
    "restrict_violation": "23001", "not_null_violation": "23502", "foreign_key_violation": "23503",
    "unique_violation": "23505", "check_violation": "23514", "exclusion_violation": "23P01",
    "active_sql_transaction": "25001", "read_only_sql_transaction": "25006", "in_failed_sql_transaction": "25P02",
    "no_active_sql_transaction": "25P01", "invalid_sql_statement_name": "26000",
    "invalid_authorization_specification": "28000", "invalid_password": "28P01",
    "dependent_objects_still_exist": "2BP01",
    "invalid_catalog_name": "3D000", "invalid_schema_name": "3F000", "serialization_failure": "40001",
    "t_r_serialization_failure": "40001", "deadlock_detected": "40P01", "t_r_deadlock_detected": "40P01",
    "with_check_option_violation": "44000", "syntax_error": "42601", "insufficient_privilege": "42501",
    "cannot_coerce": "42846", "grouping_error": "42803", "windowing_error": "42P20", "invalid_foreign_key": "42830",
    "invalid_name": "42602", "name_too_long": "42622", "reserved_name": "42939", "datatype_mismatch": "42804",
    "indeterminate_datatype": "42P18", "wrong_object_type": "42809", "generated_always": "428C9",
    "undefined_column": "42703", "undefined_function": "42883", "undefined_table": "42P01",
    "undefined_parameter": "42P02", "undefined_object": "42704", "duplicate_column": "42701",
    "duplicate_database": "42P04", "duplicate_function": "42723", "duplicate_schema": "42P06",
    "duplicate_table": "42P07",
    "duplicate_alias": "42712", "duplicate_object": "42710", "ambiguous_column": "42702", "ambiguous_function": "42725",
    "invalid_column_reference": "42P10", "invalid_function_definition": "42P13", "invalid_table_definition": "42P16",
    "invalid_object_definition": "42P17", "insufficient_resources": "53000", "disk_full": "53100",
    "out_of_memory": "53200", "too_many_connections": "53300", "configuration_limit_exceeded": "53400",
    "statement_too_complex": "54001", "too_many_columns": "54011", "object_not_in_prerequisite_state": "55000",
    "object_in_use": "55006", "cant_change_runtime_param": "55P02", "lock_not_available": "55P03",
    "unsafe_new_enum_value_usage": "55P04", "query_canceled": "57014", "admin_shutdown": "57P01",
    "crash_shutdown": "57P02", "cannot_connect_now": "57P03", "database_dropped": "57P04", "io_error": "58030",
    "undefined_file": "58P01", "raise_exception": "P0001", "no_data_found": "P0002", "too_many_rows": "P0003",
    "assert_failure": "P0004", "internal_error": "XX000", "data_corrupted": "XX001", "index_corrupted": "XX002",
}  # fmt: skip
"""PostgreSQL's names of conditions (documentation, appendix A); drivers call their exceptions after them."""

_CAMEL = {name.replace("_", ""): state for name, state in CONDITIONS.items()}

_SEVERITY = "|".join(sorted({"ERROR", "FATAL", "PANIC", "WARNING", *WORDS["severity"]}, key=len, reverse=True))
_FIELDS = {
    word.upper(): field
    for field in ("detail", "hint", "context", "statement", "query", "location")
    for word in WORDS[field]
}
_WORDS = "|".join(re.escape(each) for each in sorted(_FIELDS, key=len, reverse=True))
_LINE = re.compile(
    rf"(?:^|[\s\]\)>:])(?P<word>{_SEVERITY}|{_WORDS})"
    r"[ \u00a0]?(?::|：)\s*(?P<rest>.*)$",
    re.IGNORECASE,
)
_LOUD = re.compile(rf"(?:^|[\s\]\)>:])(?:{_SEVERITY})[ \u00a0]?(?::|：)", re.MULTILINE)
"""A severity as PostgreSQL writes it; where there is one, a tool's own "Error:" is none."""
_ASIDE = re.compile(r"(?:LINE|ZEILE|LIGNE|LÍNEA|RIGA|СТРОКА|行)\s*\d+\s*[:：]|\s*\^|\[SQL:|\(Background|\s+at ")
"""A line that is no part of the server's words: the statement's own line, its caret, a stack."""
_PSQL = re.compile(r"\bpsql:(?P<file>(?:[A-Za-z]:)?[^:\n]{1,400}):(?P<line>\d{1,9}):\s")
_EXCEPTIONS = re.compile(
    r"\b(?:psycopg2?|asyncpg|PG|pg8000|postgres|errors|exceptions)(?:[.:]+\w+)*[.:]+(?P<name>[A-Z]\w+)"
)
_CODES = (
    re.compile(r"SQLSTATE[\s:=\[(]+([0-9A-Z]{5})\b"),
    re.compile(r"(?i:\bSQL ?state)\s*[:=]\s*([0-9A-Z]{5})\b"),
    re.compile(r"(?i:error code)\s*[:=]?\s*[`'\"]?([0-9A-Z]{5})\b"),
    re.compile(r"\bSqlState\(E?([0-9A-Z]{5})\)"),
    re.compile(r"\bcode\"?:\s*['\"]([0-9A-Z]{5})['\"]"),
    re.compile(r"PostgresException[^:]*:\s*([0-9A-Z]{5}):"),
    re.compile(r"Postgrex\.Error\)\s*(?:ERROR|FATAL)\s+([0-9A-Z]{5})\b"),
)
_WRAPPED = (
    # What stands before the server's own sentence, in the words of drivers and tools.
    r"psycopg2?(?:\.\w+)*\.\w+:\s*", r"\(psycopg2?(?:\.\w+)*\.\w+\)\s*", r"asyncpg(?:\.\w+)*\.\w+:\s*",
    r"sqlalchemy\.exc\.\w+:\s*", r"django\.db\.utils\.\w+:\s*", r"\(?pg8000[\w.]*\)?:?\s*", r"<class '[\w.]+'>:\s*",
    r"ActiveRecord::\w+:\s*", r"PG::\w+:\s*", r"(?:[\w.]+\.)?PSQLException:\s*", r"Caused by:\s*", r"pq:\s*",
    r"(?:[\w.]+\.)?PostgresException(?: \(0x[0-9A-Fa-f]+\))?:\s*(?:[0-9A-Z]{5}:\s*)?",
    r"error returned from database:\s*", r"\*\* \(Postgrex\.Error\)\s*",
    r"SQLSTATE\[\w+\]:?\s*(?:[A-Z][\w ]+:\s*)?\d*\s*",
    r"(?:Uncaught )?(?:PDOException|DatabaseError|QueryFailedError|error|Error|db error):\s*", r"migration failed:\s*",
    r"could not execute migration[^:]*:\s*", r"psql: error:\s*",
    r"connection to server (?:at|on socket) \"[^\"]*\"(?: \([^)]*\))?(?:, port \d+)? failed:\s*",
    r"connection failed:\s*",
    r"(?:ERROR|FATAL|PANIC|WARNING)\s*:?\s+(?:[0-9A-Z]{5}(?=[:\s(]))?:?\s*(?:\(\w+\)\s*)?",
)  # fmt: skip
_BEFORE = re.compile("|".join(_WRAPPED))


def read(text: str) -> Printed:
    """Take a printed error apart. The first error in the text counts: those behind it follow from it."""
    text = text.replace("\r\n", "\n").strip()
    if STATE.fullmatch(text) and any(char.isdigit() for char in text):
        return Printed(Said(text, ""), found=True)
    if found := _of_json(text):
        return found
    text = "\n".join(line[:WIDEST] for line in text[:LONGEST].split("\n"))
    return _of_csv(text) or _of_text(text)


def state_of(message: str) -> str:
    """The SQLSTATE that a sentence of PostgreSQL's, in English, belongs to; empty where it is none of those known."""
    for pattern, state in _STATES:
        if pattern.search(message):
            return state
    return ""


def _of_text(text: str) -> Printed:
    fields: dict[str, list[str]] = {}
    current = ""
    message = ""
    severe = False
    file, number = "", 0
    loud = _LOUD.search(text) is not None
    for line in text.split("\n"):
        placed = _PSQL.search(line)
        if placed and not file and not severe:
            file, number = placed["file"], int(placed["line"])
        found = _LINE.search(line)
        word = found["word"].upper() if found else ""
        rest = found["rest"] if found else ""
        if found and loud and word not in _FIELDS and found["word"] != word:
            strict = _LOUD.search(line)
            if strict is None:
                continue
            rest = line[strict.end() :].strip()
        if found and word in _FIELDS:
            current = _FIELDS[word]
            if current in fields and severe:
                current = ""
                continue
            fields[current] = [rest]
        elif found and not severe:
            severe = True
            message, current = rest, "message"
            fields = {}
        elif found:
            break  # the next error
        elif _ASIDE.match(line):
            current = ""
        elif current in ("detail", "context", "statement", "query", "hint") and line.startswith(("\t", " ")):
            fields[current].append(line.strip())
        elif current == "message" and line.startswith("\t") and not line.startswith("\tIs the server running"):
            message += " " + line.strip()
        else:
            current = ""
    joined = {name: "\n".join(lines).strip() for name, lines in fields.items()}
    state = _code(text)
    if not severe:
        message = _sentence(text)
    if verbose := re.match(r"([0-9A-Z]{5}):\s+(.*)", message, re.DOTALL):
        state, message = state or verbose[1], verbose[2]
    message = _trimmed(message)
    original = message
    message = english(message)
    own = state_of(message)
    state = state or own
    if not file:
        file, number = _place(text)
    shown = re.search(r"^((?:LINE|ZEILE|LIGNE|LÍNEA|RIGA|СТРОКА) (\d+): )(?!\.\.\.).*\n([ \t]*)\^", text, re.MULTILINE)
    return Printed(
        Said(
            state,
            message,
            joined.get("detail", "") or _driver(text, "detail"),
            joined.get("hint", "") or _driver(text, "hint"),
            joined.get("context", ""),
            schema=_driver(text, "schema") or _verbose(text, "SCHEMA"),
            table=_driver(text, "table") or _verbose(text, "TABLE") or _named(message, "relation|table"),
            column=_driver(text, "column") or _verbose(text, "COLUMN") or _named(message, "column"),
            constraint=_driver(text, "constraint") or _verbose(text, "CONSTRAINT") or _constraint(message),
        ),
        file,
        number,
        joined.get("statement", ""),
        found=bool(state) or severe,
        original=original if original != message else "",
        at=int(shown[2]) if shown else 0,
        caret=len(shown[3]) - len(shown[1]) if shown else -1,
    )


def _sentence(text: str) -> str:
    """The line that holds the server's sentence, where no severity stands before it."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    for line in lines:
        bare = _trimmed(line)
        if state_of(english(bare)):
            return line
    for line in lines:
        if _EXCEPTIONS.search(line) or _BEFORE.match(line):
            return line
    return lines[0] if lines else ""


def _trimmed(message: str) -> str:
    """A message without what a driver or a tool puts around it."""
    message = message.strip()
    for _ in range(8):
        found = _BEFORE.match(message)
        if not found or found.end() == 0:
            break
        message = message[found.end() :]
    if not state_of(message):
        # A tool's own words may stand before it: "migration 3 failed: ERROR: …", "… : pq: …".
        inner = re.search(r"(?:\b(?:ERROR|FATAL):\s+|\bpq:\s*|: )(?!.*\b(?:ERROR|FATAL):\s)(.+)$", message)
        if inner and state_of(english(_tail(inner[1]))):
            message = inner[1]
    return _tail(message)


def _tail(message: str) -> str:
    message = re.sub(r"\s*\(?SQLSTATE[ :=\[(]+[0-9A-Z]{5}[\])]*\s*$", "", message)
    message = re.sub(r"\s+at character \d+\s*$", "", message)
    message = re.sub(r"\s*\[Failed SQL:.*$|\s*\[SQL:.*$", "", message, flags=re.DOTALL)
    message = re.sub(r"\s+\(column \d+ in line \d+\).*$|\s+in line \d+: .*$", "", message, flags=re.DOTALL)
    return message.strip().strip("`").strip()


def _code(text: str) -> str:
    for pattern in _CODES:
        if found := pattern.search(text):
            return found[1]
    for found in _EXCEPTIONS.finditer(text):
        name = re.sub(r"(?:Error|Exception)$", "", found["name"]).lower()
        if name in _CAMEL:
            return _CAMEL[name]
    if named := re.search(r"\((\w+_\w+)\)", text):
        return CONDITIONS.get(named[1], "")
    return ""


def _driver(text: str, name: str) -> str:
    """A field of an error object as node-postgres, Prisma and JDBC print them."""
    patterns = (
        rf"^\s*{name}: '((?:[^'\\\n]|\\.)*)'", rf"\b{name}: Some\(\"((?:[^\"\\]|\\.)*)\"\)",
        rf"^\s*{name.capitalize()}: (.+)$", rf"\"{name}\":\s*\"((?:[^\"\\]|\\.)*)\"",
    )  # fmt: skip
    for pattern in patterns:
        if found := re.search(pattern, text, re.MULTILINE):
            return found[1].replace("\\'", "'").replace('\\"', '"')
    return ""


def _named(message: str, kinds: str) -> str:
    """The table or column of a sentence about rows; sentences about names are read by `naming`."""
    if not re.search(r"contains null values|violates|is violated by", message):
        return ""
    found = re.search(rf"\b(?:{kinds}) \"([^\"]+)\"", message)
    return found[1] if found else ""


def _verbose(text: str, name: str) -> str:
    """A field as psql's verbose errors have it: `TABLE NAME:  users`."""
    found = re.search(rf"^{name} NAME:\s+(\S.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _constraint(message: str) -> str:
    found = re.search(r"(?:violates (?:\w+[ -])*constraint|could not create unique index) \"([^\"]+)\"", message)
    return found[1] if found else ""


def _place(text: str) -> tuple[str, int]:
    """The file, and perhaps the line, that a tool names."""
    found = re.search(
        r"(?:Location\s*:\s*|[Mm]igration[^\n]*?|[Ff]ile[^\n]*?|[Aa]pplying )\"?'?(?:[\w./\\-]*/)?([\w.-]+\.sql)\b",
        text,
    )
    if not found:
        found = re.search(r"(?<![\w./-])(?:[\w./\\-]*/)?([\w.-]+\.sql)\b", text.split("HINT", 1)[0])
    if not found:
        return "", 0
    line = re.search(r"(?:^Line\s*:\s*|\bline )(\d+)", text, re.MULTILINE)
    behind = re.match(r":(\d+)", text[found.end() :])
    return found[1], int(behind[1]) if behind else int(line[1]) if line and "Location" in text else 0


def _of_json(text: str) -> Printed | None:
    """Lancio's own JSON, the server's jsonlog, an error object of a driver."""
    documents: list[Any] = []
    if text.startswith(("{", "[")):
        try:
            documents = [json.loads(text)]
        except ValueError:
            for line in text.split("\n"):
                if line.lstrip().startswith("{"):
                    try:
                        documents.append(json.loads(line))
                    except (ValueError, RecursionError):
                        continue
        except RecursionError:
            return None
    for document in documents:
        if isinstance(document, dict) and (found := _of_object(document)):
            return found
    return None


def _of_object(document: dict[str, Any]) -> Printed | None:
    inner = document.get("diagnosis") or document.get("error") or document
    if not isinstance(inner, dict):
        return None

    def text(*names: str) -> str:
        for name in names:
            value = inner.get(name)
            if isinstance(value, str):
                return value
        return ""

    message = re.sub(r"^\S+\.sql failed: ", "", text("message", "msg"))
    state = text("state_code", "sqlstate", "sqlState", "SQLSTATE", "code")
    if str(inner.get("error_severity", "")) in ("LOG", "DEBUG", "INFO", "NOTICE"):
        return None
    if not message and not STATE.fullmatch(state):
        return None
    message = _trimmed(message)
    turned = english(message)
    state = state if STATE.fullmatch(state) else state_of(turned)
    where = text("where").split("\n", 1)[0]
    placed = re.match(r"(.+?\.sql)(?::(\d+))?$", where)
    if placed is None and (name := document.get("migration")):
        placed = re.match(r"(.+)()$", str(name))
    return Printed(
        Said(state, turned, text("detail"), text("hint"), text("context"), text("schema"),
             text("table") or _named(turned, "relation|table"),
             text("column") or _named(turned, "column"), text("constraint") or _constraint(turned)),
        placed[1] if placed else "",
        int(placed[2] or 0) if placed else 0,
        text("statement"),
        found=bool(state),
        original=message if message != turned else "",
    )  # fmt: skip


def _of_csv(text: str) -> Printed | None:
    """A line of the server's csvlog."""
    first = text.split("\n", 1)[0]
    if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [\w+-]+,", first):
        return None
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error:
        return None
    for row in rows:
        if len(row) >= 20 and row[11] in ("ERROR", "FATAL", "PANIC") and STATE.fullmatch(row[12]):
            said = Said(row[12], _tail(row[13]), row[14], row[15], row[18], constraint=_constraint(row[13]))
            return Printed(said, statement=row[19], found=True)
    return None


def with_message(printed: Printed, message: str) -> Printed:
    """The same with another message."""
    return replace(printed, said=replace(printed.said, message=message))
