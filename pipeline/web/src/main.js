// The live page: joins the feed, the 3D stage and the panels.
import { openFeed } from "./feed.js";
import { Stage } from "./stage.js";
import { Panels } from "./panels.js";
import { Figure } from "./figure.js";
import { showExercises } from "./exercise.js";

const stage = new Stage(document.getElementById("view"));
const showImage = "showImage" in document.body.dataset; // set by the daemon, from web.show_image
const figure = new Figure(document.getElementById("camera"), showImage);
const panels = new Panels(() => figure.nobody());
if (showImage) document.getElementById("imageNote").textContent = "This page shows the camera's pictures (web.show_image); the daemon keeps none";

for (const [id, set] of [["showLidar", (v) => stage.show("lidar", v)], ["showRadar", (v) => stage.show("radar", v)], ["showSpread", (v) => stage.show("spread", v)],
  ["colourSpread", (v) => stage.show("colour", v)]]) {
  const box = document.getElementById(id);
  box.addEventListener("change", () => set(box.checked));
}
document.getElementById("reset").addEventListener("click", () => stage.resetView());

openFeed({
  link: (state) => { panels.link(state); if (state === "open") showExercises(); },
  pose: (m) => { stage.pose(m); panels.pose(m); },
  points: (m) => { stage.points(m); panels.points(m); },
  image_keypoints: (m) => figure.seen(m),
  status: (m) => panels.status(m),
  sensor: (m) => panels.sensor(m),
  "exercise.event": (m) => panels.exercise(m),
  "exercise.summary": (m) => panels.summary(m),
});

setInterval(() => { panels.tick(); figure.tick(); }, 250);
