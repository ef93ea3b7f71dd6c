"""How many of the needed tools a search brings: the Berkeley pool, and ACEBench where it is given.

    python benchmarks/tool_search.py --berkeley BFCL_EVAL/data [--acebench FOLDER] [--vectors]
                                     [--sample N]

`BFCL_EVAL/data` is in the wheel of `bfcl-eval`; FOLDER holds ACEBench's `data_zh` and `data_en`. A
question counts as answered when all tools that its answer calls are among the first five or ten.
"dev" are the questions by which the weights were chosen, "held out" the others. "twins" counts a
tool as found where another one that does the same is: one whose description or whose name says
the same, but for order, numbers and words that any name may have (get, find, calculate …). The
pool was put together from sets that each have such tools of their own, so no searcher can know
which is meant.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

from qwenbelt.tools.search import ToolIndex
from qwenbelt.tools.search.words import spelled

_SINGLE = ("simple_python", "simple_java", "simple_javascript", "multiple", "parallel")
_LIVE = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
_CATEGORIES = (*_SINGLE, "parallel_multiple", *_LIVE)


class Asked(NamedTuple):
    """A question and the names of the tools that it needs."""

    text: str
    needed: frozenset[str]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def berkeley(data: Path) -> tuple[list[dict[str, Any]], list[Asked]]:
    """Returns all functions, the first of each name, and all questions with an answer."""
    pool: dict[str, dict[str, Any]] = {}
    asked: list[Asked] = []
    for name in _CATEGORIES:
        file = f"BFCL_v4_{name}.json"
        answers = {e["id"]: e["ground_truth"] for e in _lines(data / "possible_answer" / file)}
        for entry in _lines(data / file):
            for function in entry["function"]:
                pool.setdefault(function["name"], function)
            needed = {called for call in answers.get(entry["id"], ()) for called in call}
            words = (m["content"] for m in entry["question"][0] if m["role"] == "user")
            if needed:
                asked.append(Asked(" ".join(words), frozenset(needed)))
    return list(pool.values()), asked


def acebench(data: Path) -> tuple[list[dict[str, Any]], list[Asked]]:
    """Returns the functions and questions of the sets with one dialogue."""
    pool: dict[str, dict[str, Any]] = {}
    found: list[Asked] = []
    for path in sorted(data.glob("data_normal_*.json")):
        answers = {e["id"]: e["ground_truth"] for e in _lines(data / "possible_answer" / path.name)}
        for entry in _lines(path):
            for function in entry["function"]:
                pool.setdefault(function["name"], function)
            if "multi_turn" not in path.name:
                given = answers[entry["id"]]
                calls = given if isinstance(given, list) else [given]
                found.append(Asked(entry["question"], frozenset(n for c in calls for n in c)))
    # the answers number calls of the same function: NAME_1, NAME_2
    asked = [
        Asked(a.text, frozenset(n if n in pool else re.sub(r"_\d+$", "", n) for n in a.needed))
        for a in found
    ]
    return list(pool.values()), [one for one in asked if one.needed <= pool.keys()]


def _held_out(asked: Asked) -> bool:
    return hashlib.md5(asked.text.encode(), usedforsecurity=False).digest()[0] % 2 == 1


_ANY_NAME = frozenset(
    "get find search calculate calc compute fetch retrieve check lookup info details detail list "
    "api service data information".split()
)


def _doings(function: dict[str, Any]) -> set[str]:
    """Returns what a tool does, in its description's words and in those of its name."""
    name = {word.removesuffix("s") for word in spelled(function["name"]).split()}
    said = " ".join(sorted(word for word in name - _ANY_NAME if not word.isdigit()))
    return {f"name: {said}" if said else "", spelled(str(function.get("description")))} - {""}


def _found(needed: frozenset[str], names: list[str], doings: dict[str, set[str]]) -> bool:
    """Returns whether each needed tool or a twin of it is among those found."""
    return all(any(name == one or doings[name] & doings[one] for name in names) for one in needed)


def measure(name: str, pool: list[dict[str, Any]], asked: list[Asked], *, vectors: bool) -> None:
    """Prints one row."""
    started = time.perf_counter()
    index = ToolIndex(pool, vectors=vectors)
    build = time.perf_counter() - started
    started = time.perf_counter()
    index.search(asked[0].text)
    first = time.perf_counter() - started
    hits: dict[str, list[tuple[bool, bool]]] = {
        group: [] for group in ("all", "dev", "held out", "twins", "twins, held out")
    }
    doings = {str(function["name"]): _doings(function) for function in pool}
    for one in asked:
        names = index.search(one.text, 10)
        hit = (one.needed <= set(names[:5]), one.needed <= set(names))
        hits["all"].append(hit)
        hits["held out" if _held_out(one) else "dev"].append(hit)
        twins = (_found(one.needed, names[:5], doings), _found(one.needed, names, doings))
        hits["twins"].append(twins)
        if _held_out(one):
            hits["twins, held out"].append(twins)
    cells = [name, "words and vectors" if vectors else "words", f"{len(pool)}", f"{len(asked)}"]
    for found in hits.values():
        rates = (sum(hit[n] for hit in found) / max(len(found), 1) for n in (0, 1))
        cells.append(" / ".join(f"{rate:.3f}" for rate in rates))
    cells += [f"{build:.2f} s", f"{1000 * first:.1f} ms"]
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall of the tool search.")
    parser.add_argument("--berkeley", type=Path, required=True)
    parser.add_argument("--acebench", type=Path)
    parser.add_argument("--vectors", action="store_true", help="also with the offline embedding")
    parser.add_argument("--sample", type=int, default=0, help="every so many questions only")
    given = parser.parse_args()
    from qwenbelt.agents.runtime.deferred_tools import DeferredTools
    from qwenbelt.agents.runtime.tool_arguments import tool_declaration

    sets = {"Berkeley": berkeley(given.berkeley)}
    if given.acebench:
        for language in ("zh", "en"):
            sets[f"ACEBench {language}"] = acebench(given.acebench / f"data_{language}")
    own = [tool_declaration(tool) for tool in DeferredTools(True).over({}).values()]
    print(f"declared: {len(json.dumps(own)) // 4} tokens, instead of", end=" ")
    print(", ".join(f"{len(json.dumps(pool)) // 4} ({name})" for name, (pool, _) in sets.items()))
    columns = "@5 / @10 | dev | held out | twins | twins, held out | build | first search"
    print(f"| pool | by | tools | questions | {columns} |")
    print("|---" * 11 + "|")
    for name, (pool, asked) in sets.items():
        for vectors in (False, True) if given.vectors else (False,):
            measure(name, pool, asked[:: max(given.sample, 1)], vectors=vectors)


if __name__ == "__main__":
    main()
