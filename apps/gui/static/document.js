// The side pane's documents: the page as a picture, its words over it, thumbnails, found places, citations.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, $, make, call, fill, state, desk } = belt;
  const { at, coded, button } = desk;
  const MOST_THUMBNAILS = 300;
  let zoomed = 100;

  function before(cite) {
    const range = document.createRange();
    const block = cite.closest("p, li, td, pre, h1, h2, h3, h4, .qb-answer") || cite.parentElement;
    range.setStart(block, 0);
    range.setEndBefore(cite);
    return range.toString().slice(-800);
  }
  belt.cite = (cite) => showPage(cite.dataset.file, Number(cite.dataset.page), before(cite), { opener: cite });
  belt.showPage = showPage;
  desk.openPage = (file, page, quote, more) => file.toLowerCase().endsWith(".pdf")
    ? showPage(file, page, quote, more) : readPage(file, page);

  async function showPage(file, page, quote, { opener = null, find = "" } = {}) {
    const title = fill(words.citation, { file, page });
    const panel = belt.openPanel(title, opener), where = `${state.session}/${coded(file)}/${page}`;
    desk.shownDocument = { file, page };
    const tool = (label, text, action) => {
      const made = button(text, action, "qb-small");
      made.title = label;
      made.setAttribute("aria-label", label);
      return made;
    };
    const head = make("div", { className: "qb-panel-head" });
    const close = tool(words.close, "✕", belt.closePanel);
    head.append(make("strong", { textContent: title }), tool(words.whole_window, "□", () => panel.classList.toggle("whole")), close);
    panel.replaceChildren(desk.tabs("document"), desk.grip(), head);
    close.focus({ preventScroll: true });
    let found;
    try {
      const reply = await fetch(`/qb/cite/${where}?q=${coded(quote)}&find=${coded(find)}`);
      found = await reply.json();
      if (!reply.ok) throw new Error(found.error);
    } catch (error) {
      panel.append(make("p", { textContent: fill(words.page_failed, { reason: error.message }) }));
      return;
    }
    const turn = (to) => showPage(file, to, quote, { find });
    const previous = tool(words.page_previous, "‹", () => turn(page - 1));
    const next = tool(words.page_next, "›", () => turn(page + 1));
    previous.disabled = page <= 1;
    next.disabled = page >= found.pages;
    close.before(previous, make("span", { textContent: `${page} / ${found.pages}` }), next);
    const note = make("p", { className: "qb-panel-note" });
    note.setAttribute("role", "status");
    if (find) note.textContent = fill(words.hits, { count: found.boxes.length });
    else if (quote.trim()) note.textContent = found.found ? words.quote_found : words.quote_missing;
    const sheet = pageSheet(file, page, where, found);
    const ask = button(words.ask_passage, () => {
      const said = String(getSelection()).trim() || title;
      belt.write(`${belt.composer().value}«${said.slice(0, 2000)}» (${file} p.${page})\n`);
    });
    const text = button(words.page_text, () => readPage(file, page));
    panel.append(note, make("div", { className: "qb-desk-tools" }, text, ask, finder(file, find), zoom(sheet), ...marks(file, page)),
      make("div", { className: "qb-leaves" }, thumbnails(file, page, found.pages, turn), make("div", { className: "qb-page-box" }, sheet)));
    panel.querySelector(".qb-thumbs [aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  // -- the page: its picture, and its words where they stand, to be selected --------------------

  function pageSheet(file, page, where, { boxes, size: [width, height], lines }) {
    const picture = make("img", { src: `/qb/picture/${where}?boxes=${coded(JSON.stringify(boxes))}`, alt: fill(words.page_picture, { file, page }) });
    const layer = make("div", { className: "qb-layer" });
    const part = (value, whole) => `${(100 * value / whole).toFixed(3)}%`;
    if (width > 0 && height > 0) {
      for (const [text, x0, top, x1, bottom] of lines) {
        const line = make("span", { textContent: `${text}\n` });
        line.style.cssText = `left:${part(x0, width)};top:${part(top, height)};font-size:${(88 * (bottom - top) / width).toFixed(3)}cqw`;
        line.wide = (x1 - x0) / width;
        layer.append(line);
      }
    }
    const sheet = make("div", { className: "qb-page" }, picture, layer);
    sheet.style.width = `${zoomed}%`;
    new ResizeObserver(() => stretch(layer)).observe(sheet);
    return sheet;
  }
  // a line is as wide over the picture as it is in it, whatever font the browser has
  function stretch(layer) {
    const whole = layer.clientWidth;
    const spans = [...layer.children];
    for (const span of spans) span.style.transform = "";
    const widths = spans.map((span) => span.getBoundingClientRect().width);
    spans.forEach((span, number) => {
      if (widths[number] > 0) span.style.transform = `scaleX(${(span.wide * whole / widths[number]).toFixed(4)})`;
    });
  }
  function thumbnails(file, page, pages, turn) {
    const strip = make("nav", { className: "qb-thumbs" });
    strip.setAttribute("aria-label", words.thumbnails);
    for (let number = 1; number <= Math.min(pages, MOST_THUMBNAILS); number += 1) {
      const picture = make("img", { loading: "lazy", alt: "", src: `/qb/picture/${state.session}/${coded(file)}/${number}?small=1` });
      const leaf = make("button", { type: "button", className: "qb-thumb-page" }, picture, make("span", { textContent: String(number) }));
      leaf.setAttribute("aria-label", fill(words.page_number, { page: number }));
      if (number === page) leaf.setAttribute("aria-current", "page");
      leaf.onclick = () => turn(number);
      strip.append(leaf);
    }
    return strip;
  }

  // -- words of any document, found ones, citations -------------------------------------------

  async function readPage(file, page) {
    await desk.show("files");
    const { text, pages } = await call(at(`text/${coded(file)}/${page}`));
    const turn = (label, to) => {
      const made = button(label, () => readPage(file, to));
      made.disabled = to < 1 || to > pages;
      return made;
    };
    desk.body().replaceChildren(make("strong", { textContent: fill(words.citation, { file, page }) }),
      make("div", { className: "qb-desk-tools" }, turn("‹", page - 1), make("span", { textContent: `${page} / ${pages}` }),
        turn("›", page + 1), finder(file), ...marks(file, page)),
      make("pre", { className: "qb-page-text", textContent: text, tabIndex: 0 }));
  }
  function finder(file, sought = "") {
    const field = make("input", { type: "search", placeholder: words.find_in, value: sought });
    field.setAttribute("aria-label", words.find_in);
    const list = make("div", { className: "qb-found" });
    field.onchange = async () => {
      const find = field.value.trim();
      if (!find) { list.replaceChildren(); return; }
      const { found } = await call(at(`find/${coded(file)}?q=${coded(find)}`));
      list.replaceChildren(...(found.length ? found.map(({ page, around }) =>
        button(`${page}: …${around}…`, () => desk.openPage(file, page, "", { find }), "qb-small qb-desk-name"))
        : [make("span", { textContent: words.found_nothing })]));
    };
    return make("div", { className: "qb-finder" }, field, list);
  }
  // every place of the conversation that cites this document
  function marks(file, page) {
    const cites = [...document.querySelectorAll("#qb-turns .qb-text .qb-cite")].filter((one) => one.dataset.file === file);
    return cites.slice(0, 40).map((one, number) => {
      const made = button(`${number + 1}: p.${one.dataset.page}`, () => one.click(), "qb-small qb-mark");
      if (Number(one.dataset.page) === page) made.setAttribute("aria-current", "page");
      return made;
    });
  }
  function zoom(sheet) {
    const range = make("input", { type: "range", min: 50, max: 300, value: zoomed, step: 10 });
    range.setAttribute("aria-label", words.zoom_in);
    range.oninput = () => {
      zoomed = range.value;
      sheet.style.width = `${zoomed}%`;
    };
    return range;
  }
})();
