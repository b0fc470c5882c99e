"""Serves a folder with ranges and counts the bytes of all bodies: serve.py DIR PORTFILE COUNTFILE"""
import http.server, os, re, sys
root, portfile, countfile = sys.argv[1:]
count = {"bytes": 0, "requests": 0}
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_GET(self):
        path = os.path.normpath(root + self.path.split("?")[0])
        count["requests"] += 1
        try:
            f = open(path, "rb")
            size = os.fstat(f.fileno()).st_size
        except OSError:
            self.send_response(404); self.send_header("Content-Length", "0"); self.end_headers(); self.save(); return
        a, b = 0, size - 1
        m = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
        if m:
            a = int(m[1]); b = min(int(m[2]) if m[2] else size - 1, size - 1)
            self.send_response(206); self.send_header("Content-Range", f"bytes {a}-{b}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(b - a + 1)); self.end_headers()
        f.seek(a); left = b - a + 1
        try:
            while left:
                piece = f.read(min(left, 1 << 16))
                self.wfile.write(piece); count["bytes"] += len(piece); left -= len(piece)
        except OSError: pass
        self.save()
    def save(self): open(countfile, "w").write(f"{count['bytes']} {count['requests']}\n")
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
open(portfile, "w").write(str(s.server_address[1]))
s.serve_forever()
