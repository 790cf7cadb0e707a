// Drives the published Centrifuge SDK, unmodified: commands come as JSON lines on stdin, events go as JSON lines to
// stdout. When stdin ends nothing keeps this process alive but what the SDK itself still has under way, so a client that
// has stopped for good ends the process, and one that would come back does not.
//
// Commands, by `do`:
//   open         {url, token?, asks?, headers?, first?, data?}  asks: `getToken` asks the test; headers: of the handshake;
//                first: a text frame that is sent before the SDK's own first one
//   token        {token}      answers the oldest question for a token; null: there is none
//   subscribe    {channel}    unsubscribe {channel}    publish {channel, data}
//   raw          {text | base64}    a frame past the SDK, on the SDK's own socket, while that is open
//   disconnect
// Events, by `event`: connecting, connected, disconnected, error, token_wanted, subscribing, subscribed, unsubscribed,
//   publication, message, server_subscribed, server_unsubscribed, published, publish_failed. All but the first few carry
//   `channel`; each one carries `state`, the SDK's state at that moment.

import { createInterface } from "node:readline";

import { Centrifuge, UnauthorizedError } from "centrifuge";
import WebSocket from "ws";

let client;
let socket;
const questions = [];

function tell(event, body = {}) {
  process.stdout.write(`${JSON.stringify({ event, state: client.state, ...body })}\n`);
}

/** What the SDK calls as its WebSocket: the documented way for Node, which has none of its own. */
function socketClass(headers, first) {
  return class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { headers });
      socket = this;
      if (first !== undefined) this.once("open", () => this.send(first));
    }
  };
}

function askForToken() {
  tell("token_wanted");
  return new Promise((resolve, reject) => questions.push({ resolve, reject }));
}

const commands = {
  open({ url, token = "", asks = false, headers = {}, first, data = null }) {
    client = new Centrifuge(url, {
      token,
      data,
      getToken: asks ? askForToken : null,
      websocket: socketClass(headers, first),
      // The pauses between attempts are an option of the SDK; tests need not wait for people.
      minReconnectDelay: 10,
      maxReconnectDelay: 50,
      timeout: 30_000,
    });
    for (const event of ["connecting", "disconnected"]) {
      client.on(event, ({ code, reason }) => tell(event, { code, reason }));
    }
    client.on("connected", ({ client: id, data: told }) => tell("connected", { client: id, data: told }));
    client.on("error", ({ type, error }) => tell("error", { type, code: error.code, message: error.message }));
    client.on("subscribed", ({ channel }) => tell("server_subscribed", { channel }));
    client.on("unsubscribed", ({ channel }) => tell("server_unsubscribed", { channel }));
    client.on("publication", publication);
    client.on("message", ({ data }) => tell("message", { data }));
    client.connect();
  },
  token({ token }) {
    const question = questions.shift();
    if (token === null) question.reject(new UnauthorizedError("no token"));
    else question.resolve(token);
  },
  subscribe({ channel }) {
    const subscription = client.getSubscription(channel) ?? client.newSubscription(channel, {
      minResubscribeDelay: 10,
      maxResubscribeDelay: 50,
    });
    if (subscription.listenerCount("publication") === 0) {
      for (const event of ["subscribing", "unsubscribed"]) {
        subscription.on(event, ({ code, reason }) => tell(event, { channel, code, reason }));
      }
      subscription.on("subscribed", () => tell("subscribed", { channel }));
      subscription.on("error", ({ type, error }) => {
        tell("error", { type, channel, code: error.code, message: error.message });
      });
      subscription.on("publication", publication);
    }
    subscription.subscribe();
  },
  unsubscribe({ channel }) {
    client.getSubscription(channel).unsubscribe();
  },
  publish({ channel, data }) {
    client.publish(channel, data).then(
      () => tell("published", { channel }),
      ({ code, message }) => tell("publish_failed", { channel, code, message }),
    );
  },
  raw({ text, base64 }) {
    if (socket.readyState === WebSocket.OPEN) socket.send(text ?? Buffer.from(base64, "base64"));
  },
  disconnect() {
    client.disconnect();
  },
};

function publication({ channel, data, info }) {
  tell("publication", { channel, data, user: info?.user, client: info?.client });
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const { do: what, ...body } = JSON.parse(line);
  commands[what](body);
});
