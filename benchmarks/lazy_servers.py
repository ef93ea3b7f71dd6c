"""300 tools of MCP servers, found when needed: which processes a run starts.

    python benchmarks/lazy_servers.py NODE_PEERS

NODE_PEERS is a folder as `.ci/node_peers.py` makes it: Node and npm servers. What they lack of 300
tools is offered by stand-ins. Each process is counted by the program itself, as it starts.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STAND_IN = """
import json, sys
name, count = sys.argv[1], int(sys.argv[2])
tools = [{"name": f"{name}_{i}", "description": f"Keeps list {i} of the {name} of the office.",
          "inputSchema": {"type": "object", "properties": {"entry": {"type": "string"}}}}
         for i in range(count)]
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        found = {"initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                                "serverInfo": {"name": name, "version": "1"}},
                 "tools/list": {"tools": tools}}.get(asked["method"])
        answer = {"result": found} if found else {"error": {"code": -32601, "message": "no"}}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""


def servers(peers: Path, folder: Path, log: Path) -> dict[str, Any]:
    """Returns the configuration; each program writes its name before it becomes the server."""
    modules = peers / "node_modules" / "@modelcontextprotocol"
    node = str(peers / "bin" / "node")
    shared = folder / "shared"
    shared.mkdir()
    (shared / "harbour.txt").write_text("The harbour is 12 m deep.")
    programs: dict[str, list[str]] = {
        "everything": [node, str(modules / "server-everything/dist/index.js"), "stdio"],
        "filesystem": [node, str(modules / "server-filesystem/dist/index.js"), str(shared)],
        "memory": [node, str(modules / "server-memory/dist/index.js")],
    }
    script = folder / "stand_in.py"
    script.write_text(STAND_IN)
    for name in ("invoices", "contracts", "tickets", "suppliers", "shifts"):
        programs[name] = [sys.executable, str(script), name, "55"]
    launch = f'echo "$0" >> {log}; exec "$@"'
    return {
        name: {"command": "/bin/sh", "args": ["-c", launch, name, *program]}
        for name, program in programs.items()
    }


def main() -> None:
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if place != here]  # mcp.py here hides the package
    from qwenbelt.agents import FnCallAgent
    from qwenbelt.core.events import ToolFinished
    from qwenbelt.testing import Scenario, ScriptedServer

    peers = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as place:
        folder, log = Path(place), Path(place, "started.log")
        os.environ["QWENBELT_CACHE"] = str(folder / "cache")
        config = {"mcpServers": servers(peers, folder, log)}
        scenario = Scenario().turn(calls=[("search_tools", {"query": "read a text file"})])
        call = {"path": str(folder / "shared" / "harbour.txt")}
        name = "filesystem-read_text_file"
        scenario.turn(calls=[("call_tool", {"name": name, "arguments": call})])
        scenario.answer("It is 12 m deep.")
        for when in ("first time", "afterwards"):
            log.write_text("")
            with ScriptedServer(scenario) as server:
                started = time.monotonic()
                agent = FnCallAgent([config], server.llm, defer_tools=True)
                ready = time.monotonic() - started
                listed = sorted(log.read_text().split())
                result = agent.ask("How deep is the harbour, by the file?")
                declared = server.requests[0].request.body["tools"]
            called = [e.name for e in result.trace if isinstance(e, ToolFinished) and e.ok]
            after = log.read_text().split()[len(listed) :]
            print(f"{when}: {len(agent.function_map)} tools ready in {ready:.2f} s")
            print(f"  declared: {[tool['function']['name'] for tool in declared]}")
            print(f"  processes started for the list: {', '.join(listed) or 'none'}")
            print(f"  called: {', '.join(called)}; started for it: {', '.join(after) or 'none'}")


if __name__ == "__main__":
    main()
