"""Runs in the kernel: the module `tools`, whose functions are the agent's tools.

A call is a frame on a socket that the session has inherited; the other side, which this code cannot
reach otherwise, decides whether it runs. Nothing in here is a safeguard: code in the session can
change all of it. It uses the standard library only, since it is also sent to kernels elsewhere.

A frame is four bytes (its length, big-endian) and a JSON object. Out: `{"n", "cell", "name",
"arguments"}`, with `n` counting up; in: `{"n", "ok", "value" | "error", "kind"}`.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import functools
import inspect
import json
import keyword
import os
import pickle
import socket
import struct
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, Literal

LARGEST_FRAME = 4 * 1024 * 1024  # of a call's arguments; the other side closes at more
_HEAD = struct.Struct(">I")
_PIECE = 1 << 18
# what takes an awaitable: a call written as their argument is not waited for where it is
_TAKES_AWAITABLES = {
    "gather",
    "create_task",
    "ensure_future",
    "wait",
    "wait_for",
    "as_completed",
    "shield",
    "run",
    "run_until_complete",
}
_OWN = ("awaitable", "values_of", "ToolError", "ToolRefused", "ToolTimeout", "ToolCancelled")
_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": None,
}


class FailedCall(RuntimeError):
    """A call of a tool failed; the message is the tool's one line."""


class RefusedCall(FailedCall):
    """A call was not allowed."""


class TimedOutCall(FailedCall):
    """A call took longer than its limit."""


class CancelledCall(FailedCall):
    """A call was stopped."""


_KINDS: dict[str, type[FailedCall]] = {  # by the names that they have in the module
    "ToolError": FailedCall,
    "ToolRefused": RefusedCall,
    "ToolTimeout": TimedOutCall,
    "ToolCancelled": CancelledCall,
}
_ERRORS = {"refused": RefusedCall, "timeout": TimedOutCall, "cancelled": CancelledCall}


class ToolText(str):
    """A result's text, with the pictures and files that came with it."""

    pictures: list[Any]
    files: list[str]


class Line:
    """The connection; one thread reads the answers."""

    def __init__(self, connection: socket.socket) -> None:
        self.cell = 0
        self._connection = connection
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._number = 0
        self._waiting: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._closed = ""
        self._reader: threading.Thread | None = None

    def hello(self) -> None:
        """Registers this process as the one that may call: the first to register wins."""
        self._connection.sendall(_HEAD.pack(2) + b"{}")

    def begin(self, cell: int) -> None:
        """A cell begins: its threads may call from here on."""
        self.cell = cell
        threading.current_thread().tools_cell = cell  # type: ignore[attr-defined]
        if self._reader is None:
            self._reader = threading.Thread(target=self._read, daemon=True, name="tools")
            self._reader.start()

    def _read(self) -> None:
        buffer = bytearray()
        try:
            while piece := self._connection.recv(_PIECE):
                buffer += piece
                while len(buffer) >= 4:
                    size = _HEAD.unpack_from(buffer)[0]
                    if len(buffer) < 4 + size:
                        break
                    frame = bytes(buffer[4 : 4 + size])
                    del buffer[: 4 + size]
                    self._answered(json.loads(frame))
        except OSError:
            pass
        self._closed = "the channel to the tools is closed; restart the session"
        with self._lock:
            waiting, self._waiting = list(self._waiting.values()), {}
        for settle in waiting:
            settle({"ok": False, "error": self._closed})

    def _answered(self, answer: dict[str, Any]) -> None:
        with self._lock:
            settle = self._waiting.pop(answer.get("n", 0), None)
        if settle is not None:
            settle(answer)

    def send(
        self, name: str, arguments: dict[str, Any], settle: Callable[[dict[str, Any]], None]
    ) -> int:
        """Sends a call; `settle` is given the answer, in the reading thread."""
        cell = getattr(threading.current_thread(), "tools_cell", 0)
        if os.getpid() != self._owner:
            raise FailedCall("tools cannot be called from a child process")
        if not self.cell or cell != self.cell:
            raise FailedCall("this thread belongs to a cell that has ended; it cannot call tools")
        if self._closed:
            raise FailedCall(self._closed)
        body = {"cell": cell, "name": name, "arguments": arguments}
        with self._lock:
            self._number += 1
            number = self._number
            frame = json.dumps({"n": number, **body}, default=plain).encode("utf-8", "replace")
            if len(frame) > LARGEST_FRAME:
                raise FailedCall(f"the arguments of {name} are over {LARGEST_FRAME} bytes")
            self._waiting[number] = settle
            try:
                self._connection.sendall(_HEAD.pack(len(frame)) + frame)
            except BaseException:  # a frame cut in half by an interrupt would be a broken channel
                self._waiting.pop(number, None)
                self._connection.close()
                self._closed = "the channel to the tools is closed; restart the session"
                raise
        return number

    def start(self, name: str, arguments: dict[str, Any]) -> Callable[[], Any]:
        """Starts a call; what is returned waits for its value."""
        done = threading.Event()
        answers: list[dict[str, Any]] = []

        def settle(answer: dict[str, Any]) -> None:
            answers.append(answer)
            done.set()

        def value() -> Any:
            done.wait()
            return value_of(answers[0])

        self.send(name, arguments, settle)
        return value

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Calls a tool and waits for its value."""
        return self.start(name, arguments)()

    async def acall(self, name: str, arguments: dict[str, Any]) -> Any:
        """Calls a tool; other coroutines keep running."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[dict[str, Any]] = loop.create_future()

        def put(answer: dict[str, Any]) -> None:
            if not future.done():
                future.set_result(answer)

        def settle(answer: dict[str, Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(put, answer)

        self.send(name, arguments, settle)
        return value_of(await future)


def plain(value: Any) -> Any:
    """Returns what JSON has no form for as what it has: arrays as lists, dates as texts."""
    for method in ("item", "tolist", "isoformat"):
        made = getattr(value, method, None)
        if callable(made) and not (method == "item" and getattr(value, "size", 1) != 1):
            return made()
    if hasattr(value, "to_dict"):
        return value.to_dict("records") if hasattr(value, "columns") else value.to_dict()
    if isinstance(value, (set, frozenset, tuple)) or hasattr(value, "keys"):
        return dict(value) if hasattr(value, "keys") else list(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def value_of(answer: dict[str, Any]) -> Any:
    """Returns the value of an answer, or raises the error in it."""
    if not answer.get("ok"):
        raise _ERRORS.get(str(answer.get("kind", "")), FailedCall)(str(answer.get("error", "")))
    return _read_value(answer.get("value"), str(answer.get("form", "json")))


def _read_value(value: Any, form: str) -> Any:
    if form == "pickle":
        return pickle.loads(base64.b64decode(value))  # noqa: S301  from the side that is trusted
    if form == "table":
        return _table(value)
    if form == "items":
        return _items(value)
    return value


def _table(value: dict[str, Any]) -> Any:
    try:
        import pandas as pd
    except ImportError:
        return [dict(zip(value["columns"], row, strict=False)) for row in value["rows"]]
    return pd.DataFrame(value["rows"], columns=value["columns"])


def _items(value: dict[str, Any]) -> Any:
    pictures = [_picture(base64.b64decode(data)) for data in value["pictures"]]
    for name, data in value["files"]:
        if not os.path.lexists(name):
            with open(name, "xb") as file:
                file.write(base64.b64decode(data))
    if not value["text"] and len(pictures) == 1 and not value["files"]:
        return pictures[0]
    text = ToolText(value["text"])
    text.pictures, text.files = pictures, [name for name, _ in value["files"]]
    return text


def _picture(data: bytes) -> Any:
    import io

    try:
        from PIL import Image
    except ImportError:
        return data
    return Image.open(io.BytesIO(data))


# -- functions from schemas ---------------------------------------------------------------------


def _annotation(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return Any
    values = schema.get("enum")
    if isinstance(values, list) and values:
        return Literal[tuple(v for v in values if isinstance(v, (str, int, bool, type(None))))]
    kinds = schema.get("type")
    names = kinds if isinstance(kinds, list) else [kinds]
    for part in schema.get("anyOf") or schema.get("oneOf") or ():
        names = [*names, *([part["type"]] if isinstance(part, dict) and "type" in part else [])]
    found = [_TYPES[n] for n in names if isinstance(n, str) and n in _TYPES]
    if not found:
        return Any
    whole = found[0]
    for other in found[1:]:
        whole = whole | other if whole is not None else other | None
    return whole


def _signature(schema: dict[str, Any]) -> tuple[inspect.Signature, dict[str, str]]:
    """Returns the signature, and the schema's names by the parameters' names."""
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = [name for name in schema.get("required") or () if name in properties]
    ordered = [*required, *(name for name in properties if name not in required)]
    parameters, names = [], {}
    for name in ordered:
        own = "".join(c if c.isidentifier() or c.isdigit() else "_" for c in str(name)) or "_"
        own = f"_{own}" if own[0].isdigit() else own
        own = f"{own}_" if keyword.iskeyword(own) or own in names else own
        if own in names:
            continue
        names[own] = name
        entry = properties[name] if isinstance(properties[name], dict) else {}
        default = inspect.Parameter.empty if name in required else entry.get("default", None)
        parameters.append(
            inspect.Parameter(
                own,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=default,
                annotation=_annotation(entry),
            )
        )
    return inspect.Signature(parameters), names


def _documented(function: Any, entry: dict[str, Any], names: dict[str, str]) -> None:
    lines = [str(entry.get("description") or "")]
    properties = entry.get("parameters", {}).get("properties") or {}
    described = [
        f"    {own}: {properties[name]['description']}"
        for own, name in names.items()
        if isinstance(properties.get(name), dict) and properties[name].get("description")
    ]
    if described:
        lines += ["", "Args:", *described]
    function.__doc__ = "\n".join(lines)
    function.__name__ = function.__qualname__ = entry["name"]
    function.__module__ = "tools"


def binder(entry: dict[str, Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """Returns what makes the arguments of a declaration's call from those written in Python."""
    signature, names = _signature(entry.get("parameters") or {})
    own = {real: mine for mine, real in names.items()}

    def bound(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        given = {own.get(name, name): value for name, value in kwargs.items()}
        try:
            values = signature.bind(*args, **given).arguments
        except TypeError as error:
            raise TypeError(f"{entry['name']}(): {error}") from None
        return {names[name]: value for name, value in values.items()}

    return bound


def function_of(line: Any, entry: dict[str, Any]) -> Callable[..., Any]:
    """Returns the function of a declaration; its `aio` is the same as a coroutine function."""
    signature, names = _signature(entry.get("parameters") or {})
    bound = binder(entry)

    def function(*args: Any, **kwargs: Any) -> Any:
        return line.call(entry["name"], bound(args, kwargs))

    async def aio(*args: Any, **kwargs: Any) -> Any:
        return await line.acall(entry["name"], bound(args, kwargs))

    def start(*args: Any, **kwargs: Any) -> Callable[[], Any]:
        value: Callable[[], Any] = line.start(entry["name"], bound(args, kwargs))
        return value

    made: Any
    for made in (function, aio):
        made.__signature__ = signature
        _documented(made, entry, names)
    function.aio, function.start = aio, start  # type: ignore[attr-defined]
    return function


# -- cells --------------------------------------------------------------------------------------


class Awaiting(ast.NodeTransformer):
    """Lets calls of tools be written both ways.

    A call is waited for where it is, so that the next statement has its value; where it is the
    operand of `await`, or the argument of what takes awaitables, it is a coroutine instead. What is
    awaited otherwise may be a value.
    """

    def __init__(self, module: str = "tools") -> None:
        self._module = module
        self._names: dict[str, str] = {}
        self._lazy = False
        self._in_coroutine = False
        self.read_only: set[str] = set()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        """Notes what is imported from the module."""
        if node.module == self._module:
            self._names.update((alias.asname or alias.name, alias.name) for alias in node.names)
        return node

    def visit_Await(self, node: ast.Await) -> Any:
        """A tool's call becomes a coroutine; anything else may be a value."""
        node.value = self._lazily(node.value)
        wrapped = ast.Call(_attribute(self._module, "awaitable"), [node.value], [])
        node.value = ast.copy_location(wrapped, node.value)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        """Looks at the arguments of what takes awaitables, and makes its own calls coroutines."""
        lazy, self._lazy = self._lazy, False
        is_tool = bool(self._tool(node.func))
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        takes = called in _TAKES_AWAITABLES and not is_tool
        if not is_tool:
            node.func = self.visit(node.func)
        node.args = [self._lazily(one) if takes else self.visit(one) for one in node.args]
        node.keywords = [self.visit(one) for one in node.keywords]
        self._lazy = lazy
        if not is_tool or not (lazy or self._in_coroutine):
            return node
        node.func = ast.copy_location(ast.Attribute(node.func, "aio", ast.Load()), node)
        return node if lazy else ast.copy_location(ast.Await(node), node)

    def visit_ListComp(self, node: ast.ListComp) -> Any:
        """Calls that only read, one for each element, run side by side."""
        reads = isinstance(node.elt, ast.Call) and self._tool(node.elt.func) in self.read_only
        if not reads or self._lazy or self._in_coroutine:
            return self.generic_visit(node)
        called: Any = node.elt
        node.generators = [self.visit(one) for one in node.generators]
        called.args = [self.visit(one) for one in called.args]
        called.keywords = [self.visit(one) for one in called.keywords]
        called.func = ast.copy_location(ast.Attribute(called.func, "start", ast.Load()), called)
        wrapped = ast.Call(_attribute(self._module, "values_of"), [node], [])
        return ast.copy_location(wrapped, node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        """In a coroutine function, calls let other coroutines run."""
        return self._inside(node, in_coroutine=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """In a plain function, calls are waited for."""
        return self._inside(node, in_coroutine=False)

    visit_Lambda = visit_GeneratorExp = visit_ClassDef = visit_FunctionDef  # type: ignore[assignment]

    def _inside(self, node: Any, *, in_coroutine: bool) -> Any:
        before = self._in_coroutine, self._lazy
        self._in_coroutine, self._lazy = in_coroutine, False
        node = self.generic_visit(node)
        self._in_coroutine, self._lazy = before
        return node

    def _lazily(self, node: Any) -> Any:
        """Visits an expression whose value, or whose elements, will be awaited."""
        if isinstance(node, ast.Starred):
            node.value = self._lazily(node.value)
        elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            node.elts = [self._lazily(entry) for entry in node.elts]
        elif isinstance(node, (ast.GeneratorExp, ast.ListComp, ast.SetComp)):
            node.generators = [self.visit(entry) for entry in node.generators]
            node.elt = self._lazily(node.elt)
        elif isinstance(node, ast.IfExp):
            node.test = self.visit(node.test)
            node.body, node.orelse = self._lazily(node.body), self._lazily(node.orelse)
        elif isinstance(node, ast.Call) and self._tool(node.func):
            before, self._lazy = self._lazy, True
            node = self.visit(node)
            self._lazy = before
        else:
            node = self.visit(node)
        return node

    def _tool(self, node: ast.AST) -> str:
        """Returns the name of the tool that an expression is, or ""."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id, "")
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            return ""
        return node.attr if node.value.id == self._module and node.attr not in _OWN else ""

    def visit_Module(self, node: ast.Module) -> Any:
        """Looks at a cell."""
        return ast.fix_missing_locations(self.generic_visit(node))


def _attribute(module: str, name: str) -> ast.Attribute:
    loaded = ast.Call(
        ast.Name("__import__", ast.Load()), [ast.Constant(module)], []
    )  # code may use the module's name for something else
    return ast.Attribute(loaded, name, ast.Load())


def values_of(started: list[Callable[[], Any]]) -> list[Any]:
    """Waits for calls that were started side by side."""
    return [value() for value in started]


def awaitable(value: Any) -> Any:
    """Returns the value if it can be awaited, else something that gives it when awaited."""
    return value if inspect.isawaitable(value) else _given(value)


async def _given(value: Any) -> Any:
    return value


def _lenient(original: Callable[..., Any]) -> Callable[..., Any]:
    """Returns asyncio's function so that it takes values among awaitables."""

    @functools.wraps(original)
    def gather(*values: Any, **options: Any) -> Any:
        return original(*(awaitable(value) for value in values), **options)

    gather.takes_values = True  # type: ignore[attr-defined]
    return gather


def _with_cell(original: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `Thread.start` so that a new thread belongs to the cell of the one that starts it."""

    @functools.wraps(original)
    def start(thread: threading.Thread) -> Any:
        cell = getattr(threading.current_thread(), "tools_cell", 0)
        thread.tools_cell = cell  # type: ignore[attr-defined]
        return original(thread)

    start.takes_values = True  # type: ignore[attr-defined]
    return start


def install(line: Any, shell: Any, entries: list[dict[str, Any]]) -> None:
    """Makes a fresh module `tools` with these functions, and puts it into the namespace."""
    module = types.ModuleType("tools", "The tools of this conversation, as functions.")
    names = []
    for entry in entries:
        setattr(module, entry["name"], function_of(line, entry))
        names.append(entry["name"])
    for name, kind in _KINDS.items():
        kind.__name__ = kind.__qualname__ = name
        kind.__module__ = "tools"
        setattr(module, name, kind)
    module.awaitable, module.values_of = awaitable, values_of  # type: ignore[attr-defined]
    module.__all__ = names  # type: ignore[attr-defined]
    before = sys.modules.get("tools")
    sys.modules["tools"] = module
    if shell.user_ns.get("tools", before) is before:
        shell.user_ns["tools"] = module
    shell.user_ns.setdefault("asyncio", asyncio)  # which the examples use
    if not hasattr(asyncio.gather, "takes_values"):
        asyncio.gather = _lenient(asyncio.gather)
        start: Any = _with_cell(threading.Thread.start)
        threading.Thread.start = start  # type: ignore[method-assign]
    if _cells not in shell.ast_transformers:
        shell.ast_transformers.append(_cells)
    _cells.read_only = {entry["name"] for entry in entries if entry.get("read_only")}


_cells = Awaiting()  # one for all cells: names imported in one are known in the next
_line: Line | None = None


def open_line(descriptor: int) -> None:
    """Takes the inherited socket, before any other code runs here."""
    global _line
    _line = Line(socket.socket(fileno=descriptor))
    _line.hello()


def begin(cell: int, entries: list[dict[str, Any]] | None = None) -> None:
    """A cell that may call tools is about to run; `entries` are the functions when they changed."""
    from IPython import get_ipython

    if _line is None:
        raise FailedCall("there is no channel to the tools")
    if entries is not None:
        install(_line, get_ipython(), entries)
    _line.begin(cell)
