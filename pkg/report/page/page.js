"use strict";
// What all pages share: the theme, copying, links to a place, printing.
const root = document.documentElement;
root.classList.add("scripted");

const theme = {
  names: ["auto", "light", "dark"],
  // A browser may refuse storage to a file; then the choice lasts as long as the page.
  load() { try { return localStorage.getItem("portcullis-theme") || "auto"; } catch { return "auto"; } },
  save(name) { try { localStorage.setItem("portcullis-theme", name); } catch { /* see above */ } },
  show(name) {
    if (!this.names.includes(name)) name = "auto";
    this.now = name;
    root.toggleAttribute("data-theme", name !== "auto");
    if (name !== "auto") root.dataset.theme = name;
    document.getElementById("theme").textContent = "Theme: " + name;
  },
  next() {
    this.show(this.names[(this.names.indexOf(this.now) + 1) % this.names.length]);
    this.save(this.now);
  },
};
theme.show(theme.load());
document.getElementById("theme").addEventListener("click", () => theme.next());

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const said = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    const text = button.parentElement.querySelector("pre");
    if (text) {
      text.textContent = button.dataset.copy;
      getSelection().selectAllChildren(text);
    }
    button.textContent = "Selected: copy it with the keyboard";
  }
  setTimeout(() => { button.textContent = said; }, 2000);
});

function make(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

// views are the parts of the page of which one is shown at a time.
const views = {
  tabs: Array.from(document.querySelectorAll("[data-view]")),
  show(name) {
    if (this.tabs.length === 0) return;
    this.now = name;
    for (const t of this.tabs) {
      const on = t.dataset.view === name;
      if (on) t.setAttribute("aria-current", "page"); else t.removeAttribute("aria-current");
      document.getElementById("view-" + t.dataset.view).hidden = !on;
    }
    dispatchEvent(new CustomEvent("view"));
  },
};
for (const t of views.tabs) t.addEventListener("click", () => views.show(t.dataset.view));

// typing says whether a key belongs to what has the focus.
const typing = (event) => event.ctrlKey || event.metaKey || event.altKey ||
  event.target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select") !== null;

// opened unfolds what a link points into.
function opened(element) {
  for (let e = element; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
}

addEventListener("beforeprint", () => {
  for (const d of document.querySelectorAll("details:not([open])")) { d.open = true; d.dataset.printed = ""; }
});
addEventListener("afterprint", () => {
  for (const d of document.querySelectorAll("details[data-printed]")) { d.open = false; delete d.dataset.printed; }
});
