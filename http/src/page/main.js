// @ts-check
// Asks the server every two seconds while the page is seen, and shows what it says.

import * as api from "./api.js";
import { makeCharts } from "./charts.js";
import { element, setText, typed } from "./dom.js";
import { showFigures, showHealth, showStore } from "./figures.js";
import { merged } from "./history.js";
import { makeNamespaces, showNamespaces } from "./namespaces.js";
import { makeOperations, showOperations } from "./operations.js";
import { showSimilarity } from "./similarity.js";

const INTERVAL_MS = 2000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

/** @type {string | null} */
let namespace = null;
let range = 900;
/** @type {api.Entry[]} */
let history = [];
/** @type {api.Monitor | null} */
let latest = null;
let timer = 0;
// Answers to anything but the latest question are dropped.
let question = 0;
let failures = 0;
/** @type {Date | null} */
let lostSince = null;
let nextTry = 0;
// Whether somebody opened the form for the token although figures come in.
let entering = false;

const charts = makeCharts(element("charts"));

async function ask() {
  clearTimeout(timer);
  question += 1;
  const mine = question;
  nextTry = 0;
  const current = () => mine === question;
  try {
    const since = history.at(-1)?.at ?? 0;
    const [monitor, checks] = await Promise.all([api.monitor(namespace, since), api.checks()]);
    if (!current()) return;
    answered(monitor, checks);
    plan(INTERVAL_MS);
  } catch (error) {
    if (!current()) return;
    if (error instanceof api.Refused && (error.status === 401 || error.status === 403)) refused(error);
    else lost(error);
  }
}

/** Asks again later; a page that nobody sees waits until it is. @param {number} delay milliseconds */
function plan(delay) {
  if (document.hidden) return;
  nextTry = Date.now() + delay;
  timer = setTimeout(() => void ask(), delay);
}

/** @param {api.Monitor} monitor @param {api.Check[] | null} checks */
function answered(monitor, checks) {
  failures = 0;
  lostSince = null;
  history = merged(history, monitor.history ?? []);
  latest = monitor;
  showLink("live", "Live");
  element("lost").hidden = true;
  if (!entering) element("sign-in").hidden = true;
  const content = element("content");
  content.hidden = false;
  content.removeAttribute("data-stale");
  content.setAttribute("aria-busy", "false");
  document.title = "Prestige";
  element("choice").hidden = false;
  const token = element("token");
  token.hidden = false;
  setText(token, api.token() ? `Token: ${monitor.role}` : "Use a token");
  // Without tokens every caller of the server is an administrator.
  if (!api.token() && monitor.role === "admin") token.hidden = true;
  showStore(monitor, namespace === null);
  showFigures(monitor, history);
  showHealth(monitor, checks);
  showSimilarity(monitor);
  showNamespaces(monitor.namespaces ?? [], namespace === null);
  showOperations(monitor, namespace);
  draw();
}

function draw() {
  charts.update(history, range, namespace === null && latest?.restricted !== true);
}

/** @param {string} state @param {string} text */
function showLink(state, text) {
  element("link").dataset.link = state;
  setText(element("link-text"), text);
}

/** The server has not answered, or not as it should. @param {unknown} error */
function lost(error) {
  failures += 1;
  lostSince ??= new Date();
  showLink("lost", "No answer");
  document.title = "Prestige: no answer";
  element("content").toggleAttribute("data-stale", latest !== null);
  const at = lostSince.toLocaleTimeString("en-GB");
  const why = error instanceof api.Refused ? ` It says: ${error.message}.` : "";
  setText(element("lost-text"), `The server has not answered since ${at}.${why}`);
  element("lost").hidden = false;
  const delay = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS);
  // Spread, so that many open pages do not ask a server that comes back all at once.
  plan(delay * (0.8 + 0.4 * Math.random()));
  countDown();
}

function countDown() {
  if (element("lost").hidden) return;
  const seconds = Math.ceil((nextTry - Date.now()) / 1000);
  setText(element("lost-next"), seconds > 0 ? `Next try in ${seconds} s.` : "Trying…");
}

/** @param {api.Refused} error */
function refused(error) {
  const tried = api.token() !== "";
  entering = false;
  signIn(tried ? `The server refuses this token: ${error.message}.` : error.status === 403 ? `${error.message}.` : "");
  showLink("loading", "Token needed");
  element("lost").hidden = true;
  // Nothing that an earlier token let through stays to be read.
  element("content").hidden = true;
  element("choice").hidden = true;
  latest = null;
  history = [];
}

/** @param {string} problem */
function signIn(problem) {
  element("sign-in").hidden = false;
  element("sign-in-cancel").hidden = latest === null || problem !== "";
  setText(element("sign-in-error"), problem);
  const input = typed("sign-in-token", HTMLInputElement);
  input.value = "";
  input.focus();
}

element("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  api.setToken(typed("sign-in-token", HTMLInputElement).value.trim());
  history = [];
  entering = false;
  void ask();
});
element("sign-in-cancel").addEventListener("click", () => {
  entering = false;
  element("sign-in").hidden = true;
  element("token").focus();
});
element("token").addEventListener("click", () => {
  entering = true;
  signIn("");
});
element("retry").addEventListener("click", () => void ask());
for (const button of document.querySelectorAll("[data-range]")) {
  button.addEventListener("click", () => {
    range = Number(/** @type {HTMLElement} */ (button).dataset.range);
    for (const other of document.querySelectorAll("[data-range]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    draw();
  });
}
makeNamespaces((chosen) => {
  namespace = chosen;
  history = [];
  void ask();
});
makeOperations(() => void ask());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  // Somebody who has to enter a token is not interrupted.
  else if (element("sign-in").hidden) void ask();
});
addEventListener("online", () => {
  if (lostSince) void ask();
});
setInterval(countDown, 500);
draw();
void ask();
