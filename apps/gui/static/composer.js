// What a person writes: drafts, messages that wait, Send that becomes Stop, files from anywhere.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, state, hooks, $, make, act, fill } = belt;
  let carried = [];  // files of the conversation that go with the next message

  // -- drafts: kept by this browser for each conversation ------------------------------------

  const key = (session) => `qwenbelt-draft-${session}`;
  let filling = false, told = false;
  function keepDraft() {
    if (filling || !state.session) return;
    const text = belt.composer().value;
    if (!text && !carried.length) belt.dropDraft(state.session);
    else if (!belt.remember(key(state.session), JSON.stringify({ text, files: carried })) && !told) {
      told = true;
      belt.notice(words.draft_long);
    }
  }
  belt.dropDraft = (session) => localStorage.removeItem(key(session));
  function readDraft(session) {
    try { return JSON.parse(localStorage.getItem(key(session))) ?? {}; } catch { return {}; }
  }
  let shown = "";
  hooks.opened.push((session) => {
    if (session === shown) return;
    const first = !shown;
    shown = session;
    if (first && belt.composer()?.value) { keepDraft(); return; }  // typed before the page was ready
    fillIn(session);
    refill(session, 60);
  });
  function fillIn(session) {
    const { text = "", files = [] } = readDraft(session);
    filling = true;
    carry(text, files, false);
    filling = false;
  }
  // the box may not be there yet, or be made anew and empty; who empties it drops the draft
  function refill(session, times) {
    setTimeout(() => {
      if (session !== state.session) return;
      if (!belt.composer()?.value && readDraft(session).text) fillIn(session);
      if (times) refill(session, times - 1);
    }, 500);
  }
  document.addEventListener("input", (event) => {
    if (event.target === belt.composer()) { keepDraft(); showButton(); }
  });

  // puts a text and files that the conversation has already into the composer
  function carry(text, files = [], focus = true) {
    carried = [...files];
    const area = belt.composer();
    if (!area) return;
    if (area.value !== text) belt.write(text);
    if (!focus && innerWidth < 760) area.blur();
    showCarried();
    if (!filling) keepDraft();
  }
  function showCarried() {
    let box = $("qb-carried");
    if (!carried.length) { box?.remove(); return; }
    if (!box) {
      box = make("div", { id: "qb-carried" });
      $("qb-attached").before(box);
    }
    const drop = make("button", { type: "button", className: "qb-small", textContent: "✕", title: words.cancel });
    drop.setAttribute("aria-label", words.cancel);
    drop.onclick = () => { carried = []; showCarried(); keepDraft(); };
    box.replaceChildren(fill(words.files_stay, { names: carried.join(", ") }), drop);
  }
  // asked for when a message is sent, and only then
  belt.carried = () => {
    const files = carried;
    carried = [];
    showCarried();
    belt.dropDraft(state.session);
    return files;
  };
  belt.carry = carry;
  belt.carriedNow = () => carried;

  // -- Send, or Stop while an answer runs and nothing is written -----------------------------

  let attached = 0;
  hooks.files.push((files) => { attached = files.length; showButton(); });
  const stops = () => state.live && !belt.composer()?.value.trim() && !attached && !carried.length;
  const sendButton = () => document.querySelector("#qb-message .submit-button");
  function showButton() {
    const button = sendButton();
    if (!button) return;
    $("qb-message").classList.toggle("qb-stops", stops());
    const label = stops() ? words.stop_answer : words.send;
    if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
    button.title = label;
    if (stops()) button.disabled = false;
  }
  document.addEventListener("click", (event) => {
    if (!stops() || !event.target.closest?.("#qb-message .submit-button")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    $("qb-stop").click();
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.target !== belt.composer() || event.isComposing) return;
    if (event.key === "ArrowUp" && !event.target.value && !event.shiftKey) {
      const last = [...document.querySelectorAll("#qb-queue [data-queue=edit], .qb-question [data-action=edit]")];
      const waiting = last.find((button) => button.dataset.queue) ?? last.at(-1);
      if (waiting) { event.preventDefault(); waiting.click(); }
    }
  }, true);

  // -- messages that wait, and what was taken back -------------------------------------------

  hooks.status.push(({ queue = [], undone = "", live }) => {
    showQueue(queue);
    showUndone(live ? "" : undone);
    showButton();
  });
  function showQueue(queue) {
    const list = $("qb-queue");
    list.hidden = !queue.length;
    list.setAttribute("aria-label", words.queued);
    list.replaceChildren(...queue.map(({ id, text, files }) => {
      const names = files.length ? ` (${files.join(", ")})` : "";
      const tool = (kind, label, sign, action) => {
        const button = make("button", { type: "button", className: "qb-small", textContent: sign, title: label });
        button.dataset.queue = kind;
        button.setAttribute("aria-label", `${label}: ${text.slice(0, 60)}`);
        button.onclick = action;
        return button;
      };
      const take = async () => {
        const taken = await act("queue_take", { id });
        await belt.emptied();
        const written = belt.composer().value;
        carry(written ? `${taken.text}\n${written}` : taken.text, [...taken.files, ...carried]);
      };
      return make("li", {},
        make("span", { className: "qb-queued-text", textContent: text + names, title: words.queued }),
        tool("now", words.send_now, "▶", () => act("queue_now", { id })),
        tool("edit", words.edit, "✎", take),
        tool("drop", words.delete, "✕", () => act("queue_take", { id })));
    }));
  }
  function showUndone(turn) {
    const box = $("qb-undone");
    box.hidden = !turn;
    if (!turn) return;
    const back = make("button", { type: "button", className: "qb-button", textContent: words.redo });
    back.dataset.action = "show";
    back.dataset.turn = turn;
    back.addEventListener("click", () => carry("", []));
    box.replaceChildren(words.undone, back);
  }

  // -- files dropped anywhere ---------------------------------------------------------------

  const brings = (event) => [...event.dataTransfer?.types ?? []].includes("Files");
  let depth = 0;
  function veil(on) {
    let box = $("qb-drop");
    if (on && !box) {
      box = make("div", { id: "qb-drop", textContent: words.drop_here });
      document.body.append(box);
    }
    if (!on) { depth = 0; box?.remove(); }
  }
  document.addEventListener("dragenter", (event) => { if (brings(event)) { depth += 1; veil(true); } });
  document.addEventListener("dragleave", (event) => { if (brings(event) && --depth <= 0) veil(false); });
  document.addEventListener("dragover", (event) => { if (brings(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    veil(false);
    if (!brings(event) || event.defaultPrevented) return;
    event.preventDefault();  // the browser would open the file in place of the page, or in a tab
    if (event.target.closest?.("#qb-message")) return;  // Gradio takes it there
    give([...event.dataTransfer.files]);
  });
  function give(files) {
    const input = document.querySelector("#qb-message input[type=file]");
    const given = new DataTransfer();
    for (const file of files) given.items.add(file);
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
  belt.give = give;
})();
