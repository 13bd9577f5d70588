// Single keys. They can be switched off in the help, and are off while something is typed.

import { accept, correct, reject } from "./cycle_panel.js";
import { byId, h } from "./dom.js";
import { state } from "./state.js";

const onRecording = (action) => (view) => view?.viewer && view.entry.cycles.length && action(view, view.entry.chosen);
const onViewer = (action) => (view) => view?.viewer && action(view);

const KEYS = {
  " ": ["space", "play or pause", onViewer((view) => view.viewer.playPause())],
  Enter: ["enter", "play the chosen cycle", onRecording((view, index) => view.viewer.playCycle(index))],
  ArrowLeft: ["←", "previous cycle", onRecording((view) => view.step(-1))],
  ArrowRight: ["→", "next cycle", onRecording((view) => view.step(1))],
  l: ["L", "loop", onViewer((view) => view.player.toggleLoop())],
  "+": ["+", "zoom in", onViewer((view) => view.viewer.zoomBy(2))],
  "-": ["-", "zoom out", onViewer((view) => view.viewer.zoomBy(0.5))],
  z: ["Z", "zoom to the cycle", onRecording((view, index) => view.viewer.zoomTo(index))],
  0: ["0", "show all of it", onViewer((view) => view.viewer.zoomBy(0))],
  a: ["A", "accept the label, or take that back", onRecording((view, index) => accept(view.entry, index))],
  r: ["R", "reject the cycle, or take that back", onRecording((view, index) => reject(view.entry, index))],
};

/** Elements that have keys of their own: fields all of them, boxes and buttons a few. */
function isBusy(target, key) {
  if (target.closest("dialog[open], select, textarea, input:not([type=checkbox], [type=radio], [type=range], [type=file])")) return true;
  if (target.closest("input[type=radio], input[type=range]") && key.startsWith("Arrow")) return true;
  return (key === " " || key === "Enter") && target.matches("button, a, summary, input:not([type=radio]:checked)");
}

function actionOf(key) {
  const { classes } = state.palette;
  const place = Number(key);
  if (place >= 1 && place <= classes.length) return onRecording((view, index) => correct(view.entry, index, classes[place - 1]));
  return (KEYS[key] || KEYS[key.toLowerCase()])?.[2];
}

function showKeys() {
  const rows = Object.values(KEYS).map(([key, words]) => [key, words]).sort(([one], [other]) => (one === "0") - (other === "0"));
  rows.push(...state.palette.classes.map((name, place) => [String(place + 1), `label: ${state.palette.heard(name)}`]), ["?", "this help"]);
  byId("help-keys").replaceChildren(...rows.map(([key, words]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, words))));
}

export function startKeys(currentView) {
  const help = byId("help");
  showKeys();
  byId("help-open").addEventListener("click", () => help.showModal());
  byId("help-close").addEventListener("click", () => help.close());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !byId("keys-on").checked || isBusy(event.target, event.key)) return;
    if (event.key === "?") {
      help.showModal();
      return;
    }
    const action = actionOf(event.key);
    if (!action || !currentView()?.viewer) return;
    event.preventDefault();
    action(currentView());
  });
}
