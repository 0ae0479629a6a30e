// From a chosen file to how it is read: which columns, which encoding. Sort, Train and Label all begin with it.
//
//     file ── POST /inspect?preview=true ──► a job that has read its start ──► columns with a guess ──► `reading`
//
// The file is sent once. What follows names the job of that preview (`data_of`) and says how its file is to be read, so
// a change of column or encoding costs no second upload. The server forgets uploads after some days; the browser still
// has the file then, and `withUpload` sends it again.

import { Bar, Field, FilePick, Notice, ProblemNotice, Table, announce, html, useEffect, useKept, useTask } from "../parts.js";
import { shortened } from "./deciding.js";

// Ending of a file's name -> the media type that it is sent as. What is not known goes as a table: the server looks at
// the bytes, not at the name, and says so if it cannot read them.
const TYPES = {
  tsv: "text/tab-separated-values", jsonl: "application/x-ndjson", ndjson: "application/x-ndjson", json: "application/json",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  parquet: "application/vnd.apache.parquet",
  xls: "application/vnd.ms-excel", ods: "application/vnd.oasis.opendocument.spreadsheet", gz: "application/gzip",
  zip: "application/zip", eml: "message/rfc822", mbox: "application/mbox",
};
const ENCODINGS = ["utf-8", "cp1252", "iso8859-15", "cp850", "utf-16", "mac_roman"];
const DELIMITERS = { ",": "file.comma", ";": "file.semicolon", "\t": "file.tab", "|": "file.pipe" };
const NOTHING = { file: null, job: "", preview: null, roles: {}, options: {} };

const SHORT = 80; // characters of an example
const endingOf = (name) => name.toLowerCase().split(".").pop();

// Return how the file is to be read, as every route takes it; what is left out the server finds for itself.
//   roles      column -> "category", "text" or "id"
//   options    encoding, delimiter, header, skip_unlabelled, skip_faulty
function readingOf({ preview, roles, options }, needsCategory) {
  const named = (role) => (preview?.columns ?? []).map(({ name }) => name).filter((name) => roles[name] === role);
  const reading = { ...options, text: named("text"), id: named("id")[0] };
  if (needsCategory) reading.category = named("category")[0];
  return Object.fromEntries(Object.entries(reading).filter(([, value]) => value !== undefined && value !== "" && value.length !== 0));
}

// The file of a screen and how it is read; both outlive a change of screen.
//   key             of the screen
//   needsCategory   whether its rows have to be labelled
export function useReading(api, words, key, needsCategory) {
  const [state, set] = useKept(`${key}.file`, NOTHING);
  const task = useTask();

  // Upload a file and return the id of the job that holds it, with the preview.
  const upload = (file, signal) => {
    const query = { preview: true, filename: file.name, as: endingOf(file.name) === "json" ? "file" : undefined };
    const data = { file, type: TYPES[endingOf(file.name)] ?? "text/csv", query };
    return api.run("/inspect", data, { signal }).then(({ job, result }) => ({ job: job.id, preview: result }));
  };
  // The guess is the server's: by the names of the columns, by what is in them, or as the last export was read.
  const isRead = ({ role }) => role && (needsCategory || role !== "category");
  const guessed = ({ columns }) => Object.fromEntries(columns.filter(isRead).map(({ name, role }) => [name, role]));

  const show = (found) => {
    set((now) => ({ ...now, ...found, roles: guessed(found.preview) }));
    announce(words("file.read", { n: found.preview.num_rows }));
  };
  const choose = (file) => task.run(async (signal) => {
    set({ ...NOTHING, file });
    show(await upload(file, signal));
  });

  // A screen that was left while its file was being read goes on with it.
  useEffect(() => { if (state.file && !state.preview) choose(state.file); }, []);

  // Call `work` with the id of the upload; if the server no longer has it, upload the file again and call it once more.
  const withUpload = async (work, signal) => {
    try {
      return await work(state.job);
    } catch (problem) {
      if (problem.status !== 404 || problem.type.startsWith("model")) throw problem;
      const { job } = await upload(state.file, signal);
      set((now) => ({ ...now, job }));
      return work(job);
    }
  };

  const reading = readingOf(state, needsCategory);
  // Another encoding or delimiter makes other columns, so the file is looked at again.
  const change = (changed) => task.run(async (signal) => {
    const options = { ...state.options, ...changed };
    set((now) => ({ ...now, options }));
    const again = readingOf({ roles: {}, options }, false);
    const { result } = await withUpload((job) => api.run("/inspect?preview=true", { data_of: job, reading: again }, { signal }), signal);
    show({ preview: result });
  });
  // A row has one category and one id; text may come from several columns, joined in the file's order.
  const giveRole = (column, role) => set((now) => {
    const others = Object.entries(now.roles).filter(([, other]) => role === "text" || other !== role);
    return { ...now, roles: { ...Object.fromEntries(others), [column]: role } };
  });
  const setOption = (name, value) => set((now) => ({ ...now, options: { ...now.options, [name]: value } }));

  const isMail = state.preview !== null && state.preview.columns.length === 0; // e-mails have no columns to choose
  const isReady = Boolean(state.job) && (isMail || Boolean(reading.text && (!needsCategory || reading.category)));
  return { ...state, task, reading, choose, change, giveRole, setOption, withUpload, isReady, needsCategory };
}

// What a person sees of it: the field for the file, and once it is read, its columns and first rows.
export function ReadingStep({ words, source }) {
  const { file, preview, roles, options, task, needsCategory } = source;
  const shown = needsCategory ? ["category", "text", "id"] : ["text", "id"];
  const role = ({ name }) => html`
    <select aria-label=${words("file.use", { name })} value=${roles[name] ?? ""} onChange=${(event) => source.giveRole(name, event.target.value)}>
      ${["", ...shown].map((one) => html`<option value=${one} selected=${one === (roles[name] ?? "")}>${words(`file.role.${one || "none"}`)}</option>`)}
    </select>`;
  const columns = [
    { key: "name", label: words("file.column") },
    { key: "role", label: words("file.role"), show: role },
    { key: "samples", label: words("file.samples"), show: ({ samples }) => samples.slice(0, 3).map((one) => shortened(one, SHORT)).join(" · ") },
  ];
  // Which columns are unclear the sentence below the table says, which goes away when they have been chosen.
  const concerns = ({ type }) => !type.includes("column") && (needsCategory || !type.includes("categor"));
  const encodings = [["", words("file.found", { found: preview?.encoding ?? "" })], ...ENCODINGS.map((one) => [one, one])];
  const signOf = (delimiter) => words.has(DELIMITERS[delimiter] ?? "") ? words(DELIMITERS[delimiter]) : delimiter;
  const delimiters = [["", words("file.found", { found: signOf(preview?.delimiter ?? "") })], ...Object.keys(DELIMITERS).map((sign) => [sign, signOf(sign)])];
  return html`
    <${FilePick} label=${words("file.choose")} hint=${words("file.hint")} onFile=${source.choose} name=${file && file.name} />
    ${task.busy && html`<${Bar} label=${words("file.reading")} />`}
    <${ProblemNotice} problem=${task.problem} words=${words} />
    ${preview && html`
      <p>${[words("file.rows", { n: preview.num_rows }), preview.encoding, preview.delimiter && signOf(preview.delimiter)].filter(Boolean).join(" · ")}</p>
      ${preview.problems.filter(concerns).map((one) => html`
        <${Notice} words=${words}>${words.has(`problem.${one.type}`) ? words(`problem.${one.type}`) : one.detail}<//>`)}
      ${preview.columns.length > 0 && html`
        <div class="stack"><${Table} caption=${words("file.columns")} columns=${columns} rows=${preview.columns} rowKey=${(row) => row.name} /></div>
        ${!source.isReady && !task.busy && html`<p><strong>${words(needsCategory ? "file.missing" : "file.missing.text")}</strong></p>`}`}
      <details>
        <summary>${words("file.otherwise")}</summary>
        ${preview.encoding && html`
          <${Field} label=${words("file.encoding")} value=${options.encoding ?? ""} options=${encodings} onChange=${(encoding) => source.change({ encoding })} />`}
        ${preview.delimiter && html`
          <${Field} label=${words("file.delimiter")} value=${options.delimiter ?? ""} options=${delimiters} onChange=${(delimiter) => source.change({ delimiter })} />
          <${Field} type="checkbox" label=${words("file.no-header")} value=${options.header === false} onChange=${(on) => source.change({ header: !on })} />`}
        ${["skip_unlabelled", "skip_faulty"].slice(needsCategory ? 0 : 1).map((one) => html`
          <${Field} type="checkbox" label=${words(`file.${one}`)} value=${options[one]} onChange=${(on) => source.setOption(one, on)} />`)}
      </details>
      <details>
        <summary>${words("file.first-rows")}</summary>
        <${Table} caption=${words("file.first-rows")} rows=${preview.rows} columns=${preview.columns.map(({ name }) => ({ key: name, label: name }))} />
      </details>`}`;
}
