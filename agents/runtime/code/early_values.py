"""Works out which calls a statement makes, and with which arguments, without running it.

What is known (constants, names that stand for them, loops and comprehensions over them) gives the
arguments of calls; whatever is not known makes nothing but "unknown". The work is bounded, since a
model may write anything.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Call = tuple[str, tuple[Any, ...], dict[str, Any]]
_MOST_WORK = 100_000
_A_STEP = 5
_LARGEST = 10_000  # characters and elements of a value that is worked out
_DEEPEST = 20
_WIDE = re.compile(r"\d{4}")


class _Unknown:
    """A value that only running the code would give."""


UNKNOWN = _Unknown()


class NotPure(Exception):
    """The code does, or may do, more than read."""


class TooLong(Exception):
    """There is more to work out than is worth it."""


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
# of built-in functions those whose value is worked out, and those that are harmless besides
_KNOWN: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (len, str, int, float, bool, abs, round, min, max, sum, sorted, list, tuple, dict, set)
} | {
    "range": lambda *a: list(range(*a)) if _size(range(*a)) else [],
    "enumerate": lambda *a, **k: list(enumerate(*a, **k)),
    "zip": lambda *a, **k: list(zip(*a, strict=bool(k.get("strict")))),
    "reversed": lambda a: list(reversed(a)),
}
_HARMLESS = {
    *_KNOWN,
    *("print", "any", "all", "map", "filter", "isinstance", "type", "repr", "display", "iter"),
    *("next", "hasattr", "getattr", "divmod", "pow", "ord", "chr", "hash", "format", "frozenset"),
    *("Counter", "defaultdict", "OrderedDict", "deque", "namedtuple", "DataFrame", "Series"),
    *("Decimal", "Fraction", "date", "datetime", "timedelta", "KeyError", "ValueError"),
}
# what may be called in a module; of others nothing is known
_MODULES = {
    *("asyncio", "json", "re", "math", "statistics", "itertools", "functools", "collections"),
    *("datetime", "random", "string", "decimal", "fractions", "operator", "textwrap", "time"),
    *("pandas", "numpy", "typing"),
}
_FOREIGN = ("os", "sys", "shutil", "subprocess", "pathlib")  # imported by an earlier cell, perhaps
_PURE_METHODS = {
    *("format", "join", "split", "rsplit", "splitlines", "upper", "lower", "title", "strip"),
    *("lstrip", "rstrip", "replace", "startswith", "endswith", "items", "keys", "values", "get"),
    *("index", "count", "removeprefix", "removesuffix"),
}
_HARMLESS_METHODS = {
    *_PURE_METHODS,
    *("append", "extend", "insert", "add", "update", "setdefault", "sort", "reverse", "pop"),
    *("remove", "discard", "clear", "copy", "isdigit", "isalpha", "find", "most_common", "group"),
    *("groups", "match", "search", "findall", "finditer", "sub", "fullmatch", "loads", "dumps"),
    *("gather", "wait_for", "as_completed", "create_task", "ensure_future", "sqrt", "floor"),
    *("ceil", "log", "exp", "fabs", "mean", "median", "stdev", "head", "tail", "describe"),
    *("sort_values", "groupby", "agg", "merge", "round", "nlargest", "nsmallest", "astype"),
    *("isin", "fillna", "dropna", "to_string", "idxmin", "idxmax", "min", "max", "sum", "iterrows"),
    *("itertuples", "tolist", "isoformat", "strftime", "strptime", "fromisoformat", "now", "today"),
    *("DataFrame", "Series", "Counter", "defaultdict", "date", "datetime", "timedelta", "product"),
    *("chain", "from_iterable", "islice", "combinations", "array", "arange", "linspace", "zeros"),
}


class Reading:
    """Reads complete statements.

    Attributes:
        calls: those that will be made.
    """

    def __init__(self, functions: frozenset[str], module: str) -> None:
        self.calls: list[Call] = []
        self._functions = functions
        self._module = module
        self._values: dict[str, Any] = {}
        self._aliases: dict[str, str] = {}
        self._foreign = set(_FOREIGN)
        self._own: set[str] = set()  # functions that the cell defines, whose bodies are harmless
        self._work = 0

    # -- statements ---------------------------------------------------------------------------

    def statement(self, node: ast.stmt) -> None:
        """Reads a top-level statement.

        Raises:
            NotPure: it may do more than read.
        """
        self._check(node)
        self._run(node)

    def _check(self, node: ast.stmt) -> None:
        """Looks at everything that is called in a statement."""
        if isinstance(node, ast.ImportFrom) and node.module == self._module:
            self._aliases.update((a.asname or a.name, a.name) for a in node.names)
        elif isinstance(node, ast.Import):
            others = [a for a in node.names if a.name.partition(".")[0] not in _MODULES]
            self._foreign.update((a.asname or a.name).partition(".")[0] for a in others)
        for inner in ast.walk(node):
            if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._own.add(inner.name)
            elif isinstance(inner, (ast.Delete, ast.With, ast.AsyncWith, ast.ClassDef)):
                raise NotPure
            elif isinstance(inner, ast.Call) and not self._is_harmless(inner.func):
                raise NotPure

    def _is_harmless(self, function: ast.AST) -> bool:
        if tool := self._tool(function):
            return tool in self._functions
        if isinstance(function, ast.Name):
            return function.id in _HARMLESS or function.id in self._own
        if isinstance(function, ast.Attribute):
            return self.is_harmless(f"{_root(function)}.{function.attr}")
        return False

    def is_harmless(self, dotted: str) -> bool:
        """Returns whether what is called by a name, as far as that tells, only reads."""
        root, last = dotted.partition(".")[0], dotted.rpartition(".")[2]
        if root == self._module:
            return dotted == f"{root}.{last}" and last in self._functions
        if "." in dotted:
            return last in _HARMLESS_METHODS and root not in self._foreign
        return last in _HARMLESS

    def _run(self, node: ast.stmt) -> None:
        self._step()
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            self._bind(node)
        elif isinstance(node, ast.Expr):
            self.value(node.value)
        elif isinstance(node, ast.For):
            self._loop(node)
        elif isinstance(node, ast.If) and (test := self.value(node.test)) is not UNKNOWN:
            for inner in node.body if test else node.orelse:
                self._run(inner)
        elif not isinstance(node, ast.Pass):
            if isinstance(node, ast.Try):
                for inner in node.body:
                    self._run(inner)
            self._forget(node)

    def _bind(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        value = self.value(node.value) if node.value is not None else UNKNOWN
        if isinstance(node, ast.AugAssign):
            value = UNKNOWN
            self._forget_values()
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            self._assign(target, value)

    def _loop(self, node: ast.For) -> None:
        values = self.value(node.iter)
        leaves = any(isinstance(n, (ast.Break, ast.Continue, ast.Return)) for n in ast.walk(node))
        if not leaves and isinstance(values, (list, tuple, str, dict)):
            for value in values:
                self._assign(node.target, value)
                for inner in node.body:
                    self._run(inner)
            for inner in node.orelse:
                self._run(inner)
        else:
            self._forget(node)

    def _assign(self, target: ast.AST, value: Any) -> None:
        if isinstance(target, ast.Name):
            self._values[target.id] = value
            self._aliases.pop(target.id, None)
            self._own.discard(target.id)
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = list(value) if isinstance(value, (list, tuple)) else []
            fits = len(parts) == len(target.elts)
            for index, inner in enumerate(target.elts):
                self._assign(inner, parts[index] if fits else UNKNOWN)
        else:
            self._forget_values()  # an element: other names may stand for the same list

    def _forget(self, node: ast.AST) -> None:
        """What a statement binds that was not followed is unknown."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                self._values[inner.id] = UNKNOWN
        self._forget_values()

    def _forget_values(self) -> None:
        for name, value in self._values.items():
            if isinstance(value, (list, dict, set)):
                self._values[name] = UNKNOWN

    # -- expressions --------------------------------------------------------------------------

    def value(self, node: ast.AST | None) -> Any:
        """Returns the value of an expression, and notes the calls in it."""
        self._step()
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            for inner in ast.iter_child_nodes(node) if isinstance(node, ast.expr) else ():
                self.value(inner)
            return UNKNOWN
        try:
            value = method(node)
        except (ArithmeticError, TypeError, ValueError, LookupError, AttributeError, MemoryError):
            return UNKNOWN  # running it will raise
        self._worked(_size(value))
        return value

    def _step(self) -> None:
        self._worked(_A_STEP)

    def _worked(self, amount: int) -> None:
        self._work += amount
        if self._work > _MOST_WORK:
            raise TooLong

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        return self._values.get(node.id, UNKNOWN)

    def _await(self, node: ast.Await) -> Any:
        return self.value(node.value)

    def _starred(self, node: ast.Starred) -> Any:
        self.value(node.value)
        return UNKNOWN

    def _lambda(self, node: ast.Lambda) -> Any:
        return UNKNOWN

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Any:
        made = [self.value(one) for one in node.elts]
        if any(isinstance(one, ast.Starred) for one in node.elts):
            return UNKNOWN
        return tuple(made) if isinstance(node, ast.Tuple) else made

    def _tuple(self, node: ast.Tuple) -> Any:
        return self._list(node)

    def _dict(self, node: ast.Dict) -> Any:
        keys = [self.value(key) if key is not None else UNKNOWN for key in node.keys]
        values = [self.value(value) for value in node.values]
        return UNKNOWN if UNKNOWN in keys else dict(zip(keys, values, strict=True))

    def _joinedstr(self, node: ast.JoinedStr) -> Any:
        parts = [self.value(part) for part in node.values]
        return UNKNOWN if _has_unknown(parts) else "".join(map(str, parts))

    def _formattedvalue(self, node: ast.FormattedValue) -> Any:
        value = self.value(node.value)
        form = self.value(node.format_spec) if node.format_spec is not None else ""
        if _has_unknown([value, form]) or not isinstance(value, (str, int, float)):
            return UNKNOWN
        shown = repr(value) if node.conversion == ord("r") else value
        return UNKNOWN if _WIDE.search(form) else format(shown, form)

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if _has_unknown([left, right]) or type(node.op) not in _OPERATORS:
            return UNKNOWN
        if isinstance(node.op, ast.Mult) and not _small_product(left, right):
            return UNKNOWN
        if isinstance(node.op, ast.Mod) and isinstance(left, str):
            return UNKNOWN  # "%1000000000d"
        return _OPERATORS[type(node.op)](left, right)

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if value is UNKNOWN or type(node.op) not in _OPERATORS:
            return UNKNOWN
        return _OPERATORS[type(node.op)](value)

    def _boolop(self, node: ast.BoolOp) -> Any:
        value: Any = UNKNOWN
        for part in node.values:
            value = self.value(part)
            if value is UNKNOWN or bool(value) == isinstance(node.op, ast.Or):
                return value
        return value

    def _compare(self, node: ast.Compare) -> Any:
        values = [self.value(node.left), *(self.value(one) for one in node.comparators)]
        if _has_unknown(values):
            return UNKNOWN
        pairs = zip(values, node.ops, values[1:], strict=False)
        return all(_OPERATORS[type(op)](left, right) for left, op, right in pairs)

    def _ifexp(self, node: ast.IfExp) -> Any:
        test = self.value(node.test)
        return UNKNOWN if test is UNKNOWN else self.value(node.body if test else node.orelse)

    def _subscript(self, node: ast.Subscript) -> Any:
        value, key = self.value(node.value), self.value(node.slice)
        return UNKNOWN if value is UNKNOWN or _has_unknown([key]) else value[key]

    def _slice(self, node: ast.Slice) -> Any:
        parts = [self.value(p) if p else None for p in (node.lower, node.upper, node.step)]
        return UNKNOWN if _has_unknown(parts) else slice(*parts)

    def _listcomp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> Any:
        before = dict(self._values)
        try:
            return [self.value(node.elt) for _ in self._elements(node.generators)]
        finally:
            self._values = before

    def _generatorexp(self, node: ast.GeneratorExp) -> Any:
        return self._listcomp(node)

    def _setcomp(self, node: ast.SetComp) -> Any:
        self._listcomp(node)
        return UNKNOWN

    def _dictcomp(self, node: ast.DictComp) -> Any:
        before = dict(self._values)
        elements = self._elements(node.generators)
        try:
            pairs = [(self.value(node.key), self.value(node.value)) for _ in elements]
        finally:
            self._values = before
        return UNKNOWN if any(key is UNKNOWN for key, _ in pairs) else dict(pairs)

    def _elements(self, generators: list[ast.comprehension]) -> Iterator[None]:
        """Binds the names of a comprehension to one element after the other."""
        if not generators:
            yield
            return
        first, rest = generators[0], generators[1:]
        values = self.value(first.iter)
        if not isinstance(values, (list, tuple, str, dict)):
            raise LookupError("over what is not known")  # the whole is unknown
        for value in values:
            self._assign(first.target, value)
            tests = [self.value(test) for test in first.ifs]
            if _has_unknown(tests):
                raise LookupError("which of them is not known")
            if all(tests):
                yield from self._elements(rest)

    def _call(self, node: ast.Call) -> Any:
        if tool := self._tool(node.func):
            return self._tool_call(tool, node)
        own = isinstance(node.func, ast.Attribute) and self.value(node.func.value)
        args = [self.value(one) for one in node.args]
        keywords = {k.arg or "": self.value(k.value) for k in node.keywords}
        known = not _has_unknown([*args, *keywords.values()]) and "" not in keywords
        if isinstance(node.func, ast.Name):
            if known and node.func.id in _KNOWN and node.func.id not in self._values:
                return _KNOWN[node.func.id](*args, **keywords)
        elif isinstance(node.func, ast.Attribute):
            if node.func.attr not in _PURE_METHODS:
                self._forget_values()  # it may change what it belongs to
            elif known and isinstance(own, (str, list, tuple, dict)) and not _has_unknown([own]):
                return self._method(own, node.func.attr, args, keywords)
        return UNKNOWN

    @staticmethod
    def _method(own: Any, name: str, args: list[Any], keywords: dict[Any, Any]) -> Any:
        if name == "format" and not re.fullmatch(r"(?:[^{}]|\{\w*\})*", own):
            return UNKNOWN  # `{:1000000000}`, `{0.__class__}`
        if len(own) * sum(map(_size, args)) > 100 * _LARGEST:
            return UNKNOWN  # a long text between each two of many
        found = getattr(own, name)(*args, **keywords)
        return list(found) if name in ("items", "keys", "values") else found

    def _tool_call(self, tool: str, node: ast.Call) -> Any:
        args = [self.value(one) for one in node.args]
        keywords = {k.arg or "": self.value(k.value) for k in node.keywords}
        starred = any(isinstance(one, ast.Starred) for one in node.args) or "" in keywords
        if not (starred or _has_unknown([*args, *keywords.values()])):
            self.calls.append((tool, tuple(args), keywords))
        return UNKNOWN

    def _tool(self, node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return self._aliases.get(node.id, "")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            is_own = node.value.id == self._module and self._module not in self._values
            return node.attr if is_own else ""
        return ""


def _root(node: ast.AST) -> str:
    """Returns the name that attributes are looked up from, or "" for another expression."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _has_unknown(value: Any, depth: int = 0) -> bool:
    if value is UNKNOWN or depth > 20:
        return True
    if isinstance(value, Mapping):
        return any(_has_unknown(v, depth + 1) for pair in value.items() for v in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(_has_unknown(one, depth + 1) for one in value)
    return False


def _size(value: Any, depth: int = 0) -> int:
    """Returns how many characters and elements a value has, with all that is in it.

    Raises:
        TooLong: more than may be.
    """
    total = 1
    if isinstance(value, int) and abs(value) > 1 << 256:
        raise TooLong
    if isinstance(value, (str, bytes)):
        total += len(value)
    elif isinstance(value, Mapping):
        total += sum(_size(k, depth + 1) + _size(v, depth + 1) for k, v in value.items())
    elif isinstance(value, (list, tuple, set, range)) and len(value) <= _LARGEST:
        for one in value:
            total += _size(one, depth + 1)
            if total > _LARGEST:
                break
    elif isinstance(value, (list, tuple, set, range)):
        total = _LARGEST + 1
    if total > _LARGEST or depth > _DEEPEST:
        raise TooLong
    return total


def _small_product(left: Any, right: Any) -> bool:
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return True
    sized, times = (left, right) if hasattr(left, "__len__") else (right, left)
    return isinstance(times, int) and hasattr(sized, "__len__") and len(sized) * times <= _LARGEST
