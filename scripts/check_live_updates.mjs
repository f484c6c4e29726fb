// See scripts/check-live-updates.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { listen } from "../docs/examples/live_updates.mjs";

const STREAMS = Number(process.env.CHECK_STREAMS);
const PASSWORD = "Correct-Horse-7";

const port = await new Promise((found) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => found(port));
  });
});
const url = `http://127.0.0.1:${port}`;

let server;
async function start() {
  const env = {
    ...process.env,
    RUST_LOG: "error",
    PORTICO__SERVER__PORT: String(port),
    PORTICO__RATE_LIMIT__ENABLED: "false",
    PORTICO__SECURITY__ARGON2_MEMORY_KIB: "64",
    PORTICO__SECURITY__ARGON2_PASSES: "1",
    PORTICO__LIVE__PER_CALLER: "100000",
    PORTICO__LIVE__PER_TENANT: "100000",
    PORTICO__LIVE__MAX_STREAMS: "100000",
  };
  server = spawn(process.env.CHECK_PORTICO, [], { env, stdio: ["ignore", "ignore", "inherit"] });
  for (let tries = 0; tries < 400; tries++) {
    const ready = await fetch(`${url}/api/health/ready`).catch(() => undefined);
    if (ready?.ok) return;
    await sleep(25);
  }
  throw new Error("the server does not start");
}

async function end(signal) {
  const gone = once(server, "exit");
  const began = performance.now();
  server.kill(signal);
  await gone;
  return Math.round(performance.now() - began);
}

const sleep = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));

async function call(method, path, body, token) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function check(holds, text) {
  if (!holds) {
    server.kill("SIGKILL");
    console.error(`check-live-updates: ${text}`);
    process.exit(1);
  }
}

async function until(holds, text) {
  for (let tries = 0; tries < 1000 && !holds(); tries++) await sleep(20);
  check(holds(), text);
}

await start();
const email = "ada@example.com";
const { access_token: token } = await call("POST", "/api/v1/auth/register", { email, password: PASSWORD, fullName: "Ada" });
const { activeTenantId: tenant } = await call("GET", "/api/v1/profile", undefined, token);
await call("POST", "/api/v1/sites", { name: "Live" }, token);

// One after the other; after a lost answer it is unknown whether the page was made.
const made = [];
const doubtful = new Set();
let writing = true;
const writer = (async () => {
  for (let number = 0; writing; number++) {
    const title = `Page ${number}`;
    try {
      await call("POST", `/api/v1/tenants/${tenant}/pages`, { title }, token);
      made.push(title);
    } catch {
      doubtful.add(title);
      await sleep(100);
    }
    await sleep(5);
  }
})();

const received = [];
const seen = new Set();
const stop = new AbortController();
const listener = listen({
  url,
  token: async () => token,
  types: "page.created",
  signal: stop.signal,
  onReset: () => check(false, "the stream was reset"),
  onEvent: (message) => {
    if (seen.has(message.id)) return;
    seen.add(message.id);
    received.push(message.data.title);
  },
});

await until(() => received.length > 20, "nothing is heard");
for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL", "SIGTERM"]) {
  const took = await end(signal);
  if (signal === "SIGTERM") check(took < 5000, `the server waited ${took} ms for a stream`);
  console.log(`${signal}: gone after ${took} ms, ${received.length} pages heard of`);
  await start();
  const before = received.length;
  await until(() => received.length > before + 20, `after ${signal} the stream does not go on`);
}
writing = false;
await writer;
await until(() => received.includes(made.at(-1)), "the last page is missing");
const certain = received.filter((title) => !doubtful.has(title));
check(JSON.stringify(certain) === JSON.stringify(made), `${made.length} pages were made, of ${certain.length} was heard`);
console.log(`${made.length} pages made, each heard of once and in order, over 4 restarts`);
stop.abort();
await listener;

// How long it takes until all streams have it.
const arrivals = [];
const all = [...Array(STREAMS)].map(() => {
  const abort = new AbortController();
  const onEvent = () => arrivals.push(performance.now());
  return { abort, done: listen({ url, token: async () => token, types: "page.created", signal: abort.signal, onEvent }) };
});
const open = async () => {
  const metrics = await (await fetch(`${url}/api/metrics`)).text();
  return Number(/^portico_live_streams (\d+)/m.exec(metrics)?.[1] ?? 0);
};
for (let tries = 0; tries < 400 && (await open()) < STREAMS; tries++) await sleep(50);
check((await open()) >= STREAMS, "not all streams are open");
const times = [];
for (let round = 0; round < 20; round++) {
  arrivals.length = 0;
  await call("POST", `/api/v1/tenants/${tenant}/pages`, { title: `Round ${round}` }, token);
  const began = performance.now();
  await until(() => arrivals.length >= STREAMS, `${arrivals.length} of ${STREAMS} streams have heard of it`);
  times.push(Math.max(0, ...arrivals.map((at) => at - began)));
}
times.sort((a, b) => a - b);
console.log(`${STREAMS} streams: the last one hears of it ${times[10].toFixed(0)} ms after the answer to the writer (median), ${times[19].toFixed(0)} ms at most`);
const took = await end("SIGTERM");
check(took < 5000, `the server waited ${took} ms for streams`);
console.log(`${STREAMS} streams end with the server within ${took} ms`);
for (const { abort } of all) abort.abort();
process.exit(0);
