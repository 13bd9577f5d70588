// Spectrograms from the server: colours, the hertz axis, small pictures, and the form that wavesurfer's plugin reads.

import { ask, bytesOf, recordingPath } from "./api.js";
import { h, hertz } from "./dom.js";

const HEAT = [[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164]];
const GREY = [[10, 12, 16], [250, 250, 250]];

/** 256 colours between some stops, each [r, g, b, 1] from 0 to 1. */
function ramp(stops) {
  return Array.from({ length: 256 }, (_, index) => {
    const place = (index / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    const mix = (channel) => (stops[low][channel] + (place - low) * (stops[low + 1][channel] - stops[low][channel])) / 255;
    return [mix(0), mix(1), mix(2), 1];
  });
}

/** Even in lightness, so that they also read in grey. */
export const RAMPS = { heat: ramp(HEAT), grey: ramp(GREY) };

const toMel = (frequency) => 2595 * Math.log10(1 + frequency / 700);
const fromMel = (mel) => 700 * (10 ** (mel / 2595) - 1);
export const N_BINS = 128;
const HIGHEST = 2000; // hertz: crackles and wheezes lie below

/** One layer on an even mel axis from 0 Hz to `maxHertz`, and on even steps of time from its start to its end. */
export class Layer {
  constructor(answer, data, maxHertz = answer.max_hertz) {
    Object.assign(this, { start: answer.start, end: answer.end, nMels: answer.n_mels, hertz: answer.hertz, maxHertz });
    this.bytes = bytesOf(data);
    this.bands = this.#bands();
    this.frames = this.#frames(answer);
    this.nFrames = this.frames.length;
  }

  /** For each even step the frame that lies there; frames of a network have a rhythm of their own. */
  #frames({ n_frames: n, first_time: first, frame_shift: shift }) {
    if (first === undefined) return Array.from({ length: n }, (_, frame) => frame);
    const steps = Math.max(1, Math.round((this.end - this.start) / shift));
    const time = (step) => this.start + ((step + 0.5) * (this.end - this.start)) / steps;
    return Array.from({ length: steps }, (_, step) => Math.max(0, Math.min(n - 1, Math.round((time(step) - first) / shift))));
  }

  /** For each even bin the band that lies nearest; -1 below the lowest one. */
  #bands() {
    const mels = this.hertz.map(toMel);
    const step = mels.length > 1 ? mels[1] - mels[0] : 1;
    const top = toMel(this.maxHertz);
    return Array.from({ length: N_BINS }, (_, bin) => {
      const mel = ((bin + 0.5) / N_BINS) * top;
      if (mel < mels[0] - step / 2) return -1;
      let best = 0;
      mels.forEach((each, band) => Math.abs(each - mel) < Math.abs(mels[best] - mel) && (best = band));
      return best;
    });
  }

  at(frame, bin) {
    return this.bands[bin] < 0 ? 0 : this.bytes[this.frames[frame] * this.nMels + this.bands[bin]];
  }

  /** Channels, frames, bins: what wavesurfer's spectrogram plugin takes. */
  url() {
    const frames = Array.from({ length: this.nFrames }, (_, frame) => Array.from({ length: N_BINS }, (_, bin) => this.at(frame, bin)));
    return URL.createObjectURL(new Blob([JSON.stringify([frames])], { type: "application/json" }));
  }

  /** Where frequencies are written, from the bottom (0) to the top (1). */
  ticks() {
    const all = [100, 200, 500, 1000, 2000, 4000, 8000].filter((each) => each <= this.maxHertz * 1.001);
    const top = toMel(this.maxHertz);
    return all.map((each) => ({ text: hertz(each), place: toMel(each) / top }));
  }

  /** A small picture. */
  draw(canvas, colours = RAMPS.heat) {
    canvas.width = this.nFrames;
    canvas.height = N_BINS;
    const image = new ImageData(this.nFrames, N_BINS);
    for (let frame = 0; frame < this.nFrames; frame += 1) {
      for (let bin = 0; bin < N_BINS; bin += 1) {
        const colour = colours[this.at(frame, bin)];
        const place = 4 * ((N_BINS - 1 - bin) * this.nFrames + frame);
        for (let channel = 0; channel < 3; channel += 1) image.data[place + channel] = 255 * colour[channel];
        image.data[place + 3] = 255;
      }
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

/** The hertz axis of a spectrogram. */
export function axis(layer, title) {
  return h("div", { class: "axis-scale", "aria-hidden": "true", title },
    layer.ticks().map((tick) => h("span", { style: { bottom: `${100 * tick.place}%` } }, tick.text)));
}

/** What a network with an ADD layer makes of the sound, up to the frequency that the original is shown to. */
async function denoisedLayers(entry, span) {
  const answer = await ask(recordingPath(entry.id, "denoised", span));
  const layer = (data) => new Layer(answer, data, Math.min(HIGHEST, entry.data.sample_rate / 2));
  return [
    { title: "As the network hears it", layer: layer(answer.before), ramp: RAMPS.heat },
    { title: "After the learned filter", layer: layer(answer.after), ramp: RAMPS.heat, caption: answer.note },
    { title: "What the filter lets through (black nothing, white all)", layer: layer(answer.gain), ramp: RAMPS.grey },
  ];
}

/** The layers of a view, from the top to the bottom. */
export async function fetchLayers(entry, view, start, end) {
  const span = { start: start.toFixed(3), end: end.toFixed(3) };
  if (view === "denoised") return denoisedLayers(entry, span);
  const values = { ...span, frames: Math.min(2000, Math.max(200, Math.round(120 * (end - start)))), mels: 96 };
  const sound = await ask(recordingPath(entry.id, "spectrogram", values));
  const layers = [{ title: "Mel spectrogram", layer: new Layer(sound, sound.data), ramp: RAMPS.heat }];
  if (view !== "explanation") return layers;
  const answer = await ask(recordingPath(entry.id, "explanation", values));
  const title = `What the decision rests on${answer.method ? ` (${answer.method})` : ""}`;
  return [...layers, { title, layer: new Layer(answer, answer.data), ramp: RAMPS.grey, caption: answer.caption }];
}

/** A picture of a whole recording (its first ten minutes), for cards and reports. */
export async function picture(entry, canvas, frames = 400) {
  const end = Math.min(entry.data.duration, 600);
  const answer = await ask(recordingPath(entry.id, "spectrogram", { start: 0, end, frames, mels: 64 }));
  const layer = new Layer(answer, answer.data);
  layer.draw(canvas);
  return layer;
}
