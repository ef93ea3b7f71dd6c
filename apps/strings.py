"""Texts of the command line, English and Chinese side by side."""

from __future__ import annotations

from qwenbelt.core.language import user_language
from qwenbelt.core.texts import Texts
from qwenbelt.core.translation import in_language

_TEXTS = {
    # trace show
    "model": ("model", "模型"),
    "summary": (
        "model calls: {models}; tool calls: {calls}; {seconds}; up to {parallel} side by side",
        "模型调用 {models} 次，工具调用 {calls} 次，共 {seconds}；最多 {parallel} 个并行",
    ),
    "tokens": ("{into} tokens in, {out} out", "输入 {into} token，输出 {out} token"),
    "exported": (
        "{rows} rows of {runs} runs in {file}",
        "{runs} 次运行中的 {rows} 行已写入 {file}",
    ),
    "failed": ("failed", "失败"),
    "raised": ("raised an error", "代码出错"),
    "raised_error": ("raised {error}", "抛出 {error}"),
    "refused": ("refused", "被拒绝"),
    "timeout": ("out of time", "超时"),
    "cancelled": ("cancelled", "已取消"),
    "running": ("running", "运行中"),
    "waiting": ("waiting", "等待中"),
    "asked": ("waits for approval", "等待批准"),
    "done": ("ok", "完成"),
    "legend": (
        "{run} runs  {wait} waits  {read} model reads  {write} model writes",
        "{run} 运行  {wait} 等待  {read} 模型读入  {write} 模型输出",
    ),
    # schedules
    "no_schedules": (
        'There are no schedules. Add one: qwenbelt schedule "every day 8:00" run "…"',
        '没有定时命令。添加：qwenbelt schedule "每天 8:00" run "…"',
    ),
    "paused": ("paused", "已暂停"),
    "runs_next": ("next", "下次"),
    "ran_last": ("last", "上次"),
    "schedule_begins": ("begins", "开始"),
    "schedule_done": ("done", "完成"),
    "schedule_failed": ("failed", "失败"),
    "schedule_skipped": ("skipped: the run before still goes on", "已跳过：上一次仍在运行"),
    "schedule_running": ("running", "运行中"),
    "schedule_waiting": ("waiting", "等待中"),
    "schedule_removed": ("{name} is removed.", "已删除 {name}。"),
    "schedule_now": (
        "{name} runs as soon as `qwenbelt schedule start` does.",
        "“qwenbelt schedule start”运行时会立即执行 {name}。",
    ),
    "schedules_run": (
        "Schedules run until you stop this (Ctrl-C). What they print is in {folder}.",
        "定时命令会一直运行，直到停止本程序（Ctrl-C）。输出在 {folder}。",
    ),
    "schedules_stopped": (
        "Stopped; what was running goes on at the next start.",
        "已停止；未完成的命令会在下次启动时继续。",
    ),
    # sessions
    "which_session": (
        "A number, or words to search for; an empty line chooses none.",
        "输入编号或搜索词；空行表示不选择。",
    ),
    "session_or_durable": (
        "A session keeps its runs itself: give --session or --durable.",
        "会话本身已保存其运行：请只给出 --session 或 --durable 之一。",
    ),
    # skills
    "no_skills": ("There are no skills.", "没有技能。"),
    "skill_error": ("error", "错误"),
    "skill_advice": ("advice", "建议"),
    "skills_linted": ("{good} of {count} skills are fine", "{count} 项技能中 {good} 项无误"),
    # tools
    "reads": ("reads only", "只读"),
    "effects": ("has effects", "有副作用"),
    "no_tool": ("There is no tool {name!r}.", "没有名为 {name!r} 的工具。"),
    "close_to": ("Did you mean {names}?", "您是想用 {names} 吗？"),
    "repeated": ("{share} % repeated", "重复 {share} %"),
    "cached": ("{share} % cached", "缓存 {share} %"),
    "dumped": ("{rows} rows in {file}.", "已将 {rows} 行写入 {file}。"),
    "restored": ("{rows} rows are in {place} now.", "已将 {rows} 行存入 {place}。"),
    "known_tools": ("Known are: {names}.", "现有：{names}。"),
    "unavailable": ("not available here: {reason}", "此处不可用：{reason}"),
    # agents
    "no_agents": (
        "No agents yet; put a file NAME.md into one of: {folders}.",
        "还没有智能体；请把 NAME.md 放入：{folders}。",
    ),
    # doctor
    "doctor_well": (
        "All that is needed works; {missing} missing.",
        "必需部分均正常；缺少 {missing}。",
    ),
    "doctor_failed": (
        "{failed} not working; {missing} missing.",
        "{failed}有问题；缺少 {missing}。",
    ),
    # docs
    "document": ("{file}: {state}", "{file}：{state}"),
    "document_added": ("added", "已加入"),
    "document_unchanged": ("unchanged", "未变化"),
    "document_passed over": ("passed over", "已略过"),
    "document_removed": ("removed", "已移除"),
    "and_size": (", {size}", "，{size}"),
    "size": ("{pages}, {passages}", "{pages}，{passages}"),
    "nothing_found": ("Nothing found.", "没有找到。"),
    "index_empty": (
        "The index is empty. Take documents in with `qwenbelt docs add`.",
        "索引为空。请用 `qwenbelt docs add` 加入文档。",
    ),
    "no_documents": (
        "Nothing was added: there is no document in {names}.",
        "没有加入任何内容：{names} 中没有文档。",
    ),
    # gui and serve
    "serving": ("Serving on {url} (Ctrl-C stops)", "服务地址：{url}（Ctrl-C 停止）"),
    # chat
    "chat_hello": (
        "{model} at {endpoint}; tools: {tools}. /help lists the commands; Ctrl-C stops an answer.",
        "模型 {model}（{endpoint}），{tools} 个工具。/help 列出命令；Ctrl-C 停止回答。",
    ),
    "chat_leave": ("/quit or Ctrl-D ends the chat.", "输入 /quit 或按 Ctrl-D 结束聊天。"),
    "chat_unknown": (
        "There is no command {name}; /help lists them.",
        "没有命令 {name}；见 /help。",
    ),
    "chat_on": ("on", "开"),
    "chat_off": ("off", "关"),
    "chat_attached": ("Goes with the next question: {names}", "将随下一个问题发送：{names}"),
    "chat_no_tools": ("The model has no tools.", "模型没有工具。"),
    "chat_think_states": ("Say on or off.", "请用 on 或 off。"),
    "chat_no_files": ("No file is waiting.", "没有待发送的文件。"),
    "chat_saved": ("Saved: {path}", "已保存：{path}"),
    "chat_cleared": ("The conversation begins anew.", "对话已重新开始。"),
    "chat_model": ("Now {model} at {endpoint}.", "现在使用 {model}（{endpoint}）。"),
    "chat_think": ("Thinking: {state}.", "思考：{state}。"),
    "chat_think_default": ("as the model does by default", "按模型默认"),
    "chat_approve": ("Calls with effects: {mode}.", "有副作用的调用：{mode}。"),
    "chat_approve_modes": (
        "Say untrusted, ask, auto or never.",
        "可选 untrusted、ask、auto 或 never。",
    ),
    "chat_no_lanes": ("Nothing has run yet.", "还没有任何运行。"),
    "chat_help": ("this list", "显示本列表"),
    "chat_help_mcp": (
        "what MCP servers offer: /server:prompt name=…, @server:uri in a question",
        "MCP 服务器提供的内容：/服务器:提示 名称=…，问题中可写 @服务器:URI",
    ),
    "chat_away": (
        "Whether these have changed could not be seen: {names}",
        "无法得知以下资源是否有变化：{names}",
    ),
    "chat_no_mcp": (
        "There is no MCP server (--mcp FILE.json).",
        "没有 MCP 服务器（--mcp FILE.json）。",
    ),
    "chat_help_file": ("attach a file to the next question", "为下一个问题附上文件"),
    "chat_help_tools": (
        "list the tools, or switch one on or off",
        "列出工具，或开关某个工具",
    ),
    "chat_help_model": ("show the model, or change it", "显示或更换模型"),
    "chat_help_think": ("switch the model's thoughts on or off", "开关模型的思考"),
    "chat_help_approve": ("who allows calls with effects", "谁来批准有副作用的调用"),
    "chat_help_lanes": ("draw the last answer's calls", "画出上一次回答的调用"),
    "chat_help_save": ("save the conversation (.md or .json)", "保存对话（.md 或 .json）"),
    "chat_help_clear": ("forget what was said", "清空对话"),
    "chat_help_quit": ("end the chat", "结束聊天"),
    "user": ("You", "用户"),
    "assistant": ("Assistant", "助手"),
    "call": ("Call of {name}", "调用 {name}"),
    # run
    "no_question": ("Give a question, or pipe one in.", "请给出问题，或用管道传入。"),
    "none_alone": ("`none` stands alone among the tools.", "工具中的 none 只能单独使用。"),
    # answers in the terminal
    "thinking": ("thinking", "思考中"),
    "thought": ("thought for {seconds}", "思考了 {seconds}"),
    "was_void": ("What stands above of this reply is void.", "上面这条回复的内容作废。"),
    "was_thought": ("What stands above was the model's thoughts.", "上面的内容是模型的思考。"),
    "retrying": (
        "The endpoint failed ({reason}); trying again in {delay}.",
        "端点出错（{reason}）；{delay} 后重试。",
    ),
    "compacted": ("Older messages were shortened: {detail}", "较早的消息已压缩：{detail}"),
    "nothing_waits": ("No run waits for an approval.", "没有运行在等待批准。"),
    "approval_given": (
        "Allowed {count} in the run {run}. Its command, given again, goes on.",
        "已批准运行 {run} 中的 {count} 个调用。再次执行同一命令即可继续。",
    ),
    "approval_refused": (
        "Refused {count} in the run {run}. Its command, given again, goes on.",
        "已拒绝运行 {run} 中的 {count} 个调用。再次执行同一命令即可继续。",
    ),
    "made_files": ("Files: {paths}", "文件：{paths}"),
    "stopped": ("Stopped: {detail}", "已停止：{detail}"),
    "chat_goes_on": ("Going on with: {question}", "继续回答：{question}"),
    "interrupted": ("Interrupted.", "已中断。"),
    "interrupted_durable": (
        "Interrupted; the same command goes on where it was.",
        "已中断；再次运行同一命令会从中断处继续。",
    ),
    "plan": ("Plan {done}", "计划 {done}"),
    "turn_line": ("{seconds}; {tokens}; calls: {calls}", "{seconds}，{tokens}，调用 {calls} 次"),
    "turn_tokens": ("tokens: {into} in, {out} out", "输入 {into} token，输出 {out} token"),
    "turn_untold": ("tokens: not told", "token 数未知"),
    "allow": (
        "May {name} run? ({reason}) [y]es / [n]o / [a]lways: ",
        "允许 {name} 运行吗？（{reason}）[y] 是 / [n] 否 / [a] 总是：",
    ),
    "allow_step": (
        "May {name} run? ({reason}) [y]es / [n]o / all of this [s]tep / [a]lways: ",
        "允许 {name} 运行吗？（{reason}）[y] 是 / [n] 否 / [s] 这一步全部 / [a] 总是：",
    ),
    "imitation": (
        "The model's own words follow; the program asks and reports nothing here:",
        "以下是模型自己的文字，程序在此没有提问，也没有报告：",
    ),
    "cut": ("… and {left} characters more", "……还有 {left} 个字符"),
    "refused_quietly": (
        "{name} needs an approval and nobody can be asked; refused. --approve auto allows it.",
        "{name} 需要批准，但无人可问，已拒绝。可用 --approve auto 允许。",
    ),
    # trace show
    "no_events": ("No model call and no tool call in it.", "其中没有模型调用，也没有工具调用。"),
}
_NOUNS = {  # one, several, Chinese
    "page": ("page", "pages", "页"),
    "passage": ("passage", "passages", "段"),
    "optional part": ("optional part", "optional parts", "个可选部分"),
    "needed part": ("needed part", "needed parts", "个必需部分"),
}
say = Texts(_TEXTS).for_user


def counted(count: int, noun: str) -> str:
    """Returns a number and what it counts: "1 page", "2 pages"."""
    one, several, chinese = _NOUNS[noun]
    return f"{count} {chinese if user_language() == 'zh' else one if count == 1 else several}"


def state_text(state: str, error: str = "") -> str:
    """Returns the word for a call's state; of code that raised, what it raised."""
    return say("raised_error", error=error) if state == "raised" and error else say(state)


def explain_error(error: BaseException | str) -> str:
    """Returns an error, or the text of one, in the person's language."""
    return in_language(error, user_language())


def duration_text(value: float) -> str:
    """Returns a duration as people write it: "12 ms", "0.52 s", "3 min 4 s"."""
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    if value < 9.95:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"
