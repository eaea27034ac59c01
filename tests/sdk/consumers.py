"""Two of the consumers in examples/, one killed with SIGKILL in the middle: every request has its result, exactly once.

Started with `work` it is one of the consumers: the example with a model that takes its time.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from urllib.parse import urlparse

from eas_prediction import QueueClient

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
import consumer

COUNT = 300
SERVICE = "consumers"
PATIENCE_S = 120


def client(name):
    made = QueueClient(urlparse(os.environ["EDGEQUEUE_URL"]).netloc, name)
    made.set_token(os.environ["EDGEQUEUE_TOKEN"])
    made.set_timeout(30000)
    made.init(uid="test", gid=SERVICE)
    return made


def slow_model(data):
    time.sleep(0.01)
    if data == b"entry 7" and not os.environ.get("FAILED"):
        os.environ["FAILED"] = "once"
        raise ValueError("a failure that is tried again")
    return consumer.infer(data)


def start(user):
    program = [sys.executable, __file__, "--service", SERVICE, "--window", "5", "--user", user]
    return subprocess.Popen(program, env={**os.environ, "EDGEQUEUE_CONSUMER": "1"})


if os.environ.get("EDGEQUEUE_CONSUMER"):
    consumer.work(consumer.arguments(), slow_model)
    raise SystemExit

requests, sink = client(SERVICE), client(f"{SERVICE}/sink")
consumers = [start("first"), start("second")]
try:
    expected = {}
    for number in range(COUNT):
        data = f"entry {number}"
        _, request_id = requests.put(data, {"task": str(number)})
        expected[request_id] = (str(number), {"length": len(data)})

    def stored():
        return int(sink.attributes()["stream.length"])

    def wait_for(count):
        until = time.monotonic() + PATIENCE_S
        while stored() < count:
            assert time.monotonic() < until, f"only {stored()} of {COUNT} results are there"
            time.sleep(0.05)

    wait_for(COUNT // 4)
    consumers[0].send_signal(signal.SIGKILL)
    killed_at = stored()
    assert killed_at < COUNT, "it was killed too late to prove anything"
    wait_for(COUNT)
    until = time.monotonic() + PATIENCE_S
    while int(requests.attributes()["stream.length"]) > 0:
        assert time.monotonic() < until, "not everything was committed"
        time.sleep(0.05)

    frames = sink.get(length=COUNT * 2, timeout="0s", auto_delete=False)
    results = {frame.tags["requestId"]: (frame.tags["task"], json.loads(frame.data)) for frame in frames}
    assert len(frames) == COUNT, f"{len(frames)} results of {COUNT} requests"
    assert results == expected
    print(f"sdk: two consumers, one killed after {killed_at} of {COUNT} results: every result is there, none twice")
finally:
    for each in consumers:
        each.kill()
        each.wait()
