"""A predictor on this machine for the service under test."""

import http.server
import json
import os
import threading
import urllib.request

ANSWER = b'[{"p_0":0.52,"p_1":0.48}]'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One segment: an answer in two would wait for an acknowledgement of the first.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


def serve(service):
    """Starts it and makes it the predictor of a service."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    configure(service, predictor=f"http://127.0.0.1:{server.server_port}/")


def configure(service, **settings):
    request = urllib.request.Request(
        f"{os.environ['EDGEQUEUE_URL']}/api/predict/{service}?_settings_=true",
        method="PUT",
        data=json.dumps(settings).encode(),
        headers={"Authorization": os.environ["EDGEQUEUE_TOKEN"]},
    )
    assert urllib.request.urlopen(request, timeout=30).read() == b"OK"
