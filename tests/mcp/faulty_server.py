"""An MCP server over stdio, written by hand so that it can misbehave in every way a test needs.

python faulty_server.py FAULT [NUMBER]; standard library only, so that it starts at once.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time

FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
NUMBER = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
LOG = os.environ.get("FAULTY_LOG", "")
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 40).decode()
OBJECT = {"type": "object"}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
COUNT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TREE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"node": {"$ref": "#/$defs/Node"}},
    "required": ["node"],
    "additionalProperties": False,
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
        }
    },
}
TOOLS = [
    {
        "name": "echo",
        "description": "Echo",
        "inputSchema": TEXT,
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {"name": "bare", "inputSchema": OBJECT},
    {
        "name": "tree",
        "inputSchema": TREE,
        "annotations": {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": True},
    },
    {"name": "image", "inputSchema": OBJECT},
    {"name": "mixed", "inputSchema": OBJECT},
    {"name": "structured", "inputSchema": OBJECT},
    {"name": "checked", "inputSchema": OBJECT, "outputSchema": OBJECT},
    {"name": "fail", "inputSchema": OBJECT},
    {"name": "refuse", "inputSchema": OBJECT},
    {"name": "nothing", "inputSchema": OBJECT},
    {"name": "slow", "inputSchema": OBJECT},
    {"name": "silent", "inputSchema": OBJECT},
    {"name": "progress", "inputSchema": OBJECT},
    {"name": "die", "inputSchema": OBJECT},
    {"name": "long_line", "inputSchema": OBJECT},
    {"name": "env", "inputSchema": OBJECT},
    {"name": "pid", "inputSchema": OBJECT},
    {"name": "ask", "inputSchema": OBJECT},
]
if FAULT == "grows":
    TOOLS = [{"name": "grow", "inputSchema": OBJECT}, {"name": "old", "inputSchema": OBJECT}]
if FAULT == "odd":
    TOOLS += [
        {"name": "text_schema", "inputSchema": {"type": "string"}},
        {"name": "no_schema"},
        {"name": "typeless", "inputSchema": {"properties": {"text": {"type": "string"}}}},
        {"name": "bad_property", "inputSchema": {"type": "object", "properties": {"x": "string"}}},
        {"name": "odd_fields", "inputSchema": OBJECT, "description": 7, "annotations": "none"},
        {"name": "odd_output", "inputSchema": OBJECT, "outputSchema": {"type": "array"}},
        {"name": "echo", "inputSchema": OBJECT},
        {"inputSchema": OBJECT},
        "what",
        {"name": "unknown_blocks", "inputSchema": OBJECT},
        {"name": "unfit", "inputSchema": OBJECT, "outputSchema": COUNT},
        {"name": "unstructured", "inputSchema": OBJECT, "outputSchema": COUNT},
        {"name": "both", "inputSchema": OBJECT},
        {"name": "same", "inputSchema": OBJECT},
    ]

lock = threading.Lock()


def note(text: str) -> None:
    if LOG:
        with open(LOG, "a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def send(message: dict) -> None:
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def junk() -> None:
    if FAULT == "junk":
        with lock:
            sys.stdout.buffer.write(b'Server is listening!\n{"half": \n\xff\xfe\x00bad\n\n[1, 2]\n')
            sys.stdout.buffer.flush()


def text(value: str) -> dict:
    return {"type": "text", "text": value}


def slow(arguments: dict, token: object) -> dict:
    time.sleep(arguments.get("seconds", 1.0))
    return {"content": [text("slow done")]}


def progress(arguments: dict, token: object) -> dict:
    for step in (1, 2, 3):
        told = {"progressToken": token, "progress": step, "total": 4, "message": f"step {step}"}
        send({"method": "notifications/progress", "params": told})
    send({"method": "notifications/message", "params": {"level": "info", "data": "a log line"}})
    time.sleep(0.1)
    return {"content": [text("progressed")]}


IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}
MIXED = [
    text("before"),
    IMAGE,
    {**IMAGE, "data": "not base64!"},
    {"type": "resource", "resource": {"uri": "x://a", "text": "inside"}},
    {"type": "resource", "resource": {"uri": "x://b", "blob": PNG, "mimeType": "application/pdf"}},
    {"type": "resource_link", "uri": "x://c", "name": "linked"},
    {"type": "audio", "data": PNG, "mimeType": "audio/wav"},
    text("after"),
]
BLOCKS = [text("kept"), {"type": "hologram", "data": "x"}, {"type": "image"}, "bare"]


def grow(arguments: dict, token: object) -> dict:
    TOOLS[:] = [TOOLS[0], {"name": "grown", "inputSchema": TEXT}]  # "old" has gone
    send({"method": "notifications/tools/list_changed"})
    return {"content": [text("grew")]}


FORM = {
    "type": "object",
    "properties": {
        "size": {"type": "string", "enum": ["S", "L"]},
        "count": {"type": "integer", "default": 1},
    },
    "required": ["size"],
}
asked: dict = {}


def ask(arguments: dict, token: object) -> dict:
    """Asks the person by `elicitation/create`, and returns what was answered."""
    params = {"message": "Which size?", "requestedSchema": arguments.get("form", FORM)}
    if "url" in arguments:
        more = {"mode": "url", "url": arguments["url"], "elicitationId": "e1"}
        params = {"message": "Sign in", **more}
    waiting = asked["ask-1"] = threading.Event()
    send({"id": "ask-1", "method": "elicitation/create", "params": params})
    waiting.wait(30)
    return {"content": [text(json.dumps(asked["answer"]))]}


RESULTS = {
    "ask": ask,
    "grow": grow,
    "grown": lambda arguments, _: {"content": [text("from grown: " + arguments.get("text", ""))]},
    "unknown_blocks": lambda *_: {"content": BLOCKS},
    "unfit": lambda *_: {"content": [text("text 1")], "structuredContent": {"n": "many"}},
    "unstructured": lambda *_: {"content": [text("text 2")]},
    "both": lambda *_: {"content": [text("see below")], "structuredContent": {"n": 5}},
    "same": lambda *_: {"content": [text("n is 5")], "structuredContent": {"n": 5}},
    "echo": lambda arguments, _: {"content": [text(arguments.get("text", ""))]},
    "tree": lambda arguments, _: {"content": [text(json.dumps(arguments))]},
    "image": lambda *_: {"content": [IMAGE]},
    "mixed": lambda *_: {"content": MIXED},
    "structured": lambda *_: {"content": [], "structuredContent": {"n": 1}},
    "checked": lambda *_: {"content": [text("{}")], "structuredContent": {}},
    "fail": lambda *_: {"content": [text("no such\ntable: x")], "isError": True},
    "nothing": lambda *_: {"content": []},
    "env": lambda *_: {"content": [text(json.dumps(dict(os.environ)))]},
    "pid": lambda *_: {"content": [text(str(os.getpid()))]},
    "slow": slow,
    "progress": progress,
}


def call(number: object, params: dict) -> None:
    name = params["name"]
    token = params.get("_meta", {}).get("progressToken")
    note(f"call {name}")
    if name == "silent":
        return
    if name == "refuse":
        send({"id": number, "error": {"code": -32602, "message": "bad arguments: x is missing"}})
        return
    if name == "die":
        print("fatal: out of cheese", file=sys.stderr, flush=True)
        time.sleep(0.05)
        os._exit(3)
    if name == "long_line":
        for _ in range(70):
            sys.stdout.write("x" * 2**20)
        sys.stdout.flush()
        return
    if name not in [tool.get("name") for tool in tools() if isinstance(tool, dict)]:
        send({"id": number, "error": {"code": -32602, "message": f"Unknown tool: {name}"}})
        return
    junk()
    make = RESULTS.get(name, lambda *_: {"content": [text("ok")]})
    send({"id": number, "result": make(params.get("arguments") or {}, token)})


def tools() -> list:
    if FAULT == "many":
        return [{**TOOLS[0], "name": f"tool_{i}"} for i in range(50)]
    return TOOLS


def listing(params: dict) -> dict:
    if FAULT == "many":  # in pages of twenty
        start = int(params.get("cursor") or 0)
        page = {"tools": tools()[start : start + 20]}
        if start + 20 < 50:
            page["nextCursor"] = str(start + 20)
        return page
    return {"tools": tools()}


def answer(message: dict) -> None:
    method, number = message.get("method"), message.get("id")
    params = message.get("params") or {}
    if method == "notifications/cancelled":
        note(f"cancelled {params.get('requestId')}")
    if number in asked and method is None:
        asked["answer"] = message.get("result", message.get("error"))
        asked[number].set()
        return
    if number is None:
        return
    if method == "server/discover" and FAULT == "strict":
        print("protocol error: initialize first", file=sys.stderr, flush=True)
        os._exit(1)
    if method == "tools/call":
        threading.Thread(target=call, args=(number, params), daemon=True).start()
    elif method in REPLIES:
        send({"id": number, "result": REPLIES[method](params)})
    else:
        send({"id": number, "error": {"code": -32601, "message": "Method not found"}})


def welcome(params: dict) -> dict:
    offered = ("tools", "resources", "prompts") if FAULT == "resources" else ("tools",)
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {name: {"listChanged": FAULT == "grows"} for name in offered},
        "serverInfo": {"name": "faulty", "version": "1"},
        "instructions": os.environ.get("FAULTY_SAYS", ""),
    }


REPLIES = {
    "initialize": welcome,
    "tools/list": listing,
    "resources/list": lambda _: {"resources": [{"uri": "x://a", "name": "A"}]},
    "resources/templates/list": lambda _: {
        "resourceTemplates": [{"uriTemplate": "x://{n}", "name": "N"}]
    },
    "resources/read": lambda p: {"contents": [{"uri": p["uri"], "text": f"at {p['uri']}"}]},
    "prompts/list": lambda _: {"prompts": [{"name": "greet"}]},
    "prompts/get": lambda _: {"messages": [{"role": "user", "content": text("hello")}]},
}


def main() -> None:
    note(f"start {os.getpid()}")
    junk()
    if FAULT == "exit":
        print("cannot open the database", file=sys.stderr, flush=True)
        sys.exit(2)
    if FAULT in ("late", "deaf"):
        time.sleep(NUMBER)
    if FAULT == "stubborn":
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        if FAULT != "deaf":
            answer(json.loads(line))
    note("end of input")
    if FAULT == "stubborn":
        time.sleep(600)


main()
