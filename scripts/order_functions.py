"""The functions that a program called, by their names for the linker: `order_functions.py MAP TRACE...`

MAP is what LLD writes with `-Map`, each TRACE what callgrind writes with `--dump-instr=yes --compress-pos=no --compress-strings=no`.
"""

import bisect
import re
import sys

# Address, the same again, size and alignment of a piece of code, its file, and its section, which has the name of its function. Sections
# without one are of assembler, and few.
LINE = re.compile(r"\s*([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+\s.*:\(\.text\.(?:(?:unlikely|hot|startup|exit)\.)?(\S+)\)$")


def functions(path):
    """Begin, end and name of each function that the linker can move."""
    found = []
    with open(path) as lines:
        for line in lines:
            match = LINE.match(line)
            if match:
                begin = int(match[1], 16)
                found.append((begin, begin + int(match[2], 16), match[3]))
    return sorted(found)


def called(path):
    """Addresses of the instructions of the program that were executed."""
    found = set()
    is_program = False
    with open(path) as lines:
        for line in lines:
            if line.startswith("ob="):
                is_program = line.rstrip().endswith("/portico")
            elif is_program and line.startswith("0x"):
                found.add(int(line.split(maxsplit=1)[0], 16))
    return found


def main():
    pieces = functions(sys.argv[1])
    begins = [begin for begin, _, _ in pieces]
    wanted = set()
    for path in sys.argv[2:]:
        for address in called(path):
            place = bisect.bisect_right(begins, address) - 1
            if place >= 0 and address < pieces[place][1]:
                wanted.add(place)
    if not wanted:
        sys.exit("no function of the program was called: do the map and the traces belong together?")
    for place in sorted(wanted):
        print(pieces[place][2])


main()
