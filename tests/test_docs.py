"""The documentation speaks of the program that is here: every command, option and error code, and no other."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from lancio.cli.main import COMMANDS, cli
from lancio.drivers.findings import DatabaseRefused
from lancio.errors import LancioError
from lancio.executor import planfile
from lancio.proof import leaks, programs, restore
from lancio.registry import (
    acting,
    audit_trail,
    connection_strings,
    context,
    databases,
    key_backup,
    key_encryption_key,
    key_rotation,
    opening,
    refusal,
    secrets,
    shadow,
)
from lancio.rotation.model import CredentialRotationRefused

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CLI = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
ERRORS = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")


def command_of(name: str) -> click.Command:
    context = click.Context(cli)
    found = cli.get_command(context, name)
    assert found is not None
    return found


def leaves(command: click.Command) -> list[click.Command]:
    return list(command.commands.values()) if isinstance(command, click.Group) else [command]


def errors(root: type[LancioError] = LancioError) -> list[type[LancioError]]:
    return [root, *(each for child in root.__subclasses__() for each in errors(child))]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_section_with_an_example(name: str) -> None:
    section = re.search(rf"^## lancio {name}$(.*?)(?=^## |\Z)", CLI, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert re.search(rf"```sh\n(?:.*\n)*?[^\n]*lancio {name}\b", section[1])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    for command in leaves(command_of(name)):
        for option in command.params:
            if isinstance(option, click.Option):
                for spelled in option.opts:
                    assert f"`{spelled}" in CLI, f"{name} {spelled}"


def test_no_section_is_about_a_command_that_is_not_there() -> None:
    assert set(re.findall(r"^## lancio (\S+)$", CLI, re.MULTILINE)) == set(COMMANDS)


def test_every_error_code_is_documented_with_its_exit_status() -> None:
    for raised in (
        secrets.KeyRefused,
        planfile.PlanChanged,
        programs.BackupFailed,
        restore.RestoreRefused,
        leaks.ProofFailed,
        context.ContextRefused,
        acting.NotAllowed,
        refusal.LostRace,
        databases.Placeholder,
        shadow.ShadowRefused,
        opening.OpeningRefused,
        key_encryption_key.WrapBroken,
        key_rotation.RotationRefused,
        CredentialRotationRefused,
        key_backup.BackupRefused,
        connection_strings.ConnectionStringRefused,
        DatabaseRefused,
        audit_trail.AuditRefused,
    ):
        assert raised in errors()
    rows = dict(re.findall(r"^\| `([a-z.-]+)` \| (\d+) \|", ERRORS, re.MULTILINE))
    assert rows == {each.code: str(each.exit_status) for each in errors()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_shell_blocks_name_commands_and_options_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for call in re.findall(r"(?:^|[|;&(]\s*|\$ |=\S+ )lancio ((?:[^|;&#<>\n]|'[^']*')*)", line):
                _exists(shlex.split(call), page)
            for target in re.findall(r"(?:^|\$ )make (\w+)", line):
                makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_exit_status_of_the_errors_is_in_the_command_lines_page() -> None:
    for status in {each.exit_status for each in errors()}:
        assert f"| {status} |" in CLI


def test_the_graphs_schema_is_json() -> None:
    schema = json.loads((ROOT / "docs" / "reference" / "graph.schema.json").read_text(encoding="utf-8"))
    assert schema["$schema"].endswith("2020-12/schema")


def test_help_tells_the_examples_of_commands_that_exist() -> None:
    for name in COMMANDS:
        for line in (command_of(name).epilog or "").splitlines():
            for call in re.findall(r"(?:^\s*|\| |=\S+ )lancio ((?:[^|;&#<>\n]|'[^']*')*)", line):
                _exists(shlex.split(re.split(r" {2,}", call)[0]), Path(name))


def _exists(words: list[str], page: Path) -> None:
    if not words or words[0].startswith("-"):
        return
    assert words[0] in COMMANDS, f"{page.name}: lancio {words[0]}"
    command = command_of(words[0])
    known = {spelled for each in leaves(command) for option in each.params for spelled in option.opts} | {
        "--help",
        "-h",
    }
    for word in words[1:]:
        if word.startswith("-") and word != "-":
            assert word.split("=")[0] in known, f"{page.name}: lancio {words[0]} {word}"


def test_the_pictures_of_the_readme_are_what_the_program_draws() -> None:
    from lancio.cli import work
    from lancio.cli.options import Source, platform_folder
    from lancio.render import text

    drawn = text.graph(work.graph_of(Source(platform_folder(), "--platform", platform=True)), 80)
    picture = re.search(r"```text\n(MIGRATION 006.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert picture is not None
    assert picture[1].strip() in drawn
