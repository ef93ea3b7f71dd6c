"""Texts of the desk: the side pane, the composer's menus, what one does with a conversation."""

from __future__ import annotations

# those that the page's scripts show
SCRIPT_TEXTS = {
    "run_cell": ("Run", "运行"),
    "edit_cell": ("Edit and run again", "修改并重新运行"),
    "new_cell": ("New cell", "新单元"),
    "remove_cell": ("Remove", "移除"),
    "cell_code": ("Code of the cell", "单元代码"),
    "own_cell": ("yours", "您的"),
    "variables": ("Variables", "变量"),
    "variables_none": ("No variables yet.", "还没有变量。"),
    "variables_rest": (
        "The session rests; its variables come back when code runs.",
        "会话已休眠；再次运行代码时变量会恢复。",
    ),
    "variable_name": ("Name", "名称"),
    "variable_kind": ("Kind", "类型"),
    "variable_size": ("Size", "大小"),
    "variable_text": ("Value", "值"),
    "tables_of": ("Tables in {name}", "{name} 中的表格"),
    "tables_none": ("No table on the pages up to {read}.", "到第 {read} 页没有表格。"),
    "tables_more": ("Look further", "继续查找"),
    "thumbnails": ("Pages", "页面"),
    "page_number": ("Page {page}", "第 {page} 页"),
    "hits": ("{count} on this page", "本页 {count} 处"),
    "compare": ("Compare two answers", "比较两次回答"),
    "compare_first": ("First", "第一个"),
    "compare_second": ("Second", "第二个"),
    "not_shown": ("(another version)", "（其他版本）"),
}
# those of the server
SERVER_TEXTS = {
    "model_step": ("model", "模型"),
    "path_words": (
        "What the end waited for: {steps} = {total}; beside it ran {beside} more.",
        "关键路径：{steps} = {total}；另有 {beside} 个调用同时进行。",
    ),
    "path_alone": ("What the end waited for: {steps} = {total}.", "关键路径：{steps} = {total}。"),
    "fact_total": ("Time", "总用时"),
    "fact_model": ("Model", "模型用时"),
    "fact_first": ("First word after", "首字用时"),
    "fact_tools": ("Tools, added up", "工具用时合计"),
    "fact_calls": ("Calls", "调用次数"),
    "fact_failed": ("Failed calls", "失败调用"),
    "fact_into": ("Tokens in", "输入 token"),
    "fact_cached": ("of them from the cache", "其中命中缓存"),
    "fact_out": ("Tokens out", "输出 token"),
    "fact_cost": ("Cost", "费用"),
    "cell_runs": ("A cell still runs; stop it first.", "还有单元在运行，请先停止。"),
    "cell_empty": ("Write some code first.", "请先输入代码。"),
    "many_cells": (
        "At most {count} cells of your own; remove some.",
        "最多 {count} 个自己的单元，请移除一些。",
    ),
    "no_code_tool": (
        "Code cannot be run here: the code interpreter is not among the chosen tools.",
        "此处不能运行代码：所选工具中没有代码解释器。",
    ),
    "no_frame": (
        "{name}: no table in the session now.",
        "{name}：会话中目前没有这个表格。",
    ),
}
