// The view of the connections: the graph, the list, and the details of what is selected.
(() => {
  const data = document.getElementById("graph-data");
  if (!data) return;
  const graph = JSON.parse(data.textContent);
  const byID = (id) => document.getElementById(id);
  const canvas = byID("canvas"), picture = byID("graph"), side = byID("side"), list = byID("connections");
  const search = byID("reach-search"), only = byID("reach-ns"), port = byID("reach-port"), perhaps = byID("reach-perhaps");
  const rows = Array.from(list.querySelectorAll("tr[data-edge]"));
  const most = 40; // workloads that are all shown from the start
  const unfolded = new Set();
  const state = { picked: -1, at: null, x: 0, y: 0, k: 1, list: false };
  let scene, drawn, items = new Map();

  const firstGroup = graph.nodes.length, firstRange = firstGroup + graph.groups.length, every = firstRange + graph.ranges.length, open = every + 1;
  const fullName = (end) => {
    if (end < firstGroup) return graph.groups[graph.nodes[end].group].name + "/" + graph.nodes[end].name;
    if (end < firstRange) return graph.groups[end - firstGroup].name;
    return end < every ? graph.ranges[end - firstRange].short : end === every ? "every workload" : "all that is open out";
  };
  const boxKey = (end) => (end < firstGroup ? "ns" + graph.nodes[end].group : end < firstRange ? "ns" + (end - firstGroup) : "");
  const ends = Array.from({ length: open + 1 }, (_, end) => fullName(end).toLowerCase() + (end < firstGroup ? " " + graph.nodes[end].kind.toLowerCase() : end >= firstRange && end < every ? " " + (graph.ranges[end - firstRange].name + " " + graph.ranges[end - firstRange].full).toLowerCase() : ""));
  // covers says whether an end of an edge is what is picked, or all of it, or a part of it.
  const covers = (end, picked) => end === picked || (picked <= every && end === every && picked < firstRange) ||
    (end === open && picked < firstGroup && graph.nodes[picked].openOut) ||
    (end === open && picked >= firstGroup && picked < firstRange && graph.nodes.some((n) => n.group === picked - firstGroup && n.openOut)) ||
    (picked < firstGroup && end === firstGroup + graph.nodes[picked].group) ||
    (picked >= firstGroup && picked < firstRange && end < firstGroup && graph.nodes[end].group === picked - firstGroup);

  // Ports as "TCP/80,443 UDP/53", "every TCP port" and "all ports".
  function hasPort(ports, asked) {
    if (!asked) return true;
    const [, protocol, number] = asked.toUpperCase().match(/^(?:(TCP|UDP|SCTP)\/?)?(\d+)?$/) || [];
    if (!protocol && !number) return ports.toUpperCase().includes(asked.toUpperCase());
    if (ports === "all ports") return true;
    const all = ports.match(/^every (\w+) port$/);
    if (all) return !protocol || all[1] === protocol;
    return ports.split(" ").some((part) => {
      const [name, numbers] = part.split("/");
      return (!protocol || name === protocol) && (!number || (numbers || "").split(",").some((r) => {
        const [first, last] = r.split("-").map(Number);
        return first <= number && number <= (last || first);
      }));
    });
  }
  const visible = (e) => {
    const g = Number(only.value);
    return (perhaps.checked || !graph.flows[e.flow].maybe) && hasPort(graph.flows[e.flow].ports, port.value.trim()) && (g < 0 || covers(e.from, firstGroup + g) || covers(e.to, firstGroup + g));
  };
  byID("reach-perhaps-label").hidden = !graph.flows.some((f) => f.maybe);
  const edges = () => graph.edges.map((e, i) => ({ from: e[0], to: e[1], flow: e[2], i })).filter(visible);
  const words = () => search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = (end) => words().every((w) => ends[end].includes(w));

  const area = () => {
    const { width, height } = canvas.getBoundingClientRect();
    return { width: Math.max(600, width - 40), height: Math.max(400, height - 64) };
  };

  function build() {
    scene = new Scene(graph, (key) => unfolded.has(key), visible, Number(only.value), area());
    drawn = drawScene(scene, graph.flows);
    picture.replaceChildren(drawn.root);
    items = new Map(drawn.nodes.map((item) => [item.element, item]));
    const [ins, outs] = [new Map(), new Map()];
    for (const { line } of drawn.lines) {
      const id = (box, node) => (node < 0 ? box.key : box.key + " " + node);
      outs.set(id(line.a, line.m), (outs.get(id(line.a, line.m)) || 0) + 1);
      ins.set(id(line.b, line.n), (ins.get(id(line.b, line.n)) || 0) + 1);
    }
    for (const item of drawn.nodes) {
      const id = item.end === item.box.end || item.end < 0 ? item.box.key : item.box.key + " " + item.end;
      const kind = item.end < 0 ? "" : item.end < firstGroup ? `${graph.nodes[item.end].kind} ` : item.end < firstRange ? "Namespace " : "";
      const name = item.end < 0 ? item.box.title : fullName(item.end);
      const detail = item.end >= 0 && item.end < firstGroup ? ", " + scene.detail(item.end).replaceAll(" · ", ", ") : "";
      item.element.setAttribute("aria-label", `${kind}${name}${detail}; lines in: ${ins.get(id) || 0}, out: ${outs.get(id) || 0}`);
    }
    const foldable = scene.boxes.filter((b) => b.title !== "");
    byID("unfold").textContent = foldable.some((b) => !b.open) ? "Unfold all" : "Fold all";
    mark();
    rove(drawn.nodes.find((n) => state.at && n.end === state.at.end && n.box.key === state.at.box) || drawn.nodes[0], false);
  }

  // mark shows what is picked and what is searched for, and dims the rest.
  function mark() {
    const picked = state.picked, asked = words().length > 0;
    const near = new Set(), lit = [];
    for (const l of drawn.lines) {
      const on = picked >= 0 && l.line.edges.some((e) => covers(e.from, picked) || covers(e.to, picked));
      l.element.classList.toggle("on", on);
      if (!on) continue;
      lit.push(l);
      near.add(l.line.m < 0 ? l.line.a.key : l.line.a.key + " " + l.line.m).add(l.line.n < 0 ? l.line.b.key : l.line.b.key + " " + l.line.n);
      near.add(l.line.a.key).add(l.line.b.key);
    }
    for (const item of drawn.nodes) {
      const whole = item.end === item.box.end || item.end < 0;
      const own = item.end >= 0 && (item.end === picked || (picked >= firstGroup && picked < firstRange && item.end < firstGroup && graph.nodes[item.end].group === picked - firstGroup));
      const match = asked && (item.end >= 0 && found(item.end) || whole && item.box.members.some(found));
      item.element.classList.toggle("picked", item.end >= 0 && item.end === picked);
      item.element.classList.toggle("near", own || near.has(whole ? item.box.key : item.box.key + " " + item.end) || (whole && picked >= 0 && boxKey(picked) === item.box.key));
      item.element.classList.toggle("match", match);
      item.element.setAttribute("aria-pressed", String(item.end >= 0 && item.end === picked));
    }
    picture.classList.toggle("selecting", picked >= 0);
    picture.classList.toggle("searching", picked < 0 && asked);
    const labelled = picked >= 0 ? lit : drawn.lines.length <= 60 ? drawn.lines : [];
    drawLabels(drawn, labelled, graph.flows);
    filterRows();
    const shown = edges().length;
    byID("reach-said").textContent = asked ? `${ends.filter((_, end) => end < every && found(end)).length} found` : `${shown} ${shown === 1 ? "connection" : "connections"}`;
    byID("graph-hint").textContent = drawn.nodes.length === 0 ? "Nothing to draw: no workload, or none that matches." : "";
  }

  function filterRows() {
    const asked = words();
    let shown = 0;
    for (const r of rows) {
      const [from, to, flow] = graph.edges[r.dataset.edge];
      const text = ends[from] + " " + ends[to] + " " + graph.flows[flow].ports.toLowerCase();
      r.hidden = !visible({ from, to, flow }) || !asked.every((w) => text.includes(w)) || (state.picked >= 0 && !covers(from, state.picked) && !covers(to, state.picked));
      if (!r.hidden) shown++;
    }
    const none = byID("no-rows");
    if (none) none.hidden = shown > 0;
  }

  // pick selects an end of edges, or nothing with -1.
  function pick(end, { unfold = true, center = false } = {}) {
    state.picked = end;
    const key = end >= 0 ? boxKey(end) : "";
    if (end >= 0 && end < firstGroup && unfold && !unfolded.has(key)) { unfolded.add(key); build(); } else mark();
    describe();
    if (center) centre(end);
    const hash = end < 0 ? "" : "#" + new URLSearchParams({ at: fullName(end) });
    try { history.replaceState(null, "", hash || location.pathname + location.search); } catch { /* an address that may not change */ }
  }

  function fold(box) {
    if (unfolded.has(box.key)) unfolded.delete(box.key); else unfolded.add(box.key);
    const before = drawn.boxes.get(box.key);
    state.at = { end: box.end, box: box.key };
    build();
    const after = drawn.boxes.get(box.key);
    if (before && after) { state.x += (before.x - after.x) * state.k; state.y += (before.y - after.y) * state.k; reveal({ ...after, w: after.box.w, h: after.box.h }, false); }
  }

  // The details.
  const button = (end, text) => { const b = make("button", "name", text || fullName(end)); b.type = "button"; b.dataset.end = end; return b; };
  function connections(title, wanted, other, open) {
    const section = make("section", "", make("h3", "", title + " ", make("span", "count", String(wanted.length))));
    const ul = make("ul", "ends");
    for (const e of wanted) {
      const flow = graph.flows[e.flow];
      const label = fullName(other(e)) + (other(e) >= firstGroup && other(e) < firstRange ? "/*" : "");
      const li = make("li", "", button(other(e), label), " ", make("code", "", flow.ports));
      if (flow.note) li.append(" ", make("span", "note", flow.note));
      ul.append(li);
    }
    section.append(wanted.length > 0 ? ul : make("p", "note", open ? "nothing else" : "none"));
    return section;
  }

  function findingList(about) {
    const ids = graph.findings.filter(about).map((f) => f.id);
    const section = make("section", "", make("h3", "", "Findings ", make("span", "count", String(ids.length))));
    const ul = make("ul", "finding-links");
    for (const id of ids.slice(0, 200)) {
      const article = byID(id);
      const link = make("a", "", article.dataset.rule);
      link.href = "#" + id;
      ul.append(make("li", "", article.querySelector(".badge").cloneNode(true), " ", link, " ", make("span", "note", article.querySelector(".subject").textContent), make("p", "", article.querySelector(".message").textContent)));
    }
    section.append(ids.length > 0 ? ul : make("p", "note", "none"));
    if (ids.length > 200) section.append(make("p", "note", `and ${ids.length - 200} more: see Findings`));
    return section;
  }

  function describe() {
    const end = state.picked;
    if (end < 0) {
      const openIn = graph.nodes.filter((n) => n.openIn).length, openOut = graph.nodes.filter((n) => n.openOut).length;
      side.replaceChildren(
        make("p", "note", "Select a workload, a namespace or a range to see what it may connect to, and what may connect to it."),
        make("ul", "facts", make("li", "", `${graph.nodes.length} ${graph.nodes.length === 1 ? "workload" : "workloads"} in ${graph.groups.length} ${graph.groups.length === 1 ? "namespace" : "namespaces"}`), make("li", "", `${openIn} open in: no policy isolates them for ingress`), make("li", "", `${openOut} open out: no policy isolates them for egress`)),
        make("p", "note", "What is open out may connect to all that is open in and to any address, and any address to what is open in, on every port. There are no lines for that."),
        findingList(() => true));
      return;
    }
    const close = make("button", "quiet close", "Close");
    close.type = "button";
    close.addEventListener("click", () => pick(-1));
    const parts = [make("header", "", make("h2", "", end >= firstRange && end < every ? graph.ranges[end - firstRange].name : fullName(end)), close)];
    const facts = make("ul", "facts");
    let about = () => false;
    if (end < firstGroup) {
      const n = graph.nodes[end];
      facts.append(make("li", "", n.kind === "Pod" ? n.kind : `${n.kind}, ${n.pods} ${n.pods === 1 ? "pod" : "pods"}`));
      if (n.host) facts.append(make("li", "", "On the network of its node, where policies do not apply on most CNIs"));
      facts.append(make("li", n.openIn ? "warn" : "", n.openIn ? "Open in: no policy isolates it for ingress. All that may connect out reaches it, and any address, on every port" : "Isolated for ingress"));
      facts.append(make("li", n.openOut ? "warn" : "", n.openOut ? "Open out: no policy isolates it for egress. It reaches all that lets it in, and any address, on every port" : "Isolated for egress"));
      about = (f) => (f.nodes ? f.nodes.includes(end) : false);
    } else if (end < firstRange) {
      const members = graph.nodes.map((n, i) => [n, i]).filter(([n]) => n.group === end - firstGroup);
      const open = members.filter(([n]) => n.openIn || n.openOut).length;
      facts.append(make("li", "", `Namespace, ${members.length} ${members.length === 1 ? "workload" : "workloads"}${open ? `, ${open} of them open` : ""}`));
      about = (f) => f.group === end - firstGroup;
    } else if (end < every) facts.append(make("li", "", graph.ranges[end - firstRange].full), make("li", "", "Besides, any address may connect to what is open in, and be connected to by what is open out"));
    else facts.append(make("li", "", end === every ? "All workloads of all namespaces" : "All workloads that no policy isolates for egress"));
    parts.push(facts);
    const shown = edges();
    parts.push(connections("May be connected to from", shown.filter((e) => covers(e.to, end)), (e) => e.from, graph.nodes[end]?.openIn));
    parts.push(connections("May connect to", shown.filter((e) => covers(e.from, end)), (e) => e.to, graph.nodes[end]?.openOut));
    if (end < firstRange) parts.push(findingList(about));
    side.replaceChildren(...parts);
    side.scrollTop = 0;
  }

  // Pan and zoom.
  function move() { drawn.root.setAttribute("transform", `translate(${state.x.toFixed(1)} ${state.y.toFixed(1)}) scale(${state.k.toFixed(3)})`); }
  function fit() {
    const { width, height } = canvas.getBoundingClientRect();
    const margin = 20, legend = 24;
    state.k = Math.max(0.62, Math.min(1.1, (width - 2 * margin) / Math.max(1, scene.width), (height - 2 * margin - legend) / Math.max(1, scene.height)));
    state.x = Math.max(margin, (width - scene.width * state.k) / 2);
    state.y = Math.max(margin, (height - legend - scene.height * state.k) / 2);
    move();
  }
  function zoom(factor, cx, cy) {
    const { width, height } = canvas.getBoundingClientRect();
    [cx, cy] = [cx ?? width / 2, cy ?? height / 2];
    const k = Math.max(0.15, Math.min(2.5, state.k * factor));
    state.x = cx - (cx - state.x) * (k / state.k);
    state.y = cy - (cy - state.y) * (k / state.k);
    state.k = k;
    move();
  }
  // reveal moves the picture so that an item is in sight; centre puts it in the middle.
  function reveal(item, middle) {
    const { width, height } = canvas.getBoundingClientRect();
    const [x, y, w, h] = [item.x * state.k + state.x, item.y * state.k + state.y, item.w * state.k, item.h * state.k];
    if (middle) { state.x += width / 2 - x - w / 2; state.y += height / 2 - y - h / 2; } else {
      const margin = 30;
      if (x < margin) state.x += margin - x; else if (x + w > width - margin) state.x -= x + w - width + margin;
      if (y < margin) state.y += margin - y; else if (y + h > height - margin) state.y -= y + h - height + margin;
    }
    move();
  }
  function centre(end) {
    const item = drawn.nodes.find((n) => n.end === end) || drawn.boxes.get(boxKey(end));
    if (item) { reveal(item, true); rove(item, false); }
  }

  const pointers = new Map();
  let dragged = false;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    dragged = false;
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const now = [event.clientX, event.clientY];
    if (!dragged && Math.hypot(now[0] - last[0], now[1] - last[1]) < 4) return;
    if (!dragged) { dragged = true; canvas.setPointerCapture(event.pointerId); }
    if (pointers.size === 2) {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      const box = canvas.getBoundingClientRect();
      const span = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      zoom(span(now) / Math.max(1, span(last)), (now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top);
    } else {
      state.x += now[0] - last[0];
      state.y += now[1] - last[1];
      move();
    }
    pointers.set(event.pointerId, now);
  });
  for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    if (event.ctrlKey || !event.shiftKey) zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left, event.clientY - box.top);
    else { state.x -= event.deltaY; move(); }
  }, { passive: false });

  // Mouse and keys on nodes and boxes.
  const itemOf = (target) => items.get(target.closest(".node, .box"));
  canvas.addEventListener("click", (event) => {
    if (dragged) return;
    const item = itemOf(event.target);
    if (!item) {
      const line = drawn.lines.find((l) => l.element.contains(event.target));
      return pick(line ? (line.line.n >= 0 ? line.line.n : line.line.b.end) : -1);
    }
    rove(item, true);
    act(item, event.target.classList.contains("fold") || event.target.classList.contains("fold-hit"));
  });
  function act(item, folding) {
    const box = item.end === item.box.end || item.end < 0;
    if (box && (folding || !item.box.open)) {
      if (item.end >= 0 && !item.box.open && !folding) state.picked = item.end;
      fold(item.box);
      rove(drawn.boxes.get(item.box.key), true);
      describe();
    } else if (item.end >= 0) pick(item.end === state.picked ? -1 : item.end);
  }
  // rove makes an item the one that Tab reaches.
  function rove(item, focus) {
    for (const n of drawn.nodes) n.element.setAttribute("tabindex", n === item ? 0 : -1);
    if (!item) return;
    state.at = { end: item.end, box: item.box.key };
    if (focus) item.element.focus({ preventScroll: true });
  }
  picture.addEventListener("keydown", (event) => {
    const item = itemOf(event.target);
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (item && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      act(item, event.key === " ");
    } else if (item && way) {
      event.preventDefault();
      const [cx, cy] = [item.x + item.w / 2, item.y + item.h / 2];
      let best = null, least = Infinity;
      for (const n of drawn.nodes) {
        const [dx, dy] = [n.x + n.w / 2 - cx, n.y + n.h / 2 - cy];
        const along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
        if (n !== item && along > 4 && along + 2.2 * aside < least) { least = along + 2.2 * aside; best = n; }
      }
      if (best) { rove(best, true); reveal(best, false); }
    }
  });

  // The bar, the list and the details.
  function asList(on) {
    state.list = on;
    byID("view-reach").classList.toggle("listed", on);
    byID("as-list").ariaPressed = String(on);
    byID("as-graph").ariaPressed = String(!on);
    if (!on) fit();
  }
  byID("as-list").addEventListener("click", () => asList(true));
  byID("as-graph").addEventListener("click", () => asList(false));
  byID("fit").addEventListener("click", fit);
  byID("zoom-in").addEventListener("click", () => zoom(1.25));
  byID("zoom-out").addEventListener("click", () => zoom(0.8));
  byID("unfold").addEventListener("click", () => {
    const all = scene.boxes.filter((b) => b.title !== "");
    const open = all.some((b) => !b.open);
    for (const b of all) if (open) unfolded.add(b.key); else unfolded.delete(b.key);
    if (!open && state.picked >= 0 && state.picked < firstGroup) state.picked = -1;
    build();
    describe();
    fit();
  });
  byID("reach-bar").addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", () => mark());
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || words().length === 0) return;
    const first = ends.findIndex((_, end) => found(end));
    if (first >= 0) pick(first, { center: true });
  });
  for (const field of [only, port, perhaps]) field.addEventListener("input", () => { build(); describe(); fit(); });
  for (const place of [list, side]) {
    place.addEventListener("click", (event) => {
      const name = event.target.closest("[data-end]");
      if (name) pick(Number(name.dataset.end), { center: true });
    });
  }
  document.addEventListener("keydown", (event) => {
    if (views.now !== "reach") return;
    if (event.key === "Escape" && (event.target === search || event.target === port || !typing(event))) {
      if (search.value || port.value) { search.value = port.value = ""; build(); } else if (state.picked >= 0) pick(-1); else event.target.blur?.();
      return;
    }
    if (typing(event)) return;
    if (event.key === "/") { event.preventDefault(); search.focus(); search.select(); }
    if (event.key === "+") zoom(1.25);
    if (event.key === "-") zoom(0.8);
    if (event.key === "0") fit();
  });
  let first = true;
  addEventListener("view", () => {
    if (views.now !== "reach" || !first) return;
    first = false;
    build();
    describe();
    asList(matchMedia("(max-width: 760px)").matches && graph.edges.length > 0);
    fit();
    const wanted = new URLSearchParams(location.hash.slice(1)).get("at");
    const end = wanted === null ? -1 : Array.from({ length: open + 1 }, (_, i) => i).findIndex((i) => fullName(i) === wanted);
    if (end >= 0) pick(end, { center: true });
  });
  addEventListener("resize", () => { if (!first && views.now === "reach" && !state.list && state.picked < 0) fit(); });

  if (graph.nodes.length <= most) for (const i of graph.groups.keys()) unfolded.add("ns" + i);
  if (graph.ranges.length <= 8) for (const role of ["from", "to"]) unfolded.add(role + "-outside");
  const hash = location.hash.slice(1);
  const later = byID("view-reach").hasAttribute("data-later");
  if (new URLSearchParams(hash).has("at")) views.show("reach");
  else if (!hash) views.show(later ? "findings" : "reach");
  else views.show("findings");
})();
