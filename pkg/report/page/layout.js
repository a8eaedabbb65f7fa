// Layered layout: vertices in columns, links from left to right as far as there is no circle, few crossings. It is
// deterministic: equal input gives equal places.

// ranked puts vertices into columns. Pins are -1 for the first column, 1 for the last, else 0. Links are {from, to, weight}.
// It returns the column of each vertex, and whether links between two go to the right.
function ranked(count, links, pins) {
  const out = Array.from({ length: count }, () => new Map()), into = Array.from({ length: count }, () => new Map());
  for (const l of links) {
    if (l.from === l.to) continue;
    out[l.from].set(l.to, (out[l.from].get(l.to) || 0) + l.weight);
    into[l.to].set(l.from, (into[l.to].get(l.from) || 0) + l.weight);
  }
  const position = breakCircles(count, out, into, pins);
  const forward = (a, b) => position[a] < position[b];
  const order = Array.from({ length: count }, (_, i) => i).sort((a, b) => position[a] - position[b]);
  const next = Array.from({ length: count }, () => []), before = Array.from({ length: count }, () => []);
  for (let a = 0; a < count; a++) {
    for (const b of new Set([...out[a].keys(), ...into[a].keys()])) {
      if (forward(a, b)) { next[a].push(b); before[b].push(a); }
    }
  }
  const column = new Array(count).fill(0);
  const free = order.filter((v) => pins[v] === 0);
  const nextFree = (v) => next[v].filter((w) => pins[w] === 0);
  for (const v of free) for (const w of nextFree(v)) column[w] = Math.max(column[w], column[v] + 1);
  for (const v of free.toReversed()) {
    if (nextFree(v).length > 0 && !before[v].some((w) => pins[w] === 0)) column[v] = Math.min(...nextFree(v).map((w) => column[w])) - 1;
  }
  const first = pins.includes(-1) ? 1 : 0;
  for (const v of free) column[v] += first;
  const last = Math.max(first - 1, ...free.map((v) => column[v])) + 1;
  for (let v = 0; v < count; v++) if (pins[v] !== 0) column[v] = pins[v] < 0 ? 0 : last;
  const linked = Array.from({ length: count }, (_, v) => next[v].length + before[v].length > 0);
  return { column, forward, linked };
}

// breakCircles orders vertices so that little weight goes backwards: what is only left goes first, what is only entered goes
// last, and else what has the most more out than in.
function breakCircles(count, out, into, pins) {
  const position = new Array(count);
  const rest = new Set(Array.from({ length: count }, (_, i) => i));
  const outs = out.map((m) => m.size), ins = into.map((m) => m.size);
  const left = [], right = [];
  const take = (v, list) => {
    rest.delete(v);
    list.push(v);
    for (const w of out[v].keys()) ins[w]--;
    for (const w of into[v].keys()) outs[w]--;
  };
  for (let v = 0; v < count; v++) if (pins[v] === -1) take(v, left);
  for (let v = 0; v < count; v++) if (pins[v] === 1) take(v, right);
  while (rest.size > 0) {
    let moved = false;
    for (const v of rest) if (outs[v] === 0) { take(v, right); moved = true; }
    for (const v of rest) if (ins[v] === 0) { take(v, left); moved = true; }
    if (moved) continue;
    let best = -1;
    for (const v of rest) if (best < 0 || outs[v] - ins[v] > outs[best] - ins[best]) best = v;
    take(best, left);
  }
  [...left, ...right.reverse()].forEach((v, i) => { position[v] = i; });
  return position;
}

// fitted merges neighbouring columns, and splits high ones, so that all of it fits into an area of that size at the scale, or as well as it
// can. Pins stay where they are. The vertices' sizes may be guesses.
function fitted(vertices, column, pins, gap, area, enough) {
  const layers = [];
  vertices.forEach((v, i) => { if (pins[i] === 0) (layers[column[i]] ||= []).push(i); });
  const full = layers.filter(Boolean);
  const high = (list) => list.reduce((sum, i) => sum + vertices[i].h + gap.y, 0);
  let best = null;
  for (let limit = 200; limit < 40000; limit *= 1.25) {
    const columns = [];
    for (const layer of full) {
      const parts = Math.ceil(high(layer) / limit);
      if (parts > 1) {
        const share = Math.ceil(layer.length / parts);
        for (let i = 0; i < layer.length; i += share) columns.push(layer.slice(i, i + share));
      } else if (columns.length > 0 && high(columns.at(-1)) + high(layer) <= limit) columns[columns.length - 1] = [...columns.at(-1), ...layer];
      else columns.push([...layer]);
    }
    const wide = (list) => Math.max(0, ...list.map((i) => vertices[i].w)) + gap.x;
    const pinned = [-1, 1].map((pin) => vertices.map((_, i) => i).filter((i) => pins[i] === pin)).filter((list) => list.length > 0);
    const all = [...columns, ...pinned];
    const [width, height] = [all.reduce((sum, c) => sum + wide(c), 0), Math.max(0, ...all.map(high))];
    const scale = Math.min(area.width / width, area.height / height, enough);
    if (!best || scale > best.scale * 1.03) best = { scale, columns };
    if (columns.length <= 1) break;
  }
  const first = pins.includes(-1) ? 1 : 0;
  const result = vertices.map((_, i) => (pins[i] < 0 ? 0 : first + best.columns.length));
  best.columns.forEach((members, c) => { for (const i of members) result[i] = first + c; });
  return result;
}

// placed gives places to vertices {w, h} in columns. Links are {from, to, weight, fromY, toY}: how far from the middles of the
// vertices they leave and enter. It returns x and y of the vertices' middles on the left edge, the size, and for every link the
// points between its ends.
function placed(vertices, links, column, { gapX, gapY }) {
  const items = vertices.map((v, i) => ({ w: v.w, h: v.h, column: column[i], near: [] }));
  const routes = new Map();
  const merged = new Map();
  for (const l of links) {
    if (l.from === l.to) continue;
    if (column[l.from] === column[l.to]) {
      const side = { own: l.fromY || 0, other: l.toY || 0, weight: 1 };
      items[l.from].near.push({ ...side, at: l.to });
      items[l.to].near.push({ at: l.from, own: side.other, other: side.own, weight: 1 });
      continue;
    }
    const [a, b, ay, by] = column[l.from] < column[l.to] ? [l.from, l.to, l.fromY, l.toY] : [l.to, l.from, l.toY, l.fromY];
    const key = a * vertices.length + b;
    const known = merged.get(key);
    if (known) known.weight += l.weight;
    else merged.set(key, { a, b, ay: ay || 0, by: by || 0, weight: l.weight });
  }
  for (const [key, l] of merged) {
    const chain = [l.a];
    for (let c = column[l.a] + 1; c < column[l.b]; c++) chain.push(items.push({ w: 0, h: Math.min(26, 4 * l.weight), column: c, near: [], bend: true }) - 1);
    chain.push(l.b);
    for (let i = 1; i < chain.length; i++) {
      const [p, q] = [chain[i - 1], chain[i]];
      const weight = 1 + Math.log2(l.weight) + (items[p].bend && items[q].bend ? 6 : 0);
      const [py, qy] = [i === 1 ? l.ay : 0, i === chain.length - 1 ? l.by : 0];
      items[p].near.push({ at: q, own: py, other: qy, weight });
      items[q].near.push({ at: p, own: qy, other: py, weight });
    }
    routes.set(key, chain.slice(1, -1));
  }
  const columns = [];
  items.forEach((item, i) => (columns[item.column] ||= []).push(i));
  stack(items, columns, gapY, merged.size > 0);
  for (let round = 0; round < 14; round++) {
    const right = round % 2 === 0;
    const sweep = right ? columns : columns.toReversed();
    for (const members of sweep) {
      for (const i of members) items[i].wish = wish(items, i, round < 8 ? (right ? -1 : 1) : 0);
      if (round < 10) members.sort((a, b) => items[a].wish - items[b].wish || a - b);
      settle(items, members, gapY);
    }
  }
  const width = columns.map((members) => Math.max(...members.map((i) => items[i].w)));
  const x = [];
  let at = 0;
  columns.forEach((members, c) => {
    const crossing = members.reduce((n, i) => n + items[i].near.filter((l) => items[l.at].column > c).length, 0);
    x[c] = at;
    at += width[c] + (c + 1 < columns.length ? gapX + Math.min(60, crossing * 2) : 0);
  });
  let top = Infinity, bottom = -Infinity;
  for (const item of items) { top = Math.min(top, item.y - item.h / 2); bottom = Math.max(bottom, item.y + item.h / 2); }
  if (items.length === 0) top = bottom = 0;
  for (const item of items) { item.y -= top; item.x = x[item.column] + (width[item.column] - item.w) / 2; }
  const between = (from, to) => {
    const back = column[from] > column[to];
    const chain = routes.get(back ? to * vertices.length + from : from * vertices.length + to) || [];
    const points = chain.flatMap((i) => [[x[items[i].column], items[i].y, items[i].h], [x[items[i].column] + width[items[i].column], items[i].y, items[i].h]]);
    return back ? points.reverse() : points;
  };
  return { at: items.slice(0, vertices.length), width: at, height: bottom - top, between };
}

// stack puts the items of each column below each other, around the middle or from the top.
function stack(items, columns, gap, middle) {
  for (const members of columns) {
    let y = 0;
    for (const i of members) { items[i].y = y + items[i].h / 2; y += items[i].h + gap; }
    if (middle) for (const i of members) items[i].y -= y / 2;
  }
}

// wish is where an item would be best for its links to the left (-1), to the right (1), or to both sides.
function wish(items, i, side) {
  let sum = 0, weights = 0;
  for (const l of items[i].near) {
    const there = items[l.at];
    if (side !== 0 && Math.sign(there.column - items[i].column) !== side) continue;
    sum += (there.y + l.other - l.own) * l.weight;
    weights += l.weight;
  }
  return weights > 0 ? sum / weights : items[i].y;
}

// settle moves the items of a column as near to their wishes as their order and sizes let them.
function settle(items, members, gap) {
  const blocks = [];
  let offset = 0, last = null;
  for (const i of members) {
    if (last !== null) offset += (items[last].h + items[i].h) / 2 + (items[last].bend && items[i].bend ? 4 : gap);
    last = i;
    const weight = 1 + items[i].near.reduce((n, l) => n + l.weight, 0);
    blocks.push({ sum: (items[i].wish - offset) * weight, weight, members: [[i, offset]] });
    while (blocks.length > 1) {
      const b = blocks.at(-1), a = blocks.at(-2);
      if (a.sum / a.weight <= b.sum / b.weight) break;
      a.sum += b.sum;
      a.weight += b.weight;
      for (const m of b.members) a.members.push(m);
      blocks.pop();
    }
  }
  for (const b of blocks) for (const [i, by] of b.members) items[i].y = b.sum / b.weight + by;
}
