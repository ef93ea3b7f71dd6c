"""Texts of the chat page, English and Chinese side by side."""

from __future__ import annotations

from qwenbelt.apps.gui.desk_strings import ADMIN_TEXTS, SCRIPT_TEXTS, SERVER_TEXTS
from qwenbelt.core.errors import InputError
from qwenbelt.core.texts import Texts
from qwenbelt.core.translation import in_language

_TEXTS = {
    # the page
    "title": ("qwenbelt chat", "qwenbelt 聊天"),
    "new_chat": ("New chat", "新对话"),
    "conversations": ("Conversations", "对话列表"),
    "search": ("Search conversations", "搜索对话"),
    "untitled": ("New conversation", "新的对话"),
    "rename": ("Rename", "重命名"),
    "delete": ("Delete", "删除"),
    "delete_sure": ("Delete this conversation?", "删除这个对话？"),
    "export": ("Export", "导出"),
    "export_md": ("Markdown", "Markdown"),
    "export_json": ("JSON trace", "JSON 记录"),
    "export_scenario": ("Scenario (test)", "场景（测试）"),
    "import": ("Import", "导入"),
    "language": ("中文", "English"),
    "theme": ("Light or dark", "浅色或深色"),
    "settings": ("Settings", "设置"),
    "placeholder": (
        "Ask, drop or paste files",
        "输入问题，可拖放或粘贴文件",
    ),
    "message": ("Your message", "您的消息"),
    "model": ("Model endpoint", "模型端点"),
    "model_info": (
        "For example dashscope:qwen-plus or ollama:qwen3:8b; empty finds one",
        "例如 dashscope:qwen-plus 或 ollama:qwen3:8b；留空则自动查找",
    ),
    "check": ("Check", "检测"),
    "health_ok": (
        "✓ {model} · models: {count} · {milliseconds} ms",
        "✓ {model} · 模型数：{count} · {milliseconds} 毫秒",
    ),
    "health_absent": (
        "⚠ {model} is not among the {count} models here; choose one of them",
        "⚠ 此端点的 {count} 个模型中没有 {model}，请从中选择",
    ),
    "health_local": ("✓ {model}, inside this process", "✓ {model}，在本进程内运行"),
    "health_bad": ("✗ does not work: {reason}", "✗ 不可用：{reason}"),
    "agent_kind": ("How the agent decides", "智能体方式"),
    "kind_fncall": ("calls tools", "工具调用"),
    "kind_react": ("ReAct", "ReAct"),
    "kind_assistant": ("reads files first", "先读文件"),
    "who_answers": ("Who answers", "由谁回答"),
    "tools": ("Tools", "工具"),
    "skills": ("Skills", "技能"),
    "mcp": ("MCP servers", "MCP 服务器"),
    "thinking": ("Thinking", "思考"),
    "thinking_default": ("model's default", "模型默认"),
    "on": ("on", "开"),
    "off": ("off", "关"),
    "approve": ("Calls with effects", "有副作用的调用"),
    "approve_untrusted": ("ask me when others' text chose the aim", "目标来自他人文本时问我"),
    "approve_ask": ("always ask me", "总是先问我"),
    "approve_auto": ("allow all", "全部允许"),
    "approve_never": ("refuse all", "全部拒绝"),
    "system": ("System message", "系统消息"),
    "limits": (
        "Files up to {size} MB: PDF, Office, text, data, pictures, sound, video.",
        "文件不超过 {size} MB：PDF、Office、文本、数据、图片、音频、视频。",
    ),
    "welcome": ("What shall we find out?", "想了解什么？"),
    "example_1": (
        "Draw a bar chart of the planets' diameters.",
        "画一张行星直径的柱状图。",
    ),
    "example_2": (
        "Compute the first 20 primes and their sum.",
        "计算前 20 个质数及其总和。",
    ),
    "example_3": (
        "Summarise this PDF with citations: EIA-923 instructions.",
        "总结这份 PDF（EIA-923 填表说明），并给出引用。",
    ),
    "jump": ("Jump to the latest", "跳到最新"),
    "offline": ("The connection is lost; trying again …", "连接已断开，正在重试……"),
    # a turn
    "agent": ("Agent", "智能体"),
    "thinking_now": ("Thinking", "正在思考"),
    "plan": ("Plan", "计划"),
    "plan_open": ("open", "待办"),
    "plan_doing": ("under way", "进行中"),
    "plan_done": ("done", "已完成"),
    "thought_for": ("Thought for {seconds}", "思考了 {seconds}"),
    "arguments": ("Arguments", "参数"),
    "result": ("Result", "结果"),
    "error": ("Error", "错误"),
    "state_waiting": ("waiting", "等待中"),
    "imitation": (
        "The model's own words; the page asks and reports nothing here.",
        "以下是模型自己的文字，页面在此没有提问，也没有报告。",
    ),
    "state_asked": ("asks for approval", "请求批准"),
    "state_running": ("running", "运行中"),
    "state_done": ("done", "完成"),
    "state_failed": ("failed", "失败"),
    "state_raised": ("raised an error", "代码出错"),
    "state_raised_error": ("raised {error}", "抛出 {error}"),
    "state_refused": ("refused", "被拒绝"),
    "state_timeout": ("out of time", "超时"),
    "state_cancelled": ("cancelled", "已取消"),
    "ask": ("May this call run?", "允许执行这个调用吗？"),
    "allow": ("Allow", "允许"),
    "allow_always": ("Always allow {name}", "总是允许 {name}"),
    "allow_step": ("Allow all {name} of this step", "允许这一步的全部 {name}"),
    "refuse": ("Refuse", "拒绝"),
    "app_of": ("App of the MCP server {server}", "MCP 服务器 {server} 的应用"),
    "app_link": ("The app asks you to open:", "该应用请您打开："),
    "question_of": ("The MCP server {server} asks", "MCP 服务器 {server} 询问"),
    "question_send": ("Send", "提交"),
    "question_decline": ("Decline", "拒绝"),
    "question_done": ("Done", "完成"),
    "question_open": ("Open {host}", "打开 {host}"),
    "question_page": (
        "Open this page only if you trust it. What you enter there goes to {host}, not through "
        "this chat:",
        "仅在信任时打开此页面。您在那里输入的内容会发送给 {host}，不经过本聊天：",
    ),
    "question_no_page": ("This address is not one to open:", "这个地址不能打开："),
    "question_form": (
        "What you send goes to this server. Give it no passwords.",
        "您提交的内容会发送给该服务器。请勿填写密码。",
    ),
    "question_accept": ("{server} was answered.", "已答复 {server}。"),
    "question_declined": ("{server} was refused an answer.", "已拒绝答复 {server}。"),
    "question_cancel": ("{server} no longer waits for an answer.", "{server} 不再等待答复。"),
    "question_over": (
        "This question was answered already, or is no longer asked.",
        "该询问已有答复，或已不再需要答复。",
    ),
    "lanes": ("Calls over time", "调用时间线"),
    "lanes_label": (
        "{calls} calls, up to {parallel} side by side, {seconds}",
        "{calls} 个调用，最多 {parallel} 个并行，{seconds}",
    ),
    "stop": ("Stop", "停止"),
    "stopping": ("Stopping …", "正在停止……"),
    "working": ("Working", "处理中"),
    "retrying": (
        "The endpoint failed ({reason}); trying again in {delay}.",
        "端点出错（{reason}）；{delay} 后重试。",
    ),
    "compacted": ("Older messages were shortened: {detail}", "较早的消息已压缩：{detail}"),
    "ended_cancelled": ("Stopped.", "已停止。"),
    "ended_limit": ("Ended by a limit: {detail}", "因限制而结束：{detail}"),
    "ended_length": ("The answer was cut at the model's length limit.", "回答因长度限制被截断。"),
    "failed": ("It failed: {detail}", "出错：{detail}"),
    "footer": (
        "{seconds} · tokens: {into} in, {out} out",
        "{seconds} · token：输入 {into}，输出 {out}",
    ),
    "cached": (" ({count} cached)", "（缓存 {count}）"),
    "cost": ("{amount} {currency}", "{amount} {currency}"),
    "retry": ("Retry", "重试"),
    "try_again": ("Try again", "再试一次"),
    "retried": ("asked again {count}×", "重试 {count} 次"),
    "undone": ("The last question was taken back.", "上一个问题已撤销。"),
    "redo": ("Bring it back", "恢复"),
    "queued": ("Waits for the answer", "等待当前回答结束"),
    "send_now": ("Send now", "立即发送"),
    "stop_answer": ("Stop the answer", "停止回答"),
    "drop_here": ("Drop files to attach them", "松开即可添加文件"),
    "drawing": ("Drawing", "图形"),
    "task_done": ("done", "已完成"),
    "task_open": ("to do", "待办"),
    "footnote_back": ("Back to the text", "返回正文"),
    "demo_title": ("Demo (replies written in advance)", "演示（回复为预先写好）"),
    "demo_told": (
        "Scripted demo: the model's replies were written in advance; the tools really run. "
        "Your own questions go to your model.",
        "脚本演示：模型的回复是预先写好的，工具是真实运行的。您自己的问题会发给您的模型。",
    ),
    "demo_play": ("Play the demo", "播放演示"),
    "demo_about": (
        "A scripted model reads a real PDF with the real tools; no key needed.",
        "由脚本模型用真实工具阅读一份真实 PDF，无需密钥。",
    ),
    "no_demo": ("There is no demo in this chat.", "这个聊天没有演示。"),
    "endpoints_fixed": (
        "Whoever runs this server chooses its endpoints.",
        "此服务器的端点由管理员设定。",
    ),
    "start_title": ("Choose what answers", "选择由谁回答"),
    "start_key": ("DashScope API key", "DashScope API 密钥"),
    "start_key_about": (
        "Kept in your settings file on this machine, never shown again.",
        "保存在本机的设置文件中，不再显示。",
    ),
    "start_servers": ("Found on this machine", "在本机找到"),
    "start_none": (
        "No local server answers on its usual port (Ollama, vLLM, llama.cpp …).",
        "没有本地服务器在常用端口应答（Ollama、vLLM、llama.cpp……）。",
    ),
    "look_again": ("Look again", "重新查找"),
    "ready_now": ("Ready: {model}", "已就绪：{model}"),
    "no_model": ("no model yet", "尚无模型"),
    "chip_tools": ("{count} tools", "{count} 个工具"),
    "chip_think": ("thinking {state}", "思考：{state}"),
    "presets": ("Tools for", "工具用途"),
    "tools_each": ("Advanced: each tool by itself", "高级：逐个选择工具"),
    "preset_documents": ("Documents: search, read, cite", "文档：搜索、阅读、引用"),
    "preset_data": ("Data: compute, query, draw", "数据：计算、查询、绘图"),
    "preset_web": ("Web: search and read pages", "网络：搜索和阅读网页"),
    "preset_files": ("Files: read, write, find", "文件：读、写、查找"),
    "preset_everything": ("Everything", "全部"),
    "desk": ("Files, code, data and times", "文件、代码、数据与用时"),
    "tab_document": ("Document", "文档"),
    "tab_files": ("Files", "文件"),
    "tab_code": ("Code", "代码"),
    "tab_data": ("Data", "数据"),
    "tab_trace": ("Trace", "轨迹"),
    "page_text": ("Text of the page", "页面文字"),
    "ask_passage": ("Ask about this passage", "就此段提问"),
    "whole_window": ("Whole window", "占满窗口"),
    "desk_empty": ("Nothing of this kind yet.", "暂无此类内容。"),
    "download_all": ("Download all", "全部下载"),
    "send_to_model": ("Send to the model", "发送给模型"),
    "run_again": ("Run this again:", "请再次运行："),
    "make_test": ("Make this a test", "导出为测试"),
    "open_file": ("Open {name}", "打开 {name}"),
    "table_of": ("Table of {name}", "{name} 的表格"),
    "find_in": ("Find in the document", "在文档中查找"),
    "found_nothing": ("Nothing found.", "没有找到。"),
    "filter_rows": ("Filter rows", "筛选行"),
    "column_text": ("{different} different, {missing} missing", "{different} 种，缺 {missing}"),
    "column_number": (
        "{least} to {most}, mean {mean}, {missing} missing",
        "{least} 至 {most}，均值 {mean}，缺 {missing}",
    ),
    "rows_shown": ("{page} / {pages} · {count} rows", "{page} / {pages} · {count} 行"),
    "plot_this": ("Plot this", "绘图"),
    "plot_ask": ("Plot {name} (columns: {columns}).", "把 {name} 画成图（列：{columns}）。"),
    "trace_words": (
        "{total} in all: the model {model}, the longest call {name} {took}; "
        "tokens: {into} in, {out} out.",
        "共 {total}：模型 {model}，最长的调用 {name} {took}；token：输入 {into}，输出 {out}。",
    ),
    "trace_model": (
        "{total} in all: the model {model}; tokens: {into} in, {out} out.",
        "共 {total}：模型 {model}；token：输入 {into}，输出 {out}。",
    ),
    "no_code": ("No code was run in this conversation.", "这个对话没有运行过代码。"),
    "no_table": ("{name}: cannot be read as a table.", "{name}：无法作为表格读取。"),
    "files_large": ("The files are too large to be packed together.", "文件过大，无法一起打包。"),
    "copy_answer": ("Copy the answer", "复制回答"),
    "enlarge": ("Show large", "放大"),
    "zoom_in": ("Larger", "放大"),
    "zoom_out": ("Smaller", "缩小"),
    "download_it": ("Download", "下载"),
    "save": ("Save", "保存"),
    "files_stay": ("with {names}", "附带 {names}"),
    "setting_stale": (
        "This was changed in another window; it is shown as it is now.",
        "此项已在另一个窗口中更改，现显示最新的值。",
    ),
    "edit": ("Edit", "编辑"),
    "undo": ("Undo", "撤销"),
    "branch": ("Branch", "分支"),
    "send": ("Send", "发送"),
    "cancel": ("Cancel", "取消"),
    "copy": ("Copy", "复制"),
    "copied": ("Copied", "已复制"),
    "version": ("Version {number} of {count}", "第 {number}/{count} 版"),
    "previous": ("Previous version", "上一版"),
    "next": ("Next version", "下一版"),
    "download": ("Download {name}", "下载 {name}"),
    "picture": ("Picture: {name}", "图片：{name}"),
    "whole_result": ("Show all of it ({size})", "显示全部（{size}）"),
    "blocked_picture": (
        "(picture not loaded: {source})",
        "（图片未加载：{source}）",
    ),
    "rows_left_out": ("… {count} rows left out", "……省略 {count} 行"),
    # citations
    "citation": ("{file}, page {page}", "{file}，第 {page} 页"),
    "close": ("Close", "关闭"),
    "page_previous": ("Previous page", "上一页"),
    "page_next": ("Next page", "下一页"),
    "page_picture": ("Page {page} of {file}", "{file} 第 {page} 页"),
    "page_failed": ("This page cannot be shown: {reason}", "无法显示此页：{reason}"),
    "quote_found": ("The highlighted words stand on this page.", "高亮文字出自本页。"),
    "quote_missing": ("The cited words were not found on this page.", "本页未找到所引文字。"),
    # a trace as a page
    "messages": ("What was said", "对话内容"),
    "reply": ("Reply", "回复"),
    "took": ("Took", "用时"),
    "first_token": ("First token after", "首个 token"),
    "tokens_in": ("Tokens in", "输入 token"),
    "tokens_out": ("Tokens out", "输出 token"),
    "total": ("All", "合计"),
    # errors of the page
    "no_conversation": ("There is no such conversation.", "没有这个对话。"),
    "no_suggestion": ("There is no such suggestion.", "没有这个建议。"),
    "busy": ("An answer is still coming; stop it first.", "回答仍在进行，请先停止。"),
    "empty": ("Write a message first.", "请先输入消息。"),
    "not_queued": ("This message does not wait any more.", "这条消息已不在等待。"),
    "file_bad": (
        "{name}: empty, unreadable, or over {size} MB.",
        "{name}：为空、无法读取或超过 {size} MB。",
    ),
    "file_not_shared": (
        "{name}: files over {size} MB need a folder that all servers share (--files).",
        "{name}：超过 {size} MB 的文件需要所有服务器共用的文件夹（--files）。",
    ),
    "replica_taken": (
        "The server that was answering has ended; another one goes on from the last step.",
        "正在回答的服务器已停止；另一台服务器从最后一步继续。",
    ),
    "replica_lost": (
        "The server that was answering has ended, and its answer with it. Ask again.",
        "正在回答的服务器已停止，回答未完成。请重新提问。",
    ),
    "file_gone": ("{name}: this file is gone.", "{name}：文件已不存在。"),
    "too_many_files": (
        "At most {count} files go with one message.",
        "每条消息最多 {count} 个文件。",
    ),
    "nothing_said": (
        "Nothing was said in this conversation yet.",
        "这个对话还没有内容。",
    ),
    "nothing_answered": (
        "No question of this conversation was answered to the end.",
        "这个对话中还没有完整的回答。",
    ),
    "no_export": (
        "This is no conversation that was exported as JSON.",
        "这不是以 JSON 导出的对话。",
    ),
    "no_page": ("{file}: has no page {page}.", "{file}：没有第 {page} 页。"),
    "no_pdf": (
        "{file}: there is no such PDF in this conversation.",
        "{file}：这个对话中没有这个 PDF。",
    ),
    # login
    "login": ("Log in", "登录"),
    "user": ("User", "用户名"),
    "password": ("Password", "密码"),
    "login_at": ("Log in with {name}", "通过 {name} 登录"),
    "login_failed": (
        "{name} did not log you in. The server's log says why.",
        "{name} 未能让您登录，原因见服务器日志。",
    ),
    "speak": ("Read aloud", "朗读"),
    "no_hearing": (
        "No model hears here: name one in the settings.",
        "没有听写模型：请在设置中指定。",
    ),
    "no_speaking": (
        "No model speaks here: name one in the settings.",
        "没有朗读模型：请在设置中指定。",
    ),
    "heard_nothing": ("Nothing was heard.", "没有听到内容。"),
    "nothing_to_speak": ("There is nothing to read aloud.", "没有可朗读的内容。"),
    "hears": ("Speech to text: model", "语音转文字模型"),
    "hears_info": (
        "Such as openai:whisper-1 or dashscope:qwen3-asr-flash; empty: no microphone.",
        "例如 openai:whisper-1 或 dashscope:qwen3-asr-flash；留空则不显示麦克风。",
    ),
    "speaks": ("Text to speech: model", "文字转语音模型"),
    "speaks_info": (
        "Such as openai:tts-1 or dashscope:qwen3-tts-flash; empty: nothing is read aloud.",
        "例如 openai:tts-1 或 dashscope:qwen3-tts-flash；留空则不朗读。",
    ),
    "voice": ("Voice", "音色"),
    "pair_keep": ("Go on with the answer of {name}", "采用 {name} 的回答继续"),
    "pair_keep_short": ("Go on with this one", "采用此回答"),
    "pair_other": ("The other answer: {name}", "另一个回答：{name}"),
    "pair_model": ("Model {number}", "模型 {number}"),
    "pair_off": (
        "Without {names}: two answers at once would change the same files and the same session.",
        "未使用 {names}：两个回答同时运行会改动相同的文件和会话。",
    ),
    "beside_replicas": (
        "Two models at once are for a server of its own; this one shares its work with others.",
        "两个模型同时回答只适用于独立的服务器；此服务器与其他服务器共同工作。",
    ),
    "login_wrong": ("The user or the password is wrong.", "用户名或密码错误。"),
    "logout": ("Log out", "退出登录"),
}
say = Texts({**_TEXTS, **SCRIPT_TEXTS, **SERVER_TEXTS, **ADMIN_TEXTS})


class PageError(InputError):
    """A mistake that the page explains in the person's language.

    Args:
        key: the key of its text in `TEXTS`.
        **values: fill it in.

    Attributes:
        key: the same.
    """

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(say(key, "en", **values))
        self.key = key
        self._values = values

    def text(self, language: str) -> str:
        """Returns its text in a language ("en" or "zh")."""
        return say(self.key, language, **self._values)


def explain_on_page(error: Exception, language: str) -> str:
    """Returns an error as the page shows it."""
    if isinstance(error, PageError):
        return error.text(language)
    return in_language(error, language)
