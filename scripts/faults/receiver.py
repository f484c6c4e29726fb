"""A receiver of webhooks that keeps what came."""

import asyncio
import json
import time


class Receiver:
    def __init__(self):
        self.messages, self.refuse, self.refused = {}, 0, []

    async def start(self):
        self.listener = await asyncio.start_server(self.connected, "127.0.0.1", 0, backlog=512)
        self.url = f"http://127.0.0.1:{self.listener.sockets[0].getsockname()[1]}/"
        return self

    def close(self):
        self.listener.close()

    async def connected(self, reader, writer):
        try:
            while True:
                fields = {}
                for line in (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:]:
                    field, _, value = line.partition(":")
                    fields[field.lower()] = value.strip()
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                writer.write(f"HTTP/1.1 {self.keep(json.loads(body))}\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            writer.close()

    def keep(self, message):
        """Keeps when what came first, by type and resource."""
        key = message["type"], (message.get("resource") or {}).get("id")
        if self.refuse:
            self.refuse -= 1
            self.refused.append(key)
            return "503 Later"
        self.messages.setdefault(key, []).append(time.monotonic())
        return "204 Thanks"

    async def wait(self, kind, resource, patience):
        """Waits for a message. Returns for how long, None where it did not arrive."""
        began = time.monotonic()
        while time.monotonic() < began + patience:
            if (kind, resource) in self.messages:
                return time.monotonic() - began
            await asyncio.sleep(0.05)
        return None
