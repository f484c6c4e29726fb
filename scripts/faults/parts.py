"""Load in a process of its own: it takes its arguments as JSON, prints `ready` if asked to, and prints its result as JSON."""

import asyncio
import collections
import json
import os
import socket
import time

from .client import head
from .report import percentile


# Seconds that a client of a closed loop waits after a refusal.
HOLD_BACK = 0.25


def main(function, arguments):
    if cpus := arguments.pop("cpus", None):
        os.sched_setaffinity(0, cpus)
    print(json.dumps(asyncio.run({"creations": creations, "crowd": crowd}[function](**arguments))), flush=True)


class Exchange(asyncio.Protocol):
    """A connection on which one request after the other is sent, without more work than needed."""

    def __init__(self, load):
        self.load, self.transport, self.began, self.buffer = load, None, None, b""

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, due, request):
        self.began = due
        self.transport.write(request)

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        fields = self.buffer[:end].lower()
        at = fields.find(b"content-length:")
        length = int(fields[at + 15 : fields.find(b"\r\n", at) if fields.find(b"\r\n", at) > 0 else end]) if at > 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        status, retry, closes = int(self.buffer[9:12]), b"\r\nretry-after:" in fields, b"connection: close" in fields
        self.buffer, began, self.began = b"", self.began, None
        if began is not None:
            self.load.done(began, status, retry)
        if closes:
            self.transport.close()
        else:
            self.load.free(self, status in (429, 503))

    def connection_lost(self, _):
        if self.began is not None:
            self.load.done(self.began, "lost", False)
            self.began = None
        self.load.lost()


async def creations(port, path, token, seconds, run, connections, rate=None):
    """Creates pages: with a `rate` so many a second, whatever the answers, and otherwise on each connection after the answer to the one before."""
    return await Creations(port, path, token, run, connections).go(seconds, rate)


class Creations:
    def __init__(self, port, path, token, run, connections):
        self.port, self.connections = port, connections
        self.idle, self.open, self.running = collections.deque(), 0, True
        self.good, self.refused, self.counts, self.unexplained, self.lag = [], [], {}, 0, []
        self.number = 0
        self.last = None
        fields = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        body = b'{"title":"Load %08d","slug":"' + run.encode() + b'-%08d"}'
        self.body = body
        self.head = head("POST", path, f"127.0.0.1:{port}", fields, body % (0, 0))[: -len(body % (0, 0))]

    def request(self):
        self.number += 1
        return self.head + self.body % (self.number, self.number)

    def done(self, began, status, retry):
        now = time.monotonic()
        self.last = now
        self.counts[status] = self.counts.get(status, 0) + 1
        if status == 201:
            self.good.append((now, now - began))
        elif status != "lost":
            self.refused.append(now - began)
            self.unexplained += status not in (429, 503) or not retry

    def free(self, exchange, refused=False):
        if self.closed_loop and self.running:
            # A refused client pauses, so that the capacity is measured and not the speed of refusals.
            if refused:
                asyncio.get_running_loop().call_later(HOLD_BACK, self.free, exchange)
            elif not exchange.transport.is_closing():
                exchange.send(time.monotonic(), self.request())
        else:
            self.idle.append(exchange)

    def lost(self):
        self.open -= 1
        if self.running:
            asyncio.get_running_loop().create_task(self.connect())

    async def connect(self):
        self.open += 1
        try:
            _, exchange = await asyncio.get_running_loop().create_connection(lambda: Exchange(self), "127.0.0.1", self.port)
            self.free(exchange)
        except OSError:
            self.open -= 1
            await asyncio.sleep(0.05)
            if self.running:
                asyncio.get_running_loop().create_task(self.connect())

    async def go(self, seconds, rate):
        self.closed_loop = rate is None
        began = time.monotonic()
        await asyncio.gather(*(self.connect() for _ in range(self.connections)))
        if not self.closed_loop:
            began = time.monotonic()
        until, sent, busy = began + seconds, 0, 0
        while (now := time.monotonic()) < until:
            while rate and began + sent / rate <= now:
                due = began + sent / rate
                sent += 1
                while self.idle and self.idle[0].transport.is_closing():
                    self.idle.popleft()
                if self.idle:
                    self.lag.append(now - due)
                    # The connection that was idle for longest, so that none is closed for being idle.
                    self.idle.popleft().send(due, self.request())
                else:
                    busy += 1
            await asyncio.sleep(0.001 if rate else 0.05)
        self.running = False
        good = sum(at <= until for at, _ in self.good)
        # Requests in progress get their answers, and are not counted as done in time.
        for _ in range(200):
            if sum(self.counts.values()) >= self.number:
                break
            await asyncio.sleep(0.05)
        latencies = [latency for _, latency in self.good]
        return {
            "good": good, "acknowledged": len(self.good), "counts": {str(key): count for key, count in self.counts.items()},
            "sent": self.number, "busy": busy, "silent": self.number - sum(self.counts.values()), "unexplained": self.unexplained,
            "good_p50": percentile(latencies, 0.5), "good_p99": percentile(latencies, 0.99),
            "refused_p50": percentile(self.refused, 0.5), "refused_p99": percentile(self.refused, 0.99),
            "refused_longest": max(self.refused, default=0), "lag_p99": percentile(self.lag, 0.99) if rate else 0,
        }


class Dripping(asyncio.Protocol):
    """A client that sends its request a byte at a time."""

    def __init__(self, kind, at_once, slowly):
        self.kind, self.at_once, self.slowly = kind, at_once, slowly
        self.position, self.answer, self.ended = 0, b"", None

    def connection_made(self, transport):
        self.transport, self.began = transport, time.monotonic()
        transport.write(self.at_once)

    def tick(self):
        if self.ended is None and not self.transport.is_closing() and self.position < len(self.slowly):
            self.transport.write(self.slowly[self.position : self.position + 1])
            self.position += 1

    def data_received(self, data):
        self.answer += data
        if self.ended is None:
            self.ended = time.monotonic()

    def connection_lost(self, _):
        if self.ended is None:
            self.ended = time.monotonic()


async def crowd(port, token, path, bodies, heads, readers, large, seconds):
    """Slow clients: bodies at a byte a second (half of them signed in), heads at a byte a second, and readers at 512 bytes a second."""
    loop = asyncio.get_running_loop()
    clients, sockets = [], []
    for number in range(bodies + heads):
        fields = {"content-type": "application/json"}
        if number % 2:
            fields["authorization"] = f"Bearer {token}"
        whole = head("POST", path, f"127.0.0.1:{port}", fields, b'{"title":"' + b"x" * 488 + b'"}')
        start = whole.find(b"\r\n\r\n") + 4 if number < bodies else 1
        kind = "body" if number < bodies else "head"
        make = lambda kind=kind, whole=whole, start=start: Dripping(kind, whole[:start], whole[start:])
        clients.append((await loop.create_connection(make, "127.0.0.1", port))[1])
    for number in range(readers):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.setblocking(False)
        await loop.sock_connect(reader, ("127.0.0.1", port))
        target = large[number % len(large)]
        await loop.sock_sendall(reader, head("GET", target, f"127.0.0.1:{port}"))
        sockets.append(reader)
    print("ready", flush=True)
    began, read = time.monotonic(), 0
    slices = 20
    turn = 0
    while time.monotonic() < began + seconds:
        for client in clients[turn % slices :: slices]:
            client.tick()
        for reader in sockets[turn % slices :: slices]:
            try:
                read += len(reader.recv(512))
            except OSError:
                pass
        turn += 1
        await asyncio.sleep(max(0, began + turn / slices - time.monotonic()))
    found = {"read": read}
    for kind in ("body", "head"):
        of_kind = [client for client in clients if client.kind == kind]
        cut = [client.ended - client.began for client in of_kind if client.ended is not None]
        answers = {}
        for client in of_kind:
            if client.ended is not None:
                text = client.answer[9:12].decode("latin-1") or "closed"
                answers[text] = answers.get(text, 0) + 1
        found[kind] = {"count": len(of_kind), "cut": len(cut), "longest": max(cut, default=0), "answers": answers}
    return found
