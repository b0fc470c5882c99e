"use strict";
const now = Date.now() / 1000;
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const relative = at => {
  const seconds = at - now, span = Math.abs(seconds);
  const [name, unit] = 5400 > span ? ["minute", 60] : 129600 > span ? ["hour", 3600] : ["day", 86400];
  return words.format(Math.round(seconds / unit), name);
};
const all = selector => document.querySelectorAll(selector);
for (const e of all("time")) {
  e.title = e.dateTime;
  e.textContent = e.dateTime.slice(0, 10) + ", " + relative(Date.parse(e.dateTime) / 1000);
}
for (const e of all("[data-until]")) {
  const until = Number(e.dataset.until), isOver = now >= until;
  e.hidden = !isOver && until - now > Number(e.dataset.life) / 4;
  e.className = isOver ? "tag bad" : "tag warn";
  e.textContent = isOver ? "expired" : "expires " + relative(until);
}
// As Rollout::share of bistable-format has it.
const second = BigInt(Math.trunc(now)), places = 4294967296n, whole = 10000n;
const share = waves => {
  let most = 0n;
  for (const wave of waves.split(",")) {
    const [at, over, part] = wave.split(" ").map(BigInt);
    if (at > second) continue;
    const last = part * places / whole, since = second - at;
    const there = since >= over ? last : last * since / over;
    if (there > most) most = there;
  }
  const parts = (most * whole + places - 1n) / places;
  return Number(places > most && parts >= whole ? whole - 1n : parts);
};
for (const e of all("[data-waves]")) {
  const parts = share(e.dataset.waves), isDone = parts === 10000;
  e.className = isDone ? "tag good" : "tag warn";
  e.textContent = isDone ? "for all" : (parts % 100 ? (parts / 100).toFixed(2) : parts / 100) + " %";
  const bar = e.closest("article").querySelector(".bar i");
  if (bar) bar.style.width = parts / 100 + "%";
}
