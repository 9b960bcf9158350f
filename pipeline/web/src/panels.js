// The panels beside the stage: numbers, sensors, exercise, plots.
import uPlot from "uplot";

const PLOT_SECONDS = 60;
const byId = (id) => document.getElementById(id);
const fixed = (v, digits, unit) => (v === null || v === undefined ? "–" : `${v.toFixed(digits).replace(/^-(0\.?0*)$/, "$1")}${unit}`); // no "-0.0"
const NAMES = { R: "Camera", L: "LiDAR", M: "Radar", W: "WiFi" };
const PARTS = { R: "sensor.camera", L: "sensor.lidar", M: "sensor.radar", W: "sensor.csi" };
const DROPPED = ["late", "bad", "duplicate", "incomplete", "unsupported", "dropped", "overflow", "stale"];

// text sets an element's text only when it changes, so that the page is quiet.
function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export class Panels {
  constructor(health) {
    this.health = health;
    this.times = []; // arrival of recent poses, s
    this.latencies = [];
    this.plots = { latency: { el: byId("latencyPlot"), colour: "#38d6b4", x: [], y: [] }, fps: { el: byId("fpsPlot"), colour: "#5aa9ff", x: [], y: [] } };
    for (const p of Object.values(this.plots)) this.#plot(p);
    this.rows = new Map();
    this.modalities = {};
    this.sensors = {};
    this.influenceRows = new Map();
    this.influenceScale = 0;
  }

  #plot(p) {
    const axis = { stroke: "#8fa1b5", grid: { stroke: "#243040", width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 34 };
    p.chart = new uPlot({
      width: p.el.clientWidth || 380, height: 110, cursor: { show: false }, legend: { show: false },
      scales: { x: { time: false, range: [-PLOT_SECONDS, 0] }, y: { range: (_, lo, hi) => [0, Math.max(hi * 1.2, 1)] } },
      axes: [{ ...axis, size: 22, values: (_, v) => v.map((s) => `${s} s`) }, axis],
      series: [{}, { stroke: p.colour, width: 1.6, fill: p.colour + "22", points: { show: false } }],
    }, [[], []], p.el);
    new ResizeObserver(() => p.chart.setSize({ width: p.el.clientWidth, height: 110 })).observe(p.el);
  }

  // #state says in words how the room is doing.
  #state() {
    const state = this.health.state(), pill = byId("link");
    pill.className = `pill ${{ ok: "live", warn: "", bad: "bad" }[state.severity]}`;
    text(pill, state.text);
    text(byId("notice"), state.severity === "ok" ? "" : state.text);
    const badge = this.health.simulated();
    byId("simulated").hidden = !badge;
    text(byId("simulated"), badge);
    const counting = this.health.counting();
    byId("exerciseCard").classList.toggle("off", !counting.on);
    if (counting.on && byId("phase").dataset.own !== "no") return text(byId("phase"), counting.text);
    if (!counting.on) {
      text(byId("exercise"), "");
      text(byId("reps"), "–");
      text(byId("phase"), counting.text);
      byId("phase").dataset.own = "yes";
      byId("angles").replaceChildren();
      byId("faults").replaceChildren();
    }
  }

  pose(m) {
    const now = performance.now() / 1000;
    this.times.push(now);
    this.latencies.push(m.latency_ms.total);
    if (this.latencies.length > 20) this.latencies.shift();
    this.modalities = m.modalities;
    text(byId("room"), m.room);
    text(byId("coalition"), m.coalition);
    text(byId("model"), `Model ${m.model.name} ${m.model.version} · ${m.model.sha256.slice(0, 12)}`);
    this.plots.latency.x.push(now);
    this.plots.latency.y.push(m.latency_ms.total);
    this.#sensors();
    this.#influence(m.modalities);
  }

  // #influence draws a bar per modality of the room. Their common scale grows
  // at once and shrinks slowly, so that bars do not jump.
  #influence(modalities) {
    const known = [..."RLMW"].filter((k) => modalities[k] && modalities[k].state !== "off");
    const values = known.map((k) => modalities[k].influence_mm);
    const defined = values.some((v) => v !== undefined);
    this.influenceScale = Math.max(50, this.influenceScale * 0.99, ...values.filter((v) => v !== undefined));
    const list = byId("influence");
    known.forEach((key, i) => {
      let row = this.influenceRows.get(key);
      if (!row) {
        row = document.createElement("li");
        row.dataset.modality = key;
        row.innerHTML = `<span>${NAMES[key]}</span><div class="bar"><i></i></div><b></b>`;
        this.influenceRows.set(key, row);
        list.append(...[..."RLMW"].map((k) => this.influenceRows.get(k)).filter(Boolean));
      }
      const bar = row.querySelector("i");
      bar.style.width = `${values[i] === undefined ? 0 : (100 * values[i]) / this.influenceScale}%`;
      text(row.querySelector("b"), fixed(values[i], values[i] < 10 ? 1 : 0, ""));
    });
    for (const [key, row] of this.influenceRows) row.hidden = !known.includes(key);
    const present = known.filter((k) => modalities[k].presence).length;
    text(byId("influenceNote"), defined ? this.#worthless(known) : present === 1 ? "Only one sensor makes the pose." : present ? "Off in the configuration (model.contribution)." : "");
  }

  // #worthless names the sensors without which the model is as good: they move the
  // joints, but not towards the truth.
  #worthless(known) {
    const names = known.filter((k) => this.worth?.[k] < 0.5).map((k) => NAMES[k]);
    return names.length ? `${names.join(" and ")}: this model is as good without, says its card.` : "";
  }

  // points fills the legend of the picture.
  points(m) {
    const found = m.search, sweep = found?.sweep;
    byId("legend").hidden = !found;
    if (!found) return;
    const all = sweep ? Object.values(sweep).reduce((sum, n) => sum + n, 0) : 0;
    const share = (n) => (all ? `${((100 * n) / all).toFixed(n && n < all / 1000 ? 2 : 1)} % · ${n.toLocaleString("en")}` : "–");
    text(byId("sharePerson"), share(sweep?.person ?? 0));
    text(byId("shareNew"), share(sweep?.other ?? 0));
    text(byId("shareRoom"), share(all - (sweep?.person ?? 0) - (sweep?.other ?? 0)));
    if (m.radar.length) text(byId("shareRadar"), `${found.radar_person} of ${m.radar.length} the person's`);
  }

  sensor(m) {
    this.sensors[m.modality] = m;
    this.#sensors();
  }

  #sensors() {
    const body = byId("sensors").tBodies[0];
    for (const key of "RLMW") {
      const fused = this.modalities[key], sensor = this.sensors[key];
      if (!fused && !sensor) continue;
      let row = this.rows.get(key);
      if (!row) {
        row = body.insertRow();
        row.dataset.modality = key;
        for (let i = 0; i < 6; i++) row.insertCell();
        row.cells[0].innerHTML = `${NAMES[key]}<small></small>`;
        const advice = body.insertRow();
        advice.className = "advice";
        advice.insertCell().colSpan = 6;
        row.advice = advice;
        row.cells[1].innerHTML = "<span class=state></span>";
        this.rows.set(key, row);
      }
      const of = fused && this.health.fresh() ? this.health.sensor(key) : this.health.fresh() ? { live: "live", off: "off", starting: "starting" }[sensor?.state] ?? "lost" : "unknown";
      const state = of !== "live" && of !== "off" && sensor?.state === "starting" ? "starting" : of;
      const part = this.parts?.[PARTS[key]];
      text(row.advice.cells[0], part && part.severity !== "ok" ? part.text : "");
      row.advice.hidden = row.advice.cells[0].textContent === "";
      const badge = row.cells[1].firstChild;
      text(badge, state);
      badge.className = `state ${state}`;
      badge.title = sensor?.last_error ?? "";
      text(row.cells[0].lastChild, sensor?.simulated ? "simulated" : "");
      const drops = Object.entries(sensor?.counters ?? {}).filter(([k]) => DROPPED.some((d) => k.includes(d))).reduce((sum, [, n]) => sum + n, 0);
      text(row.cells[2], fixed(sensor?.rate_hz, 1, " Hz"));
      text(row.cells[3], fixed(fused?.age_ms ?? sensor?.age_ms, 0, " ms"));
      text(row.cells[4], fixed(fused?.skew_ms ?? sensor?.skew_ms, 1, " ms"));
      text(row.cells[5], String(drops));
    }
  }

  status(m) {
    this.worth = m.model_figures?.worth_mm;
    this.parts = Object.fromEntries(m.parts.map((p) => [p.part, p]));
    this.#sensors();
    const list = byId("parts");
    const wanted = m.parts.map((p) => `${p.severity}|${p.part.replace("sensor.", "")}: ${p.text}`);
    if (list.dataset.shown === wanted.join("\n")) return;
    list.dataset.shown = wanted.join("\n");
    list.replaceChildren(...wanted.map((line) => {
      const li = document.createElement("li");
      li.className = line.slice(0, line.indexOf("|"));
      li.textContent = line.slice(line.indexOf("|") + 1);
      return li;
    }));
  }

  exercise(m) {
    byId("phase").dataset.own = "no";
    text(byId("exercise"), m.name);
    text(byId("reps"), m.target_repetitions ? `${m.repetitions}/${m.target_repetitions}` : String(m.repetitions));
    text(byId("phase"), m.type === "end" ? "Set finished" : m.phase === "out" ? "Moving" : "At rest");
    if (m.value !== undefined) {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = m.value_name;
      dd.textContent = m.value_unit === "deg" ? `${m.value.toFixed(0)}°` : m.value_unit === "m" ? `${(100 * m.value).toFixed(0)} cm` : `${(100 * m.value).toFixed(0)} %`;
      byId("angles").replaceChildren(dt, dd);
    }
    byId("faults").replaceChildren(...(m.text ? [m.text] : []).map((sentence) => {
      const li = document.createElement("li");
      li.textContent = sentence;
      return li;
    }));
  }

  summary(m) {
    byId("phase").dataset.own = "no";
    text(byId("phase"), `Set finished: ${m.repetitions} repetitions, ${m.tempo_s.median.toFixed(1)} s each`);
  }

  tick() {
    const now = performance.now() / 1000;
    while (this.times.length && this.times[0] < now - 5) this.times.shift();
    const span = this.times.length > 1 ? this.times.at(-1) - this.times[0] : 0;
    const rate = span > 0.8 && now - this.times.at(-1) < 0.6 ? (this.times.length - 1) / span : 0;
    text(byId("fps"), rate.toFixed(1));
    const sorted = [...this.latencies].sort((a, b) => a - b);
    text(byId("latency"), sorted.length ? sorted[sorted.length >> 1].toFixed(1) : "–");
    this.plots.fps.x.push(now);
    this.plots.fps.y.push(rate);
    for (const p of Object.values(this.plots)) {
      while (p.x.length && p.x[0] < now - PLOT_SECONDS) { p.x.shift(); p.y.shift(); }
      p.chart.setData([p.x.map((t) => t - now), p.y]);
    }
    this.#state();
    if (!this.health.fresh()) this.#sensors();
  }
}
