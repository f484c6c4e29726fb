// Listens to live updates of Portico, in a browser or in Node 18 and later, without any library.

/**
 * Calls `onEvent` with every event, until `signal` is aborted or access has ended. Comes back when the connection is lost,
 * after the last event that was handled.
 */
export async function listen({ url, token, types, lastId, onEvent, onReset, signal }) {
  let pause = 2000;
  while (!signal?.aborted) {
    try {
      const address = new URL("/api/v1/events", url);
      if (types) address.searchParams.set("types", types);
      const headers = { authorization: `Bearer ${await token()}`, accept: "text/event-stream" };
      if (lastId) headers["last-event-id"] = lastId;
      const response = await fetch(address, { headers, signal });
      if (response.ok) {
        await read(response.body, async (message) => {
          if (message.retry) pause = message.retry;
          if (message.event === "reset") await onReset?.(JSON.parse(message.data));
          else if (message.data) await onEvent(JSON.parse(message.data));
          // Afterwards: what was not handled comes again.
          if (message.id) lastId = message.id;
        });
      } else if (response.status === 429 || response.status >= 500) {
        pause = 1000 * Number(response.headers.get("retry-after") ?? 5);
      } else {
        throw Object.assign(new Error(`access has ended: ${response.status}`), { final: true });
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (error.final) throw error;
    }
    await new Promise((wake) => setTimeout(wake, pause));
  }
}

/** Hands every block of lines of a stream to `handle`. */
async function read(body, handle) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const message = {};
      for (const line of block.split("\n")) {
        const [, field, text] = /^([a-z]*): (.*)$/.exec(line) ?? [];
        if (field) message[field] = field === "retry" ? Number(text) : text;
      }
      await handle(message);
    }
  }
}
