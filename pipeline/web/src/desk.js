// What an engineer may change: sessions that are recorded, the model in use. Each
// control asks once and says what happened.
import { Models } from "./models.js";
import { order, tell } from "./order.js";

const byId = (id) => document.getElementById(id);
const CODE = /^[A-Za-z0-9_-]{1,64}$/;
const LENGTH = (s) => (s < 90 ? `${s.toFixed(0)} s` : `${(s / 60).toFixed(1)} min`);

export class Desk {
  // replay is called with a session that is to be shown.
  constructor(replay) {
    this.may = false;
    this.replay = replay;
    this.models = new Models();
    byId("recordStart").addEventListener("submit", (e) => {
      e.preventDefault();
      const subject = byId("subject").value.trim();
      if (!CODE.test(subject)) return tell("recordNote", "Give a code of letters, digits, - and _, up to 64: no name of a person.", true);
      order("recordNote", `Record ${subject} from now on? Keypoints, clouds, WiFi and poses are kept.`, "record.start",
        { subject, consent: byId("consent").checked, note: "" }, (r) => `Recording ${r.id}.`);
    });
    byId("recordStop").addEventListener("click", () => order("recordNote", "End the recording?", "record.stop", {}, () => "The recording has ended."));
    byId("retrain").addEventListener("click", () => order("modelNote", "Train the model further on the room's sessions? It takes minutes to hours, and goes after everything else.", "retrain.start", {}, () => "The retraining has begun."));
    byId("retrainCancel").addEventListener("click", () => order("modelNote", "Cancel the retraining?", "retrain.cancel", {}, () => "It is being cancelled."));
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
    this.models.refresh(this.may);
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
    for (const id of ["retrain", "retrainCancel"]) byId(id).disabled = !this.may;
  }

  status(m) {
    const before = this.recorder?.code;
    this.recorder = m.parts.find((p) => p.part === "recorder");
    if (before !== undefined && before !== this.recorder?.code) this.#sessions();
    byId("recorder").textContent = this.recorder?.text ?? "Off: record.enabled in the configuration allows it.";
    this.models.status(m);
    this.#enable();
  }

  event(m) { this.models.event(m); }

  retrain(m) {
    const share = `${(100 * m.share).toFixed(0)} %`;
    byId("retraining").textContent = m.stage === "done" ? `Retraining: ${m.state ?? "done"}. ${m.reason ?? ""}` : `Retraining: ${m.stage} ${share}${m.epochs ? `, epoch ${m.epoch} of ${m.epochs}` : ""}${m.reason ? `. ${m.reason}` : ""}`;
  }
}
