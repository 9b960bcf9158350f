// One question before something that others notice.
export function ask(question) {
  const dialog = document.getElementById("ask");
  if (dialog.open) return Promise.resolve(false); // another question stands
  document.getElementById("question").textContent = question;
  dialog.showModal();
  return new Promise((resolve) => {
    const end = new AbortController(), { signal } = end;
    const answered = (yes) => { end.abort(); resolve(yes); };
    dialog.querySelector("form").addEventListener("submit", (e) => answered(e.submitter?.value === "yes"), { signal });
    // Of the question before, the event may come only now.
    dialog.addEventListener("close", () => { if (!dialog.open) answered(false); }, { signal });
  });
}
