// @ts-check
// The headline figures, what the store says of its health, and the words about the store itself.

import { element, make, setText } from "./dom.js";
import { bytes, bytesParts, count, counted, exact, known, percent, ratio, span } from "./format.js";
import { recentHits } from "./history.js";

/** @typedef {import("./api.js").Monitor} Monitor */
/** @typedef {import("./api.js").Check} Check */
/** @typedef {import("./api.js").Entry} Entry */

const RECENT_SECONDS = 300;

/** A headline figure. @param {string} id @param {string} text @param {{ unit?: string, full?: string, note?: string }} more */
function show(id, text, { unit = "", full = "", note = "" } = {}) {
  const place = element(id);
  if (place.dataset.shown !== `${text} ${unit}`) {
    place.dataset.shown = `${text} ${unit}`;
    place.replaceChildren(document.createTextNode(text), ...(unit ? [" ", make("small", "", unit)] : []));
  }
  place.title = full;
  setText(element(`${id}-note`), note);
}

/** @param {Monitor} monitor @param {Entry[]} entries */
export function showFigures(monitor, entries) {
  const { health, stats } = monitor;
  const expired = health.expired_objects || 0;
  const live = known(health.total_keys) ? Math.max(health.total_keys - expired, 0) : null;
  show("keys", count(live), {
    full: exact(live),
    note: expired > 0 ? `and ${count(expired)} expired` : "",
  });
  show("values", count(health.total_objects), {
    full: exact(health.total_objects),
    note: health.orphaned_objects > 0 ? `${count(health.orphaned_objects)} without a key` : "",
  });
  show("ratio", ratio(health.dedup_ratio), { note: "keys per value" });
  const [kept, keptUnit] = bytesParts(health.total_bytes);
  show("bytes", kept, {
    unit: keptUnit,
    full: `${exact(health.total_bytes)} bytes`,
    // Of a young store everything is in memory and in the log.
    note: health.bytes_on_disk > 0 ? `${bytes(health.bytes_on_disk)} on disk` : "",
  });
  showSaved(health);
  const asked = (stats.hits || 0) + (stats.misses || 0);
  const recent = recentHits(entries, RECENT_SECONDS);
  const recently = recent.hits + recent.misses;
  show("hits", percent(asked > 0 ? stats.hits / asked : null), {
    full: `${exact(stats.hits)} hits, ${exact(stats.misses)} misses`,
    note: recently > 0 ? `${percent(recent.hits / recently)} in 5 min` : counted(asked, "get"),
  });
}

/** @param {Record<string, any>} health */
function showSaved(health) {
  const [saved, unit] = bytesParts(health.bytes_saved);
  const given = (health.total_bytes || 0) + (health.bytes_saved || 0);
  const part = given > 0 ? health.bytes_saved / given : 0;
  show("saved", saved, {
    unit,
    full: `${exact(health.bytes_saved)} bytes`,
    note: given > 0 ? `${percent(part)} of ${bytes(given)}` : "",
  });
  const share = element("share");
  share.hidden = given === 0;
  share.style.setProperty("--kept", String(1 - part));
  share.style.setProperty("--saved", String(part));
  share.setAttribute("aria-label", `${percent(1 - part)} of what was put is kept, ${percent(part)} is saved`);
}

/** @param {Monitor} monitor @param {boolean} all whether the figures are of all namespaces */
export function showStore(monitor, all) {
  setText(element("version"), monitor.version);
  const semantic = monitor.dedup_mode === "semantic";
  const words = [semantic ? "semantic" : "exact"];
  if (semantic && known(monitor.threshold)) words.push(`threshold ${Number(monitor.threshold.toFixed(4))}`);
  if (monitor.read_only) words.push("read-only");
  words.push(`up ${span(monitor.uptime_seconds)}`);
  setText(element("about"), words.join(" · "));
  const { health } = monitor;
  const empty = all && health.total_keys === 0;
  element("empty").hidden = !empty;
  const url = new URL("api/v1/kv/greeting", document.baseURI);
  const write = `curl -X PUT --data-binary 'hello' ${url}`;
  setText(
    element("empty-text"),
    monitor.read_only
      ? "The store is open read-only: another process puts values into it."
      : "Put a first value, and the figures change while you watch:",
  );
  const command = element("empty-command");
  if (command.parentElement) command.parentElement.hidden = monitor.read_only;
  setText(command, write);
}

/** @param {Monitor} monitor @param {Check[] | null} checks */
export function showHealth(monitor, checks) {
  const { health, stats } = monitor;
  const found = checks ?? [{ ok: true, name: "store", text: "answers" }];
  if (health.index_ok === false && found.every((check) => check.ok)) {
    found.push({ ok: false, name: "index", text: "does not follow writes; open the store anew" });
  }
  const list = element("checks");
  const shown = found.map((check) => `${check.ok} ${check.name} ${check.text}`).join("\n");
  if (list.dataset.shown !== shown) {
    list.dataset.shown = shown;
    list.replaceChildren(...found.map(checkLine));
  }
  const semantic = health.dedup_mode === "semantic";
  showFacts([
    ["Oldest key", health.total_keys > 0 ? `${span(health.oldest_object_age_s)} ago` : "–"],
    ["Last put or use", health.total_keys > 0 ? `${span(health.newest_access_age_s)} ago` : "–"],
    ["Last sweep", known(health.last_sweep_age_s) ? `${span(health.last_sweep_age_s)} ago` : "not since opening"],
    ["Expired keys removed", count(stats.expirations)],
    ["Keys evicted", count(stats.evictions)],
    ["Puts of known bytes", count(stats.dedup_hits)],
    ...(semantic
      ? [
          ["Puts of a known meaning", count(stats.semantic_hits)],
          ["Vectors in the index", count(health.index_vectors)],
          ["Since its checkpoint", counted(health.index_log_entries, "entry", "entries")],
        ]
      : []),
  ]);
}

/** @param {Check} check */
function checkLine(check) {
  const line = make("li");
  // The mark is not by its colour alone, and a screen reader says it.
  const mark = make("span", check.ok ? "good" : "bad", check.ok ? "✓" : "✗");
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", check.ok ? "passes" : "fails");
  line.append(mark, make("b", "", check.name), " ", make("span", "note", check.text));
  return line;
}

/** @param {string[][]} facts */
function showFacts(facts) {
  const list = element("facts");
  while (list.childElementCount > facts.length) list.lastElementChild?.remove();
  while (list.childElementCount < facts.length) {
    const pair = make("div");
    pair.append(make("dt"), make("dd"));
    list.append(pair);
  }
  facts.forEach(([name = "", value = ""], i) => {
    const [term, text] = list.children[i]?.children ?? [];
    if (term) setText(term, name);
    if (text) setText(text, value);
  });
}
