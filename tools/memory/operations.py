"""The memory tools: the reference server's names, arguments and outputs, and cursors.

Source: `@modelcontextprotocol/server-memory` 2026.8.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from qwenbelt.tools.memory.pages import GraphPage, some_of_it, whole_graph
from qwenbelt.tools.memory.store import GraphStore
from qwenbelt.tools.memory.strings import say
from qwenbelt.tools.operation import Operation, OperationCall, OperationResult


class _GraphArguments(BaseModel):
    model_config = ConfigDict(populate_by_name=True)


class EntityArguments(_GraphArguments):
    """An entity."""

    name: str = Field(description="The name of the entity")
    entity_type: str = Field(alias="entityType", description="The type of the entity")
    observations: list[str] = Field(
        description="An array of observation contents associated with the entity"
    )


class RelationArguments(_GraphArguments):
    """A relation."""

    source: str = Field(
        alias="from", description="The name of the entity where the relation starts"
    )
    target: str = Field(alias="to", description="The name of the entity where the relation ends")
    relation_type: str = Field(alias="relationType", description="The type of the relation")

    def row(self) -> tuple[str, str, str]:
        """Returns it as the store has it."""
        return self.source, self.target, self.relation_type


class CreateEntities(_GraphArguments):
    """Entities to add."""

    entities: list[EntityArguments]


class Relations(_GraphArguments):
    """Relations to add or delete."""

    relations: list[RelationArguments]


class ObservationArguments(_GraphArguments):
    """What was observed of one entity."""

    entity_name: str = Field(
        alias="entityName", description="The name of the entity to add the observations to"
    )
    contents: list[str] = Field(description="An array of observation contents to add")


class AddObservations(_GraphArguments):
    """Observations to add."""

    observations: list[ObservationArguments]


class DeleteEntities(_GraphArguments):
    """Entities to delete."""

    entity_names: list[str] = Field(
        alias="entityNames", description="An array of entity names to delete"
    )


class DeletionArguments(_GraphArguments):
    """Observations of one entity to delete."""

    entity_name: str = Field(
        alias="entityName", description="The name of the entity containing the observations"
    )
    observations: list[str] = Field(description="An array of observations to delete")


class DeleteObservations(_GraphArguments):
    """Observations to delete."""

    deletions: list[DeletionArguments]


class ReadGraph(_GraphArguments):
    """A part of the graph."""

    cursor: str | None = Field(None, description="Where to go on, as the last reply said")


class SearchNodes(ReadGraph):
    """A search."""

    query: str = Field(description="Words to find in entity names, types, and observation content")


class OpenNodes(ReadGraph):
    """Entities to show."""

    names: list[str] = Field(description="An array of entity names to retrieve")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _create_entities(
    store: GraphStore, given: CreateEntities, call: OperationCall
) -> OperationResult:
    added = store.create_entities([(e.name, e.entity_type, e.observations) for e in given.entities])
    found = [{"name": n, "entityType": t, "observations": o} for n, t, o in added]
    return OperationResult(_json(found), {"entities": found})


def _create_relations(store: GraphStore, given: Relations, call: OperationCall) -> OperationResult:
    added = store.create_relations([r.row() for r in given.relations])
    found = [{"from": a, "to": b, "relationType": t} for a, b, t in added]
    return OperationResult(_json(found), {"relations": found})


def _add_observations(
    store: GraphStore, given: AddObservations, call: OperationCall
) -> OperationResult:
    added = store.add_observations([(o.entity_name, o.contents) for o in given.observations])
    found = [{"entityName": name, "addedObservations": new} for name, new in added]
    return OperationResult(_json(found), {"results": found})


def _deleted(what: str, count: int, call: OperationCall) -> OperationResult:
    message = say(what, call.language)
    return OperationResult(message, {"success": True, "message": message, "deleted": count})


def _delete_entities(
    store: GraphStore, given: DeleteEntities, call: OperationCall
) -> OperationResult:
    return _deleted("entities", store.delete_entities(given.entity_names), call)


def _delete_observations(
    store: GraphStore, given: DeleteObservations, call: OperationCall
) -> OperationResult:
    rows = [(d.entity_name, d.observations) for d in given.deletions]
    return _deleted("observations", store.delete_observations(rows), call)


def _delete_relations(store: GraphStore, given: Relations, call: OperationCall) -> OperationResult:
    count = store.delete_relations([r.row() for r in given.relations])
    return _deleted("relations", count, call)


def _part_reply(part: GraphPage, call: OperationCall) -> OperationResult:
    note = "" if part.cursor is None else say("more", call.language, cursor=part.cursor)
    return OperationResult(
        _json({"entities": part.entities, "relations": part.relations}), part.data, note
    )


def _read_graph(store: GraphStore, given: ReadGraph, call: OperationCall) -> OperationResult:
    return _part_reply(whole_graph(store, given.cursor), call)


def _search_nodes(store: GraphStore, given: SearchNodes, call: OperationCall) -> OperationResult:
    if not given.query.strip():
        return _part_reply(whole_graph(store, given.cursor), call)
    return _part_reply(some_of_it(store, store.search(given.query), given.cursor), call)


def _open_nodes(store: GraphStore, given: OpenNodes, call: OperationCall) -> OperationResult:
    return _part_reply(some_of_it(store, store.ids_of(given.names), given.cursor), call)


def _array(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _object(**properties: Any) -> dict[str, Any]:
    required = [name for name in properties if name not in ("cursor", "deleted")]
    return {"type": "object", "properties": properties, "required": required}


_TEXT = {"type": "string"}
_ENTITY = _object(name=_TEXT, entityType=_TEXT, observations=_array(_TEXT))
_RELATION = _object(**{"from": _TEXT, "to": _TEXT, "relationType": _TEXT})
_GRAPH = _object(entities=_array(_ENTITY), relations=_array(_RELATION), cursor=_TEXT)
_DELETED = _object(success={"type": "boolean"}, message=_TEXT, deleted={"type": "integer"})

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "create_entities",
        "Create Entities",
        "Create multiple new entities in the knowledge graph. Names that exist are left as they "
        "are.",
        CreateEntities,
        _create_entities,
        _object(entities=_array(_ENTITY)),
        idempotent=True,
    ),
    Operation(
        "create_relations",
        "Create Relations",
        "Create multiple new relations between entities in the knowledge graph. Relations should "
        "be in active voice.",
        Relations,
        _create_relations,
        _object(relations=_array(_RELATION)),
        idempotent=True,
    ),
    Operation(
        "add_observations",
        "Add Observations",
        "Add new observations to existing entities in the knowledge graph.",
        AddObservations,
        _add_observations,
        _object(results=_array(_object(entityName=_TEXT, addedObservations=_array(_TEXT)))),
        idempotent=True,
    ),
    Operation(
        "delete_entities",
        "Delete Entities",
        "Delete multiple entities and their associated relations from the knowledge graph.",
        DeleteEntities,
        _delete_entities,
        _DELETED,
        idempotent=True,
        destructive=True,
    ),
    Operation(
        "delete_observations",
        "Delete Observations",
        "Delete specific observations from entities in the knowledge graph.",
        DeleteObservations,
        _delete_observations,
        _DELETED,
        idempotent=True,
        destructive=True,
    ),
    Operation(
        "delete_relations",
        "Delete Relations",
        "Delete multiple relations from the knowledge graph.",
        Relations,
        _delete_relations,
        _DELETED,
        idempotent=True,
        destructive=True,
    ),
    Operation(
        "read_graph",
        "Read Graph",
        "Read the entire knowledge graph. A large one comes in parts, with a cursor to go on.",
        ReadGraph,
        _read_graph,
        _GRAPH,
        read_only=True,
    ),
    Operation(
        "search_nodes",
        "Search Nodes",
        "Search for nodes in the knowledge graph: all words of the query, in English or Chinese.",
        SearchNodes,
        _search_nodes,
        _GRAPH,
        read_only=True,
    ),
    Operation(
        "open_nodes",
        "Open Nodes",
        "Open specific nodes in the knowledge graph by their names.",
        OpenNodes,
        _open_nodes,
        _GRAPH,
        read_only=True,
    ),
)
