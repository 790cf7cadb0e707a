// What happened, at the bottom of the page: every event in a strip, and the last revocation on a ruler.

import { span, timeOfDay, wallNow } from "./clock.js";

const MOST_EVENTS = 200;

/** The strip of all events; the oldest go when there are too many. */
export class Timeline {
  #list;
  #strip;

  constructor(list) {
    this.#list = list;
    this.#strip = list.parentElement;
  }

  /** Adds an event; `kind` is login, open, press, commit, close, refused, renewed or trouble. */
  add({ who, kind, what, gateway, code, at = wallNow() }) {
    const item = document.createElement("li");
    Object.assign(item.dataset, { testid: "timeline-event", who, kind });
    if (gateway) item.dataset.gateway = gateway;
    if (code !== undefined) item.dataset.code = code;
    const parts = {};
    for (const name of ["time", "who", "what", "ms"]) {
      parts[name] = document.createElement("span");
      parts[name].className = name;
      item.append(parts[name], " ");
    }
    parts.time.textContent = timeOfDay(at);
    parts.who.textContent = gateway ? `${who} · gateway ${gateway}` : who;
    parts.what.textContent = code === undefined ? what : `${code} ${what}`;
    this.#append(item);
    return {
      /** Adds the time since the commit, once it is known. */
      since(ms, since) {
        item.dataset.ms = ms.toFixed(3);
        parts.ms.textContent = `${span(ms)} after ${since}`;
      },
    };
  }

  #append(item) {
    const follows = this.#strip.scrollWidth - this.#strip.scrollLeft - this.#strip.clientWidth < 80;
    this.#list.append(item);
    while (this.#list.childElementCount > MOST_EVENTS) this.#list.firstElementChild.remove();
    if (follows) this.#strip.scrollLeft = this.#strip.scrollWidth;
  }
}

/** The last revocation: pressed, committed, each socket closed, answered; on one scale. */
export class Ruler {
  #caption;
  #list;

  constructor(root) {
    this.#caption = root.querySelector("[data-ruler=caption]");
    this.#list = root.querySelector("[data-ruler=marks]");
  }

  /** Draws `marks`, each `{name, label, at}`, relative to `zero`. */
  show(title, marks, zero) {
    const times = marks.map((mark) => mark.at);
    const first = Math.min(...times);
    const width = Math.max(Math.max(...times) - first, 0.001);
    this.#caption.textContent = title;
    this.#list.replaceChildren(...marks.map(({ name, label, at }) => {
      const item = document.createElement("li");
      Object.assign(item.dataset, { testid: "ruler-mark", mark: name, ms: (at - zero).toFixed(3) });
      const text = document.createElement("span");
      text.textContent = label;
      const track = document.createElement("span");
      track.className = "track";
      const dot = document.createElement("span");
      dot.className = "dot";
      dot.style.left = `${((at - first) / width) * 100}%`;
      track.append(dot);
      const value = document.createElement("b");
      value.textContent = at === zero ? "0" : `${at > zero ? "+" : "−"}${span(Math.abs(at - zero))}`;
      item.append(text, track, value);
      return item;
    }));
  }
}
