"use strict";

// Light or dark: what the reader chose here, else what the system has. This runs before the page is
// drawn, so that it does not flash.
const THEME = "hype-theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");

function chosen() {
  try {
    return localStorage.getItem(THEME);
  } catch {
    return null; // a browser may forbid storage
  }
}

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : system.matches;
}

function apply(theme) {
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
}

apply(chosen());

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const label = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  };
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    apply(theme);
    try {
      localStorage.setItem(THEME, theme);
    } catch {
      // The choice then lasts as long as the page.
    }
    label();
  });
  system.addEventListener("change", label);
  label();
  button.hidden = false;
});
