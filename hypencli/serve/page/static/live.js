"use strict";

// A form with data-live="ID" shows its answer in the element ID while its fields change. The address
// of the page always has all fields, so it can be kept, sent, and opened without this script.
const TYPING_PAUSE_MS = 200;

function addressOf(form, extra = {}) {
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "") fields.append(name, value);
  for (const [name, value] of Object.entries(extra)) fields.set(name, value);
  const query = fields.toString();
  return query ? `${form.getAttribute("action")}?${query}` : form.getAttribute("action");
}

function asPart(address) {
  return `${address}${address.includes("?") ? "&" : "?"}part=1`;
}

function replace(element, html) {
  element.innerHTML = html; // made by the server, which escapes every value; the policy runs no script in it
  element.dispatchEvent(new CustomEvent("replaced", { bubbles: true }));
}

function announce(text) {
  document.getElementById("announcement").textContent = text;
}

for (const form of document.querySelectorAll("form[data-live]")) {
  const target = document.getElementById(form.dataset.live);
  let timer = 0;
  let running = null;
  let shown = location.pathname + location.search;

  async function show(address, { keep }) {
    clearTimeout(timer);
    if (address === shown) return;
    running?.abort(); // the server stops what nobody waits for
    const mine = (running = new AbortController());
    target.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(asPart(address), { signal: mine.signal });
      const html = await response.text();
      if (mine !== running) return;
      replace(target, html);
      shown = address;
      if (keep === "push") history.pushState(null, "", address);
      else if (keep === "replace") history.replaceState(null, "", address);
      const results = target.querySelectorAll(".results > li, .queries > tbody").length;
      announce(response.ok ? `${results} shown` : target.textContent.trim());
    } catch (error) {
      if (error.name === "AbortError") return;
      const said = document.createElement("p");
      said.className = "failure";
      said.textContent = "The server does not answer.";
      target.replaceChildren(said);
      announce(said.textContent);
    }
    if (mine === running) target.removeAttribute("aria-busy");
  }

  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    const pause = event.target.tagName === "SELECT" ? 0 : TYPING_PAUSE_MS;
    timer = setTimeout(() => show(addressOf(form), { keep: "replace" }), pause);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show(addressOf(form), { keep: "push" });
  });
  target.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-go]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const address = new URL(link.href);
    show(address.pathname + address.search, { keep: "push" }).then(() => {
      target.querySelector("caption")?.scrollIntoView();
    });
  });
  window.addEventListener("popstate", () => location.reload());
  form.addEventListener("refresh", () => {
    shown = "";
    show(addressOf(form), { keep: "no" });
  });
  form.classList.add("is-live");
}
