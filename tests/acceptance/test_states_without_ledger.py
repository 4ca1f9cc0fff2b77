"""Databases that psql made, as far as somebody came: each is told right, and one command finishes it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

import outside
import pytest
from outside import (
    ALL,
    AUDIT,
    BILLING,
    FOUNDATION,
    ISOLATION,
    LANCIO,
    NAMES,
    PLATFORM,
    SIX,
    STEP_1,
    STEP_2,
    STEP_3,
    USERS,
    differs,
    facts,
    lancio,
    rows,
    shell,
)

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Stage
    from servers import TestServer


class Stand(NamedTuple):
    """What was run, what was done by hand afterwards, and what status has to say.

    `states` names the files that are neither applied (those that were run) nor not applied (the others); `missing` and
    `differs` are all that is named, file by file.
    """

    ran: tuple[str, ...]
    by_hand: tuple[str, ...] = ()
    states: dict[str, str] = {}  # noqa: RUF012  (never changed)
    missing: dict[str, tuple[str, ...]] = {}  # noqa: RUF012
    differs: dict[str, tuple[str, ...]] = {}  # noqa: RUF012
    flags: str = ""
    doubts: tuple[str, ...] = ()
    same: bool = True  # whether the catalog is in the end as a fresh one
    before: tuple[str, ...] = ()  # commands of Lancio's before it


PARTLY, CHANGED, NOT = "partly applied", "changed since", "not applied"

ON_PLATFORM = {
    "nothing": Stand(()),
    "001": Stand((PLATFORM,)),
    "001 and 002": Stand((PLATFORM, BILLING)),
    "001 to 003": Stand((PLATFORM, BILLING, USERS)),
    "001 to 004": Stand((PLATFORM, BILLING, USERS, LANCIO)),
    "001 to 005": Stand(FOUNDATION),
    "005 without 004": Stand((PLATFORM, BILLING, USERS, AUDIT)),
    "step 1 without step 2": Stand((*FOUNDATION, STEP_1)),
    "step 2 before step 1": Stand((*FOUNDATION, STEP_2)),
    "step 3 without step 2": Stand((*FOUNDATION, STEP_1, STEP_3)),
    "001 to 006": Stand(SIX),
    "everything": Stand(ALL),
    "007, a policy and an index dropped": Stand(
        ALL,
        ("DROP POLICY organization_credits ON platform.credits", "DROP INDEX platform.idx_databases_organization_id"),
        {ISOLATION: PARTLY},
        {
            ISOLATION: (
                "index platform.idx_databases_organization_id",
                "policy organization_credits on platform.credits",
            )
        },
    ),
    "step 1, one index dropped": Stand(
        (*FOUNDATION, STEP_1),
        ("DROP INDEX platform.idx_databases_type",),
        {STEP_1: PARTLY},
        {STEP_1: ("index platform.idx_databases_type",)},
    ),
    "step 1, two indexes, a view and a trigger dropped": Stand(
        (*FOUNDATION, STEP_1),
        (
            "DROP INDEX platform.idx_databases_type, platform.idx_databases_status",
            "DROP VIEW platform.databases_with_connection_strings",
            "DROP TRIGGER update_databases_updated_at ON platform.databases",
        ),
        {STEP_1: PARTLY},
        {
            STEP_1: (
                "index platform.idx_databases_status",
                "index platform.idx_databases_type",
                "trigger update_databases_updated_at on platform.databases",
                "view platform.databases_with_connection_strings",
            )
        },
    ),
    "001 to 005, an index of 002 dropped": Stand(
        FOUNDATION,
        ("DROP INDEX platform.idx_invoices_organization_id",),
        {BILLING: PARTLY},
        {BILLING: ("index platform.idx_invoices_organization_id",)},
    ),
    "step 2, then step 1": Stand(
        (*FOUNDATION, STEP_2, STEP_1),
        (),
        {STEP_2: PARTLY},
        {
            STEP_2: (
                "policy permissive_all_databases on platform.databases",
                "row level security on of table platform.databases",
            )
        },
    ),
    "step 2, row level security switched off on one table": Stand(
        SIX,
        ("ALTER TABLE platform.users DISABLE ROW LEVEL SECURITY",),
        {STEP_2: PARTLY},
        {STEP_2: ("row level security on of table platform.users",)},
    ),
    "step 2, two policies dropped": Stand(
        SIX,
        (
            "DROP POLICY permissive_all_users ON platform.users",
            "DROP POLICY permissive_all_credits ON platform.credits",
        ),
        {STEP_2: PARTLY},
        {
            STEP_2: (
                "policy permissive_all_credits on platform.credits",
                "policy permissive_all_users on platform.users",
            )
        },
    ),
    "the rows of 004 deleted": Stand(FOUNDATION, ("DELETE FROM platform.projects",), {LANCIO: NOT}),
    "a table of 005 dropped": Stand(FOUNDATION, ("DROP TABLE platform.audit_logs CASCADE",), {AUDIT: NOT}),
}

NOTES = {
    "001_notes.sql": """
        CREATE TABLE notes (id integer PRIMARY KEY, title varchar(80) NOT NULL, stars integer DEFAULT 0);
        CREATE INDEX notes_title ON notes (title);
        CREATE TYPE mood AS ENUM ('good', 'bad');
    """,
    "002_tags.sql": """
        CREATE TABLE tags (id integer PRIMARY KEY, note integer REFERENCES notes (id));
        ALTER TABLE notes ADD COLUMN mood mood;
        CREATE UNIQUE INDEX tags_note ON tags (note) WHERE note IS NOT NULL;
    """,
    "003_counts.sql": """
        CREATE VIEW counts AS SELECT note, count(*) AS tags FROM tags GROUP BY note;
        CREATE FUNCTION stars(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT stars FROM notes WHERE id = n $$;
    """,
    "004_wider.sql": """
        ALTER TABLE notes ALTER COLUMN stars TYPE bigint, ALTER COLUMN stars SET NOT NULL;
        ALTER TABLE notes RENAME COLUMN title TO heading;
        CREATE INDEX notes_stars ON notes (stars);
    """,
    "005_fill.sql": "UPDATE notes SET stars = stars + 1;",
    "006_no_counts.sql": "DROP VIEW counts;",
    "007_links.sql": """
        CREATE TABLE links (id integer PRIMARY KEY, "from" integer, "to" integer, CHECK ("from" <> "to"));
        CREATE INDEX links_from ON links ("from");
        CREATE INDEX links_to ON links ("to");
        GRANT SELECT ON links TO PUBLIC;
        COMMENT ON TABLE links IS 'who names whom';
    """,
    "008_rights.sql": "GRANT SELECT ON notes TO PUBLIC;",
}
"""Files as most people write them: none of them may run twice."""

SILENT = ("005_fill.sql", "008_rights.sql")
"""Files of which no catalog shows whether they ran; without the tables that they need, they did not."""

N1, N2, N3, N4, N5, N6, N7, N8 = NOTES

ON_NOTES = {
    "nothing": Stand(()),
    "001": Stand((N1,)),
    "001 to 003": Stand((N1, N2, N3)),
    "002, its last statement not run": Stand(
        (N1, N2), ("DROP INDEX tags_note",), {N2: PARTLY}, {N2: ("index public.tags_note",)}
    ),
    "002, its column not added": Stand(
        (N1, N2), ("ALTER TABLE notes DROP COLUMN mood",), {N2: PARTLY}, {N2: ("column public.notes.mood",)}
    ),
    "003 superseded by 006 in part": Stand(
        (N1, N2, N3, N4, N5, N6),
        (),
        {N6: "unprovable"},
        doubts=(N5,),
        flags=" --implied",
        before=(f"adopt {{folder}} --only {N5}",),
    ),
    "004, one change of a column undone": Stand(
        (N1, N2, N3, N4),
        ("ALTER TABLE notes ALTER COLUMN stars DROP NOT NULL",),
        {N4: PARTLY},
        {N4: ("NOT NULL of column public.notes.stars",)},
        doubts=(N5,),
        same=False,
    ),
    "007, both indexes not made": Stand(
        (N1, N2, N3, N4, N5, N6, N7),
        ("DROP INDEX links_from, links_to", "REVOKE SELECT ON links FROM PUBLIC"),
        {N7: PARTLY},
        {N7: ("index public.links_from", "index public.links_to")},
        flags=" --implied --by-order",
    ),
    "all": Stand(tuple(NOTES), flags=" --implied --by-order"),
    "the table of 001 made with another type": Stand(
        (N1,),
        ("ALTER TABLE notes ALTER COLUMN stars TYPE text USING stars::text",),
        {N1: CHANGED},
        {},
        {N1: ("column public.notes.stars: type text here, integer in the file",)},
        same=False,
    ),
    "the table of 001 made with a column less and one more": Stand(
        (N1,),
        ("ALTER TABLE notes DROP COLUMN stars", "ALTER TABLE notes ADD COLUMN color text"),
        {N1: CHANGED},
        {},
        {
            N1: (
                "column public.notes.stars is not there",
                "column color of table public.notes is there, and no file makes it",
            )
        },
        same=False,
    ),
    "the function of 003 with another text": Stand(
        (N1, N2, N3),
        ("CREATE OR REPLACE FUNCTION stars(n integer) RETURNS integer LANGUAGE sql AS $$ SELECT 5 $$",),
        {N3: CHANGED},
        {},
        {N3: ("function public.stars(integer) has another text here than in the file",)},
        same=False,
    ),
}


def states_of(stand: Stand, files: tuple[str, ...]) -> dict[str, str]:
    silent = SILENT if stand.ran else ()
    return {
        name: stand.states.get(name, "unprovable" if name in silent else "applied" if name in stand.ran else NOT)
        for name in files
    }


def told(url: str, *words: str) -> dict[str, object]:
    said: dict[str, object] = lancio("status", *words, "--database", url, "--json").json
    return said


def check(said: dict[str, object], stand: Stand, files: tuple[str, ...]) -> None:
    listed = said["files"]
    assert isinstance(listed, list)
    assert {each["file"]: each["state"] for each in listed} == states_of(stand, files)
    assert {each["file"]: tuple(sorted(each["missing"])) for each in listed if each["missing"]} == {
        name: tuple(sorted(missing)) for name, missing in stand.missing.items()
    }
    assert {each["file"]: tuple(each["differs"]) for each in listed if each["differs"]} == stand.differs
    assert not any(each["recorded"] for each in listed)


def without_backup(command: str) -> str:
    """The command where nobody has noted a backup: what these tests lose is theirs."""
    return command.replace("lancio apply ", "lancio apply --no-backup ")


@pytest.mark.parametrize("stand", ON_PLATFORM.values(), ids=ON_PLATFORM)
def test_a_platform_that_psql_made_is_told_and_finished_by_one_command(
    server: TestServer, stage: Stage, stand: Stand
) -> None:
    url = stage(server, *stand.ran)
    if stand.by_hand:
        outside.execute(url, *stand.by_hand)
    said = told(url, "--platform")
    check(said, stand, ALL)
    held = rows(url)
    command = said["finish"]
    assert isinstance(command, str)
    assert command in lancio("status", "--platform", "--database", url).out
    done = shell(without_backup(command), server.password)
    assert done.status == 0, done.text
    assert differs(facts(stage(server, *ALL)), facts(url)) == []
    for table, lines in held.items():  # nothing ran twice; 007 gives databases a column more, 009 two
        now = set(rows(url)[table])
        if table == "platform.databases":
            more = (ISOLATION not in stand.ran) + 2 * (NAMES not in stand.ran)
            now = {f"{line.rsplit(',', more)[0]})" if more else line for line in now}
        assert set(lines) <= now
    ran = {name for name in ALL if f"] ✓ {name}" in done.out}
    again = {STEP_2} if STEP_1 not in stand.ran else set()  # it covers what step 1 makes
    assert ran - again == {name for name, state in states_of(stand, ALL).items() if state != "applied"} - again
    after = told(url, "--platform")
    assert (after["to_run"], after["finish"]) == ([], "")


@pytest.mark.parametrize("stand", ON_NOTES.values(), ids=ON_NOTES)
def test_files_that_may_not_run_twice_are_told_and_finished_by_one_command(
    server: TestServer, tmp_path: Path, stand: Stand
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in NOTES.items():
        (folder / name).write_text(text, encoding="utf-8")
    url, fresh = server.create_database(), server.create_database()
    try:
        outside.launched(fresh, *NOTES, folder=folder)
        outside.launched(url, *stand.ran, folder=folder)
        outside.execute(url, *stand.by_hand)
        said = told(url, str(folder))
        check(said, stand, tuple(NOTES))
        assert tuple(said["doubts"]) == stand.doubts  # type: ignore[arg-type]
        for each in stand.before:
            done = shell(f"lancio {each.format(folder=folder)} --database {shlex.quote(url)}", server.password)
            assert done.status == 0, done.text
            said = told(url, str(folder))
        command = said["finish"]
        assert isinstance(command, str)
        assert (re.sub(r" --database \S+", "", command).partition(" --adopt")[2] or "") == stand.flags or (
            command.split()[1] == "adopt"
        )
        done = shell(without_backup(command), server.password)
        if not stand.same:
            finish_by_hand(stand, done.status, done.text)
            return
        assert done.status == 0, done.text
        assert differs(facts(fresh), facts(url)) == []
        after = told(url, str(folder))
        assert (after["to_run"], after["finish"]) == ([], "")
    finally:
        server.drop_database(url)
        server.drop_database(fresh)


def finish_by_hand(stand: Stand, status: int, text: str) -> None:
    """What ran in another version is run over by nothing; the refusal names it."""
    assert status == 3, text
    assert "Nothing was changed" in text
    for name in stand.states:
        assert name in text
