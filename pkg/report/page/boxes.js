// The scene: namespaces and ranges as boxes, workloads in those that are unfolded, and between them lines, each for all edges
// with the same ends. It knows places, and nothing of the document.
const sizes = { header: 30, pad: 12, node: 44, folded: 52, gap: 12, port: 6 };
const textWidth = (text, size) => Math.ceil(Array.from(text).length * size * 0.59);
const cut = (text, most) => { const a = Array.from(text); return a.length > most ? a.slice(0, most - 1).join("") + "…" : text; };

class Scene {
  // unfolded says of a box by its key whether its workloads are shown, and visible of an edge whether it is. only is the number
  // of the one namespace to be shown with those that it has edges with, or -1 for all. area is the size to be filled.
  constructor(graph, unfolded, visible, only, area) {
    this.graph = graph;
    this.area = area;
    const { nodes, groups, ranges } = graph;
    this.firstGroup = nodes.length;
    this.firstRange = this.firstGroup + groups.length;
    this.every = this.firstRange + ranges.length;
    this.open = this.every + 1;
    this.boxes = [];
    this.byKey = new Map();
    const edges = graph.edges.map((e, i) => ({ from: e[0], to: e[1], flow: e[2], i })).filter(visible);
    groups.forEach((g, i) => this.add({ key: "ns" + i, end: this.firstGroup + i, title: g.name, pin: 0, members: [] }));
    nodes.forEach((n, i) => this.boxes[n.group].members.push(i));
    for (const [role, pin, title] of [["from", -1, "From outside"], ["to", 1, "To outside"]]) {
      const used = [...new Set(edges.map((e) => e[role]))].sort((a, b) => a - b);
      const members = used.filter((end) => end >= this.firstRange && end < this.every);
      if (members.length > 0) this.add({ key: role + "-outside", end: -1, title, pin, members });
      if (used.includes(this.every)) this.add({ key: role + "-every", end: -1, title: "", pin: 0, members: [this.every] });
    }
    if (edges.some((e) => e.from === this.open)) this.add({ key: "from-open", end: -1, title: "", pin: 0, members: [this.open] });
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
    if (end === this.open) return this.byKey.get("from-open");
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
    const { column, linked } = ranked(boxes.length, links, boxes.map((b) => b.pin));
    const tied = boxes.filter((b) => linked[b.index]), loose = boxes.filter((b) => !linked[b.index]);
    const at = new Map(tied.map((b, i) => [b.index, i]));
    const columns = tied.length === 0 ? [] : fitted(tied.map((b) => this.guess(b)), tied.map((b) => column[b.index]), tied.map((b) => b.pin), { x: 66, y: 26 }, this.area, 0.7);
    for (const l of lines) {
      const [a, b] = [columns[at.get(l.a.index)], columns[at.get(l.b.index)]];
      l.outRight = l.a === l.b || a <= b;
      l.inRight = l.a !== l.b && a >= b;
    }
    for (const b of boxes) this.fill(b);
    for (const l of lines) {
      if (!l.link) continue;
      l.turn = l.link.fromYs.push(this.portOf(l, "out")?.y ?? 0) - 1;
      l.link.toYs.push(this.portOf(l, "in")?.y ?? 0);
    }
    const mean = (list) => list.reduce((s, v) => s + v, 0) / list.length;
    for (const l of links) { l.fromY = mean(l.fromYs); l.toY = mean(l.toYs); }
    const top = placed(tied, links.map((l) => ({ ...l, weight: l.fromYs.length, from: at.get(l.from), to: at.get(l.to) })), columns, { gapX: 48, gapY: 20 });
    tied.forEach((b, i) => { b.x = top.at[i].x; b.y = top.at[i].y - b.h / 2; });
    this.between = (l) => {
      const n = l.link.fromYs.length;
      return top.between(at.get(l.a.index), at.get(l.b.index)).map(([x, y, h]) => [x, y + ((l.turn + 0.5) / n - 0.5) * h]);
    };
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

  // guess is about the size that a box will have.
  guess(box) {
    if (!box.open) return { w: 160, h: sizes.folded };
    const across = Math.max(1, Math.round(Math.sqrt(box.members.length / 2)));
    return { w: across * (Math.max(...box.members.map((end) => this.nodeWidth(end))) + 40) + 2 * sizes.pad, h: Math.ceil(box.members.length / across) * (sizes.node + sizes.gap) + sizes.header };
  }

  // fill gives a box its size, and places to what is in it.
  fill(box) {
    if (!box.open) {
      box.w = Math.max(116, Math.min(230, textWidth(cut(box.title, 28), 14.5) + 52));
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
        if (l.a === box && l.m >= 0) port(l, l.m, "out", l.outRight);
        if (l.b === box && l.n >= 0) port(l, l.n, "in", l.inRight);
      }
    }
    const { column, linked } = ranked(vertices.length, links, pins);
    const columns = this.spread(vertices, column, linked, pins);
    const inner = placed(vertices, links, columns, { gapX: 34, gapY: sizes.gap });
    box.columns = columns;
    const bare = box.title === "";
    const [header, pad] = bare ? [0, 0] : [sizes.header, sizes.pad];
    box.inner = inner;
    box.w = Math.max(inner.width + 2 * pad, bare ? 0 : Math.min(260, textWidth(cut(box.title, 32), 14.5) + 60));
    box.h = inner.height + header + (bare ? 0 : 12);
    box.left = pad + (box.w - 2 * pad - inner.width) / 2;
    box.top = header;
    box.places = vertices.slice(0, box.members.length).map((v, i) => ({ end: v.end, i, x: box.left + inner.at[i].x, y: header + inner.at[i].y, w: v.w, h: v.h }));
    box.place = new Map(box.places.map((p) => [p.end, p]));
    for (const p of box.ports.values()) p.y = header + inner.at[p.i].y - box.h / 2;
  }

  // spread puts nodes without lines side by side, and makes the box about as wide as high.
  spread(vertices, column, linked, pins) {
    const free = vertices.map((_, i) => i).filter((i) => pins[i] === 0);
    const lonely = free.filter((i) => !linked[i]);
    const across = Math.max(1, Math.round(Math.sqrt(free.length / 2)));
    const room = { width: across * 260, height: Math.ceil(free.length / across) * 70 + 90 };
    const shape = vertices.map((v) => (v.h < sizes.node ? { w: 0, h: 0 } : v));
    const columns = fitted(shape, column, vertices.map((_, i) => (pins[i] === 0 && !linked[i] ? 2 : pins[i])), { x: 40, y: sizes.gap }, room, 1);
    const first = pins.includes(-1) ? 1 : 0;
    const tied = free.filter((i) => linked[i]);
    const used = tied.length > 0 ? Math.max(...tied.map((i) => columns[i])) - first + 1 : 0;
    const rows = new Array(Math.max(used, Math.ceil(Math.sqrt(lonely.length / 2.2)))).fill(0);
    for (const i of tied) rows[columns[i] - first]++;
    for (const i of lonely) {
      const least = rows.indexOf(Math.min(...rows));
      columns[i] = first + least;
      rows[least]++;
    }
    pins.forEach((p, i) => { if (p === 1) columns[i] = first + rows.length; });
    return columns;
  }

  nodeWidth(end) {
    return Math.max(84, Math.min(205, Math.max(textWidth(cut(this.name(end), 22), 14.8), textWidth(cut(this.detail(end), 30), 11.5)) + 20));
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
    const turned = (point, from, by) => Object.assign(point, { turn: Math.max(from[0], point[0]) + 16 + Math.min(40, Math.abs(point[1] - from[1]) * 0.12) + by });
    if (l.a === l.b && l.m >= 0 && l.n >= 0) {
      const [m, n] = [l.a.columns[l.a.place.get(l.m).i], l.a.columns[l.a.place.get(l.n).i]];
      const from = side(l.a, l.m, m <= n), to = side(l.a, l.n, m >= n);
      return m === n ? [from, turned(to, from, 0)] : [from, ...inside(l.a, l.m, l.a.place.get(l.n).i), to];
    }
    const points = [];
    const border = (box, right, y) => [box.x + (right ? box.w : 0), y];
    const exit = this.portOf(l, "out"), entry = this.portOf(l, "in");
    if (exit) points.push(side(l.a, l.m, exit.right), ...inside(l.a, l.m, exit.i), border(l.a, exit.right, l.a.y + l.a.h / 2 + exit.y));
    else if (l.a !== l.b) points.push(border(l.a, l.outRight, l.a.y + l.a.h / 2));
    if (l.a !== l.b) points.push(...this.between(l));
    const start = points.at(-1);
    const enter = (point) => points.push(l.a !== l.b && l.outRight && l.inRight ? turned(point, start, (l.turn % 5) * 5) : point);
    if (entry) {
      enter(border(l.b, entry.right, l.b.y + l.b.h / 2 + entry.y));
      points.push(...inside(l.b, l.n, entry.i, true), side(l.b, l.n, entry.right));
    } else if (l.a !== l.b) enter(border(l.b, l.inRight, l.b.y + l.b.h / 2));
    return points;
  }

  name(end) {
    const { nodes, groups, ranges } = this.graph;
    if (end < this.firstGroup) return nodes[end].name;
    if (end < this.firstRange) return groups[end - this.firstGroup].name;
    return end < this.every ? ranges[end - this.firstRange].name : end === this.every ? "Every workload" : "All that is open out";
  }

  // detail is the second line of a node.
  detail(end) {
    if (end >= this.every) return "in every namespace";
    if (end >= this.firstRange) {
      const r = this.graph.ranges[end - this.firstRange];
      return r.short === r.name ? "address range" : cut(r.short, 24);
    }
    const n = this.graph.nodes[end];
    const open = n.host ? "host network" : n.openIn && n.openOut ? "open in, out" : n.openIn ? "open in" : n.openOut ? "open out" : "";
    const pods = n.kind === "Pod" ? "Pod" : n.pods === 1 ? "1 pod" : `${n.pods} pods`;
    return open ? `${pods} · ${open}` : pods;
  }
}
