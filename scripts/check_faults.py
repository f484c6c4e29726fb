"""The checks of scripts/check-faults, one after the other. They are described there."""

import argparse
import asyncio
import json
import resource
import signal
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from faults import clock, database, disk, overload, parts, shutdown, slow, storm
from faults.processes import Workplace
from faults.report import Broken, Report, Skip, say

BOTH = ("sqlite", "postgres")
# Name, function, and the databases that it applies to.
CHECKS = {
    "disk": (disk.check, BOTH),
    "silence": (database.silence, ("postgres",)),
    "freeze": (database.freeze, ("postgres",)),
    "kill-postgres": (database.kill, ("postgres",)),
    "overload": (overload.check, BOTH),
    "slow": (slow.check, BOTH),
    "clock": (clock.check, BOTH),
    "shutdown": (shutdown.check, BOTH),
    "storm": (storm.check, ("postgres",)),
}


async def run(arguments, report):
    task = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    names = [name for name in CHECKS if name != "storm"] if "all" in arguments.checks else arguments.checks
    for name in names:
        function, databases = CHECKS[name]
        for kind in databases:
            if arguments.database not in ("both", kind):
                continue
            title = f"{name} ({kind})" if len(databases) > 1 else name
            say(f"{title} begins")
            try:
                async with Workplace(name, arguments.binary, kind) as place:
                    place.options = arguments
                    failed = report.failed
                    await function(report, place, title)
                    place.keep = report.failed > failed
            except Skip as why:
                report.skip(title, str(why))
            except Broken as why:
                report.aim(title, "is carried through", str(why).replace("\n", " ")[:200], False)


def main():
    parser = argparse.ArgumentParser(prog="scripts/check-faults", description="See the first lines of scripts/check-faults.")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join([*CHECKS, "all"]))
    parser.add_argument("--binary", type=lambda path: Path(path).resolve(strict=True))
    parser.add_argument("--database", choices=[*BOTH, "both"], default="both")
    parser.add_argument("--seconds", type=int, default=600, help="how long the storm lasts")
    parser.add_argument("--seed", type=int, default=1, help="which storm")
    parser.add_argument("--part", nargs=2, metavar=("FUNCTION", "ARGUMENTS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # A connection is a file, and thousands are opened.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    if arguments.part:
        return parts.main(arguments.part[0], json.loads(arguments.part[1]))
    if not arguments.checks or not arguments.binary or set(arguments.checks) - {*CHECKS, "all"}:
        parser.error(f"--binary and one or more of {', '.join(CHECKS)}, all are needed")
    report, code = Report(), 1
    try:
        asyncio.run(run(arguments, report))
        code = 1 if report.failed else 0
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted")
        code = 130
    finally:
        if report.rows:
            print(report.table(), flush=True)
    if report.failed:
        print(f"\n{report.failed} aims were missed.", flush=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
