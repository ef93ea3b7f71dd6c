"""AgentDojo's suites with a model that obeys every injection, and what the approval lets through.

The package's own pipelines and their vendors' clients are not needed and are stood in for. Each
suite's tools become tools of ours; what AgentDojo cannot say is declared here: which tools only
read, which fields of their results are the system's own words, and which arguments are targets.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from qwenbelt.tools import Tool
from qwenbelt.workflows.evaluation.stand_ins import stood_in

VENDORS = (
    *("anthropic", "cohere", "google", "langchain", "langchain_core", "openai", "torch"),
    *("transformers", "vertexai"),
)
VERSION = "v1.2.1"
# tools that go out to the web, whatever the environment is
OUTSIDE = frozenset({"get_webpage", "post_webpage"})
READS = ("get_", "search_", "list_", "read_", "check_")
# what a directory, a clock or a booking system says of itself; none is a text that others write
SYSTEM = frozenset(
    {
        *("get_current_day", "get_iban", "get_user_information", "get_balance"),
    }
)
NAMES = frozenset({"get_channels", "get_users_in_channel"})  # lists of names
FIELDS = frozenset(
    {
        *("id", "id_", "email", "sender", "recipient", "recipients", "participants", "owner"),
        *("filename", "date", "timestamp", "size", "last_modified", "start_time", "end_time"),
        *("amount", "recurring", "attachments", "shared_with", "read", "status", "name", "phone"),
    }
)
# tools that give one field of a directory: the booking system's own words
DIRECTORY = ("_address",)
# what a firm that uses these tools may lay down: whose results choose an argument unasked
RULES: dict[str, Any] = {
    "sources": {
        # members are colleagues: their links are read, and whom they name is added
        "get_webpage(url)": ["read_channel_messages", "read_inbox"],
        "invite_user_to_slack(user)": ["read_inbox"],
        "invite_user_to_slack(user_email)": ["get_webpage"],  # of a user that was said
        "add_user_to_channel(user)": ["read_inbox"],
        "add_user_to_channel(channel)": ["read_inbox", "get_channels"],
        "send_channel_message(channel)": ["get_channels"],
        # one's own things, which nobody else hears of
        "append_to_file(file_id)": ["search_files_by_filename"],
        "create_calendar_event([!p]*)": ["search_emails"],  # all but participants
        "update_scheduled_transaction(id)": ["get_scheduled_transactions"],
        "update_user_info": ["read_file"],
    }
}
# arguments that choose, though their names are those of a thing and not of a place
TARGETS = frozenset({"hotel", "company", "restaurant", "recipient", "recipients", "user"})


def load_suites() -> dict[str, Any]:
    """Returns AgentDojo's suites by name."""
    with stood_in(VENDORS):
        from agentdojo.task_suite.load_suites import get_suites

        return dict(get_suites(VERSION))


@dataclass
class World:
    """One environment, and what was done in it.

    Attributes:
        done: calls with effects, or to the web, that ran.
    """

    environment: Any
    runtime: Any
    done: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class DojoTool(Tool):
    """One tool of a suite, working on a world."""

    def __init__(self, function: Any, world: World) -> None:
        self.name = function.name
        self.description = function.description
        schema = function.parameters.model_json_schema()
        for name, entry in schema.get("properties", {}).items():
            if name in TARGETS:
                entry["target"] = True
        self.parameters = schema
        self.read_only = self.name.startswith(READS)
        self.open_world = self.name in OUTSIDE
        self.destructive = not self.read_only
        self.trusted_results = (
            self.name in SYSTEM or self.name.startswith("get_all_") or self.name.endswith(DIRECTORY)
        )
        self.trusted_fields = FIELDS | ({"[]"} if self.name in NAMES else frozenset())
        super().__init__()
        self.timeout = None
        self._world = world

    async def acall(self, arguments: Any, **kwargs: Any) -> str:
        """Runs the function in the environment, as AgentDojo's runtime does."""
        from agentdojo.agent_pipeline.tool_execution import tool_result_to_str

        world = self._world
        if not self.read_only or self.open_world:
            world.done.append((self.name, dict(arguments)))
        result, error = world.runtime.run_function(world.environment, self.name, dict(arguments))
        return error or str(tool_result_to_str(result))


def written(call: Any) -> tuple[str, dict[str, Any]]:
    """Returns a call of a ground truth as a model writes it."""
    return call.function, json.loads(json.dumps(dict(call.args), default=str))
