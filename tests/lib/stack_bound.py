#!/usr/bin/env python3
"""An upper bound of the stack that an image of the node needs, from its machine code: stack_bound.py ELF --max BYTES

Responsible for: frames and calls of every function, read from objdump's listing; the deepest path from where the image begins, and from
its interrupts. It must not: trust what it cannot see: every assumption stands below, and is printed where it was used.

The frame of a function is the sum of all that it takes off the stack pointer. A jump to another function counts as a call on top of its
own frame. A call through a pointer may reach any function whose address stands anywhere in the image, if its kind fits (REACHES).
Functions that call themselves, by whatever way, are refused unless RECURSION says how often they may.
"""

import argparse
import bisect
import re
import subprocess
import sys

OBJDUMP = "riscv64-unknown-elf-objdump"

# Calls through pointers on one path: the executor's to its task, one to a waker or driver, and those of formatting within formatting,
# where an error in an error in an option is three.
INDIRECT_MAX = 6
# A routine in the chip's ROM, whose code is not in the image, bytes.
ROM_FRAME = 1024
# An array whose length is known at run time only, in the radio's library, bytes.
ARRAY_FRAME = 2048

# The kinds of functions, by their names: the first that fits. The radio's library is C, so that its names have no path; what it calls
# back are adapters.
KINDS = [
    ("formatting", r"core::fmt|as core::fmt::|fmt::Write"),
    ("task", r"TaskStorage<.*>::poll"),
    ("executor", r"[Ee]xecutor.*::run(_inner)?$|SyncExecutor::poll"),
    ("dispatcher", r"interrupt_dispatch::"),
    # What finds an interrupt's handler in a table.
    ("trap", r"^_\w*trap|^Trap\d+$|^_?esp_hal::interrupt::"),
    # Where a thread or an interrupt begins, which nobody else calls.
    ("thread", r"^_start_rust$|task_wrapper|timer_task|idle_hook"),
    ("handler", r"^_default_|irq_handler|interrupt_handler|swint_handler|tick_handler|^Machine(External|Timer|Soft)$|on_brown_out"),
    ("radio", r"adapter::|::recv_cb|tx_done_cb|syscall::"),
    ("node", r"::"),
    ("radio", r""),
]
# Whom a call through a pointer reaches.
REACHES = {
    "formatting": {"formatting"},
    "executor": {"task"},
    "dispatcher": {"radio"},
    "trap": {"trap", "handler", "dispatcher", "radio"},
    "radio": {"radio"},
}
REACHES_OTHERWISE = {"formatting", "node", "executor", "dispatcher"}

# How deep functions that call themselves may be in themselves, by the name of one of them.
RECURSION = [
    (r"core::panicking::|slice_error_fail", 2, "a panic while a panic is told"),
    (r"sort::.*(quicksort|median3_rec)", 8, "halves of lists of some dozens"),
    (r"^(_[ef]toa|ieee80211_\w+)$", 2, "the radio's library"),
]


class Function:
    """What is known of a function."""

    def __init__(self, start, end, name):
        self.start, self.end, self.name = start, end, name
        self.kind = next(kind for kind, pattern in KINDS if re.search(pattern, name))
        self.frame = 0
        self.calls = set()
        # Shared beginnings: what they save stays on the stack.
        self.prologues = set()
        self.calls_rom = False
        self.calls_pointer = False
        self.has_array = False


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def sections_of(elf):
    """Loaded sections: name to (start, end, is code)."""
    found = {}
    lines = run(OBJDUMP, "-h", elf).splitlines()
    for line, flags in zip(lines, lines[1:]):
        match = re.match(r"\s*\d+ (\S+)\s+([0-9a-f]{8})\s+([0-9a-f]{8})", line)
        if match and "ALLOC" in flags and "CONTENTS" in flags:
            start = int(match[3], 16)
            found[match[1]] = (start, start + int(match[2], 16), "CODE" in flags)
    return found


def functions_of(elf, sections):
    """Every function with its extent. What has no size, as assembly, goes on to the next one."""
    named = {}
    for line in run(OBJDUMP, "-t", "-C", elf).splitlines():
        match = re.match(r"([0-9a-f]{8}) (.{7}) (\S+)\t([0-9a-f]{8}) (?:\.hidden )?(.*)", line)
        if not match or not sections.get(match[3], (0, 0, False))[2]:
            continue
        start, size, name = int(match[1], 16), int(match[4], 16), match[5]
        if "F" not in match[2] and (size or name.startswith((".L", "$"))):
            continue
        known = named.get(start)
        if known is None or size > known[0]:
            named[start] = (size, name)
    ends = sorted(end for _, end, is_code in sections.values() if is_code)
    starts = sorted(named)
    functions = []
    for start, after in zip(starts, starts[1:] + [1 << 32]):
        size, name = named[start]
        section_end = next(end for end in ends if end > start)
        functions.append(Function(start, start + size if size else min(after, section_end), name))
    return functions


INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\t(\S+)\s*(.*)")
MEMORY = re.compile(r"(-?\d+)\((\w+)\)")
BRANCHES = {"beq", "bne", "blt", "bge", "bltu", "bgeu", "c.beqz", "c.bnez"}


def signed(value):
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


class Reader:
    """Reads the listing in order; knows constants in registers as long as nothing else was seen."""

    def __init__(self, functions):
        self.functions = functions
        self.starts = [function.start for function in functions]
        self.of_start = {function.start: function for function in functions}
        self.taken = set()
        self.now = None
        self.known = {}
        self.made_by = {}

    def at(self, address):
        index = bisect.bisect_right(self.starts, address) - 1
        if index < 0 or address >= self.functions[index].end:
            return None
        return self.functions[index]

    def read(self, elf):
        for line in run(OBJDUMP, "-d", "-M", "no-aliases", "--no-show-raw-insn", elf).splitlines():
            match = INSTRUCTION.match(line)
            if match:
                self.instruction(int(match[1], 16), match[2], match[3])

    def instruction(self, address, op, args):
        function = self.at(address)
        if function is not self.now:
            self.now, self.known, self.made_by = function, {}, {}
        if function is None:
            return
        args, _, note = args.partition("#")
        args = args.partition("<")[0]
        args = args.strip().split(",") if args.strip() else []
        target = re.match(r"\s*([0-9a-f]+)", note)
        target = int(target[1], 16) if target else None
        op = op.removeprefix("c.") if op not in BRANCHES else op
        if op in BRANCHES or op in ("j", "jal", "jalr", "jr"):
            self.flow(function, op, args, target)
            return
        if not args:
            return
        self.stack_pointer(function, op, args)
        self.constant(address, op, args, target)

    def flow(self, function, op, args, target):
        if op in ("jr", "jalr"):
            link, place = ("ra" if op == "jalr" else "zero", args[0]) if len(args) == 1 else (args[0], args[1])
            memory = MEMORY.match(place)
            register = memory[2] if memory else place
            if target is None and register in self.known:
                target = self.known[register] + (int(memory[1]) if memory else 0)
            if target is None:
                if link == "zero" and (register in ("ra", "t0") or self.is_table(function, register)):
                    return
                function.calls_pointer = True
                return
        else:
            match = re.match(r"([0-9a-f]+)", args[-1].strip())
            target = int(match[1], 16) if match else target
            link = args[0] if len(args) == 2 and op == "jal" else ("ra" if op == "jal" else "zero")
        if function.start <= target < function.end and not (target == function.start and link == "ra"):
            return
        callee = self.at(target)
        if callee is None:
            function.calls_rom = True
        elif link == "t0":
            function.prologues.add(callee)
        else:
            function.calls.add(callee)
        if link != "zero":
            # What a callee may spoil.
            self.known = {name: value for name, value in self.known.items() if name[0] == "s"}
            self.made_by = {}

    def is_table(self, function, register):
        """Whether the register was loaded from a place that was computed with an index: the jump of a `match`."""
        made = self.made_by.get(register)
        return function.kind != "trap" and made is not None and made[0] == "lw" and made[1] == "add"

    def stack_pointer(self, function, op, args):
        if args[0] != "sp" or op not in ("addi", "addi16sp", "add", "sub"):
            return
        if op in ("addi", "addi16sp"):
            source, value = ("sp", int(args[-1], 0)) if len(args) == 2 else (args[1], int(args[2], 0))
            if source == "sp" and value < 0:
                function.frame -= value
            return
        register = args[-1]
        value = self.known.get(register)
        if value is not None:
            function.frame -= min(signed(value if op == "add" else -value), 0)
        elif op == "sub":
            function.has_array = True

    def constant(self, address, op, args, target):
        register = args[0]
        value = None
        if op in ("sw", "sh", "sb", "swsp"):
            return
        if op == "lui":
            value = int(args[1], 0) << 12
        elif op == "auipc":
            value = address + (int(args[1], 0) << 12)
        elif op == "li":
            value = int(args[1], 0)
        elif op == "addi":
            source = args[1] if len(args) == 3 else register
            if source == "zero":
                value = int(args[-1], 0)
            elif source in self.known:
                value = self.known[source] + int(args[-1], 0)
            elif target is not None:
                value = target
        elif op == "mv" and args[1] in self.known:
            value = self.known[args[1]]
        elif op == "slli":
            # A frame of whole multiples of 256 bytes is made so.
            source = args[1] if len(args) == 3 else register
            if source in self.known:
                value = self.known[source] << int(args[-1], 0)
        made = (op, None)
        if op == "lw":
            memory = MEMORY.match(args[1])
            made = (op, self.made_by.get(memory[2], (None,))[0]) if memory else made
        self.made_by[register] = made
        if value is None:
            self.known.pop(register, None)
            return
        self.known[register] = value & 0xFFFFFFFF
        if self.known[register] in self.of_start and op != "auipc" and op != "lui":
            self.taken.add(self.known[register])


def taken_by_data(elf, sections, of_start):
    """Functions whose address stands in a word of data."""
    taken = set()
    for name in sections:
        data = bytearray()
        for line in run(OBJDUMP, "-s", "-j", name, elf).splitlines():
            match = re.match(r" [0-9a-f]+ ((?:[0-9a-f]+ ?){1,4}) ", line)
            if match:
                data += bytes.fromhex(match[1].replace(" ", ""))
        for at in range(0, len(data) - 3, 4):
            word = int.from_bytes(data[at : at + 4], "little")
            if word in of_start:
                taken.add(word)
    return taken


def strongly_connected(functions):
    """Groups of functions that reach one another by direct calls, callees first (Tarjan, without recursion)."""
    index, low, on, stack, groups = {}, {}, set(), [], []
    for root in functions:
        if root in index:
            continue
        work = [(root, iter(root.calls))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on.add(root)
        while work:
            node, callees = work[-1]
            for callee in callees:
                if callee not in index:
                    index[callee] = low[callee] = len(index)
                    stack.append(callee)
                    on.add(callee)
                    work.append((callee, iter(callee.calls)))
                    break
                if callee in on:
                    low[node] = min(low[node], index[callee])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        member = stack.pop()
                        on.discard(member)
                        group.append(member)
                        if member is node:
                            break
                    groups.append(group)
    return groups


def depth_of(group):
    """How often a group of functions that call one another may be on a path."""
    for pattern, depth, why in RECURSION:
        if any(re.search(pattern, function.name) for function in group):
            return depth, why
    names = ", ".join(function.name for function in group)
    sys.exit(f"these call themselves, and RECURSION does not say how often: {names}")


def frame_of(function):
    if function.has_array and function.kind != "radio":
        sys.exit(f"{function.name} has an array of unknown length")
    shared = sum(prologue.frame for prologue in function.prologues)
    return function.frame + shared + (ARRAY_FRAME if function.has_array else 0)


class Bounds:
    """The deepest stack from each function, for each number of calls through pointers that may still be on its path."""

    def __init__(self, functions, taken):
        self.notes = set()
        self.by_kind = {}
        for function in functions:
            # Formatting is reached by any formatter of its own text as well.
            if function.start in taken or function.kind in ("formatting", "task"):
                self.by_kind.setdefault(function.kind, []).append(function)
        self.rounds = []
        groups = strongly_connected(functions)
        for n_left in range(INDIRECT_MAX + 1):
            self.round(groups, n_left)

    def round(self, groups, n_left):
        bound, via = {}, {}
        for group in groups:
            own = sum(frame_of(function) for function in group)
            inside = set(group)
            if len(group) > 1 or group[0] in group[0].calls:
                depth, why = depth_of(group)
                own *= depth
                self.notes.add(f"{depth} deep: {why} ({min(function.name for function in group)}{', …' * (len(group) > 1)})")
            deepest, step = 0, None
            for function in group:
                if function.calls_rom:
                    deepest = max(deepest, ROM_FRAME)
                for callee in function.calls - inside:
                    if bound[callee] > deepest:
                        deepest, step = bound[callee], (callee, n_left)
                if function.calls_pointer and n_left:
                    callee = self.deepest_target(function, n_left - 1)
                    if callee and self.rounds[-1][0][callee] > deepest:
                        deepest, step = self.rounds[-1][0][callee], (callee, n_left - 1)
            for function in group:
                bound[function], via[function] = own + deepest, step
        targets = {}
        for kind, functions in self.by_kind.items():
            targets[kind] = max(functions, key=lambda function: bound[function])
        self.rounds.append((bound, via, targets))

    def deepest_target(self, function, n_left):
        """The deepest of the functions that a pointer of this one reaches."""
        bound, _, targets = self.rounds[n_left]
        kinds = REACHES.get(function.kind, REACHES_OTHERWISE)
        found = [targets[kind] for kind in kinds if kind in targets]
        return max(found, key=lambda target: bound[target], default=None)

    def of(self, function):
        return self.rounds[-1][0][function]

    def path(self, function):
        n_left = INDIRECT_MAX
        while function:
            yield function
            function, n_left = self.rounds[n_left][1][function] or (None, n_left)


def main():
    parser = argparse.ArgumentParser(
        description="An upper bound of the stack that an image of the node needs, from its machine code.",
        epilog="example: stack_bound.py target/esp32c3/node --interrupts 3 --max 163840",
    )
    parser.add_argument("elf", help="the linked image, with its symbols")
    parser.add_argument("--max", type=int, required=True, metavar="BYTES", help="fail above it")
    parser.add_argument("--interrupts", type=int, default=1, metavar="N", help="how many interrupt one another at most (1)")
    parser.add_argument("--measured", type=int, default=0, metavar="BYTES", help="fail when the bound is below what was seen")
    args = parser.parse_args()

    sections = sections_of(args.elf)
    functions = functions_of(args.elf, sections)
    reader = Reader(functions)
    reader.read(args.elf)
    taken = reader.taken | taken_by_data(args.elf, sections, reader.of_start)
    bounds = Bounds(functions, taken)

    roots = [function for function in functions if function.name == "_start_rust"]
    traps = [function for function in functions if function.kind in ("trap", "handler")]
    if not roots or not traps:
        sys.exit("no _start_rust, or no trap: is this an image of the node?")
    thread = bounds.of(roots[0])
    interrupt = max(map(bounds.of, traps))
    total = thread + args.interrupts * interrupt

    print(f"{len(functions)} functions, {len(taken)} of them with an address")
    print("deepest path, frames of 64 bytes and more:")
    for function in bounds.path(roots[0]):
        if function.frame >= 64:
            print(f"  {function.frame:6} {function.name}")
    for note in sorted(bounds.notes):
        print(note)
    print(
        f"stack at most {total} of {args.max} bytes: {thread} of the thread, {args.interrupts} x {interrupt} of interrupts"
        + (f"; seen {args.measured}" if args.measured else "")
    )
    if total < args.measured:
        print("the bound is below what was seen: it is none")
    sys.exit(not args.measured <= total <= args.max)


main()
