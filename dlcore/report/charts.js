// Brings the charts to life: crosshair, zoom, smoothing, logarithmic scale. Text from runs only ever enters as textContent.
(() => {
  const source = document.getElementById("curves-data");
  const bar = document.getElementById("bar");
  if (!source || !bar) return;

  const data = JSON.parse(source.textContent);
  const pad = { right: 10, top: 10, bottom: 24 }, height = 220;
  const state = { zoom: null, smooth: 0.6, hidden: new Set(), step: null };
  const charts = [...document.querySelectorAll("[data-chart]")].map(setUp);
  const extent = charts.flatMap((chart) => chart.curves.flatMap((curve) => [curve.x[0], curve.x[curve.x.length - 1]]));
  const whole = [Math.min(...extent), Math.max(...extent)];
  if (whole[0] === whole[1]) whole[1] += 1;
  const tools = addTools();
  const spoken = add(bar, "span", { class: "unseen", role: "status" });
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => {
    const chart = charts.find((c) => c.figure === entry.target);
    if (chart && Math.round(chart.svg.clientWidth) !== chart.width) draw(chart);
  }));
  for (const chart of charts) { draw(chart); sizes.observe(chart.figure); }

  // ---- elements
  function set(element, attributes) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }
  function add(parent, name, attributes = {}, text) {
    const svg = parent.namespaceURI === "http://www.w3.org/2000/svg" || name === "svg";
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    set(element, attributes);
    if (text !== undefined) element.textContent = text;
    return parent.appendChild(element);
  }
  function addTools() {
    for (const item of bar.querySelectorAll("li")) {
      const key = item.dataset.run !== undefined ? `r${item.dataset.run}` : `s${item.dataset.split}`;
      const button = set(document.createElement("button"), { type: "button", "aria-pressed": "true", title: "Show or hide" });
      button.append(...item.childNodes);
      item.append(button);
      button.addEventListener("click", () => {
        if (!state.hidden.delete(key)) state.hidden.add(key);
        button.setAttribute("aria-pressed", String(!state.hidden.has(key)));
        charts.forEach(draw);
      });
    }
    const box = add(bar, "div", { class: "tools" });
    if (data.splits.includes("train")) {
      const label = add(box, "label", {}, "Smooth training curves");
      const slider = add(label, "input", { type: "range", min: 0, max: 0.99, step: 0.01, value: state.smooth });
      const shown = add(label, "output", {}, state.smooth.toFixed(2));
      slider.addEventListener("input", () => {
        state.smooth = Number(slider.value);
        shown.textContent = state.smooth.toFixed(2);
        charts.forEach(draw);
      });
    }
    const reset = add(box, "button", { type: "button", class: "plain", title: "Or double-click a chart" }, "Reset zoom");
    reset.disabled = true;
    reset.addEventListener("click", () => zoom(null));
    return { reset };
  }

  // ---- a chart
  function setUp(figure) {
    const spec = data.charts[Number(figure.dataset.chart)];
    const chart = { ...spec, figure, svg: figure.querySelector("svg"), log: false, width: 0 };
    chart.curves = spec.curves.map((curve) => ({ ...curve, label: label(curve), look: look(curve) }));
    const caption = figure.querySelector("figcaption");
    const loss = /loss|norm|perplexity|error|rate|nll|mse/i.test(spec.name);
    // Among several runs a colour stands for a run, so it can name a value only where there is one split.
    const plain = data.runs.length === 1 || new Set(chart.curves.map((curve) => curve.split)).size === 1;
    if (plain && chart.curves.length <= 4) chart.values = add(caption, "div", { class: "values" });
    if (loss && chart.curves.every((curve) => curve.y.every((value) => value === null || value > 0))) {
      const button = add(caption, "button", { type: "button", class: "plain", "aria-pressed": "false", title: "Logarithmic scale" }, "log");
      button.addEventListener("click", () => {
        chart.log = !chart.log;
        button.setAttribute("aria-pressed", String(chart.log));
        draw(chart);
      });
    }
    chart.tip = add(figure, "div", { class: "tip", hidden: "" });
    figure.classList.add("live");
    set(chart.svg, { tabindex: 0, "aria-label": `${spec.name} by step. Arrow keys read values, plus and minus zoom, Escape resets.` });
    listen(chart);
    return chart;
  }
  function label(curve) {
    const parts = [];
    if (data.runs.length > 1) parts.push(data.runs[curve.run]);
    if (data.splits.length > 1) parts.push(data.splits[curve.split]);
    return parts.join(" · ") || data.splits[curve.split];
  }
  function look(curve) {
    return `k${(data.runs.length > 1 ? curve.run : curve.split) % 8} d${Math.min(curve.split, 3)}`;
  }
  function shown(chart) {
    return chart.curves.filter((curve) => !state.hidden.has(`r${curve.run}`) && !state.hidden.has(`s${curve.split}`));
  }
  function smoothed(curve) {
    if (data.splits[curve.split] !== "train" || state.smooth === 0) return null;
    if (curve.cache && curve.cache.weight === state.smooth) return curve.cache;
    const x = curve.mx || curve.x, y = curve.my || curve.y, w = state.smooth;
    let mean = 0, mass = 0;
    // Dividing by the mass so far keeps the first values from leaning towards zero.
    const out = y.map((value) => {
      if (value === null) return null;
      mean = w * mean + (1 - w) * value;
      mass = w * mass + (1 - w);
      return mean / mass;
    });
    curve.cache = { weight: w, x, y: out };
    return curve.cache;
  }
  function domain(chart, curves, [a, b]) {
    let low = Infinity, high = -Infinity;
    for (const curve of curves) curve.x.forEach((x, i) => {
      const y = curve.y[i];
      if (y !== null && x >= a && x <= b) { low = Math.min(low, y); high = Math.max(high, y); }
    });
    if (low > high) [low, high] = [chart.log ? 0.1 : 0, 1];
    const ref = chart.reference, reach = (high - low) / 2;
    if (ref !== null && ref >= low - reach && ref <= high + reach && !(chart.log && ref <= 0)) { low = Math.min(low, ref); high = Math.max(high, ref); }
    if (chart.log) { const air = (high / low) ** 0.06 > 1 ? (high / low) ** 0.06 : 1.1; return [low / air, high * air]; }
    const air = (high - low) * 0.06 || Math.abs(high) * 0.06 || 1;
    return [low - air, high + air];
  }
  function draw(chart) {
    const width = chart.width = Math.round(chart.svg.clientWidth) || 440;
    const [a, b] = state.zoom || whole, curves = shown(chart), [low, high] = domain(chart, curves, [a, b]);
    const right = width - pad.right, bottom = height - pad.bottom, t = chart.log ? Math.log : (v) => v;
    const up = chart.log ? logTicks(low, high) : ticks(low, high, 5), texts = labels(up, chart.log);
    const left = chart.left = margin(texts);
    chart.x = (step) => left + (step - a) / (b - a) * (right - left);
    chart.step = (x) => a + (x - left) / (right - left) * (b - a);
    chart.y = (value) => bottom - (t(value) - t(low)) / (t(high) - t(low)) * (bottom - pad.top);
    const svg = set(chart.svg, { viewBox: `0 0 ${width} ${height}` });
    svg.replaceChildren();
    const clip = add(svg, "clipPath", { id: `clip${chart.figure.dataset.chart}` });
    add(clip, "rect", { x: left, y: 0, width: right - left, height: bottom + 1 });
    up.forEach((value, i) => {
      add(svg, "path", { class: "rule", d: `M${left} ${chart.y(value).toFixed(1)}H${right}` });
      add(svg, "text", { class: "ty", x: left - 8, y: chart.y(value) + 4 }, texts[i]);
    });
    const along = stepTicks(a, b, right - left), steps = labels(along);
    along.forEach((step, i) => add(svg, "text", { class: "tx", x: chart.x(step), y: height - 6 }, steps[i]));
    const inside = add(svg, "g", { "clip-path": `url(#${clip.id})` });
    if (chart.reference !== null && chart.reference >= low && chart.reference <= high) {
      const line = add(inside, "path", { class: "reference", d: `M${left} ${chart.y(chart.reference).toFixed(1)}H${right}` });
      add(line, "title", {}, `published ${format(chart.reference)}`);
      add(svg, "text", { x: left + 2, y: chart.y(chart.reference) - 5 }, "published");
    }
    for (const curve of curves) drawCurve(chart, inside, curve, a, b, bottom);
    chart.over = add(svg, "g");
    point(chart);
  }
  function drawCurve(chart, parent, curve, a, b, bottom) {
    const soft = smoothed(curve);
    add(parent, "path", { class: `line ${curve.look}${soft ? " faint" : ""}`, d: trace(chart, curve, a, b) });
    if (soft) add(parent, "path", { class: `line ${curve.look}`, d: trace(chart, soft, a, b) });
    if (curve.x.length <= 40) curve.x.forEach((x, i) => {
      if (curve.y[i] !== null) add(parent, "circle", { class: `dot ${curve.look}`, cx: chart.x(x), cy: chart.y(curve.y[i]), r: 3 });
    });
    const gone = curve.x.filter((x, i) => curve.y[i] === null).map((x) => `M${chart.x(x).toFixed(1)} ${bottom}v-7`);
    if (gone.length) add(add(parent, "path", { class: `gone ${curve.look}`, d: gone.join("") }), "title", {}, "not finite");
  }
  function trace(chart, { x, y }, a, b) {
    let path = "", pen = false;
    for (let i = 0; i < x.length; i++) {
      // One point beyond either side is kept, so that a line runs on to the edge of a zoomed chart.
      if ((i + 1 < x.length && x[i + 1] < a) || (i > 0 && x[i - 1] > b)) { pen = false; continue; }
      if (y[i] !== null) path += `${pen ? "L" : "M"}${chart.x(x[i]).toFixed(1)} ${chart.y(y[i]).toFixed(1)}${pen ? "" : "h.01"}`;
      pen = y[i] !== null;
    }
    return path;
  }

  // ---- pointing, zooming
  function snap(chart, step) {
    const [a, b] = state.zoom || whole;
    const steps = shown(chart).map((curve) => curve.x[nearest(curve.x, step)]).filter((x) => x >= a && x <= b);
    return steps.length ? steps.reduce((best, x) => Math.abs(x - step) < Math.abs(best - step) ? x : best) : null;
  }

  function read(curve, step) {
    const i = nearest(curve.x, step), soft = smoothed(curve);
    return { at: curve.x[i], raw: curve.y[i], soft: soft ? soft.y[nearest(soft.x, step)] : undefined };
  }
  function point(chart) {
    chart.over.replaceChildren();
    if (chart.values) chart.values.replaceChildren();
    const step = state.step, curves = shown(chart), last = state.step === null;
    for (const curve of curves) {
      const value = last ? { at: curve.x.at(-1), raw: curve.y.at(-1) } : read(curve, step);
      if (chart.values) {
        const item = add(chart.values, "span", { title: `${curve.label}, ${last ? "last value, " : ""}step ${value.at}` });
        if (data.runs.length > 1) add(item, "i", { class: `swatch ${curve.look}` });
        else if (chart.curves.length > 1) item.append(curve.label);
        add(item, "b", {}, format(value.raw));
      }
      const drawn = value.soft === undefined || value.soft === null ? value.raw : value.soft;
      const x = chart.x(value.at);
      if (!last && drawn !== null && x >= chart.left - 1 && x <= chart.width - pad.right + 1) {
        add(chart.over, "circle", { class: `dot ${curve.look}`, cx: x, cy: chart.y(drawn), r: 4 });
      }
    }
    if (!last) chart.over.prepend(add(chart.over, "path", { class: "cross", d: `M${chart.x(step).toFixed(1)} ${pad.top}V${height - pad.bottom}` }));
  }
  function hover(chart, step) {
    state.step = step;
    charts.forEach(point);
    for (const other of charts) other.tip.hidden = other !== chart || step === null;
    if (step === null) return;
    chart.tip.replaceChildren();
    add(chart.tip, "p", {}, `step ${step.toLocaleString("en")}`);
    for (const curve of shown(chart)) {
      const value = read(curve, step), row = add(chart.tip, "div");
      add(row, "i", { class: `swatch ${curve.look}` });
      add(row, "span", {}, curve.label + (value.at === step ? "" : ` at ${value.at.toLocaleString("en")}`));
      add(row, "b", {}, format(value.raw));
      if (value.soft !== undefined && value.soft !== null) add(row, "span", { class: "hint", title: "smoothed" }, `≈ ${format(value.soft)}`);
    }
    // Beside the crosshair, over the neighbouring chart if need be, but inside the window.
    const from = chart.figure.getBoundingClientRect(), inset = chart.svg.getBoundingClientRect().left - from.left;
    const x = chart.x(step) + inset, wide = chart.tip.offsetWidth, room = document.documentElement.clientWidth - from.left - 8;
    const left = x + 16 + wide <= room ? x + 16 : x - 16 - wide;
    chart.tip.style.left = `${Math.max(8 - from.left, Math.min(left, room - wide))}px`;
  }
  function zoom(range) {
    if (range && range[1] - range[0] < 1) return;
    const [a, b] = range || whole;
    state.zoom = a <= whole[0] && b >= whole[1] ? null : [Math.max(whole[0], a), Math.min(whole[1], b)];
    tools.reset.disabled = !state.zoom;
    charts.forEach(draw);
  }
  function listen(chart) {
    let from = null, brush = null;
    const at = (event) => {
      const box = chart.svg.getBoundingClientRect();
      return Math.min(chart.width - pad.right, Math.max(chart.left, (event.clientX - box.left) * chart.width / box.width));
    };
    chart.svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = at(event);
      chart.svg.setPointerCapture(event.pointerId);
    });
    chart.svg.addEventListener("pointermove", (event) => {
      const x = at(event);
      if (from !== null && Math.abs(x - from) > 5) {
        brush = brush || add(chart.svg, "rect", { class: "brush", y: pad.top, height: height - pad.top - pad.bottom });
        set(brush, { x: Math.min(from, x), width: Math.abs(x - from) });
      }
      hover(chart, snap(chart, chart.step(x)));
    });
    chart.svg.addEventListener("pointerup", (event) => {
      const range = [from, at(event)].sort((a, b) => a - b).map(chart.step), wanted = brush !== null;
      from = null;
      if (brush) brush.remove();
      brush = null;
      if (wanted) zoom(range);
    });
    chart.svg.addEventListener("pointercancel", () => { from = null; if (brush) brush.remove(); brush = null; hover(chart, null); });
    chart.svg.addEventListener("pointerleave", () => { if (from === null) hover(chart, null); });
    chart.svg.addEventListener("dblclick", () => zoom(null));
    chart.svg.addEventListener("blur", () => hover(chart, null));
    chart.svg.addEventListener("keydown", (event) => press(chart, event));
  }
  function press(chart, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [a, b] = state.zoom || whole, middle = state.step ?? (a + b) / 2, curves = shown(chart);
    const steps = [...new Set(curves.flatMap((curve) => curve.x))].filter((x) => x >= a && x <= b).sort((p, q) => p - q);
    if (!steps.length) return;
    const here = state.step === null ? -1 : nearest(steps, state.step), far = event.shiftKey ? 10 : 1;
    const go = (i) => hover(chart, steps[Math.min(steps.length - 1, Math.max(0, i))]);
    const keys = {
      ArrowRight: () => go(here + far), ArrowLeft: () => go(here < 0 ? steps.length - 1 : here - far),
      Home: () => go(0), End: () => go(steps.length - 1), Escape: () => { hover(chart, null); zoom(null); },
      "+": () => zoom([middle - (middle - a) / 2, middle + (b - middle) / 2]),
      "-": () => zoom([middle - (middle - a) * 2, middle + (b - middle) * 2]),
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
    if (state.step !== null) spoken.textContent = `step ${state.step}: ` + curves.map((curve) => `${curve.label} ${format(read(curve, state.step).raw)}`).join(", ");
  }
})();
