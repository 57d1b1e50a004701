"""An independent MQTT client, as a farm's own script would use one: prints one line of JSON per question asked of it.

Called by tests/it/clients.rs: paho_client.py HOST PORT USER PASSWORD VERSION OWN FOREIGN, where OWN and FOREIGN are device
ids. It must not judge: it reports what the broker did, the test decides.
"""

import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

PATIENCE_S = 20
PREFIX = "giot/v1"


class Session:
    """One connection; every packet it waits for has a bound."""

    def __init__(self, host, port, user, password, version):
        protocol = mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="", protocol=protocol)
        self.client.username_pw_set(user, password)
        self.changed = threading.Condition()
        self.connack = None
        self.is_gone = False
        self.subacks = {}
        self.pubacks = {}
        self.messages = []
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self._set("connack", reason.value)
        self.client.on_disconnect = lambda *_: self._set("is_gone", True)
        self.client.on_subscribe = lambda _c, _u, mid, reasons, _p: self._put(
            self.subacks, mid, reasons[0].value
        )
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self._put(self.pubacks, mid, reason.value)
        self.client.on_message = lambda _c, _u, message: self._hear(message)
        self.client.connect(host, port)
        self.client.loop_start()
        self._wait(lambda: self.connack is not None or self.is_gone)

    def _set(self, name, value):
        with self.changed:
            setattr(self, name, value)
            self.changed.notify_all()

    def _put(self, table, key, value):
        with self.changed:
            table[key] = value
            self.changed.notify_all()

    def _hear(self, message):
        with self.changed:
            self.messages.append([message.topic, message.payload.decode("utf-8", "replace")])
            self.changed.notify_all()

    def _wait(self, condition):
        with self.changed:
            return self.changed.wait_for(condition, PATIENCE_S)

    def subscribe(self, topic):
        """The SUBACK's code; "gone" when the broker hung up instead, "silent" when nothing came."""
        _, mid = self.client.subscribe(topic, qos=1)
        self._wait(lambda: mid in self.subacks or self.is_gone)
        return self.subacks.get(mid, "gone" if self.is_gone else "silent")

    def publish(self, topic, payload):
        """The PUBACK's code, which MQTT 3.1.1 always makes 0; else as `subscribe`."""
        mid = self.client.publish(topic, payload, qos=1).mid
        self._wait(lambda: mid in self.pubacks or self.is_gone)
        return self.pubacks.get(mid, "gone" if self.is_gone else "silent")

    def heard(self, count):
        self._wait(lambda: len(self.messages) >= count)
        return list(self.messages)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def main():
    host, port, user, password, version, own, foreign = sys.argv[1:]
    port = int(port)
    report = {}

    wrong = Session(host, port, user, "wrong", version)
    report["connect_wrong"] = wrong.connack
    wrong.close()

    session = Session(host, port, user, password, version)
    report["connect"] = session.connack
    report["subscribe_own"] = session.subscribe(f"{PREFIX}/{own}/down")
    report["publish_own"] = session.publish(
        f"{PREFIX}/{own}/json", json.dumps({"ts": 1700000000 + int(version), "paho": int(version)})
    )
    session.close()

    # A refusal may cost the connection: a fresh one for each.
    for name, topic in [
        ("foreign", f"{PREFIX}/{foreign}/down"),
        ("all", "#"),
        ("prefix", f"{PREFIX}/#"),
        ("any", f"{PREFIX}/+/up"),
        ("system", "$SYS/#"),
    ]:
        session = Session(host, port, user, password, version)
        report[f"subscribe_{name}"] = session.subscribe(topic)
        session.close()
    for name, topic in [
        ("foreign", f"{PREFIX}/{foreign}/json"),
        ("foreign_down", f"{PREFIX}/{foreign}/down"),
        ("own_down", f"{PREFIX}/{own}/down"),
        ("elsewhere", "somewhere/else"),
    ]:
        session = Session(host, port, user, password, version)
        report[f"publish_{name}"] = session.publish(topic, '{"ts":1700000000,"forged":1}')
        session.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
