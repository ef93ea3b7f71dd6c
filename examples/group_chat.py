"""Two of our agents in qwen-agent's own GroupChat, unchanged."""

from __future__ import annotations

from qwen_agent.agents import GroupChat

from qwenbelt.agents import Assistant, endpoint

llm = endpoint(otherwise=__file__)


def member(name: str, description: str) -> Assistant:
    return Assistant(
        llm=llm, name=name, description=description, system_message=f"You are {description}."
    )


if __name__ == "__main__":
    agents = [member("Writer", "a writer"), member("Critic", "a critic")]
    chat = GroupChat(agents=agents, agent_selection_method="round_robin", llm=llm)
    messages = [{"role": "user", "name": "user", "content": "A line about the sea, please."}]
    for _ in range(2):
        *_, replies = chat.run(messages=messages)
        messages += replies
    for message in messages:
        print(f"{message['name']}: {message['content']}")
