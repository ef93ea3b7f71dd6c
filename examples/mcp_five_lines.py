"""An agent with MCP servers; the configuration is the one of qwen-agent and most clients."""

from __future__ import annotations

import sys

from qwenbelt.agents import FnCallAgent, endpoint


def main(database: str, question: str) -> None:
    shop = {"command": "qwenbelt", "args": ["mcp", "serve", "sqlite", "--db-path", database]}
    agent = FnCallAgent(llm=endpoint(), function_list=[{"mcpServers": {"shop": shop}}])
    for message in agent.run_nonstream([{"role": "user", "content": question}]):
        print(f"{message['role']}: {message.get('function_call') or message['content']}")


if __name__ == "__main__":
    if len(sys.argv) <= 2:
        sys.exit("usage: python mcp_five_lines.py DATABASE QUESTION")
    main(*sys.argv[1:])
