# ruff: noqa: E501  (tables, several entries a line)
"""Real texts, broken in the ways in which texts break: the same seed breaks them in the same way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cases import Case

from lancio.reading import layouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from random import Random

WINDOW = 6000
"""Characters of a long file that are taken at once."""

BYTES = 20_000
"""Where a broken text is cut: what is bigger is no small text, and slow for a reason of its own."""

_TOKEN = re.compile(r"\s+|\w+|'(?:[^'\n]|'')*'|\$\w*\$|--[^\n]*|/\*|\*/|::|:=|.", re.DOTALL)

HOSTILE = (
    "'", '"', "''", '""', "$$", "$x$", "$1", "E'\\", "U&'\\", "U&\"\\00", "B'", "x'f", "--", "/*", "*/", "\\", "\\.", ";",
    "(", ")", "[", "]", "{", "}", "{{", "}}", "{{ .Options }}", "${schema}", "$(name)", ":name", ":'name'", ":", "::",
    ":=", "..", ".", ",", "=>", "=", "<>", "%", "%TYPE", "%ROWTYPE", "*", "?", "@@", "||", "-", "+", "\n", "\r", "\r\n",
    "\t", "\v", "\f", "\x01", "\x1b", "\x7f", "\x85", "\u00a0", "\u2028", "\ufeff", "\u0130", "ß", "é", "☃", "\U0001f600",
    "0", "1", "-1", "1e400", "0x", "99999999999999999999", "NULL", "true", "''::regclass", "'{}'", "'{a,\"b}'", "ARRAY[]",
    "NOT", "AND", "OR", "IS", "IN", "AS", "ON", "OF", "IF", "IF EXISTS", "IF NOT EXISTS", "ALL", "ANY", "EXISTS", "CASE",
    "WHEN", "THEN", "ELSE", "END", "END IF", "END LOOP", "END CASE", "LOOP", "FOR", "FOREACH", "WHILE", "EXIT", "RETURN",
    "RETURN QUERY", "RETURN NEXT", "BEGIN", "BEGIN ATOMIC", "DECLARE", "EXCEPTION", "RAISE", "PERFORM", "EXECUTE", "USING",
    "INTO", "STRICT", "COMMIT", "ROLLBACK", "SAVEPOINT a", "PREPARE TRANSACTION 'x'", "CREATE", "OR REPLACE", "ALTER",
    "DROP", "RENAME TO", "SET SCHEMA", "CASCADE", "RESTRICT", "TABLE", "VIEW", "MATERIALIZED VIEW", "INDEX", "CONCURRENTLY",
    "SEQUENCE", "TYPE", "DOMAIN", "FUNCTION", "PROCEDURE", "TRIGGER", "POLICY", "RULE", "SCHEMA", "EXTENSION", "AGGREGATE",
    "OPERATOR", "CAST", "COLUMN", "CONSTRAINT", "PRIMARY KEY", "UNIQUE", "REFERENCES", "CHECK", "EXCLUDE", "DEFAULT",
    "GENERATED ALWAYS AS IDENTITY", "PARTITION OF", "INHERITS", "LIKE", "SELECT", "FROM", "WHERE", "WITH", "RECURSIVE",
    "LATERAL", "UNION", "JOIN", "VALUES", "INSERT INTO", "UPDATE", "SET", "DELETE FROM", "MERGE", "ON CONFLICT DO NOTHING",
    "GROUP BY", "OVER ()", "LANGUAGE", "LANGUAGE sql", "LANGUAGE plpgsql", "LANGUAGE plpython3u", "RETURNS trigger",
    "RETURNS TABLE", "RETURNS SETOF", "VARIADIC", "OUT", "public.", "pg_temp.", "pg_catalog.", "a.b.c.d.", "new.", "old.",
    "search_path", "GRANT", "COMMENT ON", "DO", "CALL f()", "TRUNCATE", "COPY a FROM STDIN;", "\\i x.sql", "format('%I', a)",
)  # fmt: skip
"""What is put between or for other tokens."""

LINES = (
    "-- lancio: requires table a.b", "-- lancio: requires", "-- lancio: requires row a.b (c = 'x')",
    "-- lancio: requires row a (b = 'x' and", "-- lancio: creates table x.y", "-- lancio: creates", "-- lancio:",
    "-- lancio: requires function f(int, text)", "-- lancio: requires constraint c on table t", "-- lancio: requires (((",
    "-- lancio: requires server >= 9.5", "-- lancio: requires server >= x", "-- lancio: requires server",
    "-- lancio: requires service redis env REDIS_URL", "-- lancio: wants service", "-- lancio: after 01.sql",
    "-- lancio: after ../../etc", "-- lancio: verify SELECT 1", "-- lancio: verify-once SELECT", "-- lancio: verify ;;(",
    "-- lancio: duration 2s", "-- lancio: duration -1", "-- lancio: duration x", "-- lancio: risk high",
    "-- lancio: risk ☃", "-- lancio: nonsense", "-- lancio: impact", "-- lancio: after-run", "-- requires: a",
    "-- depends: a, b c", "-- depends:  ", "-- +goose Up", "-- +goose Down", "-- +goose StatementBegin",
    "-- +goose StatementEnd", "-- +goose NO TRANSACTION", "-- +goose ENVSUB ON", "-- migrate:up",
    "-- migrate:down transaction:false", "-- migrate:up transaction:false", "-- +migrate Up", "-- +migrate Down notransaction",
    "-- Deploy p:a to pg", "-- Revert", "/* TEMPLATE: schema */", "\\set x 1", "\\ir other.sql", "\\if :x", "\\endif",
    "BEGIN;", "COMMIT;", "ROLLBACK;", "SET search_path = a, b;", "SET check_function_bodies = off;", "#variable_conflict x",
)  # fmt: skip
"""Lines of comments, markers of layouts, and commands."""

DEPTHS = (2, 5, 19, 20, 21, 40, 98, 99, 100, 101, 130, 198, 199, 200, 201, 202, 260, 400, 900, 3000)

NESTS = (
    ("(", "1", ")"), ("(SELECT ", "1", ")"), ("CASE WHEN a THEN ", "1", " END"), ("CASE ", "1", " WHEN 1 THEN 2 END"),
    ("NOT ", "true", ""), ("- ", "1", ""), ("@ ", "1", ""), ("ARRAY[", "1", "]"), ("f(", "1", ")"), ("ROW(1, ", "2", ")"),
    ("a.f(x => ", "1", ")"), ("", "1", "::text"), ("", "a", "[1]"), ("", "(a)", ".b"), ("", "a", " IS NULL"),
    ("", "a", " COLLATE c"), ("", "a", " AT TIME ZONE 'x'"), ("1 + ", "1", ""), ("1 || (", "'x'", ")"), ("a AND ", "b", ""),
    ("a AND (b OR ", "c", ")"), ("EXISTS (SELECT 1 FROM t WHERE ", "a", ")"), ("a IN (", "1", ")"), ("coalesce(a, ", "1", ")"),
    ("(SELECT * FROM ", "t", ")"), ("format('%s', ", "1", ")"), ("CAST(", "1", " AS int)"), ("(WITH x AS (", "SELECT 1", ") TABLE x)"),
    ("/*", " ", "*/"), ("a.", "b", ""), ("SELECT 1 UNION ", "SELECT 2", ""), ("(SELECT 1) EXCEPT (", "SELECT 2", ")"),
    ("t JOIN (", "t", " AS y ON true)"), ("", "t", " JOIN t AS z USING (a)"), ("EXPLAIN ", "SELECT 1", ""), ("-", "1", ""),
    ("BEGIN ", "NULL;", " END;"), ("IF a THEN ", "NULL;", " END IF;"), ("LOOP ", "EXIT;", " END LOOP;"),
    ("FOR i IN 1..2 LOOP ", "EXECUTE 'SELECT ' || i;", " END LOOP;"), ("IF a THEN NULL; ELSE ", "NULL;", " END IF;"),
    ("FOREACH x IN ARRAY ARRAY['a', 'b'] LOOP ", "EXECUTE format('CREATE TABLE %I ()', x);", " END LOOP;"),
    ("CASE a WHEN 1 THEN ", "NULL;", " END CASE;"), ("BEGIN NULL; EXCEPTION WHEN others THEN ", "NULL;", " END;"),
    ("IF a THEN NULL; ELSIF b THEN ", "NULL;", ""), ("<<l>> ", "NULL;", ""), ("DECLARE a int; BEGIN ", "NULL;", " END;"),
)  # fmt: skip
"""What can stand in itself: before, the innermost, behind."""

HOLES = (
    "SELECT {};", "{};", "{}", "ALTER TABLE t ADD CHECK ({});", "CREATE VIEW v AS SELECT {} AS a;",
    "CREATE TABLE t (a int DEFAULT {}, b int GENERATED ALWAYS AS ({}) STORED);", "INSERT INTO t VALUES ({});",
    "CREATE POLICY p ON t USING ({});", "CREATE INDEX ON t (({})) WHERE {};", "SELECT * FROM {};", "UPDATE t SET a = {};",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT {} $$;", "CREATE TYPE t AS (a {});", "DO $$ BEGIN {} END $$;",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN {};", "DO $$ BEGIN PERFORM {}; END $$;", "SET x = {};",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT {}; END;", "DO $$ DECLARE a int := {}; BEGIN a := {}; END $$;",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN new; END $$;", "COMMENT ON TABLE t IS {};",
    "CREATE PROCEDURE p(a int DEFAULT {}) LANGUAGE plpgsql AS 'BEGIN {} END';", "DO $$ BEGIN EXECUTE {}; END $$;",
    "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN ({}) EXECUTE FUNCTION f();", "CREATE SCHEMA s CREATE VIEW v AS SELECT {};",
    "CREATE RULE r AS ON INSERT TO t DO INSTEAD (SELECT {}; SELECT 1);", "DO $$ BEGIN IF {} THEN NULL; END IF; END $$;",
    "-- lancio: requires {}\n", "-- lancio: verify SELECT {}\n", "-- lancio: requires row t (a = {})\n", "PREPARE p AS {};",
)  # fmt: skip


History = dict[str, bytes]
"""Files of one folder by their names below it, in order."""


@dataclass(frozen=True)
class Sources:
    """Histories to be broken."""

    histories: tuple[History, ...]

    def beside(self, other: History) -> Sources:
        """These and one more."""
        return Sources((*self.histories, other))

    def text(self, random: Random) -> str:
        """A text of one file, or a part of it."""
        return piece(random, random.choice(list(self.history(random).values())).decode(errors="replace"))

    def history(self, random: Random) -> History:
        """One history: half of the time a long one is as likely as its files are many."""
        weights = [len(each) for each in self.histories] if random.random() < 0.5 else None
        return random.choices(self.histories, weights)[0]


def sources(folders: Iterable[Path]) -> Sources:
    """The histories in these folders: in each of them one folder a history."""
    roots = [each for folder in folders for each in sorted(folder.iterdir()) if each.is_dir()]
    found = [
        {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.suffix in KEPT and path.is_file()
        }
        for root in roots
    ]
    return Sources(tuple(each for each in found if each))


KEPT = (".sql", ".plan", ".conf", ".go")
"""Files of histories that are SQL, or say in which layout and order it is."""


def text_case(random: Random, known: Sources, origin: str) -> Case:
    """A real text, broken one to five times."""
    text = known.text(random)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        text = random.choice(WAYS)(random, text, known)
    return Case("text", origin, {"a.sql": clean(text)})


def folder_case(random: Random, known: Sources, origin: str) -> Case:
    """Some files of a history that follow one another, one or two of them broken, at times into other bytes."""
    files = known.history(random)
    names = list(files)
    at = random.randrange(len(names))
    few = names[max(0, at - random.randint(0, 8)) : at + random.randint(1, 4)]
    if len(names) <= 15 and random.random() < 0.5:
        few = names
    few = [*few, *(name for name in names if not name.endswith(".sql") and name not in few)]
    chosen = {name: files[name][:BYTES] for name in few}
    for name in random.sample(few, min(len(few), random.choice((1, 1, 2)))):
        text = chosen[name].decode(errors="replace")
        for _ in range(random.choice((1, 1, 1, 3))):
            text = random.choice(WAYS if random.random() < 0.2 else GENTLE)(random, text, known)
        broken = clean(text)
        chosen[name] = bytes_flipped(random, broken) if random.random() < 0.05 else broken
    if random.random() < 0.05:
        name = random.choice(few)
        chosen[misnamed(random, name)] = chosen.pop(name)
    layout = random.choice(layouts.NAMES) if random.random() < 0.05 else None
    variables = {name: random.choice(VALUES) for name in VARIABLES} if random.random() < 0.5 else {}
    return Case("folder", origin, chosen, layout, variables)


VARIABLES = ("schema", "name", "Namespace", "x", "Options", "Prefix")
VALUES = ("a", "", "it's", 'q"q', "a; DROP TABLE b", "\\", "-- x", "é", "a.b", "${x}", "{{ .x }}", "\n", "/*")
"""Variables, and what they are filled with."""


def clean(text: str) -> bytes:
    """The bytes of a text as a folder would hand it on: UTF-8 without zero bytes, and not too many."""
    return text.replace("\0", "").encode(errors="replace")[:BYTES].decode(errors="ignore").encode()


def piece(random: Random, text: str) -> str:
    """Some of a long text, from the beginning of a line."""
    if len(text) <= WINDOW:
        return text
    start = text.rfind("\n", 0, random.randrange(len(text) - WINDOW // 2)) + 1
    return text[start : start + WINDOW]


def deleted(random: Random, text: str, known: Sources) -> str:
    tokens = _TOKEN.findall(text)
    for _ in range(random.choice((1, 1, 2, 4))):
        if tokens:
            at = random.randrange(len(tokens))
            del tokens[at : at + random.choice((1, 1, 1, 2, 5, 20))]
    return "".join(tokens)


def doubled(random: Random, text: str, known: Sources) -> str:
    tokens = _TOKEN.findall(text)
    if tokens:
        at = random.randrange(len(tokens))
        some = tokens[at : at + random.choice((1, 1, 2, 4, 12))]
        tokens[at:at] = some * random.choice((1, 1, 1, 2, 30, 250))
    return "".join(tokens)


def swapped(random: Random, text: str, known: Sources) -> str:
    tokens = _TOKEN.findall(text)
    if tokens:
        one = random.randrange(len(tokens))
        other = (
            min(len(tokens) - 1, one + random.choice((1, 2, 3, 7, 30)))
            if random.random() < 0.7
            else random.randrange(len(tokens))
        )
        tokens[one], tokens[other] = tokens[other], tokens[one]
    return "".join(tokens)


def replaced(random: Random, text: str, known: Sources) -> str:
    tokens = _TOKEN.findall(text)
    words = [at for at, token in enumerate(tokens) if not token.isspace()]
    for _ in range(random.choice((1, 1, 2, 3))):
        if words:
            at = random.choice(words)
            tokens[at] = random.choice(HOSTILE) if random.random() < 0.6 else tokens[random.choice(words)]
    return "".join(tokens)


def inserted(random: Random, text: str, known: Sources) -> str:
    tokens = _TOKEN.findall(text)
    for _ in range(random.choice((1, 1, 2, 3))):
        tokens.insert(random.randint(0, len(tokens)), f" {random.choice(HOSTILE)} ")
    return "".join(tokens)


def truncated(random: Random, text: str, known: Sources) -> str:
    at = random.randint(0, len(text))
    return text[:at] if random.random() < 0.7 else text[at:]


def flipped(random: Random, text: str, known: Sources) -> str:
    """A character for another, the text still UTF-8."""
    characters = list(text)
    for _ in range(random.choice((1, 1, 2, 8))):
        if characters:
            at = random.randrange(len(characters))
            other = chr((ord(characters[at]) ^ (1 << random.randrange(7))) & 0x7F)
            characters[at] = random.choice((other, other, other, chr(random.randrange(1, 0xD800))))
    return "".join(characters)


def spliced(random: Random, text: str, known: Sources) -> str:
    """The beginning of one text and the end of another."""
    one, other = _TOKEN.findall(text), _TOKEN.findall(known.text(random))
    return "".join(one[: random.randint(0, len(one))]) + "".join(other[random.randint(0, len(other)) :])


def crossed(random: Random, text: str, known: Sources) -> str:
    """Some tokens of another text in the middle of this one."""
    one, other = _TOKEN.findall(text), _TOKEN.findall(known.text(random))
    at, start = random.randint(0, len(one)), random.randint(0, len(other))
    return "".join((*one[:at], *other[start : start + random.choice((3, 10, 40))], *one[at:]))


def lined(random: Random, text: str, known: Sources) -> str:
    """A line of a comment, of a marker or of a command between others."""
    lines = text.split("\n")
    for _ in range(random.choice((1, 2, 4))):
        lines.insert(random.randint(0, min(len(lines), random.choice((3, len(lines))))), random.choice(LINES))
    return "\n".join(lines)


def nested(random: Random, text: str, known: Sources) -> str:
    """Something that stands in itself, as deep as is read and deeper, behind what is there."""
    inner = deep(random)
    if random.random() < 0.3:
        before, _, behind = random.choice(NESTS)
        inner = before * random.choice((1, 3, 120)) + inner + behind * random.choice((1, 3, 120))
    whole = random.choice(HOLES).replace("{}", inner, 1).replace("{}", random.choice(("1", inner)))
    at = text.rfind(";", 0, random.randint(0, len(text)) or None) + 1
    return f"{text[:at][-2000:]}\n{whole}\n{text[at:]}" if random.random() < 0.5 else whole


def deep(random: Random) -> str:
    before, middle, behind = random.choice(NESTS)
    depth = random.choice(DEPTHS)
    return before * depth + middle + behind * (depth if random.random() < 0.9 else random.choice(DEPTHS))


def deepened(random: Random, text: str, known: Sources) -> str:
    """A token of the text put into something that stands in itself."""
    tokens = _TOKEN.findall(text)
    words = [at for at, token in enumerate(tokens) if token[:1].isalnum() or token[:1] == "'"]
    if words:
        at = random.choice(words)
        before, _, behind = random.choice(NESTS)
        depth = random.choice(DEPTHS[:12])
        tokens[at] = f"{before * depth}{tokens[at]}{behind * depth}"
    return "".join(tokens)


def wrapped(random: Random, text: str, known: Sources) -> str:
    """The text as the body of something, or as a string in a string."""
    tag = random.choice(("$$", "$x$", "$é$", "$body$"))
    quoted = text.replace("'", "''")
    return random.choice((
        f"DO {tag}{text}{tag};", f"DO {tag} BEGIN {text} END {tag};", f"DO LANGUAGE plpgsql '{quoted}';", f"DO '{quoted}",
        f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS {tag} BEGIN {text} RETURN NEW; END {tag};",
        f"CREATE OR REPLACE FUNCTION s.f(a int, OUT b text) LANGUAGE sql AS {tag}{text}{tag};", f"{text}\n{text}",
        f"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql;\n{text}", f"CREATE PROCEDURE p() BEGIN ATOMIC {text} END;",
        f"CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC {text}; END;", f"CREATE SCHEMA s {text}",
        f"DO {tag} BEGIN EXECUTE '{quoted}'; END {tag};", f"DO {tag} BEGIN EXECUTE format('{quoted}', 'a', b); END {tag};",
        f"DO {tag} DECLARE x text := '{quoted}'; BEGIN EXECUTE x || '{quoted}'; END {tag};", f"BEGIN;\n{text}\nCOMMIT;",
        f"DO {tag} BEGIN IF NOT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'a') THEN {text} END IF; END {tag};",
        f"DO {tag} BEGIN FOR r IN SELECT tablename FROM pg_tables LOOP {text} END LOOP; END {tag};", f"EXPLAIN {text}",
        f"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS E'{quoted}' '{quoted}';", f"PREPARE p AS {text}",
        f"CREATE VIEW v AS {text}", f"CREATE TABLE x AS {text}", f"WITH w AS ({text}) SELECT * FROM w;", f"/*{text}*/", f"({text})",
        f"CREATE RULE r AS ON INSERT TO t DO ALSO ({text});", f"COPY ({text}) TO STDOUT;", f"DECLARE c CURSOR FOR {text}",
        f"-- +goose Up\n-- +goose StatementBegin\n{text}\n-- +goose StatementEnd\n-- +goose Down\nDROP TABLE a;",
        f"-- migrate:up\n{text}\n-- migrate:down\n{text}", f"\\if :{{?x}}\n{text}\n\\endif",
    ))  # fmt: skip


def other_line_ends(random: Random, text: str, known: Sources) -> str:
    return text.replace("\n", random.choice(("\r\n", "\r", "\n\n", "", "\f", "\n\t")))


def other_case(random: Random, text: str, known: Sources) -> str:
    return random.choice((str.upper, str.lower, str.swapcase, str.title))(text)


def renamed(random: Random, text: str, known: Sources) -> str:
    """Each word that is some word becomes another: a keyword as a name, a name as a keyword, a long or quoted name."""
    words = sorted(set(re.findall(r"\w+", text)))
    if not words:
        return text
    old = random.choice(words)
    new = random.choice(
        (*HOSTILE, random.choice(words), '"A b"', "x" * 70, "ü" * 40, '"' + '""' * 40 + '"', '""', "a.b.c", "_")
    )
    return re.sub(rf"\b{re.escape(old)}\b", lambda _: new, text)


_STATEMENT = re.compile(r".+?(?:;[ \t]*\n|\Z)", re.DOTALL)


def rearranged(random: Random, text: str, known: Sources) -> str:
    """Statements in another order, twice, left out, or of another text."""
    parts = _STATEMENT.findall(text)
    if parts:
        at, other = random.randrange(len(parts)), random.randrange(len(parts))
        match random.randrange(4):
            case 0:
                parts[at], parts[other] = parts[other], parts[at]
            case 1:
                parts.insert(other, parts[at])
            case 2:
                del parts[at]
            case _:
                parts.insert(other, random.choice(_STATEMENT.findall(known.text(random)) or [""]))
    return "".join(parts)


_WORD = re.compile(r"\b[a-z_][a-z0-9_]*\b")


def confused(random: Random, text: str, known: Sources) -> str:
    """Names taken for one another: a table for its column, a function for a type."""
    words = list(_WORD.finditer(text))
    for _ in range(random.choice((1, 1, 3))):
        if words:
            one = random.choice(words)
            text = text[: one.start()] + random.choice(words)[0] + text[one.end() :]
            words = list(_WORD.finditer(text))
    return text


def stretched(random: Random, text: str, known: Sources) -> str:
    """One thing very many times: what takes square time shows."""
    some = random.choice(
        (*HOSTILE, *HOSTILE, *LINES, " ", "a", "'' ", "1,", "(a) ", '"" ', "a = 1 and ", "\\\\", ":a ", "{{ ", "${")
    )
    many = some * min(random.choice((300, 3000, 20_000)), BYTES // len(some.encode()))
    lines = text[:2000].split("\n")
    at = random.randrange(len(lines))
    lines[at] = random.choice(
        (many, lines[at] + many, many + lines[at], f"'{many}'", f"-- {many}", random.choice(LINES) + many)
    )
    return "\n".join(lines)


def joined(random: Random, text: str, known: Sources) -> str:
    """Two texts, one behind the other."""
    return f"{text};\n{known.text(random)}"


WAYS: tuple[Callable[[Random, str, Sources], str], ...] = (
    deleted, deleted, doubled, swapped, swapped, replaced, replaced, inserted, inserted, truncated, flipped, spliced, crossed,
    lined, nested, deepened, wrapped, other_line_ends, other_case, renamed, rearranged, rearranged, confused, confused, joined, stretched,
)  # fmt: skip


GENTLE = (rearranged, rearranged, rearranged, confused, confused, confused, renamed, lined, joined, deleted, wrapped)
"""Ways after which a text can often be read."""


def bytes_flipped(random: Random, text: bytes) -> bytes:
    """The same in another encoding, or with bytes that are none."""
    whole = text.decode()
    at = random.randint(0, len(text))
    return random.choice((
        text[:at] + bytes((random.randrange(256),)) + text[at + 1 :], text[:at] + b"\0" + text[at:], b"\xef\xbb\xbf" + text,
        whole.encode("utf-16"), whole.encode("latin-1", "replace"), text[:at] + b"\xc3\xa9\xff" + text[at:], text[:at] + b"\xed\xa0\x80",
    ))  # fmt: skip


def misnamed(random: Random, name: str) -> str:
    """Another name for a file."""
    folder, _, file = name.rpartition("/")
    other = random.choice((
        f"V1__{file}", f"R__{file}", f"{file.removesuffix('.sql')}.up.sql", f"{file.removesuffix('.sql')}.down.sql", "up.sql",
        "1.sql", "00000000000000000000000000000001_a.sql", "１_a.sql", "a b.sql", "é.sql", f"{file}/migration.sql", "²_x.sql",
        f"x/{file}", f"V1.2.3__{file}", "V__.sql", "U1__a.sql", "20240101000000_a.postgres.up.sql", "seed.sql", "1-.sql", ".sql.sql",
        "a\nb.sql", f"{file.upper()}.sql",
    ))  # fmt: skip
    return f"{folder}/{other}" if folder else other
