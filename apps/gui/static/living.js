// Living with many conversations: by day, pinned, filed; ratings; what answers here; a word when one is waited for.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, hooks, make, call, act, fill, state, language } = belt;
  const button = (text, action, kind = "") => {
    const made = make("button", { type: "button", className: `qb-button ${kind}`, textContent: text });
    made.onclick = action;
    return made;
  };

  // -- the list of conversations: pinned ones, folders, days, the archive -----------------------

  belt.grouped = (sessions) => {
    const midnight = new Date().setHours(0, 0, 0, 0) / 1000, day = 86400;
    const label = ({ pinned, archived, folder, updated }) => archived ? words.day_archive : pinned ? words.day_pinned
      : folder ? `▸ ${folder}` : updated >= midnight ? words.day_today : updated >= midnight - day ? words.day_yesterday
        : updated >= midnight - 7 * day ? words.day_week : words.day_older;
    const groups = new Map();
    for (const entry of sessions) groups.set(label(entry), [...(groups.get(label(entry)) ?? []), entry]);
    const order = (name) => name === words.day_pinned ? 0 : name.startsWith("▸ ") ? 1 : name === words.day_archive ? 9
      : 2 + [words.day_today, words.day_yesterday, words.day_week, words.day_older].indexOf(name);
    const sorted = [...groups].sort(([one], [other]) => order(one) - order(other) || one.localeCompare(other));
    return sorted.length === 1 && sorted[0][0] === words.day_today ? [["", sorted[0][1]]] : sorted;
  };
  // a menu whose entries are buttons; arrows move, Escape closes, the opener gets the focus back
  function menu(entries, opener, label) {
    document.querySelector(".qb-choices")?.remove();
    const list = make("div", {}, ...entries), box = make("section", { className: "qb-menu qb-choices" }, list);
    list.setAttribute("role", "menu");
    for (const part of [box, list]) part.setAttribute("aria-label", label);
    for (const entry of entries) entry.setAttribute("role", entry.dataset.on === undefined ? "menuitem" : "menuitemradio");
    box.onclick = (event) => { if (event.target.closest("button")) box.hidePopover(); };
    box.onkeydown = (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], at = entries.indexOf(document.activeElement);
      if (!step) return;
      event.preventDefault();
      entries[(at + step + entries.length) % entries.length].focus();
    };
    document.body.append(box);
    belt.beside(box, opener);
    entries[0]?.focus();
    box.addEventListener("toggle", (event) => { if (event.newState === "closed") opener.isConnected && opener.focus(); });
  }
  belt.placeMenu = ({ id, pinned, archived, folder }, opener, instead, done) => {
    const place = async (body) => { await call(`/qb/do/${id}/place`, body); belt.listSessions(); };
    const file = () => {
      const field = make("input", { value: folder ?? "", maxLength: 60, placeholder: words.folder_name });
      field.setAttribute("aria-label", words.folder_name);
      const form = instead("folder", field, make("button", { type: "submit", className: "qb-button", textContent: words.save }), button(words.cancel, done));
      form.onsubmit = async (event) => {
        event.preventDefault();
        await call(`/qb/do/${id}/place`, { folder: field.value });
        done();
      };
      field.focus();
    };
    menu([
      button(pinned ? words.unpin : words.pin, () => place({ pinned: !pinned })),
      button(archived ? words.unarchive : words.archive, () => place({ archived: !archived })),
      button(words.folder, () => setTimeout(file)),
    ], opener, words.more);
  };

  // -- what a person thought of an answer -------------------------------------------------------

  belt.rate = async (turn, pressed, value) => {
    const off = pressed.getAttribute("aria-pressed") === "true";
    await act("rate", { turn, value: off ? 0 : value });
    if (off) return;
    const field = make("input", { maxLength: 2000, placeholder: words.rate_note });
    field.setAttribute("aria-label", words.rate_note);
    const form = make("form", { className: "qb-rate-note" }, field, make("button", { type: "submit", className: "qb-button", textContent: words.save }));
    form.onkeydown = (event) => { if (event.key === "Escape") form.remove(); };
    form.onsubmit = async (event) => {
      event.preventDefault();
      await act("rate", { turn, value, note: field.value });
      form.remove();
      belt.notice(words.rated);
    };
    document.querySelector(".qb-rate-note")?.remove();
    belt.$(`turn-${turn}`).append(form);
    field.focus({ preventScroll: false });
  };

  // -- which model and tools answer here --------------------------------------------------------

  const choose = async (body) => { await act("choose", body); belt.look(); };
  function radio(text, on, action) {
    const made = button(text, action);
    made.dataset.on = String(on);
    made.setAttribute("aria-checked", String(on));
    return made;
  }
  let here = {};
  hooks.status.push(({ choice = {} }) => { here = choice; });
  function written(opener, label, value, take) {
    const field = make("input", { className: "qb-here-model", placeholder: "dashscope:qwen-plus", value });
    field.setAttribute("aria-label", label);
    field.onkeydown = (event) => {
      if (event.key === "Escape") belt.look();
      if (event.key === "Enter") take(field.value.trim());
    };
    opener.replaceWith(field);
    field.focus();
  }
  // a second model that answers each question of this conversation too
  function chooseBeside({ usual, endpoints, open }, opener) {
    const known = [...new Set([usual, ...endpoints, here.beside].filter((spec) => spec && spec !== (here.endpoint || usual)))];
    menu([radio(words.beside_off, !here.beside, () => choose({ beside: "" })),
      ...known.map((spec) => radio(spec, here.beside === spec, () => choose({ beside: spec }))),
      ...(open ? [button(`${words.here_other}…`, () => setTimeout(() => written(opener, words.beside_with, here.beside ?? "", (beside) => choose({ beside }))))] : []),
    ], opener, words.beside_with);
  }
  belt.chooseModel = (told, opener) => {
    const { usual, endpoints, open } = told;
    const known = [...new Set([...endpoints, here.endpoint].filter((spec) => spec && spec !== usual))];
    const other = () => setTimeout(() => written(opener, words.here_other, here.endpoint ?? "", (endpoint) => choose({ endpoint })));
    menu([radio(fill(words.here_default, { name: usual.split("/").pop() || "auto" }), !here.endpoint, () => choose({ endpoint: "" })),
      ...known.map((spec) => radio(spec, here.endpoint === spec, () => choose({ endpoint: spec }))),
      ...(open ? [button(`${words.here_other}…`, other)] : []),
      ...(told.beside === null ? [] : [button(`${words.beside_with}…`, () => setTimeout(() => chooseBeside(told, opener)))]), button(words.settings_word, belt.showSettings)], opener, words.here_model);
  };
  belt.chooseTools = ({ presets, usual_tools: count }, opener) => {
    const same = (tools) => JSON.stringify([...tools].sort()) === JSON.stringify([...here.tools ?? []].sort());
    menu([radio(fill(words.here_default, { name: fill(words.chip_tools, { count }) }), !here.tools, () => choose({ tools: null })),
      ...presets.map(({ label, tools }) => radio(label, same(tools), () => choose({ tools }))),
      button(words.settings_word, belt.showSettings)], opener, words.here_tools);
  };

  // -- versions of an answer, side by side ------------------------------------------------------

  belt.versions = async (turn) => {
    const { question, versions } = await call(`/qb/versions/${state.session}/${turn}`);
    const columns = versions.map(({ turn: name, html, facts }, number) => {
      const answer = document.createElement("template");
      answer.innerHTML = html;  // of the server, which has escaped it
      const rows = Object.entries(facts).map(([fact, value]) => make("tr", {}, make("th", { scope: "row", textContent: fact }), make("td", { textContent: value })));
      const column = make("section", { className: "qb-version-column", tabIndex: 0 }, make("h3", { textContent: `${number + 1} / ${versions.length}` }), answer.content,
        make("table", { className: "qb-facts" }, make("tbody", {}, ...rows)), button(`▸ ${number + 1}`, () => { act("show", { turn: name }); box.close(); }));
      column.setAttribute("aria-label", `${number + 1} / ${versions.length}`);
      return column;
    });
    const close = button("✕", () => box.close());
    close.setAttribute("aria-label", words.close);
    const box = make("dialog", { id: "qb-versions" }, make("div", { className: "qb-large-tools" }, make("strong", { textContent: question.slice(0, 120) }), close),
      make("div", { className: "gradio-container gradio-container gradio-container qb-version-columns" }, ...columns));
    box.setAttribute("aria-label", words.side_by_side);
    box.onclose = () => box.remove();
    document.body.append(box);
    box.showModal();
  };

  // -- a word when an answer is done or waits ---------------------------------------------------

  const KEY = "qwenbelt-notify";
  const allowed = () => localStorage.getItem(KEY) === "1" && globalThis.Notification?.permission === "granted";
  belt.bell = () => {
    const bell = button("", async () => {
      if (allowed()) localStorage.removeItem(KEY);
      else if (await globalThis.Notification?.requestPermission() === "granted") belt.remember(KEY, "1");
      else belt.notice(words.notify_no);
      show();
    }, "qb-chip");
    const show = () => {
      bell.innerHTML = `<svg class="qb-sign" viewBox="0 0 24 24" aria-hidden="true"><path d="M6 17V11a6 6 0 0 1 12 0v6l2 2H4zM10 21h4${allowed() ? "" : "M4 4l16 16"}"/></svg>`;
      bell.title = words.notify_on;
      bell.setAttribute("aria-label", words.notify_on);
      bell.setAttribute("aria-pressed", String(allowed()));
    };
    show();
    return bell;
  };
  function beep() {
    try {
      const sound = new AudioContext(), tone = sound.createOscillator(), volume = sound.createGain();
      volume.gain.setValueAtTime(0.08, sound.currentTime);
      volume.gain.exponentialRampToValueAtTime(0.0001, sound.currentTime + 0.4);
      tone.frequency.value = 660;
      tone.connect(volume).connect(sound.destination);
      tone.start();
      tone.stop(sound.currentTime + 0.4);
      tone.onended = () => sound.close();
    } catch { /* no sound here */ }
  }
  let was = { live: false, waiting: false, session: "" };
  hooks.status.push(({ live, waiting = false, title }) => {
    const same = was.session === state.session, waits = same && waiting && !was.waiting, done = same && was.live && !live;
    was = { live, waiting, session: state.session };
    if (!document.hidden || !allowed() || !(waits || done)) return;
    const note = new Notification(title || words.untitled, { body: waits ? words.waits : words.notify_done, tag: state.session });
    note.onclick = () => { window.focus(); note.close(); };
    if (waits) beep();
  });
})();
