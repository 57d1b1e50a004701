"""A sink over TLS that only answers /ping: prints its port, keeps connections open, ends with its standard input."""

import http.server
import ssl
import sys
import threading


class Ping(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words):
        pass


port, certificate, key = sys.argv[1:]
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Ping)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
