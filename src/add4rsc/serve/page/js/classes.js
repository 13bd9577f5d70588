// The classes: colours that colour-blind eyes tell apart (Okabe & Ito 2008), patterns, short words.

const KNOWN = {
  normal: ["#009e73", "plain", "N"],
  crackle: ["#e69f00", "dots", "C"],
  wheeze: ["#56b4e9", "stripes", "W"],
  both: ["#cc79a7", "cross", "C+W"],
};
const FURTHER = [
  ["#d55e00", "dots", ""], ["#f0e442", "stripes", ""], ["#0072b2", "cross", ""], ["#e69f00", "stripes", ""],
  ["#56b4e9", "dots", ""], ["#cc79a7", "dots", ""], ["#009e73", "stripes", ""],
];
export const ABSTAIN = "abstain";
export const REJECTED = "rejected";
export const MARK = "#111418";

/** CSS images of the patterns, and how large one tile is. */
export const PATTERNS = {
  plain: ["none", "auto"],
  dots: [`radial-gradient(circle at 3px 3px, ${MARK}73 1.3px, transparent 1.6px)`, "6px 6px"],
  stripes: [`repeating-linear-gradient(135deg, ${MARK}59 0 1.5px, transparent 1.5px 6px)`, "auto"],
  cross: [
    `repeating-linear-gradient(135deg, ${MARK}52 0 1.2px, transparent 1.2px 6px), ` +
      `repeating-linear-gradient(45deg, ${MARK}52 0 1.2px, transparent 1.2px 6px)`,
    "auto",
  ],
  sparse: [`repeating-linear-gradient(90deg, ${MARK}66 0 1px, transparent 1px 5px)`, "auto"],
};

/** How each class of a model looks and is called. */
export class Palette {
  constructor(model) {
    this.classes = model.classes;
    this.words = model.words || {};
    this.thresholds = model.thresholds || {};
    let next = 0;
    this.looks = new Map(model.classes.map((name, index) => {
      const [colour, pattern, code] = KNOWN[name] || FURTHER[next++ % FURTHER.length];
      return [name, { colour, pattern, code: code || name.slice(0, 2).toUpperCase(), key: String(index + 1) }];
    }));
    this.looks.set(ABSTAIN, { colour: "#a9b0ba", pattern: "sparse", code: "?", key: "" });
    this.looks.set(REJECTED, { colour: "#c9ced5", pattern: "plain", code: "×", key: "R" });
  }

  look(name) {
    return this.looks.get(name) || this.looks.get(ABSTAIN);
  }

  /** What a person reads for a class: how it sounds, never what it means. */
  heard(name) {
    if (name === REJECTED) return "rejected";
    return this.words[name] || (name === ABSTAIN ? "not sure" : `${name.replaceAll("_", " ")}-like sound`);
  }

  /** The class's name where room is short. */
  name(name) {
    return name === ABSTAIN ? "not sure" : name.replaceAll("_", " ");
  }

  /** Crackle and wheeze, as ICBHI's files have them; null where the class is neither nor. */
  bits(name) {
    const known = { normal: [0, 0], crackle: [1, 0], wheeze: [0, 1], both: [1, 1], coarse_crackle: [1, 0], fine_crackle: [1, 0], wheeze_crackle: [1, 1] };
    return known[name] || null;
  }
}

/** Dress an element in a class's colour and pattern. */
export function dress(element, look) {
  const [image, size] = PATTERNS[look.pattern];
  element.style.backgroundColor = look.colour;
  element.style.backgroundImage = image;
  element.style.backgroundSize = size;
  return element;
}
