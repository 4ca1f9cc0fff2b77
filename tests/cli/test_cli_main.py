from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lancio.cli import main
from lancio.cli.options import platform_folder
from lancio.cli.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

PACKAGED = sorted(path.name for path in platform_folder().glob("*.sql") if ".rollback." not in path.name)


class Screen(io.StringIO):
    """A terminal of no particular make."""

    def isatty(self) -> bool:
        return True


def lancio(*words: str, screen: bool = False, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    """The command line inside this process: exit status, stdout, stderr."""
    made = Screen if screen else io.StringIO
    out, err = made(), made()
    status = main.run(words, Terminal(out, err, {"TERM": "xterm"} if environ is None else environ))
    return status, out.getvalue(), err.getvalue()


def process(*words: str, **given: object) -> subprocess.CompletedProcess[str]:
    """The command line as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lancio", *words], capture_output=True, text=True, timeout=60, check=False, **given,  # type: ignore[call-overload]
    )  # fmt: skip


def test_help_comes_within_300_milliseconds() -> None:
    # The best of several: the machine may be busy with other tests.
    took = []
    for _ in range(7):
        started = time.perf_counter()
        assert process("--help").returncode == 0
        took.append(time.perf_counter() - started)
    assert min(took) < 0.3


def test_help_imports_no_driver_no_parser_and_no_terminal_painter() -> None:
    code = (
        "import sys\nfrom lancio.cli import main\nmain.run(['--help'])\n"
        "sys.exit(str([n for n in ('psycopg', 'rich', 'postgast', 'lancio.planner') if n in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lancio(name, "--help")[0] == 0
    shown = capsys.readouterr().out
    assert "\nExamples:\n" in shown.replace("  Examples", "Examples")  # a line of its own
    assert f"lancio {name}" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("graph", "--no-such-option"), "no-such-option"),
        (("nosuch",), "nosuch"),
        (("aply",), "Did you mean 'apply'?"),
        (("graph", "--format", "pdf"), "pdf"),
        (("graph", ".", "--platform"), "DIR and --platform are both given"),
        (("graph", "--platform", "--tree", "--json"), "--tree and json do not go together"),
        (("adopt", "--platform", "--edited", "x.sql", "--implied"), "--edited goes alone"),
        (("apply", "--platform", "--implied"), "go with --adopt"),
        (("explain", "", "--platform"), "there is no error text"),
    ],
)
def test_a_wrong_command_line_is_2_with_a_remedy_and_no_data(words: tuple[str, ...], said: str) -> None:
    status, out, err = lancio(*(word for word in words if word != "--json"), *(w for w in words if w == "--json"))
    assert status == 2
    if "--json" in words:
        assert said in json.loads(out)["error"]["message"]
    else:
        assert out == ""
        assert said in err
        assert "Solution:" in err


def test_with_json_a_wrong_command_line_is_data_too() -> None:
    status, out, err = lancio("plan", "--json", "--no-such-option")
    assert status == 2
    assert json.loads(out)["error"]["code"] == "usage"
    assert err == ""


def test_without_a_folder_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = lancio("graph")
    assert status == 2
    assert "no folder of migrations is named" in err
    assert "lancio graph --platform" in err


def test_migrations_is_the_usual_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "001_t.sql").write_text("CREATE TABLE t (id int);\n")
    monkeypatch.chdir(tmp_path)
    status, out, _ = lancio("graph", "--json")
    assert status == 0
    assert json.loads(out)["files"] == ["001_t.sql"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no .sql file"),
        (b"CREAT TABLE t ();\n", "001_t.sql:1"),
        (b"SELECT '\xe9';\n", "is not UTF-8"),
        (b"\\d t\n", "001_t.sql:1"),
    ],
)
def test_bad_input_is_a_refusal_without_a_traceback(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "001_t.sql").write_bytes(content)
    done = process("graph", str(tmp_path))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Cause:" in done.stderr
    assert "Solution:" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_platform_is_drawn_as_boxes_tree_mermaid_and_json() -> None:
    boxes = lancio("graph", "--platform")[1]
    assert "STEP 1: 006_add_platform_databases_table.sql" in boxes
    assert "✓ pgcrypto extension (from 003)" in boxes
    assert "• platform.databases table" in boxes
    assert "• 8 indexes" in boxes
    assert "• 26 policies (permissive_all_…)" in boxes
    assert "CAN run in parallel? NO — because" in boxes
    tree = lancio("graph", "--platform", "--tree")[1]
    assert [line for line in tree.splitlines() if line.endswith(".sql")] == PACKAGED
    assert lancio("graph", "--platform", "--format", "mermaid")[1].startswith("flowchart TD\n")
    drawn = json.loads(lancio("graph", "--platform", "--format", "json")[1])
    assert drawn["files"] == PACKAGED
    row = [each for each in drawn["edges"] if each["strength"] == "row"]
    assert ("006_register_railway_databases.sql", "004_create_lancio_org.sql") in {(e["file"], e["needs"]) for e in row}


def test_the_same_folder_gives_the_same_bytes_in_every_process() -> None:
    seen = {
        process("graph", "--platform", *form, env=os.environ | {"PYTHONHASHSEED": seed}).stdout
        for form in (("--json",),)
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1
    texts = {
        process("graph", "--platform", env=os.environ | {"PYTHONHASHSEED": s, "COLUMNS": s * 2}).stdout for s in "589"
    }
    assert len(texts) == 1


def test_colours_are_only_for_those_who_look() -> None:
    assert "\033[" not in lancio("graph", "--platform")[1]
    assert "\033[" in lancio("graph", "--platform", screen=True)[1]
    assert "\033[" not in lancio("graph", "--platform", screen=True, environ={"TERM": "xterm", "NO_COLOR": "1"})[1]
    assert "\033[" not in lancio("graph", "--platform", screen=True, environ={"TERM": "dumb"})[1]


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    command = f"{sys.executable} -m lancio graph --platform | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("EXISTING MIGRATIONS")
    assert done.stderr == ""


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("lancio.cli.work.graph_of", broken)
    with pytest.raises(ZeroDivisionError):
        lancio("graph", "--platform")


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lancio.cli.work.graph_of", stopped)
    status, out, err = lancio("graph", "--platform")
    assert (status, out, err) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_the_shell(shell: str) -> None:
    status, script, _ = lancio("completion", shell)
    assert status == 0
    assert f"_LANCIO_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_completion_completes_commands() -> None:
    environ = os.environ | {"_LANCIO_COMPLETE": "bash_complete", "COMP_WORDS": "lancio pre", "COMP_CWORD": "1"}
    assert process(env=environ).stdout.strip() == "plain,preflight"


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ('relation "platform.databases" does not exist', "006_add_platform_databases_table.sql"),
        ("psql:x.sql:3: ERROR:  relation platform.databases does not exist", "006_add_platform_databases_table.sql"),
        ("extension pgcrypto does not exist", "003_user_management_and_permissions.sql"),
        ("Lancio project not found", "004_create_lancio_org.sql"),
        ("table platform.projects does not exist", "001_create_platform_schema.sql"),
    ],
)
def test_each_error_of_the_specification_is_explained(text: str, file: str) -> None:
    status, out, _ = lancio("explain", text, "--platform")
    assert status == 0
    assert "Cause:" in out
    assert "Solution:" in out
    assert file in re.split(r"Solution:", out)[1]


def test_an_sqlstate_alone_is_explained() -> None:
    found = json.loads(lancio("explain", "55P03", "--platform", "--json")[1])
    assert found["sqlstate"] == "55P03"
    assert "lock" in found["cause"]


def test_explain_reads_what_psql_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = 'psql:a.sql:1: ERROR:  42P01: relation "nowhere" does not exist\nLINE 1: SELECT\nHINT:  Look elsewhere.\n'
    monkeypatch.setattr("sys.stdin", io.StringIO(printed))
    found = json.loads(lancio("explain", "-", "--platform", "--json")[1])
    assert found["message"] == 'relation "nowhere" does not exist'
    assert found["sqlstate"] == "42P01"
    assert found["hint"] == "Look elsewhere."


def test_explain_masks_what_an_error_text_quotes() -> None:
    out = lancio("explain", "could not connect to redis://:hunter2@cache:6379", "--platform")[1]
    assert "hunter2" not in out


@pytest.mark.parametrize(
    "text", ["hello world", "ZZ999", "LOG:  checkpoint complete", "ORA-00942: table or view does not exist"]
)
def test_what_is_not_recognized_is_said_to_be_so_and_ends_with_1(text: str) -> None:
    status, out, err = lancio("explain", text, "--platform")
    assert status == 1
    assert "no error of PostgreSQL's was recognized" in out + err
    assert "Cause:    No SQLSTATE stands in the text" in out + err


def test_a_name_that_is_nearly_right_is_proposed() -> None:
    status, out, err = lancio("explain", "platform.databses", "--platform")
    assert status == 1
    assert "Did you mean: table platform.databases" in out + err


@pytest.mark.parametrize("named", ["006_register_railway_databases.sql", "006_register_railway_databases"])
def test_a_file_is_explained_by_what_it_needs_and_makes(named: str) -> None:
    found = json.loads(lancio("explain", named, "--platform", "--json")[1])
    assert (found["kind"], found["subject"]) == ("file", "006_register_railway_databases.sql")
    assert "table platform.databases (from 006_add_platform_databases_table.sql:60)" in found["needs"]
    assert any("register_database_from_setting" in each for each in found["makes"])
    assert found["commands"] == ["lancio apply --platform --only 006_register_railway_databases.sql"]


def test_what_may_go_wrong_with_a_file_has_the_shape_of_a_diagnosis() -> None:
    found = json.loads(lancio("explain", "006_enable_rls_with_permissive_policies.sql", "--platform", "--json")[1])
    assert [each["rule"] for each in found["failures"]] == ["lock-timeout"]
    assert set(found["failures"][0]) == set(json.loads(lancio("explain", "55P03", "--platform", "--json")[1]))


def test_an_object_is_explained_by_who_makes_and_who_needs_it() -> None:
    found = json.loads(lancio("explain", "platform.databases", "--platform", "--json")[1])
    assert found["subject"] == "table platform.databases"
    assert found["history"][0] == "006_add_platform_databases_table.sql:60: made table platform.databases"
    assert any(each.startswith("006_register_railway_databases.sql:31") for each in found["needed_by"])
