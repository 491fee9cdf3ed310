#!/usr/bin/env python3
"""A client for hobnob servers in Python's standard library alone, written from docs/PROTOCOL.md.

`hobnob_client.py ADDRESS [MESSAGE...]` sends the messages, or the lines of standard input, to an echo server and prints
what comes back. As a module: connect(), then send() and receive()."""
import argparse, contextlib, errno, os, pathlib, re, secrets, select, socket, stat, struct, sys, time, zlib

HEADER, TERMS = struct.Struct("<IBBH"), struct.Struct("<6sH16sIBQ")
DATA, GOODBYE, HELLO, VERDICT, READY, STALE_FILE, CROWDED = 1, 2, 7, 8, 9, 6, 15
REASONS = ("", "another version", "another transport", "another schema", "busy", "not admitted", "client file too old",
           "client file wrong", "stopping", "no hello", "silent", "turned out", "gone", "rendezvous files wrong",
           "no client left in our user's share", "no handshake left in our user's share") + ("unknown",) * 240

class Refused(Exception):
    def __str__(self):
        return "refused: {} ({}); the server's terms are {}, ours {}".format(REASONS[self.args[0]], *self.args)

def keep(fd, held):
    held.callback(os.close, fd)
    return fd

def must_be_safe(fd, what, kind, forbidden):
    found = os.fstat(fd)
    if stat.S_IFMT(found.st_mode) != kind or found.st_uid not in (0, os.geteuid()) or found.st_mode & forbidden:
        raise PermissionError(f"{what} is not to be believed: uid {found.st_uid}, {stat.filemode(found.st_mode)}")
    return found

def enter(name, held, parent=None, forbidden=0o022):
    folder = keep(os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent), held)
    must_be_safe(folder, name, stat.S_IFDIR, forbidden)
    return folder

def directories():
    uid, named, session = os.geteuid(), os.environ.get("HOBNOB_DIR"), os.environ.get("XDG_RUNTIME_DIR")
    usual = ["/run/hobnob" if uid == 0 else f"/run/user/{uid}/hobnob", f"/tmp/hobnob-{uid}", "/run/hobnob"]
    return [named] if named else dict.fromkeys([f"{session}/hobnob"] * bool(session) + usual)

def find(name, held):
    found, searched = [], []
    for directory in directories():
        try:
            folder = enter(name, held, enter(directory, held))
            file = keep(os.open("record", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), held)
            record = dict(line.split("=", 1) for line in os.read(file, 512).decode().split("\n") if "=" in line)
            fields = [record.get(key, "") for key in ("transport", "pid", "uid", "since")]
            if not re.fullmatch("[A-Za-z0-9]+( [0-9]+){3}", " ".join(fields)):
                raise ValueError("its record is none")
            found.append((folder, record["transport"]))
            searched.append(f"{directory}: {record}")
        except (OSError, ValueError) as error:
            searched.append(f"{directory}: {error}")
    return found, searched

def dial_unix(folder, path, held):
    sock = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
    if folder is not None:
        with contextlib.suppress(FileNotFoundError):
            clients = enter("clients", held, folder, 0)
            file = pathlib.Path(f"/proc/self/fd/{clients}/{os.getpid()}-{secrets.token_hex(16)}")
            sock.bind(str(file))
            held.callback(file.unlink, missing_ok=True)
            file.chmod(0o700)
        path = f"/proc/self/fd/{keep(os.open('sock', os.O_PATH | os.O_NOFOLLOW, dir_fd=folder), held)}"
    sock.connect(path)
    if struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1] not in (0, os.geteuid()):
        raise PermissionError("the server is neither ours nor root's")
    return Road(os.dup(sock.fileno()), os.dup(sock.fileno())), secrets.token_bytes(16)

def dial_fifo(folder, path, held):
    name, beside, flags = "fifo", "clients", os.O_NONBLOCK | os.O_NOFOLLOW
    if folder is None:
        parent, name = os.path.split(path)
        beside, folder = f"{name}.clients", keep(os.open(parent, os.O_PATH | os.O_DIRECTORY), held)
    pinned = keep(os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder), held)
    server = must_be_safe(pinned, name, stat.S_IFIFO, 0o044)
    rendezvous = keep(os.open(f"/proc/self/fd/{pinned}", os.O_WRONLY | os.O_NONBLOCK), held)
    found = os.fstat(clients := enter(beside, held, folder, 0))
    if found.st_uid != server.st_uid or stat.S_IMODE(found.st_mode) not in (0o700, 0o3733):
        raise PermissionError(f"{beside} is not of the server's owner, or is {stat.filemode(found.st_mode)}")
    ident, nonce = secrets.token_bytes(16), secrets.token_bytes(16)
    c2s, s2c = (pathlib.Path(f"/proc/self/fd/{clients}/{os.getpid()}-{ident.hex()}.{end}") for end in ("c2s", "s2c"))
    for end in c2s, s2c:
        os.mkfifo(end)
        held.callback(end.unlink, missing_ok=True)
        end.chmod(0o660 if found.st_mode & stat.S_ISGID else 0o600)
    keep(os.open(c2s, os.O_RDONLY | flags), held)
    rx, tx = os.open(s2c, os.O_RDONLY | flags), os.open(c2s, os.O_WRONLY | flags)
    knock = struct.pack("<8sI16s16s16x", b"hobnobF1", os.getpid(), ident, nonce)
    os.write(rendezvous, knock + struct.pack("<I", zlib.crc32(knock)))
    return Road(rx, tx, rendezvous), nonce

def connect(address, timeout=5.0, schema=None):
    deadline, again = time.monotonic() + timeout, {STALE_FILE, CROWDED}
    while True:
        try:
            return attempt(address, schema, deadline)
        except (Refused, BlockingIOError) as error:  # the latter: the backlog or the rendezvous is full
            number = error.args[0] if isinstance(error, Refused) else CROWDED
            if number not in again or time.monotonic() >= deadline:
                raise
            again -= {number} & {STALE_FILE}
            time.sleep(0.005)

def attempt(address, schema, deadline):
    wanted, target = address.split(":", 1) if ":" in address else (None, address)
    with contextlib.ExitStack() as held:
        found, searched = ([(None, wanted)], [target]) if target.startswith("/") else find(target, held)
        for folder, scheme in found:
            dial = {"unix": dial_unix, "fifo": dial_fifo}.get(scheme)
            if dial and wanted in (None, scheme):
                try:
                    return Road.greet(*dial(folder, target, held), scheme, schema, deadline)
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENXIO, errno.ECONNREFUSED, errno.EPIPE):
                        raise
        raise ConnectionRefusedError(f"no such server; searched {searched}")

class Road:
    """Frames in both directions. None is the goodbye. The witness shows only that the server is gone."""
    def __init__(self, rx, tx, witness=None):
        self.rx, self.tx = open(rx, "rb", buffering=0), open(tx, "wb", buffering=0)
        self.witness, self.came, self.limit, self.largest = witness, bytearray(), 256, 0

    def wait(self, file, event, deadline):
        poll = select.poll()
        poll.register(self.witness or file, 0)
        poll.register(file, event)
        if not (shown := dict(poll.poll(max(0, deadline - time.monotonic()) * 1000))):
            raise TimeoutError("timed out")
        return shown.get(file.fileno()) or dict(poll.poll(0)).get(file.fileno(), select.POLLHUP)

    def write_frame(self, kind, body, deadline):
        left = memoryview(HEADER.pack(len(body), kind, 0, 0) + body)
        while left:
            self.wait(self.tx, select.POLLOUT, deadline)
            left = left[self.tx.write(left) or 0:]

    def need(self, count, deadline):
        while len(self.came) < count:
            chunk = self.rx.read(65536) if self.wait(self.rx, select.POLLIN, deadline) & select.POLLIN else b""
            if chunk == b"":
                raise ConnectionResetError(f"the server is gone{', inside a frame' if self.came else ''}")
            self.came += chunk or b""

    def read_frame(self, deadline):
        self.need(8, deadline)
        length, kind, flags, zero = HEADER.unpack_from(self.came)
        if not 1 <= kind <= 9 or flags or zero or length > self.limit:
            raise ConnectionError(f"{self.came[:8].hex(' ')} is no header, or over the limit of {self.limit} bytes")
        self.need(8 + length, deadline)
        body, self.came = bytes(self.came[8:8 + length]), self.came[8 + length:]
        return kind, body

    def greet(self, nonce, scheme, schema, deadline, limit=16 << 20):
        ours = b"hobnob", 1, scheme.encode(), limit, schema is not None, schema or 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.write_frame(HELLO, TERMS.pack(*ours) + nonce, deadline)
        kind, body = self.read_frame(deadline)
        if kind != VERDICT or len(body) < 70 or body[:6] != b"hobnob":
            raise ConnectionError(f"a frame of kind {kind} with {len(body)} bytes is no verdict")
        theirs, number, echo = TERMS.unpack_from(body), body[37], body[38:54]
        if number:
            raise Refused(number, theirs, ours)
        if echo != nonce:
            raise ConnectionError("the verdict answers another hello")
        self.write_frame(READY, body[54:70], deadline)
        self.limit, self.largest, self.witness = limit, theirs[3], None
        return self

    def send(self, info, timeout=5.0):
        if info is not None and len(info) > self.largest:
            raise ValueError(f"a message of {len(info)} bytes is over the server's limit of {self.largest}")
        self.write_frame(GOODBYE if info is None else DATA, info or b"", time.monotonic() + timeout)

    def receive(self, timeout=5.0):
        kind, body = self.read_frame(time.monotonic() + timeout)
        if kind not in (DATA, GOODBYE):
            raise ConnectionError(f"a frame of kind {kind} has no business here")
        return body if kind == DATA else None

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Sends messages to an echo server and prints what comes back.")
    parser.add_argument("address", help="NAME, unix:NAME, unix:/PATH, fifo:NAME or fifo:/PATH")
    parser.add_argument("message", nargs="*")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds, for connecting and for each message")
    parser.add_argument("--schema", type=lambda text: int(text, 0), help="a fingerprint of the message types")
    asked = parser.parse_intermixed_args()
    try:
        server = connect(asked.address, asked.timeout, asked.schema)
        for info in asked.message or sys.stdin.read().splitlines():
            server.send(os.fsencode(info), asked.timeout)
            if (answer := server.receive(asked.timeout)) is None:
                raise ConnectionResetError("the server said goodbye instead of an answer")
            print(os.fsdecode(answer), flush=True)
        with contextlib.suppress(BrokenPipeError):  # who is gone needs no goodbye
            server.send(None, asked.timeout)
        if (more := server.receive(asked.timeout)) is not None:
            raise ConnectionError(f"the server sent {more[:50]!r} unasked")
    except (Refused, OSError, ValueError) as error:
        sys.exit(f"hobnob_client: {asked.address}: {error}")
