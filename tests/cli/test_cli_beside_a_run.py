"""What is read of a database while a run is at work there is as of one moment."""

from __future__ import annotations

import psycopg
import pytest

from lancio.cli import work
from lancio.cli.options import Source
from lancio.executor import ledger, runner

FILES = {"001_account.sql": "CREATE TABLE account (id int);\n", "002_orders.sql": "CREATE TABLE orders (id int);\n"}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "migrations"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


@pytest.mark.parametrize("reader", ["read", "in_progress", "begun", "durations"])
@pytest.mark.parametrize("first", [True, False], ids=["first run", "second run"])
def test_a_step_committed_while_the_plan_reads_is_neither_gone_nor_found(database, folder, monkeypatch, reader, first):
    """Each reader of the ledger in turn is the one behind which, and before which, the other runner commits."""
    where = Source(folder, str(folder), platform=False)
    graph = work.graph_of(where)
    with work.session(database, None) as session, psycopg.connect(database, autocommit=True) as other:
        if not first:
            list(runner.apply(work.plan_of(graph, session, where, work.Choice(to="001_account.sql")), other))
        made = work.plan_of(graph, session, where)
        asked = getattr(ledger, reader)

        def meanwhile(connection):
            monkeypatch.undo()
            found = asked(connection)
            list(runner.apply(made, other))
            return found

        monkeypatch.setattr(ledger, reader, meanwhile)
        plan = work.plan_of(graph, session, where)
        assert [each.rule for each in plan.findings if each.rule in ("gone", "found")] == []
        assert {state.name: (state.state, state.recorded) for state in plan.states} == {
            "001_account.sql": ("not applied", False) if first else ("applied", True),
            "002_orders.sql": ("not applied", False),
        }
        assert {state.recorded for state in work.plan_of(graph, session, where).states} == {True}
