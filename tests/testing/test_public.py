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


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    """How long the import takes is measured by `benchmarks/scripted_endpoint.py`."""
    code = (
        "import sys, qwenbelt.testing.plugin\n"
        "heavy = {'yaml', 'openai', 'qwen_agent', 'asyncio', 'httpx', 'jsonschema', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"
