// @ts-check
// Numbers as people read them. A figure that is not known, or is no number, is an en dash.

export const UNKNOWN = "–";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const THREE = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const SCIENTIFIC = new Intl.NumberFormat("en", { notation: "scientific", maximumSignificantDigits: 4 });
const RATIO = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const SIZES = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** @param {unknown} value @returns {value is number} */
export const known = (value) => typeof value === "number" && Number.isFinite(value);

/** A count with all its digits. @param {unknown} value */
export const exact = (value) => (known(value) ? WHOLE.format(value) : UNKNOWN);

/** A count, shortened from a million on. @param {unknown} value */
export function count(value) {
  if (!known(value)) return UNKNOWN;
  const size = Math.abs(value);
  return (size < 999_999.5 ? WHOLE : size < 1e15 ? COMPACT : SCIENTIFIC).format(value);
}

/** A count and the noun that goes with it. @param {unknown} value @param {string} one @param {string} [many] */
export const counted = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** A number with its unit, to three digits, powers of 1,000. @param {unknown} value @returns {[string, string]} */
export function bytesParts(value) {
  if (!known(value)) return [UNKNOWN, ""];
  let rest = value;
  let unit = 0;
  // 999.5 would be written as 1,000 of the unit.
  while (Math.abs(rest) >= 999.5 && unit < SIZES.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return [THREE.format(rest), SIZES[unit] ?? ""];
}

/** @param {unknown} value */
export const bytes = (value) => bytesParts(value).join(" ").trim();

/** @param {unknown} value */
export const ratio = (value) =>
  !known(value) ? UNKNOWN : Math.abs(value) < 1000 ? RATIO.format(value) : count(value);

/** A share between 0 and 1. Only all is 100 %, and only nothing is 0 %. @param {unknown} value */
export function percent(value) {
  if (!known(value)) return UNKNOWN;
  if (value > 0.999 && value < 1) return "99.9%";
  if (value > 0 && value < 0.001) return "0.1%";
  const shown = value * 100;
  return `${shown === 0 || shown === 100 ? shown : shown.toFixed(1)}%`;
}

/** A time of microseconds. @param {unknown} micros */
export function latency(micros) {
  if (!known(micros)) return UNKNOWN;
  if (micros < 0.9995) return `${THREE.format(micros * 1000)} ns`;
  if (micros < 999.5) return `${THREE.format(micros)} µs`;
  if (micros < 999_500) return `${THREE.format(micros / 1000)} ms`;
  return `${THREE.format(micros / 1e6)} s`;
}

/** Per second. @param {unknown} value */
export const rate = (value) => (known(value) && value < 999.5 ? THREE.format(value) : count(value));

/** A span of seconds in its two largest units. @param {unknown} seconds */
export function span(seconds) {
  if (!known(seconds)) return UNKNOWN;
  const whole = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([size]) => size !== 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([size]) => size !== 0)
    .map(([size, unit]) => `${first === 0 && unit === "d" ? WHOLE.format(Number(size)) : size} ${unit}`)
    .join(" ");
}

/** A namespace as it is shown; the default one has no name. @param {string} name */
export const namespaceLabel = (name) => (name === "" ? "(default)" : name);
