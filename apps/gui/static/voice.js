// Microphone and read-aloud; each is shown only where a model for it is configured.
(() => {
  "use strict";
  const belt = window.qwenbelt, { words, hooks, $, make, fill, state } = belt;
  const SECONDS = 120;  // the recording ends by itself
  let recorder = null, ticking = 0;

  belt.voice = ({ hears = false, speaks = false }) => {
    document.body.classList.toggle("qb-speaks", speaks);
    return hears ? [microphone()] : [];
  };
  const sign = '<svg class="qb-sign" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5 11a7 7 0 0 0 14 0M12 18v3"/></svg>';
  function microphone() {
    const chip = make("button", { type: "button", className: "qb-button qb-chip", id: "qb-microphone" });
    chip.onclick = () => recorder ? recorder.stop() : record();
    show(chip);
    return chip;
  }
  function show(chip = $("qb-microphone"), busy = "") {
    if (!chip) return;
    const label = busy || (recorder ? words.hear_stop : words.hear_start);
    chip.setAttribute("aria-label", label);
    chip.title = label;
    chip.setAttribute("aria-pressed", String(recorder !== null));
    chip.disabled = busy !== "";
    if (recorder) chip.textContent = `■ ${Math.floor((performance.now() - recorder.began) / 1000)} s`;
    else if (busy) chip.textContent = "…";
    else chip.innerHTML = sign;
  }
  async function record() {
    let stream;
    try { stream = await navigator.mediaDevices.getUserMedia({ audio: true }); }
    catch (error) { belt.notice(fill(words.hear_no, { reason: error.name })); return; }  // no device, not allowed, or no https
    const pieces = [], made = new MediaRecorder(stream, { audioBitsPerSecond: 32000 });
    made.dropped = false;
    made.ondataavailable = (event) => pieces.push(event.data);
    made.onstop = () => {
      clearInterval(ticking);
      recorder = null;
      for (const track of stream.getTracks()) track.stop();
      if (made.dropped) show(); else send(new Blob(pieces, { type: made.mimeType }));
    };
    made.began = performance.now();
    recorder = made;
    made.start();
    show();
    ticking = setInterval(() => {
      show();
      if (performance.now() - made.began > SECONDS * 1000) made.stop();
    }, 500);
  }
  async function send(sound) {
    show(undefined, words.hear_busy);
    const to = state.session;
    try {
      const reply = await fetch("/qb/hear", { method: "POST", body: sound, headers: { "content-type": sound.type } });
      const told = await reply.json();
      if (!reply.ok) belt.notice(told.error ?? reply.statusText);
      else if (to === state.session) insert(told.text);
    } catch (error) { belt.notice(error.message); }
    show();
  }
  function insert(text) {
    const area = belt.composer(), at = area.selectionEnd, before = area.value.slice(0, at), space = before && !/\s$/.test(before) ? " " : "";
    belt.write(before + space + text + area.value.slice(at));
    const end = at + space.length + text.length;
    area.setSelectionRange(end, end);
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && recorder) { recorder.dropped = true; recorder.stop(); }
  });

  // -- an answer, piece by piece: the next one is made while one is heard ------------------------

  let speaking = null;
  belt.speak = (turn, button) => {
    const same = speaking?.turn === turn;
    quiet();
    if (!same) say(turn, button);
  };
  function quiet() {
    speaking?.sound?.pause();
    document.querySelectorAll("[data-action=speak][aria-pressed=true]").forEach((button) => button.removeAttribute("aria-pressed"));
    speaking = null;
  }
  hooks.opened.push(quiet);
  async function say(turn, button) {
    const now = { turn, sound: null };
    speaking = now;
    button.setAttribute("aria-pressed", "true");
    const piece = async (number) => {
      const reply = await fetch(`/qb/speak/${state.session}/${turn}/${number}`);
      if (!reply.ok) throw new Error((await reply.json()).error ?? reply.statusText);
      return { count: Number(reply.headers.get("x-qb-pieces")), url: URL.createObjectURL(await reply.blob()) };
    };
    try {
      let next = piece(0);
      for (let number = 0, count = 1; number < count && speaking === now; number += 1) {
        const got = await next;
        count = got.count;
        if (number + 1 < count) { next = piece(number + 1); next.catch(() => {}); }
        if (speaking !== now) { URL.revokeObjectURL(got.url); break; }
        now.sound = new Audio(got.url);
        await new Promise((done, failed) => {
          now.sound.onended = now.sound.onpause = done;
          now.sound.onerror = () => failed(new Error(words.speak_no));
          now.sound.play().catch(failed);
        });
        URL.revokeObjectURL(got.url);
      }
    } catch (error) { if (speaking === now) belt.notice(error.message); }
    if (speaking === now) quiet();
  }
})();
