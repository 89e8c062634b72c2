"use strict";

// "/" goes to the question; arrows go through the results, and Escape goes back.
const first = document.querySelector("[data-first]");

function isTyping(element) {
  return element.matches("input, select, textarea, [contenteditable]");
}

document.addEventListener("keydown", (event) => {
  if (!first || event.ctrlKey || event.metaKey || event.altKey) return;
  const active = document.activeElement;
  if (event.key === "/" && !isTyping(active)) {
    event.preventDefault();
    first.focus();
    first.select();
    return;
  }
  const links = [...document.querySelectorAll(".results a.id")];
  const place = links.indexOf(active);
  if (event.key === "Escape" && place >= 0) {
    first.focus();
  } else if (event.key === "ArrowDown" && (active === first || place >= 0)) {
    if (!links.length) return;
    event.preventDefault();
    links[Math.min(place + 1, links.length - 1)].focus();
  } else if (event.key === "ArrowUp" && place >= 0) {
    event.preventDefault();
    (place === 0 ? first : links[place - 1]).focus();
  }
});
