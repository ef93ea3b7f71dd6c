// The composer's menus: `/` for prompts and skills, `@` for files, agents and resources.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, hooks, make, call, fill, state } = belt;
  const FRESH = 30000;  // milliseconds for which what was offered is shown again
  let menu = null, options = [], picked = 0, begun = 0, known = null;

  async function offers() {
    if (known?.session !== state.session || performance.now() - known.at > FRESH) {
      const session = state.session;
      known = { session, at: performance.now(), ...await call(`/qb/offers/${session}`) };
    }
    return known;
  }
  hooks.files.push(() => { known = null; });
  hooks.status.push(() => { known = null; });

  // what is being named at the caret: its sign, where it begins, and how far it is written
  function named(area) {
    const text = area.value.slice(0, area.selectionStart);
    const found = /^\/([^\s]*)$/.exec(text) ?? /(?:^|\s)@([^\s@]*)$/.exec(text);
    if (!found) return null;
    const from = text.length - found[1].length - 1;
    return { sign: text[from], from, begun: found[1].toLowerCase() };
  }
  // an argument of a server's prompt at the caret
  function argument(area) {
    const text = area.value.slice(0, area.selectionStart);
    const found = /^\/[^\s:]+:\S+ (?:[^\n]* )?([^\s=]*(?:=\S*)?)$/.exec(text);
    return found && { sign: "/", from: text.length - found[1].length, begun: found[1], line: text };
  }
  async function values(line) {
    try {
      const { words: found } = await call(`/qb/complete/${state.session}`, { line });
      return found.map((word) => ({ kind: "value", name: word, insert: word.endsWith("=") ? word : `${word} ` }));
    } catch { return []; }
  }
  async function complete(area, wanted, number) {
    await new Promise((go) => setTimeout(go, 120));  // while somebody types, the last word is asked for
    if (number !== asked) return;
    const fits = await values(wanted.line);
    if (number !== asked || !argument(area)) return;
    if (fits.length) show(wanted, fits, "");
    else close();
  }
  let asked = 0;
  async function look() {
    const area = belt.composer(), wanted = area && (named(area) ?? argument(area)), number = ++asked;
    if (!wanted) { close(); return; }
    if (wanted.line) { await complete(area, wanted, number); return; }
    let all;
    try { all = await offers(); } catch { return; }
    if (number !== asked || !named(area)) return;
    const list = wanted.sign === "/" ? [...all.commands] : all.mentions;
    let fits = list.filter((one) => one.name.toLowerCase().replace(/^[/@]/, "").includes(wanted.begun));
    if (wanted.sign === "@" && wanted.begun.includes(":") && !fits.some((one) => !one.name.includes("{"))) {
      const line = area.value.slice(wanted.from, area.selectionStart);  // a template's variable
      fits = [...await values(line), ...fits];
      if (number !== asked || !named(area)) return;
    }
    const last = [...document.querySelectorAll(".qb-question-text")].at(-1)?.textContent;
    if (wanted.sign === "/" && last && !wanted.begun) fits.push({ kind: "keep", name: words.keep_prompt, text: last, about: last.slice(0, 60) });
    show(wanted, fits.slice(0, 50), all.problem);
  }

  function show(wanted, fits, problem) {
    const area = belt.composer();
    if (!menu) {
      menu = make("div", { id: "qb-menu", className: "qb-menu" });
      document.body.append(menu);
      menu.setAttribute("popover", "manual");
      menu.showPopover();
      area.setAttribute("aria-autocomplete", "list");
      area.setAttribute("aria-controls", "qb-menu-list");
    }
    const label = wanted.sign === "/" ? words.menu_commands : words.menu_mentions;
    menu.setAttribute("role", "region");
    menu.setAttribute("aria-label", label);
    const list = make("ul", { id: "qb-menu-list" });
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", label);
    begun = wanted.from;
    options = fits;
    picked = Math.min(picked, Math.max(0, fits.length - 1));
    list.append(...fits.map((one, number) => option(one, number)));
    const told = make("p", { className: "qb-panel-note", textContent: problem || (fits.length ? fill(words.menu_count, { count: fits.length }) : words.menu_none) });
    told.setAttribute("role", "status");
    menu.replaceChildren(...(fits.length ? [list] : []), told);
    pick(picked);
    const place = area.closest("#qb-composer").getBoundingClientRect();
    menu.style.left = `${place.left + 16}px`;
    menu.style.width = `${Math.min(place.width - 32, 640)}px`;
    menu.style.bottom = `${innerHeight - place.top + 4}px`;
  }
  const icon = ({ icon }) => (icon ? [make("img", { src: icon, alt: "", className: "qb-menu-icon" })] : []);
  function option(one, number) {
    const row = make("li", { id: `qb-menu-${number}` }, ...icon(one), make("span", { className: "qb-menu-name", textContent: one.name }),
      make("small", { textContent: one.about ?? "" }), make("small", { className: "qb-menu-kind", textContent: words[`kind_${one.kind}`] ?? "" }));
    row.setAttribute("role", "option");
    if (one.kind === "own") {
      const drop = make("span", { textContent: "✕", title: words.menu_forget });
      drop.setAttribute("aria-hidden", "true");  // with the keyboard: Shift and Delete
      drop.onmousedown = (event) => { event.preventDefault(); event.stopPropagation(); forget(one); };
      row.append(drop);
    }
    row.onmousedown = (event) => { event.preventDefault(); choose(one); };
    return row;
  }
  function pick(number) {
    picked = number;
    menu.querySelectorAll("[role=option]").forEach((row, place) => {
      row.setAttribute("aria-selected", String(place === number));
      if (place === number) row.scrollIntoView({ block: "nearest" });
    });
    if (options.length) belt.composer().setAttribute("aria-activedescendant", `qb-menu-${number}`);
  }
  function close() {
    asked += 1;
    picked = 0;
    options = [];
    if (!menu) return;
    menu.remove();
    menu = null;
    for (const name of ["aria-controls", "aria-activedescendant"]) belt.composer()?.removeAttribute(name);
  }
  async function forget(one) {
    await call(`/qb/prompts/${state.session}`, { name: one.name.slice(1), text: "" });
    known = null;
    look();
  }
  async function choose(one) {
    const area = belt.composer(), text = area.value, after = text.slice(area.selectionStart);
    close();
    if (one.kind === "keep") {
      await call(`/qb/prompts/${state.session}`, { name: one.text.split(/\s+/).slice(0, 4).join(" "), text: one.text });
      known = null;
      belt.write("");
      belt.notice(words.keep_prompt + " ✓");
      return;
    }
    const insert = one.kind === "file" ? `${one.name} ` : one.insert;
    const whole = text.slice(0, begun) + insert + after;
    if (one.kind === "file") belt.carry(whole, [...new Set([...belt.carriedNow(), one.name])]);
    else belt.write(whole);
    const empty = /=(?= |$)/.exec(insert);  // the first argument that is to be given
    const caret = begun + (one.kind === "mcp" && empty ? empty.index + 1 : insert.length);
    area.setSelectionRange(caret, caret);
    close();
  }

  document.addEventListener("input", (event) => { if (event.target === belt.composer()) look(); });
  document.addEventListener("focusout", (event) => { if (event.target === belt.composer()) close(); });
  document.addEventListener("keydown", (event) => {
    if (!menu || event.target !== belt.composer() || event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const taken = step || event.key === "Escape" || (options.length && ["Enter", "Tab"].includes(event.key));
    if (event.key === "Delete" && event.shiftKey && options[picked]?.kind === "own") forget(options[picked]);
    else if (!taken) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (step && options.length) pick((picked + step + options.length) % options.length);
    else if (event.key === "Escape") close();
    else if (["Enter", "Tab"].includes(event.key)) choose(options[picked]);
  }, true);
})();
