"use strict";

// Current work: the server tells each change, and the whole page is asked again when work has ended.
const now = document.querySelector("[data-events]");

function watch() {
  const events = new EventSource(now.dataset.events);
  let works = null;
  events.addEventListener("message", (event) => {
    const told = JSON.parse(event.data);
    now.innerHTML = told.html; // made by the server, which escapes every value
    const ended = works && works.some((work) => !told.works.includes(work));
    works = told.works;
    if (ended) document.querySelector("form[data-live]")?.dispatchEvent(new Event("refresh"));
  });
  addEventListener("pagehide", () => events.close());
}

if (now) watch();
