// What was said, and the form to say something. Every line names the gateway it came by, because in embedded mode a
// channel lives inside one gateway.

import { timeOfDay } from "./clock.js";

/** A list of messages. */
export class Messages {
  #list;
  #testid;
  #page;

  constructor(page, list, testid) {
    this.#page = page;
    this.#list = list;
    this.#testid = testid;
  }

  /** A message that a gateway delivered, with the sender it stamped. */
  heard(channel, publication, gateway, { home, self }) {
    const { info } = publication;
    const sender = info?.user ? this.#page.nameOf(info.user) : info ? "anonymous" : "a service";
    const text = this.#page.textOf(publication.data);
    this.line({ sender, text, channel, gateway, isPublic: channel !== home, isOwn: sender === self });
  }

  /** One line. */
  line(message) {
    const line = messageLine(this.#testid, message);
    line.classList.toggle("mine", Boolean(message.isOwn));
    appendLine(this.#list, line);
  }
}

/** The form of a user's panel: what to say, in which channel, through which gateway. */
export class Composer {
  #parts;
  #sockets;

  /** `send(text, channel, index)` is called with what the form holds. */
  constructor(parts, sockets, { channels, send }) {
    this.#parts = parts;
    this.#sockets = sockets;
    const { message, channel, via } = parts;
    channel.replaceChildren(...channels.map((each) => new Option(each, each)));
    via.replaceChildren(...sockets.map((_, index) => new Option(`via gateway ${index + 1}`, String(index))));
    message.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = message.value.trim();
      const index = Number(via.value);
      if (!text || !sockets[index].isOpen) return;
      message.value = "";
      send(text, channel.value, index);
    });
  }

  /** Allows what the sockets allow now. */
  update() {
    const { message, channel, via, send } = this.#parts;
    const open = this.#sockets.map((socket) => socket.isOpen);
    for (const element of [message, channel, via, send]) element.disabled = !open.includes(true);
    open.forEach((isOpen, index) => { via.options[index].disabled = !isOpen; });
    if (open.includes(true) && !open[Number(via.value)]) via.value = String(open.indexOf(true));
  }
}

/** One chat line; sender and text are untrusted and stay text. */
function messageLine(testid, { sender, text, channel, gateway, isPublic }) {
  const line = document.createElement("li");
  Object.assign(line.dataset, { testid, sender, channel, gateway });
  const add = (kind, content) => {
    const element = document.createElement("span");
    element.className = kind;
    element.textContent = content;
    line.append(element, " ");
  };
  add("sender", sender);
  add("text", text);
  if (isPublic) add("tag", channel);
  add("tag gw", `via gateway ${gateway}`);
  add("time quiet", timeOfDay(Date.now()));
  return line;
}

/** Appends a line, keeps the list short, and follows its end unless somebody has scrolled up. */
function appendLine(list, line) {
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  list.append(line);
  while (list.childElementCount > 100) list.firstElementChild.remove();
  if (follows) list.scrollTop = list.scrollHeight;
}
