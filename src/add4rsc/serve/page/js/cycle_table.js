// All cycles in a table, a hundred at a time: the same as the picture says, in words.

import { fill, h, percent } from "./dom.js";
import { chip } from "./shelf.js";
import { state } from "./state.js";

const PAGE = 100;
const MARKS = { accepted: "✓ accepted", rejected: "× rejected", corrected: "✎" };
/** Flags of a cycle that the recording as a whole does not have. */
const ownFlags = (entry, cycle) => cycle.quality.filter((flag) => !entry.data.result.quality.includes(flag));
const hasFlags = (entry) => entry.cycles.some((cycle) => ownFlags(entry, cycle).length);

/** One row of the table; `pick` makes the number a button. */
export function row(entry, index, pick = null) {
  const cycle = entry.cycles[index];
  const { palette } = state;
  const verdict = entry.verdict(index);
  const number = pick ? h("button", { type: "button", class: "quiet number-button", "aria-label": `Cycle ${index + 1}, play`, onclick: pick }, String(index + 1)) : String(index + 1);
  const own = verdict === "corrected" ? ["✎ ", chip(entry.label(index)), h("span", { class: "hidden" }, `corrected to ${palette.heard(entry.label(index))}`)] : MARKS[verdict] || "";
  const flags = ownFlags(entry, cycle).map((flag) => state.models.quality_flags[flag] || flag).join(", ");
  return h("tr", { dataset: { index: String(index) } },
    h("th", { scope: "row" }, number), h("td", { class: "number" }, `${cycle.start.toFixed(2)} – ${cycle.end.toFixed(2)}`),
    h("td", { class: "decision" }, chip(cycle.decision), h("span", { class: "long" }, cycle.heard), h("span", { class: "short" }, palette.name(cycle.decision))),
    palette.classes.map((name) => h("td", { class: `number p${cycle.decision === name ? " chosen" : ""}` }, percent(cycle.probabilities?.[name]))),
    h("td", { class: "own" }, own), hasFlags(entry) && h("td", {}, flags));
}

/** The table's head. */
export function head(entry) {
  const { palette } = state;
  const classes = palette.classes.map((name) => h("th", { scope: "col", class: "number" }, h("abbr", { title: `Probability of ${palette.heard(name)}` }, palette.look(name).code)));
  return h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "hidden" }, "Cycle"), h("span", { "aria-hidden": "true" }, "#")),
    h("th", { scope: "col", class: "number" }, "Seconds"), h("th", { scope: "col" }, "Heard"), classes,
    h("th", { scope: "col" }, "Your label"), hasFlags(entry) && h("th", { scope: "col" }, "Quality")));
}

export class CycleTable {
  constructor(entry, choose) {
    this.entry = entry;
    this.choose = choose;
    this.page = -1;
    this.body = h("tbody", {});
    this.pager = h("div", { class: "pager" });
    const table = h("table", { class: "cycles" }, h("caption", {}, "Cycles"), head(entry), this.body);
    this.scroll = h("div", { class: "scroll", role: "region", "aria-label": "Table of cycles", tabindex: "0" }, table);
    this.element = h("section", { class: "cycle-table", "aria-label": "Cycles" }, this.scroll, this.pager);
    this.body.addEventListener("click", (event) => {
      const line = event.target.closest("tr");
      if (line && !event.target.closest("button")) this.choose(Number(line.dataset.index), false);
    });
  }

  /** Draw the page that a cycle is on, and mark it. */
  show(chosen) {
    const focused = this.body.contains(document.activeElement);
    this.page = Math.floor(chosen / PAGE);
    const first = this.page * PAGE;
    const shown = this.entry.cycles.slice(first, first + PAGE).map((_, place) => row(this.entry, first + place, () => this.choose(first + place, true)));
    fill(this.body, shown);
    const line = this.body.querySelector(`[data-index="${chosen}"]`);
    line?.classList.add("chosen");
    line?.querySelector("button")?.setAttribute("aria-current", "true");
    if (focused) line?.querySelector("button")?.focus({ preventScroll: true });
    this.#keepInSight(line);
    this.#drawPager();
  }

  #keepInSight(line) {
    if (!line) return;
    const { scroll } = this;
    const top = line.offsetTop - scroll.querySelector("thead").offsetHeight;
    const bottom = line.offsetTop + line.offsetHeight;
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    else if (bottom > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = bottom - scroll.clientHeight;
  }

  #drawPager() {
    const n = this.entry.cycles.length;
    if (n <= PAGE) return;
    const first = this.page * PAGE;
    const turn = (by, text) => h("button", { type: "button", disabled: first + by < 0 || first + by >= n, onclick: () => this.choose(first + by, false) }, text);
    fill(this.pager, turn(-PAGE, "Earlier"), h("span", {}, `${first + 1} to ${Math.min(n, first + PAGE)} of ${n}`), turn(PAGE, "Later"));
  }
}
