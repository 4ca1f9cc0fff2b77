"""What others made in schema public, and the operator's commands, which are a superuser's: nothing of it is called."""

from __future__ import annotations

import io
from itertools import product
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from isolation import logins
from keys import ACME, KEK
from psycopg import sql

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.registry import shadow, state
from lancio.registry.context import BypassRefused, refuse_bypass
from lancio.registry.shadow import ShadowRefused
from servers import TestServer, database_of

if TYPE_CHECKING:
    from pathlib import Path

KINDS: Final = ("int2", "int4", "int8", "float8", "numeric", "text", "varchar", "name", "uuid", "bytea", "timestamptz")
SIGNS: Final = ("=", "<>", "<", "<=", ">", ">=", "||", "*", "-", "~", "!~", "~~", "->>")
FITTING: Final = (
    "unnest(uuid[])", "unnest(text[])", "unnest(integer[])", "length(varchar)", "lower(varchar)", "left(varchar, int)",
    "count(uuid)", "array_position(text[], varchar)", "jsonb_build_object(text, name)", "to_regclass(varchar)",
    "string_agg(varchar, text)", "max(varchar)", "min(uuid)",
)  # fmt: skip
"""Functions that fit what Lancio asks better than PostgreSQL's own do."""
TRAP: Final = "BEGIN IF current_setting('is_superuser') = 'on' THEN PERFORM nextval('public.sprung'); END IF; RETURN"

COMMANDS: Final = (
    "audit list --action organization.*", "audit list --actor x@y.z --since 1d", "audit seal", "audit verify",
    f"audit verify --org {ACME}", "audit anchor", "audit export", "audit show 1",
    "audit prune --before 2030-01-01 --yes", "keys status", "keys rotate acme --dry-run",
    "org list", "org show acme", "user list", "member list --org acme",
    "project list --org acme", "db list --org acme", "billing show --org acme",
)  # fmt: skip


@pytest.fixture
def trapped(server: TestServer, registry: str) -> str:
    """A registry where a reader has put traps into schema public, as it may below PostgreSQL 15."""
    with psycopg.connect(registry, autocommit=True) as admin, logins(server, database_of(registry)) as urls:
        admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        reader = sql.Identifier(f"{database_of(registry)}_lancio_readonly")
        with psycopg.connect(urls["lancio_readonly"], autocommit=True) as connection:
            # A sequence keeps what a transaction takes back.
            connection.execute("CREATE SEQUENCE public.sprung; GRANT ALL ON public.sprung TO PUBLIC")
            there = set(
                connection.execute("SELECT oprname, oprleft::regtype::text, oprright::regtype::text FROM pg_operator")
            )
            names = {
                kind: connection.execute(f"SELECT '{kind}'::regtype::text".encode()).fetchone() or () for kind in KINDS
            }
            made = [
                f"CREATE FUNCTION public.{signature} RETURNS text LANGUAGE plpgsql AS $$ {TRAP} NULL; END $$"
                for signature in FITTING
            ]
            for sign, left, right in product(SIGNS, KINDS, KINDS):
                if (sign, *names[left], *names[right]) not in there:
                    returns = {"||": "text", "->>": "text", "*": left, "-": left}.get(sign, "boolean")
                    made.append(
                        f"CREATE OR REPLACE FUNCTION public.trap_{returns}(a {left}, b {right}) RETURNS {returns}"
                        f" LANGUAGE plpgsql AS $$ {TRAP} NULL; END $$;"
                        f"CREATE OPERATOR public.{sign} (LEFTARG = {left}, RIGHTARG = {right},"
                        f" PROCEDURE = public.trap_{returns})"
                    )
            connection.execute(";".join(made).encode())
        admin.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(reader))
        admin.execute(sql.SQL("DROP OWNED BY {}").format(reader))
    return registry


def sprung(connection: psycopg.Connection) -> bool:
    """Whether a trap was called by a superuser; it is set again."""
    (called,) = connection.execute("SELECT is_called FROM public.sprung").fetchone() or (None,)
    connection.execute("SELECT pg_catalog.setval('public.sprung', 1, false)")
    return bool(called)


def test_nothing_that_others_have_made_is_called_by_the_operators_commands(
    trapped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kek = tmp_path / "lancio.kek"
    kek.write_text(f"kek = {KEK.secret.hex()}\n")
    kek.chmod(0o600)
    monkeypatch.setenv("LANCIO_KEK_FILE", str(kek))
    with psycopg.connect(trapped, autocommit=True) as connection:
        # The traps are ones: without a path of its own a superuser's question walks into them.
        connection.execute("SELECT count(*) FROM pg_class WHERE relname ~ relname").fetchall()
        assert sprung(connection)
        for command in COMMANDS:
            out, err = io.StringIO(), io.StringIO()
            status = main.run([*command.split(), "--database", trapped], Terminal(out, err, {}))
            assert (command, status, sprung(connection)) == (command, 0, False), out.getvalue() + err.getvalue()
        state.ask(connection)
        with pytest.raises(ShadowRefused):
            shadow.report(connection)
        with pytest.raises(BypassRefused):
            refuse_bypass(connection)
        assert not sprung(connection)
