// Starts the page: reads the configuration, then makes one panel for each user and one for nobody.

import { AnonymousPanel } from "./anonymous-panel.js";
import { Receipt } from "./receipt.js";
import { Ruler, Timeline } from "./timeline.js";
import { UserPanel } from "./user-panel.js";

const REASONS = {
  no_credential: "No credential was presented, so the gateway opened an anonymous socket.",
  malformed: "What was presented is not a credential.",
  unknown: "The credential is not known.",
  invalid: "The credential is not valid.",
  expired: "The credential has expired.",
  credential_revoked: "The credential was revoked.",
  session_revoked: "The session was revoked.",
  identity_revoked: "The user was logged out everywhere.",
  identity_disabled: "The user is disabled.",
  spent: "The ticket was used before.",
  wrong_origin: "The ticket belongs to another origin.",
  authority_unavailable: "The authority does not answer.",
  not_ready: "The gateway is not ready.",
};

/** What panels share. */
class Page {
  constructor(config) {
    this.config = config;
    this.names = new Map(config.users.filter((user) => user.id).map((user) => [user.id, user.name]));
    this.timeline = new Timeline(document.querySelector("[data-testid=timeline]"));
    this.ruler = new Ruler(document.querySelector(".ruler"));
    this.receipt = new Receipt(document.querySelector(".receipt"));
  }

  /** The name that belongs to an identity the server has stamped. */
  nameOf(identity) {
    return this.names.get(identity) ?? `…${String(identity).slice(-6)}`;
  }

  /** The text of a message; what others send is untrusted. */
  textOf(data) {
    return typeof data?.text === "string" ? data.text.slice(0, 300) : "(not a text)";
  }

  /** A reason for people. */
  reasonText(reason) {
    return REASONS[reason] ?? "";
  }
}

async function readConfig() {
  const banner = document.querySelector("[data-testid=banner]");
  for (let pause = 500; ; pause = Math.min(pause * 2, 5_000)) {
    try {
      const response = await fetch("/api/config", { cache: "no-store" });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const config = await response.json();
      banner.hidden = true;
      return config;
    } catch (error) {
      banner.textContent = `The back end of this page does not answer (${error.message}). Trying again.`;
      banner.hidden = false;
      await new Promise((resolve) => { setTimeout(resolve, pause); });
    }
  }
}

const page = new Page(await readConfig());
const panels = [...page.config.users.map((user) => new UserPanel(page, user)), new AnonymousPanel(page)];
document.getElementById("panels").append(...panels.map((panel) => panel.root));
