"""Runs in the kernel: keeps the session's variables in a file, and takes them back from one.

Kept are values that pickle takes, functions and classes whose source is known, and imports. What
could not be kept is listed by name. It uses the standard library only.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import os
import pickle
import sys
import types
from typing import Any

LARGEST = 64 * 1024 * 1024
_OWN = {"In", "Out", "exit", "quit", "open", "get_ipython", "tools"}
_MOST_NAMES = 2000
_MOST_TOLD = 100
_MOST_ROWS = 100_000  # of a table that is written for a person to look at
_taken: dict[str, str] = {}  # sources of what was taken from a file


class _Counted(io.BytesIO):
    """Takes so many bytes, not more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def write(self, data: Any) -> int:
        self._left -= memoryview(data).nbytes
        if self._left < 0:
            raise OverflowError("too large")
        return super().write(data)


def _pickled(value: Any, most: int) -> bytes:
    file = _Counted(most)
    pickle.dump(value, file, protocol=5)
    return file.getvalue()


def _source(value: Any) -> str:
    """Returns the source of a function or class that a cell defined, or ""."""
    made_here = getattr(value, "__module__", "") == "__main__"
    if not made_here or not isinstance(value, (types.FunctionType, type)):
        return ""
    if "<" in value.__qualname__ or getattr(value, "__closure__", None):
        return ""
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):  # of a class, for which Python wants the module's file
        return _in_cells(value.__name__) or _taken.get(value.__name__, "")


def _in_cells(name: str) -> str:
    """Returns the source of the last class of that name in the cells that were run."""
    for cell in reversed(_shell().user_ns.get("In", [])):
        if name not in cell:
            continue
        try:
            body = ast.parse(cell).body
        except SyntaxError:  # a magic
            continue
        for node in body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                return "\n".join(cell.split("\n")[first - 1 : node.end_lineno]) + "\n"
    return ""


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()


def keep_state(path: str) -> None:
    """Writes the variables to a file, and the names of those that could not be kept beside it."""
    shell = _shell()
    hidden = shell.user_ns_hidden
    state: dict[str, Any] = {"modules": {}, "sources": [], "values": {}}
    lost: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, value in list(shell.user_ns.items())[:_MOST_NAMES]:
        if name.startswith("_") or name in _OWN or hidden.get(name, shell) is value:
            continue
        if isinstance(value, types.ModuleType):
            state["modules"][name] = value.__name__
        elif source := _source(value):
            state["sources"].append((name, source))
        else:
            values[name] = value
    try:  # in one piece, so that what two names share stays shared
        state["values"] = _pickled(values, LARGEST)
    except BaseException:  # whatever an object's own code raises: one by one then
        left, kept = LARGEST, {}
        for name, value in values.items():
            try:
                data = _pickled(value, left)
            except BaseException as error:  # whatever an object's own code raises
                why = "too large" if isinstance(error, OverflowError) else type(value).__name__
                lost[name] = why
            else:
                kept[name], left = value, left - len(data)
        state["values"] = _pickled(kept, 2 * LARGEST)
    for place, data in ((path, pickle.dumps(state)), (f"{path}.json", json.dumps(lost).encode())):
        with open(place, "wb") as file:
            file.write(data)


def take_state(path: str) -> None:
    """Takes the variables from a file, which is removed."""
    shell = _shell()
    with open(path, "rb") as file:
        state = pickle.load(file)  # noqa: S301  what this session, or the one before it, wrote
    os.unlink(path)
    for name, module in state["modules"].items():
        try:
            __import__(module)
            shell.user_ns[name] = sys.modules[module]
        except ImportError:
            continue
    _taken.update(state["sources"])
    for source in _taken.values():
        shell.run_cell(source, store_history=False, silent=True)
    shell.user_ns.update(pickle.loads(state["values"]))  # noqa: S301  the same


def tell_variables() -> None:
    """Prints what the cells have named, as JSON: name, kind, size and a short text of each."""
    shell = _shell()
    hidden, told = shell.user_ns_hidden, []
    for name, value in list(shell.user_ns.items()):
        if name.startswith("_") or name in _OWN or hidden.get(name, shell) is value:
            continue
        if isinstance(value, types.ModuleType):
            continue
        told.append({"name": name, "kind": type(value).__name__, **_told(value)})
        if len(told) == _MOST_TOLD:
            break
    print(json.dumps(told))


def _told(value: Any) -> dict[str, str]:
    """Returns the size and a short text of a value; its own code may raise anything."""
    size = text = ""
    try:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple):
            size = " × ".join(str(int(edge)) for edge in shape)
        elif isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)):
            size = str(len(value))
        if hasattr(value, "columns") and hasattr(value, "dtypes"):
            pairs = list(zip(value.columns, value.dtypes, strict=False))[:12]
            text = ", ".join(f"{column}: {kind}" for column, kind in pairs)
        elif hasattr(value, "dtype"):
            text = str(value.dtype)
        elif isinstance(value, (bool, int, float, complex, str, bytes, type(None))):
            text = repr(value[:200] if isinstance(value, (str, bytes)) else value)
        elif isinstance(value, (list, tuple, dict, set, frozenset)):
            text = ", ".join(sorted({type(one).__name__ for one in list(value)[:50]}))
        elif callable(value):
            text = str(inspect.signature(value))
    except Exception:  # of anybody's class
        text = ""
    return {"size": size, "text": text[:120]}


def write_table(name: str, path: str) -> None:
    """Writes a table of the session as CSV, for a person to look at.

    Raises:
        TypeError: there is no table of that name.
    """
    value = _shell().user_ns.get(name)
    if hasattr(value, "to_frame") and not hasattr(value, "columns"):
        value = value.to_frame()
    if not hasattr(value, "to_csv"):
        raise TypeError(f"{name} is no table")
    named = type(value.index).__name__ != "RangeIndex"
    value.head(_MOST_ROWS).to_csv(path, index=named)
