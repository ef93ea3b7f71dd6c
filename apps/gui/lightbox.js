// A figure, large: zoom with buttons, wheel or keys; move it by dragging; download it.
(() => {
  "use strict";
  const { words, make } = window.qwenbelt;
  let box = null, scale = 1;

  function zoom(factor) {
    const image = box.querySelector("img");
    scale = Math.min(8, Math.max(1, scale * factor));
    image.style.width = scale === 1 ? "" : `${100 * scale}%`;
    image.classList.toggle("fits", scale === 1);
  }
  function show(image) {
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
    box.setAttribute("aria-label", image.alt || words.enlarge);
    box.onclose = () => { box.remove(); box = null; };
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
    const image = event.target.closest?.(".qb-enlarge")?.querySelector("img");
    if (image) show(image);
  });
})();
