"use strict";
// Browses the sampled candidates. Every string from the data becomes a text node, never markup.
(() => {
  const PAGE_ROWS = 25;
  const SHORT_LENGTH = 360;
  const { element, visible, highlighted } = shownText;

  const body = document.querySelector("#candidates tbody");
  if (!body) return;
  const table = JSON.parse(document.getElementById("table").textContent);
  const form = document.getElementById("filters");
  const [search, attribute, verdict, reason, order] =
    ["search", "attribute", "verdict", "reason", "order"].map((id) => document.getElementById(id));
  const [previous, next] = ["previous", "next"].map((id) => document.getElementById(id));
  let found = [];
  let page = 0;

  const fold = (text) => text.normalize("NFKC").toLowerCase();
  const names = (row) => [...row.a, ...row.v.map(([slot]) => slot)];
  for (const row of table.rows) {
    const values = row.v.flatMap(([, texts]) => texts);
    row.haystack = fold([row.t, table.seeds[row.s], ...values].join("\n"));
  }

  function textCell(row) {
    const values = row.v.flatMap(([, texts]) => texts);
    const cell = element("td", "");
    const text = element("span", "text");
    text.dir = "auto";
    const isLong = row.t.length > SHORT_LENGTH;
    const head = [...row.t.slice(0, SHORT_LENGTH + 1)].slice(0, -1).join("");
    text.append(...highlighted(isLong ? head + "\u2026" : row.t, values));
    if (!row.t) text.append(element("span", "quiet", "(empty)"));
    cell.append(text);
    if (isLong) {
      const more = element("button", "more", `Show all ${row.l.toLocaleString("en")} characters`);
      more.type = "button";
      more.addEventListener("click", () => {
        const cut = row.l > row.t.length ? [element("span", "quiet", ` (cut at ${row.t.length.toLocaleString("en")} characters)`)] : [];
        text.replaceChildren(...highlighted(row.t, values), ...cut);
        more.remove();
      });
      cell.append(more);
    }
    if (table.seeds[row.s]) {
      cell.append(element("small", "", "Seed example: ",
        element("bdi", "", ...visible(table.seeds[row.s].slice(0, SHORT_LENGTH)))));
    }
    return cell;
  }

  function askedCell(row) {
    const chips = element("div", "asked", ...row.a.map((name) => element("span", "", ...visible(table.names[name]))));
    for (const [slot, texts] of row.v) {
      for (const text of texts) {
        chips.append(element("span", "", element("b", "", ...visible(table.names[slot])), ": ",
          element("mark", "", ...visible(text.slice(0, SHORT_LENGTH)))));
      }
    }
    if (row.b) {
      chips.append(element("span", "", ...visible(table.names[row.b[0]]),
        ` ${Math.round(100 * (1 - row.b[1]))} %`));
    }
    const cell = element("td", "", chips);
    if (row.g !== null) cell.append(element("small", "", "Relabelled: ", ...visible(table.names[row.g])));
    return cell;
  }

  function numberCell(value, label) {
    const cell = element("td", "num", value === null ? "\u2013" : value.toFixed(2));
    cell.dataset.label = label;
    return cell;
  }

  function rowElement(row) {
    const state = element("td", "", element("span", row.k ? "state kept" : "state not", row.k ? "Kept" : "Dropped"));
    if (row.r !== null) state.append(element("small", "", ...visible(table.reasons[row.r])));
    const line = element("tr", "", textCell(row), askedCell(row), state,
      numberCell(row.x, "Noise"), numberCell(row.m, "Similarity"));
    line.setAttribute("role", "row");
    for (const cell of line.children) cell.setAttribute("role", "cell");
    return line;
  }

  function filter() {
    const wanted = fold(search.value).split(/\s+/).filter(Boolean);
    const name = attribute.value === "" ? null : Number(attribute.value);
    found = table.rows.filter((row) =>
      (name === null || names(row).includes(name)) &&
      (verdict.value === "" || row.k === Number(verdict.value)) &&
      (reason.value === "" || row.r === Number(reason.value)) &&
      wanted.every((word) => row.haystack.includes(word)));
    if (order.value !== "plan") {
      // Candidates without a score come last in both orders.
      const sign = order.value === "low" ? 1 : -1;
      const score = (row) => row.x === null ? Infinity : sign * row.x;
      found.sort((a, b) => score(a) - score(b) || 0);
    }
    page = 0;
    show();
  }

  function show() {
    const pages = Math.max(1, Math.ceil(found.length / PAGE_ROWS));
    body.replaceChildren(...found.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS).map(rowElement));
    const all = table.rows.length.toLocaleString("en");
    document.getElementById("shown").textContent = found.length
      ? `${found.length.toLocaleString("en")} of ${all} candidates`
      : `None of ${all} candidates passes these filters.`;
    document.getElementById("page").textContent = `Page ${page + 1} of ${pages}`;
    previous.disabled = page === 0;
    next.disabled = page >= pages - 1;
  }

  function turn(step) {
    page += step;
    show();
    document.getElementById("shown").scrollIntoView({ block: "nearest" });
  }

  function options(select, texts, values) {
    values.map((value) => [texts[value], value]).sort(([a], [b]) => a.localeCompare(b))
      .forEach(([text, value]) => select.add(new Option(visible(text).map((part) => part.textContent ?? part).join(""), value)));
  }

  options(attribute, table.names, [...new Set(table.rows.flatMap(names))]);
  options(reason, table.reasons, table.reasons.map((_, position) => position));
  search.addEventListener("input", filter);
  for (const select of [attribute, verdict, reason, order]) select.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  previous.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      search.focus();
    }
  });
  // Paper cannot unfold: what is folded is printed open.
  const folded = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  window.addEventListener("beforeprint", () => { opened = folded(); opened.forEach((part) => { part.open = true; }); });
  window.addEventListener("afterprint", () => { opened.forEach((part) => { part.open = false; }); opened = []; });
  filter();
})();
