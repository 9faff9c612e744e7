// Takes renderings of the page's body from /events and changes what differs,
// so that focus, selection and what a screen reader is at stay where they are.
"use strict";

// sameNode tells whether b may become of a without being replaced.
function sameNode(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

// merge makes the children of a those of b.
function merge(a, b) {
  let at = a.firstChild;
  for (const want of [...b.childNodes]) {
    let found = at;
    if (want.id) {
      for (found = at; found && !sameNode(found, want); found = found.nextSibling);
    }
    if (!found || !sameNode(found, want)) {
      a.insertBefore(want, at);
      continue;
    }
    while (at !== found) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    at = found.nextSibling;
    if (found.nodeType !== Node.ELEMENT_NODE) {
      if (found.nodeValue !== want.nodeValue) found.nodeValue = want.nodeValue;
      continue;
    }
    for (const { name } of [...found.attributes]) if (!want.hasAttribute(name)) found.removeAttribute(name);
    for (const { name, value } of want.attributes) if (found.getAttribute(name) !== value) found.setAttribute(name, value);
    merge(found, want);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

const live = document.getElementById("live");
const lost = document.getElementById("lost");
const events = new EventSource("/events");
let last = new Date();

events.onmessage = (event) => {
  const next = new DOMParser().parseFromString(event.data, "text/html");
  merge(live, next.body);
  document.title = document.getElementById("verdict").textContent + " – lockstep";
  last = new Date();
  lost.hidden = true;
  document.body.classList.remove("stale");
};

events.onerror = () => {
  if (!lost.hidden) return;
  document.getElementById("lost-since").textContent = last.toLocaleTimeString();
  lost.hidden = false;
  document.body.classList.add("stale");
};
