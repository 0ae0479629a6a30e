// One ticket, asked: what the model answers, how sure it is, and which words that rests on.
//
//     text or tokens ── POST /search with explain, top_k and abstain ──► category or the reason for none, weights
//     .eml file ── POST /predict ──► the text that is read of it, then as above
//     "It was ..." ── POST /feedback ──► a correction, which a training can learn from

import { Field, FilePick, ModelPick, Notice, Numbers, ProblemNotice, Table, announce, html, useKept, useTask } from "../parts.js";
import { useVersion } from "./deciding.js";

const NUM_GUESSES = 5;
const SURE_STEPS = [0.3, 1, 2]; // of a weight in log-odds; beyond each the underline is thicker

// The command that asks the same of this server; a single quote in the ticket ends the shell's string for a moment.
function curlOf(body, hasToken) {
  const quoted = JSON.stringify(body, null, 1).replaceAll("'", "'\\''");
  const token = hasToken ? " -H \"Authorization: Bearer $TOKEN\"" : "";
  return `curl ${new URL("../search", location.href)} -H 'Content-Type: application/json'${token} -d '${quoted}'`;
}

// Each token as the model read it. The thickness of the underline is its weight, "-" stands before one that speaks
// against the category, and the underline of an unknown word is dotted. The table below says the same in numbers.
function Tokens({ explanation, words }) {
  const strength = ({ weight }) => SURE_STEPS.filter((step) => Math.abs(weight) >= step).length;
  const columns = [
    { key: "token", label: words("try.token") },
    { key: "weight", label: words("try.weight"), number: true,
      show: ({ weight }) => words.number(weight, { maximumFractionDigits: 2, signDisplay: "exceptZero" }) },
    { key: "known", label: words("try.known"), show: ({ known }) => words(known ? "try.known.yes" : "try.known.no") },
    { key: "nearest", label: words("try.nearest"), show: ({ nearest }) => (nearest ?? []).map((one) => one.token).join(", ") },
  ];
  return html`
    <h3>${words("try.weights", { category: explanation.category })}</h3>
    <p class="tokens">${explanation.tokens.map((one) => html`
      <span class=${`token weight-${strength(one)}${one.known ? "" : " unknown"}`}>${one.weight < -SURE_STEPS[0] ? "−" : ""}${one.token}</span>${" "}`)}</p>
    <p><small>${words("try.weights.how")} ${explanation.window > 1 && words("try.window", { n: explanation.window })}</small></p>
    <${Numbers} caption=${words("try.weights", { category: explanation.category })} columns=${columns} rows=${explanation.tokens} rowKey=${(_, index) => index} words=${words} />`;
}

// "It was ...": any category, also one that the model does not have yet.
function Correction({ api, words, asked, answer, categories }) {
  const [category, setCategory] = useKept("try.category", "");
  const [stored, setStored] = useKept("try.stored", null);
  const task = useTask();
  const post = () => task.run(async (signal) => {
    const ticket = asked.vector ? { tokens: asked.vector } : { text: asked.text };
    const found = await api.post("/feedback", { name: asked.name, id: asked.id, category, version: answer.version, ...ticket }, { signal });
    setStored({ ...found, category });
    announce(words("try.stored", { category }));
  });
  return html`
    <form onSubmit=${(event) => { event.preventDefault(); post(); }}>
      <${Field} label=${words("try.it-was")} hint=${words("try.it-was.hint")} list="try-categories" value=${category} onChange=${setCategory} required />
      <datalist id="try-categories">${categories.map((one) => html`<option value=${one} />`)}</datalist>
      <button type="submit" class="secondary" disabled=${task.busy}>${words("try.keep")}</button>
      <${ProblemNotice} problem=${task.problem} words=${words} />
      ${stored && stored.id === asked.id && html`<${Notice} kind="good" words=${words}>
        ${words("try.stored", { category: stored.category })} ${stored.is_new_category ? words("try.stored.new") : ""}<//>`}</form>`;
}

function Answer({ api, words, found, version, categories }) {
  const { asked, answer, stripped } = found;
  const { threshold, target } = version?.abstain ?? {};
  const best = answer.best ?? [{ category: answer.category, confidence: answer.confidence }];
  const bar = ({ category, confidence }) => html`<meter aria-label=${category} max="1" value=${confidence}>${words.percent(confidence)}</meter>`;
  const columns = [{ key: "category", label: words("category") },
    { key: "confidence", label: words("confidence"), number: true, show: (row) => words.percent(row.confidence) },
    { key: "bar", label: words("try.bar"), show: bar }];
  return html`
    <section aria-labelledby="try-answer">
      <h2 id="try-answer">${words("try.answer")}</h2>
      <p class="answer"><strong>${answer.category ?? words("try.none")}</strong></p>
      ${answer.reason && html`<p>${words(`reason.${answer.reason}`)}</p>`}
      <p>${words("try.confidence", { share: words.percent(answer.confidence), n: Math.round(100 * answer.confidence) })}
        ${" "}${threshold && words("try.threshold", { threshold: words.percent(threshold), target: words.percent(target) })}</p>
      ${stripped && html`<p>${words("try.stripped", { attachments: stripped.num_attachments, quoted: stripped.num_quoted_lines,
        signature: stripped.num_signature_lines + stripped.num_disclaimer_lines })}</p>`}
      ${answer.num_truncated_tokens > 0 && html`<${Notice} words=${words}>${words("try.truncated", { n: answer.num_truncated_tokens })}<//>`}
      <${Table} caption=${words("try.best")} columns=${columns} rows=${best} rowKey=${(row) => row.category} />
      ${answer.explanation && html`<${Tokens} explanation=${answer.explanation} words=${words} />`}
      <h3>${words("try.wrong")}</h3>
      <${Correction} api=${api} words=${words} asked=${asked} answer=${answer} categories=${categories} />
      <details><summary>${words("try.curl")}</summary><pre tabindex="0"><code>${curlOf(asked.body, api.hasToken())}</code></pre></details>
    </section>`;
}

export function Screen({ api, words }) {
  const [model, setModel] = useKept("try.model", null);
  const [content, setContent] = useKept("try.content", "");
  const [form, setForm] = useKept("try.form", "text");
  const [found, setFound] = useKept("try.found", null);
  const { manifest, categories } = useVersion(api, model);
  const task = useTask();

  const ask = (text, as, stripped) => task.run(async (signal) => {
    const ticket = as === "tokens" ? { vector: text.split("\n").map((one) => one.trim()).filter(Boolean) } : { text };
    const body = { name: model.name, neural_network_type: model.neural_network_type, ...ticket, explain: true, top_k: NUM_GUESSES };
    if (manifest?.abstain) body.abstain = true; // a version that does not know when to abstain refuses the question
    const answer = await api.post("/search", body, { signal });
    const id = `page-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`; // by which its correction can be replaced
    setFound({ asked: { ...ticket, id, name: model.name, body }, answer, stripped });
    announce(`${answer.category ?? words("try.none")}, ${words.percent(answer.confidence)}`);
  });
  const readMail = async (file) => {
    const query = { name: model.name, show_text: true };
    const read = await task.run((signal) => api.postFile("/predict", file, "message/rfc822", { query, signal }));
    if (read) { setForm("text"); setContent(read.text); ask(read.text, "text", read.stripped); }
  };

  return html`
    <p>${words("try.about")}</p>
    <${ModelPick} api=${api} words=${words} kind="GRU" onChange=${setModel} />
    ${model && model.version === null && html`<${Notice} words=${words}>${words("model.untrained")}<//>`}
    ${model && model.version !== null && html`
      <form onSubmit=${(event) => { event.preventDefault(); ask(content, form); }}>
        <${Field} label=${words("try.form")} value=${form} options=${["text", "tokens"].map((one) => [one, words(`try.form.${one}`)])} onChange=${setForm} />
        <${Field} label=${words("ticket")} hint=${words(`try.hint.${form}`)} rows="5" value=${content} onChange=${setContent} required />
        <button type="submit" disabled=${task.busy} aria-busy=${task.busy ? "true" : undefined}>${words("try.ask")}</button>
      </form>
      <${FilePick} label=${words("try.mail")} hint=${words("try.mail.hint")} accept=".eml,.emlx,.msg,message/rfc822" onFile=${readMail} />`}
    <${ProblemNotice} problem=${task.problem} words=${words} />
    ${found && found.asked.name === model?.name && html`<${Answer} api=${api} words=${words} found=${found} version=${manifest} categories=${categories} />`}`;
}
