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
// The texts of an axis' ticks, by the rules of `labels` in drawing.py: as many digits as tell neighbours apart.
function labels(values, log = false) {
  const size = Math.max(0, ...values.map(Math.abs));
  let gap = values.length > 1 ? Infinity : 0.01 * size, digits = 3;
  for (let i = 1; i < values.length; i++) gap = Math.min(gap, values[i] - values[i - 1]);
  while (digits < 17 && !values.every((v) => Math.abs(Number(v.toExponential(digits - 1)) - v) <= 0.01 * gap)) digits++;
  if (log) return values.map((value) => tick(value, digits, Math.abs(value)));
  const texts = values.map((value) => tick(value, digits, size));
  const decimals = Math.max(0, ...texts.map((text) => (text.replace(/[kMG]$/, "").split(".")[1] || "").length));
  return texts.some((text) => text.includes("e")) ? texts : values.map((value) => tick(value, digits, size, decimals));
}
function tick(value, digits, size, decimals) {
  const stripped = (text) => text.includes(".") ? text.replace(/0+$/, "").replace(/[.]$/, "") : text;
  if (value === 0) return "0";
  if (size < 1e-3 || size >= 1e15) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${stripped(mantissa)}e${Number(exponent)}`;
  }
  // A number of more than four digits is not made shorter by a unit.
  const units = [[1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"], [0, 1, ""]];
  const [, unit, letter] = units.find(([least, , l]) => size >= least && (digits <= 4 || l === ""));
  if (decimals !== undefined) return `${(value / unit).toFixed(decimals)}${letter}`;
  const rounded = Number(value.toExponential(digits - 1)) / unit;
  return stripped(rounded.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(rounded)))))) + letter;
}
function margin(texts) {
  return Math.max(46, 10 + Math.ceil(6.4 * Math.max(0, ...texts.map((text) => text.length))));
}
function stepTicks(first, last, width) {
  let marks = [];
  for (const count of [Math.max(2, Math.floor(width / 64)), 4, 3, 2]) {
    marks = ticks(first, last, count).filter(Number.isInteger);
    if (labels(marks).reduce((sum, text) => sum + 6.4 * text.length + 14, 0) <= width) break;
  }
  return marks;
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
