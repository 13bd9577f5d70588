// Where on the chest a recording was made, and of whom.

import { h } from "./dom.js";
import { tell } from "./state.js";

/** ICBHI 2017's codes, and SPRSound's four; sides are the patient's own. */
export const PLACES = {
  Tc: ["trachea", "neck"],
  Ar: ["front, right", "front-right"],
  Al: ["front, left", "front-left"],
  Lr: ["side, right", "side-right"],
  Ll: ["side, left", "side-left"],
  Pr: ["back, right", "back-right"],
  Pl: ["back, left", "back-left"],
  p1: ["back, left", "back-left"],
  p2: ["side, left", "side-left"],
  p3: ["back, right", "back-right"],
  p4: ["side, right", "side-right"],
};
/** Cells of the side-by-side view in reading order: seen from the front, the patient's right is on the left. */
export const CELLS = [
  ["neck", "Trachea"], ["front-right", "Front, right"], ["front-left", "Front, left"],
  ["side-right", "Side, right"], ["side-left", "Side, left"], ["back-right", "Back, right"], ["back-left", "Back, left"], ["", "Elsewhere, or not known"],
];

export const cellOf = (entry) => PLACES[entry.location]?.[1] || "";
export const placeWords = (entry) => PLACES[entry.location]?.[0] || entry.location || entry.data.chest_location_words || "place not known";

/** Fields for patient and place; what the name tells stands in them. */
export function placeFields(entry, isShort = false) {
  const patient = h("input", { type: "text", value: entry.patient, autocomplete: "off", maxlength: "60", placeholder: "not known",
    onchange: (event) => set("patient", event.target.value.trim()) });
  const options = [["", "not known"], ...Object.entries(PLACES).filter(([code]) => !code.startsWith("p") || code === entry.location).map(([code, [words]]) => [code, `${words} (${code})`])];
  if (entry.location && !PLACES[entry.location]) options.push([entry.location, entry.data.chest_location_words || entry.location]);
  const place = h("select", { onchange: (event) => set("location", event.target.value) },
    options.map(([code, words]) => h("option", { value: code, selected: code === entry.location }, words)));
  const set = (key, value) => {
    entry[key] = value;
    tell("place", entry);
  };
  const fields = h("div", { class: "fields places" }, h("label", {}, "Patient", patient), h("label", {}, "Chest location", place));
  if (isShort) return fields;
  return h("section", { class: "panel", "aria-label": "Patient and chest location" }, h("h3", {}, "Of whom, and where"), fields,
    h("p", { class: "hint" }, "For “Side by side” and the report. It stays in this page: nothing of it is sent or stored, and a reload forgets what you typed."));
}

