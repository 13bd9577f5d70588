// Recordings of one patient side by side, each where it was made on the chest.

import { recordingPath } from "./api.js";
import { fill, h, icon, percent } from "./dom.js";
import { cellOf, CELLS, placeFields, placeWords } from "./places.js";
import { strip } from "./report.js";
import { chip } from "./shelf.js";
import { changes, state, tell } from "./state.js";

export class CompareView {
  constructor() {
    this.element = h("article", { class: "compare", "aria-labelledby": "compare-title" });
    this.patient = null;
    this.sound = new Audio();
    this.listeners = new AbortController();
    ["place", "entry", "entries"].forEach((name) => changes.addEventListener(name, () => this.build(), { signal: this.listeners.signal }));
    this.sound.addEventListener("ended", () => this.#showPlaying(null));
    this.sound.addEventListener("pause", () => this.#showPlaying(null));
  }

  build() {
    const entries = [...state.entries.values()].filter((entry) => entry.isDone);
    const patients = [...new Set(entries.map((entry) => entry.patient))].sort();
    if (!patients.includes(this.patient)) this.patient = state.shown && patients.includes(state.shown.patient) ? state.shown.patient : patients[0];
    const shown = entries.filter((entry) => entry.patient === this.patient);
    const select = h("select", { onchange: (event) => { this.patient = event.target.value; this.build(); } },
      patients.map((each) => h("option", { value: each, selected: each === this.patient }, each || "not known")));
    const cells = CELLS.map(([cell, words]) => this.#cell(cell, words, shown.filter((entry) => cellOf(entry) === cell)));
    fill(this.element, h("header", { class: "recording-head" }, h("h2", { id: "compare-title", tabindex: "-1" }, "Side by side"), h("label", { class: "choice" }, "Patient", select)),
      h("p", { class: "hint" }, "Right and left are the patient’s own; seen from the front, the right side is on the left. Patient and place are read from names of the ICBHI and SPRSound form, or typed below each recording."),
      h("div", { class: "chest" }, cells));
  }

  #cell(cell, words, entries) {
    if (!cell && !entries.length) return null;
    const body = entries.length ? entries.map((entry) => this.#card(entry)) : h("p", { class: "empty" }, "no recording");
    return h("section", { class: `cell ${cell || "elsewhere"}${entries.length ? "" : " bare"}`, "aria-label": words }, h("h3", {}, words), body);
  }

  #card(entry) {
    const { result } = entry.data;
    const play = h("button", { type: "button", class: "play", dataset: { plays: entry.id }, "aria-label": `Play ${entry.file}`, onclick: () => this.#play(entry) }, icon("play"));
    const counted = state.palette.classes.filter((name) => result[`n_${name}`]).map((name) => h("li", {}, chip(name), String(result[`n_${name}`]), h("span", { class: "hidden" }, ` ${state.palette.heard(name)}`)));
    const unsure = result.n_abstained ? h("li", {}, chip("abstain"), String(result.n_abstained), h("span", { class: "hidden" }, " not sure")) : null;
    return h("div", { class: "card" },
      h("div", { class: "card-head" }, play, h("button", { type: "button", class: "link", onclick: () => tell("show", entry) }, entry.file)),
      h("p", { class: "found" }, chip(result.decision), h("strong", {}, result.heard), h("span", { class: "sub" }, result.highest_p_abnormal === null ? "" : ` abnormal up to ${percent(result.highest_p_abnormal)}`)),
      strip(entry), h("ul", { class: "counts" }, counted, unsure),
      h("details", {}, h("summary", {}, placeWords(entry)), placeFields(entry, true)));
  }

  #play(entry) {
    const isThis = this.playing === entry.id && !this.sound.paused;
    this.sound.pause();
    if (isThis) return;
    this.sound.src = recordingPath(entry.id, "audio");
    this.sound.play().then(() => this.#showPlaying(entry.id), () => null);
  }

  #showPlaying(id) {
    this.playing = id;
    this.element.querySelectorAll("[data-plays]").forEach((button) => fill(button, icon(button.dataset.plays === id ? "pause" : "play")));
  }

  leave() {
    this.listeners.abort();
    this.sound.pause();
  }
}
