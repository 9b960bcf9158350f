// A recorded session in the picture of the room, to look through: its poses, asked
// for in pieces, in the place of the live ones.
const byId = (id) => document.getElementById(id);
const PIECE_S = 10; // that is asked for at once
const HOLD_S = 0.5; // a pose is shown so long without a next one
const KEPT = 60; // pieces, in memory

const clock = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;

export class Replay {
  // draw shows a pose message, clear the room without points.
  constructor(draw, clear) {
    this.on = false;
    this.draw = draw;
    this.clear = clear;
    byId("replayPlay").addEventListener("click", () => this.#play(!this.playing));
    byId("replayAt").addEventListener("input", (e) => { this.#play(false); this.#seek(Number(e.target.value)); });
    byId("replayEnd").addEventListener("click", () => this.#end());
  }

  // show begins with a session of the list.
  show(session) {
    this.session = session;
    this.pieces = new Map(); // by number: a list of poses, or a promise of one
    this.on = true;
    this.drawn = undefined;
    this.clear();
    byId("replay").hidden = false;
    byId("replayOf").textContent = `REPLAY, not live: ${session.id}${session.subject ? `, ${session.subject}` : ""}`;
    byId("replayAt").max = session.seconds.toFixed(1);
    this.#say("");
    this.#seek(0);
    byId("replayPlay").focus();
  }

  #end() {
    this.#play(false);
    this.on = false;
    this.draw({ frame: "room", joints_m: null });
    byId("replay").hidden = true;
  }

  #say(words) { byId("replayNote").textContent = words; }

  #play(on) {
    this.playing = on;
    byId("replayPlay").textContent = on ? "Pause" : "Play";
    byId("replayPlay").setAttribute("aria-pressed", String(on));
    if (!on) return;
    if (this.at >= this.session.seconds) this.#seek(0);
    let last = performance.now();
    const step = (now) => {
      if (!this.playing) return;
      if (!(this.pieces.get(this.#number(this.at)) instanceof Promise)) this.#seek(Math.min(this.at + (now - last) / 1000, this.session.seconds));
      last = now;
      if (this.at >= this.session.seconds) return this.#play(false);
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #number(at) { return Math.floor(at / PIECE_S); }

  // seek goes to a place in the session, seconds, and shows what was there.
  #seek(at) {
    this.at = at;
    byId("replayAt").value = at.toFixed(1);
    byId("replayTime").textContent = `${clock(at)} of ${clock(this.session.seconds)}`;
    const piece = this.#piece(this.#number(at));
    if ((this.#number(at) + 1) * PIECE_S < this.session.seconds) this.#piece(this.#number(at) + 1); // ahead
    if (piece instanceof Promise) return;
    let pose = piece.findLast((p) => p.at_s <= at + 1e-6) ?? this.#before(at) ?? null;
    this.#say("");
    if (pose && at - pose.at_s > HOLD_S) pose = null;
    if (pose === this.drawn) return;
    this.drawn = pose;
    this.draw({ frame: "room", joints_m: null, ...pose });
  }

  #before(at) {
    const piece = this.pieces.get(this.#number(at) - 1);
    return Array.isArray(piece) ? piece.at(-1) : null;
  }

  // piece returns the poses of a piece, or a promise of them.
  #piece(n) {
    let piece = this.pieces.get(n);
    if (piece === undefined) {
      piece = this.#ask(n, this.session.id, this.pieces);
      this.pieces.set(n, piece);
      if (this.pieces.size > KEPT) this.pieces.delete(this.pieces.keys().next().value);
    }
    return piece;
  }

  async #ask(n, session, pieces) {
    const answer = await fetch("api/ctl/sessions.poses", { method: "POST", body: JSON.stringify({ session, from_s: n * PIECE_S, length_s: PIECE_S }) }).catch(() => null);
    if (pieces !== this.pieces) return; // another session is shown
    if (!answer?.ok) {
      pieces.delete(n); // the next look at it asks again
      this.#play(false);
      this.#say(answer ? (await answer.text()).trim() : "The daemon does not answer.");
      return;
    }
    pieces.set(n, (await answer.json()).poses);
    if (this.on && n === this.#number(this.at)) this.#seek(this.at);
  }
}
