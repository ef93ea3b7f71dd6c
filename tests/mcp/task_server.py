"""A server whose calls become tasks; their state is in a folder and outlives the process.

python task_server.py FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

STORE = Path(sys.argv[1]) / "tasks.json"
SCHEMA = {"type": "object", "properties": {}}
TOOL = {"name": "crunch", "inputSchema": SCHEMA, "description": "Takes long."}
FORM = {"type": "object", "properties": {"size": {"type": "string"}}}


def load() -> dict[str, Any]:
    return json.loads(STORE.read_text()) if STORE.exists() else {"calls": 0, "tasks": {}}


def save(store: dict[str, Any]) -> None:
    STORE.write_text(json.dumps(store))


def told(number: str, status: str, **more: Any) -> dict[str, Any]:
    now = "2026-11-29T00:00:00Z"
    times = {"createdAt": now, "lastUpdatedAt": now, "ttlMs": 60_000, "pollIntervalMs": 50}
    return {"taskId": number, "status": status, **times, **more}


def looked_at(store: dict[str, Any], number: str) -> dict[str, Any] | None:
    task = store["tasks"].get(number)
    if task is None:
        return {"error": {"code": -32602, "message": f"Task not found: {number}"}}
    task["looks"] += 1
    save(store)
    way, looks = task["way"], task["looks"]
    if way == "die" and looks == 2:
        os._exit(3)
    if way == "silent" and looks == 2:
        return None
    if way == "ask" and "answers" not in task:
        params = {"mode": "form", "message": "Which size?", "requestedSchema": FORM}
        request = {"method": "elicitation/create", "params": params}
        return told(number, "input_required", inputRequests={"q": request})
    if way == "fail" and looks > 1:
        return told(number, "failed", error={"code": -32603, "message": "no\ndata"})
    if way == "endless" or looks <= task["steps"]:
        return told(number, "working", statusMessage=f"step {looks}")
    text = json.dumps(task.get("answers") or f"done after {looks}")
    return told(number, "completed", result={"content": [{"type": "text", "text": text}]})


def rounds(params: dict[str, Any]) -> dict[str, Any]:
    """Asks by `input_required` until the call comes again with the answers."""
    if "inputResponses" not in params:
        asked = {"mode": "form", "message": "Which size?", "requestedSchema": FORM}
        request = {"method": "elicitation/create", "params": asked}
        more = {"inputRequests": {"q": request}, "requestState": "s1"}
        return {"resultType": "input_required", **more}
    told = [params["inputResponses"], params.get("requestState")]
    return {"content": [{"type": "text", "text": json.dumps(told)}]}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    store = load()
    number = str(params.get("taskId", ""))
    if method == "server/discover":
        extensions = {"io.modelcontextprotocol/tasks": {}}
        able = {"tools": {}, "extensions": extensions}
        return {"supportedVersions": ["2026-07-28"], "capabilities": able, "ttlMs": 0,
                "cacheScope": "private"}  # fmt: skip
    if method == "tools/list":
        return {"tools": [TOOL], "ttlMs": 0, "cacheScope": "private"}
    if method == "tools/call":
        store["calls"] += 1
        given = params.get("arguments") or {}
        if given.get("way") == "rounds":  # asks before it answers, without a task
            return rounds(params)
        number = f"t{store['calls']}"
        way, steps = given.get("way", ""), given.get("steps", 2)
        store["tasks"][number] = {"way": way, "steps": steps, "looks": 0}
        save(store)
        return {**told(number, "working"), "resultType": "task"}
    if method == "tasks/get":
        return looked_at(store, number)
    if method == "tasks/update":
        store["tasks"][number]["answers"] = params["inputResponses"]
        save(store)
        return {}
    if method == "tasks/cancel":
        store["tasks"][number]["cancelled"] = True
        save(store)
        return {}
    return {"error": {"code": -32601, "message": "Method not found"}}


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    reply = answer(message["method"], message.get("params") or {})
    if reply is None:
        time.sleep(60)
    elif "error" in reply and "status" not in reply:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
    else:
        result = {"resultType": "complete", **(reply or {})}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
