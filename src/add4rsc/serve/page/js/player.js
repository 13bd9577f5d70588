// The buttons around the viewer: play, step, loop, zoom, loudness, speed, and the switch between the views.

import { clock, fill, h, icon, percent, say } from "./dom.js";
import { chip } from "./shelf.js";
import { state } from "./state.js";

const VIEWS = { original: "Original", denoised: "Denoised", explanation: "Explanation" };
let count = 0;

const button = (text, label, action, keys = null) =>
  h("button", { type: "button", "aria-label": label, title: keys ? `${label} (${keys})` : label, onclick: action }, text);

function choice(label, options, action) {
  const select = h("select", { onchange: () => action(Number(select.value)) }, options.map(([value, text]) => h("option", { value: String(value), selected: value === 1 }, text)));
  return h("label", { class: "choice" }, label, select);
}

export class Player {
  constructor(viewer, { views, model, onStep }) {
    this.viewer = viewer;
    this.play = button(icon("play"), "Play", () => viewer.playPause(), "space");
    this.play.classList.add("play");
    this.loop = button(icon("loop"), "Loop the chosen cycle", () => this.toggleLoop(), "L");
    this.loop.setAttribute("aria-pressed", "false");
    this.time = h("output", { class: "time", "aria-label": "Time", "aria-live": "off" });
    this.listening = h("fieldset", { class: "switch", hidden: true });
    this.message = h("p", { class: "problem-text", role: "alert" });
    const tools = h("div", { class: "tools", role: "toolbar", "aria-label": "Player" },
      h("div", { class: "tool-group" }, button(icon("previous"), "Previous cycle", () => onStep(-1), "←"), this.play, button(icon("next"), "Next cycle", () => onStep(1), "→"), this.loop, this.time),
      h("div", { class: "tool-group" }, button(icon("less"), "Zoom out", () => viewer.zoomBy(0.5), "-"), button(icon("more"), "Zoom in", () => viewer.zoomBy(2), "+"),
        button("Cycle", "Zoom to the chosen cycle", () => viewer.zoomTo(viewer.cycle), "Z"), button("All", "Show all of it", () => viewer.zoomBy(0), "0")),
      h("div", { class: "tool-group" }, choice("Loudness", [[1, "× 1"], [2, "× 2"], [4, "× 4"], [8, "× 8"]], (value) => viewer.setLoudness(value)),
        choice("Speed", [[0.25, "¼"], [0.5, "½"], [1, "1"]], (value) => viewer.setSpeed(value))));
    this.element = h("section", { class: "player", "aria-label": "Sound and spectrogram" }, this.#viewSwitch(views, model), tools, this.message, viewer.element, this.#parts(), legend());
    viewer.addEventListener("time", () => this.#showTime());
    viewer.addEventListener("part", () => this.#showPart());
    viewer.addEventListener("play", () => this.#showPlay());
    viewer.addEventListener("silent", () => (this.message.textContent = "This browser cannot play the sound. Pictures and labels work all the same."));
  }

  #viewSwitch(views, model) {
    const name = `view-${++count}`;
    const why = [
      views.denoised ? "" : `Denoised: this network (${model}) has no ADD layer, so it has no learned filter to show or to hear.`,
      views.explanation ? "" : "Explanation: not made by this server; the command “add4rsc explain” draws what an ADD layer attends to.",
    ].join(" ").trim();
    const radios = Object.entries(VIEWS).map(([view, text]) => {
      const can = view === "original" || views[view];
      const input = h("input", { type: "radio", name, value: view, checked: view === "original", disabled: !can, "aria-describedby": can ? null : `${name}-why`, onchange: () => this.setView(view) });
      return h("label", { class: can ? "" : "off" }, input, text);
    });
    return h("div", { class: "views" }, h("fieldset", { class: "switch" }, h("legend", {}, "View"), radios), this.listening, why && h("p", { class: "hint", id: `${name}-why` }, why));
  }

  /** Sound to listen to in the denoised view. */
  #listenSwitch() {
    const name = `listen-${++count}`;
    const radios = Object.entries({ original: "Original", filtered: "Filtered, illustrative" }).map(([listen, text]) =>
      h("label", {}, h("input", { type: "radio", name, value: listen, checked: listen === "original", onchange: () => this.viewer.setListen(listen) }), text));
    fill(this.listening, h("legend", {}, "Listen to"), radios);
  }

  async setView(view) {
    this.listening.hidden = view !== "denoised";
    if (view === "denoised") this.#listenSwitch();
    this.message.textContent = "";
    try {
      await this.viewer.setView(view);
      say(`${VIEWS[view]} view.`);
    } catch (problem) {
      this.fail(problem);
    }
  }

  fail(problem) {
    this.message.textContent = `${problem.message}. ${problem.remedy || ""}`;
  }

  /** For recordings that are longer than what is drawn at once: where one is, and steps. */
  #parts() {
    const { viewer } = this;
    if (!viewer.isLong) return null;
    const { duration } = viewer.entry.data;
    this.slider = h("input", { type: "range", min: "0", max: String(duration), step: "1", value: "0", "aria-label": "Part of the recording", onchange: () => this.#goTo(Number(this.slider.value)) });
    this.partWords = h("output", { class: "sub" });
    this.overview = h("div", { class: "overview", "aria-hidden": "true" }, viewer.entry.cycles.map((cycle) => {
      const look = state.palette.look(cycle.decision);
      return h("i", { style: { left: `${(100 * cycle.start) / duration}%`, width: `${(100 * (cycle.end - cycle.start)) / duration}%`, background: look.colour } });
    }));
    return h("div", { class: "parts" }, button("Earlier", "Earlier part", () => this.#goTo(viewer.part.start - 28)), h("div", { class: "part-track" }, this.overview, this.slider), button("Later", "Later part", () => this.#goTo(viewer.part.start + 28)), this.partWords);
  }

  #goTo(start) {
    this.viewer.draw(start).catch((problem) => this.fail(problem));
  }

  #showPart() {
    if (this.slider) {
      this.slider.value = String(this.viewer.part.start);
      this.partWords.textContent = `${clock(this.viewer.part.start, 0)} to ${clock(this.viewer.part.end, 0)} of ${clock(this.viewer.entry.data.duration, 0)}`;
    }
    this.#showTime();
    this.#showPlay();
  }

  #showTime() {
    this.time.textContent = `${clock(this.viewer.time)} / ${clock(this.viewer.entry.data.duration)}`;
  }

  #showPlay() {
    const isPlaying = this.viewer.isPlaying;
    fill(this.play, icon(isPlaying ? "pause" : "play"));
    this.play.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  }

  toggleLoop() {
    this.viewer.setLoop(!this.viewer.loops);
    this.loop.setAttribute("aria-pressed", String(this.viewer.loops));
    say(this.viewer.loops ? "Loop on." : "Loop off.");
  }
}

/** Every class with its colour, pattern and letter. */
function legend() {
  const { palette } = state;
  const entries = [...palette.classes, "abstain"].map((name) => {
    const need = palette.thresholds[name];
    return h("li", {}, chip(name), palette.heard(name), !need ? "" : h("span", { class: "sub" }, ` from ${percent(need)}`));
  });
  return h("ul", { class: "legend", "aria-label": "Colours" }, entries);
}
