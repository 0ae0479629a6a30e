// The versions of a model: how good each is, which one serves, and what can be done with them.
//
//     GET /models/{name}/versions/{n} of each ──► table ──► promote, roll back, report, download, delete
//     labelled file ── POST /models/{name}/diff ──► which tickets two versions answer differently
//
// What changes who answers customers is asked for in a dialog first, which says what will be different.

import { Action, Bar, Dialog, Field, ModelPick, Notice, ProblemNotice, Table, announce, html, useEffect, useKept, useState, useTask } from "../parts.js";
import { Excerpt } from "./deciding.js";
import { ReadingStep, useReading } from "./reading.js";

const MAX_SHOWN = 20; // versions, the newest ones; each is a request

const accuracyOf = ({ manifest, figures }, words) => {
  const { low, high } = figures.accuracy_interval ?? {};
  const range = low === undefined ? "" : ` (${words.percent(low)} – ${words.percent(high)})`;
  return `${words.percent(manifest.validation.accuracy ?? undefined)}${range}`;
};
const routedOf = ({ manifest: { abstain } }, words) =>
  (abstain ? words("models.routed.of", { share: words.percent(abstain.coverage), target: words.percent(abstain.target) }) : "–");
const fixed = (value, words) => words.number(value ?? undefined, { maximumFractionDigits: 3 });

// What each version was measured to be, in the terms of its kind: a network that sorts, or one that estimates a number.
function figuresOf(isSorting, words) {
  if (!isSorting) return [["mae", (one) => fixed(one.manifest.validation.mae, words)], ["r2", (one) => fixed(one.manifest.validation.r2, words)]];
  return [
    ["accuracy", (one) => accuracyOf(one, words)],
    ["macro_f1", (one) => words.percent(one.manifest.validation.macro_f1 ?? undefined)],
    ["ece", (one) => fixed(one.figures.ece, words)],
    ["routed", (one) => routedOf(one, words)],
  ];
}

// What will be different when `next` serves in the place of `now`, side by side.
function Changes({ now, next, words }) {
  const isSorting = next.categories.length > 0;
  const version = (one) => words("models.version.n", { version: one.manifest.version });
  const rows = figuresOf(isSorting, words).map(([key, show]) => ({ id: key, name: words(`models.${key}`), now: now && show(now), next: show(next) }));
  const columns = [{ key: "name", label: words("models.figure") }, ...(now ? [{ key: "now", label: version(now) }] : []), { key: "next", label: version(next) }];
  const only = (one, other) => one.categories.filter((category) => !other.categories.includes(category));
  return html`
    <${Table} caption=${words("models.changes")} columns=${columns} rows=${rows} />
    ${now && only(next, now).length > 0 && html`<p>${words("models.new-categories", { list: words.list(only(next, now)) })}</p>`}
    ${now && only(now, next).length > 0 && html`<p>${words("models.lost-categories", { list: words.list(only(now, next)) })}</p>`}`;
}

// Ask before something is done; `action` is {kind, target?, now?, act(signal)}. Stays open where it fails, and says why.
function Asked({ action, words, onDone, onClose }) {
  const task = useTask();
  const { kind, target, now, name } = action;
  const parameters = { name, version: target?.manifest.version ?? "", now: now?.manifest.version ?? "" };
  const act = () => task.run((signal) => action.act(signal).then(() => onDone(words(`models.done.${kind}`, parameters))));
  return html`
    <${Dialog} title=${words(`models.ask.${kind}`, parameters)} onClose=${onClose}>
      <p>${words(`models.means.${kind}`, parameters)}</p>
      ${["promote", "rollback"].includes(kind) && target && html`<${Changes} now=${now} next=${target} words=${words} />`}
      <${Action} task=${task} label=${words(`models.${kind}`)} onClick=${act} words=${words} />
      <button type="button" class="secondary" onClick=${onClose}>${words("cancel")}</button>
    <//>`;
}

// Two versions on the same labelled tickets, and each ticket that they answer differently.
function Compare({ api, words, model }) {
  const serving = model.current ?? model.versions[0];
  const [picked, setPicked] = useState({});
  const chosen = { old: serving, new: model.versions.findLast((one) => one !== serving), ...picked };
  const [found, setFound] = useKept("models.found", null);
  const source = useReading(api, words, "models", true);
  const task = useTask();
  const compare = () => task.run(async (signal) => {
    const ask = (job) => api.run(`/models/${model.name}/diff`, { data_of: job, reading: source.reading, ...chosen }, { signal });
    setFound((await source.withUpload(ask, signal)).result);
    announce(words("models.compared"));
  });
  const pick = (key) => html`<${Field} label=${words(`models.compare.${key}`)} value=${chosen[key]}
    options=${model.versions.map((one) => [one, words("models.version.n", { version: one })])} onChange=${(value) => setPicked({ ...picked, [key]: Number(value) })} />`;
  const columns = ["line", "text", "category", "old", "new"].map((key) => ({
    key, label: words(`models.change.${key}`), show: key === "text" ? ({ text }) => html`<${Excerpt} text=${String(text)} />` : undefined,
  }));
  return html`
    <p>${words("models.compare.about")}</p>
    ${pick("old")}${pick("new")}
    <${ReadingStep} words=${words} source=${source} />
    <${Action} task=${task} label=${words("models.compare.do")} busy=${words("models.compare.busy")} disabled=${!source.isReady || chosen.old === chosen.new} onClick=${compare} words=${words} />
    ${found && found.name === model.name && html`
      <p>${words("models.compare.result", { old: found.old, new: found.new, better: found.comparison.num_better, worse: found.comparison.num_worse, rows: found.comparison.num_rows })}
        ${" "}<strong>${words(found.comparison.is_better ? "models.compare.surely" : "models.compare.unsure")}</strong></p>
      ${found.comparison.num_left_out > 0 && html`<p>${words("models.compare.left-out", { n: found.comparison.num_left_out })}</p>`}
      <${Table} caption=${words("models.compare.changes", { n: found.comparison.num_changes })} columns=${columns} rows=${found.changes} rowKey=${(_, index) => index} />`}`;
}

export function Screen({ api, words }) {
  const [model, setModel] = useState(null);
  const [versions, setVersions] = useState([]);
  const [chosen, setChosen] = useState(null);
  const [action, setAction] = useState(null);
  const [done, setDone] = useState("");
  const task = useTask(), saving = useTask();

  const load = (name) => task.run(async (signal) => {
    const found = await api.get(`/models/${name}`, { signal });
    const numbers = found.versions.slice(-MAX_SHOWN).reverse();
    setVersions(await Promise.all(numbers.map((one) => api.get(`/models/${name}/versions/${one}`, { signal }))));
    setModel(found);
  });
  // The focus goes to the heading, because the button that was pressed may be gone with what it has done.
  useEffect(() => { if (done) { announce(done); document.querySelector("h1").focus(); } }, [done]);

  const numberOf = (one) => one.manifest.version, close = () => setAction(null);
  const now = versions.find((one) => numberOf(one) === model?.current);
  const previous = model?.before ?? null;
  const path = (one, rest = "") => `/models/${model.name}/versions/${numberOf(one)}${rest}`;
  const ask = (kind, target, act) => setAction({ kind, target, now, act, name: model.name });
  // With If-Match the server refuses if by now another version serves than the one that this page shows.
  const expects = now ? { "If-Match": `"${now.manifest.sha256}"` } : {};
  const promote = (one) => ask("promote", one, (signal) => api.post(`/models/${model.name}/promote`, { version: numberOf(one) }, { signal, headers: expects }));
  const rollBack = () => ask("rollback", versions.find((one) => numberOf(one) === previous), (signal) => api.post(`/models/${model.name}/rollback`, {}, { signal, once: true }));
  const remove = (one) => ask("delete", one, (signal) => api.delete(path(one), { signal }));
  const removeModel = () => ask("delete-model", undefined, (signal) => api.delete(`/models/${model.name}`, { signal }));
  const save = (one) => saving.run((signal) => api.download(path(one, "/download"), `${model.name}-${numberOf(one)}.zip`, { signal }));
  // A version that was published without a report (by an older release, or a server that lacked the libraries) gets one.
  const saveReport = (one) => saving.run(async (signal) => {
    const get = () => api.download(path(one, "/report"), `${model.name}-${numberOf(one)}.html`, { signal });
    const write = () => api.run(path(one, "/report"), {}, { signal });
    await get().catch((problem) => (problem.type === "no-report" ? write().then(get) : Promise.reject(problem)));
  });

  const button = (kind, onClick, disabled = false) => html`<button type="button" class="secondary" disabled=${disabled} onClick=${onClick}>${words(`models.${kind}`)}</button>`;
  const isSorting = model?.neural_network_type === "GRU";
  const columns = [
    { key: "version", label: words("models.version"), show: (one) => html`${numberOf(one)} ${one.serves && html`<strong>${words("models.serves")}</strong>`}` },
    ...figuresOf(isSorting, words).map(([key, show]) => ({ key, label: words(`models.${key}`), show })),
    { key: "tickets", label: words("models.tickets"), number: true, show: (one) => words.number(one.manifest.data.num_tickets) },
    { key: "created", label: words("models.created"), show: (one) => words.date(one.manifest.created) },
  ];
  const one = versions.find((each) => numberOf(each) === chosen) ?? versions[0];
  return html`
    <p>${words("models.about")}</p>
    <${ModelPick} key=${done} api=${api} words=${words} onChange=${(found) => (found ? load(found.name) : setModel(null))} />
    <${ProblemNotice} problem=${task.problem || saving.problem} words=${words} />
    ${saving.busy && html`<${Bar} label=${words("models.saving")} />`}
    ${done && html`<${Notice} kind="good" words=${words}>${done}<//>`}
    ${model && html`
      ${versions.length === 0 ? html`<${Notice} words=${words}>${words("model.untrained")}<//>` : html`
        <${Table} caption=${words("models.versions", { name: model.name })} columns=${columns} rows=${versions} rowKey=${numberOf} />
        <p><small>${words("models.figures")}</small></p>
        <fieldset>
          <legend>${words("models.actions")}</legend>
          <${Field} label=${words("models.version")} value=${numberOf(one)} options=${versions.map((each) => [numberOf(each), words("models.version.n", { version: numberOf(each) })])}
            onChange=${(value) => setChosen(Number(value))} />
          ${button("promote", () => promote(one), one.serves)}${isSorting && button("report", () => saveReport(one))}
          ${button("download", () => save(one))}${button("delete", () => remove(one), numberOf(one) === model.current)}
        </fieldset>`}
      ${previous !== null && html`<button type="button" onClick=${rollBack}>${words("models.rollback.to", { version: previous })}</button>`}
      <button type="button" class="secondary" onClick=${removeModel}>${words("models.delete-model")}</button>
      ${versions.length > 1 && html`<details open><summary>${words("models.compare")}</summary><${Compare} key=${model.name} api=${api} words=${words} model=${model} /></details>`}`}
    ${action && html`<${Asked} action=${action} words=${words} onClose=${close} onDone=${(said) => { close(); setDone(said); }} />`}`;
}
