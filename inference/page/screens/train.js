// Train: labelled tickets go in, what is doubtful about them is put right in place, and a new version comes out.
//
//     file ── reading.js ──► POST /inspect ──► findings, each with what to do ──► corrections, merges, settings
//                                                                                        │
//     serves or not ◄── compared with the version that serves ◄── curves ◄── POST /train_model
//
// A training never lets its version serve by itself here ("promote": "never"): a person looks at both, and decides.
// The job goes on when this screen, or the whole page, is closed; its id is kept, and the curves begin anew from it.

import { Action, Bar, Field, LineChart, ModelPick, Notice, ProblemNotice, Table, announce, html, useEffect, useKept, useState, useTask } from "../parts.js";
import { DecisionTable, LEAVE_OUT } from "./deciding.js";
import { ReadingStep, useReading } from "./reading.js";

const RECIPES = ["fast", "default", "best"];
const METRICS = ["accuracy", "macro_f1"];
const MAX_NAMES = 30; // words that look like names, which are offered to be forbidden
const MIN_ROWS = 100; // fewer decide nothing (trainer/selection/compare.py)

// What a person has decided about the findings; `drop` are the names of categories that are read as another one.
const UNDECIDED = { corrections: {}, merge: {}, forbid: [], aliases: false };

// The categories that are probably one: by their spelling, or because they are taken for each other.
function mergesOf(type, result) {
  if (type === "category_names") return result.variants.map(({ kept, others }) => ({ kept, others: Object.keys(others) }));
  if (type === "confused_categories") return result.merges.map(({ first, second }) => ({ kept: first, others: [second] }));
  return [];
}

// One thing that the inspection has found: what it is, what to do, and the controls that do it.
function Finding({ finding, result, chosen, change, categories, words }) {
  const { type, count, what_to_do: advice, rows } = finding;
  // What it lists that is no ticket: categories that are too small, kinds of personal data.
  const listed = { small_categories: result.small_categories, personal_data: result.num_personal }[type] ?? {};
  const list = Object.entries(listed).map(([name, number]) => `${name} (${words.number(number)})`);
  const setMerge = (others, kept, on) => change({ merge: { ...chosen.merge, ...Object.fromEntries(others.map((one) => [one, on ? kept : undefined])) } });
  const setName = (name, on) => change({ forbid: on ? [...chosen.forbid, name] : chosen.forbid.filter((one) => one !== name) });
  const take = ({ suggested }) => (suggested ? [[suggested, words("train.take", { category: suggested })]] : []);
  const options = (row) => [["", words("train.keep", row)], ...take(row), [LEAVE_OUT, words("train.leave-out")]];
  const says = ({ why, probability }) => html`<span lang="en">${why}</span> · ${words("train.probability", { share: words.percent(probability) })}`;
  const known = words.has(`train.find.${type}`);
  return html`
    <details class="finding" open=${rows.length > 0 && type === "mislabelled"}>
      <summary>${known ? words(`train.find.${type}`, { n: count }) : type.replaceAll("_", " ")}</summary>
      ${words.has(`train.do.${type}`) ? html`<p>${words(`train.do.${type}`)}</p>` : html`<p lang="en">${advice}</p>`}
      ${list.length > 0 && html`<p>${words.list(list)}</p>`}
      ${mergesOf(type, result).map(({ kept, others }) => html`
        <${Field} key=${others.join()} type="checkbox" label=${words("train.merge", { others: words.list(others), kept })}
          value=${others.every((one) => chosen.merge[one] === kept)} onChange=${(on) => setMerge(others, kept, on)} />`)}
      ${type === "names" && Object.entries(result.names).slice(0, MAX_NAMES).map(([name, number]) => html`
        <${Field} key=${name} type="checkbox" label=${words("train.forbid", { name, n: number })} value=${chosen.forbid.includes(name)} onChange=${(on) => setName(name, on)} />`)}
      ${type === "aliases" && html`
        <${Field} type="checkbox" label=${words("train.aliases", result)} value=${chosen.aliases} onChange=${(aliases) => change({ aliases })} />`}
      ${rows.length > 0 && html`
        <${DecisionTable} caption=${known ? words(`train.find.${type}`, { n: count }) : type} rows=${rows} says=${says} options=${options}
          categories=${categories} decisions=${chosen.corrections} words=${words}
          onDecide=${({ line }, value) => change({ corrections: { ...chosen.corrections, [line]: value } })} />`}
    </details>`;
}

const unless = (type) => (problem) => { if (problem.type !== type) throw problem; };

// A merge into a category that is itself merged goes on to where that one goes; the server refuses chains.
function withoutChains(merge) {
  const end = (name, seen = [name]) => (merge[name] && !seen.includes(merge[name]) ? end(merge[name], [...seen, name]) : name);
  return Object.fromEntries(Object.keys(merge).map((name) => [name, end(name)]).filter(([name, kept]) => name !== kept));
}

// How the training goes: phase, time left, and its curves.
function Progress({ events, words }) {
  const epochs = events.filter((one) => one.kind === "epoch");
  const last = events.findLast((one) => one.phase);
  const line = (key) => epochs.map((one, index) => [index + 1, one[key]]);
  const epoch = epochs[epochs.length - 1];
  const said = events.findLast((one) => typeof one.seconds_expected === "number");
  const elapsed = last ? (Date.parse(last.time) - Date.parse(events[0].time)) / 1000 : 0;
  const share = typeof last?.seconds_left === "number" && elapsed > 0 ? elapsed / (elapsed + last.seconds_left) : null;
  return html`
    <${Bar} value=${share} label=${last ? words.has(`train.phase.${last.phase}`) ? words(`train.phase.${last.phase}`) : last.phase : words("train.queued")} />
    ${said && html`<p>${words("train.expected", { time: words.seconds(said.seconds_expected) })}</p>`}
    <p>${epoch && words("train.epoch", epoch)} ${typeof last?.seconds_left === "number" && words("train.left", { time: words.seconds(last.seconds_left) })}</p>
    <${LineChart} title=${words("train.loss")} xLabel=${words("train.epochs")} words=${words}
      series=${[{ name: words("train.loss.training"), points: line("loss") }, { name: words("train.loss.validation"), points: line("validation_loss") }]} />
    <${LineChart} title=${words("train.accuracy")} xLabel=${words("train.epochs")} words=${words}
      series=${[{ name: words("train.accuracy.line"), points: line("validation_accuracy") }]} />`;
}

// The new version next to the one that serves, and who is to serve from now on.
function Result({ api, words, trained, onServes }) {
  const { name, result, serving } = trained;
  const comparison = result.comparison;
  const task = useTask();
  const promote = () => task.run(async (signal) => {
    await api.post(`/models/${name}/promote`, { version: result.version }, { signal });
    onServes("new");
    announce(words("train.serves", { version: result.version }));
  });
  const isCompared = Boolean(comparison && comparison.num_rows > 0);
  const isWorse = isCompared && comparison.num_worse > comparison.num_better;
  const verdict = !isCompared ? "" : comparison.is_better ? "train.surely" : isWorse ? "train.worse" : comparison.num_rows < MIN_ROWS ? "train.too-few" : "train.unsure";
  const figures = isCompared ? comparison : { new: result.metrics ?? {} };
  const rows = METRICS.filter((key) => typeof figures.new[key] === "number")
    .map((key) => ({ id: key, name: words(`train.metric.${key}`), old: figures.old?.[key], new: figures.new[key] }));
  const versions = [...(isCompared ? [["old", comparison.against]] : []), ["new", result.version]];
  const share = ([key, version]) => ({ key, label: words(`train.${key}`, { version }), number: true, show: (row) => words.percent(row[key]) });
  const columns = [{ key: "name", label: words("train.metric") }, ...versions.map(share)];
  return html`
    <section>
      <h2>${words("train.result")}</h2>
      <${Notice} kind="good" words=${words}>${words("train.done", { name, version: result.version })}<//>
      <${Table} caption=${words(isCompared ? "train.compared" : "train.measured", { n: comparison?.num_rows ?? 0 })} columns=${columns} rows=${rows} />
      ${isCompared && html`<p>${words("train.better", { better: comparison.num_better, worse: comparison.num_worse })} <strong>${words(verdict)}</strong></p>`}
      ${comparison && !isCompared && html`<p lang="en">${comparison.detail}</p>`}
      ${result.detail && html`<p>${result.detail}</p>`}
      ${trained.decided
        ? html`<${Notice} kind="good" words=${words}>${trained.decided === "new"
            ? words("train.serves", result) : words(serving ? "train.stays" : "train.none", { version: serving })}<//>`
        : html`
          <${Action} task=${task} kind=${isWorse ? "secondary" : ""} onClick=${promote} label=${words("train.promote", result)} words=${words} />
          <button type="button" class=${isWorse ? "" : "secondary"} onClick=${() => onServes("old")} disabled=${task.busy}>
            ${words(serving ? "train.keep-old" : "train.not-yet", { version: serving })}</button>`}
    </section>`;
}

export function Screen({ api, words }) {
  const source = useReading(api, words, "train", true);
  const [inspected, setInspected] = useKept("train.inspected", null); // {result, file}
  const [decided, setDecided] = useKept("train.decided", UNDECIDED);
  const [model, setModel] = useState(null);
  const [, setShared] = useKept("model", ""); // the model that ModelPick begins with, on every screen
  const [isNew, setNew] = useKept("train.is-new", false);
  const [newName, setNewName] = useKept("train.new-name", "");
  const [recipe, setRecipe] = useKept("train.recipe", "default");
  const [withFeedback, setWithFeedback] = useKept("train.feedback", true);
  const [running, setRunning] = useKept("train.running", null); // {job, name, serving}: a training that has not ended
  const [trained, setTrained] = useKept("train.trained", null); // the same with its result
  const [events, setEvents] = useState([]);
  const inspecting = useTask(), training = useTask(), cancelling = useTask();

  const change = (part) => setDecided((now) => ({ ...now, ...part }));
  const result = inspected && inspected.file === source.file ? inspected.result : null;
  const chosen = result ? decided : UNDECIDED; // what was decided of another file does not count
  const makesNew = isNew || model === null;
  const name = makesNew ? newName.trim() : model.name;
  const corrections = Object.entries(chosen.corrections).filter(([, value]) => value !== "");
  const categories = Object.keys(result?.categories ?? {}).sort((a, b) => a.localeCompare(b));

  const inspect = () => inspecting.run(async (signal) => {
    const found = await source.withUpload((job) => api.run("/inspect", { data_of: job, reading: source.reading }, { signal }), signal);
    setDecided(UNDECIDED);
    setInspected({ result: found.result, file: source.file });
    announce(words("train.found", { n: found.result.findings.length }));
  });

  // Follow a training to its end; called for a new one, and for one that was left running when the screen changed.
  const follow = async (job, signal) => {
    const ended = await api.finish(job.job, { onEvent: (event) => setEvents((all) => [...all, event]), signal });
    setTrained({ ...job, result: ended.result });
    setShared(job.name);
    setNew(false);
    announce(words("train.done", { name: job.name, version: ended.result.version }));
  };
  // However it ends, but for a change of screen, it is no longer running; what was decided stays for another try.
  const followed = (work) => training.run((signal) => work(signal).finally(() => { if (!signal.aborted) setRunning(null); }));
  useEffect(() => { if (running) followed((signal) => follow(running, signal)); }, []);

  const lineOf = new Map((result?.findings ?? []).flatMap(({ rows }) => rows.map(({ line }) => [String(line), line])));
  const train = () => followed(async (signal) => {
    setTrained(null);
    setEvents([]);
    // An earlier try that failed may have made the model already.
    if (makesNew) await api.post("/create_model", { name, neural_network_type: "GRU" }, { signal }).catch(unless("model-exists"));
    const config = { recipe, aliases: chosen.aliases ? result.aliases : "", forbid: chosen.forbid.join(",") };
    const body = {
      name, neural_network_type: "GRU", config, promote: "never", include_feedback: !makesNew && withFeedback,
      reading: { ...source.reading, merge: withoutChains(chosen.merge) },
      corrections: corrections.map(([line, value]) => ({ line: lineOf.get(line), category: value === LEAVE_OUT ? null : value })),
    };
    // Not aborted by a change of screen, or the job would go on and nobody would know its id.
    const job = await source.withUpload((upload) => api.start("/train_model", { ...body, data_of: upload }), signal);
    const started = { job, name, serving: makesNew ? null : model.version };
    setRunning(started);
    await follow(started, signal);
  });
  const signalOf = ({ accuracy, largest_share: largest, largest_category: category }) =>
    words("train.signal", { category, share: words.percent(accuracy), largest: words.percent(largest) });
  const cancel = () => cancelling.run(() => api.cancel(running.job));
  return html`
    <p>${words("train.about")}</p>
    <section>
      <h2>${words("train.file")}</h2>
      <${ReadingStep} words=${words} source=${source} />
    </section>
    ${source.isReady && html`
      <section>
        <h2>${words("train.look")}</h2>
        <p>${words("train.look.why")}</p>
        <${Action} task=${inspecting} onClick=${inspect} label=${words("train.inspect")} busy=${words("train.inspecting")} words=${words} />
        ${result && html`
          <p>${words("train.seen", { n: result.num_tickets, categories: result.num_categories })} ${result.signal.num_tickets > 0 && signalOf(result.signal)}</p>
          ${result.findings.length === 0 && html`<${Notice} kind="good" words=${words}>${words("train.nothing")}<//>`}
          ${result.findings.map((finding, index) => html`
            <${Finding} key=${`${finding.type}${index}`} finding=${finding} result=${result} chosen=${chosen} change=${change} categories=${categories} words=${words} />`)}`}
      </section>
      <section>
        <h2>${words("train.train")}</h2>
        <${ModelPick} key=${`${trained?.name} ${trained?.result.version} ${trained?.decided}`} api=${api} words=${words} kind="GRU" onChange=${setModel} />
        ${model && html`<${Field} type="checkbox" label=${words("train.new-model")} value=${isNew} onChange=${setNew} />`}
        ${makesNew && html`
          <${Field} label=${words("train.name")} hint=${words("train.name.hint")} value=${newName} onChange=${setNewName} pattern="[a-z0-9][a-z0-9_\\-]*" maxlength="63" required />`}
        <${Field} label=${words("train.recipe")} value=${recipe} options=${RECIPES.map((one) => [one, words(`train.recipe.${one}`)])} onChange=${setRecipe} />
        ${!makesNew && html`<${Field} type="checkbox" label=${words("train.feedback")} value=${withFeedback} onChange=${setWithFeedback} />`}
        ${corrections.length > 0 && html`<p>${words("train.corrected", { n: corrections.length })}</p>`}
        <button type="button" onClick=${train} disabled=${training.busy || !name}>${words("train.start")}</button>
      </section>`}
    ${(training.busy || training.problem) && html`
      <section>
        <h2>${words("train.progress")}</h2>
        ${training.busy && html`
          <${Progress} events=${events} words=${words} />
          ${running && html`<${Action} task=${cancelling} kind="secondary" onClick=${cancel} label=${words("train.cancel")} words=${words} />`}`}
        <${ProblemNotice} problem=${training.problem} words=${words} />
        ${training.problem && source.isReady && html`<p>${words("train.again")}</p>`}
      </section>`}
    ${trained && !training.busy && html`<${Result} api=${api} words=${words} trained=${trained} onServes=${(decided) => setTrained((now) => ({ ...now, decided }))} />`}`;
}
