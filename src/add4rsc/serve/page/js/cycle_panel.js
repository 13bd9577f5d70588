// The chosen cycle: its probabilities, its quality, and the user's word on it.

import { ABSTAIN } from "./classes.js";
import { fill, h, percent, say, seconds } from "./dom.js";
import { chip } from "./shelf.js";
import { state } from "./state.js";

const VERDICTS = { accepted: "accepted", rejected: "rejected: left out of what is saved", corrected: "corrected" };

/** What happened to a cycle's label, for the ear. */
export function tellReview(entry, index) {
  const verdict = entry.verdict(index);
  say(verdict ? `Cycle ${index + 1}: ${VERDICTS[verdict]}, ${state.palette.heard(entry.label(index))}.` : `Cycle ${index + 1}: label taken back.`);
}

/** Accept what the network says; where it is not sure, there is nothing to accept. */
export function accept(entry, index) {
  if (entry.accept(index) === null) say("The network is not sure. Choose a label instead.");
  else tellReview(entry, index);
}

export function reject(entry, index) {
  entry.reject(index);
  tellReview(entry, index);
}

export function correct(entry, index, label) {
  entry.correct(index, label);
  tellReview(entry, index);
}

export class CyclePanel {
  constructor(entry, { bars, chips }) {
    Object.assign(this, { entry, bars, chips });
    this.element = h("section", { class: "cycle-panel", "aria-labelledby": "cycle-title" });
  }

  show(index) {
    const cycle = this.entry.cycles[index];
    if (!cycle) return fill(this.element, h("h3", { id: "cycle-title" }, "Cycles"), h("p", {}, "There is no cycle in this recording."));
    const focus = document.activeElement?.dataset?.act;
    const head = h("h3", { id: "cycle-title" }, `Cycle ${index + 1} of ${this.entry.cycles.length}`, h("span", { class: "sub" }, ` ${seconds(cycle.start)} to ${seconds(cycle.end)}`));
    const found = h("p", { class: "found" }, chip(cycle.decision), h("strong", {}, cycle.heard), this.#sureness(cycle));
    fill(this.element, head, found, cycle.probabilities ? this.bars(cycle.probabilities, cycle.decision, this.entry.needs) : null,
      cycle.quality.length ? this.chips(cycle.quality) : null, this.#labels(cycle, index));
    if (focus) this.element.querySelector(`[data-act="${focus}"]`)?.focus();
    return null;
  }

  #sureness(cycle) {
    if (!cycle.probabilities) return h("span", { class: "sub" }, " the sound cannot be judged");
    if (cycle.decision === ABSTAIN) return h("span", { class: "sub" }, " no class reaches what it needs: listen yourself");
    const need = this.entry.needs[cycle.decision];
    return h("span", { class: "sub" }, ` ${percent(cycle.probabilities[cycle.decision])}${need ? `, needs ${percent(need)}` : ""}`);
  }

  #labels(cycle, index) {
    const { entry } = this;
    const { palette } = state;
    const verdict = entry.verdict(index);
    const act = (key, text, name, isOn, action, disabled = false) =>
      h("button", { type: "button", class: `label-button${isOn ? " on" : ""}`, "aria-pressed": String(isOn), disabled, dataset: { act: key }, onclick: action },
        name && chip(name), h("span", {}, text), h("kbd", { "aria-hidden": "true" }, key));
    const own = [
      act("A", "Accept", null, verdict === "accepted", () => accept(entry, index), cycle.decision === ABSTAIN),
      act("R", "Reject", null, verdict === "rejected", () => reject(entry, index)),
    ];
    const classes = palette.classes.map((name, place) =>
      act(String(place + 1), palette.name(name), name, verdict === "corrected" && entry.label(index) === name, () => correct(entry, index, name)));
    const words = verdict ? `${VERDICTS[verdict]}${verdict === "corrected" ? ` to ${palette.heard(entry.label(index))}` : ""}` : "not looked at";
    return h("div", { class: "labels", role: "group", "aria-label": "Your label" },
      h("p", { class: "your" }, "Your label: ", h("strong", { class: "your-word" }, words)), h("div", { class: "label-row" }, own), h("div", { class: "label-row" }, classes));
  }
}
