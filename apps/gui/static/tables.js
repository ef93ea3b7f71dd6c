// The side pane's data and times: any table of the conversation as a grid, answers compared.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, $, make, call, fill, state, desk } = belt;
  const { at, coded, button, link } = desk;

  // -- tables: files, the session's frames, results of queries, those in documents ---------------

  desk.views.data = async () => {
    const [{ files }, { sources }] = await Promise.all([call(at("files")), call(at("sources"))]);
    const documents = files.filter((file) => file.document && !file.table && /\.(pdf|docx|pptx|html?)$/i.test(file.name));
    return [...sources.map(sourceButton), ...files.filter((file) => file.table).map(desk.gridButton), ...documents.map(tablesIn)];
  };
  function sourceButton(source) {
    return button(`${source.name} · ${source.about}`, () => desk.grid(source), "qb-button qb-desk-name");
  }
  function tablesIn({ name }) {
    const list = make("div", { className: "qb-found" });
    list.setAttribute("role", "status");
    const look = async (page) => {
      const { tables, read, more } = await call(at(`tables/${coded(name)}/${page}`));
      list.append(...(tables.length || page > 1 ? tables.map(sourceButton) : [make("span", { textContent: fill(words.tables_none, { read }) })]));
      if (more) {
        const further = button(words.tables_more, () => { further.remove(); look(more); }, "qb-small");
        list.append(further);
      }
    };
    const first = button(fill(words.tables_of, { name }), () => { list.replaceChildren(); look(1); });
    return make("div", {}, first, list);
  }

  desk.grid = grid;
  async function grid(given, view = {}) {
    const { source = "", name } = typeof given === "string" ? { name: given } : given;
    if (!desk.body() || desk.now !== "data") await desk.show("data");
    const query = new URLSearchParams({ page: 1, sort: "", down: "", q: "", sheet: "", ...view });
    if (source) query.set("source", source);
    const { columns, rows, count, page, pages, sheets } = await call(at(source ? `source?${query}` : `table/${coded(name)}?${query}`));
    const again = (more) => grid(given, { ...view, page: 1, ...more });
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
    desk.body().replaceChildren(make("strong", { textContent: name }),
      make("div", { className: "qb-desk-tools" }, filter,
        ...sheets.map((sheet) => button(sheet, () => again({ sheet }))), step("‹", page - 1),
        make("span", { textContent: fill(words.rows_shown, { page, pages, count }) }), step("›", page + 1),
        button(words.plot_this, () => belt.write(fill(words.plot_ask, { name, columns: columns.slice(0, 6).map((c) => c.name).join(", ") })))),
      scroll);
  }

  // -- times: lanes, what the end waited for, two answers side by side ---------------------------

  desk.views.trace = async () => {
    const { turns } = await call(at("trace"));
    if (!turns.length) return [];
    const parts = turns.filter((turn) => turn.shown).map(({ turn, question, words: told, path, html }) => {
      const lanes = document.createElement("template");
      lanes.innerHTML = html;  // of the server, which has escaped it
      const go = button(question, () => $(`turn-${turn}`)?.scrollIntoView({ block: "start" }), "qb-small qb-desk-name");
      for (const row of lanes.content.querySelectorAll(".qb-lane:not(.qb-axis)")) {
        row.title = [...row.querySelectorAll(".qb-lane-name, .qb-lane-time")].map((one) => one.textContent).join(": ");
      }
      return make("section", { className: "qb-trace" }, go, make("p", { textContent: told }),
        ...(path ? [make("p", { className: "qb-path", textContent: path })] : []), lanes.content);
    });
    const page = make("a", { href: at("trace.html"), textContent: words.trace_page, className: "qb-button", target: "_blank" });
    return [page, link(words.make_test, `/qb/export/${state.session}/scenario`), ...(turns.length > 1 ? [comparison(turns)] : []), ...parts];
  };
  function comparison(turns) {
    const choice = (label, number) => {
      const field = make("select", {}, ...turns.map(({ question, shown }, place) =>
        make("option", { value: place, textContent: `${place + 1}. ${question.slice(0, 50)}${shown ? "" : ` ${words.not_shown}`}` })));
      field.value = String(number);
      field.setAttribute("aria-label", label);
      return field;
    };
    const first = choice(words.compare_first, turns.length - 2), second = choice(words.compare_second, turns.length - 1);
    const table = make("tbody"), row = (kind, ...cells) => make("tr", {}, ...cells.map((text, at_) =>
      make(at_ ? "td" : "th", { textContent: text, ...(at_ ? {} : { scope: "row" }) })));
    const draw = () => {
      const [one, other] = [turns[first.value].facts, turns[second.value].facts];
      table.replaceChildren(...Object.keys(one).map((name) => row("td", name, one[name], other[name] ?? "")));
    };
    first.onchange = second.onchange = draw;
    draw();
    const box = make("details", { className: "qb-compare" }, make("summary", { textContent: words.compare }),
      make("div", { className: "qb-desk-tools" }, first, second), make("div", { className: "qb-grid-box", tabIndex: 0 }, make("table", {}, table)));
    return box;
  }
})();
