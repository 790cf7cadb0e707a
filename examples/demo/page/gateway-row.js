// How one socket looks: its lamp, its channels, and how it closed.

import { span } from "./clock.js";
import { instantiate } from "./template.js";

const STATES = {
  idle: "no socket",
  connecting: "connecting",
  open: "open",
  waiting: "trying again soon",
  stopped: "closed",
};

/** The row of gateway `number` in somebody's panel. */
export class GatewayRow {
  #parts;

  constructor(prefix, number, url) {
    const { root, parts } = instantiate("gateway-row", `${prefix}-gw${number}`);
    this.root = root;
    this.#parts = parts;
    this.number = number;
    parts.label.textContent = `Gateway ${number}`;
    parts.address.textContent = new URL(url).host;
    this.state("idle");
  }

  state(state) {
    const { state: element } = this.#parts;
    element.dataset.state = state;
    element.textContent = STATES[state];
    this.root.dataset.state = state;
    if (state !== "open") this.channels([]);
  }

  /** Shows these channels, in this order. */
  channels(names) {
    const { channels } = this.#parts;
    channels.replaceChildren(...names.map(({ name, label }) => {
      const item = document.createElement("li");
      item.className = "tag";
      item.dataset.channel = name;
      item.title = name;
      item.textContent = label;
      return item;
    }));
    channels.hidden = names.length === 0;
  }

  /** Forgets how the last socket closed. */
  clear() {
    const { close } = this.#parts;
    close.hidden = true;
    for (const key of ["code", "reason", "msAfterCommit", "msAfterPress"]) delete close.dataset[key];
  }

  /** Shows how a socket closed. Called again when the time of the commit becomes known. */
  closed({ code, reason, afterCommit, afterPress }) {
    const { close, code: number, why } = this.#parts;
    close.hidden = false;
    Object.assign(close.dataset, { code, reason });
    if (afterCommit !== undefined) {
      close.dataset.msAfterCommit = afterCommit.toFixed(3);
    }
    if (afterPress !== undefined) {
      close.dataset.msAfterPress = afterPress.toFixed(3);
    }
    number.textContent = code;
    why.textContent = reason || "no reason given";
    const text = (ms, since) => (ms === undefined ? "" : `${span(ms)} ${since}`);
    this.#parts.afterCommit.textContent = text(afterCommit, "after commit");
    this.#parts.afterPress.textContent = text(afterPress, "after you pressed");
  }
}
