"""The official client's own tests, unmodified, against this service.

They are `eas_prediction/test_queue_client.py` as it is in the installed package; only its constants (address, names,
token) are set from outside.
"""

import os
import unittest
from urllib.parse import urlparse

import predictor
from eas_prediction import test_queue_client as official

EXPECTED = 9

official.QueueEndpoint = urlparse(os.environ["EDGEQUEUE_URL"]).netloc
official.QueueName = "test_group.qservice"
official.SinkQueueName = "test_group.qservice/sink"
official.QueueToken = os.environ["EDGEQUEUE_TOKEN"]

# Two of them need a model behind the queue: they put on the input and wait for results on the sink.
predictor.serve(official.QueueName)

names = unittest.TestLoader().getTestCaseNames(official.QueueClientTestCase)
assert len(names) == EXPECTED, names
suite = unittest.TestSuite(official.QueueClientTestCase(name) for name in names)
result = unittest.TextTestRunner(verbosity=2).run(suite)
assert result.testsRun == EXPECTED and not result.skipped
raise SystemExit(0 if result.wasSuccessful() else 1)
