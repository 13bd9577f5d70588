// The list of recordings, with what each was found to be.

import { pendingUploads } from "./intake.js";
import { byId, fileName, fill, h, percent } from "./dom.js";
import { dress } from "./classes.js";
import { changes, remove, state, tell } from "./state.js";

/** A coloured chip with the class's letter: told apart without colour too. */
export function chip(name, text = "") {
  const look = state.palette.look(name);
  return dress(h("span", { class: "chip", "aria-hidden": text ? null : "true" }, h("b", {}, look.code), text), look);
}

export function statusText(entry) {
  const { status, progress, n_ahead: ahead } = entry.data;
  if (status === "waiting") return ahead ? `waiting, ${ahead} before it` : "waiting";
  if (status === "running") return `judging, ${percent(progress.share)}`;
  if (status === "failed") return "could not be judged";
  if (status === "cancelled") return "stopped";
  return entry.data.result.heard;
}

function bar(share, words) {
  return h("progress", { max: 1, value: share, "aria-label": words });
}

function item(entry) {
  const isShown = state.shown === entry && state.view === "recording";
  const { status, progress } = entry.data;
  return h("li", { class: isShown ? "shown" : "", dataset: { id: entry.id } },
    h("button", { type: "button", class: "pick", "aria-current": isShown ? "true" : null, onclick: () => tell("show", entry) },
      entry.isDone ? chip(entry.data.result.decision) : h("span", { class: `chip ${status}`, "aria-hidden": "true" }, status === "failed" ? "!" : "…"),
      h("span", { class: "pick-words" }, h("span", { class: "file" }, fileName(entry.file)), h("span", { class: "sub" }, statusText(entry)))),
    h("button", { type: "button", class: "quiet remove", "aria-label": `Remove ${entry.file}`, title: "Remove it here and on the server", onclick: () => leave(entry) }, "×"),
    !entry.isOver && bar(progress?.share || 0, `${entry.file} is judged`));
}

function leave(entry) {
  if (!entry.saved && !confirm(`The labels of ${entry.file} are not saved. Remove it all the same?`)) return;
  const entries = [...state.entries.values()];
  const neighbour = entries[entries.indexOf(entry) + 1] || entries[entries.indexOf(entry) - 1] || null;
  const wasShown = state.shown === entry;
  remove(entry);
  if (wasShown || !neighbour) tell("show", neighbour);
  const target = neighbour ? document.querySelector(`[data-id="${neighbour.id}"] .pick`) : byId("main");
  target?.focus();
}

function draw() {
  const list = byId("shelf-list");
  const focused = document.activeElement?.closest?.("#shelf-list li")?.dataset.id;
  const uploads = pendingUploads().map((upload) =>
    h("li", { class: "pending" }, h("span", { class: "file" }, upload.name), h("span", { class: "sub" }, "is sent"), bar(upload.share, `${upload.name} is sent`)));
  fill(list, [...state.entries.values()].map(item), uploads);
  if (focused && document.activeElement === document.body) list.querySelector(`[data-id="${focused}"] .pick`)?.focus();
  byId("workspace").hidden = !state.entries.size && !uploads.length;
  document.body.classList.toggle("has-recordings", state.entries.size + uploads.length > 0);
  const nDone = [...state.entries.values()].filter((entry) => entry.isDone).length;
  byId("open-compare").disabled = nDone < 2;
  byId("open-compare").title = nDone < 2 ? "Two judged recordings or more can be compared" : "";
  byId("open-report").disabled = nDone < 1;
  byId("open-compare").setAttribute("aria-pressed", String(state.view === "compare"));
  byId("open-report").setAttribute("aria-pressed", String(state.view === "report"));
}

function drawProgress(entry) {
  const row = byId("shelf-list").querySelector(`[data-id="${entry.id}"]`);
  if (!row || entry.isOver) return draw();
  row.querySelector(".sub").textContent = statusText(entry);
  row.querySelector("progress").value = entry.data.progress.share;
  return null;
}

export function startShelf() {
  ["entries", "entry", "pending", "view"].forEach((name) => changes.addEventListener(name, draw));
  changes.addEventListener("progress", (event) => drawProgress(event.detail));
  byId("open-compare").addEventListener("click", () => tell("open", "compare"));
  byId("open-report").addEventListener("click", () => tell("open", "report"));
  draw();
}
