"use strict";
// Hostile strings as nodes of text: nothing of them is ever markup, and nothing of them is hidden.
const shownText = (() => {
  // Controls and the marks that turn or hide the text beside them; joiners stay, scripts and emoji need them.
  const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

  function element(tag, className, ...children) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children);
    return node;
  }

  function visible(text) {
    const parts = [];
    let end = 0;
    for (const match of text.matchAll(INVISIBLE)) {
      const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      const mark = element("span", "invisible", `U+${code}`);
      mark.title = "an invisible character";
      parts.push(text.slice(end, match.index), mark);
      end = match.index + match[0].length;
    }
    return [...parts, text.slice(end)];
  }

  // The asked values where they occur in the text, marked; the longest first, so none hides another.
  function highlighted(text, values) {
    const wanted = [...new Set(values.filter((value) => value.trim()))].sort((a, b) => b.length - a.length);
    if (!wanted.length) return visible(text);
    const escaped = wanted.map((value) =>
      value.trim().replace(/[.*+?^${}()|[\]\\\/]/g, "\\$&").replace(/\s+/g, "\\s+"));
    const pattern = new RegExp(escaped.join("|"), "giu");
    const parts = [];
    let end = 0;
    for (const match of text.matchAll(pattern)) {
      parts.push(...visible(text.slice(end, match.index)), element("mark", "", ...visible(match[0])));
      end = match.index + match[0].length;
    }
    return [...parts, ...visible(text.slice(end))];
  }

  return { element, visible, highlighted };
})();
