"""Load that records what was acknowledged, and the comparison afterwards."""

import asyncio
import contextlib
import hashlib
import os
import struct
import time
import zlib

from .client import Lost, eventually, once
from .report import milliseconds, percentile


class Event:
    """What came of one request: `status` is that of the answer, or how it was lost."""

    def __init__(self, kind, began, ended, status, retry_after=None, port=None):
        self.kind, self.began, self.ended, self.status, self.retry_after, self.port = kind, began, ended, status, retry_after, port

    @property
    def seconds(self):
        return self.ended - self.began

    @property
    def ok(self):
        """Whether it is the expected result without a fault."""
        return self.status == 409 if self.kind == "conflict" else isinstance(self.status, int) and self.status < 300


class Ledger:
    """What the server has acknowledged: pages with the titles that they may have, sections with their text, files with their digest."""

    def __init__(self):
        self.pages, self.sections, self.files, self.events = {}, {}, {}, []
        # When the creation of each page was acknowledged.
        self.made = {}

    def count(self):
        return len(self.pages) + len(self.sections) + len(self.files)

    def between(self, since, until=float("inf"), kinds=None):
        """Requests that began within a time."""
        return [event for event in self.events if since <= event.began < until and (kinds is None or event.kind in kinds)]

    async def request(self, client, kind, method, path, body=None, headers=None, patience=30):
        """A request whose outcome is recorded. Returns None where there was no whole answer."""
        began = time.monotonic()
        try:
            answer = await client.request(method, path, body, headers, patience)
        except Lost as lost:
            self.events.append(Event(kind, began, time.monotonic(), lost.how, port=client.port))
            return None
        self.events.append(Event(kind, began, answer.ended, answer.status, answer.headers.get("retry-after"), client.port))
        return answer

    async def compare(self, account, port):
        """Reads everything that was acknowledged, and returns what is missing or different."""
        wrong = []
        work = asyncio.Queue()
        for item in [*self.pages.items(), *self.sections.items(), *self.files.items()]:
            work.put_nowait(item)

        async def read(client, path):
            async def ask():
                answer = await client.request("GET", path, patience=20)
                return answer if answer.status in (200, 404) else None

            return await eventually(f"GET {path} answers", ask, 30)

        async def hand():
            client = account.client(port)
            with contextlib.suppress(asyncio.QueueEmpty):
                while True:
                    key, expected = work.get_nowait()
                    if key in self.pages:
                        answer = await read(client, f"{account.pages}/{key}")
                        good = answer.status == 200 and answer.json()["title"] in expected
                    elif key in self.sections:
                        answer = await read(client, f"{account.pages}/{expected[0]}/sections/{key}")
                        good = answer.status == 200 and expected[1] in answer.json()["content"]["html"]
                    else:
                        answer = await read(client, f"/api/v1/tenants/{account.tenant}/assets/{key}")
                        good = answer.status == 200 and await downloaded(answer.json()["url"], port, expected)
                    if not good:
                        wrong.append(key)
            client.close()

        await asyncio.gather(*(hand() for _ in range(8)))
        return wrong


async def downloaded(url, port, size):
    """Whether a file is there in its whole size."""
    path = "/" + url.split("://")[1].split("/", 1)[1]
    try:
        answer = await once(port, "GET", path)
    except Lost:
        return False
    return answer.status == 200 and len(answer.body) == size


class Writers:
    """Clients that create and change pages and sections, each after the answer to the one before, and hold back for `pause` after a refusal."""

    def __init__(self, account, ports, ledger, count, text=0, pause=0.05, think=0.0, update=True, conflicts=False):
        self.account, self.ports, self.ledger = account, list(ports), ledger
        self.count, self.text, self.pause, self.think, self.update, self.conflicts = count, text, pause, think, update, conflicts
        self.run = os.urandom(3).hex()
        self.tasks, self.running = [], False

    def start(self):
        self.running = True
        self.tasks = [asyncio.create_task(self.write(number)) for number in range(self.count)]
        return self

    async def stop(self, patience=40):
        """Waits for requests in progress."""
        self.running = False
        _, hanging = await asyncio.wait(self.tasks, timeout=patience)
        for task in hanging:
            task.cancel()
        for task in self.tasks:
            if task.done() and not task.cancelled() and task.exception():
                raise task.exception()

    async def write(self, number):
        ledger, port = self.ledger, self.ports[number % len(self.ports)]
        client = self.account.client(port)
        turn, latest = 0, None
        while self.running:
            turn += 1
            title = f"Page {self.run} {number} {turn}"
            if latest and self.update and turn % 3 == 0:
                answer = await ledger.request(client, "update", "PUT", f"{self.account.pages}/{latest}", {"title": title})
                if answer is not None and answer.ok:
                    ledger.pages[latest] = {title}
                else:
                    # The outcome is unknown, and it may still happen. So the page is not used again.
                    ledger.pages[latest].add(title)
                    latest = None
            elif latest and self.text and turn % 3 == 1:
                text = f"{title} {os.urandom(self.text // 2).hex()}"
                section = {"type": "text", "content": {"html": f"<p>{text}</p>"}}
                answer = await ledger.request(client, "section", "POST", f"{self.account.pages}/{latest}/sections", section)
                if answer is not None and answer.ok:
                    ledger.sections[answer.json()["id"]] = (latest, text)
            elif self.conflicts and turn % 5 == 0:
                # A refused request rolls its transaction back, which must not affect others.
                answer = await ledger.request(client, "conflict", "POST", self.account.pages, {"title": title, "slug": "home"})
            else:
                answer = await ledger.request(client, "create", "POST", self.account.pages, {"title": title})
                if answer is not None and answer.ok:
                    latest = answer.json()["id"]
                    ledger.pages[latest], ledger.made[latest] = {title}, answer.ended
            if answer is None or not answer.ok:
                await asyncio.sleep(self.pause)
            elif self.think:
                await asyncio.sleep(self.think)
        client.close()


def picture(side=96):
    """A PNG of noise: it cannot be made smaller."""
    rows = b"".join(b"\0" + os.urandom(side * 3) for _ in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


def document(size):
    """A practically empty PDF of about so many bytes."""
    return b"%PDF-1.4\n%" + os.urandom(size // 2).hex().encode() + b"\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def form(name, kind, content):
    """A file as a browser sends it: headers and body."""
    boundary = hashlib.sha256(content).hexdigest()[:24]
    opening = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    return {"content-type": f"multipart/form-data; boundary={boundary}"}, opening.encode() + content + f"\r\n--{boundary}--\r\n".encode()


async def upload(ledger, client, account, name, kind, content):
    headers, body = form(name, kind, content)
    answer = await ledger.request(client, "upload", "POST", f"/api/v1/tenants/{account.tenant}/assets/upload", body, headers)
    if answer is not None and answer.status == 201:
        for item in answer.json()["items"]:
            ledger.files[item["id"]] = item["size"]
    return answer


class Uploads:
    """One client that uploads a picture again and again."""

    def __init__(self, account, port, ledger, pause=0.2):
        self.account, self.port, self.ledger, self.pause, self.running = account, port, ledger, pause, True

    def start(self):
        self.task = asyncio.create_task(self.run())
        return self

    async def run(self):
        client = self.account.client(self.port)
        while self.running:
            await upload(self.ledger, client, self.account, "noise.png", "image/png", picture())
            await asyncio.sleep(self.pause)

    async def stop(self):
        self.running = False
        await self.task


class Probe:
    """Sends a request every 200 ms on a connection of its own, as a load balancer does."""

    def __init__(self, port, path, host=None, every=0.2):
        self.port, self.path, self.host, self.every = port, path, host, every
        self.events, self.asked = [], set()

    def start(self):
        self.task = asyncio.create_task(self.run())
        return self

    async def run(self):
        while True:
            ask = asyncio.create_task(self.ask())
            self.asked.add(ask)
            ask.add_done_callback(self.asked.discard)
            await asyncio.sleep(self.every)

    async def ask(self):
        began = time.monotonic()
        try:
            answer = await once(self.port, "GET", self.path, host=self.host, patience=40)
            self.events.append(Event("probe", began, answer.ended, answer.status, answer.headers.get("retry-after")))
        except Lost as lost:
            self.events.append(Event("probe", began, time.monotonic(), lost.how))

    async def stop(self):
        self.task.cancel()
        if self.asked:
            await asyncio.wait(list(self.asked), timeout=45)

    def between(self, since, until=float("inf")):
        return [event for event in self.events if since <= event.began < until]


class Readers:
    """Clients that send requests at a constant rate, to measure how long the answer takes."""

    def __init__(self, account, port, count, pace, requests):
        self.account, self.port, self.count, self.pace, self.requests = account, port, count, pace, requests
        self.ledger = Ledger()

    async def run(self, seconds):
        """The outcome of each request within so many seconds."""
        until = time.monotonic() + seconds
        self.ledger.events.clear()

        async def read(number):
            client = self.account.client(self.port)
            await asyncio.sleep(number / self.count * self.pace)
            turn, due = number, time.monotonic()
            while due < until:
                kind, method, path, body = self.requests[turn % len(self.requests)](turn)
                await self.ledger.request(client, kind, method, path, body)
                turn += 1
                due += self.pace
                await asyncio.sleep(max(0, due - time.monotonic()))
            client.close()

        await asyncio.gather(*(read(number) for number in range(self.count)))
        return list(self.ledger.events)


def outcomes(events):
    """How often each outcome occurred, as a text: `201: 340, 503: 12`."""
    counts = {}
    for event in events:
        counts[event.status] = counts.get(event.status, 0) + 1
    return ", ".join(f"{status}: {count}" for status, count in sorted(counts.items(), key=str)) or "none"


def slowest(events):
    return max((event.seconds for event in events), default=0.0)


def times(events):
    """Median, p99 and longest of the times, as a text."""
    seconds = [event.seconds for event in events]
    return f"p50 {milliseconds(percentile(seconds, 0.5))}, p99 {milliseconds(percentile(seconds, 0.99))}, longest {milliseconds(max(seconds, default=0))}"


def unexplained(events):
    """Refusals that are not 503 with `Retry-After`."""
    return [event for event in events if not event.ok and not (event.status == 503 and event.retry_after)]


def first_success(events, after):
    """Seconds from a moment to the first good answer that came later."""
    good = [event.ended for event in events if event.ok and event.ended >= after]
    return min(good) - after if good else float("inf")
