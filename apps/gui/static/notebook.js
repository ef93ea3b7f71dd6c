// The side pane's code: the conversation's session as a notebook, with cells of one's own.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, hooks, $, make, call, state, desk } = belt;
  const { at, coded, button, link } = desk;
  const OFTEN = 500;  // milliseconds between two looks while something runs
  let drafts = {}, timer = 0, drawn = "";  // what is being written in cells, by their places

  hooks.opened.push(() => { drafts = {}; });
  hooks.status.push(() => { if (desk.now === "code") refresh(); });

  desk.views.code = () => { drawn = ""; return notebook(); };
  // returns what is to be seen, or null where it is what is seen already: a click must meet its button
  async function notebook() {
    const [{ cells, busy }, { running, variables }] = await Promise.all([call(at("cells")), call(at("variables"))]);
    clearTimeout(timer);
    if (busy) timer = setTimeout(refresh, OFTEN);
    const now = JSON.stringify([state.session, cells, busy, running, variables, Object.keys(drafts)]);
    if (now === drawn) return null;
    drawn = now;
    const files = cells.length ? [link(".ipynb", at("code.ipynb")), link(".py", at("code.py"))] : [];
    return [...files, ...cells.map(cellView), newCell(busy), variablesView(running, variables, cells.length)];
  }
  // drawn anew while something runs; a cell that is being written stays as it is
  async function refresh() {
    if (desk.now !== "code") return;
    const session = state.session, parts = await notebook(), body = desk.body();
    if (!parts || !body || desk.now !== "code" || session !== state.session) return;
    const focused = body.contains(document.activeElement) ? document.activeElement : null;
    const place = focused?.dataset.place, from = focused?.selectionStart, to = focused?.selectionEnd;
    body.replaceChildren(...parts);
    const again = place && body.querySelector(`[data-place="${place}"]`);
    if (again) { again.focus({ preventScroll: true }); again.setSelectionRange?.(from, to); }
  }

  function cellView({ code, output, state: how, pictures, own }, number) {
    const busy = how === "running";
    const place = `cell-${number}`;
    const shown = make("section", { className: `qb-cell ${how}` });
    shown.setAttribute("aria-label", `[${number + 1}]`);
    const sign = make("small", { textContent: `[${busy ? "*" : number + 1}]${own ? ` ${words.own_cell}` : ""}` });
    const tools = make("div", { className: "qb-desk-tools" });
    if (drafts[place] === undefined) {
      tools.append(
        button(words.edit_cell, () => { drafts[place] = code; refresh().then(() => desk.body().querySelector(`[data-place="${place}"]`)?.focus()); }),
        button(words.send_to_model, () => belt.write(`${words.run_again}\n\`\`\`python\n${code}\n\`\`\`\n`)));
      if (own && busy) tools.append(button(words.stop, () => call(at("cells/stop"), {})));
      else if (own) tools.append(button(words.remove_cell, async () => { await call(at("cells/remove"), { id: own }); refresh(); }));
    }
    shown.append(sign, drafts[place] === undefined ? make("pre", { textContent: code, tabIndex: 0 }) : editor(place, code),
      ...(output ? [make("pre", { textContent: output, tabIndex: 0, className: "qb-cell-out" })] : []),
      ...pictures.map((name) => make("img", { src: `/qb/file/${state.session}/${coded(name)}`, alt: name, className: "qb-figure" })), tools);
    return shown;
  }
  function editor(place, code) {
    const area = make("textarea", { value: drafts[place] ?? code, className: "qb-cell-edit", spellcheck: false });
    area.rows = Math.min(20, Math.max(3, area.value.split("\n").length + 1));
    area.dataset.place = place;
    area.setAttribute("aria-label", words.cell_code);
    area.oninput = () => { drafts[place] = area.value; };
    const run = async () => {
      if (!area.value.trim()) return;
      await call(at("cells/run"), { code: area.value });
      delete drafts[place];
      refresh();
    };
    area.onkeydown = (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.shiftKey)) { event.preventDefault(); run(); }
      if (event.key === "Escape" && place !== "new") { event.stopPropagation(); delete drafts[place]; refresh(); }
    };
    const tools = make("div", { className: "qb-desk-tools" }, button(words.run_cell, run, "qb-button qb-run"));
    if (place !== "new") tools.append(button(words.cancel, () => { delete drafts[place]; refresh(); }));
    return make("div", {}, area, tools);
  }
  function newCell(busy) {
    const box = make("section", { className: "qb-cell" }, make("small", { textContent: words.new_cell }), editor("new", ""));
    box.setAttribute("aria-label", words.new_cell);
    if (busy) box.querySelector(".qb-run").disabled = true;
    return box;
  }
  function variablesView(running, variables, any) {
    const box = make("section", { className: "qb-variables" }, make("strong", { textContent: words.variables }));
    if (!variables.length) {
      box.append(make("p", { className: "qb-panel-note", textContent: !running && any ? words.variables_rest : words.variables_none }));
      return box;
    }
    const head = ["name", "kind", "size", "text"].map((part) => make("th", { scope: "col", textContent: words[`variable_${part}`] }));
    const rows = variables.map(({ name, kind, size, text }) => {
      const first = make("td", { textContent: name });
      if (["DataFrame", "Series"].includes(kind)) {
        first.replaceChildren(button(name, () => desk.grid({ source: `frame:${name}`, name }), "qb-small"));
      }
      return make("tr", {}, first, ...[kind, size, text].map((part) => make("td", { textContent: part })));
    });
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
    const scroll = make("div", { className: "qb-grid-box", tabIndex: 0 }, table);
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", words.variables);
    box.append(scroll);
    return box;
  }
})();
