#!/usr/bin/env python3
"""The store beside VictoriaMetrics and InfluxDB 1.6 (Debian's packages): the same history in, the same questions over HTTP.

    tests/bench/store_peers.py [--series 1000] [--minutes 43200] [--jitter] [--rounds 5] [--giot FILE] [--json FILE]

`giot bench store --lines` makes the history. The peers take it as line protocol over HTTP; giot takes it through its store's own
door in durable commits of 1,000, because its ways in are MQTT and not bulk. Questions go over HTTP to all three: every reading of a
series, the series hour by hour, the latest of all. Sizes are of the data folder once nothing is compacted any more. Missing
packages are installed by name. Everything listens on 127.0.0.1 and ends with the run. Medians; ratios are what to quote.
"""

import argparse
import http.client
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
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
METRICS = ["soil_moisture", "soil_temperature", "air_temperature", "battery"]
FROM_S = 1_769_904_000  # gateway/store/src/bench/farm.rs
BODY_BYTES = 1 << 20
QUESTIONS = 21
PACKAGES = {"victoria-metrics": "victoria-metrics", "influxd": "influxdb"}


def install() -> None:
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if missing:
        run = lambda *command: subprocess.run(command, check=True, stdout=sys.stderr)
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def build() -> Path:
    command = ["cargo", "build", "--release", "-p", "giot-gateway", "--no-default-features"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
    return TARGET / "release" / "giot"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Server:
    """A store that answers HTTP, started in a folder of its own and ended by its pid."""

    def __init__(self, folder: Path, port: int, command: list, environment: dict | None = None):
        self.folder, self.port = folder, port
        self.log = open(folder.with_suffix(".log"), "w")
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdout=self.log,
            stderr=self.log,
            env={**os.environ, **(environment or {})},
        )
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.025)
        else:
            raise SystemExit(f"nothing listens on port {port}, see {self.log.name}")
        self.link = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.link.connect()
        self.link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        self.link.request(method, path, body)
        answer = self.link.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {data[:200]!r}")
        return data

    def ask(self, path: str) -> tuple[float, bytes]:
        began = time.perf_counter()
        data = self.request("GET", path)
        return (time.perf_counter() - began) * 1000, data

    def rss_peak_mib(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return float("nan")

    def stop(self) -> None:
        self.link.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def load(self, lines: Path, path: str) -> float:
        """Sends line protocol in bodies of about a megabyte; seconds until all were taken."""
        began = time.perf_counter()
        with open(lines, "rb", buffering=0) as source:
            rest = b""
            while piece := source.read(BODY_BYTES):
                body, newline, after = (rest + piece).rpartition(b"\n")
                self.request("POST", path, body + newline)
                rest = after
        return time.perf_counter() - began

    def wait_until_still(self) -> None:
        """Until the size of the folder has not changed for some seconds."""
        size, since = -1, time.monotonic()
        while time.monotonic() - since < 8:
            now = folder_bytes(self.folder)
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.5)


def victoria(folder: Path, lines: Path, load: dict) -> dict:
    port = free_port()
    command = ["victoria-metrics", f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}"]
    command += ["-retentionPeriod=100y", "-search.latencyOffset=0s", "-search.disableCache", "-loggerLevel=ERROR"]
    server = Server(folder, port, command)
    insert_s = server.load(lines, "/write?precision=ms")
    for path in ["/internal/force_flush", "/internal/force_merge"]:
        server.request("GET", path)
    server.wait_until_still()
    end_s = FROM_S + load["minutes"] * 60
    span = f"start={FROM_S}&end={end_s}"
    name = lambda device, metric: urllib.parse.quote(f'farm_{metric}{{device="{device}"}}')
    every = urllib.parse.quote('{__name__=~"farm_.*"}')
    figures = questions(
        load,
        lambda device, metric: server.ask(f"/api/v1/export?match[]={name(device, metric)}&{span}"),
        lambda device, metric: server.ask(
            f"/api/v1/query_range?query=avg_over_time({name(device, metric)}%5B1h%5D)&{span}&step=3600"
        ),
        lambda: server.ask(f"/api/v1/query?query={every}&time={end_s}"),
        lambda data: len(json.loads(data)["values"]),
        lambda data: len(json.loads(data)["data"]["result"][0]["values"]),
        lambda data: len(json.loads(data)["data"]["result"]),
    )
    return ended(server, insert_s, figures, load)


def influx(folder: Path, lines: Path, load: dict) -> dict:
    port, rpc = free_port(), free_port()
    environment = {
        "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
        "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{rpc}",
        "INFLUXDB_META_DIR": str(folder / "meta"),
        "INFLUXDB_DATA_DIR": str(folder / "data"),
        "INFLUXDB_DATA_WAL_DIR": str(folder / "wal"),
        "INFLUXDB_DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "3s",
        "INFLUXDB_DATA_COMPACT_FULL_WRITE_COLD_DURATION": "3s",
        "INFLUXDB_REPORTING_DISABLED": "true",
        "INFLUXDB_MONITOR_STORE_ENABLED": "false",
        "INFLUXDB_HTTP_LOG_ENABLED": "false",
        "INFLUXDB_DATA_QUERY_LOG_ENABLED": "false",
    }
    (folder.parent / "influx.conf").write_text("[meta]\n")
    server = Server(folder, port, ["influxd", "-config", folder.parent / "influx.conf"], environment)
    query = lambda text: "/query?db=farm&epoch=ms&q=" + urllib.parse.quote(text)
    server.request("POST", query("CREATE DATABASE farm"))
    insert_s = server.load(lines, "/write?db=farm&precision=ms")
    server.wait_until_still()
    of = lambda device: f"FROM farm WHERE device='{device}'"
    rows = lambda data: sum(len(series["values"]) for series in json.loads(data)["results"][0]["series"])
    hours = lambda device: f"{of(device)} AND time >= {FROM_S}s AND time < {FROM_S + load['minutes'] * 60}s GROUP BY time(1h)"
    last = ", ".join(f"last({metric})" for metric in METRICS)
    figures = questions(
        load,
        lambda device, metric: server.ask(query(f"SELECT {metric} {of(device)}")),
        lambda device, metric: server.ask(query(f"SELECT mean({metric}) {hours(device)}")),
        lambda: server.ask(query(f"SELECT {last} FROM farm GROUP BY device")),
        rows,
        rows,
        lambda data: rows(data) * len(METRICS),
    )
    return ended(server, insert_s, figures, load)


def giot(program: Path, folder: Path, load: dict) -> dict:
    command = [program, "bench", "store", "--json", "--data", folder, "--series", load["series"]]
    command += ["--minutes", load["minutes"], "--seed", load["seed"]] + (["--jitter"] if load["jitter"] else [])
    out = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
    bench = json.loads(out.strip().splitlines()[-1])
    port = free_port()
    command = [program, "serve", "--data", folder, "--http", f"127.0.0.1:{port}", "--mqtt", "127.0.0.1:0", "--anonymous"]
    server = Server(folder, port, command, {"GIOT_LOG": "warn"})
    span = f"from={FROM_S * 1000}&to={(FROM_S + load['minutes'] * 60) * 1000}"
    path = lambda device, metric: f"/api/v1/series/{device}/{metric}"
    figures = questions(
        load,
        lambda device, metric: server.ask(f"{path(device, metric)}/samples?{span}"),
        lambda device, metric: server.ask(f"{path(device, metric)}/spans?{span}&step_s=3600"),
        lambda: server.ask("/api/v1/latest"),
        lambda data: len(json.loads(data)["samples"]),
        lambda data: len(json.loads(data)["spans"]),
        lambda data: len(json.loads(data)),
    )
    figures = ended(server, bench["insert_s"], figures, load)
    inside = {f"{key}_inside": bench[key] for key in ["raw_ms", "hourly_ms", "last_ms"]}
    more = {"bytes_per_sample": bench["bytes_per_sample"], "compact_s": bench["compact_s"]}
    return {**figures, **inside, **more, "rss_load_mib": bench["rss_peak_mib"]}


def questions(load: dict, raw, hourly, last, n_raw, n_hourly, n_last) -> dict:
    """Median times; each kind of answer must be as long as what was written."""
    times: dict = {"raw_ms": [], "hourly_ms": [], "last_ms": []}
    n_devices = load["series"] // len(METRICS)
    for number in range(QUESTIONS):
        device, metric = f"bench-{number * 7919 % n_devices:05}", METRICS[number % len(METRICS)]
        answers = {"raw_ms": raw(device, metric), "hourly_ms": hourly(device, metric), "last_ms": last()}
        for key, (spent, _) in answers.items():
            times[key].append(spent)
    counts = [count(answers[key][1]) for count, key in zip([n_raw, n_hourly, n_last], answers)]
    hours = load["minutes"] // 60
    if counts[0] != load["minutes"] or abs(counts[1] - hours) > 1 or counts[2] != load["series"]:
        raise SystemExit(f"answers of {counts}, written {load['minutes']} minutes, {load['series']} series")
    return {key: statistics.median(spent) for key, spent in times.items()}


def ended(server: Server, insert_s: float, figures: dict, load: dict) -> dict:
    n_samples = load["series"] * load["minutes"]
    rss = server.rss_peak_mib()
    server.stop()
    size = folder_bytes(server.folder)
    shutil.rmtree(server.folder)
    sizes = {"bytes_per_sample": size / n_samples, "insert_per_s": n_samples / insert_s, "rss_serve_mib": rss}
    return {**sizes, **figures}


def medians(rounds: list[dict]) -> dict:
    return {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=43_200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jitter", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--giot", type=Path, metavar="FILE", help="the program; built when not given")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.series % len(METRICS):
        parser.error(f"--series: a multiple of {len(METRICS)}, the probes of a device")
    load = {key: getattr(arguments, key) for key in ["series", "minutes", "seed", "jitter"]}
    install()
    program = (arguments.giot or build()).resolve()
    TARGET.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="giot-store-peers-", dir=TARGET))
    try:
        lines = home / "farm.txt"
        words = [f"--{key}={load[key]}" for key in ["series", "minutes", "seed"]] + ["--jitter"] * load["jitter"]
        with open(lines, "wb") as out:
            subprocess.run([str(program), "bench", "store", "--lines", *words], check=True, stdout=out)
        rounds: dict = {"giot": [], "victoria": [], "influx": []}
        for number in range(arguments.rounds):
            for kind, figures in rounds.items():
                print(f"round {number + 1}: {kind}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
                folder = home / f"{kind}-{number}"
                folder.mkdir()
                if kind == "giot":
                    figures.append(giot(program, folder, load))
                else:
                    figures.append({"victoria": victoria, "influx": influx}[kind](folder, lines, load))
                print(f"  {json.dumps(figures[-1])}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(home)
    figures = {kind: medians(results) for kind, results in rounds.items()}
    shared = ["bytes_per_sample", "insert_per_s", "raw_ms", "hourly_ms", "last_ms", "rss_serve_mib"]
    ratios = {
        f"giot : {peer}": {key: round(figures["giot"][key] / figures[peer][key], 3) for key in shared}
        for peer in ["victoria", "influx"]
    }
    text = json.dumps({"load": load, "figures": figures, "ratios": ratios}, indent=1)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
