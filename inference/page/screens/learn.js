// Learn: every number between a ticket and its answer, one panel a step, each with the chapter that explains it.
//
//     text ── POST /models/NAME/steps ──► tokens, vectors, gates and states, pooled state, scores, probabilities
//
// The numbers are those of the network in NumPy (artifacts/networks/reference.py), which reads the weights that serve.
// The server runs the same ticket through onnxruntime too, and the last panel says how far the two are apart.

import { Field, ModelPick, Notice, Numbers, ProblemNotice, Scroll, Table, announce, html, useKept, useState, useTask } from "../parts.js";

const MOST_SHOWN = 5; // categories
const GATES = ["reset", "update", "proposal", "state"]; // as the server names them, in the order of the equations
const SHADES = 4; // of a colour, from nothing to the largest value
const [LEFT, WIDE, ROW] = [150, 440, 16]; // of a heat map, in its own units: names, cells, height of a row

// Numbers as cells: the stronger the colour, the larger; a number below 0 fills the lower half of its cell, in another
// colour. The cells of one shade are one path, since thousands of elements would be slow.
//   rows      [{name, values}]
//   largest   value that has the full colour
//   marked    index of the row that has a frame
function HeatMap({ title, rows, largest, marked, words }) {
  const wide = WIDE / rows[0].values.length;
  const shades = new Map();
  rows.forEach(({ values }, y) => values.forEach((value, x) => {
    const shade = Math.round((SHADES * value) / largest);
    const [top, high] = shade < 0 ? [0.5, 0.4] : [0.05, 0.9];
    const cell = `M${(LEFT + x * wide).toFixed(2)} ${((y + top) * ROW).toFixed(1)}h${(0.9 * wide).toFixed(2)}v${high * ROW}h${(-0.9 * wide).toFixed(2)}z`;
    shades.set(shade, (shades.get(shade) ?? "") + cell);
  }));
  const columns = [{ key: "name", label: words("learn.row") }, ...rows[0].values.map((_, index) => (
    { key: index, label: index + 1, number: true, show: ({ values }) => words.number(values[index], { maximumFractionDigits: 3 }) }))];
  return html`
    <figure>
      <figcaption>${title}</figcaption>
      <${Scroll} label=${title}><svg class="chart heat" viewBox=${`0 -1 600 ${rows.length * ROW + 3}`} role="img" aria-label=${title}>
        ${[...shades].map(([shade, cells]) => html`<path class=${shade < 0 ? "below" : "above"} fill-opacity=${Math.abs(shade) / SHADES} d=${cells} />`)}
        ${rows.map(({ name }, y) => html`<text x=${LEFT - 8} y=${(y + 0.8) * ROW} class="end">${name.length > 20 ? `${name.slice(0, 19)}…` : name}</text>`)}
        ${marked !== undefined && html`<rect class="frame" x="1" y=${marked * ROW} width="594" height=${ROW} />`}
      </svg><//>
      <${Numbers} caption=${title} columns=${columns} rows=${rows} rowKey=${(_, index) => index} words=${words} />
    </figure>`;
}

// A step: what happens in it, and the chapter that explains it; in a tab of its own, because leaving the page would
// forget the token and the ticket.
function Panel({ name, words, children }) {
  const id = `learn-${name}`, title = words(`learn.${name}`);
  return html`
    <section aria-labelledby=${id}>
      <h2 id=${id}>${title}</h2>
      <p>${words(`learn.${name}.how`)}</p>
      ${children}
      <p><a href=${`../docs/${words.language}/${words(`learn.${name}.chapter`)}.html`} target="_blank" rel="noopener">${words("learn.chapter", { title })}</a></p>
    </section>`;
}

// The network at one token: the slider chooses it, and the state of the whole ticket stands below.
function Gates({ steps, network, words }) {
  const [way, setWay] = useState("0 0");
  const [at, setAt] = useState(0);
  const [layer, direction] = way.split(" ").map(Number);
  const found = network.layers[layer][direction], token = steps.tokens[at].token;
  const ways = network.layers.flatMap((one, l) => one.map((_, d) => [`${l} ${d}`, words(d ? "learn.backward" : "learn.forward", { n: l + 1 })]));
  const before = found.state[at + (direction ? 1 : -1)] ?? found.state[at].map(() => 0);
  const place = words("learn.token.of", { token, n: at + 1, of: steps.tokens.length });
  const rows = [{ name: words("learn.before"), values: before }, ...GATES.map((kind) => ({ name: words(`learn.${kind}`), values: found[kind][at] }))];
  return html`
    <${Field} label=${words("learn.way")} value=${way} options=${ways} onChange=${setWay} />
    <${Field} label=${words("learn.token")} hint=${place} type="range" min="0" max=${steps.tokens.length - 1} step="1" value=${at}
      aria-valuetext=${place} onChange=${(value) => setAt(Number(value))} />
    <${HeatMap} title=${words("learn.step", { token })} rows=${rows} largest=${1} words=${words} />
    <${HeatMap} title=${words("learn.states")} rows=${rowsOf(steps, found.state)} largest=${1} marked=${at} words=${words} />`;
}

const rowsOf = (steps, matrix) => steps.tokens.map(({ token }, index) => ({ name: token, values: matrix[index] }));
const largestOf = (...vectors) => Math.max(...vectors.flat().map(Math.abs)) || 1;

// What the linear part adds for the most probable category.
function Linear({ steps, best, number, words }) {
  const { words: scores, pairs, logits } = steps.linear;
  if (![logits, ...scores].flat().some((value) => value !== 0)) return html`<p>${words("learn.linear.none")}</p>`;
  const rows = [...steps.tokens.map(({ token }, index) => ({ name: token, score: scores[index][best] })),
    ...pairs.map((pair) => ({ name: `${pair.before} ${pair.after}`, score: pair.scores[best] }))];
  const columns = [{ key: "name", label: words("learn.part") }, { key: "score", label: words("learn.score"), number: true, show: ({ score }) => number(score) }];
  return html`
    <${Table} caption=${words("learn.scores", { category: steps.categories[best] })} columns=${columns} rows=${rows} rowKey=${(_, index) => index} />
    <p>${words("learn.linear.sum", { n: steps.num_tokens, score: number(logits[best]) })}</p>`;
}

function Steps({ steps, words }) {
  const [member, setMember] = useState(0);
  const network = steps.networks[member];
  const number = (value) => words.number(value, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
  const far = (value) => words.number(value, { notation: "scientific", maximumFractionDigits: 1 });
  const labels = steps.categories.map((_, label) => label).sort((a, b) => steps.probabilities[b] - steps.probabilities[a]);
  const parts = { gru: (label) => steps.networks.reduce((sum, one) => sum + one.logits[label], 0), linear: (label) => steps.linear.logits[label],
    bias: (label) => steps.linear.bias[label], logit: (label) => steps.logits[label] };
  const answer = [{ key: "category", label: words("category"), show: (label) => steps.categories[label] },
    ...Object.entries(parts).map(([key, part]) => ({ key, label: words(`learn.${key}.short`), number: true, show: (label) => number(part(label)) })),
    { key: "probability", label: words("learn.probability"), number: true, show: (label) => words.percent(steps.probabilities[label]) }];
  const tokens = [{ key: "token", label: words("try.token") }, { key: "id", label: words("learn.id"), number: true },
    { key: "grams", label: words("learn.grams"), show: ({ known, grams }) => (known ? words("learn.known") : grams.join(", ")) }];
  const apart = Object.entries(steps.differences).map(([stage, value]) => ({ id: stage, name: words(`learn.of.${stage}`), value: far(value) }));
  return html`
    ${steps.num_tokens > steps.tokens.length && html`<${Notice} words=${words}>${words("learn.first", { n: steps.tokens.length, of: steps.num_tokens })}<//>`}
    <${Panel} name="ids" words=${words}><${Table} caption=${words("learn.ids")} columns=${tokens} rows=${steps.tokens} rowKey=${(_, index) => index} /><//>
    ${steps.networks.length > 1 && html`<${Field} label=${words("learn.member")} value=${member} onChange=${(value) => setMember(Number(value))}
      options=${steps.networks.map((_, index) => [index, words("learn.member.n", { n: index + 1, of: steps.networks.length })])} />`}
    <${Panel} name="vectors" words=${words}>
      <${HeatMap} title=${words("learn.vectors")} rows=${rowsOf(steps, network.vectors)} largest=${largestOf(...network.vectors)} words=${words} /><//>
    <${Panel} name="gates" words=${words}><${Gates} steps=${steps} network=${network} words=${words} /><//>
    <${Panel} name="pooled" words=${words}>
      <${HeatMap} title=${words("learn.pooled")} rows=${["largest", "mean"].map((kind) => ({ name: words(`learn.${kind}`), values: network[kind] }))} largest=${1} words=${words} /><//>
    <${Panel} name="linear" words=${words}><${Linear} steps=${steps} best=${labels[0]} number=${number} words=${words} /><//>
    <${Panel} name="answer" words=${words}>
      <${Table} caption=${words("learn.answer")} columns=${answer} rows=${labels.slice(0, MOST_SHOWN)} rowKey=${(label) => label} />
      <p>${words("learn.temperature", { temperature: number(steps.temperature), share: words.percent(steps.linear_share) })}</p><//>
    <${Panel} name="proof" words=${words}>
      <${Table} caption=${words("learn.proof")} columns=${[{ key: "name", label: words("learn.stage") }, { key: "value", label: words("learn.apart"), number: true }]} rows=${apart} /><//>`;
}

export function Screen({ api, words }) {
  const [model, setModel] = useKept("learn.model", null);
  const [content, setContent] = useKept("try.content", ""); // the ticket that was tried is the one to look into
  const [steps, setSteps] = useKept("learn.steps", null);
  const task = useTask();
  const ask = () => task.run(async (signal) => {
    setSteps(await api.post(`/models/${model.name}/steps`, { text: content }, { signal }));
    announce(words("learn.shown"));
  });
  return html`
    <p>${words("learn.about")}</p>
    <${ModelPick} api=${api} words=${words} kind="GRU" onChange=${setModel} />
    ${model && model.version === null && html`<${Notice} words=${words}>${words("model.untrained")}<//>`}
    ${model && model.version !== null && html`
      <form onSubmit=${(event) => { event.preventDefault(); ask(); }}>
        <${Field} label=${words("ticket")} hint=${words("try.hint.text")} rows="3" value=${content} onChange=${setContent} required />
        <button type="submit" disabled=${task.busy} aria-busy=${task.busy ? "true" : undefined}>${words("learn.ask")}</button>
      </form>`}
    <${ProblemNotice} problem=${task.problem} words=${words} />
    ${steps && steps.name === model?.name && html`<${Steps} key=${steps} steps=${steps} words=${words} />`}`;
}
