"""Texts of the code interpreter, in English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from qwenbelt.core.texts import Texts

Language = Literal["en", "zh"]
MOST_TROUBLES = 5

_TEXTS = {
    "stderr": ("Standard error:", "标准错误："),
    "value": ("Value:", "值："),
    "error": ("Error:", "错误："),
    "nothing": ("Done; nothing was printed.", "已完成，没有输出。"),
    "restarted": (
        "The session was restarted; variables and imports are gone, files are kept.",
        "会话已重启；变量和导入已清空，文件保留。",
    ),
    "timeout": (
        "The time limit of {seconds:g} s was reached and the code was stopped. "
        "Variables and imports are kept.",
        "已达到 {seconds:g} 秒的时间限制，代码已停止。变量和导入保留。",
    ),
    "timeout_lost": (
        "The time limit of {seconds:g} s was reached and the code could not be interrupted, "
        "so the session was ended: variables and imports are gone, files are kept. "
        "The next call starts in a fresh session.",
        "已达到 {seconds:g} 秒的时间限制且代码无法中断，会话已结束：变量和导入已清空，文件保留。"
        "下次调用将从新会话开始。",
    ),
    "crashed": (
        "The session crashed ({ending}): variables and imports are gone, files are kept. "
        "The next call starts in a fresh session.",
        "会话已崩溃（{ending}）：变量和导入已清空，文件保留。下次调用将从新会话开始。",
    ),
    "lost_before": (
        "The earlier session had ended ({ending}); this is a fresh one without its variables.",
        "之前的会话已结束（{ending}）；这是新会话，没有之前的变量。",
    ),
    "earlier_state": (
        "The session goes on with the variables of the earlier turn.",
        "会话以较早一轮的变量继续。",
    ),
    "earlier_state_without": (
        "The session goes on with the variables of the earlier turn; not kept: {names}.",
        "会话以较早一轮的变量继续；未能保留：{names}。",
    ),
    "left_out": (
        "Left out of the output: {what}.",
        "输出中省略了：{what}。",
    ),
    "more_files": (
        "{count} more files were written; they are in the session folder.",
        "另有 {count} 个文件已写入会话文件夹。",
    ),
    "trouble": (
        "Not carried between the session and its folder: {name} ({why}).",
        "未能在会话与其文件夹之间传送：{name}（{why}）。",
    ),
    "more_troubles": (
        "{count} more files were not carried.",
        "另有 {count} 个文件未能传送。",
    ),
    "input": (
        "There is nobody to answer input(); put the values into the code.",
        "没有人可以回答 input()；请把值直接写进代码。",
    ),
    "path_here": (
        "Hint: {path} is in the working folder here: use {name!r}.",
        "提示：{path} 在此处位于工作文件夹：请用 {name!r}。",
    ),
    "path": (
        "Hint: files of the conversation are in the working folder, without a path before their "
        "names. There now: {names}.",
        "提示：对话的文件在工作文件夹中，文件名前不加路径。目前有：{names}。",
    ),
    "exit_status": ("Exit status: {status}.", "退出状态：{status}。"),
    "no_files": ("nothing", "无"),
    "await": (
        "Hint: a loop runs already in the session; write `await f()` at the top level.",
        "提示：会话中已有事件循环在运行；请在顶层直接写 `await f()`。",
    ),
    "numeric_only": (
        "Hint: columns of text are in the way; say numeric_only=True, or name the columns.",
        "提示：表中有文本列；请使用 numeric_only=True，或只选取数值列。",
    ),
    "number_and_text": (
        "Hint: the column is text; in place of astype, and before anything else: df[c] = "
        r"pd.to_numeric(df[c].astype(str).str.replace(',', '').str.extract(r'(-?\d+\.?\d*)')[0])",
        "提示：该列是文本；请不要用 astype，而是先写：df[c] = "
        r"pd.to_numeric(df[c].astype(str).str.replace(',', '').str.extract(r'(-?\d+\.?\d*)')[0])",
    ),
    "mark_of_nothing": (
        "Hint: the column marks missing values with a text: df[c] = pd.to_numeric(df[c], "
        "errors='coerce'), then df = df.dropna(subset=[c]).",
        "提示：该列用文字表示缺失值：df[c] = pd.to_numeric(df[c], errors='coerce')，"
        "然后 df = df.dropna(subset=[c])。",
    ),
    "missing_values": (
        "Hint: values are missing; leave those rows out first, e.g. df = df.dropna(subset=[...]).",
        "提示：有缺失值；请先去掉这些行，例如 df = df.dropna(subset=[...])。",
    ),
    "f_string": (
        "Hint: in this Python, quotes of an f-string cannot stand inside its braces; work the "
        "value out in a line before it.",
        "提示：此版本的 Python 中，f-string 的花括号内不能再用同样的引号；请先在前一行算出该值。",
    ),
    "table": (
        "Hint: the table ({rows} rows, {columns} columns) is shown in part; select rows or "
        "columns, or use print(df.to_string()).",
        "提示：表格（{rows} 行，{columns} 列）只显示了一部分；请选取行或列，"
        "或用 print(df.to_string())。",
    ),
    "glyphs": (
        "Hint: no font here has these characters of the picture ({scripts}), which are drawn as "
        "boxes; write the labels in another script.",
        "提示：此处没有字体包含图中的这些字符（{scripts}），它们画成了方框；请换一种文字写标签。",
    ),
    "no_file": (
        "Hint: cells have no __file__; the working folder is the current one: Path('.').",
        "提示：这里的代码没有 __file__；工作文件夹就是当前文件夹：Path('.')。",
    ),
    "encoding": (
        "Hint: the file is not UTF-8; Chinese files often need encoding='gb18030'.",
        "提示：文件不是 UTF-8；中文文件常需要 encoding='gb18030'。",
    ),
    "network": (
        "Hint: the session reaches no such host; get pages by another tool, or go on without.",
        "提示：会话无法访问该主机；请用其他工具获取网页，或改用别的办法。",
    ),
    "package": (
        "Hint: {name} is not installed in the session and cannot be installed from inside; use "
        "what is there, or ask the user to add packages=[...] to the tool's configuration.",
        "提示：会话中没有安装 {name}，也不能在其中安装；请用现有的包，"
        "或请用户在工具配置中加入 packages=[...]。",
    ),
    "data_package": (
        "Hint: {name} is not installed; the user can add it with: "
        'pip install "qwenbelt[data]". Go on with numpy, pandas and matplotlib.',
        '提示：没有安装 {name}；用户可运行 pip install "qwenbelt[data]" 安装。'
        "请先用 numpy、pandas 和 matplotlib。",
    ),
    "pip": (
        "Hint: packages cannot be installed from inside the session; use what is there, or ask the "
        "user to add packages=[...] to the tool's configuration.",
        "提示：不能在会话中安装包；请用现有的包，或请用户在工具配置中加入 packages=[...]。",
    ),
}
say = Texts(_TEXTS)


def troubles(found: Sequence[tuple[str, str]], language: str) -> list[str]:
    """Returns a line for each file that could not be carried, and one for all above a few."""
    lines = [say("trouble", language, name=name, why=why) for name, why in found[:MOST_TROUBLES]]
    if len(found) > MOST_TROUBLES:
        lines.append(say("more_troubles", language, count=len(found) - MOST_TROUBLES))
    return lines


DESCRIPTION = (
    "Runs Python code in a session that keeps variables, imports and files between calls. "
    "numpy, pandas and matplotlib are installed. Print what you want to see, or end with an "
    "expression; figures are shown by plt.show(). Files of the conversation are in the "
    "working folder; files written there are given to the user."
)


def description(level: str, hosts: tuple[str, ...] = ()) -> str:
    """Returns what the model reads about the tool.

    Args:
        level: how the code is kept apart; "none" for not at all, "server" where it is not run here.
        hosts: the hosts that it may reach; "*" for all public ones.
    """
    if level == "server":
        return f"{DESCRIPTION} The code runs on a Jupyter server."
    if level == "none":
        return f"{DESCRIPTION} The code runs without a sandbox, with the user's rights."
    network = "without network"
    if hosts:
        reach = "public hosts" if "*" in hosts else ", ".join(hosts)
        network = f"that reaches {reach} by HTTP and HTTPS only, through a proxy"
    return f"{DESCRIPTION} The code runs in a sandbox ({level}) {network}."


SHELL = (
    "Runs a command line with bash in the conversation's working folder, in a sandbox. Files are "
    "kept between calls, variables and the current folder are not. Files written in the folder "
    "are given to the user."
)

NO_CONTAINER = "No container engine with the image was found"
NO_CONTAINER_FIX = "Install Docker or Podman, and run: docker pull {}"
REFUSED = "Code is not run without a sandbox, and none is available here"
REFUSED_FIX = (
    "Use Linux 5.13 or newer, or Docker or Podman (docker pull jupyter/scipy-notebook); or allow "
    "it with CodeInterpreter({'allow_unsandboxed': True}), QWENBELT_ALLOW_UNSANDBOXED=1 "
    "or allow_unsandboxed = true in qwenbelt.toml."
)
