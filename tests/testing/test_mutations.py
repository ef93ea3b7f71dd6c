"""Seeded faults in an agent: the kit's checks catch each, and none when there is no fault.

The agent here is small, right, and made of steps; each fault changes one step.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from qwenbelt.core.events import (
    Done,
    ModelFinished,
    ModelStarted,
    Notice,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolCallReady,
    ToolFinished,
    ToolStarted,
)
from qwenbelt.core.trace import TraceWriter
from qwenbelt.testing import (
    Check,
    CheckFailed,
    Scenario,
    ScriptedServer,
    all_ok,
    answer,
    append_only,
    budget,
    calls,
    citations,
    contains,
    delivered,
    ended,
    every,
    never,
    no,
    no_repeats,
    no_secrets,
    overlapped,
    record,
    tool,
)

KEY = "sk-0123456789abcdefghijKLMN"
SYSTEM = "You answer with citations."
PASSAGE = "[1] steel.pdf p.3\nThe mean tensile strength was 405 MPa.\n[2] steel.pdf p.7\nOther."
PICTURE = "data:image/png;base64,iVBORw0KGgo="


class Call:
    """A call that the model made."""

    def __init__(self, call_id: str, name: str, text: str) -> None:
        self.id, self.name, self.text = call_id, name, text
        self.sealed = time.monotonic()
        self.result = ""
        self.ok = True


def schema(name: str, **properties: str) -> dict[str, Any]:
    fields = {key: {"type": kind} for key, kind in properties.items()}
    parameters = {"type": "object", "properties": fields, "required": list(fields)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


class Agent:
    """A right agent: parallel calls, strict history, retries, citations kept."""

    model = "scripted"
    pool = 8
    together: threading.Barrier | None = None

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(timeout=60)

    # -- steps that faults change --------------------------------------------------------------

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEY}"}

    def tools(self, turn: int) -> list[Any]:
        return [
            schema("passages", query="string"),
            schema("adder", a="number", b="number"),
            schema("write_file", path="string"),
        ]

    def body(self, messages: list[Any], turn: int) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": messages,
            "tools": self.tools(turn),
            "stream": True,
            "temperature": 0,
        }

    def first(self, question: str) -> list[Any]:
        picture = {"type": "image_url", "image_url": {"url": PICTURE}}
        content = [{"type": "text", "text": question}, picture]
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]

    def retry(self, attempt: int) -> bool:
        return attempt < 3

    def slot(self, part: dict[str, Any], slots: dict[Any, Any]) -> Any:
        return part["index"]

    def run_tool(self, call: Call) -> str:
        if self.together is not None:  # on a busy machine, too, calls that can overlap do
            with contextlib.suppress(threading.BrokenBarrierError):
                self.together.wait(1)
        time.sleep(0.03)
        if call.name == "passages":
            return PASSAGE
        values = json.loads(call.text)
        return f"sum {values['a'] + values['b']}"

    def run_calls(self, made: list[Call]) -> None:
        self.together = threading.Barrier(max(1, len(made)))
        with ThreadPoolExecutor(self.pool) as pool:
            list(pool.map(self.run_one, made))

    def assistant(self, made: list[Call], text: str) -> dict[str, Any]:
        entries = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.text}}
            for c in made
        ]
        return {"role": "assistant", "content": text or None, "tool_calls": entries}

    def answers(self, made: list[Call]) -> list[Any]:
        return [{"role": "tool", "tool_call_id": c.id, "content": c.result} for c in made]

    def chosen(self, made: list[Call]) -> list[Call]:
        return made

    def final(self, text: str, thoughts: str) -> str:
        return text

    def between(self, messages: list[Any], turn: int) -> list[Any]:
        return messages

    def after(self, messages: list[Any], text: str) -> None:
        """Nothing follows the answer."""

    # -- the loop ------------------------------------------------------------------------------

    def stream(self) -> None:
        """Marks it as an agent that writes traces."""

    def run_nonstream(self, messages: list[Any], trace: TraceWriter) -> list[Any]:
        self.trace = trace
        history = self.first(messages[-1]["content"])
        trace.write(RunStarted("r", "small", self.model, self.url, (), list(history)))
        for turn in range(1, 8):
            trace.write(ModelStarted(turn, time.monotonic()))
            found = self.ask(self.body(self.between(history, turn), turn))
            if found is None:
                trace.write(Done("error", ""))
                return []
            text, thoughts, made = found
            now = time.monotonic()
            trace.write(ModelFinished(turn, now, now, now, "stop"))
            trace.write(ThinkingDelta(thoughts))
            trace.write(TextDelta(text))
            if not made:
                said = self.final(text, thoughts)
                trace.write(Done("answer", said))
                self.after(history, said)
                return [{"role": "assistant", "content": said}]
            made = self.chosen(made)
            for call in made:
                trace.write(ToolCallReady(call.id, call.name, call.text, call.sealed))
            self.run_calls(made)
            history = [*history, self.assistant(made, text), *self.answers(made)]
        trace.write(Done("model_calls", ""))
        return []

    def run_one(self, call: Call) -> None:
        started = time.monotonic()
        self.trace.write(ToolStarted(call.id, call.name, started))
        try:
            call.result = self.run_tool(call)
        except Exception as error:  # a tool may raise anything; the model gets one line
            call.ok, call.result = False, f"failed: {error}"
        self.trace.write(
            ToolFinished(
                call.id, call.name, call.sealed, started, time.monotonic(), call.ok, False,
                call.result,
            )
        )  # fmt: skip

    def ask(self, body: dict[str, Any]) -> tuple[str, str, list[Call]] | None:
        for attempt in range(9):
            reply = self.client.post(
                self.url + "/chat/completions", json=body, headers=self.headers()
            )
            if reply.status_code == 200:
                return self.read(reply.text)
            if reply.status_code < 429 or not self.retry(attempt):
                return None
        return None

    def read(self, text: str) -> tuple[str, str, list[Call]]:
        said = thoughts = ""
        slots: dict[Any, Any] = {}
        for line in text.splitlines():
            if not line.startswith("data: {"):
                continue
            delta = json.loads(line[6:])["choices"][0]["delta"]
            said += delta.get("content") or ""
            thoughts += delta.get("reasoning_content") or ""
            for part in delta.get("tool_calls") or ():
                slot = slots.setdefault(self.slot(part, slots), {"id": "", "name": "", "text": ""})
                slot["id"] = slot["id"] or part.get("id", "")
                slot["name"] += part["function"].get("name") or ""
                slot["text"] += part["function"].get("arguments") or ""
        return said, thoughts, [Call(s["id"], s["name"], s["text"]) for s in slots.values()]


# -- the scenario and its checks -----------------------------------------------------------------


def scenario() -> Scenario:
    asks = {
        "system": SYSTEM,
        "tools": ["passages", "adder", "write_file"],
        "request": {"seed": {"absent": True}, "temperature": 0, "model": "scripted"},
        "images": 1,
    }
    script = Scenario("How strong?", api_key=KEY)
    script.turn(
        calls=[
            ("passages", {"query": "strength"}),
            ("adder", {"a": 400, "b": 5}),
            ("adder", {"a": 1, "b": 1}),
        ],
        think="All at once.",
        expect=asks,
        faults={"status": 429, "retry_after": 0},
        wire={"interleave": True, "chunk": 5},
    )
    brought = {"passages": {"contains": "405 MPa"}, "adder": ["sum 405", "sum 2"]}
    script.turn(calls=[("adder", {"a": 2, "b": 3})], expect={**asks, "results": brought})
    return script.answer(
        'The "mean tensile strength was 405 MPa" [1], and 2 + 3 is 5.',
        think="They agree.",
        expect={**asks, "results": {"adder": "sum 5"}},
    )


def checks() -> list[Check]:
    add = tool("adder", a=2)
    return [
        calls("passages", "adder", "adder", "adder", mode="unordered"),
        {tool("passages"), tool("adder", a=400), tool("adder", a=1)} >> add,
        overlapped("passages", "adder", "adder"),
        never("write_file"),
        answer(every(contains("405", "[1]"), no(contains("They agree")))),
        citations(),
        delivered(),
        append_only(),
        no_repeats(),
        no_secrets(KEY),
        all_ok(),
        ended(),
        budget(turns=3, calls=4, seconds=2, connections=1),
    ]


def problems(agent_class: type[Agent]) -> str:
    """Plays the scenario with an agent and returns what the kit finds."""
    found = []
    with ScriptedServer(scenario()) as server:
        agent = agent_class(server.url)
        run = record(agent, "How strong?", server=server)
        agent.client.close()
        for check in (server.assert_complete, lambda: run.check(*checks())):
            try:
                check()
            except CheckFailed as error:
                found.append(str(error))
    return "\n".join(found)


# -- the faults ----------------------------------------------------------------------------------

FAULTS: dict[str, tuple[type[Agent], str]] = {}


def fault(told: str) -> Callable[[type[Agent]], type[Agent]]:
    def add(mutant: type[Agent]) -> type[Agent]:
        FAULTS[mutant.__name__] = (mutant, told)
        return mutant

    return add


@fault("history has no call call_t1_3")
class DropsACall(Agent):
    def chosen(self, made: list[Call]) -> list[Call]:
        return made[:2]


@fault("the call call_t1_3 of adder has no tool message")
class DropsAResult(Agent):
    def answers(self, made: list[Call]) -> list[Any]:
        return super().answers(made[:2])


@fault("the result of passages: '405 MPa' is not in 'sum 405'")
class SwapsResults(Agent):
    def answers(self, made: list[Call]) -> list[Any]:
        if len(made) > 1:
            made[0].result, made[1].result = made[1].result, made[0].result
        return super().answers(made)


@fault("but the model got 'sum 405!'")
class ChangesAResult(Agent):
    def answers(self, made: list[Call]) -> list[Any]:
        sent = super().answers(made)
        for message in sent:
            if message["content"] == "sum 5":
                message["content"] = "sum 5 "
            message["content"] = message["content"].replace("sum 405", "sum 405!")
        return sent


@fault("did not run at the same time")
class RunsOneAfterAnother(Agent):
    def run_calls(self, made: list[Call]) -> None:
        for call in made:
            self.run_one(call)


@fault("was not expected")
class RunsACallTwice(Agent):
    def run_calls(self, made: list[Call]) -> None:
        again = Call(made[0].id + "x", made[0].name, made[0].text)
        self.trace.write(ToolCallReady(again.id, again.name, again.text, again.sealed))
        super().run_calls([*made, again])


@fault("repeats the call of turn 1")
class RunsACallAgainLater(Agent):
    def between(self, messages: list[Any], turn: int) -> list[Any]:
        if turn == 3:
            again = Call("again", "passages", '{"query": "strength"}')
            self.trace.write(ToolCallReady(again.id, again.name, again.text, again.sealed))
            self.run_one(again)
        return messages


@fault("a request beyond the last of 3 turns")
class AsksAfterTheAnswer(Agent):
    def after(self, messages: list[Any], text: str) -> None:
        more = [*messages, {"role": "assistant", "content": text}]
        self.ask(self.body([*more, {"role": "user", "content": "Are you sure?"}], 4))


@fault("turn 2 was never asked for (2 turns left)")
class StopsEarly(Agent):
    def run_calls(self, made: list[Call]) -> None:
        super().run_calls(made)
        self.ask = lambda body: None  # type: ignore[method-assign]


@fault("the answer has 0 citations")
class LosesCitations(Agent):
    def final(self, text: str, thoughts: str) -> str:
        return text.replace(" [1]", "")


@fault("the answer cites [7], which no tool gave")
class InventsACitation(Agent):
    def final(self, text: str, thoughts: str) -> str:
        return text + " See [7]."


@fault("does not stand in [2]")
class CitesTheWrongPassage(Agent):
    def final(self, text: str, thoughts: str) -> str:
        return text.replace("[1]", "[2]") + " [1]"


@fault("the answer: '405' is not in")
class LosesTheAnswersEnd(Agent):
    def final(self, text: str, thoughts: str) -> str:
        return text[:20]


@fault("should not be contains 'They agree'")
class TellsItsThoughts(Agent):
    def final(self, text: str, thoughts: str) -> str:
        return thoughts + text


@fault("has a key in the header 'x-debug'")
class LeaksTheKeyInAHeader(Agent):
    def headers(self) -> dict[str, str]:
        return {**super().headers(), "X-Debug": f"key={KEY}"}


@fault("has a key in its body")
class LeaksTheKeyInTheBody(Agent):
    def body(self, messages: list[Any], turn: int) -> dict[str, Any]:
        return {**super().body(messages, turn), "user": KEY}


@fault("the trace has a key in an event 'notice'")
class LeaksTheKeyInTheTrace(Agent):
    def final(self, text: str, thoughts: str) -> str:
        self.trace.write(Notice(f"done with {KEY}"))
        return text


@fault("the system message: '' is not 'You answer with citations.'")
class ForgetsTheSystemMessage(Agent):
    def first(self, question: str) -> list[Any]:
        return super().first(question)[1:]


@fault("turn 2 waits for the results of passages (call_t1_1)")
class ForgetsTheHistory(Agent):
    def between(self, messages: list[Any], turn: int) -> list[Any]:
        return messages[:2]


@fault("pictures: 0 is not 1")
class DropsThePicture(Agent):
    def first(self, question: str) -> list[Any]:
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


@fault("changed messages[1]")
class RewritesTheQuestion(Agent):
    def between(self, messages: list[Any], turn: int) -> list[Any]:
        question = {**messages[1], "content": [*messages[1]["content"][::-1]]}
        return [messages[0], question, *messages[2:]] if turn > 1 else messages


@fault("`seed` is sent: 7")
class SendsASeed(Agent):
    def body(self, messages: list[Any], turn: int) -> dict[str, Any]:
        return {**super().body(messages, turn), "seed": 7}


@fault("`temperature`: 1 is not 0")
class ChangesTheTemperature(Agent):
    def body(self, messages: list[Any], turn: int) -> dict[str, Any]:
        return {**super().body(messages, turn), "temperature": 1}


@fault("`model`: 'other' is not 'scripted'")
class AsksAnotherModel(Agent):
    model = "other"


@fault("answers no open call")
class AnswersByName(Agent):
    def answers(self, made: list[Call]) -> list[Any]:
        return [
            {**m, "tool_call_id": c.name} for m, c in zip(super().answers(made), made, strict=True)
        ]


@fault("must be JSON text")
class SendsArgumentsAsAnObject(Agent):
    def assistant(self, made: list[Call], text: str) -> dict[str, Any]:
        message = super().assistant(made, text)
        for entry in message["tool_calls"]:
            entry["function"]["arguments"] = json.loads(entry["function"]["arguments"])
        return message


@fault("unknown key 'extra' in a message of role tool")
class SendsUnknownKeys(Agent):
    def answers(self, made: list[Call]) -> list[Any]:
        return [{**message, "extra": {}} for message in super().answers(made)]


@fault("the tool passages is not offered")
class OffersToolsOnce(Agent):
    def tools(self, turn: int) -> list[Any]:
        return super().tools(turn) if turn == 1 else super().tools(turn)[1:]


@fault("requires 'limit', which is not among its properties")
class BreaksASchema(Agent):
    def tools(self, turn: int) -> list[Any]:
        made = super().tools(turn)
        made[0]["function"]["parameters"]["required"].append("limit")
        return made


@fault("the run ended with 'error'")
class NeverTriesAgain(Agent):
    def retry(self, attempt: int) -> bool:
        return False


@fault("are not JSON")
class GluesInterleavedCalls(Agent):
    def slot(self, part: dict[str, Any], slots: dict[Any, Any]) -> Any:
        return part.get("id") or next(reversed(slots))


@fault("write_file must never be called")
class ObeysADocument(Agent):
    def run_calls(self, made: list[Call]) -> None:
        super().run_calls(made)
        if made[0].name == "passages":
            other = Call("x", "write_file", '{"path": "/etc/motd"}')
            self.trace.write(ToolCallReady(other.id, other.name, other.text, other.sealed))


@fault("failed: 'failed: too busy'")
class FailsACall(Agent):
    def run_tool(self, call: Call) -> str:
        if "400" in call.text:
            raise RuntimeError("too busy")
        return super().run_tool(call)


@fault("over budget")
class IsSlow(Agent):
    def between(self, messages: list[Any], turn: int) -> list[Any]:
        time.sleep(0.8)
        return messages


@fault("over budget: 4 connections, at most 1")
class ConnectsEveryTime(Agent):
    def headers(self) -> dict[str, str]:
        return {**super().headers(), "Connection": "close"}


@fault("the result of adder: 'sum 401' is not 'sum 405'")
class MixesUpArguments(Agent):
    def run_calls(self, made: list[Call]) -> None:
        mixed = made[-1].text
        super().run_calls(made)
        if len(made) > 1:
            made[1].result = f"sum {400 + json.loads(mixed)['b']}"


@fault("does not hold")
class StartsTooEarly(Agent):
    def run_one(self, call: Call) -> None:
        if '"a": 1' in call.text:
            early = Call("call_t2_1", "adder", '{"a": 2, "b": 3}')
            self.trace.write(ToolCallReady(early.id, early.name, early.text, early.sealed))
            self.early = threading.Thread(target=super().run_one, args=(early,))
            self.early.start()
        super().run_one(call)

    def run_calls(self, made: list[Call]) -> None:
        if made[0].id == "call_t2_1":
            self.early.join()
            made[0].result = "sum 5"
            return
        super().run_calls(made)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_seeded_fault_is_caught_and_named(name: str) -> None:
    mutant, told = FAULTS[name]
    assert told in problems(mutant)


def test_the_right_agent_passes_every_time() -> None:
    assert [problems(Agent) for _ in range(5)] == [""] * 5


def test_there_are_thirty_faults() -> None:
    assert len(FAULTS) >= 30
