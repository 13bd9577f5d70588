// The page's beginning, and which view is on the stage.

import { CompareView } from "./compare.js";
import { byId, fill, h } from "./dom.js";
import { showProblems, startIntake, watch } from "./intake.js";
import { startKeys } from "./keys.js";
import { RecordingView } from "./recording.js";
import { ReportView } from "./report.js";
import { guardLabels } from "./saving.js";
import { startShelf } from "./shelf.js";
import { changes, loadServer, model, restore, state, tell } from "./state.js";
import { startTheme } from "./theme.js";

let current = null;

/** Put a view on the stage. */
function stage(view, name) {
  current?.leave();
  current = view;
  state.view = name;
  fill(byId("stage"), view ? view.element : null);
  view?.build();
  tell("view");
}

function show(entry, takesFocus = true) {
  state.shown = entry;
  stage(entry ? new RecordingView(entry) : null, "recording");
  if (takesFocus && entry && matchMedia("(max-width: 60rem)").matches) byId("recording-title")?.scrollIntoView({ block: "start" });
}

function open(name) {
  stage(name === "compare" ? new CompareView() : new ReportView(), name);
  current.element.querySelector("h2").focus();
}

function writeFooter() {
  const { health } = state;
  byId("notice").replaceChildren(h("strong", {}, health.notice));
  const { name, temperature } = model();
  const calibration = temperature === 1 ? "not calibrated" : `calibrated (temperature ${temperature.toFixed(3)})`;
  byId("footer-model").textContent = `Model ${name}, ${calibration}. add4rsc ${health.version}.`;
  const minutes = Math.round(health.limits.keep / 60);
  byId("footer-keep").textContent = `Sounds go to the server that this page came from, and nowhere else. They lie in its memory until you remove them, or for ${minutes} minutes after the last look at them.`;
}

/** What sticks to the top is as high as its words need, and nothing may hide below it. */
function measureBar() {
  const bar = document.querySelector(".bar");
  new ResizeObserver(() => document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`)).observe(bar);
}

async function start() {
  startTheme();
  measureBar();
  try {
    await loadServer();
  } catch (problem) {
    showProblems([{ file: "The server", problem: problem.message, remedy: problem.remedy }]);
    return;
  }
  writeFooter();
  startShelf();
  startKeys(() => (state.view === "recording" ? current : null));
  guardLabels();
  changes.addEventListener("show", (event) => show(event.detail));
  changes.addEventListener("open", (event) => open(event.detail));
  const [entries] = await Promise.all([restore(), startIntake()]);
  tell("entries");
  if (entries.length) show(entries[0], false);
  entries.filter((entry) => !entry.isOver).forEach(watch);
  document.documentElement.dataset.ready = "true";
}

start();
