"""The reference server's file: one JSON object a line, an entity or a relation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from qwenbelt.core.errors import InputError
from qwenbelt.core.files import replacing_file
from qwenbelt.core.jsons import loads_bounded
from qwenbelt.tools.memory.store import Entity, GraphStore, Relation

_AT_ONCE = 1000


def read_jsonl(store: GraphStore, path: Path) -> tuple[int, int]:
    """Adds a file's entities and relations; existing ones stay.

    Returns:
        How many entities and relations were new.

    Raises:
        InputError: the file cannot be read, or a line of it is neither.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            return _add_items(store, _parsed_lines(path, lines))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read ({reason}).") from error


def _add_items(store: GraphStore, items: Iterator[Entity | Relation]) -> tuple[int, int]:
    entities = relations = 0
    while part := list(islice(items, _AT_ONCE)):
        known: list[Entity] = [e for e in part if isinstance(e[2], list)]
        links: list[Relation] = [r for r in part if isinstance(r[2], str)]
        entities += len(store.create_entities(known))
        # an entity that is there already gets what the file knows of it
        store.add_observations([(name, observations) for name, _, observations in known])
        relations += len(store.create_relations(links))
    return entities, relations


def _parsed_lines(path: Path, lines: Any) -> Iterator[Entity | Relation]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = loads_bounded(line)
            if item["type"] == "entity":
                observations = [str(o) for o in item.get("observations", [])]
                yield str(item["name"]), str(item["entityType"]), observations
            else:
                yield str(item["from"]), str(item["to"]), str(item["relationType"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}:{number}: neither an entity nor a relation.") from error


def write_jsonl(store: GraphStore, path: Path) -> None:
    """Writes the whole graph as the reference server does."""
    with replacing_file(path) as file:
        for kind, item in store.everything():
            first, second, third = item
            if kind == "entity":
                line = {"name": first, "entityType": second, "observations": third}
            else:
                line = {"from": first, "to": second, "relationType": third}
            text = json.dumps({"type": kind, **line}, ensure_ascii=False)
            file.write(f"{text}\n".encode())
