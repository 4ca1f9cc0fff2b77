"""`lancio check`: two branches of a git repository, the rules, and every form in which findings are told."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from test_cli_uses import lancio

from lancio.planner.model import Finding, Place
from lancio.planner.rules import RULES
from lancio.render import check as rendering
from servers import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = json.loads((PROJECT / "docs" / "reference" / "check.schema.json").read_text(encoding="utf-8"))
RELEASED = {
    "001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, email varchar(20), note text);\n",
    "002_posts.sql": "CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES users);\n",
}
THEIRS = {"003_drop.sql": "ALTER TABLE users DROP COLUMN note;\n"}
OURS = {
    "004_notes.sql": "CREATE VIEW notes AS SELECT note FROM users;\n",
    "005_tags.sql": "CREATE TABLE tags (id int PRIMARY KEY);\n",
}


class Repository:
    def __init__(self, root: Path, folder: str = "db/migrations") -> None:
        self.root, self.folder = root, root / folder
        self.folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit(RELEASED)
        self.git("branch", "feature")

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *who, "-C", self.root, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def commit(self, files: Mapping[str, str]) -> None:
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "more")

    def branches(self, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
        """The other branch gets its files; this one is left in the work tree, not even added."""
        self.git("checkout", "--quiet", "main")
        self.commit(theirs)
        self.git("checkout", "--quiet", "feature")
        self.write(ours)

    def check(self, *words: str) -> tuple[int, dict[str, Any]]:
        status, out, _ = lancio("check", self.folder, *words, "--json")
        found = json.loads(out)
        if "error" not in found:
            jsonschema.validate(found, SCHEMA)
        return status, found


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def rules(found: dict[str, Any], severity: str = "error") -> list[tuple[str, str]]:
    return [(each["rule"], Path(each["file"] or "").name) for each in found["findings"] if each["severity"] == severity]


def test_a_conflict_is_an_error_and_the_other_pair_commutes(repository: Repository) -> None:
    repository.branches(THEIRS, OURS)
    status, found = repository.check("--base", "main")
    assert status == 1
    assert rules(found) == [("conflict", "004_notes.sql")]
    assert "users.note" in found["findings"][0]["message"]
    assert {(each["ours"][-13:], each["commute"]) for each in found["pairs"]} == {
        ("004_notes.sql", False), ("/005_tags.sql", True),
    }  # fmt: skip
    assert found["files"] == ["db/migrations/004_notes.sql", "db/migrations/005_tags.sql"]
    status, out, _ = lancio("check", repository.folder, "--base", "main")
    assert "✓ 005_tags.sql and 003_drop.sql commute" in " ".join(out.split())
    assert status == 1


def test_the_work_tree_is_left_as_it_was(repository: Repository) -> None:
    repository.branches(THEIRS, OURS)
    before = repository.git("status", "--porcelain=v2", "--branch")
    repository.check("--base", "main")
    assert repository.git("status", "--porcelain=v2", "--branch") == before


def test_after_the_other_branch_is_merged_the_conflict_is_what_it_always_was(repository: Repository) -> None:
    repository.branches(THEIRS, OURS)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "-m", "ours")
    repository.git("merge", "--quiet", "--no-edit", "main")
    status, found = repository.check("--base", "main")
    assert status == 1
    assert ("unprovided", "004_notes.sql") in rules(found)
    assert found["theirs"] == []


@pytest.mark.parametrize(
    ("theirs", "ours", "rule", "file"),
    [
        ({"003_a.sql": "SELECT 1;"}, {"003_b.sql": "SELECT 2;"}, "same-number", "003_b.sql"),
        ({}, {"001_users.sql": RELEASED["001_users.sql"] + "SELECT 1;"}, "edited-file", "001_users.sql"),
        ({"003_a.sql": "SELECT 1;"}, {"003_a.sql": "SELECT 2;"}, "edited-file", "003_a.sql"),
        ({"003_a.sql": "ALTER TABLE users RENAME note TO said;"}, {"004_b.sql": "CREATE INDEX ON users (note);"},
         "conflict", "004_b.sql"),
        ({"005_a.sql": "ALTER TABLE users DROP COLUMN note;"}, {"004_b.sql": "CREATE INDEX ON users (note);"},
         "out-of-order", "004_b.sql"),
        ({"003_a.sql": "CREATE TABLE x (id int);"}, {"004_b.sql": "CREATE TABLE x (id text);"},
         "conflict", "004_b.sql"),
    ],
)  # fmt: skip
def test_each_kind_of_trouble_has_its_rule(
    repository: Repository, theirs: dict[str, str], ours: dict[str, str], rule: str, file: str
) -> None:
    repository.branches(theirs, ours)
    status, found = repository.check("--base", "main")
    assert status == 1
    assert (rule, file) in rules(found)


def test_comments_and_white_space_of_a_released_file_may_change(repository: Repository) -> None:
    repository.branches({}, {"001_users.sql": "-- who\n" + RELEASED["001_users.sql"].replace("\n", "\r\n\r\n")})
    assert repository.check("--base", "main")[0] == 0


def test_an_edit_is_shown_at_its_first_line(repository: Repository) -> None:
    repository.branches({}, {"001_users.sql": RELEASED["001_users.sql"] + "\nSELECT 1;\n"})
    _, found = repository.check("--base", "main")
    assert [each["line"] for each in found["findings"] if each["rule"] == "edited-file"] == [2]


def test_what_the_other_branch_edited_is_no_fault_of_this_one(repository: Repository) -> None:
    repository.branches({"001_users.sql": RELEASED["001_users.sql"] + "SELECT 1;"}, {})
    assert repository.check("--base", "main")[0] == 0


def test_a_deleted_and_a_renamed_file(repository: Repository) -> None:
    repository.branches({}, {})
    (repository.folder / "002_posts.sql").unlink()
    assert rules(repository.check("--base", "main")[1]) == [("deleted-file", "002_posts.sql")]
    repository.write({"003_posts.sql": RELEASED["002_posts.sql"]})
    assert rules(repository.check("--base", "main")[1]) == [("renamed-file", "003_posts.sql")]


def test_a_file_taken_over_from_the_other_branch_is_not_held_against_itself(repository: Repository) -> None:
    repository.branches(THEIRS, THEIRS)
    status, found = repository.check("--base", "main")
    assert (status, found["pairs"], found["files"]) == (0, [], [])


def test_out_of_order_and_proved_to_commute_is_a_warning(repository: Repository) -> None:
    repository.branches({"009_a.sql": "CREATE TABLE a (id int);"}, {"004_b.sql": "CREATE TABLE b (id int);"})
    status, found = repository.check("--base", "main")
    assert status == 0
    assert ("out-of-order", "004_b.sql") in rules(found, "warning")


def test_rows_of_one_table_are_a_warning(repository: Repository) -> None:
    repository.branches(
        {"003_a.sql": "INSERT INTO users (id) VALUES (1);"}, {"004_b.sql": "INSERT INTO users (id) VALUES (2);"}
    )
    status, found = repository.check("--base", "main")
    assert (status, rules(found, "warning")) == (0, [("shared-rows", "004_b.sql")])


def test_what_cannot_be_seen_through_is_told_once(repository: Repository) -> None:
    dark = "DO $$ BEGIN EXECUTE current_setting('a.b'); END $$;"
    repository.branches({"003_a.sql": "SELECT 1;", "004_b.sql": "SELECT 2;"}, {"005_c.sql": dark})
    _, found = repository.check("--base", "main")
    told = [each["message"] for each in found["findings"] if each["rule"] == "opaque"]
    assert len([each for each in told if "2 files of main" in each]) == 1
    assert not any(each["commute"] for each in found["pairs"])


def test_numbers_left_out_are_told(repository: Repository) -> None:
    repository.branches({}, {"005_c.sql": "SELECT 1;"})
    _, found = repository.check("--base", "main")
    assert [each["message"] for each in found["findings"]] == ["005_c.sql leaves out 3 to 4"]


def test_a_folder_that_the_other_branch_does_not_have_is_new_altogether(repository: Repository) -> None:
    repository.branches({}, {"../other/001_a.sql": "CREATE TABLE a (id int);"})
    status, out, _ = lancio("check", repository.folder.parent / "other", "--base", "main", "--json")
    assert (status, json.loads(out)["files"]) == (0, ["db/other/001_a.sql"])


def test_the_root_of_a_repository_may_be_the_folder(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "migrations", ".")
    repository.branches(THEIRS, OURS)
    status, found = repository.check("--base", "main")
    assert (status, rules(found)) == (1, [("conflict", "004_notes.sql")])
    assert found["files"][0] == "004_notes.sql"


def test_names_of_any_kind_come_through_git(repository: Repository) -> None:
    odd = {'003_größe und "mehr".sql': "CREATE TABLE odd (id int);"}
    repository.branches(odd, {"004_x.sql": "CREATE TABLE odd (id int);"})
    _, found = repository.check("--base", "main")
    assert found["theirs"] == ['db/migrations/003_größe und "mehr".sql']
    assert ("conflict", "004_x.sql") in rules(found)


def test_two_versions_of_flyway_are_told_and_not_refused(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    for each in repository.folder.iterdir():
        each.unlink()
    repository.git("checkout", "--quiet", "main")
    repository.commit({"V1__a.sql": "CREATE TABLE a (id int);"})
    repository.git("branch", "--force", "feature")
    repository.branches({"V2__b.sql": "SELECT 1;"}, {"V2.0__c.sql": "SELECT 2;"})
    assert rules(repository.check("--base", "main")[1]) == [("same-number", "V2.0__c.sql")]


@pytest.mark.parametrize("ref", ["nowhere", "--upload-pack=touch hacked", "", "main..feature", "a b", "main:x"])
def test_a_branch_that_is_none_is_2(repository: Repository, ref: str) -> None:
    status, out, _ = lancio("check", repository.folder, f"--base={ref}", "--json")
    assert status == 2
    assert json.loads(out)["error"]["code"] == "usage"
    assert not list(repository.root.rglob("hacked"))


def test_outside_of_a_repository_base_is_refused_and_the_folder_alone_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "1.sql").write_text("CREATE TABLE a (id int);")
    status, _, err = lancio("check", tmp_path, "--base", "main")
    assert status == 2
    assert "in no git repository" in err
    assert lancio("check", tmp_path)[0] == 0


def test_without_git_it_says_so(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, err = lancio("check", repository.folder, "--base", "main")
    assert status == 1
    assert "git is not there" in err
    assert lancio("check", repository.folder)[0] == 0


def test_beginnings_that_were_cut_off_are_told(repository: Repository, tmp_path: Path) -> None:
    repository.branches(THEIRS, OURS)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "-m", "ours")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", "--no-single-branch", "--branch=feature", repository.root.as_uri(),
         tmp_path / "shallow"], check=True, capture_output=True,
    )  # fmt: skip
    status, _, err = lancio("check", tmp_path / "shallow" / "db" / "migrations", "--base", "origin/main")
    assert status == 2
    assert "no commit in common" in err


# Rules, chosen and silenced.

RISKY = {"003_a.sql": "ALTER TABLE users DROP COLUMN note;\n\nCREATE INDEX by_email ON users (email);\n"}


def test_select_and_ignore_choose_rules(repository: Repository) -> None:
    repository.branches({}, RISKY)
    assert {rule for rule, _ in rules(repository.check()[1], "warning")} == {"data-loss", "index-not-concurrent"}
    assert rules(repository.check("--select", "data-loss")[1], "warning") == [("data-loss", "003_a.sql")]
    _, found = repository.check("--ignore", "data-loss,exclusive-lock", "--ignore", "index-not-concurrent")
    assert found["findings"] == []


def test_severity_decides_the_exit_status(repository: Repository) -> None:
    repository.branches({}, RISKY)
    assert repository.check()[0] == 0
    assert repository.check("--severity", "data-loss=error")[0] == 1
    repository.write({"003_a.sql": "ALTER TABLE users ADD COLUMN must int NOT NULL;"})
    assert repository.check()[0] == 1
    assert repository.check("--severity", "not-null-without-default=note")[0] == 0


@pytest.mark.parametrize("words", [("--select", "nothing"), ("--ignore", "a,b"), ("--severity", "data-loss"),
                                   ("--severity", "data-loss=grave"), ("--severity", "x=error"),
                                   ("--order", "graph")])  # fmt: skip
def test_a_rule_or_a_level_that_is_not_there_is_2(repository: Repository, words: tuple[str, ...]) -> None:
    assert repository.check(*words)[0] == 2


def test_an_allow_line_is_for_the_file_or_for_its_statement(repository: Repository) -> None:
    repository.branches({}, {})
    first, second = RISKY["003_a.sql"].split("\n\n")
    for above, between, left in (
        ("-- lancio: allow data-loss kept elsewhere\n", "", ["index-not-concurrent"]),
        ("-- lancio: allow index-not-concurrent small\n", "", ["data-loss"]),
        ("", "-- lancio: allow index-not-concurrent small\n", ["data-loss"]),
        ("", "-- lancio: allow data-loss too late\n", ["data-loss", "index-not-concurrent", "allow"]),
        ("-- lancio: allow data-loss\n", "", ["data-loss", "index-not-concurrent", "allow"]),
        ("-- lancio: allow everything at all\n", "", ["data-loss", "index-not-concurrent", "allow"]),
    ):
        repository.write({"003_a.sql": f"{above}{first}\n{between}{second}"})
        _, found = repository.check("--base", "main", "--ignore", "exclusive-lock")
        assert [rule for rule, _ in rules(found, "warning")] == left
        assert found["silenced"] == (len(left) == 1)


def test_a_conflict_can_be_allowed_with_its_reason(repository: Repository) -> None:
    files = dict(OURS)
    files["004_notes.sql"] = "-- lancio: allow conflict main will take its file back\n" + files["004_notes.sql"]
    repository.branches(THEIRS, files)
    status, found = repository.check("--base", "main")
    assert (status, found["silenced"]) == (0, 1)


def test_a_file_that_cannot_be_read_is_a_finding_at_its_line(repository: Repository) -> None:
    repository.branches({}, {"003_a.sql": "SELECT 1;\nCREATE TABEL x ();\n"})
    for words in ((), ("--base", "main")):
        status, found = repository.check(*words)
        assert status == 1
        assert rules(found) == [("unreadable", "003_a.sql")]
        assert found["findings"][0]["line"] == 2


# Forms.


def test_sarif_has_what_its_standard_requires(repository: Repository) -> None:
    repository.branches(THEIRS, OURS)
    status, out, _ = lancio("check", repository.folder, "--base", "main", "--format", "sarif")
    assert status == 1
    log = json.loads(out)
    if named := os.environ.get("LANCIO_SARIF_SCHEMA"):  # OASIS's own file, which is not ours to have here
        jsonschema.validate(log, json.loads(Path(named).read_text(encoding="utf-8")))
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert set(run) == {"tool", "columnKind", "results"}
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", driver["semanticVersion"])
    for rule in driver["rules"]:
        assert rule["id"] in RULES
        assert rule["shortDescription"]["text"]
        assert f"docs/reference/rules/{rule['id']}.md" in rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    assert run["results"]
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert (repository.root / place["artifactLocation"]["uri"]).is_file()
        assert place["region"]["startLine"] >= 1
        assert all(isinstance(each, str) for each in result["partialFingerprints"].values())


def report(*findings: Finding) -> rendering.Report:
    return rendering.Report("db", ("a.sql",), findings)


HOSTILE = Finding(
    "conflict", "refusal", "50% of\n::error::x, <b>&\x1b[31m\"' ]]>", Place("a,b:c%\n.sql", 3), "first\r\nsecond"
)


def test_githubs_annotations_are_one_line_each_whatever_is_in_them() -> None:
    lines = rendering.github(report(HOSTILE)).splitlines()
    assert lines[0] == (
        "::error file=db/a%2Cb%3Ac%25%0A.sql,line=3,title=lancio conflict::50%25 of%0A::error::x, <b>&\x1b[31m\"' ]]>. "
        "first%0D%0Asecond"
    )
    assert len(lines) == 2


def test_junit_is_xml_whatever_is_in_it() -> None:
    note = Finding("exclusive-lock", "note", "</system-out>\x00", Place("a.sql", 1), "")
    found = ET.fromstring(rendering.junit(report(HOSTILE, note)))
    (suite,) = found
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    by_name = {each.get("name"): each for each in suite}
    assert by_name["db/a,b:c%\n.sql"].find("failure").get("type") == "conflict"  # type: ignore[union-attr]
    assert "</system-out>" in (by_name["db/a.sql"].findtext("system-out") or "")


def test_every_form_of_nothing_found(repository: Repository) -> None:
    for form in ("text", "json", "github", "junit", "sarif"):
        status, out, _ = lancio("check", repository.folder, "--format", form)
        assert status == 0
        assert out.endswith("\n")
    assert "nothing found" in lancio("check", repository.folder)[1]
