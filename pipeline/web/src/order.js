// A change that an engineer asks for: the page asks once, and says what came of it.
import { ask } from "./ask.js";

// tell writes a sentence into the element of an id.
export function tell(id, words, bad = false) {
  const at = document.getElementById(id);
  at.textContent = words;
  at.className = bad ? "bad" : "";
}

// order asks, sends a request and says what came of it; it returns whether it was done.
export async function order(note, question, name, request, done) {
  if (!await ask(question)) return false;
  tell(note, "…");
  const answer = await fetch(`api/ctl/${name}`, { method: "POST", body: JSON.stringify(request) }).catch(() => null);
  if (!answer) tell(note, "Not done: the daemon does not answer.", true);
  else if (answer.ok) tell(note, done(await answer.json().catch(() => ({}))));
  else tell(note, `Not done: ${(await answer.text()).trim()}`, true);
  return !!answer?.ok;
}
