// Taking recordings in: dropped, chosen, or made-up examples; sent one after the other and followed until judged.

import { ask, follow, query, recordingPath, send } from "./api.js";
import { byId, h, say } from "./dom.js";
import { add, refresh, state, tell } from "./state.js";

const ANNOTATION = /\.(txt|json|textgrid)$/i;
const HIDDEN = /^(\.|thumbs\.db$|desktop\.ini$)/i;
const FOLLOWED_AT_ONCE = 2; // a browser holds six connections to one server, and sound and pictures need some
const stem = (name) => name.replace(/\.[^.]*$/, "");
const tracks = new Set();
const waiting = [];

const choices = () => query({ cycles: byId("cycles").value, threshold: byId("threshold").value });
const threshold = () => (byId("threshold").value === "" ? null : Number(byId("threshold").value));
const withChoices = (path) => `${path}?${choices()}`;

/** Show what could not be taken; each can be put away. */
export function showProblems(problems) {
  for (const each of problems) {
    const card = h("div", { class: "problem" },
      h("p", {}, h("strong", {}, each.file || "Something went wrong"), ": ", each.problem, "."),
      each.remedy && h("p", {}, each.remedy.replace(/\.?$/, ".")),
      h("button", { type: "button", class: "quiet", "aria-label": `Put away: ${each.file}`, onclick: () => card.remove() }, "×"));
    byId("problems").append(card);
  }
}

/** The files of a drop, with those of folders. */
async function filesOf(transfer) {
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!roots.length) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) return found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    const reader = entry.createReader();
    for (;;) {
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!batch.length) return null;
      for (const child of batch) await walk(child);
    }
  };
  for (const root of roots) await walk(root);
  return found;
}

/** Recordings, each with the annotations of its name; and annotations without a recording. */
export function groupFiles(files) {
  const shown = files.filter((file) => !HIDDEN.test(file.name));
  const sounds = shown.filter((file) => !ANNOTATION.test(file.name));
  const notes = shown.filter((file) => ANNOTATION.test(file.name));
  const used = new Set();
  const groups = sounds.map((sound) => {
    const own = notes.filter((note) => stem(note.name).split(".")[0] === stem(sound.name).split(".")[0]);
    own.forEach((note) => used.add(note));
    return [sound, ...own];
  });
  return { groups, alone: notes.filter((note) => !used.has(note)) };
}

function tooLarge(group) {
  const limit = state.health.limits.max_upload_bytes;
  const size = group.reduce((sum, file) => sum + file.size, 0);
  if (size <= limit) return null;
  const problem = `is ${(size / 2 ** 20).toFixed(0)} MB, and the server takes ${(limit / 2 ** 20).toFixed(0)} MB at a time`;
  return { file: group[0].name, problem, remedy: "Save it as FLAC, cut it, or use the command `add4rsc predict`" };
}

async function sendGroup(group) {
  const problem = tooLarge(group);
  if (problem) return showProblems([problem]);
  const pending = { name: group[0].name, share: 0 };
  tracks.add(pending);
  tell("entries");
  try {
    const answer = await send(withChoices("v1/recordings"), group, (share) => {
      pending.share = share;
      tell("pending");
    });
    showProblems(answer.errors || []);
    answer.recordings.forEach(take);
  } catch (failure) {
    const own = { file: group[0].name, problem: failure.message, remedy: failure.remedy };
    showProblems(failure.errors?.length ? failure.errors : [own]);
  } finally {
    tracks.delete(pending);
    tell("entries");
  }
  return null;
}

/** Send files to the server, in their order. */
export async function takeFiles(files) {
  const { groups, alone } = groupFiles([...files]);
  showProblems(alone.map((note) => ({ file: note.name, problem: "is an annotation without its recording",
    remedy: "Drop it together with the sound of the same name" })));
  if (!groups.length) return;
  say(`Sending ${groups.length} recording${groups.length > 1 ? "s" : ""}.`);
  for (const group of groups) await sendGroup(group);
}

export const pendingUploads = () => [...tracks];

/** Keep a recording that the server took, and follow it until it is judged. */
export function take(data) {
  const entry = add(data, threshold());
  if (!state.shown) tell("show", entry);
  watch(entry);
}

/** Follow a recording's progress, a few at a time. */
export function watch(entry) {
  waiting.push(entry);
  next();
}

let followed = 0;
async function next() {
  if (followed >= FOLLOWED_AT_ONCE || !waiting.length) return;
  const entry = waiting.shift();
  if (!state.entries.has(entry.id)) return next();
  followed += 1;
  await follow(entry.id, (progress) => {
    Object.assign(entry.data, progress);
    tell("progress", entry);
  });
  await refresh(entry);
  followed -= 1;
  if (!entry.isOver) setTimeout(() => watch(entry), 1000);
  else if (entry.isDone) say(`${entry.file}: ${entry.data.result.heard}, ${entry.cycles.length} cycles.`);
  else if (entry.data.problem) say(`${entry.file} could not be judged: ${entry.data.problem.problem}.`);
  next();
}

/** Judge a recording again with what is chosen now. */
export async function judgeAgain(entry) {
  try {
    entry.forgetReviews();
    entry.data = await ask(`${recordingPath(entry.id, "judge")}?${choices()}`, { method: "POST" });
    entry.threshold = threshold();
    entry.keep();
    tell("entry", entry);
    watch(entry);
  } catch (problem) {
    showProblems([{ file: entry.file, problem: problem.message, remedy: problem.remedy }]);
  }
}

async function takeExample(example) {
  try {
    const answer = await ask(withChoices(`v1/examples/${encodeURIComponent(example.file)}`), { method: "POST" });
    answer.recordings.forEach(take);
  } catch (problem) {
    showProblems([{ file: example.file, problem: problem.message, remedy: problem.remedy }]);
  }
}

async function showExamples() {
  const { examples } = await ask("v1/examples").catch(() => ({ examples: [] }));
  const box = byId("examples");
  box.hidden = !examples.length;
  box.append(...examples.map((each) => h("button", { type: "button", onclick: () => takeExample(each) }, each.name)));
}

function listenToDrops() {
  const drop = byId("drop");
  let depth = 0;
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    drop.classList.toggle("over", depth > 0);
  };
  const holdsFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  document.addEventListener("dragenter", (event) => holdsFiles(event) && mark(1));
  document.addEventListener("dragleave", (event) => holdsFiles(event) && mark(-1));
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    mark(0);
    takeFiles(await filesOf(event.dataTransfer));
  });
}

export async function startIntake() {
  [...byId("cycles").options].filter((option) => !state.models.cycles.includes(option.value)).forEach((option) => option.remove());
  byId("files").addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    takeFiles(files);
  });
  listenToDrops();
  await showExamples();
}
