"""Two hundred tools, of which the model is told nothing until it searches for one."""

from __future__ import annotations

from qwenbelt import FnCallAgent, FunctionTool, endpoint

UNITS = {"inches": 0.0254, "miles": 1609.344, "furlongs": 201.168, "fathoms": 1.8288}


def converter(unit: str, metres: float) -> FunctionTool:
    def convert(length: float) -> str:
        return f"{length * metres:.2f} m"

    convert.__name__ = f"{unit}_to_metres"
    convert.__doc__ = f"Converts a length in {unit} to metres."
    return FunctionTool(convert, read_only=True)


if __name__ == "__main__":
    units = {**UNITS, **{f"unit{number}": float(number) for number in range(196)}}
    tools = [converter(unit, metres) for unit, metres in units.items()]
    agent = FnCallAgent(tools, llm=endpoint(otherwise=__file__), defer_tools=True)
    result = agent.ask("How long is a race of 8 furlongs?")
    print(result.text)
    called = [event.name for event in result.trace if event.kind == "tool_started"]
    print(f"{len(tools)} tools; called: {', '.join(called)}")
