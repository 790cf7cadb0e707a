// The panel without a credential: one socket to every gateway, one public channel, and the reason it is anonymous.

import { Messages } from "./chat.js";
import { GatewayRow } from "./gateway-row.js";
import { GatewaySocket } from "./gateway-socket.js";
import { instantiate } from "./template.js";

/** Receives what is public. */
export class AnonymousPanel {
  #parts;
  #page;
  #messages;

  constructor(page) {
    const { root, parts } = instantiate("anonymous-panel", "anon");
    this.root = root;
    this.#parts = parts;
    this.#page = page;
    this.#messages = new Messages(page, parts.news, "anon-news-message");
    parts.public.textContent = page.config.channels.public;
    parts.news.setAttribute("aria-label", "News the anonymous panel has received");
    page.config.gateways.forEach((url, index) => this.#addGateway(url, index + 1));
  }

  #addGateway(url, number) {
    const row = new GatewayRow("anon", number, url);
    this.#parts.gateways.append(row.root);
    const { public: channel } = this.#page.config.channels;
    const event = (kind, what, code) => this.#page.timeline.add({ who: "Anonymous", kind, what, gateway: number, code });
    new GatewaySocket({
      url,
      ticket: null,
      channels: [channel],
      on: {
        state: (state) => row.state(state),
        hello: (data) => {
          row.clear();
          event("open", data.authenticated ? "open, recognised" : "open, anonymous");
          this.#explain(data);
        },
        subscribed: (name) => row.channels([{ name, label: name }]),
        unsubscribed: (name, why) => {
          row.channels([]);
          event("refused", `not in ${name}: ${why}`);
        },
        publication: (name, publication) => this.#messages.heard(name, publication, number, { home: channel }),
        closed: (close) => {
          row.closed(close);
          if (close.wasOpen || close.final) event("close", close.reason || "closed", close.code);
        },
        refused: () => {},
        trouble: (text) => event("trouble", text),
      },
    }).start();
  }

  #explain(data) {
    const { reason } = this.#parts;
    reason.dataset.reason = data.reason ?? "";
    const code = document.createElement("code");
    code.textContent = data.reason || "no reason";
    reason.replaceChildren(code, ` ${this.#page.reasonText(data.reason)}`);
  }
}
