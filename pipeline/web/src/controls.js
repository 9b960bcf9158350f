// What the therapist chooses: exercise, repetitions, patient; start and stop. The
// daemon says what there is and who may.
import { ask } from "./ask.js";
import { exerciseName, say } from "./words.js";

const byId = (id) => document.getElementById(id);
const KEPT = "posefuse.controls"; // for a reload of this tab
const MOST = 1000;
const SEVERAL = "several";

export class Controls {
  // patient is called with the code, rights with whether this user may control, and
  // counted returns the repetitions of the set that goes on, 0 without one.
  constructor(patient, rights, counted) {
    this.rights = rights;
    this.counted = counted;
    this.list = [];
    this.asked = 0;
    this.may = true;
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
    this.goal = kept.goal ?? 10;
    byId("code").value = kept.code ?? "";
    this.patient = patient;
    patient(byId("code").value);
    byId("code").addEventListener("input", (e) => { patient(e.target.value); this.#keep(); });
    byId("fewer").addEventListener("click", () => this.#step(-1));
    byId("more").addEventListener("click", () => this.#step(1));
    byId("session").addEventListener("submit", (e) => { e.preventDefault(); this.#start(); });
    byId("stop").addEventListener("click", () => this.#stop());
    byId("choice").addEventListener("change", () => { this.picked = byId("choice").value; });
    document.addEventListener("posefuse:clear", () => { byId("code").value = ""; patient(""); this.#keep(); });
    this.#step(0);
  }

  #keep() { sessionStorage.setItem(KEPT, JSON.stringify({ goal: this.goal, code: byId("code").value })); }

  #step(by) {
    this.goal = Math.min(Math.max(this.goal + by, 1), MOST);
    byId("goal").textContent = this.goal;
    this.#keep();
  }

  #say(words, bad = false) {
    byId("note").textContent = words;
    byId("note").className = bad ? "bad" : "";
  }

  // name is that of the only exercise that is looked for.
  name() {
    const chosen = this.list.filter((e) => e.chosen);
    return chosen.length === 1 ? exerciseName(chosen[0].exercise, chosen[0].name) : "";
  }

  // refresh asks what there is, and whether this user may choose.
  async refresh() {
    const mine = ++this.asked;
    this.waits = true;
    const [who, what] = await Promise.all([fetch("api/me").catch(() => null), fetch("api/exercise").catch(() => null)]);
    const me = who?.status === 200 ? await who.json() : {};
    const list = what?.status === 200 ? (await what.json()).exercises : [];
    if (mine === this.asked) this.waits = false;
    else return; // an answer that a newer question overtook
    const all = list.every((e) => e.chosen), chosen = list.filter((e) => e.chosen);
    this.may = !!me.control;
    this.list = list;
    this.picked = all ? "" : chosen.length === 1 ? chosen[0].exercise : SEVERAL;
    const goal = chosen.length === 1 ? chosen[0].goal?.repetitions : 0;
    if (goal) this.goal = goal;
    this.#step(0);
    byId("signout").hidden = !me.user;
    byId("signin").hidden = !me.login;
    this.speak();
    this.rights(this.may);
    if (list.length && !this.may) this.#say(say("watching"));
  }

  // speak fills the list in the language of the page.
  speak() {
    const choice = byId("choice"), chosen = this.list.filter((e) => e.chosen);
    choice.replaceChildren(new Option(say("any"), ""), ...this.list.map((e) => new Option(exerciseName(e.exercise, e.name), e.exercise)));
    if (chosen.length > 1 && chosen.length < this.list.length) {
      choice.append(new Option(chosen.map((e) => exerciseName(e.exercise, e.name)).join(", "), SEVERAL));
      this.several = chosen.map((e) => e.exercise);
    }
    choice.value = this.picked ?? "";
    for (const id of ["choice", "start", "stop", "fewer", "more"]) byId(id).disabled = this.list.length === 0 || !this.may;
  }

  #order() {
    const exercises = this.picked === SEVERAL ? this.several : this.picked ? [this.picked] : [];
    const targets = exercises.length === 1 ? { [exercises[0]]: { repetitions: this.goal } } : {};
    return { exercises, targets };
  }

  async #send(order) {
    const answer = await fetch("api/exercise", { method: "POST", body: JSON.stringify(order) }).catch(() => null);
    if (answer?.ok) return true;
    this.#say(say("failed", { why: answer ? (await answer.text()).trim() : say("no_answer") }), true);
    return false;
  }

  async #start() {
    const what = byId("choice").selectedOptions[0].textContent, n = this.counted();
    if (n && !await ask(say("end_start_ask", { n, what }))) return;
    if (await this.#send(this.#order())) {
      this.#say(say("started", { what }));
      this.refresh();
    }
  }

  // The running set ends with each order, so the same one again ends it.
  async #stop() {
    const n = this.counted();
    if (n && !await ask(say("end_ask", { n }))) return;
    if (await this.#send(this.#order())) this.#say(say("ended"));
  }
}
