// The small parts that all screens are built of. Each is a Preact component: a function from properties to a tree.
//
// htm's `html` reads a tree from a template string, so that no build step is needed: <${Field} label="Name" /> calls
// the component Field. What stands in ${...} as a child becomes a text node, never markup; so a ticket that holds
// "<img onerror=...>" is shown as these characters. Nothing here says anything by colour alone.

import { html, useEffect, useRef, useState } from "./vendor/standalone.module.js";

export * from "./vendor/standalone.module.js";

let count = 0;
const useId = () => useState(() => `part-${++count}`)[0];

// State that outlives a change of screen (a chosen file, decisions not yet sent), until the page is closed.
const kept = new Map();
export function useKept(key, initial) {
  const [value, setValue] = useState(() => (kept.has(key) ? kept.get(key) : initial));
  const keep = (found) => { kept.set(key, found); return found; };
  const set = useRef((next) => setValue((before) => keep(typeof next === "function" ? next(before) : next)));
  return [value, set.current];
}

// A piece of work that takes time and may fail: `run(work)` calls it, and meanwhile `busy` is true; `problem` holds how
// it failed. `work` is given a signal that is aborted when the screen goes away.
export function useTask() {
  const [state, setState] = useState({ busy: false, problem: null });
  const control = useRef(null);
  useEffect(() => () => control.current?.abort(), []);
  const run = async (work) => {
    const own = (control.current = new AbortController());
    setState({ busy: true, problem: null });
    try {
      const result = await work(own.signal);
      if (!own.signal.aborted) setState({ busy: false, problem: null });
      return result;
    } catch (problem) {
      if (!own.signal.aborted) setState({ busy: false, problem });
      if (problem.type === undefined && problem.name !== "AbortError") throw problem; // a mistake in this page's code
    }
  };
  return { ...state, run };
}

// Say a sentence to those who listen to the page instead of looking at it (main.js holds the live region).
export const announce = (text) => document.getElementById("announced")?.replaceChildren(text);

// A labelled control: an input, with `options` [[value, label], ...] a select, with `rows` a text area. `onChange` is
// given the value: a text, of a checkbox true or false, of a file the File.
// A `hint` or an `error` below it is tied to it, so that it is read out with it.
export function Field({ label, hint, error, options, rows, value, onChange, type = "text", ...rest }) {
  const id = useId();
  const common = { id, "aria-describedby": hint || error ? `${id}-hint` : undefined, "aria-invalid": error ? "true" : undefined, ...rest };
  const give = ({ target }) => onChange?.(type === "checkbox" ? target.checked : type === "file" ? target.files[0] : target.value);
  const below = (hint || error) && html`<small id=${`${id}-hint`}>${error || hint}</small>`;
  if (type === "checkbox") {
    return html`<div><label for=${id}><input type="checkbox" ...${common} checked=${value} onChange=${give} /> ${label}</label>${below}</div>`;
  }
  const control = options
    ? html`<select ...${common} value=${value} onChange=${give}>${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}</select>`
    : rows
      ? html`<textarea ...${common} rows=${rows} value=${value} onInput=${give} />`
      : html`<input ...${common} type=${type} value=${value} onInput=${give} />`;
  return html`<div><label for=${id}>${label}</label>${control}${below}</div>`;
}

// A region that scrolls by itself where what it holds is wider than the screen; by the keyboard too.
export function Scroll({ label, children }) {
  return html`<div class="scroll" role="group" aria-label=${label} tabindex="0">${children}</div>`;
}

// A table, in a region that scrolls.
//   columns   [{key, label, number?: bool, show?(row)}]; the first one is the header of its row
export function Table({ caption, columns, rows, rowKey = (row, index) => row.id ?? index }) {
  const cell = ({ key, show, number }, row, index) => {
    const content = show ? show(row) : row[key];
    const kind = number ? "number" : undefined;
    return index === 0 ? html`<th scope="row" class=${kind}>${content}</th>` : html`<td class=${kind}>${content}</td>`;
  };
  return html`
    <${Scroll} label=${caption}>
      <table>
        <caption>${caption}</caption>
        <thead><tr>${columns.map((one) => html`<th scope="col" class=${one.number ? "number" : undefined}>${one.label}</th>`)}</tr></thead>
        <tbody>${rows.map((row, index) => html`<tr key=${rowKey(row, index)}>${columns.map((one, place) => cell(one, row, place))}</tr>`)}</tbody>
      </table>
    <//>`;
}

// The numbers of a chart, for who cannot see it; the properties are those of Table.
export const Numbers = ({ words, ...table }) => html`<details><summary>${words("chart.numbers")}</summary><${Table} ...${table} /></details>`;

// A modal dialog. The browser keeps the focus inside and gives it back at the end; Escape calls `onClose`.
export function Dialog({ title, onClose, children }) {
  const id = useId(), own = useRef(null);
  const before = useRef(document.activeElement);
  useEffect(() => { own.current.showModal(); return () => before.current?.focus?.(); }, []);
  return html`
    <dialog ref=${own} aria-labelledby=${id} onCancel=${(event) => { event.preventDefault(); onClose(); }}>
      <article><h2 id=${id}>${title}</h2>${children}</article>
    </dialog>`;
}

// A sentence that stands out; `kind` is "info", "good", "warning" or "error", and its word stands in front.
export function Notice({ kind = "info", words, children }) {
  return html`<div class=${`notice ${kind}`} role=${kind === "error" ? "alert" : "status"}><strong>${words(`notice.${kind}`)}</strong> ${children}</div>`;
}

// A Problem of api.js: what happened and what to do, in the server's own words; then the faults that it lists.
export function ProblemNotice({ problem, words }) {
  if (!problem) return null;
  const said = words.has(`problem.${problem.type}`) ? words(`problem.${problem.type}`) : problem.detail || problem.title;
  const faults = (problem.errors || []).map((one) => html`<li>${one.line ? `${words("line", { line: one.line })} ` : ""}${one.detail}</li>`);
  return html`<${Notice} kind="error" words=${words}>${said}${faults.length > 0 && html`<ul>${faults}</ul>`}<//>`;
}

// How far something has come: `value` from 0 to 1, or null while nobody knows.
export function Bar({ label, value = null }) {
  const id = useId();
  return html`<div><span id=${id}>${label}</span><progress aria-labelledby=${id} max="1" value=${value === null ? undefined : value} /></div>`;
}

// A button that starts a task, with how far it has come and what went wrong below it.
//   label, busy   what stands on the button, and over the bar while it works
export function Action({ task, label, busy, kind = "", disabled = false, onClick, words }) {
  return html`
    <button type="button" class=${kind} onClick=${onClick} disabled=${task.busy || disabled}>${label}</button>
    ${task.busy && busy && html`<${Bar} label=${busy} />`}
    <${ProblemNotice} problem=${task.problem} words=${words} />`;
}

// A file, dropped on the field or chosen by its button, which a keyboard reaches.
export function FilePick({ label, hint, accept, onFile, name }) {
  const [over, setOver] = useState(false);
  const on = (isOver) => (event) => { event.preventDefault(); setOver(isOver); }; // else the browser would open the file
  const drop = (event) => { on(false)(event); if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]); };
  return html`
    <div class=${over ? "drop over" : "drop"} onDragOver=${on(true)} onDragLeave=${on(false)} onDrop=${drop}>
      <${Field} label=${label} hint=${hint} type="file" accept=${accept} onChange=${(file) => file && onFile(file)} />
      ${name && html`<p class="file">${name}</p>`}
    </div>`;
}

// The choice of a model; `kind` limits it to one kind of network. `onChange` is given the model as GET /models has it,
// at the start too. The choice is the same on every screen.
export function ModelPick({ api, words, kind, onChange }) {
  const [models, setModels] = useState(null);
  const [name, setName] = useKept("model", "");
  const task = useTask();
  const choose = (found, wanted) => {
    const model = found.find((one) => one.name === wanted) ?? found[0];
    if (model) setName(model.name);
    onChange(model ?? null);
  };
  useEffect(() => task.run(async (signal) => {
    const found = (await api.get("/models", { signal })).models.filter((one) => !kind || one.neural_network_type === kind);
    setModels(found);
    choose(found, name);
  }), []);
  if (!models) return html`<${ProblemNotice} problem=${task.problem} words=${words} />`;
  if (models.length === 0) return html`<${Notice} words=${words}>${words("model.none")}<//>`;
  return html`<${Field} label=${words("model")} value=${name} options=${models.map((one) => [one.name, one.name])} onChange=${(wanted) => choose(models, wanted)} />`;
}

// A chart of lines over a number, drawn as SVG; the numbers stand in a table below it, for who cannot see the lines.
//   series   [{name, points: [[x, y], ...]}]; lines differ by dashes and by a name at their end, not by colour alone
export function LineChart({ title, xLabel, series, words, digits = 3 }) {
  const all = series.flatMap((one) => one.points).filter(([, y]) => typeof y === "number");
  if (all.length === 0) return null;
  const [left, right, top, bottom] = [45, 480, 12, 190];
  const range = (values) => [Math.min(...values), Math.max(...values)];
  const [x0, x1] = range(all.map(([x]) => x)), [y0, y1] = range(all.map(([, y]) => y));
  const across = (x) => left + ((x - x0) / (x1 - x0 || 1)) * (right - left);
  const up = (y) => bottom - ((y - y0) / (y1 - y0 || 1)) * (bottom - top);
  const xs = [...new Set(all.map(([x]) => x))].sort((a, b) => a - b);
  const columns = [{ key: "x", label: xLabel, number: true }, ...series.map((one) => ({
    key: one.name, label: one.name, number: true,
    show: (row) => words.number(one.points.find(([x]) => x === row.x)?.[1], { maximumFractionDigits: digits }),
  }))];
  return html`
    <figure>
      <figcaption>${title}</figcaption>
      <${Scroll} label=${title}><svg class="chart" viewBox="0 0 600 215" role="img" aria-label=${title}>
        <path class="axis" d=${`M${left} ${top}V${bottom}H${right}`} />
        <text x="40" y=${top + 8} class="end">${words.number(y1, { maximumFractionDigits: 2 })}</text>
        <text x="40" y=${bottom} class="end">${words.number(y0, { maximumFractionDigits: 2 })}</text>
        <text x=${right} y="208" class="end">${xLabel} ${words.number(x1)}</text>
        ${series.map((one, index) => {
          const points = one.points.filter(([, y]) => typeof y === "number");
          if (points.length === 0) return null;
          const [x, y] = points[points.length - 1];
          return html`<g class=${`line line-${index}`}>
            <path d=${`M${points.map(([px, py]) => `${across(px).toFixed(1)} ${up(py).toFixed(1)}`).join("L")}`} />
            <circle cx=${across(x)} cy=${up(y)} r="3" /><text x=${across(x) + 7} y=${up(y) + 4}>${one.name}</text>
          </g>`;
        })}
      </svg><//>
      <${Numbers} caption=${title} columns=${columns} rows=${xs.map((x) => ({ x, id: x }))} words=${words} />
    </figure>`;
}

// Two bars a row, one above the other: what was expected (hatched) and what was seen (full), as shares of 1.
//   rows   [{name, expected, seen}], where null is not known; the chart shows the first `most`, its table all
export function BarChart({ title, rows, most = rows.length, labels, words }) {
  if (rows.length === 0) return null;
  const shown = rows.slice(0, most);
  const longest = Math.max(...shown.flatMap((row) => [row.expected, row.seen])) || 1;
  const wide = (share) => ((share ?? 0) / longest) * 240;
  const said = (share) => words.percent(share ?? undefined);
  const columns = [{ key: "name", label: labels.name }, ...["expected", "seen"].map((key) => (
    { key, label: labels[key], number: true, show: (row) => said(row[key]) }))];
  const bar = (row, key, y) => html`
    <rect class=${key} x="200" y=${y} height="12" width=${wide(row[key])} fill=${key === "expected" ? "url(#hatch)" : "currentColor"} />
    <text x=${205 + wide(row[key])} y=${y + 11}>${labels[key]} ${said(row[key])}</text>`;
  return html`
    <figure>
      <figcaption>${title}</figcaption>
      <${Scroll} label=${title}><svg class="chart" viewBox=${`0 0 600 ${shown.length * 40 + 4}`} role="img" aria-label=${title}>
        <defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V6" /></pattern></defs>
        ${shown.map((row, index) => html`<g transform=${`translate(0 ${index * 40})`}>
          <text x="192" y="24" class="end">${row.name.length > 26 ? `${row.name.slice(0, 25)}…` : row.name}</text>
          ${bar(row, "expected", 5)}${bar(row, "seen", 20)}
        </g>`)}
      </svg><//>
      <${Numbers} caption=${title} columns=${columns} rows=${rows} rowKey=${(row) => row.name} words=${words} />
    </figure>`;
}
