package browser

// contrast lists the visible texts with too little contrast. Relative luminance and ratio are as in WCAG 2.2. Behind a text of
// an SVG is the last shape before it in its group that has a fill; behind any other, the nearest background.
const contrast = `(() => {
  const parse = (c) => {
    const m = c.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/);
    return m ? { rgb: m.slice(1, 4).map(Number), a: m[4] === undefined ? 1 : Number(m[4]) } : null;
  };
  const over = (top, under) => top.rgb.map((v, i) => v * top.a + under[i] * (1 - top.a));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const behind = (e) => {
    const layers = [];
    const add = (c) => { const p = parse(c); if (p && p.a > 0) layers.push(p); return p && p.a === 1; };
    let done = false;
    for (let n = e; n && !done; n = n.parentElement) {
      if (n instanceof SVGElement && !(n instanceof SVGSVGElement)) {
        for (let s = n; s && !done; s = s.previousElementSibling) {
          if (s !== e && ["rect", "circle"].includes(s.tagName) && getComputedStyle(s).fill !== "none" && getComputedStyle(s).display !== "none") { done = add(getComputedStyle(s).fill); break; }
        }
        continue;
      }
      done = add(getComputedStyle(n).backgroundColor);
    }
    let rgb = getComputedStyle(document.documentElement).colorScheme === "dark" ? [18, 18, 18] : [255, 255, 255];
    for (const l of layers.reverse()) rgb = over(l, rgb);
    return rgb;
  };
  const bad = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || ["SCRIPT", "STYLE"].includes(e.tagName) || !e.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(e);
    const color = parse(e instanceof SVGElement ? style.fill : style.color);
    if (!color) { bad.add("unknown colour " + style.color + ": " + text.slice(0, 40)); continue; }
    const back = behind(e);
    const r = ratio(over(color, back), back);
    if (r < 4.5) bad.add(r.toFixed(2) + " " + e.tagName + "." + (e.getAttribute("class") || "") + ": " + text.slice(0, 40));
  }
  return Array.from(bad);
})()`
