"""`lancio completion`: what a shell has to read to complete our words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""\b
Examples:
  lancio completion bash >> ~/.bashrc
  lancio completion zsh >> ~/.zshrc
  lancio completion fish > ~/.config/fish/completions/lancio.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL, to be read by it at start-up."""
    from lancio.cli.options import terminal_of

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101  click has all three
    script = found(context.find_root().command, {}, "lancio", "_LANCIO_COMPLETE")
    # The script itself: click's source() first runs the shell to ask its version, which may not be installed here.
    terminal_of(context).data(f"{script.source_template % script.source_vars()}\n")
