"use strict";

// Details with data-from="ADDRESS" take their content from there when they are opened first.
async function fill(details) {
  const address = details.dataset.from;
  delete details.dataset.from;
  const content = document.createElement("div");
  for (const child of [...details.children]) if (child.tagName !== "SUMMARY") child.remove();
  details.append(content);
  content.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(`${address}&part=1`);
    content.innerHTML = await response.text();
  } catch {
    content.textContent = "The server does not answer.";
    details.dataset.from = address;
  }
  content.removeAttribute("aria-busy");
}

// The event does not bubble, so it is caught on its way down.
document.addEventListener(
  "toggle",
  (event) => {
    if (event.target.open && event.target.dataset.from) fill(event.target);
  },
  true,
);
