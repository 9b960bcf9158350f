// What an engineer may change: sessions that are recorded, the model in use. Each
// control asks once and says what happened.
import { ask } from "./ask.js";

const byId = (id) => document.getElementById(id);
const CODE = /^[A-Za-z0-9_-]{1,64}$/;

function tell(id, words, bad = false) {
  byId(id).textContent = words;
  byId(id).className = bad ? "bad" : "";
}

// order asks, sends a request and says what came of it.
async function order(note, question, name, request, done) {
  if (!await ask(question)) return;
  tell(note, "…");
  const answer = await fetch(`api/ctl/${name}`, { method: "POST", body: JSON.stringify(request) }).catch(() => null);
  if (!answer) return tell(note, "Not done: the daemon does not answer.", true);
  if (answer.ok) return tell(note, done(await answer.json().catch(() => ({}))));
  tell(note, `Not done: ${(await answer.text()).trim()}`, true);
}

const LENGTH = (s) => (s < 90 ? `${s.toFixed(0)} s` : `${(s / 60).toFixed(1)} min`);

export class Desk {
  // replay is called with a session that is to be shown.
  constructor(replay) {
    this.may = false;
    this.replay = replay;
    byId("recordStart").addEventListener("submit", (e) => {
      e.preventDefault();
      const subject = byId("subject").value.trim();
      if (!CODE.test(subject)) return tell("recordNote", "Give a code of letters, digits, - and _, up to 64: no name of a person.", true);
      order("recordNote", `Record ${subject} from now on? Keypoints, clouds, WiFi and poses are kept.`, "record.start",
        { subject, consent: byId("consent").checked, note: "" }, (r) => `Recording ${r.id}.`);
    });
    byId("recordStop").addEventListener("click", () => order("recordNote", "End the recording?", "record.stop", {}, () => "The recording has ended."));
    byId("promote").addEventListener("click", () => this.#model("Let %s make the poses from now on?", "model.swap", (r) => `${r.model.name} ${r.model.version} makes the poses; before it was ${r.before.name} ${r.before.version}.`));
    byId("shadow").addEventListener("click", () => this.#model("Let %s run beside the model in use?", "model.shadow", (r) => `It runs beside for ${r.ticks} poses; then its distance is told here.`));
    byId("rollback").addEventListener("click", () => order("modelNote", "Let the model from before make the poses again?", "model.rollback", {}, (r) => `${r.model.name} ${r.model.version} makes the poses again.`));
    byId("retrain").addEventListener("click", () => order("modelNote", "Train the model further on the room's sessions? It takes minutes to hours, and goes after everything else.", "retrain.start", {}, () => "The retraining has begun."));
    byId("retrainCancel").addEventListener("click", () => order("modelNote", "Cancel the retraining?", "retrain.cancel", {}, () => "It is being cancelled."));
  }

  #model(question, name, done) {
    const [model, version, more] = byId("candidate").value.trim().split("/");
    if (!model || !version || more) return tell("modelNote", "Give name/version, as posefuse models list shows them.", true);
    const request = name === "model.shadow" ? { name: model, version, ticks: 200 } : { name: model, version };
    order("modelNote", question.replace("%s", `${model} ${version}`), name, request, done);
  }

  // refresh asks what this user may do.
  async refresh() {
    const answer = await fetch("api/me").catch(() => null);
    const me = answer?.status === 200 ? await answer.json() : {};
    this.may = !!me.control;
    byId("signout").hidden = !me.user;
    byId("signin").hidden = !me.login;
    this.#enable();
    this.#sessions();
  }

  // sessions lists what was recorded, for who may see it.
  async #sessions() {
    const table = byId("sessions"), answer = this.may ? await fetch("api/ctl/sessions.list", { method: "POST", body: "{}" }).catch(() => null) : null;
    const list = answer?.ok ? ((await answer.json()).sessions ?? []) : [];
    table.parentElement.hidden = list.length === 0;
    table.tBodies[0].replaceChildren(...list.map((s) => {
      const tr = document.createElement("tr"), button = document.createElement("button");
      button.type = "button";
      button.textContent = "Replay";
      button.setAttribute("aria-label", `Replay ${s.id}`);
      button.addEventListener("click", () => this.replay(s));
      const odd = s.state === "complete" || s.state === "recovered" ? "" : ` (${s.state})`;
      for (const words of [s.id + odd, s.subject ?? "", LENGTH(s.seconds)]) tr.insertCell().textContent = words;
      if (s.error) tr.title = s.error;
      else tr.insertCell().append(button);
      return tr;
    }));
  }

  #enable() {
    const recorder = this.recorder?.code;
    for (const id of ["subject", "consent", "record"]) byId(id).disabled = !this.may || !recorder || recorder === "recording";
    byId("recordStop").disabled = !this.may || !recorder || recorder === "idle";
    for (const id of ["candidate", "promote", "shadow", "rollback", "retrain", "retrainCancel"]) byId(id).disabled = !this.may;
  }

  status(m) {
    const before = this.recorder?.code;
    this.recorder = m.parts.find((p) => p.part === "recorder");
    if (before !== undefined && before !== this.recorder?.code) this.#sessions();
    byId("recorder").textContent = this.recorder?.text ?? "Off: record.enabled in the configuration allows it.";
    const s = m.shadow;
    byId("shadowState").textContent = s ? `Beside it: ${s.model.name} ${s.model.version}, ${s.ticks} of ${s.of_ticks} poses, ${s.mean_mm.toFixed(0)} mm apart` : "";
    if (m.model) byId("serving").textContent = `${m.model.name} ${m.model.version} makes the poses`;
    this.#enable();
  }

  event(m) {
    byId("modelEvent").textContent = `${m.type.replace("_", " ")}: ${m.model.name} ${m.model.version}. ${m.reason}`;
    if (m.type === "candidate" && !byId("candidate").value) byId("candidate").value = `${m.model.name}/${m.model.version}`;
  }

  retrain(m) {
    const share = `${(100 * m.share).toFixed(0)} %`;
    byId("retraining").textContent = m.stage === "done" ? `Retraining: ${m.state ?? "done"}. ${m.reason ?? ""}` : `Retraining: ${m.stage} ${share}${m.epochs ? `, epoch ${m.epoch} of ${m.epochs}` : ""}${m.reason ? `. ${m.reason}` : ""}`;
  }
}
