// Filter, search and grouping of the findings. The filter stands in the address after #, so that it can be shared, and so
// does the finding that a link points to.
const findings = (() => {
  const form = document.getElementById("filters");
  if (!form) return null;
  const list = document.getElementById("list");
  const search = document.getElementById("search");
  const facets = ["action", "level", "severity", "rule", "ns"];
  const all = Array.from(list.querySelectorAll(".finding"), (element) => ({ element, text: element.textContent.toLowerCase(), ...element.dataset }));
  const byID = new Map(all.map((f) => [f.element.id, f]));
  const totals = Array.from(document.querySelectorAll("[data-total]"));
  const actions = totals.map((t) => t.dataset.total);
  const boxes = Array.from(form.querySelectorAll("input[type=checkbox]"), (input) =>
    ({ input, label: input.closest("label"), count: input.closest("label").querySelector(".count") }));
  const titles = new Map(Array.from(list.querySelectorAll(".subgroup"), (s) => [s.dataset.group, s.querySelector("h3").cloneNode(true)]));
  const names = { groups: Array.from(list.querySelectorAll(".group"), (g) => g.dataset.group), rules: Array.from(titles.keys()) };
  const severe = (rule) => Math.min(...all.filter((f) => f.rule === rule).map((f) => actions.indexOf(f.action)));
  const rank = new Map(names.rules.map((rule) => [rule, severe(rule)]));
  names.rules.sort((a, b) => rank.get(a) - rank.get(b) || (a < b ? -1 : 1));
  let by = "ns";

  const chosen = () => {
    const wanted = { action: totals.filter((t) => t.ariaPressed === "true").map((t) => t.dataset.total) };
    for (const name of facets.slice(1)) wanted[name] = boxes.filter((b) => b.input.name === name && b.input.checked).map((b) => b.input.value);
    return { wanted, words: search.value.toLowerCase().split(/\s+/).filter(Boolean) };
  };

  // misses counts the facets that a finding does not match, and names the last of them.
  function misses(f, wanted) {
    let n = 0, last = "";
    for (const name of facets) {
      if (wanted[name].length > 0 && !wanted[name].includes(f[name])) { n++; last = name; }
    }
    return [n, last];
  }

  function apply() {
    const { wanted, words } = chosen();
    const counts = new Map();
    let shown = 0;
    for (const f of all) {
      const found = words.every((w) => f.text.includes(w));
      const [n, last] = misses(f, wanted);
      f.shown = found && n === 0;
      f.element.hidden = !f.shown;
      if (f.shown) shown++;
      if (!found || n > 1) continue;
      for (const name of facets) {
        if (n === 1 && last !== name) continue;
        const key = name + "\n" + f[name];
        counts.set(key, (counts.get(key) || 0) + 1);
      }
    }
    for (const b of boxes) {
      const n = counts.get(b.input.name + "\n" + b.input.value) || 0;
      b.count.textContent = n;
      b.label.classList.toggle("zero", n === 0 && !b.input.checked);
    }
    for (const t of totals) t.querySelector("b").textContent = counts.get("action\n" + t.dataset.total) || 0;
    for (const g of list.querySelectorAll(".group")) {
      let n = 0;
      for (const s of g.querySelectorAll(".subgroup")) {
        const here = s.querySelectorAll(".finding:not([hidden])").length;
        s.hidden = here === 0;
        n += here;
      }
      g.hidden = n === 0;
      g.querySelector("h2 .count").textContent = n;
    }
    const filtered = words.length > 0 || facets.some((name) => wanted[name].length > 0);
    document.getElementById("shown").textContent = filtered ? `${shown} of ${all.length} shown` : all.length === 1 ? "1 finding" : `${all.length} findings`;
    document.getElementById("clear").hidden = !filtered;
    document.getElementById("none").hidden = shown > 0;
    return { wanted, filtered };
  }

  // remember writes the filter into the address.
  function remember({ wanted, filtered }) {
    const said = new URLSearchParams();
    if (search.value.trim()) said.set("q", search.value.trim());
    for (const name of facets) for (const value of wanted[name]) said.append(name, value);
    if (by !== "ns") said.set("by", by);
    const hash = filtered || by !== "ns" ? "#" + said : "";
    try { history.replaceState(null, "", hash || location.pathname + location.search); } catch { /* an address that may not change */ }
  }
  const changed = () => remember(apply());

  function clear() {
    search.value = "";
    for (const b of boxes) b.input.checked = false;
    for (const t of totals) t.ariaPressed = "false";
  }

  // group puts the findings under namespaces, as the page came, or under rules.
  function group(how) {
    if (how === by) return;
    by = how;
    form.elements.by.value = how;
    for (const g of list.querySelectorAll(".group")) g.remove();
    const [outer, inner] = how === "ns" ? [names.groups, names.rules] : [names.rules, names.groups];
    const place = document.getElementById("none");
    const of = (o, i) => all.filter((f) => (how === "ns" ? f.ns === o && f.rule === i : f.rule === o && f.ns === i));
    for (const o of outer) {
      const heading = make("h2", "");
      if (how === "ns") heading.append(o, " ");
      else heading.append(...titles.get(o).cloneNode(true).childNodes, " ");
      heading.append(make("span", "count"));
      const section = make("section", "group", heading);
      section.dataset.group = o;
      for (const i of inner) {
        const here = of(o, i);
        if (here.length === 0) continue;
        const sub = make("section", "subgroup", how === "ns" ? titles.get(i).cloneNode(true) : make("h3", "", i), ...here.map((f) => f.element));
        sub.dataset.group = i;
        section.append(sub);
      }
      place.before(section);
    }
  }

  // follow goes where the address points: to a finding, which is shown whatever the filter, or to a filter.
  function follow() {
    const at = decodeURIComponent(location.hash.slice(1));
    const f = byID.get(at);
    if (f) {
      views.show("findings");
      if (!f.shown) { clear(); apply(); }
      f.element.scrollIntoView({ block: "center", behavior: "instant" });
      f.element.focus({ preventScroll: true });
      return;
    }
    const target = at && document.getElementById(at);
    if (target) return opened(target);
    const said = new URLSearchParams(location.hash.slice(1));
    if (!at.includes("=") || said.has("at")) return;
    views.show("findings");
    clear();
    search.value = said.get("q") || "";
    for (const t of totals) t.ariaPressed = String(said.getAll("action").includes(t.dataset.total));
    for (const b of boxes) b.input.checked = said.getAll(b.input.name).includes(b.input.value);
    group(said.get("by") === "rule" ? "rule" : "ns");
    apply();
  }

  function step(by) {
    const shown = Array.from(list.querySelectorAll(".finding:not([hidden])"));
    if (shown.length === 0) return;
    const now = shown.indexOf(document.activeElement.closest(".finding"));
    const next = shown[Math.max(0, Math.min(shown.length - 1, now < 0 ? (by > 0 ? 0 : shown.length - 1) : now + by))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "by") group(event.target.value);
    changed();
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    clear();
    changed();
    search.focus();
  });
  document.getElementById("none-clear").addEventListener("click", () => { clear(); changed(); search.focus(); });
  for (const t of totals) t.addEventListener("click", () => { t.ariaPressed = String(t.ariaPressed !== "true"); changed(); });
  addEventListener("hashchange", follow);
  document.addEventListener("keydown", (event) => {
    const view = document.getElementById("view-findings");
    if (view.hidden) return;
    if (event.key === "Escape" && (event.target === search || !typing(event))) {
      if (chosen().words.length > 0) { search.value = ""; changed(); } else search.blur();
      return;
    }
    if (typing(event)) return;
    if (event.key === "/") { event.preventDefault(); search.focus(); search.select(); }
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
  });
  if (matchMedia("(max-width: 760px)").matches) document.getElementById("facets").open = false;
  apply();
  follow();
  return { byID };
})();
