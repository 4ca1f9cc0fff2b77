"""`lancio.toml`: named environments, what is refused in the file, and protected ones that ask."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
from test_cli_uses import lancio

from lancio.cli import environments, main
from lancio.cli.terminal import Terminal
from lancio.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, which is the current one, with one migration and without a word from outside."""
    for name in ("DATABASE_URL", "PROD_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".git").mkdir()
    (tmp_path / "db" / "sql").mkdir(parents=True)
    (tmp_path / "db" / "sql" / "001_a.sql").write_text("CREATE TABLE ${name} (id int);\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(project: Path, text: str) -> None:
    (project / "lancio.toml").write_text(text)


SHARED = 'folder = "db/sql"\nvars = { name = "made" }\n'
PRODUCTION = '[environments.production]\ndatabase_env = "PROD_URL"\nprotected = true\n'


def tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT relname FROM pg_class WHERE relname IN ('made', 'other')")]


def test_an_environment_gives_database_folder_and_variables(
    project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project, SHARED + '[environments.ci]\ndatabase_env = "CI_URL"\n')
    monkeypatch.setenv("CI_URL", database)
    assert lancio("apply", "--env", "ci", "--yes")[0] == 0
    assert tables(database) == ["made"]
    (project / "db" / "sql" / "002_b.sql").write_text("CREATE VIEW v AS SELECT * FROM nowhere;\n")
    found = json.loads(lancio("plan", "--env", "ci", "--json")[1])
    assert found["go"] is False


def test_it_is_found_from_a_folder_below_and_beside_the_migrations(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    configure(project, SHARED)
    monkeypatch.chdir(project / "db")
    assert lancio("graph")[0] == 0
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert lancio("graph", project / "db" / "sql")[0] == 1  # nothing beside it fills the place
    (project / "lancio.toml").rename(project / "db" / "lancio.toml")
    assert lancio("graph", project / "db" / "sql")[0] == 0


def test_looking_upwards_ends_at_a_repository_and_where_everybody_may_write(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project, "nonsense = 1\n")
    inner = project / "vendor" / "inner"
    inner.mkdir(parents=True)
    (inner.parent / ".git").mkdir()
    assert environments.find(None) == project / "lancio.toml"
    monkeypatch.chdir(inner)
    assert environments.find(None) is None
    (inner.parent / ".git").rmdir()
    assert environments.find(None) == project / "lancio.toml"
    project.chmod(0o777)
    assert environments.find(None) is None


def test_flags_go_before_the_environment_and_vars_are_joined(project: Path) -> None:
    configure(project, SHARED + 'order = "graph"\nlayout = "flat"\n')
    (project / "db" / "sql" / "002_b.sql").write_text("CREATE TABLE ${more} (id int);\n")
    found = json.loads(lancio("graph", "--var", "more=other", "--json")[1])
    assert [each["creates"][0]["object"] for each in found["details"]] == ["table public.made", "table public.other"]
    assert lancio("check", "--var", "more=x", "--order", "name")[0] == 0
    assert lancio("graph", "--layout", "goose", "--var", "more=x")[0] == 1


def test_the_default_is_used_without_a_word_and_database_url_goes_before_it(
    project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project, f'default = "dev"\n{SHARED}[environments.dev]\ndatabase = "host=127.0.0.1 port=1 dbname=x"\n')
    status, _, err = lancio("plan")
    assert status == 1
    assert "127.0.0.1" in err
    monkeypatch.setenv("DATABASE_URL", database)
    assert lancio("plan")[0] == 0
    assert lancio("plan", "--env", "dev")[0] == 1
    assert lancio("plan", "--env", "dev", "--database", database)[0] == 0


def test_commands_that_are_proposed_name_the_environment(
    project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project, SHARED + PRODUCTION)
    monkeypatch.setenv("PROD_URL", database)
    (project / "db" / "sql" / "001_a.sql").write_text("CREATE TABLE ${name} (id int);\n")
    (project / "db" / "sql" / "002_b.sql").write_text("CREATE VIEW v AS SELECT id FROM ${name};\n")
    found = json.loads(lancio("preflight", "--env", "production", "--only", "002_b.sql", "--json")[1])
    commands = [command for each in found["missing"] for command in each["commands"]]
    assert any(command.startswith("lancio apply") and "--env production" in command for command in commands)
    assert not any("--database" in command for command in commands)


# Protected ones.


def test_a_protected_one_is_read_without_asking_and_refused_without_a_terminal(
    project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project, SHARED + PRODUCTION)
    monkeypatch.setenv("PROD_URL", database)
    for command in ("plan", "preflight", "status", "verify"):
        assert lancio(command, "--env", "production")[0] == 0
    for words in (("apply",), ("apply", "--json"), ("adopt", "--edited", "001_a.sql")):
        status, out, err = lancio(*words, "--env", "production")
        assert status == 2
        assert "production is protected" in out + err
    assert tables(database) == []
    assert lancio("apply", "--env", "production", "--yes")[0] == 0
    assert tables(database) == ["made"]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "status", "made"), [("production\n", 0, ["made"]), ("y\n", 2, []), ("\n", 2, [])])
def test_on_a_terminal_its_name_is_to_be_typed(
    project: Path, database: str, monkeypatch: pytest.MonkeyPatch, typed: str, status: int, made: list[str]
) -> None:
    configure(project, SHARED + PRODUCTION)
    monkeypatch.setenv("PROD_URL", database)
    monkeypatch.setattr(sys, "stdin", Screen(typed + "y\n"))
    said = Screen()
    assert main.run(["apply", "--env", "production"], Terminal(io.StringIO(), said, {"TERM": "dumb"})) == status
    assert tables(database) == made


def test_a_default_that_is_protected_is_protected(
    project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project, 'default = "production"\n' + SHARED + PRODUCTION)
    monkeypatch.setenv("PROD_URL", database)
    assert lancio("apply")[0] == 2
    assert tables(database) == []


# What is refused.


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("folder = 'a'\ndefalt = 'x'\n", 2, "unknown key defalt"),
        ("[environments.a]\n\ndatabse = 'x'\n", 3, "unknown key databse"),
        ("[environments.a]\npassword = 'hunter2'\n", 2, "unknown key password"),
        ("[environments.a]\nprotected = 'yes'\n", 2, "protected that cannot be right"),
        ("[environments.a]\nrole = ''\n", 2, "role that cannot be right"),
        ("[environments.a]\nvars = { a = 1 }\n", 2, "vars that cannot be right"),
        ("order = 'random'\n", 1, "no such order"),
        ("layout = 'rails'\n", 1, "no such layout"),
        ("environments.a = 1\n", 0, "a table"),
        ("default = 'x'\n[environments.a]\n", 1, "no environment x"),
        ("[environments.a]\ndatabase = 'a'\ndatabase_env = 'B'\n", 3, "twice"),
        ("[check]\nselect = 'a'\n", 2, "select that cannot be right"),
        ("[environments.a\n", 1, "no TOML"),
        ("[environments.a]\ndatabase = 'postgresql://u:hunter2@h/d'\n", 2, "has a password"),
        ("[environments.a]\ndatabase = 'host=h password=hunter2'\n", 2, "has a password"),
        ("[environments.a]\ndatabase = 'postgresql://h/d?password=hunter2'\n", 2, "has a password"),
        ("[environments.a]\ndatabase = 'postgresql://u:hunter2@h:x y/d'\n", 2, "no connection string"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_line_and_no_secret(
    project: Path, text: str, line: int, says: str
) -> None:
    configure(project, text)
    with pytest.raises(UsageError) as refused:
        environments.read(project / "lancio.toml")
    assert says in refused.value.message
    assert refused.value.where == f"{project / 'lancio.toml'}{f':{line}' if line else ''}"
    assert refused.value.remedy
    status, out, err = lancio("plan", "--json")
    assert status == 2
    assert "hunter2" not in out + err + repr(refused.value.as_dict())


@pytest.mark.parametrize("words", [("--env", "none"), ("--env", "production"), ("--config", "nowhere.toml")])
def test_an_environment_that_cannot_be_had_is_2(project: Path, words: tuple[str, ...]) -> None:
    configure(project, SHARED + PRODUCTION)
    status, _, err = lancio("plan", *words)  # production: its variable is not set
    assert status == 2
    assert "Solution" in err


def test_env_without_a_file_is_2(project: Path) -> None:
    assert lancio("plan", "--env", "dev")[0] == 2


def test_help_needs_no_file_that_is_right(project: Path) -> None:
    configure(project, "nonsense = 1\n")
    assert lancio("plan", "--help")[0] == 0


def test_check_goes_by_its_own_table(project: Path) -> None:
    configure(project, SHARED + '[check]\nignore = ["data-loss"]\nseverity = { "rename" = "error" }\n')
    (project / "db" / "sql" / "002_b.sql").write_text(
        "DROP TABLE IF EXISTS old;\nALTER TABLE made RENAME TO renamed;\n"
    )
    status, out, _ = lancio("check", "--json")
    assert status == 1
    assert {(each["rule"], each["severity"]) for each in json.loads(out)["findings"]} >= {("rename", "error")}
    assert "data-loss" not in out
