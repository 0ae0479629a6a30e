// Label: the review queue, a ticket (or a group of like tickets) at a time, from the keyboard alone if one likes.
//
//     GET /models/NAME/review ──► groups ──► a person decides ──► held for a moment ──► POST /feedback, one by one
//                                                  ▲                    │
//                                                  └────── U ───────────┘ undone before it was sent
//
// What was decided waits in `outbox` until the server has it. The outbox outlives the screen, and a lost connection
// only makes it wait longer; who closes the page meanwhile is asked whether they mean it.

import { Bar, Field, ModelPick, Notice, ProblemNotice, announce, html, useEffect, useKept, useRef, useState, useTask } from "../parts.js";
import { SHORT, usableId, useVersion } from "./deciding.js";
import { ReadingStep, useReading } from "./reading.js";

const ORDERS = ["uncertain", "diverse", "oldest"];
const FETCHED = 200; // tickets that are asked for together, so that groups are whole
const MAX_ROWS = 5000; // of a file that is loaded into the queue
const CHUNK = 100; // tickets that are loaded with one request
const KEYS = 9;
const UNDO_MS = 10_000; // a decision is held back so long, unless the next one comes first

const outbox = {
  held: null, // the newest decision: corrections that can still be taken back
  waiting: [], // corrections on their way
  numSent: 0,
  problem: null,
  isSending: false,
  changed: () => {}, // the screen that shows it

  hold(api, corrections) {
    this.release(api);
    this.held = corrections;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.release(api), UNDO_MS);
    this.changed();
  },
  // Take back what is held, if it is of these tickets; false: it is on its way already.
  takeBack(ids) {
    const isHeld = this.held !== null && this.held.every(({ id }) => ids.includes(id));
    if (isHeld) this.held = null;
    this.changed();
    return isHeld;
  },
  release(api) {
    if (this.held) this.waiting.push(...this.held);
    this.held = null;
    return this.send(api);
  },
  async send(api) {
    if (this.isSending) return;
    this.isSending = true;
    this.problem = null;
    try {
      while (this.waiting.length > 0) {
        this.changed();
        await api.post("/feedback", this.waiting[0]);
        this.waiting.shift(); // only now: what failed is sent again
        this.numSent += 1;
      }
    } catch (problem) {
      this.problem = problem;
    }
    this.isSending = false;
    this.changed();
  },
};
addEventListener("beforeunload", (event) => { if (outbox.held || outbox.waiting.length > 0) event.preventDefault(); });

const shortened = (text) => (text.length > SHORT ? `${text.slice(0, SHORT)}…` : text);
const wordsOf = (item) => item.text ?? (item.tokens ?? []).join(" ");

// The categories that hold what was typed, those that begin with it first; accents and case do not count.
function matching(categories, typed) {
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const wanted = plain(typed);
  const found = categories.filter((one) => plain(one).includes(wanted));
  return found.sort((a, b) => plain(b).startsWith(wanted) - plain(a).startsWith(wanted));
}

// One group of like tickets with its answers. It is a form, so Enter confirms wherever the focus is in it.
function Group({ items, before, categories, hasKeys, takesFocus, onDecide, onSkip, onUndo, canUndo, words }) {
  const [typed, setTyped] = useState("");
  const [picked, setPicked] = useState(before ?? "");
  const [left, setLeft] = useState([]); // ids of the group that are not of this category
  const heading = useRef(null), filter = useRef(null), form = useRef(null);
  const best = (items[0].best ?? []).slice(0, KEYS);
  const found = matching(categories, typed).slice(0, KEYS);
  const isNew = typed.trim() !== "" && !categories.includes(typed.trim());
  const options = typed.trim() === ""
    ? best.map(({ category, confidence }) => [category, `${category} (${words.percent(confidence, 0)})`])
    : [...found.map((one) => [one, one]), ...(isNew ? [[typed.trim(), words("label.new", { category: typed.trim() })]] : [])].slice(0, KEYS);
  const chosen = options.some(([category]) => category === picked) || (picked === before && typed === "") ? picked : typed.trim() ? options[0]?.[0] ?? "" : "";

  const choose = (category) => { setPicked(category); form.current.querySelectorAll("[name=category]")[options.findIndex(([one]) => one === category)]?.focus(); };
  const submit = (event) => {
    event?.preventDefault();
    if (chosen === "") announce(words("label.choose-first"));
    else onDecide(items.filter(({ id }) => !left.includes(id)), chosen);
  };

  useEffect(() => { if (takesFocus) heading.current.focus(); }, []); // after a decision; at first the page's own has it
  useEffect(() => {
    if (!hasKeys) return undefined;
    const pressed = (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      const at = event.target;
      if (at === filter.current && event.key === "Escape") { setTyped(""); heading.current.focus(); return; }
      if (at.matches("textarea, select, input:not([type=radio], [type=checkbox])")) return; // letters are text there
      const key = event.key.toLowerCase();
      if (/^[1-9]$/.test(key) && options[key - 1]) choose(options[key - 1][0]);
      else if (key === "/") filter.current.focus();
      else if (key === "s") onSkip();
      else if (key === "u" && canUndo) onUndo();
      else if (key === "enter" && !at.matches("button, a, summary, form *")) submit();
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  });

  const more = items.slice(1);
  const toggle = (id, on) => setLeft((all) => (on ? all.filter((one) => one !== id) : [...all, id]));
  const reason = items[0].reason;
  return html`
    <form ref=${form} onSubmit=${submit} class="group">
      <h2 tabindex="-1" ref=${heading}>${words("label.ticket", { id: items[0].id })}</h2>
      <blockquote class="ticket">${wordsOf(items[0])}</blockquote>
      ${reason && html`<p>${words.has(`reason.${reason}`) ? words(`reason.${reason}`) : reason}</p>`}
      ${more.length > 0 && html`
        <fieldset>
          <legend>${words("label.alike", { n: more.length })}</legend>
          ${more.map((item) => html`
            <label key=${item.id}><input type="checkbox" checked=${!left.includes(item.id)} onChange=${(event) => toggle(item.id, event.target.checked)} /> <span class="ticket">${shortened(wordsOf(item))}</span></label>`)}
        </fieldset>`}
      <fieldset>
        <legend>${words(typed.trim() ? "label.matching" : "label.best")}</legend>
        ${options.map(([category, text], index) => html`
          <label key=${category}><input type="radio" name="category" value=${category} checked=${category === chosen} onChange=${() => setPicked(category)} /> <kbd aria-hidden="true">${index + 1}</kbd> ${text}</label>`)}
        ${options.length === 0 && html`<p>${words("label.no-guess")}</p>`}
        ${before && !options.some(([category]) => category === before) && html`<p>${words("label.before", { category: before })}</p>`}
      </fieldset>
      <label class="filter">${words("label.filter")} <kbd aria-hidden="true">/</kbd>
        <input type="search" ref=${filter} value=${typed} onInput=${(event) => { setTyped(event.target.value); setPicked(""); }} autocomplete="off" />
      </label>
      <button type="submit">${words("label.confirm")} <kbd aria-hidden="true">${words("label.enter")}</kbd></button>
      <button type="button" class="secondary" onClick=${onSkip}>${words("label.skip")} <kbd aria-hidden="true">S</kbd></button>
      <button type="button" class="secondary" onClick=${onUndo} disabled=${!canUndo}>${words("label.undo")} <kbd aria-hidden="true">U</kbd></button>
    </form>`;
}

// Tickets without categories, from a file into the queue.
function Load({ api, words, model, onLoaded }) {
  const source = useReading(api, words, "label", false);
  const [done, setDone] = useState(null);
  const task = useTask();
  const path = `/models/${model.name}/review`;

  // Load some tickets; those that the server cannot read (no word in them) are left out, and counted.
  const loadChunk = async (tickets, signal) => {
    try {
      return { ...(await api.post(path, { tickets }, { signal })), num_left: 0 };
    } catch (problem) {
      const bad = new Set(problem.errors?.map(({ pointer }) => Number(/^\/tickets\/(\d+)/.exec(pointer)?.[1])).filter((index) => index >= 0));
      if (bad.size === 0 || bad.size === tickets.length) throw problem;
      const found = await loadChunk(tickets.filter((_, index) => !bad.has(index)), signal);
      return { ...found, num_left: found.num_left + bad.size };
    }
  };
  const load = () => task.run(async (signal) => {
    setDone(null);
    const asked = { reading: source.reading, num_rows: MAX_ROWS };
    const { result } = await source.withUpload((job) => api.run("/inspect?preview=true", { ...asked, data_of: job }, { signal }), signal);
    const { text, id } = source.reading;
    const tickets = result.rows
      .map((row) => ({ id: id && usableId(row[id]), text: (text ?? Object.keys(row)).map((column) => row[column]).filter((cell) => String(cell ?? "").trim()).join("\n") }))
      .filter((ticket) => ticket.text !== "");
    const total = { num_added: 0, num_known: 0, num_left: 0 };
    for (let at = 0; at < tickets.length; at += CHUNK) {
      const found = await loadChunk(tickets.slice(at, at + CHUNK), signal);
      for (const key of Object.keys(total)) total[key] += found[key];
      setDone({ ...total, share: (at + CHUNK) / tickets.length });
    }
    setDone({ ...total, share: 1 });
    announce(words("label.loaded", { n: total.num_added }));
    onLoaded();
  });
  return html`
    <details>
      <summary>${words("label.load")}</summary>
      <${ReadingStep} words=${words} source=${source} />
      ${source.preview && source.preview.num_rows > MAX_ROWS && html`<p>${words("label.only-first", { n: MAX_ROWS })}</p>`}
      ${source.isReady && html`<button type="button" onClick=${load} disabled=${task.busy}>${words("label.put")}</button>`}
      ${task.busy && html`<${Bar} label=${words("label.loading")} value=${done && Math.min(1, done.share)} />`}
      ${done && done.share === 1 && !task.busy && html`
        <${Notice} kind="good" words=${words}>${words("label.loaded", { n: done.num_added })} ${done.num_known > 0 && words("label.known", { n: done.num_known })} ${done.num_left > 0 && words("label.left-out", { n: done.num_left })}<//>`}
      <${ProblemNotice} problem=${task.problem} words=${words} />
    </details>`;
}

export function Screen({ api, words, go }) {
  const [model, setModel] = useState(null);
  const [order, setOrder] = useKept("label.order", "uncertain");
  const [hasKeys, setHasKeys] = useKept("label.keys", true);
  const [queue, setQueue] = useState(null); // the answer of the server
  const [handled, setHandled] = useKept("label.handled", []); // ids that were decided or skipped here
  const [history, setHistory] = useKept("label.history", []); // what U takes back, the newest last
  const [pinned, setPinned] = useState(null); // {items, category}: a group that came back by U
  const [, redraw] = useState(0);
  const { categories } = useVersion(api, model);
  const task = useTask(), exporting = useTask();

  useEffect(() => {
    outbox.changed = () => redraw((count) => count + 1);
    return () => { outbox.changed = () => {}; outbox.release(api); };
  }, []);
  const fetchQueue = (name, wanted) => task.run(async (signal) => {
    const found = await api.get(`/models/${name}/review`, { query: { order: wanted, limit: FETCHED }, signal });
    setQueue({ ...found, numSentBefore: outbox.numSent });
  });
  useEffect(() => { if (model) { setQueue(null); setPinned(null); fetchQueue(model.name, order); } }, [model?.name, order]);

  const waiting = (queue?.items ?? []).filter(({ id }) => !handled.includes(id));
  const group = pinned?.items ?? waiting.filter((item) => item.group === waiting[0].group);
  const numWaiting = queue ? Math.max(0, queue.num_waiting - queue.items.length) + waiting.length : 0;
  // What the server still has beyond what was fetched comes when the fetched tickets are done and sent.
  const isBehind = queue && waiting.length === 0 && queue.num_waiting > queue.items.length;
  useEffect(() => { if (isBehind && !task.busy) outbox.release(api).then(() => fetchQueue(model.name, order)); }, [isBehind]);

  const finish = (items, entry) => {
    setHandled((all) => [...all, ...items.map(({ id }) => id)]);
    setHistory((all) => [...all, entry]);
    setPinned(null);
  };
  const decide = (items, category) => {
    outbox.hold(api, items.map(({ id, text, tokens, version }) => ({ name: model.name, id, category, text, tokens, version: version ?? undefined })));
    finish(items, { model: model.name, items, category });
    announce(words("label.labelled", { n: items.length, category }));
  };
  const skip = () => {
    finish(group, { model: model.name, items: group, category: null });
    announce(words("label.skipped"));
  };
  const undone = history[history.length - 1];
  const undo = () => {
    const ids = undone.items.map(({ id }) => id);
    const isBack = undone.category === null || outbox.takeBack(ids);
    setHistory((all) => all.slice(0, -1));
    setHandled((all) => all.filter((id) => !ids.includes(id)));
    setPinned({ items: undone.items, category: undone.category });
    announce(words(isBack ? "label.undone" : "label.sent-already"));
  };
  const numUnsent = outbox.waiting.length + (outbox.held?.length ?? 0);
  return html`
    <p>${words("label.about")}</p>
    <${ModelPick} api=${api} words=${words} kind="GRU" onChange=${setModel} />
    ${model && html`<${Field} label=${words("label.order")} value=${order} options=${ORDERS.map((one) => [one, words(`label.order.${one}`)])} onChange=${setOrder} />`}
    <${ProblemNotice} problem=${task.problem} words=${words} />
    ${queue && html`
      <p>${words("label.waiting", { n: numWaiting })} ${numUnsent > 0 && words("label.unsent", { n: numUnsent })} ${typeof queue.num_new_labels === "number" && words("label.new-labels", { n: queue.num_new_labels + outbox.numSent - queue.numSentBefore })}</p>
      ${outbox.problem && html`
        <${ProblemNotice} problem=${outbox.problem} words=${words} />
        <button type="button" onClick=${() => outbox.send(api)}>${words("label.send-again", { n: numUnsent })}</button>`}
      ${group.length > 0
        ? html`<${Group} key=${`${group[0].id} ${history.length}`} items=${group} before=${pinned?.category} categories=${categories} hasKeys=${hasKeys} takesFocus=${handled.length > 0 || pinned !== null}
            onDecide=${decide} onSkip=${skip} onUndo=${undo} canUndo=${history.length > 0 && undone.model === model.name} words=${words} />
          <${Field} type="checkbox" label=${words("label.keys")} hint=${words("label.keys.hint")} value=${hasKeys} onChange=${setHasKeys} />`
        : html`
          <${Notice} words=${words}>${words("label.empty")}<//>
          ${history.length > 0 && undone.model === model.name && html`<button type="button" class="secondary" onClick=${undo}>${words("label.undo")}</button>`}
          <button type="button" class="secondary" onClick=${() => { setHandled([]); outbox.release(api).then(() => fetchQueue(model.name, order)); }}>${words("label.look-again")}</button>`}
      <h2>${words("label.more")}</h2>
      <button type="button" class="secondary" onClick=${() => exporting.run(async (signal) => {
        await outbox.release(api);
        await api.download(`/models/${model.name}/feedback`, `${model.name}-labels.jsonl`, { signal });
      })} disabled=${exporting.busy}>${words("label.export")}</button>
      <button type="button" class="secondary" onClick=${() => go("train")}>${words("label.train")}</button>
      <${ProblemNotice} problem=${exporting.problem} words=${words} />
      <${Load} key=${model.name} api=${api} words=${words} model=${model} onLoaded=${() => fetchQueue(model.name, order)} />`}`;
}
