"""The official client imports here and builds a queue client for this service. SKELETON: verbs follow with the queue."""

import os
from urllib.parse import urlparse

from eas_prediction import QueueClient

endpoint = urlparse(os.environ["EDGEQUEUE_URL"]).netloc
client = QueueClient(endpoint, "sdk")
client.set_token(os.environ["EDGEQUEUE_TOKEN"])
client.init()
print("sdk: the client is ready")
