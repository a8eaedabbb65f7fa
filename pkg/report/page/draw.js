// Drawing a scene as SVG.
function svg(tag, attributes, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

// curve is the path through points: straight where the height stays, else a swing, and to a point with a turn, around it.
function curve(points) {
  let d = `M${points[0].slice(0, 2).map(Math.round).join(" ")}`;
  for (let i = 1; i < points.length; i++) {
    const [[px, py], [x, y]] = [points[i - 1], points[i]].map((p) => p.map(Math.round));
    const middle = Math.round((px + x) / 2), turn = Math.round(points[i].turn);
    if (points[i].turn) d += `C${turn} ${py} ${turn} ${y} ${x} ${y}`;
    else d += py === y ? `L${x} ${y}` : `C${middle} ${py} ${middle} ${y} ${x} ${y}`;
  }
  return d;
}

// arrow is the head of a line that ends at the last point.
function arrow(points) {
  const [[px], [x, y]] = points.slice(-2).map((p) => p.map(Math.round));
  const back = px < x && !points.at(-1).turn ? -7 : 7;
  return `M${x} ${y}l${back} -4v8z`;
}

function drawScene(scene, flows) {
  const layers = { boxes: svg("g", {}), lines: svg("g", {}), nodes: svg("g", {}), labels: svg("g", {}) };
  const drawn = { root: svg("g", {}, layers.boxes, layers.lines, layers.nodes, layers.labels), layers, boxes: new Map(), nodes: [], lines: [], solid: [] };
  for (const b of scene.boxes) drawBox(scene, b, drawn);
  for (const l of scene.lines) {
    const outside = [l.a, l.b].some((b) => b.key.endsWith("outside"));
    const wide = 1.2 + Math.min(3, Math.log2(l.edges.length) * 0.6);
    const path = svg("path", { class: "wire", d: curve(l.points), "stroke-width": wide.toFixed(1) });
    const title = svg("title", {}, lineText(l, flows));
    const g = svg("g", { class: "line" + (outside ? " outside" : "") }, title, path, svg("path", { class: "hit", d: curve(l.points) }), svg("path", { class: "head", d: arrow(l.points) }));
    if (l.a === l.b) {
      const [x, y] = l.m < 0 ? l.points[0] : l.points.at(-1);
      g.append(svg("circle", { class: "stub", cx: x, cy: y, r: 3.5 }));
    }
    layers.lines.append(g);
    drawn.lines.push({ line: l, element: g });
  }
  return drawn;
}

function lineText(l, flows) {
  const ports = [...new Set(l.edges.map((e) => flows[e.flow].ports))];
  return ports.length === 1 ? ports[0] : `${l.edges.length} connections`;
}

function drawBox(scene, b, drawn) {
  const bare = b.title === "";
  const count = b.members.length;
  const namespace = b.key.startsWith("ns");
  const what = namespace ? (count === 1 ? "1 workload" : `${count} workloads`) : (count === 1 ? "1 range" : `${count} ranges`);
  if (!bare) {
    const g = svg("g", {
      class: `box${b.open ? " open" : ""}${namespace ? "" : " outside"}`, transform: `translate(${Math.round(b.x)} ${Math.round(b.y)})`, tabindex: -1, role: "button",
      "aria-expanded": b.open, "aria-label": `${namespace ? "Namespace " : ""}${b.title}, ${what}`,
    }, svg("title", {}, b.title), svg("rect", { width: Math.round(b.w), height: Math.round(b.h), rx: 8 }));
    g.append(svg("text", { class: "name", x: 12, y: 20 }, cut(b.title, b.open ? 32 : 28)));
    const fold = svg("text", { class: "fold", x: Math.round(b.w) - 12, y: 20, "text-anchor": "end" }, b.open ? "−" : "+");
    g.append(svg("rect", { class: "fold-hit", x: Math.round(b.w) - 30, y: 2, width: 28, height: 24, rx: 5 }), fold);
    if (!b.open) g.append(svg("text", { class: "detail", x: 12, y: 39 }, what));
    (b.open ? drawn.layers.boxes : drawn.layers.nodes).append(g);
    const item = { element: g, box: b, end: b.end, x: b.x, y: b.y, w: b.w, h: b.open ? sizes.header : b.h };
    drawn.nodes.push(item);
    drawn.boxes.set(b.key, item);
    drawn.solid.push(item);
  }
  if (!b.open) return;
  for (const p of b.places) {
    const n = scene.graph.nodes[p.end];
    const [x, y] = [Math.round(b.x + p.x), Math.round(b.y + p.y - p.h / 2)];
    const open = n && (n.openIn || n.openOut) && !n.host;
    const g = svg("g", { class: `node${open ? " unisolated" : ""}${n ? "" : " outside"}`, transform: `translate(${x} ${y})`, tabindex: -1, role: "button" },
      svg("title", {}, n ? `${n.kind} ${scene.graph.groups[n.group].name}/${n.name}` : scene.name(p.end)),
      svg("rect", { width: p.w, height: p.h, rx: 6 }),
      svg("text", { class: "name", x: 10, y: 19 }, cut(scene.name(p.end), 22)),
      svg("text", { class: "detail", x: 10, y: 35 }, cut(scene.detail(p.end), 30)));
    drawn.layers.nodes.append(g);
    const item = { element: g, box: b, end: p.end, x, y, w: p.w, h: p.h };
    drawn.nodes.push(item);
    drawn.solid.push(item);
  }
}

// drawLabels writes the ports on lines, where there is room: a label covers no node and no other label.
function drawLabels(drawn, lines, flows) {
  drawn.layers.labels.replaceChildren();
  const taken = drawn.solid.map((s) => [s.x, s.y, s.x + s.w, s.y + s.h]);
  const free = (r) => taken.every((t) => r[2] <= t[0] || t[2] <= r[0] || r[3] <= t[1] || t[3] <= r[1]);
  for (const { line } of lines) {
    const text = cut(lineText(line, flows), 26);
    const w = textWidth(text, 11.5) + 8, h = 16;
    for (const [x, y] of labelPlaces(line.points)) {
      const r = [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
      if (!free(r)) continue;
      taken.push(r);
      drawn.layers.labels.append(svg("g", { class: "label", transform: `translate(${Math.round(x)} ${Math.round(y)})` },
        svg("rect", { x: -w / 2, y: -h / 2, width: w, height: h, rx: 4 }), svg("text", { y: 4, "text-anchor": "middle" }, text)));
      break;
    }
  }
}

// labelPlaces are points on a line, the middle of its longest part first.
function labelPlaces(points) {
  const parts = [];
  for (let i = 1; i < points.length; i++) parts.push([points[i - 1], points[i], Math.hypot(points[i][0] - points[i - 1][0], points[i][1] - points[i - 1][1])]);
  parts.sort((a, b) => b[2] - a[2]);
  return parts.slice(0, 4).flatMap(([[px, py], to]) => [0.5, 0.35, 0.65, 0.25, 0.75].map((t) => {
    const [x, y] = to, s = 3 * (1 - t) * (1 - t) * t, u = 3 * (1 - t) * t * t, v = t ** 3, r = (1 - t) ** 3, middle = to.turn || (px + x) / 2;
    return [r * px + (s + u) * middle + v * x, (r + s) * py + (u + v) * y];
  }));
}
