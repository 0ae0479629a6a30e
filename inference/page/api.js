// From a call to the server's answer: the only module that speaks HTTP.
//
//     screen ── api.post("/search", {...}) ──► fetch ──► answer, or a Problem that says what to do
//
// Three things go wrong under way, and none of them is the screen's affair: the connection is lost, the server is
// restarting or full, the token is missing or has expired. In each case the call waits and is sent again, while
// `onTrouble` tells the frame of the page (main.js) which sentence to show. So no screen loses what a person has done.
//
// The token lives in a variable of this module: in no cookie (so no other site can use it), in no storage and in no
// address. Closing the page forgets it.

// The page lies at ROOT/ui/, also behind a proxy that serves ROOT under a path of its own.
export const ROOT = new URL("..", import.meta.url);
const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 5000;

// An error answer as RFC 9457 has it: `type` is what code looks at, `title` and `detail` (fact, limit, remedy) are
// already in the reader's language. `members` holds what the sentence names, and `errors` the faults of a body.
export class Problem extends Error {
  constructor(status, members) {
    super(members.detail);
    const { type = "", title = "", detail = "", errors = [] } = members;
    Object.assign(this, { status, type: type.replace(/^.*\//, ""), title, detail, errors, members });
  }
}

// Split a stream of Server-Sent Events into {id, event, data}. Lines end with \n or \r\n, an empty line ends an event,
// and lines that begin with ":" are comments that keep the connection alive (HTML standard, section 9.2.6).
export async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", found = {};
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop(); // what has not ended yet, perhaps in the middle of a line
    for (const line of lines.map((one) => one.replace(/\r$/, ""))) {
      if (line === "") {
        if (found.data !== undefined) yield found;
        found = { id: found.id };
      } else if (!line.startsWith(":")) {
        const [name, text = ""] = line.split(/: ?(.*)/s);
        found[name] = name === "data" && found.data !== undefined ? found.data + "\n" + text : text;
      }
    }
  }
}

// Return the calls of the server.
//   language()           of the answers: "en" or "fr"
//   onTrouble(trouble)   null: all is well; {kind: "lost" | "restarting" | "busy"}: waiting, will ask again;
//                        {kind: "token", problem, give(token), refuse()}: a person has to type a token
export function createApi({ language, onTrouble }) {
  let token = "";
  let asking = null; // the promise of a token, shared by all calls that wait for one

  function askToken(problem) {
    const end = (settle) => { asking = null; onTrouble(null); settle(); };
    asking ??= new Promise((resolve, reject) => {
      onTrouble({ kind: "token", problem, give: (given) => { token = given; end(resolve); }, refuse: () => end(() => reject(problem)) });
    });
    return asking;
  }

  const pause = (ms, signal) => new Promise((resolve, reject) => {
    setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

  // Send a request until it is answered; return the Response of a success.
  //   once   what must not be done twice (roll back) is not sent again after a lost connection
  //   ask    false: a missing token is a Problem like any other, and nobody is asked to type one
  async function send(method, path, { body, type, query, headers = {}, signal, once = false, ask = true } = {}) {
    const address = new URL(path.replace(/^\//, ""), ROOT);
    for (const [name, value] of Object.entries(query || {})) {
      for (const one of [value].flat()) if (one !== undefined && one !== null && one !== "") address.searchParams.append(name, one);
    }
    let waited = FIRST_WAIT_MS, inTrouble = false;
    while (true) {
      const sent = { "Accept-Language": language(), ...headers };
      if (token) sent.Authorization = `Bearer ${token}`;
      if (type) sent["Content-Type"] = type;
      let response;
      try {
        response = await fetch(address, { method, body, headers: sent, signal, credentials: "omit", redirect: "error" });
      } catch (error) {
        if (signal?.aborted || once) throw error.name === "AbortError" ? error : new Problem(0, { type: "lost" });
        onTrouble({ kind: "lost" });
        inTrouble = true;
        await pause(waited, signal);
        waited = Math.min(2 * waited, LONGEST_WAIT_MS);
        continue;
      }
      if (response.ok) {
        if (inTrouble) onTrouble(null);
        return response;
      }
      const problem = await problemOf(response);
      if (ask && (response.status === 401 || problem.type === "too-many-wrong-tokens")) {
        await askToken(problem);
      } else if (response.status === 503 && response.headers.has("Retry-After")) {
        onTrouble({ kind: ["draining", "models-loading", "model-loading"].includes(problem.type) ? "restarting" : "busy" });
        inTrouble = true;
        await pause(1000 * Math.min(5, Number(response.headers.get("Retry-After")) || 1), signal);
      } else {
        if (inTrouble) onTrouble(null);
        throw problem;
      }
    }
  }

  async function problemOf(response) {
    const isProblem = (response.headers.get("Content-Type") || "").startsWith("application/problem+json");
    const members = isProblem ? await response.json() : { title: `HTTP ${response.status}`, detail: response.statusText };
    return new Problem(response.status, members);
  }

  const json = async (response) => ((response.headers.get("Content-Type") || "").includes("json") ? response.json() : response.text());
  const asJson = (data, options) => ({ ...options, body: JSON.stringify(data ?? {}), type: "application/json" });

  const api = {
    hasToken: () => token !== "",
    setToken: (given) => { token = given; },

    // Read a route; the answer as an object, or as text where it is none.
    get: async (path, options) => json(await send("GET", path, options)),
    // Post an object as JSON.
    post: async (path, data, options) => json(await send("POST", path, asJson(data, options))),
    // Post bytes as they are: a File or Blob, with its media type, and the rest as query parameters.
    postFile: async (path, file, type, options) => json(await send("POST", path, { ...options, body: file, type })),
    delete: async (path, options) => json(await send("DELETE", path, options)),

    // Start a job and return its id. `data` is an object, or {file, type, query} for a file as it is.
    // The key makes the request safe to send again: one that comes twice is one job.
    async start(path, data, { signal } = {}) {
      const headers = { Prefer: "respond-async", "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-") };
      const options = { headers, signal };
      const sent = data.file instanceof Blob ? { ...options, body: data.file, type: data.type, query: data.query } : asJson(data, options);
      return (await json(await send("POST", path, sent))).job;
    },

    // Follow a job to its end and return it; `onEvent` is given each phase and epoch, and {kind: "job"} at the start.
    // Native EventSource cannot send a token, so the stream is read with fetch. Where it breaks off, the next
    // request says after which event it goes on.
    async follow(job, onEvent = () => {}, signal) {
      let last = "";
      while (true) {
        const headers = last ? { "Last-Event-ID": last } : {};
        const response = await send("GET", `/jobs/${job}/events`, { headers: { Accept: "text/event-stream", ...headers }, signal });
        try {
          for await (const { id, event, data } of events(response.body)) {
            last = id || last;
            if (event === "end") return JSON.parse(data);
            onEvent(JSON.parse(data));
          }
        } catch (error) {
          if (signal?.aborted) throw error; // else the connection broke in the middle: go on below
        }
        await pause(FIRST_WAIT_MS, signal);
      }
    },

    // Start a job, follow it, and return {job, result}; a job that failed is a Problem like any other.
    //   onStart(id)    so that a screen can remember or cancel it
    async run(path, data, { onStart, onEvent, signal } = {}) {
      const id = await api.start(path, data, { signal });
      onStart?.(id);
      return api.finish(id, { onEvent, signal });
    },
    async finish(id, { onEvent, signal } = {}) {
      const job = await api.follow(id, onEvent, signal);
      if (job.state !== "succeeded") throw new Problem(0, { ...job, title: job.state });
      const headers = { Accept: "application/json" };
      return { job, result: await api.get(`/jobs/${id}/result`, { headers, signal }) };
    },
    cancel: (id) => api.post(`/jobs/${id}/cancel`),

    // Save an answer as a file of the browser's, under the name that the server gives it or else `name`.
    async download(path, name, options) {
      const response = await send("GET", path, options);
      const given = /filename\*=UTF-8''([^;]+)/i.exec(response.headers.get("Content-Disposition") || "");
      api.save(await response.blob(), given ? decodeURIComponent(given[1]) : name);
    },
    save(blob, name) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    },
  };
  return api;
}
