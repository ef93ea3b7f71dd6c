// Questions of MCP servers: sends what a person fills in, and keeps it over a reload.
(() => {
  "use strict";
  const { act, hooks, language } = window.qwenbelt;
  const key = (form) => `qwenbelt-question-${form.dataset.question}`;

  function values(form) {
    const found = {};
    for (const field of form.querySelectorAll("[data-field]")) {
      const name = field.dataset.field, kind = field.dataset.kind;
      if (kind === "boolean") found[name] = field.checked;
      else if (kind === "choices") {
        const chosen = [...field.querySelectorAll("input:checked")].map((box) => box.value);
        if (chosen.length) found[name] = chosen;
      } else if (field.value.trim()) found[name] = field.value;
    }
    return found;
  }
  function restore(form) {
    const kept = JSON.parse(sessionStorage.getItem(key(form)) || "null");
    if (!kept) return;
    for (const field of form.querySelectorAll("[data-field]")) {
      const value = kept[field.dataset.field], kind = field.dataset.kind;
      if (kind === "boolean") field.checked = value === true;
      else if (kind === "choices") {
        for (const box of field.querySelectorAll("input")) box.checked = (value || []).includes(box.value);
      } else field.value = value ?? "";
    }
  }
  const buttons = (form) => form.querySelectorAll("button");

  async function answer(form, action) {
    for (const button of buttons(form)) button.disabled = true;
    const body = { question: form.dataset.question, action, lang: language };
    if (action === "accept") body.values = values(form);
    let faults = null;
    try {
      ({ faults } = await act("elicit", { ...body, turn: form.closest("[data-answer]")?.dataset.answer }));
      if (!faults) sessionStorage.removeItem(key(form));
    } finally {
      if (faults) for (const button of buttons(form)) button.disabled = false;
    }
    for (const place of form.querySelectorAll("[data-fault]")) {
      place.textContent = faults?.[place.dataset.fault] ?? "";
    }
    const wrong = Object.keys(faults ?? {})[0];
    if (wrong !== undefined) form.querySelector(`[data-field="${CSS.escape(wrong)}"]`)?.focus();
  }

  hooks.put.push((fresh) => {
    const forms = [fresh, ...fresh.querySelectorAll(".qb-question-card")];
    for (const form of forms) if (form.matches("form.qb-question-card")) restore(form);
  });
  document.addEventListener("input", (event) => {
    const form = event.target.closest?.(".qb-question-card");
    if (form) sessionStorage.setItem(key(form), JSON.stringify(values(form)));
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".qb-question-card")) return;
    event.preventDefault();
    answer(event.target, "accept");
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-decline]");
    if (button) answer(button.closest("form"), "decline");
  });
})();
