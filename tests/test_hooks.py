"""The hook of pre-commit and the GitHub action, run as their tools run them, as far as that goes on one machine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pre_commit.clientlib import load_manifest

from servers import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

RELEASED = {"migrations/001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, note text);\n"}
THEIRS = {"migrations/002_drop.sql": "ALTER TABLE users DROP COLUMN note;\n"}
OURS = {"migrations/003_notes.sql": "CREATE VIEW notes AS SELECT note FROM users;\n"}
ACTION: dict[str, Any] = yaml.safe_load((PROJECT / "action.yml").read_text(encoding="utf-8"))


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, "-C", folder, *words], check=True, capture_output=True)


def commit(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "more")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """main with a file of its own, and feature, which conflicts with it."""
    made = tmp_path / "repository"
    made.mkdir()
    git(made, "init", "--quiet", "--initial-branch", "main")
    commit(made, RELEASED)
    git(made, "checkout", "--quiet", "-b", "feature")
    commit(made, OURS)
    git(made, "checkout", "--quiet", "main")
    commit(made, THEIRS)
    git(made, "checkout", "--quiet", "feature")
    return made


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the program `lancio` that is being tested."""
    made = tmp_path / "programs"
    made.mkdir()
    (made / "lancio").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lancio "$@"\n')
    (made / "lancio").chmod(0o755)
    return made


def test_the_hook_finds_a_conflict_before_the_commit(repository: Path, programs: Path, tmp_path: Path) -> None:
    (hook,) = load_manifest(str(PROJECT / ".pre-commit-hooks.yaml"))
    # As it is published, but for where it is installed from.
    local = {key: hook[key] for key in ("id", "name", "entry", "files", "pass_filenames")}
    config = {"repos": [{"repo": "local", "hooks": [{**local, "language": "system", "args": ["--base", "main"]}]}]}
    commit(repository, {".pre-commit-config.yaml": yaml.safe_dump(config)})
    environ = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PRE_COMMIT_HOME": str(tmp_path / "cache")}

    def run() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
        return subprocess.run(words, cwd=repository, env=environ, capture_output=True, text=True, check=False)

    said = run()
    assert said.returncode == 1
    assert "migrations/003_notes.sql:1 conflict" in said.stdout
    (repository / "migrations" / "003_notes.sql").write_text("CREATE VIEW notes AS SELECT id FROM users;\n")
    assert run().returncode == 0


def stub(path: Path, program: Path) -> Path:
    """A wheel whose `lancio` is the one that is being tested, so that nothing has to be fetched."""
    wheel = path / "stub-1-py3-none-any.whl"
    body = f"import os, sys\ndef main(): os.execv({str(program)!r}, [{str(program)!r}, *sys.argv[1:]])\n"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("stub.py", body)
        made.writestr("stub-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: stub\nVersion: 1\n")
        made.writestr("stub-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr("stub-1.dist-info/entry_points.txt", "[console_scripts]\nlancio = stub:main\n")
        made.writestr("stub-1.dist-info/RECORD", "")
    return wheel


def filled(text: str, values: dict[str, str]) -> str:
    """What GitHub puts in place of `${{ a || b }}`."""

    def value(match: re.Match[str]) -> str:
        return next((found for name in match[1].split("||") if (found := values.get(name.strip(), ""))), "")

    return re.sub(r"\$\{\{(.*?)\}\}", value, text)


def run_action(repository: Path, temp: Path, values: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Every step of the action in turn, its script untouched; the first that fails ends it."""
    given = {f"inputs.{name}": str(each.get("default", "")) for name, each in ACTION["inputs"].items()} | values
    done = subprocess.CompletedProcess[str]([], 0, "", "")
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "what is put into a script could be a script"
        environ = os.environ | {name: filled(text, given) for name, text in step["env"].items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=repository, env=environ | {"RUNNER_TEMP": str(temp)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            break
    return done


@pytest.mark.slow
def test_the_action_shows_a_conflict_beside_its_line(repository: Path, programs: Path, tmp_path: Path) -> None:
    assert ACTION["runs"]["using"] == "composite"
    # As actions/checkout leaves it: the last commit of the pull request's branch alone.
    clone = tmp_path / "clone"
    words = ["git", "clone", "--quiet", "--depth=1", "--branch=feature", repository.as_uri(), clone]
    subprocess.run(words, check=True, capture_output=True)
    temp = tmp_path / "runner"
    temp.mkdir()
    values = {"inputs.package": str(stub(tmp_path, programs / "lancio")), "inputs.python": sys.executable,
              "github.action_path": str(PROJECT), "github.base_ref": "main", "inputs.sarif": str(temp / "out.sarif"),
              "inputs.arguments": "--ignore exclusive-lock --severity 'number-gap=note'"}  # fmt: skip
    done = run_action(clone, temp, values)
    assert done.returncode == 1, done.stderr
    assert "::error file=migrations/003_notes.sql,line=1,title=lancio conflict::" in done.stdout
    assert '"conflict"' in (temp / "out.sarif").read_text()
    hostile = values | {"inputs.arguments": "$(touch hacked) ; touch hacked", "inputs.sarif": ""}
    assert run_action(clone, temp, hostile).returncode == 2
    assert not (clone / "hacked").exists()
    (clone / "migrations" / "003_notes.sql").write_text("CREATE VIEW notes AS SELECT id FROM users;\n")
    assert run_action(clone, temp, values).returncode == 0
