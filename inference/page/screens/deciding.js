// Tickets that a person decides on: as a table with a choice in each row, and how decisions get to the server.

import { Table, html, useEffect, useState, useTask } from "../parts.js";

const SHORT = 240; // characters of a ticket that are shown unasked
const MORE = 10; // rows that are shown at first, and with each "show more"
export const LEAVE_OUT = "\0"; // no category has this name: the server refuses control characters

export const shortened = (text, limit = SHORT) => (text.length > limit ? `${text.slice(0, limit)}…` : text);

// Sentences with numbers, of keys below a prefix: the first one always, the others unless they would say 0.
export const counted = (words, prefix, counts) => Object.entries(counts)
  .filter(([, n], index) => index === 0 || n > 0).map(([key, n]) => words(`${prefix}.${key}`, { n })).join(" ");

// A radio button or a checkbox with what it says.
export function Option({ children, ...rest }) {
  return html`<label><input ...${rest} /> <span>${children}</span></label>`;
}

// The words of a ticket; a long one unfolds.
export function Excerpt({ text }) {
  if (text.length <= SHORT) return html`<span class="ticket">${text}</span>`;
  return html`<details class="ticket"><summary>${shortened(text)}</summary>${text}</details>`;
}

// An id that names a ticket in an address, as POST /feedback takes it, or undefined; a number is one too.
export const usableId = (id) => (id !== undefined && id !== null && /^(?!\.{1,2}$)[^/\u0000-\u001f\u007f]{1,200}$/.test(String(id)) ? String(id) : undefined);

// All categories of the version that serves, in the order of the alphabet; the same call gives its manifest.
export function useVersion(api, model) {
  const [found, setFound] = useState({ categories: [], manifest: null });
  const task = useTask();
  useEffect(() => {
    setFound({ categories: [], manifest: null });
    if (!model?.version) return;
    task.run(async (signal) => {
      const { manifest, categories } = await api.get(`/models/${model.name}/versions/${model.version}`, { signal });
      setFound({ manifest, categories: [...(categories ?? Object.keys(manifest.profile?.categories ?? {}))].sort((a, b) => a.localeCompare(b)) });
    });
  }, [model?.name, model?.version]);
  return found;
}

// Decide on one row: the likely answers as radio buttons, every other category in a list below them.
//   label     what is decided, for those who do not see the row
//   options   [[value, text], ...]; the first one is where a row begins
//   others    names of categories
function Choice({ label, options, others, value, onChange, words, name }) {
  const rest = others.filter((one) => !options.some(([known]) => known === one));
  const isOther = rest.includes(value);
  return html`
    <fieldset class="choice">
      <legend class="only-heard">${label}</legend>
      ${options.map(([key, text]) => html`<${Option} key=${key} type="radio" name=${name} value=${key} checked=${key === value} onChange=${() => onChange(key)}>${text}<//>`)}
      ${rest.length > 0 && html`
        <select aria-label=${`${label}: ${words("decide.other")}`} value=${isOther ? value : ""} onChange=${(event) => onChange(event.target.value)}>
          <option value="" disabled selected=${!isOther}>${words("decide.other")}</option>
          ${rest.map((one) => html`<option key=${one} value=${one} selected=${one === value}>${one}</option>`)}
        </select>`}
    </fieldset>`;
}

// A table of tickets with a choice in each row.
//   rows         {line, text, ...}
//   says(row)    what is known of the row, in words; stands below its text
//   options(row) its likely answers; see Choice
//   decisions    line -> value; a line that is not there has its first option
//   onDecide(row, value)
export function DecisionTable({ caption, rows, says, options, categories, decisions, onDecide, words }) {
  const [shown, setShown] = useState(MORE);
  const choice = (row) => html`
    <${Choice} label=${words("decide.of", row)} options=${options(row)} others=${categories} words=${words} name=${`${caption} ${row.line}`}
      value=${decisions[row.line] ?? options(row)[0][0]} onChange=${(value) => onDecide(row, value)} />`;
  const columns = [
    { key: "line", label: words("decide.line"), show: ({ line }) => (typeof line === "number" ? words.number(line) : line) },
    { key: "text", label: words("decide.ticket"), show: (row) => html`<${Excerpt} text=${row.text} /><small>${says(row)}</small>` },
    { key: "choice", label: words("decide.decision"), show: choice },
  ];
  return html`
    <div class="stack quiet"><${Table} caption=${caption} columns=${columns} rows=${rows.slice(0, shown)} rowKey=${({ line }) => line} /></div>
    ${rows.length > shown && html`
      <button type="button" class="secondary" onClick=${() => setShown(shown + MORE)}>${words("decide.more", { n: rows.length - shown })}</button>`}`;
}
