// What a reader would stumble over on a page that has been laid out; returns a list of [kind, where] pairs.
const faults = [];
const view = document.documentElement.clientWidth;
const short = (text) => text.trim().replace(/\s+/g, " ").slice(0, 60);
const name = (element) =>
  element.tagName.toLowerCase() + (element.className && element.className.split ? "." + element.className.trim().replace(/\s+/g, ".") : "");
const add = (kind, element, text) => faults.push([kind, `${name(element)}: ${text}`]);

// --- colours -------------------------------------------------------------------------------------
const parse = (text) => {
  const found = /rgba?\(([^)]*)\)/.exec(text);
  if (!found) return null;
  const parts = found[1].split(/[\s,/]+/).map(Number);
  return { rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1 };
};
const over = (top, ground) => ground.map((value, i) => top.rgb[i] * top.alpha + value * (1 - top.alpha));
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const chain = (element) => {
  const all = [];
  for (let at = element; at; at = at.parentElement) all.unshift(at);
  return all;
};
const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
const ground = (element) => {
  let rgb = canvas;
  for (const at of chain(element)) {
    const style = getComputedStyle(at);
    for (const layer of [parse(style.backgroundColor), parse(style.backgroundImage)]) if (layer) rgb = over(layer, rgb);
  }
  return rgb;
};
const opacity = (element) => chain(element).reduce((all, at) => all * Number(getComputedStyle(at).opacity), 1);
const ratio = (element, colour) => {
  const behind = ground(element);
  const ink = parse(colour);
  return ink ? contrast(over({ rgb: ink.rgb, alpha: ink.alpha * opacity(element) }, behind), behind) : 21;
};

// --- text: inside its place, and told from its ground --------------------------------------------
const scrolls = (element) => /auto|scroll/.test(getComputedStyle(element).overflowX);
const cut = (element) => getComputedStyle(element).textOverflow === "ellipsis";
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  if (!node.textContent.trim()) continue;
  const element = node.parentElement;
  if (element.closest("style, script, title, defs")) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const boxes = [...range.getClientRects()].filter((box) => box.width > 0);
  if (!boxes.length) {
    add("hidden", element, short(node.textContent));
    continue;
  }
  const style = getComputedStyle(element);
  const inSvg = element.closest("svg");
  const around = chain(element).reverse();
  const scroller = around.find(scrolls);
  if (!scroller && !around.some(cut)) {
    const left = Math.min(...boxes.map((box) => box.left));
    const right = Math.max(...boxes.map((box) => box.right));
    const place = inSvg ? inSvg.getBoundingClientRect() : { left: 0, right: view };
    if (left < place.left - 2 || right > place.right + 2) add("overflow", element, short(node.textContent));
  }
  const size = parseFloat(style.fontSize);
  const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  const got = ratio(element, inSvg ? style.fill : style.color);
  if (got < needed) add("contrast", element, `${got.toFixed(2)} ${short(node.textContent)}`);
}
for (const element of document.body.querySelectorAll("*")) {
  if (element.closest("svg") || getComputedStyle(element).display === "inline" || !element.clientWidth) continue;
  if (scrolls(element) || cut(element) || chain(element).some((at) => at !== element && cut(at))) continue;
  const hides = getComputedStyle(element).overflowX !== "visible";
  const spills = element.scrollWidth > element.clientWidth + 1;
  if (spills && (hides || element.matches("main *"))) add("overflow", element, short(element.textContent));
}
if (document.documentElement.scrollWidth > view || document.body.scrollWidth > view || innerWidth > WIDTH)
  add("scroll", document.body, `${Math.max(document.documentElement.scrollWidth, innerWidth)} pixels wide`);

// --- figures -------------------------------------------------------------------------------------
for (const image of document.images)
  if (!image.complete || !image.naturalWidth || !image.getBoundingClientRect().width || !image.alt)
    add("image", image, image.alt || "no alt");
for (const svg of document.querySelectorAll("svg")) {
  const box = svg.getBoundingClientRect();
  const drawn = svg.getBBox();
  if (box.width < 20 || box.height < 20 || !drawn.width || !drawn.height) add("figure", svg, "nothing is drawn");
  if (!svg.getAttribute("aria-label")) add("figure", svg, "no description");
  if (box.left < -1 || box.right > view + 1) add("overflow", svg, "wider than the page");
  for (const line of svg.querySelectorAll("path, line, polyline")) {
    const style = getComputedStyle(line);
    // Thin lines are grids and frames; those that carry data are thicker.
    if (style.stroke === "none" || parseFloat(style.strokeWidth) < 1.4) continue;
    const got = ratio(line, style.stroke);
    if (got < 3) add("contrast", line, `${got.toFixed(2)} stroke ${style.stroke}`);
  }
}
return faults;
