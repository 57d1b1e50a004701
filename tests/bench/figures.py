#!/usr/bin/env python3
"""First figures: the gateway beside a durable floor and Mosquitto alone, in the same run on the same machine.

    tests/bench/figures.py --loadgen FOLDER [--rounds 3] [--json FILE]

FOLDER holds the source of `loadgen` (QoS 1 publisher, rule probe, `durable` floor). Everything listens on 127.0.0.1 and
ends with the run. Medians of the rounds; ratios are what to quote, the machine's load changes the rest.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def build(folder: Path) -> tuple[Path, Path]:
    """The gateway (without its page) and the load generator, both optimised."""
    source = Path(tempfile.gettempdir()) / f"giot-loadgen-{os.getuid()}"
    shutil.copytree(folder, source, dirs_exist_ok=True)
    own = {**os.environ, "CARGO_TARGET_DIR": str(TARGET / "loadgen")}
    run = lambda *command, **more: subprocess.run(command, check=True, stdout=sys.stderr, **more)
    run("cargo", "build", "--release", "--manifest-path", str(source / "Cargo.toml"), env=own)
    run("cargo", "build", "--release", "-p", "giot-gateway", "--no-default-features", cwd=ROOT)
    return TARGET / "release" / "giot", TARGET / "loadgen" / "release" / "loadgen"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int) -> None:
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.025)
    raise SystemExit(f"nothing listens on port {port}")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def rss_mib(pid: int, key: str = "VmRSS") -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return float("nan")


class Server:
    """One of the three: started in a folder of its own, ended by its pid."""

    def __init__(self, kind: str, giot: Path, loadgen: Path, config: str = ""):
        self.folder = Path(tempfile.mkdtemp(prefix=f"giot-bench-{kind}-", dir=TARGET))
        self.port = free_port()
        address = f"127.0.0.1:{self.port}"
        began = time.monotonic()
        if kind == "giot":
            command = [giot, "serve", "--data", self.folder, "--http", "127.0.0.1:0", "--mqtt", address, "--anonymous"]
            if config:
                (self.folder / "bench.toml").write_text(config)
                command += ["--config", self.folder / "bench.toml"]
        elif kind == "mosquitto":
            (self.folder / "m.conf").write_text(
                f"per_listener_settings false\nlistener {self.port} 127.0.0.1\nallow_anonymous true\n"
                f"set_tcp_nodelay true\npersistence true\npersistence_location {self.folder}/\n"
                "autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0\nuser root\n"
            )
            command = ["mosquitto", "-c", self.folder / "m.conf"]
        else:
            command = [loadgen, "durable", f"addr={address}", f"log={self.folder}/log"]
        self.log = open(self.folder / "log.txt", "w")
        environment = {**os.environ, "GIOT_LOG": "warn", "PATH": os.environ["PATH"] + ":/usr/sbin"}
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=self.log, env=environment
        )
        wait_for_port(self.port)
        self.first_stored_s = None
        if kind == "giot":
            publish_one(self.port)
            self.first_stored_s = time.monotonic() - began

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def publish(port: int, messages: list[tuple[bytes, bytes]]) -> None:
    """QoS 1 messages (topic, payload) by hand: connect, publish, wait for each PUBACK."""
    text = lambda value: len(value).to_bytes(2, "big") + value
    packet = lambda kind, body: bytes([kind, len(body)]) + body
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(packet(0x10, text(b"MQTT") + bytes([4, 2, 0, 60]) + text(b"first")))
        assert link.recv(4)[:1] == b"\x20"
        for topic, payload in messages:
            link.sendall(packet(0x32, text(topic) + b"\x00\x01" + payload))
            assert link.recv(4)[:1] == b"\x40"


def publish_one(port: int) -> None:
    publish(port, [(b"giot/v1/first/json", b'{"x":1}')])


# A node's Hello (shared/giot.cddl): nonce 1, epoch 1, uptime 1 s, nothing released, power on, one closed valve.
HELLO = bytes.fromhex("a2000101a900010101021903e803000400050006010765") + b"bench" + bytes.fromhex("0881a3000001f40300")


def stand_in(port: int, nodes: list[str]) -> None:
    """Says Hello for each node and obeys the Close that follows: a valve of unknown state is watered by nobody."""
    text = lambda value: len(value).to_bytes(2, "big") + value
    packet = lambda kind, body: bytes([kind, len(body)]) + body
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = link.makefile("rb")

        def receive() -> tuple[int, bytes]:
            kind, length, shift = stream.read(1)[0], 0, 0
            while True:
                byte = stream.read(1)[0]
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return kind, stream.read(length)

        link.sendall(packet(0x10, text(b"MQTT") + bytes([4, 2, 0, 60]) + text(b"stand-in")))
        link.sendall(packet(0x82, b"\x00\x09" + text(b"giot/v1/+/down") + b"\x00"))
        for node in nodes:
            up = text(f"giot/v1/{node}/up".encode())
            link.sendall(packet(0x32, up + b"\x00\x01" + HELLO))
            command = None
            while command is None:
                kind, body = receive()
                if kind & 0xF0 == 0x30 and node.encode() in body and (at := body.find(b"\x05\xa2\x00")) > 0:
                    command = cbor_uint(body[at + 3 :])
            answer = b"\xa2\x00\x01\x03\xa2\x00" + command + b"\x02\x19\x03\xe9"
            link.sendall(packet(0x32, up + b"\x00\x02" + answer))


def cbor_uint(data: bytes) -> bytes:
    """The encoded unsigned integer at the head of `data`."""
    return data[: 1 + {24: 1, 25: 2, 26: 4, 27: 8}.get(data[0], 0)]


def load(loadgen: Path, mode: str, **words) -> dict:
    command = [str(loadgen), mode] + [f"{key}={value}" for key, value in words.items()]
    out = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if out.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {out.stderr}")
    return json.loads(out.stdout.strip().splitlines()[-1])


def flood(kind: str, giot: Path, loadgen: Path, devices: int, inflight: int, count: int) -> dict:
    server = Server(kind, giot, loadgen)
    pid = server.process.pid
    time.sleep(1)
    idle = rss_mib(pid)
    before = cpu_s(pid)
    words = dict(addr=f"127.0.0.1:{server.port}", devices=devices, conns=devices, inflight=inflight, count=count)
    result = load(loadgen, "pub", prefix="giot/v1", suffix="json", **words)
    figures = {
        "msgs_per_s": result["msgs_per_s"],
        "acked": result["acked"],
        "cpu_s_per_100k": (cpu_s(pid) - before) / count * 100_000,
        "rss_idle_mib": idle,
        "rss_peak_mib": rss_mib(pid, "VmHWM"),
        "first_stored_s": server.first_stored_s,
    }
    if result["acked"] != count:
        raise SystemExit(f"{kind}: {result['acked']} of {count} acknowledged")
    server.stop()
    if kind == "giot":
        figures["kept"] = kept(giot, server.folder, devices)
        if figures["kept"] != count:
            raise SystemExit(f"giot acknowledged {count} messages and kept {figures['kept']}")
        size = sum(file.stat().st_size for file in server.folder.glob("giot.sqlite*"))
        # Six values a message: seq, soil_moisture, soil_temp, battery, valve, flow.
        figures["bytes_per_reading"] = size / (count * 6)
    shutil.rmtree(server.folder)
    return figures


def kept(giot: Path, folder: Path, devices: int) -> int:
    total = 0
    for device in range(devices):
        command = [str(giot), "export", "--data", str(folder), "--device", f"d{device:05}", "--metric", "seq"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        total += out.count("\n") - 1
    return total


def latency(kind: str, giot: Path, loadgen: Path) -> dict:
    server = Server(kind, giot, loadgen)
    words = dict(addr=f"127.0.0.1:{server.port}", devices=100, conns=100, inflight=20, count=3000, rate=200)
    result = load(loadgen, "pub", prefix="giot/v1", suffix="json", **words)
    server.stop()
    shutil.rmtree(server.folder)
    return {"durable_p50_us": result["puback_p50_us"], "durable_p99_us": result["puback_p99_us"]}


def rule(giot: Path, loadgen: Path, n_zones: int = 1000) -> dict:
    """Publish a dry reading, wait for the Open on the valve's topic; each zone decides once."""
    nodes = [f"d{zone:05}" for zone in range(n_zones)]
    config = "".join(
        f'[[source]]\nid = "s{zone}"\n[[zone]]\nid = "z{zone}"\nsource = "s{zone}"\nvalve = {{ node = "{node}" }}\n'
        f'probes = [{{ device = "{node}", metric = "soil_moisture" }}]\n'
        "start_below_percent = 20\nstop_above_percent = 30\n"
        for zone, node in enumerate(nodes)
    )
    server = Server("giot", giot, loadgen, config)
    for node in nodes:
        command = [str(giot), "node", "add", "--data", str(server.folder), "--keep-key", node]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    # The registry is read at the start; the zones decide in the second life.
    command = [giot, "serve", "--data", server.folder, "--http", "127.0.0.1:0", "--mqtt", f"127.0.0.1:{server.port}"]
    command += ["--anonymous", "--config", server.folder / "bench.toml"]
    server.process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=server.log, env={**os.environ, "GIOT_LOG": "error"}
    )
    wait_for_port(server.port)
    stand_in(server.port, nodes)
    words = dict(addr=f"127.0.0.1:{server.port}", devices=n_zones, n=n_zones, rate=200, prefix="giot/v1")
    result = load(loadgen, "rule", suffix="json", cmdsuffix="down", **words)
    server.stop()
    shutil.rmtree(server.folder)
    return {"rule_p50_us": result["rule_p50_us"], "rule_p99_us": result["rule_p99_us"], "missed": result["missed"]}


def medians(rounds: list[dict]) -> dict:
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0] if rounds[0][key] is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loadgen", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    giot, loadgen = build(arguments.loadgen)
    shapes = {"100x20": (100, 20, 200_000), "1000x1": (1000, 1, 100_000)}
    kinds = ["durable", "mosquitto", "giot"]
    figures: dict = {}
    for name, shape in shapes.items():
        rounds: dict = {kind: [] for kind in kinds}
        for number in range(arguments.rounds):
            for kind in kinds:
                print(f"{name} round {number + 1}: {kind}", file=sys.stderr, flush=True)
                rounds[kind].append(flood(kind, giot, loadgen, *shape))
        figures[name] = {kind: medians(rounds[kind]) for kind in kinds}
    print("latency at 200/s", file=sys.stderr, flush=True)
    figures["latency"] = {kind: latency(kind, giot, loadgen) for kind in ["durable", "giot"]}
    print("rule", file=sys.stderr, flush=True)
    figures["rule"] = rule(giot, loadgen)
    text = json.dumps(figures, indent=1)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
