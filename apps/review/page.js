"use strict";
// The review page. Everything of the model or a file name is set as text, never as HTML.

const state = { at: 0, selected: 0, mode: "", history: [] };
let data = null;

function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
const word = (key, values = {}) =>
  Object.entries(values).reduce((text, [name, value]) => text.replaceAll(`{${name}}`, value), data.words[key]);
const key = (name) => make("kbd", {}, name);
const item = () => data.items[state.at];
const choice = (label) => data.choices.find((entry) => entry.label === label);
const gradeOf = (object) => choice(object.label)?.grades.find((entry) => entry.grade === (object.sub_label || ""));
const severity = (object) => gradeOf(object)?.severity || "fine";
const nameOf = (object) => [choice(object.label)?.name || object.label, gradeOf(object)?.name].filter(Boolean).join(" · ");
const copy = (value) => JSON.parse(JSON.stringify(value));

async function save(before) {
  const at = state.at, entry = data.items[at];
  const body = data.kind === "labels" ? { final: entry.final } : { objects: entry.objects, empty: entry.empty };
  try {
    const answer = await fetch(`decide/${at}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    data.items[at] = told.item;
    data.figures = told.figures;
    if (before) state.history.push({ at, before });
    state.error = "";
  } catch (error) {
    if (before) data.items[at] = before;
    state.error = `${word("failed")}: ${error.message}`;
  }
  draw();
}
function change(act) {
  const before = copy(item());
  act(item());
  return save(before);
}
function undo() {
  const last = state.history.pop();
  if (!last) return;
  state.at = last.at;
  data.items[last.at] = last.before;
  save(null);
}
function go(to) {
  state.at = Math.max(0, Math.min(data.items.length - 1, to));
  state.mode = "";
  const open = item().objects ? item().objects.findIndex((object) => !object.verdict) : 0;
  state.selected = Math.max(0, open);
  draw();
}
function nextOpen() {
  for (let step = 1; step <= data.items.length; step++) {
    const at = (state.at + step) % data.items.length;
    if (!data.items[at].done) return go(at);
  }
  draw();
}

// ---- deciding -------------------------------------------------------------------------------

function verdict(value) {
  const object = item().objects[state.selected];
  if (!object) {
    if (!item().objects.length && value === "confirmed") return change((entry) => { entry.empty = !entry.empty; });
    return null;
  }
  const at = state.selected;
  return change((entry) => {
    if (entry.objects[at].verdict === "added") { if (value === "rejected") entry.objects.splice(at, 1); }
    else entry.objects[at].verdict = value;
    const open = entry.objects.findIndex((other) => !other.verdict);
    if (open >= 0) state.selected = open;
  });
}
function correct(values) {
  const at = state.selected;
  if (!item().objects[at]) return null;
  return change((entry) => {
    const object = entry.objects[at];
    Object.assign(object, values);
    if (object.verdict !== "added") object.verdict = "corrected";
  });
}
function setClass(label) {
  const grades = choice(label).grades;
  const same = item().objects[state.selected]?.sub_label;
  return correct({ label, sub_label: grades.some((entry) => entry.grade === same) ? same : grades[0]?.grade || "" });
}
function nextGrade() {
  const object = item().objects[state.selected];
  if (!object) return;
  const grades = choice(object.label).grades;
  const at = grades.findIndex((entry) => entry.grade === (object.sub_label || ""));
  correct({ sub_label: grades[(at + 1) % grades.length].grade });
}
function added(bbox, label) {
  state.mode = "";
  return change((entry) => {
    entry.objects.push({ bbox, label, sub_label: choice(label).grades[0]?.grade || "", verdict: "added", model: false });
    entry.empty = false;
    state.selected = entry.objects.length - 1;
  });
}
async function confirmAll() {
  if (data.kind === "labels") { if (item().final === null) await change((entry) => { entry.final = entry.labels; }); }
  else await change((entry) => {
    for (const object of entry.objects) if (!object.verdict) object.verdict = "confirmed";
    if (!entry.objects.length) entry.empty = true;
  });
  if (!state.error) nextOpen();
}
async function chooseLabel(label) {
  await change((entry) => {
    if (!data.multiple) { entry.final = [label]; return; }
    const now = new Set(entry.final || entry.labels);
    if (now.has(label)) now.delete(label); else now.add(label);
    entry.final = [...now];
  });
  if (!data.multiple && !state.error) nextOpen();
}

// ---- drawing --------------------------------------------------------------------------------

function place(bbox, size) {
  const [x1, y1, x2, y2] = bbox;
  const share = (value, whole) => `${(100 * value) / whole}%`;
  return { left: share(x1, size[0]), top: share(y1, size[1]), width: share(x2 - x1, size[0]), height: share(y2 - y1, size[1]) };
}
function boxes(entry) {
  return entry.objects.map((object, number) => make("div", {
    class: `box ${object.model ? `s-${severity(object)}` : "drawn"} ${object.verdict} ${number === state.selected ? "selected" : ""} ${object.bbox[1] < 0.06 * entry.size[1] ? "high" : ""}`,
    style: place(object.bbox, entry.size),
    onclick: () => { state.selected = number; draw(); },
  }, make("span", {}, nameOf(object))));
}
function watchDrawing(sheet, entry) {
  let from = null, shown = null;
  const point = (event) => {
    const area = sheet.getBoundingClientRect();
    const clip = (value) => Math.max(0, Math.min(1, value));
    return [clip((event.clientX - area.left) / area.width) * entry.size[0], clip((event.clientY - area.top) / area.height) * entry.size[1]];
  };
  const bbox = (to) => [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1])];
  sheet.addEventListener("pointerdown", (event) => {
    if (event.target.closest(".box") && !state.mode) return;
    from = point(event);
    sheet.setPointerCapture(event.pointerId);
    shown = make("div", { class: "box making drawn" });
    sheet.append(shown);
  });
  sheet.addEventListener("pointermove", (event) => { if (from) Object.assign(shown.style, place(bbox(point(event)), entry.size)); });
  sheet.addEventListener("pointerup", (event) => {
    if (!from) return;
    const made = bbox(point(event)).map((value) => Math.round(value * 10) / 10);
    from = null;
    shown.remove();
    if (made[2] - made[0] < 4 || made[3] - made[1] < 4) return;
    if (state.mode === "redraw" && entry.objects[state.selected]) { state.mode = ""; correct({ bbox: made }); }
    else added(made, entry.objects[state.selected]?.label || data.choices[0].label);
  });
}

// ---- what is shown --------------------------------------------------------------------------

function card(object, number) {
  const grades = choice(object.label)?.grades || [];
  const pick = (list, now, act) => make("select", { onchange: (event) => { state.selected = number; act(event.target.value); }, onclick: (event) => event.stopPropagation() },
    ...list.map(([value, text]) => make("option", { value, selected: value === now }, text)));
  const act = (run) => (event) => { event.stopPropagation(); state.selected = number; run(); };
  const row = make("div", { class: "row" },
    object.verdict === "added" ? make("button", { onclick: act(() => verdict("rejected")) }, word("remove"))
      : make("button", { class: object.verdict === "confirmed" ? "on" : "", onclick: act(() => verdict("confirmed")) }, word("confirm"), key("y")),
    object.verdict === "added" ? null : make("button", { class: object.verdict === "rejected" ? "on" : "", onclick: act(() => verdict("rejected")) }, word("reject"), key("x")),
    pick(data.choices.map((entry) => [entry.label, entry.name]), object.label, setClass),
    grades.length > 1 ? pick(grades.map((entry) => [entry.grade, entry.name]), object.sub_label || "", (sub_label) => correct({ sub_label })) : null,
    make("button", { onclick: act(() => { state.mode = "redraw"; draw(); }) }, word("redraw"), key("b")));
  return make("div", { class: `card ${object.model ? `s-${severity(object)}` : "drawn"} ${number === state.selected ? "selected" : ""}`, onclick: () => { state.selected = number; draw(); } },
    make("span", { class: `verdict ${object.verdict}` }, object.verdict ? word(object.verdict) : word("open")),
    make("b", {}, nameOf(object)), make("small", {}, `${object.model ? word("by_model") : word("by_person")} · ${object.bbox.map(Math.round).join(", ")}`),
    object.reason ? make("small", {}, object.reason) : null, row);
}
function labelSide(entry) {
  const now = entry.final === null ? entry.labels : entry.final;
  return [
    entry.reason ? make("p", { class: "faint" }, entry.reason) : null,
    make("p", { class: "faint" }, `${word("votes")}: ${entry.votes.map((vote) => `${vote.labels.join(" | ")} × ${vote.count}`).join(", ")}${entry.doubtful ? ` · ${word("doubtful")}` : ""}`),
    make("div", { class: "choices" }, ...data.choices.map((each, number) => make("button", { class: now.includes(each.label) ? "on" : "", onclick: () => chooseLabel(each.label) }, each.name, number < 9 ? key(number + 1) : null)),
      make("button", { class: entry.final?.length === 0 ? "on" : "", onclick: async () => { await change((each) => { each.final = []; }); nextOpen(); } }, word("none_fits"), key("x"))),
  ];
}
function draw() {
  const entry = item(), done = data.items.filter((each) => each.done).length;
  document.body.className = data.kind;
  const sheet = make("div", { class: "sheet" }, make("img", { src: `picture/${state.at}`, alt: entry.image, draggable: "false" }));
  if (data.kind === "inspection") { sheet.append(...boxes(entry)); watchDrawing(sheet, entry); }
  const side = data.kind === "labels" ? labelSide(entry) : [
    ...entry.objects.map(card),
    entry.objects.length ? null : make("button", { class: entry.empty ? "on" : "", onclick: () => verdict("confirmed") }, word("empty"), key("y")),
  ];
  const tools = make("div", { class: "toolbar" },
    make("button", { onclick: () => go(state.at - 1) }, word("previous"), key("←")), make("button", { onclick: () => go(state.at + 1) }, word("next"), key("→")),
    make("button", { onclick: confirmAll }, word("confirm_all"), key("a")),
    data.kind === "inspection" ? make("button", { class: state.mode === "draw" ? "on" : "", onclick: () => { state.mode = "draw"; draw(); } }, word("draw"), key("d")) : null,
    make("button", { onclick: undo, disabled: !state.history.length }, word("undo"), key("u")));
  document.body.replaceChildren(
    make("header", {}, make("h1", {}, word("title")), make("span", {}, word("progress", { done, total: data.items.length })), make("progress", { value: done, max: data.items.length }),
      done === data.items.length ? make("span", { class: "done-mark" }, word("all_done")) : null, make("span", { class: "figures" }, data.figures)),
    make("main", {}, make("div", { class: "stage" }, sheet), make("aside", {},
      make("h2", {}, `${state.at + 1}. ${entry.image.split(/[\\/]/).pop()}`), state.error ? make("p", { class: "error", role: "alert" }, state.error) : null, ...side.filter(Boolean), tools)),
    make("footer", {}, word("help")));
  document.querySelector(".card.selected")?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (!data?.items.length || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select")) return;
  const boxed = data.kind === "inspection";
  const number = Number(event.key);
  const acts = {
    ArrowRight: () => go(state.at + 1), ArrowLeft: () => go(state.at - 1), a: confirmAll, u: undo,
    y: () => (boxed ? verdict("confirmed") : confirmAll()),
    x: () => (boxed ? verdict("rejected") : change((entry) => { entry.final = []; }).then(nextOpen)),
    Escape: () => { state.mode = ""; draw(); },
  };
  if (boxed) Object.assign(acts, {
    g: nextGrade, d: () => { state.mode = "draw"; draw(); }, b: () => { state.mode = "redraw"; draw(); },
    n: () => { state.selected = (state.selected + 1) % Math.max(1, item().objects.length); draw(); },
  });
  if (number >= 1 && number <= data.choices.length) acts[event.key] = () => (boxed ? setClass : chooseLabel)(data.choices[number - 1].label);
  if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
});

fetch("state").then((answer) => answer.json()).then((told) => {
  data = told;
  if (!data.items.length) document.body.textContent = data.words.nothing;
  else { const open = data.items.findIndex((entry) => !entry.done); go(Math.max(0, open)); }
});
