"""What do routines and DO blocks do, and when: at once, or when they are called?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.reading import conditions, queries, tree
from lancio.reading.model import Detail, Ref, RowFact
from lancio.reading.queries import Scope
from lancio.syntax import lexer, parser, plpgsql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from lancio.reading.model import Guard, Op
    from lancio.reading.reader import Reader
    from lancio.syntax.parser import Tree
    from lancio.syntax.plpgsql import Node, Piece

    ReadStatement = Callable[[Reader, str, Tree, Scope | None], object]

MAX_DEPTH = 20
"""How deep strings of SQL may stand in one another."""

MAX_LOOPED = 10_000
"""How many statements are read in the rounds of loops over constants, in one file; behind that a loop's body is read
once, without the values."""

MAX_TEXT = 1 << 18
"""Characters of a text that is put together from constants: `b := a || a; c := b || b; …` doubles with each line."""


def create_routine(reader: Reader, fields: Tree, read: ReadStatement) -> None:
    """Read CREATE FUNCTION and CREATE PROCEDURE."""
    schema, name = tree.qualified(tree.strings(fields.get("funcname")))
    if schema:
        reader.emit("read", Ref("schema", schema))
    inputs: list[str] = []
    names: list[str] = []
    types: dict[str, Ref] = {}
    defaults = 0
    variadic = False
    for each in fields.get("parameters", ()):
        parameter = each.get("FunctionParameter", {})
        mode = parameter.get("mode", "")
        queries.type_name(reader, parameter.get("argType"))
        queries.expression(reader, parameter.get("defexpr"), Scope())
        if parameter.get("name"):
            names.append(parameter["name"])
            types[parameter["name"]] = tree.type_ref(parameter.get("argType", {}))
        if mode in ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE"):
            continue
        inputs.append(tree.type_text(parameter.get("argType", {})))
        defaults += "defexpr" in parameter
        variadic = variadic or mode == "FUNC_PARAM_VARIADIC"
    queries.type_name(reader, fields.get("returnType"))
    options = fields.get("options", [])
    language = tree.text_of(tree.option(options, "language") or {}) or ("sql" if "sql_body" in fields else "")
    path = _own_path(options)
    with (
        reader.collected() as body,
        reader.inside(when="call", via=f"the body of {schema or ''}{'.' if schema else ''}{name}()"),
    ):
        _body(reader, fields, language.lower(), queries.variables(names, types), read)
    if reader.check_bodies:
        for op in _checked(body, language.lower()):
            reader.ops.append(op._replace(when="now", guards=reader.guards + op.guards, soft=reader.soft or op.soft))
    detail = Detail(
        label="procedure" if fields.get("is_procedure") else "function",
        replace=bool(fields.get("replace")),
        body=tuple(body),
        defaults=defaults,
        variadic=variadic,
        result=tree.type_text(fields.get("returnType", {})),
        path=path,
        columns_of=tuple(names),
    )
    reader.emit("make", Ref("routine", name, schema, tuple(inputs), len(inputs)), -1, detail)


def _own_path(options: list[Tree]) -> tuple[str, ...] | None:
    for element in options:
        setting = element.get("DefElem", {}).get("arg", {}).get("VariableSetStmt", {})
        if setting.get("name", "").lower() != "search_path":
            continue
        if setting.get("kind") == "VAR_SET_CURRENT":
            return ()  # FROM CURRENT: the one that stands where the routine is made
        if setting.get("args"):
            values = (tree.constant(each) for each in setting.get("args", ()))
            return tuple(part.strip() for value in values if value is not None for part in value.split(","))
    return None


def _checked(body: list[Op], language: str) -> Iterable[Op]:
    """What PostgreSQL asks for when a routine is made, unless check_function_bodies is off.

    An SQL body is analysed (fmgr_sql_validator); of PL/pgSQL only the types of variables are looked up
    (plpgsql_validator).
    """
    for op in body:
        if language == "sql" and op.verb in ("read", "call"):
            yield op
        elif language == "sql" and op.verb == "write" and op.ref.kind == "relation":
            yield op._replace(verb="read", detail=Detail())
        elif language == "plpgsql" and op.via.endswith("(declared)"):
            yield op


def _body(reader: Reader, fields: Tree, language: str, scope: Scope, read: ReadStatement) -> None:
    if "sql_body" in fields:
        _atomic(reader, fields["sql_body"], scope, read)
        return
    text = _string(tree.option(fields.get("options"), "as"))
    if text is None:
        return
    with _inside_string(reader, text, _option_location(fields, "as")):
        if language == "plpgsql":
            PlBody(reader, read, sorted(scope.names)).run(text)
        elif language == "sql":
            sql_text(reader, text, read, scope)
        elif language not in ("c", "internal"):
            reader.opaque(f"a body in {language or 'an unknown language'} cannot be read")


def _atomic(reader: Reader, node: Tree, scope: Scope, read: ReadStatement) -> None:
    kind, fields = tree.unwrap(node)
    if kind == "ReturnStmt":
        queries.expression(reader, fields.get("returnval"), scope)
        return
    for each in tree.items(node):
        for statement in tree.items(each) or [each]:
            name, inner = tree.unwrap(statement)
            if name:
                read(reader, name, inner, scope)


def _string(node: object) -> str | None:
    if not isinstance(node, dict):
        return None
    found = tree.items(node)
    return tree.text_of(found[0]) if found else tree.text_of(node) if "String" in node else None


def _option_location(fields: Tree, name: str) -> int:
    for element in fields.get("options") or fields.get("args") or ():
        definition = element.get("DefElem", {})
        if definition.get("defname") == name:
            return int(definition.get("location", -1))
    return -1


def _inside_string(reader: Reader, text: str, location: int) -> AbstractContextManager[None]:
    """Read inside a string of the text: with its own places where it stands there as it is."""
    if reader.fixed is None and location >= 0:
        start = reader.base + location
        for token in lexer.tokens(reader.text, start, reader.whole.end):
            if token.kind == "string":
                raw = reader.text[token.start : token.end]
                inside = raw.find(text.encode())
                if inside >= 0:
                    return reader.inside(base=token.start + inside)
                return reader.inside(fixed=reader.span(location))
    return reader.inside(fixed=reader.span(location))


def do(reader: Reader, fields: Tree, read: ReadStatement) -> None:
    """Read DO: its block runs at once."""
    language = tree.text_of(tree.option(fields.get("args"), "language") or {}) or "plpgsql"
    text = _string(tree.option(fields.get("args"), "as"))
    if text is None:
        return
    if language.lower() != "plpgsql":
        reader.opaque(f"a DO block in {language} cannot be read")
        return
    with _inside_string(reader, text, _option_location(fields, "as")), reader.inside(via="a DO block"):
        PlBody(reader, read, []).run(text)


def sql_text(reader: Reader, text: str, read: ReadStatement, scope: Scope | None = None) -> None:
    """Read SQL that stands in a string."""
    if reader.depth > MAX_DEPTH:
        reader.opaque("SQL stands too deeply in strings of SQL")
        return
    raw = text.encode()
    try:
        statements = parser.parse(raw)
    except parser.ParseError as error:
        reader.opaque(f"the SQL in a string cannot be parsed: {error.message}")
        return
    for statement in statements:
        read(reader, statement.node, statement.tree, scope)


Value = str | tuple[str, ...]

_NEEDS_HANDLED = frozenset(("others", "undefined_table", "undefined_object", "undefined_function", "undefined_column",
                            "invalid_schema_name", "insufficient_privilege", "feature_not_supported",
                            "undefined_file"))  # fmt: skip


class PlBody:
    """Reads one PL/pgSQL body, with the constants that its variables hold carried along."""

    def __init__(self, reader: Reader, read: ReadStatement, names: list[str]) -> None:
        self.reader = reader
        self.read = read
        self.known: dict[str, Value] = {}
        self.cursors: set[str] = set()
        self.sets: dict[str, Ref] = {}  # loop variables that run over a catalog's rows
        self.scope = queries.variables([*names, "found", "sqlstate", "sqlerrm", "new", "old"])
        self.asked: tuple[RowFact, ...] = ()
        self.into: tuple[str, ...] = ()
        self.holes = False  # whether unknown parts of a text are passed over

    def run(self, text: str) -> None:
        """Read the whole body."""
        try:
            block = plpgsql.parse(text.encode())
        except plpgsql.BodyError as error:
            self.reader.opaque(f"the PL/pgSQL body cannot be read: {error.message}", error.position)
            return
        self.block(block)

    # Expressions and constants.

    def tree(self, piece: Piece | None) -> Tree | None:
        """The syntax tree of an expression."""
        if piece is None or not piece.text.strip():
            return None
        statement = parser.parse_one(b"SELECT " + piece.text)
        if statement is None or statement.node != "SelectStmt":
            return None
        return statement.tree

    def expression(self, piece: Piece | None) -> Tree | None:
        """Read an expression; what comes back is its tree, if it is a single value."""
        select = self.tree(piece)
        if piece is None or select is None:
            return None
        with self.reader.inside(base=self.reader.base + piece.start - len("SELECT ")):
            queries.select(self.reader, select, self.scope)
        targets = select.get("targetList", ())
        return targets[0].get("ResTarget", {}).get("val") if len(targets) == 1 else None

    def value(self, node: Tree | None) -> Value | None:
        """The constant that an expression has, if its variables are known."""
        found = self.constant_value(node)
        return HOLE if found is None and self.holes else found

    def constant_value(self, node: Tree | None) -> Value | None:
        """The same, None where any part is not known."""
        constant = tree.constant(node)
        name, fields = tree.unwrap(node)
        if constant is not None:
            if name == "TypeCast" and fields.get("typeName", {}).get("arrayBounds"):
                return _array(constant)
            return constant
        if name == "TypeCast":
            return self.value(fields.get("arg"))
        if name == "ColumnRef":
            return self.known.get(".".join(tree.strings(fields.get("fields"))))
        if name == "A_ArrayExpr":
            parts = [self.value(each) for each in fields.get("elements", ())]
            return tuple(part for part in parts if isinstance(part, str)) if all(
                isinstance(part, str) for part in parts
            ) else None  # fmt: skip
        if name == "A_Expr" and tree.strings(fields.get("name")) == ("||",):
            left, right = self.value(fields.get("lexpr")), self.value(fields.get("rexpr"))
            if isinstance(left, str) and isinstance(right, str):
                return left + right if len(left) + len(right) <= MAX_TEXT else None
            if isinstance(left, tuple) and right is not None:
                both = (*left, *((right,) if isinstance(right, str) else right))
                return both if len(both) <= MAX_LOOPED else None
            return None
        if name == "FuncCall":
            return self.called(fields)
        return None

    def called(self, fields: Tree) -> Value | None:
        """The constant that a call of a text function has."""
        function = tree.last(fields.get("funcname"))
        arguments = [self.value(each) for each in fields.get("args", ())]
        texts = [each for each in arguments if isinstance(each, str)]
        if len(texts) != len(arguments) or not texts or sum(map(len, texts)) > MAX_TEXT:
            return None
        if function == "format":
            return _format(texts)
        if function == "replace" and len(texts) == 3:
            text, old, new = texts
            grown = len(text) + text.count(old) * len(new)
            return text.replace(old, new) if old and grown <= MAX_TEXT else None
        if function in ("concat", "quote_ident", "quote_literal", "lower", "upper"):
            if function == "concat":
                return "".join(texts)
            shapes: dict[str, Callable[[str], str]] = {
                "quote_ident": quote_ident, "quote_literal": quote_literal, "lower": str.lower, "upper": str.upper,
            }  # fmt: skip
            return shapes[function](texts[0])
        return None

    def evaluate(self, node: Tree | None) -> str | None:
        """The text of a constant expression."""
        found = self.value(node)
        return found if isinstance(found, str) else None

    # Statements.

    def block(self, node: Node) -> None:
        """Read a block: its declarations, its body, its handlers."""
        for declared in node.declarations:
            self.scope.names.add(declared.name)
            self.declared(declared)
        handled = frozenset(name for names, _ in node.handlers for name in names)
        with self.reader.inside(soft=bool(handled & _NEEDS_HANDLED)):
            tolerant, self.reader.tolerant = self.reader.tolerant, self.reader.tolerant or bool(handled)
            self.statements(node.body)
            self.reader.tolerant = tolerant
        for _, body in node.handlers:
            with self.reader.inside(guards=conditions.UNKNOWN, soft=True):
                self.statements(body)

    def declared(self, declared: plpgsql.Declaration) -> None:
        """Read one declaration; its type must be there when the routine is made."""
        piece = declared.type
        if piece is not None:
            text = re.sub(rb"(?i)%rowtype\b", b"", piece.text)
            statement = parser.parse_one(b"SELECT NULL::" + text)
            for name, fields in tree.walk(statement.tree) if statement else ():
                if name == "TypeCast":
                    with self.reader.inside(via=f"{self.reader.via} (declared)"):
                        at = self.reader.base + piece.start - len("SELECT NULL::")
                        with self.reader.inside(base=at):
                            self.declared_type(fields.get("typeName", {}), rowtype=text != piece.text)
                    break
        found = self.expression(declared.value)
        self.forget((declared.name,))
        self.note_selected(declared.name, found)
        if found is not None and (value := self.value(found)) is not None:
            if isinstance(value, str) and piece is not None and _ARRAY.search(piece.text):
                value = _array(value)
            self.known[declared.name] = value
        if declared.query is not None:
            self.cursors.add(declared.name)
            self.sql(declared.query)

    def declared_type(self, type_name: Tree, *, rowtype: bool) -> None:
        """The type of a variable."""
        if rowtype:
            schema, name = tree.qualified(tree.strings(type_name.get("names")))
            self.reader.emit("read", Ref("relation", name, schema), tree.location(type_name))
        elif tree.strings(type_name.get("names")) != ("record",):
            queries.type_name(self.reader, type_name)

    def statements(self, nodes: list[Node]) -> None:
        """Read statements one after the other; behind one that may leave, the rest stands under its conditions."""
        for index, node in enumerate(nodes):
            self.left = conditions.UNKNOWN
            self.statement(node)
            if node.kind in _LEAVING and not node.using:
                return  # what stands behind it is never reached
            if _leaves(node):
                with self.reader.inside(guards=self.left if node.kind == "if" else conditions.UNKNOWN):
                    self.statements(nodes[index + 1 :])
                return

    def statement(self, node: Node) -> None:
        """Read one statement."""
        kind = node.kind
        if kind == "sql":
            self.asked, self.into = (), node.target
            if node.value is not None:
                self.sql(node.value)
                if node.word == "strict":  # PostgreSQL raises no_data_found by itself
                    wanted: tuple[RowFact, ...] = self.asked
                    for each in wanted:
                        self.need_row(each, "", node.start)
            self.forget(node.target)
        elif kind == "if":
            self.if_(node)
        elif kind == "assign":
            found = self.expression(node.value)
            self.forget(node.target)
            self.note_selected(node.target[0], found)
            value = self.value(found)
            if value is not None and not self.conditional():
                self.known[node.target[0]] = value
        elif kind == "block":
            self.block(node)
        elif kind in ("foreach", "query"):
            self.loop_over(node)
        elif kind in ("execute", "dynamic"):
            self.execute(node)
            if kind == "dynamic":
                self.forget(_assigned(node.body))
                self.branch(node.body)
        elif kind == "loop":  # its first round runs in any case
            self.forget(_assigned(node.body))
            self.statements(node.body)
        elif kind in ("while", "for"):
            self.expression(node.value)
            self.expressions(node.using)
            self.forget((*node.target, *_assigned(node.body)))
            self.branch(node.body)
        elif kind == "case":
            self.expression(node.value)
            for condition, body in node.arms:
                self.expression(condition)
                self.branch(body)
            self.branch(node.otherwise or [])
        elif kind == "raise":
            self.expressions(node.using)
            self.expressions(declared.value for declared in node.declarations if declared.value)
        elif kind == "perform":
            self.perform(node)
        else:
            self.expression(node.value)
            self.expressions(node.using)
            self.forget(node.target)

    def expressions(self, pieces: Iterable[Piece]) -> None:
        """Read several expressions."""
        for piece in pieces:
            self.expression(piece)

    def perform(self, node: Node) -> None:
        """PERFORM is a SELECT whose rows are thrown away."""
        self.asked, self.into = (), ()
        piece = node.value
        if piece is None:
            return
        self.sql(plpgsql.Piece(b"SELECT " + piece.text, piece.start - len("SELECT ")))

    def sql(self, piece: Piece) -> None:
        """Read a statement of SQL."""
        try:
            statements = parser.parse(piece.text)
        except parser.ParseError as error:
            self.reader.opaque(f"a statement cannot be parsed: {error.message}", piece.start)
            return
        for statement in statements:
            with self.reader.inside(base=self.reader.base + piece.start):
                self.read(self.reader, statement.node, statement.tree, self.scope)
            if statement.node == "SelectStmt":
                self.whether = False
                self.asked = conditions.wanted_rows(statement.tree, self.evaluate) or self._asked_inside(statement.tree)

    def _asked_inside(self, select: Tree) -> tuple[RowFact, ...]:
        """`SELECT EXISTS (…) INTO b`: the rows of the subquery."""
        targets = select.get("targetList", ())
        name, fields = tree.unwrap(targets[0].get("ResTarget", {}).get("val")) if len(targets) == 1 else ("", {})
        self.whether = fields.get("subLinkType") == "EXISTS_SUBLINK"
        return self.rows_of(fields.get("subselect")) if name == "SubLink" else ()

    def forget(self, targets: Iterable[str]) -> None:
        """Variables that were given a new value."""
        for target in targets:
            self.known.pop(target, None)
            self.sets.pop(target, None)

    def conditional(self) -> bool:
        """Whether this place is reached under conditions alone: what is assigned here may not have been."""
        return bool(self.branches)

    branches = 0
    left: tuple[Guard, ...] = ()
    whether = False
    """Whether what was selected last is whether a row is there, and not a value of it."""

    def branch(self, nodes: list[Node], guards: tuple[Guard, ...] = ()) -> None:
        """Read statements that may not run."""
        before = dict(self.known)
        self.branches += 1
        with self.reader.inside(guards=guards or conditions.UNKNOWN):
            self.statements(nodes)
        self.branches -= 1
        self.known = {name: value for name, value in before.items() if self.known.get(name) == value}

    def if_(self, node: Node) -> None:
        """Read IF: its conditions are facts of the catalog, or not known."""
        otherwise: tuple[Guard, ...] = ()
        for condition, body in node.arms:
            found = self.expression(condition)
            refusal = _refusal(body)
            if refusal is not None:
                self.refused(found, refusal, condition.start, otherwise)
            true, false = self.stamped(conditions.facts(found, self.evaluate))
            asked, into = self.asked, self.into
            self.branch(body, otherwise + true)
            self.asked, self.into = asked, into
            otherwise += tuple(guard for guard in false if guard.ref is not None) or conditions.UNKNOWN
        # What stands behind `IF … THEN RETURN; END IF;` runs where the condition does not hold.
        alone = len(node.arms) == 1 and node.otherwise is None and node.arms[0][1][-1:]
        behind = otherwise if alone and alone[0].kind in _LEAVING else conditions.UNKNOWN
        if node.otherwise is not None:
            refusal = _refusal(node.otherwise)
            if refusal is not None and len(node.arms) == 1:
                message = self.message(refusal)
                for row in self.present(found):
                    self.need_row(row, message, node.arms[0][0].start)
            self.branch(node.otherwise, otherwise)
        self.left = behind

    def stamped(self, facts: conditions.Facts) -> conditions.Facts:
        """The facts of one condition, marked as such."""
        self.reader.conditions += 1
        true, false = (tuple(guard._replace(asked=self.reader.conditions) for guard in each) for each in facts)
        return true, false

    def refused(self, condition: Tree | None, raised: Node, at: int, outer: tuple[Guard, ...]) -> None:
        """A branch that only raises: what the condition misses is a requirement, in the file's own words."""
        message = self.message(raised)
        with self.reader.inside(guards=outer):
            for row in self.absent(condition):
                self.need_row(row, message, at)
            for true, _ in conditions.alternatives(condition, self.evaluate):
                for guard in true:
                    if guard.ref is not None and guard.row is None and guard.truth == "missing":
                        self.reader.emit("read", guard.ref, at, Detail(message=message))

    def need_row(self, row: RowFact, message: str, at: int) -> None:
        """A row that must be there."""
        if row.table.schema in ("pg_catalog", "information_schema") or row.table.name.startswith("pg_"):
            return
        ref = Ref("row", row.table.name, row.table.schema, of=(row.table,))
        self.reader.emit("read", ref, at, Detail(row=row, message=message))

    def absent(self, condition: Tree | None) -> tuple[RowFact, ...]:
        """The rows whose absence makes a condition true."""
        name, fields = tree.unwrap(condition)
        if name == "BoolExpr" and fields.get("boolop") == "OR_EXPR":
            return tuple(row for each in fields.get("args", ()) for row in self.absent(each))
        if name == "BoolExpr" and fields.get("boolop") == "NOT_EXPR":
            return self.present(fields["args"][0])
        if name == "NullTest" and fields.get("nulltesttype") == "IS_NULL":
            return self.selected(fields.get("arg"))
        if name == "BooleanTest" and fields.get("booltesttype") in ("IS_FALSE", "IS_NOT_TRUE"):
            return self.present(fields.get("arg"))
        if name == "A_Expr" and fields.get("kind") == "AEXPR_OP":
            operator = tree.strings(fields.get("name"))
            left, right = fields.get("lexpr"), fields.get("rexpr")
            if tree.constant(left) is not None:
                left, right = right, left
                operator = tuple({">": "<", ">=": "<="}.get(each, each) for each in operator)
            bound = (operator, tree.constant(right))
            if bound in ((("=",), "0"), (("<",), "1"), (("<=",), "0")):
                return self.selected(left)
            if bound == (("=",), "false"):
                return self.present(left)
        return ()

    def present(self, condition: Tree | None) -> tuple[RowFact, ...]:
        """The rows whose presence makes a condition true."""
        name, fields = tree.unwrap(condition)
        if name == "ColumnRef":
            parts = tree.strings(fields.get("fields"))
            exists = self.whether and ".".join(parts) in self.into
            return self.asked if exists or parts == ("found",) else ()
        if name == "SubLink" and fields.get("subLinkType") == "EXISTS_SUBLINK":
            return self.rows_of(fields.get("subselect"))
        if name == "NullTest" and fields.get("nulltesttype") == "IS_NOT_NULL":
            return self.selected(fields.get("arg"))
        if (
            name == "A_Expr"
            and tree.strings(fields.get("name")) == (">",)
            and tree.constant(fields.get("rexpr")) == "0"
        ):
            return self.selected(fields.get("lexpr"))
        return ()

    def selected(self, node: Tree | None) -> tuple[RowFact, ...]:
        """The rows that a value was, or is, selected from: a variable, a field of one, a subquery."""
        name, fields = tree.unwrap(node)
        if name == "ColumnRef":
            parts = tree.strings(fields.get("fields"))
            return self.asked if ".".join(parts) in self.into or (parts and parts[0] in self.into) else ()
        if name == "SubLink" and fields.get("subLinkType") == "EXPR_SUBLINK":
            return self.rows_of(fields.get("subselect"))
        return ()

    def rows_of(self, query: Tree | None) -> tuple[RowFact, ...]:
        """The rows that a subquery asks for by constants; none where it asks the catalogs."""
        name, select = tree.unwrap(query)
        if name != "SelectStmt" or conditions.asked(query, self.evaluate) is not None:
            return ()
        return conditions.wanted_rows(select, self.evaluate)

    def note_selected(self, variable: str, node: Tree | None) -> None:
        """A variable that was given the value of a subquery."""
        name, fields = tree.unwrap(node)
        if name == "SubLink" and (rows := self.rows_of(fields.get("subselect"))):
            self.asked, self.into = rows, (variable,)
            self.whether = fields.get("subLinkType") == "EXISTS_SUBLINK"

    def message(self, raised: Node) -> str:
        """The text that RAISE would show, as far as it is known."""
        values = []
        for piece in raised.using:
            select = self.tree(piece) or {}
            targets = select.get("targetList", [{}])
            values.append(self.evaluate(targets[0].get("ResTarget", {}).get("val")) or "…")
        text = raised.message
        for declared in raised.declarations:
            if declared.name == "message":
                select = self.tree(declared.value) or {}
                targets = select.get("targetList", [{}])
                text = self.evaluate(targets[0].get("ResTarget", {}).get("val")) or text
        parts = text.replace("%%", "\0").split("%")
        shown = parts[0]
        for index, part in enumerate(parts[1:]):
            shown += (values[index] if index < len(values) else "…") + part
        return shown.replace("\0", "%")

    def loop_over(self, node: Node) -> None:
        """FOREACH over an array and FOR over a query: round by round where the values are constants."""
        values: list[tuple[Value, ...]] | None = None
        names = node.target
        if node.kind == "foreach":
            found = self.value(self.expression(node.value))
            values = [(each,) for each in found] if isinstance(found, tuple) else None
        elif node.value is not None and (cursor := _CURSOR.match(node.value.text)) and self.is_cursor(cursor[1]):
            self.expression(node.value)
        elif node.value is not None:
            self.sql(node.value)
            values = self.rows(node.value)
        work = len(values or ()) * _size(node.body)
        if values is None or any(len(each) != len(names) for each in values) or self.reader.looped + work > MAX_LOOPED:
            self.forget(names)
            of_set = _set_of(node.value) if node.kind == "query" and node.value else None
            if of_set is not None:
                for name in names:
                    self.sets[name] = of_set
            self.forget(_assigned(node.body))
            self.branch(node.body)
            return
        self.reader.looped += work
        for row in values:
            for name, value in zip(names, row, strict=True):
                self.bind(name, value)
            self.statements(node.body)
        self.forget(names)

    def is_cursor(self, name: bytes) -> bool:
        """Whether a variable is a cursor that was declared with its query."""
        return lexer.identifier(name) in self.cursors

    def bind(self, name: str, value: Value) -> None:
        """Give a loop's variable the value of this round; a record's single field has any name."""
        self.known[name] = value
        for suffix in ("unnest", "column1", *self.fields):
            self.known[f"{name}.{suffix}"] = value

    fields: tuple[str, ...] = ()

    def rows(self, piece: Piece) -> list[tuple[Value, ...]] | None:
        """The rows of a query over constants: VALUES, or unnest() of an array."""
        statement = parser.parse_one(piece.text)
        if statement is None or statement.node != "SelectStmt":
            return None
        select = statement.tree
        items = select.get("fromClause", [])
        if len(items) == 1 and "RangeSubselect" in items[0] and "whereClause" not in select:
            alias = items[0]["RangeSubselect"].get("alias", {})
            self.fields = tree.strings(alias.get("colnames"))
            select = tree.unwrap(items[0]["RangeSubselect"].get("subquery"))[1]
        if select.get("valuesLists"):
            cells = [[self.value(each) for each in tree.items(row)] for row in select["valuesLists"]]
            known = [tuple(each for each in row if each is not None) for row in cells]
            return known if list(map(len, known)) == list(map(len, cells)) else None
        call: Tree = {}
        if len(items) == 1 and "RangeFunction" in items[0] and "whereClause" not in select:
            alias = items[0]["RangeFunction"].get("alias", {})
            self.fields = (alias.get("aliasname", ""), *tree.strings(alias.get("colnames")))
            call = tree.items(items[0]["RangeFunction"]["functions"][0])[0].get("FuncCall", {})
        elif not items and len(select.get("targetList", ())) == 1:
            target = select["targetList"][0].get("ResTarget", {})
            self.fields = (target.get("name", ""),)
            call = target.get("val", {}).get("FuncCall", {})
        if call and tree.last(call.get("funcname")) == "unnest" and len(call.get("args", ())) == 1:
            found_array = self.value(call["args"][0])
            return [(each,) for each in found_array] if isinstance(found_array, tuple) else None
        return None

    def execute(self, node: Node) -> None:
        """EXECUTE: read what it runs if that is known, else say that it cannot be seen."""
        found = self.expression(node.value)
        self.expressions(node.using)
        text = self.evaluate(found)
        at = node.start
        if text is not None:
            with self.reader.inside(fixed=self.reader.span(at)):
                sql_text(self.reader, text, self.read, self.scope)
        else:
            self.partly_known(found, at)
            used = {name for name, fields in _variables(found) for name in [fields] if name in self.sets}
            for name in sorted(used):
                self.reader.emit("read", self.sets[name], at)
            self.reader.opaque("EXECUTE runs a text that is put together from what only the server knows", at)
        self.asked, self.into = (), node.target
        self.forget(node.target)

    def partly_known(self, node: Tree | None, at: int) -> None:
        """Read what is known of a text that is put together: names that no unknown part touches are needed as ever."""
        self.holes = True
        try:
            text = self.evaluate(node)
        finally:
            self.holes = False
        if text is None or HOLE not in text.replace(HOLE, "", 1) + HOLE or text.strip().startswith(HOLE):
            return
        try:
            statements = parser.parse(text.encode())
        except parser.ParseError:
            return
        with self.reader.inside(fixed=self.reader.span(at)), self.reader.collected() as found:
            for statement in statements:
                self.read(self.reader, statement.node, statement.tree, self.scope)
        for op in found:
            if op.verb in ("read", "alter", "write", "call") and not _touched(op):
                kept = op._replace(guards=self.reader.guards + op.guards, soft=self.reader.soft or op.soft)
                self.reader.ops.append(kept)


HOLE = "lancio_unknown_part"
"""What stands in a text for a part of it that only the server knows."""


def _touched(op: Op) -> bool:
    """Whether an operation speaks of something whose name is not known as a whole."""
    refs = [op.ref, *op.ref.of]
    return any(HOLE in each.name or HOLE in (each.schema or "") for each in refs) or any(
        HOLE in part for part in op.detail.columns_of
    )


_LEAVING = frozenset(("return", "exit", "continue"))
"""Statements behind which a sequence does not go on; EXIT and CONTINUE may have a condition."""


def _leaves(node: Node, *, of: frozenset[str] = _LEAVING) -> bool:
    """Whether a statement may leave the sequence that it stands in."""
    if node.kind in of:
        return True
    if node.kind in ("loop", "while", "for", "foreach", "query", "dynamic"):
        of = of & {"return"}  # EXIT and CONTINUE leave the loop, not what stands around it
    inner = [*node.body, *(node.otherwise or ())]
    for _, body in (*node.arms, *node.handlers):
        inner += body
    return any(_leaves(each, of=of) for each in inner)


def _size(nodes: Iterable[Node]) -> int:
    """How many statements stand in others, at all depths."""
    count = 0
    for node in nodes:
        inner = [*node.body, *(node.otherwise or ())]
        for _, body in (*node.arms, *node.handlers):
            inner += body
        count += 1 + _size(inner)
    return count


def _assigned(nodes: Iterable[Node]) -> list[str]:
    """The variables that statements give a value to, those inside of them too."""
    found: list[str] = []
    for node in nodes:
        found += node.target
        inner = [*node.body, *(node.otherwise or ())]
        for _, body in (*node.arms, *node.handlers):
            inner += body
        found += _assigned(inner)
    return found


_CURSOR = re.compile(rb'\s*("(?:[^"]|"")+"|[A-Za-z_\x80-\xff][\w$\x80-\xff]*)\s*(?:\(.*\))?\s*$', re.DOTALL)
"""A cursor as FOR names it, with or without arguments."""
_ARRAY = re.compile(rb"(?i)(?:\]|\barray\b(?:\[\d*\])?)\s*$")


def _array(text: str) -> tuple[str, ...]:
    """The elements of an array written as one string: `{red,"dark green"}`."""
    return tuple(part.strip().strip('"') for part in text.strip("{}").split(",") if part.strip())


def _variables(node: Tree | None) -> list[tuple[str, str]]:
    return [
        (name, tree.strings(fields.get("fields"))[0])
        for name, fields in tree.walk(node)
        if name == "ColumnRef" and tree.strings(fields.get("fields"))
    ]


def _refusal(body: list[Node]) -> Node | None:
    """The RAISE EXCEPTION that a branch comes to, if it does nothing else."""
    for node in body:
        if node.kind == "raise" and node.word == "exception":
            return node
        if node.kind not in ("raise", "other", "assign"):
            return None
    return None


_SETS = {
    "pg_tables": "tables", "pg_class": "relations", "tables": "tables", "columns": "columns", "pg_views": "views",
    "pg_policies": "policies", "pg_indexes": "indexes", "pg_constraint": "constraints", "pg_proc": "routines",
    "pg_matviews": "materialized views", "pg_sequences": "sequences", "sequences": "sequences", "views": "views",
    "pg_trigger": "triggers", "pg_type": "types", "table_constraints": "constraints", "routines": "routines",
}  # fmt: skip


def _set_of(piece: Piece) -> Ref | None:
    """The set of objects that a query on the catalogs runs over, with its schema if that is a constant."""
    statement = parser.parse_one(piece.text)
    if statement is None:
        return None
    found = None
    schema = None
    for name, fields in tree.walk(statement.tree):
        if name == "RangeVar" and fields.get("schemaname") in (None, "pg_catalog", "information_schema"):
            found = found or _SETS.get(fields.get("relname", ""))
        if name == "A_Expr" and tree.strings(fields.get("name")) == ("=",):
            column = tree.unwrap(fields.get("lexpr"))[1]
            if (tree.strings(column.get("fields")) or ("",))[-1] in ("schemaname", "table_schema", "nspname"):
                schema = tree.constant(fields.get("rexpr"))
    return Ref("set", found, schema) if found else None


def quote_ident(name: str) -> str:
    """A name as SQL text, quoted where it must be."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A string as SQL text."""
    return "'" + text.replace("'", "''") + "'"


_FORMAT = re.compile(r"%(?:(\d{1,9})\$)?(-?\d*)([sIL%])")


def _format(arguments: list[str]) -> str | None:
    """What format() makes of constants; None where it would fail, or where it is more than MAX_TEXT."""
    position = 0
    left = MAX_TEXT

    def one(match: re.Match[str]) -> str:
        nonlocal position, left
        if match[3] == "%":
            return "%"
        position = int(match[1]) if match[1] else position + 1
        value = arguments[position]
        left -= len(value)
        if left < 0 or position == 0:
            raise IndexError(position)
        if match[3] == "I":
            return quote_ident(value)
        return quote_literal(value) if match[3] == "L" else value

    try:
        return _FORMAT.sub(one, arguments[0])
    except IndexError:
        return None
