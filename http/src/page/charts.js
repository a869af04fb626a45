// @ts-check
// Curves over time, drawn by uPlot. Legends are of the page: text, with the figure under the pointer or the latest.

import { make, setText } from "./dom.js";
import { bytes, count, latency, percent, rate, UNKNOWN } from "./format.js";
import { hitRatio, level, perSecond, positive, withGaps } from "./history.js";

/** @typedef {import("./api.js").Entry} Entry */
/** @typedef {(value: number | null | undefined) => string} Shown */
/**
 * @typedef {object} Series
 * @property {string} label
 * @property {"first" | "second"} colour
 * @property {boolean} [dashed]
 * @property {boolean} [filled]
 * @property {boolean} [joined] whether its figure stands behind that of the series before
 * @property {(entries: Entry[]) => (number | null)[]} curve
 */
/** @typedef {(plot: any, least: number, most: number) => [number, number]} Range */
/** @typedef {{ title: string, shown: Shown, range: Range, log?: boolean, whole?: boolean, server?: boolean, series: Series[] }} Spec */

// The library is a classic script, which the document loads before this module.
const { uPlot } = /** @type {any} */ (globalThis);

/** Steps between the times on an axis, in seconds. */
const MINUTES = [1, 2, 5, 10, 15, 30, 60].map((minutes) => minutes * 60);

/** Steps between the lines of an axis that counts: 1, 2, 5, 10 and so on. */
const WHOLE_STEPS = Array.from({ length: 60 }, (_, i) => [1, 2, 5].map((step) => step * 10 ** i)).flat();

/** From 0 to a little above the largest. @type {Range} */
const fromZero = (_, __, most) => [0, most > 0 ? most * 1.1 : 1];

/** Around the values, which may change little. @type {Range} */
function around(_, least, most) {
  if (!(most > 0)) return [0, 10];
  // Enough for the numbers on the axis, which have three digits, to differ.
  const margin = Math.max((most - least) * 0.2, most * 0.02, 2);
  return [Math.max(least - margin, 0), most + margin];
}

/** Whole powers of ten around the values, two at least. @type {Range} */
function decades(_, least, most) {
  const low = Math.floor(Math.log10(least > 0 ? least : 1));
  const high = Math.ceil(Math.log10(most > 0 ? most : 10));
  return [10 ** low, 10 ** Math.max(high, low + 2)];
}

/** @type {Spec[]} */
const SPECS = [
  {
    title: "Operations per second",
    shown: rate,
    range: fromZero,
    series: [
      { label: "gets", colour: "first", filled: true, curve: (entries) => perSecond(entries, "gets") },
      { label: "puts", colour: "second", curve: (entries) => perSecond(entries, "puts") },
    ],
  },
  {
    title: "Hit ratio",
    shown: percent,
    range: () => [0, 1],
    series: [{ label: "of gets", colour: "first", filled: true, curve: hitRatio }],
  },
  {
    title: "Latency p50 and p99",
    shown: latency,
    range: decades,
    log: true,
    series: [
      { label: "get", colour: "first", curve: (entries) => positive(entries, "get_p50_us") },
      { label: "get p99", joined: true, colour: "first", dashed: true, curve: (entries) => positive(entries, "get_p99_us") },
      { label: "put", colour: "second", curve: (entries) => positive(entries, "put_p50_us") },
      { label: "put p99", joined: true, colour: "second", dashed: true, curve: (entries) => positive(entries, "put_p99_us") },
    ],
  },
  {
    title: "Keys",
    shown: count,
    range: around,
    whole: true,
    series: [{ label: "with the expired", colour: "first", curve: (entries) => level(entries, "keys") }],
  },
  {
    title: "Bytes kept",
    shown: bytes,
    range: around,
    whole: true,
    series: [{ label: "keys and values", colour: "first", curve: (entries) => level(entries, "bytes") }],
  },
  {
    title: "HTTP requests per second",
    server: true,
    shown: rate,
    range: fromZero,
    series: [{ label: "answered", colour: "first", filled: true, curve: (entries) => perSecond(entries, "http_requests") }],
  },
];

/** A colour of the style sheet, as it is now: it depends on the mode. @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Indices of values without a neighbour, which no line shows. @param {any} plot @param {number} series */
function lonely(plot, series) {
  const values = plot.data[series];
  const found = [];
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
  }
  return found;
}

/** The powers of ten on an axis. @param {any} _ @param {number} __ @param {number} least @param {number} most */
function powers(_, __, least, most) {
  const found = [];
  for (let power = Math.ceil(Math.log10(least) - 1e-9); 10 ** power <= most * 1.001; power += 1) found.push(10 ** power);
  return found;
}

class Chart {
  /** @param {Spec} spec @param {HTMLElement} parent */
  constructor(spec, parent) {
    this.spec = spec;
    /** @type {number[]} */
    this.window = [0, 1];
    const figure = make("figure", "panel chart");
    this.figure = figure;
    const caption = make("figcaption");
    const legend = make("ul", "legend");
    /** @type {HTMLElement[]} */
    this.values = [];
    for (const series of spec.series) {
      const value = make("b", "", UNKNOWN);
      this.values.push(value);
      if (series.joined) {
        legend.lastElementChild?.append(make("span", `swatch dashed ${series.colour}`), value);
        continue;
      }
      const item = make("li");
      item.append(make("span", `swatch ${series.colour}`), make("span", "", series.label), value);
      legend.append(item);
    }
    caption.append(make("h3", "", spec.title), legend);
    this.place = make("div", "plot");
    this.place.tabIndex = 0;
    this.place.setAttribute("role", "img");
    this.nothing = make("p", "nothing", "Nothing in this time");
    this.place.append(this.nothing);
    figure.append(caption, this.place);
    parent.append(figure);
    this.plot = new uPlot(this.options(), [[], ...spec.series.map(() => [])], this.place);
    new ResizeObserver(() => this.resize()).observe(this.place);
    this.place.addEventListener("keydown", (event) => this.step(event));
    this.place.addEventListener("blur", () => this.plot.setCursor({ left: -10, top: -10 }));
  }

  size() {
    return { width: Math.max(this.place.clientWidth, 120), height: Math.max(this.place.clientHeight, 80) };
  }

  resize() {
    const size = this.size();
    if (size.width !== this.plot.width || size.height !== this.plot.height) this.plot.setSize(size);
  }

  options() {
    const { spec } = this;
    const font = `12px ${colour("sans")}`;
    const axis = {
      font,
      stroke: () => colour("ink-soft"),
      grid: { stroke: () => colour("line"), width: 1 },
      ticks: { show: false },
      border: { show: false },
      gap: 6,
    };
    return {
      ...this.size(),
      legend: { show: false },
      padding: [8, 20, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "prestige" } },
      scales: {
        x: { time: true, range: () => this.window },
        y: { range: spec.range, ...(spec.log ? { distr: 3, log: 10 } : {}) },
      },
      axes: [
        // Hours and minutes, on a clock of 24 hours.
        { ...axis, values: "{HH}:{mm}", incrs: MINUTES, space: 64, size: 28, grid: { show: false } },
        {
          ...axis,
          space: 36,
          size: 62,
          ...(spec.log ? { splits: powers } : {}),
          ...(spec.whole ? { incrs: WHOLE_STEPS } : {}),
          values: (/** @type {any} */ _, /** @type {(number | null)[]} */ splits) =>
            splits.map((split) => (split === null ? "" : spec.shown(split).replace(".0%", "%"))),
        },
      ],
      series: [
        {},
        ...spec.series.map((series) => ({
          stroke: () => colour(series.colour),
          fill: series.filled ? () => colour("fill") : undefined,
          width: 1.75,
          dash: series.dashed ? [4, 3] : undefined,
          points: { show: true, filter: lonely, size: 5, fill: () => colour(series.colour) },
        })),
      ],
      hooks: { setCursor: [() => this.showValues()] },
    };
  }

  /** @param {Entry[]} entries @param {number} seconds how far back */
  update(entries, seconds) {
    const end = entries.at(-1)?.at ?? Date.now() / 1000;
    this.window = [end - seconds, end];
    const curves = this.spec.series.map((series) => series.curve(entries));
    this.plot.setData([entries.map((entry) => entry.at), ...curves]);
    const first = entries.findIndex((entry) => entry.at >= end - seconds);
    this.nothing.hidden = first >= 0 && curves.some((curve) => curve.slice(first).some((value) => value !== null));
    this.showValues();
  }

  /** The figures under the pointer, else the latest that are known. */
  showValues() {
    const at = this.plot?.cursor.idx;
    const said = this.spec.series.map((series, i) => {
      const curve = this.plot?.data[i + 1] ?? [];
      const value = at == null ? curve.findLast((/** @type {unknown} */ one) => one != null) : curve[at];
      const text = this.spec.shown(value);
      const place = this.values[i];
      if (place) setText(place, text);
      return `${series.label} ${text}`;
    });
    const moment = at == null ? "" : ` at ${new Date(this.plot.data[0][at] * 1000).toLocaleTimeString("en-GB")}`;
    this.place.setAttribute("aria-label", `${this.spec.title}${moment}: ${said.join(", ")}`);
  }

  /** Moves from entry to entry by the arrow keys. @param {KeyboardEvent} event */
  step(event) {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const times = this.plot.data[0];
    if (!direction || times.length === 0) return;
    event.preventDefault();
    const from = this.plot.cursor.idx ?? times.length - 1;
    const first = times.findIndex((/** @type {number} */ time) => time >= (this.window[0] ?? 0));
    const index = Math.min(Math.max(from + direction, first), times.length - 1);
    this.plot.setCursor({ left: this.plot.valToPos(times[index], "x"), top: 0 });
  }
}

/** The charts. @param {HTMLElement} parent */
export function makeCharts(parent) {
  const charts = SPECS.map((spec) => new Chart(spec, parent));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of charts) chart.plot.redraw(false, true);
  });
  return {
    /** @param {Entry[]} entries @param {number} seconds @param {boolean} all whether they are of the whole store */
    update(entries, seconds, all) {
      const shown = withGaps(entries);
      for (const chart of charts) {
        // The requests of one namespace are not known.
        chart.figure.hidden = chart.spec.server === true && !all;
        chart.update(shown, seconds);
      }
    },
  };
}
