"""Runs a client against the sandbox through a recorder: python3 record.py <name> <command...>

The recorder stands 100 ports above the sandbox, forwards every call as it came and keeps it with its answer in
recorded/<name>.json when the client ended well.
"""
import http.client
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

port = int(os.environ["PORT"])
providers = {"stripe": 1, "ups": 2, "ses": 3}
calls = []
lock = threading.Lock()
# What the answer may depend on; the clients' own telemetry stays out.
kept_headers = ("authorization", "content-type", "host", "idempotency-key", "stripe-version", "content-length")


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def forward(self):
        at = time.time()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection("127.0.0.1", port + providers[self.server.provider], timeout=30)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "keep-alive"):
                connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        content = answer.read()
        with lock:
            headers = [(n, v) for n, v in self.headers.items() if n.lower() not in ("user-agent", "accept-encoding")]
            if self.server.provider != "ses":  # a signature covers more of them
                headers = [(n, v) for n, v in headers if n.lower() in kept_headers]
            calls.append({
                "provider": self.server.provider, "at_ms": int(at * 1000), "method": self.command,
                "target": self.path, "headers": {n: v for n, v in headers}, "body": body.decode(),
                "status": answer.status, "answer": content.decode(),
            })
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = forward

    def log_message(self, *_):
        pass


for name, offset in providers.items():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port + 100 + offset), Recorder)
    server.provider = name
    threading.Thread(target=server.serve_forever, daemon=True).start()

name, command = sys.argv[1], sys.argv[2:]
control = http.client.HTTPConnection("127.0.0.1", port)
control.request("POST", "/reset")  # each recording begins with nothing
control.getresponse().read()
status = subprocess.call(command)
if status == 0:
    path = pathlib.Path(__file__).parent / "recorded" / f"{name}.json"
    path.write_text("[\n" + ",\n".join(json.dumps(call, ensure_ascii=False, sort_keys=True) for call in calls) + "\n]\n")
    print(f"{name}: {len(calls)} calls kept in {path}")
else:
    print(f"{name}: failed")
sys.exit(status)
