"""Commands whose names are alike, and what is meant where one is taken for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Alike(click.Group):
    """A group that may be taken for another, `like`: what only that one can do is said of it."""

    def __init__(self, *args: Any, like: Sequence[str], **more: Any) -> None:
        super().__init__(*args, **more)
        self.like = like
        """The other's name, and what is under it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does.

        Raises:
            UsageError: this group has no such command and the other one has.
        """
        other, about = self.like
        root = ctx.find_root().command
        if self.get_command(ctx, args[0]) is None and isinstance(root, click.Group):
            group = root.get_command(ctx, other)
            if isinstance(group, click.Group) and group.get_command(ctx, args[0]) is not None:
                raise UsageError(
                    f"{ctx.command_path} has no command {args[0]}",
                    cause=f"{about} are under lancio {other}.",
                    remedy="Take the one that you mean.",
                    commands=(f"lancio {other} {args[0]} --help", f"{ctx.command_path} --help"),
                )
        return super().resolve_command(ctx, args)
