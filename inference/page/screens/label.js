// To be written.
import { html } from "../parts.js";

export function Screen({ words }) {
  return html`<p>${words("label.about")}</p>`;
}
