// The administrator's page: usage by user and month, endpoints, allowed tools, quotas.
(() => {
  "use strict";
  const words = window.adminWords, place = document.getElementById("admin");
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const ask = async (path, body) => {
    const reply = await fetch(path, body ? { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } } : {});
    const told = await reply.json();
    if (!reply.ok) throw new Error(told.error);
    return told;
  };
  const number = (value) => (value === "" ? undefined : Number(value));

  async function draw() {
    const { usage, endpoints, tools, known_tools: known, quotas } = await ask("/qb/admin/state");
    const cell = (value) => make("td", { textContent: value });
    const head = (keys) => make("thead", {}, make("tr", {}, ...keys.map((key) => make("th", { scope: "col", textContent: words[key] }))));
    const rows = usage.map(({ user, month, turns, tokens, cost, last }) => make("tr", {}, make("th", { scope: "row", textContent: user }),
      ...[month, turns, tokens, cost.toFixed(4), new Date(last * 1000).toLocaleString()].map(cell)));
    const table = make("table", {}, head(["admin_user", "admin_month", "admin_turns", "admin_tokens", "admin_cost", "admin_last"]), make("tbody", {}, ...rows));
    const specs = make("textarea", { rows: 4, value: endpoints.join("\n"), id: "admin-endpoints" });
    const limit = make("input", { type: "checkbox", checked: tools !== null, id: "admin-limit" });
    const boxes = known.map((name) => {
      const box = make("input", { type: "checkbox", value: name, checked: tools === null || tools.includes(name) });
      return make("label", {}, box, name);
    });
    const list = make("div", { className: "admin-tools", hidden: tools === null }, ...boxes);
    limit.onchange = () => { list.hidden = !limit.checked; };
    const people = [...new Set(["", ...usage.map(({ user }) => user), ...Object.keys(quotas)])];
    const limits = people.map((user) => {
      const field = (kind) => {
        const made = make("input", { type: "number", min: 0, step: "any", value: quotas[user]?.[kind] ?? "" });
        made.setAttribute("aria-label", `${words[`admin_${kind}`]}: ${user || words.admin_everybody}`);
        made.dataset.kind = kind;
        return make("td", {}, made);
      };
      const row = make("tr", {}, make("th", { scope: "row", textContent: user || words.admin_everybody }), field("tokens"), field("cost"));
      row.dataset.user = user;
      return row;
    });
    const body = make("tbody", {}, ...limits), told = make("p", { id: "admin-told" });
    told.setAttribute("role", "status");
    const form = make("form", {},
      make("section", {}, make("h2", {}, make("label", { htmlFor: "admin-endpoints", textContent: words.admin_endpoints })), specs),
      make("section", {}, make("h2", { textContent: words.admin_tools }), make("label", {}, limit, words.admin_only), list),
      make("section", {}, make("h2", { textContent: words.admin_quotas }), make("table", {}, head(["admin_user", "admin_tokens", "admin_cost"]), body)),
      make("button", { type: "submit", textContent: words.admin_save }), told);
    form.onsubmit = async (event) => {
      event.preventDefault();
      const given = Object.fromEntries([...body.rows].map((row) => [row.dataset.user,
        Object.fromEntries([...row.querySelectorAll("input")].map((one) => [one.dataset.kind, number(one.value)]))]));
      const chosen = [...list.querySelectorAll("input:checked")].map((box) => box.value);
      try {
        await ask("/qb/admin/rules", { endpoints: specs.value.split("\n"), tools: limit.checked ? chosen : null, quotas: given });
        told.textContent = words.admin_saved;
      } catch (error) { told.textContent = error.message; }
    };
    place.replaceChildren(make("section", {}, make("h2", { textContent: words.admin_usage }), make("div", { className: "admin-scroll", tabIndex: 0 }, table)), form);
  }
  draw();
})();
