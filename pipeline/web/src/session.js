// The session page: what therapist and patient see.
import { openFeed } from "./feed.js";
import { Health } from "./health.js";
import { Body, VIEWS } from "./body.js";
import { Sets } from "./sets.js";
import { Controls } from "./controls.js";
import { History } from "./history.js";
import { LANGUAGES, adviceTo, clock, exerciseName, language, quantity, say, setLanguage, signalName, translate } from "./words.js";

const byId = (id) => document.getElementById(id);
const text = (e, value) => { if (e.textContent !== value) e.textContent = value; };
const ADVICE_MS = 10_000; // a sentence stays at least so long, or until the next one
const REST_MS = 15 * 60_000; // after which nobody rests any more
const ROOM_ABOVE = 1.15; // the bar reaches that far beyond the target
const LIVE_MS = 1500;

const health = new Health();
const body = new Body(byId("figure"), () => ({ l: say("left"), r: say("right") }));
const sets = new Sets(() => roomName);
let roomName = "";
let running = null; // the newest event of the set that goes on
let last = null; // of the one before
let restSince = -Infinity;
let live = null, liveAt = -Infinity;
let best = null; // of the set: {id, value}
let advice = null, adviceAt = -Infinity;
const history = new History(() => byId("code").value.trim());
const controls = new Controls((name) => { sets.patient(name); history.patient(); }, (may) => history.rights(may), () => running?.repetitions ?? 0);

function event(m, age) {
  const at = performance.now() - age;
  roomName = m.room;
  if (m.type === "end") {
    running = null;
    last = m;
    restSince = at;
    best = null;
  } else {
    running = m;
    last = null;
  }
  if (adviceTo(m)) {
    advice = m;
    adviceAt = at;
  } else if (m.type === "new") {
    advice = null;
  }
  show();
}

function summary(m, age) {
  sets.add(m, age);
}

function takeLive(m) {
  live = m;
  liveAt = performance.now();
  if (m.id && m.value !== null) {
    const further = (m.value - (best?.value ?? m.rest)) * Math.sign(m.target - m.rest) > 0;
    if (best?.id !== m.id || further) best = { id: m.id, value: m.value };
  }
  showBar();
}

function showBar() {
  const bar = byId("bar"), known = live && health.fresh() && performance.now() - liveAt < LIVE_MS;
  bar.hidden = !known;
  if (!known) return text(byId("reading"), "");
  const whole = (live.target - live.rest) * ROOM_ABOVE;
  const share = (v) => Math.min(Math.max((v - live.rest) / whole, 0), 1);
  byId("zone").style.height = `${100 * (1 - share(live.zone_from))}%`;
  byId("value").style.height = `${100 * (live.value === null ? 0 : share(live.value))}%`;
  const shown = best && best.id === live.id;
  byId("best").hidden = !shown;
  if (shown) byId("best").style.bottom = `calc(${100 * share(best.value)}% - 2px)`;
  const unit = live.value_unit, name = signalName(live.value_name);
  bar.setAttribute("aria-label", name);
  bar.setAttribute("aria-valuenow", Math.round(100 * (live.value === null ? 0 : share(live.value))));
  bar.setAttribute("aria-valuetext", `${quantity(live.value, unit)}, ${say("target", { v: quantity(live.target, unit) })}`);
  text(byId("reading"), `${name}: ${quantity(live.value, unit)} · ${say("target", { v: quantity(live.target, unit) })}${shown ? ` · ${say("best", { v: quantity(best.value, unit) })}` : ""}`);
}

// sentence is the one that is said now.
function sentence(now, counting) {
  if (counting.text) return counting.text;
  if (!counting.on || !health.fresh()) return "";
  if (advice && now - adviceAt < ADVICE_MS) return adviceTo(advice);
  const m = running ?? last;
  if (m?.target_repetitions && m.repetitions >= m.target_repetitions) return say("reached");
  if (running) return "";
  if (last && now - restSince < REST_MS) return say("finished");
  return health.present() ? say(health.parts.body?.code === "not_calibrated" ? "waiting" : "ready") : "";
}

function show() {
  const now = performance.now();
  const state = health.state(), counting = health.counting();
  byId("state").className = state.severity;
  text(byId("state").lastChild, state.text);
  document.body.classList.toggle("stale", !health.fresh());
  const badge = health.simulated();
  byId("simulated").hidden = !badge;
  text(byId("simulated"), badge);
  text(byId("room"), roomName);
  const m = running ?? last ?? (live && health.fresh() && performance.now() - liveAt < LIVE_MS ? live : null);
  text(byId("name"), counting.on ? (m ? exerciseName(m.exercise, m.name) : controls.name()) : "");
  text(byId("count"), counting.on || running ? String(m?.repetitions ?? 0) : "–");
  text(byId("of"), (counting.on || running) && m?.target_repetitions ? say("of", { n: m.target_repetitions }) : "");
  text(byId("advice"), sentence(now, counting));
  const rest = now - restSince;
  text(byId("rest"), !running && rest < REST_MS ? say("rest", { t: clock(rest) }) : "");
  showBar();
}

function look(view) {
  body.look(view);
  for (const b of byId("views").children) b.setAttribute("aria-pressed", String(b.dataset.view === view));
  text(byId("viewName"), say("figure", { view: say(view) }));
}

function speak() {
  translate();
  look(body.view);
  controls.speak();
  sets.draw();
  history.draw();
  show();
}

byId("language").append(...Object.entries(LANGUAGES).map(([value, name]) => new Option(name, value)));
byId("language").value = language();
byId("language").addEventListener("change", (e) => { setLanguage(e.target.value); speak(); });
byId("views").addEventListener("click", (e) => { if (e.target.dataset.view) look(e.target.dataset.view); });
document.addEventListener("keydown", (e) => {
  if (e.target.matches?.("input, select, textarea") || e.ctrlKey || e.altKey || e.metaKey) return;
  const view = VIEWS[Number(e.key) - 1];
  if (view) look(view);
});

let waiting = null; // the newest pose, drawn with the screen's next picture
function drawPose(m, age) {
  health.takePose(m, age);
  if (waiting === null) requestAnimationFrame(() => { body.pose(waiting); waiting = null; });
  waiting = m;
}

speak();
let looksFor = "";
openFeed({
  link: (state) => { health.link(state); if (state === "open") controls.refresh(); show(); },
  pose: drawPose,
  status: (m) => { roomName = m.room; health.takeStatus(m); history.status(m.parts); },
  sensor: (m) => health.takeSensor(m),
  "exercise.event": event,
  "exercise.summary": summary,
  "exercise.live": takeLive,
  "exercise.status": (m, age) => {
    health.takeCounter(m, age);
    const now = (m.looks_for ?? []).join();
    if (now !== looksFor || (controls.list.length === 0 && !controls.waits)) controls.refresh(); // on another tablet, by an app, or no answer came
    looksFor = now;
  },
}, "session");
setInterval(() => { if (!document.hidden) show(); }, 250);
document.addEventListener("visibilitychange", show);
