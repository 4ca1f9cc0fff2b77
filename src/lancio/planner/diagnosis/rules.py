"""From an SQLSTATE to the rule that answers it: the one table of what is told apart, with names that stay.

docs/reference/errors.md shows the same table; a test holds the two together.
"""

from __future__ import annotations

from lancio.planner.diagnosis import missing, present, rights, rows, sessions, statements
from lancio.planner.diagnosis.model import Rule

AGAIN = "Run it again."
STATUS = "See what is there with `lancio status`."

RULES: tuple[Rule, ...] = (
    # What is not there.
    Rule("missing-relation", ("42P01",), "A table or view that the statement needs does not exist.",
         "Apply the migration that creates it first.", answer=missing.anything),
    Rule("missing-column", ("42703",), "The column does not exist.",
         "Apply the migration that adds it first, or check its spelling.", answer=missing.anything),
    Rule("missing-function", ("42883",), "A function with these argument types does not exist.",
         "Apply the migration or create the extension it comes from; check the types of the arguments.",
         answer=missing.anything),
    Rule("missing-object", ("42704",), "An object that the statement needs does not exist.",
         "Apply the migration that creates it first.", answer=missing.anything),
    Rule("missing-schema", ("3F000",), "The schema does not exist.", "Apply the migration that creates it first.",
         answer=missing.anything),
    Rule("missing-database", ("3D000",), "The server has no database of that name.", "Create it, or name another one.",
         answer=missing.database),
    Rule("missing-key", ("42830", "42P10"), "A foreign key or ON CONFLICT needs a unique key that is not there.",
         "Create the unique index first, or name the columns of one that is there.", answer=missing.key),
    Rule("missing-file", ("58P01",), "The server looks for a file that it does not have.",
         "Install the package that holds it on the server's machine.", answer=statements.control_file),
    Rule("missing-row", ("P0002", "02000"), "A query of {file} found no row.",
         "Apply the migration that makes the row."),
    Rule("missing-statement", ("26000",), "A prepared statement is not there: it was not prepared, or removed.",
         "Prepare it in {file} itself; take DEALLOCATE out."),
    # What is there already.
    Rule("relation-exists", ("42P07",), "A relation of that name exists already.", STATUS, answer=present.anything),
    Rule("object-exists", ("42710",), "An object of that name exists already.", STATUS, answer=present.anything),
    Rule("column-exists", ("42701",), "The column exists already.", STATUS, answer=present.anything),
    Rule("function-exists", ("42723",), "A function with that name and these argument types exists already.",
         "Write CREATE OR REPLACE, or see what is there with `lancio status`.", answer=present.anything),
    Rule("schema-exists", ("42P06",), "The schema exists already.", STATUS, answer=present.anything),
    Rule("database-exists", ("42P04",), "The database exists already.", "Connect to it, or choose another name."),
    Rule("other-signature", ("42P13",), "The function differs from the one that is there in a way that OR REPLACE "
         "cannot "
         "change.", "Drop the old one in the same file first.", answer=present.other_definition),
    Rule("other-definition", ("42P16",), "The definition does not fit the relation that is there.",
         "Drop and create it anew, or alter it in steps.", answer=present.primary_key),
    Rule("dependents", ("2BP01",), "Other objects depend on it.",
         "Drop or change those first, in the same file, rather than by CASCADE.", answer=present.dependents),
    Rule("new-enum-value", ("55P04",), "A value of an enum is added and used in one transaction.",
         "Add it in a migration before this one.", "certain", answer=present.enum_value),
    # Rows that stand in the way.
    Rule("not-null", ("23502",), "{relation} has rows with NULL in {column}, or the statement writes one.",
         "Fill {column} first (UPDATE … WHERE {column} IS NULL), then run it again.", answer=rows.null),
    Rule("foreign-key", ("23503", "23001"), "A row of {relation} points at a row that is not there ({constraint}).",
         "Apply the migration that makes the row, or mend the rows that point nowhere.", answer=rows.foreign),
    Rule("unique", ("23505",), "Rows of {relation} have the same key ({constraint}).",
         "Remove or merge the duplicates first, then run it again.", answer=rows.unique),
    Rule("check", ("23514",), "Rows of {relation} do not satisfy {constraint}.",
         "Mend these rows first; or add the constraint NOT VALID, and validate it later.", answer=rows.check),
    Rule("exclusion", ("23P01",), "Rows of {relation} exclude each other by {constraint}.", "Mend these rows first.",
         answer=rows.exclusion),
    Rule("view-check", ("44000",), "A row would not be seen through the view it is written to (WITH CHECK OPTION).",
         "Write the row to the table, or one that the view shows."),
    # Values.
    Rule("bad-value", ("22P02", "22007", "22P03"), "A value is not written as its type wants it.",
         "Mend the value, or convert it first.", answer=rows.unfit),
    Rule("too-long", ("22001",), "A text is longer than its type takes.",
         "Shorten it, or give the column a longer type.", answer=statements.value),
    Rule("out-of-range", ("22003", "22008"), "A number or a time is beyond what its type can hold.",
         "Give the column a wider type (bigint, numeric), or mend the value.", answer=statements.value),
    Rule("division-by-zero", ("22012",), "An expression divides by zero.", "Divide by nullif(x, 0)."),
    Rule("bad-encoding", ("22021", "22P05"), "A text has characters that the server's encoding does not know.",
         "Save the file as UTF-8; look at client_encoding."),
    Rule("bad-parameter", ("22023",), "A setting or an option does not take that value.",
         "Write one that it takes; pg_settings shows them.", answer=statements.parameter),
    Rule("refused-data", ("22000",), "The data were refused: they are not what they should be, or were tampered with.",
         "Compare the row with a backup; do not write over it.", "general"),
    Rule("many-rows", ("21000", "P0003"), "A subquery or SELECT … INTO gave more rows than one.",
         "Narrow it down, or write LIMIT 1 with an ORDER BY."),
    # The statement.
    Rule("syntax", ("42601",), "PostgreSQL's grammar does not accept the statement.",
         "Mend the line shown; a newer server may know syntax that this one does not.", answer=statements.grammar),
    Rule("type-mismatch", ("42804",), "Two types do not fit together.", "Write a cast in {file}.",
         answer=statements.cast),
    Rule("no-cast", ("42846",), "PostgreSQL has no cast between these two types.",
         "Go by text (x::text::type), or write a CASE.", answer=statements.no_cast),
    Rule("ambiguous", ("42702", "42725", "42P09"), "A name can mean several things here.",
         "Write the table's name before the column's, or cast the arguments."),
    Rule("unknown-type", ("42P18", "42P22"), "PostgreSQL cannot tell the type or the collation of a value.",
         "Write a cast, or COLLATE."),
    Rule("grouping", ("42803", "42P20"), "An aggregate or window function stands where none may, or a column is not "
         "grouped.", "Add the column to GROUP BY, or take the aggregate to HAVING or a subquery."),
    Rule("wrong-kind", ("42809",), "The object is of another kind than the statement wants.",
         "Write the statement for its kind: ALTER VIEW for a view, DROP PROCEDURE for a procedure."),
    Rule("alias", ("42712",), "Two tables of a query have one name.", "Give one of them an alias."),
    Rule("name-too-long", ("42622",), "A name is longer than 63 bytes.", "Shorten it."),
    Rule("reserved-name", ("42939",), "A name that PostgreSQL keeps for itself.", "Choose another name.", "certain",
         answer=statements.reserved),
    Rule("not-immutable", ("42P17",), "An object's definition cannot stand: often a function in it that is not "
         "IMMUTABLE.",
         "Write the expression with immutable functions alone.", answer=statements.volatile),
    Rule("generated-column", ("428C9",), "The statement gives a value to a column that PostgreSQL fills by itself.",
         "Leave the column out; for an identity write OVERRIDING SYSTEM VALUE."),
    Rule("unsupported", ("0A000",), "PostgreSQL does not do this here.",
         "Look at what it names: something that stands on the object, or a feature of another version.",
         answer=statements.unsupported),
    Rule("too-much", ("54000", "54001", "54011", "54023"), "A limit of PostgreSQL is exceeded.",
         "Make the statement smaller: fewer columns or arguments, less nesting."),
    # Rights.
    Rule("no-right", ("42501",), "The role that runs the migration lacks a privilege.",
         "Run it as the owner (--role NAME), or have the privilege granted.", answer=rights.denied),
    Rule("bad-grant", ("0LP01", "0P000"), "A right or a role cannot be given so.",
         "Look which rights the kind of object has, and that no role becomes a member of itself."),
    # Transactions and the state of things.
    Rule("in-transaction", ("25001",), "The statement cannot run inside a transaction block.",
         "Put it into a file of its own.", answer=statements.transaction),
    Rule("no-transaction", ("25P01",), "The statement needs a transaction, and none is open.",
         "Write BEGIN before it."),
    Rule("read-only", ("25006",), "The session may not write: the server is a standby or the transaction is read-only.",
         "Connect to the primary.", answer=sessions.read_only),
    Rule("after-an-error", ("25P02",), "An earlier error ended the transaction; this statement was not even tried.",
         "Look at the first error."),
    Rule("bad-begin", ("0B000", "25000"), "The transaction could not be begun as asked.", "Look at BEGIN in {file}.",
         "general"),
    Rule("not-ready", ("55000",), "The object is not in the state that the statement needs.",
         "Do first what the message asks for.", "general", answer=statements.state),
    Rule("in-use", ("55006",), "The object is in use by another session, or has pending trigger events.",
         "Run it when that session has finished.", answer=statements.in_use, passes=True),
    Rule("fixed-setting", ("55P02",), "The setting cannot be changed now.",
         "Set it in postgresql.conf or by ALTER SYSTEM, and restart or reload the server."),
    Rule("raised", ("P0001",), "{file} raised this error itself.", "Do what its message asks for.", "general",
         answer=statements.raised),
    Rule("check-failed", ("P0004",), "The step ran, but what it should have done is not so.",
         "Compare {file} with the checks named; nothing of the step was kept.", "certain"),
    # Other sessions.
    Rule("lock-timeout", ("55P03",), "Another session holds a lock on the relation, and the time to wait for it is "
         "over.",
         "Run it when that session has finished; `lancio apply` tries again by itself.", answer=sessions.lock,
         passes=True),
    Rule("deadlock", ("40P01",), "Two sessions each waited for a lock of the other, and PostgreSQL ended this one.",
         "Run it again, with less traffic on these tables.", answer=sessions.deadlock, passes=True),
    Rule("serialization", ("40001",), "Another transaction changed the same rows at the same time.", AGAIN, "certain",
         passes=True),
    Rule("cancelled", ("57014",), "The statement was cancelled: by a user, an administrator or a time limit.",
         "Run it again; a statement_timeout set in {file} may be too short.", answer=sessions.cancelled, passes=True),
    # The server and the way to it.
    Rule("terminated", ("57P01", "57P05", "25P03", "25P04"),
         "An administrator or a time limit ended the session, or the "
         "server is shutting down.", "Run the same command again when the server is up.", passes=True),
    Rule("crashed", ("57P02",), "Another process of the server crashed, so that it ended all sessions.",
         "Run the same command again; look into the server's log.", passes=True),
    Rule("not-accepting", ("57P03",), "The server is starting up or shutting down.", "Wait a moment and run it again.",
         passes=True),
    Rule("database-dropped", ("57P04",), "The database was dropped while the session was in it.",
         "Look who dropped it; restore it from a backup if that was not meant."),
    Rule("no-slots", ("53300",), "The server has no connection free.",
         "Close idle sessions (pg_stat_activity shows them) or raise max_connections.", answer=sessions.slots,
         passes=True),
    Rule("disk-full", ("53100",), "The server's disk is full.", "Free space on the server, then run it again.",
         "certain",
         passes=True),
    Rule("out-of-memory", ("53200",), "The server is out of memory, or of entries in its lock table.",
         "Raise max_locks_per_transaction or split the file.", answer=sessions.room),
    Rule("limit-reached", ("53400", "53000"), "A configured limit is reached.",
         "Raise the limit, or let the statement need less.", answer=sessions.room),
    Rule("connection-lost", ("08006", "08003", "08007", "08000"), "The connection to the server broke.",
         "Check that the server runs, then run the same command again.", answer=sessions.unreachable, passes=True),
    Rule("unreachable", ("08001", "08004"), "No server answers at that address.",
         "Start the server, or check host and port.", answer=sessions.unreachable, passes=True),
    Rule("protocol", ("08P01",), "The two sides misunderstand one another: often a pooler between them.",
         "Connect to PostgreSQL itself."),
    Rule("bad-password", ("28P01",), "The server knows no such user and password together.",
         "Check user and password.", "certain", answer=sessions.login),
    Rule("login-refused", ("28000",), "The server does not accept the login.", "Check user, database and pg_hba.conf.",
         answer=sessions.login),
    Rule("damaged", ("XX001", "XX002"), "A table or an index is damaged.",
         "Stop writing, copy the data folder, look into the server's log; an index can be rebuilt by REINDEX.",
         "certain"),
    Rule("system", ("58000", "58030"), "The server's system failed: disk, file or memory.",
         "Look into the server's log."),
)  # fmt: skip
"""Every class of error that is told apart, in the order of the documentation."""

CLASSES: dict[str, Rule] = {
    code: Rule(f"class-{code.lower()}", (), cause, solution, "general")
    for code, cause, solution in (
        ("08", "The connection to the server broke.", "Check that the server runs, then run the same command again."),
        ("0A", "PostgreSQL does not do this here.", "Look at what the message names."),
        ("21", "A query gave another number of rows than it may.", "Narrow it down."),
        ("22", "A value does not fit its type.", "Mend the value or the conversion in {file}."),
        ("23", "The rows break {constraint} of {relation}.", "Mend the rows first, then run it again."),
        ("25", "The transaction is not in the state that the statement needs.", "Look at BEGIN and COMMIT in {file}."),
        ("28", "The server does not accept the login.", "Check user and password."),
        ("2B", "Other objects depend on it.", "Drop or change those first."),
        ("40", "The transaction was rolled back because of others that ran beside it.", AGAIN),
        ("42", "The statement does not fit what is in the database.", "Compare {file} with the database."),
        ("53", "The server has run out of a resource.", "Free it, then run it again."),
        ("54", "A limit of PostgreSQL is exceeded.", "Make the statement in {file} smaller."),
        ("55", "The object is not in the state that the statement needs.", "Do first what the message asks for."),
        ("57", "Somebody stopped the statement or the server.", "Run it again when the server is up."),
        ("58", "The server's system failed: disk, file or memory.", "Look into the server's log."),
        ("F0", "The server's configuration cannot be read.", "Look into the server's log."),
        ("HV", "A foreign data wrapper failed.", "Look at the foreign server and its user mapping."),
        ("P0", "{file} raised this error itself.", "Do what its message asks for."),
        ("XX", "PostgreSQL met an error inside itself, or damaged data.", "Look into the server's log; have a backup."),
    )
}
"""What is said of an SQLSTATE that has no rule of its own, by its class: its first two characters."""

UNKNOWN = Rule(
    "unknown", (), "PostgreSQL refused the statement.",
    "Read its message, mend {file}, and run it again: nothing of the step was kept.", "general",
)  # fmt: skip

BY_STATE = {state: rule for rule in RULES for state in rule.states}


def rule_of(sqlstate: str) -> Rule:
    """The rule of an SQLSTATE: its own, its class's, or `UNKNOWN`."""
    return BY_STATE.get(sqlstate) or CLASSES.get(sqlstate[:2]) or UNKNOWN
