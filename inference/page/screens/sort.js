// Sort a file: an export goes in, the same export with a category for each ticket comes back.
//
//     file ── reading.js ──► POST /classify ──► a job ──► numbers, and the tickets that the model is not sure of
//                                                 │             │ decided by hand
//                                                 └─ download ◄─┘ the server writes the file again, with the decisions
//
// The page never takes the file apart: a decision names the line that it is about, and the server, which reads every
// form, writes it in. So a workbook comes back as a workbook.

import { Action, Field, ModelPick, Notice, Table, announce, html, useKept, useState, useTask } from "../parts.js";
import { DecisionTable, counted, usableId, useVersion } from "./deciding.js";
import { ReadingStep, useReading } from "./reading.js";

const OUTPUTS = ["csv", "xlsx", "jsonl", "parquet"];

export function Screen({ api, words }) {
  const [model, setModel] = useState(null);
  const [abstain, setAbstain] = useKept("sort.abstain", true);
  const [output, setOutput] = useKept("sort.output", "csv");
  const [sorted, setSorted] = useKept("sort.sorted", null);
  const [decisions, setDecisions] = useKept("sort.decisions", {}); // line -> category; "" is none
  const [taught, setTaught] = useKept("sort.taught", {}); // line -> the category that was sent as feedback
  const source = useReading(api, words, "sort", false);
  const { categories, manifest } = useVersion(api, model);
  const task = useTask(), saving = useTask(), teaching = useTask();

  const isTrained = Boolean(model?.version);
  const canAbstain = typeof manifest?.abstain?.threshold === "number";
  const decided = Object.entries(decisions).filter(([, category]) => category !== "");
  const toTeach = decided.filter(([line, category]) => taught[line] !== category);
  // The lines of the answer, as the server spells them: the keys of an object are always text.
  const rowOf = (line) => sorted.result.unsure.find((row) => String(row.line) === line);

  // `asked` is what the first run was asked for: a second one, for the decisions, differs from it in these alone.
  const classify = (asked, corrections, signal) => source.withUpload((job) => api.run("/classify", { ...asked, data_of: job, corrections }, { signal }), signal);

  const sort = () => task.run(async (signal) => {
    setSorted(null);
    setDecisions({});
    setTaught({});
    const asked = { name: model.name, neural_network_type: model.neural_network_type, abstain: abstain && canAbstain, output, reading: source.reading };
    const found = await classify(asked, undefined, signal);
    setSorted({ ...found, asked, file: source.file });
    announce(words("sort.done", { n: found.result.num }));
  });
  const save = () => saving.run(async (signal) => {
    const corrections = decided.map(([line, category]) => ({ line: rowOf(line).line, category }));
    const again = { ...sorted.asked, version: sorted.result.version, output };
    const { job } = corrections.length || output !== sorted.asked.output ? await classify(again, corrections, signal) : sorted;
    await api.download(`/jobs/${job.id}/result`, `sorted.${output}`, { signal });
    announce(words("sort.saved"));
  });
  // What a person has decided is what a model learns most from; it is sent one by one, and what was sent is ticked off,
  // so that after a failure the rest can be sent.
  const teach = () => teaching.run(async (signal) => {
    for (const [line, category] of toTeach) {
      const { id, text } = rowOf(line);
      await api.post("/feedback", { name: sorted.asked.name, id: usableId(id) ?? `${sorted.job.id}-${line}`, category, text, version: sorted.result.version }, { signal });
      setTaught((now) => ({ ...now, [line]: category }));
    }
    announce(words("sort.taught", { n: toTeach.length }));
  });

  const saveLabel = decided.length > 0 ? words("sort.save", { n: decided.length }) : words("sort.save.plain");
  const reason = ({ reason: why }) => (why ? words.has(`reason.${why}`) ? words(`reason.${why}`) : why : "");
  const best = (row) => row.best.filter((guess) => guess.category !== row.category).slice(0, 3)
    .map(({ category, confidence }) => [category, `${category} (${words.percent(confidence, 0)})`]);
  return html`
    <p>${words("sort.about")}</p>
    <${ModelPick} api=${api} words=${words} kind="GRU" onChange=${setModel} />
    ${model && !isTrained && html`<${Notice} words=${words}>${words("model.untrained")}<//>`}
    <section>
      <h2>${words("sort.file")}</h2>
      <${ReadingStep} words=${words} source=${source} />
    </section>
    ${source.isReady && isTrained && html`
      <section>
        <h2>${words("sort.how")}</h2>
        ${canAbstain
          ? html`<${Field} type="checkbox" value=${abstain} onChange=${setAbstain} hint=${words("sort.abstain.hint")}
              label=${words("sort.abstain", { target: words.percent(manifest.abstain.target, 0) })} />`
          : manifest && html`<p>${words("sort.no-threshold")}</p>`}
        <${Field} label=${words("sort.output")} value=${output} options=${OUTPUTS.map((one) => [one, words(`sort.output.${one}`)])} onChange=${setOutput} />
        <${Action} task=${task} onClick=${sort} label=${words("sort.sort", { n: source.preview.num_rows })} busy=${words("sort.sorting")} words=${words} />
      </section>`}
    ${sorted && sorted.file === source.file && html`
      <section>
        <h2>${words("sort.result")}</h2>
        <${Notice} kind="good" words=${words}>${counted(words, "sort", { done: sorted.result.num, unsure: sorted.result.num_unsure, skipped: sorted.result.num_skipped })}<//>
        <${Action} task=${saving} onClick=${save} label=${saveLabel} busy=${words("sort.writing")} words=${words} />
        <details>
          <summary>${words("sort.categories")}</summary>
          <${Table} caption=${words("sort.categories")} rows=${Object.entries(sorted.result.per_category).map(([name, count]) => ({ id: name, name, count }))}
            columns=${[{ key: "name", label: words("sort.category") }, { key: "count", label: words("sort.tickets"), number: true, show: ({ count }) => words.number(count) }]} />
        </details>
        ${sorted.result.unsure.length > 0 && html`
          <h3>${words("sort.decide")}</h3>
          <p>${words("sort.decide.how", { n: sorted.result.unsure.length })}</p>
          <${DecisionTable} caption=${words("sort.decide")} rows=${sorted.result.unsure} says=${reason} categories=${categories} words=${words}
            options=${(row) => [["", row.category ? words("sort.keep", { category: row.category }) : words("sort.leave")], ...best(row)]}
            decisions=${decisions} onDecide=${(row, category) => setDecisions((now) => ({ ...now, [row.line]: category }))} />
          ${toTeach.length > 0 && html`<${Action} task=${teaching} kind="secondary" onClick=${teach} label=${words("sort.teach", { n: toTeach.length })} words=${words} />`}
          <button type="button" onClick=${save} disabled=${saving.busy}>${saveLabel}</button>
          ${decided.length > 0 && toTeach.length === 0 && html`<p>${words("sort.taught", { n: decided.length })}</p>`}`}
      </section>`}`;
}
