"""Two instances on one Postgres, with all faults at random; afterwards everything that was acknowledged is compared."""

import asyncio
import contextlib
import json
import random
import signal
import time

from .client import Lost, head, register
from .load import Ledger, Probe, Writers, first_success, outcomes, times, unexplained
from .processes import part
from .receiver import Receiver
from .report import Broken, say

SETTLE = 30
WRITERS, STREAMS = 12, 4
# How often each is drawn, compared with the others.
FAULTS = {"silence": 3, "freeze": 2, "kill-postgres": 2, "kill": 3, "terminate": 3, "slow": 1, "overload": 2}


def plan(seed, seconds):
    """The faults of a storm, in order: the pause before, which one, and its details. The same for the same seed."""
    dice, faults, length = random.Random(seed), [], 0.0
    while length < seconds:
        # Long enough that the end of each fault can be observed.
        pause = dice.uniform(6, 10)
        kind = dice.choices(list(FAULTS), FAULTS.values())[0]
        details = {
            "lasts": dice.uniform(2, 12), "how": dice.choice(["held", "discarded"]), "victims": dice.choice([[0], [1], [0, 1]]),
            "pause": dice.uniform(0, 2),
        }
        faults.append((pause, kind, details))
        length += pause + (details["lasts"] if kind in ("silence", "freeze") else 5)
    return faults


class Stream:
    """A client of live updates that resumes after each disconnection."""

    def __init__(self, account, ports, number):
        self.account, self.ports, self.turn = account, ports, number
        self.seen, self.last, self.resets, self.connections, self.refused = {}, None, [], 0, 0

    def start(self):
        self.task = asyncio.create_task(self.run())
        return self

    async def run(self):
        while True:
            self.turn += 1
            with contextlib.suppress(OSError, EOFError, ValueError, IndexError, TimeoutError, Lost):
                await self.listen(self.ports[self.turn % len(self.ports)])
            await asyncio.sleep(0.3)

    async def listen(self, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            fields = {"authorization": f"Bearer {self.account.token}"} | ({"last-event-id": self.last} if self.last else {})
            writer.write(head("GET", "/api/v1/events?types=page.*", f"127.0.0.1:{port}", fields))
            async with asyncio.timeout(10):
                first = await reader.readuntil(b"\r\n\r\n")
            if first[9:12] != b"200":
                self.refused += 1
                return
            self.connections += 1
            text = b""
            while True:
                async with asyncio.timeout(10):
                    size = int(await reader.readline(), 16)
                    text += await reader.readexactly(size)
                    await reader.readexactly(2)
                if not size:
                    return
                *messages, text = text.split(b"\n\n")
                for message in messages:
                    self.hear(message.decode())
        finally:
            writer.close()

    def hear(self, message):
        fields = dict(line.split(": ", 1) for line in message.splitlines() if ": " in line and not line.startswith(":"))
        if fields.get("event") == "reset":
            self.resets.append(time.monotonic())
        if fields.get("event") == "page.created":
            self.seen[json.loads(fields["data"])["resource"]["id"]] = time.monotonic()
        if "id" in fields:
            self.last = fields["id"]

    def missing(self, made):
        """Of pages with the time of their acknowledgement, those that it has not received, without a `reset` since."""
        reset = max(self.resets, default=0)
        return [page for page, at in made.items() if page not in self.seen and at > reset]


class Deployments:
    """Publishes the site again and again."""

    def __init__(self, account, port, ledger):
        self.account, self.port, self.ledger, self.accepted, self.running = account, port, ledger, [], True

    def start(self):
        self.task = asyncio.create_task(self.run())
        return self

    async def run(self):
        client = self.account.client(self.port)
        while self.running:
            answer = await self.ledger.request(client, "deploy", "POST", f"/api/v1/sites/{self.account.site}/deploy")
            if answer is not None and answer.status == 202:
                self.accepted.append(answer.json()["id"])
            for _ in range(40):
                if self.running:
                    await asyncio.sleep(0.1)
        client.close()

    async def stop(self):
        self.running = False
        await self.task

    async def states(self):
        """The state of each deployment that was accepted."""
        client, found = self.account.client(self.port), {}
        for deployment in self.accepted:
            answer = await client.request("GET", f"/api/v1/sites/{self.account.site}/deployments/{deployment}")
            state = answer.json()["status"] if answer.status == 200 else answer.status
            found[state] = found.get(state, 0) + 1
        client.close()
        return found


class Storm:
    def __init__(self, place, report, postgres, proxies, servers, account):
        self.place, self.report, self.postgres, self.proxies, self.servers, self.account = place, report, postgres, proxies, servers, account
        self.ledger, self.counts, self.ends = Ledger(), {}, []
        # How instances ended, and how many pages were acknowledged outside of the ledger.
        self.slowest_end, self.bad_ends, self.burst = 0.0, 0, 0

    async def strike(self, kind, lasts, how, victims, pause):
        servers = [self.servers[number] for number in victims]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        details = {"silence": f"to {victims}, {lasts:.1f} s, {how}", "freeze": f"{lasts:.1f} s", "kill-postgres": f"back after {pause:.1f} s"}
        say(f"storm: {kind}, {details.get(kind, f'instance {victims[0]}')}")
        match kind:
            case "silence":
                proxies = [self.proxies[number] for number in victims]
                for proxy in proxies:
                    proxy.silence(how)
                await asyncio.sleep(lasts)
                for proxy in proxies:
                    proxy.speak()
            case "freeze":
                self.postgres.freeze()
                await asyncio.sleep(lasts)
                self.postgres.thaw()
            case "kill-postgres":
                await self.postgres.kill()
                await asyncio.sleep(pause)
                await self.postgres.start()
            case "kill" | "terminate":
                server = servers[0]
                began = time.monotonic()
                server.send(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
                code = await server.ended(30)
                if kind == "terminate":
                    self.slowest_end = max(self.slowest_end, time.monotonic() - began)
                    self.bad_ends += code != 0
                    if code is None:
                        server.send(signal.SIGKILL)
                        await server.ended(5)
                await asyncio.sleep(pause)
                await server.start()
            case "slow":
                crowd = await part("crowd", port=servers[0].port, token=self.account.token, path=self.account.pages, bodies=300, heads=100, readers=20,
                                   large=["/api/openapi.json"], seconds=10)
                await crowd.communicate()
            case "overload":
                burst = await part("creations", port=servers[0].port, path=self.account.pages, token=self.account.token, seconds=5,
                                   run=f"burst{sum(self.counts.values())}", connections=300, rate=1500)
                found = json.loads((await burst.communicate())[0])
                self.burst += found["acknowledged"]
                say(f"storm: answers to the burst: {found['counts']}, without: {found['silent'] + found['busy']}")
        self.ends.append((kind, time.monotonic()))

    def recovery(self):
        """The longest time from the end of a fault to the first good write, by fault, over both instances."""
        worst = {}
        for kind, end in self.ends:
            for server in self.servers:
                wait = first_success([event for event in self.ledger.events if event.port == server.port], end)
                worst[kind] = max(worst.get(kind, 0), wait)
        return worst


async def check(report, place, name):
    seconds, seed = place.options.seconds, place.options.seed
    postgres = await place.postgres()
    proxies = [await place.proxy(postgres.port) for _ in range(2)]
    shared = {"PORTICO__LIVE__HEARTBEAT": "2s", "PORTICO__WEBHOOKS__RETRIES": "2s,2s,2s,5s,5s,5s"}
    servers = []
    for number, proxy in enumerate(proxies):
        servers.append(await place.server(f"instance{number}", {**shared, "PORTICO__DATABASE__URL": postgres.url(proxy.port)}))
    ports = [server.port for server in servers]
    account = await register(ports[0], "storm@example.com")
    await account.make_site(ports[0], "storm")
    await account.publish(ports[0])
    receiver = await Receiver().start()
    place.callback(receiver.close)
    hook = {"url": receiver.url, "events": ["page.created"]}
    await account.call(ports[0], "POST", f"/api/v1/tenants/{account.tenant}/webhooks", hook)
    storm = Storm(place, report, postgres, proxies, servers, account)
    ledger = storm.ledger
    streams = [Stream(account, ports, number).start() for number in range(STREAMS)]
    for stream in streams:
        place.callback(stream.task.cancel)
    await asyncio.sleep(1)
    began = time.monotonic()
    writers = Writers(account, ports, ledger, WRITERS, text=2000, think=0.1).start()
    deployments = [Deployments(account, port, ledger).start() for port in ports]
    probes = [Probe(port, path).start() for port in ports for path in ("/api/health/live", "/api/health/ready")]
    visits = [Probe(port, "/", account.host).start() for port in ports]
    missing_meanwhile = []

    async def read():
        """Reads at random what was acknowledged."""
        dice, client = random.Random(seed), account.client(ports[0])
        while True:
            await asyncio.sleep(0.05)
            if ledger.pages:
                page = dice.choice(list(ledger.pages))
                client.port = dice.choice(ports)
                client.close()
                answer = await ledger.request(client, "read", "GET", f"{account.pages}/{page}")
                if answer is not None and answer.status == 404:
                    missing_meanwhile.append(page)

    reading = asyncio.create_task(read())
    place.callback(reading.cancel)
    fell = 0
    for pause, kind, details in plan(seed, seconds):
        await asyncio.sleep(pause)
        for server in servers:
            if not server.alive:
                fell += 1
                say(f"storm: {server.name} has ended by itself: {server.tail()[-300:]}")
                await server.start()
        await storm.strike(kind, **details)
    await asyncio.sleep(6)
    reading.cancel()
    await writers.stop()
    for deployment in deployments:
        await deployment.stop()
    for probe in [*probes, *visits]:
        await probe.stop()
    lasted, settling = time.monotonic() - began, time.monotonic()
    created = ledger.made

    def owed():
        return [page for page in created if ("page.created", page) not in receiver.messages]

    async def unsettled():
        # A deployment that was superseded by a later one ends with it.
        busy = [deployment for deployment in [await one.states() for one in deployments] if set(deployment) - {"live", "failed"}]
        return bool(owed() or busy or any(stream.missing(created) for stream in streams))

    with contextlib.suppress(Lost, Broken):
        while time.monotonic() < settling + SETTLE and await unsettled():
            await asyncio.sleep(0.5)
    report.note(name, f"faults in {lasted:.0f} s, seed {seed}", ", ".join(f"{kind} {count}" for kind, count in sorted(storm.counts.items())))
    report.note(name, "answers", outcomes(ledger.events))
    report.note(name, "times", times(ledger.events))
    report.note(name, "settled after", f"{time.monotonic() - settling:.1f} s")
    worst = storm.recovery()
    for kind, wait in sorted(worst.items()):
        report.at_most(name, f"first write at each instance after {kind}", wait, 5)
    odd = [event for event in unexplained(ledger.events) if isinstance(event.status, int) and not (event.kind == "deploy" and event.status == 409)]
    report.aim(name, "refusals are 503 with Retry-After", outcomes(odd) if odd else "all", not odd)
    silent = sum(event.status == "silent" for event in ledger.events)
    report.none(name, "requests without an answer in 30 s", silent, len(ledger.events))
    alive = [event for probe in probes[::2] for event in probe.events if isinstance(event.status, int)]
    report.none(name, "liveness is 2xx wherever there is a process", sum(event.status != 204 for event in alive), len(alive))
    seen = [event for probe in visits for event in probe.events if isinstance(event.status, int)]
    report.none(name, "visits of the published site that failed", sum(event.status != 200 for event in seen), len(seen))
    report.none(name, "instances that ended by themselves, or with another code than 0 at SIGTERM", fell + storm.bad_ends)
    report.at_most(name, "the longest end at SIGTERM", storm.slowest_end, 16.5)
    wrong = await ledger.compare(account, ports[0])
    report.none(name, "acknowledged pages and sections that are not there", len(wrong), ledger.count())
    report.none(name, "acknowledged pages that somebody did not find meanwhile", len(missing_meanwhile))
    client = account.client(ports[1])
    total = (await client.request("GET", f"{account.pages}?limit=1")).json()["total"]
    client.close()
    acknowledged = len(ledger.pages) + storm.burst + 1
    report.aim(name, f"and {storm.burst} of the bursts", f"{total} pages, {acknowledged} acknowledged", total >= acknowledged)
    again = sum(len(came) > 1 for came in receiver.messages.values())
    report.none(name, f"webhooks that did not arrive in {SETTLE} s ({again} came more than once)", len(owed()), len(created))
    unheard = sum(len(stream.missing(created)) for stream in streams)
    resumed, resets = sum(stream.connections for stream in streams), sum(len(stream.resets) for stream in streams)
    report.none(name, f"events that a stream did not tell of ({STREAMS} streams, {resumed} connections, {resets} resets)", unheard, STREAMS * len(created))
    for deployment, port in zip(deployments, ports):
        states = await deployment.states()
        report.aim(name, "accepted deployments are live", str(states), bool(states) and set(states) == {"live"})
    due = "state <> 'dead' and coalesce(leased_until, run_at) < now() at time zone 'utc' - interval '15 seconds'"
    stuck = await postgres.sql(f"select count(*) from jobs where {due}")
    report.none(name, "jobs that nobody does", int(stuck))
    report.none(name, "jobs that are dead", int(await postgres.sql("select count(*) from jobs where state = 'dead'")))
    report.none(name, "transactions that nobody goes on with", await postgres.forgotten())
    report.at_most(name, "memory of an instance", max(server.peak for server in servers), 500, "MB")
    report.at_most(name, "lines in the logs of both", sum(server.lines() for server in servers) / lasted, 5, "a second")
