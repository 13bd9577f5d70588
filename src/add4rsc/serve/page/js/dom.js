// Elements from script: text is always text, so that no file name can become markup.

export const byId = (id) => document.getElementById(id);

/** An element with properties, listeners (`onclick`), data and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") Object.entries(value).forEach(([key, text]) => element.style.setProperty(key, text));
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let said = 0;

/** Tell those who listen to a screen reader. The same words twice are said twice. */
export function say(text) {
  byId("live").textContent = text + (said++ % 2 ? "\u00a0" : "");
}

/** Hand a file that was made here to the browser. */
export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export const seconds = (value, digits = 2) => `${value.toFixed(digits)} s`;
export const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);

/** 75.5 -> "1:15.5": where something is in a long recording. */
export function clock(value, digits = 1) {
  const whole = Math.floor(value / 60);
  const rest = (value - 60 * whole).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return whole >= 60 ? `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}:${rest}` : `${whole}:${rest}`;
}

/** 4000 -> "4 kHz", 125 -> "125 Hz". */
export const hertz = (value) => (value >= 1000 ? `${+(value / 1000).toFixed(2)} kHz` : `${Math.round(value)} Hz`);

/** At most one call in `pause` milliseconds, the last one counts. */
export function calm(action, pause) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), pause);
  };
}

const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h4v14H7zM13 5h4v14h-4z",
  previous: "M6 5h2.5v14H6zM19 5v14L9.5 12z",
  next: "M15.5 5H18v14h-2.5zM5 5l9.5 7L5 19z",
  loop: "M12 5V2L7 6.5 12 11V7.6a4.6 4.6 0 1 1-4.6 4.6H5A7 7 0 1 0 12 5z",
  less: "M5 10.8h14v2.4H5z",
  more: "M5 10.8h5.8V5h2.4v5.8H19v2.4h-5.8V19h-2.4v-5.8H5z",
};

/** A sign for a button, drawn, so that it does not depend on fonts. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  Object.entries({ viewBox: "0 0 24 24", width: "18", height: "18", "aria-hidden": "true", fill: "currentColor" }).forEach(([key, value]) => svg.setAttribute(key, value));
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A file's name that may be broken after its underscores and dashes. */
export const fileName = (name) => name.split(/(?<=[_-])/).flatMap((part) => [part, document.createElement("wbr")]);
