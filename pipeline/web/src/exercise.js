// The choice of what the daemon looks for. The daemon says what there is, and who
// may choose: the browser asks for a login where the bus has users.
import { ask } from "./ask.js";

const select = document.getElementById("choice");
const note = document.getElementById("choiceNote");
const SEVERAL = "several";
let programme = []; // the newest choice of several, to go back to
let asked = 0; // lists asked for; an answer that a newer question overtook is old

function option(value, text) {
  const o = document.createElement("option");
  o.value = value;
  o.textContent = text;
  return o;
}

// show fills the list; nobody counts inside the daemon if there is none.
export async function showExercises() {
  const mine = ++asked;
  const answer = await fetch("api/exercise").catch(() => null);
  const list = answer?.status === 200 ? (await answer.json()).exercises : [];
  if (mine !== asked) return;
  select.parentElement.hidden = list.length === 0;
  const chosen = list.filter((e) => e.chosen);
  const all = chosen.length === list.length;
  select.replaceChildren(option("", "whatever is done"), ...list.map((e) => option(e.exercise, e.name)));
  if (!all && chosen.length > 1) programme = chosen;
  if (programme.length) select.append(option(SEVERAL, `programme: ${programme.map((e) => e.name).join(", ")}`));
  select.value = all ? "" : chosen.length > 1 ? SEVERAL : (chosen[0]?.exercise ?? "");
}

select.addEventListener("change", async () => {
  note.textContent = "";
  const what = select.selectedOptions[0].textContent;
  const exercises = select.value === SEVERAL ? programme.map((e) => e.exercise) : select.value ? [select.value] : [];
  if (await ask(`Look for this from now on: ${what}? A set that goes on ends.`)) {
    const answer = await fetch("api/exercise", { method: "POST", body: JSON.stringify({ exercises }) }).catch(() => null);
    if (answer?.ok) note.textContent = `Looked for now: ${what}.`;
    else note.textContent = `Not done: ${answer ? (await answer.text()).trim() : "the daemon is not reachable"}`;
  }
  await showExercises();
});
