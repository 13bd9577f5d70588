// Waveform, regions, time axis and spectrograms of one part of a recording, and how it is played.

import WaveSurfer from "../vendor/wavesurfer/wavesurfer.esm.js";
import Regions from "../vendor/wavesurfer/plugins/regions.esm.js";
import Spectrogram from "../vendor/wavesurfer/plugins/spectrogram.esm.js";
import { ask, recordingPath } from "./api.js";
import { colour, drawRegions, TIME_HEIGHT, timeAxis, WAVE_HEIGHT } from "./cycle_regions.js";
import { calm, fill, h } from "./dom.js";
import { axis, fetchLayers, RAMPS } from "./spectrum.js";

const LONGEST_PART = 30; // seconds that are drawn at once: a frame of 15 ms still shows a crackle
const LEAD = 2;
const MAX_ZOOM = 64;
const nonce = document.querySelector('meta[name="csp-nonce"]')?.content || "";

/** The sound of a stretch as wavesurfer draws it: what goes up, and what goes down. */
async function fetchPeaks(entry, start, end) {
  const answer = await ask(recordingPath(entry.id, "peaks", { start: start.toFixed(3), end: end.toFixed(3), buckets: 3000 }));
  return [Float32Array.from(answer.max), Float32Array.from(answer.min)];
}

export class Viewer extends EventTarget {
  constructor(entry, palette, height) {
    super();
    Object.assign(this, { entry, palette, height, view: "original", listen: "original", loops: false, zoom: 1, cycle: -1 });
    this.part = { start: 0, end: Math.min(entry.data.duration, LONGEST_PART) };
    this.wave = h("div", { class: "wave" });
    this.axes = h("div", { class: "axes" });
    this.titles = h("div", { class: "row-titles" });
    this.captions = h("div", { class: "captions" });
    this.element = h("div", { class: "viewer" }, h("div", { class: "plots" }, this.axes, h("div", { class: "plot" }, this.wave, this.titles)), this.captions);
    this.urls = [];
    this.until = null;
    this.load = 0;
  }

  get isLong() {
    return this.entry.data.duration > LONGEST_PART;
  }

  get isPlaying() {
    return Boolean(this.surfer?.isPlaying());
  }

  /** Seconds from the recording's start. */
  get time() {
    return this.part.start + (this.surfer?.getCurrentTime() || 0);
  }

  /** Draw a part from `start` on, in the present view. */
  async draw(start = this.part.start) {
    const turn = ++this.load;
    const { duration } = this.entry.data;
    const first = Math.floor(Math.max(0, Math.min(start, duration - LONGEST_PART)));
    const part = { start: first, end: duration - first < LONGEST_PART + 1 ? duration : first + LONGEST_PART };
    const [peaks, layers] = await Promise.all([
      fetchPeaks(this.entry, part.start, part.end),
      fetchLayers(this.entry, this.view, part.start, part.end),
    ]);
    if (turn !== this.load || !this.element.isConnected) return;
    this.forget();
    this.part = part;
    await this.#build(peaks, layers);
    if (turn !== this.load) return;
    this.#drawCycles();
    this.dispatchEvent(new Event("part"));
  }

  #source() {
    const what = this.view === "denoised" && this.listen === "filtered" ? "denoised/audio" : "audio";
    return recordingPath(this.entry.id, what, this.isLong ? { start: this.part.start.toFixed(3), end: this.part.end.toFixed(3) } : {});
  }

  #build(peaks, layers) {
    this.regions = Regions.create();
    const wave = { waveColor: colour("--wave"), progressColor: colour("--wave-played"), cursorColor: colour("--cursor"), cursorWidth: 2 };
    this.surfer = WaveSurfer.create({
      container: this.wave, cspNonce: nonce, height: WAVE_HEIGHT, barHeight: 0.8, normalize: true, url: this.#source(), peaks,
      duration: this.part.end - this.part.start, ...wave,
    });
    this.surfer.registerPlugin(this.regions);
    this.timeHolder = h("div", {});
    this.timeline = null;
    this.surfer.getWrapper().append(this.timeHolder);
    layers.forEach((each) => this.surfer.registerPlugin(this.#spectrogram(each)));
    this.#drawAxes(layers);
    this.#listen();
    const scroll = this.surfer.getWrapper().parentElement;
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", "Waveform and spectrogram; the table of cycles says the same in words");
    if (this.speed) this.setSpeed(this.speed);
    if (this.loudness) this.setLoudness(this.loudness);
    return new Promise((resolve) => {
      const { surfer } = this;
      surfer.once("destroy", resolve);
      surfer.once("ready", () => {
        if (this.zoom > 1) surfer.zoom(this.#pixelsPerSecond());
        this.#drawTimeAxis();
        resolve();
      });
    });
  }

  #drawTimeAxis() {
    if (this.timeline) this.surfer.unregisterPlugin(this.timeline);
    this.timeline = timeAxis(this.timeHolder, this.part, this.#shownPixelsPerSecond());
    this.surfer.registerPlugin(this.timeline);
  }

  #spectrogram({ layer, ramp }) {
    const url = layer.url();
    this.urls.push(url);
    return Spectrogram.create({ frequenciesDataUrl: url, sampleRate: 2 * layer.maxHertz, frequencyMax: layer.maxHertz, scale: "mel", height: this.height, colorMap: ramp || RAMPS.heat, labels: false });
  }

  #drawAxes(layers) {
    const label = h("div", { class: "axis-wave", style: { height: `${WAVE_HEIGHT}px` }, "aria-hidden": "true" }, h("span", {}, "sound"));
    const rows = layers.map((each) => h("div", { class: "axis-row", style: { height: `${this.height}px` } }, axis(each.layer, each.title)));
    fill(this.axes, label, h("div", { class: "axis-gap", "aria-hidden": "true" }, "time"), rows);
    const top = (row) => WAVE_HEIGHT + TIME_HEIGHT + row * this.height;
    const titles = layers.length > 1 ? layers.map((each, row) => h("p", { class: "row-title", style: { top: `${top(row)}px` } }, h("span", {}, each.title))) : [];
    fill(this.titles, titles);
    fill(this.captions, layers.map((each) => each.caption).filter(Boolean).map((text) => h("p", {}, text)));
  }

  #listen() {
    const { surfer } = this;
    const tellTime = () => {
      this.#keepToStretch();
      this.dispatchEvent(new Event("time"));
    };
    surfer.on("timeupdate", tellTime);
    ["play", "pause"].forEach((name) => surfer.on(name, () => this.dispatchEvent(new Event("play"))));
    surfer.on("interaction", () => (this.until = null));
    surfer.on("finish", () => this.#goOn());
    surfer.on("error", () => this.dispatchEvent(new Event("silent")));
    this.regions.on("region-clicked", (region, event) => {
      event.stopPropagation();
      this.dispatchEvent(new CustomEvent("cycle", { detail: Number(region.id.slice(1)) }));
    });
    this.regions.on("region-double-clicked", (region, event) => {
      event.stopPropagation();
      this.zoomTo(Number(region.id.slice(1)));
    });
    surfer.on("resize", calm(() => this.surfer === surfer && surfer.getDuration() && this.#applyZoom(), 150));
  }

  /** Stop or start again at the end of the stretch that is played. */
  #keepToStretch() {
    if (!this.until || !this.isPlaying || this.time < this.until.end - 0.01) return;
    if (this.loops) this.surfer.setTime(this.until.start - this.part.start);
    else {
      this.until = null;
      this.surfer.pause();
    }
  }

  /** At the end of a part: again if the sound is looped, else the next part. */
  async #goOn() {
    const stretch = this.until;
    if (this.loops && (stretch || !this.isLong)) return this.surfer.play(stretch ? stretch.start - this.part.start : 0);
    this.until = null;
    if (!this.isLong || this.part.end >= this.entry.data.duration - 0.05) return null;
    await this.draw(this.part.end);
    return this.surfer.play(0);
  }

  /** Redraw what depends on labels. */
  #drawCycles() {
    const { entry, palette, part, cycle } = this;
    drawRegions(this.regions, { entry, palette, part, chosen: cycle, pixelsPerSecond: this.#shownPixelsPerSecond() });
  }

  /** Choose a cycle: its part is drawn if it is not on screen. */
  async choose(index) {
    this.cycle = index;
    const cycle = this.entry.cycles[index];
    if (!cycle || !this.surfer) return;
    if (cycle.start < this.part.start - 0.01 || cycle.end > this.part.end + 0.01) await this.draw(cycle.start - LEAD);
    else this.labelsChanged();
    if (this.zoom > 1) this.#scrollTo(cycle);
  }

  labelsChanged() {
    if (this.surfer) this.#drawCycles();
  }

  playPause() {
    if (!this.surfer) return;
    if (this.isPlaying) this.surfer.pause();
    else if (this.loops && this.cycle >= 0) this.playCycle(this.cycle);
    else this.surfer.play();
  }

  playCycle(index) {
    const cycle = this.entry.cycles[index];
    if (!cycle || !this.surfer) return;
    this.until = { start: Math.max(cycle.start, this.part.start), end: Math.min(cycle.end, this.part.end) };
    this.surfer.play(this.until.start - this.part.start);
  }

  setLoop(loops) {
    this.loops = loops;
    const cycle = this.entry.cycles[this.cycle];
    if (loops && cycle && this.isPlaying) this.until = { start: cycle.start, end: cycle.end };
    if (!loops) this.until = null;
  }

  #pixelsPerSecond() {
    return this.zoom === 1 ? 0 : this.#shownPixelsPerSecond();
  }

  #applyZoom() {
    this.surfer.zoom(this.#pixelsPerSecond());
    this.#drawTimeAxis();
    this.#drawCycles();
  }

  #shownPixelsPerSecond() {
    return (this.zoom * this.wave.clientWidth) / (this.part.end - this.part.start);
  }

  zoomBy(factor) {
    const middle = this.surfer ? this.time - this.part.start : 0;
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    if (!this.surfer) return;
    this.#applyZoom();
    const seen = (this.part.end - this.part.start) / this.zoom;
    this.surfer.setScrollTime(Math.max(0, middle - seen / 2));
  }

  zoomTo(index) {
    const cycle = this.entry.cycles[index];
    if (!cycle || !this.surfer) return;
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, (0.8 * (this.part.end - this.part.start)) / (cycle.end - cycle.start)));
    this.#applyZoom();
    this.#scrollTo(cycle);
  }

  #scrollTo(cycle) {
    const seen = (this.part.end - this.part.start) / this.zoom;
    const middle = (cycle.start + cycle.end) / 2 - this.part.start;
    this.surfer.setScrollTime(Math.max(0, middle - seen / 2));
  }

  /** Another view of the same part; the sound goes on being the original's until asked otherwise. */
  async setView(view) {
    this.view = view;
    this.listen = "original";
    await this.draw();
  }

  /** Original or filtered sound, at the same moment. */
  setListen(listen) {
    if (!this.surfer) return;
    this.listen = listen;
    const media = this.surfer.getMediaElement();
    const [time, isPlaying] = [media.currentTime, this.isPlaying];
    media.src = this.#source();
    media.currentTime = time;
    if (isPlaying) media.play();
  }

  setLoudness(factor) {
    this.loudness = factor;
    const media = this.surfer?.getMediaElement();
    if (!media || (factor === 1 && !this.gain)) return;
    if (this.gain?.media !== media) {
      this.context ??= new AudioContext();
      const gain = this.context.createGain();
      this.context.createMediaElementSource(media).connect(gain).connect(this.context.destination);
      this.gain = { media, node: gain };
    }
    this.context.resume();
    this.gain.node.gain.value = factor;
  }

  setSpeed(rate) {
    this.speed = rate;
    this.surfer?.setPlaybackRate(rate);
  }

  repaint() {
    if (!this.surfer) return;
    this.surfer.setOptions({ waveColor: colour("--wave"), progressColor: colour("--wave-played"), cursorColor: colour("--cursor") });
    this.#drawCycles();
  }

  forget() {
    this.surfer?.destroy();
    this.surfer = null;
    this.urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  }

  destroy() {
    this.load += 1;
    this.forget();
    this.context?.close();
  }
}
