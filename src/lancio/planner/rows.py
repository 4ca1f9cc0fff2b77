"""Which row is it, who makes it, and how is a live database asked for it?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lancio.reading.model import RowFact


def contradicts(made: RowFact, needed: RowFact) -> bool:
    """Whether a row that a file makes cannot be the one that is needed.

    It can where every column that both name has the same value, and they name at least one together.
    """
    known = dict(made.values)
    common = [(column, value) for column, value in needed.values if column in known]
    return not common or any(known[column] != value for column, value in common)


def row_text(table: str, row: RowFact) -> str:
    """The row as people say it: `platform.projects (slug = 'lancio-studio')`."""
    return f"{table} ({', '.join(f'{column} = {literal(value)}' for column, value in row.values)})"


def probe(table: str, row: RowFact) -> str:
    """A SELECT of one boolean that asks whether the row is there."""
    conditions = " AND ".join(f"{identifier(column)} = {literal(value)}" for column, value in row.values)
    return f"SELECT EXISTS (SELECT FROM {qualified(table)} WHERE {conditions})"


def identifier(name: str) -> str:
    """A name as SQL text, always quoted where it could be read as anything else."""
    return (
        name
        if re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in RESERVED
        else '"' + name.replace('"', '""') + '"'
    )


def qualified(name: str) -> str:
    """A name with its schema as SQL text."""
    return ".".join(identifier(part) for part in name.split(".", 1))


def literal(text: str) -> str:
    """A string as SQL text."""
    quoted = "'" + text.replace("'", "''") + "'"
    return f" E{quoted}".replace("\\", "\\\\") if "\\" in text else quoted


RESERVED = frozenset(
    re.split(
        r"\s+",
        """all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
        collation column concurrently constraint create cross current_catalog current_date current_role current_schema
        current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for
        foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral
        leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps
        placing primary references returning right select session_user similar some symmetric system_user table
        tablesample then to trailing true union unique user using variadic verbose when where window with""",
    )
)
"""Words that cannot be a column's or a table's name unquoted (PostgreSQL's documentation, appendix C)."""
