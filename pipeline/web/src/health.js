// How the room is doing, in words: what both pages say and colour by.
import { say, span } from "./words.js";

const LATE_POSES = 2; // a sensor may miss so many poses in a row before it counts as missing
const FRESH_MS = 1000; // a pose older than that is not what is happening
const EMPTY_MS = 1500; // what the camera saw holds so long
const COUNTER_SILENT_MS = 35_000; // the exercise service says every 10 s that it counts
const COUNTER_START_MS = 2000; // within which it is heard of

const ORDER = "RLMW";

export class Health {
  constructor() {
    this.open = false;
    this.since = performance.now(); // of the connection
    this.pose = null;
    this.poseAt = -Infinity;
    this.missed = {}; // poses in a row without the sensor
    this.sensors = {}; // newest message by modality
    this.parts = {}; // of the status, by name
    this.counter = null; // of exercise.status
    this.counterAt = -Infinity;
    this.ended = false; // the daemon said so
    this.emptyAt = -Infinity; // when the camera saw nobody
  }

  link(state) {
    this.open = state === "open";
    if (this.open) this.since = performance.now();
    else this.counter = null;
  }

  takePose(m, age) {
    this.pose = m;
    this.poseAt = performance.now() - age;
    this.ended = false;
    for (const [k, v] of Object.entries(m.modalities)) this.missed[k] = v.presence ? 0 : (this.missed[k] ?? 0) + 1;
  }

  // takeSeen takes what the camera sees.
  takeSeen(m) { this.emptyAt = m.keypoints ? -Infinity : performance.now(); }

  takeSensor(m) { this.sensors[m.modality] = m; }

  takeStatus(m) {
    this.parts = Object.fromEntries(m.parts.map((p) => [p.part, p]));
    this.ended = m.state !== "online";
  }

  takeCounter(m, age) {
    this.counter = m;
    this.counterAt = performance.now() - age;
  }

  // fresh says whether the newest pose is of now.
  fresh() { return this.open && !this.ended && performance.now() - this.poseAt < FRESH_MS; }

  // present says whether the newest pose shows somebody.
  present() { return this.fresh() && !!this.pose.joints_m; }

  // sensor says how one is: "off", "live", "late", "lost", or "nobody" for a camera
  // that sees nobody.
  sensor(key) {
    const m = this.pose?.modalities[key];
    if (!m || m.state === "off") return "off";
    if (m.presence) return "live";
    if (key === "R" && (performance.now() - this.emptyAt < EMPTY_MS || this.parts["sensor.camera"]?.code === "nobody")) return "nobody";
    return m.state === "stale" || this.missed[key] > LATE_POSES ? "lost" : "late";
  }

  #names(keys) { return keys.map((k) => say(k)).join(say("and")); }

  // state is the line about measuring: its key, its words, and "ok", "warn" or "bad".
  state() {
    const of = (key, severity, values) => ({ key, severity, text: say(key, values) });
    const age = performance.now() - this.poseAt;
    if (!this.fresh()) {
      if (this.pose) return of("stopped", "bad", { t: span(age) });
      if (this.open) return of("no_pose", "warn");
      return performance.now() - this.since < FRESH_MS ? of("connecting", "warn") : of("unreachable", "bad");
    }
    const known = [...ORDER].filter((k) => this.sensor(k) !== "off");
    const missing = known.filter((k) => this.sensor(k) === "lost");
    const present = known.filter((k) => this.pose.modalities[k].presence);
    if (this.pose.coalition === "-" && known.every((k) => this.sensor(k) !== "nobody")) return of("no_sensor", "bad");
    if (!this.pose.joints_m) return of("nobody", "warn");
    if (missing.length) return of("missing", "warn", { names: this.#names(missing) });
    return of("measuring", "ok", { n: Math.max(present.length, known.length - missing.length), m: known.length });
  }

  // counting says whether somebody counts; text is what to say if not, or what keeps
  // them from counting right.
  counting() {
    if (!this.open) return { on: false, text: "" };
    const on = this.counter?.state === "online" && performance.now() - this.counterAt < COUNTER_SILENT_MS;
    if (on) return { on, text: this.counter.text ?? "" };
    return { on, text: performance.now() - this.since < COUNTER_START_MS ? "" : say("exercise_off") };
  }

  // simulated is the badge, "" in a real room.
  simulated() {
    const keys = [...ORDER].filter((k) => this.sensors[k] && this.sensors[k].state !== "off");
    const made = keys.filter((k) => this.sensors[k].simulated);
    if (made.length === 0) return "";
    return made.length === keys.length ? say("simulated") : say("partly_simulated", { names: this.#names(made) });
  }
}
