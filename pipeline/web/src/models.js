// The model in use and its versions: what became of each, from what it learned, how it
// did at the gate. Who may control promotes, compares and rolls back.
import { order, tell } from "./order.js";

const byId = (id) => document.getElementById(id);
const SHIPPED = "shipped";
const TICKS = 200; // of a comparison
const named = (id) => (id === SHIPPED ? "the model inside the program" : id.replace("/", " "));
const change = (percent) => `${percent < 0 ? "−" : "+"}${Math.abs(percent).toFixed(1)}`;

function when(text) {
  const t = new Date(text);
  return Number.isNaN(t.getTime()) ? text : t.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

function element(tag, words = "", name = "") {
  const e = document.createElement(tag);
  e.textContent = words;
  if (name) e.className = name;
  return e;
}

// pairs lists names and sentences; what is empty is left out.
function pairs(list) {
  const dl = element("dl");
  for (const [name, words] of list) if (words) dl.append(element("dt", name), element("dd", words));
  return dl;
}

// figures is a table of the errors that the gate compared.
function figures(id, gate) {
  const box = element("div", "", "wide"), table = document.createElement("table"), head = table.createTHead().insertRow();
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", `Figures of ${named(id)}`);
  for (const words of ["Recordings", "Before, mm", "After, mm", "Change, %", "Verdict"]) head.append(element("th", words));
  const body = table.createTBody();
  for (const f of gate.figures) {
    const tr = body.insertRow();
    const percent = f.before_mm ? 100 * (f.after_mm / f.before_mm - 1) : 0;
    for (const words of [`${f.set}, ${f.group}`, f.before_mm.toFixed(1), f.after_mm.toFixed(1), change(percent), f.verdict ?? ""]) tr.insertCell().textContent = words;
    if (f.interval) tr.cells[3].append(element("small", `${change(f.interval.low_percent)} to ${change(f.interval.high_percent)}`));
    tr.title = f.interval ? `Bounds of 95 % by ${f.units} ${f.of}` : "Too few to tell of chance";
  }
  box.append(table);
  return box;
}

export class Models {
  constructor() {
    this.may = false;
    this.list = null;
    this.open = new Set(); // versions whose details are open
    this.asked = 0;
    byId("rollback").addEventListener("click", () => this.#order(`Let ${named(this.list?.earlier ?? "the model from before")}, which made the poses before, make them again?`, "model.rollback", {},
      (r) => `${r.model.name} ${r.model.version} makes the poses again.`));
  }

  async #order(question, name, request, done) {
    if (await order("modelNote", question, name, request, done)) this.refresh(this.may);
  }

  // refresh asks which versions there are.
  async refresh(may) {
    this.may = may;
    const mine = ++this.asked;
    const answer = await fetch("api/models").catch(() => null);
    const list = answer?.status === 200 ? await answer.json().catch(() => null) : null;
    if (mine !== this.asked) return; // a newer question overtook it
    this.list = list;
    this.#show();
  }

  #show() {
    const list = this.list, focused = document.activeElement?.dataset?.version;
    byId("rollback").disabled = !this.may || !!list && (!list.earlier || !!list.fixed);
    byId("versionsTitle").hidden = !list;
    byId("versions").replaceChildren(...(list?.versions ?? []).map((v) => this.#version(v)));
    if (focused) document.querySelector(`summary[data-version="${CSS.escape(focused)}"]`)?.focus(); // the button that was pressed is a new one
    const notes = [];
    if (list?.fixed) notes.push(`model.path is ${list.fixed}: that model makes the poses, and none of these until the key is out of the configuration.`);
    if (list && !list.versions.length) notes.push("None yet: a retraining makes one, or posefuse models add.");
    if (list?.left_out) notes.push(`${list.left_out} older ones: posefuse models list --state shows them.`);
    tell("versionsNote", notes.join(" "));
  }

  #version(v) {
    const id = `${v.name}/${v.version}`, li = document.createElement("li"), title = element("div", "", "of");
    title.append(element("b", named(id)), element("span", v.state, `state ${v.state}`), element("small", `since ${when(v.changed)}`));
    li.append(title, element("p", v.reason), this.#details(id, v));
    if (this.may && v.state !== "promoted") li.append(this.#buttons(id, v));
    return li;
  }

  #details(id, v) {
    const details = document.createElement("details"), summary = element("summary", "History and figures"), gate = v.gate;
    summary.dataset.version = id;
    details.open = this.open.has(id);
    details.addEventListener("toggle", () => { if (details.isConnected) this.open[details.open ? "add" : "delete"](id); });
    details.append(summary, pairs([
      ["Added", when(v.added)],
      ["Sessions", gate?.sessions?.join(", ")],
      ["Trained on", v.data],
      ...(v.past ?? []).map((p) => [`Was ${p.state}`, `since ${when(p.changed)}: ${p.reason}`]),
      ["Beside", v.shadow && `${named(v.shadow.against)}, ${when(v.shadow.time)}: ${v.shadow.reason}`],
      ["Gate", gate && `${gate.passed ? "passed" : "not passed"} against ${named(gate.against)}, ${when(gate.time)}: ${gate.reason}`],
    ]));
    if (gate?.figures?.length) details.append(figures(id, gate));
    return details;
  }

  #buttons(id, v) {
    const row = element("div", "", "do"), request = { name: v.name, version: v.version };
    const button = (words, ...order) => {
      const b = element("button", words);
      b.type = "button";
      b.disabled = !!this.list.fixed;
      b.dataset.version = id;
      b.setAttribute("aria-label", `${words}: ${named(id)}`);
      b.addEventListener("click", () => this.#order(...order));
      row.append(b);
    };
    const question = v.state === "rejected" ? `${named(id)} was rejected: ${v.reason}. Let it make the poses all the same?` : `Let ${named(id)} make the poses from now on?`;
    button("Promote", question, "model.swap", request, (r) => `${r.model.name} ${r.model.version} makes the poses${r.before ? `; before it was ${r.before.name} ${r.before.version}` : ""}.`);
    button("Run beside", `Let ${named(id)} run beside the model in use?`, "model.shadow", { ...request, ticks: TICKS }, (r) => `It runs beside for ${r.ticks} poses; then its distance is told here.`);
    return row;
  }

  status(m) {
    const s = m.shadow, beside = s ? `${s.model.name}/${s.model.version}` : "";
    byId("shadowState").textContent = s ? `Beside it: ${s.model.name} ${s.model.version}, ${s.ticks} of ${s.of_ticks} poses, ${s.mean_mm.toFixed(0)} mm apart` : "";
    if (m.model) byId("serving").textContent = `${m.model.name} ${m.model.version} makes the poses`;
    if (this.beside !== undefined && this.beside !== beside) this.refresh(this.may);
    this.beside = beside;
  }

  event(m) {
    byId("modelEvent").textContent = `${m.type.replace("_", " ")}: ${m.model.name} ${m.model.version}. ${m.reason}`;
    this.refresh(this.may);
  }
}
