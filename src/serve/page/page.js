// Sends the page's own forms without leaving it, and takes the page's parts again when something happens. The page is drawn by the
// server; without this file everything works, with a reload.
"use strict";

const notice = document.getElementById("notice");
const announce = document.getElementById("announce");
let said = "";
let refreshing = null;
let watched = null;

function complain(text) {
  notice.textContent = text;
  notice.hidden = text === "";
}

// Screen readers read each change: only what is new is said.
function say(text) {
  if (text !== said) {
    said = text;
    announce.textContent = text;
  }
}

async function problem(response) {
  try {
    const body = await response.json();
    return body.detail || body.title || response.statusText;
  } catch {
    return `The device answered ${response.status}.`;
  }
}

// What a person is busy with stays as it is.
function isInUse(section) {
  const open = section.querySelector("details[open]");
  return open !== null && (open.contains(document.activeElement) || open.querySelector(":checked, :user-invalid") !== null ||
    (open.querySelector("input[type=file]")?.files.length ?? 0) > 0);
}

function replace(before, after) {
  if (before.outerHTML === after.outerHTML) return;
  const focus = before.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...before.querySelectorAll("details[open]")].map((fold) => fold.id);
  before.replaceWith(after);
  for (const id of open) {
    const fold = document.getElementById(id);
    if (fold) fold.open = true;
  }
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
}

async function draw() {
  const response = await fetch("/", { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(`The device answered ${response.status}.`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const after of page.querySelectorAll("main > section")) {
    const before = document.getElementById(after.id);
    if (before && !(isInUse(before) && !after.querySelector("progress"))) replace(before, document.importNode(after, true));
  }
  const state = page.getElementById("state");
  if (state) replace(document.getElementById("state"), document.importNode(state, true));
  document.title = page.title;
  watch();
}

// However often something happens, one look at a time, and one more after it.
function refresh() {
  if (refreshing) {
    refreshing.again = true;
    return;
  }
  const mine = { again: false };
  refreshing = mine;
  draw()
    .catch(() => {})
    .finally(() => {
      refreshing = null;
      if (mine.again) refresh();
    });
}

// A job that is being done is asked how far it is.
async function watch() {
  const id = document.querySelector("[data-job]")?.dataset.job;
  if (!id || watched === id) return;
  watched = id;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 700));
    let job;
    try {
      const response = await fetch(`/v1/jobs/${id}`);
      if (!response.ok) break;
      job = await response.json();
    } catch {
      say("The device does not answer. It may be restarting.");
      continue;
    }
    if (job.state !== "running" && job.state !== "queued") {
      const failed = job.outcome && job.outcome.error;
      say(failed ? `${job.operation} ended: ${failed}` : `${job.operation} ended`);
      break;
    }
    const { step = "", done = 0, total = 0 } = job.progress || {};
    const bar = document.getElementById("bar");
    const percent = total > 0 ? Math.floor((100 * done) / total) : null;
    if (bar && total > 0) {
      bar.max = total;
      bar.value = done;
    } else if (bar) {
      bar.removeAttribute("value");
    }
    const words = job.state === "queued" ? "waits for its turn" : step || "begins";
    const label = document.getElementById("bar-step");
    if (label) label.textContent = `${job.operation}: ${words}`;
    const share = document.getElementById("bar-percent");
    if (share) share.textContent = percent === null ? "" : `${percent} %`;
    say(percent === null ? `${job.operation}: ${words}` : `${job.operation}: ${words}, ${10 * Math.floor(percent / 10)} percent`);
  }
  watched = null;
  refresh();
}

async function act(form) {
  const name = form.dataset.act;
  const buttons = form.querySelectorAll("button");
  complain("");
  for (const button of buttons) button.disabled = true;
  try {
    let request;
    if (name === "upload") {
      const file = form.querySelector("input[type=file]").files[0];
      say("Uploading the bundle");
      request = fetch("/v1/bundles", { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });
      // The job is there as soon as the first bytes are.
      setTimeout(refresh, 600);
      form.closest("details").open = false;
      document.activeElement?.blur();
    } else if (name === "cancel") {
      request = fetch(`/v1/jobs/${form.querySelector("[name=job]").value}/cancel`, { method: "POST" });
    } else {
      const headers = { "Content-Type": "application/json" };
      request = fetch(`/v1/${name}`, { method: "POST", headers, body: "{}" });
    }
    const response = await request;
    if (response.ok) say(`${name}: begun`);
    else complain(await problem(response));
    form.reset();
  } catch (error) {
    complain(`The device does not answer: ${error.message}`);
  }
  for (const button of buttons) button.disabled = false;
  form.closest("details")?.removeAttribute("open");
  refresh();
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-act]");
  if (!form) return;
  event.preventDefault();
  act(form);
});

// Events say that something happened; what it comes to is on the page.
async function follow() {
  let wait = 1000;
  let last = "";
  for (;;) {
    try {
      const headers = { Accept: "text/event-stream" };
      if (last) headers["Last-Event-ID"] = last;
      const from = last ? "" : `?after=${await newest()}`;
      const response = await fetch(`/v1/events${from}`, { headers });
      if (!response.ok) throw new Error(response.statusText);
      wait = 1000;
      refresh();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let held = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        held += value;
        const parts = held.split("\n\n");
        held = parts.pop();
        for (const part of parts) {
          const id = /^id: (\d+)$/m.exec(part);
          if (!id) continue;
          last = id[1];
          refresh();
        }
      }
    } catch {
      wait = Math.min(2 * wait, 30000);
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

// Not the whole past is of interest: the page shows it already. The search is bounded, so its end is asked for.
async function newest() {
  for (let after = 0; ; ) {
    const response = await fetch(`/v1/events?after=${after}&limit=1000`);
    if (!response.ok) throw new Error(response.statusText);
    const { events, next } = await response.json();
    if (events.length < 1000) return next;
    after = next;
  }
}

watch();
follow();
