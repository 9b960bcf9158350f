// The sets as CSV, for a spreadsheet: one row a set, units in the names. Where the
// language writes fractions with a comma, as German and French do, the numbers have one
// and semicolons are between the cells: what a spreadsheet of that language expects.
import { language } from "./words.js";

const COLUMNS = ["patient", "time", "exercise", "name", "repetitions", "target_repetitions", "left", "right", "incomplete", "not_judged",
  "range_median", "range_best", "range_unit", "tempo_median_s", "tempo_best_s", "regularity", "symmetry", "faults", "cannot_tell", "id"];

// locale is the user's own of the page's language: Swiss German writes 1.5.
const locale = () => navigator.languages?.find((l) => l.split("-")[0] === language()) ?? language();

// A spreadsheet takes a cell that begins like a formula for one.
function cell(value, comma) {
  let text = value === null || value === undefined ? "" : String(value);
  if (comma && typeof value === "number") text = text.replace(".", ",");
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",;\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csv(patient, sets) {
  const rows = sets.map((s) => [patient, new Date(s.at).toISOString(), s.exercise, s.name, s.repetitions, s.target_repetitions, s.left, s.right, s.incomplete, s.not_judged,
    s.range_of_motion.median, s.range_of_motion.best, s.range_unit || "share", s.tempo_s.median, s.tempo_s.best, s.regularity, s.symmetry,
    s.faults.filter((f) => f.verdict === "fault").map((f) => f.key).join(" "), (s.cannot_tell ?? []).map((f) => f.key).join(" "), s.id]);
  const comma = (1.5).toLocaleString(locale()).includes(",");
  return [COLUMNS, ...rows].map((r) => r.map((v) => cell(v, comma)).join(comma ? ";" : ",")).join("\r\n") + "\r\n";
}

// download saves sets as a file named after the patient and the day.
export function download(patient, sets, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", csv(patient, sets)], { type: "text/csv" }));
  link.download = `posefuse-${patient.replace(/[^\p{L}\p{N}_-]+/gu, "_") || kind}-${new Date().toISOString().slice(0, 10)}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
