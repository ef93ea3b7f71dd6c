"""A conversation in a file: run this twice, and the second run knows what the first was told."""

from __future__ import annotations

from qwenbelt import FnCallAgent, Session, endpoint

if __name__ == "__main__":
    agent = FnCallAgent(llm=endpoint(otherwise=__file__))
    session = Session("chats.db", "anna")
    question = "Who am I?" if session.history else "I am Anna."
    print(agent.ask(question, session=session).text)
    print(f"turns so far: {len(session.turns)}")

    fork = session.fork(at=1)  # another way to go on; the session itself stays as it is
    agent.ask("Call me Ann.", session=fork)
    print(f"{fork.name} has {len(fork.turns)} turns")
    print(f"written: {session.export('anna.md').name}")
