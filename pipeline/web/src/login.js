// The login's words; the form itself needs no script.
import { say, translate } from "./words.js";

translate();
const { problem } = document.body.dataset;
if (problem) document.getElementById("problem").textContent = say(problem);
