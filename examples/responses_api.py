"""The Responses API: the same agent, and a second turn that sends only what is new."""

from __future__ import annotations

from qwenbelt import FnCallAgent
from qwenbelt.testing import Call, ScriptedLLM, ScriptedServer


def depth(harbour: str) -> str:
    """Returns the depth of a harbour in metres."""
    return f"{harbour}: 12 m"


def items_sent() -> list[int]:
    """Returns how many items each request of two turns carried."""
    llm = ScriptedLLM(model="qwen3-max")
    llm.turn(calls=[Call("depth", {"harbour": "north"})])
    llm.turn(text="It is 12 metres deep.")
    llm.turn(text="You are welcome.")
    with ScriptedServer(llm) as server:
        spec = {**server.llm, "dialect": "dashscope", "generate_cfg": {"api": "responses"}}
        agent = FnCallAgent([depth], spec)
        messages = [{"role": "user", "content": "How deep is the north harbour?"}]
        *_, reply = agent.run(messages)
        list(agent.run([*messages, *reply, {"role": "user", "content": "Thanks."}]))
        return [len(exchange.sent["input"]) for exchange in server.requests if exchange.sent]


if __name__ == "__main__":
    print("Items in each request:", items_sent())
