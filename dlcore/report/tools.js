// Numbers for reading and for axes, the search for a step, and the buttons that copy. Runs before charts.js.
"use strict";

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw * 0.999), out = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= high / step + 1e-9; i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}
function logTicks(low, high) {
  const decades = Math.log10(high / low), out = [];
  if (decades < 0.7) return ticks(low, high, 5);
  const every = Math.ceil(decades / 6);
  for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) for (const f of decades < 2.5 ? [1, 2, 5] : [1]) {
    if (f * 10 ** p >= low && f * 10 ** p <= high && p % every === 0) out.push(f * 10 ** p);
  }
  return out;
}
function short(value) {
  const size = Math.abs(value), trim = (v, n) => String(Number(v.toPrecision(n)));
  if (size >= 1e9) return `${trim(value / 1e9, 4)}G`;
  if (size >= 1e6) return `${trim(value / 1e6, 4)}M`;
  if (size >= 1e4) return `${trim(value / 1e3, 4)}k`;
  return size >= 1000 ? value.toFixed(0) : trim(value, 3);
}
function format(value) {
  if (value === null) return "not finite";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e9 || size < 1e-3) return value.toExponential(2);
  return size >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(size >= 100 ? 1 : size >= 1 ? 3 : 4);
}
function nearest(x, step) {
  let low = 0, high = x.length - 1;
  while (low < high) { const middle = (low + high) >> 1; if (x[middle] < step) low = middle + 1; else high = middle; }
  return low > 0 && step - x[low - 1] <= x[low] - step ? low - 1 : low;
}

function addCopy(box) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  button.textContent = "Copy";
  box.prepend(button);
  button.addEventListener("click", async () => {
    const text = box.querySelector("pre").textContent;
    let done = true;
    try { await navigator.clipboard.writeText(text); } catch {
      // A page opened from disk may not reach the clipboard; the selection can be copied by hand.
      getSelection().selectAllChildren(box.querySelector("pre"));
      done = document.execCommand("copy");
    }
    button.textContent = done ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
}

for (const box of document.querySelectorAll(".copy")) addCopy(box);
