// @ts-check
// The figures of the last hour, gathered from answer to answer, and the curves that are drawn of them.

/** @typedef {import("./api.js").Entry} Entry */
/** @typedef {(number | null)[]} Curve */

const KEPT_SECONDS = 3600;
// The server notes an entry every five seconds. Over a longer gap nothing is known.
const GAP_SECONDS = 16;

/** Entries in order, those of the answer added. The server sends again what it likes.
 * @param {Entry[]} entries @param {Entry[]} more @returns {Entry[]} */
export function merged(entries, more) {
  const latest = entries.at(-1)?.at ?? 0;
  const fresh = more.filter((entry) => entry.at > latest).sort((a, b) => a.at - b.at);
  const all = [...entries, ...fresh];
  const from = (all.at(-1)?.at ?? 0) - KEPT_SECONDS;
  return all.filter((entry) => entry.at >= from);
}

/** By how much counters grew from one entry to the next, and over how many seconds; `null` after a gap or a restart.
 * @param {Entry | undefined} before @param {Entry} entry @param {string[]} names */
function grown(before, entry, names) {
  if (!before || entry.at - before.at > GAP_SECONDS) return null;
  const differences = names.map((name) => Number(entry[name]) - Number(before[name]));
  // A counter that fell belongs to a store that was opened anew.
  if (!differences.every((difference) => difference >= 0)) return null;
  return { seconds: entry.at - before.at, differences };
}

/** Growth of a counter per second. @param {Entry[]} entries @param {string} name @returns {Curve} */
export const perSecond = (entries, name) =>
  entries.map((entry, i) => {
    const step = grown(entries[i - 1], entry, [name]);
    return step ? (step.differences[0] ?? 0) / step.seconds : null;
  });

/** Share of hits in each interval; `null` where nothing was asked for. @param {Entry[]} entries @returns {Curve} */
export const hitRatio = (entries) =>
  entries.map((entry, i) => {
    const [hits = 0, misses = 0] = grown(entries[i - 1], entry, ["hits", "misses"])?.differences ?? [];
    return hits + misses > 0 ? hits / (hits + misses) : null;
  });

/** A figure as it is noted. Gaps show: a point without a value stands in each.
 * @param {Entry[]} entries @param {string} name @returns {Curve} */
export const level = (entries, name) => entries.map((entry) => entry[name] ?? null);

/** The same for a logarithmic scale, which has no 0. @param {Entry[]} entries @param {string} name @returns {Curve} */
export const positive = (entries, name) =>
  entries.map((entry) => (Number(entry[name]) > 0 ? Number(entry[name]) : null));

/** Entries with one without figures in each gap, so that no curve bridges it. @param {Entry[]} entries @returns {Entry[]} */
export const withGaps = (entries) =>
  entries.flatMap((entry, i) => {
    const before = entries[i - 1];
    return before && entry.at - before.at > GAP_SECONDS ? [{ at: before.at + 1 }, entry] : [entry];
  });

/** Hits and misses of the last `seconds`. @param {Entry[]} entries @param {number} seconds */
export function recentHits(entries, seconds) {
  const from = (entries.at(-1)?.at ?? 0) - seconds;
  let hits = 0;
  let misses = 0;
  entries.forEach((entry, i) => {
    if (entry.at <= from) return;
    const [hit = 0, miss = 0] = grown(entries[i - 1], entry, ["hits", "misses"])?.differences ?? [];
    hits += hit;
    misses += miss;
  });
  return { hits, misses };
}
