// The first five minutes: a key, a server that was found, a model file, the demo; and the chips
// below the composer that say what answers.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, hooks, $, make, call, fill, state } = belt;
  const button = (text, action, kind = "") => {
    const made = make("button", { type: "button", className: `qb-button ${kind}`, textContent: text });
    made.onclick = action;
    return made;
  };
  const demo = () => belt.go(async () => (await call("/qb/demo", {})).id);

  async function look() {
    const told = await call(`/qb/start${state.session ? `?session=${state.session}` : ""}`);
    chips(told);
    offer(told);
  }
  function chips(told) {
    const { ready, model = "", think = null, tools, beside = "" } = told;
    const box = $("qb-chips"), voice = belt.voice?.(told) ?? [];
    if (!box) return;
    if (tools === undefined) { box.replaceChildren(...voice); return; }
    const chip = (text, kind) => {
      const made = button(text, belt.showSettings, "qb-chip");
      made.dataset.chip = kind;
      return made;
    };
    const state_ = think === null ? "" : fill(words.chip_think, { state: think ? words.on : words.off });
    const [first, last] = [chip(ready ? `${model}${beside ? ` ⇄ ${beside}` : ""}` : words.no_model, "model"), chip(fill(words.chip_tools, { count: tools }), "tools")];
    if (ready) {
      first.onclick = () => belt.chooseModel(told, first);
      last.onclick = () => belt.chooseTools(told, last);
      for (const made of [first, last]) made.setAttribute("aria-haspopup", "menu");
    }
    box.replaceChildren(...voice, first, ...(state_ ? [chip(state_, "think")] : []), last, ...(belt.bell ? [belt.bell()] : []));
  }
  function offer({ ready, why, servers, files, open, tools }) {
    const box = $("qb-start");
    if (!box) return;
    if (tools === undefined) { box.replaceChildren(); return; }
    const play = make("section", { className: "qb-start-card" },
      button(words.demo_play, demo, "qb-demo-play"), make("p", { textContent: words.demo_about }));
    if (ready || !open) { box.replaceChildren(play); return; }
    const use = (spec) => button(spec, async () => { await call("/qb/start/use", { spec }); chosen(); });
    const found = [...servers.flatMap((server) => server.specs), ...files];
    const focused = keyCard().contains(document.activeElement) ? document.activeElement : null;
    box.replaceChildren(make("h2", { textContent: words.start_title }),
      make("p", { className: "qb-start-why", textContent: why }), keyCard(),
      make("section", { className: "qb-start-card" }, make("strong", { textContent: words.start_servers }),
        ...(found.length ? found.map(use) : [make("p", { textContent: words.start_none })]),
        button(words.look_again, look)), play);
    focused?.focus();
  }
  // one for the page: an answer of the server that comes late keeps what is being typed
  let card = null;
  function keyCard() {
    if (card) return card;
    const field = make("input", { type: "password", autocomplete: "off", id: "qb-key", required: true });
    field.setAttribute("aria-label", words.start_key);
    const form = make("form", { className: "qb-start-card" }, make("strong", { textContent: words.start_key }),
      field, make("button", { type: "submit", className: "qb-button", textContent: words.save }),
      make("p", { textContent: words.start_key_about }));
    form.onsubmit = async (event) => {
      event.preventDefault();
      const key = field.value;
      field.value = "";
      await call("/qb/start/key", { key });
      chosen();
    };
    card = form;
    return card;
  }
  // Gradio's settings are filled when the page loads
  function chosen() { location.reload(); }

  hooks.status.push(({ demo: playing }) => {
    const box = $("qb-demo");
    box.hidden = !playing;
    box.textContent = playing ? words.demo_told : "";
  });
  belt.look = look;
  hooks.opened.push(() => look());
  let again = 0;
  for (const kind of ["input", "click", "focusout"]) {
    document.addEventListener(kind, (event) => {
      if (!event.target.closest?.("#qb-settings") || state.session === "") return;
      clearTimeout(again);
      again = setTimeout(look, 900);
    });
  }
})();
