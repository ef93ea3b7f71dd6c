"""Parts of the graph that fit one reply, and cursors for the next part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from qwenbelt.core.errors import ToolError
from qwenbelt.tools.memory.store import GraphStore
from qwenbelt.tools.operation import MAX_REPLY_BYTES

_AT_ONCE = 500
_MAX_CHARACTERS = 50_000  # of one observation


class GraphPage:
    """A reply that fills up: entities with their observations, then relations."""

    def __init__(self) -> None:
        self.entities: list[dict[str, Any]] = []
        self.relations: list[dict[str, Any]] = []
        self.cursor: str | None = None
        self._size = 0

    @property
    def data(self) -> dict[str, Any]:
        """The part as the reference server's JSON, with a cursor if there is more."""
        found: dict[str, Any] = {"entities": self.entities, "relations": self.relations}
        return found if self.cursor is None else {**found, "cursor": self.cursor}

    def _room_for(self, text: str) -> bool:
        self._size += len(text.encode("utf-8", "replace")) + 4
        return self._size <= MAX_REPLY_BYTES

    def add_entity(
        self, place: int, name: str, kind: str, observations: list[tuple[int, str]]
    ) -> bool:
        """Adds an entity, or as many of its observations as fit; returns whether all did."""
        empty = not self.entities
        entity = {"name": name, "entityType": kind, "observations": []}
        if not self._room_for(json.dumps(entity, ensure_ascii=False)) and not empty:
            self.cursor = f"e:{place}:0"
            return False
        kept: list[str] = entity["observations"]  # type: ignore[assignment]
        self.entities.append(entity)
        last = 0
        for number, content in observations:
            shown = json.dumps(_cut_to_page(content), ensure_ascii=False)
            if not self._room_for(shown) and (kept or not empty):
                self.cursor = f"e:{place}:{last}"
                if not kept:
                    self.entities.pop()
                    self.cursor = f"e:{place}:0"
                return False
            kept.append(_cut_to_page(content))
            last = number
        return True

    def add_relation(self, number: int, source: str, target: str, kind: str) -> bool:
        """Adds a relation; returns whether it fits."""
        relation = {"from": source, "to": target, "relationType": kind}
        fits = self._room_for(json.dumps(relation, ensure_ascii=False))
        if not fits and (self.entities or self.relations):
            self.cursor = f"r:{number - 1}"
            return False
        self.relations.append(relation)
        return True


def _cut_to_page(content: str) -> str:
    if len(content) <= _MAX_CHARACTERS:
        return content
    return f"{content[:_MAX_CHARACTERS]}… [{len(content) - _MAX_CHARACTERS} more characters]"


def _parsed_cursor(cursor: str | None) -> tuple[str, int, int]:
    if cursor is None:
        return "e", 0, 0
    kind, *numbers = cursor.split(":")
    if kind not in ("e", "r") or not numbers or not all(n.isdigit() for n in numbers):
        raise ToolError("That is no cursor of this tool.")
    return kind, int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 0


def whole_graph(store: GraphStore, cursor: str | None) -> GraphPage:
    """Returns as much of the graph as fits, from the cursor on."""
    part = GraphPage()
    kind, first, after = _parsed_cursor(cursor)
    if kind == "e":
        for identity in _all_ids(store, first):
            found = store.entity(identity, after if identity == first else 0)
            if found is not None and not part.add_entity(identity, *found):
                return part
        first = 0
    for row in _all_relations(store, first):
        if not part.add_relation(*row):
            return part
    return part


def _all_ids(store: GraphStore, first: int) -> Iterator[int]:
    while ids := store.ids_from(first, _AT_ONCE):
        yield from ids
        first = ids[-1] + 1


def _all_relations(store: GraphStore, after: int) -> Iterator[tuple[int, str, str, str]]:
    while rows := store.relations_after(after, _AT_ONCE):
        yield from rows
        after = rows[-1][0]


def some_of_it(store: GraphStore, identities: list[int], cursor: str | None) -> GraphPage:
    """Returns entities with the relations from or to them, as much as fits."""
    part = GraphPage()
    kind, first, after = _parsed_cursor(cursor)
    if kind == "e":
        for place in range(first, len(identities)):
            found = store.entity(identities[place], after if place == first else 0)
            if found is not None and not part.add_entity(place, *found):
                return part
        first = 0
    for row in store.relations_of(identities):
        if row[0] > first and not part.add_relation(*row):
            return part
    return part
