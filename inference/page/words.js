// From a key and its parameters to a sentence: words/en.json and words/fr.json, with the same keys (a test checks it).
//
//     words("train.epoch", { n: 3, of: 20 })  ──►  "Epoch 3 of 20"
//
// A word is a text with {parameters}, or a table by plural, {"one": ..., "other": ...}, chosen by the parameter `n`:
// French says "0 ticket" and English "0 tickets", which Intl.PluralRules knows. Numbers among the parameters are
// written as the language writes them.

export const LANGUAGES = ["en", "fr"];

// Return the language to begin with: what the browser asks for, English for a language that there are no words in.
export function preferred(languages = navigator.languages) {
  return languages.map((one) => one.slice(0, 2)).find((one) => LANGUAGES.includes(one)) || "en";
}

// Return the words of a language, once they have come.
export async function loadWords(language) {
  const table = await (await fetch(new URL(`words/${language}.json`, import.meta.url))).json();
  const plural = new Intl.PluralRules(language);
  const number = (value, options) => (Number.isFinite(value) ? new Intl.NumberFormat(language, options).format(value) : "–");

  const words = (key, parameters = {}) => {
    const found = table[key];
    if (found === undefined) console.error(`no word for ${key}`); // the tests of the page fail at any console message
    const text = typeof found === "object" ? found[plural.select(parameters.n)] ?? found.other : found ?? key;
    return text.replace(/\{(\w+)\}/g, (_, name) => (typeof parameters[name] === "number" ? number(parameters[name]) : parameters[name] ?? ""));
  };
  words.language = document.documentElement.lang = language; // by which the browser hyphenates, and a screen reader speaks
  words.has = (key) => key in table;
  words.number = number; // "–" for what is not there
  words.percent = (share, digits = 1) => number(share, { style: "percent", maximumFractionDigits: digits });
  words.date = (iso) => (iso ? new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso)) : "–");
  words.day = (iso) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" }).format(new Date(iso));
  words.seconds = (seconds) => {
    if (typeof seconds !== "number") return "–";
    const [unit, value] = seconds < 90 ? ["second", seconds] : seconds < 5400 ? ["minute", seconds / 60] : ["hour", seconds / 3600];
    return number(Math.ceil(value), { style: "unit", unit, unitDisplay: "long" });
  };
  words.list = (items) => new Intl.ListFormat(language).format(items);
  return words;
}
