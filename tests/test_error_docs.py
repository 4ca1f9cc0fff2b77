"""docs/reference/errors.md has one row for each class of error that is told apart, in the words of the table."""

from __future__ import annotations

import re
from pathlib import Path

from lancio import postgres
from lancio.planner.diagnosis import Said, diagnose
from lancio.planner.diagnosis.rules import BY_STATE, CLASSES, RULES, Rule, rule_of

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "errors.md"


def row(rule: Rule) -> str:
    """The rule as a line of the page."""

    def words(text: str) -> str:
        for word in ("relation", "column", "constraint"):
            text = text.replace("{" + word + "}", f"the {word if word != 'relation' else 'table'}")
        text = text.replace("{file}", "the file")
        return text[0].upper() + text[1:]

    states = ", ".join(rule.states)
    return f"| {states} | `{rule.name}` | {words(rule.cause)} | {words(rule.solution)} |"


def test_the_page_has_one_row_for_each_rule_and_no_other() -> None:
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("## PostgreSQL's errors")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if re.match(r"\| [0-9A-Z]{5}[ ,]", line)]
    assert rows == [row(rule) for rule in RULES]


def test_names_and_states_are_there_once() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    states = [state for rule in RULES for state in rule.states]
    assert len(set(states)) == len(states)
    assert all(re.fullmatch(r"[0-9A-Z]{5}", state) for state in states)
    assert all(re.fullmatch(r"[a-z-]+", name) for name in names)
    assert len(states) >= 60


def test_each_state_alone_has_a_whole_answer() -> None:
    for state in (*BY_STATE, *(f"{code}ZZZ" for code in CLASSES)):
        found = diagnose(Said(state, ""), file="001.sql")
        assert found.cause
        assert found.solution
        assert found.rule
        assert "{" not in found.cause + found.solution


def test_what_a_connection_is_refused_with_has_the_same_names() -> None:
    named = [case for case in postgres._CASES if case.rule]
    assert len(named) >= 15
    for case in named:
        assert rule_of(case.sqlstate).name == case.rule
