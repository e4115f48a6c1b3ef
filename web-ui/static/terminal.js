// The console of a machine: xterm.js draws, a WebSocket carries (FromTerminal up, ToTerminal down).
//
// What holds: nothing is typed before the region has said that it is this page's turn, so what a terminal answers to old output goes
// nowhere; a connection that is lost is opened again after what was shown last, and takes its turn again only if nobody else has.
"use strict";

{
  const place = document.getElementById("terminal");
  const said = document.getElementById("terminal-state");
  const turn = document.getElementById("terminal-turn");
  const trouble = document.getElementById("terminal-trouble");
  const mayType = "mayType" in place.dataset;

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const terminal = new Terminal({
    fontFamily: style("--mono"),
    fontSize: 13,
    scrollback: 5000,
    convertEol: false,
    disableStdin: true,
    screenReaderMode: true,
    // A broken sequence is the machine's, not this page's.
    logLevel: "off",
    theme: { background: "#11161e", foreground: "#e3e7ee", cursor: "#8fb4ff", selectionBackground: "#3a4c6e" },
    // What a machine calls a link is text: nothing is opened.
    linkHandler: { activate() {}, allowNonHttpProtocols: false },
  });
  // Terminals answer questions that stand in what they show. Here a machine would type with somebody's hands.
  const questions = [
    { final: "n" }, { prefix: "?", final: "n" },
    { final: "c" }, { prefix: ">", final: "c" }, { prefix: "=", final: "c" },
    { intermediates: "$", final: "p" }, { prefix: "?", intermediates: "$", final: "p" },
    { final: "t" }, { prefix: ">", final: "q" }, { prefix: "?", final: "u" },
  ];
  for (const question of questions) terminal.parser.registerCsiHandler(question, () => true);
  for (const colour of [4, 10, 11, 12]) terminal.parser.registerOscHandler(colour, (data) => data.includes("?"));
  terminal.parser.registerDcsHandler({ intermediates: "$", final: "q" }, () => true);
  const fit = new FitAddon.FitAddon();
  terminal.loadAddon(fit);
  terminal.open(place);
  fit.fit();
  addEventListener("resize", () => fit.fit());
  // Tab and Escape belong to the machine while somebody types; Ctrl+Shift+Escape gives the keyboard back to the page.
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.type === "keydown" && event.key === "Escape" && event.ctrlKey && event.shiftKey) {
      turn.focus();
      return false;
    }
    return terminal.options.disableStdin ? event.key !== "Tab" && event.key !== "Escape" : true;
  });

  let socket = null;
  let position = null;
  let mine = false;
  let wanted = false;
  let tries = 0;
  let column = 0;

  function send(message) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  function show(text, state) {
    said.textContent = text;
    said.dataset.state = state;
  }

  function complain(text) {
    trouble.textContent = text;
    trouble.hidden = !text;
  }

  function writer({ name, you }) {
    mine = you;
    if (!you && name) wanted = false;
    terminal.options.disableStdin = !you;
    terminal.options.cursorBlink = you;
    place.dataset.mine = you ? "yes" : "no";
    show(you ? "You are typing" : name ? `${name} is typing` : "Nobody is typing", you ? "mine" : name ? "other" : "free");
    if (!mayType) return;
    turn.hidden = false;
    turn.textContent = you ? "Stop typing" : name ? "Take over" : "Type";
    if (you) terminal.focus();
  }

  function output(message) {
    for (const note of message.notes) {
      terminal.write(`${column ? "\r\n" : ""}\x1b[0;2m--- ${note.replace(/[^\x20-\x7e]/g, "?")} ---\x1b[0m\r\n`);
      column = 0;
    }
    terminal.write(message.text);
    if (message.text) column = /[\r\n]$/.test(message.text) ? 0 : 1;
    position = message.position;
  }

  function connect() {
    const address = new URL(place.dataset.socket, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (position !== null) address.searchParams.set("after", position);
    socket = new WebSocket(address);
    socket.onopen = () => {
      tries = 0;
      complain("");
      if (wanted) send({ type: "take", if_free: true });
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "output") output(message);
      else if (message.type === "writer") writer(message);
      else if (message.type === "trouble") complain(message.message[0].toUpperCase() + message.message.slice(1) + ".");
    };
    socket.onclose = ({ reason }) => {
      wanted = wanted || mine;
      mine = false;
      terminal.options.disableStdin = true;
      place.dataset.mine = "no";
      show("Not connected; trying again", "off");
      if (reason) complain(reason[0].toUpperCase() + reason.slice(1) + ".");
      tries += 1;
      setTimeout(connect, Math.min(500 * 2 ** tries, 8000));
    };
  }

  // The region takes at most 1024 bytes at a time, and so many pieces a moment as a serial line does: what is typed while one is on
  // its way goes with the next.
  let typed = [];
  let resting = false;
  function pump() {
    if (!mine) typed = [];
    if (resting || !typed.length) return;
    send({ type: "type", text: typed.splice(0, 256).join("") });
    resting = true;
    setTimeout(() => {
      resting = false;
      pump();
    }, 100);
  }

  terminal.onData((data) => {
    if (!mine) return;
    complain("");
    typed.push(...data);
    pump();
  });
  turn.addEventListener("click", () => {
    wanted = !mine;
    send(mine ? { type: "leave" } : { type: "take" });
  });

  // For tests and the curious: what the screen shows.
  place.screen = () => {
    const buffer = terminal.buffer.active;
    const lines = [];
    for (let y = 0; y < buffer.length; y += 1) lines.push(buffer.getLine(y)?.translateToString(true) ?? "");
    return lines.join("\n").trimEnd();
  };

  connect();
}
