"""Which command is meant, and with which exit status does it end?

    0    done                             2    a flag, a path or a setting that cannot be right
    1    refused or failed                3    no-go                       130   Ctrl-C

A LancioError is shown without a traceback; anything else is a bug of ours and keeps it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from lancio import __version__
from lancio.cli import credentials
from lancio.cli.terminal import Terminal
from lancio.errors import LancioError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "graph": ("lancio.cli.graph:graph", "Draw what each migration needs and makes, and why they can't swap places."),
    "history": ("lancio.cli.history:history", "Show each statement that made, changed or dropped one object."),
    "commute": ("lancio.cli.history:commute", "Tell whether two files may swap places, and what is in the way."),
    "new": ("lancio.cli.new:new", "Make the file of the next migration, called as the folder calls its files."),
    "check": ("lancio.cli.check:check", "Tell what conflicts with another branch, and what is risky, for CI."),
    "plan": ("lancio.cli.plan:plan", "Show what would run here, in which order, at which risk."),
    "preflight": ("lancio.cli.plan:preflight", "Tell go from no-go, with every unmet requirement at once."),
    "apply": ("lancio.cli.apply:apply", "Run the migrations, each step with its verification and its ledger row."),
    "rollback": (
        "lancio.cli.rollback:rollback",
        "Take applied steps back, rehearsed first, with what would be lost counted.",
    ),
    "verify": ("lancio.cli.verify:verify", "Prove that what was applied still stands."),
    "drift": ("lancio.cli.drift:drift", "Name what in the database is not as its files make it, and whose it is."),
    "status": ("lancio.cli.verify:status", "Show where the database stands: files, state diagram, checklist."),
    "checklist": ("lancio.cli.checklist:checklist", "Print what is to be verified, run and done, ticked from facts."),
    "explain": ("lancio.cli.explain:explain", "Turn an error text or SQLSTATE into cause and solution."),
    "adopt": (
        "lancio.cli.adopt:adopt",
        "Take over what ran here without Lancio, proved by facts or from another tool's history.",
    ),
    "shadow": ("lancio.cli.shadow:shadow", "Note what migration 007 would deny, while every row still passes."),
    "org": ("lancio.cli.org:org", "Make, show, change, remove and bring back organizations."),
    "project": ("lancio.cli.project:project", "Make, show, change, remove and bring back projects."),
    "member": ("lancio.cli.member:member", "Add, invite, show, change and remove the members of an organization."),
    "user": ("lancio.cli.user:user", "Add, show, change, disable and enable users."),
    "api-key": ("lancio.cli.api_key:api_key", "Make, show and revoke API keys: by which programs get in."),
    "key": ("lancio.cli.api_key:api_key", "The same as api-key. (The keys that seal are under keys.)"),
    "billing": ("lancio.cli.billing:billing", "Show, add and archive billing plans, and subscribe to one."),
    "keys": ("lancio.cli.keys:keys", "Make, rotate, back up and destroy the keys that secrets are sealed with."),
    "db": ("lancio.cli.db:db", "Register databases, look at them, test, change, import and remove them."),
    "audit": ("lancio.cli.audit:audit", "Read, seal, verify, hand on and prune the entries of what was done."),
    "squash": ("lancio.cli.squash:squash", "Make one file of a long history, proved equal to it."),
    "backup": ("lancio.cli.backup:backup", "Make a backup and prove it, note one, and list those that are known."),
    "restore": ("lancio.cli.restore:restore", "Give back what a backup has: tables in place, or all of it elsewhere."),
    "baseline": ("lancio.cli.baseline:baseline", "Time chosen queries before and after, and tell which are slower."),
    "report": ("lancio.cli.report:report", "Show what a run did, as text, as JSON or as a page to hand on."),
    "prove-no-leak": (
        "lancio.cli.prove_no_leak:prove_no_leak",
        "Plant a secret and look for it everywhere it could rest or pass.",
    ),
    "demo": ("lancio.cli.demo:demo", "Launch the platform's migrations on the embedded PostgreSQL."),
    "server": ("lancio.cli.server:server", "Start, stop or look at the embedded PostgreSQL."),
    "completion": ("lancio.cli.completion:completion", "Print the completion script of a shell."),
}
"""Where each command lives. It is imported when it is used: `--help` has to be there within 300 ms."""


class Commands(click.Group):
    """The commands by name; their one-line helps are known without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, which finds what is spelled alike among commands that are imported, and here none is.

        Raises:
            click.UsageError: there is no such command.
        """
        if args[0] not in COMMANDS and not ctx.resilient_parsing and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0][:80], COMMANDS, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List them without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in COMMANDS.items()])


EPILOG = """\b
Examples:
  lancio demo                       the platform's files, launched on the embedded PostgreSQL
  lancio graph migrations           what needs what in ./migrations
  lancio preflight migrations       go or no-go against DATABASE_URL
  lancio apply migrations           run what is left to run
"""


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lancio", message="%(prog)s %(version)s")
def cli() -> None:
    """PostgreSQL migrations that know what they depend on.

    Point Lancio at a folder of plain .sql files: it works out what each one needs, makes and changes, tells a go from
    a no-go before anything runs, runs each step safely and proves that it did what it should.

    Without --database the environment decides: DATABASE_URL, then the PG* variables, then the embedded PostgreSQL.
    """


def run(arguments: Sequence[str] | None = None, terminal: Terminal | None = None) -> int:
    """Run one command line and return its exit status; unexpected exceptions pass through."""
    terminal = Terminal() if terminal is None else terminal
    words = sys.argv[1:] if arguments is None else list(arguments)
    # Known before anything is parsed, so that a mistake in another word is told as JSON too.
    terminal.json = "--json" in words[: words.index("--") if "--" in words else None]
    terminal.secrets = credentials.secrets_of(words, os.environ)
    try:
        result = cli.main(args=words, prog_name="lancio", standalone_mode=False, obj=terminal)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        terminal.talk(error.format_message())
        return 2
    except click.ClickException as error:
        _usage(error, terminal)
        return 2
    except LancioError as error:
        terminal.refuse(error)
        return error.exit_status
    except (KeyboardInterrupt, click.exceptions.Abort):
        terminal.talk("Interrupted.")
        return 130
    return result if isinstance(result, int) else 0


def main() -> None:
    """The command `lancio`: run, then leave with the status; a reader that went away (`| head`) ends it quietly."""
    # Trees of statements hold no loops: to look for some at each 700 new objects took a tenth of a plan's time.
    gc.set_threshold(100_000, 50, 100)
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit, and would complain there.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _usage(error: click.ClickException, terminal: Terminal) -> None:
    from lancio.errors import UsageError

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "lancio"
    terminal.refuse(
        UsageError(
            error.format_message(),
            cause="The command line does not say what to do." if isinstance(error, click.UsageError) else "",
            remedy="Look at the help of the command.",
            commands=(f"{path} --help",),
        )
    )
