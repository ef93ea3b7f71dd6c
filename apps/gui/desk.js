// The side pane: the conversation's document pages, files, code, data and times, side by side.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, hooks, $, make, call, fill, state } = belt;
  const TABS = ["document", "files", "code", "data", "trace"];
  const at = (part) => `/qb/desk/${state.session}/${part}`;
  const coded = encodeURIComponent;
  const button = (text, action, kind = "qb-button") => {
    const made = make("button", { type: "button", className: kind, textContent: text });
    made.onclick = action;
    return made;
  };
  const link = (text, href) => make("a", { href, textContent: text, className: "qb-button", download: "" });
  let now = "files", shownDocument = null, wanted = 0;

  // -- the frame: tabs above whatever is shown ------------------------------------------------

  function tabs(current) {
    now = current;
    const strip = make("div", { className: "qb-tabs" });
    strip.setAttribute("role", "tablist");
    strip.setAttribute("aria-label", words.desk);
    for (const name of TABS) {
      const tab = button(words[`tab_${name}`], () => show(name), "qb-small qb-tab");
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-selected", String(name === current));
      tab.tabIndex = name === current ? 0 : -1;
      strip.append(tab);
    }
    strip.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      show(TABS[(TABS.indexOf(now) + step + TABS.length) % TABS.length]);
      $("qb-panel").querySelector("[aria-selected=true]").focus();
    };
    return strip;
  }
  // chat.js shows a cited page and hands it over, so that its document is the one of the tab
  hooks.page.push((file, page, head) => {
    shownDocument = { file, page };
    head.before(tabs("document"), grip());
    const text = button(words.page_text, () => readPage(file, page));
    const ask = button(words.ask_passage, () => {
      const said = String(getSelection()).trim() || fill(words.citation, { file, page });
      belt.write(`${belt.composer().value}«${said.slice(0, 2000)}» (${file} p.${page})\n`);
    });
    return make("div", { className: "qb-desk-tools" }, text, ask, finder(file), zoom(), ...marks(file, page));
  });
  async function show(name) {
    const panel = $("qb-panel"), number = ++wanted;
    if (name === "document" && shownDocument) { belt.showPage(shownDocument.file, shownDocument.page, ""); return; }
    panel.hidden = false;
    $("qb-layout").classList.add("with-panel");
    panel.setAttribute("aria-label", words[`tab_${name}`]);
    const close = button("✕", belt.closePanel, "qb-small");
    close.setAttribute("aria-label", words.close);
    const wide = button("□", () => panel.classList.toggle("whole"), "qb-small");
    wide.setAttribute("aria-label", words.whole_window);
    const body = make("div", { className: "qb-desk-body" });
    body.setAttribute("role", "tabpanel");
    body.setAttribute("aria-label", words[`tab_${name}`]);
    body.tabIndex = 0;
    panel.replaceChildren(tabs(name), grip(),
      make("div", { className: "qb-panel-head" }, make("strong", { textContent: words[`tab_${name}`] }), wide, close), body);
    const parts = await views[name]();
    if (number === wanted) body.replaceChildren(...(parts.length ? parts : [make("p", { textContent: words.desk_empty })]));
  }
  function grip() {
    const bar = make("div", { className: "qb-grip" });
    bar.onpointerdown = (event) => {
      bar.setPointerCapture(event.pointerId);
      bar.onpointermove = (move) => {
        $("qb-panel").style.flexBasis = `${Math.min(innerWidth * 0.8, Math.max(240, innerWidth - move.clientX))}px`;
      };
      bar.onpointerup = () => { bar.onpointermove = null; };
    };
    return bar;
  }

  // -- what each tab shows ------------------------------------------------------------------

  const views = {
    async document() {
      const { files } = await call(at("files"));
      return files.filter((file) => file.document).map(openable);
    },
    async files() {
      const { files } = await call(at("files"));
      if (!files.length) return [];
      const rows = files.map((file) => make("li", {}, make("span", { className: "qb-desk-name", textContent: file.name }),
        make("small", { textContent: [belt.size(file.size), file.made].filter(Boolean).join(" · ") }),
        ...(file.document ? [openable(file)] : []), ...(file.table ? [gridButton(file)] : []),
        link(words.download_it, `/qb/file/${state.session}/${coded(file.name)}`)));
      return [link(words.download_all, at("files.zip")), make("ul", { className: "qb-desk-list" }, ...rows)];
    },
    async code() {
      const { cells } = await call(at("cells"));
      if (!cells.length) return [];
      const shown = cells.map(({ code, output, state: how, pictures }, number) => make("section", { className: `qb-cell ${how}` },
        make("small", { textContent: `[${number + 1}]` }),
        make("pre", { textContent: code, tabIndex: 0 }),
        ...(output ? [make("pre", { textContent: output, tabIndex: 0, className: "qb-cell-out" })] : []),
        ...pictures.map((name) => make("img", { src: `/qb/file/${state.session}/${coded(name)}`, alt: name, className: "qb-figure" })),
        button(words.send_to_model, () => belt.write(`${words.run_again}\n\`\`\`python\n${code}\n\`\`\`\n`))));
      return [link(".ipynb", at("code.ipynb")), link(".py", at("code.py")), ...shown];
    },
    async data() {
      const { files } = await call(at("files"));
      return files.filter((file) => file.table).map(gridButton);
    },
    async trace() {
      const { turns } = await call(at("trace"));
      if (!turns.length) return [];
      return [link(words.make_test, `/qb/export/${state.session}/scenario`), ...turns.map(({ turn, question, words: told, html }) => {
        const lanes = document.createElement("template");
        lanes.innerHTML = html;  // of the server, which has escaped it
        const go = button(question, () => $(`turn-${turn}`)?.scrollIntoView({ block: "start" }), "qb-small qb-desk-name");
        return make("section", { className: "qb-trace" }, go, make("p", { textContent: told }), lanes.content);
      })];
    },
  };
  function openable(file) {
    return button(fill(words.open_file, { name: file.name }), () => file.name.toLowerCase().endsWith(".pdf")
      ? belt.showPage(file.name, 1, "") : readPage(file.name, 1));
  }
  function gridButton(file) {
    return button(fill(words.table_of, { name: file.name }), () => grid(file.name));
  }

  // -- documents: their words, found ones, citations ------------------------------------------

  function body() { return $("qb-panel").querySelector(".qb-desk-body"); }
  async function readPage(file, page) {
    await show("files");
    const { text, pages } = await call(at(`text/${coded(file)}/${page}`));
    const turn = (label, to) => {
      const made = button(label, () => readPage(file, to));
      made.disabled = to < 1 || to > pages;
      return made;
    };
    body().replaceChildren(make("strong", { textContent: fill(words.citation, { file, page }) }),
      make("div", { className: "qb-desk-tools" }, turn("‹", page - 1), make("span", { textContent: `${page} / ${pages}` }),
        turn("›", page + 1), finder(file), ...marks(file, page)),
      make("pre", { className: "qb-page-text", textContent: text, tabIndex: 0 }));
  }
  function finder(file) {
    const field = make("input", { type: "search", placeholder: words.find_in });
    field.setAttribute("aria-label", words.find_in);
    const list = make("div", { className: "qb-found" });
    field.onchange = async () => {
      const { found } = await call(at(`find/${coded(file)}?q=${coded(field.value)}`));
      list.replaceChildren(...(found.length ? found.map(({ page, around }) =>
        button(`${page}: …${around}…`, () => openPage(file, page, `"${field.value}"`), "qb-small qb-desk-name"))
        : [make("span", { textContent: words.found_nothing })]));
    };
    return make("div", { className: "qb-finder" }, field, list);
  }
  const openPage = (file, page, quote) => file.toLowerCase().endsWith(".pdf")
    ? belt.showPage(file, page, quote) : readPage(file, page);
  // every place of the conversation that cites this document
  function marks(file, page) {
    const cites = [...document.querySelectorAll("#qb-turns .qb-text .qb-cite")].filter((one) => one.dataset.file === file);
    return cites.slice(0, 40).map((one, number) => {
      const made = button(`${number + 1}: p.${one.dataset.page}`, () => one.click(), "qb-small qb-mark");
      if (Number(one.dataset.page) === page) made.setAttribute("aria-current", "page");
      return made;
    });
  }
  function zoom() {
    const range = make("input", { type: "range", min: 50, max: 300, value: 100, step: 10 });
    range.setAttribute("aria-label", words.zoom_in);
    range.oninput = () => {
      for (const image of document.querySelectorAll("#qb-panel > img")) image.style.width = `${range.value}%`;
    };
    return range;
  }

  // -- a table as a grid --------------------------------------------------------------------

  async function grid(name, view = {}) {
    if (!body() || now !== "data") await show("data");
    const query = new URLSearchParams({ page: 1, sort: "", down: "", q: "", sheet: "", ...view });
    const { columns, rows, count, page, pages, sheets } = await call(at(`table/${coded(name)}?${query}`));
    const again = (more) => grid(name, { ...view, page: 1, ...more });
    const filter = make("input", { type: "search", value: view.q ?? "", placeholder: words.filter_rows });
    filter.setAttribute("aria-label", words.filter_rows);
    filter.onchange = () => again({ q: filter.value });
    const step = (label, to) => {
      const made = button(label, () => again({ page: to }));
      made.disabled = to < 1 || to > pages;
      return made;
    };
    const head = columns.map((column) => {
      const sorted = view.sort === column.name, down = sorted && view.down !== "1";
      const sort = button(column.name + (sorted ? (view.down === "1" ? " ↓" : " ↑") : ""),
        () => again({ sort: column.name, down: down ? "1" : "" }), "qb-small");
      const facts = column.kind === "text" ? fill(words.column_text, column) : fill(words.column_number, { mean: "", ...column });
      const cell = make("th", { scope: "col" }, sort, make("small", { textContent: facts }));
      cell.setAttribute("aria-sort", sorted ? (view.down === "1" ? "descending" : "ascending") : "none");
      return cell;
    });
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, at_) =>
        make("td", { textContent: cell, className: columns[at_].kind === "number" ? "qb-number" : "" }))))));
    const scroll = make("div", { className: "qb-grid-box", tabIndex: 0 }, table);
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", name);
    body().replaceChildren(make("strong", { textContent: name }),
      make("div", { className: "qb-desk-tools" }, filter,
        ...sheets.map((sheet) => button(sheet, () => again({ sheet }))), step("‹", page - 1),
        make("span", { textContent: fill(words.rows_shown, { page, pages, count }) }), step("›", page + 1),
        button(words.plot_this, () => belt.write(fill(words.plot_ask, { name, columns: columns.slice(0, 6).map((c) => c.name).join(", ") })))),
      scroll);
  }

  document.addEventListener("click", (event) => { if (event.target.closest?.("#qb-desk")) show(now === "document" ? "files" : now); });
  hooks.opened.push(() => { shownDocument = null; });
})();
