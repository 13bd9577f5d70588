// The user's labels as files: ICBHI, Audacity, CSV; several of them in a ZIP. Made here, nothing is sent.

import { ABSTAIN } from "./classes.js";

const NOTICE = "Research use only, not a medical device.";
const stem = (name) => name.replace(/\.[^.]*$/, "");

/** The cycles that are saved: those that were looked at; with `all`, also the network's own where it is sure. Rejected ones never. */
export function savedCycles(entry, all) {
  return entry.cycles
    .map((cycle, index) => ({ cycle, index, label: entry.label(index), verdict: entry.verdict(index) }))
    .filter(({ label, verdict }) => verdict !== "rejected" && (verdict || (all && label !== ABSTAIN)));
}

/** ICBHI 2017: start, end, crackle, wheeze. Null where a class is neither. */
export function icbhiText(entry, palette, all) {
  const rows = savedCycles(entry, all).map(({ cycle, label }) => [cycle, palette.bits(label)]);
  if (rows.some(([, bits]) => !bits)) return null;
  return rows.map(([cycle, bits]) => `${cycle.start.toFixed(3)}\t${cycle.end.toFixed(3)}\t${bits.join("\t")}\n`).join("");
}

/** Audacity's label track. */
export function audacityText(entry, all) {
  return savedCycles(entry, all).map(({ cycle, label }) => `${cycle.start.toFixed(6)}\t${cycle.end.toFixed(6)}\t${label}\n`).join("");
}

const cell = (value) => {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** A table of several recordings, rejected cycles included and said to be so. */
export function csvText(entries, palette, all, model) {
  const names = palette.classes.map((name) => `p_${name}`);
  const columns = ["file", "start", "end", "label", "review", "decision", ...names, "patient", "chest_location", "model", "notice"];
  const lines = [columns];
  for (const entry of entries) {
    entry.cycles.forEach((cycle, index) => {
      const review = entry.verdict(index);
      if (!review && !all) return;
      const label = review === "rejected" ? "" : entry.label(index);
      const shares = palette.classes.map((name) => cycle.probabilities?.[name]);
      lines.push([entry.file, cycle.start, cycle.end, label, review || "none", cycle.decision, ...shares, entry.patient, entry.location, model, NOTICE]);
    });
  }
  return lines.map((line) => `${line.map(cell).join(",")}\n`).join("");
}

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

function record(size, values) {
  const view = new DataView(new ArrayBuffer(size));
  let place = 0;
  for (const [width, value] of values) {
    if (width === 2) view.setUint16(place, value, true);
    else view.setUint32(place, value, true);
    place += width;
  }
  return new Uint8Array(view.buffer);
}

/** A ZIP without compression (PKWARE's APPNOTE 6.3, names in UTF-8). */
export function zip(files) {
  const encoder = new TextEncoder();
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const [name, text] of files) {
    const [path, content] = [encoder.encode(name), encoder.encode(text)];
    const common = [[2, 20], [2, 0x0800], [2, 0], [2, 0], [2, 0x21], [4, crc32(content)], [4, content.length], [4, content.length], [2, path.length], [2, 0]];
    const local = record(30, [[4, 0x04034b50], ...common]);
    directory.push(record(46, [[4, 0x02014b50], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), path);
    parts.push(local, path, content);
    offset += local.length + path.length + content.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record(22, [[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** Names and texts of one file for each recording; names that occur twice get a number. */
export function filesOf(entries, ending, write) {
  const used = new Map();
  return entries.map((entry) => {
    const base = stem(entry.file);
    const n = used.get(base) || 0;
    used.set(base, n + 1);
    return [`${base}${n ? `-${n + 1}` : ""}${ending}`, write(entry)];
  });
}
