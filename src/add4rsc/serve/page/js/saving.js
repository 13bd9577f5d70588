// What can be saved of a recording: the tables of `predict`, a report, and the user's own labels.

import { query, recordingPath } from "./api.js";
import { download, h, say } from "./dom.js";
import { audacityText, csvText, filesOf, icbhiText, zip } from "./label_files.js";
import { changes, model, state, tell } from "./state.js";

const NAMES = { csv: "CSV table", json: "JSON", audacity: "Audacity labels", raven: "Raven table", textgrid: "Praat TextGrid", html: "HTML page", fhir: "FHIR bundle" };
const done = () => [...state.entries.values()].filter((entry) => entry.isDone);

function tables(entry) {
  const links = Object.keys(state.models.formats).map((format) => h("li", {}, h("a", { class: "button", download: true, href: recordingPath(entry.id, "predictions", { format }) }, NAMES[format] || format)));
  const all = h("select", { "aria-label": "Format for all recordings" }, Object.keys(state.models.formats).map((format) => h("option", { value: format }, NAMES[format] || format)));
  const save = h("button", { type: "button", onclick: () => h("a", { download: "", href: `v1/predictions?${query({ ids: done().map((each) => each.id).join(","), format: all.value })}` }).click() }, "Save");
  return h("div", {}, h("h4", {}, "What the network found"), h("ul", { class: "links" }, links),
    h("p", { class: "row all-tables" }, "All recordings as ", all, save));
}

/** Write the labels of some recordings in one format. */
function save(entries, format, all) {
  const { palette } = state;
  const several = entries.length > 1;
  if (format === "csv") download(several ? "labels.csv" : filesOf(entries, ".labels.csv", () => "")[0][0], csvText(entries, palette, all, model().name), "text/csv");
  else {
    const [ending, write] = format === "icbhi" ? [".txt", (entry) => icbhiText(entry, palette, all)] : [".audacity.txt", (entry) => audacityText(entry, all)];
    const files = filesOf(entries, ending, write);
    if (files.some(([, text]) => text === null)) return say("These classes cannot be told in ICBHI's crackle and wheeze.");
    if (several) download(`labels-${format}.zip`, zip(files));
    else download(files[0][0], files[0][1], "text/plain");
  }
  entries.forEach((entry) => (entry.saved = true));
  tell("saved");
  return say("Labels saved.");
}

function labelTools(entry) {
  const words = h("p", { class: "sub", id: "label-count" });
  const all = h("input", { type: "checkbox", onchange: () => show() });
  const every = h("input", { type: "checkbox", onchange: () => show() });
  const canIcbhi = state.palette.classes.every((name) => state.palette.bits(name));
  const chosen = () => (every.checked ? done() : [entry]);
  const make = (format, text, disabled = false, title = "") => h("button", { type: "button", disabled, title, dataset: { save: format }, onclick: () => save(chosen(), format, all.checked) }, text);
  const buttons = [
    make("icbhi", "ICBHI .txt", !canIcbhi, canIcbhi ? "" : "The classes of this model are more than crackle and wheeze can tell"),
    make("audacity", "Audacity labels"), make("csv", "CSV"),
  ];
  const show = () => {
    const n = chosen().reduce((sum, each) => sum + each.reviews.size, 0);
    words.textContent = `${n} cycle${n === 1 ? "" : "s"} looked at${entry.saved ? "" : ", not saved yet"}.`;
    const isEmpty = n === 0 && !all.checked;
    buttons.forEach((button) => (button.disabled = isEmpty || (button.dataset.save === "icbhi" && !canIcbhi)));
  };
  ["labels", "saved"].forEach((name) => changes.addEventListener(name, () => words.isConnected && show()));
  show();
  return h("div", {}, h("h4", {}, "Your labels, for retraining"), words,
    h("p", {}, h("label", { class: "check" }, all, " with the network’s own label where I have not looked and it is sure")),
    h("p", {}, h("label", { class: "check" }, every, " of all recordings")),
    h("p", { class: "row" }, buttons), canIcbhi ? null : h("p", { class: "hint" }, "ICBHI’s files know crackle and wheeze alone."));
}

export function savingPanel(entry) {
  const report = h("p", { class: "row" }, h("a", { class: "button", href: recordingPath(entry.id, "report"), target: "_blank", rel: "noopener" }, "Report of the network’s findings ↗"),
    h("button", { type: "button", onclick: () => tell("open", "report") }, "Printable report with your labels"));
  return h("section", { class: "panel saving", "aria-label": "Save" }, h("h3", {}, "Save"), h("div", { class: "columns even" }, tables(entry), labelTools(entry)), report);
}

/** Ask before labels that are nowhere else are lost with the page. */
export function guardLabels() {
  addEventListener("beforeunload", (event) => {
    if ([...state.entries.values()].some((entry) => !entry.saved)) event.preventDefault();
  });
}
