// The page of one recording: what was found, player, the chosen cycle, the table, and what can be saved.

import { CyclePanel } from "./cycle_panel.js";
import { CycleTable } from "./cycle_table.js";
import { fileName, fill, h, say, seconds } from "./dom.js";
import { facts, probabilityBars, qualityChips, summary } from "./findings.js";
import { judgeAgain } from "./intake.js";
import { Player } from "./player.js";
import { placeFields } from "./places.js";
import { savingPanel } from "./saving.js";
import { statusText } from "./shelf.js";
import { changes, model, state } from "./state.js";
import { Viewer } from "./viewer.js";

const spectrumHeight = () => (matchMedia("(max-width: 40rem)").matches ? 150 : 200);

/** One recording on the stage. */
export class RecordingView {
  constructor(entry) {
    this.entry = entry;
    this.element = h("article", { class: "recording", "aria-labelledby": "recording-title" });
    this.listeners = new AbortController();
    const on = (name, action) => changes.addEventListener(name, action, { signal: this.listeners.signal });
    on("entry", (event) => event.detail === entry && this.build());
    on("progress", (event) => event.detail === entry && this.#showProgress());
    on("labels", (event) => event.detail === entry && this.#labelsChanged());
    on("theme", () => this.viewer?.repaint());
  }

  /** Build all of it; called again when the recording has been judged. */
  build() {
    this.viewer?.destroy();
    this.viewer = null;
    const { entry } = this;
    const again = h("button", { type: "button", class: "quiet", disabled: !entry.isOver, onclick: () => judgeAgain(entry) }, "Judge again");
    const head = h("header", { class: "recording-head" }, h("div", {}, h("h2", { id: "recording-title", tabindex: "-1" }, fileName(entry.file)), h("p", { class: "sub" }, facts(entry))), again);
    if (!entry.isOver) return this.#buildWaiting(head);
    const problem = entry.data.problem;
    const warning = problem && h("div", { class: "problem" }, h("p", {}, h("strong", {}, `Could not be judged: ${problem.problem}. `), problem.remedy?.replace(/\.?$/, ".")));
    if (entry.data.status === "cancelled") return fill(this.element, head, h("p", {}, statusText(entry)));
    return this.#buildDone(head, warning);
  }

  #buildWaiting(head) {
    this.progress = h("progress", { max: 1, value: this.entry.data.progress?.share || 0, "aria-labelledby": "wait-words" });
    this.progressWords = h("p", { id: "wait-words" }, statusText(this.entry));
    return fill(this.element, head, h("div", { class: "waiting" }, this.progressWords, this.progress));
  }

  #showProgress() {
    if (!this.progress) return;
    this.progress.value = this.entry.data.progress.share;
    this.progressWords.textContent = statusText(this.entry);
  }

  #buildDone(head, warning) {
    const { entry } = this;
    this.viewer = new Viewer(entry, state.palette, spectrumHeight());
    this.player = new Player(this.viewer, { views: state.models.views, model: model().name, onStep: (step) => this.step(step) });
    this.panel = new CyclePanel(entry, { bars: probabilityBars, chips: qualityChips });
    this.table = new CycleTable(entry, (index, plays) => this.choose(index, plays));
    this.viewer.addEventListener("cycle", (event) => this.choose(event.detail, true));
    const findings = entry.isDone ? [h("div", { class: "columns" }, this.panel.element, this.table.element), placeFields(entry), savingPanel(entry)] : [];
    fill(this.element, head, warning, entry.isDone && summary(entry), this.player.element, findings);
    this.viewer.draw().then(() => this.#start(), (problem) => this.player.fail(problem));
    if (entry.isDone) this.#showChosen();
  }

  #start() {
    this.viewer.cycle = this.entry.cycles.length ? this.entry.chosen : -1;
    this.viewer.labelsChanged();
    this.element.dataset.ready = "true";
  }

  #showChosen() {
    this.panel.show(this.entry.chosen);
    this.table.show(this.entry.chosen);
  }

  /** Choose a cycle, and play it if asked. */
  async choose(index, plays = false) {
    const { entry } = this;
    if (!entry.cycles[index]) return;
    entry.chosen = index;
    this.#showChosen();
    await this.viewer?.choose(index);
    if (plays || this.viewer?.isPlaying) this.viewer?.playCycle(index);
    const cycle = entry.cycles[index];
    say(`Cycle ${index + 1} of ${entry.cycles.length}, ${seconds(cycle.start)} to ${seconds(cycle.end)}: ${state.palette.heard(entry.label(index))}`);
  }

  step(by) {
    const next = this.entry.chosen + by;
    if (next >= 0 && next < this.entry.cycles.length) this.choose(next);
  }

  #labelsChanged() {
    this.viewer?.labelsChanged();
    this.#showChosen();
  }

  leave() {
    this.listeners.abort();
    this.viewer?.destroy();
  }
}
