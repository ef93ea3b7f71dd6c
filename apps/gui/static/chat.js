// Draws the conversation from the changes that /qb/stream sends, and passes on what people do.
// HTML comes only from the server, which makes it from text that it has escaped.
(() => {
  "use strict";
  const { words, language } = window.qwenbeltPage;
  const state = { session: "", drawn: "", source: null, live: false, stick: true, title: "", going: 0 };
  const hooks = { opened: [], status: [], files: [], put: [] };  // what the other scripts want to know
  const $ = (id) => document.getElementById(id);
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  async function call(path, body) {
    const options = body === undefined ? {} : {
      method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" },
    };
    const reply = await fetch(path, options);
    if (reply.status === 401) location.href = "/login";
    const value = await reply.json();
    if (!reply.ok) { notice(value.error || reply.statusText); throw new Error(value.error); }
    if (body !== undefined) others.postMessage("changed");
    return value;
  }
  // this browser's other tabs show the same list of conversations
  const others = new BroadcastChannel("qwenbelt");
  others.onmessage = () => listSessions();
  // returns whether this browser has room for it, and keeps anything at all
  function remember(key, text) {
    try { localStorage.setItem(key, text); return true; } catch { return false; }
  }
  const act = (action, body = {}) => call(`/qb/do/${state.session}/${action}`, body);

  function notice(text) {
    const box = make("div", { className: "qb-toast", role: "alert", textContent: text });
    document.body.append(box);
    setTimeout(() => box.remove(), 6000);
  }

  // a question waits for the conversation that is being opened, and goes to the one that is shown
  let isOpen;
  const opened = new Promise((done) => { isOpen = done; });
  // the box is emptied once the server has the message: what is put there before that is lost
  let sent = Promise.resolve(), wasSent = () => {};
  const emptied = () => Promise.race([sent, new Promise((done) => setTimeout(done, 30000))]);
  async function target() {
    await opened;
    sent = new Promise((done) => { wasSent = done; });
    state.stick = true;  // who asks wants to see the answer
    const files = window.qwenbelt.carried?.() ?? [];
    return files.length ? JSON.stringify({ session: state.session, files }) : state.session;
  }

  function size(bytes) {
    return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
  }
  function showFiles(value) {
    const files = value?.files ?? [], box = $("qb-attached");
    box.hidden = !files.length;
    // else the browser takes the same file, chosen again for the next question, for no change
    if (!files.length) document.querySelectorAll("#qb-message input[type=file]").forEach((input) => { input.value = ""; });
    box.replaceChildren(...files.map((file) => {
      const name = file.orig_name || String(file.path).split("/").pop();
      return make("span", { className: "qb-file", textContent: file.size ? `${name} · ${size(file.size)}` : name });
    }));
    for (const hook of hooks.files) hook(files);
  }

  // -- the stream ---------------------------------------------------------------------------

  const operations = {
    // after a lost connection what is there stays, with what is open and being written in it
    reset() {
      if (state.drawn !== state.session) $("qb-turns").replaceChildren();
      state.drawn = state.session;
    },
    order({ ids }) {
      const turns = $("qb-turns"), wanted = new Set(ids);
      for (const child of [...turns.children]) if (!wanted.has(child.id)) child.remove();
      $("qb-welcome").hidden = ids.length > 0;
      $("qb-heading").hidden = !ids.length;
    },
    put({ id, parent, html }) {
      const template = document.createElement("template");
      template.innerHTML = html;
      const fresh = template.content.firstElementChild, old = $(id);
      if (!fresh) return;
      for (const clock of fresh.querySelectorAll(".qb-clock")) begin(clock);
      for (const time of fresh.querySelectorAll(".qb-time")) {
        time.textContent = new Date(time.dateTime).toLocaleString(language, { dateStyle: "short", timeStyle: "short" });
      }
      if (!old) ($(parent) || $("qb-turns")).append(fresh);
      else { keep(old, fresh); old.replaceWith(fresh); }
      for (const hook of hooks.put) hook(fresh);
    },
    append({ id, text }) { $(id)?.append(text); },
    remove({ id }) { $(id)?.remove(); },
    async gone() {  // deleted in another window
      const written = composer()?.value;
      state.source?.close();
      window.qwenbelt.dropDraft(state.session);
      notice(words.gone_elsewhere);
      await begin_session();
      if (written && !composer().value) write(written);
    },
    status({ live, title, turns, ...more }) {
      state.live = live;
      for (const hook of hooks.status) hook({ live, title, turns, ...more });
      $("qb-status").hidden = !live;
      $("qb-status-text").textContent = words.working;
      $("qb-stop").disabled = false;
      $("qb-turns").setAttribute("aria-busy", String(live));
      $("qb-welcome").hidden = turns > 0;
      $("qb-heading").hidden = !turns;
      if (title !== state.title) { state.title = title; others.postMessage("changed"); }
      document.title = (more.waiting ? `⚠ ${words.waits}: ` : live ? "● " : "") + (title || words.untitled);
      listSessions();
      rest();
    },
  };

  // what a person has opened, begun to write or focused stays so when an element is drawn anew
  function keep(old, fresh) {
    const both = (selector) => [old, ...old.querySelectorAll(selector)];
    for (const detail of both("details[id]")) {
      if (detail.tagName !== "DETAILS") continue;
      const same = fresh.id === detail.id ? fresh : fresh.querySelector(`#${CSS.escape(detail.id)}`);
      if (same && detail.dataset.chosen) {
        same.dataset.chosen = detail.dataset.chosen;
        same.open = detail.dataset.chosen === "open";
      }
    }
    const focused = document.activeElement, writing = old.contains(focused) && focused.closest("form, .qb-edit-form");
    for (const form of old.querySelectorAll(".qb-edit-form, .qb-rate-note")) {
      const place = form.parentElement, same = place === old ? fresh : fresh.querySelector(`#${CSS.escape(place.id)}`);
      same?.append(form);
    }
    if (writing && fresh.contains(writing)) queueMicrotask(() => focused.focus({ preventScroll: true }));
    else if (focused && focused !== document.body && old.contains(focused)) {
      const inside = [...old.querySelectorAll("button, summary, a, [tabindex]")].indexOf(focused);
      queueMicrotask(() =>
        fresh.querySelectorAll("button, summary, a, [tabindex]")[inside]?.focus({ preventScroll: true }));
    }
  }

  function begin(clock) { clock.started = performance.now() - Number(clock.dataset.elapsed || 0); }
  function took(milliseconds) {
    const s = milliseconds / 1000;
    return s < 9.95 ? `${s.toFixed(1)} s` : s < 60 ? `${s.toFixed(0)} s`
      : `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  }
  setInterval(() => {
    for (const clock of document.querySelectorAll(".qb-clock")) {
      if (clock.started === undefined) begin(clock);
      clock.textContent = took(performance.now() - clock.started);
    }
  }, 200);

  // `url`: how the address comes to name it; the back button leads to what was shown before
  function open(session, url = "push") {
    state.going += 1;  // whatever else was on its way to be opened is too late
    const address = new URL(location.href);
    address.searchParams.set("s", session);
    if (url === "replace" || session === state.session) history.replaceState(null, "", address);
    else if (url === "push") history.pushState(null, "", address);
    state.session = session;
    isOpen();
    remember("qwenbelt-session", session);
    state.stick = true;
    closePanel();
    for (const hook of hooks.opened) hook(session);
    listen();
  }
  addEventListener("popstate", () => {
    const session = new URL(location.href).searchParams.get("s");
    if (session && session !== state.session) { open(session, "keep"); listSessions(); }
  });

  function listen() {
    state.source?.close();
    const source = new EventSource(`/qb/stream?session=${state.session}&lang=${language}`);
    state.source = source;
    source.onmessage = (event) => {
      $("qb-offline").hidden = true;
      const { ops = [] } = JSON.parse(event.data);
      for (const op of ops) operations[op.op]?.(op);
      if (ops.length) follow();
    };
    source.onerror = () => {
      if (state.source !== source) return;
      $("qb-offline").hidden = false;
      if (source.readyState === EventSource.CLOSED) refused(source);
    };
  }
  // an EventSource does not tell why it was refused
  async function refused(source) {
    const stop = new AbortController(), reply = await fetch(source.url, { signal: stop.signal }).catch(() => null);
    const gone = reply?.status === 400 && (await reply.json()).gone;
    stop.abort();
    if (state.source !== source) return;
    if (reply?.status === 401) location.href = "/login";
    else if (gone) operations.gone();
    else setTimeout(() => state.source === source && listen(), 3000);
  }

  // a browser has six connections to a server for all its tabs; one that nobody looks at, and in
  // which nothing runs, gives its own back
  let resting = 0;
  function rest() {
    clearTimeout(resting);
    if (!document.hidden || state.live) return;
    resting = setTimeout(() => { state.source?.close(); state.source = null; }, 5000);
  }
  document.addEventListener("visibilitychange", () => {
    rest();
    if (document.hidden || !state.session) return;
    if (!state.source) listen();
    listSessions();
  });

  function follow() {
    const box = $("qb-scroll");
    if (state.stick) box.scrollTop = box.scrollHeight;
    $("qb-jump").hidden = state.stick;
  }

  // a person's choice to open or fold something outlasts its being drawn anew
  document.addEventListener("click", (event) => {
    const detail = event.target.closest("summary")?.parentElement;
    if (!detail) return;
    detail.dataset.chosen = detail.open ? "closed" : "open";
    if ($("qb-scroll")?.contains(detail)) state.stick = false;  // it is to be read, not scrolled away
  });

  // -- the list of conversations ------------------------------------------------------------

  let listing = 0, listed = 0, asking = false;
  function listSessions() {
    clearTimeout(listing);
    listing = setTimeout(async () => {
      const query = encodeURIComponent($("qb-search")?.value || ""), number = ++listed;
      const { sessions } = await call(`/qb/sessions?q=${query}`);
      const list = $("qb-sessions");
      if (!list || number !== listed || asking) return;
      list.replaceChildren(...window.qwenbelt.grouped(sessions).flatMap(([label, entries]) =>
        [...(label ? [make("h3", { textContent: label, className: "qb-day" })] : []), ...entries.map((entry) => item(entry))]));
    }, 120);
  }
  function item(entry) {
    const { id, title, found } = entry;
    const row = make("div", { className: "qb-session" });
    const name = title || words.untitled;
    const go = make("button", { type: "button", className: "qb-session-open", textContent: name });
    go.onclick = () => { open(id); listSessions(); foldSide(); };
    if (id === state.session) { row.classList.add("current"); go.setAttribute("aria-current", "true"); }
    const tool = (label, sign, action) => {
      const button = make("button", { type: "button", className: "qb-small", textContent: sign, title: label });
      button.setAttribute("aria-label", `${label}: ${name}`);
      button.onclick = action;
      return button;
    };
    const button = (text, action, kind = "") => {
      const made = make("button", { type: "button", className: `qb-button ${kind}`, textContent: text });
      made.onclick = action;
      return made;
    };
    // the row itself asks: a browser's dialog would stop the page, and an answer with it
    const instead = (kind, ...children) => {
      asking = true;
      const form = make("form", { className: `qb-session-form ${kind}` }, ...children);
      form.onkeydown = (event) => { if (event.key === "Escape") { event.stopPropagation(); done(); } };
      row.replaceChildren(form);
      return form;
    };
    const done = () => { asking = false; listSessions(); };
    const rename = tool(words.rename, "✎", () => {
      const field = make("input", { value: title, maxLength: 200, name: "title" });
      field.setAttribute("aria-label", words.rename);
      const save = make("button", { type: "submit", className: "qb-button", textContent: words.save });
      const form = instead("rename", field, save, button(words.cancel, done));
      form.onsubmit = async (event) => {
        event.preventDefault();
        const text = field.value.trim();
        if (text && text !== title) await call(`/qb/do/${id}/rename`, { title: text });
        done();
      };
      field.select();
    });
    const remove = tool(words.delete, "✕", () => {
      const sure = make("button", { type: "submit", className: "qb-button danger", textContent: words.delete });
      const form = instead("delete", make("span", { textContent: words.delete_sure }), sure, button(words.cancel, done));
      form.onsubmit = (event) => { event.preventDefault(); asking = false; forget(); };
      sure.focus();
    });
    const forget = async () => {
      const current = id === state.session;
      if (current) state.source?.close();
      try { await call(`/qb/do/${id}/delete`, {}); } catch { if (current) open(id); return; }
      window.qwenbelt.dropDraft(id);
      if (current) await begin_session(); else listSessions();
    };
    const more = tool(words.more, "⋯", () => window.qwenbelt.placeMenu(entry, more, instead, done));
    if (found) go.append(make("small", { textContent: found }));
    row.append(go, rename, remove, more);
    return row;
  }
  // of several ways somewhere the last one taken counts, however long the server takes for each
  async function go(way, url) {
    const number = ++state.going, session = await way();
    if (number === state.going && session) { open(session, url); listSessions(); }
  }
  const fresh = () => go(async () => (await call("/qb/new", {})).id);
  function foldSide() {
    if (innerWidth < 760) document.querySelector("#qb-side.open .toggle-button, .sidebar.open .toggle-button")?.click();
  }
  const begin_session = () => go(async () => {
    const { sessions } = await call("/qb/sessions");
    const known = new Set(sessions.map((entry) => entry.id));
    const wanted = [new URL(location.href).searchParams.get("s"), localStorage.getItem("qwenbelt-session")];
    const found = wanted.find((id) => id && known.has(id));
    return found ?? (await call("/qb/new", {})).id;
  }, "replace");

  // -- what people do -----------------------------------------------------------------------

  function edit(turn) {
    const question = $(`turn-${turn}-q`), text = question.querySelector(".qb-question-text");
    const area = make("textarea", { value: text.textContent, rows: 3, className: "qb-edit" });
    area.setAttribute("aria-label", words.edit);
    const send = make("button", { type: "button", className: "qb-button", textContent: words.send });
    const cancel = make("button", { type: "button", className: "qb-button", textContent: words.cancel });
    const form = make("div", { className: "qb-edit-form" }, area, make("div", {}, send, cancel));
    question.append(form);
    area.focus();
    send.onclick = async () => { await act("edit", { turn, text: area.value }); form.remove(); };
    cancel.onclick = () => form.remove();
    area.onkeydown = (event) => {
      if (event.key === "Escape") cancel.click();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send.click();
    };
  }
  const actions = {
    edit: (turn) => edit(turn),
    retry: (turn) => act("retry", { turn }),
    undo: async (turn) => {
      const taken = await act("undo", { turn });
      await emptied();
      if (taken.text !== undefined && !composer().value) window.qwenbelt.carry(taken.text, taken.files);
    },
    show: (turn) => act("show", { turn }),
    copy_answer: async (turn) => {
      await navigator.clipboard.writeText((await act("answer", { turn })).text);
      notice(words.copied);
    },
    copy_question: async (turn) => {
      await navigator.clipboard.writeText((await act("question", { turn })).text);
      notice(words.copied);
    },
    like: (turn, button) => window.qwenbelt.rate(turn, button, 1),
    dislike: (turn, button) => window.qwenbelt.rate(turn, button, -1),
    speak: (turn, button) => window.qwenbelt.speak(turn, button),
    versions: (turn) => window.qwenbelt.versions(turn),
    go_on_with: (turn) => act("go_on_with", { turn }),
    branch: (turn) => go(async () => (await act("branch", { turn })).id),
  };

  function exportMenu() {
    $("qb-export-menu")?.remove();
    const report = (kind) => fill(words.export_report, { kind });
    const forms = {
      md: words.export_md, json: words.export_json, scenario: words.export_scenario, html: words.export_html,
      "report.pdf": report("PDF"), "report.docx": report("Word"), "report.html": report("HTML"),
    };
    const links = Object.entries(forms).map(([form, text]) =>
      make("a", { href: `/qb/export/${state.session}/${form}`, textContent: text, download: "" }));
    links.push(make("a", { href: "/qb/ratings.jsonl", textContent: words.export_ratings, download: "" }));
    const menu = make("section", { id: "qb-export-menu", ariaLabel: words.export }, ...links);
    menu.onclick = (event) => { event.preventDefault(); menu.remove(); download(event.target.href); };
    document.body.append(menu);
    beside(menu, $("qb-export"));
    links[0].focus();
  }
  // in the top layer nothing clips it, wherever its button stands
  function beside(menu, button) {
    menu.setAttribute("popover", "auto");
    menu.showPopover();
    const place = button.getBoundingClientRect(), own = menu.getBoundingClientRect();
    const below = place.bottom + own.height + 8 < innerHeight;
    menu.style.left = `${Math.max(8, Math.min(place.left, innerWidth - own.width - 8))}px`;
    menu.style.top = `${Math.max(8, below ? place.bottom + 4 : place.top - own.height - 4)}px`;
    menu.addEventListener("toggle", (event) => { if (event.newState === "closed") menu.remove(); });
  }

  async function download(address) {
    const reply = await fetch(address);
    if (!reply.ok) { notice((await reply.json()).error); return; }
    const name = /filename="([^"]+)"/.exec(reply.headers.get("content-disposition"))[1];
    const link = make("a", { href: URL.createObjectURL(await reply.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  const composer = () => document.querySelector("#qb-message textarea");
  function write(text) {
    const area = composer();
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(area, text);
    area.dispatchEvent(new Event("input", { bubbles: true }));
    area.focus();
  }

  document.addEventListener("click", async (event) => {
    const target = event.target.closest("button, a");
    if (!target) return;
    const data = target.dataset;
    if (data.action) actions[data.action]?.(data.turn, target);
    else if (data.approve) {
      for (const button of target.parentElement.querySelectorAll("button")) button.disabled = true;
      const turn = target.closest("[data-answer]")?.dataset.answer;  // of two answers
      await act("approve", { call: data.call, answer: data.approve, tool: data.tool, turn });
    } else if (target.classList.contains("qb-cite")) window.qwenbelt.cite(target);
    else if (target.classList.contains("qb-copy")) copy(target);
    else if (data.suggest) await act("suggest", { number: Number(data.suggest), lang: language });
    else if (target.classList.contains("qb-example")) write(target.textContent);
    else if (target.id === "qb-stop") {
      target.disabled = true;
      $("qb-status-text").textContent = words.stopping;
      await act("stop");
    } else if (target.id === "qb-new") { fresh(); foldSide(); }
    else if (data.settings) showSettings();
    else if (target.id === "qb-export") exportMenu();
    else if (target.id === "qb-import") $("qb-import-file").click();
    else if (target.id === "qb-theme") {
      remember("qwenbelt-theme", document.body.classList.toggle("dark") ? "dark" : "light");
    } else if (target.id === "qb-language") {
      document.cookie = `qb_lang=${language === "en" ? "zh" : "en"};path=/;max-age=31536000;samesite=lax`;
      target.search = `?s=${state.session}`;
    } else if (target.id === "qb-jump") { state.stick = true; follow(); }
  });
  function showSettings() {
    document.querySelector("#qb-side:not(.open) .toggle-button, .sidebar:not(.open) .toggle-button")?.click();
    const settings = $("qb-settings"), head = settings.querySelector("button");
    if (!head.classList.contains("open")) head.click();
    setTimeout(() => {
      settings.scrollIntoView({ block: "start" });
      settings.querySelector("#qb-endpoint input, input")?.focus();
    }, 300);
  }
  // Gradio's box drops silently what it does not take
  const limit = window.qwenbeltPage.limit;
  function takes(file, input) {
    const fits = (kind) => kind.endsWith("/*") ? file.type.startsWith(kind.slice(0, -1))
      : file.name.toLowerCase().endsWith(kind);
    return file.size > 0 && file.size <= limit && input.accept.split(",").some((kind) => fits(kind.trim()));
  }
  function checkFiles(event) {
    const input = event.type === "drop" ? document.querySelector("#qb-message input[type=file]")
      : event.target.closest?.("#qb-message")?.querySelector("input[type=file]");
    const refused = input && [...(event.dataTransfer ?? event.target).files ?? []].find((file) => !takes(file, input));
    if (!refused) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    input.value = "";
    notice(`${refused.name} ✗ ${$("qb-limits").querySelector("small").textContent}`);
  }
  for (const kind of ["drop", "change"]) document.addEventListener(kind, checkFiles, true);

  // and takes pasted pictures only
  document.addEventListener("paste", (event) => {
    const input = event.target.closest?.("#qb-message")?.querySelector("input[type=file]");
    const files = [...event.clipboardData.files].filter((file) => !file.type.includes("image"));
    if (!input || !files.length) return;
    event.preventDefault();
    const given = new DataTransfer();
    for (const file of files) given.items.add(file);
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { closePanel(); $("qb-export-menu")?.remove(); }
  });

  async function copy(button) {
    const code = button.closest(".qb-code").querySelector("code").textContent;
    await navigator.clipboard.writeText(code);
    button.textContent = words.copied;
    setTimeout(() => { button.textContent = words.copy; }, 1500);
  }

  // -- the panel beside the conversation ------------------------------------------------------

  let opener = null;
  function closePanel() {
    const panel = $("qb-panel");
    if (!panel || panel.hidden) return;
    panel.hidden = true;
    $("qb-layout").classList.remove("with-panel");
    opener?.focus?.();
  }
  // who opened the panel gets the focus back when it is closed
  function openPanel(label, button) {
    const panel = $("qb-panel");
    if (button) opener = button;
    panel.hidden = false;
    $("qb-layout").classList.add("with-panel");
    panel.setAttribute("aria-label", label);
    return panel;
  }

  // -- beginning ----------------------------------------------------------------------------

  function prepare() {
    document.documentElement.lang = language;
    const chosen = localStorage.getItem("qwenbelt-theme");
    if (chosen) document.body.classList.toggle("dark", chosen === "dark");
    const box = $("qb-scroll");
    const leave = () => { state.stick = false; };
    box.addEventListener("wheel", (event) => event.deltaY < 0 && leave(), { passive: true });
    box.addEventListener("touchmove", leave, { passive: true });
    box.addEventListener("pointerdown", (event) => event.offsetX > box.clientWidth && leave());
    box.addEventListener("keydown", (event) => {
      if (["ArrowUp", "PageUp", "Home"].includes(event.key)) leave();
    });
    box.addEventListener("scroll", () => {
      if (box.scrollHeight - box.scrollTop - box.clientHeight < 40) state.stick = true;
      $("qb-jump").hidden = state.stick;
    });
    new ResizeObserver(follow).observe($("qb-turns"));
    $("qb-search").addEventListener("input", listSessions);
    $("qb-import-file").addEventListener("change", async (event) => {
      const file = event.target.files[0];
      event.target.value = "";
      if (!file) return;
      let body;
      try { body = JSON.parse(await file.text()); } catch (error) { notice(error.message); return; }
      await go(async () => (await call("/qb/import", body)).id);
    });
    foldSide();
    if (!state.going) begin_session();  // New chat may have been pressed already
  }
  window.qwenbelt = {
    get session() { return state.session; }, state, hooks, words, $, make, fill, call, act, write,
    composer, target, wasSent: () => wasSent(), emptied, remember, showFiles, showSettings, openPanel, closePanel, notice, open, go, beside, listSessions, size, language,
  };
  const waiting = setInterval(() => {
    if ($("qb-turns") && $("qb-sessions") && $("qb-search")) { clearInterval(waiting); prepare(); }
  }, 50);
})();
