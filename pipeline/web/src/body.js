// The figure in two dimensions: from the front, the side or above, as SVG. It
// needs no WebGL, and is drawn when a pose comes, never between.

// Bones of the H36M-17 skeleton: [parent, child, side].
export const BONES = [[0, 1, "r"], [1, 2, "r"], [2, 3, "r"], [0, 4, "l"], [4, 5, "l"], [5, 6, "l"], [0, 7, "c"], [7, 8, "c"], [8, 9, "c"], [9, 10, "c"],
  [8, 11, "l"], [11, 12, "l"], [12, 13, "l"], [8, 14, "r"], [14, 15, "r"], [15, 16, "r"]];
export const CAMERA_HEIGHT_M = 0.9; // only to stand a camera-frame skeleton on the floor of the picture
export const VIEWS = ["front", "side", "top"];

const PELVIS = 0, HEAD = 10, LEFT_WRIST = 13, RIGHT_WRIST = 16;
const HEIGHT_M = 2.3, WIDTH_M = 2.2, FLOOR_M = 0.12; // of the picture, and what of it is below the floor
const FOLLOW = 0.2; // how fast the picture follows a person who walks

// toRoom maps a message's metres to x right, y away from the camera, z up.
export const toRoom = (frame, p) => (frame === "camera" ? [p[0], p[2], CAMERA_HEIGHT_M - p[1]] : p);

const draw = (name, parent, attributes = {}) => {
  const e = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
};

export class Body {
  constructor(svg, letters) {
    this.svg = svg;
    this.view = "front";
    svg.setAttribute("viewBox", `${-WIDTH_M / 2} ${FLOOR_M - HEIGHT_M} ${WIDTH_M} ${HEIGHT_M}`);
    this.floor = draw("line", svg, { x1: -WIDTH_M / 2, x2: WIDTH_M / 2, y1: 0, y2: 0, class: "floor" });
    this.person = draw("g", svg, { visibility: "hidden" });
    this.bones = BONES.map(([, , side]) => draw("line", this.person, { class: side }));
    this.head = draw("circle", this.person, { class: "c", r: 0.11 });
    this.letters = [["l", LEFT_WRIST], ["r", RIGHT_WRIST]].map(([side, joint]) => ({ joint, side, e: draw("text", this.person, { class: side, "text-anchor": "middle" }) }));
    this.words = letters;
    this.centre = null;
  }

  // look changes the view.
  look(view) {
    this.view = view;
    this.centre = null;
    this.floor.setAttribute("visibility", view === "top" ? "hidden" : "visible");
    if (this.joints) this.#draw();
  }

  // pose shows a pose message; one without joints hides the figure.
  pose(m) {
    this.joints = m.joints_m?.map((p) => toRoom(m.frame, p));
    this.person.setAttribute("visibility", this.joints ? "visible" : "hidden");
    if (this.joints) this.#draw();
  }

  // across and up of a joint in the picture, metres. Seen from above, the camera is
  // below the picture.
  #flat([x, y, z]) {
    const [cx, cy] = this.centre;
    return { front: [x - cx, -z], side: [y - cy, -z], top: [x - cx, -(y - cy) - HEIGHT_M / 2 + FLOOR_M] }[this.view];
  }

  #draw() {
    const [x, y] = this.joints[PELVIS];
    this.centre = this.centre ? [this.centre[0] + FOLLOW * (x - this.centre[0]), this.centre[1] + FOLLOW * (y - this.centre[1])] : [x, y];
    const at = this.joints.map((p) => this.#flat(p).map((v) => v.toFixed(3)));
    BONES.forEach(([a, b], i) => {
      const line = this.bones[i];
      line.setAttribute("x1", at[a][0]);
      line.setAttribute("y1", at[a][1]);
      line.setAttribute("x2", at[b][0]);
      line.setAttribute("y2", at[b][1]);
    });
    this.head.setAttribute("cx", at[HEAD][0]);
    this.head.setAttribute("cy", at[HEAD][1]);
    const words = this.words();
    for (const { joint, side, e } of this.letters) {
      e.setAttribute("x", at[joint][0]);
      e.setAttribute("y", Number(at[joint][1]) - 0.08);
      if (e.textContent !== words[side]) e.textContent = words[side];
    }
    this.svg.dataset.view = this.view;
  }
}
