// A user's panel: logs in, holds one socket to every gateway, chats, and ends all of it.

import { Composer, Messages } from "./chat.js";
import { timeOfDay } from "./clock.js";
import { GatewayRow } from "./gateway-row.js";
import { GatewaySocket } from "./gateway-socket.js";
import { Revocation } from "./revocation.js";
import { Refused, Session, post } from "./session.js";
import { SessionList } from "./session-list.js";
import { instantiate } from "./template.js";

const REVOKED = [4510, 4511, 4512, 4513];

/** The panel of one user of the demonstration. */
export class UserPanel {
  #parts;
  #page;
  #user;
  #rows = [];
  #session = null;
  #isLive = false;
  #isBusy = false;
  #revocation = null;
  #unsettled = [];
  #messages;
  #composer;
  #sessions;

  /** `page` is what panels share: config, names, timeline, ruler, receipt. */
  constructor(page, user) {
    const { root, parts } = instantiate("user-panel", user.name);
    this.root = root;
    this.#parts = parts;
    this.#page = page;
    this.#user = user;
    this.title = user.name.charAt(0).toUpperCase() + user.name.slice(1);
    this.#label();
    this.#addGateways();
    this.#addChat();
    this.#sessions = new SessionList(user.name, parts.sessions, parts["sessions-list"], (id) => this.#revokeOther(id));
    this.#listen();
    this.#showDisabled(user.state === "disabled");
    this.#showSession();
  }

  #label() {
    const { panel, name, initial, username, password, lobby, actions, chat, message } = this.#parts;
    name.id = `${this.#user.name}-title`;
    panel.setAttribute("aria-labelledby", name.id);
    name.textContent = this.title;
    initial.textContent = this.title.charAt(0);
    username.value = this.#user.name;
    password.value = this.#user.password;
    lobby.textContent = this.#page.config.channels.lobby;
    actions.setAttribute("aria-label", `End what ${this.title} holds`);
    chat.setAttribute("aria-label", `Messages ${this.title} has received`);
    message.setAttribute("aria-label", `Message from ${this.title}`);
  }

  #addGateways() {
    this.#page.config.gateways.forEach((url, index) => {
      const row = new GatewayRow(this.#user.name, index + 1, url);
      const socket = new GatewaySocket({
        url,
        ticket: () => this.#session.ticket(),
        channels: [this.#page.config.channels.lobby],
        on: this.#told(row),
      });
      this.#rows.push({ row, socket, channels: new Set() });
      this.#parts.gateways.append(row.root);
    });
  }

  #addChat() {
    const { lobby, public: news } = this.#page.config.channels;
    this.#messages = new Messages(this.#page, this.#parts.chat, `${this.#user.name}-chat-message`);
    const sockets = this.#rows.map(({ socket }) => socket);
    const send = (text, channel, index) => this.#say(text, channel, this.#rows[index]);
    this.#composer = new Composer(this.#parts, sockets, { channels: [lobby, news], send });
  }

  #listen() {
    const click = (part, then) => this.#parts[part].addEventListener("click", then);
    this.#parts.form.addEventListener("submit", (event) => { event.preventDefault(); this.#logIn(); });
    click("revoke-session", () => this.#end("Revoke this session", "/api/revoke-session", { session: this.#session.id }));
    click("revoke-identity", () => this.#end("Log out everywhere", "/api/revoke-identity", { name: this.#user.name }));
    click("disable", () => this.#disable());
    click("enable", () => this.#enable());
    click("logout", () => this.#endBy("Log out", () => this.#session.logout()));
    click("come-back", () => this.#comeBack());
    this.#parts.sessions.addEventListener("toggle", () => this.#listSessions());
  }

  // ------------------------------------------------------------------------------------------------ logging in

  async #logIn() {
    const { login, password, name } = this.#parts;
    login.disabled = true;
    this.#problem("");
    try {
      this.#session?.end();
      const session = await Session.login(this.#page.config.tenant, this.#user.name, password.value, {
        onRefreshed: (token, expiresAt) => this.#refreshed(token, expiresAt),
        onEnded: (error) => this.#over(`Cannot be renewed. ${this.#page.reasonText(error.reason) || error.message}`),
      });
      this.#begin(session);
      name.focus({ preventScroll: true });
    } catch (error) {
      const verb = error instanceof Refused ? "Refused" : "Failed";
      this.#problem(`${verb}: ${error.message}`);
      this.#event("refused", `login ${verb.toLowerCase()}: ${error.reason ?? error.message}`);
    } finally {
      login.disabled = false;
    }
  }

  #begin(session) {
    this.#session = session;
    this.#isLive = true;
    this.#revocation = null;
    this.#page.names.set(session.identity.id, session.identity.name);
    this.#showDisabled(false);
    this.#showSession();
    this.#event("login", "logged in: a new session");
    for (const { row, socket } of this.#rows) {
      row.clear();
      socket.stop();
      socket.start();
    }
    this.#listSessions();
  }

  /** The sockets live on: each is told the new token in band, or it would end with the old one. */
  #refreshed(token, expiresAt) {
    this.#event("renewed", "access token renewed");
    const { expires } = this.#parts;
    for (const { row, socket } of this.#rows) {
      if (!socket.isOpen) continue;
      socket.refresh(token).then(
        () => { expires.textContent = timeOfDay(expiresAt); },
        (error) => this.#event("trouble", `refresh: ${error.message}`, row.number),
      );
    }
  }

  // -------------------------------------------------------------------------------------------------- sockets

  #told(row) {
    const mine = () => this.#rows[row.number - 1];
    const follow = (change) => {
      change(mine().channels);
      row.channels([...mine().channels].map((name) => ({ name, label: this.#channelLabel(name) })));
    };
    return {
      state: (state) => {
        if (state !== "open") mine()?.channels.clear();
        row.state(state);
        this.#composer.update();
      },
      hello: (data, channels) => {
        row.clear();
        this.#event("open", data.authenticated ? "open, recognised" : "open, anonymous", row.number);
        this.#showWhoami(data);
        follow((set) => channels.forEach((channel) => set.add(channel)));
      },
      subscribed: (channel) => follow((set) => set.add(channel)),
      unsubscribed: (channel, why) => {
        follow((set) => set.delete(channel));
        this.#event("refused", `not in ${this.#channelLabel(channel)}: ${why}`, row.number);
      },
      publication: (channel, publication) => {
        const { lobby: home } = this.#page.config.channels;
        this.#messages.heard(channel, publication, row.number, { home, self: this.#user.name });
      },
      closed: (close) => this.#closed(row, close),
      refused: (error) => this.#over(`No ticket. ${this.#page.reasonText(error.reason) || error.message}`, `no ticket: ${error.reason}`),
      trouble: () => {},
    };
  }

  #closed(row, close) {
    const revocation = REVOKED.includes(close.code) ? this.#revocation : null;
    const entry = close.wasOpen || close.final
      ? this.#event("close", close.reason || "closed", row.number, close.code)
      : null;
    const settle = () => {
      const times = revocation?.times(close.at) ?? {};
      row.closed({ ...close, ...times });
      if (times.afterCommit !== undefined) entry?.since(times.afterCommit, "commit");
      else if (times.afterPress !== undefined) entry?.since(times.afterPress, "pressing");
    };
    settle();
    revocation?.closed(row.number, close.at);
    if (revocation && revocation.committedAt === undefined) this.#unsettled.push(settle);
    if (REVOKED.includes(close.code)) this.#over("The session is over");
  }

  // -------------------------------------------------------------------------------------------------- ending it

  /** Another session of this user: the sockets here stay. */
  async #revokeOther(session) {
    try {
      const done = await post("/api/revoke-session", { session });
      this.#event("commit", "another session: committed", undefined, undefined, done.committed_at_ms);
    } catch (error) {
      this.#event("trouble", `revoke another session failed: ${error.message}`);
    }
    this.#listSessions();
  }

  async #disable() {
    const done = await this.#end("Disable user", "/api/disable", { name: this.#user.name });
    if (done) this.#showDisabled(true, true);
  }

  async #enable() {
    try {
      await post("/api/enable", { name: this.#user.name });
      this.#showDisabled(false, true);
      this.#problem("");
      this.#event("commit", "enabled: may log in again, old sessions stay dead");
    } catch (error) {
      this.#event("trouble", `enable failed: ${error.message}`);
    }
  }

  #end(title, path, body) {
    return this.#endBy(title, () => post(path, body));
  }

  async #endBy(title, call) {
    if (this.#isBusy) return null;
    const open = this.#rows.filter(({ socket }) => socket.isOpen).map((each) => [each, each.socket.connection]);
    const revocation = new Revocation(`${this.title}: ${title}`, (changed) => changed.draw(this.#page.ruler));
    this.#revocation = revocation;
    this.#unsettled = [];
    this.#event("press", title.toLowerCase());
    this.#busy(true);
    try {
      const done = await call();
      revocation.answered(done.committed_at_ms ?? undefined);
      const revision = done.revision ? ` at revision ${String(done.revision).split("-")[0]}` : "";
      this.#event("commit", `${title.toLowerCase()}: committed${revision}`, undefined, undefined, done.committed_at_ms);
      for (const settle of this.#unsettled.splice(0)) settle();
      if (done.revision) this.#page.receipt.follow(done.revision);
      this.#checkBound(open, done.enforced_within_ms);
      this.#over("The session is over");
      this.#listSessions();
      return done;
    } catch (error) {
      this.#event("trouble", `${title.toLowerCase()} failed: ${error.message}`);
      this.#problem(`${title} failed: ${error.message}`);
      return null;
    } finally {
      this.#busy(false);
    }
  }

  /** Says so when a socket that should be gone is still there after the bound. */
  #checkBound(open, withinMs) {
    if (!withinMs) return;
    setTimeout(() => {
      for (const [{ row, socket }, connection] of open) {
        const same = socket.isOpen && socket.connection === connection;
        if (same) this.#event("trouble", "still open after the bound", row.number);
      }
    }, withinMs);
  }

  #over(status, event) {
    if (event) this.#event("refused", event);
    if (!this.#isLive) return;
    this.#isLive = false;
    this.#session?.end();
    this.#showSession(status);
  }

  async #comeBack() {
    const { "come-back": button, "come-back-result": result } = this.#parts;
    const tries = [["ticket", () => this.#session.ticketAsIs()], ["refresh", () => this.#session.refresh()]];
    const said = [];
    button.disabled = true;
    for (const [what, ask] of tries) {
      try {
        await ask();
        said.push({ what, status: 200, reason: "allowed", text: `${what}: allowed` });
      } catch (error) {
        const { status = 0, reason = "no answer" } = error;
        said.push({ what, status, reason, text: `${what}: ${status || ""} ${reason}` });
      }
    }
    this.#session.end();
    button.disabled = false;
    Object.assign(result.dataset, { status: said[0].status, reason: said[0].reason });
    result.textContent = said.map(({ what, status, reason }) => (status === 200
      ? `The ${what} was given.`
      : `${what === "ticket" ? "New ticket with the old token" : "Renewing the old token"}: ${status || "no"} ${reason}.`
    )).join(" ");
    this.#event("refused", `old token: ${said.map(({ text }) => text).join(", ")}`);
  }

  // ----------------------------------------------------------------------------------------------------- chat

  async #say(text, channel, { row, socket }) {
    try {
      await socket.publish(channel, { text });
      // This panel does not follow the public channel, so it would not see its own message.
      const isPublic = channel !== this.#page.config.channels.lobby;
      if (isPublic) this.#messages.line({ sender: "you", text, channel, gateway: row.number, isPublic, isOwn: true });
    } catch (error) {
      this.#problem(`Not sent: ${error.message}`);
    }
  }

  // -------------------------------------------------------------------------------------------------- showing

  #showSession(status) {
    const live = this.#isLive;
    const parts = this.#parts;
    parts.form.hidden = live;
    parts["revoke-session"].disabled = !live;
    parts.logout.disabled = !live;
    parts["come-back-box"].hidden = live || !this.#session;
    parts["come-back-result"].textContent = "";
    delete parts["come-back-result"].dataset.status;
    delete parts["come-back-result"].dataset.reason;
    parts.status.textContent = status ?? (live ? "Logged in" : "Not logged in");
    parts.panel.dataset.live = String(live);
    parts.whoami.hidden = !live;
    if (live) this.#problem("");
  }

  #showWhoami(data) {
    const { authenticated, identity, tenant, session, reason, expires, "reason-row": row } = this.#parts;
    const short = (id) => (id ? `…${String(id).slice(-4)}` : "none");
    authenticated.textContent = data.authenticated ? "yes" : "no";
    identity.textContent = data.identity ? `${this.#page.nameOf(data.identity)} ${short(data.identity)}` : "none";
    identity.title = data.identity ?? "";
    tenant.textContent = data.tenant ?? "none";
    session.textContent = short(data.session);
    session.title = data.session ?? "";
    reason.textContent = data.reason ? this.#page.reasonText(data.reason) : "";
    row.hidden = !data.reason;
    expires.textContent = data.expires_at ? timeOfDay(data.expires_at) : "no end";
    this.#parts.whoami.hidden = false;
  }

  #showDisabled(disabled, moveFocus = false) {
    const { disable, enable, disabled: tag } = this.#parts;
    const focused = document.activeElement === disable || document.activeElement === enable;
    disable.hidden = disabled;
    enable.hidden = !disabled;
    tag.hidden = !disabled;
    // The pressed button is gone: the keyboard goes on from the one in its place.
    if (moveFocus && (focused || document.activeElement === document.body)) (disabled ? enable : disable).focus();
  }

  #listSessions() {
    return this.#sessions.update(this.#session?.id);
  }

  #busy(busy) {
    this.#isBusy = busy;
    for (const part of ["revoke-session", "revoke-identity", "disable", "logout"]) {
      // Not `disabled`: that would throw the keyboard's place away.
      this.#parts[part].setAttribute("aria-disabled", String(busy));
    }
  }

  #problem(text) {
    this.#parts.problem.textContent = text;
    this.#parts.problem.hidden = !text;
  }

  #channelLabel(name) {
    const { personal_prefix: prefix } = this.#page.config.channels;
    return name.startsWith(prefix) ? "personal" : name;
  }

  #event(kind, what, gateway, code, at) {
    return this.#page.timeline.add({ who: this.title, kind, what, gateway, code, at: at ?? undefined });
  }
}
