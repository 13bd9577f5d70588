// Light, dark, or as the system has it.

import { byId, fill, h } from "./dom.js";
import { tell } from "./state.js";

const KEY = "add4rsc.theme";
const THEMES = ["auto", "light", "dark"];

function read() {
  try {
    return localStorage.getItem(KEY) || "auto";
  } catch {
    return "auto";
  }
}

function apply(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  fill(byId("theme"), h("span", { class: "theme-word" }, "Theme: "), theme);
  byId("theme").setAttribute("aria-label", `Theme: ${theme}`);
  tell("theme");
}

export function startTheme() {
  let theme = read();
  apply(theme);
  byId("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Then it holds until the page is left.
    }
    apply(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => tell("theme"));
}
