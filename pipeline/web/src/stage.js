// The 3D stage: floor, skeleton, LiDAR and radar points, turned with the mouse.
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { BONES, toRoom } from "./body.js";

const COLOURS = { r: 0xe69f00, l: 0x56b4e9, c: 0xe6edf5 }; // told apart with any colour vision
const STALE = 0x5b6673;
const MAX_POINTS = 4096;
const STEP_RAD = Math.PI / 24; // of an arrow key
// Colours of a spread from 0 to SPREAD_FULL_MM; the page's .ramp shows the same.
const SPREAD_FULL_MM = 150;
const RAMP = [0x38d6b4, 0xf2b84b, 0xff5d5d].map((c) => new THREE.Color(c));

// Colours of what points were taken for; the page's legend shows the same. They are
// told apart with any colour vision, and the person's points are larger.
const TAKEN_FOR = Object.fromEntries(Object.entries({ person: 0xe69f00, fresh: 0x56b4e9, room: 0x6b7887 }).map(([name, c]) => [name, new THREE.Color(c).toArray()]));

// spreadColour sets colour to that of a spread, grey if there is none.
function spreadColour(colour, mm) {
  if (mm === undefined) return colour.set(0x8fa1b5);
  const at = Math.min(mm / SPREAD_FULL_MM, 1) * 2, from = Math.min(Math.floor(at), 1);
  return colour.copy(RAMP[from]).lerp(RAMP[from + 1], at - from);
}

// toScene maps a message's metres to three's axes: x right, y up, z towards the viewer.
function toScene(frame, p) {
  const [x, y, z] = toRoom(frame, p);
  return [x, z, -y];
}

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(42, 1, 0.05, 50);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.maxPolarAngle = Math.PI * 0.52;
    this.controls.addEventListener("change", () => this.draw());
    canvas.addEventListener("keydown", (e) => this.#key(e));
    this.scene.add(new THREE.HemisphereLight(0xdfeaff, 0x202830, 2.4));
    const sun = new THREE.DirectionalLight(0xffffff, 1.8);
    sun.position.set(2, 5, 3);
    this.scene.add(sun);
    const grid = new THREE.GridHelper(8, 16, 0x33465c, 0x1d2836);
    grid.position.z = -3;
    this.scene.add(grid);

    this.person = new THREE.Group();
    this.person.visible = false;
    this.joints = Array.from({ length: 17 }, (_, j) => {
      const mesh = new THREE.Mesh(new THREE.SphereGeometry(j === 10 ? 0.05 : 0.032, 20, 14), new THREE.MeshStandardMaterial({ color: 0xffffff, roughness: 0.45 }));
      this.person.add(mesh);
      return mesh;
    });
    this.halos = this.joints.map((joint) => {
      const halo = new THREE.Mesh(new THREE.SphereGeometry(1, 16, 12), new THREE.MeshBasicMaterial({ color: 0xf2b84b, transparent: true, opacity: 0.16, depthWrite: false }));
      this.person.add(halo);
      return halo;
    });
    this.bones = BONES.map(([, , side]) => {
      const mesh = new THREE.Mesh(new THREE.CylinderGeometry(0.024, 0.024, 1, 14), new THREE.MeshStandardMaterial({ color: COLOURS[side], roughness: 0.4 }));
      this.person.add(mesh);
      return mesh;
    });
    this.scene.add(this.person);
    this.clouds = { lidar: [this.#cloud(0.026), this.#cloud(0.036)], radar: [this.#cloud(0.06), this.#cloud(0.085)] }; // the room's, the person's
    this.spread = true;
    this.colour = false; // joints and bones by spread
    this.resetView();
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
  }

  // draw draws the scene with the screen's next picture, once however often it is
  // asked: nothing is drawn while nothing changes.
  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.renderer.render(this.scene, this.camera);
      this.canvas.dataset.drawn = Number(this.canvas.dataset.drawn ?? 0) + 1;
    });
  }

  #cloud(size) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(3 * MAX_POINTS), 3).setUsage(THREE.DynamicDrawUsage));
    geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(3 * MAX_POINTS).fill(1), 3).setUsage(THREE.DynamicDrawUsage));
    geometry.setDrawRange(0, 0);
    const points = new THREE.Points(geometry, new THREE.PointsMaterial({ size, vertexColors: true, transparent: true, opacity: 0.85 }));
    points.frustumCulled = false;
    this.scene.add(points);
    return points;
  }

  #resize() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (!w || !h) return;
    this.renderer.setSize(w, h, false);
    this.camera.aspect = w / h;
    this.camera.updateProjectionMatrix();
    this.draw();
  }

  resetView() {
    this.camera.up.set(0, 1, 0);
    this.camera.position.set(1.6, 1.7, 1.0);
    this.controls.target.set(0, 0.85, -3.0);
    this.controls.update();
    this.draw();
  }

  // look shows the person from the front, the side, above, or as at first.
  look(view) {
    this.canvas.dataset.view = view;
    if (view === "free") return this.resetView();
    const at = this.person.visible ? this.joints[0].position : this.controls.target;
    const target = new THREE.Vector3(at.x, view === "top" ? 0.8 : 0.95, at.z);
    // From above, a hair towards the sensors, so that they are below in the picture.
    const away = { front: [0, 0, 3.6], side: [-3.6, 0, 0], top: [0, 3.9, 0.004] }[view];
    this.controls.target.copy(target);
    this.camera.position.copy(target).add(new THREE.Vector3(...away));
    this.controls.update();
    this.draw();
  }

  #key(e) {
    const turn = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key], zoom = { "+": 0.9, "-": 1 / 0.9 }[e.key];
    if (!turn && !zoom) return;
    e.preventDefault();
    const from = new THREE.Spherical().setFromVector3(this.camera.position.clone().sub(this.controls.target));
    if (turn) {
      from.theta += turn[0] * STEP_RAD;
      from.phi = Math.min(Math.max(from.phi + turn[1] * STEP_RAD, 0.001), this.controls.maxPolarAngle);
    } else {
      from.radius *= zoom;
    }
    this.camera.position.setFromSpherical(from).add(this.controls.target);
    this.controls.update();
    this.draw();
  }

  // stale greys the figure while no pose comes.
  stale(is) {
    if (this.isStale === is) return;
    this.isStale = is;
    for (const bone of this.bones) { bone.material.transparent = is; bone.material.opacity = is ? 0.35 : 1; }
    if (is) for (const mesh of [...this.joints, ...this.bones]) mesh.material.color.set(STALE);
    this.canvas.dataset.stale = is;
    this.draw();
  }

  show(what, on) {
    if (what === "spread") this.spread = on;
    else if (what === "colour") this.colour = on;
    else for (const cloud of this.clouds[what]) cloud.visible = on;
    this.draw();
  }

  pose(m) {
    this.person.visible = !!m.joints_m;
    this.draw();
    if (!m.joints_m) return;
    const at = m.joints_m.map((p) => new THREE.Vector3(...toScene(m.frame, p)));
    const up = new THREE.Vector3(0, 1, 0);
    at.forEach((p, j) => {
      this.joints[j].position.copy(p);
      const { color } = this.joints[j].material;
      if (this.colour) spreadColour(color, m.spread_mm?.[j]);
      else color.set(0xffffff);
      const mm = this.spread && m.spread_mm ? m.spread_mm[j] : 0;
      this.halos[j].visible = mm > 0;
      this.halos[j].position.copy(p);
      this.halos[j].scale.setScalar(Math.max(0.001, Math.min(mm / 1000, 0.3)));
    });
    BONES.forEach(([a, b, side], i) => {
      const { color } = this.bones[i].material;
      if (this.colour) spreadColour(color, m.spread_mm ? (m.spread_mm[a] + m.spread_mm[b]) / 2 : undefined);
      else color.set(COLOURS[side]);
      const along = at[b].clone().sub(at[a]);
      const bone = this.bones[i];
      bone.position.copy(at[a]).addScaledVector(along, 0.5);
      bone.scale.set(1, Math.max(along.length(), 1e-3), 1);
      bone.quaternion.setFromUnitVectors(up, along.normalize());
    });
    this.canvas.dataset.wrist = at[13].toArray().map((v) => v.toFixed(4)).join(",");
    this.canvas.dataset.seq = m.seq;
    this.canvas.dataset.wristColour = this.joints[13].material.color.getHexString();
  }

  points(m) {
    const lidar = m.lidar ?? [], radar = m.radar ?? [], found = m.search;
    const [room, person] = this.clouds.lidar, [clutter, own] = this.clouds.radar;
    if (found) {
      this.#fill(person, m.frame, lidar.slice(0, found.lidar_person), () => TAKEN_FOR.person);
      this.#fill(room, m.frame, lidar.slice(found.lidar_person), (_, i) => (i < found.lidar_new ? TAKEN_FOR.fresh : TAKEN_FOR.room));
      this.#fill(own, m.frame, radar.slice(0, found.radar_person), () => TAKEN_FOR.person);
      this.#fill(clutter, m.frame, radar.slice(found.radar_person), () => TAKEN_FOR.room);
    } else { // nobody searches: LiDAR by sensor, radar by Doppler
      this.#fill(person, m.frame, lidar, () => [0.35, 0.66, 1]);
      this.#fill(own, m.frame, radar, (p) => {
        const v = Math.max(-1, Math.min(1, (p[3] ?? 0) / 0.8)); // towards: orange, away: violet
        return v < 0 ? [1, 0.62, 0.36] : v > 0 ? [0.75, 0.55, 1] : [1, 0.85, 0.7];
      });
      this.#fill(room, m.frame, [], () => []);
      this.#fill(clutter, m.frame, [], () => []);
    }
    this.draw();
    Object.assign(this.canvas.dataset, { lidar: lidar.length, radar: radar.length, person: found?.lidar_person ?? "", personRadar: found?.radar_person ?? "" });
  }

  #fill(cloud, frame, points, colour) {
    const { position, color } = cloud.geometry.attributes;
    const n = Math.min(points.length, MAX_POINTS);
    for (let i = 0; i < n; i++) {
      position.setXYZ(i, ...toScene(frame, points[i]));
      color.setXYZ(i, ...colour(points[i], i));
    }
    cloud.geometry.setDrawRange(0, n);
    position.needsUpdate = color.needsUpdate = true;
  }
}
