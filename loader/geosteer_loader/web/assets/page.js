"use strict";
// The page asks its own server only, and writes text as text: nothing that is published becomes markup.
const POLL = 5000, LATE = 30000, PLAN = 180000, ROWS = 50, CODES = 18;
const UNIT = { v4: "addresses", v6: "/48s" };
const $ = (id) => document.getElementById(id);
const wanted = new URLSearchParams(location.search).get("service") || "";
const shapes = new Map([...$("countries").children].map((shape) => [shape.id.slice(2), shape]));
const seen = {
  service: wanted, part: "v4", view: "now", layer: "nodes", side: "after", at: null,
  now: null, past: null, plan: null, timeline: null, picked: "", serial: 0, width: 10000,
};

// ---- small tools -----------------------------------------------------------------------------------------------------

function make(name, text, attributes = {}) {
  const svg = ["svg", "rect", "circle", "line", "text", "path"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined && text !== null) node.textContent = text;
  return node;
}

function percent(share, digits = 1) {
  const least = 10 ** -digits;
  if (share > 0 && share * 100 < least / 2) return `<${least.toFixed(digits)} %`;
  if (share < 1 && share * 100 > 100 - least / 2) return `>${(100 - least).toFixed(digits)} %`;
  return `${(share * 100).toFixed(digits)} %`;
}

const count = (number) => Math.round(number).toLocaleString("en").replaceAll(",", "\u2009");
const utc = (text) => (text || "").replace("T", " ").replace(/(\.\d+)?Z$/, "");

function span(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

async function ask(path, asked = {}, wait = LATE) {
  const query = new URLSearchParams(asked).toString();
  let reply;
  try {
    reply = await fetch(query ? `${path}?${query}` : path, { signal: AbortSignal.timeout(wait) });
  } catch {
    throw new Error("geosteer web does not answer");
  }
  const kind = reply.headers.get("content-type") || "";
  const answer = kind.startsWith("application/json") ? await reply.json() : { error: (await reply.text()).trim() };
  if (!reply.ok) throw new Error(answer.error || `HTTP ${reply.status}`);
  return answer;
}

function swatch(node) {
  const picture = make("svg", null, { class: "swatch", viewBox: "0 0 240 160", "aria-hidden": "true" });
  picture.append(make("rect", null, { width: 240, height: 160, "data-slot": slot(node) }));
  return picture;
}

const slot = (node) => node.colour + (node.hatched ? 6 : 0);

// ---- what is shown ---------------------------------------------------------------------------------------------------

function answer() {
  if (seen.view === "past") return seen.past;
  return seen.view === "plan" ? seen.plan : seen.now;
}

function picture() {
  const shown = answer();
  if (!shown) return null;
  if (seen.view !== "plan") return shown.picture;
  return seen.side === "before" && shown.before ? shown.before : shown.after;
}

const countries = () => (picture() && picture().parts[seen.part]) || {};
const nodes = () => new Map((picture() ? picture().nodes : []).map((node) => [node.name, node]));
const moved = () => ((seen.plan && seen.plan.moved[seen.part]) || { total: 0, countries: {} });
const measured = () => Boolean(picture()) && picture().policy === "latency";
const times = () => seen.layer === "times" && measured() && !moves();
const milliseconds = (time) => `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`;
const STEPS = [20, 50, 100]; // milliseconds

function timed(country) {
  if (!country || country.got_ms === null) return "no time is known";
  const part = country.measured < 0.9995 ? `, of the ${percent(country.measured)} that were measured` : "";
  return `${milliseconds(country.got_ms)} to the nodes they get, ${milliseconds(country.best_ms)} to the best ones known${part}`;
}

const moves = () => seen.view === "plan" && seen.side === "moves";

function named(code) {
  return code ? (shapes.get(code) ? shapes.get(code).dataset.name : code) : "Country not known";
}

function spoken(code) {
  const country = countries()[code];
  if (!country) return `${named(code)}: no clients`;
  if (moves()) return `${named(code)}: ${percent(moved().countries[code] || 0)} of its clients get another node`;
  if (times()) return `${named(code)}: ${timed(country)}`;
  const parts = country.nodes.map(([name, share]) => `${name} ${percent(share)}`);
  if (country.others > 0) parts.push(`others ${percent(country.others)}`);
  return `${named(code)}: ${parts.join(", ") || "no node"}`;
}

function draw() {
  const known = nodes(), all = countries();
  for (const [code, shape] of shapes) {
    const country = all[code];
    const leader = country && country.nodes.length ? known.get(country.nodes[0][0]) : null;
    const part = moves() ? moved().countries[code] || 0 : 0;
    shape.setAttribute("class", part > 0 ? `step-${part > 0.5 ? 3 : part > 0.1 ? 2 : 1}` : "");
    if (times() && country && country.got_ms !== null) shape.setAttribute("class", `time-${STEPS.filter((step) => country.got_ms >= step).length}`);
    if (leader && !moves() && !times()) shape.dataset.slot = slot(leader);
    else delete shape.dataset.slot;
    shape.setAttribute("role", "img");
    shape.setAttribute("aria-label", spoken(code));
  }
  drawMarks();
  drawDetail();
  drawNodes();
  drawCountries();
  drawMoves();
  $("legend").textContent = legend();
  for (const part of ["v4", "v6"]) $(part).setAttribute("aria-pressed", String(seen.part === part));
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === seen.view));
  for (const button of document.querySelectorAll("[data-side]")) button.setAttribute("aria-pressed", String(button.dataset.side === seen.side));
  for (const button of document.querySelectorAll("[data-layer]")) button.setAttribute("aria-pressed", String(button.dataset.layer === seen.layer));
  $("layers").hidden = !measured();
  $("sides").hidden = seen.view !== "plan" || !seen.plan;
  $("time").hidden = seen.view !== "past";
}

function legend() {
  const shown = picture();
  if (!shown) return "";
  const total = shown.totals[seen.part];
  if (!total) return `No clients of ${seen.part === "v4" ? "IPv4" : "IPv6"} are known to the tables.`;
  const unknown = countries()[""];
  const rest = unknown ? ` Of ${percent(unknown.share)} no country is known.` : "";
  if (moves()) return `Darker: more of the country's clients get another node (up to 10 %, up to 50 %, more). All in all ${percent(moved().total, 2)}.`;
  if (times()) return `Darker and number: milliseconds that clients have to the nodes they get (${STEPS.join(", ")}). Grey: never measured. ${gain()}`;
  return `Colour and number: the node that has most of a country's clients. Grey: no clients. ${count(total)} ${UNIT[seen.part]} are known.${rest}`;
}

function gain() {
  let clients = 0, got = 0, best = 0;
  for (const country of Object.values(countries())) {
    if (country.got_ms === null) continue;
    const weight = country.clients * country.measured;
    clients += weight; got += weight * country.got_ms; best += weight * country.best_ms;
  }
  return clients ? `All in all ${milliseconds(got / clients)}; ${milliseconds(best / clients)} with the best nodes known.` : "";
}

function drawMarks() {
  // One unit of the map is so many CSS pixels; marks keep their size on the screen, whatever the region.
  const unit = seen.width / ($("map").clientWidth || 1000);
  const room = $("map").clientWidth >= 560 || seen.width < 5000;
  const known = nodes(), numbers = [], markers = [];
  for (const [code, country] of Object.entries(countries())) {
    const shape = shapes.get(code);
    if (!shape || !country.nodes.length || +shape.dataset.room < 8 * unit) continue;
    const part = moved().countries[code] || 0;
    const leader = known.get(country.nodes[0][0]);
    const text = times() ? (country.got_ms === null ? "" : Math.round(country.got_ms)) : moves() ? (part >= 0.005 ? `${Math.round(part * 100)} %` : "") : leader ? leader.number : "";
    const mark = make("text", text, { x: shape.dataset.x, y: +shape.dataset.y + 4 * unit, "font-size": 11.5 * unit, "stroke-width": 3 * unit });
    if (room && text !== "") numbers.push(mark);
  }
  for (const node of moves() ? [] : known.values()) {
    if (!node.place) continue;
    const [x, y] = node.place;
    markers.push(make("circle", null, { class: "dot", cx: x, cy: y, r: (room ? 1.6 : 2.6) * unit }));
    if (!node.label || !room) {
      if (node.excluded) markers.push(cross(x, y, 4 * unit));
      continue;
    }
    const [lx, ly] = node.label;
    markers.push(make("line", null, { x1: x, y1: y, x2: lx, y2: ly }));
    const r = 8 * unit;
    if (node.excluded) markers.push(make("rect", null, { class: "badge", x: lx - r, y: ly - r, width: 2 * r, height: 2 * r }), cross(lx, ly, r));
    else markers.push(make("circle", null, { class: "badge", cx: lx, cy: ly, r }));
    markers.push(make("text", node.number, { x: lx, y: ly + 3.8 * unit, "font-size": 10.5 * unit, "stroke-width": 3.5 * unit }));
  }
  for (const shape of shapes.values()) if (shape.tagName === "circle") shape.setAttribute("r", (room ? 3 : 2.6) * unit);
  $("numbers").replaceChildren(...numbers);
  $("markers").replaceChildren(...markers);
}

function cross(x, y, r) {
  return make("path", null, { class: "cross", d: `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}` });
}

function drawDetail() {
  const code = seen.picked, shape = shapes.get(code);
  if (!shape) {
    $("halo").setAttribute("d", "");
    $("detail").replaceChildren(make("p", picture() ? "Point at a country, or go to the map and use the arrow keys: here is who serves its clients." : ""));
    return;
  }
  const country = countries()[code];
  $("halo").setAttribute("d", shape.getAttribute("d") || ring(shape));
  const parts = [make("h3", named(code))];
  if (!country) parts.push(make("p", "No clients that the tables know."));
  else {
    parts.push(make("p", `${count(country.clients)} ${UNIT[seen.part]}, ${percent(country.share, 2)} of all`));
    if (moves()) parts.push(make("p", `${percent(moved().countries[code] || 0)} of them get another node`));
    if (measured()) parts.push(make("p", timed(country)));
    const list = make("ol"), known = nodes();
    for (const [name, share] of country.nodes) list.append(line(known.get(name), name, share));
    if (country.others > 0) list.append(line(null, "others", country.others));
    if (!country.nodes.length) list.append(make("li", "No node may be given."));
    parts.push(list);
  }
  $("detail").replaceChildren(...parts);
}

function ring(circle) {
  const [x, y, r] = ["cx", "cy", "r"].map((name) => +circle.getAttribute(name));
  return `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
}

function line(node, name, share) {
  const item = make("li"), track = make("div", null, { class: "track" }), bar = make("i");
  bar.style.width = `${share * 100}%`;
  track.append(bar);
  item.append(node ? swatch(node) : make("span"), make("span", node ? `${node.number} ${name}` : name), make("span", percent(share)), track);
  return item;
}

function cell(label, content, kind = "") {
  const box = make("td", null, { "data-label": label });
  const empty = content === "" || content === null || content === undefined;
  box.className = [kind, empty ? "empty" : ""].join(" ").trim();
  box.append(content === undefined || content === null ? "" : content);
  return box;
}

function fill(id, rows, columns, words) {
  if (!rows.length) {
    const row = make("tr"), box = make("td", words, { colspan: columns, class: "quiet" });
    row.append(box);
    rows = [row];
  }
  $(id).replaceChildren(...rows);
}

function stateOf(node) {
  const box = make("span");
  if (node.excluded) {
    box.append(make("strong", "\u2715 does not serve", { class: "bad" }), `: ${node.excluded}`);
    if (node.reason && !node.excluded.includes(node.reason)) box.append(` (${node.reason})`);
  } else {
    box.append(node.state === "unknown" ? "serves, never checked" : "serves");
    if (node.failing) box.append(", ", make("span", "checks fail", { class: "warn" }));
    if (node.share < 1) box.append(", ", make("span", `keeps ${percent(node.share)} of its clients`, { class: "warn" }));
  }
  return box;
}

function overrideOf(override) {
  if (!override) return "";
  const parts = [override.state + (override.percent !== undefined ? ` ${override.percent} %` : "")];
  if (override.until) parts.push(`until ${utc(override.until)}`);
  if (override.why) parts.push(String(override.why));
  if (override.who) parts.push(`(${override.who})`);
  return parts.join(" ");
}

function codes(all) {
  return all.slice(0, CODES).join(" ") + (all.length > CODES ? ` and ${all.length - CODES} more` : "");
}

function drawNodes() {
  const led = new Map();
  for (const [code, country] of Object.entries(countries())) {
    if (!country.nodes.length) continue;
    const name = country.nodes[0][0];
    led.set(name, [...(led.get(name) || []), code || "?"]);
  }
  const rows = [...nodes().values()].map((node) => {
    const row = make("tr"), name = make("span");
    name.append(swatch(node), `${node.number} ${node.name}`);
    row.append(
      cell("Node", name), cell("Clients", percent(node.clients[seen.part] || 0, 2), "num"), cell("State", stateOf(node), "wide"),
      cell("Load", node.load === null ? "" : percent(node.load, 0), "num"), cell("Override", overrideOf(node.override)),
      cell("Most clients of", codes(led.get(node.name) || []), "quiet"),
    );
    return row;
  });
  fill("node-rows", rows, 6, "No nodes.");
}

function drawCountries() {
  if (!$("country-rows").closest("details").open) return;
  const known = nodes();
  const rows = Object.entries(countries()).map(([code, country]) => {
    const row = make("tr"), list = make("span");
    country.nodes.forEach(([name, share], at) => {
      if (at) list.append(", ");
      if (!at && known.get(name)) list.append(swatch(known.get(name)));
      list.append(`${name} ${percent(share)}`);
    });
    if (country.others > 0) list.append(`, others ${percent(country.others)}`);
    row.dataset.code = code;
    row.append(
      cell("Country", code ? `${named(code)} (${code})` : named(code)), cell("Clients", count(country.clients), "num"),
      cell("Share", percent(country.share, 2), "num"), cell("Nodes", list),
    );
    if (code && code === seen.picked) row.className = "picked";
    return row;
  });
  fill("country-rows", rows, 4, "No clients.");
}

function drawMoves() {
  $("moves").hidden = seen.view !== "plan" || !seen.plan;
  if ($("moves").hidden) return;
  const plan = seen.plan, box = $("moves-text"), parts = [];
  const what = plan.changed.length ? `To be published: ${plan.changed.join(", ")}.` : "Nothing would change.";
  parts.push(make("p", `${what} ${percent(moved().total, 2)} of the clients of ${seen.part === "v4" ? "IPv4" : "IPv6"} get another node, as the nodes are now.`));
  if (!plan.before) parts.push(make("p", "The service is new: there is no map before."));
  for (const text of plan.refused) parts.push(make("p", `Refused by ${text}`, { class: "bad" }));
  for (const text of plan.warnings) parts.push(make("p", text, { class: "warn" }));
  const list = make("ul");
  const before = (plan.before || { parts: {} }).parts[seen.part] || {}, after = plan.after.parts[seen.part] || {};
  const weight = (code) => moved().countries[code] * ((after[code] || before[code] || { clients: 0 }).clients);
  const codes = Object.keys(moved().countries).sort((a, b) => weight(b) - weight(a));
  for (const code of codes.slice(0, ROWS)) {
    const [was, will] = [before[code], after[code]].map((each) => (each ? each.nodes.slice(0, 3).map(([name, share]) => `${name} ${percent(share)}`).join(", ") || "no node" : "no clients"));
    list.append(make("li", `${named(code)}: ${percent(moved().countries[code])} move; ${was} \u2192 ${will}`));
  }
  for (const text of plan.config) list.append(make("li", text, { class: "quiet" }));
  if (codes.length > ROWS) list.append(make("li", `and ${codes.length - ROWS} more countries`));
  box.replaceChildren(...parts, list);
}

function drawStanding() {
  const shown = seen.now;
  if (!shown) return;
  const rows = shown.tables.map((table) => {
    const row = make("tr");
    row.append(
      cell("Table", table.name), cell("Data of", utc(table.built) || "?"), cell("Age", table.age === null ? "?" : span(table.age), "num"),
      cell("Prefixes", count(table.prefixes), "num"), cell("Ranges", count(table.ranges), "num"),
    );
    return row;
  });
  fill("table-rows", rows, 5, "No tables are published.");
  $("warnings").replaceChildren(...shown.warnings.map((text) => make("li", text, { class: "warn" })));
  const services = $("service");
  if ([...services.options].map((each) => each.value).join() !== shown.services.join()) {
    services.replaceChildren(...shown.services.map((name) => make("option", name, { value: name })));
  }
  services.value = shown.picture.service;
  seen.service = shown.picture.service;
}

// ---- what is asked ---------------------------------------------------------------------------------------------------

function say(text, good) {
  $("state").textContent = text;
  $("state").className = good ? "ok" : "bad";
}

function warn(text) {
  if ($("banner").textContent !== text) $("banner").textContent = text;
  $("banner").hidden = !text;
}

async function look() {
  const serial = ++seen.serial;
  try {
    const shown = await ask("/api/now", seen.service ? { service: seen.service } : {});
    if (serial !== seen.serial) return;
    seen.now = shown;
    const made = utc(shown.picture.time);
    if (shown.ok) {
      say(`Generation ${shown.picture.generation}, ${made} UTC${shown.held ? ", held" : ""}`, true);
      warn(shown.held ? `Held: ${shown.held}` : "");
    } else {
      say("Redis does not answer", false);
      warn(`Redis does not answer; this is the last picture, of ${made} UTC, ${span(shown.age)} old. Workers go on with what they last knew. (${shown.error})`);
    }
    drawStanding();
    if (seen.view === "now") draw();
  } catch (error) {
    if (serial !== seen.serial) return;
    say(seen.now ? "Not up to date" : "Nothing to show yet", false);
    warn(seen.now ? `${error.message}; the page shows the picture of ${utc(seen.now.picture.time)} UTC.` : `${error.message}. The page tries again every few seconds.`);
    if (!seen.now) $("detail").replaceChildren(make("p", "There is no picture yet."));
  }
}

async function journal() {
  try {
    const until = seen.view === "past" && seen.at !== null ? { until: stamp(seen.at) } : {};
    const found = (await ask("/api/journal", until)).events;
    const rows = found.slice(0, ROWS).map((event) => {
      const row = make("tr"), about = event.what || event.why;
      const why = event.what && event.why ? ` (${event.why})` : "";
      row.append(cell("Time", utc(event.at || event.time)), cell("Event", event.kind), cell("About", event.subject), cell("What", about + why), cell("Who", event.who, "quiet"));
      return row;
    });
    fill("journal-rows", rows, 5, "Nothing is written yet.");
    $("journal-note").textContent = found.length > ROWS ? "Older events: geosteer journal" : "";
  } catch (error) {
    if (!$("journal-rows").children.length) fill("journal-rows", [], 5, error.message);
  }
}

const stamp = (at) => new Date(at).toISOString();

async function past() {
  try {
    seen.timeline = await ask("/api/timeline");
  } catch (error) {
    $("when").textContent = error.message;
    return;
  }
  const { generations, since, now } = seen.timeline;
  if (!since) {
    $("when").textContent = "The journal is empty: it tells nothing of the past.";
    return;
  }
  seen.first = Date.parse(since);
  seen.latest = Date.parse(now);
  $("ticks").replaceChildren(...generations.map((each) => make("option", null, { value: place(Date.parse(each.at)) })));
  if (seen.at === null || seen.at < seen.first) seen.at = seen.latest;
  $("slider").value = place(seen.at);
  await show();
}

const place = (at) => Math.round(2000 * (at - seen.first) / Math.max(1, seen.latest - seen.first));

function inForce(at) {
  return seen.timeline.generations.filter((each) => Date.parse(each.at) <= at).at(-1);
}

async function show() {
  const at = seen.at, entry = inForce(at);
  $("when").textContent = `${utc(stamp(at)).slice(0, 19)} UTC${entry ? `, generation ${entry.generation}` : ""}`;
  $("slider").setAttribute("aria-valuetext", $("when").textContent);
  try {
    const shown = await ask("/api/past", { service: seen.service, at: stamp(at) });
    if (at !== seen.at || seen.view !== "past") return;
    seen.past = shown;
    if (shown.doubts.length) $("when").textContent += `; not certain: ${shown.doubts[0]}`;
    draw();
  } catch (error) {
    if (at === seen.at) $("when").textContent = error.message;
  }
  await journal();
}

function step(by) {
  if (!seen.timeline || !seen.first) return;
  const times = seen.timeline.generations.map((each) => Date.parse(each.at)).filter((at) => at > seen.first);
  const stops = [seen.first, ...times, seen.latest];
  const next = by < 0 ? stops.filter((at) => at < seen.at).at(-1) : stops.find((at) => at > seen.at);
  if (next === undefined) return;
  seen.at = next;
  $("slider").value = place(next);
  show();
}

async function plan() {
  $("legend").textContent = "Working out what the next publish would change; large tables take a while.";
  try {
    const found = await ask("/api/plan", { service: seen.service }, PLAN);
    if (seen.view !== "plan") return;
    seen.plan = found;
    draw();
  } catch (error) {
    if (seen.view === "plan") $("legend").textContent = `The plan cannot be made: ${error.message}`;
  }
}

function view(name) {
  seen.view = name;
  seen.plan = null;
  if (name === "now") seen.at = null;
  draw();
  if (name === "past") past();
  else if (name === "plan") plan();
  else look().then(journal);
}

// ---- what is done ----------------------------------------------------------------------------------------------------

function pick(code, focus = false) {
  if (!shapes.has(code) || (code === seen.picked && !focus)) return;
  seen.picked = code;
  for (const [other, shape] of shapes) shape.setAttribute("tabindex", other === code ? "0" : "-1");
  if (focus) shapes.get(code).focus({ preventScroll: true });
  drawDetail();
  for (const row of $("country-rows").children) row.className = row.dataset.code === code ? "picked" : "";
}

function beside(code, dx, dy) {
  const from = shapes.get(code).dataset;
  let best = "", least = Infinity;
  for (const [other, shape] of shapes) {
    const x = shape.dataset.x - from.x, y = shape.dataset.y - from.y;
    const along = x * dx + y * dy, aside = Math.abs(x * dy - y * dx);
    if (other === code || along <= 0 || aside > 2 * along) continue;
    const far = along + 2 * aside;
    if (far < least) [best, least] = [other, far];
  }
  return best;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function region(box) {
  $("map").setAttribute("viewBox", box);
  seen.width = +box.split(" ")[2];
  drawMarks();
  drawDetail();
}

// Not on the map itself: an element of SVG that listens for the focus gets it.
const frame = $("map").parentElement;
frame.addEventListener("pointerover", (event) => pick(event.target.id.slice(2)));
frame.addEventListener("click", (event) => pick(event.target.id.slice(2)));
frame.addEventListener("focusin", (event) => pick(event.target.id.slice(2)));
$("map").addEventListener("keydown", (event) => {
  const arrow = ARROWS[event.key];
  if (arrow) {
    event.preventDefault();
    const next = beside(seen.picked || "DE", ...arrow);
    if (next) pick(next, true);
  } else if (event.key === "Escape") {
    seen.picked = "";
    drawDetail();
  }
});
$("service").addEventListener("change", (event) => {
  seen.service = event.target.value;
  seen.past = null;
  seen.plan = null;
  history.replaceState(null, "", `?service=${encodeURIComponent(seen.service)}`);
  look().then(() => { if (seen.view !== "now") view(seen.view); });
});
for (const part of ["v4", "v6"]) $(part).addEventListener("click", () => { seen.part = part; draw(); });
for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => view(button.dataset.view));
for (const button of document.querySelectorAll("[data-side]")) button.addEventListener("click", () => { seen.side = button.dataset.side; draw(); });
for (const button of document.querySelectorAll("[data-layer]")) button.addEventListener("click", () => { seen.layer = button.dataset.layer; draw(); });
$("region").addEventListener("change", (event) => region(event.target.value));
$("slider").addEventListener("input", (event) => {
  if (!seen.first) return;
  seen.at = seen.first + (event.target.value / 2000) * (seen.latest - seen.first);
  clearTimeout(seen.timer);
  $("when").textContent = `${utc(stamp(seen.at)).slice(0, 19)} UTC`;
  seen.timer = setTimeout(show, 200);
});
$("earlier").addEventListener("click", () => step(-1));
$("later").addEventListener("click", () => step(1));
$("country-rows").closest("details").addEventListener("toggle", drawCountries);
new ResizeObserver(() => drawMarks()).observe($("map"));
shapes.get("DE").setAttribute("tabindex", "0");
setInterval(() => { if (!document.hidden) look().then(() => (seen.view === "now" ? journal() : null)); }, POLL);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look().then(journal);
