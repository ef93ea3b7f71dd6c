"""What DashScope's context cache saves, measured without an endpoint: a scripted one bills."""

from __future__ import annotations

from qwenbelt import FnCallAgent
from qwenbelt.testing import Call, ScriptedLLM, ScriptedServer


def depth(harbour: str) -> str:
    """Returns the depth of a harbour in metres."""
    return f"{harbour}: 12 m"


def talk(cache: str, turns: int = 10) -> float:
    """Returns the price of a conversation as a share of the full price."""
    llm = ScriptedLLM(model="qwen3-max")
    for _ in range(turns):
        llm.turn(calls=[Call("depth", {"harbour": "north"})])
        llm.turn(text="It is 12 metres deep.")
    with ScriptedServer(llm, bill="dashscope") as server:
        spec = {**server.llm, "dialect": "dashscope", "generate_cfg": {"cache": cache}}
        agent = FnCallAgent([depth], spec, "You know all harbours of the coast. " * 300)
        messages = []
        for _ in range(turns):
            messages.append({"role": "user", "content": "How deep is the north harbour?"})
            *_, reply = agent.run(messages)
            messages += reply
        billed = [e.billed for e in server.requests]
    return sum(b.price for b in billed) / sum(b.input for b in billed)


if __name__ == "__main__":
    print(f"without marks, at best: {talk('off'):.2f}; with marks: {talk('auto'):.2f}")
