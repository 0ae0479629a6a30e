// The frame of the page: which screen is shown, in which language, and what goes wrong with the connection.
//
//     #/sort ──► screens/sort.js ── calls ──► api.js ── HTTP ──► the server
//
// The part of the address after # names the screen, so the browser's own buttons go back and forth and nothing of it
// is sent to the server. When the screen changes, the focus moves to its heading: who listens to the page hears where
// they are, and the next Tab goes on from there.

import { createApi } from "./api.js";
import { Dialog, Field, Notice, announce, html, render, useEffect, useRef, useState } from "./parts.js";
import { LANGUAGES, loadWords, preferred } from "./words.js";
import * as label from "./screens/label.js";
import * as learn from "./screens/learn.js";
import * as models from "./screens/models.js";
import * as sort from "./screens/sort.js";
import * as train from "./screens/train.js";
import * as tryOne from "./screens/try.js";
import * as watch from "./screens/watch.js";

// In the order of the work; the first one is where everybody begins.
const SCREENS = { sort, try: tryOne, label, train, models, watch, learn };

const screenNow = () => (location.hash.slice(2) in SCREENS ? location.hash.slice(2) : Object.keys(SCREENS)[0]);
const go = (screen) => { location.hash = `#/${screen}`; };

// Ask for a token over whatever the screen shows; the call that needs it waits, so nothing is lost.
function TokenDialog({ trouble, words }) {
  const [token, setToken] = useState("");
  const submit = (event) => { event.preventDefault(); trouble.give(token.trim()); };
  return html`
    <${Dialog} title=${words("token.title")} onClose=${trouble.refuse}>
      <p>${trouble.problem ? trouble.problem.detail : words("token.why")}</p>
      <form onSubmit=${submit}>
        <${Field} label=${words("token")} hint=${words("token.hint")} type="password" autocomplete="off" value=${token} onChange=${setToken} required />
        <button type="submit">${words("token.use")}</button>
        <button type="button" class="secondary" onClick=${trouble.refuse}>${words("cancel")}</button>
      </form>
    <//>`;
}

function App({ first }) {
  const [words, setWords] = useState(() => first);
  const [screen, setScreen] = useState(screenNow());
  const [trouble, setTrouble] = useState(null);
  const language = useRef(first.language);
  const [api] = useState(() => createApi({ language: () => language.current, onTrouble: setTrouble }));
  const heading = useRef(null), isFirst = useRef(true);

  const choose = async (wanted) => {
    language.current = wanted;
    const found = await loadWords(wanted);
    setWords(() => found);
  };
  useEffect(() => addEventListener("hashchange", () => setScreen(screenNow())), []); // as long as the page is open
  useEffect(() => {
    document.title = `${words(`${screen}.title`)} – Puppet`;
    if (!isFirst.current) heading.current.focus();
    isFirst.current = false;
  }, [screen]);
  useEffect(() => { if (trouble) announce(words(`trouble.${trouble.kind}`)); }, [trouble]);

  const refuse = () => setTrouble(null);
  const typeToken = () => setTrouble({ kind: "token", give: (token) => { api.setToken(token); refuse(); }, refuse });
  const { Screen } = SCREENS[screen];
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); heading.current.focus(); }}>${words("skip")}</a>
    <header>
      <nav aria-label=${words("screens")}>
        <ul>${Object.keys(SCREENS).map((one) => html`
          <li key=${one}><a href=${`#/${one}`} aria-current=${one === screen ? "page" : undefined}>${words(`${one}.title`)}</a></li>`)}</ul>
      </nav>
      <div class="settings">
        <select aria-label=${words("language")} value=${words.language} onChange=${(event) => choose(event.target.value)}>
          ${LANGUAGES.map((one) => html`<option value=${one} lang=${one} selected=${one === words.language}>${words(`language.${one}`)}</option>`)}
        </select>
        <button type="button" class="outline secondary" onClick=${typeToken}>${words("token")}</button>
      </div>
    </header>
    <main id="main">
      <h1 tabindex="-1" ref=${heading}>${words(`${screen}.title`)}</h1>
      ${trouble && trouble.kind !== "token" && html`<${Notice} kind="warning" words=${words}>${words(`trouble.${trouble.kind}`)}<//>`}
      <${Screen} key=${screen} api=${api} words=${words} go=${go} />
    </main>
    <p id="announced" class="only-heard" role="status"></p>
    ${trouble && trouble.kind === "token" && html`<${TokenDialog} trouble=${trouble} words=${words} />`}`;
}

const first = await loadWords(preferred());
render(html`<${App} first=${first} />`, document.body);
