"""Which words of a server's text may be shown? Not the values of rows, and no credentials."""

from __future__ import annotations

import re

_URL = re.compile(r"\b([a-z][a-z0-9+.-]*)://[^\s'\"<>]*@([^\s'\"/?#]*)[^\s'\"]*", re.IGNORECASE)
_OPTION = re.compile(
    r"(\b\w*(?:password|passwd|pwd|passphrase|secret|token|api_?key|access_?key)\b[\"']?)(\s*[:=]\s*|\s+(?=E?'))"
    r"(?!\*\*\*(?:[\s,;}&\"']|\Z))(E?'(?:[^'\\]|\\.|'')*'?|\"(?:[^\"\\]|\\.)*\"?|\S+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_DOLLARS = re.compile(r"(\bpassword\s+)(\$\w*\$).*?\2", re.IGNORECASE | re.DOTALL)

# "(email)=(ann@example.org)": the columns may be shown, the values not. A value may hold anything, also what looks like
# its own end, so the end is looked for from behind, where the words that follow are known; other words go as well.
_KEY = re.compile(r"\)( ?=) ?\(")
_TAIL = re.compile(
    r"\)( is duplicated\.| already exists\.| is not present in table \"[^\"]*\"\."
    r"| is still referenced from table \"[^\"]*\"\.| is referenced from table \"[^\"]*\"\.?"
    r"| is not present in table \"[^\"]*\"|\.)\s*\Z"
)
_CONFLICT = re.compile(r" conflicts with (?:existing )?key \(([^()]*(?:\([^()]*\)[^()]*)*)\)=\(")
_ROW = re.compile(r"((?:row|Zeile|ligne|fila|riga|行|строка|row) (?:contains|enthält|contient|contiene|содержит) ).*\Z",
                  re.DOTALL)  # fmt: skip
_QUOTED_VALUE = re.compile(
    r"((?:invalid input (?:syntax|value) for [^:]+|malformed [^:]+|invalid [\w ]+ representation[^:]*"
    r"|(?:date/time|interval|time|timestamp|date) (?:field )?value out of range|invalid [\w/ ]*literal[^:]*"
    r"|array value must start with[^:]*|could not parse [^:]+): )\".*\"",
    re.DOTALL,
)
_NAMED_VALUE = re.compile(
    r"(value |Token |Character with value |time zone |Unicode high surrogate |label |Escape sequence )\".*\""
    r"( is out of range| is invalid| must be escaped| not recognized| is not (?:a |in )?)",
    re.DOTALL,
)
_BYTES = re.compile(r"(invalid byte sequence for encoding \"[^\"]*\": )0x.*", re.DOTALL)


def masked(text: str) -> str:
    """A text of the server's without the values of rows and without credentials."""
    text = _URL.sub(r"\1://***@\2", text)
    text = _DOLLARS.sub(r"\1***", text)
    text = _OPTION.sub(r"\1\2***", text)
    text = _BEARER.sub(r"\1 ***", text)
    text = _keys(text)
    text = _ROW.sub(r"\1(…).", text)
    text = _QUOTED_VALUE.sub(r'\1"…"', text)
    text = _NAMED_VALUE.sub(r'\1"…"\2', text)
    return _BYTES.sub(r"\1…", text)


def masked_detail(sqlstate: str, detail: str) -> str:
    """A DETAIL of the server's; of errors about values only what has a known form is kept, in whatever language."""
    shown = masked(detail)
    if sqlstate[:2] not in ("22", "23", "44"):
        return shown
    # "Schlüssel »(email)=(…)« existiert bereits." has been masked; another bracket or quotation may be a value.
    columns = re.match(r"(.*?\([^()]*(?:\([^()]*\)[^()]*)*\) ?= ?\(…\))(.*)\Z", shown, re.DOTALL)
    if columns:
        tail = columns[2] if re.fullmatch(r"[^()\d]*(?:key \([^()]*\)=\(…\))?[^()\d]*", columns[2]) else ""
        return columns[1] + tail
    if shown != detail:
        return shown
    return re.sub(r"[\"»«„“”'].*[\"»«„“”']|\(.*\)|\d+", "…", shown, flags=re.DOTALL)


def _keys(text: str) -> str:
    found = _KEY.search(text)
    if not found:
        return text
    head, rest = text[: found.start()], text[found.end() :]
    shown = f"{head}){found[1]}(…)"
    conflicts = list(_CONFLICT.finditer(rest))
    if conflicts:
        return f"{shown} conflicts with key ({conflicts[-1][1]})=(…)."
    tails = _TAIL.search(rest)
    return shown + (tails[1] if tails else "")
