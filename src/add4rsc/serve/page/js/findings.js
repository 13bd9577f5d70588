// What was found in a recording, in words, bars and chips.

import { h, hertz, percent, seconds } from "./dom.js";
import { placeWords } from "./places.js";
import { chip } from "./shelf.js";
import { state } from "./state.js";

const FROM = { annotation: "from the annotation", envelope: "found in the sound", windows: "windows of equal length" };

/** Bars of the probabilities of all classes, each with the threshold that it needs. */
export function probabilityBars(values, chosen = null, needs = {}) {
  const { palette } = state;
  return h("ul", { class: "bars" }, palette.classes.map((name) => {
    const value = values?.[name] ?? null;
    const need = needs[name] || undefined;
    const fillBar = h("span", { class: "bar-fill", style: { width: `${100 * (value || 0)}%`, background: palette.look(name).colour } });
    const tick = need === undefined ? null : h("span", { class: "bar-tick", style: { left: `${100 * need}%` } });
    return h("li", { class: name === chosen ? "chosen" : "" }, chip(name), h("span", { class: "bar-name" }, palette.heard(name)),
      h("span", { class: "bar", "aria-hidden": "true" }, fillBar, tick), h("span", { class: "bar-value" }, percent(value)),
      need === undefined ? null : h("span", { class: "hidden" }, `, needs ${percent(need)}`));
  }));
}

export function qualityChips(flags) {
  const words = state.models.quality_flags;
  if (!flags.length) return h("p", { class: "quality fine" }, "Quality: nothing to object to.");
  return h("p", { class: "quality" }, "Quality: ", flags.map((flag) => h("span", { class: "flag", title: flag }, words[flag] || flag)));
}

/** A recording is given the class that has half of the mean probability, whatever single cycles need. */
export const HALF = () => Object.fromEntries(state.palette.classes.map((name) => [name, 0.5]));
export const means = (result) => Object.fromEntries(state.palette.classes.map((name) => [name, result[`p_${name}`]]));

function counts(result) {
  const { palette } = state;
  const found = palette.classes.filter((name) => result[`n_${name}`]).map((name) => h("li", {}, chip(name), `${result[`n_${name}`]} × ${palette.heard(name)}`));
  const unsure = result.n_abstained ? h("li", {}, chip("abstain"), `${result.n_abstained} × not sure or not judged`) : null;
  return h("ul", { class: "counts" }, found, unsure);
}

export function facts(entry) {
  const { duration, sample_rate: rate, n_channels: channels } = entry.data;
  const cut = channels > 1 ? `${channels} channels, averaged` : "mono";
  const who = [entry.patient && `patient ${entry.patient}`, entry.location && placeWords(entry)].filter(Boolean);
  return [seconds(duration, 1), hertz(rate), cut, ...who].join(" · ");
}

export function summary(entry) {
  const { result } = entry.data;
  const highest = result.highest_p_abnormal;
  const look = state.palette.look(result.decision);
  const verdict = h("div", { class: "verdict", style: { "--class": look.colour } },
    h("p", { class: "verdict-word" }, chip(result.decision), h("strong", {}, sentence(result.heard))),
    h("p", { class: "sub" }, result.abstain ? "No class has half of the mean probability." : "By the mean probability over all judged cycles."),
    highest === null ? null : h("p", { class: "sub" }, `Highest probability of an abnormal sound in any cycle: ${percent(highest)}.`),
    h("p", { class: "sub" }, `${result.n_cycles} cycles, ${FROM[result.cycles_from] || result.cycles_from}`), counts(result), qualityChips(result.quality));
  const bars = h("div", { class: "means" }, h("h3", {}, "Mean probability"), result.n_judged ? probabilityBars(means(result), result.decision, HALF()) : h("p", {}, "Nothing was judged."));
  return h("section", { class: "summary", "aria-label": "Summary" }, verdict, bars);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
