"""`Cited[T]`: a value of a typed answer with the place that it was read from.

The model fills in value, file, page and quote; whether the quote is on that page is looked up
by code when the answer is complete, and kept as `verified`. A model that says it itself is not
heard.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from qwenbelt.core.errors import QwenbeltError

T = TypeVar("T")


class Cited(BaseModel, Generic[T]):
    """A value and where it is.

    Attributes:
        value: the value.
        file: the document's name, as the model was shown it.
        page: from 1.
        quote: the words of the page that hold the value.
        verified: whether the quote was found on that page.
    """

    model_config = ConfigDict(extra="ignore")

    value: T
    file: str = Field(description="Name of the document.")
    page: int = Field(description="Number of the page, from 1.")
    quote: str = Field(description="The exact words of that page which hold the value.")
    verified: bool = False

    @model_validator(mode="before")
    @classmethod
    def _unheard(cls, given: Any) -> Any:
        """Drops a `verified` that comes from outside."""
        if isinstance(given, Mapping):
            return {name: value for name, value in given.items() if name != "verified"}
        return given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """What the model sees: value, file, page, quote."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        schema.get("properties", {}).pop("verified", None)
        return schema


def cited_in_value(value: Any) -> Iterator[Cited[Any]]:
    """Yields every `Cited` inside a value: models, dataclasses, mappings, lists and sets."""
    if isinstance(value, Cited):
        yield value
    if isinstance(value, BaseModel):
        children: Any = [getattr(value, name) for name in type(value).model_fields]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        children = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, Mapping):
        children = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        children = list(value)
    else:
        return
    for child in children:
        yield from cited_in_value(child)


def verify_all(value: Any, files: Mapping[str, Path]) -> None:
    """Looks up the quote of every `Cited` inside a value, and sets `verified`.

    Args:
        value: a typed answer.
        files: the conversation's files by the name that the model sees.
    """
    for cited in cited_in_value(value):
        cited.verified = stands_on_page(files, cited.file, cited.page, cited.quote)


def stands_on_page(files: Mapping[str, Path], file: str, page: int, quote: str) -> bool:
    """Returns whether a quote is on a page of one of these files; any of them for an odd name."""
    from qwenbelt.tools.documents import verify_citation
    from qwenbelt.tools.documents.library import default_index, shared_index

    path = files.get(file) or files.get(Path(file).name)
    if path is None and len(files) == 1:
        path = next(iter(files.values()))
    if path is None or not quote.strip():
        return False
    try:
        index = shared_index(default_index())
        index.add_file(Path(path).resolve())
        return verify_citation(index, Path(path).resolve(), page, quote) is not None
    except (QwenbeltError, OSError):  # a file that cannot be read proves nothing
        return False
