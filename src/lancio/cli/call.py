"""One command line of the registry: which database it goes to, who acts there, and what is said of what came of it.

A command says what is its own, and has the rest from here:

    @project.command(epilog="…")
    @click.argument("slug", metavar="SLUG")
    @acting.changes
    @acting.org_option
    @takes
    def restore(call: Call, slug: str) -> None:
        with call.work() as work:
            after = projects.restore(work, slug)
        call.done(f"Brought {after.slug} back.", after)
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, Concatenate, TypeVar

import click

from lancio.cli import acting
from lancio.cli.options import terminal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from lancio.cli.work import Session
    from lancio.registry.acting import Acting, Actor
    from lancio.registry.data_keys import DataKeys
    from lancio.registry.pages import Page
    from lancio.registry.secrets import Secret

R = TypeVar("R")


def takes(command: Callable[Concatenate[Call, ...], R]) -> Callable[..., R]:
    """`--as`, `--database`, `--env`, `--json` and their like, which the command gets as its `Call`, first.

    `acting.changes`, where a command has it, goes there too. One that takes neither `--dry-run` nor `--yes` changes
    nothing: a protected environment is not asked for.
    """

    @functools.wraps(command)
    def run(context: click.Context, /, database: str | None, role: str | None, json_: bool, **own: Any) -> R:
        del json_  # the terminal's
        if not {"dry_run", "yes"} & own.keys():
            acting.reads(context)
        call = Call(context, database, role, dry_run=own.pop("dry_run", False), yes=own.pop("yes", False))
        return command(call, **own)

    return acting.common(click.pass_context(run))


class Call:
    """A command line under way."""

    def __init__(
        self, context: click.Context, database: str | None, role: str | None, *, dry_run: bool, yes: bool
    ) -> None:  # fmt: skip
        self.context, self.terminal = context, terminal_of(context)
        self.database, self.dry_run, self.yes = database, dry_run, yes
        self._role = role
        self._session: Session | None = None

    @property
    def json(self) -> bool:
        """Whether what comes of it is told as JSON."""
        return self.terminal.json

    # --- work ---------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """The database that the command line names; one connection, however often it is asked for inside.

        Raises:
            UsageError, ServerError: as `work.session`.
        """
        if self._session is not None:
            yield self._session
            return
        with acting.session(self.database, self._role) as self._session:
            try:
                yield self._session
            finally:
                self._session = None

    @contextlib.contextmanager
    def work(self, organization: str | None = None, *, deleted: bool = False, kept: bool = False) -> Iterator[Acting]:
        """One transaction in the organization; a dry run takes it back, unless what it writes is to be `kept`.

        Raises:
            UsageError, ActingRefused: as `acting.work`.
        """
        dry_run = self.dry_run and not kept
        with (
            self.session() as session,
            acting.work(self.context, session, organization=organization, deleted=deleted, dry_run=dry_run) as work,
        ):
            yield work

    @contextlib.contextmanager
    def operating(self) -> Iterator[tuple[psycopg.Connection[Any], Actor]]:
        """One transaction with the login's own rights, and who acts; a dry run takes it back.

        Raises:
            ActingRefused: as `registry.acting.operating`.
        """
        with self.session() as session:
            who = self.actor()
            with acting.operating(session, dry_run=self.dry_run):
                yield session.connection, who

    @contextlib.contextmanager
    def choosing(self) -> Iterator[tuple[psycopg.Connection[Any], Actor]]:
        """One transaction that sees what there is to choose from, and who acts.

        Raises:
            ActingRefused: as `registry.acting.belonging`.
        """
        from lancio.registry.acting import belonging

        with self.session() as session:
            who = self.actor()
            with belonging(session.connection, who):
                yield session.connection, who

    def actor(self) -> Actor:
        """Who acts; in a `session`.

        Raises:
            ActingRefused: as `acting.actor`.
        """
        assert self._session is not None  # noqa: S101  as it says
        return acting.actor(self.context, self._session.connection)

    def keys(self) -> DataKeys:
        """The keys that seal and open; in a `session`. A wrong one is told before anything else is done.

        Raises:
            KeyRefused: none is named, or it is not the one of this database.
        """
        from lancio.cli import keys

        assert self._session is not None  # noqa: S101  as it says
        return keys.ready(self.context, self._session)

    # --- output -------------------------------------------------------------------------------------------------------

    def document(self, value: object) -> None:
        """JSON on stdout."""
        from lancio.render import json

        self.terminal.data(json.document(value))

    def talk(self, text: str) -> None:
        """Something beside the data, for people: on stderr, and not for `--json`."""
        if not self.json:
            self.terminal.talk(text)

    def table(self, rows: Sequence[Sequence[str]], *, cut: Sequence[int]) -> None:
        """Rows under a heading, as wide as the terminal lets them be."""
        from lancio.render import table

        self.terminal.data(table.fitted(rows, acting.columns(self.terminal), cut=cut))

    def page(
        self,
        page: Page[Any],
        *,
        name: str,
        heading: Sequence[str],
        row: Callable[[Any], Sequence[str]],
        cut: Sequence[int],
        none: str,
        plain: Callable[[Any], object] | None = None,
        more: str = "",
    ) -> None:
        """A page as a table, or as `{name: […], next: …}`; where it goes on is said on stderr, `more` behind it."""
        if self.json:
            self.document({name: [(plain or with_version)(each) for each in page.rows], "next": page.next})
            return
        if page.rows:
            self.table([heading, *(row(each) for each in page.rows)], cut=cut)
        else:
            self.talk(none)
        if page.next is not None:
            self.talk(f"There are more: add --after {page.next}{more}.")

    def one(self, said: str, value: object, lines: Sequence[tuple[str, str | None]] = ()) -> None:
        """One thing: as JSON, or a sentence and its fields, those without a value left out."""
        from lancio.render.lines import clean, pad, width

        if self.json:
            self.document(value if isinstance(value, dict) else with_version(value))
            return
        kept = [(name, text) for name, text in lines if text]
        size = max((width(name) for name, _ in kept), default=0) + 2
        head = f"{clean(said)}\n" if said else ""
        fields = (f"{'  ' if head else ''}{pad(name, size)}{clean(text)}\n" for name, text in kept)
        self.terminal.data(head + "".join(fields))

    def done(self, said: str, value: object, lines: Sequence[tuple[str, str | None]] = ()) -> None:
        """What was done, or in a dry run would be, and what came of it."""
        self.one(self.would(said), value, lines)

    def once(self, said: str, value: dict[str, Any], token: Secret, hint: str) -> None:
        """What was made, and its token, which is shown this once: alone on stdout, and in no dry run."""
        if self.json:
            self.document({**value, "token": None if self.dry_run else token.reveal()})
            return
        self.talk(self.would(said))
        if not self.dry_run:
            self.talk(hint)
            self.terminal.data(f"{token.reveal()}\n")

    def would(self, said: str) -> str:
        """A sentence of what was done, so that it is true in a dry run too."""
        return f"Would be done: {said}" if self.dry_run else said


def with_version(value: Any) -> dict[str, Any]:
    """A row of the registry in the words of JSON, with its version where it has one."""
    from lancio.render import json

    found: dict[str, Any] = json.plain(value)
    if (version := getattr(value, "version", None)) is not None:
        found["version"] = version
    return found
