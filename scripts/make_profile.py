"""Ask real servers of every major version what they bring along; write src/lancio/catalog/profiles/*.json.

    python scripts/install_servers.py all && python scripts/make_profile.py

Both files are a function of the servers' catalogs: sorted, one name a line, the same bytes for the same servers.
A *range* `[from, to]` is of major versions, both ends included. Data begins at the first and ends at the last of
`versions`: a version below or above is to be treated as the nearest one.

builtins.json
    versions            [10, …, 18]
    schemas             {schema: range}                     the schemas an empty database has, public among them
    functions           {schema: {name: [[min, max, variadic, kind, from, to], …]}}
                        How many arguments may be given: min to max (max counts those with defaults); variadic 1:
                        any number from min on, max is then null. kind: f function, p procedure, a aggregate,
                        w window function. Overloads with the same numbers and kind are one entry.
    types               {schema: {name: range}}             base, domain, enum, range, multirange, pseudo types; array
                        types (_name) and row types are left out: each type and each relation has one
    relations           {schema: {name: [kind, from, to]}}  kind: r table, v view (indexes left out)
    operators           {schema: {name: range}}
    collations          {schema: {name: range}}             those in every server; the system's own are not in it
    operator_classes    {schema: {access method: {name: range}}}
    operator_families   {schema: {access method: {name: range}}}
    text_search         {schema: {kind: {name: range}}}     kind: configuration, dictionary, parser, template
    access_methods      {name: range}
    languages           {name: range}                       plpgsql is an extension, though every database has it
    roles               {name: range}                       predefined roles (pg_monitor, …)

extensions.json
    versions            as above
    extensions          {name: {
        versions        range: the servers asked that ship it; outside of it nothing is known of it
        measured        [majors it was created on]; elsewhere the nearest measured one's members stand in
        schema          the schema its control file fixes, null if CREATE EXTENSION may choose
        relocatable     true | false
        requires        [names of extensions]
        trusted         range of the versions where it may be created without superuser, null if none
        functions       {name: [[argument types, min, max, variadic, kind, from, to], …]}
                        argument types: "text,integer", those of the extension itself without a schema
        types           {name: range}                       as in builtins: without array and row types
        relations       {name: [kind, from, to]}            kind: r table, v view, m, f, c composite type, S sequence
        operators       {name: range}
        operator_classes, operator_families    {access method: {name: range}}
        casts           {"source AS target": range}
        others          {kind: {name: range}}               kind in pg_identify_object's words: language, schema,
                        "access method", "foreign-data wrapper", "text search dictionary", …
    }}
    Groups without a member are left out. A member in another schema than the extension's is written schema.name.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "tests"), str(PROJECT / "src")]

import psycopg  # noqa: E402
from psycopg import sql  # noqa: E402

import servers  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSIONS = tuple(range(10, 19))
FOLDER = PROJECT / "src" / "lancio" / "catalog" / "profiles"
SYSTEM = ["pg_catalog", "information_schema"]
SCRATCH = "scratch_of_an_extension"

# prokind came with 11; before, two booleans said it.
KIND = {True: "p.prokind", False: "CASE WHEN p.proisagg THEN 'a' WHEN p.proiswindow THEN 'w' ELSE 'f' END"}
# A variadic parameter without a default takes at least one argument.
ARITY = """p.pronargs - p.pronargdefaults,
           CASE WHEN p.provariadic = 0 THEN p.pronargs END, (p.provariadic <> 0)::int"""

# Files of later versions that the package of 10 brings along by mistake; its server cannot load them.
STRAYS = {
    10: {
        "bool_plperl",
        "bool_plperlu",
        "jsonb_plperl",
        "jsonb_plperlu",
        "jsonb_plpython3u",
        "old_snapshot",
        "pg_surgery",
        "pg_walinspect",
    },
}

Facts = dict[tuple[Any, ...], set[int]]
"""A fact as a path of words, and the majors in which it holds."""


def builtins_of(connection: psycopg.Connection, major: int) -> Iterable[tuple[Any, ...]]:
    """Every fact of builtins.json, as a path."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query, {"system": SYSTEM}).fetchall()

    for (schema,) in rows("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast_temp)'"):
        yield ("schemas", schema)
    functions = f"""SELECT DISTINCT n.nspname, p.proname, {ARITY}, {KIND[major >= 11]}
                    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                    WHERE n.nspname = ANY (%(system)s)
                    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                                    AND d.objid = p.oid AND d.deptype = 'e')"""
    for schema, name, *arity in rows(functions):
        yield ("functions", schema, name, tuple(arity))
    types = """SELECT n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
               WHERE n.nspname = ANY (%(system)s) AND t.typtype <> 'c'
               AND NOT (t.typcategory = 'A' AND t.typelem <> 0)"""
    for schema, name in rows(types):
        yield ("types", schema, name)
    relations = """SELECT n.nspname, c.relname, c.relkind::text FROM pg_class c
                   JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = ANY (%(system)s) AND c.relkind IN ('r', 'v')"""
    for schema, name, kind in rows(relations):
        yield ("relations", schema, name, kind)
    operators = """SELECT DISTINCT n.nspname, o.oprname FROM pg_operator o
                   JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname = ANY (%(system)s)"""
    for schema, name in rows(operators):
        yield ("operators", schema, name)
    # Below 10000 the numbers are PostgreSQL's own; 10 made ucs_basic with a later one.
    collations = """SELECT n.nspname, c.collname FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
                    WHERE n.nspname = ANY (%(system)s) AND (c.oid < 10000 OR c.collname = 'ucs_basic')"""
    for schema, name in rows(collations):
        yield ("collations", schema, name)
    for group, catalog, prefix in (
        ("operator_classes", "pg_opclass", "opc"),
        ("operator_families", "pg_opfamily", "opf"),
    ):
        query = f"""SELECT DISTINCT n.nspname, a.amname, x.{prefix}name FROM {catalog} x
                    JOIN pg_namespace n ON n.oid = x.{prefix}namespace JOIN pg_am a ON a.oid = x.{prefix}method
                    WHERE n.nspname = ANY (%(system)s)"""
        for row in rows(query):
            yield (group, *row)
    for kind, catalog, prefix in (
        ("configuration", "pg_ts_config", "cfg"),
        ("dictionary", "pg_ts_dict", "dict"),
        ("parser", "pg_ts_parser", "prs"),
        ("template", "pg_ts_template", "tmpl"),
    ):
        query = f"""SELECT n.nspname, x.{prefix}name FROM {catalog} x
                    JOIN pg_namespace n ON n.oid = x.{prefix}namespace WHERE n.nspname = ANY (%(system)s)"""
        for schema, name in rows(query):
            yield ("text_search", schema, kind, name)
    for (name,) in rows("SELECT amname FROM pg_am"):
        yield ("access_methods", name)
    for (name,) in rows("SELECT lanname FROM pg_language WHERE lanname <> 'plpgsql'"):
        yield ("languages", name)
    for (name,) in rows("SELECT rolname FROM pg_roles WHERE rolname ~ '^pg_'"):
        yield ("roles", name)


def members_of(connection: psycopg.Connection, extension: str, major: int) -> set[tuple[Any, ...]]:
    """Every fact about an extension's members, as a path; the extension is created and visible in search_path."""
    row = connection.execute(
        """SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
           WHERE extname = %s""",
        (extension,),
    ).fetchone()
    assert row is not None
    home = str(row[0])
    # What lies in the extension's schema is named bare by format_type and by us alike.
    connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", (home,))

    def rows(query: str) -> list[tuple[Any, ...]]:
        member = """WITH m AS (SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                               WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
                               AND e.extname = %(extension)s) """
        return connection.execute(member + query, {"extension": extension}).fetchall()

    def named(schema: str, name: str) -> str:
        return name if schema == home else f"{schema}.{name}"

    facts: set[tuple[Any, ...]] = set()
    functions = f"""SELECT n.nspname, p.proname,
                    coalesce((SELECT string_agg(format_type(a.t, NULL), ',' ORDER BY a.i)
                              FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (t, i)), ''),
                    {ARITY}, {KIND[major >= 11]}
                    FROM m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
                    JOIN pg_namespace n ON n.oid = p.pronamespace"""
    for schema, name, *signature in rows(functions):
        facts.add(("functions", named(schema, name), tuple(signature)))
    types = """SELECT n.nspname, t.typname FROM m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
               JOIN pg_namespace n ON n.oid = t.typnamespace
               WHERE t.typtype <> 'c' AND NOT (t.typcategory = 'A' AND t.typelem <> 0)"""
    for schema, name in rows(types):
        facts.add(("types", named(schema, name)))
    relations = """SELECT n.nspname, c.relname, c.relkind::text FROM m
                   JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
                   JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relkind IN ('r', 'v', 'm', 'f', 'c', 'S', 'p')"""
    for schema, name, kind in rows(relations):
        facts.add(("relations", named(schema, name), kind))
    operators = """SELECT n.nspname, o.oprname FROM m
                   JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid
                   JOIN pg_namespace n ON n.oid = o.oprnamespace"""
    for schema, name in rows(operators):
        facts.add(("operators", named(schema, name)))
    for group, catalog, prefix in (
        ("operator_classes", "pg_opclass", "opc"),
        ("operator_families", "pg_opfamily", "opf"),
    ):
        query = f"""SELECT a.amname, n.nspname, x.{prefix}name FROM m
                    JOIN {catalog} x ON m.classid = '{catalog}'::regclass AND x.oid = m.objid
                    JOIN pg_namespace n ON n.oid = x.{prefix}namespace JOIN pg_am a ON a.oid = x.{prefix}method"""
        for method, schema, name in rows(query):
            facts.add((group, method, named(schema, name)))
    casts = """SELECT format_type(c.castsource, NULL), format_type(c.casttarget, NULL) FROM m
               JOIN pg_cast c ON m.classid = 'pg_cast'::regclass AND c.oid = m.objid"""
    for source, target in rows(casts):
        facts.add(("casts", f"{source} AS {target}"))
    others = """SELECT o.type, o.schema, coalesce(o.name, o.identity) FROM m,
                LATERAL pg_identify_object(m.classid, m.objid, 0) AS o
                WHERE m.classid NOT IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_class'::regclass,
                                        'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass,
                                        'pg_cast'::regclass)"""
    for kind, schema, name in rows(others):
        facts.add(("others", kind, name if schema is None else named(schema, name)))
    return facts


@dataclass(frozen=True)
class Control:
    """What an extension's control file says."""

    schema: str | None
    relocatable: bool
    requires: tuple[str, ...]
    trusted: bool


def offered(server: servers.TestServer) -> dict[str, Control]:
    """The extensions in a server's own folder, by name; read from the files, for one stray file spoils the view."""
    assert server.installation is not None
    share = server.installation.bindir.parent / "share"
    folders = [path for path in share.glob("**/extension") if (path / "plpgsql.control").is_file()]
    if not folders:
        # Debian keeps them apart from the programs.
        folders = [Path(f"/usr/share/postgresql/{server.version}/extension")]
    found = {}
    for path in sorted(folders[0].glob("*.control")):
        name = path.name.removesuffix(".control")
        if "--" in name or name in STRAYS.get(server.version, ()):
            continue
        text = path.read_text(encoding="utf-8")
        words = dict(re.findall(r"^\s*(\w+)\s*=\s*'?([^'\n#]*)'?", text, re.MULTILINE))
        found[name] = Control(
            schema=words.get("schema") or None,
            relocatable=words.get("relocatable", "false").strip() == "true",
            requires=tuple(sorted(word.strip() for word in words.get("requires", "").split(",") if word.strip())),
            trusted=server.version >= 13 and words.get("trusted", "false").strip() == "true",
        )
    return found


def create(server: servers.TestServer, extension: str, fixed: str | None) -> set[tuple[Any, ...]] | str:
    """The members of an extension, created in a database of its own; or why it cannot be."""
    url = server.create_database(template="template1")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            into = sql.SQL("")
            if fixed is None and extension != "plpgsql":
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCRATCH)))
                into = sql.SQL("SCHEMA {}").format(sql.Identifier(SCRATCH))
            try:
                connection.execute(
                    sql.SQL("CREATE EXTENSION IF NOT EXISTS {} {} CASCADE").format(sql.Identifier(extension), into)
                )
            except psycopg.Error as error:
                return str(error).splitlines()[0]
            return members_of(connection, extension, server.version)
    finally:
        server.drop_database(url)


def span(majors: Iterable[int]) -> list[int]:
    """The range from the first to the last of some majors."""
    return [min(majors), max(majors)]


def spans(majors: set[int], known: Iterable[int]) -> list[list[int]]:
    """The ranges of a fact; more than one if it went away and came back."""
    ranges: list[list[int]] = []
    previous = None
    for major in sorted(known):
        if major in majors:
            if previous is not None and ranges and ranges[-1][1] == previous:
                ranges[-1][1] = major
            else:
                ranges.append([major, major])
        previous = major
    return ranges


def tree(facts: Facts, known: Iterable[int], listed: frozenset[str]) -> dict[str, Any]:
    """Facts as nested objects; in the groups of `listed` the last word of a path is a list's item, not a name."""
    root: dict[str, Any] = {}
    for path in sorted(facts, key=lambda path: json.dumps(path)):
        for reach in spans(facts[path], known):
            if path[0] in listed:
                node = root
                for word in path[:-2]:
                    node = node.setdefault(word, {})
                last = path[-1]
                words = list(last) if isinstance(last, tuple) else [last]
                item = [*words, *reach]
                if path[0] == "relations":
                    node[path[-2]] = item
                else:
                    node.setdefault(path[-2], []).append(item)
            else:
                node = root
                for word in path[:-1]:
                    node = node.setdefault(word, {})
                # One range a name: what came back after a gap counts as never gone.
                node[path[-1]] = [min(reach[0], node.get(path[-1], reach)[0]), reach[1]]
    return root


def write(path: Path, value: dict[str, Any]) -> None:
    """One name a line down to the third level, the rest of it in that line."""

    def lines(node: Any, depth: int) -> str:
        compact = json.dumps(node, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
        if not isinstance(node, dict) or depth == 0 or len(compact) < 100:
            return compact
        items = (f"{json.dumps(key, ensure_ascii=False)}:{lines(node[key], depth - 1)}" for key in sorted(node))
        return "{\n" + ",\n".join(items) + "\n}"

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lines(value, 4) + "\n", encoding="utf-8")


def main() -> int:
    """Write both files; 1 if a server is missing."""
    builtins: Facts = defaultdict(set)
    shipped: dict[str, dict[int, Control]] = defaultdict(dict)
    members: dict[str, dict[int, set[tuple[Any, ...]]]] = defaultdict(dict)
    for major in VERSIONS:
        try:
            server = servers.start(major)
        except servers.Unavailable as missing:
            sys.stderr.write(f"{missing}\n")
            return 1
        try:
            with server.connect() as connection:
                for fact in builtins_of(connection, major):
                    builtins[fact].add(major)
            for name, control in offered(server).items():
                shipped[name][major] = control
                found = create(server, name, control.schema)
                if isinstance(found, str):
                    sys.stderr.write(f"{major} {name}: {found}\n")
                else:
                    members[name][major] = found
            sys.stderr.write(f"{major}: {len(members)} extensions so far\n")
        finally:
            server.stop()
    extensions = {}
    for name, measured in sorted(members.items()):
        facts: Facts = defaultdict(set)
        for major in shipped[name]:
            nearest = min(measured, key=lambda other: (abs(other - major), other))
            for fact in measured[nearest]:
                facts[fact].add(major)
        latest = shipped[name][max(shipped[name])]
        trusted_in = [major for major, control in shipped[name].items() if control.trusted]
        extensions[name] = {
            "versions": span(shipped[name]),
            "measured": sorted(measured),
            "schema": latest.schema,
            "relocatable": latest.relocatable,
            "requires": list(latest.requires),
            "trusted": span(trusted_in) if trusted_in else None,
            **tree(facts, sorted(shipped[name]), frozenset({"functions", "relations"})),
        }
    known = list(VERSIONS)
    write(
        FOLDER / "builtins.json",
        {"versions": known, **tree(builtins, known, frozenset({"functions", "relations"}))},
    )
    write(FOLDER / "extensions.json", {"versions": known, "extensions": extensions})
    return 0


if __name__ == "__main__":
    sys.exit(main())
