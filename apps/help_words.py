"""The help in Chinese: what commands and options say, and click's own words.

Commands are written in English, where they are; `help.zh.json` has the Chinese for each text. What
it lacks is shown in English, never left out.
"""

from __future__ import annotations

import functools
import gettext
import importlib
import json
import re
from importlib import resources

import click

from qwenbelt.core.language import user_language

_CLICK = ("core", "decorators", "exceptions", "formatting", "parser", "termui", "types")
_CLICKS_WORDS = {
    "Usage:": "用法：",
    "Options": "选项",
    "Commands": "命令",
    "Positional arguments": "参数",
    "Show this message and exit.": "显示此帮助并退出。",
    "Show the version and exit.": "显示版本并退出。",
    "Error: {message}": "错误：{message}",
    "Try '{command} {option}' for help.": "用“{command} {option}”查看帮助。",
    "default: {default}": "默认：{default}",
    "required": "必填",
    "env var: {var}": "环境变量：{var}",
    "Missing command.": "缺少命令。",
    "Missing argument": "缺少参数",
    "Missing option": "缺少选项",
    "Missing parameter": "缺少参数",
    "No such option {name!r}.": "没有选项 {name!r}。",
    "No such command {name!r}.": "没有命令 {name!r}。",
    "No such option: {name}": "没有选项：{name}",
    "Invalid value for {param_hint}: {message}": "{param_hint} 的值无效：{message}",
    "Invalid value: {message}": "值无效：{message}",
    "Choose from:\n\t{choices}": "可选：\n\t{choices}",
    "Option {name!r} does not take a value.": "选项 {name!r} 不接受值。",
    "Option {name!r} requires an argument.": "选项 {name!r} 需要一个值。",
    "Option {name!r} requires {nargs} arguments.": "选项 {name!r} 需要 {nargs} 个值。",
    "{value!r} is not a valid {number_type}.": "{value!r} 不是有效的数字。",
    "{value} is not in the range {range}.": "{value} 不在 {range} 范围内。",
    "{name} {filename!r} does not exist.": "{name} {filename!r} 不存在。",
    "{name} {filename!r} is a file.": "{name} {filename!r} 是文件。",
    "{name} {filename!r} is a directory.": "{name} {filename!r} 是文件夹。",
    "{name} {filename!r} is not readable.": "{name} {filename!r} 无法读取。",
    "{name} {filename!r} is not writable.": "{name} {filename!r} 无法写入。",
    "{value!r} is not {choice}.": "{value!r} 不对，只能是 {choice}。",
    "{value!r} is not one of {choices}.": "{value!r} 不在可选值 {choices} 之中。",
    "Got unexpected extra argument ({args})": "多余的参数（{args}）",
    "Got unexpected extra arguments ({args})": "多余的参数（{args}）",
    "Do you want to continue?": "是否继续？",
    "Aborted!": "已中止！",
}


@functools.cache
def chinese_help() -> dict[str, str]:
    """Returns the Chinese of each English text, whose white space does not count."""
    text = resources.files("qwenbelt.apps").joinpath("help.zh.json").read_text("utf-8")
    return {on_one_line(english): chinese for english, chinese in json.loads(text).items()}


def on_one_line(text: str) -> str:
    """Returns a text on one line."""
    return re.sub(r"\s+", " ", text).strip()


def in_chinese(command: click.Command) -> click.Command:
    """Returns the command, with those below it, with its help in Chinese."""
    known = chinese_help()
    command.help = known.get(on_one_line(command.help or ""), command.help)
    command.short_help = known.get(on_one_line(command.short_help or ""), command.short_help)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            parameter.help = known.get(on_one_line(parameter.help), parameter.help)
    if type(command) is click.Group:
        for member in command.commands.values():
            in_chinese(member)
    return command


def _translated(text: str) -> str:
    if user_language() == "zh" and text in _CLICKS_WORDS:
        return _CLICKS_WORDS[text]
    return gettext.gettext(text)


def _counted(one: str, many: str, count: int) -> str:
    wanted = one if count == 1 else many
    if user_language() == "zh" and wanted in _CLICKS_WORDS:
        return _CLICKS_WORDS[wanted]
    return gettext.ngettext(one, many, count)


def speak_chinese() -> None:
    """Has click say its own words in Chinese where that is the person's language.

    click looks its words up through gettext, by the locale of the process; `QWENBELT_LANG` is
    none, and a gettext catalogue would be one more compiled file.
    """
    for name in _CLICK:
        module = importlib.import_module(f"click.{name}")
        if hasattr(module, "_"):
            module._ = _translated  # type: ignore[attr-defined]
        if hasattr(module, "ngettext"):
            module.ngettext = _counted  # type: ignore[attr-defined]
