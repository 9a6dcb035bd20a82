// Keeps the marked parts of a page as they are on the hub now. Without this script a reload does the same.
"use strict";

const EVERY = 2000, SLOWEST = 30000;
const problem = document.getElementById("live-problem");

document.querySelectorAll("[data-live]:not([data-ended])").forEach(watch);
setInterval(tick, 1000);

function watch(part) {
  let wait = EVERY;
  const again = () => setTimeout(look, wait);
  async function look() {
    if (document.hidden) return again();
    try {
      const answer = await fetch(part.dataset.live, { headers: { "If-None-Match": part.dataset.tag }, redirect: "error" });
      if (answer.status === 200) put(part, await answer.text(), answer.headers.get("ETag"));
      else if (answer.status === 401 || answer.status === 403) return say("Your login has ended. Reload this page.");
      else if (answer.status !== 304) throw new Error(answer.status);
      say("");
      const pace = answer.headers.get("Stepmark-Live");
      if (pace === "ended") return undefined;
      wait = pace === "slow" ? SLOWEST : EVERY;
    } catch {
      wait = Math.min(2 * wait, SLOWEST);
      say("The hub does not answer; this page tries again by itself.");
    }
    return again();
  }
  again();
}

// What a person has opened, ticked or focused stays so.
function put(part, text, tag) {
  const kept = [...part.querySelectorAll("details")].map(one => one.open);
  const ticked = new Set([...part.querySelectorAll(":checked")].map(one => one.value));
  const reachable = "a[href], button, input, summary, [tabindex]";
  const focused = [...part.querySelectorAll(reachable)].indexOf(document.activeElement);
  const label = name(document.activeElement);
  part.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
  part.dataset.tag = tag;
  part.querySelectorAll("details").forEach((one, index) => { if (kept[index]) one.open = true; });
  part.querySelectorAll("input[type=checkbox]").forEach(one => { one.checked = ticked.has(one.value); });
  if (focused < 0) return;
  const all = [...part.querySelectorAll(reachable)];
  (all.find(one => name(one) === label) ?? all[focused])?.focus({ preventScroll: true });
}

function name(node) {
  return node.getAttribute("href") ?? node.value ?? node.textContent;
}

function say(text) {
  if (problem.textContent !== text) problem.textContent = text;
  problem.hidden = text === "";
}

// "12 seconds ago" goes on counting, by the clock of this page: that of the hub may differ.
const born = new WeakMap();

function tick() {
  document.querySelectorAll("[data-age]").forEach(one => {
    if (!born.has(one)) born.set(one, performance.now() - 1000 * one.dataset.age);
    one.textContent = `${span((performance.now() - born.get(one)) / 1000)} ago`;
  });
}

function span(seconds) {
  for (const [size, unit] of [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]]) {
    const count = Math.floor(seconds / size);
    if (count >= 1) return count === 1 ? `${count} ${unit}` : `${count} ${unit}s`;
  }
  return "0 seconds";
}
