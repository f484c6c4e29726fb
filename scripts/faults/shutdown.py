"""The end of a server that clients talk to directly, and the start of two at once."""

import asyncio
import os
import signal
import time

from .client import Client, Lost, head, register
from .load import Ledger, Writers
from .processes import Server

ROUNDS, KEPT, FRESH, SILENT = 20, 16, 8, 100


class Fresh:
    """Clients that open a connection for each request."""

    def __init__(self, account, port, count):
        self.account, self.port, self.count, self.pages, self.lost, self.sent, self.refused = account, port, count, [], [], 0, 0
        self.running, self.name = True, os.urandom(3).hex()

    def start(self):
        self.tasks = [asyncio.create_task(self.run(number)) for number in range(self.count)]
        return self

    async def run(self, number):
        turn = 0
        while self.running:
            turn += 1
            client = Client(self.port, self.account.token)
            try:
                answer = await client.request("POST", self.account.pages, {"title": f"Fresh {self.name} {number} {turn}"}, {"connection": "close"})
                self.sent += 1
                if answer.status == 201:
                    self.pages.append(answer.json()["id"])
                elif answer.status == 503 and "retry-after" in answer.headers:
                    self.refused += 1
                    await asyncio.sleep(0.01)
                else:
                    self.lost.append(answer.status)
            except Lost as lost:
                if lost.how == "refused":
                    await asyncio.sleep(0.01)
                else:
                    self.sent += 1
                    self.lost.append(lost.how)
            client.close()

    async def stop(self):
        self.running = False
        await asyncio.gather(*self.tasks)


async def check(report, place, name):
    server, postgres = await place.simple()
    account = await register(server.port, "shutdown@example.com")
    await account.make_site(server.port, "shutdown")
    await under_load(report, server, account, name)
    await silent_connections(report, server, name)
    await twice(report, server, account, name)
    if postgres:
        await two_at_once(report, place, postgres, name)


async def under_load(report, server, account, name):
    kept, fresh_lost, sent, acknowledged = {}, {}, 0, Ledger()
    codes, ends, refused, late = [], [], 0, 0
    for _ in range(ROUNDS):
        ledger = Ledger()
        writers = Writers(account, [server.port], ledger, KEPT, pause=0.01, update=False).start()
        fresh = Fresh(account, server.port, FRESH).start()
        await asyncio.sleep(1)
        ending = time.monotonic()
        code, took = await server.stop()
        codes.append(code)
        ends.append(took)
        await writers.stop()
        await fresh.stop()
        refused += fresh.refused
        for event in ledger.events:
            if event.status == 503 and event.retry_after:
                refused += 1
                late += event.ended > ending
            elif not event.ok and event.status != "refused":
                kept[event.status] = kept.get(event.status, 0) + 1
        for status in fresh.lost:
            fresh_lost[status] = fresh_lost.get(status, 0) + 1
        sent += fresh.sent + sum(event.status != "refused" for event in ledger.events)
        acknowledged.pages |= ledger.pages
        acknowledged.pages |= {page: None for page in fresh.pages}
        await server.start()
    report.note(name, f"requests in {ROUNDS} rounds of SIGTERM", str(sent))
    report.note(name, "answered 503 with Retry-After, by admission or at the end", f"{refused}, {late} of them after SIGTERM on kept connections")
    report.aim(name, "on connections that are kept, none is lost", str(kept or 0), not kept)
    report.aim(name, "on fresh connections, none is lost", str(fresh_lost or 0), not fresh_lost)
    report.none(name, "ended with another code than 0", sum(code != 0 for code in codes), ROUNDS)
    report.at_most(name, "the longest end", max(ends), 5)
    wrong = 0
    client = account.client(server.port)
    for page, titles in acknowledged.pages.items():
        answer = await client.request("GET", f"{account.pages}/{page}")
        wrong += answer.status != 200 or (titles is not None and answer.json()["title"] not in titles)
    client.close()
    report.none(name, "acknowledged, and not there", wrong, len(acknowledged.pages))


def replies_text(spoken):
    return f"{len(spoken)} heard {spoken[0][:12] if spoken else 'something'}"


async def silent_connections(report, server, name):
    """Connections that browsers and proxies open in advance."""
    async def said(stream, patience):
        try:
            async with asyncio.timeout(patience):
                return await stream[0].read(1000)
        except TimeoutError:
            return None
        except OSError:
            return b""
        finally:
            stream[1].close()

    opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(SILENT)]
    replies = await asyncio.gather(*(said(stream, 20) for stream in opened))
    spoken = [text for text in replies if text]
    report.aim(name, f"{SILENT} connections that say nothing hear nothing in 20 s", replies_text(spoken), not spoken)
    opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(SILENT)]
    await asyncio.sleep(0.5)
    listening = [asyncio.create_task(said(stream, 20)) for stream in opened]
    code, took = await server.stop()
    replies = await asyncio.gather(*listening)
    spoken = [text for text in replies if text]
    report.aim(name, "at SIGTERM neither", replies_text(spoken), not spoken)
    report.aim(name, "and they do not hold up the end: 2 s, code 0", f"{took:.2f} s, code {code}", took <= 2 and code == 0)


async def twice(report, server, account, name):
    await server.start()
    stream = await asyncio.open_connection("127.0.0.1", server.port)
    fields = {"authorization": f"Bearer {account.token}", "content-type": "application/json"}
    whole = head("POST", account.pages, "x", fields, b'{"title":"' + b"x" * 100 + b'"}')
    stream[1].write(whole[:-50])
    await asyncio.sleep(0.5)
    server.send(signal.SIGTERM)
    await asyncio.sleep(1)
    waits = server.alive
    server.send(signal.SIGTERM)
    began = time.monotonic()
    code = await server.ended(20)
    took = time.monotonic() - began
    stream[1].close()
    if code is None:
        server.send(signal.SIGKILL)
        await server.ended(5)
    report.aim(name, "SIGTERM waits for a request that hangs", "it does" if waits else "it did not", waits)
    report.at_most(name, f"a second SIGTERM ends it (code {code})", took, 1)


async def two_at_once(report, place, postgres, name):
    longest = []
    for number in range(3):
        await postgres.sql(f"create database empty{number}")
        settings = {"PORTICO__DATABASE__URL": postgres.url(database=f"empty{number}")}
        pair = [Server(place.folder, f"pair{number}{one}", place.binary, settings) for one in "ab"]
        for server in pair:
            place.push_async_callback(server.remove)
        began = time.monotonic()
        for server in pair:
            server.launch()
        await asyncio.gather(*(server.wait_until_ready() for server in pair))
        longest.append(time.monotonic() - began)
        for server in pair:
            await server.stop()
    report.at_most(name, "two that start at once on an empty database, both ready", max(longest), 2.5)
