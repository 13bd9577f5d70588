// What the page knows: the server's limits, the model, the recordings, and what the user decided of their cycles.

import { ask, recordingPath } from "./api.js";
import { ABSTAIN, Palette, REJECTED } from "./classes.js";

const IDS = "add4rsc.recordings";
const LABELS = "add4rsc.labels.";

const SPRSOUND = /^\d+_\d+(?:\.\d+)?_[01]_(p[1-8])_\d+\./; // PATIENT_AGE_GENDER_PLACE_NUMBER

export const state = {
  health: null,
  models: null,
  palette: null,
  /** @type {Map<string, Entry>} */
  entries: new Map(),
  shown: null,
  view: "recording",
};
export const changes = new EventTarget();
export const tell = (name, detail = null) => changes.dispatchEvent(new CustomEvent(name, { detail }));

export const model = () => state.models.models.find((each) => each.default) || state.models.models[0];

/** One recording, and what the user said of it. */
export class Entry {
  constructor(data) {
    this.data = data;
    this.patient = data.patient || "";
    this.location = data.chest_location || SPRSOUND.exec(data.file)?.[1] || "";
    this.chosen = 0;
    this.saved = true;
    const stored = readStored(LABELS + data.id);
    this.reviews = new Map(stored?.reviews || []);
    this.threshold = stored?.threshold || null;
  }

  get id() {
    return this.data.id;
  }

  get file() {
    return this.data.file;
  }

  get isDone() {
    return this.data.status === "done" && Boolean(this.data.result);
  }

  get isOver() {
    return ["done", "failed", "cancelled"].includes(this.data.status);
  }

  /** The probability that each class needs in a cycle: the model's own, or what the user asked for. */
  get needs() {
    const { thresholds } = state.palette;
    return this.threshold === null ? thresholds : Object.fromEntries(Object.keys(thresholds).map((name) => [name, this.threshold]));
  }

  get cycles() {
    return this.data.result?.cycles || [];
  }

  /** The label that counts: the user's where there is one, else the network's; `rejected` for none. */
  label(index) {
    return this.reviews.get(index)?.label || this.cycles[index].decision;
  }

  verdict(index) {
    return this.reviews.get(index)?.verdict || "";
  }

  /** Set or, with the same again, take back what the user thinks of a cycle. Returns whether anything is set. */
  review(index, verdict, label) {
    const before = this.reviews.get(index);
    if (before && before.verdict === verdict && before.label === label) this.reviews.delete(index);
    else this.reviews.set(index, { verdict, label });
    this.saved = this.reviews.size === 0;
    this.keep();
    tell("labels", this);
    return this.reviews.has(index);
  }

  /** Outlive a reload. */
  keep() {
    store(LABELS + this.id, { reviews: [...this.reviews], threshold: this.threshold });
  }

  accept(index) {
    const decision = this.cycles[index].decision;
    return decision === ABSTAIN ? null : this.review(index, "accepted", decision);
  }

  reject(index) {
    return this.review(index, "rejected", REJECTED);
  }

  correct(index, label) {
    return label === this.cycles[index].decision ? this.accept(index) : this.review(index, "corrected", label);
  }

  forgetReviews() {
    this.reviews.clear();
    this.saved = true;
    drop(LABELS + this.id);
  }
}

// The random ids and labels alone outlive a reload; sounds, names and patients are never stored by the page.
function readStored(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function store(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing loses the labels at a reload; it asks before that (`beforeunload`).
  }
}

function drop(key) {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // As above.
  }
}

const storeIds = () => store(IDS, [...state.entries.keys()]);

/** What the server can do. */
export async function loadServer() {
  state.health = await ask("v1/health");
  state.models = await ask("v1/models");
  state.palette = new Palette(model());
}

/** Recordings of before a reload, as far as the server still has them. */
export async function restore() {
  const ids = readStored(IDS) || [];
  const found = await Promise.all(ids.map((id) => ask(recordingPath(id)).catch(() => null)));
  ids.forEach((id, index) => (found[index] ? state.entries.set(id, new Entry(found[index])) : drop(LABELS + id)));
  storeIds();
  return [...state.entries.values()];
}

export function add(data, threshold = null) {
  const entry = new Entry(data);
  entry.threshold = threshold;
  entry.keep();
  state.entries.set(entry.id, entry);
  storeIds();
  tell("entries");
  return entry;
}

export async function remove(entry) {
  state.entries.delete(entry.id);
  entry.forgetReviews();
  storeIds();
  tell("entries");
  await ask(recordingPath(entry.id), { method: "DELETE" }).catch(() => null);
}

export async function refresh(entry) {
  try {
    entry.data = await ask(recordingPath(entry.id));
  } catch (problem) {
    entry.data = { ...entry.data, status: "failed", problem: { file: entry.file, problem: problem.message, remedy: problem.remedy } };
  }
  tell("entry", entry);
}
