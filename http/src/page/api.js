// @ts-check
// Requests to the server that this page came from. The token is kept by this tab alone, until it is closed.

const TOKEN = "prestige.token";
const PATIENCE_MS = 10_000;
// Longer than the server waits before it answers with a job.
const OPERATION_PATIENCE_MS = 60_000;
const JOB_POLL_MS = 1000;

/** @typedef {{ at: number, [figure: string]: number | null }} Entry */
/** @typedef {{ name: string, keys: number, unique_values: number, bytes: number }} NamespaceFigures */
/**
 * @typedef {object} Monitor
 * @property {string} version
 * @property {number} uptime_seconds
 * @property {boolean} read_only
 * @property {string} dedup_mode
 * @property {number | null} threshold
 * @property {string} role
 * @property {boolean} [restricted] whether the token reaches some namespaces only
 * @property {Record<string, any>} health
 * @property {Record<string, any>} stats
 * @property {NamespaceFigures[]} namespaces
 * @property {Entry[]} history
 * @property {{ bins: number[], decisions: number } | null} [similarities]
 */
/** @typedef {{ ok: boolean, name: string, text: string }} Check */

/** An answer that is an error. */
export class Refused extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// Where a browser keeps nothing, the token lives as long as the page.
let remembered = "";

export function token() {
  try {
    return sessionStorage.getItem(TOKEN) ?? remembered;
  } catch {
    return remembered;
  }
}

/** @param {string} value empty: none */
export function setToken(value) {
  remembered = value;
  try {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  } catch {
    // Remembered above.
  }
}

/** @param {string} path relative to the page @param {RequestInit} [init] @param {number} [patience] milliseconds */
async function send(path, init = {}, patience = PATIENCE_MS) {
  const headers = new Headers(init.headers);
  const bearer = token();
  if (bearer) headers.set("Authorization", `Bearer ${bearer}`);
  return fetch(new URL(path, document.baseURI), {
    ...init,
    headers,
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    signal: AbortSignal.timeout(patience),
  });
}

/** The document of an answer. @param {Response} answer @returns {Promise<any>} */
async function document_(answer) {
  if (answer.ok) return answer.status === 204 ? {} : answer.json();
  let detail = answer.statusText || `status ${answer.status}`;
  try {
    const problem = await answer.json();
    if (typeof problem.detail === "string") detail = problem.detail;
  } catch {
    // Not a problem document: a proxy in between, perhaps.
  }
  throw new Refused(answer.status, detail);
}

/** Figures of one namespace or, with `null`, of all.
 * @param {string | null} namespace @param {number} since Unix time of the latest history entry at hand, or 0
 * @returns {Promise<Monitor>} */
export async function monitor(namespace, since) {
  const query = new URLSearchParams();
  if (namespace !== null) query.set("namespace", namespace);
  if (since > 0) query.set("since", String(since));
  return document_(await send(`api/v1/monitor?${query}`));
}

/** The readiness checks, or `null` if they cannot be had. @returns {Promise<Check[] | null>} */
export async function checks() {
  try {
    const answer = await send("readyz?verbose");
    // 503 lists them too, with those that fail.
    const text = answer.ok || answer.status === 503 ? await answer.text() : "";
    const found = [];
    for (const [, mark, name, rest] of text.matchAll(/^\[([+-])\](\S+)[ \t]*(.*)$/gm)) {
      found.push({ ok: mark === "+", name: name ?? "", text: rest ?? "" });
    }
    return found.length ? found : null;
  } catch {
    return null;
  }
}

/** Runs a maintenance operation and waits until it has ended, however long that takes.
 * @param {string} operation @param {string | null} namespace `null`: the whole store @param {object} body
 * @returns {Promise<any>} */
export async function operate(operation, namespace, body) {
  const query = namespace === null ? "" : `?${new URLSearchParams({ namespace })}`;
  const init = {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await send(`api/v1/admin/${operation}${query}`, init, OPERATION_PATIENCE_MS);
  const result = await document_(answer);
  if (answer.status !== 202) return result;
  return finished(String(result.id));
}

/** @param {string} id @returns {Promise<any>} */
async function finished(id) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, JOB_POLL_MS));
    const job = await document_(await send(`api/v1/jobs/${encodeURIComponent(id)}`));
    if (job.state === "succeeded") return job.result ?? {};
    if (job.state === "failed") {
      throw new Refused(job.error?.status ?? 500, job.error?.detail ?? "the operation failed");
    }
  }
}
