// The live feed: one WebSocket to the daemon that served the page, reopened
// for ever. Each frame is {"s": subject below posefuse.<room>., "m": message}; one
// from before the page opened has its age_ms, by the room's clock.
const SILENT_MS = 5000; // the room says something every second
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 4000;

export function openFeed(handlers, view = "") {
  let delay = FIRST_RETRY_MS, socket, heard = 0, timer;
  const open = () => {
    clearTimeout(timer);
    timer = undefined;
    const url = new URL("ws", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (view) url.searchParams.set("view", view);
    const mine = new WebSocket(url);
    socket = mine;
    heard = performance.now();
    mine.onopen = () => {
      if (mine !== socket) return;
      delay = FIRST_RETRY_MS;
      heard = performance.now();
      handlers.link("open");
    };
    mine.onmessage = (event) => {
      if (mine !== socket) return;
      heard = performance.now();
      const { s, m, age_ms: age } = JSON.parse(event.data);
      const handler = handlers[s] ?? handlers[s.split(".")[0]];
      if (handler) handler(m, age ?? 0);
    };
    mine.onclose = () => { if (mine === socket) again(); };
  };
  const again = () => {
    if (timer !== undefined) return;
    handlers.link("closed");
    signedIn();
    timer = setTimeout(open, delay);
    delay = Math.min(delay * 2, LAST_RETRY_MS);
  };
  // A socket that the other side or the network forgot looks open for minutes.
  const look = () => {
    if (timer !== undefined || document.hidden || performance.now() - heard < SILENT_MS) return;
    const old = socket;
    socket = undefined;
    old.close();
    again();
  };
  setInterval(look, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    heard = Math.max(heard, performance.now() - SILENT_MS + 2000);
    if (timer !== undefined) open();
  });
  open();
}

// signedIn goes to the login if the daemon answers and wants one.
async function signedIn() {
  const answer = await fetch("api/me", { cache: "no-store" }).catch(() => null);
  if (answer?.status === 401) location.assign("login");
}
