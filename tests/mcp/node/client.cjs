// A client on the official TypeScript SDK: node client.cjs PEERS 1|2 PLAN
// PLAN is JSON: {"command": [...], "env": {}} or {"url": ...}, and {"steps": [...]}.
// A step is {"call": name, "arguments": {}, "abort": milliseconds}, {"read": uri} or {"list": true}.
// Prints one JSON line with a result a step.
const { createRequire } = require("node:module");
const path = require("node:path");

const [folder, sdk, text] = process.argv.slice(2);
const load = createRequire(path.join(folder, "package.json"));
const plan = JSON.parse(text);

function parts() {
  if (sdk === "1") {
    const at = "@modelcontextprotocol/sdk/client";
    return {
      ...load(`${at}/index.js`),
      ...load(`${at}/stdio.js`),
      ...load(`${at}/streamableHttp.js`),
    };
  }
  const at = "@modelcontextprotocol/client";
  return { ...load(at), ...load(`${at}/stdio`) };
}

const { Client, StdioClientTransport, StreamableHTTPClientTransport } = parts();

function transport() {
  if (plan.url) return new StreamableHTTPClientTransport(new URL(plan.url));
  const [command, ...args] = plan.command;
  return new StdioClientTransport({ command, args, env: plan.env, stderr: "ignore" });
}

async function call(client, step) {
  const progress = [];
  const options = { onprogress: (told) => progress.push(told), timeout: 150_000 };
  if (step.abort) {
    const stop = new AbortController();
    setTimeout(() => stop.abort("enough"), step.abort);
    options.signal = stop.signal;
  }
  const params = { name: step.call, arguments: step.arguments ?? {} };
  const started = performance.now();
  try {
    const result =
      sdk === "1"
        ? await client.callTool(params, undefined, options)
        : await client.callTool(params, options);
    return { result, progress, ms: performance.now() - started };
  } catch (error) {
    return { error: String(error?.message ?? error), progress, ms: performance.now() - started };
  }
}

async function run(client, step) {
  if (step.call) return call(client, step);
  if (step.read) return { result: await client.readResource({ uri: step.read }) };
  return { result: await client.listTools() };
}

async function main() {
  const options = sdk === "2" ? { versionNegotiation: { mode: "auto" } } : {};
  const client = new Client({ name: "peer", version: "1" }, options);
  const line = transport();
  await client.connect(line, { timeout: 150_000 });
  const found = { server: client.getServerVersion(), results: [] };
  for (const step of plan.steps) found.results.push(await run(client, step));
  console.log(JSON.stringify(found));
  await client.close();
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
