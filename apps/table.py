"""The commands of the command line, by name: where each lives and its line in the help.

A command's module is imported only when the command is known, so that `qwenbelt --help` stays
quick. A command whose module is not there is not listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CommandTarget:
    """A command that lives elsewhere, or a group of such commands.

    Attributes:
        english: its line in the help.
        chinese: the same in Chinese.
        home: "module:attribute" below `qwenbelt.apps.commands`; empty for a group of `members`.
        members: the group's commands by name.
        otherwise: the member that gets words which begin with no command's name.
    """

    english: str
    chinese: str
    home: str = ""
    members: Mapping[str, CommandTarget] = field(default_factory=dict)
    otherwise: str = ""


TRACE = {
    "show": CommandTarget(
        "Draw the lanes of a run: what ran side by side, and for how long.",
        "画出一次运行的泳道：哪些调用并行、各用了多久。",
        "trace:show",
    ),
    "to-scenario": CommandTarget(
        "Turn a trace into a scenario that the scripted endpoint plays.",
        "把运行记录转成脚本端点可以播放的场景。",
        "testing_commands:to_scenario",
    ),
    "export": CommandTarget(
        "Make training data of runs: openai, sharegpt or dpo.",
        "把运行记录转成训练数据：openai、sharegpt 或 dpo。",
        "trace_export:export",
    ),
}

STORE = {
    "dump": CommandTarget(
        "Write all of a store to a file.", "将存储的全部内容写入文件。", "store:dump"
    ),
    "restore": CommandTarget("Read a dump into a store.", "将导出文件读入存储。", "store:restore"),
}
SCHEDULE = {
    "add": CommandTarget(
        'Schedule a command; the word "add" may be left out.',
        "添加一条定时命令；“add”可以省略。",
        "schedule:add",
    ),
    "list": CommandTarget(
        "When each runs next, and how it went last time.",
        "列出每条命令的下次运行时间和上次结果。",
        "schedule:list_schedules",
    ),
    "start": CommandTarget(
        "Run what is due until this is stopped.",
        "运行到期的命令，直到停止本程序。",
        "schedule:start",
    ),
    "now": CommandTarget("Run one once now.", "立即运行一次。", "schedule:now"),
    "pause": CommandTarget("Leave one out for now.", "暂停一条定时命令。", "schedule:pause"),
    "resume": CommandTarget(
        "Go on with a paused one.", "恢复已暂停的定时命令。", "schedule:resume"
    ),
    "remove": CommandTarget("Remove one.", "删除一条定时命令。", "schedule:remove"),
}
COMMANDS: dict[str, CommandTarget] = {
    "demo": CommandTarget(
        "The main job on a bundled PDF; needs no key and no server.",
        "用内置 PDF 演示主要工作，无需密钥和服务器。",
        "report:demo",
    ),
    "report": CommandTarget(
        "Ask about your files; get a report with citations and figures.",
        "就您的文件提问，得到带引用和图表的报告。",
        "report:report",
    ),
    "research": CommandTarget(
        "Plan, let searchers look side by side, get a cited report.",
        "先定计划，多个检索者并行查找，得到带引用的报告。",
        "research:research",
    ),
    "run": CommandTarget("Ask an agent one question.", "向智能体提一个问题。", "run:run"),
    "approve": CommandTarget(
        "Allow calls that durable runs wait for.", "批准持久运行所等待的调用。", "approve:approve"
    ),
    "chat": CommandTarget("Chat in the terminal.", "在终端里聊天。", "chat:chat"),
    "gui": CommandTarget("Chat in the browser.", "在浏览器里聊天。", "gui:gui"),
    "serve": CommandTarget(
        "Serve an agent as an OpenAI-compatible endpoint.",
        "把智能体作为 OpenAI 兼容端点提供服务。",
        "serve:serve",
    ),
    "schedule": CommandTarget(
        'Run commands by the clock: schedule "every Monday 8:00" run …',
        '按时间定期运行命令：schedule "每周一 8:00" run …',
        members=SCHEDULE,
        otherwise="add",
    ),
    "store": CommandTarget(
        "Back up what sessions and servers keep, and restore it.",
        "备份会话和服务器保存的内容，或将其恢复。",
        members=STORE,
    ),
    "agents": CommandTarget(
        "Agents of your own, one a file: list, show.",
        "您自己的智能体，每个一个文件：列出、查看。",
        "agents:agents",
    ),
    "tools": CommandTarget(
        "List, show and call tools without a model.",
        "不用模型，直接列出、查看和调用工具。",
        "tools:tools",
    ),
    "skills": CommandTarget(
        "Skills: list, show, lint, new.",
        "技能：列出、查看、检查、新建。",
        "skills:skills",
    ),
    "docs": CommandTarget(
        "Index and search documents without a model.",
        "不用模型，建立文档索引并检索。",
        "docs:docs",
    ),
    "mcp": CommandTarget(
        "Run MCP servers, and look at others.", "运行或查看 MCP 服务器。", "mcp.group:mcp"
    ),
    "inspect": CommandTarget(
        "Safety inspection of pictures.", "对图片做安全巡检。", "inspect:inspect"
    ),
    "label": CommandTarget(
        "Label pictures by a vision model's vote.",
        "由视觉模型投票为图片打标签。",
        "label:label",
    ),
    "review": CommandTarget(
        "Check by hand what inspect or label found.", "人工复核巡检或标注的结果。", "review:review"
    ),
    "probe": CommandTarget(
        "Has a model seen these problems before? A contamination probe.",
        "检测模型是否见过这些题目（数据污染探测）。",
        "probe:probe",
    ),
    "batch": CommandTarget(
        "Many runs; goes on where it was when killed.",
        "批量运行，中断后可从断点继续。",
        "batch:batch",
    ),
    "eval": CommandTarget(
        "Benchmarks and sets of your own, graded by code.",
        "运行基准测试或自己的题集，由代码评分。",
        "eval:evaluation",
    ),
    "mock": CommandTarget(
        "Serve a scenario as a scripted endpoint.",
        "把场景作为脚本端点提供服务。",
        "testing_commands:mock",
    ),
    "record": CommandTarget(
        "Record a real endpoint to a cassette.",
        "把真实端点的往来录制下来。",
        "testing_commands:record",
    ),
    "replay": CommandTarget(
        "Serve a recorded cassette as an endpoint.",
        "把录制的往来作为端点重放。",
        "testing_commands:replay",
    ),
    "model": CommandTarget(
        "Model files for the embedded engine: list, pull, rm.",
        "内嵌引擎的模型文件：列出、下载、删除。",
        "model:model",
    ),
    "trace": CommandTarget("Look at the trace of a run.", "查看运行记录。", members=TRACE),
    "new": CommandTarget(
        "Make a small project: an agent, its test, and a CI file.",
        "新建一个小项目：智能体、测试和 CI 文件。",
        "new:new",
    ),
    "completion": CommandTarget(
        "Let the Tab key complete qwenbelt in bash, zsh or fish.",
        "让 bash、zsh 或 fish 用 Tab 键补全 qwenbelt。",
        "completion:completion",
    ),
    "doctor": CommandTarget(
        "What works here, and what fixes the rest.",
        "检查本机环境，并给出修复命令。",
        "doctor:doctor",
    ),
}
