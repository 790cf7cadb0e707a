// One press of a button that ends sockets: what was pressed, when it was committed, and which sockets closed when.
//
// A socket may close before the answer that carries the commit's time arrives, or after it: both are put together here.

import { wallNow } from "./clock.js";

/** From pressing to the last close. */
export class Revocation {
  #marks = [];
  #onChange;

  constructor(title, onChange) {
    this.title = title;
    this.#onChange = onChange;
    this.pressedAt = wallNow();
    this.committedAt = undefined;
    this.#mark("pressed", "You pressed", this.pressedAt);
  }

  /** The answer is here; some answers do not say when it was committed. */
  answered(committedAt) {
    const at = wallNow();
    if (typeof committedAt === "number") {
      this.committedAt = committedAt;
      this.#mark("committed", "Committed", committedAt);
    }
    this.#mark("answered", "Answer arrived", at);
    this.#onChange(this);
  }

  /** A socket closed because of it. */
  closed(gateway, at) {
    this.#mark(`gw${gateway}`, `Gateway ${gateway} closed`, at);
    this.#onChange(this);
  }

  /** When a close happened, seen from the commit and from the press. */
  times(at) {
    const afterCommit = this.committedAt === undefined ? undefined : at - this.committedAt;
    return { afterCommit, afterPress: at - this.pressedAt };
  }

  /** Draws itself. */
  draw(ruler) {
    const marks = [...this.#marks].sort((a, b) => a.at - b.at);
    const from = this.committedAt === undefined ? "counted from the press" : "counted from the commit";
    ruler.show(`${this.title}, ${from}`, marks, this.committedAt ?? this.pressedAt);
  }

  #mark(name, label, at) {
    this.#marks.push({ name, label, at });
  }
}
