// One socket to one gateway, in the client protocol (Centrifuge, JSON) over a plain WebSocket.
//
// The close code alone says what to do: 3500-3999 and 4500-4999 mean stop; everything else means come back, after a
// pause that grows, with a new ticket, because the old one is spent.

import { Refused } from "./session.js";
import { wallNow } from "./clock.js";

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 10_000;
const ANSWER_WITHIN_MS = 10_000;

/** Whether a close code means that coming back is pointless. */
export function isFinal(code) {
  return (code >= 3500 && code <= 3999) || (code >= 4500 && code <= 4999);
}

/**
 * Follows `channels` on the gateway at `url`. `ticket` buys a ticket, or is null for a socket without credential.
 * `on` is told: state(state, pauseMs), hello(data, channels), subscribed(channel), unsubscribed(channel, why),
 * publication(channel, publication), closed({code, reason, at, wasOpen, final}), refused(error), trouble(text).
 */
export class GatewaySocket {
  #url;
  #ticket;
  #channels;
  #on;
  #attempt = 0;
  #failures = 0;
  #pause = 0;
  #watchdog = 0;
  #silenceMs = 0;
  #socket = null;
  #isOpen = false;
  #lastId = 0;
  #waiting = new Map();
  #giveUp = "";

  constructor({ url, ticket, channels, on }) {
    this.#url = url;
    this.#ticket = ticket;
    this.#channels = channels;
    this.#on = on;
  }

  /** Whether the gateway has answered `connect` and the socket is still there. */
  get isOpen() {
    return this.#isOpen;
  }

  /** Changes with every socket that is opened. */
  get connection() {
    return this.#attempt;
  }

  /** Opens the socket, and again whenever it closes with a code that allows it. */
  async start() {
    const attempt = ++this.#attempt;
    this.#on.state("connecting");
    let url = this.#url;
    if (this.#ticket) {
      try {
        url += `?ticket=${encodeURIComponent(await this.#ticket())}`;
      } catch (error) {
        if (attempt === this.#attempt) this.#noTicket(error);
        return;
      }
    }
    if (attempt === this.#attempt) this.#open(url, attempt);
  }

  /** Closes the socket and stays away. */
  stop() {
    this.#attempt += 1;
    clearTimeout(this.#pause);
    clearTimeout(this.#watchdog);
    this.#forget("stopped");
    this.#socket?.close(1000);
    this.#socket = null;
    this.#on.state("idle");
  }

  /** Says something in a channel; resolves when the gateway has taken it. */
  publish(channel, data) {
    return this.#ask({ publish: { channel, data } });
  }

  /** Presents a newer access token, so that the socket outlives the older one. */
  refresh(token) {
    return this.#ask({ refresh: { token } });
  }

  #noTicket(error) {
    if (error instanceof Refused) {
      this.#on.state("stopped");
      this.#on.refused(error);
    } else {
      this.#on.trouble(error.message);
      this.#later();
    }
  }

  #open(url, attempt) {
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#giveUp = "";
    const current = (then) => (event) => { if (attempt === this.#attempt) then(event); };
    socket.onopen = current(() => this.#connect());
    socket.onmessage = current((event) => this.#read(String(event.data)));
    socket.onclose = (event) => {
      const at = wallNow();
      if (attempt === this.#attempt) this.#closed(event, at);
    };
    this.#expectLife(ANSWER_WITHIN_MS, "no answer from the gateway");
  }

  async #connect() {
    try {
      const told = await this.#ask({ connect: { name: "portcullis-demo" } });
      this.#isOpen = true;
      this.#failures = 0;
      this.#silenceMs = told.ping ? (told.ping + 10) * 1000 : 0;
      this.#expectLife(this.#silenceMs, "no ping from the gateway");
      this.#on.state("open");
      this.#on.hello(told.data ?? {}, Object.keys(told.subs ?? {}));
      for (const channel of this.#channels) this.#subscribe(channel);
    } catch (error) {
      // A gateway that refuses says so and then closes with the code that matters; this is for one that forgets to.
      this.#giveUp = `connect refused: ${error.message}`;
      this.#expectLife(2_000, this.#giveUp);
    }
  }

  #subscribe(channel) {
    this.#ask({ subscribe: { channel } }).then(
      () => this.#on.subscribed(channel),
      (error) => { if (this.#isOpen) this.#on.unsubscribed(channel, error.message); },
    );
  }

  #ask(command) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error("the socket is not open"));
    const id = ++this.#lastId;
    const what = Object.keys(command)[0];
    socket.send(JSON.stringify({ id, ...command }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { what, resolve, reject }));
  }

  #read(frame) {
    if (this.#silenceMs) this.#expectLife(this.#silenceMs, "no ping from the gateway");
    for (const line of frame.split("\n")) {
      if (!line.trim()) continue;
      let reply;
      try {
        reply = JSON.parse(line);
      } catch {
        this.#on.trouble("the gateway sent something that is not JSON");
        continue;
      }
      this.#take(reply);
    }
  }

  #take(reply) {
    if (reply.push) {
      this.#push(reply.push);
    } else if (reply.id) {
      const asked = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.error) asked?.reject(new Error(reply.error.message || `error ${reply.error.code}`));
      else asked?.resolve(reply[asked.what] ?? {});
    } else {
      // An empty reply is a ping, an empty command its answer.
      this.#socket?.send("{}");
    }
  }

  #push(push) {
    if (push.pub) this.#on.publication(push.channel ?? "", push.pub);
    if (push.unsubscribe) {
      this.#on.unsubscribed(push.channel ?? "", push.unsubscribe.reason ?? "");
      if (push.unsubscribe.code >= 2500) this.#subscribe(push.channel);
    }
  }

  #closed(event, at) {
    const wasOpen = this.#isOpen;
    clearTimeout(this.#watchdog);
    this.#socket = null;
    this.#forget("the socket closed");
    const final = isFinal(event.code);
    const reason = event.reason || this.#giveUp || (event.code === 1006 ? "the connection failed" : "");
    if (final) this.#on.state("stopped");
    this.#on.closed({ code: event.code, reason, at, wasOpen, final });
    if (!final) this.#later();
  }

  /** Full jitter, so that many clients that lost their gateway together do not come back together. */
  #later() {
    const ceiling = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures = Math.min(this.#failures + 1, 16);
    const pause = 100 + Math.random() * ceiling;
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.start(), pause);
    this.#on.state("waiting", pause);
  }

  #forget(why) {
    this.#isOpen = false;
    this.#silenceMs = 0;
    for (const asked of this.#waiting.values()) asked.reject(new Error(why));
    this.#waiting.clear();
  }

  #expectLife(ms, why) {
    clearTimeout(this.#watchdog);
    if (!ms) return;
    const socket = this.#socket;
    this.#watchdog = setTimeout(() => {
      this.#giveUp = why;
      socket?.close();
    }, ms);
  }
}
