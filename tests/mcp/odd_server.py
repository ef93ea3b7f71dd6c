"""A server that is odd in one way: odd_server.py WAY."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

WAY = sys.argv[1]
EMPTY: dict[str, Any] = {"type": "object", "properties": {}}
renamed = False
pages = 0


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def reply(number: Any, result: Any) -> None:
    send({"id": number, "result": result})


def tool(name: str = "go", schema: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "Goes.", "inputSchema": schema or EMPTY, **more}


def loops() -> dict[str, Any]:
    chain: dict[str, Any] = {"type": "string"}
    for _ in range(400):
        chain = {"type": "object", "properties": {"x": chain}}
    return {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/a"},
            "self": {"$ref": "#"},
            "me": {"$ref": "#/properties/me"},
            "away": {"$ref": "http://127.0.0.1:9/schema.json"},
            "gone": {"$ref": "#/$defs/none"},
            "deep": chain,
        },
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    }


def listed(params: dict[str, Any]) -> dict[str, Any]:
    global pages
    pages += 1
    if WAY == "same-page":
        return {"tools": [tool()], "nextCursor": "again"}
    if WAY == "new-pages":
        return {"tools": [tool(f"go{pages}")], "nextCursor": f"c{pages}"}
    if WAY == "many":
        return {"tools": [tool(f"go{i}", description="x" * 200) for i in range(20_000)]}
    if WAY == "loops":
        return {"tools": [tool(schema=loops(), outputSchema=loops()), tool("good")]}
    if WAY == "twins":
        return {"tools": [tool(), tool(description="Another."), tool("GO"), tool("g o"), tool("")]}
    if WAY == "renamed" and renamed:
        return {"tools": [tool("went")]}
    return {"tools": [tool()]}


def called(number: Any, params: dict[str, Any]) -> None:  # noqa: C901 - one way after the other
    global renamed
    good = {"content": [{"type": "text", "text": "well"}]}
    if WAY == "ids":
        for wrong in (None, 999_999, str(number), -1, number + 0.5, [number], True):
            send({"id": wrong, "result": {"content": [{"type": "text", "text": "wrong"}]}})
        send({"id": 77, "error": {"code": -1, "message": "nobody asked"}})
    if WAY == "renamed" and not renamed:
        renamed = True
        send({"method": "notifications/tools/list_changed"})
        send({"id": number, "error": {"code": -32602, "message": "Unknown tool: go"}})
        return
    if WAY == "kinds":
        kinds: list[Any] = [
            {"type": "hologram", "data": "x"},
            {"type": "text"},
            {"type": "image", "data": "%%%", "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": 7}},
            "a string",
            None,
            {"type": "text", "text": "well"},
        ]
        reply(number, {"content": kinds, "structuredContent": [1, 2], "isError": "no"})
        return
    if WAY == "no-content":
        reply(number, {"content": "well"})
        return
    if WAY == "list-result":
        reply(number, ["well"])
        return
    if WAY == "flood":
        token = params.get("_meta", {}).get("progressToken")
        for i in range(20_000):
            value: Any = ("x", None, -i, 1e308, i)[i % 5]
            told = {"progressToken": token, "progress": value, "total": 0, "message": "m" * 50}
            send({"method": "notifications/progress", "params": told})
    if WAY == "late":
        time.sleep(1.0)
        for _ in range(3):
            reply(number, {"content": [{"type": "text", "text": f"late {number}"}]})
        return
    if WAY == "twice":
        reply(number, good)
        reply(number, {"content": [{"type": "text", "text": "second"}]})
        return
    if WAY == "error":
        send({"id": number, "error": {"code": "x", "message": {"a": 1}}})
        return
    if WAY == "asks":
        fields = {
            "deep": {"type": "object", "properties": {"x": {"$ref": "#"}}},
            "many": {"type": "string", "enum": [str(i) for i in range(50_000)]},
            "slow": {"type": "string", "pattern": "(a+)+$"},
            "odd": {"type": "colour"},
            "n": 7,
        }
        asked = {"message": "Fill in.", "requestedSchema": {"type": "object", "properties": fields}}
        send({"id": "q1", "method": "elicitation/create", "params": asked})
        send({"id": "q2", "method": "elicitation/create", "params": {"mode": "url", "url": 5}})
        send({"id": "q3", "method": "elicitation/create", "params": []})
        send({"id": "q4", "method": "roots/list"})
        send({"id": "q5", "method": "no/such"})
        time.sleep(0.3)
    reply(number, good)


for line in sys.stdin:
    message = json.loads(line)
    method, number = message.get("method"), message.get("id")
    if number is None or method is None:
        continue
    params = message.get("params") or {}
    if method == "initialize":
        about: Any = {"name": "odd", "version": "1"}
        able: Any = {"tools": {"listChanged": True}}
        if WAY == "greeting":
            about, able = None, {"tools": None, "experimental": 7}
        version = params["protocolVersion"]
        reply(number, {"protocolVersion": version, "capabilities": able, "serverInfo": about})
    elif method == "tools/list":
        reply(number, listed(params))
    elif method == "tools/call":
        called(number, params)
    else:
        send({"id": number, "error": {"code": -32601, "message": "Method not found"}})
