// MCP Apps: a page of a server in a frame without network and without this page's origin.
// It is spoken to by the specification's messages; what it may ask is told to the person.
(() => {
  "use strict";
  const { hooks, make, language, write } = window.qwenbelt;
  const shown = new Map();  // the frame's window -> what belongs to it
  const HIGHEST = 900, MOST_TEXT = 4000, MOST_MESSAGES = 200;  // of each frame in ten seconds

  async function mount(box) {
    if (box.querySelector("iframe")) return;
    const frame = make("iframe", { title: box.getAttribute("aria-label"), referrerPolicy: "no-referrer" });
    frame.setAttribute("sandbox", "allow-scripts");  // neither this origin, nor windows, nor forms
    frame.setAttribute("allow", "");
    box.append(frame);
    const reply = await fetch(box.dataset.app);
    if (!reply.ok || !frame.isConnected) return;
    const app = await reply.json();
    shown.set(frame.contentWindow, { box, frame, app, since: 0, count: 0 });
    frame.src = box.dataset.app.replace(/^\/qb\/file\//, "/qb/app/");  // with headers of its own
  }
  const tell = (one, message) =>
    one.frame.contentWindow?.postMessage({ jsonrpc: "2.0", ...message }, "*");

  function link(one, url) {
    let address;
    try { address = new URL(url); } catch { return false; }
    if (!["http:", "https:"].includes(address.protocol)) return false;
    one.box.querySelector(".qb-app-link")?.remove();
    const go = make("a", { href: address.href, target: "_blank", rel: "noopener noreferrer", textContent: address.href });
    one.box.append(make("p", { className: "qb-app-link" }, `${one.box.dataset.link} `, go));
    return true;
  }
  const answers = {
    "ui/initialize": (one, { protocolVersion }) => ({
      protocolVersion: typeof protocolVersion === "string" ? protocolVersion : "2026-01-26",
      hostInfo: { name: "qwenbelt", version: "1" },
      hostCapabilities: { openLinks: {}, message: { text: {} } },
      hostContext: {
        theme: document.body.classList.contains("dark") ? "dark" : "light", locale: language,
        displayMode: "inline", availableDisplayModes: ["inline"], platform: "web",
      },
    }),
    "ui/open-link": (one, { url }) => (link(one, String(url)) ? {} : null),
    "ui/message": (one, { content }) => {
      const parts = Array.isArray(content) ? content : [content];
      const text = parts.map((part) => (part?.type === "text" ? String(part.text) : "")).join("\n");
      write(text.slice(0, MOST_TEXT));  // the person reads it, and sends it or not
      return {};
    },
    ping: () => ({}),
  };
  const heard = {
    "ui/notifications/initialized": (one) => {
      tell(one, { method: "ui/notifications/tool-input", params: { arguments: one.app.arguments } });
      tell(one, { method: "ui/notifications/tool-result", params: one.app.result });
    },
    "ui/notifications/size-changed": (one, { height }) => {
      if (Number.isFinite(height)) one.frame.style.height = `${Math.min(Math.max(height, 40), HIGHEST)}px`;
    },
  };
  window.addEventListener("message", ({ source, data }) => {
    const one = shown.get(source);
    if (!one || data?.jsonrpc !== "2.0" || typeof data.method !== "string") return;
    const now = Date.now();
    if (now - one.since > 10000) { one.since = now; one.count = 0; }
    if ((one.count += 1) > MOST_MESSAGES) return;
    const { id, method, params } = data;
    const given = params && typeof params === "object" ? params : {};
    if (id === undefined) { if (Object.hasOwn(heard, method)) heard[method](one, given); return; }
    const result = Object.hasOwn(answers, method) ? answers[method](one, given) : undefined;
    if (result) tell(one, { id, result });
    else tell(one, { id, error: { code: result === null ? -32000 : -32601, message: "Not offered here" } });
  });
  hooks.put.push((fresh) => {
    for (const frame of shown.keys()) if (!shown.get(frame).frame.isConnected) shown.delete(frame);
    const boxes = [fresh, ...fresh.querySelectorAll(".qb-app")];
    for (const box of boxes) if (box.matches(".qb-app")) mount(box);
  });
})();
