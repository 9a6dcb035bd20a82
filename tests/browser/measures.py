"""Programs that measure a page in the browser: the contrast of its texts, and whether it fits the window."""

CONTRAST = """
texts => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const behind = node => {
    const colour = parse(getComputedStyle(node).backgroundColor);
    return colour.length < 4 || colour[3] > 0 ? colour : behind(node.parentElement);
  };
  const worst = {};
  for (const node of document.querySelectorAll(texts)) {
    const style = getComputedStyle(node);
    const [one, other] = [parse(node.ownerSVGElement ? style.fill : style.color), behind(node)].map(luminance);
    const ratio = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
    const name = node.tagName + '.' + (node.getAttribute('class') || '');
    worst[name] = Math.min(worst[name] ?? 99, ratio);
  }
  return worst;
}
"""
WIDTHS = "() => [document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]"
