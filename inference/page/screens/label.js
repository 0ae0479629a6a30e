// Label: the review queue, a ticket (or a group of like tickets) at a time, from the keyboard alone if one likes.
//
//     GET /models/NAME/review ──► groups ──► a person decides ──► held for a moment ──► POST /feedback, one by one
//                                                  ▲                    │
//                                                  └────── U ───────────┘ undone before it was sent
//
// What was decided waits in `outbox` until the server has it. The outbox outlives the screen, and a lost connection
// only makes it wait longer; who closes the page meanwhile is asked whether they mean it.

import { Action, Field, ModelPick, Notice, ProblemNotice, announce, html, useEffect, useKept, useRef, useState, useTask } from "../parts.js";
import { Option, counted, shortened, usableId, useVersion } from "./deciding.js";
import { ReadingStep, useReading } from "./reading.js";

const ORDERS = ["uncertain", "diverse", "oldest"];
const FETCHED = 200; // tickets that are asked for together, so that groups are whole
const MAX_ROWS = 5000; // of a file that is loaded into the queue
const CHUNK = 100; // tickets that are loaded with one request
const KEYS = 9;
const UNDO_MS = 10_000; // a decision is held back so long, unless the next one comes first

// `held` is the newest decision, corrections that can still be taken back; `waiting` are those on their way; `changed`
// tells the screen that shows them.
const outbox = {
  held: [], waiting: [], numSent: 0, problem: null, isSending: false, changed: () => {},

  hold(api, corrections) {
    this.release(api);
    this.held = corrections;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.release(api), UNDO_MS);
    this.changed();
  },
  // Take back what is held, if it is of these tickets; false: it is on its way already.
  takeBack(ids) {
    const taken = ids.includes(this.held[0]?.id) ? this.held.splice(0) : [];
    this.changed();
    return taken.length > 0;
  },
  release(api) {
    this.waiting.push(...this.held.splice(0));
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
addEventListener("beforeunload", (event) => { if (outbox.held.length + outbox.waiting.length > 0) event.preventDefault(); });

const wordsOf = (item) => item.text ?? (item.tokens ?? []).join(" ");

// The categories that hold what was typed, those that begin with it first; accents and case do not count.
function matching(categories, typed) {
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const wanted = plain(typed);
  return categories.filter((one) => plain(one).includes(wanted)).sort((a, b) => plain(b).startsWith(wanted) - plain(a).startsWith(wanted));
}

// One group of like tickets with its answers. It is a form, so Enter confirms wherever the focus is in it.
function Group({ items, before, categories, hasKeys, takesFocus, onDecide, onSkip, onUndo, canUndo, words }) {
  const [typed, setTyped] = useState("");
  const [picked, setPicked] = useState(before ?? "");
  const [left, setLeft] = useState([]); // ids of the group that are not of this category
  const heading = useRef(null), filter = useRef(null), form = useRef(null);
  const wanted = typed.trim(), [first, ...more] = items;
  const isNew = wanted !== "" && !categories.includes(wanted);
  const found = wanted ? matching(categories, wanted).map((category) => ({ category })) : first.best ?? [];
  const options = [...found, ...(isNew ? [{ category: wanted, isNew }] : [])].slice(0, KEYS);
  const names = options.map(({ category }) => category);
  const chosen = names.includes(picked) || (picked === before && !wanted) ? picked : wanted ? names[0] : "";
  const textOf = (one) => (one.isNew ? words("label.new", one) : one.category) + (one.confidence === undefined ? "" : ` (${words.percent(one.confidence, 0)})`);

  const submit = (event) => {
    event?.preventDefault();
    if (!chosen) announce(words("label.choose-first"));
    else onDecide(items.filter(({ id }) => !left.includes(id)), chosen);
  };

  useEffect(() => { if (takesFocus) heading.current.focus(); }, []); // after a decision; at first the page's own has it
  useEffect(() => {
    if (!hasKeys) return undefined;
    const pressed = (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      const at = event.target, key = event.key.toLowerCase();
      if (at === filter.current && event.key === "Escape") { setTyped(""); heading.current.focus(); return; }
      if (at.matches("textarea, select, input:not([type=radio], [type=checkbox])")) return; // letters are text there
      // By the place of the key, since the digits of a French keyboard need Shift.
      const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
      if (digit && digit <= options.length) { setPicked(names[digit - 1]); form.current.elements.category[digit - 1]?.focus(); }
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

  const toggle = (id, on) => setLeft((all) => (on ? all.filter((one) => one !== id) : [...all, id]));
  return html`
    <form ref=${form} onSubmit=${submit} class="group">
      <h2 tabindex="-1" ref=${heading}>${words("label.ticket", first)}</h2>
      <blockquote class="ticket">${wordsOf(first)}</blockquote>
      ${first.reason && html`<p>${words(`reason.${first.reason}`)}</p>`}
      ${more.length > 0 && html`<fieldset>
        <legend>${words("label.alike", { n: more.length })}</legend>
        ${more.map((one) => html`
          <${Option} key=${one.id} type="checkbox" checked=${!left.includes(one.id)} onChange=${(event) => toggle(one.id, event.target.checked)}>${shortened(wordsOf(one))}<//>`)}
      </fieldset>`}
      <fieldset>
        <legend>${words(wanted ? "label.matching" : "label.best")}</legend>
        ${options.map((one, index) => html`
          <${Option} key=${one.category} type="radio" name="category" value=${one.category} checked=${one.category === chosen} onChange=${() => setPicked(one.category)}>
            <kbd aria-hidden="true">${index + 1}</kbd> ${textOf(one)}<//>`)}
        ${options.length === 0 && html`<p>${words("label.no-guess")}</p>`}
        ${before && !names.includes(before) && html`<p>${words("label.before", { category: before })}</p>`}
      </fieldset>
      <label>${words("label.filter")} <kbd aria-hidden="true">/</kbd>
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
  const load = () => task.run(async (signal) => {
    setDone(null);
    const { reading, reading: { text, id } } = source;
    const { result } = await source.withUpload((job) => api.run("/inspect?preview=true", { data_of: job, reading, num_rows: MAX_ROWS }, { signal }), signal);
    const textOf = (row) => (text ?? Object.keys(row)).map((column) => row[column].trim()).filter(Boolean).join("\n");
    const rows = result.rows.map((row) => ({ id: usableId(row[id]), text: textOf(row) }));
    const tickets = rows.filter((one) => /[\p{L}\p{N}]/u.test(one.text)); // one without a word cannot be labelled
    const total = { loaded: 0, known: 0, "left-out": rows.length - tickets.length };
    for (let at = 0; at < tickets.length; at += CHUNK) {
      const found = await api.post(`/models/${model.name}/review`, { tickets: tickets.slice(at, at + CHUNK) }, { signal });
      total.loaded += found.num_added;
      total.known += found.num_known;
    }
    setDone(total);
    announce(counted(words, "label", total));
    onLoaded();
  });
  return html`
    <details>
      <summary>${words("label.load")}</summary>
      <${ReadingStep} words=${words} source=${source} />
      ${source.preview && source.preview.num_rows > MAX_ROWS && html`<p>${words("label.only-first", { n: MAX_ROWS })}</p>`}
      ${source.isReady && html`<${Action} task=${task} onClick=${load} label=${words("label.put")} busy=${words("label.loading")} words=${words} />`}
      ${done && html`<${Notice} kind="good" words=${words}>${counted(words, "label", done)}<//>`}
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

  const keyOf = ({ id }) => `${model.name} ${id}`; // two models may know a ticket by the same id
  const waiting = (queue?.items ?? []).filter((item) => !handled.includes(keyOf(item)));
  const group = pinned?.items ?? waiting.filter((item) => item.group === waiting[0].group);
  const refresh = () => outbox.release(api).then(() => fetchQueue(model.name, order));
  // What the server still has beyond what was fetched comes when the fetched tickets are done and sent.
  const isBehind = queue && waiting.length === 0 && queue.num_waiting > queue.items.length;
  useEffect(() => { if (isBehind && !task.busy) refresh(); }, [isBehind]);

  const finish = (items, category, said) => { // null: skipped
    setHandled((all) => [...all, ...items.map(keyOf)]);
    setHistory((all) => [...all, { model: model.name, items, category }]);
    setPinned(null);
    announce(said);
  };
  const decide = (items, category) => {
    outbox.hold(api, items.map(({ id, text, tokens, version }) => ({ name: model.name, id, category, text, tokens, version: version ?? undefined })));
    finish(items, category, words("label.labelled", { n: items.length, category }));
  };
  const last = history[history.length - 1];
  const canUndo = last !== undefined && last.model === model?.name;
  const undo = () => {
    const isBack = last.category === null || outbox.takeBack(last.items.map(({ id }) => id));
    setHistory((all) => all.slice(0, -1));
    setHandled((all) => all.filter((key) => !last.items.map(keyOf).includes(key)));
    setPinned(last);
    announce(words(isBack ? "label.undone" : "label.sent-already"));
  };
  const exportLabels = () => exporting.run((signal) => outbox.release(api)
    .then(() => api.download(`/models/${model.name}/feedback`, `${model.name}-labels.jsonl`, { signal })));
  const numWaiting = queue && queue.num_waiting - queue.items.length + waiting.length;
  const numUnsent = outbox.waiting.length + outbox.held.length;
  return html`
    <p>${words("label.about")}</p>
    <${ModelPick} api=${api} words=${words} kind="GRU" onChange=${setModel} />
    ${model && html`<${Field} label=${words("label.order")} value=${order} options=${ORDERS.map((one) => [one, words(`label.order.${one}`)])} onChange=${setOrder} />`}
    <${ProblemNotice} problem=${task.problem} words=${words} />
    ${queue && html`
      <p>${counted(words, "label", { waiting: numWaiting, unsent: numUnsent, "new-labels": queue.num_new_labels + outbox.numSent - queue.numSentBefore })}</p>
      ${outbox.problem && html`<${Action} task=${outbox} onClick=${() => outbox.send(api)} label=${words("label.send-again", { n: numUnsent })} words=${words} />`}
      ${group.length > 0
        ? html`<${Group} key=${`${group[0].id} ${history.length}`} items=${group} before=${pinned?.category} categories=${categories}
            hasKeys=${hasKeys} takesFocus=${history.length > 0 || pinned !== null}
            onDecide=${decide} onSkip=${() => finish(group, null, words("label.skipped"))} onUndo=${undo} canUndo=${canUndo} words=${words} />
          <${Field} type="checkbox" label=${words("label.keys")} hint=${words("label.keys.hint")} value=${hasKeys} onChange=${setHasKeys} />`
        : html`
          <${Notice} words=${words}>${words("label.empty")}<//>
          ${canUndo && html`<button type="button" class="secondary" onClick=${undo}>${words("label.undo")}</button>`}
          <button type="button" class="secondary" onClick=${() => { setHandled([]); refresh(); }}>${words("label.look-again")}</button>`}
      <h2>${words("label.more")}</h2>
      <button type="button" class="secondary" onClick=${() => go("train")}>${words("label.train")}</button>
      <${Action} task=${exporting} kind="secondary" onClick=${exportLabels} label=${words("label.export")} words=${words} />
      <${Load} key=${model.name} api=${api} words=${words} model=${model} onLoaded=${() => fetchQueue(model.name, order)} />`}`;
}
