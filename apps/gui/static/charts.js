// Charts in Vega-Lite: hover, zoom, series on and off, PNG, SVG and CSV. Nothing comes from outside.
(() => {
  "use strict";
  const belt = window.qwenbelt, { make, call, state } = belt;
  let script = null;

  function vega() {
    script ??= new Promise((done, failed) => {
      const tag = make("script", { src: "/qb/vega.js", type: "module" });
      tag.onload = () => done(window.vegaEmbed);
      tag.onerror = async () => {
        script = null;
        tag.remove();
        const reply = await fetch("/qb/vega.js");
        failed(new Error(reply.ok ? "vega.js" : (await reply.json()).error));
      };
      document.head.append(tag);
    });
    return script;
  }
  const colours = () => {
    const style = getComputedStyle(document.documentElement.classList.contains("dark") ? document.documentElement : document.body);
    const [ink, dim, line] = ["text", "dim", "line"].map((name) => style.getPropertyValue(`--qb-${name}`).trim());
    const axis = { labelColor: dim, titleColor: dim, gridColor: line, domainColor: dim, tickColor: dim, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 };
    return {
      background: null, font: "system-ui, 'Noto Sans CJK SC', sans-serif", view: { stroke: null }, axis,
      legend: { labelColor: ink, titleColor: dim, labelFontSize: 12 }, title: { color: ink, subtitleColor: dim, fontSize: 15 },
    };
  };
  // draws a chart into a box and returns what its picture, its drawing and its table are
  belt.drawChart = async (name, box) => {
    const [embed, spec] = await Promise.all([vega(), call(`/qb/chart/${state.session}/${encodeURIComponent(name)}`)]);
    // a loader that loads nothing: the chart has its values in it
    const loader = { load: () => Promise.reject(new Error("not loaded")), sanitize: () => Promise.reject(new Error("not loaded")) };
    const { view } = await embed(box, spec, { actions: false, renderer: "svg", config: colours(), loader });
    return {
      png: () => view.toImageURL("png", 2),
      svg: async () => URL.createObjectURL(new Blob([await view.toSVG()], { type: "image/svg+xml" })),
      csv: async () => URL.createObjectURL(new Blob(["\ufeff", table(spec.data.values)], { type: "text/csv" })),
      close: () => view.finalize(),
    };
  };
  function table(rows) {
    const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    const cell = (value) => {
      const text = String(value ?? "");
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [names, ...rows.map((row) => names.map((name) => row[name]))].map((row) => row.map(cell).join(",")).join("\r\n");
  }
})();
