// One login: its tokens, what renews them, and the tickets they buy. Tokens live in this module's private fields and
// in request headers; they never reach the document, storage or a URL.

/** The other side said no, and why. Asking again the same way is pointless. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.status = status;
    this.reason = problem.reason || "refused";
  }
}

/** There was no answer, or "not now". Asking again later is right. */
export class Unreachable extends Error {}

/** POSTs JSON to this page's own back end. */
export async function post(path, body, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  let answer = {};
  try {
    response = await fetch(path, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(12_000),
    });
    const text = await response.text();
    if (text) answer = JSON.parse(text);
  } catch {
    if (!response || response.ok) throw new Unreachable("the back end does not answer");
  }
  if (response.ok) return answer;
  if (response.status >= 500 || response.status === 429) {
    throw new Unreachable(answer.detail || `HTTP ${response.status}`);
  }
  throw new Refused(response.status, answer);
}

/** A login and its tokens. */
export class Session {
  #access;
  #refresh;
  #timer = 0;
  #refreshing = null;
  #onRefreshed;
  #onEnded;

  constructor(answer, { onRefreshed, onEnded }) {
    this.id = answer.session;
    this.identity = answer.identity;
    this.#onRefreshed = onRefreshed;
    this.#onEnded = onEnded;
    this.#take(answer);
  }

  /** Logs in by password. */
  static async login(tenant, name, password, callbacks) {
    const request = { tenant, name, password, mode: "token", device: "This page", client_id: "demo-page" };
    return new Session(await post("/v1/login", request), callbacks);
  }

  /** A one-time ticket for one socket; renews the access token first when that has run out. */
  async ticket() {
    try {
      return await this.ticketAsIs();
    } catch (error) {
      if (!(error instanceof Refused) || error.reason !== "expired") throw error;
      await this.refresh();
      return this.ticketAsIs();
    }
  }

  /** A ticket from the access token as it is. */
  async ticketAsIs() {
    return (await post("/v1/ws-ticket", {}, this.#access)).ticket;
  }

  /** Spends the refresh token for the next pair. Callers at the same time share one exchange: it can be spent once. */
  refresh() {
    this.#refreshing ??= this.#exchange().finally(() => { this.#refreshing = null; });
    return this.#refreshing;
  }

  /** Asks the authority to end this session. */
  logout() {
    return post("/v1/logout", {}, this.#access);
  }

  /** No more renewals. The tokens stay, to show that they are worth nothing. */
  end() {
    clearTimeout(this.#timer);
  }

  async #exchange() {
    const request = { grant_type: "refresh_token", refresh_token: this.#refresh };
    this.#take(await post("/v1/token", request));
    this.#onRefreshed(this.#access, this.expiresAt);
  }

  #take(pair) {
    this.#access = pair.access_token;
    this.#refresh = pair.refresh_token;
    this.expiresAt = Date.now() + pair.expires_in * 1000;
    const early = Math.min(30, pair.expires_in * 0.2);
    this.#renewIn((pair.expires_in - early) * 1000);
  }

  #renewIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.refresh().catch((error) => {
        if (error instanceof Refused) this.#onEnded(error);
        else this.#renewIn(5_000);
      });
    }, Math.min(ms, 2 ** 31 - 1));
  }
}
