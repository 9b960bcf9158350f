// The page's words and the advice, in the language of who looks at it. The
// advice is that of the exercise service: the same files.
import en from "./messages/messages.en.json";
import de from "./messages/messages.de.json";
import fr from "./messages/messages.fr.json";
import zh from "./messages/messages.zh.json";
import adviceEn from "../../../exercise/messages/messages.en.json";
import adviceDe from "../../../exercise/messages/messages.de.json";
import adviceFr from "../../../exercise/messages/messages.fr.json";
import adviceZh from "../../../exercise/messages/messages.zh.json";

const WORDS = { en, de, fr, zh };
const ADVICE = { en: adviceEn, de: adviceDe, fr: adviceFr, zh: adviceZh };
const KEPT = "posefuse.language";

export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", zh: "中文" };

function first() {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages.map((l) => l.slice(0, 2))];
  return wanted.find((l) => l in WORDS) ?? "en";
}

let lang = first();

export const language = () => lang;

export function setLanguage(l) {
  lang = l;
  localStorage.setItem(KEPT, l);
  translate();
}

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);

// say returns a sentence of the page.
export const say = (key, values = {}) => fill(WORDS[lang][key] ?? WORDS.en[key] ?? key, values);

// translate writes the words of all elements that have some.
export function translate() {
  document.documentElement.lang = lang;
  for (const e of document.querySelectorAll("[data-say]")) e.textContent = say(e.dataset.say);
  for (const e of document.querySelectorAll("[data-label]")) e.setAttribute("aria-label", say(e.dataset.label));
}

// quantity writes a value of "deg", "m", "s" or a share as people read it.
export function quantity(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  switch (unit) {
    case "deg": return `${value.toFixed(0)}°`;
    case "m": return `${(100 * value).toFixed(0)}\u00a0cm`;
    case "s": return `${value.toLocaleString(lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 })}\u00a0s`;
    default: return `${(100 * value).toFixed(0)}\u00a0%`;
  }
}

// adviceOf is the sentence about a fault. What the files do not know is a
// therapist's own: its sentence came with the message.
export function adviceOf(fault) {
  const text = ADVICE[lang].faults[fault.key];
  return text ? fill(text, { measured: quantity(fault.measured, fault.unit), limit: quantity(fault.limit, fault.unit) }) : (fault.text ?? "");
}

// adviceTo is the sentence of an event, "" if it has none.
export function adviceTo(event) {
  if (event.incomplete_why) return ADVICE[lang].incomplete[event.incomplete_why] ?? event.text ?? "";
  const fault = event.faults?.find((f) => f.verdict === "fault");
  return fault ? adviceOf(fault) : (event.faults?.length ? "" : (event.text ?? ""));
}

export const exerciseName = (activity, own) => ADVICE[lang].exercises[activity] ?? own ?? activity;

const SIGNALS = Object.fromEntries(Object.entries(adviceEn.signals).flatMap(([key]) => Object.values(ADVICE).map((a) => [a.signals[key], key])));

// signalName is what is counted, from its name in any language.
export const signalName = (name) => ADVICE[lang].signals[SIGNALS[name]] ?? name;

// span writes a time in whole seconds or minutes.
export const span = (ms) => (ms < 120_000 ? say("seconds", { n: Math.max(0, Math.floor(ms / 1000)) }) : say("minutes", { n: Math.floor(ms / 60_000) }));

// clock writes a time as minutes and seconds.
export const clock = (ms) => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}`;
