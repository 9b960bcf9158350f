// What the room's computer keeps of a patient over months: whose sets it keeps,
// what it cannot keep, and how the movement went. For users who may control.
import { ask } from "./ask.js";
import { download } from "./csv.js";
import { COLUMNS, fillTable } from "./sets.js";
import { exerciseName, language, quantity, say } from "./words.js";

const byId = (id) => document.getElementById(id);
const CODE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/; // a pseudonym, as the daemon takes it
const BUTTONS = ["keep", "keepEnd", "showHistory", "historyCSV", "historyDelete"];
const WIDTH = 600, HEIGHT = 140, LEFT = 46, RIGHT = 8, TOP = 10, BOTTOM = 22; // of a trend's picture

export class History {
  constructor(code) {
    this.code = code; // of the patient on the page
    this.may = false;
    this.part = undefined; // of the status
    this.kept = ""; // whose sets are kept, as far as this user may know
    this.shown = null; // {code, sets, older, broken}
    byId("keep").addEventListener("click", () => this.#keep());
    byId("keepEnd").addEventListener("click", () => this.#end());
    byId("showHistory").addEventListener("click", () => (this.shown ? this.#hide() : this.show()));
    byId("historyCSV").addEventListener("click", () => download(this.shown.code, this.shown.sets, "history"));
    byId("historyDelete").addEventListener("click", () => this.#delete());
    document.addEventListener("posefuse:clear", () => this.#cleared());
  }

  // rights says whether this user may see and change what is kept.
  rights(may) {
    this.may = may;
    if (!may) this.#hide();
    this.#whose();
    this.draw();
  }

  // status takes the parts of the room's status.
  status(parts) {
    const before = this.part;
    this.part = parts.find((p) => p.part === "history");
    if (before?.text !== this.part?.text) this.#whose();
    if (before?.text !== this.part?.text || before?.severity !== this.part?.severity) this.draw();
  }

  // patient is called when the code on the page is another.
  patient() {
    if (this.shown && this.shown.code !== this.code()) this.#hide();
    this.draw();
  }

  async #request(name, request) {
    const answer = await fetch(`api/ctl/history.${name}`, { method: "POST", body: JSON.stringify(request) }).catch(() => null);
    if (answer?.ok) return answer.json();
    this.#say(say("failed", { why: answer ? (await answer.text()).trim() : say("no_answer") }), true);
    return null;
  }

  async #whose() {
    this.kept = this.may && this.part ? ((await this.#request("get", {}))?.keeping ?? "") : "";
    this.draw();
  }

  #say(words, bad = false) {
    byId("historyNote").textContent = words;
    byId("historyNote").className = bad ? "bad" : "";
  }

  // known returns the code on the page, "" and a sentence if it is no pseudonym.
  #known() {
    const code = this.code();
    if (CODE.test(code)) return code;
    this.#say(say("code_bad"), true);
    return "";
  }

  async #keep() {
    const code = this.#known();
    if (!code || !await ask(say("keep_ask", { code }))) return;
    if (!await this.#request("begin", { subject: code, consent: true })) return;
    this.#say(say("history_keeping", { code }));
    this.#whose();
  }

  async #end() {
    const code = this.kept;
    if (!await ask(say("keep_end_ask", { code }))) return;
    this.#ended(code, await this.#request("end", {}));
  }

  #ended(code, answer) {
    if (answer) this.#say(say("keep_ended", { code }));
    this.#whose();
  }

  // cleared is for a new patient: nobody's sets go under the old code.
  async #cleared() {
    this.#hide();
    const code = this.kept;
    if (code) this.#ended(code, await this.#request("end", {}));
  }

  // show asks for what is kept of the patient.
  async show() {
    const code = this.#known();
    if (!code) return;
    const answer = await this.#request("get", { subject: code });
    if (!answer || code !== this.code()) return;
    const sets = (answer.sets ?? []).map((e) => ({ ...e.set, at: Date.parse(e.kept) }));
    this.shown = { code, sets, older: answer.left_out ?? 0, broken: answer.broken_lines ?? 0 };
    this.#say(sets.length ? "" : say("history_none", { code }));
    if (!sets.length) this.shown = null;
    this.draw();
    if (this.shown) byId("history").scrollIntoView();
  }

  #hide() {
    this.shown = null;
    this.draw();
  }

  async #delete() {
    const code = this.#known();
    if (!code || !await ask(say("delete_ask", { code }))) return;
    if (!await this.#request("delete", { subject: code })) return;
    this.#hide();
    this.#say(say("deleted", { code }));
    this.#whose();
  }

  // state is what is said of keeping: words, and whether they are a warning or bad.
  #state() {
    const code = this.code();
    if (!this.part) return [say("history_off"), "warn"];
    if (this.part.code === "read_only") return [say("history_read_only"), "bad"];
    if (this.part.code === "unwritable") return [say("history_unwritable"), "bad"];
    if (this.part.severity === "error") return [say("history_lost"), "bad"];
    if (this.part.code !== "keeping") return [say("history_idle"), ""];
    if (!this.kept) return [say("history_some"), ""];
    return this.kept === code ? [say("history_keeping", { code }), "ok"] : [say("history_other", { kept: this.kept, code: code || "–" }), "warn"];
  }

  draw() {
    const [words, kind] = this.#state(), kept = byId("kept");
    if (kept.textContent !== words) kept.textContent = words;
    kept.className = kind;
    const on = this.may && !!this.part, s = this.shown;
    for (const id of BUTTONS) byId(id).hidden = !on;
    byId("keep").hidden = !on || (!!this.kept && this.kept === this.code());
    byId("keepEnd").hidden = !on || !this.kept;
    byId("historyCSV").hidden = byId("historyDelete").hidden = !on || !s;
    byId("showHistory").textContent = say(s ? "history_hide" : "history_show");
    byId("history").classList.toggle("shown", !!s);
    const table = document.querySelector("#history table");
    table.parentElement.hidden = !s;
    byId("trends").replaceChildren(...(s ? this.#trends(s.sets) : []));
    byId("historyOf").textContent = s ? [say("history_of", { code: s.code, n: s.sets.length }), s.older ? say("history_older", { n: s.older }) : "", s.broken ? say("history_broken", { n: s.broken }) : ""].filter(Boolean).join(" · ") : "";
    if (!s) return;
    const day = (v) => new Date(v.at).toLocaleDateString(language(), { dateStyle: "medium" });
    fillTable(table, [["date", day], ...COLUMNS], [...s.sets].reverse());
  }

  // trends draws the range of motion of each exercise that was done more than once.
  #trends(sets) {
    return groups(sets.filter((s) => s.range_of_motion.best), (s) => s.exercise || s.name).filter((list) => list.length > 1).map(trend);
  }
}

// groups divides a list by a key, in the order of their first ones.
function groups(list, key) {
  const by = new Map();
  for (const v of list) by.set(key(v), [...(by.get(key(v)) ?? []), v]);
  return [...by.values()];
}

const part = (name, parent, attributes, words = "") => {
  const e = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  e.textContent = words;
  return e;
};

// trend is one picture: a dot a set, at its day, and a line through the days' means.
function trend(list) {
  const figure = document.createElement("figure"), caption = figure.appendChild(document.createElement("figcaption"));
  const values = list.map((s) => s.range_of_motion.median), unit = list[0].range_unit;
  const most = Math.max(...values), from = list[0].at, length = Math.max(list.at(-1).at - from, 1);
  caption.textContent = say("trend", { name: exerciseName(list[0].exercise, list[0].name), low: quantity(Math.min(...values), unit), high: quantity(most, unit) });
  const x = (at) => LEFT + (WIDTH - LEFT - RIGHT) * (at - from) / length;
  const y = (v) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * Math.max(v, 0) / (most > 0 ? most : 1);
  const svg = part("svg", figure, { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": caption.textContent });
  part("path", svg, { d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}` });
  const day = (at) => new Date(at).toLocaleDateString(language(), { day: "numeric", month: "short", year: "numeric" });
  part("text", svg, { x: LEFT - 4, y: y(most) + 4, "text-anchor": "end" }, quantity(most, unit));
  part("text", svg, { x: LEFT - 4, y: y(0), "text-anchor": "end" }, quantity(0, unit));
  part("text", svg, { x: LEFT, y: HEIGHT - 4 }, day(from));
  part("text", svg, { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, day(list.at(-1).at));
  const days = groups(list, (s) => new Date(s.at).toDateString());
  const mean = (of) => of.reduce((a, b) => a + b, 0) / of.length;
  part("polyline", svg, { points: days.map((d) => `${x(mean(d.map((s) => s.at))).toFixed(1)},${y(mean(d.map((s) => s.range_of_motion.median))).toFixed(1)}`).join(" ") });
  list.forEach((s, i) => part("circle", svg, { cx: x(s.at).toFixed(1), cy: y(values[i]).toFixed(1), r: 4 }));
  return figure;
}
