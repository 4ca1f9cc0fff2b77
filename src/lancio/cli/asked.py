"""What is asked of the person, or of what stands in for one: secrets, and names to be typed.

A secret is never an argument: everybody on the machine can read those. It is typed without being shown, comes from
another program by stdin, or from a file.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from lancio.errors import UsageError

if TYPE_CHECKING:
    from lancio.cli.terminal import Terminal
    from lancio.registry.secrets import Secret

MOST_BYTES: Final = 65_536
"""Of a secret from stdin or a file."""


def secret(terminal: Terminal, what: str, file: str | None, *, option: str, twice: bool = False) -> Secret:
    """A secret: from `file` (`-` is stdin), typed at the terminal, or from stdin where nobody is there to type.

    A line end behind it is not part of it. `option` is what names a file on this command line; `twice` has it typed
    again.

    Raises:
        UsageError: there is none, it is not text, too long, or the file cannot be read, or by others too.
    """
    from lancio.cli.secret_input import read_file
    from lancio.registry.acting import shown
    from lancio.registry.secrets import Secret

    if file is None and sys.stdin.isatty() and terminal.err.isatty():
        typed: str = click.prompt(what, err=True, hide_input=True, confirmation_prompt=twice)
        return _not_empty(Secret(typed), what, option)
    where = "stdin" if file is None or file == "-" else shown(file)
    if file is not None and file != "-":
        text = read_file(file, instead=f"{option} -")
    else:
        raw = sys.stdin.buffer.read(MOST_BYTES + 1) if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise UsageError(
                "what stdin holds is not text", cause="It is not UTF-8.", remedy="Save it as UTF-8."
            ) from None
    if len(text.encode()) > MOST_BYTES:
        raise UsageError(
            f"what {where} holds is too long", cause=f"More than {MOST_BYTES:,} bytes.", remedy="Give the secret alone."
        )
    return _not_empty(Secret(text.removesuffix("\n").removesuffix("\r")), what, option)


def typed(terminal: Terminal, question: str, wanted: str, *, yes: bool, why: str) -> None:
    """Have a name typed before something that cannot be taken back.

    Raises:
        UsageError: another name was typed, or nobody is there to be asked.
    """
    if yes:
        return
    if terminal.json or not (sys.stdin.isatty() and terminal.err.isatty()):
        raise UsageError(
            "this cannot be taken back, and nobody was asked",
            cause=f"{why} There is no terminal to ask on.",
            remedy="Look at it with --dry-run, then say --yes.",
        )
    terminal.talk(why)
    if click.prompt(question, err=True, default="", show_default=False).strip() != wanted:
        raise UsageError("nothing was changed", cause="Another name was typed.", remedy="Run it again.")


def _not_empty(given: Secret, what: str, option: str) -> Secret:
    if not given:
        raise UsageError(
            f"{what} is empty",
            cause="Nothing was typed, and nothing came by stdin or from the file.",
            remedy=f"Type it when asked, pipe it in, or name its file by {option}.",
        )
    return given
