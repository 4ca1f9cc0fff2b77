"""Where output goes and how it looks there."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

from lancio.cli import credentials
from lancio.render import lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lancio.errors import LancioError


class Terminal:
    """stdout for data and stderr for talk, each painted only where a person looks at it.

    `json` is set by the command that runs: then data is JSON, and a refusal is data too.
    """

    def __init__(
        self, out: TextIO | None = None, err: TextIO | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._out, self._err = out, err
        self._environ = os.environ if environ is None else environ
        self.json = False
        self.secrets: tuple[str, ...] = ()
        """What is shown of nothing: the passwords of the command line and its environment."""

    @property
    def out(self) -> TextIO:
        """stdout as it is now: tests and shells put another one in its place."""
        return sys.stdout if self._out is None else self._out

    @property
    def err(self) -> TextIO:
        """stderr as it is now."""
        return sys.stderr if self._err is None else self._err

    @property
    def cells(self) -> int:
        """The width to draw in; without a terminal always the same, so that the same input gives the same bytes."""
        return lines.fit(shutil.get_terminal_size().columns if self.out.isatty() else None)

    def live(self, stream: TextIO) -> bool:
        """Whether a person watches `stream` on a terminal that can move its cursor."""
        return stream.isatty() and self._environ.get("TERM", "") != "dumb"

    def colours(self, stream: TextIO) -> bool:
        """Whether `stream` is painted: a terminal, and NO_COLOR not set (https://no-color.org)."""
        return self.live(stream) and not self._environ.get("NO_COLOR")

    def data(self, text: str) -> None:
        """Print what was asked for."""
        self._write(self.out, text)

    def talk(self, text: str) -> None:
        """Say something about it; not said where data is JSON and nobody is there to listen."""
        self._write(self.err, text if text.endswith("\n") else f"{text}\n")

    def refuse(self, error: LancioError) -> None:
        """Show a refusal: as data for `--json`, else as message, place, cause, solution and commands."""
        self._mask(error)
        if self.json:
            from lancio.render import json

            self.data(f"{json.line({'error': error.as_dict()})}\n")
        else:
            from lancio.render import text

            self.talk(text.refusal(error, lines.fit(shutil.get_terminal_size().columns if self.err.isatty() else None)))

    def _mask(self, error: LancioError) -> None:
        """Take out what may be a secret before lines are broken; afterwards it could not be found any more."""
        for name in ("message", "cause", "remedy", "where"):
            said = credentials.masked(getattr(error, name), self.secrets)
            setattr(error, name, credentials.masked_address(said))
        error.commands = tuple(credentials.masked(each, self.secrets) for each in error.commands)

    def _write(self, stream: TextIO, text: str) -> None:
        text = credentials.masked(text, self.secrets)
        stream.write(lines.paint(text) if self.colours(stream) else text)
        stream.flush()
