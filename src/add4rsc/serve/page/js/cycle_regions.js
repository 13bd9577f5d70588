// The cycles as coloured, lettered regions over the waveform, and the time axis below it.

import Timeline from "../vendor/wavesurfer/plugins/timeline.esm.js";
import { ABSTAIN, dress } from "./classes.js";
import { clock, h, percent } from "./dom.js";

export const WAVE_HEIGHT = 128;
export const TIME_HEIGHT = 22;
const BAND_HEIGHT = 22;
const MARKS = { accepted: " ✓", corrected: " ✎", rejected: "" };
const INTERVALS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];
const ROOM = 64; // pixels from one label of the time axis to the next

/** A custom property of the page's colours as a canvas can read it, in light and dark. */
export function colour(name) {
  const probe = h("span", { style: { color: `var(${name})` }, hidden: true });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** The time axis, with as many labels as there is room for. */
export function timeAxis(container, part, pixelsPerSecond) {
  const interval = INTERVALS.find((each) => each * pixelsPerSecond >= ROOM) || 60;
  const digits = interval < 0.1 ? 2 : interval < 1 ? 1 : 0;
  const text = (value) => (part.end < 60 ? `${value.toFixed(digits)} s` : clock(value, digits));
  return Timeline.create({
    container, height: TIME_HEIGHT, timeInterval: interval / 2, primaryLabelInterval: interval, secondaryLabelInterval: interval,
    primaryLabelSpacing: 2, secondaryLabelSpacing: 2, secondaryLabelOpacity: 0.6, style: { color: "var(--muted)", fontSize: "11px" },
    formatTimeCallback: (value) => text(part.start + value),
  });
}

/** What a cycle's tag says, as far as there is room. */
function tagText(view, cycle, index) {
  const { entry, palette } = view;
  const name = entry.label(index);
  const { code } = palette.look(name);
  const verdict = entry.verdict(index);
  const share = verdict || !cycle.probabilities || !(name in cycle.probabilities) ? "" : ` ${percent(cycle.probabilities[name])}`;
  const mark = MARKS[verdict] ?? "";
  const width = (cycle.end - cycle.start) * view.pixelsPerSecond;
  const texts = [`${index + 1} · ${palette.name(name)}${mark}${share}`, `${index + 1} · ${code}${mark}`, code];
  return texts.find((each) => 7.6 * each.length + 10 <= width) ?? "";
}

/** Of two windows that overlap, the second is written one line lower. */
const isLower = (cycles, index) => index % 2 === 1 && cycles[index].start < cycles[index - 1].end - 0.01;

function tag(view, cycle, index) {
  const name = view.entry.label(index);
  const look = view.palette.look(name);
  const words = h("span", { style: { background: look.colour, padding: "0 3px", "border-radius": "2px" } }, tagText(view, cycle, index));
  const element = dress(h("div", { title: `Cycle ${index + 1}: ${view.palette.heard(name)}` }, words), look);
  Object.assign(element.style, {
    position: "relative", top: isLower(view.entry.cycles, index) ? `${BAND_HEIGHT}px` : "0", height: `${BAND_HEIGHT}px`, padding: "0", margin: "0", overflow: "hidden", whiteSpace: "nowrap",
    font: `600 12px/${BAND_HEIGHT}px system-ui, sans-serif`, color: "#111418", textAlign: "center", boxSizing: "border-box", borderTop: name === ABSTAIN ? "2px dashed #333" : "0",
  });
  return element;
}

function dressRegion(view, region, index) {
  if (!region.element) return;
  const { colour: tone } = view.palette.look(view.entry.label(index));
  const isChosen = index === view.chosen;
  const tint = `${tone}${isChosen ? "66" : "2e"}`;
  const edge = isChosen ? `2px solid ${colour("--ink")}` : `1px solid ${tone}`;
  Object.assign(region.element.style, {
    background: `linear-gradient(${tint}, ${tint}) 0 0 / 100% ${WAVE_HEIGHT}px no-repeat`, borderLeft: edge, borderRight: edge, borderRadius: "0",
    boxShadow: isChosen ? `inset 0 0 0 1px ${colour("--ink")}` : "none", zIndex: isChosen ? "6" : "5",
  });
}

/** Draw the cycles of the part that is shown. `view`: entry, palette, part, chosen cycle, pixels of a second. */
export function drawRegions(regions, view) {
  const { part } = view;
  regions.clearRegions();
  view.entry.cycles.forEach((cycle, index) => {
    if (cycle.end <= part.start || cycle.start >= part.end) return;
    const region = regions.addRegion({
      id: `c${index}`, start: Math.max(0, cycle.start - part.start), end: Math.min(part.end, cycle.end) - part.start,
      drag: false, resize: false, color: "transparent", content: tag(view, cycle, index),
    });
    dressRegion(view, region, index);
  });
}
