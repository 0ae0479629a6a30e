// What goes on: whether today's tickets are still like those of the training, what the server does, and who changed what.
//
//     GET /models/{name}/drift ──► a verdict, why, and each category's share then and now
//     GET /metrics ──► searches, refusals, latency        GET /jobs, /audit ──► what runs, what was done
//
// Each part asks by itself: a token that opens only some of them shows these, and says of the others what they need.

import { BarChart, Field, ModelPick, Notice, ProblemNotice, Table, html, useEffect, useState, useTask } from "../parts.js";

const DAYS = [1, 7, 30];
const MOST_SHOWN = 15; // categories in the chart; its table has all
const NO_TOKEN = "(this machine)"; // in the audit log: a caller on the server's own machine, where no token is set
const LOOK_MS = 5000; // between two looks at what moves

// Read a route again and again while the screen is shown; {found, problem, look} with `look` to ask now.
function useLook(read, keys, again = true) {
  const [found, setFound] = useState(null);
  const task = useTask();
  const look = () => task.run(async (signal) => setFound(await read(signal)));
  useEffect(() => {
    setFound(null);
    let timer, isGone = false;
    const round = () => look().then(() => { if (again && !isGone) timer = setTimeout(round, LOOK_MS); });
    round();
    return () => { isGone = true; clearTimeout(timer); };
  }, keys);
  return { found, problem: task.problem, look };
}

// Read the text format of Prometheus: [{name, labels, value}], a line each.
function metricsIn(text) {
  return text.split("\n").filter((line) => line && !line.startsWith("#")).map((line) => {
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    return { name, labels: Object.fromEntries([...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text])), value: Number(value) };
  });
}

// The time within which a share of the searches was answered: the upper end of the bucket that the share falls in.
function within(metrics, share) {
  const buckets = metrics.filter(({ name, labels }) => name === "puppet_request_seconds_bucket" && labels.route === "/search");
  const total = buckets.length > 0 ? buckets[buckets.length - 1].value : 0;
  const found = buckets.find(({ value }) => value >= share * total);
  return total > 0 ? Number(found.labels.le) : undefined;
}

// A part of the screen: its heading, what went wrong with it, and what it shows.
const Part = ({ title, problem, words, children }) => html`<h2>${title}</h2><${ProblemNotice} problem=${problem} words=${words} />${children}`;

// A list of what has happened, the newest first.
function Events({ name, problem, rows, columns, rowKey, words }) {
  const list = rows?.length > 0 ? html`<${Table} caption=${words(`watch.${name}.newest`)} columns=${columns} rows=${rows} rowKey=${rowKey} />` : html`<p>${words("watch.nothing")}</p>`;
  return html`<${Part} title=${words(`watch.${name}`)} problem=${problem} words=${words}>${rows && list}<//>`;
}

function Drift({ api, words, model }) {
  const [days, setDays] = useState(7);
  const { found, problem } = useLook((signal) => api.get(`/models/${model.name}/drift`, { query: { days }, signal, ask: false }), [model.name, days]);
  const numbers = found && { seen: found.num_tickets, expected: found.num_expected };
  // A reason names what has changed; its words are the page's own, so that they are in the reader's language.
  const reason = ({ what, category, expected, found: share }) => (what === "category_shares"
    ? words("watch.reason.category_shares", { index: share })
    : words(`watch.reason.${what}`, { category, expected: words.percent(expected), found: words.percent(share) }));
  return html`
    <${Part} title=${words("watch.drift")} problem=${problem} words=${words} />
    <${Field} label=${words("watch.days")} value=${days} options=${DAYS.map((n) => [n, words("watch.days.n", { n })])} onChange=${(value) => setDays(Number(value))} />
    ${found && html`
      <${Notice} kind=${found.verdict === "drift" ? "warning" : "info"} words=${words}>
        <strong>${words(`watch.verdict.${found.verdict}`)}</strong> ${words("watch.numbers", numbers)}<//>
      ${found.reasons.length > 0 && html`<ul>${found.reasons.map((one) => html`<li>${reason(one)}</li>`)}</ul>`}
      <${BarChart} title=${words("watch.shares")} rows=${found.shares.map((one) => ({ name: one.category, expected: one.expected, seen: one.found }))} most=${MOST_SHOWN}
        labels=${{ name: words("category"), expected: words("watch.expected"), seen: words("watch.seen") }} words=${words} />
      ${found.new_words.length > 0 && html`<${Table} caption=${words("watch.new-words")} rows=${found.new_words} rowKey=${(row) => row.word}
        columns=${[{ key: "word", label: words("watch.word") }, { key: "num_tickets", label: words("watch.tickets"), number: true, show: (row) => words.number(row.num_tickets) }]} />`}`}`;
}

function Traffic({ api, words }) {
  const { found, problem } = useLook(async (signal) => metricsIn(await api.get("/metrics", { signal, ask: false })), []);
  const sum = (name, keep) => (found ?? []).filter((one) => one.name === name && keep(one.labels)).reduce((total, one) => total + one.value, 0);
  const count = (name) => words.number(sum(name, () => true));
  const searches = (first) => words.number(sum("puppet_requests_total", ({ route, status }) => route === "/search" && status.startsWith(first)));
  const milliseconds = (share) => words.number(found && 1000 * within(found, share), { style: "unit", unit: "millisecond", maximumFractionDigits: 1 });
  const rows = [
    ["searches", searches("2")], ["refused", searches("4")], ["failed", searches("5")], ["not-done", count("puppet_refusals_total")],
    ["p50", milliseconds(0.5)], ["p99", milliseconds(0.99)], ["queue", count("puppet_queue_tokens")], ["connections", count("puppet_connections")],
  ].map(([id, value]) => ({ id, name: words(`watch.traffic.${id}`), value }));
  const columns = [{ key: "name", label: words("watch.what") }, { key: "value", label: words("watch.value"), number: true }];
  const shown = found && html`<${Table} caption=${words("watch.traffic.since")} columns=${columns} rows=${rows} />`;
  return html`<${Part} title=${words("watch.traffic")} problem=${problem} words=${words}>${shown}<//>`;
}

function Jobs({ api, words }) {
  const { found, problem, look } = useLook(async (signal) => (await api.get("/jobs", { signal, ask: false })).jobs, []);
  const cancelling = useTask();
  const cancel = (job) => cancelling.run(async () => { await api.cancel(job.id); await look(); });
  const isOpen = ({ state }) => state === "queued" || state === "running";
  const columns = [
    { key: "kind", label: words("watch.job"), show: (job) => words(`watch.kind.${job.kind ?? "train"}`) },
    { key: "model_name", label: words("model") },
    { key: "state", label: words("watch.state"), show: (job) => words(`watch.state.${job.state}`) },
    { key: "created", label: words("watch.when"), show: (job) => words.date(job.created) },
    { key: "token_name", label: words("watch.who"), show: (job) => job.token_name ?? "–" },
    { key: "detail", label: words("watch.detail"), show: (job) => (isOpen(job)
      ? html`<button type="button" class="secondary" onClick=${() => cancel(job)}>${words("watch.cancel")}</button>` : job.detail) },
  ];
  return html`<${Events} name="jobs" problem=${problem || cancelling.problem} rows=${found} columns=${columns} rowKey=${(job) => job.id} words=${words} />`;
}

function Audit({ api, words }) {
  const { found, problem } = useLook(async (signal) => (await api.get("/audit", { signal, ask: false })).entries, [], false);
  const columns = [
    { key: "at", label: words("watch.when"), show: (one) => words.date(one.time) },
    { key: "action", label: words("watch.what"), show: ({ action }) => (words.has(`watch.action.${action}`) ? words(`watch.action.${action}`) : action) },
    { key: "model_name", label: words("model"), show: (one) => [one.model_name, one.version].filter(Boolean).join(" ") },
    { key: "token_name", label: words("watch.who"), show: (one) => (one.token_name === NO_TOKEN ? words("watch.this-machine") : one.token_name) },
    { key: "outcome", label: words("watch.outcome"), show: (one) => words(`watch.outcome.${one.outcome}`) },
  ];
  return html`<${Events} name="audit" problem=${problem} rows=${found} columns=${columns} rowKey=${(one) => one.number} words=${words} />`;
}

export function Screen({ api, words }) {
  const [model, setModel] = useState(null);
  return html`
    <p>${words("watch.about")}</p>
    <${ModelPick} api=${api} words=${words} kind="GRU" onChange=${setModel} />
    ${model && model.version !== null && html`<${Drift} key=${model.name} api=${api} words=${words} model=${model} />`}
    <${Traffic} api=${api} words=${words} />
    <${Jobs} api=${api} words=${words} />
    <${Audit} api=${api} words=${words} />`;
}
