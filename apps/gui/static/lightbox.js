// A figure, large: zoom with buttons, wheel or keys; move it by dragging; download it.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, make } = belt;
  let box = null, scale = 1;

  function zoom(factor) {
    const image = box.querySelector("img");
    scale = Math.min(8, Math.max(1, scale * factor));
    image.style.width = scale === 1 ? "" : `${100 * scale}%`;
    image.classList.toggle("fits", scale === 1);
  }
  // the same chart, drawn here: to be moved, filtered and taken along
  async function move(name, box_, place, picture) {
    const drawn = make("div", { className: "qb-chart" }), about = make("p", { className: "qb-panel-note", textContent: words.chart_about });
    place.replaceChildren(drawn, about);
    let chart;
    try { chart = await belt.drawChart(name, drawn); } catch (error) {
      belt.notice(error.message);
      place.replaceChildren(picture);
      return;
    }
    box_.chart = chart;
    const stem = name.replace(/\.vl\.json$/, "");
    const links = ["png", "svg", "csv"].map((kind) => {
      const link = make("a", { href: "#", textContent: kind.toUpperCase(), className: "qb-button" });
      link.onclick = async (event) => {
        event.preventDefault();
        make("a", { href: await chart[kind](), download: `${stem}.${kind}` }).click();
      };
      return link;
    });
    box_.querySelector(".qb-large-tools").prepend(...links);
    box_.links = links;
  }
  function show(image, chart) {
    box?.remove();
    scale = 1;
    const tool = (label, text, action) => {
      const button = make("button", { type: "button", className: "qb-button", textContent: text, title: label });
      button.setAttribute("aria-label", label);
      button.onclick = action;
      return button;
    };
    const link = make("a", { href: image.src, download: "", className: "qb-button", textContent: words.download_it });
    const large = make("img", { src: image.src, alt: image.alt, className: "fits" });
    const place = make("div", { className: "qb-large", tabIndex: 0 }, large);
    box = make("dialog", { id: "qb-lightbox" },
      make("div", { className: "qb-large-tools" }, tool(words.zoom_in, "+", () => zoom(1.5)),
        tool(words.zoom_out, "−", () => zoom(1 / 1.5)), link, tool(words.close, "✕", () => box.close())),
      place);
    if (chart) {
      const held = box;
      const turn = tool(words.chart_moved, words.chart_picture, () => {
        const moved = held.links;
        held.chart?.close();
        held.chart = held.links = null;
        turn.textContent = moved ? words.chart_moved : words.chart_picture;
        if (!moved) { move(chart, held, place, large); return; }
        for (const link of moved) link.remove();
        place.replaceChildren(large);
      });
      box.querySelector(".qb-large-tools").prepend(turn);
      move(chart, box, place, large);
    }
    box.setAttribute("aria-label", image.alt || words.enlarge);
    box.onclose = () => { box.chart?.close(); box.remove(); box = null; };
    box.onclick = (event) => { if (event.target === box) box.close(); };
    box.onkeydown = (event) => {
      if (event.key === "+") zoom(1.5);
      if (event.key === "-") zoom(1 / 1.5);
    };
    large.onclick = () => zoom(scale === 1 ? 2 : 1 / scale);
    place.addEventListener("wheel", (event) => {
      if (event.ctrlKey) { event.preventDefault(); zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2); }
    });
    document.body.append(box);
    box.showModal();
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".qb-enlarge"), image = button?.querySelector("img");
    if (image) show(image, button.dataset.chart);
  });
})();
