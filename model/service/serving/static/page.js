// The page with the prediction form: each change of an input requests a new prediction. One request
// is in progress at a time; the next one sends the latest inputs. No library, no build step.

const $ = (id) => document.getElementById(id);
const config = JSON.parse($("config").textContent);
const form = $("form");
const BAD = Symbol("no number");
const TYPING = 150; // ms to wait for further keystrokes while a number is typed
const QUIET = 500; // ms without a change before a screen reader is notified
const PATIENCE = 10000; // ms to wait for a response
const BUSY_TRIES = 5;

const proper = (text) => String(text).replace("-", "−");
const format = (value, digits = 6) => {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  const plain = size === 0 || (size >= 1e-4 && size < 1e9);
  const rounded = Number(value.toPrecision(digits));
  return proper(plain ? rounded : rounded.toExponential());
};
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const isNumeric = (spec) => spec.kind === "number" || spec.kind === "integer";

// --- The form's fields

const fields = config.fields.map((spec) => {
  const input = $(spec.id);
  const [slider, missing, other] = ["slider", "missing", "other"].map((part) => $(`${spec.id}-${part}`));
  const radios = spec.kind === "boolean" ? [...input.querySelectorAll("input")] : [];
  const hint = $(`${spec.id}-hint`);
  const error = $(`${spec.id}-error`);
  const usual = hint.textContent;

  const read = () => {
    if (missing?.checked) return null;
    if (spec.kind === "boolean") {
      const { value } = radios.find((radio) => radio.checked) ?? { value: "" };
      return value === "" ? null : value === "true";
    }
    if (spec.kind === "category") {
      const { means } = input.selectedOptions[0].dataset;
      return means === "missing" ? null : means === "other" ? other.value : input.value;
    }
    if (!isNumeric(spec)) return input.value;
    if (input.validity.badInput) return BAD;
    if (input.value === "") return spec.nullable ? null : undefined;
    return Number(input.value);
  };

  const write = (value) => {
    if (missing) missing.checked = value === null;
    if (spec.kind === "boolean") {
      for (const radio of radios) radio.checked = radio.value === (value === null ? "" : String(value));
    } else if (spec.kind === "category") {
      const options = [...input.options];
      const means = value === null ? "missing" : "other";
      const known = value !== null && options.find((option) => !option.dataset.means && option.value === value);
      (known || options.find((option) => option.dataset.means === means) || options[0]).selected = true;
      if (other && !known && value !== null) other.value = value;
    } else if (value !== null) {
      input.value = value;
      if (slider) slider.value = value;
    }
    refresh();
  };

  const refresh = () => {
    if (missing) for (const control of [input, slider]) if (control) control.disabled = missing.checked;
    if (other) other.hidden = input.selectedOptions[0].dataset.means !== "other";
    const value = read();
    let text = usual;
    let outside = false;
    if (isNumeric(spec) && typeof value === "number" && spec.least !== null) {
      outside = value < spec.least || value > spec.most;
      if (outside) text = `Outside the training data (${format(spec.least, 4)} to ${format(spec.most, 4)})`;
    } else if (spec.kind === "category" && typeof value === "string" && value !== "" && !spec.options.includes(value)) {
      outside = true;
      text = "Not in the training data";
    }
    hint.textContent = text;
    hint.classList.toggle("outside", outside);
  };

  const complain = (detail) => {
    error.textContent = detail;
    error.hidden = !detail;
    hint.hidden = Boolean(detail) && hint.textContent === usual;
    if (!radios.length) input.setAttribute("aria-invalid", Boolean(detail));
  };

  const follow = (target) => {
    if (target === slider) input.value = slider.value;
    else if (target === input && slider) slider.value = input.value === "" ? slider.value : input.value;
    else if (target === input && other && !other.hidden) other.focus();
    refresh();
  };

  const holds = (target) => [input, slider, missing, other, ...radios].includes(target);
  return { ...spec, read, write, refresh, complain, follow, holds, input };
});

const byName = (name) => fields.find((field) => field.name === name);

// --- Requests

let timer = 0;
let telling = 0;
let underWay = false;
let waiting = false;
let tries = 0;
let truth; // the target of a training row, while its inputs are unchanged
let shown = null; // the last response: {record, prediction, probabilities}

function schedule(delay = 0) {
  clearTimeout(timer);
  timer = setTimeout(ask, delay);
}

async function ask() {
  if (underWay) {
    waiting = true;
    return;
  }
  underWay = true;
  try {
    do {
      waiting = false;
      await askOnce();
    } while (waiting);
  } finally {
    underWay = false;
  }
}

async function askOnce() {
  const values = fields.map((field) => [field, field.read()]);
  const bad = values.filter(([, value]) => value === BAD);
  if (bad.length) {
    fail(bad.map(([field]) => ({ parameter: field.name, detail: "is not a number such as 0.05, -1 or 5e-2" })));
    return;
  }
  const record = Object.fromEntries(values.map(([field, value]) => [field.name, value]));
  const body = JSON.stringify({ records: [record], ...(config.probabilities && { probabilities: true }) });
  remember(values, body);
  let response, reply;
  try {
    response = await fetch("v1/predictions", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body,
      signal: AbortSignal.timeout(PATIENCE),
    });
    reply = await response.json();
  } catch (error) {
    const late = error.name === "TimeoutError";
    fail([], late ? "No answer has come in time." : "The service cannot be reached.");
    return;
  }
  if (response.status === 503 && tries++ < BUSY_TRIES) {
    fail([], "The service is busy: asking again.");
    schedule(1000 * (Number(response.headers.get("Retry-After")) || 1));
    return;
  }
  tries = 0;
  const errors = response.ok ? reply.errors?.[0]?.errors : reply.errors;
  if (!response.ok || errors?.length) fail(errors ?? [], reply.detail);
  else succeed({ record, prediction: reply.predictions[0], probabilities: reply.probabilities?.[0] });
}

function fail(errors, detail = "") {
  shown = null;
  const texts = new Map(errors.map((error) => [error.parameter, error.detail]));
  for (const field of fields) {
    const text = texts.get(field.name);
    field.complain(text ? `${field.label} ${text}.` : "");
    texts.delete(field.name);
  }
  const others = [...texts].map(([name, text]) => `${name} ${text}.`).join(" ");
  const told = errors.some((error) => byName(error.parameter));
  const text = others || (told ? "No prediction: see the marked input." : detail || "There is no prediction.");
  for (const part of ["value", "detail"]) $(part).classList.add("stale");
  $("note").textContent = text;
  $("note").classList.add("wrong");
  tell([...errors.map((error) => `${error.parameter} ${error.detail}.`), told ? "" : text].join(" "));
  draw();
}

function succeed(answer) {
  shown = answer;
  for (const field of fields) field.complain("");
  const { prediction, probabilities } = answer;
  const values = [prediction].flat();
  const text = values.map((value) => format(value)).join(", ");
  $("value").textContent = text;
  $("value").title = values.join(", ");
  for (const part of ["value", "detail"]) $(part).classList.remove("stale");
  const notes = [
    probabilities && `Probability ${percent(probabilities[Math.max(0, config.classes.indexOf(prediction))])}`,
    truth !== undefined && `In the training data: ${[truth].flat().map((value) => format(value)).join(", ")}`,
  ].filter(Boolean);
  $("note").textContent = notes.join(" · ") || config.target;
  $("note").classList.remove("wrong");
  tell([`Prediction: ${text}.`, ...notes].join(" "));
  if (probabilities) showBars(probabilities);
  showMark(prediction);
  draw();
}

// Announce a value that changes many times a second only when it has settled.
function tell(text) {
  clearTimeout(telling);
  telling = setTimeout(() => ($("status").textContent = text), QUIET);
}

function showBars(probabilities) {
  const list = $("bars");
  let order = config.classes.map((_, index) => index);
  const places = list.children.length;
  if (order.length > places) {
    order = order.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, places);
  }
  const most = Math.max(...probabilities);
  order.forEach((index, place) => {
    const item = list.children[place];
    const [name, bar, figure] = item.children;
    name.textContent = config.classes[index];
    bar.firstChild.style.width = percent(probabilities[index]).replace(" ", "");
    figure.textContent = percent(probabilities[index]);
    figure.value = probabilities[index];
    item.classList.toggle("first", probabilities[index] === most);
  });
}

function showMark(prediction) {
  const mark = $("mark");
  if (!mark || typeof prediction !== "number") return;
  const [least, most] = config.range;
  const share = most > least ? (prediction - least) / (most - least) : 0.5;
  mark.style.left = `${100 * Math.min(1, Math.max(0, share))}%`;
  mark.style.visibility = "visible";
}

// --- The URL and the commands for the same request

function remember(values, body) {
  const query = new URLSearchParams();
  for (const [field, value] of values) query.set(field.name, value ?? "");
  history.replaceState(null, "", `?${query}`);
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const url = (path) => quoted(new URL(path, location.href).href);
  $("request").textContent =
    `curl ${url(`prediction/?${query}`)}\n\n` +
    `curl ${url("v1/predictions")} \\\n  --header 'Content-Type: application/json' \\\n  --data ${quoted(body)}`;
}

function recall() {
  const query = new URLSearchParams(location.search);
  for (const field of fields) {
    const text = query.get(field.name);
    if (text === null) continue;
    const missing = text === "" && field.nullable;
    field.write(missing ? null : field.kind === "boolean" ? text === "true" : text);
  }
}

// --- The plot

const SPACE = { left: 8, right: 12, top: 10, bottom: 26 };
const chart = $("chart");

function make(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// About `count` round numbers between `least` and `most`.
function ticks(least, most, count) {
  const raw = (most - least) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const first = Math.ceil(least / step - 1e-9);
  const last = Math.floor(most / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

function extent(values, margin) {
  const known = values.filter((value) => Number.isFinite(value));
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const room = (most - least || Math.abs(most) || 1) * margin;
  return [least - room, most + room];
}

// A reproducible offset between -1 and 1 that separates overlapping points.
const scatter = (index) => ((index * 0.618034) % 1) * 2 - 1;

function draw() {
  if (!chart || !chart.clientWidth) return;
  const dependence = config.dependence.find((entry) => entry.feature === $("feature").value);
  const field = byName(dependence.feature);
  const shownClass = classShown();
  const pick = (prediction) => (Array.isArray(prediction) ? prediction[Math.max(0, shownClass)] : prediction);
  const curve = dependence.values.map((value, index) => [value, pick(dependence.predictions[index])]);
  const rows = sampleRows(field, shownClass);
  const asked = shown && [shown.record[field.name], heightOf(shown, shownClass)];

  const [width, height] = [chart.clientWidth, chart.clientHeight];
  const yDomain = shownClass < 0
    ? extent([...curve, ...rows, ...(asked ? [asked] : [])].map(([, y]) => y), 0.05)
    : [-0.06, 1.06];
  const yTicks = ticks(...yDomain, 5);
  const left = SPACE.left + 7 * Math.max(...yTicks.map((tick) => format(tick).length)) + 6;
  const bottom = height - SPACE.bottom;
  const y = (value) => bottom - ((value - yDomain[0]) / (yDomain[1] - yDomain[0])) * (bottom - SPACE.top);

  const parts = [];
  for (const tick of yTicks) {
    parts.push(make("line", { class: "grid", x1: left, x2: width - SPACE.right, y1: y(tick), y2: y(tick) }));
    parts.push(make("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, format(tick)));
  }
  const right = width - SPACE.right;
  let x;
  if (isNumeric(field)) {
    const domain = extent([field.least, field.most, ...curve.map(([value]) => value), asked?.[0] ?? NaN], 0.03);
    x = (value) => left + ((value - domain[0]) / (domain[1] - domain[0])) * (right - left);
    x.invert = (pixels) => domain[0] + ((pixels - left) / (right - left)) * (domain[1] - domain[0]);
    const ends = [x(field.least), x(field.most)];
    parts.unshift(make("rect", { class: "trained", x: ends[0], y: SPACE.top, width: Math.max(0, ends[1] - ends[0]), height: bottom - SPACE.top }));
    for (const tick of ticks(...domain, Math.max(2, Math.min(8, width / 90)))) {
      parts.push(make("line", { class: "grid", x1: x(tick), x2: x(tick), y1: bottom, y2: bottom + 5 }));
      parts.push(make("text", { x: x(tick), y: bottom + 18, "text-anchor": "middle" }, format(tick)));
    }
  } else {
    const places = [...new Set([...curve.map(([value]) => value), ...rows.map(([value]) => value), ...(asked ? [asked[0]] : [])].map(String))];
    const band = (right - left) / places.length;
    x = (value) => left + band * (places.indexOf(String(value)) + 0.5);
    x.invert = (pixels) => places[Math.floor((pixels - left) / band)];
    x.band = band;
    const letters = Math.max(3, Math.floor(band / 7));
    for (const place of places) {
      const name = place === "null" ? "missing" : place;
      const short = name.length > letters ? `${name.slice(0, letters - 1)}…` : name;
      parts.push(make("text", { x: x(place), y: bottom + 18, "text-anchor": "middle" }, short));
    }
  }
  rows.forEach(([value, target], index) => {
    if (value === null && isNumeric(field)) return;
    const aside = x.band ? scatter(index) * x.band * 0.3 : 0;
    const above = shownClass < 0 ? 0 : scatter(index * 7 + 3) * 5;
    parts.push(make("circle", { class: "dot", cx: x(value) + aside, cy: y(target) + above, r: 2.75 }));
  });
  if (x.band) {
    for (const [value, prediction] of curve) {
      const middle = x(value);
      parts.push(make("line", { class: "curve", x1: middle - x.band * 0.32, x2: middle + x.band * 0.32, y1: y(prediction), y2: y(prediction) }));
    }
  } else {
    const points = curve.map(([value, prediction]) => `${x(value).toFixed(2)},${y(prediction).toFixed(2)}`);
    parts.push(make("polyline", { class: "curve", points: points.join(" ") }));
  }
  if (asked && typeof asked[1] === "number") {
    const height = y(asked[1]);
    const place = asked[0] === null && isNumeric(field) ? right : x(asked[0]);
    parts.push(make("line", { class: "guide", x1: left, x2: place, y1: height, y2: height }));
    if (place !== right) {
      parts.push(make("line", { class: "guide", x1: place, x2: place, y1: height, y2: bottom }));
      parts.push(make("circle", { class: "asked", cx: place, cy: height, r: 6.5 }));
    }
  }
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.replaceChildren(...parts);
  chart.place = { field, x };
  describe(field, shownClass, curve, rows, asked);
}

function heightOf({ prediction, probabilities }, shownClass) {
  if (shownClass < 0) return [prediction].flat()[0];
  return probabilities ? probabilities[shownClass] : Number(prediction === config.classes[shownClass]);
}

// The index of the class whose probability is drawn, or -1 where the prediction is a number.
function classShown() {
  if (!config.classes.length) return -1;
  const chosen = $("class").value;
  return chosen === "" ? Math.max(0, config.classes.indexOf(shown?.prediction)) : Number(chosen);
}

function sampleRows(field, shownClass) {
  const { columns, target } = config.sample ?? { columns: {}, target: [] };
  const values = columns[field.name] ?? [];
  return values.map((value, index) => {
    const wanted = [target[index]].flat()[0];
    return [value, shownClass < 0 ? wanted : Number(wanted === config.classes[shownClass])];
  });
}

function describe(field, shownClass, curve, rows, asked) {
  const share = config.probabilities ? "probability" : "share";
  const target = config.outputs > 1 ? `${config.target}, the first of ${config.outputs}` : config.target;
  const what = shownClass < 0 ? target : `${share} of ${config.classes[shownClass]}`;
  const name = field.column ? `${field.label} (${field.column})` : field.label;
  const table = $("table");
  const key = `${field.name} ${shownClass}`;
  $("y-label").textContent = what;
  $("x-label").textContent = name;
  $("chart-text").textContent =
    `${what} against ${name}: ` +
    (isNumeric(field)
      ? `from ${format(curve[0][1])} at ${format(curve[0][0])} to ${format(curve.at(-1)[1])} at ${format(curve.at(-1)[0])}. `
      : `${curve.map(([value, prediction]) => `${value} ${format(prediction)}`).join(", ")}. `) +
    (rows.length ? `${rows.length} training rows as dots. ` : "") +
    (asked ? `These inputs: ${asked[0] === null ? "missing" : format(asked[0])}, ${format(asked[1])}.` : "");
  if (table.dataset.key === key) return;
  table.dataset.key = key;
  const head = table.createTHead();
  head.replaceChildren();
  table.tBodies[0]?.remove();
  const titles = head.insertRow();
  for (const title of [name, what]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = title;
    titles.append(cell);
  }
  const body = table.createTBody();
  for (const pair of curve) {
    const row = body.insertRow();
    for (const value of pair) row.insertCell().textContent = format(value);
  }
}

// --- Events

form.addEventListener("submit", (event) => {
  event.preventDefault();
  schedule();
});
form.addEventListener("input", ({ target }) => {
  fields.find((field) => field.holds(target))?.follow(target);
  truth = undefined;
  schedule(["number", "text"].includes(target.type) ? TYPING : 0);
});
form.addEventListener("reset", () =>
  setTimeout(() => {
    truth = undefined;
    for (const field of fields) field.refresh();
    schedule();
  }),
);

let example = -1;
$("example")?.addEventListener("click", () => {
  const { columns, target } = config.sample;
  example = (example + 1) % target.length;
  for (const field of fields) field.write(columns[field.name][example]);
  truth = target[example];
  schedule();
});

if (chart) {
  $("feature").addEventListener("change", draw);
  $("class")?.addEventListener("change", draw);
  // A shortcut in addition to the fields, which work without a pointer.
  chart.addEventListener("click", (event) => {
    const { field, x } = chart.place;
    const value = x.invert(event.clientX - chart.getBoundingClientRect().left);
    if (value === undefined) return;
    const step = Number(field.input.step) || (field.most - field.least) / 200 || 1;
    if (isNumeric(field)) field.write(Number((Math.round(value / step) * step).toPrecision(12)));
    else if (value === "null") field.write(null);
    else field.write(field.kind === "boolean" ? value === "true" : value);
    truth = undefined;
    schedule();
  });
  new ResizeObserver(draw).observe(chart);
}

recall();
for (const field of fields) field.refresh();
ask();
