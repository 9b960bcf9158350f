// The live page: joins the feed, the 3D stage and the panels.
import { openFeed } from "./feed.js";
import { Stage } from "./stage.js";
import { Panels } from "./panels.js";

const stage = new Stage(document.getElementById("view"));
const panels = new Panels();

for (const [id, set] of [["showLidar", (v) => stage.show("lidar", v)], ["showRadar", (v) => stage.show("radar", v)], ["showSpread", (v) => stage.show("spread", v)],
  ["colourSpread", (v) => stage.show("colour", v)]]) {
  const box = document.getElementById(id);
  box.addEventListener("change", () => set(box.checked));
}
document.getElementById("reset").addEventListener("click", () => stage.resetView());

openFeed({
  link: (state) => panels.link(state),
  pose: (m) => { stage.pose(m); panels.pose(m); },
  points: (m) => stage.points(m),
  status: (m) => panels.status(m),
  sensor: (m) => panels.sensor(m),
  "exercise.event": (m) => panels.exercise(m),
  "exercise.summary": (m) => panels.summary(m),
});

setInterval(() => panels.tick(), 250);
