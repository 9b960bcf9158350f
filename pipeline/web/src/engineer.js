// The engineer's page: joins the feed, the 3D stage and the panels.
import { openFeed } from "./feed.js";
import { Stage } from "./stage.js";
import { Panels } from "./panels.js";
import { Figure } from "./figure.js";
import { Health } from "./health.js";
import { Body } from "./body.js";
import { Desk } from "./desk.js";
import { Replay } from "./replay.js";
import { showExercises } from "./exercise.js";

const byId = (id) => document.getElementById(id);
const showImage = "showImage" in document.body.dataset; // set by the daemon, from web.show_image
const figure = new Figure(byId("camera"), showImage);
const health = new Health();
const panels = new Panels(health);
let stage = null; // after the feed: without WebGL there is none
const replay = new Replay((m) => stage?.pose(m), () => stage?.points?.({}));
const desk = new Desk((session) => replay.show(session));

openFeed({
  link: (state) => { health.link(state); panels.tick(); if (state === "open") { showExercises(); desk.refresh(); } },
  pose: (m, age) => { health.takePose(m, age); if (!replay.on) stage?.pose(m); panels.pose(m); },
  points: (m) => { if (!replay.on) stage?.points?.(m); panels.points(m); },
  image_keypoints: (m) => { figure.seen(m); health.takeSeen(m); },
  status: (m) => { health.takeStatus(m); panels.status(m); desk.status(m); },
  sensor: (m) => { health.takeSensor(m); panels.sensor(m); },
  "model.event": (m) => desk.event(m),
  retrain: (m) => desk.retrain(m),
  "exercise.event": (m) => panels.exercise(m),
  "exercise.summary": (m) => panels.summary(m),
  "exercise.status": (m, age) => health.takeCounter(m, age),
});

try {
  stage = new Stage(byId("view"));
} catch {
  stage = new Body(byId("flat"), () => ({ l: "L", r: "R" }));
  byId("view").hidden = true;
  byId("flat").removeAttribute("hidden");
  byId("noWebGL").hidden = false;
}

for (const [id, what] of [["showLidar", "lidar"], ["showRadar", "radar"], ["showSpread", "spread"], ["colourSpread", "colour"]]) {
  const box = byId(id);
  if (stage.show) box.addEventListener("change", () => stage.show(what, box.checked));
  else box.disabled = true;
}

const VIEWS = { 0: "free", 1: "front", 2: "side", 3: "top" };
byId("reset").disabled = stage instanceof Body;
byId("views").addEventListener("click", (e) => { if (e.target.dataset.view) stage.look(e.target.dataset.view); });
document.addEventListener("keydown", (e) => {
  if (e.target.matches?.("input, select, textarea") || e.ctrlKey || e.altKey || e.metaKey) return;
  const view = VIEWS[e.key];
  if (view && !(view === "free" && stage instanceof Body)) stage.look(view);
});

if (showImage) byId("imageNote").textContent = "This page shows the camera's pictures (web.show_image); the daemon keeps none";

setInterval(() => { if (!document.hidden) { panels.tick(); figure.tick(); stage.stale?.(!replay.on && !health.fresh()); } }, 250);
