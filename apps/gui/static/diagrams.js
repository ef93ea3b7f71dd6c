// Diagrams in Mermaid: the server draws them, here they are pictures, in which no script runs.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, make, hooks, call } = belt;
  const drawn = new Map();  // by source: an answer is put again when its turn ends

  function picture(svg, block) {
    const bytes = new TextEncoder().encode(svg);
    const data = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    const [, , width] = (/viewBox="([^"]+)"/.exec(svg)?.[1] ?? "").split(/[ ,]+/).map(Number);
    const image = make("img", { className: "qb-figure qb-drawn", alt: words.diagram, src: `data:image/svg+xml;base64,${data}` });
    const source = make("details", { className: "qb-source" }, make("summary", { textContent: words.diagram_source }));
    image.style.width = `${Math.round(Math.min(1600, width || 600)) + 16}px`;  // its own says 100 %
    block.before(make("button", { type: "button", className: "qb-enlarge" }, image), source);
    source.append(block);
  }
  async function draw(block) {
    if (block.dataset.drawn) return;
    block.dataset.drawn = "1";
    const source = block.querySelector("code").textContent;
    if (!drawn.has(source)) drawn.set(source, call("/qb/diagram", { source }));
    const { svg, note } = await drawn.get(source).catch(({ message }) => { drawn.delete(source); return { note: message }; });
    if (!block.isConnected || block.closest(".qb-source")) return;
    if (svg) picture(svg, block);
    else if (note) block.append(make("p", { className: "qb-panel-note", textContent: note }));
  }
  hooks.put.push((fresh) => { for (const block of fresh.querySelectorAll("[data-diagram]")) draw(block); });
})();
