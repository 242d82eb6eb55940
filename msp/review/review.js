"use strict";
// One candidate after another, one key for each. Every string from the run becomes a text node.
(() => {
  const AHEAD = 20;
  const BATCH = 40;
  const MAX_MATCHES = 8;
  const LONG_TEXT = 400;
  const RETRY_MILLISECONDS = 1000;
  const { element, visible, highlighted } = shownText;
  const $ = (id) => document.getElementById(id);
  const [card, editor, actions, help] = ["card", "editor", "actions", "help"].map($);

  let run = null;
  let attributes = new Map();
  let progress = { num_decided: 0, num_left: 0, attributes: [] };
  let only = null; // the attribute that is looked at alone
  let items = [];
  let at = 0;
  let aside = []; // handed out, but of other attributes than the one that is looked at
  let fetching = false;
  let exhausted = false;
  let number = 0; // of the next decision in this session
  let waiting = []; // decisions that are not acknowledged yet, the oldest first
  let sending = false;
  const made = []; // what this session decided, for undo
  const times = [];

  // ---- the server

  class Refused extends Error {}

  async function call(path, body) {
    let answer;
    try {
      const response = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      if (response.status === 400) throw new Refused((await response.json()).error);
      if (response.status === 503) throw new Error((await response.json()).error);
      if (!response.ok) throw new Error(await response.text());
      answer = await response.json();
    } catch (error) {
      if (error instanceof TypeError) throw new Error("the server does not answer; is it still running?");
      throw error;
    }
    if (answer.progress) progress = answer.progress;
    return answer;
  }

  // Decisions go one after another, so that the store has them in the order in which they were made.
  function send(path, body) {
    return new Promise((resolve, reject) => {
      waiting.push({ path, body, resolve, reject });
      drain();
    });
  }

  async function drain() {
    if (sending) return;
    sending = true;
    while (waiting.length) {
      const next = waiting[0];
      showState();
      try {
        const answer = await call(next.path, next.body);
        waiting.shift();
        trouble("");
        next.resolve(answer);
      } catch (error) {
        if (error instanceof Refused) {
          waiting.shift();
          next.reject(error);
        } else {
          trouble(`Not stored yet: ${waiting.length}. ${error.message} It is tried again; leave the page open.`);
          await new Promise((wake) => setTimeout(wake, RETRY_MILLISECONDS));
        }
      }
    }
    sending = false;
    showState();
    showAttributes();
  }

  async function fill() {
    const wanted = () => items.slice(at).filter((item) => !said(item)).length;
    if (fetching || exhausted || !run || wanted() >= AHEAD) return;
    fetching = true;
    const asked = only;
    try {
      const answer = await call("/next", { session: run.session, num: BATCH, attribute: asked });
      if (asked === only) {
        exhausted = !answer.candidates.length;
        items.push(...answer.candidates.map((candidate) => ({ ...candidate, decisions: [] })));
      }
      trouble("");
    } catch (error) {
      trouble(error.message);
      setTimeout(fill, RETRY_MILLISECONDS);
    }
    fetching = false;
    if (asked !== only) fill();
    show();
  }

  // ---- decisions

  const said = (item) => item.decisions.at(-1);
  const current = () => items[at];
  const namesOf = (item) => new Set([...item.attributes, ...item.values.map(([name]) => name)]);

  function remember(item, verdict) {
    const decision = { item, verdict, number: number++ };
    item.decisions.push(decision);
    made.push(decision);
    times.push(performance.now());
    return decision;
  }

  function forget(decision) {
    decision.item.decisions = decision.item.decisions.filter((other) => other !== decision);
    const place = made.indexOf(decision);
    if (place >= 0) made.splice(place, 1);
  }

  function decide(verdict) {
    const item = current();
    if (!item) return;
    const decision = remember(item, verdict);
    send("/decide", { session: run.session, number: decision.number, id: item.id, verdict })
      .catch((error) => {
        forget(decision);
        notice(`Not stored: \u201c${item.text.slice(0, 60)}\u201d: ${error.message}`);
        show();
      });
    sayLast(verdict, item);
    goOn();
  }

  // To the next that waits for a decision, past those that a reviewer came back over.
  function goOn() {
    const next = items.findIndex((item, place) => place > at && !said(item) && !item.skipped);
    step((next < 0 ? items.length : next) - at);
  }

  function undo() {
    const last = made.pop();
    if (!last) return sayLast("nothing to undo in this visit", null);
    forget(last);
    const body = { session: run.session, number: number++, id: last.item.id, undoes: last.number };
    send("/undo", body).catch((error) => notice(`Not undone: ${error.message}`));
    sayLast(`undone: ${last.verdict}`, last.item);
    const place = items.indexOf(last.item);
    if (place < 0) items.splice(at, 0, last.item);
    else at = place;
    show();
  }

  function skip() {
    const item = current();
    if (!item) return;
    item.skipped = true;
    call("/skip", { session: run.session, id: item.id }).catch((error) => trouble(error.message));
    sayLast("skipped", item);
    goOn();
  }

  function step(by) {
    at = Math.max(0, Math.min(at + by, items.length));
    show();
    fill();
  }

  function look(name) {
    if (only === name) return;
    only = name;
    const open = [...items.filter((item) => !said(item)), ...aside];
    items = items.filter(said);
    at = items.length;
    const fits = (item) => !item.skipped && (only === null || namesOf(item).has(only));
    items.push(...open.filter(fits));
    aside = open.filter((item) => !fits(item));
    exhausted = false;
    show();
    fill();
  }

  // ---- what is shown

  const words = (name) => visible(attributes.get(name)?.words ?? name);
  const folded = (text) => text.normalize("NFKC").toLowerCase();

  function chip(name, text, haystack) {
    const node = element("span", "chip", ...words(name));
    node.title = attributes.get(name)?.description ?? "";
    if (text !== undefined) {
      const isThere = folded(haystack).includes(folded(text));
      node.append(": ", element("mark", "", ...visible(text)));
      if (!isThere) {
        node.classList.add("absent");
        node.append(element("small", "", "not in the text"));
      }
    }
    return node;
  }

  function show() {
    const item = current();
    card.className = item && said(item) ? said(item).verdict : "";
    card.classList.toggle("editing", !editor.hidden);
    actions.hidden = !editor.hidden;
    if (!item) {
      const words_ = fetching || !run ? "One moment \u2026"
        : only !== null ? "Nothing of this attribute is left to decide. Click \u201call attributes\u201d for the rest."
        : "Nothing is left to decide. Ctrl-C in the terminal ends the server; the next run takes your decisions.";
      card.replaceChildren(element("p", "end", words_));
    } else {
      card.replaceChildren(topLine(item), asked(item), shownTextOf(item), seedLine(item));
    }
    showState();
    showAttributes();
  }

  function topLine(item) {
    const verdict = item.kept
      ? element("span", "verdict kept", "The filter kept it")
      : element("span", "verdict not", `The filter dropped it: ${item.reason.toLowerCase()}`);
    verdict.title = item.why;
    const line = element("div", "top", verdict);
    if (item.noise !== null) line.append(element("span", "", `noise ${item.noise.toFixed(2)}, cut at ${item.cut.toFixed(2)}`));
    if (said(item)) line.append(element("span", "said", said(item).verdict));
    return line;
  }

  function asked(item) {
    const chips = item.attributes.map((name) => chip(name));
    for (const [name, texts] of item.values) chips.push(...texts.map((text) => chip(name, text, item.text)));
    return element("div", "chips", ...chips);
  }

  function shownTextOf(item) {
    const values = item.values.flatMap(([, texts]) => texts);
    const text = element("div", item.text.length > LONG_TEXT ? "text long" : "text", ...highlighted(item.text, values));
    text.dir = "auto";
    text.lang = "";
    if (!item.text) text.append(element("span", "quiet", "(empty)"));
    return text;
  }

  function seedLine(item) {
    if (item.seed === null) return element("div", "seed", "Its seed example is not known here.");
    return element("div", "seed", "Made from the seed example: ", element("bdi", "", ...visible(item.seed)));
  }

  function showState() {
    const minute = times.filter((time) => time > performance.now() - 60_000).length;
    const parts = [element("b", "", progress.num_decided.toLocaleString("en")), " decided, ",
      `${progress.num_left.toLocaleString("en")} left`, minute > 1 ? `, ${minute} in the last minute` : ""];
    parts.push(waiting.length ? element("span", "waiting", ` \u00b7 storing ${waiting.length}`) : " \u00b7 all stored");
    $("state").replaceChildren(...parts);
    $("state").dataset.waiting = waiting.length;
  }

  const rows = new Map();

  function showAttributes() {
    const item = current();
    const now = item ? namesOf(item) : new Set();
    for (const [name, score, decided, of] of [[null, null, null, null], ...progress.attributes]) {
      if (!rows.has(name)) rows.set(name, attributeRow(name, score));
      const row = rows.get(name);
      row.setAttribute("aria-pressed", String(only === name));
      row.classList.toggle("now", now.has(name));
      if (name === null) continue;
      row.querySelector(".done").textContent = `${decided}/${of}`;
      const bar = row.querySelector("progress");
      [bar.max, bar.value] = [Math.max(of, 1), decided];
    }
  }

  function attributeRow(name, score) {
    const row = element("button", "");
    row.type = "button";
    if (name === null) {
      row.append(element("span", "name", "all attributes"), element("span", "figure", "F1"), element("span", "figure", "decided"));
    } else {
      const bar = element("progress", "");
      bar.setAttribute("aria-label", `decided of ${name}`);
      const figure = element("span", "figure", score === null ? "\u2013" : score.toFixed(0));
      row.append(element("span", "name", ...words(name)), figure, element("span", "figure done"), bar);
      row.title = attributes.get(name)?.description ?? "";
    }
    row.addEventListener("click", () => { look(name); row.blur(); });
    $("attributes").append(row);
    return row;
  }

  function sayLast(verdict, item) {
    $("last").replaceChildren(element("b", "", verdict), item ? " " : "", ...(item ? visible(item.text.slice(0, 200)) : []));
  }

  function trouble(message) {
    $("trouble").hidden = !message;
    $("trouble").textContent = message;
  }

  function notice(message) {
    $("notice").hidden = !message;
    $("notice").textContent = message;
  }

  // ---- corrections

  let labels = []; // {name, value}: a value for what stands in the text, null for a label alone
  let best = 0;
  let saving = false;

  function edit() {
    const item = current();
    if (!item) return;
    const valued = new Set(item.values.map(([name]) => name));
    labels = [
      ...item.attributes.filter((name) => !valued.has(name)).map((name) => ({ name, value: null })),
      ...item.values.flatMap(([name, texts]) => texts.map((value) => ({ name, value }))),
    ];
    $("text").value = item.text;
    $("picker").value = "";
    $("fault").textContent = "";
    $("labelling").hidden = run.kind === "parse";
    editor.hidden = false;
    showLabels();
    showMatches();
    show();
    $("text").focus();
    $("text").setSelectionRange(item.text.length, item.text.length);
  }

  function closeEditor() {
    editor.hidden = true;
    show();
    card.focus();
  }

  function showLabels() {
    $("labels").replaceChildren(...labels.map((label) => {
      const node = element("span", "chip", ...words(label.name));
      if (label.value !== null) {
        const input = element("input", "");
        input.value = label.value;
        input.setAttribute("aria-label", `string of ${label.name}`);
        input.addEventListener("input", () => { label.value = input.value; });
        node.append(input);
      }
      const remove = element("button", "", "\u00d7");
      remove.type = "button";
      remove.setAttribute("aria-label", `remove ${label.name}`);
      remove.addEventListener("click", () => { labels = labels.filter((other) => other !== label); showLabels(); showMatches(); });
      node.append(remove);
      return node;
    }));
  }

  function matches() {
    const sought = folded($("picker").value.trim());
    const fits = run.attributes.filter((a) => folded(`${a.words} ${a.name}`).includes(sought));
    const rank = (a) => (folded(a.words).startsWith(sought) ? 0 : 1);
    return fits.sort((a, b) => rank(a) - rank(b)).slice(0, MAX_MATCHES);
  }

  function showMatches() {
    const found = matches();
    best = Math.max(0, Math.min(best, found.length - 1));
    $("matches").replaceChildren(...found.map((attribute, place) => {
      const chosen = labels.some((label) => label.name === attribute.name);
      const node = element("li", chosen ? "chosen" : "", ...words(attribute.name), chosen ? " \u2713" : "");
      node.setAttribute("role", "option");
      node.setAttribute("aria-selected", String(place === best));
      node.title = attribute.description;
      node.addEventListener("click", () => toggle(attribute.name));
      return node;
    }));
  }

  function toggle(name) {
    const isValued = run.valued.includes(name);
    if (!isValued && labels.some((label) => label.name === name)) {
      labels = labels.filter((label) => label.name !== name);
    } else if (isValued) {
      const text = $("text");
      labels.push({ name, value: text.value.slice(text.selectionStart, text.selectionEnd).trim() });
    } else {
      const kept = run.kind === "single_label" ? labels.filter((label) => label.value !== null) : labels;
      labels = [...kept, { name, value: null }];
    }
    $("picker").value = "";
    best = 0;
    showLabels();
    showMatches();
    if (isValued) $("labels").querySelector(".chip:last-child input").focus();
  }

  function correction() {
    const isLabel = new Map(run.attributes.map((attribute) => [attribute.name, attribute.is_label]));
    const values = {};
    for (const { name, value } of labels) if (value !== null) (values[name] ??= []).push(value.trim());
    const names = new Set(labels.map((label) => label.name).filter((name) => isLabel.get(name)));
    const item = current();
    if (run.kind === "parse") {
      return { text: $("text").value.trim(), attributes: item.attributes, values: Object.fromEntries(item.values) };
    }
    return { text: $("text").value.trim(), attributes: [...names], values };
  }

  async function save() {
    const item = current();
    const body = correction();
    if (saving) return;
    saving = true;
    const decision = remember(item, "corrected");
    try {
      await send("/decide", { session: run.session, number: decision.number, id: item.id, verdict: "corrected", correction: body });
    } catch (error) {
      forget(decision);
      $("fault").textContent = error.message;
      return;
    } finally {
      saving = false;
    }
    sayLast("corrected", { text: body.text });
    closeEditor();
    goOn();
  }

  editor.addEventListener("submit", (event) => { event.preventDefault(); save(); });
  $("cancel").addEventListener("click", closeEditor);
  $("picker").addEventListener("input", () => { best = 0; showMatches(); });
  $("picker").addEventListener("keydown", (event) => {
    const found = matches();
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      if (found[best]) toggle(found[best].name);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      best = (best + (event.key === "ArrowDown" ? 1 : found.length - 1)) % Math.max(found.length, 1);
      showMatches();
    } else if (event.key === "Backspace" && !$("picker").value && labels.length) {
      labels.pop();
      showLabels();
      showMatches();
    }
  });

  // ---- keys

  const keys = {
    a: () => decide("accepted"), r: () => decide("rejected"), e: edit, u: undo, s: skip,
    j: () => step(1), k: () => step(-1), "?": () => help.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (help.open) return;
    if (!editor.hidden) {
      if (event.key === "Escape") closeEditor();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); editor.requestSubmit(); }
      return;
    }
    // A key that is held down decides once.
    if (!run || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : ""];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  actions.addEventListener("click", (event) => {
    const key = event.target.closest("button")?.dataset.key;
    if (key && run) { keys[key](); event.target.closest("button").blur(); }
  });
  window.addEventListener("beforeunload", (event) => { if (waiting.length) event.preventDefault(); });

  async function start() {
    try {
      run = await call("/start", {});
    } catch (error) {
      trouble(error.message);
      return;
    }
    attributes = new Map(run.attributes.map((attribute) => [attribute.name, attribute]));
    $("run").replaceChildren(...visible(run.run));
    notice(run.notes.join(" "));
    await fill();
    card.focus();
  }

  show();
  start();
})();
