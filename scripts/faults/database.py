"""Postgres behind a network that goes silent, Postgres that is frozen, and Postgres that is killed."""

import asyncio
import time

from .client import register
from .load import Ledger, Probe, Writers, first_success, outcomes, slowest, times, unexplained

# A fifth of `database.statement_timeout`: the longest that a request may hang while the database answers no connection.
DEADLINE = 1
WRITERS = 40
ANSWER = 1.5


class Scene:
    """A server that is written to, and probed as a load balancer does."""

    def __init__(self, place, report, postgres, server, account):
        self.place, self.report, self.postgres, self.server, self.account = place, report, postgres, server, account
        self.ledger = Ledger()

    def start(self):
        self.writers = Writers(self.account, [self.server.port], self.ledger, WRITERS).start()
        port = self.server.port
        self.probes = [Probe(port, "/api/health/ready"), Probe(port, "/api/health/live"), Probe(port, "/", self.account.host)]
        for probe in self.probes:
            probe.start()

    async def stop(self):
        await self.writers.stop()
        for probe in self.probes:
            await probe.stop()

    async def judge(self, title, began, ended, settled):
        """The targets of a fault of the database that lasted from `began` to `ended`. `settled`: from when on nothing may fail."""
        report, ready, live, site = self.report, *self.probes
        # Also those in progress when it began.
        during = [event for event in self.ledger.events if event.ended > began and event.began < ended]
        report.note(title, "answers meanwhile", outcomes(during))
        report.none(title, "refusals are 503 with Retry-After", len(unexplained(during)), sum(not event.ok for event in during))
        report.at_most(title, "the slowest answer, those under way included", slowest(during), DEADLINE + 0.5)
        probed = ready.between(began, ended)
        report.at_most(title, "the slowest answer of readiness", slowest(probed), ANSWER)
        # Those that waited until the end, and were answered then, are correct.
        known = [event for event in ready.between(began + ANSWER, ended) if event.ended < ended]
        report.none(title, f"not ready from {ANSWER} s on", sum(event.status == 200 for event in known), len(known))
        alive = live.between(began)
        report.none(title, "liveness stays 2xx", sum(event.status != 204 for event in alive), len(alive))
        sites = site.between(began, ended)
        failed = sum(event.status != 200 or event.seconds > ANSWER for event in sites)
        report.none(title, f"a published site that fails, or takes {ANSWER} s", failed, len(sites))
        report.at_most(title, "first write after the end", first_success(self.ledger.events, ended), 5)
        again = [event.ended - ended for event in ready.events if event.ended > ended and event.status == 200]
        report.at_most(title, "ready after the end", min(again, default=float("inf")), 5)
        later = self.ledger.between(settled)
        bad = [event for event in later if not event.ok]
        report.aim(title, "from 5 s on everything succeeds", outcomes(later), bool(later) and not bad)

    async def compare(self, title):
        wrong = await self.ledger.compare(self.account, self.server.port)
        self.report.none(title, "acknowledged, and not there", len(wrong), self.ledger.count())


async def scene(report, place, through_proxy):
    postgres = await place.postgres()
    proxy = await place.proxy(postgres.port) if through_proxy else None
    url = postgres.url(proxy.port if proxy else None)
    server = await place.server(settings={"PORTICO__DATABASE__URL": url})
    account = await register(server.port, "faults@example.com")
    await account.make_site(server.port, "faults")
    await account.publish(server.port)
    return Scene(place, report, postgres, server, account), proxy


async def recover(stage, title):
    """Where it does not recover by itself, it is started again, so that the next round is meaningful."""
    if not stage.ledger.between(time.monotonic() - 2) or not any(event.ok for event in stage.ledger.between(time.monotonic() - 2)):
        stage.report.note(title, "it did not come back", "restarted for the next round")
        stage.server.send(9)
        await stage.server.ended(5)
        await stage.server.start()


async def silence(report, place, name):
    stage, proxy = await scene(report, place, True)
    for seconds in (3, 5, 10):
        for how in ("held", "discarded"):
            title = f"{name}, {seconds} s, {how}"
            stage.start()
            await asyncio.sleep(3)
            began = time.monotonic()
            proxy.silence(how)
            await asyncio.sleep(seconds)
            proxy.speak()
            ended = time.monotonic()
            await asyncio.sleep(8)
            await recover(stage, title)
            forgotten = None
            if time.monotonic() < ended + 15:
                await asyncio.sleep(ended + 15 - time.monotonic())
            forgotten = await stage.postgres.forgotten()
            await stage.stop()
            await stage.judge(title, began, ended, ended + 5)
            report.none(title, "transactions open after 15 s that nobody goes on with", forgotten)
    await stage.compare(name)
    report.at_most(name, "memory", stage.server.peak, 400, "MB")


async def freeze(report, place, name, seconds=20):
    stage, _ = await scene(report, place, False)
    stage.start()
    await asyncio.sleep(3)
    began = time.monotonic()
    stage.postgres.freeze()
    await asyncio.sleep(seconds)
    stage.postgres.thaw()
    ended = time.monotonic()
    await asyncio.sleep(12)
    forgotten = await stage.postgres.forgotten()
    await stage.stop()
    await stage.judge(name, began, ended, ended + 5)
    report.none(name, "transactions that nobody goes on with", forgotten)
    await stage.compare(name)
    report.at_most(name, "memory", stage.server.peak, 400, "MB")


async def kill(report, place, name, kills=5):
    stage, _ = await scene(report, place, False)
    stage.start()
    back, ready, unanswered, slow, fine, sites = [], [], 0, 0.0, 0, 0
    for _ in range(kills):
        await asyncio.sleep(3)
        began = time.monotonic()
        await stage.postgres.kill()
        await asyncio.sleep(2)
        await stage.postgres.start()
        ended = time.monotonic()
        await asyncio.sleep(6)
        events = stage.ledger.between(began - 1, ended)
        unanswered += len(unexplained(events))
        slow = max(slow, slowest(events))
        back.append(first_success(stage.ledger.events, ended))
        ready.append(min((event.ended - ended for event in stage.probes[0].events if event.ended > ended and event.status == 200), default=float("inf")))
        later = stage.ledger.between(ended + 5, ended + 6)
        fine += sum(not event.ok for event in later) + (not later)
        visits = stage.probes[2].between(began, ended)
        sites += sum(event.status != 200 or event.seconds > ANSWER for event in visits)
    await stage.stop()
    report.note(name, f"answers in {kills} kills", outcomes(stage.ledger.events))
    report.none(name, "refusals are 503 with Retry-After", unanswered)
    report.at_most(name, "the slowest answer", slow, ANSWER)
    report.at_most(name, "first write after Postgres is back", max(back), 5)
    report.at_most(name, "ready after Postgres is back", max(ready), 5)
    report.none(name, "failed from 5 s on", fine)
    report.none(name, "visits of a published site that failed", sites)
    alive = stage.probes[1].events
    report.none(name, "liveness stays 2xx", sum(event.status != 204 for event in alive), len(alive))
    report.note(name, "times", times(stage.ledger.events))
    await stage.compare(name)
