"""The public face: complete, lazy, and quick to import."""

import subprocess
import sys
import types

import pytest

import qwenbelt.testing


def test_every_name_is_there_and_no_name_hides_a_module() -> None:
    for name in qwenbelt.testing.__all__:
        assert not isinstance(getattr(qwenbelt.testing, name), types.ModuleType)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = qwenbelt.testing.nothing


def test_importing_the_plugin_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import time, sys\nt = time.perf_counter()\nimport qwenbelt.testing.plugin\n"
        "print(time.perf_counter() - t)\n"
        "heavy = {'yaml', 'openai', 'qwen_agent', 'asyncio', 'httpx', 'jsonschema'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    best, loaded = 9.9, ""
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        seconds, loaded = done.stdout.splitlines()
        best = min(best, float(seconds))
    assert loaded == "[]"
    assert best < 0.005
