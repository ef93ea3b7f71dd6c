"""Plain typed Python functions as tools."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable
from typing import Any

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError

from qwenbelt.core.errors import ConfigError
from qwenbelt.tools.arguments import schema_of
from qwenbelt.tools.base import Tool, ToolResult

_CONTEXT = ("context", "messages", "files")


class FunctionTool(Tool):
    """A tool made from a typed function; its docstring is the description.

    Parameters named `context`, `messages` or `files` are filled in by the run, not by the model.

    Args:
        function: a sync or async function; every parameter of it has a type.
        read_only: whether it has no side effect.
        background: whether the model goes on while it works.

    Raises:
        ConfigError: a parameter has no type, or there is no docstring.
    """

    def __init__(
        self, function: Callable[..., Any], *, read_only: bool = False, background: bool = False
    ) -> None:
        self.name = function.__name__
        self.body = function
        self.read_only = read_only
        self.background = background
        signature = inspect.signature(function)
        self._given = [name for name in _CONTEXT if name in signature.parameters]
        doc = docstring_parser.parse(inspect.getdoc(function) or "")
        self.description = doc.description or ""
        if not self.description:
            raise ConfigError(
                f"The function {self.name} has no docstring; the model needs a description."
            )
        hints = typing.get_type_hints(function)
        self._returns = hints.get("return") if hints.get("return") is not type(None) else None
        self.model = _arguments_model(function, signature, doc)
        self.parameters = schema_of(self.model)
        super().__init__()

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.body)

    def parse(self, params: Any) -> Any:
        """Returns an instance of the model made from the function's signature."""
        self.Arguments = self.model  # type: ignore[misc]
        return super().parse(params)

    def _keywords(self, params: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        arguments: BaseModel = self.parse(params)
        values = {name: getattr(arguments, name) for name in type(arguments).model_fields}
        return {**values, **{name: kwargs[name] for name in self._given if name in kwargs}}

    def typed(self, result: Any) -> Any:
        """Returns a result as a value of the type that the function is annotated with.

        Values of one's own classes become dicts, which can be read where the class is not known.
        """
        hint = self._returns
        if hint is not None:
            try:
                return TypeAdapter(hint).validate_python(result, strict=False)
            except (ValidationError, PydanticUserError):
                return result
        if isinstance(result, str) and result.lstrip().startswith(("{", "[")):
            try:
                return json.loads(result)
            except (ValueError, RecursionError):
                return result
        return result

    def call(self, params: Any, **kwargs: Any) -> ToolResult:
        """Calls the function."""
        if self.is_async:
            return super().call(params, **kwargs)
        result: ToolResult = self.body(**self._keywords(params, kwargs))
        return result

    async def acall(self, arguments: Any, **kwargs: Any) -> ToolResult:
        """Awaits the function."""
        result: ToolResult = await self.body(**self._keywords(arguments, kwargs))
        return result


def _arguments_model(
    function: Callable[..., Any], signature: inspect.Signature, doc: docstring_parser.Docstring
) -> type[BaseModel]:
    hints = typing.get_type_hints(function, include_extras=True)
    described = {entry.arg_name: entry.description for entry in doc.params}
    fields: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if name in _CONTEXT or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name not in hints:
            raise ConfigError(f"The parameter {name} of {function.__name__} has no type.")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints[name], Field(default, description=described.get(name)))
    return create_model(f"{function.__name__}_arguments", __config__=ConfigDict(), **fields)
