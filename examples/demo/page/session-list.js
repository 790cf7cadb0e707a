// The sessions of a user as the authority lists them; any other than the panel's own can be ended from here.

import { timeOfDay } from "./clock.js";

/** Fills a `details` element whenever it is opened. */
export class SessionList {
  #name;
  #details;
  #list;
  #revoke;

  /** `revoke(id)` is called for another session. */
  constructor(name, details, list, revoke) {
    this.#name = name;
    this.#details = details;
    this.#list = list;
    this.#revoke = revoke;
  }

  /** Reads the list again, if somebody looks at it. */
  async update(ownId) {
    if (!this.#details.open) return;
    try {
      const response = await fetch(`/api/sessions?name=${encodeURIComponent(this.#name)}`, { cache: "no-store" });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.detail);
      this.#list.replaceChildren(...answer.map((session) => this.#line(session, session.id === ownId)));
      if (answer.length === 0) this.#list.textContent = "None yet.";
    } catch (error) {
      this.#list.textContent = `Not known: ${error.message}`;
    }
  }

  #line(session, isOwn) {
    const item = document.createElement("li");
    Object.assign(item.dataset, { session: session.id, state: session.state });
    const since = session.created_at_ms ? ` since ${timeOfDay(session.created_at_ms)}` : "";
    const text = document.createElement("span");
    text.textContent = `${session.device || "unnamed device"}${since}${isOwn ? ", this panel" : ""}`;
    const state = document.createElement("span");
    state.className = session.state === "active" ? "tag good" : "tag";
    state.textContent = session.state;
    item.append(text, state);
    if (session.state === "active" && !isOwn) {
      const revoke = document.createElement("button");
      revoke.type = "button";
      revoke.textContent = "Revoke";
      revoke.setAttribute("aria-label", `Revoke the session${since}`);
      revoke.addEventListener("click", () => this.#revoke(session.id));
      item.append(revoke);
    }
    return item;
  }
}
