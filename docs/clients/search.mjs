// Ask Puppet for the category of a ticket: node search.mjs "Je n'arrive plus à me connecter". Node 18 or newer.

const address = process.env.PUPPET_URL ?? "http://127.0.0.1:8000";
const headers = { "Content-Type": "application/json", "X-Timeout-Ms": "2000" };
if (process.env.PUPPET_TOKEN) headers.Authorization = `Bearer ${process.env.PUPPET_TOKEN}`;
const ticket = { name: "puppet-o2", neural_network_type: "GRU", text: process.argv[2], top_k: 3 };

const said = await fetch(`${address}/search`, { method: "POST", headers, body: JSON.stringify(ticket) });
const answer = await said.json();
if (!said.ok) {
  console.error(answer.detail); // `type` is for programs, `detail` for people
  process.exit(1);
}
console.log(answer.category, answer.confidence.toFixed(3));
