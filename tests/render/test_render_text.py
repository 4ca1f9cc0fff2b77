from __future__ import annotations

from dataclasses import replace

import graphs
import pytest

from lancio.errors import SyntaxRefused
from lancio.planner.model import FileState, Finding, Graph, Opaque, Place
from lancio.render import text
from lancio.render.lines import width
from lancio.render.words import Steps


def test_files_of_one_number_are_the_steps_of_one_migration() -> None:
    steps = Steps(graphs.specification())
    assert steps.title(graphs.TABLE) == f"STEP 1: {graphs.TABLE}"
    assert steps.title(graphs.REGISTER) == f"STEP 3: {graphs.REGISTER}"
    assert steps.short(graphs.USERS) == "003"
    assert steps.short(graphs.TABLE) == "Step 1"


def test_files_with_numbers_of_their_own_are_steps_of_the_folder() -> None:
    graph = graphs.specification()
    alone = replace(graph, files=graph.files[:3], edges=graph.edges[:2])
    steps = Steps(alone)
    assert steps.title(graphs.ORG) == f"STEP 3: {graphs.ORG}"
    assert steps.foundation(alone) == ()
    assert text.graph(alone, 80).count("┌") == 3


@pytest.mark.parametrize("cells", [60, 66, 80, 100])
def test_the_execution_graph_fits_and_its_boxes_are_straight(cells: int) -> None:
    drawn = text.graph(graphs.ready().graph, cells, graphs.ready())
    assert max(width(line) for line in drawn.splitlines()) <= cells
    for line in drawn.splitlines():
        if line.startswith(("│ ", "┌", "└", "├─────")):
            assert width(line) == cells


def test_the_execution_graph_says_what_the_specification_says() -> None:
    drawn = text.graph(graphs.ready().graph, 100, graphs.ready())
    said = [line.strip("│ ").strip() for line in drawn.splitlines()]
    for line in (
        f"STEP 1: {graphs.TABLE}", "Requires:", "✓ platform schema (from 001)", "✓ platform.projects table (from 001)",
        "✓ pgcrypto extension (from 003)", "Creates:", "• platform.databases table", "• 8 indexes",
        "• 2 functions (encrypt_database_connection_string, update_database_health)",
        "Impact: ZERO BEHAVIOR CHANGE (permissive policies)", "Duration: 12 ms measured · ~2 seconds declared",
        "Duration: ~3 seconds declared", "Depends on platform.databases", "Post-Migration Action Required:",
        "! Update connection strings with actual Railway values",
        "Risk: computed: medium (ACCESS EXCLUSIVE on 26 tables) · declared: LOW",
        "✓ platform.projects row (slug = 'lancio-studio') (from 004)", "Independent of Step 2",
        "Depends on platform.databases (from Step 1)",
        "· redis service, wanted (REDIS_URL is not set)",
    ):  # fmt: skip
        assert line in said, line


def test_parallel_is_refused_with_the_object_and_both_places() -> None:
    drawn = " ".join(text.graph(graphs.specification(), 100).split())
    assert "CAN run in parallel? NO — because" in drawn
    assert f"table platform.databases (read after write): {graphs.REGISTER}:30, made at {graphs.TABLE}:12" in drawn
    assert "STEP 2 · STEP 3: nothing that both touch was found" in drawn


def test_steps_that_share_nothing_are_not_called_sequential_by_need() -> None:
    graph = replace(graphs.specification(), edges=())
    assert "Nothing was found that binds these steps to an order." in text.graph(graph, 80)


def test_an_order_that_only_names_give_binds_nothing() -> None:
    graph = graphs.specification()
    by_name = tuple(replace(edge, strength="order") for edge in graph.edges)  # type: ignore[arg-type]
    assert "Nothing was found that binds" in text.graph(replace(graph, edges=by_name), 80)


def test_more_than_four_steps_are_shown_one_by_one() -> None:
    graph = graphs.specification()
    files = tuple(
        replace(facts, migration=replace(facts.migration, number=number)) for number, facts in enumerate(graph.files, 1)
    )
    drawn = text.graph(replace(graph, files=files), 80)
    assert f"STEP 6: {graphs.REGISTER}" in drawn
    assert "after Step 4 1 object" not in drawn
    assert "STEP 1 ─► STEP 2" not in drawn
    assert "fall into these waves" in drawn


def test_what_cannot_be_seen_and_what_nothing_provides_is_said() -> None:
    graph = graphs.specification()
    place = Place(graphs.RLS, 77)
    blind = replace(
        graph,
        opaque=(Opaque(place, "EXECUTE of a text that is not known"),),
        unprovided=(replace(graph.file(graphs.TABLE).requires[0], source="missing"),),
    )
    drawn = text.graph(blind, 100)
    assert f"{graphs.RLS}:77: EXECUTE of a text that is not known" in text.tree(blind, 100)
    assert "✗ schema platform, needed at" in drawn


def test_the_tree_shows_each_files_state_from_facts() -> None:
    plan = graphs.ready()
    states = (
        FileState(graphs.SCHEMA, "applied", recorded=True),
        FileState(graphs.RLS, "partly applied", recorded=False, missing=("policy permissive_all_databases",)),
        FileState(graphs.ORG, "applied", recorded=True, edited=True),
    )
    drawn = text.tree(plan.graph, 100, replace(plan, states=states))
    assert "Status: ✓ applied, in the ledger" in drawn
    assert "Status: ✗ partly applied: policy permissive_all_databases missing" in drawn
    assert "EDITED since" in drawn
    assert "├─ Creates: pgcrypto extension ← needed by Step 1" in drawn


def test_without_a_database_no_state_is_claimed() -> None:
    drawn = text.tree(graphs.specification(), 80)
    assert "Status: must be applied (no database was asked)" in drawn
    assert "✓ applied" not in drawn


def test_a_no_go_names_provider_state_cause_solution_and_both_commands() -> None:
    shown = text.preflight(graphs.violated(), 80, server="app on localhost")
    for line in (
        "Error 1: relation platform.databases does not exist", "  ✗ platform.databases table (from Step 1)",
        f"  Provider: {graphs.TABLE}, not applied here", "  Cause:    Step 3 run before Step 1",
        "  Solution: Run Step 1 first", f'    psql "$DATABASE_URL" -f migrations/{graphs.TABLE}',
        f"    lancio apply migrations --only {graphs.TABLE}", "NO-GO: 1 requirement not met. Nothing was changed.",
    ):  # fmt: skip
        assert line in shown.splitlines(), line


def test_a_refusal_finding_is_a_no_go() -> None:
    plan = graphs.ready()
    assert "GO: 3 steps to run, every requirement met." in text.preflight(plan, 80)
    refused = replace(plan, findings=(Finding("order", "refusal", "the names contradict the needs"),))
    assert "NO-GO: 1 refusal. Nothing was changed." in text.preflight(refused, 80)


def test_a_warning_leaves_it_a_go() -> None:
    plan = graphs.violated()
    warned = replace(plan, missing=(replace(plan.missing[0], blocking=False),))
    shown = text.preflight(warned, 80)
    assert "Warning 1: relation platform.databases does not exist" in shown
    assert "\nGO: 1 step to run" in shown


def test_the_plan_adds_up_what_is_known() -> None:
    assert "Expected: 4 seconds." in text.plan(graphs.ready(), 80)
    steps = (replace(graphs.ready().steps[0], expected_ms=None), *graphs.ready().steps[1:])
    assert "Expected: 4 seconds, and 1 step without a figure." in text.plan(replace(graphs.ready(), steps=steps), 80)
    assert "Nothing to do: 3 files applied" in text.plan(replace(graphs.ready(), steps=()), 80)


def test_the_same_graph_gives_the_same_bytes() -> None:
    first = text.graph(graphs.ready().graph, 80, graphs.ready()) + text.tree(graphs.specification(), 80)
    second = text.graph(graphs.ready().graph, 80, graphs.ready()) + text.tree(graphs.specification(), 80)
    assert first.encode() == second.encode()


def test_a_command_in_a_refusal_is_never_broken_and_the_caret_stays_in_its_column() -> None:
    command = "psql " + "x" * 200
    error = SyntaxRefused(
        "syntax error at CREAT", where="a.sql:3\nCREAT TABLE t ();\n^", cause="PostgreSQL's grammar. " * 9,
        remedy="Mend it.", commands=(command,),
    )  # fmt: skip
    shown = text.refusal(error, 60).splitlines()
    assert shown[:4] == ["Error: syntax error at CREAT", "  a.sql:3", "  CREAT TABLE t ();", "  ^"]
    assert f"Run:      {command}" in shown
    assert max(width(line) for line in shown if command not in line) <= 60


def test_an_empty_graph_draws_nothing_wrong() -> None:
    empty = Graph("x", (), (), (), (), (), 18)
    assert text.graph(empty, 80) == ""


def test_a_box_says_where_the_reading_was_blind() -> None:
    graph = graphs.specification()
    blind = Opaque(Place(graphs.RLS, 77), "EXECUTE of a text that is not known")
    files = tuple(replace(each, opaque=(blind,)) if each.name == graphs.RLS else each for each in graph.files)
    drawn = text.graph(replace(graph, files=files, opaque=(blind,)), 100)
    assert "  ? line 77: EXECUTE of a text that is not known" in drawn
    assert drawn.count("EXECUTE of a text") == 1


def test_members_of_an_extension_are_told_with_it() -> None:
    graph = graphs.specification()
    table = graph.file(graphs.TABLE)
    extension = next(each for each in table.requires if each.kind == "extension")
    member = replace(extension, object="function public.hmac(bytea, bytea, text)", kind="routine", strength="late")
    files = tuple(
        replace(each, requires=(*each.requires, member)) if each.name == graphs.TABLE else each for each in graph.files
    )
    drawn = text.graph(replace(graph, files=files), 80)
    assert "pgcrypto extension (from 003)" in drawn
    assert "hmac" not in drawn


def test_many_changes_of_one_sort_are_counted() -> None:
    graph = graphs.specification()
    changes = tuple(graphs.effect(f"table platform.{name} (rls)", "relation") for name in graphs.TABLES)
    files = tuple(replace(each, changes=changes) if each.name == graphs.RLS else each for each in graph.files)
    assert "• changes row level security of 25 tables" in text.graph(replace(graph, files=files), 80)


def test_an_unmet_need_is_marked_though_nobody_could_resolve_its_name() -> None:
    plan = graphs.violated()
    told = plan.missing[0]
    bare = replace(told, requirement=replace(told.requirement, object="relation databases"), provider="")
    shown = text.preflight(replace(plan, missing=(bare,)), 80)
    assert "  ✗ platform.databases table (from Step 1)" in shown.splitlines()


def test_what_an_absent_provider_makes_is_missing_with_it() -> None:
    plan = graphs.violated()
    graph = plan.graph
    more = graphs.needs("function platform.encrypt()", "routine", graphs.REGISTER, 31, graphs.TABLE)
    files = tuple(
        replace(each, requires=(*each.requires, more)) if each.name == graphs.REGISTER else each for each in graph.files
    )
    shown = text.preflight(replace(plan, graph=replace(graph, files=files), steps=tuple(
        replace(step, facts=files[-1]) for step in plan.steps
    )), 80)  # fmt: skip
    assert "  ✗ platform.encrypt() (from Step 1)" in shown.splitlines()
    assert "  ✓ platform.projects row (slug = 'lancio-studio') (from 004)" in shown.splitlines()
