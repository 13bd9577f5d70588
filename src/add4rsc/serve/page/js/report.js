// A report to print: all recordings with the user's labels. Also the small pictures that cards use.

import { head, row } from "./cycle_table.js";
import { clock, fill, h } from "./dom.js";
import { facts, HALF, means, probabilityBars, qualityChips } from "./findings.js";
import { chip } from "./shelf.js";
import { dress } from "./classes.js";
import { picture } from "./spectrum.js";
import { changes, model, state } from "./state.js";

const MAX_ROWS = 300;

/** A small spectrogram above the cycles in their colours. */
export function strip(entry) {
  const canvas = h("canvas", { class: "strip-picture", role: "img", "aria-label": `Spectrogram of ${entry.file}` });
  const shown = Math.min(entry.data.duration, 600);
  const high = h("span", {});
  const cycles = entry.cycles.filter((cycle) => cycle.start < shown).map((cycle, index) => dress(
    h("i", { style: { left: `${(100 * cycle.start) / shown}%`, width: `${(100 * (Math.min(cycle.end, shown) - cycle.start)) / shown}%` } }), state.palette.look(entry.label(index))));
  picture(entry, canvas).then((layer) => (high.textContent = layer.ticks().at(-1).text), () => canvas.remove());
  return h("div", { class: "strip" }, h("div", { class: "strip-top", "aria-hidden": "true" }, high), canvas, h("div", { class: "strip-cycles", "aria-hidden": "true" }, cycles),
    h("div", { class: "strip-axis", "aria-hidden": "true" }, h("span", {}, "0:00"), h("span", {}, clock(shown, 0))));
}

function section(entry) {
  const { result } = entry.data;
  const rows = entry.cycles.slice(0, MAX_ROWS).map((_, index) => row(entry, index));
  const more = entry.cycles.length - rows.length;
  return h("section", { class: "report-recording" }, h("div", { class: "report-top" }, h("h3", {}, entry.file), h("p", { class: "sub" }, facts(entry)),
    h("p", { class: "found" }, chip(result.decision), h("strong", {}, result.heard), h("span", { class: "sub" }, ` ${entry.reviews.size} of ${entry.cycles.length} cycles looked at by a person`)),
    qualityChips(result.quality), strip(entry), result.n_judged ? probabilityBars(means(result), result.decision, HALF()) : null),
    h("div", { class: "scroll", role: "region", "aria-label": `Cycles of ${entry.file}`, tabindex: "0" }, h("table", { class: "cycles" }, h("caption", {}, "Cycles"), head(entry), h("tbody", {}, rows))),
    more > 0 ? h("p", { class: "hint" }, `... and ${more} more in the CSV table.`) : null);
}

export class ReportView {
  constructor() {
    this.element = h("article", { class: "report", "aria-labelledby": "report-title" });
    this.listeners = new AbortController();
    ["entry", "entries"].forEach((name) => changes.addEventListener(name, () => this.build(), { signal: this.listeners.signal }));
  }

  build() {
    const entries = [...state.entries.values()].filter((entry) => entry.isDone);
    const { name } = model();
    fill(this.element, h("header", { class: "recording-head" }, h("h2", { id: "report-title", tabindex: "-1" }, "Report"),
      h("button", { type: "button", class: "strong", onclick: () => print() }, "Print, or save as PDF")),
    h("p", { class: "made" }, `Model ${name}, add4rsc ${state.health.version}, ${new Date().toLocaleString()}. `, "It names what each stretch of sound is like; it says nothing of an illness."),
    entries.map(section));
  }

  leave() {
    this.listeners.abort();
  }
}
