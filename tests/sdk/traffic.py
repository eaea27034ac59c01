"""2,000 entries put by one official client while another watches and commits: nothing lost, nothing twice, in order."""

import os
import threading
import time
from urllib.parse import urlparse

from eas_prediction import QueueClient

COUNT = 2000
PATIENCE_S = 120


def client(user):
    made = QueueClient(urlparse(os.environ["EDGEQUEUE_URL"]).netloc, "traffic")
    made.set_token(os.environ["EDGEQUEUE_TOKEN"])
    made.set_timeout(30000)
    made.init(uid=user, gid="traffic")
    return made


producer, consumer = client("producer"), client("consumer")
sent, received = {}, []
watcher = consumer.watch(0, 20, auto_commit=False)


def consume():
    for frame in watcher.run():
        received.append((frame.index, frame.tags["requestId"], frame.data.decode()))
        consumer.commit(frame.index)
        if len(received) == COUNT:
            break


began = time.monotonic()
thread = threading.Thread(target=consume, daemon=True)
thread.start()
for i in range(COUNT):
    index, request_id = producer.put(f"entry {i}")
    assert request_id not in sent
    sent[request_id] = (int(index), f"entry {i}")
thread.join(PATIENCE_S)
assert not thread.is_alive(), f"only {len(received)} of {COUNT} entries came within {PATIENCE_S} s"
time.sleep(0.5)
watcher.close()

assert len(received) == len(sent) == COUNT, (len(received), len(sent))
assert {request_id: (index, data) for index, request_id, data in received} == sent
indexes = [index for index, _, _ in received]
assert indexes == sorted(set(indexes)), "not in the order of the puts"
attributes = consumer.attributes()
assert attributes["stream.length"] == "0", attributes
seconds = time.monotonic() - began
print(f"sdk: {COUNT} entries put, watched and committed in {seconds:.1f} s: nothing lost, nothing twice")
