// The live feed: one WebSocket to the daemon that served the page, reopened
// for ever. Each frame is {"s": subject below posefuse.<room>., "m": message}.
export function openFeed(handlers) {
  let delay = 250;
  const open = () => {
    const url = new URL("ws", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.onopen = () => { delay = 250; handlers.link("open"); };
    socket.onmessage = (event) => {
      const { s, m } = JSON.parse(event.data);
      const handler = handlers[s] ?? handlers[s.split(".")[0]];
      if (handler) handler(m);
    };
    socket.onclose = () => {
      handlers.link("closed");
      setTimeout(open, delay);
      delay = Math.min(delay * 2, 4000);
    };
  };
  open();
}
