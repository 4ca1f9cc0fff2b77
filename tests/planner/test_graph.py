"""Is the graph a function of its input, and does it keep, refuse or take an order as it promises?"""

from __future__ import annotations

import random
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import oracle
import pytest

from lancio.catalog import profile
from lancio.catalog.model import BEFORE, Catalog, Live, Name
from lancio.planner import graph, plan
from lancio.reading.source import Folder, Migration, read_folder

if TYPE_CHECKING:
    from lancio.planner.model import Graph, Plan

PLATFORM = Path(str(resources.files("lancio.registry") / "schema"))


def folder(**files: str) -> Folder:
    """Files by name (`_1_a` is `1_a.sql`), in the order that a folder would have."""
    found = []
    for name, text in files.items():
        bare = name.removeprefix("_")
        digits = bare.split("_")[0]
        number = int(digits) if digits.isdigit() else None
        found.append(Migration(f"{bare}.sql", Path(f"{bare}.sql"), text.encode(), number))
    found.sort(key=lambda each: (each.number is None, each.number or 0, each.name))
    return Folder(Path("migrations"), tuple(found))


def build(given: Folder, order: graph.Order = "name", major: int = 18) -> Graph:
    return graph.build(given, profile.load(major), order=order)


def names(found: Graph) -> list[str]:
    return [facts.name.removesuffix(".sql") for facts in found.files]


def refusals(found: Graph | Plan) -> list[str]:
    return [finding.message for finding in found.findings if finding.severity == "refusal"]


@pytest.mark.parametrize("name", [*oracle.NAMES, "platform"])
def test_the_same_input_gives_the_same_graph(name: str) -> None:
    given = read_folder(PLATFORM) if name == "platform" else oracle.story(name)
    assert build(given) == build(given)
    mixed = list(given.migrations)
    random.Random(name).shuffle(mixed)
    assert build(Folder(given.path, tuple(mixed)), "graph").edges == build(given, "graph").edges


def test_edges_of_an_order_that_runs_point_backwards_alone() -> None:
    for name in oracle.NAMES:
        found = build(oracle.story(name))
        position = {facts.name: index for index, facts in enumerate(found.files)}
        for edge in found.edges:
            if edge.strength != "late":
                assert position[edge.needs] < position[edge.file], (name, edge)


def test_names_with_an_order_keep_it_and_those_with_one_number_follow_the_graph() -> None:
    given = folder(
        _1_z="CREATE TABLE t (a int)", _2_a="CREATE VIEW v AS SELECT a FROM w", _2_b="CREATE VIEW w AS SELECT a FROM t",
        _3_a="CREATE TABLE free ()", _10_a="CREATE TABLE last ()",
    )  # fmt: skip
    found = build(given)
    assert names(found) == ["1_z", "2_b", "2_a", "3_a", "10_a"]
    assert refusals(found) == []


def test_a_contradiction_is_refused_with_the_order_that_would_do_and_order_graph_takes_it() -> None:
    given = folder(_1_view="CREATE VIEW v AS SELECT a FROM t", _2_other="SELECT 1", _3_table="CREATE TABLE t (a int)")
    found = build(given)
    assert names(found) == ["1_view", "2_other", "3_table"]
    (message,) = refusals(found)
    assert message.startswith("1_view.sql:1 needs relation t, which ")
    (finding,) = [each for each in found.findings if each.rule == "order"]
    proposed = finding.remedy.rsplit(": ", 1)[1].split(", ")
    assert proposed.index("3_table.sql") < proposed.index("1_view.sql")
    taken = build(given, "graph")
    assert (refusals(taken), [f"{name}.sql" for name in names(taken)]) == ([], proposed)


def test_a_contradiction_names_the_place_that_makes_it_later() -> None:
    found = build(folder(_1_view="CREATE VIEW v AS SELECT a FROM t", _3_table="CREATE TABLE t (a int)"))
    assert "which 3_table.sql:1 makes later" in refusals(found)[0]


def test_what_no_file_makes_is_unprovided_and_no_contradiction() -> None:
    found = build(folder(_1_a="CREATE VIEW v AS SELECT a FROM missing.t", _2_b="SELECT 1"))
    assert refusals(found) == []
    assert [(each.object, each.at.line) for each in found.unprovided] == [("relation missing.t", 1)]


def test_a_loop_is_a_loop_and_named_in_full() -> None:
    given = folder(
        a="CREATE TABLE a (id int PRIMARY KEY, b int REFERENCES b)",
        b="CREATE TABLE b (id int PRIMARY KEY, c int REFERENCES c)",
        c="CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES a)",
        d="CREATE TABLE d ()",
    )
    found = build(given)
    (message,) = refusals(found)
    parts = message.split(" needs ")
    assert (parts[0], sorted(parts[:-1])) == (parts[-1], ["a.sql", "b.sql", "c.sql"])
    text = {each.name: each.text.decode() for each in given.migrations}
    for one, other in pairwise(parts):
        assert f"REFERENCES {other[0]}" in text[one]


FIRES = """
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); RETURN NULL; END $$;
CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE PROCEDURE f();"""


def test_who_fires_a_trigger_waits_for_no_table_that_comes_with_it() -> None:
    rows = "INSERT INTO t VALUES (1); CREATE TABLE first ()"
    given = folder(
        b=f"CREATE TABLE log (a int); {FIRES} ALTER TABLE first ADD c int", rows=rows, t="CREATE TABLE t (a int)"
    )
    assert (names(build(given)), refusals(build(given))) == (["t", "rows", "b"], [])
    # The table of another file is waited for: the trigger may be there before it.
    given = folder(b=FIRES, rows=rows, u="CREATE TABLE log (a int)", t="CREATE TABLE t (a int)")
    assert names(build(given)).index("u") < names(build(given)).index("rows")


LATE = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT max(a) FROM t); END $$"


def test_what_a_body_needs_is_late_until_somebody_calls_it() -> None:
    found = build(folder(_1_f=LATE, _2_t="CREATE TABLE t (a int)"))
    assert refusals(found) == []
    assert [(edge.file, edge.needs, edge.strength) for edge in found.edges] == [("1_f.sql", "2_t.sql", "late")]
    called = build(folder(_1_f=LATE, _2_call="SELECT f()", _3_t="CREATE TABLE t (a int)"))
    (message,) = refusals(called)
    assert message.startswith("2_call.sql:1 needs relation t")
    assert [each.object for each in build(folder(_1_f=LATE)).unprovided] == ["relation t"]
    assert [each.strength for each in build(folder(_1_f=LATE)).unprovided] == ["late"]


def test_gen_random_uuid_needs_pgcrypto_below_13_alone() -> None:
    given = folder(_1_t="CREATE TABLE t (id uuid DEFAULT gen_random_uuid())")
    assert [each.object for each in build(given, major=12).unprovided] == ["extension pgcrypto"]
    assert build(given, major=13).unprovided == ()
    both = folder(_1_x="CREATE EXTENSION pgcrypto", _2_t="CREATE TABLE t (id uuid DEFAULT gen_random_uuid())")
    assert [(edge.needs, edge.strength) for edge in build(both, major=12).edges] == [("1_x.sql", "hard")]
    assert build(both, major=18).edges == ()


def test_a_version_changes_nothing_but_what_it_has() -> None:
    given = folder(_1_t="SELECT pg_catalog.version(), to_jsonb(1), no_such_function(1), digest('a', 'md5')")
    for major in (10, 14, 18):
        assert {each.object.split("(")[0] for each in build(given, major=major).unprovided} == {
            "function no_such_function", "extension pgcrypto",
        }  # fmt: skip


# Preflight, over a database made by hand.


def live(*made: Name, version: int = 180001, answers: dict[str, bool | None] | None = None, **facts: object) -> Live:
    catalog = Catalog()
    catalog.add(Name("schema", "", "public"), "schema", BEFORE)
    for name in made:
        owner = catalog.find(Name("relation", name.schema, name.of)) if name.of else None
        catalog.add(name, "table" if name.kind == "relation" else name.kind, BEFORE, owner)
    return Live(catalog, answers or {}, version, **{"superuser": True, "extensions": ("pgcrypto",), **facts})  # type: ignore[arg-type]


def preflight(given: Folder, database: Live, ledger: dict[str, str] | None = None, **more: object) -> Plan:
    found = build(given, major=database.major)
    return plan.make(found, database, ledger=ledger or {}, durations={}, environ={}, **more)  # type: ignore[arg-type]


TWO = folder(_1_t="CREATE TABLE t (a int)", _2_v="CREATE VIEW v AS SELECT a FROM t")
TABLE = (Name("relation", "public", "t"), Name("column", "public", "a", "t"))


def test_an_empty_database_takes_all_steps_and_one_alone_names_its_provider() -> None:
    whole = preflight(TWO, live())
    assert (whole.go, [step.facts.name for step in whole.steps]) == (True, ["1_t.sql", "2_v.sql"])
    alone = preflight(TWO, live(), only=("2_v.sql",))
    (missing,) = [each for each in alone.missing if each.requirement.kind == "relation"]
    assert (alone.go, missing.provider, missing.provider_state) == (False, "1_t.sql", "not applied")
    assert any("1_t.sql" in command for command in missing.commands)
    assert preflight(TWO, live(*TABLE), only=("2_v.sql",)).go


def test_everything_unmet_is_told_at_once() -> None:
    given = folder(
        _1_a="CREATE VIEW a AS SELECT x FROM missing_one", _2_b="CREATE TABLE b (c missing_type, d uuid DEFAULT g())",
    )  # fmt: skip
    found = preflight(given, live())
    assert {each.requirement.object for each in found.missing} == {
        "relation missing_one", "type missing_type", "function g()",
    }  # fmt: skip


def test_a_recorded_file_is_done_and_an_edited_one_refused() -> None:
    sums = {each.name: each.checksum for each in TWO.migrations}
    ledger = {"1_t.sql": sums["1_t.sql"]}
    assert preflight(TWO, live(*TABLE), ledger).done == ("1_t.sql",)
    edited = preflight(TWO, live(*TABLE), {"1_t.sql": "another"})
    assert (edited.go, [each.rule for each in edited.findings]) == (False, ["edited"])
    gone = preflight(TWO, live(), ledger)
    assert not gone.go
    assert "gone" in [each.rule for each in gone.findings]


def test_a_table_that_is_there_unrecorded_is_no_free_name() -> None:
    found = preflight(TWO, live(*TABLE), only=("1_t.sql",))
    (missing,) = found.missing
    assert (found.go, missing.requirement.kind) == (False, "name")


def test_an_extension_that_cannot_be_installed_and_a_server_too_old_are_no_go() -> None:
    given = folder(_1_x="CREATE EXTENSION pgcrypto")
    assert preflight(given, live()).go
    assert not preflight(given, live(extensions=())).go
    assert not preflight(given, live(superuser=False)).go
    assert preflight(given, live(superuser=False, trusted=("pgcrypto",))).go
    old = folder(_1_a="-- lancio: requires server >= 15\nSELECT 1")
    assert (preflight(old, live(version=140010)).go, preflight(old, live(version=150001)).go) == (False, True)


def test_a_row_is_asked_of_the_database() -> None:
    given = folder(
        _1_t="CREATE TABLE t (slug text)",
        _2_r="DO $$ BEGIN PERFORM FROM t WHERE slug = 'it''s'; IF NOT FOUND THEN RAISE 'no row'; END IF; END $$",
    )
    slug = (Name("relation", "public", "t"), Name("column", "public", "slug", "t"))
    probe = "SELECT EXISTS (SELECT FROM public.t WHERE slug = 'it''s')"
    there, gone, unknown = (
        preflight(given, live(*slug, answers={probe: answer}), only=("2_r.sql",)) for answer in (True, False, None)
    )
    assert (there.go, gone.go, unknown.go) == (True, False, False)
    assert gone.missing[0].message == "no row"


def test_a_routine_that_keeps_the_path_it_was_made_under_is_called_with_that_one() -> None:
    made = build(
        folder(
            _1_app="CREATE SCHEMA app; CREATE FUNCTION app.helps() RETURNS integer LANGUAGE sql AS 'SELECT 1';",
            _2_asks="SET LOCAL search_path = pg_catalog, app; CREATE SCHEMA other;"
            " CREATE FUNCTION other.asks() RETURNS integer LANGUAGE plpgsql SET search_path FROM CURRENT"
            " AS 'BEGIN RETURN helps(); END'; SET LOCAL search_path = pg_catalog;",
            _3_calls="SET LOCAL search_path = pg_catalog; SELECT other.asks();",
        )
    )
    found = {(edge.file, edge.needs) for edge in made.edges if edge.strength == "hard"}
    assert {("3_calls.sql", "1_app.sql"), ("3_calls.sql", "2_asks.sql")} <= found
