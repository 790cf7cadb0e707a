// A real OpenID Connect provider (the npm package oidc-provider) on a free port of this machine: commands come as JSON
// lines on stdin, events go as JSON lines to stdout. It says `ready {issuer}` first.
//
// Commands, by `do`, each answered by the event of its name:
//   token   {groups?}   asks the provider's own token endpoint; answers {token}
//   rotate              signs with another key from now on, and publishes only that one
//   asked               answers {count}: how often the key set was read

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

import Provider from "oidc-provider";

const RESOURCE = "urn:acme";
const SECRET = randomUUID();
// Stdout is for events.
console.info = console.error;

let count = 0;
let groups = ["staff"];
let provider;

function tell(event, body = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...body })}\n`);
}

function provide(issuer) {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
  const made = new Provider(issuer, {
    jwks: { keys: [{ ...key, kid: randomUUID(), use: "sig", alg: "ES256" }] },
    clients: [
      {
        client_id: "app",
        client_secret: SECRET,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: "ES256",
      },
    ],
    ttl: { ClientCredentials: 600 },
    extraTokenClaims: () => ({ groups }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: "",
          audience: "acme-app",
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
  return made.callback();
}

const server = createServer((request, response) => {
  if (request.url === "/jwks") count += 1;
  provider(request, response);
});

await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
provider = provide(issuer);
tell("ready", { issuer });

const commands = {
  async token(command) {
    groups = command.groups ?? ["staff"];
    const basic = Buffer.from(`app:${SECRET}`).toString("base64");
    const answer = await fetch(`${issuer}/token`, {
      method: "POST",
      headers: { authorization: `Basic ${basic}` },
      body: new URLSearchParams({ grant_type: "client_credentials", resource: RESOURCE }),
    });
    const body = await answer.json();
    tell("token", { token: body.access_token, error: body.error_description });
  },
  rotate() {
    provider = provide(issuer);
    tell("rotate");
  },
  asked() {
    tell("asked", { count });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  await commands[command.do](command);
}
server.close();
server.closeAllConnections();
