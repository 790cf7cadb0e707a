// The receipt of the last revocation: every gateway by name, what it did, and whether all of it is enforced.

import { span } from "./clock.js";

const FIRST_PAUSE = 60;
const LONGEST_PAUSE = 500;
/** How long sockets may take to close once nothing passes on them. */
const FOR_CLOSING = 5_000;

const STATUS = {
  enforced_by_acknowledgement: "Enforced: every gateway that can hold a lease has applied it",
  enforced_by_time: "Enforced: the bound has passed",
  pending: "Not enforced everywhere yet",
  unknown: "Cannot be told yet: the authority started a moment ago",
};

const STATE = {
  applied: "applied",
  cannot_hold_lease: "cannot hold a lease",
  lagging: "not heard yet",
  unknown: "unknown",
};

/** Follows one receipt at a time; a newer revocation takes its place. */
export class Receipt {
  #root;
  #caption;
  #list;
  #current = 0;

  constructor(root) {
    this.#root = root;
    this.#caption = root.querySelector("[data-receipt=caption]");
    this.#list = root.querySelector("[data-receipt=gateways]");
  }

  /** Shows the receipt of this revision as it fills in. */
  async follow(revision) {
    const current = ++this.#current;
    let enforcedAt;
    for (let pause = FIRST_PAUSE; current === this.#current; pause = Math.min(pause * 1.5, LONGEST_PAUSE)) {
      try {
        const receipt = await read(revision);
        if (current !== this.#current) return;
        this.#show(revision, receipt);
        if (receipt.enforced) enforcedAt ??= performance.now();
        const closed = receipt.gateways.every((part) => part.fenced === null || part.closed >= part.fenced);
        if (receipt.enforced && (closed || performance.now() - enforcedAt > FOR_CLOSING)) return;
      } catch (error) {
        if (current === this.#current) this.#caption.textContent = `No receipt: ${error.message}. Trying again.`;
      }
      await new Promise((resolve) => { setTimeout(resolve, pause); });
    }
  }

  #show(revision, { status, enforced, certain_in_ms: certainIn, gateways }) {
    Object.assign(this.#root.dataset, { status, enforced: String(enforced), revision });
    const rest = enforced ? "." : `; certainly in ${span(certainIn)}.`;
    this.#caption.textContent = `${STATUS[status]}${rest}`;
    this.#list.replaceChildren(...gateways.map((part) => line(part)));
  }
}

function line({ gateway, state, fenced, closed, apply_us: applyUs }) {
  const item = document.createElement("li");
  Object.assign(item.dataset, { testid: "receipt-gateway", gateway, state });
  const name = document.createElement("b");
  name.textContent = gateway;
  const what = document.createElement("span");
  what.textContent = STATE[state];
  const figures = document.createElement("span");
  figures.className = "figures";
  if (fenced !== null) {
    Object.assign(item.dataset, { fenced, closed });
    const sockets = fenced === 0 ? "no socket to close" : `${closed} of ${fenced} closed`;
    figures.textContent = `${sockets}, fenced in ${span(applyUs / 1_000)}`;
  }
  item.append(name, " ", what, " ", figures);
  return item;
}

async function read(revision) {
  const response = await fetch(`/api/receipt?revision=${encodeURIComponent(revision)}`, {
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(12_000),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail || `HTTP ${response.status}`);
  return answer;
}
