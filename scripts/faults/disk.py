"""A full disk: what is refused, what is kept, and what comes afterwards."""

import asyncio
import time

from .client import Lost, register
from .load import Ledger, Probe, Uploads, Writers, first_success, outcomes, slowest, unexplained
from .processes import SmallDisk

BEFORE, FULL, AFTER = 4, 10, 6
# How much is left to be filled by writing, and how it is called.
ROUNDS = ((0, "to the last byte"), (512 << 10, "but for 512 KiB"))


async def check(report, place, name):
    small = SmallDisk(place.folder, 160 if place.database == "sqlite" else 240)
    place.callback(small.unmount)
    settings, postgres = {}, None
    if place.database == "postgres":
        wal = {"min_wal_size": "16MB", "max_wal_size": "32MB", "shared_buffers": "32MB"}
        postgres = await place.postgres(data=small.path, settings=wal)
        settings["PORTICO__DATABASE__URL"] = postgres.url()
    server = await place.server(settings=settings, data=small.path / "portico")
    account = await register(server.port, "disk@example.com")
    await account.make_site(server.port, "disk")
    ledger = Ledger()
    restarts = 0

    async def look_after_postgres():
        """As a service manager does: a server that exited on the full disk is started again."""
        nonlocal restarts
        while postgres:
            if not postgres.alive:
                restarts += 1
                postgres.launch()
            await asyncio.sleep(1)

    guard = asyncio.create_task(look_after_postgres())
    place.callback(guard.cancel)
    for left, how in ROUNDS:
        title = f"{name}, full {how}"
        writers = Writers(account, [server.port], ledger, 8, text=2000, think=0.02, conflicts=True).start()
        uploads = Uploads(account, server.port, ledger).start()
        ready = Probe(server.port, "/api/health/ready").start()
        live = Probe(server.port, "/api/health/live").start()
        await asyncio.sleep(BEFORE)
        before = ledger.count()
        filled = time.monotonic()
        await asyncio.to_thread(small.fill, left)
        while time.monotonic() < filled + FULL:
            await asyncio.sleep(0.1)
            if not left:
                # Space that becomes free meanwhile is filled, too.
                await asyncio.to_thread(small.fill)
        during = ledger.between(filled, time.monotonic())
        # The last seconds: the disk is certainly full, and the server has noticed.
        late = ledger.between(filled + FULL / 2, time.monotonic(), {"create", "section", "update"})
        client = account.client(server.port)
        try:
            read = (await client.request("GET", f"{account.pages}?limit=5", patience=10)).status
        except Lost as lost:
            read = lost.how
        client.close()
        small.free()
        freed = time.monotonic()
        if postgres:
            await postgres.start()
            freed = max(freed, time.monotonic() - 0.1)
        await asyncio.sleep(5)
        steady = time.monotonic()
        await asyncio.sleep(AFTER)
        await writers.stop()
        await uploads.stop()
        await ready.stop()
        await live.stop()
        report.note(title, "answers while it is full", outcomes(during))
        refused = [event for event in during if not event.ok]
        report.aim(title, "writing is refused at last", outcomes(late), bool(late) and not any(event.ok for event in late))
        report.none(title, "refusals are 503 with Retry-After", len(unexplained(during)), len(refused))
        report.at_most(title, "the slowest answer", slowest(during), 6.5 if postgres else 1.5)
        states = [event.status for event in ready.between(filled + FULL / 2, freed - 0.5)]
        report.none(title, "readiness fails while writes do", states.count(200), len(states))
        states = [event.status for event in live.between(filled, freed)]
        report.none(title, "liveness stays 2xx", sum(state != 204 for state in states), len(states))
        if not postgres:
            report.aim(title, "reads go on", str(read), read == 200)
        writes = [event for event in ledger.events if event.kind != "upload"]
        report.at_most(title, "writes again after there is room", first_success(writes, freed), 5)
        files = [event for event in ledger.events if event.kind == "upload"]
        report.at_most(title, "uploads again", first_success(files, freed), 5)
        again = [event.began - freed for event in ready.events if event.began > freed and event.status == 200]
        report.at_most(title, "ready again", min(again, default=float("inf")), 5)
        later = ledger.between(steady)
        report.none(title, "from 5 s on nothing fails", sum(not event.ok for event in later), len(later))
        report.note(title, "acknowledged before, until the end", f"{before}, {ledger.count()}")
        server.send(9)
        await server.ended(5)
        await server.start()
        wrong = await ledger.compare(account, server.port)
        report.none(title, "acknowledged, and lost after kill -9 and restart", len(wrong), ledger.count())
    if postgres:
        report.note(name, "Postgres gave up and was started again", str(restarts))
    report.at_most(name, "memory", server.peak, 400, "MB")
