// The scene: namespaces and ranges as boxes, workloads in those that are unfolded, and between them lines, each for all edges
// with the same ends. It knows places, and nothing of the document.
const sizes = { header: 28, pad: 14, node: 42, folded: 50, gap: 14, port: 6 };
const textWidth = (text, size) => Math.ceil(Array.from(text).length * size * 0.6);
const cut = (text, most) => { const a = Array.from(text); return a.length > most ? a.slice(0, most - 1).join("") + "…" : text; };

class Scene {
  // unfolded says of a box by its key whether its workloads are shown, and visible of an edge whether it is. only is the number
  // of the one namespace to be shown with those that it has edges with, or -1 for all.
  constructor(graph, unfolded, visible, only) {
    this.graph = graph;
    const { nodes, groups, ranges } = graph;
    this.firstGroup = nodes.length;
    this.firstRange = this.firstGroup + groups.length;
    this.every = this.firstRange + ranges.length;
    this.boxes = [];
    this.byKey = new Map();
    const edges = graph.edges.map((e, i) => ({ from: e[0], to: e[1], flow: e[2], i })).filter(visible);
    groups.forEach((g, i) => this.add({ key: "ns" + i, end: this.firstGroup + i, title: g.name, pin: 0, members: [] }));
    nodes.forEach((n, i) => this.boxes[n.group].members.push(i));
    for (const [role, pin, title] of [["from", -1, "From outside"], ["to", 1, "To outside"]]) {
      const used = [...new Set(edges.map((e) => e[role]))].sort((a, b) => a - b);
      const members = used.filter((end) => end >= this.firstRange && end < this.every);
      if (members.length > 0) this.add({ key: role + "-outside", end: -1, title, pin, members });
      if (used.includes(this.every)) this.add({ key: role + "-every", end: -1, title: "", pin, members: [this.every] });
    }
    if (only >= 0) {
      const near = new Set(edges.flatMap((e) => [this.boxOf(e.from, "from").key, this.boxOf(e.to, "to").key]));
      this.boxes = this.boxes.filter((b) => near.has(b.key) || b.key === "ns" + only);
      this.boxes.forEach((b, i) => { b.index = i; });
    }
    for (const b of this.boxes) b.open = b.title === "" || unfolded(b.key);
    this.join(edges);
    this.arrange();
  }

  add(box) {
    box.index = this.boxes.push(box) - 1;
    this.byKey.set(box.key, box);
  }

  boxOf(end, role) {
    if (end === this.every) return this.byKey.get(role + "-every");
    if (end >= this.firstRange) return this.byKey.get(role + "-outside");
    if (end >= this.firstGroup) return this.byKey.get("ns" + (end - this.firstGroup));
    return this.byKey.get("ns" + this.graph.nodes[end].group);
  }

  // join makes the lines. A node of -1 is the box itself.
  join(edges) {
    const lines = new Map();
    for (const e of edges) {
      const [a, b] = [this.boxOf(e.from, "from"), this.boxOf(e.to, "to")];
      const node = (box, end) => (box.open && box.end !== end ? end : -1);
      const [m, n] = [node(a, e.from), node(b, e.to)];
      if (a === b && m === n) {
        (a.within ||= []).push(e);
        continue;
      }
      const key = [a.key, m, b.key, n].join(" ");
      const line = lines.get(key) || { a, m, b, n, edges: [], ports: {} };
      line.edges.push(e);
      lines.set(key, line);
    }
    this.lines = [...lines.values()];
  }

  arrange() {
    const { boxes, lines } = this;
    const between = new Map();
    for (const l of lines) {
      if (l.a === l.b) continue;
      const key = l.a.index + " " + l.b.index;
      const link = between.get(key) || { from: l.a.index, to: l.b.index, weight: 0, fromYs: [], toYs: [] };
      link.weight += l.edges.length;
      between.set(key, link);
      l.link = link;
    }
    const links = [...between.values()];
    const { column, forward, linked } = ranked(boxes.length, links, boxes.map((b) => b.pin));
    for (const l of lines) l.right = l.a === l.b ? true : forward(l.a.index, l.b.index);
    for (const b of boxes) this.fill(b);
    for (const l of lines) {
      if (!l.link) continue;
      l.link.fromYs.push(this.portOf(l, "out")?.y ?? 0);
      l.link.toYs.push(this.portOf(l, "in")?.y ?? 0);
    }
    const mean = (list) => list.reduce((s, v) => s + v, 0) / list.length;
    for (const l of links) { l.fromY = mean(l.fromYs); l.toY = mean(l.toYs); }
    const tied = boxes.filter((b) => linked[b.index]), loose = boxes.filter((b) => !linked[b.index]);
    const at = new Map(tied.map((b, i) => [b.index, i]));
    const area = tied.reduce((s, b) => s + (b.w + 90) * (b.h + 24), 0);
    const wide = wrapped(tied, tied.map((b) => column[b.index]), Math.max(640, Math.sqrt(area) * 0.9, ...tied.map((b) => b.h + 24)), 24);
    const top = placed(tied, links.map((l) => ({ ...l, from: at.get(l.from), to: at.get(l.to) })), wide, { gapX: 74, gapY: 22 });
    tied.forEach((b, i) => { b.x = top.at[i].x; b.y = top.at[i].y - b.h / 2; });
    this.between = (a, b) => top.between(at.get(a.index), at.get(b.index));
    this.width = top.width;
    this.height = top.height;
    this.pack(loose);
    for (const l of lines) l.points = this.route(l);
  }

  // pack puts boxes without lines below the others, in rows.
  pack(loose) {
    const limit = Math.max(this.width, 900);
    let x = 0, y = this.height > 0 ? this.height + 34 : 0, row = 0;
    for (const b of loose) {
      if (x > 0 && x + b.w > limit) { x = 0; y += row + 20; row = 0; }
      b.x = x;
      b.y = y;
      x += b.w + 20;
      row = Math.max(row, b.h);
      this.width = Math.max(this.width, b.x + b.w);
      this.height = Math.max(this.height, b.y + b.h);
    }
  }

  // fill gives a box its size, and places to what is in it.
  fill(box) {
    if (!box.open) {
      box.w = Math.max(116, Math.min(230, textWidth(cut(box.title, 28), 13.5) + 44));
      box.h = sizes.folded;
      return;
    }
    const vertices = box.members.map((end) => ({ end, w: this.nodeWidth(end), h: sizes.node }));
    const index = new Map(box.members.map((end, i) => [end, i]));
    const pins = vertices.map(() => 0);
    const links = [];
    box.ports = new Map();
    const port = (l, node, io, right) => {
      const key = [node, io, right].join(" ");
      if (!box.ports.has(key)) {
        const i = vertices.push({ w: 0, h: sizes.port }) - 1;
        pins.push(right ? 1 : -1);
        box.ports.set(key, { i, right });
        links.push(right ? { from: index.get(node), to: i, weight: 1 } : { from: i, to: index.get(node), weight: 1 });
      }
      l.ports[io] = key;
    };
    for (const l of this.lines) {
      if (l.a === box && l.b === box && l.m >= 0 && l.n >= 0) links.push({ from: index.get(l.m), to: index.get(l.n), weight: 1 });
      else {
        if (l.a === box && l.m >= 0) port(l, l.m, "out", l.right);
        if (l.b === box && l.n >= 0) port(l, l.n, "in", !l.right);
      }
    }
    const { column, linked } = ranked(vertices.length, links, pins);
    this.spread(vertices, column, linked, pins);
    const inner = placed(vertices, links, column, { gapX: 44, gapY: sizes.gap });
    const bare = box.title === "";
    const [header, pad] = bare ? [0, 0] : [sizes.header, sizes.pad];
    box.inner = inner;
    box.w = Math.max(inner.width + 2 * pad, bare ? 0 : Math.min(260, textWidth(cut(box.title, 32), 13.5) + 70));
    box.h = inner.height + header + (bare ? 0 : 12);
    box.left = pad + (box.w - 2 * pad - inner.width) / 2;
    box.top = header;
    box.places = vertices.slice(0, box.members.length).map((v, i) => ({ end: v.end, i, x: box.left + inner.at[i].x, y: header + inner.at[i].y, w: v.w, h: v.h }));
    box.place = new Map(box.places.map((p) => [p.end, p]));
    for (const p of box.ports.values()) p.y = header + inner.at[p.i].y - box.h / 2;
  }

  // spread puts nodes without lines side by side, and splits high columns.
  spread(vertices, column, linked, pins) {
    const free = vertices.map((_, i) => i).filter((i) => pins[i] === 0);
    const lonely = free.filter((i) => !linked[i]), tied = free.filter((i) => linked[i]);
    const first = pins.includes(-1) ? 1 : 0;
    const used = tied.length > 0 ? Math.max(...tied.map((i) => column[i])) - first + 1 : 0;
    const wanted = Math.max(used, Math.ceil(Math.sqrt(lonely.length / 2.2)));
    const rows = new Array(wanted).fill(0);
    for (const i of tied) rows[column[i] - first]++;
    for (const i of lonely) {
      let best = 0;
      rows.forEach((n, c) => { if (n < rows[best]) best = c; });
      column[i] = first + best;
      rows[best]++;
    }
    const height = Math.max(430, Math.sqrt(free.length) * 95);
    const split = wrapped(free.map((i) => vertices[i]), free.map((i) => column[i]), height, sizes.gap);
    free.forEach((v, i) => { column[v] = first + split[i]; });
    const last = Math.max(...free.map((i) => column[i])) + 1;
    pins.forEach((p, i) => { if (p === 1) column[i] = last; });
  }

  nodeWidth(end) {
    return Math.max(96, Math.min(190, Math.max(textWidth(cut(this.name(end), 24), 12.5), textWidth(cut(this.detail(end), 30), 11)) + 22));
  }

  portOf(l, io) {
    const box = io === "out" ? l.a : l.b;
    return l.ports[io] ? box.ports.get(l.ports[io]) : null;
  }

  // route is the points of a line: it runs straight within columns, and swings between them.
  route(l) {
    const inside = (box, node, i, back) => {
      const p = box.place.get(node);
      const points = box.inner.between(p.i, i).map(([x, y]) => [box.x + box.left + x, box.y + box.top + y]);
      return back ? points.reverse() : points;
    };
    const side = (box, node, right) => { const p = box.place.get(node); return [box.x + p.x + (right ? p.w : 0), box.y + p.y]; };
    if (l.a === l.b && l.m >= 0 && l.n >= 0) {
      const right = l.a.place.get(l.m).x < l.a.place.get(l.n).x;
      return [side(l.a, l.m, right), ...inside(l.a, l.m, l.a.place.get(l.n).i), side(l.a, l.n, !right)];
    }
    const points = [];
    const border = (box, right, y) => [box.x + (right ? box.w : 0), y];
    const exit = this.portOf(l, "out"), entry = this.portOf(l, "in");
    if (exit) points.push(side(l.a, l.m, exit.right), ...inside(l.a, l.m, exit.i), border(l.a, exit.right, l.a.y + l.a.h / 2 + exit.y));
    else if (l.a !== l.b) points.push(border(l.a, l.right, l.a.y + l.a.h / 2));
    if (l.a !== l.b) points.push(...this.between(l.a, l.b));
    if (entry) points.push(border(l.b, entry.right, l.b.y + l.b.h / 2 + entry.y), ...inside(l.b, l.n, entry.i, true), side(l.b, l.n, entry.right));
    else if (l.a !== l.b) points.push(border(l.b, !l.right, l.b.y + l.b.h / 2));
    return points;
  }

  name(end) {
    const { nodes, groups, ranges } = this.graph;
    if (end < this.firstGroup) return nodes[end].name;
    if (end < this.firstRange) return groups[end - this.firstGroup].name;
    return end < this.every ? ranges[end - this.firstRange].name : "Every workload";
  }

  // detail is the second line of a node.
  detail(end) {
    if (end === this.every) return "in every namespace";
    if (end >= this.firstRange) {
      const r = this.graph.ranges[end - this.firstRange];
      return r.short === r.name ? "address range" : r.short;
    }
    const n = this.graph.nodes[end];
    const open = n.host ? "host network" : n.openIn && n.openOut ? "open in, out" : n.openIn ? "open in" : n.openOut ? "open out" : "";
    const kind = n.kind === "Pod" ? "Pod" : `${n.kind} · ${n.pods}`;
    return open ? `${kind} · ${open}` : kind;
  }
}
