"""Texts of a batch for people, English and Chinese side by side."""

from __future__ import annotations

from qwenbelt.core.texts import Texts

_TEXTS = {
    "title": ("Batch", "批量运行"),
    "tasks": ("Tasks", "任务"),
    "done": ("Done", "完成"),
    "failed": ("Failed", "失败"),
    "waiting": ("Waiting", "等待"),
    "running": ("Running", "运行中"),
    "cancelled": ("Cancelled", "已取消"),
    "tokens": ("Tokens in / out", "输入 / 输出 token"),
    "cost": ("Cost by known prices", "费用（按已知价格）"),
    "span": ("From first start to last end", "从首个开始到最后结束"),
    "rate": ("Tasks a minute", "每分钟任务数"),
    "median": ("Median seconds a task", "每个任务的中位秒数"),
    "kind": ("Job", "类型"),
    "task": ("Task", "任务"),
    "error": ("Reason", "原因"),
    "failures": ("Failures", "失败的任务"),
    "more": ("and {count} more, in results.jsonl", "另有 {count} 个，见 results.jsonl"),
    "progress": (
        "{done} done, {failed} failed, {running} running, {waiting} waiting",
        "完成 {done}，失败 {failed}，运行中 {running}，等待 {waiting}",
    ),
    "pace": ("; {rate:.1f} a minute, {left} left", "；每分钟 {rate:.1f} 个，剩余 {left}"),
    "paused": (
        "Paused: nothing new is started. --resume goes on.",
        "已暂停：不再启动新任务。用 --resume 继续。",
    ),
    "resumed": ("Resumed.", "已继续。"),
    "stopping": ("{count} tasks cancelled.", "已取消 {count} 个任务。"),
    "retrying": ("{count} failed tasks are tried again.", "将重试 {count} 个失败的任务。"),
    "ended": (
        "{done} of {total} done, {failed} failed, {cancelled} cancelled: {path}",
        "共 {total} 个，完成 {done}，失败 {failed}，取消 {cancelled}：{path}",
    ),
    "stopped": (
        "Interrupted. The same command goes on where it was.",
        "已中断。用同一命令可从断点继续。",
    ),
}
say = Texts(_TEXTS)
