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
  let now = "files", wanted = 0;

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
  async function show(name) {
    const panel = $("qb-panel"), number = ++wanted;
    if (name === "document" && desk.shownDocument) { belt.showPage(desk.shownDocument.file, desk.shownDocument.page, ""); return; }
    belt.openPanel(words[`tab_${name}`]);
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
    const parts = await desk.views[name]();
    if (number === wanted) body.replaceChildren(...(parts.length ? parts : [make("p", { textContent: words.desk_empty })]));
    return body;
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

  const desk = { TABS, at, coded, button, link, tabs, grip, show, openable, gridButton, shownDocument: null };
  belt.desk = desk;
  desk.body = () => $("qb-panel").querySelector(".qb-desk-body");
  Object.defineProperty(desk, "now", { get: () => $("qb-panel").hidden ? "" : now });
  desk.views = {
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
  };
  function openable(file) {
    return button(fill(words.open_file, { name: file.name }), () => desk.openPage(file.name, 1, ""));
  }
  function gridButton(file) {
    return button(fill(words.table_of, { name: file.name }), () => desk.grid(file.name));
  }

  document.addEventListener("click", (event) => { if (event.target.closest?.("#qb-desk")) show(now === "document" ? "files" : now); });
  hooks.opened.push(() => { desk.shownDocument = null; });
})();
