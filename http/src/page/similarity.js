// @ts-check
// The last similarity decisions as a histogram, against the threshold of the store.

import { element, setText } from "./dom.js";
import { count, counted, known } from "./format.js";

/** @typedef {import("./api.js").Monitor} Monitor */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 400;
const HEIGHT = 100;

/** @param {Monitor} monitor */
export function showSimilarity(monitor) {
  const bins = (monitor.similarities?.bins ?? []).map((bin) => (known(bin) ? Math.max(bin, 0) : 0));
  const decisions = bins.reduce((sum, bin) => sum + bin, 0);
  const semantic = monitor.dedup_mode === "semantic";
  element("similarity").hidden = bins.length === 0 || (!semantic && decisions === 0);
  if (bins.length === 0) return;
  drawBars(bins, monitor.threshold);
  drawThreshold(monitor.threshold);
  const text = sentence(bins, decisions, monitor.threshold);
  setText(element("similarity-text"), text);
  element("histogram").setAttribute("aria-label", `Histogram of similarities from 0 to 1. ${text}`);
}

/** Whether the whole bin is at or above the threshold. @param {number} index @param {number} bins @param {number | null} threshold */
const isAbove = (index, bins, threshold) => known(threshold) && (index + 0.5) / bins >= threshold;

/** @param {number[]} bins @param {number | null} threshold */
function drawBars(bins, threshold) {
  const svg = element("histogram-bars");
  while (svg.childElementCount < bins.length) {
    const bar = document.createElementNS(SVG, "rect");
    bar.append(document.createElementNS(SVG, "title"));
    svg.append(bar);
  }
  while (svg.childElementCount > bins.length) svg.lastElementChild?.remove();
  const most = Math.max(...bins, 1);
  const width = WIDTH / bins.length;
  bins.forEach((bin, i) => {
    const bar = svg.children[i];
    if (!bar?.firstElementChild) return;
    // What is there is seen, however little it is beside the rest.
    const height = bin === 0 ? 0 : Math.max((bin / most) * HEIGHT, 1.5);
    bar.setAttribute("x", String(i * width + 0.5));
    bar.setAttribute("y", String(HEIGHT - height));
    bar.setAttribute("width", String(Math.max(width - 1, 0.5)));
    bar.setAttribute("height", String(height));
    bar.setAttribute("class", isAbove(i, bins.length, threshold) ? "above" : "below");
    const range = `${(i / bins.length).toFixed(3)} to ${((i + 1) / bins.length).toFixed(3)}`;
    setText(bar.firstElementChild, `${range}: ${count(bin)}`);
  });
}

/** @param {number | null} threshold */
function drawThreshold(threshold) {
  const line = element("threshold");
  line.hidden = !known(threshold);
  if (!known(threshold)) return;
  line.style.setProperty("--at", String(Math.min(Math.max(threshold, 0), 1)));
  line.toggleAttribute("data-left", threshold < 0.5);
  // Settings of 32 bits come with digits that nobody set.
  setText(element("threshold-text"), `threshold ${Number(threshold.toFixed(4))}`);
}

/** @param {number[]} bins @param {number} decisions @param {number | null} threshold */
function sentence(bins, decisions, threshold) {
  if (decisions === 0) return "No text has been compared with another yet.";
  const all = counted(decisions, "comparison with a nearest neighbour", "comparisons with a nearest neighbour");
  if (!known(threshold)) return `${all}.`;
  const above = bins.filter((_, i) => isAbove(i, bins.length, threshold)).reduce((sum, bin) => sum + bin, 0);
  return `${all}, about ${count(above)} of them at the threshold or above.`;
}
