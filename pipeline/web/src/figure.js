// What the camera sees: the joints it found in its picture, beside the 3D pose.
// The picture itself is there only if the daemon shows it (web.show_image).

// Bones between COCO-17 keypoints: [from, to, side].
const BONES = [[5, 7, "l"], [7, 9, "l"], [6, 8, "r"], [8, 10, "r"], [5, 6, "c"], [5, 11, "l"], [6, 12, "r"], [11, 12, "c"], [11, 13, "l"], [13, 15, "l"], [12, 14, "r"], [14, 16, "r"],
  [0, 1, "l"], [0, 2, "r"], [1, 3, "l"], [2, 4, "r"]];
const SIDE = [..."clrlrlrlrlrlrlrlr"]; // of each keypoint
const FAINTEST = 0.12; // opacity of a joint with score 0
const SILENT_MS = 1500; // after which what was seen is no longer shown
const PICTURE_PAUSE_MS = 100;
const PICTURE_RETRY_MS = 2000;

const draw = (name, parent) => parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
const opacity = (score) => (FAINTEST + (1 - FAINTEST) * Math.min(Math.max(score, 0), 1)).toFixed(2);

export class Figure {
  constructor(root, showPicture) {
    this.root = root;
    this.svg = root.querySelector("svg");
    this.caption = root.querySelector("#inView");
    this.at = -Infinity;
    this.bones = BONES.map(([, , side]) => { const line = draw("line", this.svg); line.setAttribute("class", side); return line; });
    this.joints = SIDE.map((side) => { const circle = draw("circle", this.svg); circle.setAttribute("class", side); return circle; });
    if (showPicture) this.#showPicture();
  }

  #showPicture() {
    const img = document.createElement("img");
    img.alt = "Camera";
    const ask = () => { img.src = `api/camera.jpg?${Date.now()}`; };
    img.addEventListener("load", () => {
      this.root.hidden = false;
      if (!this.sized) this.#shape(img.naturalWidth, img.naturalHeight);
      setTimeout(ask, PICTURE_PAUSE_MS);
    });
    img.addEventListener("error", () => setTimeout(ask, PICTURE_RETRY_MS));
    this.svg.before(img);
    ask();
  }

  #shape(width, height) {
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.parentElement.style.aspectRatio = `${width} / ${height}`;
  }

  // seen draws one image_keypoints message.
  seen(m) {
    this.at = performance.now();
    this.root.hidden = false;
    this.root.dataset.view = m.keypoints ? (m.others ? "others" : "person") : "nobody";
    if (m.width && m.height) {
      this.sized = true;
      this.#shape(m.width, m.height);
    }
    this.svg.classList.toggle("empty", !m.keypoints);
    this.#say(m.keypoints ? (m.others ? "another person in view" : "") : "nobody in view");
    if (!m.keypoints) return;
    const radius = Math.max(m.width, m.height) / 90;
    m.keypoints.forEach(([x, y, score], i) => {
      const c = this.joints[i];
      c.setAttribute("cx", x);
      c.setAttribute("cy", y);
      c.setAttribute("r", radius);
      c.setAttribute("opacity", opacity(score));
    });
    BONES.forEach(([a, b], i) => {
      const line = this.bones[i], from = m.keypoints[a], to = m.keypoints[b];
      line.setAttribute("x1", from[0]);
      line.setAttribute("y1", from[1]);
      line.setAttribute("x2", to[0]);
      line.setAttribute("y2", to[1]);
      line.setAttribute("stroke-width", radius * 0.8);
      line.setAttribute("opacity", opacity(Math.min(from[2], to[2])));
    });
  }

  tick() {
    if (this.at === -Infinity || performance.now() - this.at < SILENT_MS) return;
    this.svg.classList.add("empty");
    this.root.dataset.view = "silent";
    this.#say("no picture");
  }

  #say(words) {
    if (this.caption.textContent !== words) this.caption.textContent = words;
  }
}
