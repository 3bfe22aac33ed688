"""Expressions that a browser evaluates to find what is wrong with how a page looks."""

#: Elements that stand out of the page at its side, unless their own box scrolls.
STICK_OUT = """
[...document.querySelectorAll('body *')].filter(e => !e.closest('.scrolls, svg') && e.checkVisibility()
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5).map(e => e.outerHTML.slice(0, 80))
"""

#: Texts with a contrast below WCAG AA on the nearest ground that is painted.
FAINT = """
(() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = colour => channels(colour).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if ((channels(colour)[3] ?? 1) === 1) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const faint = [], seen = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let looked = 0;
  while (seen.nextNode()) {
    const element = seen.currentNode.parentElement;
    if (!seen.currentNode.data.trim() || !element.checkVisibility() || element.closest('title, desc')) continue;
    const style = getComputedStyle(element), ink = element instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [luminance(ink), luminance(ground(element))].sort((a, b) => b - a);
    looked += 1;
    if ((light + 0.05) / (dark + 0.05) < 4.5) faint.push([seen.currentNode.data.slice(0, 40), ink, ground(element)]);
  }
  return {looked, faint};
})()
"""
