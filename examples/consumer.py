"""An inference server of your own: takes requests from the input queue of a service and puts results into its sink.

    pip install eas-prediction==0.36
    python examples/consumer.py --url http://127.0.0.1:8787 --token dev-token --service demo

Start as many as you like. Each is given at most `--window` requests at a time. What one of them held when it was killed
goes to the others, and a result that was stored just before is not stored again.
"""

import argparse
import json
import socket
import os
import urllib.parse
import urllib.request

from eas_prediction import QueueClient


def infer(data):
    """Your model. What it raises is told to the caller; the request is tried again, by default five times in all."""
    return json.dumps({"length": len(data)}).encode()


def result_tags(tags):
    """The caller finds its result by these. `_once_`: the sink stores one result with this request id, not two."""
    about_the_request = ("Header:", "Path", "callback", "lastCode", "lastReason")
    kept = {key: value for key, value in tags.items() if not key.startswith(about_the_request)}
    return {**kept, "_once_": "true"}


def reject(arguments, user, index, reason):
    """A negative commit, which the client of the vendor does not have: the request is tried again in five seconds."""
    query = urllib.parse.urlencode({"_indexes_": index, "_negative_": "true", "_delay_": "5s"})
    request = urllib.request.Request(
        f"{arguments.url}/api/predict/{arguments.service}?{query}",
        method="PUT",
        data=urllib.parse.urlencode({"_code_": "500", "_reason_": reason}).encode(),
        headers={
            "Authorization": arguments.token,
            "X-EAS-QueueService-Uid": user,
            "X-EAS-QueueService-Gid": arguments.service,
        },
    )
    urllib.request.urlopen(request, timeout=30).read()


def work(arguments, infer=infer):
    """Works requests off until it is ended. The order is what makes it safe: result first, then commit."""

    def client(name):
        made = QueueClient(urllib.parse.urlparse(arguments.url).netloc, name)
        made.set_token(arguments.token)
        made.set_timeout(30000)
        # All consumers of a service are one group, named like it: each request goes to one of them.
        made.init(uid=arguments.user, gid=arguments.service)
        return made

    requests, sink = client(arguments.service), client(f"{arguments.service}/sink")
    for frame in requests.watch(0, arguments.window, auto_commit=False).run():
        try:
            result = infer(frame.data)
        except Exception as error:
            reject(arguments, arguments.user, frame.index, str(error))
            continue
        if result:
            sink.put(result, result_tags(frame.tags))
        requests.commit(frame.index)


def arguments():
    parser = argparse.ArgumentParser(description="Works the input queue of a service off.")
    parser.add_argument("--url", default=os.environ.get("EDGEQUEUE_URL", "http://127.0.0.1:8787"))
    parser.add_argument("--token", default=os.environ.get("EDGEQUEUE_TOKEN", "dev-token"))
    parser.add_argument("--service", default="demo")
    parser.add_argument("--window", type=int, default=5, help="requests at a time")
    parser.add_argument("--user", default=f"{socket.gethostname()}-{os.getpid()}", help="different for each consumer")
    return parser.parse_args()


if __name__ == "__main__":
    work(arguments())
