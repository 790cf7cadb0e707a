// A published OAuth client library (oauth4webapi) at the authority's token endpoint: commands come as JSON lines on
// stdin, events go as JSON lines to stdout. It says `ready` first.
//
// Commands, by `do`, each answered by the event of its name:
//   client   {endpoint, id, secret, way: "basic" | "post", scope?}   asks for a service's token; answers {token, scope}
//   refresh  {endpoint, token}                                       spends a refresh token; answers {token, refresh}
// A refusal as RFC 6749 has it is answered with {error, status}, and with `challenge` where the library read one.

import { createInterface } from "node:readline";

import * as oauth from "oauth4webapi";

const insecure = { [oauth.allowInsecureRequests]: true };

function tell(event, body = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...body })}\n`);
}

function server(endpoint) {
  return { issuer: new URL(endpoint).origin, token_endpoint: endpoint };
}

const commands = {
  async client({ endpoint, id, secret, way, scope }) {
    const [as, client] = [server(endpoint), { client_id: id }];
    const auth = way === "basic" ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret);
    const parameters = new URLSearchParams(scope === undefined ? {} : { scope });
    const response = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, insecure);
    const answer = await oauth.processClientCredentialsResponse(as, client, response);
    return { token: answer.access_token, scope: answer.scope, expires_in: answer.expires_in };
  },
  async refresh({ endpoint, token }) {
    const [as, client] = [server(endpoint), { client_id: "web" }];
    const response = await oauth.refreshTokenGrantRequest(as, client, oauth.None(), token, insecure);
    const answer = await oauth.processRefreshTokenResponse(as, client, response);
    return { token: answer.access_token, refresh: answer.refresh_token };
  },
};

tell("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    tell(command.do, await commands[command.do](command));
  } catch (refused) {
    // Of a challenge the library leaves the body to whoever asked.
    const challenge = refused instanceof oauth.WWWAuthenticateChallengeError ? refused.cause[0].scheme : undefined;
    const error = challenge === undefined ? refused.error : (await refused.response.json()).error;
    tell(command.do, { error: error ?? String(refused), status: refused.status, challenge });
  }
}
