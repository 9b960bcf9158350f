// The list of finished sets: on the page, printed, and as CSV. It stays in this tab.
import { ask } from "./ask.js";
import { download } from "./csv.js";
import { adviceOf, exerciseName, language, quantity, say } from "./words.js";

const byId = (id) => document.getElementById(id);
const KEPT = "posefuse.sets"; // for a reload of this tab
const MOST = 400;

// Columns of the list: what it is called, and the cell of a set.
const tempo = (v) => (v > 0 ? v.toLocaleString(language(), { minimumFractionDigits: 1, maximumFractionDigits: 1 }) : "–");
const share = (v) => (v === null || v === undefined ? "–" : quantity(v, ""));
export const COLUMNS = [
  ["time", (s) => new Date(s.at).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit" })],
  ["exercise", (s) => exerciseName(s.exercise, s.name)],
  ["repetitions", (s) => (s.target_repetitions ? `${s.repetitions} / ${s.target_repetitions}` : String(s.repetitions))],
  ["sides", (s) => (s.left || s.right ? `${s.left} / ${s.right}` : "–")],
  ["incomplete", (s) => String(s.incomplete)],
  ["range", (s) => (!s.range_of_motion.best ? "–" : `${quantity(s.range_of_motion.best, s.range_unit)} (${say("median")} ${quantity(s.range_of_motion.median, s.range_unit)})`)],
  ["tempo", (s) => tempo(s.tempo_s.median)],
  ["symmetry", (s) => share(s.symmetry)],
  ["advice", (s) => s.faults.filter((f) => f.verdict === "fault").map(adviceOf).join(" ")],
];

// fillTable writes a row per set.
export function fillTable(table, columns, sets) {
  const row = (cells, name) => {
    const tr = document.createElement("tr");
    tr.append(...cells.map((words) => { const cell = document.createElement(name); cell.textContent = words; if (name === "th") cell.scope = "col"; return cell; }));
    return tr;
  };
  table.tHead.replaceChildren(row(columns.map(([key]) => say(key)), "th"));
  table.tBodies[0].replaceChildren(...sets.map((s) => row(columns.map(([, cell]) => cell(s)), "td")));
}

export class Sets {
  constructor(room) {
    this.room = room;
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
    this.since = kept.since ?? Date.now(); // by this device's clock, as the times below
    this.sets = kept.sets ?? [];
    this.code = "";
    byId("print").addEventListener("click", () => window.print());
    byId("csv").addEventListener("click", () => download(this.code, this.sets, "session"));
    byId("clear").addEventListener("click", () => this.#clear());
    window.addEventListener("beforeprint", () => this.draw());
  }

  patient(code) { this.code = code; this.#head(); }

  // add takes a finished set; age is how long ago it ended, so that the room's
  // clock does not matter. Those of before this list began are somebody else's.
  add(m, age) {
    const at = Date.now() - age;
    if (age > 0 && at < this.since || this.sets.some((s) => s.id === m.id)) return;
    this.sets.push({ ...m, at });
    this.sets.sort((a, b) => a.at - b.at);
    if (this.sets.length > MOST) this.sets.shift();
    this.#keep();
    this.draw();
  }

  #keep() { sessionStorage.setItem(KEPT, JSON.stringify({ since: this.since, sets: this.sets })); }

  async #clear() {
    if (this.sets.length && !await ask(say("clear_ask", { n: this.sets.length }))) return;
    this.since = Date.now();
    this.sets = [];
    this.#keep();
    document.dispatchEvent(new Event("posefuse:clear"));
    this.draw();
  }

  #head() {
    const rows = [["code", this.code || "–"], ["date", new Date().toLocaleString(language(), { dateStyle: "long", timeStyle: "short" })], ["room", this.room()]];
    byId("report").replaceChildren(...rows.flatMap(([key, value]) => {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = say(key);
      dd.textContent = value;
      return [dt, dd];
    }));
  }

  draw() {
    this.#head();
    const table = document.querySelector("#sets table");
    table.hidden = this.sets.length === 0;
    byId("noSets").hidden = !table.hidden;
    for (const id of ["print", "csv", "clear"]) byId(id).disabled = table.hidden;
    fillTable(table, COLUMNS, this.sets);
  }
}
